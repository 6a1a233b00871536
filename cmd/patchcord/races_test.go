package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/patchcord/patchcord/configs"
	"github.com/patchcord/patchcord/engine"
	"github.com/patchcord/patchcord/engine/turn"
	"github.com/patchcord/patchcord/store"
	"github.com/patchcord/patchcord/telephony"
)

const racesConfig = `http: {listen: "127.0.0.1:0"}
sip: {listen: ["udp://127.0.0.1:0"]}
rtp: {ports: "16000-18998"}
store: {url: "sqlite:%[1]s/calls.db"}
recording: {enabled: false}
log: {level: error, events: "off"}
llm: {default: plain, plain: {type: "null", text: "Yes."}}
stt: {default: plain, plain: {type: "null"}}
tts: {default: plain, plain: {type: "null"}}
trunks: [{name: local, allow: ["127.0.0.0/8"]}]
agents: "races.yaml"
default_agent: races
`

// TestCancelRacesOneRecordEach: CANCEL crosses the answer, of calls in and of
// calls out, through the whole engine: each call has one record, whose end is what
// its peer saw, and nothing of any is left (sip:P1).
func TestCancelRacesOneRecordEach(t *testing.T) {
	const callers, callees, each = 10, 10, 20
	n, addr := runningNode(t)
	var mu sync.Mutex
	saw := map[string]string{} // what the peer saw of a call, by its SIP Call-ID
	note := func(callID, how string) {
		mu.Lock()
		defer mu.Unlock()
		if was, twice := saw[callID]; twice {
			t.Errorf("%s: %s and %s", callID, was, how)
		}
		saw[callID] = how
	}
	var wg sync.WaitGroup
	for i := range callers {
		draw := rand.New(rand.NewPCG(7, uint64(i))) //nolint:gosec // a choice of the test
		w := newRawSIP(t, fmt.Sprintf("127.0.0.%d", 10+i), addr)
		wg.Go(func() {
			for call := range each {
				id := fmt.Sprintf("in-%d-%d", i, call)
				after := time.Duration(draw.Int64N(int64(8 * time.Millisecond)))
				if call%4 == 0 {
					after = 0 // the CANCEL may even be faster than its INVITE
				}
				note(id, w.callAndCancel(id, after))
			}
		})
	}
	for i := range callees {
		draw := rand.New(rand.NewPCG(8, uint64(i))) //nolint:gosec // a choice of the test
		w := newRawSIP(t, fmt.Sprintf("127.0.0.%d", 40+i), addr)
		wg.Go(func() {
			for range each {
				id, err := n.engine.Call(t.Context(), engine.Outbound{Agent: "races", To: "sip:far@" + w.conn.LocalAddr().String()})
				if err != nil {
					t.Error(err)
					return
				}
				ends := time.Duration(draw.Int64N(int64(8 * time.Millisecond)))
				rings := func() { time.AfterFunc(ends, func() { _ = n.engine.End(id, "") }) } // unless it is over
				note(w.answer(rings, time.Duration(draw.Int64N(int64(8*time.Millisecond))), draw.IntN(2) == 0))
			}
		})
	}
	wg.Wait()
	limit := time.NewTimer(20 * time.Second)
	defer limit.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for n.engine.Calls() > 0 || n.sip.Stats().Legs > 0 || n.media.Load().Sessions > 0 {
		select {
		case <-tick.C:
		case <-limit.C:
			t.Fatalf("left: %d calls, %d legs, %d media sessions", n.engine.Calls(), n.sip.Stats().Legs, n.media.Load().Sessions)
		}
	}
	if err := n.store.Flush(t.Context()); err != nil { // its last records may still be on their way
		t.Fatal(err)
	}

	records := map[string][]engine.Record{}
	for f := (store.Filter{Limit: 100}); ; {
		page, next, err := n.store.Calls(t.Context(), f)
		if err != nil {
			t.Fatal(err)
		}
		for i := range page {
			records[page[i].SIPCallID] = append(records[page[i].SIPCallID], page[i])
		}
		if f.Cursor = next; next == "" {
			break
		}
	}
	ends := map[string]int{}
	for callID, how := range saw {
		list := records[callID]
		if len(list) != 1 || list[0].Status != engine.StatusEnded {
			t.Errorf("%s, %s: %d records %+v", callID, how, len(list), list)
			continue
		}
		r := list[0]
		ends[string(r.Direction)+" "+how+" "+string(r.EndReason)]++
		answered := !r.Answered.IsZero()
		ok := how == "200" && answered && (r.EndReason == turn.EndHangup || r.EndReason == turn.EndAPI) ||
			how == "487" && !answered && r.EndReason == engine.EndCanceled ||
			// Ended here before the answer that crossed it was there.
			how == "200" && !answered && r.EndReason == engine.EndCanceled && r.Direction == telephony.Outbound
		if !ok {
			t.Errorf("%s: the peer saw %s, the record says %s, answered %v", callID, how, r.EndReason, r.Answered)
		}
	}
	if len(records) != len(saw) || len(saw) != (callers+callees)*each {
		t.Errorf("%d calls with records, the peers saw %d", len(records), len(saw))
	}
	t.Logf("what the peers saw, and the records' ends: %v", ends)
}

// runningNode is a node of its own with the agent races, and its SIP address.
func runningNode(t *testing.T) (n *node, addr string) {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "patchcord.yaml")
	for name, text := range map[string]string{
		file: fmt.Sprintf(racesConfig, dir), filepath.Join(dir, "races.yaml"): "name: races\ngreeting: Hello.\nprompt: Answer.\n",
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg, _, err := configs.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	if n, err = openNode(t.Context(), cfg, zap.NewNop(), nodeOptions{}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ready, served := make(chan struct{}), make(chan error, 1)
	go func() {
		served <- n.serve(ctx, func() (context.Context, context.CancelFunc) {
			return context.WithTimeout(context.Background(), time.Second)
		}, func() { close(ready) })
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	select {
	case <-ready:
	case err := <-served:
		served <- err
		t.Fatalf("serve: %v", err)
	}
	return n, n.sip.Addrs()[0].String()
}

// rawSIP is a telephone that writes and reads text.
type rawSIP struct {
	t    *testing.T
	conn net.PacketConn
	to   net.Addr
	buf  []byte
	last string // Call-ID of the call that it answered last
}

func newRawSIP(t *testing.T, host, to string) *rawSIP {
	t.Helper()
	c, err := net.ListenPacket("udp4", host+":0")
	if err != nil {
		t.Skipf("no address %s: %v", host, err)
	}
	t.Cleanup(func() { _ = c.Close() })
	addr, err := net.ResolveUDPAddr("udp4", to)
	if err != nil {
		t.Fatal(err)
	}
	return &rawSIP{t: t, conn: c, to: addr, buf: make([]byte, 65536)}
}

// message is one as it came.
type message struct {
	start string
	lines []string
	body  string
}

func (m *message) get(name string) string {
	for _, l := range m.lines {
		if key, value, ok := strings.Cut(l, ":"); ok && strings.EqualFold(key, name) {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// is tells a request of a method, or a response to one by its status.
func (m *message) is(method string, status int) bool {
	if status == 0 {
		return strings.HasPrefix(m.start, method+" ")
	}
	return strings.HasPrefix(m.start, "SIP/2.0 "+strconv.Itoa(status)) && strings.HasSuffix(m.get("CSeq"), " "+method)
}

// read is the next message of that call, or of any for "", nil where none comes
// before the time.
func (w *rawSIP) read(callID string, until time.Time) *message {
	for {
		_ = w.conn.SetReadDeadline(until)
		n, _, err := w.conn.ReadFrom(w.buf)
		if err != nil {
			return nil
		}
		head, body, _ := strings.Cut(string(w.buf[:n]), "\r\n\r\n")
		lines := strings.Split(head, "\r\n")
		m := &message{start: lines[0], lines: lines[1:], body: body}
		if callID == "" || m.get("Call-ID") == callID {
			return m
		}
	}
}

func (w *rawSIP) send(body string, lines ...string) {
	text := strings.Join(lines, "\r\n") + "\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body
	if _, err := w.conn.WriteTo([]byte(text), w.to); err != nil {
		w.t.Error(err)
	}
}

// describes is a session description whose sound goes nowhere.
func (w *rawSIP) describes() string {
	host, _, _ := net.SplitHostPort(w.conn.LocalAddr().String())
	return "v=0\r\no=- 1 1 IN IP4 " + host + "\r\ns=-\r\nc=IN IP4 " + host + "\r\nt=0 0\r\nm=audio 9 RTP/AVP 0\r\n"
}

// ask sends a request of a call; toTag is "" before the answer.
func (w *rawSIP) ask(method, callID, branch, toTag string, seq int, body string) {
	at := w.conn.LocalAddr().String()
	to := "<sip:4930123456@" + w.to.String() + ">"
	if toTag != "" {
		to += ";tag=" + toTag
	}
	lines := []string{
		method + " sip:4930123456@" + w.to.String() + " SIP/2.0", "Via: SIP/2.0/UDP " + at + ";branch=z9hG4bK" + branch,
		"Max-Forwards: 70", "From: <sip:raw@" + at + ">;tag=raw", "To: " + to, "Call-ID: " + callID,
		fmt.Sprintf("CSeq: %d %s", seq, method), "Contact: <sip:raw@" + at + ">",
	}
	if body != "" {
		lines = append(lines, "Content-Type: application/sdp")
	}
	w.send(body, lines...)
}

// reply answers a request.
func (w *rawSIP) reply(m *message, status, body string) {
	lines := []string{"SIP/2.0 " + status}
	for _, l := range m.lines {
		name, _, _ := strings.Cut(l, ":")
		switch strings.ToLower(name) {
		case "to":
			if !strings.Contains(l, ";tag=") {
				l += ";tag=far"
			}
			lines = append(lines, l)
		case "via", "from", "call-id", "cseq", "record-route":
			lines = append(lines, l)
		}
	}
	lines = append(lines, "Contact: <sip:far@"+w.conn.LocalAddr().String()+">")
	if body != "" {
		lines = append(lines, "Content-Type: application/sdp")
	}
	w.send(body, lines...)
}

const rawPatience = 10 * time.Second

// callAndCancel calls, cancels after a time, and plays what follows to its end. It
// gives what the INVITE was answered with.
func (w *rawSIP) callAndCancel(callID string, after time.Duration) (how string) {
	w.ask("INVITE", callID, callID, "", 1, w.describes())
	cancel, until := time.Now().Add(after), time.Now().Add(rawPatience)
	cancelled := false
	for {
		limit := until
		if !cancelled {
			limit = cancel
		}
		m := w.read(callID, limit)
		switch {
		case m == nil && cancelled:
			w.t.Errorf("%s: %q and no end within %v", callID, how, rawPatience)
			return how
		case m == nil:
			cancelled = true
			w.ask("CANCEL", callID, callID, "", 1, "")
		case m.is("INVITE", 487):
			if how != "" {
				w.t.Errorf("%s: 487 behind %s", callID, how)
			}
			w.ask("ACK", callID, callID, tagOf(m.get("To")), 1, "")
			return "487"
		case m.is("INVITE", 200):
			tag := tagOf(m.get("To"))
			w.ask("ACK", callID, callID+"a", tag, 1, "")
			if how == "" {
				w.ask("BYE", callID, callID+"b", tag, 2, "")
			}
			how = "200"
			cancelled = true // or never: it has been answered
		case m.is("BYE", 200):
			return how
		}
	}
}

// answer takes the next call, answers it after a time though it was cancelled
// where late, and hangs it up. It tells by rings that it has come, and gives the
// call and what its INVITE was answered with.
func (w *rawSIP) answer(rings func(), after time.Duration, late bool) (callID, how string) {
	until := time.Now().Add(rawPatience)
	invite := w.read("", until)
	for invite != nil && (!invite.is("INVITE", 0) || invite.get("Call-ID") == w.last) { // of the call before, sent again
		invite = w.read("", until)
	}
	if invite == nil {
		w.t.Error("no INVITE")
		return "", ""
	}
	callID = invite.get("Call-ID")
	w.last = callID
	w.reply(invite, "180 Ringing", "")
	rings()
	at, cancelled, hungUp := time.Now().Add(after), false, false
	for {
		limit := until
		if how == "" && (late || !cancelled) {
			limit = at
		}
		m := w.read(callID, limit)
		switch {
		case m == nil && limit.Equal(at):
			how = "200"
			w.reply(invite, "200 OK", w.describes())
		case m == nil:
			w.t.Errorf("%s: %q and no end within %v", callID, how, rawPatience)
			return callID, how
		case m.is("CANCEL", 0):
			w.reply(m, "200 OK", "")
			if how == "" && !late && !cancelled {
				w.reply(invite, "487 Request Terminated", "")
				how = "487"
			}
			cancelled = true
		case m.is("ACK", 0) && how == "487":
			return callID, how
		case m.is("ACK", 0) && !hungUp && !cancelled:
			hungUp = true
			w.hangUp(invite)
		case m.is("BYE", 0): // it crossed our answer, or ours crossed it
			w.reply(m, "200 OK", "")
			return callID, how
		case m.is("BYE", 200), m.is("BYE", 481):
			return callID, how
		}
	}
}

// hangUp ends a call that came.
func (w *rawSIP) hangUp(invite *message) {
	at := w.conn.LocalAddr().String()
	w.send("", "BYE "+strings.Trim(invite.get("Contact"), "<>")+" SIP/2.0",
		"Via: SIP/2.0/UDP "+at+";branch=z9hG4bK"+invite.get("Call-ID")+"b", "Max-Forwards: 70",
		"From: "+invite.get("To")+";tag=far", "To: "+invite.get("From"), "Call-ID: "+invite.get("Call-ID"), "CSeq: 1 BYE")
}

func tagOf(value string) string {
	_, tag, _ := strings.Cut(value, ";tag=")
	tag, _, _ = strings.Cut(tag, ";")
	return tag
}
