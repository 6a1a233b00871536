package phone

import (
	"sync/atomic"
	"time"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/audio/vad"
)

// longestGap inside a voice: a shorter silence is no edge.
const longestGap = 300 * time.Millisecond

// sound is a frame on its way to the recogniser, by value: the media plane
// allocates nothing.
type sound struct {
	pcm  [audio.MaxFrameSamples / 3]int16 // 20 ms at 16 kHz
	n    int
	at   time.Duration // media time
	when time.Time
	edge vad.Edge // Kind 0: none
	loud bool
	came time.Time // its packet; zero: not known
}

// ear takes the leg's frames. hear belongs to the media plane.
type ear struct {
	vad     *vad.Detector
	sounds  chan sound    // 500: 10 s, the longest a recogniser was seen to be busy with one utterance
	dropped atomic.Uint64 // frames
	at      atomic.Int64  // media time of the last frame
	late    vad.Edge      // of a frame that was dropped: goes with the next
}

func newEar() *ear { return &ear{vad: vad.New(), sounds: make(chan sound, 500)} }

func (e *ear) hear(f audio.Frame) {
	e.at.Store(int64(f.At))
	s := sound{at: f.At, when: time.Now()}
	s.n = copy(s.pcm[:], f.PCM)
	if s.loud = !f.Lost && loud(f.PCM); f.Age > 0 {
		s.came = s.when.Add(-f.Age)
	}
	s.edge, e.late = e.late, vad.Edge{}
	if edge, ok := e.vad.Push(f); ok {
		s.edge = edge
	}
	select {
	case e.sounds <- s:
	default:
		e.late = s.edge
		e.dropped.Add(1)
	}
}

// voice is the agent's voice with its short gaps closed.
type voice struct {
	on     bool
	ending bool          // the detector says it has ended, but it may be a gap
	end    time.Duration // media time of its last loud sound
	wire   time.Time     // when the packet of its last loud frame came
}

// edge is one of voice; wire is of its end.
type edge struct {
	on   bool
	at   time.Duration
	wire time.Time
}

// take goes on by one frame.
func (v *voice) take(s *sound) (edge, bool) {
	if s.loud {
		v.wire = s.came
	}
	switch s.edge.Kind {
	case vad.Start:
		v.ending = false // a gap
		if !v.on {
			v.on = true
			return edge{on: true, at: s.edge.At}, true
		}
	case vad.End:
		if v.on {
			v.ending, v.end = true, s.edge.At+audio.FrameTime
		}
	}
	return v.close(s.at)
}

// close ends a voice whose gap has become too long.
func (v *voice) close(now time.Duration) (edge, bool) {
	if !v.ending || now-v.end < longestGap {
		return edge{}, false
	}
	v.on, v.ending = false, false
	return edge{at: v.end, wire: v.wire}, true
}
