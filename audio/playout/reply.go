package playout

// Heard is what of a reply was handed to the wire. Each sample counts once,
// however often a rewind said it.
type Heard struct {
	Reply    uint64
	Samples  int // of the whole reply
	Dropped  int // pushed, but not handed out
	Segments []SegmentHeard
	Ended    bool // EndReply was called: nothing more would have come
}

// Complete reports that all of the reply was there and all of it was heard.
func (h Heard) Complete() bool { return h.Ended && h.Dropped == 0 }

// SegmentHeard is what of a segment was handed to the wire.
type SegmentHeard struct {
	Seg     int
	Samples int  // handed out
	Pushed  int  // all there were so far
	Ended   bool // Pushed is all there will be
}

// Complete reports that all of the segment was there and all of it was heard.
func (s SegmentHeard) Complete() bool { return s.Ended && s.Samples == s.Pushed }

// reply is the sound of one reply generation and the place it is said up to.
type reply struct {
	id   uint64
	segs []segment // by number
	at   int       // the segment that sounds
	low  int       // segments below it hold no sound any more
	tell int       // the segment whose end is told next
	last int       // it ends with the segment before this one, 0: with the last there is

	ended, started, dry, played bool
}

// segment is the sound of one request to the voice.
type segment struct {
	chunks [][]int16
	base   int // samples before chunks[0] that were given up
	chunk  int // the chunk that sounds
	off    int // samples said of it
	pos    int // samples said of the segment
	pushed int
	top    int // largest pos ever: what was heard
	ended  bool
}

// seg is the segment of that number, made if it is new; nil if out of bounds.
func (r *reply) seg(n int) *segment {
	if n < 0 || n >= maxSegments || r.last > 0 && n >= r.last {
		return nil
	}
	for len(r.segs) <= n {
		r.segs = append(r.segs, segment{})
	}
	return &r.segs[n]
}

func (r *reply) push(n int, pcm []int16) bool {
	if r.ended {
		return false
	}
	s := r.seg(n)
	if s == nil || s.ended {
		return false
	}
	if len(pcm) > 0 {
		s.chunks = append(s.chunks, pcm)
		s.pushed += len(pcm)
	}
	return true
}

func (r *reply) end(n int) {
	if r.ended {
		return
	}
	if s := r.seg(n); s != nil {
		s.ended = true
		r.ended = n+1 == r.last
	}
}

// shorten ends the reply with the segment that sounds.
func (r *reply) shorten() bool {
	r.advance()
	if !r.started || r.at >= len(r.segs) || r.last > 0 || r.ended && r.at >= len(r.segs)-1 {
		return false
	}
	if r.segs[r.at].pos == 0 && r.at > 0 { // nothing of it is said yet
		r.at--
	}
	r.last = r.at + 1
	for r.last < len(r.segs) && r.segs[r.last].top > 0 { // it was heard, before a rewind
		r.last++
	}
	if r.last == len(r.segs) && r.ended {
		r.last = 0 // nothing is behind it
		return false
	}
	r.segs = r.segs[:r.last]
	r.ended = r.segs[r.last-1].ended
	return true
}

func (r *reply) endAll() {
	r.ended = true
	for i := range r.segs {
		r.segs[i].ended = true
	}
}

// read copies what may be said next into dst, from one segment, and moves on.
// It never passes a segment that has not ended.
func (r *reply) read(dst []int16) int {
	r.advance()
	if r.at == len(r.segs) {
		return 0
	}
	return r.segs[r.at].read(dst)
}

// advance passes the segments that are said to their end, but not the last.
func (r *reply) advance() {
	for r.at+1 < len(r.segs) && r.segs[r.at].done() {
		r.at++
	}
}

func (s *segment) read(dst []int16) int {
	n := 0
	for n < len(dst) && s.chunk < len(s.chunks) {
		c := copy(dst[n:], s.chunks[s.chunk][s.off:])
		n, s.off = n+c, s.off+c
		if s.off == len(s.chunks[s.chunk]) {
			s.chunk, s.off = s.chunk+1, 0
		}
	}
	s.pos += n
	s.top = max(s.top, s.pos)
	return n
}

// done reports that the position is at the end of the segment.
func (s *segment) done() bool { return s.ended && s.pos == s.pushed }

// played reports that all of the segment was said.
func (s *segment) played() bool { return s.ended && s.top == s.pushed }

// finished reports that the reply is said to its end.
func (r *reply) finished() bool {
	r.advance()
	return r.ended && (len(r.segs) == 0 || r.at == len(r.segs)-1 && r.segs[r.at].done())
}

// trim gives up the sound that lies further back than keep samples.
func (r *reply) trim(keep int) {
	for i := r.at; i >= r.low && i < len(r.segs); i-- {
		s := &r.segs[i]
		for len(s.chunks) > 0 && s.chunk > 0 && s.base+len(s.chunks[0]) <= s.pos-keep {
			s.base += len(s.chunks[0])
			s.chunks[0] = nil
			s.chunks = s.chunks[1:]
			s.chunk--
		}
		if keep -= s.pos; keep > 0 {
			continue
		}
		for ; r.low < i; r.low++ {
			r.segs[r.low].chunks = nil
		}
		return
	}
}

// drop gives up all sound; the figures stay.
func (r *reply) drop() {
	for i := range r.segs {
		r.segs[i].chunks = nil
	}
}

// back fills the end of dst with what was said last before the position and
// returns how many samples of it are kept.
func (r *reply) back(dst []int16) int {
	n := len(dst)
	for i := r.at; i >= r.low && i < len(r.segs) && n > 0; i-- {
		s := &r.segs[i]
		for c, end := min(s.chunk, len(s.chunks)-1), s.pos; c >= 0 && n > 0; c-- {
			start := s.start(c)
			k := min(end-start, n)
			copy(dst[n-k:n], s.chunks[c][end-start-k:end-start])
			n, end = n-k, start
		}
	}
	return len(dst) - n
}

// start is the place of a chunk in its segment.
func (s *segment) start(chunk int) int {
	at := s.base
	for _, c := range s.chunks[:chunk] {
		at += len(c)
	}
	return at
}

// seek moves n samples back, at most to the start of what is kept.
func (r *reply) seek(n int) {
	for ; r.at >= r.low; r.at-- {
		s := &r.segs[r.at]
		k := min(n, s.pos-s.base)
		s.pos -= k
		n -= k
		s.chunk, s.off = 0, s.pos-s.base
		for s.chunk < len(s.chunks) && s.off >= len(s.chunks[s.chunk]) {
			s.off -= len(s.chunks[s.chunk])
			s.chunk++
		}
		if n == 0 || r.at == r.low {
			return
		}
	}
}

func (r *reply) queued() int {
	n := 0
	for i := r.at; i < len(r.segs) && !r.played; i++ {
		n += r.segs[i].pushed - r.segs[i].pos
	}
	return n
}

func (r *reply) heard() Heard {
	h := Heard{Reply: r.id, Ended: r.ended, Segments: make([]SegmentHeard, len(r.segs))}
	for i, s := range r.segs {
		h.Segments[i] = SegmentHeard{Seg: i, Samples: s.top, Pushed: s.pushed, Ended: s.ended}
		h.Samples += s.top
		h.Dropped += s.pushed - s.top
	}
	return h
}
