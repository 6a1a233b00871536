package sip

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/telephony/dialer"
	"github.com/patchcord/patchcord/telephony/trunk"
)

// transferring is a server that follows the transfers of its trunk, whose
// gateway is the target; a call of the peer is up.
func transferring(t *testing.T, adjust ...func(*Config)) (s *server, d *dialogue, target *peer, leg telephony.Leg) {
	t.Helper()
	target = newUDPPeer(t, "")
	legs := make(chan telephony.Leg, 1)
	s = newServer(t, handOver(legs), append([]func(*Config){
		trunkToWith(trunk.Config{Transfers: "on", From: "+4930555", AcceptHeaders: []string{"X-*"}}, target),
		gateOf("+4930111", "sip:bob@127.0.0.1"),
	}, adjust...)...)
	d = newUDPPeer(t, s.udp).call()
	return s, d, target, <-legs
}

// notified takes a NOTIFY, which says that the subscription goes on or is over.
func (d *dialogue) notified(t *testing.T, status int) {
	t.Helper()
	m := d.next("NOTIFY", func(m *wire) bool { // a machine that is late has the one before come again
		return m.method() == "NOTIFY" && m.seq() > d.told
	})
	d.told = m.seq()
	d.reply(m, 200, "OK", "", "")
	state, want := m.get("Subscription-State"), "active;expires=70"
	if status >= 200 {
		want = "terminated;reason=noresource"
	}
	if got, _ := sipfrag([]byte(m.body)); got != status || state != want || m.get("Event") != "refer" ||
		m.get("Content-Type") != "message/sipfrag;version=2.0" {
		t.Errorf("NOTIFY %q, %s, event %s of %s; want %d, %s", m.body, state, m.get("Event"), m.get("Content-Type"), status, want)
	}
}

func (d *dialogue) refer(target string, extra ...string) {
	d.t.Helper()
	d.do("REFER", "", append([]string{"Refer-To: " + target}, extra...)...)
}

// SEC-6, RFC 3515: where the trunk allows it, a REFER of the peer is followed;
// the call goes on with whom it names, and as the call it was.
func TestPeerTransfers(t *testing.T) {
	t.Parallel()
	s, d, target, leg := transferring(t)
	was := leg.Info()
	d.refer("<sip:+4930111@elsewhere.example?X-Evil=1>", "Referred-By: <sip:ann@127.0.0.1>")
	d.response("REFER", 202)
	d.notified(t, 100)
	invite := target.request("INVITE")
	if !strings.HasPrefix(invite.start, "INVITE sip:+4930111@"+target.addr()) || invite.get("Referred-By") != "<sip:ann@127.0.0.1>" ||
		invite.get("X-Evil") != "" || invite.get("Replaces") != "" || !strings.Contains(invite.get("Allow"), "REFER") ||
		!strings.Contains(invite.get("From"), "sip:+4930123456@") {
		t.Errorf("%s %v", invite.start, invite.head)
	}
	if asked := await[telephony.ReferAsked](t, leg); asked.Target != "+4930111" {
		t.Errorf("asked for %q", asked.Target)
	}
	d.refer("<sip:+4930111@h>")
	d.response("REFER", 491) // one at a time
	target.reply(invite, 180, "Ringing", "far", "")
	d.notified(t, 180)
	target.reply(invite, 200, "OK", "far", testSDP)
	target.request("ACK")
	d.notified(t, 200)
	if e := await[telephony.PartyChanged](t, leg); e.By != "refer" {
		t.Errorf("%+v", e)
	}
	now := leg.Info()
	if now.ID != was.ID || now.Direction != telephony.Inbound || now.From != "+4930111" || now.To != was.To ||
		now.Format.Rate != was.Format.Rate || now.SIPCallID == was.SIPCallID || now.Trunk != was.Trunk {
		t.Errorf("the call is %+v, and was %+v", now, was)
	}
	d.reply(d.request("BYE"), 200, "OK", "", "") // it has not hung up, so we do
	bye := target.toServer(invite, s)
	bye.do("BYE", "")
	bye.response("BYE", 200)
	if c := await[telephony.Ended](t, leg).Cause; c.Reason != telephony.ReasonNormal || !c.Remote {
		t.Errorf("ended %v", c)
	}
	s.idle(t)
}

// toServer is the dialogue of an INVITE that came from the server.
func (p *peer) toServer(invite *wire, s *server) *dialogue {
	return &dialogue{
		peer: p, callID: invite.get("Call-Id"), tag: "far", toTag: tagOf(invite.get("From")), seq: 100,
		target: strings.Trim(invite.get("Contact"), "<>"),
	}
}

// What becomes of a call whose peer transfers it, in every way.
func TestPeerTransfersEnd(t *testing.T) {
	t.Parallel()
	t.Run("the target is busy: the call goes on as it was", func(t *testing.T) {
		t.Parallel()
		s, d, target, leg := transferring(t)
		for range 2 { // and may be tried again, told by its own event
			d.refer("<sip:+4930111@h>")
			d.response("REFER", 202)
			invite := target.request("INVITE")
			target.reply(invite, 486, "Busy Here", "far", "")
			target.request("ACK")
			m := d.next("the last NOTIFY", func(m *wire) bool {
				if m.method() == "NOTIFY" {
					d.reply(m, 200, "OK", "", "")
				}
				return strings.HasPrefix(m.get("Subscription-State"), "terminated")
			})
			if m.body != "SIP/2.0 486 Busy Here\r\n" {
				t.Errorf("told %q", m.body)
			}
			if id, want := m.get("Event"), "refer;id="+fmt.Sprint(d.seq); id != "refer" && id != want {
				t.Errorf("event %q, want refer or %s", id, want)
			}
		}
		d.bye()
		if c := await[telephony.Ended](t, leg).Cause; c.Reason != telephony.ReasonNormal {
			t.Errorf("ended %v", c)
		}
		s.idle(t)
	})
	t.Run("the peer leaves before the answer: held until then", func(t *testing.T) {
		t.Parallel()
		s, d, target, leg := transferring(t)
		d.refer("<sip:+4930111@h>")
		d.response("REFER", 202)
		invite := target.request("INVITE")
		d.bye()
		await[telephony.Held](t, leg)
		target.reply(invite, 200, "OK", "far", testSDP)
		target.request("ACK")
		await[telephony.PartyChanged](t, leg)
		await[telephony.Resumed](t, leg)
		_ = leg.Hangup(t.Context(), telephony.Cause{Reason: telephony.ReasonNormal})
		target.reply(target.request("BYE"), 200, "OK", "", "")
		if c := await[telephony.Ended](t, leg).Cause; c.Reason != telephony.ReasonNormal || c.Remote {
			t.Errorf("ended %v", c)
		}
		s.idle(t)
	})
	t.Run("the peer leaves, and the target is not there", func(t *testing.T) {
		t.Parallel()
		s, d, target, leg := transferring(t)
		d.refer("<sip:+4930111@h>")
		d.response("REFER", 202)
		invite := target.request("INVITE")
		d.bye()
		await[telephony.Held](t, leg)
		target.reply(invite, 404, "Not Found", "far", "")
		target.request("ACK")
		if c := await[telephony.Ended](t, leg).Cause; c.Reason != telephony.ReasonTransferred || !c.Remote {
			t.Errorf("ended %v", c)
		}
		s.idle(t)
	})
	t.Run("the peer leaves, and we do while the target rings", func(t *testing.T) {
		t.Parallel()
		s, d, target, leg := transferring(t)
		d.refer("<sip:+4930111@h>")
		d.response("REFER", 202)
		invite := target.request("INVITE")
		target.reply(invite, 180, "Ringing", "far", "")
		d.bye()
		await[telephony.Held](t, leg)
		_ = leg.Hangup(t.Context(), telephony.Cause{Reason: telephony.ReasonNormal, Text: "enough"})
		target.reply(target.request("CANCEL"), 200, "OK", "far", "")
		target.reply(invite, 487, "Request Terminated", "far", "")
		target.request("ACK")
		if c := await[telephony.Ended](t, leg).Cause; c.Text != "enough" || c.Remote {
			t.Errorf("ended %v", c)
		}
		s.idle(t)
	})
	t.Run("we hang up while the target rings", func(t *testing.T) {
		t.Parallel()
		s, d, target, leg := transferring(t)
		d.refer("<sip:+4930111@h>")
		d.response("REFER", 202)
		invite := target.request("INVITE")
		target.reply(invite, 180, "Ringing", "far", "")
		d.notified(t, 100)
		d.notified(t, 180)
		_ = leg.Hangup(t.Context(), telephony.Cause{Reason: telephony.ReasonNormal})
		d.reply(d.request("BYE"), 200, "OK", "", "")
		target.reply(target.request("CANCEL"), 200, "OK", "far", "")
		target.reply(invite, 487, "Request Terminated", "far", "")
		target.request("ACK")
		await[telephony.Ended](t, leg)
		s.idle(t)
	})
	t.Run("the target hangs up at once", func(t *testing.T) {
		t.Parallel()
		s, d, target, leg := transferring(t)
		d.refer("<sip:+4930111@h>")
		d.response("REFER", 202)
		invite := target.request("INVITE")
		target.reply(invite, 200, "OK", "far", testSDP)
		target.request("ACK")
		bye := target.toServer(invite, s)
		bye.do("BYE", "")
		bye.response("BYE", 200)
		await[telephony.Ended](t, leg)
		d.reply(d.request("BYE"), 200, "OK", "", "")
		s.idle(t)
	})
	t.Run("the server ends", func(t *testing.T) {
		t.Parallel()
		s, d, target, _ := transferring(t)
		d.refer("<sip:+4930111@h>")
		d.response("REFER", 202)
		target.request("INVITE")
		s.stop()
		s.idle(t)
	})
}

// RFC 4488: who wants to hear nothing hears nothing.
func TestPeerTransfersInSilence(t *testing.T) {
	t.Parallel()
	s, d, target, leg := transferring(t)
	d.refer("<sip:+4930111@h>", "Refer-Sub: false")
	if m := d.response("REFER", 202); m.get("Refer-Sub") != "false" {
		t.Errorf("Refer-Sub %q", m.get("Refer-Sub"))
	}
	target.reply(target.request("INVITE"), 486, "Busy Here", "far", "")
	target.request("ACK")
	d.bye()
	await[telephony.Ended](t, leg)
	s.idle(t)
	for _, m := range d.drain(4 * testT1) {
		if m.method() == "NOTIFY" {
			t.Errorf("told %q", m.body)
		}
	}
}

// RFC 3891 by REFER: the dialog that a Refer-To names is asked for at the target,
// and nothing else that stands in it.
func TestPeerTransfersWithReplaces(t *testing.T) {
	t.Parallel()
	s, d, target, leg := transferring(t)
	d.refer("<sip:+4930111@h?Replaces=abc%40192.0.2.1%3Bto-tag%3D7%3Bfrom-tag%3D8&Route=%3Csip%3Aevil%3E>")
	d.response("REFER", 202)
	invite := target.request("INVITE")
	if invite.get("Replaces") != "abc@192.0.2.1;to-tag=7;from-tag=8" || invite.get("Require") != "replaces" || invite.get("Route") != "" {
		t.Errorf("%v", invite.head)
	}
	target.reply(invite, 200, "OK", "far", testSDP)
	target.request("ACK")
	await[telephony.PartyChanged](t, leg)
	d.bye()
	_ = leg.Hangup(t.Context(), telephony.Cause{Reason: telephony.ReasonNormal})
	target.reply(target.request("BYE"), 200, "OK", "", "")
	s.idle(t)
}

// SEC-5, SEC-6: a REFER that leads where nobody may be called, or nowhere, is
// refused before anything is promised; not one INVITE leaves.
func TestTransfersPassTheGate(t *testing.T) {
	t.Parallel()
	s, d, target, leg := transferring(t)
	for _, c := range []struct {
		fields []string
		status int
	}{
		{nil, 400},
		{[]string{"Refer-To: <sip:+4930111@h>", "Refer-To: <sip:+4930111@h>"}, 400},
		{[]string{"Refer-To: <sip:+4930111@h>, <sip:+4930222@h>"}, 400},
		{[]string{"Refer-To: <http://h/>"}, 416},
		{[]string{"Refer-To: sip:"}, 403},
		{[]string{"Refer-To: <sip:+4930111@h;method=BYE>"}, 403},
		{[]string{"Refer-To: <sip:+4930111@h?Replaces=x>"}, 400},
		{[]string{"Refer-To: <sip:+4930111@h?Replaces=x%3Bto-tag%3D1%3Bfrom-tag%3D%0d%0aX-Evil%3A%201>"}, 400},
		{[]string{"Refer-To: <sip:+88216123@h>"}, 403},
		{[]string{"Refer-To: <tel:+1900555>"}, 403},
		{[]string{"Refer-To: <tel:4930111;phone-context=+1900>"}, 403},
		{[]string{"Refer-To: <sip:evil@192.0.2.1>"}, 403},
		{[]string{"Refer-To: <sip:bob@127.0.0.1.evil.example>"}, 403},
		{[]string{"Refer-To: <sip:bob@127.0.0.1:6060>"}, 403},
		{[]string{"Refer-To: <sips:evil@192.0.2.1>"}, 403},
		{[]string{"Refer-To: <sip:%2b1900555@h>"}, 403},
		{[]string{"Refer-To: <sip:+49301110@h>"}, 403},
		{[]string{"Refer-To: <sip:192.0.2.1>"}, 403},
		{[]string{"Refer-To: <sip:@h>"}, 403},
		{[]string{"Refer-To: <sip:+4930\u0661\u0661\u0661@h>"}, 403},
	} {
		d.do("REFER", "", c.fields...)
		if m := d.final("REFER"); m.status() != c.status && !(c.status == 403 && m.status() == 400) {
			t.Errorf("%q: %s, want %d", c.fields, m.start, c.status)
		}
	}
	for _, m := range target.drain(8 * testT1) {
		t.Errorf("%s left", m.start)
	}
	d.bye()
	await[telephony.Ended](t, leg)
	s.idle(t)
}

// SEC-5: what a peer has dialled counts, and how often.
func TestTransfersAreCounted(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var asked []string
	full := false
	s, d, target, leg := transferring(t, func(c *Config) {
		c.PerCall = 2
		c.Claim = func(_ context.Context, to string) error {
			mu.Lock()
			defer mu.Unlock()
			asked = append(asked, to)
			if full {
				return fmt.Errorf("dialing.per_day: %d calls have left", len(asked))
			}
			return nil
		}
	})
	end := func(status int) {
		t.Helper()
		d.next("the last NOTIFY", func(m *wire) bool {
			if m.method() == "NOTIFY" {
				d.reply(m, 200, "OK", "", "")
			}
			got, _ := sipfrag([]byte(m.body))
			return m.method() == "NOTIFY" && got == status
		})
	}
	d.refer("<sip:+4930111@h>")
	d.response("REFER", 202)
	target.reply(target.request("INVITE"), 486, "Busy Here", "far", "")
	target.request("ACK")
	end(486)
	mu.Lock()
	full = true
	mu.Unlock()
	d.refer("<sip:+4930111@h>")
	d.response("REFER", 202)
	end(603)
	d.refer("<sip:+4930111@h>")
	d.response("REFER", 403)
	for _, m := range target.drain(8 * testT1) {
		t.Errorf("%s left", m.start)
	}
	mu.Lock()
	if fmt.Sprint(asked) != "[+4930111 +4930111]" {
		t.Errorf("asked for %v", asked)
	}
	mu.Unlock()
	d.bye()
	await[telephony.Ended](t, leg)
	s.idle(t)
}

// A leg of ours that was dialled may be transferred as well.
func TestCalleeTransfers(t *testing.T) {
	t.Parallel()
	p := newUDPPeer(t, "")
	s := newServer(t, nil, trunkToWith(trunk.Config{Transfers: "on"}, p), gateOf("+4930111"))
	leg := s.dial(t.Context(), t)
	invite := p.request("INVITE")
	if !strings.Contains(invite.get("Supported"), "replaces") {
		t.Errorf("Supported %q", invite.get("Supported"))
	}
	p.reply(invite, 200, "OK", "far", testSDP)
	p.request("ACK")
	await[telephony.Answered](t, leg)
	d := p.toServer(invite, s)
	d.refer("<sip:+4930111@h>")
	d.response("REFER", 202)
	second := p.request("INVITE")
	p.reply(second, 200, "OK", "third", testSDP)
	p.request("ACK")
	await[telephony.PartyChanged](t, leg)
	if now := leg.Info(); now.Direction != telephony.Outbound || now.To != "+4930111" || now.From != "+4930111111" {
		t.Errorf("the call is %+v", now)
	}
	d.bye()
	_ = leg.Hangup(t.Context(), telephony.Cause{Reason: telephony.ReasonNormal})
	p.reply(p.request("BYE"), 200, "OK", "", "")
	await[telephony.Ended](t, leg)
	s.idle(t)
}

// listening keeps what a call hears: the level of each frame, and whether its
// clock ran on.
type listening struct {
	mu    sync.Mutex // guards what follows
	next  time.Duration
	wrong string
	level int16
	rate  int
}

func (l *listening) Hear(f audio.Frame) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if f.At != l.next && l.next != 0 && f.At < l.next {
		l.wrong = fmt.Sprintf("%s after %s", f.At, l.next)
	}
	l.next, l.rate, l.level = f.At+audio.FrameTime, f.Rate, f.PCM[len(f.PCM)-1]
}

func (l *listening) hears() (level int16, at time.Duration, wrong string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.level, l.next, l.wrong
}

// The sound goes over: who was there is not heard any more, who comes is, at the
// rate and on the clock of before; between them the clock runs.
func TestTransferredSound(t *testing.T) {
	t.Parallel()
	for _, early := range []bool{false, true} {
		t.Run(fmt.Sprintf("the peer leaves early: %v", early), func(t *testing.T) {
			t.Parallel()
			target := newUDPPeer(t, "")
			ear, legs := &listening{}, make(chan telephony.Leg, 1)
			s := newServer(t, handler(func(ctx context.Context, leg telephony.Leg) {
				leg.Connect(ear, sound{})
				if leg.Answer(ctx) == nil {
					legs <- leg
					<-ctx.Done()
				}
			}), trunkToWith(trunk.Config{Transfers: "on"}, target), gateOf("+4930111"))
			first, second, stop := newRTPSocket(t), newRTPSocket(t), make(chan struct{})
			var talk sync.WaitGroup
			defer talk.Wait()
			defer close(stop)
			d := newUDPPeer(t, s.udp).dialogue()
			d.invite(first.sdp())
			ok := d.ok()
			d.ack("")
			leg := <-legs
			talk.Go(func() { first.speak(mediaOf(t, ok.body), 0x90, stop) })
			high, low := decoded(0x90), decoded(0xa5)
			eventually(t, "the first is heard", func() bool { v, _, _ := ear.hears(); return v == high })
			first.hears(t)
			d.refer("<sip:+4930111@h>")
			d.response("REFER", 202)
			invite := target.request("INVITE")
			if early {
				d.bye()
				_, at, _ := ear.hears()
				eventually(t, "the clock runs while nobody is there", func() bool { _, now, _ := ear.hears(); return now > at+200*time.Millisecond })
			}
			target.reply(invite, 200, "OK", "far", second.sdp())
			target.request("ACK")
			talk.Go(func() { second.speak(mediaOf(t, invite.body), 0xa5, stop) })
			eventually(t, "the second is heard", func() bool { v, _, _ := ear.hears(); return v == low })
			second.hears(t)
			if _, _, wrong := ear.hears(); wrong != "" {
				t.Errorf("the clock went back: %s", wrong)
			}
			eventually(t, "both are counted", func() bool {
				st := leg.Stats()
				return st.PacketsReceived > 20 && st.PacketsSent > 20
			})
			if !early {
				d.bye()
			}
			_ = leg.Hangup(t.Context(), telephony.Cause{Reason: telephony.ReasonNormal})
			target.reply(target.request("BYE"), 200, "OK", "", "")
			s.idle(t)
		})
	}
}

// decoded is a sample of mu-law.
func decoded(b byte) int16 {
	b = ^b
	v := (int16(b&0x0f)<<3+0x84)<<(b>>4&7) - 0x84
	if b&0x80 != 0 {
		return -v
	}
	return v
}

func FuzzReferTo(f *testing.F) {
	for _, s := range []string{
		"<sip:+4930111@h>", "sip:bob@192.0.2.1;transport=tcp", "<sip:b@h?Replaces=a%40b%3Bto-tag%3D1%3Bfrom-tag%3D2>",
		"\"Bob\" <tel:+4930111;phone-context=+49>", "<sip:b@h?replaces=x&Replaces=y>", "<sips:b@h;method=INVITE?>",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		target, replaces, r, why := readReferTo(value)
		if r != nil {
			if r.status < 400 || why == "" {
				t.Fatalf("%q: refused by %d, %q", value, r.status, why)
			}
			return
		}
		if !plainURI(target) || !phoneScheme(target) || strings.Contains(target, "?") || strings.ContainsAny(replaces, "\r\n<>\"?, ") {
			t.Fatalf("%q: the target %q, in the place of %q", value, target, replaces)
		}
	})
}

// SEC-5: whom a peer may name at a host that calls may go to: telephones of that
// host's own, and numbers that might be dialled without it.
func TestWhomAPeerMayName_SEC5(t *testing.T) {
	t.Parallel()
	gate := dialer.Gate{Allow: []string{"+49", "sip:pbx.example"}, Deny: []string{"+49900"}, Country: "DE"}
	s := newServer(t, nil, func(c *Config) { c.MayDial = gate.Check }, trunksOf(t, trunk.Config{
		Name: "pbx", Gateways: []string{"sip:pbx.example"}, Country: "DE", Allow: []string{"127.0.0.0/8"},
	}))
	pbx, _ := s.trunks.Load().Trunk("pbx")
	for target, want := range map[string]string{ // "": refused
		"sip:200@pbx.example":                  "sip:200@pbx.example",
		"sip:*97@pbx.example":                  "sip:*97@pbx.example",
		"sip:bob@pbx.example":                  "sip:bob@pbx.example",
		"sip:sales-2@pbx.example:5070":         "sip:sales-2@pbx.example:5070",
		"sip:+4930111222@pbx.example":          "sip:+4930111222@pbx.example",
		"sip:030111222@pbx.example":            "sip:030111222@pbx.example",
		"sip:0900123456@pbx.example":           "",
		"sip:+49900123456@pbx.example":         "",
		"sip:%2b49900123456@pbx.example":       "",
		"sip:%30900123456@pbx.example":         "",
		"sip:0-900-123456@pbx.example":         "",
		"sip:00881612345678@pbx.example":       "",
		"sip:000881612345678@pbx.example":      "",
		"sip:+881@pbx.example":                 "",
		"sip:*21*0900123456#@pbx.example":      "",
		"sip:+4930111222@elsewhere.example":    "+4930111222", // it stays on the trunk
		"sip:+49900123456@elsewhere.example":   "",
		"sip:200@elsewhere.example":            "+49200", // likewise, as the trunk's country has it
		"sip:bob@elsewhere.example":            "",
		"sip:0900123456;x=y@pbx.example":       "",
		"sip:900123456@pbx.example;user=phone": "",
	} {
		ways, to, err := s.permitted(pbx, target)
		if (err == nil) != (want != "") || to != want && err == nil || (err == nil) != (len(ways) > 0) {
			t.Errorf("%s: %d ways to %q, %v; want %q", target, len(ways), to, err, want)
		}
	}
}
