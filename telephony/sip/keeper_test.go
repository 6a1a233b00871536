package sip

import (
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/telephony/trunk"
)

// probing asks every 30 s of the test's time, and waits long enough for an answer
// that no machine is too busy to give one.
func probing(c *Config) { c.Probe, c.second, c.Retry = 30*time.Second, 2*time.Millisecond, 40*testT1 }

// serves lets a peer answer OPTIONS, with the status it is told, until the
// test ends; other requests come out of it.
func (p *peer) serves(status func() int) <-chan *wire {
	out := make(chan *wire, 100)
	stop := make(chan struct{})
	p.wg.Go(func() {
		for {
			select {
			case m := <-p.in:
				if m.method() != "OPTIONS" {
					out <- m
					continue
				}
				if code := status(); code != 0 {
					p.reply(m, code, "Whatever", "opt", "")
				}
			case <-stop:
				return
			}
		}
	})
	p.t.Cleanup(func() { close(stop) })
	return out
}

// inviteOf is the next INVITE that is no repetition.
func inviteOf(in <-chan *wire, known map[string]bool) *wire {
	for m := range in {
		if id := m.get("Call-Id"); m.method() == "INVITE" && !known[id] {
			known[id] = true
			return m
		}
	}
	return nil
}

func (s *server) up(i int) bool {
	places := s.TrunkStatus("gw").Places
	return len(places) > i && places[i].Up
}

// Two OPTIONS that are lost make a gateway down, and calls go to the next one at
// once; two that are answered, whatever the answer, bring it up again.
func TestProbe(t *testing.T) {
	t.Parallel()
	one, two := newUDPPeer(t, ""), newUDPPeer(t, "")
	status := make(chan int, 1)
	status <- 404 // it takes calls all the same
	current := func() int { code := <-status; status <- code; return code }
	set := func(code int) { <-status; status <- code }
	first := one.serves(current)
	second := two.serves(func() int { return 200 })
	s := newServer(t, answerAll, trunkTo(one, two), probing)
	eventually(t, "both have answered", func() bool {
		st := s.TrunkStatus("gw").Places
		return len(st) == 2 && !st[0].Answered.IsZero() && !st[1].Answered.IsZero() && st[0].RoundTrip > 0
	})
	known := map[string]bool{}
	for _, code := range []int{0, 503} {
		set(code)
		eventually(t, "the first is down", func() bool { return !s.up(0) })
		if st := s.TrunkStatus("gw"); !st.Places[1].Up || st.Places[0].Error == "" || st.Error == "" {
			t.Errorf("%+v", st)
		}
		leg := s.dial(t.Context(), t)
		two.reply(inviteOf(second, known), 486, "Busy Here", "far", "")
		await[telephony.Ended](t, leg)
		set(404)
		eventually(t, "the first is up again", func() bool { return s.up(0) })
	}
	select {
	case m := <-first:
		t.Errorf("a gateway that was down got %s", m.start)
	default:
	}
	leg := s.dial(t.Context(), t)
	one.reply(inviteOf(first, known), 486, "Busy Here", "far", "")
	await[telephony.Ended](t, leg)
	s.idle(t)
}

// A gateway that nobody asks may be silent.
func TestProbeOff(t *testing.T) {
	t.Parallel()
	p := newUDPPeer(t, "")
	s := newServer(t, answerAll, trunkToWith(trunk.Config{Probe: "off"}, p), probing)
	for _, m := range p.drain(100 * time.Millisecond) {
		t.Errorf("%s", m.start)
	}
	if st := s.TrunkStatus("gw"); len(st.Places) != 1 || !st.Places[0].Up || st.Registration != nil {
		t.Errorf("%+v", st)
	}
}

// Over TCP the connection is kept: OPTIONS and CRLF between them.
func TestProbeOverTCP(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	s := newServer(t, answerAll, probing, func(c *Config) {
		c.Trunks, _ = trunk.NewTable([]trunk.Config{{
			Name: "gw", Gateways: []string{"sip:" + ln.Addr().String() + ";transport=tcp"},
		}}, nil, "agent")
	})
	conn, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	var seen strings.Builder
	buf := make([]byte, 4096)
	for !strings.Contains(seen.String(), "\r\n\r\n\r\n\r\n") { // the end of OPTIONS, then the ping
		n, err := conn.Read(buf)
		if err != nil {
			t.Fatalf("%v behind %q", err, seen.String())
		}
		seen.Write(buf[:n])
	}
	if !strings.HasPrefix(seen.String(), "OPTIONS sip:") {
		t.Errorf("%q", seen.String())
	}
	_ = ln.Close()
	_ = conn.Close()
	eventually(t, "the gateway is down", func() bool { return len(s.TrunkStatus("gw").Places) == 1 && !s.up(0) })
}

// All that a trunk sends goes to its proxy first, addressed to the gateway.
func TestOutboundProxy(t *testing.T) {
	t.Parallel()
	p := newUDPPeer(t, "")
	s := newServer(t, answerAll, quick, func(c *Config) {
		c.Trunks, _ = trunk.NewTable([]trunk.Config{{
			Name: "gw", Gateways: []string{"sip:far.example:5070"}, OutboundProxy: "sip:" + p.addr(), Register: true, Username: "ann",
		}}, nil, "agent")
	})
	route := "<sip:" + p.addr() + ";lr>"
	m := p.request("REGISTER")
	if m.start != "REGISTER sip:far.example:5070 SIP/2.0" || m.get("Route") != route || m.get("To") != "<sip:ann@far.example>" {
		t.Errorf("%s %v", m.start, m.head)
	}
	p.grant(m, 600)
	leg := s.dial(t.Context(), t)
	invite := p.request("INVITE")
	if invite.start != "INVITE sip:+4930987654@far.example:5070 SIP/2.0" || invite.get("Route") != route {
		t.Errorf("%s %v", invite.start, invite.head)
	}
	p.reply(invite, 180, "Ringing", "far", "")
	await[telephony.Ringing](t, leg)
	_ = leg.Hangup(t.Context(), telephony.Cause{Reason: telephony.ReasonCancelled})
	c := p.request("CANCEL")
	if c.get("Route") != route {
		t.Errorf("CANCEL %v", c.head)
	}
	p.reply(c, 200, "OK", "far", "")
	p.reply(invite, 487, "Request Terminated", "far", "")
	p.request("ACK")
	s.stopWhile(p)
}

// A name with SRV records is a gateway for each: the next one is called where
// one says nothing.
func TestGatewayByName(t *testing.T) {
	t.Parallel()
	dead, good := newUDPPeer(t, ""), newUDPPeer(t, "")
	srv := func(priority string, p *peer) string {
		_, port, _ := net.SplitHostPort(p.addr())
		return "_sip._udp.carrier.example. 60 IN SRV " + priority + " 1 " + port + " host.example."
	}
	names := nameServer(t, srv("10", dead), srv("20", good), "host.example. 60 IN A 127.0.0.1")
	s := newServer(t, answerAll, func(c *Config) {
		c.names, c.Retry = []string{names}, 4*testT1
		c.Trunks, _ = trunk.NewTable([]trunk.Config{{Name: "gw", Gateways: []string{"sip:carrier.example"}}}, nil, "agent")
	})
	leg := s.dial(t.Context(), t)
	dead.request("INVITE")
	invite := good.request("INVITE")
	if !strings.HasPrefix(invite.start, "INVITE sip:+4930987654@carrier.example SIP/2.0") {
		t.Errorf("%s", invite.start)
	}
	// A telephone rang: its refusal is the end.
	good.reply(invite, 180, "Ringing", "far", "")
	await[telephony.Ringing](t, leg)
	good.reply(invite, 486, "Busy Here", "far", "")
	if c := await[telephony.Ended](t, leg).Cause; c.Reason != telephony.ReasonBusy {
		t.Errorf("%v", c)
	}
	leg, err := s.Dial(t.Context(), telephony.Destination{To: "sip:bob@nobody.example"})
	if err != nil {
		t.Fatal(err)
	}
	if c := await[telephony.Ended](t, leg).Cause; c.Reason != telephony.ReasonCongestion || !strings.Contains(c.Text, "nobody.example") {
		t.Errorf("%v", c)
	}
	s.idle(t)
}

// 503 of a gateway behind which a telephone rang already does not make another
// one ring.
func TestNoFailoverAfterRinging(t *testing.T) {
	t.Parallel()
	one, two := newUDPPeer(t, ""), newUDPPeer(t, "")
	s := newServer(t, answerAll, trunkTo(one, two))
	leg := s.dial(t.Context(), t)
	invite := one.request("INVITE")
	one.reply(invite, 180, "Ringing", "far", "")
	await[telephony.Ringing](t, leg)
	one.reply(invite, 503, "Service Unavailable", "far", "")
	if c := await[telephony.Ended](t, leg).Cause; c.Status != 503 {
		t.Errorf("%v", c)
	}
	one.request("ACK")
	for _, m := range two.drain(2 * testT1) {
		t.Errorf("%s", m.start)
	}
	s.idle(t)
}

// max_calls counts both directions; who is refused is told to come again.
func TestMaxCalls(t *testing.T) {
	t.Parallel()
	gw := newUDPPeer(t, "")
	s := newServer(t, answerAll, trunkToWith(trunk.Config{MaxCalls: 2}, gw))
	p := newUDPPeer(t, s.udp)
	up := p.call()
	leg := s.dial(t.Context(), t)
	invite := gw.request("INVITE")
	d := p.dialogue()
	d.invite(testSDP)
	m := d.response("INVITE", 503)
	if m.get("Retry-After") == "" {
		t.Errorf("%v", m.head)
	}
	var full *telephony.FullError
	if _, err := s.Dial(t.Context(), telephony.Destination{To: "+4930987654", Trunk: "gw"}); !errors.As(err, &full) {
		t.Errorf("a third call: %v", err)
	}
	if l := s.TrunkStatus("gw").Load; l.In != 1 || l.Out != 1 || l.FullIn != 1 || l.FullOut != 1 {
		t.Errorf("%+v", l)
	}
	gw.reply(invite, 486, "Busy Here", "far", "")
	await[telephony.Ended](t, leg)
	p.call().bye()
	up.bye()
	s.idle(t)
	if l := s.TrunkStatus("gw").Load; l.In != 0 || l.Out != 0 {
		t.Errorf("%+v", l)
	}
}

// Calls that are too many for a second leave one after the other.
func TestMaxCPS(t *testing.T) {
	t.Parallel()
	gw := newUDPPeer(t, "")
	s := newServer(t, answerAll, trunkToWith(trunk.Config{MaxCPS: 20}, gw))
	begun := time.Now()
	for range 4 {
		leg := s.dial(t.Context(), t)
		defer func() { _ = leg.Hangup(t.Context(), telephony.Cause{Reason: telephony.ReasonCancelled}) }()
	}
	seen := map[string]bool{}
	for range 4 {
		invite := gw.next("INVITE", func(m *wire) bool { return m.method() == "INVITE" && !seen[m.get("Call-Id")] })
		seen[invite.get("Call-Id")] = true
		gw.reply(invite, 486, "Busy Here", "far", "")
	}
	if took := time.Since(begun); took < 150*time.Millisecond {
		t.Errorf("four calls within %s, one each 50 ms is allowed", took)
	}
}
