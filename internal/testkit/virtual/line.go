package virtual

import (
	"cmp"
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/telephony"
)

const (
	frame = Rate / 50 // samples of 20 ms
	quiet = 8         // the level of a line on which nobody speaks
)

// Line is a leg whose far end is a scripted caller. Its clock runs from the
// answer to the end: every 20 ms one frame each way.
type Line struct {
	info   telephony.Info
	events chan telephony.Event // 64: more than a scenario ever has waiting
	done   chan struct{}
	once   sync.Once
	caller *book
	agent  *book
	noise  *rand.Rand // the clock's own

	mu     sync.Mutex // guards what follows
	sink   audio.Sink
	source audio.Source
	queue  []sound
	level  int           // of the background noise, sample value
	echo   time.Duration // lag of our own voice coming back, 0 for none
	mute   time.Duration // no packets for that long
	loss   float64       // share of packets that do not come
	owed   float64
	sounds []Burst // when anybody was heard
	past   []int16 // the agent's sound, for the echo
	cause  telephony.Cause
	local  bool // our side ended the call

	hear func(now time.Duration, w *Word, loud bool) // of the agent, every frame; the clock calls it
}

// Burst is a stretch in which somebody was heard, since the answer.
type Burst struct{ From, To time.Duration }

// sound is a stretch of the caller's sound.
type sound struct {
	pcm  []int16
	ids  bool          // coded words
	done chan struct{} // closed when it was sent; may be nil
}

// NewLine makes a line that rings.
func NewLine(id telephony.CallID, seed uint64) *Line {
	return &Line{
		info: telephony.Info{
			ID: id, Direction: telephony.Inbound, From: "+4930111", To: "+4930123456", Transport: "virtual",
			Codec: "L16", Format: audio.Format{Encoding: audio.PCM16, Rate: Rate},
		},
		events: make(chan telephony.Event, 64), done: make(chan struct{}),
		caller: newBook(callerBand, callerIDs), agent: newBook(agentBand, agentIDs),
		noise: rand.New(rand.NewPCG(seed, 1)), //nolint:gosec // noise, not a secret
		past:  make([]int16, 4*Rate), level: quiet,
	}
}

var _ telephony.Leg = (*Line)(nil)

// Info is what is known of the leg.
func (l *Line) Info() telephony.Info { return l.info }

// Progress does nothing: nobody waits for the ringing.
func (l *Line) Progress(context.Context, bool) error { return nil }

// Answer starts the clock.
func (l *Line) Answer(context.Context) error {
	go l.run()
	return nil
}

func (l *Line) run() {
	t := time.NewTicker(audio.FrameTime)
	defer t.Stop()
	in, out := make([]int16, frame), make([]int16, frame)
	at := time.Duration(0)
	for ; ; at += audio.FrameTime {
		select {
		case <-t.C:
		case <-l.done:
			return
		}
		sink, source, lost, done := l.next(in, at)
		if sink != nil {
			sink.Hear(audio.Frame{PCM: in, Rate: Rate, At: at, Lost: lost})
		}
		if done != nil {
			close(done)
		}
		clear(out)
		if source == nil || !source.Next(out) {
			clear(out)
		}
		l.heard(out, at)
	}
}

// next is the caller's next frame.
func (l *Line) next(in []int16, at time.Duration) (
	sink audio.Sink, source audio.Source, lost bool, done chan struct{},
) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range in {
		in[i] = int16(l.noise.IntN(2*l.level+1) - l.level) //nolint:gosec // a noise floor
	}
	if l.echo > 0 && at >= l.echo {
		from := audio.Samples(at-l.echo, Rate) % len(l.past)
		at := 0
		l.agent.runs(l.past[from:from+frame], func(id, n int) {
			copy(in[at:], tone(echoBand+id%echoIDs, n))
			at += n
		})
	}
	if l.mute > 0 {
		l.mute -= audio.FrameTime
		lost = true
	} else if l.owed += l.loss; l.owed >= 1 {
		l.owed--
		lost = true
	}
	for fill := 0; fill < len(in) && len(l.queue) > 0; {
		s := &l.queue[0]
		n := copy(in[fill:], s.pcm)
		if s.ids && n > 0 && !lost { // else it does not come
			l.sent(in[fill:fill+n], at)
		}
		s.pcm = s.pcm[n:]
		fill += n
		if len(s.pcm) == 0 {
			done = s.done
			l.queue = l.queue[1:]
			if done != nil {
				break // the next one begins with a frame of its own
			}
		}
	}
	if lost {
		clear(in)
	}
	return l.sink, l.source, lost, done
}

// sent notes when the caller's words left.
func (l *Line) sent(pcm []int16, at time.Duration) {
	l.caller.runs(pcm, func(id, n int) {
		l.caller.mu.Lock()
		w := l.caller.words[id]
		if w.At == 0 {
			w.At = at
		}
		w.Heard += n
		l.caller.mu.Unlock()
	})
}

// heard reads what the agent said.
func (l *Line) heard(out []int16, at time.Duration) {
	loud := false
	for _, x := range out {
		loud = loud || x > 400 || x < -400
	}
	l.mu.Lock()
	copy(l.past[audio.Samples(at, Rate)%len(l.past):], out)
	if loud || len(l.queue) > 0 {
		if n := len(l.sounds) - 1; n >= 0 && at-l.sounds[n].To <= audio.FrameTime {
			l.sounds[n].To = at + audio.FrameTime
		} else {
			l.sounds = append(l.sounds, Burst{at, at + audio.FrameTime})
		}
	}
	l.mu.Unlock()
	var done []Word
	l.agent.runs(out, func(id, n int) {
		if w, whole := l.agent.hear(id, n, at); whole {
			done = append(done, w)
		}
	})
	l.mu.Lock()
	hear := l.hear
	l.mu.Unlock()
	if hear == nil {
		return
	}
	for i := range done {
		hear(at, &done[i], loud)
	}
	hear(at, nil, loud)
}

// play queues sound of the caller's and waits until it was sent.
func (l *Line) play(ctx context.Context, parts ...sound) error {
	done := make(chan struct{})
	parts[len(parts)-1].done = done
	l.mu.Lock()
	l.queue = append(l.queue, parts...)
	l.mu.Unlock()
	select {
	case <-done:
		return nil
	case <-l.done:
		return errEnded
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// words is a sentence of the caller's: cps characters a second.
func (l *Line) words(text string, cps float64) []sound {
	say := l.caller.sentence()
	var out []sound
	for i, w := range strings.Fields(text) {
		n := int(float64(len(w)+1) / cps * Rate)
		out = append(out, sound{pcm: l.caller.write(w, say, i, n), ids: true})
	}
	return out
}

// burst is noise that no recogniser finds a word in.
func (l *Line) burst(d time.Duration, level int) sound {
	pcm := make([]int16, audio.Samples(d, Rate))
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range pcm {
		pcm[i] = int16(1-2*(i%2)) * int16(level/2+l.noise.IntN(level/2)) //nolint:gosec // within 16 bits
	}
	return sound{pcm: pcm}
}

// Sound is when the agent or the caller was heard.
func (l *Line) Sound() []Burst {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]Burst(nil), l.sounds...)
}

// Said are the caller's words, with the time each of them left.
func (l *Line) Said() []Word { return l.caller.all() }

// Utterances is when the utterance that each of the caller's words is of had
// left, as a recogniser divides them that no voice detector tells anything: what
// is said without a pause of ownEnd is one.
func (l *Line) Utterances() []time.Duration {
	said := l.Said()
	out := make([]time.Duration, len(said))
	last := time.Duration(-1) // of the words behind
	start := last
	order := make([]int, len(said))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(said[b].At, said[a].At) })
	for _, i := range order {
		end := said[i].At + audio.Duration(said[i].Samples, Rate)
		if last < 0 || start-end >= ownEnd {
			last = end
		}
		out[i], start = last, said[i].At
	}
	return out
}

// Heard are the agent's words: those that were spoken, with how much of each
// reached the caller.
func (l *Line) Heard() []Word { return l.agent.all() }

// Connect joins the leg's sound.
func (l *Line) Connect(in audio.Sink, out audio.Source) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sink, l.source = in, out
}

// Events are the leg's.
func (l *Line) Events() <-chan telephony.Event { return l.events }

// Send gives an event of the leg, unless it is over.
func (l *Line) Send(ev telephony.Event) {
	select {
	case <-l.done:
	default:
		l.events <- ev
	}
}

// SendDigits does nothing.
func (l *Line) SendDigits(context.Context, string, telephony.Tone) error { return nil }

// Hold does nothing.
func (l *Line) Hold(context.Context, bool) error { return nil }

// Refer does nothing.
func (l *Line) Refer(context.Context, telephony.ReferTo) error { return nil }

// Stats are those of a line without a fault.
func (l *Line) Stats() telephony.Stats { return telephony.Stats{PacketsReceived: 1, MOS: 4.4} }

// Hangup ends the leg from our side.
func (l *Line) Hangup(_ context.Context, c telephony.Cause) error {
	l.end(c, true)
	return nil
}

func (l *Line) end(c telephony.Cause, local bool) {
	l.once.Do(func() {
		l.mu.Lock()
		l.cause, l.local = c, local
		l.mu.Unlock()
		close(l.done)
		l.events <- telephony.Ended{Cause: c}
		close(l.events)
	})
}
