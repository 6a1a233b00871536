package bridge

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/patchcord/patchcord/audio"
)

// Voice is a source on a bridge that has no leg: the agent, who whispers to one
// side or speaks to all.
type Voice struct {
	clock *Party
	src   audio.Source
	patch atomic.Pointer[reach]
	pcm   [maxSamples]int16 // its frame; the clock's only
}

// reach is who hears a voice at one moment. It is replaced, never changed.
type reach struct {
	to   []*link
	self bool // the party whose clock it goes by hears it, at once
}

// SpeakTo sets who hears the voice; nobody: it is not pulled.
func (v *Voice) SpeakTo(parties ...*Party) {
	b := v.clock.b
	v.clock.change(func(c *patch) {
		others := slices.DeleteFunc(slices.Clone(parties), func(p *Party) bool { return p == v.clock })
		r := &reach{self: len(others) < len(parties)}
		r.to = b.linkLocked(nil, v, v.patch.Load().to, others)
		v.patch.Store(r)
		c.voices = without(c.voices, v)
		if r.self || len(r.to) > 0 {
			c.voices = append(c.voices, v)
		}
	})
}

// dropLocked takes away a link whose listener has left.
func (v *Voice) dropLocked(l *link) {
	r := *v.patch.Load()
	r.to = without(r.to, l)
	v.patch.Store(&r)
	if !r.self && len(r.to) == 0 {
		v.clock.changeLocked(func(c *patch) { c.voices = without(c.voices, v) })
	}
}

// speak pulls the voice's frame, mixes it into dst if its party hears it, and
// passes it on. It tells whether there is sound in dst.
func (v *Voice) speak(dst []int16, now time.Duration, sound bool) bool {
	r := v.patch.Load()
	pcm := v.pcm[:min(len(dst), maxSamples)]
	said := v.src.Next(pcm)
	if !said {
		clear(pcm)
	}
	for _, l := range r.to {
		l.put(pcm, now)
	}
	switch {
	case !r.self || !said:
		return sound
	case sound:
		audio.Mix(dst, pcm)
	default:
		copy(dst, pcm)
	}
	return true
}
