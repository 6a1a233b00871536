package engine

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/audio/playout"
	"github.com/patchcord/patchcord/audio/tts"
	"github.com/patchcord/patchcord/audio/tts/spoken"
	"github.com/patchcord/patchcord/internal/testkit"
)

// reader is a voice whose every word is a sound of its own, as long as the
// others: the nth word of the whole text is n times step. It reads as it is
// told and keeps when it was asked for what.
type reader struct {
	word   time.Duration // each, default 200 ms
	first  time.Duration // to the first sound
	pace   float64       // seconds of sound a second, 0: at once
	lead   time.Duration // silence before the first word
	marks  bool
	breaks func(n int, text string) (after time.Duration, err error) // of request n; a nil error stalls

	mu    sync.Mutex // guards what follows
	text  []string   // words it knows, in the order of the whole text
	asked []request
}

type request struct {
	at   time.Time
	text string
}

const step = 400

func (r *reader) Synthesize(ctx context.Context, q tts.Request) (tts.Stream, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked = append(r.asked, request{time.Now(), q.Text})
	s := &reading{ctx: ctx, wait: r.first, pace: r.pace, end: -1, pcm: make([]int16, r.lead*8000/time.Second)}
	from := 0
	for _, w := range strings.Fields(q.Text) {
		from += strings.Index(q.Text[from:], w) + len(w)
		n := slices.Index(r.text, w)
		if n < 0 {
			r.text, n = append(r.text, w), len(r.text)
		}
		s.pcm = append(s.pcm, slices.Repeat([]int16{int16(step * (n + 1))}, int(max(r.word, 200*ms)*8000/time.Second))...)
		if r.marks {
			s.words = append(s.words, tts.WordMark{TextEnd: from, End: time.Duration(len(s.pcm)) * time.Second / 8000})
		}
	}
	if r.breaks != nil {
		if after, err := r.breaks(len(r.asked), q.Text); after > 0 || err != nil {
			s.end, s.err = min(len(s.pcm), int(after*8000/time.Second)), err
		}
	}
	return s, nil
}

func (r *reader) requests() []request {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.asked)
}

type reading struct {
	ctx   context.Context //nolint:containedctx // the stream's own
	wait  time.Duration
	pace  float64
	pcm   []int16
	words []tts.WordMark
	at    int
	end   int
	err   error
}

func (s *reading) Next() (tts.Chunk, error) {
	n := min(len(s.pcm)-s.at, 800)
	if s.end >= 0 {
		n = min(n, s.end-s.at)
	}
	wait := s.wait
	if s.wait = 0; s.at > 0 && s.pace > 0 {
		wait = time.Duration(float64(n) / 8000 / s.pace * float64(time.Second))
	}
	stop := s.end >= 0 && s.at >= s.end
	if stop && s.err == nil {
		wait = testkit.Never
	}
	if wait > 0 {
		select {
		case <-time.After(wait):
		case <-s.ctx.Done():
			return tts.Chunk{}, context.Cause(s.ctx)
		}
	}
	switch {
	case stop:
		return tts.Chunk{}, s.err
	case n == 0:
		return tts.Chunk{}, io.EOF
	}
	c := tts.Chunk{PCM: s.pcm[s.at : s.at+n], Rate: 8000}
	s.at += n
	i := 0
	for i < len(s.words) && s.words[i].End <= time.Duration(s.at)*time.Second/8000 {
		i++
	}
	c.Words, s.words = s.words[:i], s.words[i:]
	return c, nil
}

func (s *reading) Close() error { return nil }

// talk lets voices speak pieces into a playout that is pulled on the clock, and
// returns the words that sounded, in their order, with what came of the reply.
type talk struct {
	out    *playout.Playout
	v      *voice
	segs   []*segment
	mail   *mailbox
	heard  []int // the words, by their numbers; 0: a silence of 40 ms or more
	frames int
	quiet  int // frames
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

func newTalk(t *testing.T, pieces []string, voices ...tts.Provider) *talk {
	t.Helper()
	k := &talk{mail: newMailbox(0)}
	k.out = playout.New(8000, func(playout.Edge) { k.v.poke() })
	k.v = &voice{
		g: 1, out: k.out, rate: 8000, cache: newPhrases(1 << 20), work: k.mail, coming: map[int]*coming{},
		wake: make(chan struct{}, 1), cps: newPace().cps1,
	}
	for i, p := range voices {
		k.v.voices = append(k.v.voices, namedVoice{name: fmt.Sprint("v", i), p: p})
	}
	for _, text := range pieces {
		s := &segment{raw: text, said: spoken.Spoken{Text: text}}
		k.segs = append(k.segs, s)
		k.v.add(s)
	}
	k.v.end()
	return k
}

// cps1 is 15 characters a second, whoever speaks.
func (p *pace) cps1(string) float64 { return p.cps(paceKey{}) }

// run speaks for a while, or to the end.
func (k *talk) run(t *testing.T, d time.Duration) {
	t.Helper()
	if k.cancel == nil {
		ctx, cancel := context.WithCancel(t.Context())
		k.cancel = cancel
		k.wg.Go(func() { k.v.run(ctx) })
		synctest.Wait()
		k.out.Play(1)
	}
	dst := make([]int16, 160)
	for over := false; d > 0 && !over; d -= audio.FrameTime {
		time.Sleep(audio.FrameTime)
		synctest.Wait()
		k.out.Next(dst)
		over = k.out.Foreground() == 0
		k.frames++
		var words []int
		for _, x := range dst[80:] { // a seam is over by then
			if x%step == 0 && x > 0 {
				words = append(words, int(x/step))
			}
		}
		switch {
		case len(words) > 60:
			if n := len(k.heard); n == 0 || k.heard[n-1] != words[0] {
				k.heard = append(k.heard, words[0])
			}
			k.quiet = 0
		case k.out.Sounding() == 0:
			if k.quiet++; k.quiet == 3 {
				k.heard = append(k.heard, 0)
			}
		}
	}
}

func (k *talk) end() {
	if k.cancel != nil {
		k.cancel()
		k.wg.Wait()
	}
}

// words is a text of n words of five letters each, a sentence ending after
// every one of some: 15 characters are a second, a word sounds 400 ms.
func sentences(n, each int) (pieces []string) {
	for i := 0; i < n; i += each {
		var w []string
		for j := i; j < min(i+each, n); j++ {
			w = append(w, "w"+strings.Map(func(r rune) rune { return r - '0' + 'a' }, fmt.Sprintf("%04d", j)))
		}
		pieces = append(pieces, strings.Join(w, " ")+".")
	}
	return pieces
}
