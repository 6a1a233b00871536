package sip

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/telephony/trunk"
)

// gateOf lets calls go to those targets.
func gateOf(allowed ...string) func(*Config) {
	return func(c *Config) {
		c.MayDial = func(to string) error {
			for _, a := range allowed {
				if to == a {
					return nil
				}
			}
			return errors.New("not in dialing.allow")
		}
	}
}

// SEC-6: a 3xx is followed where the trunk allows it, the preferred target
// first, each behind the gate; a number stays on the trunk whatever host it
// stands at.
func TestRedirects(t *testing.T) {
	t.Parallel()
	on := trunk.Config{Redirects: "on", Username: "ann", Password: "s3cret"}
	tests := []struct {
		name    string
		trunk   trunk.Config
		status  int
		contact []string // Contact values of the first answer
		want    []string // users of the INVITEs that follow, each answered 404
		reason  telephony.Reason
		text    string
	}{
		{"off, as it is without a word", trunk.Config{}, 302, []string{"<sip:+4930111@h>"}, nil, telephony.ReasonFailed, "redirects: off"},
		{"one number", on, 302, []string{"<sip:+4930111@evil.example>;q=0.5"}, []string{"+4930111"}, telephony.ReasonBadNumber, ""},
		{
			"the preferred first", on, 300,
			[]string{"<sip:+4930111@h>;q=0.2", "<tel:+4930222>;q=0.9, <sip:+4930111@i>"},
			[]string{"+4930111", "+4930222"},
			telephony.ReasonBadNumber, "",
		},
		{"one that may not be dialled", on, 302, []string{"<sip:+88216123@h>"}, nil, telephony.ReasonFailed, "not in dialing.allow"},
		{
			"the one that may", on, 302,
			[]string{"<sip:+88216123@h>, <sip:evil@192.0.2.1>, <https://h/>, <sip:+4930111@h>"},
			[]string{"+4930111"},
			telephony.ReasonBadNumber, "",
		},
		{"to itself", on, 302, []string{"<sip:+4930987654@h>"}, nil, telephony.ReasonFailed, "there already"},
		{"to nowhere", on, 301, []string{}, nil, telephony.ReasonFailed, "nowhere"},
		{"a proxy, which is no number", on, 305, []string{"<sip:+4930111@h>"}, nil, telephony.ReasonFailed, ""},
		{"a service, which is none", on, 380, []string{"<sip:+4930111@h>"}, nil, telephony.ReasonFailed, ""},
		{
			"headers and parameters of the target", on, 302,
			[]string{"<sip:+4930111;isub=1@h;transport=tcp?Replaces=x&Route=y>"},
			[]string{"+4930111"},
			telephony.ReasonBadNumber, "",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := newUDPPeer(t, "")
			s := newServer(t, answerAll, trunkToWith(tt.trunk, p), gateOf("+4930111", "+4930222", "+4930987654"))
			leg := s.dial(t.Context(), t)
			first := p.request("INVITE")
			var extra []string
			for _, c := range tt.contact {
				extra = append(extra, "Contact: "+c)
			}
			if len(extra) == 0 {
				extra = []string{"X-No-Contact: 1"}
			}
			p.replyBare(first, tt.status, extra...)
			p.request("ACK")
			for _, user := range tt.want {
				m := p.request("INVITE")
				if m.start != "INVITE sip:"+user+"@"+p.addr()+" SIP/2.0" || m.get("Call-Id") != first.get("Call-Id") ||
					m.seq() <= first.seq() || strings.Contains(m.get("To"), "tag=") || len(m.head["Replaces"])+len(m.head["Route"]) > 0 {
					t.Errorf("%s %v", m.start, m.head)
				}
				p.reply(m, 404, "Not Found", "far", "")
				p.request("ACK")
			}
			if c := await[telephony.Ended](t, leg).Cause; c.Reason != tt.reason || !strings.Contains(c.Text, tt.text) {
				t.Errorf("cause %v, want %s %q", c, tt.reason, tt.text)
			}
			s.idle(t)
			for _, m := range p.drain(4 * testT1) {
				if m.method() == "INVITE" {
					t.Errorf("another call: %s", m.start)
				}
			}
		})
	}
}

// A call that is sent around ends.
func TestRedirectsEnd(t *testing.T) {
	t.Parallel()
	p := newUDPPeer(t, "")
	s := newServer(t, answerAll, trunkToWith(trunk.Config{Redirects: "on"}, p), func(c *Config) {
		c.MayDial = func(string) error { return nil }
	})
	leg, err := s.Dial(t.Context(), telephony.Destination{To: "+49301", Trunk: "gw"})
	if err != nil {
		t.Fatal(err)
	}
	for i := range maxRedirects + 1 {
		m := p.request("INVITE")
		p.reply(m, 302, "Moved", "far", "", fmt.Sprintf("Contact: <sip:+4930%d@%s>", 100+i, p.addr()))
		p.request("ACK")
	}
	if c := await[telephony.Ended](t, leg).Cause; c.Status != 302 || !strings.Contains(c.Text, "more than 5 times") {
		t.Errorf("cause %v", c)
	}
	s.idle(t)
}

// SEC-4: a host that a call was led to, by a 3xx or by the Contact of who
// answered, is not the carrier: it gets no answer to a challenge.
func TestPasswordStaysWithTheGateway(t *testing.T) {
	t.Parallel()
	const challenge = `WWW-Authenticate: Digest realm="r", nonce="n", algorithm=MD5, qop="auth"`
	other := func(t *testing.T) *peer {
		t.Helper()
		return listenOn(t, elsewhere(t), "")
	}
	noPassword := func(t *testing.T, p *peer) {
		t.Helper()
		for _, m := range p.drain(4 * testT1) {
			if m.get("Authorization") != "" || m.get("X-Account") != "" {
				t.Errorf("the password went to %s: %s %v", p.addr(), m.start, m.head)
			}
		}
	}
	t.Run("redirected", func(t *testing.T) {
		t.Parallel()
		p, q := newUDPPeer(t, ""), other(t)
		s := newServer(t, answerAll, trunkToWith(trunk.Config{Redirects: "on", Username: "ann", Password: "s3cret"}, p),
			gateOf("sip:bob@"+q.addr()))
		leg := s.dial(t.Context(), t)
		p.reply(p.request("INVITE"), 302, "Moved", "far", "", "Contact: <sip:bob@"+q.addr()+">")
		p.request("ACK")
		q.reply(q.request("INVITE"), 401, "Unauthorized", "far", "", challenge)
		q.request("ACK")
		if c := await[telephony.Ended](t, leg).Cause; c.Status != 401 {
			t.Errorf("cause %v", c)
		}
		s.idle(t)
		noPassword(t, q)
	})
	secret := trunk.Config{
		Redirects: "on", Username: "ann", Password: "s3cret", Headers: map[string]string{"X-Account": "token"},
	}
	proven := func(t *testing.T, p *peer) *wire {
		t.Helper()
		p.reply(p.request("INVITE"), 401, "Unauthorized", "far", "", challenge)
		p.request("ACK")
		m := p.request("INVITE")
		if m.get("Authorization") == "" || m.get("X-Account") == "" {
			t.Errorf("the gateway is told nothing: %v", m.head)
		}
		return m
	}
	t.Run("redirected behind a challenge", func(t *testing.T) {
		t.Parallel()
		p, q := newUDPPeer(t, ""), other(t)
		s := newServer(t, answerAll, trunkToWith(secret, p), gateOf("sip:bob@"+q.addr()))
		leg := s.dial(t.Context(), t)
		p.reply(proven(t, p), 302, "Moved", "far", "", "Contact: <sip:bob@"+q.addr()+">")
		p.request("ACK")
		m := q.request("INVITE")
		if m.get("Authorization") != "" || m.get("X-Account") != "" {
			t.Errorf("INVITE %v", m.head)
		}
		q.reply(m, 200, "OK", "far", testSDP)
		if m := q.request("ACK"); m.get("Authorization") != "" {
			t.Errorf("ACK %v", m.head)
		}
		await[telephony.Answered](t, leg)
		_ = leg.Hangup(t.Context(), telephony.Cause{Reason: telephony.ReasonNormal})
		q.reply(q.request("BYE"), 200, "OK", "", "")
		s.idle(t)
		noPassword(t, q)
	})
	t.Run("the Contact of the callee behind a challenge", func(t *testing.T) {
		t.Parallel()
		p, q := newUDPPeer(t, ""), other(t)
		s := newServer(t, answerAll, trunkToWith(secret, p))
		leg := s.dial(t.Context(), t)
		p.reply(proven(t, p), 200, "OK", "far", testSDP, "Contact: <sip:bob@"+q.addr()+">")
		if m := q.request("ACK"); m.get("Authorization") != "" {
			t.Errorf("ACK %v", m.head)
		}
		await[telephony.Answered](t, leg)
		_ = leg.Hangup(t.Context(), telephony.Cause{Reason: telephony.ReasonNormal})
		q.reply(q.request("BYE"), 200, "OK", "", "")
		s.idle(t)
		noPassword(t, q)
	})
	t.Run("the Contact of the callee", func(t *testing.T) {
		t.Parallel()
		p, q := newUDPPeer(t, ""), other(t)
		s := newServer(t, answerAll, trunkTo(p))
		leg := s.dial(t.Context(), t)
		p.reply(p.request("INVITE"), 200, "OK", "far", testSDP, "Contact: <sip:bob@"+q.addr()+">")
		q.request("ACK")
		await[telephony.Answered](t, leg)
		_ = leg.Hangup(t.Context(), telephony.Cause{Reason: telephony.ReasonNormal})
		q.reply(q.request("BYE"), 401, "Unauthorized", "", "", challenge)
		s.idle(t)
		noPassword(t, q)
	})
}

// SEC-6: who may call may neither take over a call, nor send one elsewhere.
func TestTakingOverIsRefused(t *testing.T) {
	t.Parallel()
	s := newServer(t, answerAll)
	p := newUDPPeer(t, s.udp)
	victim := p.call()
	for _, name := range []string{"Replaces", "Join", "replaces"} {
		d := p.dialogue()
		d.extra = []string{name + ": " + victim.callID + ";to-tag=" + victim.toTag + ";from-tag=" + victim.tag}
		d.invite(testSDP)
		m := d.final("INVITE")
		if m.status() != 403 {
			t.Errorf("%s: %s", name, m.start)
		}
		d.ackRefusal(m)
	}
	outside := p.dialogue()
	outside.do("REFER", "", "Refer-To: <sip:+4930111@h>")
	if m := outside.final("REFER"); m.status() != 405 {
		t.Errorf("REFER outside of a call: %s", m.start)
	}
	victim.do("REFER", "", "Refer-To: <sip:+4930111@h>")
	if m := victim.final("REFER"); m.status() != 405 {
		t.Errorf("REFER within a call: %s", m.start)
	}
	victim.bye()
	s.idle(t)
}

// SEC-5: a number in a URI is a number to a carrier, whatever host stands behind
// it: over a trunk it passes the gate, for a call and for REFER.
func TestNumbersInURIsPassTheGate(t *testing.T) {
	t.Parallel()
	p := newUDPPeer(t, "")
	s := newServer(t, answerAll, trunkTo(p), gateOf("+4930111"))
	own := "@" + p.addr()
	leg := s.dial(t.Context(), t)
	invite := p.request("INVITE")
	p.reply(invite, 200, "OK", "far", testSDP)
	p.request("ACK")
	await[telephony.Answered](t, leg)
	for to, may := range map[string]bool{
		"sip:+19005550100@pbx.example":    false,
		"sip:%2B19005550100@pbx.example":  false,
		"sip:+1-900-555-0100@pbx.example": false,
		"sip:0019005550100@pbx.example":   false,
		"sip:118@pbx.example":             false,
		"sip:*72118@pbx.example":          false,
		"sip:+4930111;isub=1@pbx.example": true,
		"sip:+4930111@pbx.example:5070":   true,
		"sip:bob@pbx.example":             true,
		"sip:+19005550100" + own:          true, // a gateway's own, which dialing.allow has to hold
		"sip:pbx.example":                 true,
	} {
		another, err := s.Dial(t.Context(), telephony.Destination{To: to, Trunk: "gw"})
		if (err == nil) != may {
			t.Errorf("%s: %v, want allowed %v", to, err, may)
		}
		if err == nil {
			_ = another.Hangup(t.Context(), telephony.Cause{Reason: telephony.ReasonCancelled})
		}
		if may {
			continue
		}
		if err := leg.Refer(t.Context(), telephony.ReferTo{Target: to}); !errors.Is(err, telephony.ErrNoRefer) {
			t.Errorf("referred to %s: %v", to, err)
		}
	}
	for _, m := range p.drain(4 * testT1) {
		if m.method() == "REFER" {
			t.Errorf("%s %s", m.start, m.get("Refer-To"))
		}
	}
	_ = leg.Hangup(t.Context(), telephony.Cause{Reason: telephony.ReasonNormal})
}
