package sip

import (
	"context"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/telephony"
)

// party is a leg to whoever runs the call, whichever dialog it is spoken with.
// Where the trunk has transfers: on, its peer may put somebody else in the place
// of the one the call began with: by a REFER, which we follow, or by an INVITE
// with Replaces. The call does not notice: same id, same rate of frames, and one
// clock.
type party struct {
	u      *UserAgent
	origin *leg // the call began with
	events chan telephony.Event
	ctx    context.Context
	cancel context.CancelCauseFunc
	wake   chan struct{} // 1: something below has changed, more would say no more
	span   span

	mu     sync.Mutex // guards what follows
	now    *leg       // who is spoken with
	next   *leg       // who is to take their place, nil: nobody
	gone   bool       // now has ended, and next is waited for
	held   bool       // as told
	over   bool       // Ended is told
	hungup *telephony.Cause
	sink   audio.Sink
	source audio.Source
	moved  int             // REFERs that were followed
	before telephony.Stats // of those who were spoken with before
}

var _ telephony.Leg = (*party)(nil)

// newParty puts a face on a leg whose trunk takes transfers. It is called within
// enter.
func (u *UserAgent) newParty(g *leg) *party {
	p := &party{
		u: u, origin: g, now: g, events: make(chan telephony.Event, legEvents), wake: make(chan struct{}, 1),
	}
	p.ctx, p.cancel = context.WithCancelCause(context.Background())
	g.party.Store(p)
	p.connectLocked() // the clock runs from the first frame
	u.wg.Go(p.run)
	return p
}

// face is how the leg is seen from outside.
func (g *leg) face() (telephony.Leg, context.Context) {
	if g.trunk == nil || !g.trunk.Transfers {
		return g, g.ctx
	}
	p := g.u.newParty(g)
	return p, p.ctx
}

// legOf is the leg that a telephony.Leg of this package is spoken with.
func legOf(l telephony.Leg) (*leg, bool) {
	switch l := l.(type) {
	case *leg:
		return l, true
	case *party:
		return l.leg(), true
	}
	return nil, false
}

func (p *party) leg() *leg {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.now
}

func (p *party) stir() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// run brings on what happens, from one leg to the next.
func (p *party) run() {
	g := p.origin
	events := g.events
	var end telephony.Cause
	for {
		select {
		case e, ok := <-events:
			switch e := e.(type) {
			case nil:
			case telephony.Ended:
				end = e.Cause
			default:
				p.emit(e)
			}
			if ok {
				continue
			}
			events = nil
		case <-p.wake:
		}
		p.mu.Lock()
		switch {
		case p.now != g:
			g = p.now
			events = g.events
			if p.held {
				p.emitLocked(telephony.Resumed{})
			}
		case events != nil:
		case p.next != nil && p.hungup == nil:
			if p.gone = true; !p.held {
				p.emitLocked(telephony.Held{}) // nobody hears us until they are there
			}
		default:
			if p.gone && p.hungup != nil {
				end = *p.hungup
			}
			p.emitLocked(telephony.Ended{Cause: end})
			p.over = true
			close(p.events)
			p.mu.Unlock()
			g.dismiss()
			p.cancel(&telephony.HangupError{Cause: end})
			return
		}
		p.mu.Unlock()
	}
}

// emit tells of an event. It never waits: see leg.emit.
func (p *party) emit(e telephony.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.emitLocked(e)
}

func (p *party) emitLocked(e telephony.Event) {
	if p.over {
		return
	}
	switch e.(type) {
	case telephony.Held:
		p.held = true
	case telephony.Resumed:
		p.held = false
	}
	for {
		select {
		case p.events <- e:
			return
		default:
		}
		if _, trace := e.(telephony.SignalTrace); trace {
			return
		}
		select {
		case <-p.events:
		default:
		}
	}
}

// keeps reports whether the sound of a leg that has ended goes on: silence that
// keeps the call's clock until somebody is in its place.
func (p *party) keeps(g *leg) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.now == g && p.next != nil && p.hungup == nil
}

// reserve keeps the place of who is spoken with now for another leg; false where
// another one is on its way, or they are not spoken with any more.
func (p *party) reserve(now, next *leg) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.now != now || p.next != nil || p.gone || p.over || p.hungup != nil {
		return false
	}
	p.next = next
	return true
}

// failed gives up on who was to come.
func (p *party) failed(next *leg) {
	p.mu.Lock()
	if p.next == next {
		p.next = nil
		if p.gone && p.hungup == nil {
			p.hungup = &telephony.Cause{
				Reason: telephony.ReasonTransferred, Text: "transferred by the peer, to nobody", Remote: true,
			}
		}
	}
	p.mu.Unlock()
	p.stir()
}

// replace puts next, which is up, in the place of who is spoken with, and ends
// their dialog by end. It waits until their sound is no more, and reports false
// where the call is over.
func (p *party) replace(next *leg, by string, end func(old *leg)) bool {
	p.mu.Lock()
	old := p.now
	ok := p.next == next && p.hungup == nil && !p.over
	p.mu.Unlock()
	if !ok {
		p.failed(next)
		return false
	}
	old.dismiss() // two legs are never heard at once
	stats := old.Stats()
	p.mu.Lock()
	if ok = p.hungup == nil; ok {
		p.before = add(p.before, stats)
		p.now, p.next, p.gone = next, nil, false
		p.span.jump = true
		p.connectLocked()
		p.emitLocked(telephony.PartyChanged{By: by})
	}
	p.mu.Unlock()
	if !ok {
		p.failed(next)
		return false
	}
	next.log.Info("sip: somebody else is in the call", zap.String("by", by))
	end(old)
	p.stir()
	return true
}

// add adds what the legs of a call counted.
func add(a, b telephony.Stats) telephony.Stats {
	b.PacketsSent += a.PacketsSent
	b.PacketsReceived += a.PacketsReceived
	b.PacketsLost += a.PacketsLost
	b.PacketsLate += a.PacketsLate
	b.PacketsDiscarded += a.PacketsDiscarded
	b.PacketsForged += a.PacketsForged
	b.Concealed += a.Concealed
	b.RemoteLost += a.RemoteLost
	return b
}

// Info is what is known of who is spoken with now, in the call as it began.
func (p *party) Info() telephony.Info {
	g := p.leg()
	info := g.Info()
	if g == p.origin {
		return info
	}
	was := p.origin.Info()
	if info.Direction != was.Direction { // seen from the one who placed the call
		info.From, info.To, info.FromURI, info.ToURI, info.FromName = info.To, info.From, info.ToURI, info.FromURI, ""
	}
	if was.Direction == telephony.Inbound {
		info.To, info.ToURI = was.To, was.ToURI
	} else {
		info.From, info.FromURI, info.FromName = was.From, was.FromURI, was.FromName
	}
	info.ID, info.Direction, info.Received, info.Headers = was.ID, was.Direction, was.Received, was.Headers
	return info
}

// Progress, and what follows, is the leg's that is spoken with.
func (p *party) Progress(ctx context.Context, early bool) error { return p.leg().Progress(ctx, early) }

// Answer takes the call.
func (p *party) Answer(ctx context.Context) error { return p.leg().Answer(ctx) }

// Events are what happens.
func (p *party) Events() <-chan telephony.Event { return p.events }

// SendDigits sends keys.
func (p *party) SendDigits(ctx context.Context, digits string, tone telephony.Tone) error {
	return p.leg().SendDigits(ctx, digits, tone)
}

// Hold puts who is there on hold.
func (p *party) Hold(ctx context.Context, on bool) error { return p.leg().Hold(ctx, on) }

// Refer sends who is there to somebody else.
func (p *party) Refer(ctx context.Context, to telephony.ReferTo) error { return p.leg().Refer(ctx, to) }

// Stats are the media figures, counted over all who were there.
func (p *party) Stats() telephony.Stats {
	p.mu.Lock()
	g, before := p.now, p.before
	p.mu.Unlock()
	return add(before, g.Stats())
}

// Connect sets where their sound goes and where ours comes from.
func (p *party) Connect(in audio.Sink, out audio.Source) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sink, p.source = in, out
	p.connectLocked()
}

func (p *party) connectLocked() { p.now.Connect(&clocked{p.sink, &p.span}, p.source) }

// Hangup ends the call, and the attempt to reach somebody for it.
func (p *party) Hangup(ctx context.Context, c telephony.Cause) error {
	g := p.quit(c)
	err := g.Hangup(ctx, c)
	p.stir()
	return err
}

// quit gives up on who was to come and is who is spoken with.
func (p *party) quit(c telephony.Cause) *leg {
	p.mu.Lock()
	next := p.next
	if p.hungup == nil {
		p.hungup = &c
	}
	g := p.now
	p.mu.Unlock()
	if next != nil {
		next.post(func() { next.hangup(c) })
	}
	return g
}

// span is the time of a call over the legs it goes through. It belongs to the
// media plane of the leg that is heard; jump is set between two.
type span struct {
	base, next time.Duration
	jump       bool
}

// clocked is a sink whose time goes on when the leg is another.
type clocked struct {
	sink audio.Sink // nil: nobody listens
	*span
}

// Hear implements [audio.Sink].
func (c *clocked) Hear(f audio.Frame) {
	if c.jump {
		c.base, c.jump = c.next-f.At, false
	}
	f.At += c.base
	c.next = f.At + audio.FrameTime
	if c.sink != nil {
		c.sink.Hear(f)
	}
}
