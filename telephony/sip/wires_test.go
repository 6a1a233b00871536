package sip

import (
	"context"
	"fmt"
	"net"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/telephony/trunk"
)

// The faults of the library below that lie in the transport and the routing; the
// others are in faults_test.go and auth_test.go.

// sip:P8: the transport below forgets the addresses it has seen; those of
// unknown sources it never sees.
func TestP8PoolStaysSmall(t *testing.T) {
	t.Parallel()
	busy := func(c *Config) {
		c.maxRemotes = 20
		c.Accept = func(telephony.Info) (telephony.Cause, bool) {
			return telephony.Cause{Reason: telephony.ReasonBusy}, false
		}
	}
	s := newServer(t, answerAll, busy)
	for range 130 {
		p := newUDPPeer(t, s.udp)
		d := p.dialogue()
		d.invite(testSDP)
		m := d.final("INVITE")
		if m.status() != 486 {
			t.Fatal(m.start)
		}
		d.ackRefusal(m)
		p.close()
	}
	if n := s.stack.(*sipgo).transport.Pool("udp").Size(); n > 30 {
		t.Errorf("the pool has %d entries", n)
	}
	strange := newServer(t, answerAll, func(c *Config) {
		c.Trunks, _ = trunk.NewTable([]trunk.Config{{Name: "far", Allow: []string{"203.0.113.0/24"}}}, nil, "agent")
	})
	for range 50 {
		p := newUDPPeer(t, strange.udp)
		p.dialogue().invite(testSDP)
		p.close()
	}
	eventually(t, "50 counted", func() bool { return strange.Stats().DroppedUnknown >= 50 })
	if n := strange.stack.(*sipgo).transport.Pool("udp").Size(); n > 1 {
		t.Errorf("the pool has %d entries, want the listener's own", n)
	}
}

// sip:P9: OPTIONS leaves no transaction behind, and has a rate per source.
func TestP9OptionsFlood(t *testing.T) {
	t.Parallel()
	s := newServer(t, answerAll, func(c *Config) { c.Limits.Options = 10 })
	p := newUDPPeer(t, s.udp)
	d := p.dialogue()
	var answers []*wire
	begun := time.Now()
	for i := range 500 {
		d.do("OPTIONS", "")
		if i%50 == 49 { // no more than the socket holds
			answers = append(answers, p.drain(testT1)...)
		}
	}
	eventually(t, "the flood is seen", func() bool {
		answers = append(answers, p.drain(time.Millisecond)...)
		return s.Stats().DroppedLimited+uint64(len(answers)) >= 500
	})
	took := time.Since(begun)
	if n := len(answers); n < 10 || n > 20+10*int(took/time.Second) {
		t.Errorf("%d answers to 500 OPTIONS within %s at 10 per second", n, took)
	}
	for _, m := range answers {
		if m.status() != 200 || m.get("Allow") != allow {
			t.Fatalf("%s, Allow %q", m.start, m.get("Allow"))
		}
	}
	store := reflect.ValueOf(s.stack.(*sipgo).txs).Elem().FieldByName("serverTransactions").Elem().FieldByName("items")
	if n := store.Len(); n != 0 {
		t.Errorf("%d transactions", n)
	}
}

// sip:P10: what a peer sends wrong does not fill the log, and no credential
// gets into it.
func TestP10LogOfBadMessages(t *testing.T) {
	t.Parallel()
	core, logs := observer.New(zapcore.DebugLevel)
	s := newServer(t, answerAll, func(c *Config) { c.Log = zap.New(core) })
	p := newUDPPeer(t, s.udp)
	for i := range 200 {
		if i%4 == 0 { // no more than the socket holds
			eventually(t, "the ones before are counted", func() bool { return s.Stats().Malformed >= uint64(i) })
		}
		p.raw("INVITE sip:x SIP/2.0\r\nAuthorization: Digest response=\"c4n4ry\"\r\nX: " + strings.Repeat("y", 20000) + "\r\n\r\n")
	}
	eventually(t, "200 counted", func() bool { return s.Stats().Malformed >= 200 })
	// The same through the library's logger, as it writes it.
	log := newSlog(zap.New(core))
	for range 200 {
		log.Error("failed to parse", "data", "Proxy-Authorization: c4n4ry\r\na=crypto:1 c4n4ry\r\n"+strings.Repeat("z", 20000))
	}
	all := logs.All()
	seconds := int(all[len(all)-1].Time.Unix()-all[0].Time.Unix()) + 1
	if most := 10 + 2*libLogLines*seconds; len(all) > most { // two gates; 10 are of the server's start
		t.Errorf("%d log lines in %d s for 400 bad messages, want at most %d", len(all), seconds, most)
	}
	for _, e := range all {
		line := e.Message + fmt.Sprint(e.ContextMap())
		if len(line) > 3*libLogBytes || strings.Contains(line, "c4n4ry") {
			t.Errorf("log line of %d bytes: %.300s", len(line), line)
		}
	}
}

// sip:P11: several ports of one transport all work, and a call keeps to the
// one it came to.
func TestP11SeveralPorts(t *testing.T) {
	t.Parallel()
	s := newServer(t, handler(func(ctx context.Context, leg telephony.Leg) { _ = leg.Answer(ctx) }), func(c *Config) {
		c.Listen = []string{"udp://127.0.0.1:0", "udp://127.0.0.1:0", "udp://127.0.0.1:0"}
	})
	for _, a := range s.Addrs() {
		c, err := net.ListenPacket("udp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
		p := newUDPPeer(t, a.String())
		d := p.dialogue()
		d.invite(testSDP)
		ok := d.ok()
		if !strings.Contains(ok.get("Contact"), a.String()) {
			t.Errorf("Contact %q, the call came to %s", ok.get("Contact"), a)
		}
		d.ack("")
		bye := p.request("BYE")
		if !strings.Contains(bye.get("Via"), " "+a.String()+";") {
			t.Errorf("BYE Via %q, the call came to %s", bye.get("Via"), a)
		}
		if bye.from != a.String() {
			t.Errorf("BYE from %s, the call came to %s", bye.from, a)
		}
		p.reply(bye, 200, "OK", "", "")
	}
	s.idle(t)
}

// sip:P12: over TCP our requests in a dialog use the connection the call came
// over, whatever its Contact says.
func TestP12AcceptedConnection(t *testing.T) {
	t.Parallel()
	elsewhere, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = elsewhere.Close() }()
	opened := make(chan struct{}, 1)
	go func() {
		if c, err := elsewhere.Accept(); err == nil {
			opened <- struct{}{}
			_ = c.Close()
		}
	}()
	s := newServer(t, handler(func(ctx context.Context, leg telephony.Leg) { _ = leg.Answer(ctx) }))
	p := newTCPPeer(t, s.tcp)
	d := p.dialogue()
	d.extra = []string{"Contact: <sip:peer@" + elsewhere.Addr().String() + ";transport=tcp>"}
	d.invite(testSDP)
	d.ok()
	d.ack("")
	p.reply(p.request("BYE"), 200, "OK", "", "")
	s.idle(t)
	select {
	case <-opened:
		t.Error("a new connection was opened")
	default:
	}
}

// sip:P13: the route set is that of the dialog's beginning, strict routers get
// their form, and CANCEL has the INVITE's route and no other.
func TestP13Routes(t *testing.T) {
	t.Parallel()
	for _, strict := range []bool{true, false} {
		t.Run(fmt.Sprintf("strict %v", strict), func(t *testing.T) {
			t.Parallel()
			s := newServer(t, handler(func(ctx context.Context, leg telephony.Leg) { _ = leg.Answer(ctx) }))
			p := newUDPPeer(t, s.udp)
			d := p.dialogue()
			first, second := "sip:"+p.addr(), "sip:second.example.com;lr"
			if !strict {
				first += ";lr"
			}
			d.extra = []string{"Record-Route: <" + first + ">, <" + second + ">", "Contact: <sip:far@192.0.2.7:5099>"}
			d.invite(testSDP)
			d.ok()
			d.ack("")
			bye := p.request("BYE")
			wantURI, wantRoute := "sip:far@192.0.2.7:5099", "<"+first+">|<"+second+">"
			if strict {
				wantURI, wantRoute = first, "<"+second+">|<sip:far@192.0.2.7:5099>"
			}
			if got := strings.Fields(bye.start)[1]; got != wantURI {
				t.Errorf("Request-URI %s, want %s", got, wantURI)
			}
			if got := strings.Join(bye.head["Route"], "|"); got != wantRoute {
				t.Errorf("Route %s, want %s", got, wantRoute)
			}
			p.reply(bye, 200, "OK", "", "")
			s.idle(t)
		})
	}
	t.Run("cancel", func(t *testing.T) {
		t.Parallel()
		p := newUDPPeer(t, "")
		s := newServer(t, answerAll, trunkTo(p))
		leg := s.dial(t.Context(), t)
		invite := p.request("INVITE")
		p.reply(invite, 183, "Session Progress", "far", testSDP, "Record-Route: <sip:192.0.2.1;lr>")
		await[telephony.EarlyMedia](t, leg)
		_ = leg.Hangup(t.Context(), telephony.Cause{Reason: telephony.ReasonCancelled})
		c := p.request("CANCEL")
		if c.head["Route"] != nil || strings.Fields(c.start)[1] != strings.Fields(invite.start)[1] ||
			c.get("Via") != invite.get("Via") || c.seq() != invite.seq() || c.get("To") != invite.get("To") {
			t.Errorf("CANCEL %q Route %q Via %q CSeq %q To %q", c.start, c.head["Route"], c.get("Via"), c.get("Cseq"), c.get("To"))
		}
		p.reply(c, 200, "OK", "far", "")
		p.reply(invite, 487, "Request Terminated", "far", "")
		p.request("ACK")
		s.idle(t)
	})
}
