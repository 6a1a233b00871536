package load

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// t1 is the first wait for a response over UDP (RFC 3261 section 17.1.1.1).
const t1 = 500 * time.Millisecond

// line is a SIP socket of the crowd.
type line struct {
	conn *net.UDPConn
	here netip.AddrPort

	mu    sync.Mutex // guards what follows
	calls map[string]*dialog
}

// openLine opens the socket number i: on loopback each has an address of its own.
func openLine(to netip.AddrPort, i int) (*line, error) {
	var here *net.UDPAddr
	if i > 0 && to.Addr().IsLoopback() {
		here = &net.UDPAddr{IP: net.IPv4(127, 0, 1, byte(1+i%250))} //nolint:gosec // below 251
	}
	conn, err := net.DialUDP("udp4", here, net.UDPAddrFromAddrPort(to))
	if err != nil {
		return nil, fmt.Errorf("load: open the SIP socket: %w", err)
	}
	_ = conn.SetReadBuffer(4 << 20) // a burst of responses; the kernel may give less
	return &line{conn: conn, here: conn.LocalAddr().(*net.UDPAddr).AddrPort(), calls: map[string]*dialog{}}, nil
}

func (l *line) close() { _ = l.conn.Close() }

// read hands every message to its call until the socket is closed.
func (l *line) read() {
	buf := make([]byte, 1<<16)
	for {
		n, err := l.conn.Read(buf)
		if err != nil {
			if isClosed(err) {
				return
			}
			continue // an ICMP of an engine that is gone: the calls time out
		}
		m, err := parse(buf[:n])
		if err != nil {
			continue
		}
		l.mu.Lock()
		d := l.calls[m.callID]
		l.mu.Unlock()
		if d != nil {
			d.take(m)
		}
	}
}

func (l *line) send(b []byte) { _, _ = l.conn.Write(b) } // what is lost is sent again

// dialog is the signalling of one call, the caller's side.
type dialog struct {
	line *line
	id   string // Call-ID
	user string
	from string
	seq  int
	got  chan message // capacity 16: the responses of one request, retransmitted ones dropped

	byed chan struct{} // closed when the engine hung up

	mu   sync.Mutex // guards what follows
	ack  []byte     // sent again for every 200 that comes again
	over bool
	bye  int64 // when the engine's came, Unix time, ns; 0: none did
	to   string
	peer string
}

func newDialog(l *line, user string, i int) *dialog {
	tag := token()
	d := &dialog{
		line: l, id: token() + "@" + l.here.Addr().String(), user: user,
		from: fmt.Sprintf("<sip:+49302100%05d@%s>;tag=%s", i, l.here, tag),
		got:  make(chan message, 16), byed: make(chan struct{}),
	}
	l.mu.Lock()
	l.calls[d.id] = d
	l.mu.Unlock()
	return d
}

// refusal is an answer that is none: of 300 or more.
type refusal struct {
	status int
	after  int // s, of Retry-After; 0: none
}

func (r *refusal) Error() string { return fmt.Sprintf("the call was answered with %d", r.status) }

func token() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

func (d *dialog) close() {
	d.line.mu.Lock()
	defer d.line.mu.Unlock()
	delete(d.line.calls, d.id)
}

// take runs on the line's goroutine.
func (d *dialog) take(m message) {
	at := time.Now().UnixNano()
	if m.status == 0 {
		if m.method != "ACK" {
			d.line.send(m.answer())
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		if m.method == "BYE" && !d.over {
			d.over, d.bye = true, at
			close(d.byed)
		}
		return
	}
	d.mu.Lock()
	ack := d.ack
	d.mu.Unlock()
	if m.method == "INVITE" && ack != nil {
		if m.status >= 200 {
			d.line.send(ack)
		}
		return
	}
	select {
	case d.got <- m:
	default:
	}
}

// request writes a request.
func (d *dialog) request(method, uri, to, branch, body string) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=%s;rport\r\nMax-Forwards: 70\r\n",
		method, uri, d.line.here, branch)
	fmt.Fprintf(&b, "From: %s\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: %d %s\r\nContact: <sip:caller@%s>\r\n",
		d.from, to, d.id, d.seq, method, d.line.here)
	if body != "" {
		b.WriteString("Content-Type: application/sdp\r\n")
	}
	fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", len(body), body)
	return []byte(b.String())
}

// exchange sends a request until its final response has come.
func (d *dialog) exchange(ctx context.Context, method string, b []byte) (message, error) {
	wait := t1
	for {
		d.line.send(b)
		t := time.NewTimer(wait)
		for again := false; !again; {
			select {
			case m := <-d.got:
				if m.method != method {
					continue
				}
				if m.status >= 200 {
					t.Stop()
					return m, nil
				}
				if method == "INVITE" { // a provisional response ends the retransmissions
					t.Stop()
				}
			case <-t.C:
				again = true
			case <-ctx.Done():
				t.Stop()
				return message{}, fmt.Errorf("no answer to %s: %w", method, context.Cause(ctx))
			}
		}
		wait = min(2*wait, 4*time.Second)
	}
}

// invite dials and returns where the engine takes the call's sound.
func (d *dialog) invite(ctx context.Context, local netip.AddrPort) (netip.AddrPort, error) {
	d.seq = 1
	to := fmt.Sprintf("<sip:%s@%s>", d.user, d.line.conn.RemoteAddr())
	target := strings.Trim(to, "<>")
	branch := "z9hG4bK" + token()
	sdp := fmt.Sprintf("v=0\r\no=- 1 1 IN IP4 %[1]s\r\ns=-\r\nc=IN IP4 %[1]s\r\nt=0 0\r\n"+
		"m=audio %[2]d RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\na=ptime:20\r\na=sendrecv\r\n", local.Addr(), local.Port())
	m, err := d.exchange(ctx, "INVITE", d.request("INVITE", target, to, branch, sdp))
	if err != nil {
		return netip.AddrPort{}, err
	}
	if m.status >= 300 {
		d.line.send(d.request("ACK", target, m.to, branch, ""))
		return netip.AddrPort{}, &refusal{m.status, m.after}
	}
	if m.contact == "" {
		m.contact = target
	}
	ack := d.request("ACK", m.contact, m.to, "z9hG4bK"+token(), "")
	d.mu.Lock()
	d.ack, d.to, d.peer = ack, m.to, m.contact
	d.mu.Unlock()
	d.line.send(ack)
	return m.media()
}

// awaitBye waits for the engine to hang up.
func (d *dialog) awaitBye(ctx context.Context, atMost time.Duration) error {
	t := time.NewTimer(atMost)
	defer t.Stop()
	select {
	case <-d.byed:
		return nil
	case <-t.C:
		return errors.New("the engine did not hang up")
	case <-ctx.Done():
		return nil
	}
}

func (d *dialog) byeAt() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.bye
}

// hangUp hangs up, where the engine has not.
func (d *dialog) hangUp(ctx context.Context) error {
	defer d.close()
	d.mu.Lock()
	over := d.over
	d.over = true
	to, peer := d.to, d.peer
	d.mu.Unlock()
	if over {
		return nil
	}
	d.seq++
	m, err := d.exchange(ctx, "BYE", d.request("BYE", peer, to, "z9hG4bK"+token(), ""))
	if err == nil && m.status >= 300 {
		err = fmt.Errorf("BYE was answered with %d", m.status)
	}
	return err
}
