package rtp

import (
	"context"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/telephony/sdp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var loopback = netip.MustParseAddr("127.0.0.1")

// running serves a Media until the test ends; cleanups run after it, so that
// sessions are closed first.
func running(t testing.TB, cfg Config) *Media {
	t.Helper()
	m, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := m.Serve(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		cancel()
		wg.Wait()
	})
	return m
}

func open(t testing.TB, m *Media, local netip.Addr) *Session {
	t.Helper()
	s, err := m.Open(local)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// eventually polls until ok, on real sockets and their clock.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for !ok() {
		select {
		case <-poll.C:
		case <-deadline:
			t.Fatalf("%s: did not happen", what)
		}
	}
}

// talk is a Source that says a square wave.
type talk struct{ n int }

func (k *talk) Next(dst []int16) bool {
	for i := range dst {
		dst[i] = 8000
		if (k.n/8)%2 == 0 {
			dst[i] = -8000
		}
		k.n++
	}
	return true
}

// ear is a Sink that counts.
type ear struct {
	frames, loud, lost atomic.Int64
	rate, samples      atomic.Int64
	at                 atomic.Int64
}

func (e *ear) Hear(f audio.Frame) {
	e.frames.Add(1)
	e.rate.Store(int64(f.Rate))
	e.samples.Store(int64(len(f.PCM)))
	e.at.Store(int64(f.At))
	if f.Lost {
		e.lost.Add(1)
	}
	for _, v := range f.PCM {
		if v > 6000 || v < -6000 {
			e.loud.Add(1)
			return
		}
	}
}

func params(remote *Session, codec string, pt uint8) Params {
	return Params{
		Remote: remote.Local(), Codec: codec, PT: pt, EventPT: 101, Send: true, Receive: true,
	}
}

// INV43: packets leave at once and go on through silence.
func TestTwoSessionsTalk(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name      string
		codec     string
		pt        uint8
		rate      int
		ptime     time.Duration
		mux       bool
		ip        netip.Addr
		farSilent bool
		srtp      sdp.Suite
	}{
		{name: "µ-law", codec: "PCMU", pt: 0, ip: loopback},
		{name: "A-law in 30 ms packets", codec: "PCMA", pt: 8, ptime: 30 * time.Millisecond, ip: loopback},
		{name: "G.722 in 10 ms packets", codec: "G722", pt: 9, ptime: 10 * time.Millisecond, ip: loopback},
		{name: "G.722 at 8 kHz", codec: "G722", pt: 9, rate: 8000, ip: loopback},
		{name: "µ-law at 16 kHz, 60 ms packets", codec: "PCMU", pt: 0, rate: 16000, ptime: 60 * time.Millisecond, ip: loopback},
		{name: "shared RTCP port, IPv6", codec: "PCMU", pt: 0, mux: true, ip: netip.IPv6Loopback()},
		{name: "encrypted", codec: "PCMU", pt: 0, ip: loopback, srtp: sdp.AES128SHA80},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			m := running(t, Config{Shards: 1})
			a, b := open(t, m, c.ip), open(t, m, c.ip)
			ears := [2]*ear{{}, {}}
			for i, s := range []*Session{a, b} {
				p := params([]*Session{b, a}[i], c.codec, c.pt)
				p.Rate, p.PTime, p.RTCPMux = c.rate, c.ptime, c.mux
				if c.srtp != "" {
					p.SRTP = keyed(c.srtp, "one", "two")
					if i == 1 {
						p.SRTP = reversed(p.SRTP)
					}
				}
				s.Connect(ears[i], &talk{})
				if err := s.Apply(p); err != nil {
					t.Fatal(err)
				}
			}
			for i, e := range ears {
				eventually(t, "sound", func() bool { return e.loud.Load() > 30 })
				want := c.rate
				if want == 0 {
					want = map[string]int{"PCMU": 8000, "PCMA": 8000, "G722": 16000}[c.codec]
				}
				if int(e.rate.Load()) != want || int(e.samples.Load()) != want/50 {
					t.Errorf("session %d: frames of %d samples at %d Hz, want %d Hz", i, e.samples.Load(), e.rate.Load(), want)
				}
			}
			eventually(t, "figures", func() bool { return a.Stats().MOS > 0 && b.Stats().MOS > 0 })
			if st := a.Stats(); st.PacketsDiscarded != 0 {
				t.Errorf("%+v", st)
			}
		})
	}
}

func TestPanicEndsOneSession(t *testing.T) {
	t.Parallel()
	m := running(t, Config{Shards: 1})
	a, b := open(t, m, loopback), open(t, m, loopback)
	failed := make(chan telephony.Event, 1)
	a.Notify(func(ev telephony.Event) { failed <- ev })
	good := &ear{}
	a.Connect(sinkFunc(func(audio.Frame) { panic("a fault of ours") }), nil)
	b.Connect(good, &talk{})
	for i, s := range []*Session{a, b} {
		if err := s.Apply(params([]*Session{b, a}[i], "PCMU", 0)); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case ev := <-failed:
		if _, ok := ev.(telephony.MediaFailed); !ok {
			t.Errorf("event %#v", ev)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("nobody was told")
	}
	if err := a.SendDigits(t.Context(), "1", telephony.Tone{}); err == nil {
		t.Error("digits of a dead session were sent")
	}
	before := good.frames.Load()
	eventually(t, "the other session goes on", func() bool { return good.frames.Load() > before+10 })
	if m.Failed() != 1 {
		t.Errorf("%d failed", m.Failed())
	}
}

type sinkFunc func(audio.Frame)

func (f sinkFunc) Hear(fr audio.Frame) { f(fr) }
