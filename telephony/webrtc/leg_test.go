package webrtc

import (
	"context"
	"sync"
	"testing"

	"github.com/pion/webrtc/v4"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/audio/codec"
	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/telephony/legtest"
	"github.com/patchcord/patchcord/telephony/rtp"
	"github.com/patchcord/patchcord/telephony/sdp"
)

// page is a browser's end of a call as a leg: the peer connection of a page,
// with a session of ours for its microphone and its loudspeaker.
type page struct {
	g       *Gateway
	id      telephony.CallID
	pc      *webrtc.PeerConnection
	session *rtp.Session
	info    telephony.Info
	readers sync.WaitGroup

	mu     sync.Mutex // guards what follows
	events chan telephony.Event
	ended  bool
}

var _ telephony.Leg = (*page)(nil)

// openPage calls the gateway by one codec, and keys of its clock.
func openPage(t *testing.T, g *Gateway, speaks sdp.Codec) *page {
	t.Helper()
	spec, _ := codec.Lookup(speaks.Name)
	speaks.PT = int(offered[speaks.Name].PayloadType)
	keys := "8k keys"
	if spec.ClockRate == 48000 {
		keys = "48k keys"
	}
	b := newBrowser(t, false, speaks.Name, keys) // which closes with the test
	p := &page{
		g: g, pc: b.pc, events: make(chan telephony.Event, 64), // as many as a leg keeps
		info: telephony.Info{Direction: telephony.Outbound, Transport: "page", Codec: spec.Name, Format: spec.Format()},
	}
	sender := b.pc.GetSenders()[0]
	w := &wire{pc: b.pc, out: &out{codec: capability(speaks)}}
	if err := sender.ReplaceTrack(w.out); err != nil {
		t.Fatal(err)
	}
	var err error
	if p.session, err = g.cfg.Media.Attach(w, uint32(sender.GetParameters().Encodings[0].SSRC)); err != nil {
		t.Fatal(err)
	}
	p.session.Notify(p.emit)
	b.pc.OnTrack(func(track *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		p.readers.Go(func() {
			var packet [packetSize]byte
			for {
				n, _, err := track.Read(packet[:])
				if err != nil && n == 0 {
					return
				}
				if err == nil {
					w.put(packet[:n])
				}
			}
		})
	})
	var up sync.Once
	b.pc.OnConnectionStateChange(func(s webrtc.PeerConnectionState) {
		switch s {
		case webrtc.PeerConnectionStateConnected:
			up.Do(func() { close(b.up) })
		case webrtc.PeerConnectionStateClosed, webrtc.PeerConnectionStateFailed:
			p.over(telephony.Cause{Reason: telephony.ReasonNormal, Remote: true})
		}
	})
	t.Cleanup(func() {
		b.close()
		p.readers.Wait()
		p.session.Close()
	})
	p.id = b.call(g)
	a := agreed{spec: spec, codec: speaks}
	a.event.Name, a.event.PT, a.event.ClockRate = eventName, int(offered[keys].PayloadType), int(offered[keys].ClockRate)
	if err := p.session.Apply(a.params()); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *page) emit(e telephony.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.ended {
		p.events <- e // 64: more than a test makes
	}
}

func (p *page) over(c telephony.Cause) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.ended {
		p.ended = true
		p.events <- telephony.Ended{Cause: c}
		close(p.events)
	}
}

func (p *page) Info() telephony.Info                         { return p.info }
func (*page) Progress(context.Context, bool) error           { return nil }
func (*page) Answer(context.Context) error                   { return nil }
func (p *page) Connect(in audio.Sink, out audio.Source)      { p.session.Connect(in, out) }
func (p *page) Events() <-chan telephony.Event               { return p.events }
func (*page) Hold(context.Context, bool) error               { return nil }
func (p *page) Stats() telephony.Stats                       { return p.session.Stats() }
func (*page) Refer(context.Context, telephony.ReferTo) error { return telephony.ErrNoRefer }

func (p *page) SendDigits(ctx context.Context, digits string, tone telephony.Tone) error {
	return p.session.SendDigits(ctx, digits, tone)
}

// Hangup is what a page does: it asks its server to end the call.
func (p *page) Hangup(_ context.Context, c telephony.Cause) error {
	p.g.Hangup(p.id)
	p.over(c)
	return nil
}

// Legs of browsers do what legs do.
func TestLegs(t *testing.T) {
	t.Parallel()
	for _, c := range []sdp.Codec{sdp.Opus, sdp.PCMU} {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			legtest.Run(t, func(t *testing.T, h telephony.Handler) telephony.Leg {
				t.Helper()
				g := open(t, h)
				return openPage(t, g, c)
			}, nil)
		})
	}
}
