package load

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"
)

// answerer is an engine of a few lines: it answers every call, greets, and
// answers what is said 100 ms after its end, until the caller speaks again.
type answerer struct {
	conn *net.UDPConn
	busy bool // 486 to everybody
	wg   sync.WaitGroup
	mu   sync.Mutex // guards what follows
	stop map[string]chan struct{}
	byes int

	most    int // calls that are taken, the others get 503; 0: all
	taken   int
	sources map[netip.Addr]bool
}

func listen(t *testing.T) *net.UDPConn {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// ended is how many calls were ended by BYE.
func (a *answerer) ended() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.byes
}

func (a *answerer) serve(t *testing.T) {
	buf := make([]byte, 4096)
	for {
		n, from, err := a.conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		m, err := parse(buf[:n])
		if err != nil {
			t.Errorf("the caller sent %q: %v", buf[:n], err)
			continue
		}
		answer := string(m.answer())
		switch m.method {
		case "INVITE":
			if a.busy {
				answer = strings.Replace(answer, "200 OK", "486 Busy Here", 1)
				break
			}
			caller, err := m.media()
			if err != nil {
				t.Error(err)
				continue
			}
			a.mu.Lock()
			a.sources[from.Addr()] = true
			if a.most > 0 && a.taken >= a.most && a.stop[m.callID] == nil {
				answer = strings.Replace(answer, "200 OK\r\n", "503 Service Unavailable\r\nRetry-After: 7\r\n", 1)
				a.mu.Unlock()
				break
			}
			if a.stop[m.callID] == nil {
				a.taken++
				stop, media := make(chan struct{}), listen(t)
				a.stop[m.callID] = stop
				a.wg.Go(func() { a.talk(media, caller, stop) })
				port := media.LocalAddr().(*net.UDPAddr).Port
				body := fmt.Sprintf("c=IN IP4 127.0.0.1\r\nm=audio %d RTP/AVP 0\r\n", port)
				answer = strings.Replace(answer, "Content-Length: 0\r\n\r\n",
					fmt.Sprintf("Contact: <sip:%s>\r\nContent-Length: %d\r\n\r\n%s", a.conn.LocalAddr(), len(body), body), 1)
			}
			a.mu.Unlock()
		case "BYE":
			a.mu.Lock()
			if stop := a.stop[m.callID]; stop != nil {
				close(stop)
				delete(a.stop, m.callID)
				a.byes++
			}
			a.mu.Unlock()
		case "ACK":
			continue
		}
		if _, err := a.conn.WriteToUDPAddrPort([]byte(answer), from); err != nil {
			return
		}
	}
}

// talk is the agent of one call: 600 ms of speech at first and for every answer.
func (a *answerer) talk(media *net.UDPConn, caller netip.AddrPort, stop chan struct{}) {
	defer media.Close()
	words := utterance(30)
	left, wait := len(words), 0
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	in := make([]byte, packetRoom)
	out := make([]byte, packetSize)
	for seq := uint16(0); ; seq++ {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		_ = media.SetReadDeadline(time.Now().Add(time.Millisecond))
		for {
			n, err := media.Read(in)
			if err != nil {
				break
			}
			if n > headerSize && loud(in[headerSize:n]) {
				left, wait = 0, 5
			}
		}
		payload := silence[:]
		switch {
		case wait > 0:
			if wait--; wait == 0 {
				left = len(words)
			}
		case left > 0:
			payload = words[len(words)-left][:]
			left--
		}
		out[0] = 0x80
		binary.BigEndian.PutUint16(out[2:], seq)
		binary.BigEndian.PutUint32(out[4:], uint32(seq)*frameSamples)
		copy(out[headerSize:], payload)
		_, _ = media.WriteToUDPAddrPort(out, caller)
	}
}

func start(t *testing.T, busy bool) (*answerer, netip.AddrPort) {
	t.Helper()
	a := &answerer{conn: listen(t), busy: busy, stop: map[string]chan struct{}{}, sources: map[netip.Addr]bool{}}
	a.wg.Go(func() { a.serve(t) })
	t.Cleanup(func() {
		_ = a.conn.Close()
		a.mu.Lock()
		for _, stop := range a.stop {
			close(stop)
		}
		a.mu.Unlock()
		a.wg.Wait()
	})
	return a, a.conn.LocalAddr().(*net.UDPAddr).AddrPort()
}

// A machine that is late gets a longer window: what is judged is what was heard.
func TestRun(t *testing.T) {
	t.Parallel()
	for window := 5 * time.Second; ; window *= 3 {
		turns, stopped, r := run(t, window)
		// Holes and gaps are the answerer's own ticker's here: analyse_test judges how they are found.
		if turns >= 3 && stopped > 0 && r.Packets >= 100 && r.Gaps.P50 > 0 && r.Lost == 0 {
			return
		}
		if window > 30*time.Second || r.Lost > 0 {
			t.Fatalf("%d answers, %d interrupted, report %+v", turns, stopped, r)
		}
	}
}

// run is three calls, and how many answers they heard, and interrupted.
func run(t *testing.T, window time.Duration) (turns, stopped int, r *Report) {
	t.Helper()
	a, to := start(t, false)
	var phases []Phase
	r, err := Run(t.Context(), Config{
		To: to, Calls: 3, Rate: 50,
		Alone: 100 * time.Millisecond, Warmup: 100 * time.Millisecond, Window: window,
		Talk: Talk{Say: 200 * time.Millisecond, Wait: 200 * time.Millisecond, Barge: 2, BargeAfter: 200 * time.Millisecond},
	}, func(p Phase) { phases = append(phases, p) })
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(phases) != "[alone begin end]" {
		t.Errorf("phases %v", phases)
	}
	if len(r.Calls) != 3 || a.ended() != 3 {
		t.Errorf("%d calls and %d BYEs, want 3", len(r.Calls), a.ended())
	}
	for _, c := range r.Calls {
		if c.Fault != "" {
			t.Errorf("call %s: %s", c.ID, c.Fault)
		}
		for _, turn := range c.Turns {
			if turn.Reply > turn.Last {
				turns++
			}
			if turn.Old != 0 {
				stopped++
			}
		}
	}
	return turns, stopped, r
}

func TestRunOfShortCalls(t *testing.T) {
	t.Parallel()
	a, to := start(t, false)
	r, err := Run(t.Context(), Config{To: to, Calls: 10, Rate: 100, Each: 200 * time.Millisecond}, func(Phase) {})
	if err != nil {
		t.Fatal(err)
	}
	if a.ended() != 10 || len(r.Calls) != 10 || r.CallSeconds < 1 {
		t.Errorf("%d BYEs of %d calls, %.1f call-seconds", a.ended(), len(r.Calls), r.CallSeconds)
	}
}

// Calls from several addresses, of which the engine takes five: the others are
// refused, and what comes of them is told.
func TestRunOfTooMany(t *testing.T) {
	t.Parallel()
	a, to := start(t, false)
	a.mu.Lock()
	a.most = 5
	a.mu.Unlock()
	var phases []Phase
	r, err := Run(t.Context(), Config{
		To: to, Calls: 20, Rate: 100, Each: time.Second, Ramp: 100 * time.Millisecond, Sources: 3,
	}, func(p Phase) { phases = append(phases, p) })
	if err != nil {
		t.Fatal(err)
	}
	served, refused := 0, 0
	for _, c := range r.Calls {
		switch {
		case c.Status == 0 && c.Answered > c.Placed && c.Fault == "":
			served++
		case c.Status == 503 && c.After == 7 && c.Refused > c.Placed:
			refused++
		default:
			t.Errorf("%+v", c)
		}
	}
	if served != 5 || refused != 15 || fmt.Sprint(phases) != "[begin end]" || r.To-r.From <= 0 {
		t.Errorf("%d served, %d refused, phases %v, window of %d ns", served, refused, phases, r.To-r.From)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.sources) != 3 {
		t.Errorf("calls came from %v, want three addresses", a.sources)
	}
}

func TestRunTellsRefusals(t *testing.T) {
	t.Parallel()
	_, to := start(t, true)
	if _, err := Run(t.Context(), Config{To: to, Calls: 2, Rate: 100}, func(Phase) {}); err == nil {
		t.Error("calls that nobody answers are no fault")
	}
	for _, c := range []Config{{To: to, Rate: 1}, {To: to, Calls: 1}} {
		if _, err := Run(t.Context(), c, func(Phase) {}); err == nil {
			t.Errorf("%+v is taken", c)
		}
	}
}
