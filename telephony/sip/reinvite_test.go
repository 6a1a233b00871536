package sip

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/patchcord/patchcord/telephony"
)

// handOver gives the test each leg that the handler has answered.
func handOver(out chan telephony.Leg) telephony.Handler {
	return handler(func(ctx context.Context, leg telephony.Leg) {
		if leg.Answer(ctx) == nil {
			out <- leg
			<-ctx.Done()
		}
	})
}

// Hold in every form, and its end.
func TestHoldForms(t *testing.T) {
	t.Parallel()
	forms := []struct {
		name, from, to string
		answer         string
		held           bool
	}{
		{"sendonly", "a=sendrecv", "a=sendonly", "a=recvonly", false},
		{"recvonly", "a=sendrecv", "a=recvonly", "a=sendonly", false},
		{"inactive", "a=sendrecv", "a=inactive", "a=inactive", true},
		{"c=0.0.0.0", "c=IN IP4 127.0.0.1", "c=IN IP4 0.0.0.0", "", true},
	}
	for _, f := range forms {
		legs := make(chan telephony.Leg, 2)
		eachTransport(t, func(t *testing.T, s *server, p *peer) {
			d := p.call()
			leg := <-legs
			d.invite(strings.Replace(testSDP, f.from, f.to, 1))
			ok := d.ok()
			d.ack("")
			if f.answer != "" && !strings.Contains(ok.body, f.answer+"\r\n") {
				t.Errorf("%s answered by %q", f.name, ok.body)
			}
			if strings.Contains(ok.body, "a=sendrecv") {
				t.Errorf("%s answered sendrecv", f.name)
			}
			onHold := f.name != "recvonly" // they go on receiving
			if onHold {
				await[telephony.Held](t, leg)
			}
			d.invite(testSDP)
			if back := d.ok(); !strings.Contains(back.body, "a=sendrecv") {
				t.Errorf("unhold answered by %q", back.body)
			}
			d.ack("")
			if onHold {
				await[telephony.Resumed](t, leg)
			}
			d.bye()
			s.idle(t)
		}, handOver(legs))
	}
}

// The peer moves: another address, another codec, another Contact.
func TestReinviteChanges(t *testing.T) {
	t.Parallel()
	legs := make(chan telephony.Leg, 2)
	eachTransport(t, func(t *testing.T, s *server, p *peer) {
		d := p.call()
		leg := <-legs
		moved := strings.Replace(strings.Replace(testSDP, "0 8 101", "8 101", 1), "40000", "41000", 1)
		if p.udp != nil {
			d.extra = []string{"Contact: <sip:elsewhere@" + p.addr() + ";x=1>"}
		}
		d.invite(moved)
		ok := d.ok()
		d.ack("")
		if !strings.Contains(ok.body, "RTP/AVP 8 101") {
			t.Errorf("answer %q", ok.body)
		}
		if c := await[telephony.FormatChanged](t, leg).Codec; c != "PCMA" {
			t.Errorf("codec %s", c)
		}
		if i := leg.Info(); i.Codec != "PCMA" || i.Format.Rate != 8000 {
			t.Errorf("Info %+v", i)
		}
		_ = leg.Hangup(t.Context(), telephony.Cause{Reason: telephony.ReasonNormal})
		bye := p.request("BYE")
		if p.udp != nil && !strings.Contains(bye.start, "sip:elsewhere@") {
			t.Errorf("the target was not refreshed: %s", bye.start)
		}
		p.reply(bye, 200, "OK", "", "")
		s.idle(t)
	}, handOver(legs))
}

// An INVITE without an offer, at the beginning and within the call: ours goes
// out in the 200, the answer comes in the ACK.
func TestLateOffer(t *testing.T) {
	t.Parallel()
	legs := make(chan telephony.Leg, 2)
	eachTransport(t, func(t *testing.T, s *server, p *peer) {
		d := p.dialogue()
		d.invite("")
		ok := d.ok()
		if !strings.Contains(ok.body, "m=audio") {
			t.Fatalf("no offer: %q", ok.body)
		}
		d.ack(sdpOf("8 101"))
		leg := <-legs
		if i := leg.Info(); i.Codec != "PCMA" {
			t.Errorf("Info %+v", i)
		}
		d.invite("")
		again := d.ok()
		if !strings.Contains(again.body, "m=audio") {
			t.Fatalf("no offer: %q", again.body)
		}
		d.ack(sdpOf("0 101"))
		if c := await[telephony.FormatChanged](t, leg).Codec; c != "PCMU" {
			t.Errorf("codec %s", c)
		}
		d.bye()

		d = p.dialogue() // the ACK brings nothing
		d.invite("")
		d.ok()
		d.ack("")
		bye := p.request("BYE")
		p.reply(bye, 200, "OK", "", "")
		s.idle(t)
	}, handOver(legs))
}

// A re-INVITE that cannot be taken changes nothing.
func TestReinviteRefused(t *testing.T) {
	t.Parallel()
	legs := make(chan telephony.Leg, 2)
	eachTransport(t, func(t *testing.T, s *server, p *peer) {
		d := p.call()
		<-legs
		d.invite(sdpOf("18"))
		m := d.final("INVITE")
		if m.status() != 488 || !strings.HasPrefix(m.get("Warning"), "305 ") {
			t.Errorf("%s Warning %q", m.start, m.get("Warning"))
		}
		d.ackRefusal(m)
		d.do("UPDATE", "")
		d.response("UPDATE", 200)
		d.do("UPDATE", strings.Replace(testSDP, "a=sendrecv", "a=inactive", 1), "Content-Type: application/sdp")
		if m := d.response("UPDATE", 200); !strings.Contains(m.body, "a=inactive") {
			t.Errorf("UPDATE answered by %q", m.body)
		}
		d.do("PRACK", "")
		if m := d.final("PRACK"); m.status() != 481 {
			t.Error(m.start)
		}
		d.do("REFER", "", "Refer-To: <sip:evil@192.0.2.1>") // SEC-6
		if m := d.final("REFER"); m.status() != 405 || strings.Contains(m.get("Allow"), "REFER") {
			t.Errorf("%s Allow %q", m.start, m.get("Allow"))
		}
		d.seq -= 3 // too old
		d.do("INFO", "")
		if m := d.final("INFO"); m.status() != 500 {
			t.Error(m.start)
		}
		d.seq += 5
		d.bye()
		s.idle(t)
	}, handOver(legs))
}

// Our own hold, and glare in both directions.
func TestHoldOfOurs(t *testing.T) {
	t.Parallel()
	legs := make(chan telephony.Leg, 2)
	eachTransport(t, func(t *testing.T, s *server, p *peer) {
		d := p.call()
		leg := <-legs
		held := make(chan error, 1)
		go func() { held <- leg.Hold(t.Context(), true) }()
		ours := p.request("INVITE")
		if !strings.Contains(ours.body, "a=sendonly") {
			t.Errorf("offer %q", ours.body)
		}
		// The peer offers at the same time: both are refused, ours comes again.
		d.invite(testSDP)
		m := d.final("INVITE")
		if m.status() != 491 {
			t.Errorf("glare: %s", m.start)
		}
		d.ackRefusal(m)
		p.reply(ours, 491, "Request Pending", "", "")
		p.request("ACK")
		again := p.request("INVITE")
		if again.seq() <= ours.seq() || !strings.Contains(again.body, "a=sendonly") {
			t.Errorf("again: %v %q", again.head, again.body)
		}
		p.reply(again, 200, "OK", "", strings.Replace(testSDP, "a=sendrecv", "a=recvonly", 1))
		if ack := p.request("ACK"); ack.seq() != again.seq() {
			t.Errorf("ACK CSeq %q", ack.get("Cseq"))
		}
		if err := <-held; err != nil {
			t.Errorf("Hold: %v", err)
		}
		go func() { held <- leg.Hold(t.Context(), false) }()
		back := p.request("INVITE")
		if !strings.Contains(back.body, "a=sendrecv") {
			t.Errorf("offer %q", back.body)
		}
		p.reply(back, 488, "Not Acceptable Here", "", "")
		p.request("ACK")
		if err := <-held; err == nil {
			t.Error("Hold: no error behind a 488")
		}
		d.bye() // the call is still up
		s.idle(t)
	}, handOver(legs))
}

// Keys by INFO, in both forms, and once only when they come by RTP as well.
func TestInfoDigits(t *testing.T) {
	t.Parallel()
	legs := make(chan telephony.Leg, 2)
	eachTransport(t, func(t *testing.T, s *server, p *peer) {
		d := p.call()
		leg := <-legs
		for _, b := range []struct {
			kind, body string
			key        byte
			ms         int64
		}{
			{"application/dtmf-relay", "Signal=5\r\nDuration=160\r\n", '5', 160},
			{"application/dtmf-relay", "Signal= *\nDuration= 80\n", '*', 80},
			{"application/dtmf-relay;x=y", "Signal=11\r\n", '#', 100},
			{"Application/DTMF", "7", '7', 100},
			{"application/dtmf", " a\r\n", 'A', 100},
		} {
			d.do("INFO", b.body, "Content-Type: "+b.kind)
			d.response("INFO", 200)
			if e := await[telephony.Digit](t, leg); e.Key != b.key || e.Duration.Milliseconds() != b.ms || e.Source != "info" {
				t.Errorf("%q: %+v", b.body, e)
			}
		}
		for _, body := range []string{"Signal=X\r\n", "Duration=160\r\n", "hello"} {
			d.do("INFO", body, "Content-Type: application/dtmf-relay")
			if m := d.final("INFO"); m.status() != 415 || m.get("Accept") == "" {
				t.Errorf("%q: %s", body, m.start)
			}
		}
		d.do("INFO", "")
		d.response("INFO", 200)
		d.bye()
		s.idle(t)
	}, handOver(legs))
}

// A transfer by REFER: its progress, its success, its failure, its refusal.
func TestRefer(t *testing.T) {
	t.Parallel()
	legs := make(chan telephony.Leg, 8)
	eachTransport(t, func(t *testing.T, s *server, p *peer) {
		begin := func(extra ...string) (*dialogue, telephony.Leg, *wire, chan error) {
			d := p.dialogue()
			d.extra = extra
			d.invite(testSDP)
			d.ok()
			d.ack("")
			leg := <-legs
			done := make(chan error, 1)
			go func() {
				done <- leg.Refer(t.Context(), telephony.ReferTo{Target: "+4930555555", ReferredBy: "sip:agent@example.com"})
			}()
			if len(extra) > 0 {
				return d, leg, nil, done
			}
			return d, leg, p.request("REFER"), done
		}
		notify := func(d *dialogue, state, frag string) {
			t.Helper()
			d.do("NOTIFY", frag, "Event: refer", "Subscription-State: "+state, "Content-Type: message/sipfrag")
			d.response("NOTIFY", 200)
		}

		d, leg, refer, done := begin()
		if !strings.Contains(refer.get("Refer-To"), "sip:+4930555555@") || refer.get("Referred-By") != "<sip:agent@example.com>" {
			t.Errorf("REFER %v", refer.head)
		}
		p.reply(refer, 202, "Accepted", "", "")
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		notify(d, "active", "SIP/2.0 100 Trying\r\n")
		notify(d, "active", "SIP/2.0 180 Ringing\r\n")
		await[telephony.ReferProgress](t, leg)
		if e := await[telephony.ReferProgress](t, leg); e.Status != 180 || e.Final {
			t.Errorf("%+v", e)
		}
		notify(d, "terminated;reason=noresource", "SIP/2.0 200 OK\r\n")
		if e := await[telephony.ReferProgress](t, leg); e.Status != 200 || !e.Final {
			t.Errorf("%+v", e)
		}
		p.reply(p.request("BYE"), 200, "OK", "", "") // at once: section 4.1
		if c := await[telephony.Ended](t, leg).Cause; c.Reason != telephony.ReasonTransferred {
			t.Errorf("cause %v", c)
		}

		// Its 202 is lost: what it tells of the transfer says as much.
		d, leg, _, _ = begin()
		notify(d, "active", "SIP/2.0 100 Trying\r\n")
		p.drain(80 * testT1)
		notify(d, "terminated", "SIP/2.0 200 OK\r\n")
		await[telephony.ReferProgress](t, leg)
		if e := await[telephony.ReferProgress](t, leg); e.Status != 200 || !e.Final {
			t.Errorf("without a 202: %+v", e)
		}
		p.reply(p.request("BYE"), 200, "OK", "", "")

		d, leg, refer, done = begin()
		p.reply(refer, 202, "Accepted", "", "")
		<-done
		notify(d, "terminated", "SIP/2.0 486 Busy Here\r\n")
		if e := await[telephony.ReferProgress](t, leg); e.Status != 486 || !e.Final {
			t.Errorf("%+v", e)
		}
		d.bye() // the call went on

		d, leg, refer, done = begin()
		p.reply(refer, 202, "Accepted", "", "")
		<-done
		d.bye() // the peer's way of saying yes
		if e := await[telephony.ReferProgress](t, leg); e.Status != 200 || !e.Final {
			t.Errorf("%+v", e)
		}
		if c := await[telephony.Ended](t, leg).Cause; c.Reason != telephony.ReasonTransferred {
			t.Errorf("cause %v", c)
		}

		d, _, refer, done = begin()
		p.reply(refer, 603, "Decline", "", "")
		if err := <-done; err == nil || !strings.Contains(err.Error(), "603") {
			t.Errorf("Refer: %v", err)
		}
		d.bye()

		d, _, _, done = begin("Allow: INVITE, ACK, BYE")
		if err := <-done; err == nil {
			t.Error("a peer without REFER was asked")
		}
		d.bye()
		s.idle(t)
	}, handOver(legs))
}

// An INVITE whose offer we cannot take is refused before anybody is bothered.
func TestOfferRefused(t *testing.T) {
	t.Parallel()
	eachTransport(t, func(t *testing.T, s *server, p *peer) {
		for body, want := range map[string]string{
			sdpOf("18"): "305", strings.Replace(testSDP, "m=audio", "m=video", 1): "304", "v=0\r\nnonsense\r\n": "30",
		} {
			d := p.dialogue()
			d.invite(body)
			m := d.final("INVITE")
			if m.status() != 488 || !strings.HasPrefix(m.get("Warning"), want) {
				t.Errorf("%q: %s Warning %q, want %s", body, m.start, m.get("Warning"), want)
			}
			d.ackRefusal(m)
		}
		s.idle(t)
	}, handler(func(context.Context, telephony.Leg) { t.Error(fmt.Errorf("the handler was started")) }))
}

// What waits for its turn when the call ends is answered all the same: its
// transaction would stay for ever.
func TestWhatWaitsIsAnsweredAtTheEnd(t *testing.T) {
	t.Parallel()
	legs := make(chan telephony.Leg, 4) // two calls per transport
	eachTransport(t, func(t *testing.T, s *server, p *peer) {
		// A re-INVITE that waits for the ACK of the INVITE before it.
		d := p.dialogue()
		d.invite(testSDP)
		d.ok()
		d.invite(testSDP)
		d.bye()
		m := d.final("INVITE")
		if m.status() != 487 {
			t.Errorf("the re-INVITE is answered %s", m.start)
		}
		d.ackRefusal(m)
		<-legs
		// A request behind one that the transactions took for a repetition.
		d = p.call()
		leg := <-legs
		branch := freshBranch()
		d.seq++
		d.send("", d.lines("INFO", d.seq, branch)...)
		d.response("INFO", 200)
		d.seq++
		d.send("", d.lines("INFO", d.seq, branch)...)
		d.do("INFO", "")
		seq := d.seq
		_ = leg.Hangup(t.Context(), telephony.Cause{Reason: telephony.ReasonNormal})
		for answered, ended := false, false; !answered || !ended; {
			m := d.next("BYE, and the answer to the last INFO", func(m *wire) bool {
				return m.method() == "BYE" || m.status() >= 200 && m.seq() == seq && m.of() == "INFO"
			})
			if m.method() == "BYE" {
				p.reply(m, 200, "OK", "", "")
			}
			ended, answered = ended || m.method() == "BYE", answered || m.of() == "INFO" && m.status() != 0
		}
		s.idle(t)
	}, handler(func(ctx context.Context, leg telephony.Leg) {
		legs <- leg
		answerAll(ctx, leg)
	}))
}

// A trunk that asks for the password before it transfers tells of the REFER that
// had it: by that one's CSeq.
func TestReferBehindAChallenge(t *testing.T) {
	t.Parallel()
	p := newUDPPeer(t, "")
	s := newServer(t, answerAll, trunkTo(p))
	leg := s.dial(t.Context(), t)
	invite := p.request("INVITE")
	p.reply(invite, 200, "OK", "far", testSDP)
	p.request("ACK")
	await[telephony.Answered](t, leg)
	done := make(chan error, 1)
	go func() { done <- leg.Refer(t.Context(), telephony.ReferTo{Target: "+4930555555"}) }()
	first := p.request("REFER")
	p.reply(first, 407, "Who are you", "", "", `Proxy-Authenticate: Digest realm="r", nonce="n", algorithm=MD5, qop="auth"`)
	second := p.next("REFER with credentials", func(m *wire) bool { return m.method() == "REFER" && m.seq() > first.seq() })
	p.reply(second, 202, "Accepted", "", "")
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	d := &dialogue{
		peer: p, callID: invite.get("Call-Id"), tag: "far", toTag: tagOf(invite.get("From")), seq: 7,
		target: strings.Trim(invite.get("Contact"), "<>"),
	}
	notify := func(id int, status int) {
		t.Helper()
		d.do("NOTIFY", "SIP/2.0 200 OK\r\n", fmt.Sprintf("Event: refer;id=%d", id), "Subscription-State: terminated",
			"Content-Type: message/sipfrag")
		d.response("NOTIFY", status)
	}
	notify(first.seq()-1, 481)
	notify(second.seq()+1, 481)
	notify(second.seq(), 200)
	if e := await[telephony.ReferProgress](t, leg); e.Status != 200 || !e.Final {
		t.Errorf("%+v", e)
	}
	p.reply(p.request("BYE"), 200, "OK", "", "")
	s.idle(t)
}
