package sip

import (
	"strings"
	"testing"

	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/telephony/trunk"
)

// RFC 3891: where the trunk allows it, an INVITE of its own takes the place of a
// call, which goes on; the one before it gets BYE.
func TestReplaces(t *testing.T) {
	t.Parallel()
	s, d, _, leg := transferring(t, func(c *Config) {
		table, err := trunk.NewTable([]trunk.Config{{Name: "gw", Allow: []string{"127.0.0.0/8"}, Transfers: "on", MaxCalls: 1}}, nil, "agent")
		if err != nil {
			t.Fatal(err)
		}
		c.Trunks = table
		c.Accept = func(telephony.Info) (telephony.Cause, bool) { return telephony.Cause{}, true }
	})
	was := leg.Info()
	q := newUDPPeer(t, s.udp).dialogue()
	q.extra = []string{
		"Replaces: " + d.callID + ";from-tag=" + d.tag + ";to-tag=" + d.toTag, "Require: replaces", "Contact: <sip:bob@127.0.0.1:5>",
	}
	q.invite(testSDP)
	if m := q.ok(); !strings.Contains(m.get("Supported"), "replaces") {
		t.Errorf("Supported %q", m.get("Supported"))
	}
	q.extra = nil
	q.ack("")
	d.reply(d.request("BYE"), 200, "OK", "", "")
	if e := await[telephony.PartyChanged](t, leg); e.By != "replaces" {
		t.Errorf("%+v", e)
	}
	if now := leg.Info(); now.ID != was.ID || now.SIPCallID != q.callID || now.To != was.To {
		t.Errorf("the call is %+v, and was %+v", now, was)
	}
	eventually(t, "the trunk counts one call", func() bool { return s.TrunkStatus("gw").Load.In == 1 })
	q.bye()
	if c := await[telephony.Ended](t, leg).Cause; c.Reason != telephony.ReasonNormal || !c.Remote {
		t.Errorf("ended %v", c)
	}
	s.idle(t)
}

// An INVITE that may not have a call's place, or does not come to it, leaves the
// call as it is.
func TestReplacesRefused(t *testing.T) {
	t.Parallel()
	s, d, _, leg := transferring(t)
	try := func(status int, body string, fields ...string) {
		t.Helper()
		q := newUDPPeer(t, s.udp).dialogue()
		q.extra = fields
		q.invite(body)
		if m := q.final("INVITE"); m.status() != status {
			t.Errorf("%q: %s, want %d", fields, m.start, status)
		} else {
			q.ackRefusal(m)
		}
	}
	right := "Replaces: " + d.callID + ";to-tag=" + d.toTag + ";from-tag=" + d.tag
	try(481, testSDP, "Replaces: "+d.callID+";to-tag="+d.toTag+";from-tag=x")
	try(481, testSDP, "Replaces: "+d.callID+";to-tag=x;from-tag="+d.tag)
	try(481, testSDP, "Replaces: x;to-tag="+d.toTag+";from-tag="+d.tag)
	try(486, testSDP, right+";early-only")
	try(400, testSDP, right, right)
	try(400, testSDP, "Replaces: "+d.callID)
	try(403, testSDP, strings.Replace(right, "Replaces", "Join", 1))
	try(488, sdpOf("18"), right)
	q := newUDPPeer(t, s.udp).dialogue() // it is never confirmed
	q.extra = []string{right}
	q.invite(testSDP)
	q.ok()
	q.extra = nil
	q.reply(q.request("BYE"), 200, "OK", "", "")
	eventually(t, "it is forgotten", func() bool { return s.Stats().Legs == 1 })
	if now := leg.Info(); now.SIPCallID != d.callID {
		t.Errorf("the call is %+v", now)
	}
	d.bye()
	if c := await[telephony.Ended](t, leg).Cause; c.Reason != telephony.ReasonNormal {
		t.Errorf("ended %v", c)
	}
	s.idle(t)
}

// A call of another trunk is none of whoever places the INVITE.
func TestReplacesOfAnotherTrunk(t *testing.T) {
	t.Parallel()
	legs := make(chan telephony.Leg, 1)
	s := newServer(t, handOver(legs), trunksOf(t,
		trunk.Config{Name: "mine", Allow: []string{"127.0.0.1"}, Transfers: "on"},
		trunk.Config{Name: "theirs", Allow: []string{"127.0.0.2"}, Transfers: "on"},
	))
	d := newUDPPeer(t, s.udp).call()
	leg := <-legs
	q := listenOn(t, elsewhere(t), s.udp).dialogue()
	q.extra = []string{"Replaces: " + d.callID + ";to-tag=" + d.toTag + ";from-tag=" + d.tag}
	q.invite(testSDP)
	m := q.final("INVITE")
	if m.status() != 481 {
		t.Error(m.start)
	}
	q.ackRefusal(m)
	d.bye()
	await[telephony.Ended](t, leg)
	s.idle(t)
}

func FuzzReplaces(f *testing.F) {
	for _, s := range []string{
		"a@b;to-tag=1;from-tag=2", "a ; from-tag = 2 ; to-tag = 1 ; early-only", "a;to-tag=1;to-tag=2;from-tag=3", ";to-tag=1;from-tag=2",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		d, ok := parseReplaces(value)
		if !ok {
			return
		}
		if again, ok := parseReplaces(d.String()); !ok || again != d {
			t.Fatalf("%q is %+v, and written again %+v", value, d, again)
		}
	})
}
