package localspeech

import (
	"sync"

	"github.com/patchcord/patchcord/audio"
)

// job is something a recogniser is to do.
type job struct {
	kind Kind // KindAudio, KindBegin, KindEnd, KindClose
	pcm  []int16
}

// hearer is the queue before one recogniser, so that a slow decoder holds up
// nobody but itself.
type hearer struct {
	mu   sync.Mutex
	cond sync.Cond
	jobs []job // guarded by mu
	full bool  // guarded by mu
}

func newHearer() *hearer {
	h := &hearer{}
	h.cond.L = &h.mu
	return h
}

func (h *hearer) push(j job) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if j.kind == KindAudio && len(h.jobs) >= maxQueued {
		h.full = true
	} else {
		h.jobs = append(h.jobs, j)
	}
	h.cond.Signal()
}

// pop waits for jobs and takes all of them.
func (h *hearer) pop() ([]job, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for len(h.jobs) == 0 && !h.full {
		h.cond.Wait()
	}
	if h.full {
		return nil, &Error{Temporary: true, Text: "the recogniser is a minute behind: this machine is too slow or too busy"}
	}
	jobs := h.jobs
	h.jobs = nil
	return jobs, nil
}

// utterance drives the decoder of one stream.
type utterance struct {
	Decoder
	convert *audio.Resampler // to DecoderRate
	every   int              // samples at DecoderRate between interim hypotheses; 0: none

	open   bool
	since  int    // samples since the decoder was last asked
	before []Word // what it answered
	told   []Word // the last interim hypothesis
	buf    []int16
}

// do is one job; it may have a hypothesis to tell. An edge twice, and sound
// between utterances, are nothing to do.
func (u *utterance) do(j job) (*Hypothesis, error) {
	switch {
	case j.kind == KindBegin && !u.open:
		u.open, u.since, u.before, u.told = true, 0, nil, nil
		return nil, u.Begin()
	case j.kind == KindAudio && u.open:
		u.buf = u.convert.Append(u.buf[:0], j.pcm)
		if err := u.Process(u.buf); err != nil {
			return nil, err
		}
		return u.interim(len(u.buf)), nil
	case j.kind == KindEnd && u.open:
		u.open = false
		words, err := u.End()
		return &Hypothesis{Final: true, Words: words}, err
	}
	return nil, nil
}

// interim is the hypothesis after n more samples: the words that two answers
// of the decoder in a row begin with, where they are not the ones told before.
// It has an answer to any sound, a cough too, and another one a moment later;
// words that are said stay (local agreement: Liu, Spanakis and Niehues,
// Interspeech 2020).
func (u *utterance) interim(n int) *Hypothesis {
	u.since += n
	if u.every == 0 || u.since < u.every {
		return nil
	}
	u.since = 0
	words := u.Words()
	agreed := words[:alike(words, u.before)]
	u.before = words
	if len(agreed) == 0 || len(agreed) == len(u.told) && alike(agreed, u.told) == len(agreed) {
		return nil
	}
	u.told = agreed
	return &Hypothesis{Words: agreed}
}

// alike is how many words a and b begin with in common.
func alike(a, b []Word) int {
	n := 0
	for n < min(len(a), len(b)) && a[n].Text == b[n].Text {
		n++
	}
	return n
}

// abandon ends an utterance that nobody waits for.
func (u *utterance) abandon() error {
	if !u.open {
		return nil
	}
	u.open = false
	_, err := u.End()
	return err
}
