package sip

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"

	"github.com/patchcord/patchcord/telephony/trunk"
)

// What we ask a gateway outside of any call: to know us (REGISTER), and
// whether it is there (OPTIONS).

// ask sends a request and waits for its final answer.
func (u *UserAgent) ask(ctx context.Context, req *sip.Request, t *trunk.Trunk, gw *gateway,
	patience time.Duration,
) (*sip.Response, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	u.peers.add(gw.at.Addr())
	defer u.peers.remove(gw.at.Addr())
	if req.ContentLength() == nil {
		req.SetBody(nil)
	}
	if gw.transport == "TLS" {
		if err := u.secure(gw.at, gw.host, t.Trust); err != nil {
			return nil, err
		}
	}
	if err := u.address(req, gw.at, gw.transport, newBranch(), netip.AddrPort{}); err != nil {
		return nil, err
	}
	tx, err := u.stack.request(req, nil)
	if err != nil {
		return nil, fmt.Errorf("sip: send %s to %s: %w", req.Method, gw.at, err)
	}
	defer tx.Terminate()
	for {
		select {
		case res := <-tx.Responses():
			if res.StatusCode >= 200 {
				return res, nil
			}
		case <-tx.Done():
			if err := tx.Err(); err != nil {
				return nil, fmt.Errorf("sip: %s to %s: %w", req.Method, gw.at, err)
			}
			return nil, fmt.Errorf("sip: %s to %s: %w", req.Method, gw.at, errNoResponse)
		case <-ctx.Done():
			return nil, fmt.Errorf("sip: %s to %s: no answer within %s", req.Method, gw.at, patience)
		}
	}
}

// outside builds a request that belongs to no call. It goes to the gateway,
// through its proxy where there is one.
func (u *UserAgent) outside(method sip.RequestMethod, gw *gateway, from, to, callID string, seq uint32) *sip.Request {
	d := dialog{callID: callID, local: from, remote: to, target: gw.uri}
	if gw.route != nil {
		d.routes = []sip.Uri{*gw.route}
	}
	req := d.numbered(method, seq)
	req.AppendHeader(sip.NewHeader("User-Agent", u.cfg.Name))
	return req
}

// account is who we are to a trunk: the address of record that registers, and
// that OPTIONS come from.
func (u *UserAgent) account(t *trunk.Trunk, gw *gateway) string {
	user, domain, ok := strings.Cut(t.Username, "@")
	if !ok {
		domain = hostPort(gw.uri.Host, 0)
	}
	if user == "" {
		return "sip:" + hostPort(u.advertised(gw.at.Addr(), netip.Addr{}).String(), 0)
	}
	return "sip:" + escapeUser(user) + "@" + domain
}

// seconds is a header field of seconds: "3600", "120 (busy)", "90;duration=3".
func seconds(res *sip.Response, name string) (time.Duration, bool) {
	h := res.GetHeader(name)
	if h == nil {
		return 0, false
	}
	value := strings.TrimSpace(h.Value())
	if i := strings.IndexFunc(value, func(r rune) bool { return r < '0' || r > '9' }); i >= 0 {
		value = value[:i]
	}
	n, err := strconv.ParseUint(value, 10, 32)
	if err != nil {
		return 0, false
	}
	return time.Duration(n) * time.Second, true
}
