package sip

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// peer is the other side of a call: a bare socket that writes and reads SIP as
// text, so that nothing of ours checks itself.
type peer struct {
	t     testing.TB
	tcp   net.Conn
	udp   net.PacketConn
	to    net.Addr
	in    chan *wire      // 1000: all that a test can receive
	known map[string]bool // requests that came; the reader's
	wg    sync.WaitGroup
	begun time.Time
}

// repeated reports whether a request has come before: whoever is late with the
// answer, as a test on a busy machine is, gets it again after 25 ms. An ACK is
// none: it comes for each answer.
func (p *peer) repeated(m *wire) bool {
	if m.method() == "" || m.method() == "ACK" {
		return false
	}
	id := m.method() + " " + m.get("Via")
	if p.known[id] {
		return true
	}
	p.known[id] = true
	return false
}

// legible is what net/textproto can read: control characters replaced.
type legible struct{ io.Reader }

func (l legible) Read(b []byte) (int, error) {
	n, err := l.Reader.Read(b)
	for i, c := range b[:n] {
		if c == 0x7f || (c < ' ' && c != '\r' && c != '\n' && c != '\t') {
			b[i] = '?'
		}
	}
	return n, err
}

// wire is a message as it came.
type wire struct {
	start, body string
	head        textproto.MIMEHeader
	at          time.Duration
	size        int
	from        string // of a datagram
}

func (m *wire) get(name string) string { return m.head.Get(name) }
func (m *wire) status() int {
	if !strings.HasPrefix(m.start, "SIP/2.0 ") {
		return 0
	}
	n, _ := strconv.Atoi(m.start[8:11])
	return n
}

func (m *wire) method() string {
	if m.status() != 0 {
		return ""
	}
	word, _, _ := strings.Cut(m.start, " ")
	return word
}

// of is the method a response is about.
func (m *wire) of() string {
	_, method, _ := strings.Cut(m.get("Cseq"), " ")
	return method
}

func (m *wire) seq() int {
	n, _, _ := strings.Cut(m.get("Cseq"), " ")
	v, _ := strconv.Atoi(n)
	return v
}

func tagOf(value string) string {
	_, rest, _ := strings.Cut(value, ";tag=")
	tag, _, _ := strings.Cut(rest, ";")
	return tag
}

func newUDPPeer(t testing.TB, to string) *peer {
	t.Helper()
	c, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return listenOn(t, c, to)
}

// listenOn is a peer on an open socket.
func listenOn(t testing.TB, c net.PacketConn, to string) *peer {
	t.Helper()
	p := &peer{t: t, udp: c, in: make(chan *wire, 1000), known: map[string]bool{}, begun: time.Now()}
	if to != "" {
		p.to, _ = net.ResolveUDPAddr("udp", to)
	}
	p.wg.Go(func() {
		buf := make([]byte, 65536)
		for {
			n, from, err := c.ReadFrom(buf)
			if err != nil {
				return
			}
			if m := p.parse(bufio.NewReader(legible{strings.NewReader(string(buf[:n]))}), true); m != nil {
				m.size, m.from = n, from.String()
				if p.to == nil {
					p.to = from
				}
				if !p.repeated(m) {
					p.in <- m
				}
			}
		}
	})
	t.Cleanup(p.close)
	return p
}

// facing is the peer where it speaks to that address over UDP.
func (p *peer) facing(addr string) *peer {
	to, _ := net.ResolveUDPAddr("udp", addr)
	return &peer{t: p.t, udp: p.udp, to: to, in: p.in, begun: p.begun}
}

func newTCPPeer(t testing.TB, to string) *peer {
	t.Helper()
	c, err := net.Dial("tcp", to)
	if err != nil {
		t.Fatal(err)
	}
	return onConn(t, c)
}

func onConn(t testing.TB, c net.Conn) *peer {
	p := &peer{t: t, tcp: c, in: make(chan *wire, 1000), begun: time.Now()}
	p.wg.Go(func() {
		r := bufio.NewReader(legible{c})
		for {
			m := p.parse(r, false)
			if m == nil {
				return
			}
			p.in <- m
		}
	})
	t.Cleanup(p.close)
	return p
}

func (p *peer) parse(r *bufio.Reader, datagram bool) *wire {
	tp := textproto.NewReader(r)
	start, err := tp.ReadLine()
	for err == nil && start == "" {
		start, err = tp.ReadLine()
	}
	if err != nil {
		return nil
	}
	head, err := tp.ReadMIMEHeader()
	if err != nil {
		return nil
	}
	n, _ := strconv.Atoi(head.Get("Content-Length"))
	body := make([]byte, n)
	if _, err := io.ReadFull(r, body); err != nil {
		return nil
	}
	return &wire{start: start, head: head, body: string(body), at: time.Since(p.begun)}
}

func (p *peer) close() {
	if p.udp != nil {
		_ = p.udp.Close()
	}
	if p.tcp != nil {
		_ = p.tcp.Close()
	}
	p.wg.Wait()
}

func (p *peer) addr() string {
	if p.udp != nil {
		return p.udp.LocalAddr().String()
	}
	return p.tcp.LocalAddr().String()
}

func (p *peer) transport() string {
	if p.udp != nil {
		return "UDP"
	}
	if _, ok := p.tcp.(*tls.Conn); ok {
		return "TLS"
	}
	return "TCP"
}

// raw sends bytes as they are.
func (p *peer) raw(data string) {
	p.t.Helper()
	var err error
	if p.udp != nil {
		_, err = p.udp.WriteTo([]byte(data), p.to)
	} else {
		_, err = p.tcp.Write([]byte(data))
	}
	if err != nil && !strings.Contains(err.Error(), "closed") {
		p.t.Logf("send: %v", err)
	}
}

// send writes the lines and body as a message with its Content-Length.
func (p *peer) send(body string, lines ...string) {
	p.t.Helper()
	p.raw(strings.Join(lines, "\r\n") + "\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body)
}

// next is the next message that ok takes; others are passed over.
func (p *peer) next(what string, ok func(*wire) bool) *wire {
	p.t.Helper()
	deadline := time.NewTimer(5 * time.Second)
	defer deadline.Stop()
	var seen []string
	for {
		select {
		case m := <-p.in:
			if ok(m) {
				return m
			}
			seen = append(seen, m.start+" / "+m.get("Cseq"))
		case <-deadline.C:
			p.t.Fatalf("%s: never came; passed over: %q", what, seen)
		}
	}
}

func (p *peer) request(method string) *wire {
	p.t.Helper()
	return p.next(method, func(m *wire) bool { return m.method() == method })
}

// drain takes what has come within d.
func (p *peer) drain(d time.Duration) []*wire {
	var out []*wire
	deadline := time.NewTimer(d)
	defer deadline.Stop()
	for {
		select {
		case m := <-p.in:
			out = append(out, m)
		case <-deadline.C:
			return out
		}
	}
}

// reply answers a request.
func (p *peer) reply(req *wire, status int, reason, toTag, body string, extra ...string) {
	p.t.Helper()
	lines := []string{fmt.Sprintf("SIP/2.0 %d %s", status, reason)}
	for _, v := range req.head["Via"] {
		lines = append(lines, "Via: "+v)
	}
	for _, v := range req.head["Record-Route"] {
		lines = append(lines, "Record-Route: "+v)
	}
	to := req.get("To")
	if toTag != "" && !strings.Contains(to, ";tag=") {
		to += ";tag=" + toTag
	}
	lines = append(lines, "From: "+req.get("From"), "To: "+to, "Call-ID: "+req.get("Call-Id"), "CSeq: "+req.get("Cseq"))
	if !strings.Contains(strings.Join(extra, "\n"), "Contact:") {
		lines = append(lines, "Contact: <sip:peer@"+p.addr()+">")
	}
	if body != "" {
		lines = append(lines, "Content-Type: application/sdp")
	}
	p.send(body, append(lines, extra...)...)
}

// replyBare answers a request without a Contact of its own.
func (p *peer) replyBare(req *wire, status int, fields ...string) {
	p.t.Helper()
	lines := []string{fmt.Sprintf("SIP/2.0 %d X", status)}
	for _, v := range req.head["Via"] {
		lines = append(lines, "Via: "+v)
	}
	lines = append(lines, "From: "+req.get("From"), "To: "+req.get("To")+";tag=far", "Call-ID: "+req.get("Call-Id"),
		"CSeq: "+req.get("Cseq"))
	p.send("", append(lines, fields...)...)
}

// elsewhere is a socket at another loopback address than the rest.
func elsewhere(t testing.TB) net.PacketConn {
	t.Helper()
	c, err := net.ListenPacket("udp4", "127.0.0.2:0")
	if err != nil {
		t.Skip("no second loopback address")
	}
	return c
}

// dialogue is a call that the peer places, as text.
type dialogue struct {
	*peer
	callID, tag, toTag string
	seq                int
	branch             string // of the INVITE
	invited            int    // CSeq of the last INVITE, 0: none
	told               int    // CSeq of the server's last NOTIFY, 0: none
	target             string // Contact of the server
	extra              []string
}

var counter struct {
	sync.Mutex
	n int
}

func unique() string {
	counter.Lock()
	defer counter.Unlock()
	counter.n++
	return strconv.Itoa(counter.n)
}

func (p *peer) dialogue() *dialogue {
	id := unique()
	return &dialogue{peer: p, callID: "call-" + id + "@test", tag: "t" + id, seq: 10, target: "sip:+4930123456@127.0.0.1"}
}

// lines are the fields of a request in the dialogue.
func (d *dialogue) lines(method string, seq int, branch string) []string {
	to := "<sip:+4930123456@127.0.0.1>"
	if d.toTag != "" {
		to += ";tag=" + d.toTag
	}
	contact := "<sip:peer@" + d.addr() + ">"
	if d.tcp != nil {
		contact = "<sip:peer@" + d.addr() + ";transport=" + strings.ToLower(d.transport()) + ">"
	}
	out := []string{
		method + " " + d.target + " SIP/2.0",
		"Via: SIP/2.0/" + d.transport() + " " + d.addr() + ";branch=" + branch + ";rport",
		"Max-Forwards: 70",
		"From: \"Ann\" <sip:+4915112345678@127.0.0.1>;tag=" + d.tag,
		"To: " + to,
		"Call-ID: " + d.callID,
		"CSeq: " + strconv.Itoa(seq) + " " + method,
	}
	for _, e := range d.extra {
		if strings.HasPrefix(e, "Contact:") {
			contact = ""
		}
	}
	if contact != "" {
		out = append(out, "Contact: "+contact)
	}
	return append(out, d.extra...)
}

const testSDP = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n" +
	"m=audio 40000 RTP/AVP 0 8 101\r\na=rtpmap:101 telephone-event/8000\r\na=sendrecv\r\n"

func freshBranch() string { return "z9hG4bK-" + unique() }

// invite sends an INVITE with that body.
func (d *dialogue) invite(body string) {
	d.t.Helper()
	d.seq++
	d.branch = freshBranch()
	d.sendInvite(body)
}

func (d *dialogue) sendInvite(body string) {
	d.t.Helper()
	d.invited = d.seq
	lines := d.lines("INVITE", d.seq, d.branch)
	if body != "" {
		lines = append(lines, "Content-Type: application/sdp")
	}
	d.send(body, lines...)
}

// ok waits for the 200 to the INVITE and takes its tag and Contact.
func (d *dialogue) ok() *wire {
	d.t.Helper()
	m := d.next("200 to INVITE", func(m *wire) bool {
		return m.status() == 200 && m.of() == "INVITE" && m.seq() == d.seq && m.get("Call-Id") == d.callID
	})
	d.learn(m)
	return m
}

func (d *dialogue) learn(m *wire) {
	d.toTag = tagOf(m.get("To"))
	if c := m.get("Contact"); c != "" {
		d.target = strings.Trim(c, "<>")
	}
}

func (d *dialogue) ack(body string) {
	d.t.Helper()
	lines := d.lines("ACK", d.seq, freshBranch())
	if body != "" {
		lines = append(lines, "Content-Type: application/sdp")
	}
	d.send(body, lines...)
}

// ackRefusal acknowledges a failure: with the branch of the INVITE.
func (d *dialogue) ackRefusal(m *wire) {
	d.t.Helper()
	to := d.toTag
	d.toTag = tagOf(m.get("To"))
	d.send("", d.lines("ACK", d.seq, d.branch)...)
	d.toTag = to
}

// request sends another request in the dialogue.
func (d *dialogue) do(method, body string, extra ...string) {
	d.t.Helper()
	d.seq++
	d.send(body, append(d.lines(method, d.seq, freshBranch()), extra...)...)
}

// call is a call that is up.
func (p *peer) call() *dialogue {
	p.t.Helper()
	d := p.dialogue()
	d.invite(testSDP)
	d.ok()
	d.ack("")
	return d
}

// bye ends the call.
func (d *dialogue) bye() {
	d.t.Helper()
	d.do("BYE", "")
	d.response("BYE", 200)
}

// response and final are those of the peer, of this dialogue only: another's
// may be repeated meanwhile. So may the 200 to an earlier INVITE, on a machine
// that is slow to read the ACK.
func (d *dialogue) response(method string, status int) *wire {
	d.t.Helper()
	return d.next(fmt.Sprintf("%d to %s", status, method), func(m *wire) bool {
		return m.status() == status && d.answers(m, method)
	})
}

func (d *dialogue) final(method string) *wire {
	d.t.Helper()
	return d.next("final response to "+method, func(m *wire) bool { return m.status() >= 200 && d.answers(m, method) })
}

func (d *dialogue) answers(m *wire, method string) bool {
	return m.of() == method && m.get("Call-Id") == d.callID && (method != "INVITE" || d.invited == 0 || m.seq() == d.invited)
}
