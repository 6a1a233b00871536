package engine

import (
	"context"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/audio/playout"
	"github.com/patchcord/patchcord/audio/tts"
	"github.com/patchcord/patchcord/engine/turn"
)

// How far a voice runs ahead of what is heard (conv:S7): a barge-in wastes no
// more than ahead, or, where one piece is longer than that, that piece and
// little.
const (
	aheadPieces = 2
	ahead       = 4 * time.Second
	little      = 2 * time.Second
)

// voice speaks one reply: its pieces in order, each by one request, into the
// playout. The session adds pieces and ends it; run is its own goroutine, and
// one more for each piece that is being spoken, a few at most.
type voice struct {
	g      turn.Gen
	out    *playout.Playout
	voices []namedVoice // the first, then what to fall back on
	req    tts.Request
	rate   int
	keep   *phrases // nil: what is said is not kept
	cache  *phrases
	work   *mailbox
	gate   chan struct{}        // of a speculative reply: closed when it is adopted
	cps    func(string) float64 // how fast a voice speaks
	breath time.Duration        // of silence between two sentences (conv:S8)

	mu     sync.Mutex // guards what follows
	queue  []*segment
	busy   bool // with a piece
	ended  bool
	sounds int             // samples of the reply in the playout, heard or not
	from   int             // the voice that speaks: those before it have failed in this reply
	coming map[int]*coming // pieces that are being spoken, by their numbers
	wake   chan struct{}   // capacity 1: one signal stands for all that has changed
}

// coming is a piece on its way into the playout.
type coming struct {
	length time.Duration // as long as it should be
	pushed int           // samples that are there
	stop   context.CancelCauseFunc
}

// namedVoice is a voice of a call, and which of the provider's it is there.
type namedVoice struct {
	name  string
	p     tts.Provider
	voice string // "" for the provider's own
}

// voiceFirst is the first sound of a reply; voiceFed its last; voiceErr a
// sentence that could not be spoken; voiceDry one that makes the caller wait.
type (
	voiceFirst struct{ g turn.Gen }
	voiceFed   struct {
		g     turn.Gen
		sound bool
	}
	voiceErr struct {
		g    turn.Gen
		name string
		err  error
		next string // who goes on, "" for nobody
	}
	voiceDry struct {
		g    turn.Gen
		name string
		wait time.Duration
	}
)

// add queues a piece.
func (v *voice) add(s *segment) { v.change(func() { v.queue = append(v.queue, s) }) }

// end tells that no more pieces come.
func (v *voice) end() { v.change(func() { v.ended = true }) }

func (v *voice) change(f func()) {
	v.mu.Lock()
	f()
	v.mu.Unlock()
	v.poke()
}

// poke lets the voice look again: the media plane calls it too.
func (v *voice) poke() {
	select {
	case v.wake <- struct{}{}:
	default:
	}
}

// idle says whether the voice waits for words.
func (v *voice) idle() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return !v.busy && len(v.coming) == 0 && len(v.queue) == 0
}

func (v *voice) next() (s *segment, over bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.busy = len(v.queue) > 0; !v.busy {
		return nil, v.ended
	}
	s = v.queue[0]
	v.queue = v.queue[1:]
	return s, false
}

// run speaks until the reply ends or ctx does.
func (v *voice) run(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	after := false // a sentence came before
	for seg := 0; ; {
		s, over := v.next()
		if over {
			wg.Wait()
			if ctx.Err() == nil {
				v.out.EndReply(uint64(v.g))
				v.work.put(voiceFed{v.g, v.hasSounded()})
			}
			return
		}
		if s == nil {
			select {
			case <-v.wake:
				continue
			case <-ctx.Done():
				return
			}
		}
		if !v.mayAsk(ctx, seg, s) {
			return
		}
		n, lead := seg, 0
		if after {
			lead = audio.Samples(v.breath, v.rate)
		}
		after = endsSentence(s.raw)
		seg++
		wg.Go(func() {
			v.say(ctx, n, s, lead)
			v.change(func() { delete(v.coming, n) })
			if ctx.Err() == nil {
				v.out.EndSegment(uint64(v.g), n)
			}
		})
	}
}

func (v *voice) hasSounded() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.sounds > 0
}

// mayAsk waits until the next piece is to be asked for: when the one before it
// sounds or less than little is left to be heard, no more than aheadPieces wait
// for their turn, and it does not come too far ahead.
func (v *voice) mayAsk(ctx context.Context, seg int, s *segment) bool {
	wait := time.NewTimer(time.Hour)
	defer wait.Stop()
	for {
		p := v.out.Progress(uint64(v.g))
		length := v.length(s.said.Text)
		v.mu.Lock()
		left := p.Queued
		for _, c := range v.coming {
			left += max(0, c.length-audio.Duration(c.pushed, v.rate))
		}
		may := seg == 0 || seg-p.Begun < aheadPieces && (left < little || p.Begun >= seg && left+length <= ahead)
		if may {
			v.coming[seg] = &coming{length: length}
			v.busy = false
		}
		v.mu.Unlock()
		if may {
			return ctx.Err() == nil
		}
		wait.Reset(min(max(left-little, audio.FrameTime), 250*time.Millisecond))
		select {
		case <-v.wake:
		case <-wait.C:
		case <-ctx.Done():
			return false
		}
	}
}

// length is how long a text should sound.
func (v *voice) length(text string) time.Duration {
	name := ""
	v.mu.Lock()
	if v.from < len(v.voices) {
		name = v.voices[v.from].name
	}
	v.mu.Unlock()
	return time.Duration(letters(text) / v.cps(name) * float64(time.Second))
}

// letters is how many letters a text is worth to the voice: a digit is a word,
// and so is a letter of the scripts that have a thousand of them.
func letters(text string) float64 {
	n := 0.0
	for _, r := range text {
		switch {
		case r >= '0' && r <= '9' || r == '%' || r == '@' || r == '€' || r == '$' || r == '+':
			n += 6
		case r >= 0x2e80:
			n += 4
		default:
			n++
		}
	}
	return n
}

// endsSentence says whether a breath may be taken after a piece.
func endsSentence(raw string) bool {
	raw = strings.TrimRight(raw, " \n\"'”’)*")
	r, _ := utf8.DecodeLastRuneInString(raw)
	return strings.ContainsRune(".!?…", r)
}

// failed takes a voice out of the reply and returns the one that goes on. What
// it has begun of later pieces is begun again by that one, for one reply has
// one voice.
func (v *voice) failed(i, seg int) (next int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.from = max(v.from, min(i+1, len(v.voices)-1))
	if v.from > i {
		for n, c := range v.coming {
			if n > seg && c.stop != nil {
				c.stop(errOtherVoice)
			}
		}
	}
	return v.from
}

// put hands sound to the playout.
func (v *voice) put(seg int, pcm []int16) int {
	n := len(pcm)
	if n == 0 || !v.out.Push(uint64(v.g), seg, pcm) {
		return 0
	}
	v.mu.Lock()
	first := v.sounds == 0
	v.sounds += n
	if c := v.coming[seg]; c != nil {
		c.pushed += n
	}
	v.mu.Unlock()
	if first {
		v.work.put(voiceFirst{v.g})
	}
	return n
}
