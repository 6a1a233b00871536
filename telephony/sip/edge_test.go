package sip

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/telephony/trunk"
)

// A connection that is cut in a call does not end it: the next request opens
// another to the peer's Contact.
func TestConnectionCut(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	legs := make(chan telephony.Leg, 1)
	s := newServer(t, handOver(legs))
	p := newTCPPeer(t, s.tcp)
	d := p.dialogue()
	d.extra = []string{"Contact: <sip:peer@" + ln.Addr().String() + ";transport=tcp>"}
	d.invite(testSDP)
	d.ok()
	d.ack("")
	leg := <-legs
	p.close()
	eventually(t, "the connection is gone", func() bool { return s.Stats().Connections == 0 })
	_ = leg.Hangup(t.Context(), telephony.Cause{Reason: telephony.ReasonNormal})
	c, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	again := onConn(t, c)
	again.reply(again.request("BYE"), 200, "OK", "", "")
	s.idle(t)
}

func TestIPv6(t *testing.T) {
	t.Parallel()
	c, err := net.ListenPacket("udp6", "[::1]:0")
	if err != nil {
		t.Skip("no IPv6 loopback")
	}
	legs := make(chan telephony.Leg, 1)
	s := newServer(t, handOver(legs), func(c *Config) {
		c.Listen = []string{"udp://[::1]:0"}
		c.Trunks, _ = trunk.NewTable([]trunk.Config{{Name: "local", Allow: []string{"::1"}}}, nil, "agent")
	})
	p := listenOn(t, c, s.udp)
	d := p.dialogue()
	d.invite(strings.ReplaceAll(testSDP, "IP4 127.0.0.1", "IP6 ::1"))
	if ok := d.ok(); !strings.Contains(ok.body, "IP6 ::1") || !strings.Contains(ok.get("Contact"), "@[::1]:") {
		t.Errorf("Contact %q, %q", ok.get("Contact"), ok.body)
	}
	d.ack("")
	_ = (<-legs).Hangup(t.Context(), telephony.Cause{Reason: telephony.ReasonNormal})
	bye := p.request("BYE")
	if !strings.Contains(bye.get("Via"), " [::1]:") || !strings.Contains(bye.start, "@[::1]:") {
		t.Errorf("%s Via %q", bye.start, bye.get("Via"))
	}
	p.reply(bye, 200, "OK", "", "")
	s.idle(t)
}

// heard counts frames.
type heard struct{ n chan struct{} }

func (h heard) Hear(audio.Frame) {
	select {
	case h.n <- struct{}{}:
	default:
	}
}

// What is connected before the call is answered is connected.
func TestConnectBeforeAnswer(t *testing.T) {
	t.Parallel()
	p := newUDPPeer(t, "")
	s := newServer(t, answerAll, trunkTo(p))
	leg := s.dial(t.Context(), t)
	sink := heard{make(chan struct{}, 1)}
	leg.Connect(sink, nil)
	invite := p.request("INVITE")
	p.reply(invite, 200, "OK", "far", testSDP)
	p.request("ACK")
	await[telephony.Answered](t, leg)
	select {
	case <-sink.n: // silence is heard as well: the leg is the call's clock
	case <-time.After(5 * time.Second):
		t.Error("nothing heard")
	}
	_ = leg.Hangup(t.Context(), telephony.Cause{Reason: telephony.ReasonNormal})
	p.reply(p.request("BYE"), 200, "OK", "", "")
	s.idle(t)
	leg.Connect(nil, nil)
	if st := leg.Stats(); st.PacketsSent == 0 {
		t.Errorf("no packet sent: %+v", st)
	}
}

// Methods of a leg that is over say so, and Hangup may be called again.
func TestEndedLeg(t *testing.T) {
	t.Parallel()
	legs := make(chan telephony.Leg, 1)
	s := newServer(t, handOver(legs))
	p := newUDPPeer(t, s.udp)
	d := p.call()
	leg := <-legs
	d.bye()
	s.idle(t)
	var hangup *telephony.HangupError
	for name, err := range map[string]error{
		"Answer": leg.Answer(t.Context()), "Hold": leg.Hold(t.Context(), true), "Progress": leg.Progress(t.Context(), true),
		"SendDigits": leg.SendDigits(t.Context(), "1", telephony.Tone{}),
		"Refer":      leg.Refer(t.Context(), telephony.ReferTo{Target: "sip:a@b"}),
	} {
		if !errors.As(err, &hangup) || !hangup.Cause.Remote {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := leg.Hangup(t.Context(), telephony.Cause{}); err != nil {
		t.Errorf("Hangup: %v", err)
	}
}

// A panic within the leg's own goroutine ends the call for both sides.
func TestLegPanic(t *testing.T) {
	t.Parallel()
	legs := make(chan telephony.Leg, 1)
	s := newServer(t, handOver(legs))
	p := newUDPPeer(t, s.udp)
	other := p.call()
	<-legs
	p.call()
	(<-legs).(*leg).post(func() { panic("leg") })
	p.reply(p.request("BYE"), 200, "OK", "", "")
	other.bye()
	s.idle(t)
}

// The handler that returns without an answer refuses the call.
func TestHandlerReturns(t *testing.T) {
	t.Parallel()
	for status, cause := range map[int]*telephony.Cause{
		480: nil, 486: {Reason: telephony.ReasonBusy}, 603: {Reason: telephony.ReasonRejected},
		404: {Reason: telephony.ReasonBadNumber}, 503: {Reason: telephony.ReasonOverload}, 410: {Status: 410},
	} {
		eachTransport(t, func(t *testing.T, s *server, p *peer) {
			d := p.dialogue()
			d.invite(testSDP)
			m := d.final("INVITE")
			if m.status() != status || (status == 503) != (m.get("Retry-After") != "") {
				t.Errorf("%s, want %d", m.start, status)
			}
			d.ackRefusal(m)
			s.idle(t)
		}, handler(func(ctx context.Context, leg telephony.Leg) {
			if cause != nil {
				_ = leg.Hangup(ctx, *cause)
			}
		}))
	}
}

// One key per window where it comes by two ways, every key where by one.
func TestDigitFilter(t *testing.T) {
	t.Parallel()
	var f digitFilter
	now := time.Unix(0, 0)
	digit := func(key byte, source string) telephony.Digit {
		return telephony.Digit{Key: key, Source: source, Duration: 100 * time.Millisecond}
	}
	steps := []struct {
		after  time.Duration
		key    byte
		source string
		fresh  bool
	}{
		{0, '1', "rfc4733", true},
		{50 * time.Millisecond, '1', "info", false},
		{10 * time.Millisecond, '1', "inband", false},
		{10 * time.Millisecond, '1', "rfc4733", true}, // the same way: pressed again
		{10 * time.Millisecond, '2', "info", true},
		{250 * time.Millisecond, '2', "rfc4733", true}, // too late to be the same
	}
	for i, s := range steps {
		now = now.Add(s.after)
		if got := f.fresh(digit(s.key, s.source), now); got != s.fresh {
			t.Errorf("step %d: %v", i, got)
		}
	}
}

// A peer behind NAT tells an address that nobody outside can reach.
func TestBehind(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		addr, source string
		want         bool
	}{
		{"192.168.1.5", "203.0.113.9", true},
		{"127.0.0.1", "203.0.113.9", true},
		{"127.0.0.1", "192.168.1.5", true},
		{"198.51.100.1", "203.0.113.9", false},
		{"192.168.1.6", "192.168.1.5", false},
		{"203.0.113.9", "203.0.113.9", false},
		{"127.0.0.1", "127.0.0.2", false},
	} {
		if got := behind(netip.MustParseAddr(tt.addr), netip.MustParseAddr(tt.source)); got != tt.want {
			t.Errorf("%s told from %s: %v", tt.addr, tt.source, got)
		}
	}
}

func TestNewRefusesBadConfig(t *testing.T) {
	t.Parallel()
	good := newServer(t, answerAll).cfg
	for want, spoil := range map[string]func(*Config){
		"Media": func(c *Config) { c.Media = nil }, "Listen": func(c *Config) { c.Listen = nil },
		"ws://": func(c *Config) { c.Listen = []string{"ws://0.0.0.0:5061"} }, "no port": func(c *Config) { c.Listen = []string{"udp://1.2.3.4"} },
		"public IP": func(c *Config) { c.PublicIP = "example.com" }, "line break": func(c *Config) { c.Name = "a\r\nb" },
	} {
		c := good
		spoil(&c)
		if _, err := New(c); err == nil || (want != "no port" && !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v", want, err)
		}
	}
	c := good
	c.Listen = []string{good.Listen[0], "udp://203.0.113.77:5060"} // not ours
	u, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := u.Serve(t.Context()); err == nil || !strings.Contains(err.Error(), "203.0.113.77") {
		t.Errorf("Serve: %v", err)
	}
}

// BenchmarkStranger is what a message of an unknown source costs.
func BenchmarkStranger(b *testing.B) {
	s := newServer(b, answerAll, strangersOnly)
	data := benchInvite()
	from := netip.MustParseAddrPort("198.51.100.1:5060")
	b.ReportAllocs()
	for b.Loop() {
		s.ingress(data, from, from, "UDP", false, func(via, []byte) {})
	}
}

// BenchmarkIngress is what the checks of a good message cost: here of a
// retransmitted INVITE, which makes no call.
func BenchmarkIngress(b *testing.B) {
	s := newServer(b, answerAll)
	data := benchInvite()
	from := netip.MustParseAddrPort("127.0.0.1:5099")
	b.ReportAllocs()
	for b.Loop() {
		s.ingress(data, from, from, "UDP", false, func(via, []byte) {})
	}
}

func benchInvite() []byte {
	return []byte("INVITE sip:+4930123456@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKbench;rport\r\n" +
		"Max-Forwards: 70\r\nFrom: \"Ann\" <sip:+4915112345678@192.0.2.9>;tag=1\r\nTo: <sip:+4930123456@192.0.2.1>\r\n" +
		"Call-ID: bench@192.0.2.9\r\nCSeq: 1 INVITE\r\nContact: <sip:ann@192.0.2.9>\r\nAllow: INVITE, ACK, BYE\r\n" +
		"User-Agent: phone\r\nContent-Type: application/sdp\r\nContent-Length: 0\r\n\r\n")
}

// SEC-12: a peer that floods a call loses messages of its own and no more: what we
// decide is done, a hangup before all.
func TestSwampedCallCanBeEnded(t *testing.T) {
	t.Parallel()
	legs := make(chan telephony.Leg, 2)
	eachTransport(t, func(t *testing.T, s *server, p *peer) {
		d := p.call()
		g := (<-legs).(*leg)
		begun, goOn := make(chan struct{}), make(chan struct{})
		g.post(func() { close(begun); <-goOn }) // as it waits for a connection that the peer's Contact asks for
		<-begun
		waiting := func() int {
			g.mu.Lock()
			defer g.mu.Unlock()
			return len(g.mail)
		}
		for range mailMax + 50 {
			d.ack("")
		}
		eventually(t, "swamped", func() bool {
			d.ack("")
			return waiting() >= mailMax
		})
		for range 50 {
			d.ack("")
		}
		ended := g.post(func() { g.hangup(telephony.Cause{Reason: telephony.ReasonNormal}) })
		if n := waiting(); !ended || n > mailMax+20 { // some of ours
			t.Errorf("hung up: %v; %d functions wait", ended, n)
		}
		close(goOn)
		p.reply(p.request("BYE"), 200, "OK", "", "")
		s.idle(t)
	}, handOver(legs))
}

// A connection that took only a part of a message is none any more: what came
// next would be read as the rest of it.
func TestConnectionThatTookPartOfAMessageIsClosed(t *testing.T) {
	t.Parallel()
	s := newServer(t, answerAll, func(c *Config) { c.Limits.Write = 50 * time.Millisecond })
	ours, theirs := net.Pipe()
	c := s.take(ours, "TCP", true, nil)
	if c == nil {
		t.Fatal("the connection was not taken")
	}
	go func() { _, _ = io.ReadFull(theirs, make([]byte, 10)) }() // and no more
	n, err := c.Write([]byte("OPTIONS sip:peer@127.0.0.1 SIP/2.0\r\n\r\n"))
	if n != 10 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("wrote %d bytes, %v; want 10 and no time left", n, err)
	}
	select {
	case <-c.over.Done():
	default:
		t.Fatal("the connection stands")
	}
	if why := context.Cause(c.over); !errors.Is(why, os.ErrDeadlineExceeded) {
		t.Errorf("it ended with %v", why)
	}
	if s.connection("TCP", c.from) != nil {
		t.Error("it would be used again")
	}
	if n, err := theirs.Read(make([]byte, 100)); n > 0 || !errors.Is(err, io.EOF) {
		t.Errorf("the peer read %d bytes more, %v", n, err)
	}
}
