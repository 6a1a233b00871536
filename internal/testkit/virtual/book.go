// Package virtual is the world around a call on a virtual clock: a line, a
// recogniser, a voice and a model that follow a script and fail on demand.
//
// Words travel as sound. Every word that a voice speaks, and every word that a
// caller says, is a stretch of samples that spells its number, so that what
// came out of the line is known to the sample: which word of which sentence was
// heard, in what order, and how much of it. The recogniser reads the caller's
// words from the samples that it is sent, and knows no others.
//
// Everything runs on the time package, so a testing/synctest bubble plays a
// call of minutes in milliseconds.
package virtual

import (
	"sync"
	"time"
)

// Rate is that of all sound here, Hz.
const Rate = 8000

// The bands of sample values: who a sample is of. Noise lies below them.
const (
	echoBand   = 2000 // to 3899
	callerBand = 4000 // to 11999
	agentBand  = 12000
	echoIDs    = 1900
	callerIDs  = 8000
	agentIDs   = 20000
	noiseTop   = 1500
)

// Word is one word on the line.
type Word struct {
	Text    string
	Say     int // which sentence of its speaker, from 0
	Nth     int // word of the sentence, from 0
	Samples int // of its sound
	At      time.Duration
	Heard   int // samples of it that the other side was given
}

// Whole says whether enough of a word came through to be understood.
func (w *Word) Whole() bool { return 2*w.Heard > w.Samples }

// Times is how often a word was heard: sound that is kept is played again.
func (w *Word) Times() int { return (2*w.Heard + w.Samples - 1) / (2 * w.Samples) }

// book numbers the words of one speaker. Numbers are used again after many.
type book struct {
	mu    sync.Mutex // guards what follows
	band  int
	ids   int
	words []*Word
	says  int
}

func newBook(band, ids int) *book { return &book{band: band, ids: ids} }

// sentence numbers the words of a sentence.
func (b *book) sentence() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.says++
	return b.says - 1
}

// write makes the sound of a word: a fifth of it, the last, is silence, as
// speech is no even sound.
func (b *book) write(text string, say, nth, samples int) []int16 {
	pcm := make([]int16, samples)
	samples -= samples / 5
	b.mu.Lock()
	defer b.mu.Unlock()
	id := len(b.words)
	b.words = append(b.words, &Word{Text: text, Say: say, Nth: nth, Samples: samples})
	copy(pcm, tone(b.band+id%b.ids, samples))
	return pcm
}

// tone is a value as sound: its sign changes with every sample.
func tone(value, samples int) []int16 {
	pcm := make([]int16, samples)
	for i := range pcm {
		pcm[i] = int16(value) //nolint:gosec // the bands lie within 16 bits
		if i%2 == 1 {
			pcm[i] = -pcm[i]
		}
	}
	return pcm
}

// runs reads the words in sound: each stretch of one word, the number of the
// word and its samples.
func (b *book) runs(pcm []int16, each func(id, n int)) {
	for i := 0; i < len(pcm); {
		v, from := abs(pcm[i]), i
		for i < len(pcm) && abs(pcm[i]) == v {
			i++
		}
		if v >= b.band && v < b.band+b.ids {
			if id := b.find(v - b.band); id >= 0 {
				each(id, i-from)
			}
		}
	}
}

func abs(x int16) int {
	if x < 0 {
		return -int(x)
	}
	return int(x)
}

// find is the number of the last word with a code, -1 for none.
func (b *book) find(code int) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	last := len(b.words) - 1
	if code > last {
		return -1
	}
	return last - (last-code)%b.ids
}

// hear counts samples of a word, and reports when enough of the word has come.
func (b *book) hear(id, n int, at time.Duration) (w Word, whole bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	x := b.words[id]
	if x.Heard == 0 {
		x.At = at
	}
	was := x.Whole()
	x.Heard += n
	return *x, !was && x.Whole()
}

// all are the words so far.
func (b *book) all() []Word {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := make([]Word, len(b.words))
	for i, w := range b.words {
		out[i] = *w
	}
	return out
}

// get is a word by its number.
func (b *book) get(id int) Word {
	b.mu.Lock()
	defer b.mu.Unlock()
	return *b.words[id]
}
