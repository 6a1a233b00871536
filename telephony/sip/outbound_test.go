package sip

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/telephony/trunk"
)

// A call placed, over UDP and TCP, ended by either side.
func TestOutboundCall(t *testing.T) {
	t.Parallel()
	for _, network := range []string{"udp", "tcp"} {
		for _, remote := range []bool{true, false} {
			t.Run(network, func(t *testing.T) {
				t.Parallel()
				p, accept := gatewayPeer(t, network)
				s := newServer(t, answerAll, func(c *Config) { accept(c) })
				leg, err := s.Dial(t.Context(), telephony.Destination{
					To: "+4930987654", From: "+4930111111", FromName: `Ann "A" B`, Trunk: "gw",
					Headers: map[string]string{"X-Order": "4711"}, Codecs: []string{"PCMA"},
				})
				if err != nil {
					t.Fatal(err)
				}
				far := p()
				invite := far.request("INVITE")
				if !strings.HasPrefix(invite.start, "INVITE sip:+4930987654@127.0.0.1") ||
					!strings.HasPrefix(invite.get("From"), `"Ann \"A\" B" <sip:+4930111111@`) ||
					invite.get("X-Order") != "4711" || !strings.Contains(invite.body, "RTP/AVP 8 101") ||
					invite.get("Allow") != allow || invite.get("User-Agent") != "Patchcord" || invite.get("Max-Forwards") != "70" {
					t.Errorf("INVITE %q %v %q", invite.start, invite.head, invite.body)
				}
				far.reply(invite, 100, "Trying", "", "")
				far.reply(invite, 180, "Ringing", "far", "")
				await[telephony.Ringing](t, leg)
				far.reply(invite, 183, "Session Progress", "far", sdpOf("8 101"))
				await[telephony.EarlyMedia](t, leg)
				far.reply(invite, 200, "OK", "far", sdpOf("8 101"), "Contact: <sip:moved@"+far.addr()+";transport="+network+">")
				ack := far.request("ACK")
				if !strings.HasPrefix(ack.start, "ACK sip:moved@") || ack.seq() != invite.seq() || tagOf(ack.get("To")) != "far" {
					t.Errorf("ACK %q %v", ack.start, ack.head)
				}
				await[telephony.Answered](t, leg)
				if i := leg.Info(); i.Codec != "PCMA" || i.Format.Rate != 8000 || i.Direction != telephony.Outbound ||
					i.Transport != "sip/"+network || i.To != "+4930987654" || i.SIPCallID != invite.get("Call-Id") {
					t.Errorf("Info %+v", i)
				}
				// The ACK was lost: the 200 comes again and is acknowledged again.
				far.reply(invite, 200, "OK", "far", sdpOf("8 101"))
				far.request("ACK")
				if remote {
					d := &dialogue{
						peer: far, callID: invite.get("Call-Id"), tag: "far", toTag: tagOf(invite.get("From")), seq: 7,
						target: strings.Trim(invite.get("Contact"), "<>"),
					}
					d.bye()
				} else {
					_ = leg.Hangup(t.Context(), telephony.Cause{Reason: telephony.ReasonNormal})
					far.reply(far.request("BYE"), 200, "OK", "", "")
				}
				if c := await[telephony.Ended](t, leg).Cause; c.Reason != telephony.ReasonNormal || c.Remote != remote {
					t.Errorf("cause %v, remote %v", c, c.Remote)
				}
				if _, open := <-leg.Events(); open {
					t.Error("an event behind Ended")
				}
				s.idle(t)
			})
		}
	}
}

// gatewayPeer is a gateway over either transport. Over TCP it is there once
// the server has connected to it.
func gatewayPeer(t *testing.T, network string) (get func() *peer, config func(*Config)) {
	t.Helper()
	if network == "udp" {
		p := newUDPPeer(t, "")
		return func() *peer { return p }, trunkTo(p)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	get = func() *peer {
		c, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		return onConn(t, c)
	}
	return get, func(c *Config) {
		c.Trunks, _ = trunk.NewTable([]trunk.Config{{
			Name: "gw", Gateways: []string{"sip:" + ln.Addr().String() + ";transport=tcp"}, Allow: []string{"127.0.0.0/8"},
		}}, nil, "agent")
	}
}

func sdpOf(formats string) string { return strings.Replace(testSDP, "0 8 101", formats, 1) }

// What becomes of a call that is not answered.
func TestOutboundRefused(t *testing.T) {
	t.Parallel()
	tests := []struct {
		status int
		reason telephony.Reason
	}{
		{486, telephony.ReasonBusy},
		{600, telephony.ReasonBusy},
		{480, telephony.ReasonNoAnswer},
		{603, telephony.ReasonRejected},
		{404, telephony.ReasonBadNumber},
		{503, telephony.ReasonCongestion},
		{488, telephony.ReasonNoCodec},
		{302, telephony.ReasonFailed}, // not followed: SEC-6
	}
	for _, tt := range tests {
		t.Run(reasonPhrase(tt.status), func(t *testing.T) {
			t.Parallel()
			p := newUDPPeer(t, "")
			s := newServer(t, answerAll, trunkTo(p))
			leg := s.dial(t.Context(), t)
			p.reply(p.request("INVITE"), tt.status, "No", "far", "", "Contact: <sip:other@127.0.0.1:9>")
			ack := p.request("ACK")
			if tagOf(ack.get("To")) != "far" {
				t.Errorf("ACK To %q", ack.get("To"))
			}
			if c := await[telephony.Ended](t, leg).Cause; c.Reason != tt.reason || c.Status != tt.status || !c.Remote {
				t.Errorf("cause %v", c)
			}
			for _, m := range p.drain(2 * testT1) {
				t.Errorf("then %s", m.start)
			}
			s.idle(t)
		})
	}
}

// A gateway that refuses for a while, is not there or says nothing is passed
// over.
func TestOutboundFailover(t *testing.T) {
	t.Parallel()
	busy, dead, good := newUDPPeer(t, ""), newUDPPeer(t, ""), newUDPPeer(t, "")
	s := newServer(t, answerAll, trunkTo(busy, dead, good), func(c *Config) { c.Retry = 4 * testT1 })
	leg := s.dial(t.Context(), t)
	invite := busy.request("INVITE")
	busy.reply(invite, 503, "Later", "x", "")
	busy.request("ACK")
	late := dead.request("INVITE")
	last := good.request("INVITE")
	good.reply(last, 200, "OK", "far", testSDP)
	good.request("ACK")
	await[telephony.Answered](t, leg)
	// The silent one answers after all: nobody wants that call any more.
	dead.reply(late, 200, "OK", "late", testSDP)
	dead.request("ACK")
	bye := dead.request("BYE")
	if tagOf(bye.get("To")) != "late" {
		t.Errorf("BYE To %q", bye.get("To"))
	}
	dead.reply(bye, 200, "OK", "", "")
	_ = leg.Hangup(t.Context(), telephony.Cause{Reason: telephony.ReasonNormal})
	good.reply(good.request("BYE"), 200, "OK", "", "")
	s.idle(t)
}

// Several branches of a fork answer: the first is the call, the others end.
func TestForkedAnswers(t *testing.T) {
	t.Parallel()
	p := newUDPPeer(t, "")
	s := newServer(t, answerAll, trunkTo(p))
	leg := s.dial(t.Context(), t)
	invite := p.request("INVITE")
	for _, tag := range []string{"one", "two"} {
		p.reply(invite, 183, "Session Progress", tag, testSDP)
		await[telephony.EarlyMedia](t, leg)
	}
	p.reply(invite, 200, "OK", "two", testSDP)
	await[telephony.Answered](t, leg)
	if ack := p.request("ACK"); tagOf(ack.get("To")) != "two" {
		t.Errorf("ACK To %q", ack.get("To"))
	}
	for range 3 { // it comes again until the ACK reaches it
		p.reply(invite, 200, "OK", "one", testSDP)
	}
	acks, byes := 0, map[string]bool{}
	for acks < 3 || len(byes) == 0 {
		m := p.next("ACK or BYE", func(m *wire) bool { return m.method() != "" })
		if tagOf(m.get("To")) != "one" {
			t.Errorf("%s To %q", m.start, m.get("To"))
		}
		if m.method() == "ACK" {
			acks++
			continue
		}
		byes[m.get("Via")] = true
		p.reply(m, 200, "OK", "", "")
	}
	if len(byes) != 1 {
		t.Errorf("%d BYEs", len(byes))
	}
	_ = leg.Hangup(t.Context(), telephony.Cause{Reason: telephony.ReasonNormal})
	p.reply(p.request("BYE"), 200, "OK", "", "")
	s.idle(t)
	// And one whose branch answers when the call is long over.
	p.reply(invite, 200, "OK", "three", testSDP)
	p.request("ACK")
	p.request("BYE")
}

// The dialler gives up: by its context, by the time it allows, by Hangup,
// before and after the first response.
func TestOutboundAbandoned(t *testing.T) {
	t.Parallel()
	for _, heard := range []bool{false, true} {
		for _, how := range []string{"context", "timeout", "hangup"} {
			t.Run(how, func(t *testing.T) {
				t.Parallel()
				p := newUDPPeer(t, "")
				s := newServer(t, answerAll, trunkTo(p))
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				dest := telephony.Destination{To: "+4930987654", Trunk: "gw", RingTimeout: time.Minute}
				if how == "timeout" {
					dest.RingTimeout = 20 * testT1
				}
				leg, err := s.Dial(ctx, dest)
				if err != nil {
					t.Fatal(err)
				}
				invite := p.request("INVITE")
				if heard {
					p.reply(invite, 180, "Ringing", "far", "")
					await[telephony.Ringing](t, leg)
				}
				want := telephony.ReasonCancelled
				switch how {
				case "context":
					cancel()
				case "timeout":
					want = telephony.ReasonNoAnswer
				case "hangup":
					_ = leg.Hangup(t.Context(), telephony.Cause{Reason: telephony.ReasonCancelled})
				}
				if c := await[telephony.Ended](t, leg).Cause; c.Reason != want || c.Remote {
					t.Errorf("cause %v", c)
				}
				if !heard { // RFC 3261 section 9.1: only now
					for _, m := range p.drain(2 * testT1) {
						if m.method() == "CANCEL" {
							t.Error("CANCEL before any response")
						}
					}
					p.reply(invite, 180, "Ringing", "far", "")
				}
				c := p.request("CANCEL")
				p.reply(c, 200, "OK", "far", "")
				p.reply(invite, 487, "Request Terminated", "far", "")
				p.request("ACK")
				s.idle(t)
			})
		}
	}
	t.Run("nobody is there", func(t *testing.T) {
		t.Parallel()
		p := newUDPPeer(t, "")
		s := newServer(t, answerAll, trunkTo(p))
		leg := s.dial(t.Context(), t)
		if c := await[telephony.Ended](t, leg).Cause; c.Reason != telephony.ReasonCongestion {
			t.Errorf("cause %v", c)
		}
		s.idle(t)
	})
}

// An answer that cannot be used ends the call properly.
func TestOutboundUnusableAnswer(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{"none": "", "another codec": sdpOf("18"), "not SDP": "hello\r\n"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newUDPPeer(t, "")
			s := newServer(t, answerAll, trunkTo(p))
			leg := s.dial(t.Context(), t)
			invite := p.request("INVITE")
			p.reply(invite, 200, "OK", "far", body)
			p.request("ACK")
			p.reply(p.request("BYE"), 200, "OK", "", "")
			if c := await[telephony.Ended](t, leg).Cause; c.Reason != telephony.ReasonNoCodec {
				t.Errorf("cause %v", c)
			}
			s.idle(t)
		})
	}
}

// Nothing that a dialler passes can end a header field or begin another.
func TestDialRefusesInjection(t *testing.T) {
	t.Parallel()
	p := newUDPPeer(t, "")
	s := newServer(t, answerAll, trunkTo(p))
	for _, d := range []telephony.Destination{
		{To: "+49\r\nX: y"},
		{To: "sip:a@b\r\nRoute: <sip:evil>"},
		{To: "+49", From: "a\nb"},
		{To: "+49", FromName: "a\r\nb"},
		{To: "+49", From: "a>b"},
		{To: "sip:a@b>;x"},
		{To: `sip:"a"@b`},
		{To: "+49", FromName: "a\x00"},
		{To: ""},
		{To: "+49", Headers: map[string]string{"X-A": "b\r\nc: d"}},
		{To: "+49", Headers: map[string]string{"X-A:b\r\nC": "d"}},
		{To: "+49", Headers: map[string]string{"Route": "<sip:evil>"}},
		{To: "+49", Headers: map[string]string{"Authorization": "x"}},
		{To: strings.Repeat("1", 5000)},
		{To: "+49", Trunk: "none"},
		{To: "+49"},
		{To: "tel:+49"},
	} {
		if d.Trunk == "" && d.To != "+49" && !strings.HasPrefix(d.To, "sip") && d.To != "tel:+49" {
			d.Trunk = "gw"
		}
		if d.Headers != nil || d.From != "" || d.FromName != "" {
			d.Trunk = "gw"
		}
		if leg, err := s.Dial(t.Context(), d); err == nil {
			t.Errorf("%+v was dialled", d)
			_ = leg.Hangup(t.Context(), telephony.Cause{})
		}
	}
	for _, m := range p.drain(4 * testT1) {
		t.Errorf("sent %s", m.start)
	}
	s.idle(t)
}

// A gateway whose connection breaks before it says a word is done with: the next
// one may take its time, and no third is called beside it.
func TestBrokenGatewayIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	for _, third := range []bool{false, true} {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = ln.Close() })
		far, other := newUDPPeer(t, ""), newUDPPeer(t, "")
		c := trunk.Config{Name: "gw", Gateways: []string{
			"sip:" + ln.Addr().String() + ";transport=tcp", "sip:" + far.addr() + ";transport=udp",
		}, Allow: []string{"127.0.0.0/8"}}
		if third {
			c.Gateways = append(c.Gateways, "sip:"+other.addr()+";transport=udp")
		}
		s := newServer(t, answerAll, func(cfg *Config) {
			cfg.Retry = 40 * testT1 // so long it may take until the second rings
			cfg.Trunks, _ = trunk.NewTable([]trunk.Config{c}, nil, "agent")
		})
		leg := s.dial(t.Context(), t)
		conn, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		p := onConn(t, conn)
		p.request("INVITE")
		p.close()
		invite := far.request("INVITE")
		far.reply(invite, 180, "Ringing", "far", "")
		await[telephony.Ringing](t, leg)
		for _, m := range append(far.drain(48*testT1), other.drain(testT1)...) {
			if m.seq() != invite.seq() || m.method() != "INVITE" {
				t.Errorf("while it rings: %s", m.start)
			}
		}
		far.reply(invite, 200, "OK", "far", testSDP)
		far.request("ACK")
		await[telephony.Answered](t, leg)
		_ = leg.Hangup(t.Context(), telephony.Cause{Reason: telephony.ReasonNormal})
		far.reply(far.request("BYE"), 200, "OK", "", "")
	}
}

// SEC-12: whoever is called answers as often as it likes, under as many names, and
// has us send no more than any fork would.
func TestForksAreBounded(t *testing.T) {
	t.Parallel()
	p := newUDPPeer(t, "")
	s := newServer(t, answerAll, trunkTo(p))
	leg := s.dial(t.Context(), t)
	invite := p.request("INVITE")
	p.reply(invite, 200, "OK", "far", testSDP)
	p.request("ACK")
	await[telephony.Answered](t, leg)
	for i := range 3 * branchesMax {
		p.reply(invite, 200, "OK", fmt.Sprintf("fork-%d", i), testSDP)
	}
	byes := map[string]bool{}
	took := func(m *wire) {
		if m.method() == "BYE" {
			byes[tagOf(m.get("To"))] = true
			p.reply(m, 200, "OK", "", "")
		}
	}
	for len(byes) < branchesMax {
		took(p.request("BYE"))
	}
	for _, m := range p.drain(8 * testT1) {
		took(m)
	}
	if n := len(byes); n > branchesMax {
		t.Errorf("BYE to %d forks, want %d at most", n, branchesMax)
	}
	_ = leg.Hangup(t.Context(), telephony.Cause{Reason: telephony.ReasonNormal})
	p.reply(p.next("BYE to who answered", func(m *wire) bool { return m.method() == "BYE" && tagOf(m.get("To")) == "far" }), 200,
		"OK", "", "")
	s.idle(t)
}

// A 2xx that comes again has the very ACK again: for whoever counts messages that is
// a repeated one, and not a second. The ACK of the next INVITE is another.
func TestAckOfARepeatedAnswer(t *testing.T) {
	t.Parallel()
	p := newUDPPeer(t, "")
	s := newServer(t, answerAll, trunkTo(p))
	leg := s.dial(t.Context(), t)
	invite := p.request("INVITE")
	var acks []*wire
	for range 3 {
		p.reply(invite, 200, "OK", "far", testSDP)
		acks = append(acks, p.request("ACK"))
	}
	await[telephony.Answered](t, leg)
	held := make(chan error, 1)
	go func() { held <- leg.Hold(t.Context(), true) }()
	p.reply(p.request("INVITE"), 200, "OK", "far", testSDP)
	other := p.request("ACK")
	if err := <-held; err != nil {
		t.Error(err)
	}
	for _, ack := range acks[1:] {
		if ack.start != acks[0].start || fmt.Sprint(ack.head) != fmt.Sprint(acks[0].head) {
			t.Errorf("%s %v, the first was %s %v", ack.start, ack.head, acks[0].start, acks[0].head)
		}
	}
	if other.get("Via") == acks[0].get("Via") {
		t.Error("the ACK of another INVITE has the same branch")
	}
	_ = leg.Hangup(t.Context(), telephony.Cause{Reason: telephony.ReasonNormal})
	p.reply(p.request("BYE"), 200, "OK", "", "")
	s.idle(t)
}
