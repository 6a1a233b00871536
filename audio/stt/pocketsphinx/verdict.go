package pocketsphinx

import (
	"math"
	"strings"
	"time"

	"github.com/patchcord/patchcord/internal/localspeech"
)

// A decoder with a small vocabulary has an answer for everything: "what is the
// weather like in london today" comes out as "what is deliver like to want i'm
// tuesday". Two things tell such an answer from an understood one, and the
// verdict is a logistic regression on them:
//
//   - how well the sounds fit: the acoustic likelihood per 10 ms of the words,
//     which PocketSphinx counts against the best sound of each frame (near 0
//     is good; understood words lie about -2.5 at 16 kHz and -3 over the
//     telephone, the others about -4);
//   - how many pairs of neighbours, the edges of the sentence included, are
//     neighbours in the phrases: nearly all when understood, about a fourth
//     when the decoder jumps from sound-alike to sound-alike.
//
// The weights were fitted on the odd lines of testdata/heard.txt, the voices
// rms and slt, at 8 kHz µ-law and 16 kHz, both kinds of error counting the
// same. BenchmarkRecognition prints what they do on the even lines, which took
// no part. Nobody has measured here whether a decode against a loop of all
// phones, beside the words, or the decoder's own posteriors separate better.
const (
	weightSound = 0.9
	weightPairs = 7.3
	weightNone  = -1.9
)

// surely is how sure of words that may still change one has to be. They stop
// whoever is speaking, for good, and a sound without words has an answer at
// first; the last words of the utterance come a moment later.
const surely = 0.9

// judge decides whether an utterance was understood.
type judge struct {
	pairs map[[2]string]bool // neighbours in the phrases
	least float64            // confidence, 0 to 1
}

// verdict on a hypothesis. Text is "" where it was not understood.
type verdict struct {
	text       string
	confidence float64
	start, end time.Duration // of its words, from the beginning of the utterance
}

// pairs are the neighbours that the model saw.
func (m model) pairs() map[[2]string]bool {
	pairs := map[[2]string]bool{}
	for g := range m.p {
		if g.order() == 2 {
			pairs[[2]string{g[0], g[1]}] = true
		}
	}
	return pairs
}

func (j judge) hear(h localspeech.Hypothesis) verdict {
	var v verdict
	var words []string
	var sound float64
	frames := 0
	for _, w := range h.Words {
		if strings.HasPrefix(w.Text, "<") || strings.HasPrefix(w.Text, "[") || strings.HasPrefix(w.Text, "++") {
			continue // silence, noise, the edges
		}
		word, _, _ := strings.Cut(w.Text, "(") // the second way to say it is word(2)
		if len(words) == 0 {
			v.start = time.Duration(w.Start) * localspeech.FrameTime
		}
		v.end = time.Duration(w.End+1) * localspeech.FrameTime
		words = append(words, word)
		sound += float64(w.Acoustic)
		frames += w.End - w.Start + 1
	}
	if len(words) == 0 || frames <= 0 {
		return verdict{}
	}
	score := weightNone + weightSound*sound/float64(frames) + weightPairs*j.known(words, h.Final)
	v.confidence = 1 / (1 + math.Exp(-score))
	least := j.least
	if !h.Final {
		least = max(least, surely)
	}
	if v.confidence >= least && !math.IsNaN(score) {
		v.text = strings.Join(words, " ")
	}
	return v
}

// known is the share of neighbours that are neighbours in the phrases; that
// the utterance ends where it ends counts when it has ended.
func (j judge) known(words []string, final bool) float64 {
	known, all := 0, 0
	last := "<s>"
	for _, w := range words {
		if j.pairs[[2]string{last, w}] {
			known++
		}
		all, last = all+1, w
	}
	if final {
		if j.pairs[[2]string{last, "</s>"}] {
			known++
		}
		all++
	}
	return float64(known) / float64(all)
}
