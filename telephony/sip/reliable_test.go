package sip

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/telephony"
)

// rings tells of early media and answers when the test says.
func rings(answer <-chan struct{}, early bool) telephony.Handler {
	return handler(func(ctx context.Context, leg telephony.Leg) {
		_ = leg.Progress(ctx, early)
		select {
		case <-answer:
		case <-ctx.Done():
			return
		}
		if leg.Answer(ctx) == nil {
			<-ctx.Done()
		}
	})
}

// prack confirms a provisional response.
func (d *dialogue) prack(m *wire, body string) *wire {
	d.t.Helper()
	d.learn(m)
	extra := []string{"RAck: " + m.get("Rseq") + " " + m.get("Cseq")}
	if body != "" {
		extra = append(extra, "Content-Type: application/sdp")
	}
	d.do("PRACK", body, extra...)
	return d.final("PRACK")
}

// A caller that requires reliable provisional responses gets them: repeated
// until the PRACK, the answer within, no 200 before it (RFC 3262 section 3).
func TestReliableEarlyMedia(t *testing.T) {
	t.Parallel()
	answer := make(chan struct{}, 4)
	eachTransport(t, func(t *testing.T, s *server, p *peer) {
		d := p.dialogue()
		d.extra = []string{"Require: 100rel"}
		d.invite(testSDP)
		d.extra = nil
		first := d.response("INVITE", 183)
		again := d.response("INVITE", 183)
		if first.get("Require") != "100rel" || first.get("Rseq") == "" || !strings.Contains(first.body, "m=audio") ||
			again.get("Rseq") != first.get("Rseq") || again.body != first.body || first.get("Contact") == "" {
			t.Errorf("183 %v %q, again %v", first.head, first.body, again.head)
		}
		answer <- struct{}{} // the 200 has to wait
		d.learn(first)
		d.do("UPDATE", testSDP, "Content-Type: application/sdp") // their offer has no answer that counts yet
		if m := d.final("UPDATE"); m.status() != 500 || m.get("Retry-After") == "" {
			t.Errorf("UPDATE: %s", m.start)
		}
		d.do("PRACK", "", "RAck: 1 1 INVITE")
		if m := d.final("PRACK"); m.status() != 481 {
			t.Errorf("a PRACK of nothing: %s", m.start)
		}
		for _, m := range p.drain(2 * testT1) {
			if m.status() == 200 && m.of() == "INVITE" {
				t.Error("200 before the PRACK")
			}
		}
		if m := d.prack(first, ""); m.status() != 200 {
			t.Errorf("PRACK: %s", m.start)
		}
		d.seq = d.invited
		ok := d.ok()
		if ok.body != "" || ok.get("Require") != "" {
			t.Errorf("200 %v %q", ok.head, ok.body)
		}
		d.ack("")
		d.seq += 3
		if m := d.prack(first, ""); m.status() != 481 {
			t.Errorf("a PRACK behind the answer: %s", m.start)
		}
		d.bye()
		s.idle(t)
	}, rings(answer, true))
}

// Offers in the early dialog: in a PRACK and in an UPDATE, each answered by the
// answer to it (RFC 3262 section 5, RFC 3311).
func TestEarlyOffers(t *testing.T) {
	t.Parallel()
	answer := make(chan struct{}, 4)
	eachTransport(t, func(t *testing.T, s *server, p *peer) {
		d := p.dialogue()
		d.extra = []string{"Require: 100rel"}
		d.invite(testSDP)
		d.extra = nil
		m := d.prack(d.response("INVITE", 183), sdpOf("8 101"))
		if m.status() != 200 || !strings.Contains(m.body, "RTP/AVP 8 101") {
			t.Errorf("PRACK with an offer: %s %q", m.start, m.body)
		}
		d.do("UPDATE", strings.Replace(testSDP, "a=sendrecv", "a=inactive", 1), "Content-Type: application/sdp")
		if m := d.response("UPDATE", 200); !strings.Contains(m.body, "a=inactive") {
			t.Errorf("UPDATE with an offer: %q", m.body)
		}
		d.do("UPDATE", sdpOf("18"), "Content-Type: application/sdp")
		if m := d.final("UPDATE"); m.status() != 488 {
			t.Errorf("UPDATE with an offer that cannot be: %s", m.start)
		}
		d.do("UPDATE", "")
		d.response("UPDATE", 200)
		d.do("UPDATE", testSDP, "Content-Type: application/sdp")
		if m := d.response("UPDATE", 200); !strings.Contains(m.body, "a=sendrecv") {
			t.Errorf("UPDATE with an offer: %q", m.body)
		}
		answer <- struct{}{}
		last := d.seq
		d.seq = d.invited
		if ok := d.ok(); ok.body != "" {
			t.Errorf("200 with %q", ok.body)
		}
		d.ack("")
		d.seq = last
		d.bye()
		s.idle(t)
	}, rings(answer, true))
}

// An INVITE without an offer that requires reliability: the offer goes out in
// the first 18x, the PRACK brings the answer.
func TestReliableLateOffer(t *testing.T) {
	t.Parallel()
	for _, early := range []bool{false, true} {
		answer := make(chan struct{}, 4)
		eachTransport(t, func(t *testing.T, s *server, p *peer) {
			d := p.dialogue()
			d.extra = []string{"Require: 100rel"}
			d.invite("")
			d.extra = nil
			status := 180
			if early {
				status = 183
			}
			ringing := d.response("INVITE", status)
			if !strings.Contains(ringing.body, "m=audio") || ringing.get("Rseq") == "" {
				t.Errorf("%s %q", ringing.start, ringing.body)
			}
			if m := d.prack(ringing, sdpOf("8 101")); m.status() != 200 || m.body != "" {
				t.Errorf("PRACK: %s %q", m.start, m.body)
			}
			answer <- struct{}{}
			d.seq = d.invited
			if ok := d.ok(); ok.body != "" {
				t.Errorf("200 with %q", ok.body)
			}
			d.ack("")
			d.seq++
			d.bye()

			d = p.dialogue() // an answer that is none
			d.extra = []string{"Require: 100rel"}
			d.invite("")
			d.extra = nil
			if m := d.prack(d.response("INVITE", status), ""); m.status() != 200 {
				t.Errorf("PRACK: %s", m.start)
			}
			if m := d.final("INVITE"); m.status() != 488 {
				t.Errorf("an INVITE without an answer: %s", m.start)
			}
			s.idle(t)
		}, rings(answer, early))
	}
}

// Without a PRACK the call is refused after 64*T1, and a CANCEL ends it before.
func TestNoPrack(t *testing.T) {
	t.Parallel()
	eachTransport(t, func(t *testing.T, s *server, p *peer) {
		d := p.dialogue()
		d.extra = []string{"Require: 100rel"}
		d.invite(testSDP)
		n, want := 0, d.seq
		m := d.next("a refusal", func(m *wire) bool {
			if m.status() == 183 {
				n++
			}
			return m.of() == "INVITE" && m.status() >= 200 && m.seq() == want
		})
		if m.status() != 504 || n < 6 || n > 8 { // at 0, 1, 3, 7, 15, 31 and 63 T1
			t.Errorf("%s behind %d 183", m.start, n)
		}
		d.ackRefusal(m)
		d = p.dialogue()
		d.extra = []string{"Require: 100rel"}
		d.invite(testSDP)
		d.response("INVITE", 183)
		d.send("", d.lines("CANCEL", d.seq, d.branch)...)
		if m := d.final("INVITE"); m.status() != 487 {
			t.Error(m.start)
		}
		s.idle(t)
	}, rings(nil, true))
}

// Reliable provisional responses to a call of ours get their PRACK, in their
// order and once; what they describe is heard.
func TestPrackOfOurs(t *testing.T) {
	t.Parallel()
	p := newUDPPeer(t, "")
	s := newServer(t, answerAll, trunkTo(p))
	leg := s.dial(t.Context(), t)
	invite := p.request("INVITE")
	reliably := func(rseq, status int, body string) {
		p.reply(invite, status, "Progress", "far", body, "Require: 100rel", "RSeq: "+strconv.Itoa(rseq), "Allow: UPDATE",
			"Contact: <sip:early@"+p.addr()+">")
	}
	reliably(7, 180, "")
	first := p.request("PRACK")
	if first.get("Rack") != fmt.Sprintf("7 %d INVITE", invite.seq()) || first.seq() != invite.seq()+1 ||
		!strings.HasPrefix(first.start, "PRACK sip:early@") || tagOf(first.get("To")) != "far" {
		t.Errorf("PRACK %q %v", first.start, first.head)
	}
	p.reply(first, 200, "OK", "", "")
	await[telephony.Ringing](t, leg)
	reliably(7, 180, "")         // again
	reliably(9, 183, sdpOf("8")) // 8 is missing: RFC 3262 section 4
	for _, m := range p.drain(4 * testT1) {
		t.Errorf("then %s %v", m.start, m.head)
	}
	reliably(8, 183, testSDP)
	second := p.request("PRACK")
	if second.get("Rack") != fmt.Sprintf("8 %d INVITE", invite.seq()) || second.seq() != first.seq()+1 {
		t.Errorf("second PRACK %v", second.head)
	}
	p.reply(second, 200, "OK", "", "")
	await[telephony.EarlyMedia](t, leg)
	if i := leg.Info(); i.Codec != "PCMU" {
		t.Errorf("codec %q: the 183 that was ahead was taken", i.Codec)
	}
	d := farSide(p, invite)
	d.do("UPDATE", sdpOf("8 101"), "Content-Type: application/sdp") // an offer in the early dialog
	if m := d.final("UPDATE"); m.status() != 200 || !strings.Contains(m.body, "RTP/AVP 8 101") {
		t.Errorf("UPDATE: %s %q", m.start, m.body)
	}
	p.reply(invite, 200, "OK", "far", "", "Contact: <sip:early@"+p.addr()+">")
	if ack := p.request("ACK"); ack.seq() != invite.seq() {
		t.Errorf("ACK %v", ack.head)
	}
	await[telephony.Answered](t, leg)
	_ = leg.Hangup(t.Context(), telephony.Cause{Reason: telephony.ReasonNormal})
	bye := p.request("BYE")
	if bye.seq() != second.seq()+1 {
		t.Errorf("BYE has CSeq %d, the second PRACK %d", bye.seq(), second.seq())
	}
	p.reply(bye, 200, "OK", "", "")
	s.idle(t)
}

// An offer from the callee before it has answered ours: 491 (RFC 3311 section 5.2).
func TestEarlyGlare(t *testing.T) {
	t.Parallel()
	p := newUDPPeer(t, "")
	s := newServer(t, answerAll, trunkTo(p))
	leg := s.dial(t.Context(), t)
	invite := p.request("INVITE")
	p.reply(invite, 180, "Ringing", "far", "")
	await[telephony.Ringing](t, leg)
	d := farSide(p, invite)
	d.do("UPDATE", testSDP, "Content-Type: application/sdp")
	if m := d.final("UPDATE"); m.status() != 491 {
		t.Error(m.start)
	}
	_ = leg.Hangup(t.Context(), telephony.Cause{Reason: telephony.ReasonNormal})
	p.reply(p.request("CANCEL"), 200, "OK", "far", "")
	p.reply(invite, 487, "Request Terminated", "far", "")
	s.idle(t)
}

// While our offer is open every other is refused: in an INVITE, in an UPDATE;
// an UPDATE without an offer is not one.
func TestGlareWithUpdate(t *testing.T) {
	t.Parallel()
	legs := make(chan telephony.Leg, 2)
	eachTransport(t, func(t *testing.T, s *server, p *peer) {
		d := p.call()
		leg := <-legs
		held := make(chan error, 1)
		go func() { held <- leg.Hold(t.Context(), true) }()
		ours := p.request("INVITE")
		d.do("UPDATE", testSDP, "Content-Type: application/sdp")
		if m := d.final("UPDATE"); m.status() != 491 {
			t.Errorf("UPDATE with an offer: %s", m.start)
		}
		d.do("UPDATE", "")
		d.response("UPDATE", 200)
		p.reply(ours, 200, "OK", "", strings.Replace(testSDP, "a=sendrecv", "a=recvonly", 1))
		p.request("ACK")
		if err := <-held; err != nil {
			t.Error(err)
		}
		d.do("UPDATE", testSDP, "Content-Type: application/sdp")
		if m := d.final("UPDATE"); m.status() != 200 {
			t.Errorf("UPDATE behind it: %s", m.start)
		}
		d.bye()
		s.idle(t)
	}, handOver(legs))
}

// An INVITE within the dialog that is older than one that was seen: 500.
func TestLowerCSeq(t *testing.T) {
	t.Parallel()
	answer := make(chan struct{}, 2)
	eachTransport(t, func(t *testing.T, s *server, p *peer) {
		d := p.dialogue()
		d.invite(testSDP)
		d.learn(d.response("INVITE", 180))
		first := d.seq
		for _, seq := range []int{first + 1, first - 1} { // before the final answer: RFC 3261 section 14.2
			d.seq, d.invited = seq, seq
			d.send(testSDP, append(d.lines("INVITE", seq, freshBranch()), "Content-Type: application/sdp")...)
			m := d.final("INVITE")
			after, err := strconv.Atoi(m.get("Retry-After"))
			if m.status() != 500 || err != nil || after < 0 || after > 10 {
				t.Errorf("CSeq %d behind %d: %s Retry-After %q", seq, first, m.start, m.get("Retry-After"))
			}
		}
		answer <- struct{}{}
		d.seq, d.invited = first, first
		d.ok()
		d.ack("")
		d.seq += 2
		d.bye()
		s.idle(t)
	}, rings(answer, false))
}

// Early media of an inbound call: sound flows both ways before the answer, and
// goes on behind it.
func TestEarlyMediaBothWays(t *testing.T) {
	t.Parallel()
	answer, legs := make(chan struct{}), make(chan telephony.Leg, 1)
	ear := &levels{heard: make(chan int, 1)}
	s := newServer(t, handler(func(ctx context.Context, leg telephony.Leg) {
		leg.Connect(ear, sound{})
		_ = leg.Progress(ctx, true)
		legs <- leg
		<-answer
		if leg.Answer(ctx) == nil {
			<-ctx.Done()
		}
	}))
	media, p := newRTPSocket(t), newUDPPeer(t, s.udp)
	d := p.dialogue()
	d.invite(media.sdp())
	progress := d.response("INVITE", 183)
	stop := make(chan struct{})
	go media.speak(mediaOf(t, progress.body), loud, stop)
	media.hears(t)
	ear.hears(t, loud)
	close(answer)
	if ok := d.ok(); ok.body != progress.body {
		t.Errorf("200 with %q behind %q", ok.body, progress.body)
	}
	d.ack("")
	media.hears(t)
	ear.hears(t, loud)
	close(stop)
	d.bye()
	if c := await[telephony.Ended](t, <-legs).Cause; c.Reason != telephony.ReasonNormal {
		t.Errorf("ended %v", c)
	}
	s.idle(t)
}

// Several branches of a call of ours have early media: the last one that sends
// is heard (section 4.4), and whoever answers is heard from then on.
func TestForkedEarlyMedia(t *testing.T) {
	t.Parallel()
	p := newUDPPeer(t, "")
	s := newServer(t, answerAll, trunkTo(p))
	leg := s.dial(t.Context(), t)
	ear := &levels{heard: make(chan int, 1)}
	leg.Connect(ear, sound{})
	invite := p.request("INVITE")
	to, stop := mediaOf(t, invite.body), make(chan struct{})
	defer close(stop)
	first, second := newRTPSocket(t), newRTPSocket(t)
	p.reply(invite, 183, "Session Progress", "first", first.sdp())
	await[telephony.EarlyMedia](t, leg)
	go first.speak(to, loud, stop)
	ear.hears(t, loud)
	first.hears(t)
	p.reply(invite, 183, "Session Progress", "second", second.sdp())
	await[telephony.EarlyMedia](t, leg)
	for range 30 {
		ear.hears(t, loud) // while the second is silent
	}
	go second.speak(to, soft, stop)
	ear.hears(t, soft)
	second.hears(t)
	p.reply(invite, 200, "OK", "first", first.sdp(), "Contact: <sip:first@"+p.addr()+">")
	if ack := p.request("ACK"); tagOf(ack.get("To")) != "first" {
		t.Errorf("ACK %v", ack.head)
	}
	await[telephony.Answered](t, leg)
	ear.hears(t, loud)
	_ = leg.Hangup(t.Context(), telephony.Cause{Reason: telephony.ReasonNormal})
	p.reply(p.request("BYE"), 200, "OK", "", "")
	s.idle(t)
}

// The mu-law bytes that the phones of these tests speak in.
const (
	loud = 0x90 // some -15000
	soft = 0xb0 // some -3000
)

// levels is a sink that tells how loud it is.
type levels struct{ heard chan int } // 1: the newest frame

func (l *levels) Hear(f audio.Frame) {
	if f.Lost || len(f.PCM) == 0 {
		return
	}
	level := max(int(f.PCM[len(f.PCM)/2]), -int(f.PCM[len(f.PCM)/2]))
	select {
	case <-l.heard:
	default:
	}
	select {
	case l.heard <- level:
	default:
	}
}

// hears waits for the level of a mu-law byte.
func (l *levels) hears(t *testing.T, level byte) {
	t.Helper()
	least, most := 8000, 1<<15
	if level == soft {
		least, most = 1000, 8000
	}
	limit := time.After(10 * time.Second)
	for {
		select {
		case v := <-l.heard:
			if v >= least && v < most {
				return
			}
		case <-limit:
			t.Fatalf("never heard the level of %#x", level)
		}
	}
}

// sound is a source that is loud.
type sound struct{}

func (sound) Next(dst []int16) bool {
	for i := range dst {
		dst[i] = int16(1000 * (i%8 - 4)) //nolint:gosec // small
	}
	return true
}

// rtpSocket is a phone's media: it counts what comes and sends when told.
type rtpSocket struct {
	net.PacketConn
	seq uint16
}

func newRTPSocket(t *testing.T) *rtpSocket {
	t.Helper()
	c, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return &rtpSocket{PacketConn: c}
}

// sdp is testSDP with the socket's port.
func (r *rtpSocket) sdp() string {
	return strings.Replace(testSDP, "40000", strconv.Itoa(r.LocalAddr().(*net.UDPAddr).Port), 1)
}

// hears waits for a packet.
func (r *rtpSocket) hears(t *testing.T) {
	t.Helper()
	_ = r.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, _, err := r.ReadFrom(make([]byte, 2000)); err != nil {
		t.Fatalf("no packet came: %v", err)
	}
}

// speak sends packets of PCMU whose every byte is level, until stop is closed.
func (r *rtpSocket) speak(to string, level byte, stop <-chan struct{}) {
	addr, _ := net.ResolveUDPAddr("udp", to)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		r.seq++
		b := append([]byte{0x80, 0}, make([]byte, 10)...)
		binary.BigEndian.PutUint16(b[2:], r.seq)
		binary.BigEndian.PutUint32(b[4:], uint32(r.seq)*160)
		b[8] = level // SSRC
		_, _ = r.WriteTo(append(b, bytes.Repeat([]byte{level}, 160)...), addr)
		select {
		case <-stop:
			return
		case <-tick.C:
		}
	}
}

// mediaOf is the address a description hears at.
func mediaOf(t *testing.T, sdp string) string {
	t.Helper()
	_, rest, _ := strings.Cut(sdp, "m=audio ")
	port, _, ok := strings.Cut(rest, " ")
	if !ok {
		t.Fatalf("no audio in %q", sdp)
	}
	return "127.0.0.1:" + port
}

// FuzzRack: what is taken of a RAck field is what stands there.
func FuzzRack(f *testing.F) {
	f.Add("776656 1 INVITE")
	f.Fuzz(func(t *testing.T, value string) {
		rseq, cseq, method, ok := rack(value)
		if !ok {
			return
		}
		if cseq > maxCSeq || method == "" || strings.ContainsAny(method, " \t\r\n") {
			t.Fatalf("%q: %d %d %q", value, rseq, cseq, method)
		}
	})
}
