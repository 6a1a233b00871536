package engine

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/audio/playout"
	"github.com/patchcord/patchcord/audio/record"
	"github.com/patchcord/patchcord/audio/vad"
	"github.com/patchcord/patchcord/engine/turn"
)

// idleAfter is how long nothing comes from the line until whoever was speaking
// is not waited for any more (conv:B8).
const idleAfter = time.Second

// voiceEdge is an edge of the caller's voice on its way to the session.
type voiceEdge struct {
	kind edgeKind
	when time.Time     // the frame's arrival
	back time.Duration // how long before it the edge lies
	echo bool          // of voiceOff: it was no voice, but our echo
}

type edgeKind int8

const (
	voiceOn   edgeKind = 1  // a voice began
	voiceOff  edgeKind = -1 // it ended
	voiceLong edgeKind = 2  // it has been loud long enough for our speech to pause
	lineIdle  edgeKind = 4  // nothing came from the line for idleAfter
	beepHeard edgeKind = 5  // a mailbox records from now on
	ringLow   edgeKind = 3  // the recogniser falls behind: the ring is to grow
)

// listener is the Sink of a call: voice detection, the recording's tap, and
// the ring that feeds the recogniser without a gap (INV8). Hear runs on the
// media plane.
type listener struct {
	*ring
	rec   *record.Recorder // nil: not recorded
	also  *monitor         // who listens in to the call; nil: nobody may
	edges *mailbox
	long  time.Duration // how long a voice is loud before voiceLong; 0: told already
	after time.Duration

	sound sound
	out   *playout.Playout // what we send, whose echo may come back; nil: not told
	sent  [1]float32       // its loudness

	mu       sync.Mutex // guards what follows; the session takes it once a turn
	vad      *vad.Detector
	finished bool          // the recogniser is sure that the caller has finished
	came     time.Time     // when the last frame did
	last     time.Duration // its Frame.At

	beep    *audio.BeepDetector // nil: never asked for
	mailbox atomic.Bool         // it is to be listened for; beep is set before

	away  atomic.Bool // the caller is with somebody else: silence is heard, but by the recording
	quiet []int16     // a frame of it, never written

	at   atomic.Int64 // media time of the last frame, ns: the recording's clock
	idle bool         // nothing comes from the line: told already
}

func newListener(f audio.Format, after time.Duration, edges *mailbox, rec *record.Recorder) *listener {
	return &listener{
		ring: newRing(f), vad: vad.New(), rec: rec, edges: edges, after: after,
		quiet: make([]int16, audio.Samples(audio.FrameTime, f.Rate)),
	}
}

// Hear takes 20 ms of the caller.
func (l *listener) Hear(f audio.Frame) {
	l.at.Store(int64(f.At))
	if l.rec != nil {
		l.rec.Caller(f)
	}
	if l.also != nil {
		l.also.caller(f)
	}
	if l.away.Load() {
		f.PCM = l.quiet[:min(len(f.PCM), len(l.quiet))]
	}
	now := time.Now()
	if l.mailbox.Load() && l.beep.Push(f.PCM) {
		l.edges.must(voiceEdge{kind: beepHeard, when: now})
	}
	speaking, loud := l.detect(f, now)
	if l.keep(f.PCM, speaking, loud, now) {
		l.edges.must(voiceEdge{kind: ringLow})
	}
}

// detect finds the edges of the caller's voice. It tells whether there is one,
// and whether it is loud in this frame.
func (l *listener) detect(f audio.Frame, now time.Time) (speaking, loud bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.came, l.last = now, f.At
	if l.out != nil && l.out.Envelope(l.sent[:]) > 0 {
		l.vad.Sent(l.sent[0])
	}
	if e, is := l.vad.Push(f); is {
		v := voiceEdge{kind: voiceOff, when: now, back: f.At - e.At}
		if e.Kind == vad.Start {
			v.kind, l.long = voiceOn, l.after
		}
		if v.echo = e.Echo; v.echo {
			l.sound.unmask()
		}
		l.edges.must(v)
	}
	l.sound.push(l.vad.Speaking(), l.vad.Echo())
	if l.finished {
		_, l.finished = l.settle()
	}
	if l.long > 0 && l.vad.Speaking() && l.vad.Voiced() >= l.long {
		l.long = 0
		l.edges.must(voiceEdge{kind: voiceLong, when: now})
	}
	if idle := l.vad.Lost() >= idleAfter; idle != l.idle {
		if l.idle = idle; idle {
			l.edges.must(voiceEdge{kind: lineIdle, when: now})
		}
	}
	return l.vad.Speaking(), l.vad.Quiet() < audio.FrameTime
}

// settle ends the voice before the detector's hang is over, or tells that it is
// to be tried again with the next frame. The caller holds mu.
func (l *listener) settle() (ended, pending bool) {
	e, ended, pending := l.vad.Settle()
	if ended {
		l.edges.must(voiceEdge{kind: voiceOff, when: l.came, back: l.last - e.At})
	}
	return ended, pending
}

// finish takes a recogniser's word that the caller has finished. Where it has
// been quiet for long enough the voice ends at once, not with the next frame;
// else it ends as soon as it has been, if the next frame is not loud.
func (l *listener) finish() {
	l.mu.Lock()
	defer l.mu.Unlock()
	ended, _ := l.settle()
	l.finished = !ended
}

// edge is what the media plane heard on the line.
func (s *session) edge(m voiceEdge) {
	if s.server.listening() && m.kind != ringLow {
		return // one ear decides (conv:R10)
	}
	at := max(0, m.when.Sub(s.start)-m.back)
	switch m.kind {
	case voiceOn:
		if took, ok := s.lastWords.voice(true, at); ok {
			s.e.waits.add(s.hearer, took)
		}
		s.odds.newVoice()
		s.answering(func(a *amd) { a.voiceAt(true, at) })
		s.step(turn.VoiceStart{At: at})
	case voiceOff:
		s.lastWords.voice(false, at)
		if s.greeted.IsZero() {
			s.greeted = s.start.Add(at)
		}
		s.answering(func(a *amd) { a.voiceAt(false, at) })
		s.step(turn.VoiceEnd{At: at, Echo: m.echo})
		s.askTurnModel()
	case lineIdle:
		s.step(turn.AudioIdle{})
	case voiceLong:
		s.step(turn.Voiced{})
	case ringLow:
		s.listen.grow()
	case beepHeard:
		s.step(turn.Beep{})
	}
}
