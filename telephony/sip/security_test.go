package sip

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/telephony/trunk"
)

// strangersOnly makes loopback a source that no trunk names.
func strangersOnly(c *Config) {
	c.Trunks, _ = trunk.NewTable([]trunk.Config{{Name: "far", Allow: []string{"203.0.113.0/24"}}}, nil, "agent")
}

var unknownMessages = []string{"INVITE", "OPTIONS", "REGISTER", "BYE", "ACK", "CANCEL", "FOO", "garbage", "short"}

// sendUnknown sends one message of each kind and returns the bytes it took.
func sendUnknown(p *peer) (bytesOut int) {
	for _, method := range unknownMessages {
		d := p.dialogue()
		msg := strings.Join(d.lines(method, 1, freshBranch()), "\r\n") + "\r\nContent-Length: 0\r\n\r\n"
		switch method {
		case "garbage":
			msg = "\x00\xff\x01garbage\r\n\r\n"
		case "short": // an answer would be longer
			msg = "OPTIONS sip:a SIP/2.0\r\nv:SIP/2.0/UDP h;rport\r\nf:<sip:a>\r\nt:<sip:a>\r\ni:1\r\nCSeq:1 OPTIONS\r\n\r\n"
		}
		bytesOut += len(msg)
		p.raw(msg)
	}
	return bytesOut
}

// SEC-3: a source that no trunk names gets no answer, costs one counter, and
// one line of the log in clear words.
func TestUnknownSourceDropped(t *testing.T) {
	t.Parallel()
	core, logs := observer.New(zapcore.InfoLevel)
	s := newServer(t, handler(func(context.Context, telephony.Leg) { t.Error("the handler was started") }), strangersOnly, func(c *Config) {
		c.Log = zap.New(core)
		c.Accept = func(telephony.Info) (telephony.Cause, bool) {
			t.Error("Accept was asked")
			return telephony.Cause{}, true
		}
	})
	p := newUDPPeer(t, s.udp)
	for range 20 {
		sendUnknown(p)
	}
	all := uint64(20 * len(unknownMessages))
	eventually(t, "all are counted", func() bool { return s.Stats().DroppedUnknown == all })
	for _, m := range p.drain(4 * testT1) {
		t.Errorf("answered: %s", m.start)
	}
	if st := s.Stats(); st.Legs != 0 || st.Transactions != 0 {
		t.Errorf("%+v", st)
	}
	lines := logs.FilterMessage("sip: no trunk matches source 127.0.0.1").Len()
	if lines != 1 {
		t.Errorf("%d lines about the source, want 1 in 10 s", lines)
	}
	c, err := net.Dial("tcp", s.tcp)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
	if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("a connection of a stranger: %d bytes, %v", n, err)
	}
}

// SEC-11: what a stranger is answered, where that is configured, is one
// refusal per request that is not longer than it, and without a transaction.
func TestUnknownSourceRefused(t *testing.T) {
	t.Parallel()
	s := newServer(t, answerAll, strangersOnly, func(c *Config) { c.UnknownSource = RefuseUnknown })
	p := newUDPPeer(t, s.udp)
	sent, got := sendUnknown(p), 0
	seen := map[string]int{}
	answers := []*wire{
		p.next("the answer to INVITE or OPTIONS", func(*wire) bool { return true }),
		p.next("the answer to the other", func(*wire) bool { return true }),
	}
	for _, m := range append(answers, p.drain(10*testT1)...) {
		got += m.size
		seen[m.of()]++
		if m.status() != 403 || m.get("Server") != "" {
			t.Errorf("%s %v", m.start, m.head)
		}
	}
	if got > sent {
		t.Errorf("%d bytes out for %d in", got, sent)
	}
	if seen["INVITE"] != 1 || seen["OPTIONS"] != 1 || seen["ACK"] != 0 {
		t.Errorf("answers by method: %v", seen)
	}
	if st := s.Stats(); st.Legs != 0 || st.Transactions != 0 {
		t.Errorf("%+v", st)
	}
}

// A gateway that may be called may not call for that.
func TestGatewayMayNotCall(t *testing.T) {
	t.Parallel()
	p := newUDPPeer(t, "")
	s := newServer(t, answerAll, func(c *Config) {
		c.Trunks, _ = trunk.NewTable([]trunk.Config{{
			Name: "gw", Gateways: []string{"sip:" + p.addr()}, Allow: []string{"203.0.113.0/24"},
		}}, nil, "agent")
	})
	leg := s.dial(t.Context(), t)
	invite := p.request("INVITE")
	p.reply(invite, 200, "OK", "far", testSDP)
	p.request("ACK")
	await[telephony.Answered](t, leg)
	d := p.dialogue()
	d.invite(testSDP)
	if m := d.final("INVITE"); m.status() != 403 {
		t.Error(m.start)
	}
	in := &dialogue{
		peer: p, callID: invite.get("Call-Id"), tag: "far", toTag: tagOf(invite.get("From")), seq: 7,
		target: strings.Trim(invite.get("Contact"), "<>"),
	}
	in.bye() // within the call it is heard
	s.idle(t)
}

// A call is not ended by one who knows its ids but speaks from elsewhere.
func TestForeignBye(t *testing.T) {
	t.Parallel()
	s := newServer(t, answerAll, func(c *Config) {
		c.Trunks, _ = trunk.NewTable([]trunk.Config{
			{Name: "a", Allow: []string{"127.0.0.1"}}, {Name: "b", Allow: []string{"127.0.0.2"}},
		}, nil, "agent")
	})
	p := newUDPPeer(t, s.udp)
	d := p.call()
	c, err := net.ListenPacket("udp4", "127.0.0.2:0")
	if err != nil {
		t.Skip("no second loopback address")
	}
	defer func() { _ = c.Close() }()
	foreign := func(lines []string) {
		t.Helper()
		msg := strings.Join(lines, "\r\n") + "\r\nContent-Length: 0\r\n\r\n"
		if _, err := c.WriteTo([]byte(msg), p.to); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 2000)
		_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
		n, _, err := c.ReadFrom(buf)
		if err != nil || !bytes.HasPrefix(buf[:n], []byte("SIP/2.0 481 ")) {
			t.Errorf("%v %.40q", err, buf[:n])
		}
	}
	foreign(d.lines("BYE", d.seq+1, freshBranch()))
	to := d.toTag
	d.toTag = ""
	foreign(d.lines("CANCEL", d.seq, d.branch))
	d.toTag = to
	d.bye()
	s.idle(t)
}

// SEC-1: a handler that panics ends its own call.
func TestHandlerPanic(t *testing.T) {
	t.Parallel()
	s := newServer(t, handler(func(ctx context.Context, leg telephony.Leg) {
		if leg.Info().Headers["X-Panic"] == "late" {
			_ = leg.Answer(ctx)
		}
		if leg.Info().Headers["X-Panic"] != "" {
			panic("handler")
		}
		_ = leg.Answer(ctx)
		<-ctx.Done()
	}))
	p := newUDPPeer(t, s.udp)
	other := p.call()
	d := p.dialogue()
	d.extra = []string{"X-Panic: early"}
	d.invite(testSDP)
	m := d.final("INVITE")
	if m.status() != 500 {
		t.Error(m.start)
	}
	d.ackRefusal(m)
	d = p.dialogue()
	d.extra = []string{"X-Panic: late"}
	d.invite(testSDP)
	d.ok()
	d.ack("")
	p.reply(p.request("BYE"), 200, "OK", "", "")
	other.bye()
	if n := s.Stats().RecoveredPanics; n != 2 {
		t.Errorf("%d panics counted", n)
	}
	s.idle(t)
}

// Draining refuses what is new and lets what is up go on.
func TestDrain(t *testing.T) {
	t.Parallel()
	s := newServer(t, answerAll)
	p := newUDPPeer(t, s.udp)
	d := p.call()
	s.Drain(true)
	for _, method := range []string{"INVITE", "OPTIONS"} {
		n := p.dialogue()
		n.do(method, "")
		if m := n.final(method); m.status() != 503 || m.get("Retry-After") == "" {
			t.Errorf("%s: %s Retry-After %q", method, m.start, m.get("Retry-After"))
		}
	}
	d.invite(testSDP)
	d.ok()
	d.ack("")
	s.Drain(false)
	p.call().bye()
	d.bye()
	s.idle(t)
}

// The end of Serve hangs up what is up.
func TestServeEndHangsUp(t *testing.T) {
	t.Parallel()
	s := newServer(t, answerAll)
	p := newUDPPeer(t, s.udp)
	p.call()
	done := make(chan struct{})
	go func() { s.stop(); close(done) }()
	p.reply(p.request("BYE"), 200, "OK", "", "")
	select {
	case <-done:
	case <-time.After(5 * time.Second):
		t.Fatal("Serve does not return")
	}
	if _, err := s.Dial(t.Context(), telephony.Destination{To: "sip:a@127.0.0.1"}); err == nil {
		t.Error("Dial behind Serve's end")
	}
}

// Accept refuses a call before anything is done for it.
func TestAcceptRefuses(t *testing.T) {
	t.Parallel()
	s := newServer(t, handler(func(context.Context, telephony.Leg) { t.Error("the handler was started") }), func(c *Config) {
		c.Accept = func(i telephony.Info) (telephony.Cause, bool) {
			if i.To != "+4930123456" || i.Trunk != "local" {
				t.Errorf("%+v", i)
			}
			return telephony.Cause{Reason: telephony.ReasonOverload}, false
		}
	})
	p := newUDPPeer(t, s.udp)
	d := p.dialogue()
	d.invite(testSDP)
	m := d.final("INVITE")
	if m.status() != 503 || m.get("Retry-After") == "" {
		t.Errorf("%s %v", m.start, m.head)
	}
	d.ackRefusal(m)
	s.idle(t)
}

// A call that there is no room for is refused before anything is kept of it, and
// room is given back once.
func TestAdmitRefuses(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	up := map[telephony.CallID]bool{}
	s := newServer(t, answerAll, func(c *Config) {
		c.Admit = func(id telephony.CallID, of telephony.TrunkID) bool {
			mu.Lock()
			defer mu.Unlock()
			if of != "local" || up[id] || len(up) >= 2 {
				return false
			}
			up[id] = true
			return true
		}
		c.Leave = func(id telephony.CallID) {
			mu.Lock()
			defer mu.Unlock()
			if !up[id] {
				t.Errorf("room given back that was not taken: %s", id)
			}
			delete(up, id)
		}
		c.Accept = func(i telephony.Info) (telephony.Cause, bool) {
			return telephony.Cause{Reason: telephony.ReasonBadNumber}, i.To != "+49404"
		}
	})
	p := newUDPPeer(t, s.udp)
	one, two := p.call(), p.call()
	for range 3 {
		d := p.dialogue()
		d.invite(testSDP)
		m := d.final("INVITE")
		after, err := strconv.Atoi(m.get("Retry-After"))
		if m.status() != 503 || err != nil || after < 5 || after > 30 {
			t.Errorf("%s %v", m.start, m.head)
		}
		d.ackRefusal(m)
	}
	if st := s.Stats(); st.Legs != 2 || st.Transactions > 2 || st.Refused != 3 {
		t.Errorf("%+v", st)
	}
	one.bye()
	eventually(t, "room is given back", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(up) == 1
	})
	p.call().bye()
	two.bye()
	s.idle(t)
	if len(up) != 0 {
		t.Errorf("%d places are left taken", len(up))
	}
}

// Callers of a trunk that acknowledge nothing get no more than its places, and
// those of another trunk are not harmed (reliability.md 5.5).
func TestUnconfirmedCallsAreBounded(t *testing.T) {
	t.Parallel()
	s := newServer(t, answerAll, func(c *Config) {
		c.Limits = Limits{Invite: 1000, InviteBurst: 1000, Unconfirmed: 5}
		c.Trunks, _ = trunk.NewTable([]trunk.Config{
			{Name: "flood", Allow: []string{"127.0.0.1"}}, {Name: "other", Allow: []string{"127.0.0.2"}},
		}, nil, "agent")
	})
	p := newUDPPeer(t, s.udp)
	taken := map[string]*dialogue{}
	for range 20 {
		d := p.dialogue()
		d.invite(testSDP)
		switch m := d.final("INVITE"); m.status() {
		case 200:
			d.learn(m)
			taken[d.callID] = d
		case 503:
		default:
			t.Error(m.start)
		}
	}
	if len(taken) != 5 {
		t.Errorf("%d calls of a peer without ACK, want 5", len(taken))
	}
	for _, d := range taken {
		d.ack("") // confirmed, they are calls as any
	}
	eventually(t, "the places are free again", func() bool {
		s.legs.mu.Lock()
		defer s.legs.mu.Unlock()
		return len(s.legs.fresh) == 0
	})
	p.call().bye()
	for _, d := range taken {
		d.bye()
	}
	s.idle(t)
}

// SEC-12: the bounds on messages.
func TestMessageBounds(t *testing.T) {
	t.Parallel()
	s := newServer(t, answerAll)
	p := newUDPPeer(t, s.udp)
	many := func(n int, line string) (out []string) {
		for i := range n {
			out = append(out, fmt.Sprintf(line, i))
		}
		return out
	}
	tests := []struct {
		name  string
		extra []string
		body  string
		uri   string
		want  int
	}{
		{"33 KB", []string{"X: " + strings.Repeat("y", 33<<10)}, "", "", 513},
		{"130 fields", many(130, "X-%d: y"), "", "", 400},
		{"11 Vias", many(11, "Via: SIP/2.0/UDP h%d;branch=z9hG4bKx"), "", "", 400},
		{"a body of 17 KB", nil, testSDP + strings.Repeat("a=x\r\n", 17<<10/5), "", 413},
		{"a URI of 1.1 KB", nil, testSDP, "sip:" + strings.Repeat("x", 1100) + "@h", 414},
	}
	for _, tt := range tests {
		d := p.dialogue()
		d.extra = tt.extra
		if tt.uri != "" {
			d.target = tt.uri
		}
		d.invite(tt.body)
		if m := d.final("INVITE"); m.status() != tt.want {
			t.Errorf("%s: %s, want %d", tt.name, m.start, tt.want)
		}
	}
	p.call().bye()
	s.idle(t)
}

// SEC-12: the bounds on connections: their number, idling, slowness, size.
func TestConnectionBounds(t *testing.T) {
	t.Parallel()
	s := newServer(t, answerAll, func(c *Config) {
		c.Limits.ConnsPerSource, c.Limits.Idle, c.Limits.Partial = 4, 10*testT1, 6*testT1
	})
	closed := func(what string, c net.Conn) {
		t.Helper()
		_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
		if _, err := io.Copy(io.Discard, c); err != nil && !strings.Contains(err.Error(), "reset") {
			t.Errorf("%s: not closed: %v", what, err)
		}
	}
	open := func() net.Conn {
		t.Helper()
		c, err := net.Dial("tcp", s.tcp)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	p := newTCPPeer(t, s.tcp)
	d := p.call() // a call lives on it: it may idle
	for name, data := range map[string]string{
		"idle": "", "slow": "OPTIONS sip:a SIP/2.0\r\nVia: x", "no end": strings.Repeat("x", 40<<10),
		"negative": "OPTIONS sip:a SIP/2.0\r\nContent-Length: -5\r\n\r\n", "garbage": "\x00\x01\x02\r\n\r\n",
		"huge": "OPTIONS sip:a SIP/2.0\r\nContent-Length: 4294967295\r\n\r\n",
	} {
		c := open()
		_, _ = io.WriteString(c, data)
		closed(name, c)
		_ = c.Close()
	}
	eventually(t, "only the call's connection is left", func() bool { return s.Stats().Connections == 1 })
	for range 3 {
		c := open()
		defer func() { _ = c.Close() }()
		_, _ = io.WriteString(c, "OPTIONS") // under way, so that it does not idle
	}
	fifth := open()
	closed("one too many", fifth)
	_ = fifth.Close()
	d.bye()
	p.raw("\r\n\r\n") // a ping: RFC 5626
	s.idle(t)
}

// SEC-12: a source that calls too fast is told to come later, and an INVITE
// that finds no room as well.
func TestCallRate(t *testing.T) {
	t.Parallel()
	for name, limit := range map[string]Limits{
		"per second": {Invite: 1, InviteBurst: 10}, "open": {Invite: 1000, InviteBurst: 1000, Transactions: 10},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, answerAll, func(c *Config) { c.Limits = limit })
			p := newUDPPeer(t, s.udp)
			taken, begun := 0, time.Now()
			for range 30 {
				d := p.dialogue()
				d.invite(testSDP)
				m := d.final("INVITE")
				switch {
				case m.status() == 200:
					taken++
					d.learn(m)
					d.ack("")
					d.bye()
				case m.status() != 503 || m.get("Retry-After") == "":
					t.Errorf("%s %v", m.start, m.head)
				}
			}
			took := time.Since(begun) // an INVITE is open for 64*T1, so slow callers get more
			if most := 20 + 10*int(took/(64*testT1)); taken < 10 || taken > most {
				t.Errorf("%d calls of 30 were taken within %s, want at most %d", taken, took, most)
			}
			s.idle(t)
		})
	}
}

// SEC-12: the rate of one source, and the memory for sources.
func TestSourceRates(t *testing.T) {
	t.Parallel()
	now := time.Unix(0, 0)
	s := newSources(Limits{Sources: 100}.withDefaults(), func() time.Time { return now })
	a := netip.MustParseAddr("203.0.113.1")
	passed := 0
	for range 100 {
		if s.allow(a, kindInvite) {
			passed++
		}
	}
	if passed != 50 {
		t.Errorf("%d INVITEs at once, want 50", passed)
	}
	for second := range 10 {
		now = now.Add(time.Second)
		passed = 0
		for range 100 {
			if s.allow(a, kindInvite) {
				passed++
			}
		}
		if passed != 20 {
			t.Errorf("%d INVITEs in second %d, want 20", passed, second)
		}
	}
	for i := range 1000 {
		b := netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})
		s.allow(b, kindOptions)
		s.mayLog(b)
	}
	if len(s.byIP) > 100 || s.lru.Len() > 100 {
		t.Errorf("%d sources in mind", len(s.byIP))
	}
	if _, ok := s.mayLog(a); !ok {
		t.Error("no line about a source that had none")
	}
	for range 5 {
		if _, ok := s.mayLog(a); ok {
			t.Error("a second line within 10 s")
		}
	}
	now = now.Add(logEvery)
	if muted, ok := s.mayLog(a); !ok || muted != 5 {
		t.Errorf("after 10 s: %v, %d muted", ok, muted)
	}
}
