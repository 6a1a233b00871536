//go:build e2e

package e2e

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/patchcord/patchcord/internal/load"
)

// paced sends at a rate for a time, in bursts of a millisecond, and tells how many
// there were.
func paced(t *testing.T, perSecond int, d time.Duration, send func(i int)) (sent int) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for begun := time.Now(); time.Since(begun) < d; <-tick.C {
		for due := int(time.Since(begun).Seconds() * float64(perSecond)); sent < due; sent++ {
			send(sent)
		}
	}
	return sent
}

// usage is what the engine's process has used and holds.
type usage struct {
	cpu time.Duration
	rss int64 // bytes
}

func (e *engine) usage(t *testing.T) usage {
	t.Helper()
	dir := fmt.Sprintf("/proc/%d/", e.cmd.Process.Pid)
	stat, err := os.ReadFile(dir + "stat")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(stat), ") ")
	f := strings.Fields(after)
	if len(f) < 22 {
		t.Fatalf("%s", stat)
	}
	user, _ := strconv.ParseInt(f[11], 10, 64)
	system, _ := strconv.ParseInt(f[12], 10, 64)
	pages, _ := strconv.ParseInt(f[21], 10, 64)
	return usage{time.Duration(user+system) * 10 * time.Millisecond, pages * int64(os.Getpagesize())} // 100 ticks a second
}

// harmless has five calls up, lets a flood go on meanwhile, and sees that each of
// them was sent every packet.
func harmless(t *testing.T, e *engine, flood func()) {
	t.Helper()
	const calls, window = 5, 8 * time.Second
	var wg sync.WaitGroup
	begin := make(chan struct{})
	var r *load.Report
	wg.Go(func() {
		var err error
		r, err = load.Run(t.Context(), load.Config{
			To: netip.MustParseAddrPort(e.sip), User: "4930123456", Calls: calls, Rate: 5, Warmup: time.Second, Window: window,
		}, func(p load.Phase) {
			if p == load.Begin {
				close(begin)
			}
		})
		if err != nil {
			t.Error(err)
		}
	})
	select {
	case <-begin:
		flood()
	case <-time.After(20 * time.Second):
		t.Error("the calls do not come up")
	}
	wg.Wait()
	if r == nil {
		return
	}
	t.Logf("calls: %d packets, %d lost, p99 %.1f ms and at most %.1f ms between them", r.Packets, r.Lost, r.Gaps.P99, r.Gaps.Max)
	// On a machine with more to do than it can packets come late, and are none the fewer.
	if want := int(float64(calls) * window.Seconds() * 50 * 0.3); r.Lost > 0 || r.Packets < want {
		t.Errorf("%d packets, %d lost, want %d and none", r.Packets, r.Lost, want)
	}
	for _, c := range r.Calls {
		if c.Fault != "" {
			t.Errorf("call %s: %s", c.ID, c.Fault)
		}
	}
}

// TestFloodOfStrangers: 5,000 messages a second of a source that no trunk names get
// no answer, little of the processor and of memory, and harm no call
// (reliability.md 5.5).
func TestFloodOfStrangers(t *testing.T) {
	t.Parallel()
	e := serve(t, silent, map[string]string{"support.yaml": silentAgent})
	conn, err := net.DialUDP("udp4", &net.UDPAddr{IP: net.ParseIP(stranger)}, net.UDPAddrFromAddrPort(netip.MustParseAddrPort(e.sip)))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var answers atomic.Int64
	go func() {
		buf := make([]byte, 2048)
		for {
			if _, err := conn.Read(buf); err != nil {
				return
			}
			answers.Add(1)
		}
	}()
	methods := []string{"INVITE", "OPTIONS", "REGISTER"}
	harmless(t, e, func() {
		const d = 5 * time.Second
		before := e.usage(t)
		sent := paced(t, 5000, d, func(i int) {
			method := methods[i%len(methods)]
			_, _ = fmt.Fprintf(conn, "%[1]s sip:1@%[2]s SIP/2.0\r\nVia: SIP/2.0/UDP %[3]s;branch=z9hG4bK%[4]d;rport\r\n"+
				"Max-Forwards: 70\r\nFrom: <sip:a@%[3]s>;tag=%[4]d\r\nTo: <sip:1@%[2]s>\r\nCall-ID: %[4]d\r\nCSeq: 1 %[1]s\r\n"+
				"Contact: <sip:a@%[3]s>\r\nContent-Length: 0\r\n\r\n", method, e.sip, conn.LocalAddr(), i)
		})
		after := e.usage(t)
		share, grown := (after.cpu-before.cpu).Seconds()/d.Seconds(), (after.rss-before.rss)>>20
		t.Logf("%d messages: %d answers, %.0f %% of a processor with the calls, %d MB more", sent, answers.Load(), 100*share, grown)
		if sent < 20_000 || answers.Load() > 0 || share > 1 || grown > 50 {
			t.Errorf("%d messages: %d answers, %.0f %% of a processor, %d MB more", sent, answers.Load(), 100*share, grown)
		}
	})
	e.stop(t)
}

// TestFloodOfSound: 20,000 packets of RTP a second to one call, from where its caller
// said it would send: that call may suffer, the others do not.
func TestFloodOfSound(t *testing.T) {
	t.Parallel()
	e := serve(t, silent, map[string]string{"support.yaml": silentAgent})
	victim := ringUp(t, e)
	harmless(t, e, func() {
		packet := make([]byte, 172)
		packet[0] = 0x80
		before := e.usage(t)
		sent := paced(t, 20_000, 5*time.Second, func(i int) {
			binary.BigEndian.PutUint16(packet[2:], uint16(i))
			binary.BigEndian.PutUint32(packet[4:], uint32(i*160))
			_, _ = victim.sound.WriteTo(packet, victim.far)
		})
		after := e.usage(t)
		t.Logf("%d packets, %.0f %% of a processor with the calls, %d MB more", sent,
			100*(after.cpu-before.cpu).Seconds()/5, (after.rss-before.rss)>>20)
		if sent < 50_000 {
			t.Errorf("only %d packets were sent", sent)
		}
	})
	victim.hangUp()
	e.stop(t)
}

// ringing is a call of a caller of a few lines.
type ringing struct {
	sound *net.UDPConn
	far   *net.UDPAddr // where its sound goes

	hangUp func()
}

var audioPort = regexp.MustCompile(`\r\nm=audio (\d+) `)

// ringUp places a call and acknowledges its answer.
func ringUp(t *testing.T, e *engine) ringing {
	t.Helper()
	host := ourAddr()
	to := net.UDPAddrFromAddrPort(netip.MustParseAddrPort(e.sip))
	conn, err := net.DialUDP("udp4", &net.UDPAddr{IP: net.ParseIP(host)}, to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	sound, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.ParseIP(host)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sound.Close() })
	at := conn.LocalAddr()
	sdp := fmt.Sprintf("v=0\r\no=- 1 1 IN IP4 %[1]s\r\ns=-\r\nc=IN IP4 %[1]s\r\nt=0 0\r\nm=audio %[2]d RTP/AVP 0\r\n",
		host, sound.LocalAddr().(*net.UDPAddr).Port)
	seq := 0
	request := func(method, tag, body string) {
		seq++
		if method == "ACK" {
			seq--
		}
		if _, err := fmt.Fprintf(conn, "%[1]s sip:4930123456@%[2]s SIP/2.0\r\nVia: SIP/2.0/UDP %[3]s;branch=z9hG4bK%[1]s;rport\r\n"+
			"Max-Forwards: 70\r\nFrom: <sip:a@%[3]s>;tag=a\r\nTo: <sip:4930123456@%[2]s>%[4]s\r\nCall-ID: 1@%[3]s\r\n"+
			"CSeq: %[7]d %[1]s\r\nContact: <sip:a@%[3]s>\r\nContent-Type: application/sdp\r\nContent-Length: %[5]d\r\n\r\n%[6]s",
			method, e.sip, at, tag, len(body), body, seq); err != nil {
			t.Fatal(err)
		}
	}
	request("INVITE", "", sdp)
	buf := make([]byte, 4096)
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	for {
		n, err := conn.Read(buf)
		if err != nil {
			t.Fatalf("the call is not answered: %v", err)
		}
		text := string(buf[:n])
		port := audioPort.FindStringSubmatch(text)
		if !strings.HasPrefix(text, "SIP/2.0 200 ") || port == nil {
			continue
		}
		_, tag, _ := strings.Cut(text, "To: <sip:4930123456@"+e.sip+">")
		tag, _, _ = strings.Cut(tag, "\r\n")
		request("ACK", tag, "")
		far, _ := strconv.Atoi(port[1])
		return ringing{sound, &net.UDPAddr{IP: to.IP, Port: far}, func() { request("BYE", tag, "") }}
	}
}

// TestFloodOfRequests: who asks the API more often than it may is told so, and calls
// do not notice.
func TestFloodOfRequests(t *testing.T) {
	t.Parallel()
	e := serve(t, silent+"api: {keys: [{name: ops, key: \"0123456789abcdef0123456789abcdef\", scopes: [\"*\"]}]}\n",
		map[string]string{"support.yaml": silentAgent})
	harmless(t, e, func() {
		var told, taken, other atomic.Int64
		var wg sync.WaitGroup
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8}}
		defer client.CloseIdleConnections()
		for range 8 {
			wg.Go(func() {
				for ctx.Err() == nil {
					req, err := http.NewRequestWithContext(ctx, http.MethodGet, e.http+"/v1/calls", nil)
					if err != nil {
						return
					}
					req.Header.Set("X-API-Key", "0123456789abcdef0123456789abcdef")
					res, err := client.Do(req)
					if err != nil {
						continue
					}
					_, _ = io.Copy(io.Discard, res.Body)
					res.Body.Close()
					switch res.StatusCode {
					case http.StatusTooManyRequests:
						told.Add(1)
					case http.StatusOK:
						taken.Add(1)
					default:
						other.Add(1)
					}
				}
			})
		}
		wg.Wait()
		t.Logf("%d requests: %d answered, %d told that they are too many", told.Load()+taken.Load()+other.Load(), taken.Load(), told.Load())
		if told.Load() < 1000 || taken.Load() > 70 || other.Load() > 0 {
			t.Errorf("%d answered, %d told that they are too many, %d otherwise", taken.Load(), told.Load(), other.Load())
		}
	})
	e.stop(t)
}

// TestFloodWithoutACK: 500 calls a second of an allowed trunk that never confirms an
// answer. They get the trunk's places and no more; the rest is refused without a
// transaction, and when they give up all is as it was.
func TestFloodWithoutACK(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute of real time")
	}
	t.Parallel()
	e := serve(t, silent+"limits: {max_calls: 1000}\n", map[string]string{"support.yaml": silentAgent})
	const sources = 25 // telephony/sip takes 20 a second of each
	var conns []*net.UDPConn
	var refused, answered atomic.Int64
	for range sources {
		conn, err := net.DialUDP("udp4", &net.UDPAddr{IP: net.ParseIP(ourAddr())}, net.UDPAddrFromAddrPort(netip.MustParseAddrPort(e.sip)))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conns = append(conns, conn)
		go func() {
			buf := make([]byte, 4096)
			for {
				n, err := conn.Read(buf)
				if err != nil {
					return
				}
				switch {
				case strings.HasPrefix(string(buf[:n]), "SIP/2.0 503 "):
					refused.Add(1)
				case strings.HasPrefix(string(buf[:n]), "SIP/2.0 200 "):
					answered.Add(1)
				}
			}
		}()
	}
	// What the first calls bring that stays: connections, buffers, phrases.
	harmless(t, e, func() {})
	before, goroutines := e.usage(t), e.metric(t, "go_goroutines")
	sdp := "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 9 RTP/AVP 0\r\n"
	most, sessions := usage{}, 0.0
	sent := 0
	harmless(t, e, func() {
		sent = paced(t, 500, 8*time.Second, func(i int) {
			conn := conns[i%sources]
			_, _ = fmt.Fprintf(conn, "INVITE sip:4930123456@%[1]s SIP/2.0\r\nVia: SIP/2.0/UDP %[2]s;branch=z9hG4bK%[3]d;rport\r\n"+
				"Max-Forwards: 70\r\nFrom: <sip:a@%[2]s>;tag=%[3]d\r\nTo: <sip:4930123456@%[1]s>\r\nCall-ID: %[3]d@%[2]s\r\n"+
				"CSeq: 1 INVITE\r\nContact: <sip:a@%[2]s>\r\nContent-Type: application/sdp\r\nContent-Length: %[4]d\r\n\r\n%[5]s",
				e.sip, conn.LocalAddr(), i, len(sdp), sdp)
		})
		most, sessions = e.usage(t), e.metric(t, "patchcord_rtp_sessions")
	})
	t.Logf("%d INVITEs: %d refusals, %.0f calls at once, %d MB more", sent, refused.Load(), sessions, (most.rss-before.rss)>>20)
	if sessions > 210 || refused.Load() < int64(sent)/2 || answered.Load() == 0 {
		t.Errorf("%.0f calls at once of %d INVITEs, %d refused, %d answers", sessions, sent, refused.Load(), answered.Load())
	}
	over := time.Now()
	eventually(t, 50*time.Second, "every call is over", func() bool { return e.metric(t, "patchcord_rtp_sessions") == 0 })
	t.Logf("%v after the flood every call is over", time.Since(over))
	// Nobody answers our BYE either: its transactions end 32 s later (RFC 3261 timer F).
	eventually(t, 50*time.Second, "all is as it was", func() bool { return e.metric(t, "go_goroutines") < goroutines+20 })
	after := e.usage(t)
	t.Logf("%v after the flood: %.0f goroutines, %.0f before; %d MB more", time.Since(over),
		e.metric(t, "go_goroutines"), goroutines, (after.rss-before.rss)>>20)
	e.stop(t)
}
