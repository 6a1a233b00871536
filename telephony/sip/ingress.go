package sip

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/emiago/sipgo/sip"
	"go.uber.org/zap"

	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/telephony/trunk"
)

// counters are what became of messages.
type counters struct {
	unknown, limited, malformed, refused, unproven, panics, tls atomic.Uint64
}

// message is one message that came in, with where it came from.
type message struct {
	*packet
	*head
	size      int // bytes
	from      netip.AddrPort
	local     netip.AddrPort // the listener it came to; of a connection its local address
	transport string         // "UDP", "TCP", "TLS"
	trunk     telephony.TrunkID
	listed    bool         // a trunk names the source
	placed    *trunk.Trunk // of an INVITE that begins a call: by whom
	id        telephony.CallID
}

// ingress looks at one message before anything else does and returns what the
// transaction layer may see of it, nil for nothing. reply sends bytes back to
// the source. It never blocks and never panics.
func (u *UserAgent) ingress(data []byte, from, local netip.AddrPort, transport string, dialled bool,
	reply func(via, []byte),
) (out []byte) {
	defer func() {
		if r := recover(); r != nil {
			u.count.panics.Add(1)
			u.log.Error("sip: message dropped", zap.Any("panic", r), zap.Stack("stack"))
			out = nil
		}
	}()
	if u.deaf.Load() {
		return nil
	}
	addr := from.Addr().Unmap()
	of, listed := u.trunkOf(addr)
	if !listed && !dialled && !u.peers.has(addr) {
		u.stranger(data, from, reply)
		return nil
	}
	if len(bytes.Trim(data, "\r\n\x00")) == 0 {
		return nil // keep-alive
	}
	p, bad := split(data, u.limits.Fields)
	p.stream = transport != "UDP"
	m := &message{
		packet: p, head: &head{}, size: len(data), from: from, local: local, transport: transport, trunk: of, listed: listed,
	}
	if len(data) > u.limits.Message {
		bad = refuse(513, "Message Too Large")
	}
	h, r := p.check(&u.limits)
	m.head = h
	if bad = firstOf(bad, r); bad == nil && !p.response {
		bad = p.checkCall(h)
	}
	if bad == nil {
		data = u.forParser(m)
		if _, err := sip.ParseMessage(data); err != nil {
			bad = refuse(400, "Bad Request")
		}
	}
	switch {
	case bad != nil:
		u.count.malformed.Add(1)
		if !p.response && u.known.allow(addr, kindFault) {
			u.refuse(m, bad, reply)
		}
		return nil
	case p.response:
		return data
	}
	pass, bad := u.route(m)
	if bad != nil {
		u.refuse(m, bad, reply)
		if bad.then != nil {
			bad.then()
		}
	}
	if !pass {
		return nil
	}
	return data
}

// refuse answers statelessly. Where callers are known by their passwords alone,
// anybody may be asking: all but the challenge is not longer than what came
// (SEC-11).
func (u *UserAgent) refuse(m *message, r *refusal, reply func(via, []byte)) {
	bare := u.anybody(m.from.Addr())
	b := u.answers.answer(m.packet, r, m.from, bare)
	if b == nil || bare && r.status != 401 && len(b) > m.size {
		return
	}
	if r.status >= 300 {
		u.count.refused.Add(1)
	}
	reply(m.via, b)
}

// anybody reports whether a source is let in for the passwords of its trunks,
// and has no call with us.
func (u *UserAgent) anybody(addr netip.Addr) bool {
	callers := u.trunks.Load().Callers(addr)
	return len(callers) > 0 && callers[0].Caller != nil && !u.peers.has(addr)
}

// stranger is a message of a source that no trunk names (SEC-3): it is counted,
// now and then logged, and dropped, or answered with one 403 that is not longer
// than what came (SEC-11).
func (u *UserAgent) stranger(data []byte, from netip.AddrPort, reply func(via, []byte)) {
	u.count.unknown.Add(1)
	addr := from.Addr().Unmap()
	if muted, ok := u.strangers.mayLog(addr); ok && u.strangers.gate.open(time.Now()) {
		u.log.Warn("sip: no trunk matches source "+addr.String(),
			zap.String("source", addr.String()), zap.Int("more_dropped", muted))
	}
	if u.cfg.UnknownSource != RefuseUnknown || !u.strangers.allow(addr, kindFault) {
		return
	}
	p, _ := split(data, u.limits.Fields)
	for _, name := range []string{"From", "To", "Call-ID", "CSeq"} {
		if p.count(name) != 1 {
			return
		}
	}
	value, _ := p.get("Via")
	v, ok := parseVia(splitList(value)[0])
	if !ok {
		return
	}
	b := u.answers.answer(p, refuse(403, "Forbidden"), from, true)
	if b != nil && len(b) <= len(data) {
		reply(v, b)
	}
}

// oldBranch marks the branch we give a request of an RFC 2543 client, so that
// the transaction layer can match it; what the client wrote follows it and is
// put back on the way out.
const oldBranch = "z9hG4bKrfc2543."

// forParser writes the message as the parser can read it.
func (u *UserAgent) forParser(m *message) []byte {
	if _, asked := m.via.param("rport"); !m.response && !asked {
		m.setTopVia(received(m.via.String(), m.from)) // RFC 3261 section 18.2.1; the parser does it for rport
	}
	if m.response || (strings.HasPrefix(m.branch, "z9hG4bK") && len(m.branch) > len("z9hG4bK")) {
		return m.bytes()
	}
	// RFC 3261 section 17.2.3: such a transaction is known by these.
	uri, _, _ := strings.Cut(m.uri, "?")
	sum := sha256.Sum256([]byte(strings.Join([]string{
		uri, m.fromTag, m.callID, strconv.FormatUint(uint64(m.cseq), 10), m.via.String(),
	}, "\x00")))
	v := m.via
	v.params = v.params[:0:0]
	for _, p := range m.via.params {
		if !strings.EqualFold(p.name, "branch") {
			v.params = append(v.params, p)
		}
	}
	m.branch = oldBranch + hex.EncodeToString(sum[:8]) + "." + m.branch
	v.params = append(v.params, param{"branch", m.branch})
	m.setTopVia(received(v.String(), m.from))
	return m.bytes()
}

func (p *packet) setTopVia(value string) {
	for i := range p.fields {
		if p.fields[i].name == "Via" {
			p.fields[i].value = value
			return
		}
	}
}

// restoreBranch undoes forParser in an answer of ours.
func restoreBranch(data []byte) []byte {
	i := bytes.Index(data, []byte(";branch="+oldBranch))
	end := headerEnd(data)
	if i < 0 || i > end {
		return data
	}
	rest := data[i+len(";branch=")+len(oldBranch):]
	_, rest, ok := bytes.Cut(rest, []byte("."))
	if !ok {
		return data
	}
	out := append([]byte(nil), data[:i]...)
	if len(rest) > 0 && rest[0] != ';' && rest[0] != '\r' && rest[0] != ',' {
		out = append(out, ";branch="...)
	}
	return append(out, rest...)
}
