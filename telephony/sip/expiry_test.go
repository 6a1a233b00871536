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

// hurried makes a second of a session timer last d.
func hurried(d time.Duration) func(*Config) { return func(c *Config) { c.second = d } }

// brisk is a second of the tests that answer a refresh: of the shortest session
// 900 ms are left to do so, on a machine that is busy with others too.
const brisk = 20 * time.Millisecond

// What is agreed by the fields of an INVITE to us (RFC 4028 section 9, table 2).
func TestSessionTimerAsked(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name         string
		extra        []string
		expires      string
		require      bool
		status, more int
	}{
		{name: "a peer without timers", extra: nil},
		{name: "a peer that could", extra: []string{"Supported: timer"}, expires: "1800;refresher=uas"},
		{
			name: "one that asks", extra: []string{"Supported: timer", "Session-Expires: 600"},
			expires: "600;refresher=uac", require: true,
		},
		{name: "in compact form", extra: []string{"k: path, timer", "x: 600;refresher=uas"}, expires: "600;refresher=uas"},
		{
			name: "one that demands", extra: []string{"Require: timer", "Session-Expires: 600 ; refresher = UAC"},
			expires: "600;refresher=uac", require: true,
		},
		{name: "longer than we want", extra: []string{"Supported: timer", "Session-Expires: 4000;refresher=uas"}, expires: "1800;refresher=uas"},
		{
			name:  "not shorter than the peer allows",
			extra: []string{"Supported: timer", "Session-Expires: 4000;refresher=uas", "Min-SE: 3000"}, expires: "3000;refresher=uas",
		},
		{name: "put in by a proxy", extra: []string{"Session-Expires: 60"}, expires: "90;refresher=uas"},
		{name: "too short", extra: []string{"Supported: timer", "Session-Expires: 60"}, status: 422},
		{name: "nonsense", extra: []string{"Supported: timer", "Session-Expires: soon"}, expires: "1800;refresher=uas"},
	}
	s := newServer(t, answerAll)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d := newUDPPeer(t, s.udp).dialogue()
			d.extra = tt.extra
			d.invite(testSDP)
			m := d.final("INVITE")
			if tt.status != 0 {
				if m.status() != tt.status || m.get("Min-Se") != "90" {
					t.Errorf("%s, Min-SE %q", m.start, m.get("Min-Se"))
				}
				d.ackRefusal(m)
				return
			}
			d.learn(m)
			d.extra = nil
			d.ack("")
			if got := m.get("Session-Expires"); got != tt.expires || (m.get("Require") == "timer") != tt.require ||
				m.get("Supported") != supported {
				t.Errorf("Session-Expires %q, want %q; Require %q, Supported %q", got, tt.expires, m.get("Require"), m.get("Supported"))
			}
			d.bye()
		})
	}
}

// A caller that asks for timers, with an interval of 90 s.
var shortest = []string{"Supported: timer", "Session-Expires: 90;refresher=uas", "Allow: INVITE, ACK, BYE, UPDATE"}

// The session is refreshed by us: by UPDATE without a body where the peer takes
// it, else by INVITE with the description as it was (RFC 4028 section 7.4).
func TestSessionRefreshOfOurs(t *testing.T) {
	t.Parallel()
	s := newServer(t, answerAll, hurried(brisk))
	p := newUDPPeer(t, s.udp)
	d := p.dialogue()
	d.extra = shortest
	d.invite(testSDP)
	ours := d.ok().body
	d.ack("")
	first := p.request("UPDATE")
	if first.body != "" || first.get("Session-Expires") != "90;refresher=uac" || first.get("Min-Se") != "90" ||
		first.get("Contact") == "" {
		t.Errorf("UPDATE %v %q", first.head, first.body)
	}
	p.reply(first, 200, "OK", "", "", "Session-Expires: 90;refresher=uac")
	next := p.request("UPDATE")
	if next.seq() != first.seq()+1 {
		t.Errorf("CSeq %d behind %d", next.seq(), first.seq())
	}
	p.reply(next, 500, "Server Internal Error", "", "") // tried again while there is time
	p.reply(p.request("UPDATE"), 422, "Session Interval Too Small", "", "", "Min-SE: 120")
	longer := p.request("UPDATE")
	if longer.get("Session-Expires") != "120;refresher=uac" || longer.get("Min-Se") != "120" {
		t.Errorf("behind the 422: %v", longer.head)
	}
	p.reply(longer, 405, "Method Not Allowed", "", "")
	again := p.request("INVITE")
	if again.body != ours || again.get("Session-Expires") != "120;refresher=uac" {
		t.Errorf("re-INVITE %v\n%q\nwant the description\n%q", again.head, again.body, ours)
	}
	p.reply(again, 200, "OK", "", testSDP, "Session-Expires: 120;refresher=uac")
	p.request("ACK")
	again = p.request("INVITE")
	if again.body != ours {
		t.Errorf("another re-INVITE with %q", again.body)
	}
	p.reply(again, 200, "OK", "", testSDP) // without: the session lasts from now on
	p.request("ACK")
	for _, m := range p.drain(100 * brisk) {
		t.Errorf("then %s", m.start)
	}
	d.extra = nil
	d.bye()
	s.idle(t)
}

// A session on hold is refreshed as it is and stays held.
func TestSessionRefreshOnHold(t *testing.T) {
	t.Parallel()
	legs := make(chan telephony.Leg, 1)
	s := newServer(t, handOver(legs), hurried(brisk))
	p := newUDPPeer(t, s.udp)
	d := p.dialogue()
	d.extra = []string{"Supported: timer", "Session-Expires: 90;refresher=uas", "Allow: INVITE, ACK, BYE"}
	d.invite(testSDP)
	d.ok()
	d.ack("")
	leg := <-legs
	inactive := strings.Replace(testSDP, "a=sendrecv", "a=inactive", 1)
	d.invite(inactive)
	ours := d.ok().body
	d.ack("")
	await[telephony.Held](t, leg)
	again := p.request("INVITE")
	if again.body != ours || !strings.Contains(again.body, "a=inactive") {
		t.Errorf("refreshed with %q, want %q", again.body, ours)
	}
	held := make(chan error, 1)
	go func() { held <- leg.Hold(t.Context(), true) }() // has to wait
	p.reply(again, 200, "OK", "", inactive, "Session-Expires: 90;refresher=uac")
	p.request("ACK")
	offer := p.request("INVITE")
	if !strings.Contains(offer.body, "a=sendonly") {
		t.Errorf("behind the refresh: %q", offer.body)
	}
	p.reply(offer, 200, "OK", "", inactive, "Session-Expires: 90;refresher=uac")
	if err := <-held; err != nil {
		t.Error(err)
	}
	d.extra = nil
	d.invite(testSDP)
	d.ok()
	d.ack("")
	await[telephony.Resumed](t, leg) // once: nothing told of it before
	d.bye()
	for e := range leg.Events() {
		switch e.(type) {
		case telephony.Held, telephony.Resumed:
			t.Errorf("%T", e)
		}
	}
	s.idle(t)
}

// A session that nobody refreshes is ended by BYE, and so is one whose refresh
// the peer does not know or does not answer.
func TestSessionExpires(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, timer string
		status      int // the answer to our refresh, 0: none
		reason      telephony.Reason
	}{
		{"the peer does not refresh", "Session-Expires: 90;refresher=uac", 0, telephony.ReasonSession},
		{"the peer does not answer", "Session-Expires: 90;refresher=uas", 0, telephony.ReasonSession},
		{"the peer refuses until the end", "Session-Expires: 90;refresher=uas", 500, telephony.ReasonSession},
		{"the peer has no such call", "Session-Expires: 90;refresher=uas", 481, telephony.ReasonFailed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			legs := make(chan telephony.Leg, 1)
			s := newServer(t, handOver(legs), hurried(brisk))
			p := newUDPPeer(t, s.udp)
			d := p.dialogue()
			d.extra = []string{"Supported: timer", tt.timer, "Allow: INVITE, ACK, BYE, UPDATE"}
			d.invite(testSDP)
			d.ok()
			d.ack("")
			leg := <-legs
			bye := p.next("BYE", func(m *wire) bool {
				if m.method() == "UPDATE" && tt.status != 0 {
					p.reply(m, tt.status, "No", "", "")
				}
				return m.method() == "BYE"
			})
			p.reply(bye, 200, "OK", "", "")
			if c := await[telephony.Ended](t, leg).Cause; c.Reason != tt.reason {
				t.Errorf("ended %v, want %s", c, tt.reason)
			}
			s.idle(t)
		})
	}
}

// A call of ours asks for a timer, for a longer one where the peer wants that,
// and keeps the role that the answer gives it.
func TestSessionTimerOfOurCall(t *testing.T) {
	t.Parallel()
	p := newUDPPeer(t, "")
	s := newServer(t, answerAll, trunkTo(p), hurried(time.Millisecond))
	leg := s.dial(t.Context(), t)
	first := p.request("INVITE")
	if first.get("Session-Expires") != "1800" || first.get("Min-Se") != "90" || first.get("Supported") != supported {
		t.Errorf("INVITE %v", first.head)
	}
	p.reply(first, 422, "Session Interval Too Small", "far", "", "Min-SE: 2400")
	p.request("ACK")
	invite := p.request("INVITE")
	if invite.get("Session-Expires") != "2400" || invite.get("Min-Se") != "2400" || invite.seq() != first.seq()+1 ||
		invite.get("Call-Id") != first.get("Call-Id") || invite.get("From") != first.get("From") ||
		invite.get("Via") == first.get("Via") {
		t.Errorf("behind the 422: %v", invite.head)
	}
	p.reply(invite, 200, "OK", "far", testSDP, "Session-Expires: 2400;refresher=uac", "Require: timer", "Allow: INVITE, UPDATE")
	p.request("ACK")
	await[telephony.Answered](t, leg)
	update := p.request("UPDATE")
	if update.get("Session-Expires") != "2400;refresher=uac" {
		t.Errorf("refresh %v", update.head)
	}
	p.reply(update, 200, "OK", "", "", "Session-Expires: 2400;refresher=uas") // they do it from now on
	d := farSide(p, invite)
	d.extra = []string{"Supported: timer"}
	d.do("UPDATE", "", "Session-Expires: 2400;refresher=uac")
	if m := d.response("UPDATE", 200); m.get("Session-Expires") != "2400;refresher=uac" || m.get("Require") != "timer" {
		t.Errorf("their refresh: %v", m.head)
	}
	d.do("UPDATE", "", "Session-Expires: 30")
	if m := d.final("UPDATE"); m.status() != 422 {
		t.Error(m.start)
	}
	p.reply(p.request("BYE"), 200, "OK", "", "") // none came in time
	if c := await[telephony.Ended](t, leg).Cause; c.Reason != telephony.ReasonSession || c.Remote {
		t.Errorf("ended %v", c)
	}
	s.idle(t)
}

// farSide is the dialogue of a call that was placed to the peer and answered
// under the tag "far".
func farSide(p *peer, invite *wire) *dialogue {
	return &dialogue{
		peer: p, callID: invite.get("Call-Id"), tag: "far", toTag: tagOf(invite.get("From")), seq: 7,
		target: strings.Trim(invite.get("Contact"), "<>"),
	}
}

// Telephone systems of mobile networks send a second INVITE at once, for the
// timer's sake (livekit/sip#438): behind the ACK, or before it.
func TestSecondInviteAtOnce(t *testing.T) {
	t.Parallel()
	eachTransport(t, func(t *testing.T, s *server, p *peer) {
		for _, overtakes := range []bool{false, true} {
			d := p.dialogue()
			d.extra = []string{"Supported: timer, 100rel", "Session-Expires: 1800"}
			d.invite(testSDP)
			first := d.ok()
			acked := d.seq
			if !overtakes {
				d.ack("")
			}
			d.extra[1] = "Session-Expires: 1800;refresher=uac"
			d.invite(testSDP)
			if overtakes {
				d.seq--
				d.ack("")
				d.seq++
			}
			m := d.next("200 to the second INVITE", func(m *wire) bool {
				return m.of() == "INVITE" && m.seq() == acked+1 && m.status() >= 200
			})
			if m.status() != 200 || m.body != first.body || m.get("Session-Expires") != "1800;refresher=uac" {
				t.Errorf("%s %v %q", m.start, m.head, m.body)
			}
			d.ack("")
			d.extra = nil
			d.bye()
		}
		s.idle(t)
	}, answerAll)
}

// A call of 30 minutes with a session timer kept by either side, hold and unhold
// every minute, on a clock that runs 100 and 250 times as fast (user-needs 19, 20).
func TestHalfHourCall(t *testing.T) {
	t.Parallel()
	t.Run("kept by us, an inbound call", func(t *testing.T) {
		t.Parallel()
		halfHour(t, 10*time.Millisecond, true, false)
	})
	t.Run("kept by the peer, a call of ours", func(t *testing.T) {
		t.Parallel()
		halfHour(t, 4*time.Millisecond, false, true)
	})
}

func halfHour(t *testing.T, second time.Duration, ours, outbound bool) {
	legs := make(chan telephony.Leg, 1)
	p := newUDPPeer(t, "")
	s := newServer(t, handOver(legs), trunkTo(p), hurried(second))
	var d *dialogue
	var leg telephony.Leg
	interval := "300"
	if ours {
		interval = "90" // a refresh between any two changes
	}
	timer := "Session-Expires: " + interval + ";refresher=uas"
	if ours == outbound {
		timer = "Session-Expires: " + interval + ";refresher=uac"
	}
	if outbound {
		leg = s.dial(t.Context(), t)
		invite := p.request("INVITE")
		p.reply(invite, 200, "OK", "far", testSDP, timer, "Allow: INVITE, ACK, BYE, UPDATE")
		p.request("ACK")
		d = farSide(p, invite)
		await[telephony.Answered](t, leg)
	} else {
		p.to, _ = net.ResolveUDPAddr("udp", s.udp)
		d = p.dialogue()
		d.extra = []string{"Supported: timer", timer, "Allow: INVITE, ACK, BYE, UPDATE"}
		d.invite(testSDP)
		d.ok()
		d.ack("")
		leg = <-legs
	}
	d.extra = []string{"Supported: timer", "Allow: INVITE, ACK, BYE, UPDATE"}
	role := ";refresher=uac" // of a request of the peer
	if ours {
		role = ";refresher=uas"
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	refreshes, versions := 0, map[string]bool{}
	// serve answers what we are asked until the message that is waited for.
	serve := func(what string, ok func(*wire) bool) *wire {
		return p.next(what, func(m *wire) bool {
			if m.method() == "UPDATE" {
				refreshes++
				p.reply(m, 200, "OK", "", "", "Session-Expires: "+m.get("Session-Expires"))
			}
			return ok(m)
		})
	}
	begun := time.Now()
	for minute := 0; time.Since(begun) < 1800*second; minute++ {
		for _, direction := range []string{"a=sendonly", "a=sendrecv"} {
			if minute%6 == 5 { // by us
				done := make(chan error, 1)
				go func() { done <- leg.Hold(ctx, direction == "a=sendonly") }()
				m := serve("INVITE", func(m *wire) bool { return m.method() == "INVITE" })
				back := strings.Replace(testSDP, "a=sendrecv", strings.Replace(direction, "sendonly", "recvonly", 1), 1)
				p.reply(m, 200, "OK", "", back, "Session-Expires: "+m.get("Session-Expires"))
				if err := <-done; err != nil {
					t.Fatal(err)
				}
				continue
			}
			d.seq++
			d.branch = freshBranch()
			d.invited = d.seq
			d.send(strings.Replace(testSDP, "a=sendrecv", direction, 1), append(d.lines("INVITE", d.seq, d.branch),
				"Content-Type: application/sdp", "Session-Expires: "+interval+role)...)
			m := serve("200 to INVITE", func(m *wire) bool { return m.status() == 200 && m.of() == "INVITE" && m.seq() == d.seq })
			d.ack("")
			versions[strings.SplitN(m.body, "\r\n", 3)[1]] = true
		}
		end := time.After(60 * second)
		for over := false; !over; {
			select {
			case m := <-p.in:
				if m.method() == "UPDATE" {
					refreshes++
					p.reply(m, 200, "OK", "", "", "Session-Expires: "+m.get("Session-Expires"))
				}
				if m.method() == "BYE" {
					t.Fatalf("BYE in minute %d", minute)
				}
			case <-end:
				over = true
			}
		}
		if !ours {
			d.do("UPDATE", "", "Session-Expires: "+interval+role)
			d.response("UPDATE", 200)
		}
	}
	d.extra = nil
	d.bye()
	if c := await[telephony.Ended](t, leg).Cause; c.Reason != telephony.ReasonNormal || !c.Remote {
		t.Errorf("ended %v", c)
	}
	if ours == (refreshes == 0) {
		t.Errorf("%d refreshes of ours", refreshes)
	}
	t.Logf("%d refreshes of ours, %d versions of our description", refreshes, len(versions))
	s.idle(t)
}

// FuzzExpires: whatever a peer writes, what is taken of it is a time in seconds
// and a role, and is read again as it is written.
func FuzzExpires(f *testing.F) {
	for _, s := range []string{"1800", "90;refresher=uas", " 4294967296 ; x=y;refresher = UAC", "-1", "0", ";;=", "12;refresher"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		n, role, ok := parseExpires(value)
		if !ok {
			return
		}
		if n <= 0 || role != "" && role != "uac" && role != "uas" {
			t.Fatalf("%q: %d %q", value, n, role)
		}
		if m, again, ok := parseExpires(fmt.Sprintf("%d;refresher=%s", n, role)); !ok || m != n || again != role {
			t.Fatalf("%q: %d %q, again %d %q", value, n, role, m, again)
		}
	})
}

// A peer that wants more each time is not followed for ever: neither at the start
// of a call nor within it, where the refresh has failed then.
func TestMinSEThatGrows(t *testing.T) {
	t.Parallel()
	p := newUDPPeer(t, "")
	s := newServer(t, answerAll, trunkToWith(trunk.Config{SessionExpires: 90 * time.Second}, p), hurried(brisk))
	leg := s.dial(t.Context(), t)
	invite := p.request("INVITE")
	p.reply(invite, 200, "OK", "far", testSDP, "Session-Expires: 90;refresher=uac", "Require: timer", "Allow: INVITE, UPDATE")
	p.request("ACK")
	await[telephony.Answered](t, leg)
	asked, last := 0, 0
	for {
		m := p.next("a refresh, or the end", func(m *wire) bool { return m.method() == "UPDATE" || m.method() == "BYE" })
		if m.method() == "BYE" {
			p.reply(m, 200, "OK", "", "")
			break
		}
		if m.seq() > last {
			asked, last = asked+1, m.seq()
		}
		p.reply(m, 422, "Session Interval Too Small", "", "", fmt.Sprintf("Min-SE: %d", 100+asked))
	}
	// Four at first, then one in each sixteenth of the time that is left.
	if asked < 4 || asked > 4+8 {
		t.Errorf("asked %d times", asked)
	}
	if c := await[telephony.Ended](t, leg).Cause; c.Reason != telephony.ReasonSession {
		t.Errorf("ended %v", c)
	}
	leg = s.dial(t.Context(), t)
	for i := range maxBrief + 1 {
		m := p.request("INVITE")
		p.reply(m, 422, "Session Interval Too Small", fmt.Sprint("far", i), "", fmt.Sprintf("Min-SE: %d", 100+i))
		p.request("ACK")
	}
	if c := await[telephony.Ended](t, leg).Cause; c.Status != 422 {
		t.Errorf("ended %v", c)
	}
	s.idle(t)
}
