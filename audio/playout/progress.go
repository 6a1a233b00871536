package playout

import (
	"time"

	"github.com/patchcord/patchcord/audio"
)

// Progress is how far a reply is said.
type Progress struct {
	Begun  int           // segments that sound or have sounded: those below it
	Queued time.Duration // pushed and not yet said
	Ready  time.Duration // … that does not wait for the end of a segment before it
}

// Progress is how far the reply is said.
func (p *Playout) Progress(id uint64) Progress {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.findLocked(id)
	if r == nil {
		return Progress{}
	}
	g := Progress{Begun: r.at, Queued: audio.Duration(r.queued(), p.rate)}
	ready := 0
	for i := r.at; i < len(r.segs); i++ {
		if ready += r.segs[i].pushed - r.segs[i].pos; !r.segs[i].ended {
			break
		}
	}
	g.Ready = audio.Duration(ready, p.rate)
	if r.at < len(r.segs) && r.started && (r.segs[r.at].top > 0 || r.segs[r.at].pushed > 0) {
		g.Begun++
	}
	return g
}

// Heard is how many samples of a segment were handed to the wire.
func (p *Playout) Heard(id uint64, seg int) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r := p.findLocked(id); r != nil && seg >= 0 && seg < len(r.segs) {
		return r.segs[seg].top
	}
	return 0
}

// Withdraw takes the end of an open segment back, all behind its first keep
// samples that is not said yet, and returns how many samples it has now. What
// is left of a wave that is cut falls to nothing over 5 ms.
func (p *Playout) Withdraw(id uint64, seg, keep int) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.findLocked(id)
	if r == nil || seg < 0 || seg >= len(r.segs) {
		return 0
	}
	s := &r.segs[seg]
	if !s.ended {
		s.withdraw(max(keep, s.top), p.seam.length)
	}
	return s.pushed
}

func (s *segment) withdraw(keep, fall int) {
	if keep >= s.pushed {
		return
	}
	at := s.base
	for i, c := range s.chunks {
		if at+len(c) < keep {
			at += len(c)
			continue
		}
		// The chunk is its maker's still: the part that stays is a copy.
		last := append([]int16(nil), c[:keep-at]...)
		for k := max(0, len(last)-fall, s.top-at); k < len(last); k++ {
			last[k] = int16(int(last[k]) * (len(last) - k) / (fall + 1)) //nolint:gosec // it grows smaller
		}
		s.chunks = append(s.chunks[:i:i], last)
		if len(last) == 0 {
			s.chunks = s.chunks[:i]
		}
		break
	}
	s.pushed = keep
	if s.chunk < len(s.chunks) && s.off == len(s.chunks[s.chunk]) {
		s.chunk, s.off = s.chunk+1, 0
	}
}
