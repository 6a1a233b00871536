//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// stamped is a SIP peer that is busy whatever it is asked. It tells when each call
// came by the kernel's clock, which over loopback is when the engine sent it: a
// peer that is starved, as SIPp's own log would be, shifts nothing.
func stamped(t *testing.T, addr string) (came func() []time.Time) {
	t.Helper()
	pc, err := net.ListenPacket("udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	conn := pc.(*net.UDPConn)
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var set error
	if err := raw.Control(func(fd uintptr) {
		set = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)
	}); err != nil || set != nil {
		t.Fatal(err, set)
	}
	_ = conn.SetReadBuffer(4 << 20)
	first := map[string]time.Time{} // by Call-ID: what comes again is not counted
	done := make(chan struct{})
	go func() {
		defer close(done)
		b, oob := make([]byte, 64<<10), make([]byte, 256)
		for {
			n, control, _, from, err := conn.ReadMsgUDP(b, oob)
			if err != nil {
				return
			}
			if !bytes.HasPrefix(b[:n], []byte("INVITE ")) {
				continue // ACK
			}
			if id := header(b[:n], "Call-ID"); first[id].IsZero() {
				first[id] = stampOf(t, oob[:control])
			}
			_, _ = conn.WriteToUDP(busy(b[:n]), from)
		}
	}()
	t.Cleanup(func() { conn.Close(); <-done })
	return func() (out []time.Time) {
		conn.Close()
		<-done
		for _, at := range first {
			out = append(out, at)
		}
		slices.SortFunc(out, time.Time.Compare)
		return out
	}
}

// stampOf is the kernel's time of a datagram.
func stampOf(t *testing.T, oob []byte) time.Time {
	all, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		t.Error(err)
	}
	for _, m := range all {
		if m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SO_TIMESTAMPNS &&
			len(m.Data) >= int(unsafe.Sizeof(unix.Timespec{})) {
			ts := (*unix.Timespec)(unsafe.Pointer(&m.Data[0])) //nolint:gosec // the kernel wrote it
			return time.Unix(ts.Unix())
		}
	}
	t.Error("a datagram without its time")
	return time.Now()
}

// header is the value of a header of a SIP message.
func header(msg []byte, name string) string {
	for line := range bytes.SplitSeq(msg, []byte("\r\n")) {
		if value, ok := bytes.CutPrefix(line, []byte(name+": ")); ok {
			return string(value)
		}
	}
	return ""
}

// busy answers an INVITE.
func busy(invite []byte) []byte {
	var out bytes.Buffer
	out.WriteString("SIP/2.0 486 Busy Here\r\n")
	for _, name := range []string{"Via", "From", "To", "Call-ID", "CSeq"} {
		fmt.Fprintf(&out, "%s: %s", name, header(invite, name))
		if name == "To" {
			out.WriteString(";tag=busy")
		}
		out.WriteString("\r\n")
	}
	out.WriteString("Content-Length: 0\r\n\r\n")
	return out.Bytes()
}

// TestPeerCampaignPace: a campaign of 20 calls a second, by when its INVITEs left:
// it keeps within 5 % of that rate, and in no second, wherever it begins, more than
// one beyond it leave. It runs beside no other test: what both sides of a wire that
// is not starved see is judged.
func TestPeerCampaignPace(t *testing.T) { //nolint:paralleltest // see above
	const contacts, cps = 300, 20
	peer := ourAddr()
	came := stamped(t, net.JoinHostPort(peer, "5060"))
	e := serve(t, silent+"dialing: {allow: [\"+4930\"]}\n", map[string]string{"support.yaml": silentAgent})
	e.wants(t, "/v1/trunks", fmt.Sprintf(`{"name":"carrier","gateways":["sip:%s"],"probe":"off"}`, peer))
	e.stop(t)
	e.listed(t, contacts, cps)
	e.again(t)
	eventually(t, 2*time.Minute, "the campaign is completed", func() bool { return e.logged("campaign completed") })
	e.stop(t)
	at := came()
	if len(at) != contacts {
		t.Fatalf("%d calls of %d contacts", len(at), contacts)
	}
	dialled := e.dialledAt(t)
	if len(dialled) != contacts {
		t.Fatalf("%d times of %d contacts in the log", len(dialled), contacts)
	}
	most, leave := mostInASecond(at), mostInASecond(dialled)
	lasted := at[len(at)-1].Sub(at[0])
	rate := secondRate(at, cps)
	t.Logf("%d calls in %v: half of the seconds have more than %.2f of %d; within a second at most %d leave and %d are on the wire",
		len(at), lasted.Round(time.Millisecond), rate, cps, leave, most)
	if rate < cps*0.95 || rate > cps*1.05 {
		t.Errorf("%.2f calls a second, want %d", rate, cps)
	}
	if leave > cps+1 {
		t.Errorf("%d calls leave within a second, want %d at most", leave, cps+1)
	}
	// What a busy machine does to each between the two shifts some.
	if most > cps+cps/2 {
		t.Errorf("%d calls are on the wire within a second of %d", most, cps)
	}
}

// secondRate is the median of how many calls a second leave, over every n calls in
// a row. A machine that stands still for a while takes the seconds it falls in, and
// a campaign does not dial them later.
func secondRate(at []time.Time, n int) float64 {
	var rates []float64
	for i := n; i < len(at); i++ {
		rates = append(rates, float64(n)/at[i].Sub(at[i-n]).Seconds())
	}
	slices.Sort(rates)
	return rates[len(rates)/2]
}

// mostInASecond is how many of ordered times are within the fullest second,
// wherever it begins.
func mostInASecond(at []time.Time) (most int) {
	for i, begin := range at {
		n := 0
		for n < len(at)-i && at[i+n].Before(begin.Add(time.Second)) {
			n++
		}
		most = max(most, n)
	}
	return most
}

// dialledAt is when the engine let the calls of its campaigns leave: its word, not
// when the word was written.
func (e *engine) dialledAt(t *testing.T) (out []time.Time) {
	t.Helper()
	for line := range strings.Lines(e.out.String()) {
		var said struct {
			Msg  string    `json:"msg"`
			Left time.Time `json:"left"`
		}
		if json.Unmarshal([]byte(line), &said) == nil && said.Msg == "contact is dialled" {
			out = append(out, said.Left)
		}
	}
	slices.SortFunc(out, time.Time.Compare)
	return out
}
