package engine

import (
	"bufio"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/audio/playout"
	"github.com/patchcord/patchcord/audio/tts/spoken"
)

// uneven says how long each word of a text takes in a voice whose pace differs
// from word to word and that pauses at marks: where each ends, samples, and how
// long all of it is.
func uneven(rng *rand.Rand, text string, rate int) (ends []wordMark, total int) {
	at := 0.05 // s, before the first word
	pace := 13 + 5*rng.Float64()
	place := 0
	for _, w := range strings.Fields(text) {
		place += strings.Index(text[place:], w) + len(w)
		at += (float64(len(w)) + 0.6 + 0.8*rng.Float64()) / pace * (0.8 + 0.4*rng.Float64())
		ends = append(ends, wordMark{place, int(at * float64(rate))})
		switch w[len(w)-1] {
		case ',', ';', ':':
			at += 0.1 + 0.15*rng.Float64()
		case '.', '!', '?':
			at += 0.2 + 0.2*rng.Float64()
		}
	}
	return ends, int((at + 0.1) * float64(rate))
}

// generated is a reply made of sentences such as models write.
func generated(rng *rand.Rand) string {
	sentences := []string{
		"Your order 4711 was shipped on May 3, 2024 and it will be with you within 2-3 days.",
		"That is **$1,250.50** in total, or 25% less than last year.", "We are open from 9:00 to 17:30 on every weekday.",
		"Thank you very much for your patience.", "You can write to help@example.com at any time, or call us again tomorrow.",
		"The nearest shop is in Market Street, about 5 km from where you are now.", "Let me see what I can do about that for you.",
		"I have found two appointments, one on Monday at nine and one on Tuesday afternoon; which one suits you better?",
		"It weighs 2.5 kg.", "Dr. Smith will call you back.", "Unfortunately the delivery was late because of the weather in the north.",
	}
	rng.Shuffle(len(sentences), func(i, j int) { sentences[i], sentences[j] = sentences[j], sentences[i] })
	return strings.Join(sentences[:2+rng.IntN(4)], " ")
}

// budget counts how far what is kept is from what was heard, in words.
type budget struct{ cuts, off1, off3, over1 int }

func (b *budget) count(kept, truth string) {
	d := len(strings.Fields(kept)) - len(strings.Fields(truth))
	b.cuts++
	if d < -1 || d > 1 {
		b.off1++
	}
	if d < -3 || d > 3 {
		b.off3++
	}
	if d > 1 {
		b.over1++
	}
}

func (b *budget) share(n int) float64 { return 100 * float64(n) / float64(b.cuts) }

// said is one piece with the truth of when its words end.
type saidPiece struct {
	seg   *segment
	ends  []wordMark
	total int
}

// cutEvery cuts a reply at every 100 ms and compares. Ahead is how much of the
// sound is there before it is heard.
func cutEvery(
	rng *rand.Rand, b *budget, text string, pieces []saidPiece, rate int, ahead time.Duration, cps func(string) float64,
) {
	segs, all := make([]*segment, len(pieces)), 0
	for i, p := range pieces {
		segs[i], all = p.seg, all+p.total
	}
	for n := rate / 10; n < all; n += rate / 10 {
		h := playout.Heard{Samples: n}
		left, pushed := n, n+audio.Samples(ahead, rate)
		ear := n - audio.Samples(lag, rate) + rng.IntN(rate/25) - rate/50 // the far end's buffer differs by 20 ms
		truth := 0
		for _, p := range pieces {
			if pushed <= 0 {
				break
			}
			s := playout.SegmentHeard{Samples: min(left, p.total), Pushed: min(pushed, p.total), Ended: pushed > p.total}
			h.Segments = append(h.Segments, s)
			for _, w := range p.ends {
				if w.samples <= ear {
					truth = p.seg.at + p.seg.said.Raw(w.textEnd)
				}
			}
			left, pushed, ear = left-s.Samples, pushed-p.total, ear-p.total
		}
		b.count(heardOf(text, segs, h, rate, cps).text, wholeWords(text, truth))
	}
}

// piecesOf are the pieces of a text as they are spoken in a call.
func piecesOf(text string) (out []*segment) {
	c := testChunker("en-US")
	var all []piece
	for _, w := range strings.SplitAfter(text, " ") {
		all = append(all, c.add(w)...)
	}
	speaker := spoken.NewSpeaker("en-US")
	for _, p := range append(all, c.rest()) {
		if p.raw != "" {
			out = append(out, &segment{at: p.at, raw: p.raw, said: speaker.Speak(p.raw)})
		}
	}
	return out
}

// TestErrorBudgetOfWhatWasHeard_convT8 cuts many replies of a voice of uneven
// pace at every 100 ms: with timestamps that are up to 30 ms wrong, and without.
func TestErrorBudgetOfWhatWasHeard_convT8(t *testing.T) {
	t.Parallel()
	const rate = 8000
	var marked, guessed, early budget
	for seed := range uint64(150) {
		rng := rand.New(rand.NewPCG(seed, 1))
		text := generated(rng)
		learned := newPace()
		cps := func(voice string) float64 { return learned.cps(paceKey{tts: voice}) }
		for range 6 { // what the voice said before
			before := spoken.Speak(generated(rng), "en-US").Text
			_, n := uneven(rng, before, rate)
			learned.measured(paceKey{}, float64(len(before))*rate/float64(n))
		}
		var pieces []saidPiece
		for _, s := range piecesOf(text) {
			ends, total := uneven(rng, s.said.Text, rate)
			pieces = append(pieces, saidPiece{s, ends, total})
		}
		cutEvery(rng, &guessed, text, pieces, rate, 10*time.Second, cps)
		cutEvery(rng, &early, text, pieces, rate, 300*ms, cps)
		for _, p := range pieces {
			for _, w := range p.ends {
				p.seg.words = append(p.seg.words, wordMark{w.textEnd, w.samples + rng.IntN(rate*6/100) - rate*3/100})
			}
		}
		cutEvery(rng, &marked, text, pieces, rate, 10*time.Second, cps)
	}
	t.Logf("with timestamps: %d cuts, %.2f %% more than 1 word off", marked.cuts, marked.share(marked.off1))
	for name, b := range map[string]budget{"by position": guessed, "by pace, while it is made": early} {
		t.Logf("%s: %d cuts, %.2f %% more than 3 words off, %.2f %% more than 1 word too many",
			name, b.cuts, b.share(b.off3), b.share(b.over1))
		if b.share(b.off3) > 10 || b.share(b.over1) >= 2 {
			t.Errorf("%s: over the budget", name)
		}
	}
	if marked.share(marked.off1) > 5 {
		t.Errorf("with timestamps: over the budget")
	}
}

// TestErrorBudgetOfTheLocalVoice_convT8 is the same with what the local voice
// slt took for each word, measured from its sound: testdata/heard/slt.txt has a
// piece's words, each with the place of its end in samples of 16 kHz behind it,
// and the piece's length last.
func TestErrorBudgetOfTheLocalVoice_convT8(t *testing.T) {
	t.Parallel()
	f, err := os.Open("testdata/heard/slt.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // only read
	const rate = 16000
	var b, early budget
	learned := newPace()
	rng := rand.New(rand.NewPCG(1, 1))
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var p saidPiece
		text := ""
		for w := range strings.FieldsSeq(lines.Text()) {
			word, at, both := strings.Cut(w, "@")
			n, err := strconv.Atoi(at)
			if !both {
				n, err = strconv.Atoi(w)
			}
			if err != nil {
				t.Fatal(err)
			}
			if !both {
				p.total = n
				continue
			}
			text = strings.TrimSpace(text + " " + word)
			p.ends = append(p.ends, wordMark{len(text), n})
		}
		p.seg = &segment{raw: text, said: spoken.Speak(text, "en-US")}
		if p.seg.said.Text != text {
			t.Fatalf("%q is said %q", text, p.seg.said.Text)
		}
		cps := func(string) float64 { return learned.cps(paceKey{}) }
		cutEvery(rng, &b, text, []saidPiece{p}, rate, 10*time.Second, cps)
		cutEvery(rng, &early, text, []saidPiece{p}, rate, 300*ms, cps)
		learned.measured(paceKey{}, float64(len(text))*rate/float64(p.total))
	}
	for name, b := range map[string]budget{"by position": b, "by pace, while it is made": early} {
		t.Logf("%s: %d cuts, %.2f %% more than 3 words off, %.2f %% more than 1 word too many",
			name, b.cuts, b.share(b.off3), b.share(b.over1))
		if b.share(b.off3) > 10 || b.share(b.over1) >= 2 {
			t.Errorf("%s: over the budget", name)
		}
	}
}
