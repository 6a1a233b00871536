package sip

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/telephony/sdp"
	"github.com/patchcord/patchcord/telephony/trunk"
)

// chirp counts the frames that are not silent, and speaks a square wave.
type chirp struct {
	heard atomic.Int64
	n     int
}

func (l *chirp) Hear(f audio.Frame) {
	for _, v := range f.PCM {
		if v > 4000 || v < -4000 {
			l.heard.Add(1)
			return
		}
	}
}

func (l *chirp) Next(dst []int16) bool {
	for i := range dst {
		dst[i] = 8000
		if l.n/8%2 == 0 {
			dst[i] = -8000
		}
		l.n++
	}
	return true
}

// pair are two servers of ours that call each other by their trunks' policies.
func pair(t *testing.T, caller, callee sdp.SRTP) (out, in *server, ear *chirp, answered chan telephony.Leg) {
	t.Helper()
	ear, answered = &chirp{}, make(chan telephony.Leg, 1)
	in = newServer(t, handler(func(ctx context.Context, leg telephony.Leg) {
		leg.Connect(ear, ear)
		if leg.Answer(ctx) == nil {
			answered <- leg
			<-ctx.Done()
		}
	}), trunksOf(t, trunk.Config{Name: "in", Allow: []string{"127.0.0.0/8"}, SRTP: string(callee)}))
	out = newServer(t, nil, trunksOf(t, trunk.Config{Name: "out", Gateways: []string{"sip:" + in.udp}, SRTP: string(caller)}))
	return out, in, ear, answered
}

// Both roles and every policy: what is heard, encrypted or not, and what ends
// instead. SEC-14: required never falls back: 488, with a cause of its own.
func TestSRTPByTrunk(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		caller, callee sdp.SRTP
		suite          string
		reason         telephony.Reason // of the end; "": the call goes on
	}{
		{"", "", "", ""},
		{"", sdp.SRTPOptional, "", ""},
		{"", sdp.SRTPRequired, "", telephony.ReasonNoCodec}, // what 488 is to the caller
		{sdp.SRTPOptional, "", "", ""},
		{sdp.SRTPOptional, sdp.SRTPOptional, "AES_CM_128_HMAC_SHA1_80", ""},
		{sdp.SRTPOptional, sdp.SRTPRequired, "AES_CM_128_HMAC_SHA1_80", ""},
		{sdp.SRTPRequired, "", "", telephony.ReasonNoCodec},
		{sdp.SRTPRequired, sdp.SRTPOptional, "AES_CM_128_HMAC_SHA1_80", ""},
		{sdp.SRTPRequired, sdp.SRTPRequired, "AES_CM_128_HMAC_SHA1_80", ""},
	} {
		t.Run(fmt.Sprintf("%s calls %s", off(c.caller), off(c.callee)), func(t *testing.T) {
			t.Parallel()
			out, in, ear, answered := pair(t, c.caller, c.callee)
			leg, err := out.Dial(t.Context(), telephony.Destination{To: "+4930987654", Trunk: "out"})
			if err != nil {
				t.Fatal(err)
			}
			mine := &chirp{}
			leg.Connect(mine, mine)
			if c.reason != "" {
				if cause := await[telephony.Ended](t, leg).Cause; cause.Reason != c.reason || cause.Status != 488 {
					t.Errorf("ended %v, want %s (488)", cause, c.reason)
				}
				out.idle(t)
				in.idle(t)
				return
			}
			await[telephony.Answered](t, leg)
			far := <-answered
			if leg.Info().SRTP != c.suite || far.Info().SRTP != c.suite {
				t.Errorf("suites %q and %q, want %q", leg.Info().SRTP, far.Info().SRTP, c.suite)
			}
			eventually(t, "both are heard", func() bool { return ear.heard.Load() > 10 && mine.heard.Load() > 10 })
			if err := leg.Hold(t.Context(), true); err != nil { // the keys stay over a re-INVITE
				t.Errorf("hold: %v", err)
			}
			if err := leg.Hold(t.Context(), false); err != nil {
				t.Errorf("resume: %v", err)
			}
			before := ear.heard.Load()
			eventually(t, "heard after hold", func() bool { return ear.heard.Load() > before+10 })
			_ = leg.Hangup(t.Context(), telephony.Cause{Reason: telephony.ReasonNormal})
			await[telephony.Ended](t, leg)
			if st := far.Stats(); st.PacketsForged != 0 {
				t.Errorf("%d packets taken for forged", st.PacketsForged)
			}
			out.idle(t)
			in.idle(t)
		})
	}
}

func off(s sdp.SRTP) string {
	if s == sdp.SRTPOff {
		return "off"
	}
	return string(s)
}

// An answer in the clear to an offer that requires SRTP ends the call with a
// cause of its own, after ACK and BYE (SEC-14).
func TestAnswerWithoutKeysEndsTheCall(t *testing.T) {
	t.Parallel()
	p := newUDPPeer(t, "")
	s := newServer(t, nil, trunksOf(t, trunk.Config{Name: "gw", Gateways: []string{"sip:" + p.addr()}, SRTP: "required"}))
	leg, err := s.Dial(t.Context(), telephony.Destination{To: "+4930987654", Trunk: "gw"})
	if err != nil {
		t.Fatal(err)
	}
	invite := p.request("INVITE")
	if !strings.Contains(invite.body, "RTP/SAVP") || strings.Count(invite.body, "a=crypto:") != 6 {
		t.Errorf("offered %s", invite.body)
	}
	p.reply(invite, 200, "OK", "far", strings.Replace(testSDP, "RTP/AVP", "RTP/SAVP", 1))
	p.request("ACK")
	p.reply(p.request("BYE"), 200, "OK", "", "")
	if c := await[telephony.Ended](t, leg).Cause; c.Reason != telephony.ReasonNotSecure || !strings.Contains(c.Text, "SRTP is required") {
		t.Errorf("ended %v, want %s", c, telephony.ReasonNotSecure)
	}
	s.idle(t)
}

// An offer without a usable key where SRTP is required is refused with 488 and
// the reason; no key ever stands in a log or an event (SEC-10, SEC-14).
func TestOfferWithoutKeysIsRefused(t *testing.T) {
	t.Parallel()
	core, logs := observer.New(zapcore.DebugLevel)
	var events []telephony.Event
	done := make(chan struct{})
	s := newServer(t, handler(func(ctx context.Context, leg telephony.Leg) {
		_ = leg.Answer(ctx)
		for e := range leg.Events() {
			events = append(events, e)
		}
		close(done)
	}), trunksOf(t, trunk.Config{Name: "local", Allow: []string{"127.0.0.0/8"}, SRTP: "required"}),
		func(c *Config) { c.Log = zap.New(core) })
	p := newUDPPeer(t, s.udp)
	canary := base64.StdEncoding.EncodeToString([]byte("a canary that nobody may see ."))
	line := "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" + canary
	for _, c := range []struct{ name, body, warning string }{
		{"in the clear", testSDP, "SRTP is required and not offered"},
		{"another suite", strings.Replace(testSDP, "RTP/AVP", "RTP/SAVP", 1) + strings.Replace(line, "AES_CM_128", "F8_128", 1) + "\r\n", "without a key that we can use"},
		{"no encryption", strings.Replace(testSDP, "RTP/AVP", "RTP/SAVP", 1) + line + " UNENCRYPTED_SRTP\r\n", "without a key that we can use"},
		{"DTLS", strings.Replace(testSDP, "RTP/AVP", "UDP/TLS/RTP/SAVPF", 1), "UDP/TLS/RTP/SAVPF"},
	} {
		d := p.dialogue()
		d.invite(c.body)
		if m := d.response("INVITE", 488); !strings.Contains(m.get("Warning"), c.warning) {
			t.Errorf("%s: Warning %q", c.name, m.get("Warning"))
		} else {
			d.ackRefusal(m)
		}
	}
	d := p.dialogue()
	d.invite(strings.Replace(testSDP, "RTP/AVP", "RTP/SAVP", 1) + line + "\r\n")
	ok := d.ok()
	ours := ok.body[strings.Index(ok.body, "inline:")+len("inline:"):]
	ours, _, _ = strings.Cut(ours, "\r\n")
	d.ack("")
	d.invite(testSDP) // a re-INVITE in the clear: refused, the call goes on
	if m := d.response("INVITE", 488); m != nil {
		d.ackRefusal(m)
	}
	p.raw("INVITE sip:x@127.0.0.1 SIP/2.0\r\n" + line + "\r\n\r\n") // junk that the parser may tell of
	d.bye()
	<-done
	s.idle(t)
	text := fmt.Sprintf("%+v", events)
	for _, l := range logs.All() {
		text += fmt.Sprintf("\n%s %v", l.Message, l.ContextMap())
	}
	for _, secret := range []string{canary, ours, "inline:", "a canary"} {
		if strings.Contains(text, secret) {
			t.Errorf("%q stands in the log or the events", secret)
		}
	}
}
