package sip

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/emiago/sipgo/sip"
	"github.com/miekg/dns"

	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/telephony/trunk"
)

// fastTime makes probes and registrations a hundred times as fast.
const fastTime = 10 * time.Millisecond

func quick(c *Config) { c.second = fastTime }

// registering is a trunk that registers at the peers.
func registering(peers ...*peer) func(*Config) {
	return trunkToWith(trunk.Config{Username: "ann", Password: "s3cret", Register: true}, peers...)
}

// nameServer answers with records as a zone file has them.
func nameServer(t testing.TB, lines ...string) string {
	t.Helper()
	pc, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	records := map[string][]dns.RR{}
	for _, line := range lines {
		rr, err := dns.NewRR(line)
		if err != nil {
			t.Fatal(err)
		}
		key := fmt.Sprint(strings.ToLower(rr.Header().Name), rr.Header().Rrtype)
		records[key] = append(records[key], rr)
	}
	up, done := make(chan struct{}), make(chan struct{})
	s := &dns.Server{PacketConn: pc, NotifyStartedFunc: func() { close(up) }}
	s.Handler = dns.HandlerFunc(func(w dns.ResponseWriter, ask *dns.Msg) {
		m := new(dns.Msg)
		m.SetReply(ask)
		m.Answer = records[fmt.Sprint(strings.ToLower(ask.Question[0].Name), ask.Question[0].Qtype)]
		_ = w.WriteMsg(m)
	})
	go func() {
		defer close(done)
		_ = s.ActivateAndServe()
	}()
	<-up
	t.Cleanup(func() {
		_ = s.Shutdown()
		<-done
	})
	return pc.LocalAddr().String()
}

// grant answers a REGISTER as a registrar does that knows others of the account
// as well.
func (p *peer) grant(m *wire, seconds int) {
	p.t.Helper()
	contact, _, _ := strings.Cut(m.get("Contact"), ";expires")
	p.reply(m, 200, "OK", "reg", "", "Expires: 4000",
		fmt.Sprintf("Contact: <sip:ann@203.0.113.99:5060>;expires=3600, %s;expires=%d;q=0.5", contact, seconds))
}

// registers is the next REGISTER that is no repetition of last.
func (p *peer) registers(last *wire) *wire {
	p.t.Helper()
	return p.next("REGISTER", func(m *wire) bool {
		return m.method() == "REGISTER" && (last == nil || m.seq() > last.seq() || m.get("Call-Id") != last.get("Call-Id"))
	})
}

const challengeBoth = `WWW-Authenticate: Digest realm="r", nonce="%[1]s", algorithm=MD5, qop="auth", ` +
	`Digest realm="r", nonce="%[1]s", algorithm=SHA-256, qop="auth,auth-int"`

// A registration: asked for, renewed well before its end under one Call-ID with
// rising CSeq and nonce count, a stale nonce taken, ended at the end.
func TestRegistration(t *testing.T) {
	t.Parallel()
	p := newUDPPeer(t, "")
	s := newServer(t, answerAll, registering(p), quick)
	first := p.registers(nil)
	if want := "REGISTER sip:" + p.addr() + " SIP/2.0"; first.start != want {
		t.Errorf("%s, want %s", first.start, want)
	}
	if aor := "<sip:ann@127.0.0.1>"; first.get("To") != aor || !strings.HasPrefix(first.get("From"), aor+";tag=") ||
		first.get("Contact") != "<sip:ann@"+s.udp+">;expires=600" || first.get("Expires") != "600" {
		t.Errorf("%v", first.head)
	}
	p.reply(first, 401, "Unauthorized", "reg", "", fmt.Sprintf(challengeBoth, "n1"))
	m := p.registers(first)
	digestOK(t, m, "Authorization", "SHA-256", hexSHA256)
	p.grant(m, 20) // renewed in 100 to 150 ms of the test's time
	eventually(t, "registered", func() bool { return s.registered() })
	if r := s.TrunkStatus("gw").Registration; r.Contact != "sip:ann@"+s.udp || !strings.Contains(r.Registrar, p.addr()) ||
		time.Until(r.Until) > 20*time.Second || r.Failures != 0 {
		t.Errorf("%+v", r)
	}
	seq, at := m.seq(), m.at
	for i := 2; i < 4; i++ {
		m = p.registers(m)
		if m.get("Call-Id") != first.get("Call-Id") || m.seq() <= seq || tagOf(m.get("From")) != tagOf(first.get("From")) {
			t.Errorf("renewed by %v", m.head)
		}
		if early := 9 * fastTime; m.at-at < early {
			t.Errorf("renewed after %s, granted 20 s of %s", m.at-at, fastTime)
		}
		digestOK(t, m, "Authorization", "SHA-256", hexSHA256)
		if want := fmt.Sprintf("nc=%08x", i); !strings.Contains(m.get("Authorization"), want) {
			t.Errorf("%s, want %s", m.get("Authorization"), want)
		}
		seq, at = m.seq(), m.at
		p.grant(m, 20)
	}
	// The nonce has become too old: the next one is taken at once.
	m = p.registers(m)
	p.reply(m, 401, "Unauthorized", "reg", "", fmt.Sprintf(challengeBoth, "n2")+`, stale=true`)
	m = p.registers(m)
	if a := m.get("Authorization"); !strings.Contains(a, `nonce="n2"`) || !strings.Contains(a, "nc=00000001") {
		t.Errorf("%s", a)
	}
	digestOK(t, m, "Authorization", "SHA-256", hexSHA256)
	p.grant(m, 1000)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.stop()
	}()
	m = p.registers(m)
	if m.get("Expires") != "0" || m.get("Contact") != "<sip:ann@"+s.udp+">;expires=0" {
		t.Errorf("ended by %v", m.head)
	}
	digestOK(t, m, "Authorization", "SHA-256", hexSHA256)
	p.reply(m, 200, "OK", "reg", "")
	<-ended
}

func (s *server) registered() bool { return s.hasRegistered("gw") }

func (s *server) hasRegistered(trunk telephony.TrunkID) bool {
	r := s.TrunkStatus(trunk).Registration
	return r != nil && r.Registered
}

// A registrar that sees us elsewhere, behind NAT, is told that place, and calls
// over the trunk say it too.
func TestRegistrationBehindNAT(t *testing.T) {
	t.Parallel()
	p := newUDPPeer(t, "")
	s := newServer(t, answerAll, registering(p), quick)
	seen := func(m *wire) *wire {
		via := m.head["Via"]
		via[0] = strings.Replace(via[0], ";rport", ";received=203.0.113.7;rport=4444", 1)
		return m
	}
	first := seen(p.registers(nil))
	p.grant(first, 1000)
	last := p.registers(first)
	if m := last; m.get("Contact") != "<sip:ann@"+s.udp+">;expires=0" {
		t.Errorf("what was said first does not end: %v", m.head)
	} else {
		p.reply(seen(m), 200, "OK", "reg", "")
	}
	m := p.registers(last)
	if m.get("Contact") != "<sip:ann@203.0.113.7:4444>;expires=600" {
		t.Errorf("%v", m.head)
	}
	p.grant(seen(m), 1000)
	eventually(t, "registered", func() bool { return s.registered() })
	leg := s.dial(t.Context(), t)
	invite := p.request("INVITE")
	if c := invite.get("Contact"); c != "<sip:203.0.113.7:4444>" {
		t.Errorf("Contact %s", c)
	}
	p.reply(invite, 486, "Busy Here", "far", "")
	await[telephony.Ended](t, leg)
	p.request("ACK")
	s.stopWhile(p)
}

// stopWhile stops the server while the peer answers that it unregisters.
func (s *server) stopWhile(p *peer) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.stop()
	}()
	p.reply(p.next("REGISTER of 0 s", func(m *wire) bool { return m.method() == "REGISTER" && m.get("Expires") == "0" }), 200,
		"OK", "reg", "")
	<-ended
}

// What a registrar may answer besides.
func TestRegistrationRefused(t *testing.T) {
	t.Parallel()
	t.Run("too brief", func(t *testing.T) {
		t.Parallel()
		p := newUDPPeer(t, "")
		s := newServer(t, answerAll, registering(p), quick)
		first := p.registers(nil)
		p.reply(first, 423, "Interval Too Brief", "reg", "", "Min-Expires: 1800")
		m := p.registers(first)
		if m.get("Expires") != "1800" {
			t.Errorf("asks for %s", m.get("Expires"))
		}
		p.grant(m, 1800)
		eventually(t, "registered", func() bool { return s.registered() })
		s.stopWhile(p)
	})
	t.Run("a wrong password", func(t *testing.T) {
		t.Parallel()
		p := newUDPPeer(t, "")
		s := newServer(t, answerAll, registering(p), quick)
		var m *wire
		for range 2 {
			m = p.registers(m)
			p.reply(m, 401, "Unauthorized", "reg", "", fmt.Sprintf(challengeBoth, "n"))
		}
		eventually(t, "refused", func() bool { return s.TrunkStatus("gw").Registration.Failures == 1 })
		if st := s.TrunkStatus("gw"); st.Error != "the trunk's password is wrong" || st.Registration.Registered || st.ErrorAt.IsZero() {
			t.Errorf("%+v", st)
		}
		again := p.registers(m) // not before 15 s of the test's time
		if again.at-m.at < 15*fastTime {
			t.Errorf("again after %s, refused with %s a second", again.at-m.at, fastTime)
		}
	})
	t.Run("busy for a while", func(t *testing.T) {
		t.Parallel()
		p := newUDPPeer(t, "")
		s := newServer(t, answerAll, registering(p), quick)
		m := p.registers(nil)
		p.reply(m, 503, "Service Unavailable", "reg", "", "Retry-After: 20 (soon)")
		again := p.registers(m)
		if again.at-m.at < 19*fastTime {
			t.Errorf("again after %s, asked to wait 20 s of %s", again.at-m.at, fastTime)
		}
		if st := s.TrunkStatus("gw"); !strings.Contains(st.Error, "503 Service Unavailable") {
			t.Errorf("%+v", st)
		}
		p.grant(again, 600)
		eventually(t, "registered", func() bool { return s.registered() })
		s.stopWhile(p)
	})
	t.Run("the next gateway where one is silent", func(t *testing.T) {
		t.Parallel()
		silent, p := newUDPPeer(t, ""), newUDPPeer(t, "")
		s := newServer(t, answerAll, registering(silent, p), quick, func(c *Config) { c.Retry = 2 * testT1 })
		silent.request("REGISTER")
		p.grant(p.registers(nil), 600)
		eventually(t, "registered", func() bool { return s.registered() })
		s.stopWhile(p)
	})
	t.Run("nobody, then a registrar that was away", func(t *testing.T) {
		t.Parallel()
		p := newUDPPeer(t, "")
		s := newServer(t, answerAll, registering(p), quick)
		m := p.registers(nil)
		p.grant(m, 4) // renewed in 20 to 30 ms
		p.registers(m)
		eventually(t, "lost", func() bool { return s.TrunkStatus("gw").Registration.Failures > 0 })
		again := p.next("REGISTER that is no repetition", func(n *wire) bool { return n.method() == "REGISTER" && n.seq() > m.seq()+1 })
		p.grant(again, 600)
		eventually(t, "registered again", func() bool { return s.registered() })
		s.stopWhile(p)
	})
}

// Draining ends the registration and no call; when it is over it is made again.
func TestDrainUnregisters(t *testing.T) {
	t.Parallel()
	p := newUDPPeer(t, "")
	s := newServer(t, answerAll, registering(p), quick)
	m := p.registers(nil)
	p.grant(m, 600)
	eventually(t, "registered", func() bool { return s.registered() })
	d := p.dialogueTo(s)
	d.invite(testSDP)
	d.ok()
	d.ack("")
	s.Drain(true)
	m = p.registers(m)
	if m.get("Expires") != "0" {
		t.Errorf("%v", m.head)
	}
	p.reply(m, 200, "OK", "reg", "")
	eventually(t, "unregistered", func() bool { return !s.registered() })
	s.Drain(false)
	m = p.registers(m)
	p.grant(m, 600)
	eventually(t, "registered again", func() bool { return s.registered() })
	d.bye()
	s.stopWhile(p)
}

// dialogueTo is a call that the peer places though it was spoken to first.
func (p *peer) dialogueTo(s *server) *dialogue {
	p.to, _ = net.ResolveUDPAddr("udp", s.udp)
	return p.dialogue()
}

// A trunk that goes away unregisters; one that changes does so before the new
// one registers.
func TestRegistrationFollowsTheTable(t *testing.T) {
	t.Parallel()
	p := newUDPPeer(t, "")
	s := newServer(t, answerAll, registering(p), quick)
	m := p.registers(nil)
	p.grant(m, 600)
	eventually(t, "registered", func() bool { return s.registered() })
	var same, other Config
	registering(p)(&same)
	s.SetTrunks(same.Trunks)
	for _, n := range p.drain(5 * fastTime) {
		if n.seq() > m.seq() {
			t.Errorf("the same trunk: %s", n.start)
		}
	}
	trunkToWith(trunk.Config{Username: "bob", Password: "s3cret", Register: true}, p)(&other)
	s.SetTrunks(other.Trunks)
	m = p.registers(m)
	if m.get("Expires") != "0" || !strings.Contains(m.get("To"), "ann") {
		t.Errorf("%v", m.head)
	}
	p.reply(m, 200, "OK", "reg", "")
	m = p.registers(m)
	if !strings.Contains(m.get("To"), "bob") {
		t.Errorf("%v", m.head)
	}
	p.grant(m, 600)
	eventually(t, "registered", func() bool { return s.registered() })
	s.SetTrunks(nil)
	m = p.registers(m)
	if m.get("Expires") != "0" {
		t.Errorf("%v", m.head)
	}
	p.reply(m, 200, "OK", "reg", "")
}

// Over TCP: registered over a connection, again at once when that is cut.
func TestRegistrationOverTCP(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	s := newServer(t, answerAll, quick, func(c *Config) {
		c.Trunks, _ = trunk.NewTable([]trunk.Config{{
			Name: "gw", Gateways: []string{"sip:" + ln.Addr().String() + ";transport=tcp"}, Username: "ann", Register: true,
		}}, nil, "agent")
	})
	for range 2 {
		conn, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		p := onConn(t, conn)
		m := p.registers(nil)
		if want := "<sip:ann@" + s.tcp + ";transport=tcp>;expires=600"; m.get("Contact") != want {
			t.Errorf("Contact %s, want %s", m.get("Contact"), want)
		}
		p.grant(m, 600)
		eventually(t, "registered", func() bool { return s.registered() })
		p.close()
	}
}

// A trunk that is taken away and given back at once registers behind the end of
// its registration: else that would end the new one.
func TestTrunkThatComesBack(t *testing.T) {
	t.Parallel()
	p := newUDPPeer(t, "")
	var cfg Config
	registering(p)(&cfg)
	s := newServer(t, answerAll, registering(p), quick)
	first := p.registers(nil)
	p.grant(first, 600)
	eventually(t, "registered", s.registered)
	none, err := trunk.NewTable(nil, nil, "agent")
	if err != nil {
		t.Fatal(err)
	}
	s.SetTrunks(none)
	end := p.registers(first)
	if end.get("Expires") != "0" {
		t.Errorf("behind the trunk's end: %v", end.head)
	}
	s.SetTrunks(none) // which changes nothing
	s.SetTrunks(cfg.Trunks)
	for _, m := range p.drain(testT1) {
		if m.get("Expires") != "0" {
			t.Errorf("registered before the end was answered: %v", m.head)
		}
	}
	p.reply(end, 200, "OK", "reg", "")
	m := p.next("REGISTER", func(m *wire) bool { return m.method() == "REGISTER" && m.get("Expires") != "0" })
	p.grant(m, 600)
	eventually(t, "registered", s.registered)
	s.stopWhile(p)
}

// A registrar that ends the connection behind each answer is asked again with
// pauses that grow: a storm would help nobody.
func TestRegistrarThatHangsUp(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	s := newServer(t, answerAll, quick, func(c *Config) {
		c.Trunks, _ = trunk.NewTable([]trunk.Config{{
			Name: "gw", Gateways: []string{"sip:" + ln.Addr().String() + ";transport=tcp"}, Username: "ann", Register: true,
		}}, nil, "agent")
	})
	_ = ln.(*net.TCPListener).SetDeadline(time.Now().Add(20 * time.Second)) // it would be renewed after 30 s
	begun := time.Now()
	for n := range 7 { // 1, 2, 4, 8, 16 and 32 s of the test's time behind the one before
		conn, err := ln.Accept()
		if err != nil {
			t.Fatalf("registered %d times: %v", n, err)
		}
		p := onConn(t, conn)
		p.grant(p.registers(nil), 6000)
		p.close()
	}
	if d := time.Since(begun); d < 60*fastTime {
		t.Errorf("registered 7 times within %s, want pauses that grow", d)
	}
	conn, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	p := onConn(t, conn)
	p.grant(p.registers(nil), 600)
	eventually(t, "registered", func() bool { return s.registered() })
	s.Drain(true)
	if m := p.next("the end of the registration", func(m *wire) bool { return m.get("Expires") == "0" }); m != nil {
		p.reply(m, 200, "OK", "reg", "")
	}
}

// A call that comes to the Contact of a registration, from an address that only
// the name servers know: its trunk is found, and what was dialled.
func TestCallOfRegisteredTrunk(t *testing.T) {
	t.Parallel()
	one, two := newUDPPeer(t, ""), newUDPPeer(t, "")
	infos := make(chan telephony.Info, 10)
	names := nameServer(t, "carrier.example. 60 IN A 127.0.0.1")
	port := func(p *peer) string { _, port, _ := net.SplitHostPort(p.addr()); return port }
	s := newServer(t, answerAll, quick, func(c *Config) {
		c.names = []string{names}
		c.Trunks, _ = trunk.NewTable([]trunk.Config{
			{Name: "gw", Gateways: []string{"sip:carrier.example:" + port(one)}, Username: "ann", Register: true},
			{Name: "other", Gateways: []string{"sip:carrier.example:" + port(two)}, Username: "bob", Register: true},
		}, nil, "agent")
		c.Accept = func(i telephony.Info) (telephony.Cause, bool) {
			infos <- i
			return telephony.Cause{Reason: telephony.ReasonBusy}, false
		}
	})
	one.grant(one.request("REGISTER"), 600)
	two.grant(two.request("REGISTER"), 600)
	eventually(t, "both are registered", func() bool { return s.registered() && s.hasRegistered("other") })
	for _, tt := range []struct {
		user, extra, trunk, to string
	}{
		{"ann", "", "gw", "+4930123456"},
		{"bob", "", "other", "+4930123456"},
		{"bob", "P-Called-Party-ID: <sip:+4930777@carrier.example>", "other", "+4930777"},
		{"+4930999", "", "gw", "+4930999"},
	} {
		d := one.dialogueTo(s)
		d.target = "sip:" + tt.user + "@" + s.udp
		if tt.extra != "" {
			d.extra = []string{tt.extra}
		}
		d.invite(testSDP)
		d.ackRefusal(d.response("INVITE", 486))
		if i := <-infos; string(i.Trunk) != tt.trunk || i.To != tt.to {
			t.Errorf("to %s: trunk %s, dialled %s", tt.user, i.Trunk, i.To)
		}
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.stop()
	}()
	for _, p := range []*peer{one, two} {
		p.reply(p.next("REGISTER of 0 s", func(m *wire) bool { return m.method() == "REGISTER" && m.get("Expires") == "0" }), 200,
			"OK", "reg", "")
	}
	<-ended
}

// When to try again, and when to renew: bounds of what chance decides.
func TestRegistrationTimes(t *testing.T) {
	t.Parallel()
	soon, refused := errors.New("nobody"), &registerError{refused: true}
	for _, tt := range []struct {
		err         error
		fails       int
		least, most time.Duration
	}{
		{soon, 0, 500 * time.Millisecond, time.Second},
		{soon, 1, time.Second, 2 * time.Second},
		{soon, 5, 16 * time.Second, 32 * time.Second},
		{soon, 6, 30 * time.Second, time.Minute},
		{soon, 1000, 30 * time.Second, time.Minute},
		{refused, 0, 15 * time.Second, 30 * time.Second},
		{refused, 3, 2 * time.Minute, 4 * time.Minute},
		{refused, 1000, 15 * time.Minute, 30 * time.Minute},
		{&registerError{after: 90 * time.Second}, 0, 90 * time.Second, 90 * time.Second},
		{&registerError{after: 100 * time.Hour}, 0, 30 * time.Minute, 30 * time.Minute},
	} {
		seen := map[time.Duration]bool{}
		for range 200 {
			d := retryIn(tt.err, tt.fails)
			if d < tt.least || d > tt.most {
				t.Errorf("%v after %d failures: %s", tt.err, tt.fails, d)
			}
			seen[d] = true
		}
		if tt.least != tt.most && len(seen) < 50 {
			t.Errorf("%v after %d failures: %d times of 200", tt.err, tt.fails, len(seen))
		}
	}
	for _, granted := range []time.Duration{20 * time.Second, time.Hour} {
		for range 200 {
			if d := renewIn(granted); d < granted/2 || d > granted*3/4 {
				t.Errorf("granted %s, renewed after %s", granted, d)
			}
		}
	}
	if d := renewIn(time.Second); d < time.Second {
		t.Errorf("granted a second, renewed after %s", d)
	}
}

// Which of the times in a 200 counts.
func TestGranted(t *testing.T) {
	t.Parallel()
	const ours = "sip:ann@192.0.2.1:5060"
	for _, tt := range []struct {
		name   string
		fields []string
		want   time.Duration
	}{
		{"our Contact's, among others", []string{
			"Expires: 900", "Contact: <sip:x@192.0.2.9>;expires=10",
			"Contact: <sip:ann@192.0.2.1:5060;ob>;expires=300;q=1",
		}, 300 * time.Second},
		{"Expires, where our Contact says nothing", []string{"Expires: 900", "Contact: <sip:ann@192.0.2.1:5060>"}, 900 * time.Second},
		{
			"of the one Contact that there is, though the registrar wrote it anew",
			[]string{"Contact: \"Ann\" <sip:ann@203.0.113.7:1024>;expires=60"},
			time.Minute,
		},
		{"Expires, where ours is not there", []string{
			"Expires: 70", "Contact: <sip:x@192.0.2.9>;expires=10",
			"Contact: <sip:y@192.0.2.9>;expires=20",
		}, 70 * time.Second},
		{"nothing said: as asked", nil, 600 * time.Second},
		{"no number", []string{"Expires: soon", "Contact: <sip:ann@192.0.2.1:5060>;expires=soon"}, 600 * time.Second},
		{"none at all", []string{"Contact: <sip:ann@192.0.2.1:5060>;expires=0"}, 0},
		{"longer than a day", []string{"Contact: <sip:ann@192.0.2.1:5060>;expires=4294967295"}, longestExpiry},
	} {
		res := sip.NewResponse(200, "OK")
		for _, f := range tt.fields {
			name, value, _ := strings.Cut(f, ": ")
			res.AppendHeader(sip.NewHeader(name, value))
		}
		if got := grantedOf(res, ours, 600*time.Second); got != tt.want {
			t.Errorf("%s: %s", tt.name, got)
		}
	}
}
