package playout

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/patchcord/patchcord/audio"
)

// model is what a playout of 8 kHz is to do, said as simply as can be: the
// sound of a reply is one list per segment, and the position is a number.
type model struct {
	replies map[uint64]*modelReply
	over    map[uint64]bool
	front   uint64
	paused  bool
}

type modelReply struct {
	segs   [][]int16
	ended  []bool
	all    bool // ended
	pos    int  // samples said, in the order of the segments
	top    int  // of pos
	pushed int
}

func (m *model) reply(id uint64) *modelReply {
	if m.over[id] {
		return nil
	}
	if m.replies[id] == nil {
		m.replies[id] = &modelReply{}
	}
	return m.replies[id]
}

func (r *modelReply) seg(n int) {
	for len(r.segs) <= n {
		r.segs, r.ended = append(r.segs, nil), append(r.ended, false)
	}
}

// sayable is all that may be said up to now: segments up to the first that has
// not ended.
func (r *modelReply) sayable() (pcm []int16) {
	for i, s := range r.segs {
		pcm = append(pcm, s...)
		if !r.ended[i] {
			break
		}
	}
	return pcm
}

// INV1, INV5, INV9, conv:T9: whatever is pushed, paused, resumed and cancelled
// in whatever order, the wire carries the foreground reply's samples in their
// order without a gap, each is counted once, a rewind is no longer than
// allowed, heard and dropped make up what was pushed, and of a cancelled reply
// nothing comes out.
func TestAnyOrderOfThings(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		edges := map[Edge]int{}
		p := exact(func(e Edge) { e.At = 0; edges[e]++ })
		m := &model{replies: map[uint64]*modelReply{}, over: map[uint64]bool{}}
		var speech int64
		id := func() uint64 { return rapid.Uint64Range(1, 4).Draw(t, "reply") }
		next := func() {
			dst := make([]int16, frame)
			said := p.Next(dst)
			var want []int16
			r := m.replies[m.front]
			if r != nil && !m.paused {
				want = r.sayable()[r.pos:]
				want = want[:min(len(want), frame)]
				r.pos += len(want)
				r.top = max(r.top, r.pos)
				if r.all && r.top == r.pushed && r.pos == r.pushed {
					m.over[m.front], m.front = true, 0
				}
			}
			speech += int64(len(want))
			if said != (len(want) > 0) {
				t.Fatalf("Next = %v with %d samples to say", said, len(want))
			}
			for i, v := range dst {
				if i < len(want) && v != want[i] || i >= len(want) && v != 0 {
					t.Fatalf("sample %d is %d, want %d of %v", i, v, want, len(want))
				}
			}
		}
		check := func(id uint64, h Heard) {
			r := m.replies[id]
			if r == nil {
				r = &modelReply{}
			}
			if h.Samples != r.top || h.Samples+h.Dropped != r.pushed || h.Ended != r.all {
				t.Fatalf("reply %d: heard %+v, want %d of %d", id, h, r.top, r.pushed)
			}
			left := r.top
			for i, s := range h.Segments {
				n := min(left, len(r.segs[i]))
				left -= n
				if s.Samples != n || s.Pushed != len(r.segs[i]) || s.Ended != r.ended[i] {
					t.Fatalf("reply %d segment %d: %+v, want %d of %d", id, i, s, n, len(r.segs[i]))
				}
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"push": func(t *rapid.T) {
				id, seg, n := id(), rapid.IntRange(0, 3).Draw(t, "seg"), rapid.IntRange(0, 1500).Draw(t, "n")
				r := m.reply(id)
				open := r != nil && !r.all && (seg >= len(r.segs) || !r.ended[seg])
				pcm := make([]int16, n)
				for i := range pcm {
					pcm[i] = int16(1 + (int(id)*7919+seg*3001+i*37)%30000)
				}
				if p.Push(id, seg, pcm) != open {
					t.Fatalf("Push to an open segment: %v", open)
				}
				if open {
					r.seg(seg)
					r.segs[seg] = append(r.segs[seg], pcm...)
					r.pushed += n
				}
			},
			"end segment": func(t *rapid.T) {
				id, seg := id(), rapid.IntRange(0, 3).Draw(t, "seg")
				p.EndSegment(id, seg)
				if r := m.reply(id); r != nil && !r.all {
					r.seg(seg)
					r.ended[seg] = true
				}
			},
			"end reply": func(*rapid.T) {
				id := id()
				p.EndReply(id)
				if r := m.reply(id); r != nil {
					r.all = true
					for i := range r.ended {
						r.ended[i] = true
					}
				}
			},
			"play": func(t *rapid.T) {
				id := id()
				if p.Play(id) == m.over[id] {
					t.Fatalf("Play of a reply that is over: %v", m.over[id])
				}
				if m.reply(id) != nil && m.front != id {
					m.front, m.paused = id, false
				}
			},
			"pause": func(t *rapid.T) {
				m.paused = m.front != 0
				if p.Pause() != m.paused {
					t.Fatal("Pause")
				}
			},
			"resume": func(t *rapid.T) {
				limit := time.Duration(rapid.IntRange(0, 600).Draw(t, "limit")) * time.Millisecond
				back := p.Resume(limit)
				if back > limit || back > Keep || back > 0 && !m.paused {
					t.Fatalf("went back %v of %v", back, limit)
				}
				if m.paused {
					r := m.replies[m.front]
					r.pos -= audio.Samples(back, 8000)
					if r.pos < 0 {
						t.Fatalf("went back %v, before the start", back)
					}
				}
				m.paused = false
			},
			"cancel": func(t *rapid.T) {
				if rapid.IntRange(0, 3).Draw(t, "seldom") > 0 {
					next()
					return
				}
				id := id()
				h := p.Cancel(id)
				check(id, h)
				m.over[id] = true
				delete(m.replies, id)
				if m.front == id {
					m.front, m.paused = 0, false
				}
			},
			"next":      func(*rapid.T) { next() },
			"more next": func(*rapid.T) { next(); next(); next() },
			"": func(t *rapid.T) {
				for id := uint64(1); id <= 4; id++ {
					check(id, p.Position(id))
				}
				if p.Foreground() != m.front || p.Paused() != m.paused {
					t.Fatalf("foreground %d, want %d; paused %v", p.Foreground(), m.front, p.Paused())
				}
				if s := p.Stats(); s.Speech != speech || s.Speech+s.Silence != p.pulled {
					t.Fatalf("stats %+v, want %d of %d", s, speech, p.pulled)
				}
				for e, n := range edges {
					if n > 1 && e.Kind != Underrun && e.Kind != Recovered {
						t.Fatalf("told %d times: %+v", n, e)
					}
				}
			},
		})
	})
}

// What was said stays no longer than a rewind may need it.
func TestPlayedSoundIsGivenUp(t *testing.T) {
	t.Parallel()
	p := New(8000, nil)
	p.Play(1)
	for range 500 {
		p.Push(1, 0, ramp(1, 160))
		next(t, p, true)
	}
	if n := len(p.front.segs[0].chunks); n > audio.Samples(Keep, 8000)/frame+1 {
		t.Fatalf("%d chunks of 20 ms are kept", n)
	}
}
