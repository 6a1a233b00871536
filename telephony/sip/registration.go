package sip

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"
	"go.uber.org/zap"

	"github.com/patchcord/patchcord/telephony/trunk"
)

// registration keeps a trunk's registrar knowing where we are (RFC 3261 section
// 10.2): renewed well before its end, tried again when it fails, at the next
// gateway where one is not there, ended when we stop. Calls know nothing of it.
//
// The fields of the first part belong to the goroutine in run, the rest is
// guarded by the keeper's mutex.
type registration struct {
	k       *keeper
	callID  string // the same for all of its life, its CSeq rises
	tag     string
	seq     uint32
	expires time.Duration // that we ask for
	login   login
	contact string        // as it was sent last, "" none: "sip:user@host:port"
	at      *gateway      // where it is registered; nil: nowhere
	now     chan struct{} // capacity 1: register at once

	state  trunk.Registration
	source netip.AddrPort // we are registered over it
	public netip.AddrPort // where the registrar sees us; zero: where we see ourselves
	over   string         // the transport of both
}

// How failures are waited out. Those that may pass by themselves soon (nobody
// answers, 5xx) from a second to a minute, refusals from half a minute to half
// an hour (RFC 5626 section 4.5): twice as long each time.
const (
	registerFor               = 10 * time.Minute // that we ask for: how long a registrar may lose calls that forgot us
	retryFirst, retryMost     = time.Second, time.Minute
	refusedFirst, refusedMost = 30 * time.Second, 30 * time.Minute
	longestExpiry             = 24 * time.Hour
)

// registerError is why a registration failed.
type registerError struct {
	err     error
	refused bool          // not before long
	after   time.Duration // that the registrar asks for; 0: none
}

func (e *registerError) Error() string { return e.err.Error() }
func (e *registerError) Unwrap() error { return e.err }

// run registers until ctx ends, and then no more.
func (r *registration) run(ctx context.Context) {
	u, fails, hurried := r.k.u, 0, 0
	for {
		begun := time.Now()
		wait := time.Duration(-1) // until there is a reason
		if u.draining.Load() {
			r.leave(ctx)
		} else if granted, err := r.register(ctx); err == nil {
			fails, wait = 0, renewIn(granted)
		} else if ctx.Err() == nil {
			wait = retryIn(err, fails)
			fails++
			r.failed(err, wait)
		}
		var timer <-chan time.Time
		if wait >= 0 {
			timer = time.After(u.scaled(wait))
		}
		select {
		case <-timer:
			hurried = 0
		case <-r.now:
			// A registrar that ends the connection behind each of its answers, or
			// comes and goes, is not asked without a pause: each time a longer one,
			// until a registration has lasted.
			if time.Since(begun) > u.scaled(retryMost) {
				hurried = 0
			}
			r.pause(ctx, u.scaled(min(retryFirst<<min(hurried, 20), retryMost))-time.Since(begun))
			hurried++
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			r.leave(context.WithoutCancel(ctx))
			return
		}
	}
}

// pause waits, not longer than until ctx ends or we drain.
func (r *registration) pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	for !r.k.u.draining.Load() {
		select {
		case <-timer.C:
			return
		case <-r.now:
		case <-ctx.Done():
			return
		}
	}
}

// renewIn is when a registration is renewed: at half to three quarters of the
// time it was granted, so that those of many do not come at once.
func renewIn(granted time.Duration) time.Duration {
	return max(time.Second, granted/2+spread(granted/4))
}

// retryIn is when to try again after fails failures before this one: half to
// all of the time, by chance.
func retryIn(err error, fails int) time.Duration {
	first, most := retryFirst, retryMost
	var e *registerError
	asked := time.Duration(0)
	if errors.As(err, &e) {
		asked = min(e.after, refusedMost)
		if e.refused {
			first, most = refusedFirst, refusedMost
		}
	}
	wait := min(first<<min(fails, 20), most)
	return max(asked, wait/2+spread(wait/2))
}

func spread(d time.Duration) time.Duration {
	return time.Duration(rand.Int64N(int64(d) + 1)) //nolint:gosec // no secret
}

// register makes or renews the registration, at the first gateway that is
// there, and tells for how long.
func (r *registration) register(ctx context.Context) (granted time.Duration, err error) {
	t := r.k.trunk()
	list, err := r.k.u.reach(ctx, t, r.k.gateways())
	if err != nil {
		return 0, &registerError{err: err}
	}
	for i := range list {
		gw := &list[i]
		granted, err = r.registerAt(ctx, t, gw, i == len(list)-1)
		var e *registerError
		if err == nil || ctx.Err() != nil || errors.As(err, &e) && e.refused {
			return granted, err
		}
	}
	return 0, err
}

// registerAt asks one gateway.
func (r *registration) registerAt(ctx context.Context, t *trunk.Trunk, gw *gateway, last bool) (time.Duration, error) {
	patience := r.k.u.cfg.Retry
	if last { // nobody else can be asked: a slow registrar is better than none
		patience = 32 * r.k.u.cfg.t1
	}
	answered := map[string]int{}
	for moved, brief := false, false; ; {
		contact := r.contactFor(t, gw)
		res, err := r.send(ctx, t, gw, contact, r.expires, patience)
		if err != nil {
			return 0, &registerError{err: err}
		}
		status := res.StatusCode
		switch {
		case status == 401 || status == 407:
			r.learn(gw, res) // before anything is registered
			if err := r.login.challenged(t, res, gw.at.Addr(), answered); err != nil {
				return 0, &registerError{err: err, refused: true}
			}
			continue
		case status == 423 && !brief:
			if least, ok := seconds(res, "Min-Expires"); ok && least > r.expires && least <= longestExpiry {
				r.expires, brief = least, true
				continue
			}
		case status < 300:
			if r.learn(gw, res) && !moved {
				// It sees us elsewhere than we said: what we said ends, what it
				// sees is registered.
				moved = true
				_, _ = r.send(ctx, t, gw, contact, 0, patience)
				continue
			}
			granted := grantedOf(res, contact, r.expires)
			if granted <= 0 {
				return 0, &registerError{err: fmt.Errorf("sip: %s granted no time", gw.configured), refused: true}
			}
			r.registered(gw, contact, granted)
			if gw.transport != "UDP" && r.k.u.connection(gw.transport, gw.at) == nil {
				r.renew() // it was cut before we knew that we are registered over it
			}
			return granted, nil
		}
		after, _ := seconds(res, "Retry-After")
		return 0, &registerError{
			err:   fmt.Errorf("sip: %s answers REGISTER with %d %s%s", gw.configured, status, clean(res.Reason), hint(status)),
			after: after, refused: status != 408 && status < 500 || status >= 600,
		}
	}
}

// hint says what is wrong where an answer tells it.
func hint(status int) string {
	switch status {
	case 403:
		return "; check username and password"
	case 404:
		return "; check username and the gateway's domain"
	}
	return ""
}

// send sends one REGISTER.
func (r *registration) send(ctx context.Context, t *trunk.Trunk, gw *gateway, contact string, expires,
	patience time.Duration,
) (*sip.Response, error) {
	aor := r.k.u.account(t, gw)
	r.seq++
	req := r.k.u.outside(sip.REGISTER, gw, "<"+aor+">;tag="+r.tag, "<"+aor+">", r.callID, r.seq)
	secs := strconv.FormatInt(int64(expires/time.Second), 10)
	req.AppendHeader(sip.NewHeader("Contact", "<"+contact+">;expires="+secs))
	req.AppendHeader(sip.NewHeader("Expires", secs))
	req.AppendHeader(sip.NewHeader("Supported", "path"))
	req.AppendHeader(sip.NewHeader("Allow", allow))
	if err := r.login.sign(req, t); err != nil {
		return nil, err
	}
	r.contact = contact
	return r.k.u.ask(ctx, req, t, gw, patience)
}

// contactFor is where we can be reached from a gateway.
func (r *registration) contactFor(t *trunk.Trunk, gw *gateway) string {
	local, _ := r.k.u.socket(gw.at.Addr(), netip.AddrPort{}) // over a connection it tells the address
	own := strings.Trim(r.k.u.contact("", gw.at, gw.transport, local), "<>")
	host, params, _ := strings.Cut(strings.TrimPrefix(own, "sip:"), ";")
	if seen := r.seenBy(gw.transport); seen.IsValid() {
		host = hostPort(seen.Addr().String(), int(seen.Port()))
	}
	out := "sip:" + escapeUser(t.ContactUser()) + "@" + host
	if params != "" {
		out += ";" + params
	}
	return out
}

func (r *registration) seenBy(transport string) netip.AddrPort {
	r.k.mu.Lock()
	defer r.k.mu.Unlock()
	if r.over != transport {
		return netip.AddrPort{}
	}
	return r.public
}

// learn takes where the registrar sees us (RFC 3581) and reports whether that
// is news. Over a connection the port is only of interest behind NAT, where the
// registrar finds the connection by it.
func (r *registration) learn(gw *gateway, res *sip.Response) bool {
	via := res.Via()
	if via == nil || r.k.u.public.IsValid() || via.Params == nil {
		return false
	}
	received, _ := via.Params.Get("received")
	rport, _ := via.Params.Get("rport")
	addr, err := netip.ParseAddr(strings.Trim(received, "[]"))
	if err != nil {
		return false
	}
	port, err := strconv.ParseUint(rport, 10, 16)
	if err != nil || port == 0 {
		return false
	}
	seen := netip.AddrPortFrom(addr.Unmap(), uint16(port))
	own, _ := netip.ParseAddr(strings.Trim(via.Host, "[]"))
	if seen.Addr() == own.Unmap() && (gw.transport != "UDP" || int(seen.Port()) == via.Port) {
		seen = netip.AddrPort{}
	}
	r.k.mu.Lock()
	defer r.k.mu.Unlock()
	news := seen != r.public || r.over != gw.transport && seen.IsValid()
	r.public, r.over = seen, gw.transport
	return news
}

// grantedOf is how long a registration holds: of our Contact among those that
// the registrar knows, else of Expires, else as asked (RFC 3261 section 10.3).
func grantedOf(res *sip.Response, contact string, asked time.Duration) time.Duration {
	var known []address
	for _, h := range res.GetHeaders("Contact") {
		for _, value := range splitList(h.Value()) {
			if a, ok := parseAddress(value); ok {
				known = append(known, a)
			}
		}
	}
	general, ok := seconds(res, "Expires")
	if !ok || general > longestExpiry {
		general = asked
	}
	for i, a := range known {
		if !sameContact(a.uri, contact) && !(len(known) == 1 && i == 0) {
			continue
		}
		if value, ok := a.param("expires"); ok {
			if n, err := strconv.ParseUint(strings.Trim(value, `"`), 10, 32); err == nil {
				return min(time.Duration(n)*time.Second, longestExpiry)
			}
		}
		return general
	}
	return general
}

// sameContact compares user, host and port: registrars add parameters.
func sameContact(a, b string) bool {
	var x, y sip.Uri
	if sip.ParseUri(a, &x) != nil || sip.ParseUri(b, &y) != nil {
		return a == b
	}
	return unescape(x.User) == unescape(y.User) && strings.EqualFold(x.Host, y.Host) && x.Port == y.Port
}

// registered notes success.
func (r *registration) registered(gw *gateway, contact string, granted time.Duration) {
	r.at = gw
	r.k.mu.Lock()
	was := r.state
	now := time.Now()
	r.state.Registered, r.state.Registrar, r.state.Contact = true, gw.configured, contact
	r.state.Until = now.Add(granted)
	if !was.Registered {
		r.state.Since = now
	}
	r.source = gw.at
	r.k.mu.Unlock()
	if !was.Registered || was.Registrar != gw.configured || was.Contact != contact {
		r.k.log.Info("sip: registered", zap.String("registrar", gw.configured), zap.String("contact", contact),
			zap.Int64("expires_s", int64(granted/time.Second)))
	}
}

// failed notes a failure.
func (r *registration) failed(err error, wait time.Duration) {
	text := strings.TrimPrefix(err.Error(), "sip: ")
	r.k.mu.Lock()
	was := r.state.Registered
	first := r.state.Failures == 0
	r.state.Registered = false
	r.state.Failures++
	r.source = netip.AddrPort{}
	changed := r.k.blameLocked(text)
	r.k.mu.Unlock()
	fields := []zap.Field{zap.String("error", text), zap.Int64("retry_ms", wait.Milliseconds())}
	switch {
	case was:
		r.k.log.Warn("sip: registration lost", fields...)
	case first || changed:
		r.k.log.Warn("sip: not registered", fields...)
	default:
		r.k.log.Debug("sip: not registered", fields...)
	}
}

// leave ends the registration at the registrar.
func (r *registration) leave(ctx context.Context) {
	gw := r.at
	if gw == nil {
		return
	}
	r.at = nil
	t := r.k.trunk()
	answered := map[string]int{}
	for {
		res, err := r.send(ctx, t, gw, r.contact, 0, 4*r.k.u.cfg.t1)
		if err == nil && (res.StatusCode == 401 || res.StatusCode == 407) &&
			r.login.challenged(t, res, gw.at.Addr(), answered) == nil {
			continue
		}
		r.k.mu.Lock()
		was := r.state.Registered
		r.state.Registered = false
		r.source = netip.AddrPort{}
		r.k.mu.Unlock()
		if was {
			r.k.log.Info("sip: unregistered", zap.String("registrar", gw.configured), zap.Error(err))
		}
		return
	}
}

// renew has the registration made again at once.
func (r *registration) renew() {
	select {
	case r.now <- struct{}{}:
	default: // it will be
	}
}
