package webrtc

import (
	"context"
	"errors"
	"math"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/pion/interceptor"
	pionrtp "github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/audio/codec"
	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/telephony/rtp"
)

// host takes calls: it says a tone, and keeps what it hears and what happens.
type host struct {
	serve func(ctx context.Context, leg telephony.Leg) // nil: as told above
	calls chan *hosted                                 // 16: more than a test makes
}

type hosted struct {
	leg    telephony.Leg
	ear    ear
	events []telephony.Event
	stats  telephony.Stats
	err    error
}

func (h *host) ServeCall(ctx context.Context, leg telephony.Leg) {
	if h.serve != nil {
		h.serve(ctx, leg)
		return
	}
	c := &hosted{leg: leg}
	leg.Connect(&c.ear, &tone{hz: 440, rate: leg.Info().Format.Rate})
	if c.err = leg.Answer(ctx); c.err == nil {
		for e := range leg.Events() {
			c.events = append(c.events, e)
		}
	}
	c.stats = leg.Stats()
	h.calls <- c
}

// ear counts frames that have a tone, and tells the first.
type ear struct {
	mu     sync.Mutex
	rate   int
	pcm    []int16
	frames int
}

func (e *ear) Hear(f audio.Frame) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.frames++
	if e.rate = f.Rate; len(e.pcm) < 10*f.Rate {
		e.pcm = append(e.pcm, f.PCM...)
	}
}

// loudness of a tone in what was heard, as a share of all sound.
func (e *ear) share(hz float64) float64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return share(e.pcm, e.rate, hz)
}

// share is the power of a tone by all power, over the frames that have sound.
func share(pcm []int16, rate int, hz float64) float64 {
	n := rate / 50
	var tone, all float64
	for ; len(pcm) >= n && n > 0; pcm = pcm[n:] {
		var re, im, power float64
		for i, v := range pcm[:n] {
			a := 2 * math.Pi * hz * float64(i) / float64(rate)
			re += float64(v) * math.Cos(a)
			im += float64(v) * math.Sin(a)
			power += float64(v) * float64(v)
		}
		tone += 2 * (re*re + im*im) / float64(n)
		all += power
	}
	return tone / max(all, 1)
}

// tone says a tone for ever.
type tone struct {
	hz   float64
	rate int
	at   int
}

func (t *tone) Next(dst []int16) bool {
	for i := range dst {
		dst[i] = int16(8000 * math.Sin(2*math.Pi*t.hz*float64(t.at+i)/float64(t.rate)))
	}
	t.at += len(dst)
	return true
}

// open serves a Gateway until the test ends.
func open(t testing.TB, h telephony.Handler, change ...func(*Config)) *Gateway {
	t.Helper()
	media, err := rtp.New(rtp.Config{PortMin: 19600, PortMax: 19698, Shards: 1})
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{Listen: "udp://127.0.0.1:0", Media: media, Handler: h}
	for _, f := range change {
		f(&cfg)
	}
	g, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := media.Serve(ctx); err != nil {
			t.Error(err)
		}
	})
	wg.Go(func() {
		if err := g.Serve(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { stop(); wg.Wait() })
	select {
	case <-g.Ready():
	case <-time.After(10 * time.Second):
		t.Fatal("not ready")
	}
	return g
}

// browser is a peer connection as a page makes it, in this process.
type browser struct {
	t     testing.TB
	pc    *webrtc.PeerConnection
	track *webrtc.TrackLocalStaticRTP
	spec  codec.Spec
	pt    uint8
	up    chan struct{} // closed when it is connected
	down  chan struct{} // closed when it is closed
	heard ear
	sent  int // packets
	seqs  []uint16
	keys  []byte // events that came, each packet's
	done  sync.WaitGroup
}

// codecs that a browser offers, with its own numbers.
var offered = map[string]webrtc.RTPCodecParameters{
	"opus": {RTPCodecCapability: webrtc.RTPCodecCapability{
		MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2, SDPFmtpLine: "minptime=10;useinbandfec=1",
	}, PayloadType: 109},
	"G722": {
		RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeG722, ClockRate: 8000}, PayloadType: 9,
	},
	"PCMU": {
		RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypePCMU, ClockRate: 8000}, PayloadType: 0,
	},
	"48k keys": {
		RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: "audio/telephone-event", ClockRate: 48000}, PayloadType: 110,
	},
	"8k keys": {
		RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: "audio/telephone-event", ClockRate: 8000}, PayloadType: 126,
	},
}

func newBrowser(t testing.TB, tcp bool, codecs ...string) *browser {
	t.Helper()
	media := &webrtc.MediaEngine{}
	for _, name := range codecs {
		if err := media.RegisterCodec(offered[name], webrtc.RTPCodecTypeAudio); err != nil {
			t.Fatal(err)
		}
	}
	var s webrtc.SettingEngine
	s.SetIncludeLoopbackCandidate(true)
	s.SetInterfaceFilter(func(name string) bool { return name == "lo" })
	s.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	if tcp {
		s.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeTCP4})
	}
	api := webrtc.NewAPI(webrtc.WithMediaEngine(media), webrtc.WithSettingEngine(s),
		webrtc.WithInterceptorRegistry(&interceptor.Registry{}))
	pc, err := api.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	b := &browser{t: t, pc: pc, up: make(chan struct{}), down: make(chan struct{})}
	var once, closed sync.Once
	pc.OnConnectionStateChange(func(s webrtc.PeerConnectionState) {
		switch s {
		case webrtc.PeerConnectionStateConnected:
			once.Do(func() { close(b.up) })
		case webrtc.PeerConnectionStateClosed:
			closed.Do(func() { close(b.down) })
		}
	})
	first := offered[codecs[0]]
	b.pt = uint8(first.PayloadType)
	b.spec, _ = codec.Lookup(codecs[0])
	if b.track, err = webrtc.NewTrackLocalStaticRTP(first.RTPCodecCapability, "mic", "page"); err != nil {
		t.Fatal(err)
	}
	if _, err := pc.AddTrack(b.track); err != nil {
		t.Fatal(err)
	}
	pc.OnTrack(func(track *webrtc.TrackRemote, _ *webrtc.RTPReceiver) { b.done.Go(func() { b.hear(track) }) })
	t.Cleanup(b.close)
	return b
}

// call makes the call and waits until it is connected.
func (b *browser) call(g *Gateway) telephony.CallID {
	b.t.Helper()
	offer, err := b.pc.CreateOffer(nil)
	if err != nil {
		b.t.Fatal(err)
	}
	gathered := webrtc.GatheringCompletePromise(b.pc)
	if err := b.pc.SetLocalDescription(offer); err != nil {
		b.t.Fatal(err)
	}
	<-gathered
	id, answer, err := g.Answer(b.t.Context(), Offer{SDP: b.pc.LocalDescription().SDP, Agent: "shop"})
	if err != nil {
		b.t.Fatal(err)
	}
	if err := b.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answer}); err != nil {
		b.t.Fatal(err)
	}
	select {
	case <-b.up:
	case <-b.down: // hung up at once: that it was up need not be seen
	case <-time.After(20 * time.Second):
		b.t.Fatalf("not connected; the answer was\n%s", answer)
	}
	return id
}

// say sends frames of a tone in real time.
func (b *browser) say(hz float64, frames int) {
	b.t.Helper()
	enc, err := codec.New(b.spec.Name)
	if err != nil {
		b.t.Fatal(err)
	}
	n := b.spec.Rate / 50
	src, pcm, payload := &tone{hz: hz, rate: b.spec.Rate}, make([]int16, n), make([]byte, b.spec.Bytes(n))
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for range frames {
		src.Next(pcm)
		p := &pionrtp.Packet{
			Header: pionrtp.Header{
				Version: 2, PayloadType: b.pt, SequenceNumber: uint16(b.sent), Timestamp: uint32(b.sent) * b.spec.Ticks(n),
			},
			Payload: payload[:enc.Encode(payload, pcm)],
		}
		b.sent++
		if err := b.track.WriteRTP(p); err != nil && !errors.Is(err, net.ErrClosed) {
			b.t.Fatal(err)
		}
		<-tick.C
	}
}

// hears waits until the page has heard that many frames more.
func (b *browser) hears(frames int) {
	b.t.Helper()
	now := func() int {
		b.heard.mu.Lock()
		defer b.heard.mu.Unlock()
		return len(b.heard.pcm)
	}
	until := now() + frames*b.spec.Rate/50
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for limit := time.After(20 * time.Second); now() < until; {
		select {
		case <-tick.C:
		case <-limit:
			b.t.Fatalf("the page does not hear %d frames", frames)
		}
	}
}

// hear decodes what comes.
func (b *browser) hear(track *webrtc.TrackRemote) {
	dec, err := codec.New(b.spec.Name)
	if err != nil {
		b.t.Error(err)
		return
	}
	for {
		p, _, err := track.ReadRTP()
		if err != nil {
			return
		}
		b.heard.mu.Lock()
		b.seqs = append(b.seqs, p.SequenceNumber)
		if p.PayloadType == b.pt {
			pcm := make([]int16, b.spec.MaxSamples())
			b.heard.rate, b.heard.pcm = b.spec.Rate, append(b.heard.pcm, pcm[:dec.Decode(pcm, p.Payload)]...)
		} else if len(p.Payload) >= 4 && p.Marker {
			b.keys = append(b.keys, "0123456789*#ABCD"[p.Payload[0]&15])
		}
		b.heard.mu.Unlock()
	}
}

func (b *browser) close() {
	if err := b.pc.GracefulClose(); err != nil {
		b.t.Error(err)
	}
	b.done.Wait()
}
