package engine

import (
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/audio/playout"
	"github.com/patchcord/patchcord/audio/tts/spoken"
)

const (
	// lag is how much of what left us has not been heard yet: half the round
	// trip and the far end's buffer (conv:T4).
	lag = 60 * time.Millisecond
	// shy keeps a guessed position from claiming words that were not heard
	// (conv:T8). Where the voice has not said how long a piece is, its length
	// is a guess as well.
	shy     = 0.92
	shyOpen = 0.88
	// seedCPS is how many characters a voice says in a second, before it was
	// measured.
	seedCPS = 15
)

// segment is one piece of a reply on its way to the ear.
type segment struct {
	at   int           // where it begins in the reply's text, bytes
	raw  string        // as the model wrote it
	said spoken.Spoken // as the voice gets it

	mu    sync.Mutex // guards what the voice tells
	by    string     // the voice that spoke last of it
	words []wordMark
	from  int  // where in the text the voice that speaks now began
	base  int  // … and at which sample
	lead  int  // samples of silence before the first word
	lost  bool // the voice did not say all of it
}

// wordMark says how many samples of a segment have to be heard for the words
// up to an offset of its spoken text.
type wordMark struct{ textEnd, samples int }

// told keeps what a voice tells of its words: it speaks from a place in the
// text on, and from a sample.
func (s *segment) told(ws []wordMark, from, base int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range ws {
		s.words = append(s.words, wordMark{from + w.textEnd, base + w.samples})
	}
}

// lastWord is the last word behind a place that the voice told of and that is
// whole in the first n samples.
func (s *segment) lastWord(from, n int) (textEnd, samples int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range slices.Backward(s.words) {
		if w.textEnd > from && w.samples <= n {
			return w.textEnd, w.samples
		}
	}
	return from, 0
}

// cutWords forgets what was told of words behind a place.
func (s *segment) cutWords(place int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.words = slices.DeleteFunc(s.words, func(w wordMark) bool { return w.textEnd > place })
}

// speaks tells which voice speaks it, from which place in the text and sample
// on, the first after so much silence.
func (s *segment) speaks(voice string, from, base int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.by, s.from, s.base = voice, from, base
	if from == 0 {
		s.lead = base
	}
}

// lose tells that no voice said all of it.
func (s *segment) lose() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lost = true
}

// spokenBy says by which voice it was spoken and whether all of it was.
func (s *segment) spokenBy() (voice string, lost bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.by, s.lost
}

// heard is what of a reply reached the caller's ear.
type heard struct {
	text   string // as it was written
	spoken string // as it was said
	all    bool   // nothing is missing
}

// heardOf is what of a reply was heard, by word timestamps where the voice
// gives them and by position otherwise (conv:T1, conv:T2). Text is the reply's
// as far as it was handed to the voice, cps how fast a voice speaks.
func heardOf(text string, segs []*segment, h playout.Heard, rate int, cps func(voice string) float64) heard {
	out := heard{all: len(h.Segments) >= len(segs)}
	left := 0
	for _, seg := range h.Segments {
		left += seg.Samples
	}
	if !h.Complete() {
		left -= audio.Samples(lag, rate)
	}
	var raw, said strings.Builder
	end := 0 // of what was heard without a gap
	for i, s := range segs {
		if i >= len(h.Segments) || left <= 0 {
			out.all = false
			break
		}
		seg := h.Segments[i]
		n := min(seg.Samples, left)
		left -= n
		voice, lost := s.spokenBy()
		place := len(s.said.Text)
		whole := seg.Ended && n == seg.Pushed && !lost
		if !whole {
			out.all = false
			place = s.reached(n, seg, rate, cps(voice))
		}
		words := wholeWords(s.raw, s.said.Raw(place))
		if whole {
			words = s.raw
		}
		if words == "" {
			if !whole { // a gap: what stands before the next piece was not heard
				end = -1
			}
			continue
		}
		if end >= 0 && end <= s.at {
			raw.WriteString(text[min(end, len(text)):min(s.at, len(text))])
		} else {
			raw.WriteByte(' ')
		}
		raw.WriteString(words)
		said.WriteByte(' ')
		said.WriteString(s.said.Text[:place])
		if end = s.at + len(s.raw); !whole {
			end = -1
		}
	}
	out.text, out.spoken = strings.TrimSpace(raw.String()), strings.TrimSpace(said.String())
	if out.all {
		out.text = strings.TrimSpace(text)
	}
	return out
}

// less is h without its last n samples, which left us but were not heard.
func less(h playout.Heard, n int) playout.Heard {
	for i := len(h.Segments) - 1; i >= 0 && n > 0; i-- {
		k := min(n, h.Segments[i].Samples)
		h.Segments[i].Samples -= k
		h.Samples, h.Dropped, n = h.Samples-k, h.Dropped+k, n-k
	}
	return h
}

// reached is the place in what is said that the first n samples of a segment
// come to: just behind a whole word.
func (s *segment) reached(n int, seg playout.SegmentHeard, rate int, cps float64) int {
	text := s.said.Text
	s.mu.Lock()
	defer s.mu.Unlock()
	end, told := 0, false
	for _, w := range s.words {
		if w.samples <= n {
			end = min(w.textEnd, len(text))
		}
		told = told || w.textEnd > s.from
	}
	part := text[s.from:]
	switch {
	case told || n <= 0 || n <= s.base && len(s.words) > 0:
		return end
	case n <= s.base: // of what a voice said that broke off
		return guess(text[:s.from], n-s.lead, s.base-s.lead, rate, cps)
	case seg.Ended && !s.lost:
		return max(end, s.from+guess(part, n-s.base, seg.Pushed-s.base, rate, cps))
	}
	return max(end, s.from+guess(part, n-s.base, 0, rate, cps))
}

// estimate is how far into a text, from a place on, so many samples come.
func (s *segment) estimate(n, from, rate int, cps float64) int {
	return guess(s.said.Text[from:], n, 0, rate, cps)
}

// guess is how far into a text n samples come, which is all of whole samples
// long where that is known: just behind a whole word, rather one too few.
func guess(text string, n, whole, rate int, cps float64) int {
	if n <= 0 {
		return 0
	}
	share := float64(n) / float64(rate) * cps / float64(max(1, len(text))) * shyOpen
	if whole > 0 {
		share = float64(n) / float64(whole) * shy
	}
	chars := int(float64(len(text)) * min(1, share))
	if chars < len(text) && text[chars] != ' ' { // cut back to a whole word
		chars = strings.LastIndexByte(text[:chars], ' ') + 1
	}
	return len(strings.TrimRight(text[:chars], " "))
}

// wholeWords are the words of a text that are whole before a place in it, with
// the marks that belong to them.
func wholeWords(text string, end int) string {
	end = min(end, len(text))
	for end < len(text) { // what is behind the last letter belongs to its word
		r, n := utf8.DecodeRuneInString(text[end:])
		if unicode.IsSpace(r) {
			break
		}
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			end = strings.LastIndexFunc(text[:end], unicode.IsSpace) + 1
			break
		}
		end += n
	}
	return strings.TrimRightFunc(text[:end], unicode.IsSpace)
}

// pace is how fast voices speak, characters a second: a running average for
// each voice and language, of all calls.
type pace struct {
	mu sync.Mutex // guards by
	by map[paceKey]float64
}

type paceKey struct{ tts, voice, language string }

func newPace() *pace { return &pace{by: map[paceKey]float64{}} }

// cps is how fast a voice speaks.
func (p *pace) cps(k paceKey) float64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if v := p.by[k]; v > 0 {
		return v
	}
	return seedCPS
}

// measured keeps how fast a voice said something.
func (p *pace) measured(k paceKey, cps float64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.by[k] == 0 {
		p.by[k] = seedCPS
	}
	p.by[k] += (cps - p.by[k]) / 4
}
