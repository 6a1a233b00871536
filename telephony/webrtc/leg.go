package webrtc

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/pion/webrtc/v4"
	"go.uber.org/zap"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/telephony/rtp"
)

// legEvents is how many events wait for whoever uses the leg: some seconds of
// key presses.
const legEvents = 64

// leg is a browser's call. Two goroutines of the Gateway belong to it: one runs
// the handler, one waits for the end and takes everything down.
type leg struct {
	g       *Gateway
	log     *zap.Logger
	pc      *webrtc.PeerConnection
	wire    *wire
	session *rtp.Session
	ctx     context.Context
	cancel  context.CancelCauseFunc
	readers sync.WaitGroup // of the wire
	taken   chan struct{}  // closed when its offer is answered
	up      chan struct{}  // closed when keys are agreed
	over    chan struct{}  // closed by end
	gone    chan struct{}  // closed when nothing is left

	// mu guards what follows, and that nothing is sent to events once it is closed.
	mu     sync.Mutex
	events chan telephony.Event
	info   telephony.Info
	params rtp.Params
	ended  bool
	isUp   bool
	held   bool
	cause  telephony.Cause
}

var _ telephony.Leg = (*leg)(nil)

// newLeg makes the peer connection of a call and its session.
func (g *Gateway) newLeg(a agreed, info telephony.Info) (*leg, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case !g.addr.IsValid():
		return nil, ErrClosed
	case g.draining:
		return nil, &telephony.HangupError{Cause: telephony.Cause{Reason: telephony.ReasonDraining}}
	}
	api, err := a.api(g.settings)
	if err != nil {
		return nil, err
	}
	cfg, err := g.configurationLocked()
	if err != nil {
		return nil, err
	}
	pc, err := api.NewPeerConnection(cfg)
	if err != nil {
		return nil, fmt.Errorf("webrtc: peer connection: %w", err)
	}
	l := &leg{
		g: g, pc: pc, info: info, log: g.log.With(zap.String("call_id", string(info.ID))),
		wire:  &wire{pc: pc, out: &out{codec: capability(a.codec)}},
		taken: make(chan struct{}), up: make(chan struct{}), over: make(chan struct{}), gone: make(chan struct{}),
		events: make(chan telephony.Event, legEvents), params: a.params(),
	}
	l.ctx, l.cancel = context.WithCancelCause(context.Background())
	sender, err := pc.AddTrack(l.wire.out)
	if err == nil {
		l.session, err = g.cfg.Media.Attach(l.wire, uint32(sender.GetParameters().Encodings[0].SSRC))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("webrtc: media: %w", err), pc.Close())
	}
	l.session.Notify(l.emit)
	pc.OnConnectionStateChange(l.connection)
	pc.OnTrack(func(t *webrtc.TrackRemote, r *webrtc.RTPReceiver) {
		l.read(func(b []byte) (int, error) { n, _, err := t.Read(b); return n, err })
		l.read(func(b []byte) (int, error) { n, _, err := r.Read(b); return n, err })
	})
	l.read(func(b []byte) (int, error) { n, _, err := sender.Read(b); return n, err })
	g.legs[info.ID] = l
	g.calls.Go(l.close)
	g.calls.Go(l.serve)
	return l, nil
}

// params are those of the session.
func (a agreed) params() rtp.Params {
	p := rtp.Params{
		Codec: a.spec.Name, PT: uint8(a.codec.PT), Send: true, Receive: true, EventPT: -1, //nolint:gosec // 0 to 127
	}
	if a.event.Name != "" {
		p.EventPT, p.EventClock = a.event.PT, a.event.ClockRate
	}
	return p
}

// read moves packets from a part of the peer connection to the wire until that
// part is closed.
func (l *leg) read(from func([]byte) (int, error)) {
	l.readers.Go(func() {
		var b [packetSize + 1]byte
		for {
			n, err := from(b[:])
			if err != nil && n == 0 {
				return
			}
			if err == nil { // else one with a payload type that was not agreed
				l.wire.put(b[:n])
			}
		}
	})
}

// negotiate gives the answer to the browser's offer, with all that is needed
// to reach us: with ICE-lite there is nothing to trickle.
func (l *leg) negotiate(ctx context.Context, offer string) (string, error) {
	if err := l.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: offer}); err != nil {
		return "", fmt.Errorf("webrtc: offer: %w", err)
	}
	answer, err := l.pc.CreateAnswer(nil)
	if err != nil {
		return "", fmt.Errorf("webrtc: answer: %w", err)
	}
	gathered := webrtc.GatheringCompletePromise(l.pc)
	if err := l.pc.SetLocalDescription(answer); err != nil {
		return "", fmt.Errorf("webrtc: answer: %w", err)
	}
	select {
	case <-gathered:
		return l.pc.LocalDescription().SDP, nil
	case <-ctx.Done():
		return "", fmt.Errorf("webrtc: answer: %w", context.Cause(ctx))
	}
}

// connection follows how the peer connection is. Pion calls it.
func (l *leg) connection(s webrtc.PeerConnectionState) {
	switch s {
	case webrtc.PeerConnectionStateConnected:
		l.mu.Lock()
		defer l.mu.Unlock()
		if !l.isUp {
			l.isUp = true
			close(l.up)
		}
	case webrtc.PeerConnectionStateFailed:
		l.end(telephony.Cause{Reason: telephony.ReasonMediaTimeout, Text: "the browser is gone", Remote: true})
	case webrtc.PeerConnectionStateClosed:
		l.end(telephony.Cause{Reason: telephony.ReasonNormal, Remote: true})
	}
}

// serve runs the handler, once the offer is answered; a panic in it ends this
// call and no other (SEC-1).
func (l *leg) serve() {
	select {
	case <-l.taken:
	case <-l.over:
		return
	}
	cause := telephony.Cause{Reason: telephony.ReasonNormal}
	defer func() {
		if r := recover(); r != nil {
			l.log.Error("webrtc: call ended by panic", zap.Any("panic", r), zap.Stack("stack"))
			cause = telephony.Cause{Reason: telephony.ReasonFailed, Text: "internal error"}
		}
		l.end(cause)
	}()
	l.g.cfg.Handler.ServeCall(l.ctx, l)
}

// close waits for the end, or for a browser that never connects, and takes
// everything down.
func (l *leg) close() {
	defer close(l.gone)
	late := time.NewTimer(connectTime)
	defer late.Stop()
	select {
	case <-l.over:
	case <-l.up:
		<-l.over
	case <-late.C:
		l.end(telephony.Cause{Reason: telephony.ReasonNoMedia, Text: "the browser did not connect", Remote: true})
	}
	l.session.Close()
	if err := l.pc.GracefulClose(); err != nil {
		l.log.Debug("webrtc: close", zap.Error(err))
	}
	l.readers.Wait()
	l.g.mu.Lock()
	delete(l.g.legs, l.info.ID)
	l.g.mu.Unlock()
}

// end makes the leg over: once.
func (l *leg) end(c telephony.Cause) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return
	}
	l.ended, l.cause = true, c
	l.emitLocked(telephony.Ended{Cause: c})
	close(l.events)
	close(l.over)
	l.cancel(&telephony.HangupError{Cause: c})
	l.log.Debug("webrtc: call ended", zap.String("reason", string(c.Reason)), zap.Bool("remote", c.Remote))
}

// emit sends an event. It never waits: a user who does not read loses the
// oldest.
func (l *leg) emit(e telephony.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.ended {
		l.emitLocked(e)
	}
}

func (l *leg) emitLocked(e telephony.Event) {
	for {
		select {
		case l.events <- e:
			return
		default:
		}
		select {
		case <-l.events:
		default:
		}
	}
}

// Info is what is known of the leg.
func (l *leg) Info() telephony.Info { return l.info }

// Events are what happens to the leg.
func (l *leg) Events() <-chan telephony.Event { return l.events }

// Progress does nothing: a page rings by itself.
func (l *leg) Progress(context.Context, bool) error { return context.Cause(l.ctx) }

// Answer waits until the browser is connected, and starts the sound.
func (l *leg) Answer(ctx context.Context) error {
	select {
	case <-l.up:
	case <-l.ctx.Done():
		return context.Cause(l.ctx)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return l.apply()
}

func (l *leg) apply() error {
	l.mu.Lock()
	p := l.params
	p.Receive = !l.held
	l.mu.Unlock()
	if err := l.session.Apply(p); err != nil {
		return fmt.Errorf("webrtc: media: %w", err)
	}
	return nil
}

// Connect sets where the browser's sound goes and where ours comes from.
func (l *leg) Connect(in audio.Sink, out audio.Source) { l.session.Connect(in, out) }

// SendDigits sends keys as telephone-events.
func (l *leg) SendDigits(ctx context.Context, digits string, tone telephony.Tone) error {
	if err := l.session.SendDigits(ctx, digits, tone); err != nil {
		return fmt.Errorf("webrtc: %w", err)
	}
	return nil
}

// Hold stops hearing the browser, which hears on. Nothing is told to it: a page
// has no offer to answer.
func (l *leg) Hold(_ context.Context, on bool) error {
	l.mu.Lock()
	same := l.held == on
	l.held = on
	l.mu.Unlock()
	if same {
		return nil
	}
	return l.apply()
}

// Refer is not for browsers: a page cannot be sent elsewhere, the call has to be
// bridged.
func (*leg) Refer(context.Context, telephony.ReferTo) error {
	return fmt.Errorf("webrtc: a browser's call: %w", telephony.ErrNoRefer)
}

// Stats are the media figures; of an ended leg the last ones.
func (l *leg) Stats() telephony.Stats { return l.session.Stats() }

// Hangup ends the leg and returns when the browser has been told.
func (l *leg) Hangup(ctx context.Context, c telephony.Cause) error {
	l.end(c)
	select {
	case <-l.gone:
	case <-ctx.Done():
	}
	return nil
}
