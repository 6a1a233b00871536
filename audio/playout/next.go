package playout

import "time"

// Kind is what an [Edge] tells.
type Kind uint8

// The kinds of edges.
const (
	Started   Kind = iota + 1 // the first sample of a reply was handed out
	SegPlayed                 // the last sample of an ended segment was
	Underrun                  // a reply that has begun has nothing to say, and is not over
	Recovered                 // it has again
	Played                    // the last sample of an ended reply was handed out
)

// String is the kind's name in logs.
func (k Kind) String() string {
	return [...]string{"", "started", "seg_played", "underrun", "recovered", "played"}[k]
}

// Edge is a change at the head of the playout.
type Edge struct {
	Kind  Kind
	Reply uint64
	Seg   int           // the segment that sounds, was played, or is waited for
	At    time.Duration // media time: of the first sample; else just after the last one
}

// Next fills dst with the speech of the foreground reply over the bed. What is
// missing is silence. It reports false when there was nothing at all.
func (p *Playout) Next(dst []int16) bool {
	p.nedges = 0
	p.mu.Lock()
	n, cut, first := 0, false, false
	var id uint64
	if !p.sounding.holding() || p.front == nil {
		first = p.front != nil && !p.front.started
		if n = p.speakLocked(dst); n > 0 {
			id = p.front.id
			cut = p.moved || id != p.said
			p.said, p.moved = id, false
		}
		p.settleLocked(n)
	}
	p.pulled += int64(len(dst))
	p.stats.Speech += int64(n)
	p.stats.Silence += int64(len(dst) - n)
	want := p.wantedLocked(n)
	p.mu.Unlock()

	p.head.Store(id)
	sounds := p.seam.mend(dst, n, cut, first) || n > 0
	if p.sounding.mix(dst, want) {
		sounds = true
	}
	if sounds {
		p.envelope.add(dst)
	} else {
		p.envelope.addSilence()
	}
	for _, e := range p.edges[:p.nedges] {
		p.notify(e)
	}
	return sounds
}

// speakLocked copies speech into dst.
func (p *Playout) speakLocked(dst []int16) int {
	r := p.front
	if r == nil || p.paused {
		return 0
	}
	n := 0
	for n < len(dst) {
		k := r.read(dst[n:])
		if k == 0 {
			break
		}
		if !r.started {
			r.started = true
			p.edge(Started, r.at, n)
		}
		if r.dry {
			r.dry = false
			p.edge(Recovered, r.at, n)
		}
		n += k
		p.tellLocked(n)
	}
	if n > 0 {
		r.trim(p.keep)
	}
	return n
}

// settleLocked tells what the state is after n samples of speech: segments and
// the reply played to the end, or a reply that has run dry.
func (p *Playout) settleLocked(n int) {
	r := p.front
	if r == nil || p.paused {
		return
	}
	all := p.tellLocked(n)
	switch {
	case r.finished():
		if all {
			p.edge(Played, r.at, n)
			p.playedLocked()
		}
	case r.started && !r.dry && n == 0:
		r.dry = true
		p.stats.Underruns++
		p.edge(Underrun, r.at, n)
	}
}

// tellLocked tells of each segment that is said to its end, in order and once.
// It reports false when there are more than one frame can tell of.
func (p *Playout) tellLocked(n int) bool {
	r := p.front
	for r.tell < len(r.segs) && r.segs[r.tell].played() {
		if p.nedges >= maxEdges-3 { // the last three: Started, Recovered, and Played or Underrun
			return false
		}
		p.edge(SegPlayed, r.tell, n)
		r.tell++
	}
	return true
}

// edge notes an edge of the foreground reply, n samples into the frame.
func (p *Playout) edge(k Kind, seg, n int) {
	p.edges[p.nedges] = Edge{Kind: k, Reply: p.front.id, Seg: seg, At: p.timeLocked(n)}
	p.nedges++
}
