package bridge

import (
	"context"
	"slices"
	"sync/atomic"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/telephony"
)

// maxSamples is the longest frame: 20 ms at 16 kHz.
const maxSamples = 320

// Party is a leg on a bridge: the Sink and the Source it is connected to.
type Party struct {
	b      *Bridge
	leg    telephony.Leg
	keys   chan telephony.Digit // 32: more than anybody presses ahead of an announcement
	ctx    context.Context      // ends when the party leaves
	stop   context.CancelFunc
	past   Stats // of links that are no more; guarded by b.mu
	patch  atomic.Pointer[patch]
	second [maxSamples]int16 // a further voice, before it is mixed; the leg's clock's only
	hush   [maxSamples]int16 // silence, never written
}

// patch is how a party is wired at one moment. It is replaced, never changed.
type patch struct {
	taps   Taps
	to     []*link      // those it speaks to
	from   []*link      // those it hears
	voices []*Voice     // pulled on its clock
	play   audio.Source // what it hears beside
	keysTo []*Party
	muted  bool
}

func newParty(b *Bridge, leg telephony.Leg) *Party {
	p := &Party{b: b, leg: leg, keys: make(chan telephony.Digit, 32)}
	p.ctx, p.stop = context.WithCancel(context.Background())
	p.patch.Store(&patch{})
	return p
}

// Leg is the party's leg.
func (p *Party) Leg() telephony.Leg { return p.leg }

// change replaces the wiring of a party that is on the bridge.
func (p *Party) change(f func(*patch)) {
	p.b.mu.Lock()
	defer p.b.mu.Unlock()
	if slices.Contains(p.b.parties, p) {
		p.changeLocked(f)
	}
}

func (p *Party) changeLocked(f func(*patch)) {
	c := *p.patch.Load()
	f(&c)
	p.patch.Store(&c)
}

// SpeakTo sets who hears the party; nobody: nobody. It takes effect within a
// frame, and does not touch whom the party hears.
func (p *Party) SpeakTo(others ...*Party) {
	p.change(func(c *patch) { c.to = p.b.linkLocked(p, nil, c.to, others) })
}

// Mute keeps what the party says from those it speaks to, and its keys as
// well; the taps hear it.
func (p *Party) Mute(on bool) { p.change(func(c *patch) { c.muted = on }) }

// Play lets the party hear a source, hold music or ringing, under those who
// speak to it; nil ends it. It is pulled on the party's clock, at its rate.
func (p *Party) Play(src audio.Source) { p.change(func(c *patch) { c.play = src }) }

// Tap replaces the taps.
func (p *Party) Tap(taps Taps) { p.change(func(c *patch) { c.taps = taps }) }

// Leave takes the party off the bridge and gives its leg back, as Close does.
// Voices on its clock fall silent.
func (p *Party) Leave() {
	p.b.mu.Lock()
	defer p.b.mu.Unlock()
	p.b.leaveLocked(p)
}

// Hear takes what the party says.
func (p *Party) Hear(f audio.Frame) {
	c := p.patch.Load()
	if c.taps.Heard != nil {
		c.taps.Heard.Hear(f)
	}
	if len(c.to) == 0 || len(f.PCM) > maxSamples {
		return
	}
	pcm := f.PCM
	if c.muted || len(c.keysTo) > 0 && keyTone(pcm, f.Rate) {
		pcm = p.hush[:len(pcm)]
	}
	now := p.b.now()
	for _, l := range c.to {
		l.put(pcm, now)
	}
}

// Next gives what the party hears.
func (p *Party) Next(dst []int16) bool {
	c := p.patch.Load()
	now := p.b.now()
	sound := c.play != nil && c.play.Next(dst)
	for _, v := range c.voices {
		sound = v.speak(dst, now, sound)
	}
	for _, l := range c.from {
		if !sound {
			sound = l.next(dst, now)
		} else if more := p.second[:min(len(dst), maxSamples)]; l.next(more, now) {
			audio.Mix(dst, more)
		}
	}
	if !sound {
		clear(dst)
	}
	if c.taps.Sent != nil {
		c.taps.Sent(dst, sound)
	}
	return sound
}

// Stats are those of all that the party hears and has heard: the delays of the
// slowest link, the counts of all together.
func (p *Party) Stats() Stats {
	p.b.mu.Lock()
	defer p.b.mu.Unlock()
	s := p.past
	for _, l := range p.patch.Load().from {
		s.add(l.stats())
	}
	return s
}
