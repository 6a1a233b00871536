package sip

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/emiago/sipgo/sip"

	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/telephony/trunk"
)

// legs finds the leg a message belongs to.
type legs struct {
	mu sync.Mutex
	// byTag has every leg by its local tag, which nobody can guess.
	byTag map[string]*leg
	// invites has every INVITE that began a call, until its transaction has
	// forgotten it too: a late retransmission must not start another call.
	invites map[string]*invite
	// gone has the last transactions of legs that are no more, by local tag:
	// what is sent again finds its answer below.
	gone  map[string][]string
	conns map[netip.AddrPort]int // legs on a connection
	// fresh counts the calls of a trunk whose answer has no ACK yet.
	fresh map[telephony.TrunkID]int
}

// invite is one INVITE that began a call.
type invite struct {
	leg                       *leg // nil once it is no more
	branch, sentBy, transport string
}

// live is the invite's leg while it is there.
func (i *invite) live(u *UserAgent) *leg {
	u.legs.mu.Lock()
	defer u.legs.mu.Unlock()
	return i.leg
}

// is reports whether m is of the INVITE's transaction (RFC 3261 section 17.2.3).
func (i *invite) is(m *message) bool {
	return i.branch == m.branch && i.sentBy == m.via.sentBy && i.transport == m.transport
}

func (l *legs) init() {
	l.byTag, l.invites, l.conns = map[string]*leg{}, map[string]*invite{}, map[netip.AddrPort]int{}
	l.gone, l.fresh = map[string][]string{}, map[telephony.TrunkID]int{}
}

// begin takes one of the places for calls of a trunk whose answer has no ACK;
// false where most are taken.
func (l *legs) begin(of telephony.TrunkID, most int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fresh[of] >= most {
		return false
	}
	l.fresh[of]++
	return true
}

// settle gives one of them back.
func (l *legs) settle(of telephony.TrunkID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fresh[of]--; l.fresh[of] <= 0 {
		delete(l.fresh, of)
	}
}

func (l *legs) size() (legs, invites int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.byTag), len(l.invites)
}

func (l *legs) tag(tag string) *leg {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.byTag[tag]
}

func (l *legs) invite(key string) *invite {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.invites[key]
}

func (l *legs) add(g *leg) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.byTag[g.localTag] = g
	if g.conn.IsValid() {
		l.conns[g.conn]++
	}
}

// attach moves a leg to another connection.
func (l *legs) attach(g *leg, to netip.AddrPort) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if g.conn.IsValid() {
		if l.conns[g.conn]--; l.conns[g.conn] <= 0 {
			delete(l.conns, g.conn)
		}
	}
	g.conn = to
	l.conns[to]++
}

func (l *legs) remove(g *leg) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.byTag, g.localTag)
	if g.conn.IsValid() {
		if l.conns[g.conn]--; l.conns[g.conn] <= 0 {
			delete(l.conns, g.conn)
		}
	}
}

// on reports whether a call lives on the connection from that address.
func (l *legs) on(from netip.AddrPort) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.conns[from] > 0
}

// bury keeps of a leg that is no more what retransmissions need, for as long as
// the transactions below live (RFC 3261 timer J, RFC 6026 timer L). key is that
// of the INVITE it began with, "" for a dialled leg.
func (l *legs) bury(g *leg, key string, life time.Duration) {
	g.mu.Lock()
	branches := g.branches
	g.mu.Unlock()
	l.mu.Lock()
	if inv := l.invites[key]; inv != nil {
		inv.leg = nil
	}
	if len(branches) > 0 {
		l.gone[g.localTag] = branches
	}
	l.mu.Unlock()
	tag := g.localTag
	time.AfterFunc(life, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.invites, key)
		delete(l.gone, tag)
	})
}

// wasServed reports whether the transaction is of a leg that is no more.
func (l *legs) wasServed(tag, branch string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Contains(l.gone[tag], branch)
}

// inviteKey names the request that began a call whatever way it came.
func (m *message) inviteKey() string {
	return m.callID + "\x00" + m.fromTag + "\x00" + strconv.FormatUint(uint64(m.cseq), 10)
}

// route decides about a request that is in order: pass it on to the
// transactions, answer it here, or neither. It runs in the order of arrival.
func (u *UserAgent) route(m *message) (pass bool, r *refusal) {
	addr := m.from.Addr()
	switch m.method {
	case "ACK":
		return u.routeAck(m), nil
	case "CANCEL":
		return false, u.routeCancel(m)
	}
	if m.toTag != "" {
		return u.routeInDialog(m)
	}
	switch m.method {
	case "INVITE":
		return u.routeInvite(m)
	case "OPTIONS":
		switch {
		case !u.known.allow(addr, kindOptions):
			u.count.limited.Add(1)
			return false, nil
		case u.draining.Load():
			return false, refuse(503, "Service Unavailable", retryAfter())
		}
		return false, refuse(200, "OK", field{"Allow", allow}, field{"Supported", supported},
			field{"Accept", acceptTypes})
	case "BYE", "INFO", "UPDATE", "NOTIFY", "PRACK":
		return false, refuse(481, "Call/Transaction Does Not Exist")
	}
	if !u.known.allow(addr, kindRegister) {
		u.count.limited.Add(1)
		return false, nil
	}
	return false, notAllowed(m.method)
}

func notAllowed(method string) *refusal {
	if knownMethods[method] {
		return refuse(405, "Method Not Allowed", field{"Allow", allow})
	}
	return refuse(501, "Not Implemented", field{"Allow", allow})
}

// routeInvite makes a leg for an INVITE that begins a call.
func (u *UserAgent) routeInvite(m *message) (bool, *refusal) {
	key := m.inviteKey()
	if inv := u.legs.invite(key); inv != nil {
		if inv.is(m) {
			return true, nil // retransmitted: its transaction answers
		}
		return false, refuse(482, "Loop Detected") // merged: RFC 3261 section 8.2.2.2
	}
	if r := u.identify(m); r != nil {
		return false, r
	}
	victim, r := u.takenPlace(m)
	if r != nil {
		return false, r
	}
	if !u.known.allow(m.from.Addr(), kindInvite) {
		u.count.limited.Add(1)
		return false, refuse(503, "Service Unavailable", retryAfter())
	}
	if _, open := u.legs.size(); open >= u.limits.Transactions || u.draining.Load() && victim == nil {
		return false, refuse(503, "Service Unavailable", retryAfter())
	}
	if !u.enter() {
		return false, refuse(503, "Service Unavailable", retryAfter())
	}
	m.id = newID()
	if !u.roomFor(m, victim != nil) {
		u.wg.Done()
		return false, refuse(503, "Service Unavailable", retryAfter())
	}
	g := u.newInbound(m)
	g.victim = victim
	u.legs.mu.Lock()
	u.legs.invites[key] = &invite{g, m.branch, m.via.sentBy, m.transport}
	u.legs.mu.Unlock()
	u.legs.add(g)
	go func() {
		defer u.wg.Done()
		g.run()
		u.legs.bury(g, key, 64*u.cfg.t1+time.Second)
	}()
	return true, nil
}

// roomFor takes room for a call that came in; one in the place of another needs
// none but its trunk's count.
func (u *UserAgent) roomFor(m *message, instead bool) bool {
	of := m.placed.ID
	if !u.legs.begin(of, u.limits.Unconfirmed) {
		return false
	}
	if instead {
		u.capacity.Take(m.placed)
		return true
	}
	if !u.capacity.Enter(m.placed) {
		u.legs.settle(of)
		return false
	}
	if u.cfg.Admit != nil && !u.cfg.Admit(m.id, of) {
		u.capacity.Leave(of, telephony.Inbound)
		u.legs.settle(of)
		return false
	}
	return true
}

// identify finds who placed a call: the trunk of the source, or that of several
// whose password the caller proves. What it returns is the answer to the others.
func (u *UserAgent) identify(m *message) *refusal {
	callers := u.trunks.Load().Callers(m.from.Addr())
	if slices.ContainsFunc(callers, func(t *trunk.Trunk) bool { return t.Trust.NeedsClient() }) {
		callers = slices.DeleteFunc(slices.Clone(callers), func(t *trunk.Trunk) bool { return !u.proven(m, t) })
	}
	switch {
	case len(callers) == 0:
		// A gateway or a peer of ours, which may be called but may not call, or
		// nobody's certificate.
		return refuse(403, "Forbidden")
	case callers[0].Caller == nil:
		m.placed = addressed(callers, m.uri)
		return nil
	case !u.known.allow(m.from.Addr(), kindFault):
		u.count.limited.Add(1)
		return refuse(503, "Service Unavailable", retryAfter())
	}
	var r *refusal
	m.placed, r = u.callers.admit(m, callers)
	return r
}

// addressed is the trunk that a call is for, of several accounts at one
// carrier: it comes to the Contact of one of them.
func addressed(callers []*trunk.Trunk, uri string) *trunk.Trunk {
	var to sip.Uri
	if len(callers) > 1 && sip.ParseUri(uri, &to) == nil {
		for _, t := range callers {
			if t.Register && t.ContactUser() == unescape(to.User) {
				return t
			}
		}
	}
	return callers[0]
}

// routeCancel answers a CANCEL and tells the leg; the transactions below would
// answer it under a tag of their own.
func (u *UserAgent) routeCancel(m *message) *refusal {
	inv := u.legs.invite(m.inviteKey())
	if inv == nil || !inv.is(m) {
		return refuse(481, "Call/Transaction Does Not Exist")
	}
	r := refuse(200, "OK")
	if g := inv.live(u); g != nil {
		if !g.owns(m) {
			return refuse(481, "Call/Transaction Does Not Exist")
		}
		r.tag = g.localTag
		r.then = func() { g.postMessage(g.onCancel) } // whose 487 comes second
	}
	return r
}

// routeAck brings the ACK of a 2xx to its leg. One with the branch of the
// INVITE belongs to the transaction: it is of a refusal, or of an old client.
func (u *UserAgent) routeAck(m *message) bool {
	if inv := u.legs.invite(m.inviteKey()); inv != nil && inv.is(m) {
		return true
	}
	g := u.legs.tag(m.toTag)
	if g == nil || !g.owns(m) {
		return u.legs.wasServed(m.toTag, m.branch)
	}
	if g.isReinvite(m.branch) {
		return true
	}
	msg, err := sip.ParseMessage(m.bytes())
	if req, ok := msg.(*sip.Request); err == nil && ok {
		g.postMessage(func() { g.onAck(req) })
	}
	return false
}

// routeInDialog brings a request to its leg.
func (u *UserAgent) routeInDialog(m *message) (bool, *refusal) {
	g := u.legs.tag(m.toTag)
	if g == nil && u.legs.wasServed(m.toTag, m.branch) {
		return true, nil // retransmitted
	}
	if g == nil || !g.owns(m) {
		if m.method == "OPTIONS" || !knownMethods[m.method] || strings.Contains(allow, m.method) {
			return false, refuse(481, "Call/Transaction Does Not Exist")
		}
		return false, notAllowed(m.method)
	}
	if !strings.Contains(g.allows(), m.method) {
		return false, notAllowed(m.method) // REFER among them: SEC-6
	}
	if !g.expect(m) {
		return false, refuse(503, "Service Unavailable", retryAfter())
	}
	if m.transport != "UDP" {
		g.postMessage(func() { g.follow(m.from, m.transport) })
	}
	return true, nil
}

// deliver takes a request with its transaction from the layer below.
func (u *UserAgent) deliver(req *sip.Request, tx *sip.ServerTx) {
	if req.IsAck() { // of a refusal whose transaction is gone
		tx.Terminate()
		return
	}
	to, from, callID, via := req.To(), req.From(), req.CallID(), req.Via()
	if to == nil || from == nil || callID == nil || via == nil || req.CSeq() == nil {
		tx.Terminate() // cannot be: ingress has seen them
		return
	}
	branch, _ := via.Params.Get("branch")
	var g *leg
	if tag, ok := to.Params.Get("tag"); ok && tag != "" {
		g = u.legs.tag(tag)
	} else {
		tag, _ := from.Params.Get("tag")
		key := callID.Value() + "\x00" + tag + "\x00" + strconv.FormatUint(uint64(req.CSeq().SeqNo), 10)
		if inv := u.legs.invite(key); inv != nil && inv.branch == branch {
			g = inv.live(u)
		}
	}
	if g == nil || !g.postMessage(func() { g.onRequest(incoming{req, tx}) }) {
		res := sip.NewResponseFromRequest(req, 481, "Call/Transaction Does Not Exist", nil)
		if tx.Respond(res) != nil {
			tx.Terminate()
		}
	}
}

// incoming is a request of the peer with the transaction to answer it in.
type incoming struct {
	req *sip.Request
	tx  sip.ServerTransaction
}
