package sip

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/telephony/trunk"
)

// phones lets two telephones call from anywhere on loopback, told by their
// passwords.
func phones(c *Config) {
	var err error
	c.Trunks, err = trunk.NewTable([]trunk.Config{
		{Name: "ann", Allow: []string{"127.0.0.0/8"}, Username: "ann", Password: "s3cret", Auth: "inbound"},
		{Name: "bob", Allow: []string{"127.0.0.0/8"}, Username: "bob", Password: "other", Auth: "inbound"},
	}, nil, "agent")
	if err != nil {
		panic(err)
	}
}

// proof is how a telephone answers a challenge, computed here (RFC 7616 section
// 3.4). nc 0 is the form of RFC 2069.
type proof struct {
	user, password, algorithm, method, uri, nonce string
	nc                                            int
}

func (p proof) String() string {
	hash := map[string]func(string) string{"MD5": hexMD5, "SHA-256": hexSHA256}[p.algorithm]
	a1, a2 := hash(p.user+":patchcord:"+p.password), hash(p.method+":"+p.uri)
	s := fmt.Sprintf(`Authorization: Digest username="%s", realm="patchcord", nonce="%s", uri="%s", algorithm=%s`,
		p.user, p.nonce, p.uri, p.algorithm)
	if p.nc == 0 {
		return s + `, response="` + hash(a1+":"+p.nonce+":"+a2) + `"`
	}
	return s + fmt.Sprintf(`, qop=auth, nc=%08x, cnonce="c", response="%s"`, p.nc,
		hash(fmt.Sprintf("%s:%s:%08x:c:auth:%s", a1, p.nonce, p.nc, a2)))
}

// challenged is the nonce of a 401.
func challenged(t testing.TB, m *wire) string {
	t.Helper()
	asked := m.head["Www-Authenticate"]
	if m.status() != 401 || len(asked) != 2 || !strings.Contains(asked[0], "algorithm=SHA-256") ||
		!strings.Contains(asked[1], "algorithm=MD5") || !strings.Contains(asked[0], `qop="auth"`) {
		t.Fatalf("%s %q", m.start, asked)
	}
	return nonceOf(asked[0])
}

func nonceOf(challenge string) string {
	_, rest, _ := strings.Cut(challenge, `nonce="`)
	nonce, _, _ := strings.Cut(rest, `"`)
	return nonce
}

// SEC-4: a caller who is to prove a password does so in each of the forms that
// telephones know, is asked once, and never within the call.
func TestCallerProvesPassword(t *testing.T) {
	t.Parallel()
	for name, p := range map[string]proof{
		"SHA-256":  {user: "ann", password: "s3cret", algorithm: "SHA-256", nc: 1},
		"MD5":      {user: "bob", password: "other", algorithm: "MD5", nc: 1},
		"RFC 2069": {user: "ann", password: "s3cret", algorithm: "MD5"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			infos := make(chan telephony.Info, 2) // one per transport
			eachTransport(t, func(t *testing.T, s *server, far *peer) {
				d := far.dialogue()
				d.invite(testSDP)
				m := d.final("INVITE")
				p := p
				p.method, p.uri, p.nonce = "INVITE", d.target, challenged(t, m)
				d.ackRefusal(m)
				d.extra = []string{p.String()}
				d.invite(testSDP)
				d.extra = nil
				d.ok()
				d.ack("")
				if i := <-infos; string(i.Trunk) != p.user {
					t.Errorf("trunk %q, want %q", i.Trunk, p.user)
				}
				d.invite(testSDP) // within the call
				d.ok()
				d.ack("")
				d.bye()
				s.idle(t)
			}, handler(func(ctx context.Context, leg telephony.Leg) {
				infos <- leg.Info()
				answerAll(ctx, leg)
			}), phones)
		})
	}
}

// SEC-4: a call that is given up before the answer is cancelled without a
// password, and only from where it came.
func TestCancelIsNotChallenged(t *testing.T) {
	t.Parallel()
	s := newServer(t, handler(func(ctx context.Context, leg telephony.Leg) {
		_ = leg.Progress(ctx, false)
		<-ctx.Done()
	}), phones)
	p := newUDPPeer(t, s.udp)
	d := p.dialogue()
	d.invite(testSDP)
	m := d.final("INVITE")
	d.ackRefusal(m)
	d.extra = []string{proof{
		user: "ann", password: "s3cret", algorithm: "MD5", method: "INVITE", uri: d.target, nonce: challenged(t, m), nc: 1,
	}.String()}
	d.invite(testSDP)
	d.response("INVITE", 180)
	d.extra = nil
	d.send("", d.lines("CANCEL", d.seq, d.branch)...)
	d.response("CANCEL", 200)
	d.ackRefusal(d.response("INVITE", 487))
	s.idle(t)
}

// SEC-4: who guesses is told nothing: an unknown user and a wrong password get
// the same answer. After five wrong ones the source gets none for a minute, the
// right password among them (svcrack).
func TestGuessingPasswords(t *testing.T) {
	t.Parallel()
	s := newServer(t, answerAll, phones)
	p := newUDPPeer(t, s.udp)
	d := p.dialogue()
	try := func(user, password, nonce string) *wire {
		t.Helper()
		d.extra = nil
		if nonce != "" {
			d.extra = []string{proof{
				user: user, password: password, algorithm: "SHA-256", method: "INVITE", uri: d.target, nonce: nonce, nc: 1,
			}.String()}
		}
		d.invite(testSDP)
		m := d.final("INVITE")
		d.ackRefusal(m)
		return m
	}
	nonce := challenged(t, try("", "", ""))
	shape := func(m *wire) string {
		var names []string
		for name, values := range m.head {
			names = append(names, fmt.Sprintf("%s×%d", name, len(values)))
		}
		slices.Sort(names)
		return fmt.Sprint(m.start, len(m.get("Www-Authenticate")), names)
	}
	var first string
	for i, user := range []string{"ann", "nobody", "ann", "bob", "carol"} {
		d.callID = fmt.Sprintf("guess-%d@test", i)
		m := try(user, "12345678", nonce)
		if got := shape(m); first == "" {
			first = got
		} else if got != first {
			t.Errorf("%s is answered %s, the first %s", user, got, first)
		}
		if strings.Contains(m.get("Www-Authenticate"), "stale") {
			t.Errorf("a wrong password is told stale: %q", m.get("Www-Authenticate"))
		}
		nonce = challenged(t, m)
	}
	for _, password := range []string{"12345678", "s3cret"} {
		if m := try("ann", password, nonce); m.status() != 403 || m.get("Www-Authenticate") != "" {
			t.Errorf("locked out: %s %v", m.start, m.head)
		}
	}
	if n := s.Stats().Unproven; n != 5 {
		t.Errorf("%d wrong passwords counted, want 5", n)
	}
	s.idle(t)
}

// Extensions cannot be told from each other by what they are answered (svwar),
// with a password or without one.
func TestExtensionsLookAlike(t *testing.T) {
	t.Parallel()
	for name, adjust := range map[string]func(*Config){"by password": phones, "by address": func(*Config) {}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, nil, adjust)
			p := newUDPPeer(t, s.udp)
			for _, method := range []string{"INVITE", "REGISTER", "OPTIONS", "SUBSCRIBE", "MESSAGE"} {
				answers := map[int]int{}
				for _, user := range []string{"100", "101", "1000", "ann", "bob", "nobody", "admin", "+4930123456"} {
					d := p.dialogue()
					d.target = "sip:" + user + "@127.0.0.1"
					d.extra = []string{"User-Agent: " + strings.Repeat("a telephone ", 20)} // or the answer were the longer one
					if method == "INVITE" {
						d.invite(testSDP)
					} else {
						d.do(method, "")
					}
					m := d.final(method)
					if method == "INVITE" {
						d.ackRefusal(m)
					}
					answers[m.status()]++
				}
				if len(answers) != 1 {
					t.Errorf("%s: %v", method, answers)
				}
			}
			s.idle(t)
		})
	}
}

// SEC-11: where anybody is let in for a password, who has proved none gets no
// answer that is longer than the question, but to a call.
func TestAnybodyIsAnsweredShortly(t *testing.T) {
	t.Parallel()
	s := newServer(t, answerAll, phones)
	p := newUDPPeer(t, s.udp)
	short := "OPTIONS sip:a SIP/2.0\r\nv:SIP/2.0/UDP h;rport\r\nf:<sip:a>\r\nt:<sip:a>\r\ni:1\r\nCSeq:1 OPTIONS\r\n\r\n"
	p.raw(short)
	for _, m := range p.drain(4 * testT1) {
		t.Errorf("%d bytes for %d", m.size, len(short))
	}
	d := p.dialogue()
	d.extra = []string{"User-Agent: " + strings.Repeat("a telephone ", 20)}
	for _, method := range []string{"OPTIONS", "REGISTER", "BYE", "NOTIFY"} {
		d.seq++
		lines := append(d.lines(method, d.seq, freshBranch()), "Content-Length: 0")
		asked := strings.Join(lines, "\r\n") + "\r\n\r\n"
		p.raw(asked)
		m := d.final(method)
		if m.size > len(asked) || m.get("Server") != "" {
			t.Errorf("%s of %d bytes: %s of %d, %v", method, len(asked), m.start, m.size, m.head)
		}
	}
	s.idle(t)
}

// asking is a challenger with a clock of its own and the two telephones.
type asking struct {
	*challenger
	at      time.Time
	callers []*trunk.Trunk
	branch  string // of what is sent, "": always another
}

func newAsking(t *testing.T, sources int) *asking {
	t.Helper()
	var c Config
	phones(&c)
	a := &asking{at: time.Unix(1_800_000_000, 0), callers: c.Trunks.Callers(netip.MustParseAddr("127.0.0.1"))}
	a.challenger = newChallenger(sources, func() time.Time { return a.at }, &counters{}, zap.NewNop())
	return a
}

const home = "192.0.2.1"

// from sends an INVITE with credentials, none for a zero proof, and says what
// comes of it: the name of the trunk, or the status with "stale".
func (a *asking) from(t *testing.T, source string, p proof) (verdict, nonce string) {
	t.Helper()
	const uri = "sip:+4930123456@host"
	branch := a.branch
	if branch == "" {
		branch = freshBranch()
	}
	lines := []string{
		"INVITE " + uri + " SIP/2.0", "Via: SIP/2.0/UDP h;branch=" + branch, "From: <sip:a@h>;tag=1", "To: <sip:b@h>",
		"Call-ID: 1", "CSeq: 1 INVITE",
	}
	if p.user != "" {
		p.method, p.algorithm = "INVITE", "SHA-256"
		if p.uri == "" {
			p.uri = uri
		}
		lines = append(lines, p.String())
	}
	packet, bad := split([]byte(strings.Join(lines, "\r\n")+"\r\n\r\n"), 100)
	head, r := packet.check(&fuzzLimits)
	if bad != nil || r != nil {
		t.Fatal(bad, r)
	}
	from := netip.AddrPortFrom(netip.MustParseAddr(source), 5060)
	who, r := a.admit(&message{packet: packet, head: head, from: from}, a.callers)
	if r == nil {
		return string(who.ID), ""
	}
	verdict = fmt.Sprint(r.status)
	for _, f := range r.fields {
		nonce = nonceOf(f.value)
		if strings.Contains(f.value, "stale=true") {
			verdict = "stale"
		}
	}
	return verdict, nonce
}

func TestNonces(t *testing.T) {
	t.Parallel()
	a := newAsking(t, 4)
	right := func(nonce string, nc int) proof { return proof{user: "ann", password: "s3cret", nonce: nonce, nc: nc} }
	want := func(what, source string, p proof, verdict string) (nonce string) {
		t.Helper()
		got, nonce := a.from(t, source, p)
		if got != verdict {
			t.Errorf("%s: %s, want %s", what, got, verdict)
		}
		return nonce
	}
	nonce := want("without credentials", home, proof{}, "401")
	want("the right password", home, right(nonce, 1), "ann")
	want("the same again", home, right(nonce, 1), "stale")
	want("the next count", home, right(nonce, 2), "ann")
	want("one far ahead", home, right(nonce, 40), "ann")
	want("one that was overtaken", home, right(nonce, 30), "ann")
	want("that one again", home, right(nonce, 30), "stale")
	want("one further ahead", home, right(nonce, 100), "ann")
	want("one behind the window", home, right(nonce, 35), "stale")
	want("the greatest count", home, right(nonce, 1<<31-1), "ann")
	want("another address", "192.0.2.2", right(nonce, 3), "401")
	want("no nonce of ours", home, right("AAAA", 1), "401")
	want("another number than was signed", home, proof{user: "ann", password: "s3cret", nonce: nonce, nc: 101, uri: "sip:+88216@host"}, "401")
	want("a proxy wrote another host", home, proof{user: "ann", password: "s3cret", nonce: want("", home, proof{}, "401"), nc: 1, uri: "sip:+4930123456@sbc"}, "ann")
	want("signed for the host alone", home, proof{user: "ann", password: "s3cret", nonce: want("", home, proof{}, "401"), nc: 1, uri: "sip:sbc:5060"}, "ann")
	a.at = a.at.Add(nonceLife + time.Second)
	next := want("an old nonce", home, right(nonce, 200), "stale")
	want("an old nonce and a wrong password", home, proof{user: "ann", password: "no", nonce: nonce, nc: 201}, "stale")
	want("the new one", home, right(next, 1), "ann")
	for range 5 { // more than are kept in mind
		a.at = a.at.Add(time.Second)
		want("others", home, right(want("", home, proof{}, "401"), 1), "ann")
	}
	want("one that was forgotten", home, right(next, 1), "stale")
}

// A source is locked out for a minute; others are not, and one that forges its
// address locks out nobody.
func TestLockOut(t *testing.T) {
	t.Parallel()
	a := newAsking(t, 4)
	_, nonce := a.from(t, home, proof{})
	wrong := proof{user: "ann", password: "no", nonce: nonce, nc: 1}
	for range maxWrong + 5 {
		if v, _ := a.from(t, "192.0.2.66", wrong); v != "401" { // the nonce is not its own
			t.Fatal(v)
		}
	}
	for range maxWrong {
		if v, _ := a.from(t, home, wrong); v != "401" {
			t.Fatal(v)
		}
	}
	right := proof{user: "ann", password: "s3cret", nonce: nonce, nc: 2}
	for _, tt := range []struct {
		after   time.Duration
		source  string
		verdict string
	}{{0, home, "403"}, {lockedOut - time.Second, home, "403"}, {0, "192.0.2.7", "401"}, {2 * time.Second, home, "ann"}} {
		a.at = a.at.Add(tt.after)
		if v, _ := a.from(t, tt.source, right); v != tt.verdict {
			t.Errorf("%s after %s: %s, want %s", tt.source, tt.after, v, tt.verdict)
		}
	}
	for range 2 * maxWrong { // one a minute is somebody who mistypes
		a.at = a.at.Add(lockedOut + time.Second)
		_, nonce := a.from(t, home, proof{})
		if v, _ := a.from(t, home, proof{user: "bob", password: "no", nonce: nonce, nc: 1}); v != "401" {
			t.Fatal(v)
		}
	}
	for i := range 100 {
		source := fmt.Sprintf("198.51.100.%d", i)
		_, nonce := a.from(t, source, proof{})
		a.from(t, source, proof{user: "x", password: "y", nonce: nonce, nc: 1})
	}
	if n := len(a.wrong.by); n > 4 {
		t.Errorf("%d sources kept in mind", n)
	}
}

// SEC-4: guesses count, though one who guesses writes the same branch over all of
// them, or has a network of addresses; one answer that is sent again counts once.
func TestLockOutCountsGuesses(t *testing.T) {
	t.Parallel()
	guesses := func(a *asking, source func(i int) string, password func(i int) string) (answered int) {
		t.Helper()
		for i := range 3 * maxWrong {
			_, nonce := a.from(t, source(i), proof{})
			if nonce == "" {
				return i
			}
			if v, _ := a.from(t, source(i), proof{user: "ann", password: password(i), nonce: nonce, nc: 1}); v != "401" {
				t.Fatalf("guess %d: %s", i, v)
			}
		}
		return 3 * maxWrong
	}
	at := func(int) string { return home }
	other := func(i int) string { return fmt.Sprintf("guess %d", i) }
	a := newAsking(t, 4)
	a.branch = "z9hG4bK-always-the-same"
	if n := guesses(a, at, other); n != maxWrong {
		t.Errorf("%d guesses under one branch, want %d", n, maxWrong)
	}
	a = newAsking(t, 4)
	if n := guesses(a, func(i int) string { return fmt.Sprintf("2001:db8::%d", i+1) }, other); n != maxWrong {
		t.Errorf("%d guesses of one network, want %d", n, maxWrong)
	}
	if v, _ := a.from(t, "2001:db8:0:1::1", proof{}); v != "401" {
		t.Errorf("another network is locked out too: %s", v)
	}
	a = newAsking(t, 4)
	a.branch = freshBranch()
	_, nonce := a.from(t, home, proof{})
	for range 3 * maxWrong {
		if v, _ := a.from(t, home, proof{user: "ann", password: "no", nonce: nonce, nc: 1}); v != "401" {
			t.Fatalf("one wrong answer that comes again: %s", v)
		}
	}
}

// SEC-4: an unknown user costs the work that a wrong password does.
func TestUnknownUserCostsTheSame(t *testing.T) {
	a := newAsking(t, 4)
	work := func(user string) float64 {
		packet, _ := split([]byte("INVITE sip:b@h SIP/2.0\r\n"+proof{
			user: user, password: "no", algorithm: "SHA-256", method: "INVITE", uri: "sip:b@h", nonce: "n", nc: 1,
		}.String()+"\r\n\r\n"), 10)
		m := &message{packet: packet, head: &head{method: "INVITE"}}
		cred := m.credentials(a.callers[0].Caller)
		if cred == nil {
			t.Fatal("no credentials")
		}
		return testing.AllocsPerRun(50, func() {
			if prove(cred, m, a.callers, a.nobody) != nil {
				t.Fatal("a wrong password is right")
			}
		})
	}
	if known, unknown := work("ann"), work("eve"); known != unknown {
		t.Errorf("%v allocations for a known user, %v for an unknown one", known, unknown)
	}
}

// FuzzCredentials: whatever a caller writes as its credentials proves nothing,
// and what it is answered is one header field a challenge.
func FuzzCredentials(f *testing.F) {
	f.Add(proof{user: "ann", password: "s3cret", algorithm: "MD5", method: "INVITE", uri: "sip:b@h", nonce: "n", nc: 1}.String()[15:])
	f.Add(`Digest username="ann", realm="patchcord", nonce="", uri="", response=""`)
	f.Add(`Digest realm="patchcord", qop=auth-int, nc=ffffffff, algorithm=SHA-256`)
	f.Fuzz(func(t *testing.T, value string) {
		p := &packet{fields: []field{{"Authorization", value}}, verb: "INVITE", uri: "sip:b@h"}
		var c Config
		phones(&c)
		ch := newChallenger(4, time.Now, &counters{}, zap.NewNop())
		m := &message{packet: p, head: &head{method: "INVITE"}, from: netip.MustParseAddrPort("192.0.2.1:5060")}
		who, r := ch.admit(m, c.Trunks.Callers(netip.MustParseAddr("127.0.0.1")))
		if who != nil || r == nil || r.status != 401 {
			t.Fatalf("%q proves %v, answer %v", value, who, r)
		}
		if cred := p.credentials(c.Trunks.Trunks()[0].Caller); cred != nil {
			prove(cred, m, c.Trunks.Callers(netip.MustParseAddr("127.0.0.1")), ch.nobody)
		}
		for _, f := range r.fields {
			if !visible(f.value) {
				t.Fatalf("challenge %q", f.value)
			}
		}
	})
}
