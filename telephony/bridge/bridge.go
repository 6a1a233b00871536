// Package bridge joins the parties of a call in our media plane: the caller and
// whoever the call was transferred to, a supervisor who listens, the agent who
// whispers.
//
// Each party's leg has a clock of its own. What one says reaches another
// through a link, a ring of 20 ms frames that both ends use without waiting. It
// is resampled where the rates differ, and timed anew, for two clocks drift
// apart: a frame too many is left out, a missing one put in, during silence;
// where there is none for long, two frames are blended into one. Sound waits in
// a link for 2 to 26 ms as a rule and for 60 ms at most.
//
//	caller ── Hear ──► link ──► Next ── target
//	caller ── Next ◄── link ◄── Hear ── target
//	agent's voice ───► link ──► Next ── target
//
// Where one voice reaches a party of the same rate its samples arrive as they
// are: G.711 stays bit-exact under one law. Nothing on the media plane
// allocates or waits.
//
// A call transferred with the agent listening, and whispering to the target:
//
//	b := bridge.New(bridge.Config{})
//	caller := b.Join(callerLeg, bridge.Taps{Heard: agentEar})
//	target := b.Join(targetLeg, bridge.Taps{Heard: secondEar})
//	caller.SpeakTo(target)
//	target.SpeakTo(caller)
//	agent := b.Voice(playout, caller)
//	agent.SpeakTo(target)
//
// A supervisor joins and is spoken to, and that is listening in; he whispers by
// supervisor.SpeakTo(target) and barges in by supervisor.SpeakTo(caller,
// target). Hold is music by Play, and nobody who speaks to the party.
package bridge

import (
	"slices"
	"sync"
	"time"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/telephony"
)

// Config is how a Bridge behaves. The zero value works.
type Config struct {
	// Pressed is told of each key that was sent to a party, or why it was not.
	// It is called on a goroutine of the bridge, for one party one key at a time.
	Pressed func(to *Party, key byte, err error)
}

// Taps hear a party beside those it speaks to. They run on the media plane:
// they never block and never allocate.
type Taps struct {
	Heard audio.Sink                    // what the party says, as its leg delivers it, muted or not
	Sent  func(pcm []int16, sound bool) // what it is sent, silence too; pcm is borrowed
}

// Bridge is parties who may hear each other. Its methods, and those of its
// parties and voices, may be called from any goroutine.
type Bridge struct {
	cfg   Config
	start time.Time
	keys  sync.WaitGroup // the goroutines that send them

	// mu guards who hears whom; the media plane reads patches of it.
	mu      sync.Mutex
	parties []*Party
	closed  bool
}

// New makes a bridge with nobody on it.
func New(cfg Config) *Bridge { return &Bridge{cfg: cfg, start: time.Now()} }

// now is the clock that both ends of a link read.
func (b *Bridge) now() time.Duration { return time.Since(b.start) }

// Join puts a leg on the bridge: its sound goes to the party and comes from it
// from now on. It hears nobody and nobody hears it until SpeakTo says so. The
// leg's rate is 8000 or 16000 Hz. On a closed bridge it is silent.
func (b *Bridge) Join(leg telephony.Leg, taps Taps) *Party {
	p := newParty(b, leg)
	b.mu.Lock()
	if !b.closed {
		p.changeLocked(func(c *patch) { c.taps = taps })
		b.parties = append(b.parties, p)
		b.keys.Go(p.sendKeys)
	}
	b.mu.Unlock()
	leg.Connect(p, p)
	return p
}

// Voice puts a source on the bridge that is no leg: the agent. It is pulled
// every 20 ms on the clock of a party and at its rate, whoever hears it, so
// that what is said is counted once. It is not pulled while it reaches nobody,
// and not after its party has left.
func (b *Bridge) Voice(src audio.Source, clock *Party) *Voice {
	v := &Voice{clock: clock, src: src}
	v.patch.Store(&reach{})
	return v
}

// Close takes everybody off the bridge and gives the legs back: connect them
// elsewhere, before or after. Keys that are being sent are cut short. It
// returns when Pressed is not called any more; a frame that is being served may
// still reach the taps.
func (b *Bridge) Close() {
	b.mu.Lock()
	for _, p := range slices.Clone(b.parties) {
		b.leaveLocked(p)
	}
	b.closed = true
	b.mu.Unlock()
	b.keys.Wait()
}

// leaveLocked takes p off the bridge: what it says, what it hears, and the
// voices that are pulled on its clock.
func (b *Bridge) leaveLocked(p *Party) {
	i := slices.Index(b.parties, p)
	if i < 0 {
		return
	}
	b.parties = slices.Delete(b.parties, i, i+1)
	old := p.patch.Swap(&patch{})
	unlinkLocked(old.to, nil)
	for _, v := range old.voices {
		unlinkLocked(v.patch.Swap(&reach{}).to, nil)
	}
	for _, l := range old.from {
		p.past.add(l.stats())
		if l.voice != nil {
			l.voice.dropLocked(l)
		} else {
			l.from.changeLocked(func(c *patch) { c.to = without(c.to, l) })
		}
	}
	for _, other := range b.parties {
		other.changeLocked(func(c *patch) { c.keysTo = without(c.keysTo, p) })
	}
	p.stop()
}

// linkLocked is the links by which a speaker who had some reaches others from
// now on. Whoever was reached and still is keeps his link.
func (b *Bridge) linkLocked(from *Party, voice *Voice, had []*link, to []*Party) []*link {
	var links []*link
	for _, p := range to {
		reached := func(l *link) bool { return l.to == p }
		if p == from || slices.ContainsFunc(links, reached) || !slices.Contains(b.parties, p) {
			continue
		}
		if i := slices.IndexFunc(had, reached); i >= 0 {
			links = append(links, had[i])
			continue
		}
		l := newLink(from, voice, p)
		links = append(links, l)
		p.changeLocked(func(c *patch) { c.from = append(slices.Clone(c.from), l) })
	}
	unlinkLocked(had, links)
	return links
}

// unlinkLocked takes from the listeners the links that are not among kept.
func unlinkLocked(had, kept []*link) {
	for _, l := range had {
		if !slices.Contains(kept, l) {
			l.to.changeLocked(func(c *patch) { c.from = without(c.from, l) })
			l.to.past.add(l.stats())
		}
	}
}

// without is a copy of list that lacks what; the media plane may be reading
// list.
func without[T comparable](list []T, what T) []T {
	return slices.DeleteFunc(slices.Clone(list), func(have T) bool { return have == what })
}
