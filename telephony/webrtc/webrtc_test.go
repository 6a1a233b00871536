package webrtc

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/patchcord/patchcord/telephony"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newHost() *host { return &host{calls: make(chan *hosted, 16)} }

// take waits for a call that has ended.
func (h *host) take(t *testing.T) *hosted {
	t.Helper()
	select {
	case c := <-h.calls:
		return c
	case <-time.After(30 * time.Second):
		t.Fatal("the call does not end")
		return nil
	}
}

func (c *hosted) cause(t *testing.T) telephony.Cause {
	t.Helper()
	if len(c.events) == 0 {
		t.Fatalf("no events; answered: %v", c.err)
	}
	e, ok := c.events[len(c.events)-1].(telephony.Ended)
	if !ok {
		t.Fatalf("the last event is %T", c.events[len(c.events)-1])
	}
	return e.Cause
}

// TestCalls: each codec, over UDP and TCP, the sound of either side at the
// other, keys both ways, and what is left of it.
func TestCalls(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		codecs []string // of the offer; the first is what shall be spoken
		tcp    bool
		listen string
	}{
		{"Opus", []string{"opus", "PCMU", "G722", "48k keys", "8k keys"}, false, "udp://127.0.0.1:0"},
		{"G.722 with keys of its clock", []string{"G722", "PCMU", "48k keys", "8k keys"}, false, "udp://127.0.0.1:0"},
		{"PCMU at any of our addresses", []string{"PCMU", "8k keys"}, false, "udp://0.0.0.0:0"},
		{"Opus over TCP, with keys of another clock", []string{"opus", "8k keys"}, true, "udp://127.0.0.1:0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if strings.Contains(c.listen, "0.0.0.0") && !hasAddress(t) {
				t.Skip("this machine has no address but that of itself")
			}
			h := newHost()
			g := open(t, h, func(cfg *Config) { cfg.Listen = c.listen })
			b := newBrowser(t, c.tcp, c.codecs...)
			id := b.call(g)
			b.say(1000, 100)
			b.hears(50) // however late the machine is
			g.mu.Lock()
			leg := g.legs[id]
			g.mu.Unlock()
			if leg == nil {
				t.Fatal("no leg of the call")
			}
			info := leg.Info()
			if info.ID != id || info.Codec != c.codecs[0] || info.Agent != "shop" || info.Transport != "webrtc" || info.Keys != "rfc4733" {
				t.Errorf("the leg is %+v", info)
			}
			if err := leg.SendDigits(t.Context(), "4#", telephony.Tone{}); err != nil {
				t.Error(err)
			}
			if !g.Hangup(id) || leg.Hangup(t.Context(), telephony.Cause{}) != nil {
				t.Error("not hung up")
			}
			call := h.take(t)
			if cause := call.cause(t); cause.Reason != telephony.ReasonNormal || !cause.Remote {
				t.Errorf("ended %v", cause)
			}
			if s := call.ear.share(1000); s < 0.5 {
				t.Errorf("%.2f of what was heard is the page's tone", s)
			}
			b.heard.mu.Lock()
			s, keys, n := share(b.heard.pcm, b.heard.rate, 440), string(b.keys), len(b.seqs)
			b.heard.mu.Unlock()
			if s < 0.5 || keys != "4#" || n < 50 {
				t.Errorf("the page heard %.2f of our tone, the keys %q, in %d packets", s, keys, n)
			}
			st := call.leg.Stats()
			if st.PacketsReceived < 90 || st.PacketsLost != 0 || st.PacketsDiscarded > st.PacketsReceived/4 || st.MOS == 0 {
				t.Errorf("%+v", st)
			}
			t.Logf("sent %d packets, 99 of 100 at most %v late; jitter %v, buffer %v", st.PacketsSent, st.SendDelayP99,
				st.Jitter, st.BufferDelay)
			if g.Hangup(id) {
				t.Error("the call is there after its end")
			}
		})
	}
}

// hasAddress tells whether the machine can be reached.
func hasAddress(t *testing.T) bool {
	t.Helper()
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(addrs, func(a net.Addr) bool {
		n, ok := a.(*net.IPNet)
		return ok && n.IP.To4() != nil && !n.IP.IsLoopback()
	})
}

// TestHold: a page on hold is not heard, and hears on.
func TestHold(t *testing.T) {
	t.Parallel()
	h := newHost()
	g := open(t, h)
	b := newBrowser(t, false, "PCMU")
	id := b.call(g)
	g.mu.Lock()
	leg := g.legs[id]
	g.mu.Unlock()
	b.say(1000, 25)
	if err := leg.Hold(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	b.say(1000, 25)
	b.hears(30) // of the leg's clock, which both sides go by
	if err := leg.Refer(t.Context(), telephony.ReferTo{}); !errors.Is(err, telephony.ErrNoRefer) {
		t.Errorf("referred: %v", err)
	}
	g.Hangup(id)
	call := h.take(t)
	call.ear.mu.Lock()
	quiet := call.ear.pcm[len(call.ear.pcm)-15*160:]
	call.ear.mu.Unlock()
	if slices.ContainsFunc(quiet, func(v int16) bool { return v != 0 }) || call.ear.share(1000) < 0.5 {
		t.Errorf("heard on hold, or never: %.2f of all is the page's tone", call.ear.share(1000))
	}
}

// TestThePageGoes: a page that is closed ends its call, whatever of.
func TestThePageGoes(t *testing.T) {
	t.Parallel()
	h := newHost()
	g := open(t, h)
	b := newBrowser(t, false, "PCMU")
	b.call(g)
	b.say(1000, 10)
	if err := b.pc.Close(); err != nil {
		t.Fatal(err)
	}
	if cause := h.take(t).cause(t); !cause.Remote {
		t.Errorf("ended %v", cause)
	}
}

// TestNothingIsLeft: no goroutine of a call is there after it, also of those that
// the handler ends, that panic, and that never connect.
func TestNothingIsLeft(t *testing.T) {
	h := newHost()
	how := make(chan func(context.Context, telephony.Leg), 1) // what the next call's handler does
	h.serve = func(ctx context.Context, leg telephony.Leg) { (<-how)(ctx, leg) }
	g := open(t, h)
	for name, serve := range map[string]func(context.Context, telephony.Leg){
		"the handler hangs up": func(ctx context.Context, leg telephony.Leg) {
			if err := leg.Answer(ctx); err != nil {
				t.Error(err)
			}
			_ = leg.Hangup(ctx, telephony.Cause{Reason: telephony.ReasonNormal})
		},
		"the handler returns": func(ctx context.Context, leg telephony.Leg) { _ = leg.Answer(ctx) },
		"SEC-1: the handler panics": func(ctx context.Context, leg telephony.Leg) {
			_ = leg.Answer(ctx)
			panic("a fault of ours")
		},
	} {
		how <- serve
		b := newBrowser(t, false, "opus", "48k keys")
		b.call(g)
		select {
		case <-b.down:
		case <-time.After(20 * time.Second):
			t.Fatalf("%s: the page is not told", name)
		}
		b.close()
	}
	how <- func(ctx context.Context, leg telephony.Leg) {
		err := leg.Answer(ctx)
		var over *telephony.HangupError
		if !errors.As(err, &over) || over.Cause.Reason != telephony.ReasonNormal {
			t.Errorf("answered %v", err)
		}
	}
	id, _, err := g.Answer(t.Context(), Offer{SDP: offerOf(t), Agent: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	g.Hangup(id)
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	left := ofCalls()
	for late := time.After(20 * time.Second); len(left) > 0; left = ofCalls() {
		select {
		case <-again.C:
		case <-late:
			t.Fatalf("%d goroutines are left\n%s", len(left), strings.Join(left, "\n\n"))
		}
	}
	if l := g.cfg.Media.Load(); l.Sessions != 0 {
		t.Errorf("%d sessions are left", l.Sessions)
	}
}

// ofCalls are the goroutines that belong to calls, not to the ports they share.
func ofCalls() []string {
	buf := make([]byte, 1<<20)
	var left []string
	for _, g := range strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		for _, mark := range []string{
			"telephony/webrtc.(*leg)", "pion/webrtc", "pion/dtls", "pion/srtp", "pion/sctp", "pion/interceptor",
			"ice/v4.(*Agent)",
		} {
			if strings.Contains(g, mark) {
				left = append(left, g)
				break
			}
		}
	}
	return left
}

// offerOf is an offer of a browser that never connects.
func offerOf(t *testing.T) string {
	t.Helper()
	b := newBrowser(t, false, "opus")
	offer, err := b.pc.CreateOffer(nil)
	if err != nil {
		t.Fatal(err)
	}
	b.close()
	return offer.SDP
}

func TestRefused(t *testing.T) {
	t.Parallel()
	full := telephony.Cause{Reason: telephony.ReasonOverload}
	var taken bool
	g := open(t, newHost(), func(c *Config) {
		c.Accept = func(telephony.Info) (telephony.Cause, bool) { return full, taken }
	})
	offer := offerOf(t)
	var refused *telephony.HangupError
	if _, _, err := g.Answer(t.Context(), Offer{SDP: offer}); !errors.As(err, &refused) || refused.Cause != full {
		t.Errorf("not let in: %v", err)
	}
	taken = true
	g.Drain(true)
	_, _, err := g.Answer(t.Context(), Offer{SDP: offer})
	if !errors.As(err, &refused) || refused.Cause.Reason != telephony.ReasonDraining {
		t.Errorf("draining: %v", err)
	}
	g.Drain(false)
	for name, sdp := range map[string]string{
		"nothing": "", "no SDP": "hello", "no audio": strings.Replace(offer, "m=audio", "m=video", 1),
		"another codec": strings.NewReplacer("opus/48000", "speex/32000").Replace(offer),
		// Nobody reads what comes over one, and a page may open 65,535 of them.
		"a data channel": offer + "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=mid:1\r\n" +
			"a=sctp-port:5000\r\n",
	} {
		if _, _, err := g.Answer(t.Context(), Offer{SDP: sdp}); err == nil || errors.As(err, &refused) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := New(Config{Listen: "0.0.0.0:8189", Media: g.cfg.Media, Handler: newHost()}); err == nil {
		t.Error("an address without udp:// was taken")
	}
}

// TestWeCallNobody: nothing of ours goes to an address that only an offer names:
// by ICE-lite the page comes to us, and proves that it is there.
func TestWeCallNobody(t *testing.T) {
	t.Parallel()
	tcp, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	udp, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	g := open(t, newHost())
	offer := offerOf(t) + fmt.Sprintf("a=candidate:1 1 tcp 1671430143 127.0.0.1 %d typ host tcptype passive\r\n"+
		"a=candidate:2 1 udp 2130706431 127.0.0.1 %d typ host\r\n", tcp.Addr().(*net.TCPAddr).Port,
		udp.LocalAddr().(*net.UDPAddr).Port)
	within := time.Now().Add(2 * time.Second)
	_ = tcp.SetDeadline(within)
	_ = udp.SetDeadline(within)
	for _, o := range []string{
		offer,
		strings.Replace(strings.Replace(offer, "m=audio", "a=ice-lite\r\nm=audio", 1), "a=setup:actpass", "a=setup:passive", 1),
	} {
		id, _, err := g.Answer(t.Context(), Offer{SDP: o, Agent: "shop"})
		if strings.Contains(o, "ice-lite") != (err != nil) {
			t.Errorf("answered %v", err)
		}
		if err == nil {
			defer g.Hangup(id)
		}
	}
	if c, err := tcp.Accept(); err == nil {
		_ = c.Close()
		t.Error("connected to what the offer names")
	}
	if n, _, err := udp.ReadFrom(make([]byte, 1500)); err == nil {
		t.Errorf("%d bytes sent to what the offer names", n)
	}
}

// TestAnswer is what a browser gets: lite, one codec of ours under its numbers,
// our addresses and no names.
func TestAnswer(t *testing.T) {
	t.Parallel()
	g := open(t, newHost(), func(c *Config) { c.PublicIP = "203.0.113.10" })
	b := newBrowser(t, false, "PCMU", "G722", "opus", "8k keys", "48k keys")
	offer, err := b.pc.CreateOffer(nil)
	if err != nil {
		t.Fatal(err)
	}
	id, answer, err := g.Answer(t.Context(), Offer{SDP: offer.SDP, Agent: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Hangup(id)
	for _, want := range []string{
		"a=ice-lite", "UDP/TLS/RTP/SAVPF 109 110\r\n", "a=rtpmap:109 opus/48000/2", "useinbandfec=1",
		"a=rtpmap:110 telephone-event/48000",
		"203.0.113.10", " typ host tcptype passive", "a=rtcp-mux", "a=sendrecv",
	} {
		if !strings.Contains(answer, want) {
			t.Errorf("no %q in\n%s", want, answer)
		}
	}
	for _, unwanted := range []string{"127.0.0.1", ".local", "PCMU", "transport-cc"} {
		if strings.Contains(strings.SplitN(answer, "m=", 2)[1], unwanted) {
			t.Errorf("%q in\n%s", unwanted, answer)
		}
	}
}

// BenchmarkWrite is what the shard spends on one packet: SRTP, ICE, the socket.
func BenchmarkWrite(b *testing.B) {
	h := newHost()
	g := open(b, h)
	page := newBrowser(b, false, "opus")
	id := page.call(g)
	g.mu.Lock()
	l := g.legs[id]
	g.mu.Unlock()
	packet := make([]byte, 12+60) // 20 ms of Opus
	packet[0], packet[1] = 0x80, page.pt
	b.ReportAllocs()
	for seq := uint16(0); b.Loop(); seq++ {
		packet[2], packet[3] = byte(seq>>8), byte(seq)
		l.wire.Write(packet)
	}
	g.Hangup(id)
	<-h.calls
}
