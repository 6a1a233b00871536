package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/audio/playout"
	"github.com/patchcord/patchcord/audio/tts"
	"github.com/patchcord/patchcord/audio/tts/spoken"
	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/engine/turn"
	"github.com/patchcord/patchcord/internal/testkit"
)

// conv:S7: the next piece is asked for when the one before it begins to sound,
// or when less than 2 s are left; two pieces at most wait for their turn, and
// they are 4 s of sound at most, or one that is longer and 2 s.
func TestPrefetch_convS7(t *testing.T) {
	for _, c := range []struct {
		name   string
		pieces []string
		asked  []time.Duration // after the first sound
	}{
		// Pieces of 1.2 s: the second at once, the third when less than 2 s of the
		// two are left, and so on.
		{"short pieces", sentences(15, 3), []time.Duration{0, 0, 400 * ms, 1600 * ms, 2800 * ms}},
		// Pieces of 2 s: the next whenever one begins, for 4 s may be ahead.
		{"pieces of 2 s", sentences(20, 5), []time.Duration{0, 0, 2000 * ms, 4000 * ms}},
		// Pieces of 0.8 s: never more than two that wait for their turn.
		{"very short pieces", sentences(10, 2), []time.Duration{0, 0, 0, 800 * ms, 1600 * ms}},
		// 0.8 s after 2.8 s: they are not 4 s, so when the long one begins.
		{"a short piece after a long one", append(sentences(7, 7), sentences(9, 2)[3:]...), []time.Duration{0, 0, 1600 * ms}},
		// Pieces of 3.2 s: 6.4 s would be too far ahead; 1.2 s into each the next.
		{"long pieces", sentences(32, 8), []time.Duration{0, 1200 * ms, 4400 * ms, 7600 * ms}},
		// A piece of 10 s: 2 s before its end.
		{"a very long piece", sentences(50, 25), []time.Duration{0, 8 * time.Second}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &reader{word: 400 * ms, first: 200 * ms}
				k := newTalk(t, c.pieces, r)
				begun := time.Now()
				k.run(t, time.Minute)
				k.end()
				for i, q := range r.requests() {
					at := max(0, q.at.Sub(begun)-200*ms)
					if d := at - c.asked[i]; d < -60*ms || d > 60*ms {
						t.Errorf("piece %d was asked for after %v, want %v", i, at, c.asked[i])
					}
				}
				if n := len(r.requests()); n != len(c.asked) {
					t.Errorf("%d requests", n)
				}
			})
		})
	}
}

// conv:S7: an interruption at any moment wastes no more than that.
func TestWasteIsBounded_convS7(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		each := rapid.IntRange(1, 20).Draw(rt, "words in a sentence")
		first := time.Duration(rapid.IntRange(0, 1500).Draw(rt, "first")) * ms
		pace := rapid.Float64Range(0.8, 20).Draw(rt, "pace")
		stop := time.Duration(rapid.IntRange(0, 20000).Draw(rt, "stop")) * ms
		synctest.Test(t, func(t *testing.T) {
			r := &reader{word: 400 * ms, first: first, pace: pace}
			k := newTalk(t, sentences(60, each), r)
			k.run(t, stop)
			h := k.out.Cancel(1)
			k.end()
			asked := 0
			for _, q := range r.requests() {
				asked += len(strings.Fields(q.text))
			}
			wasted := time.Duration(asked)*400*ms - audio.Duration(h.Samples, 8000)
			most := max(ahead, little+time.Duration(each)*400*ms) + 100*ms
			if wasted > most {
				rt.Errorf("%v of speech were asked for in vain, at most %v is right: %+v", wasted, most, r.requests())
			}
		})
	})
}

// conv:S8: no hole of more than 40 ms is heard between two pieces, however slow
// the voice begins, as long as it is faster than it speaks.
func TestNoHoleBetweenPieces_convS8(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		each := rapid.IntRange(3, 12).Draw(rt, "words in a sentence")
		first := time.Duration(rapid.IntRange(0, 900).Draw(rt, "first")) * ms
		pace := rapid.Float64Range(1.3, 20).Draw(rt, "pace")
		synctest.Test(t, func(t *testing.T) {
			k := newTalk(t, sentences(36, each), &reader{word: 400 * ms, first: first, pace: pace})
			k.run(t, first+100*ms)
			k.heard = nil // the wait for the first
			k.run(t, time.Minute)
			k.end()
			if slices.Contains(k.heard, 0) {
				rt.Errorf("a hole: %v, %+v", k.heard, k.out.Stats())
			}
		})
	})
}

// conv:S8: the breath after a sentence is sound of ours, between sentences
// only, and moves no word.
func TestBreathAfterASentence_convS8(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &agent.Agent{Name: "a", Turn: turn.Policy{SentencePause: 120 * ms}}
		k := prepare(t, a, says("The shop opens at nine in the morning. It closes at six in the evening."))
		k.start().wait(500*ms).say("when?", time.Second).wait(9 * time.Second)
		bursts := k.leg.Spoken()
		if len(bursts) != 2 || bursts[1].From-bursts[0].To < 100*ms || bursts[1].From-bursts[0].To > 160*ms {
			t.Errorf("heard %v", bursts)
		}
		chars := len("The shop opens at nine in the morning.") + len("It closes at six in the evening.")
		k.hangUp().want(fmt.Sprintf(`"heard_ms":%d`, chars*1000/15+120))
	})
}

// conv:S9: silence of more than 80 ms at a voice's beginning is cut, and its
// words are where they are then.
func TestLeadingSilenceIsCut_convS9(t *testing.T) {
	for _, lead := range []time.Duration{0, 60 * ms, 80 * ms, 500 * ms, 1230 * ms} {
		synctest.Test(t, func(t *testing.T) {
			k := newTalk(t, []string{"one two three"}, &reader{lead: lead, marks: true})
			k.run(t, 10*time.Second)
			k.end()
			kept := lead
			if lead > 80*ms {
				kept = 20 * ms
			}
			if d := time.Duration(k.frames)*audio.FrameTime - kept - 600*ms; d < 0 || d > audio.FrameTime {
				t.Errorf("%v of silence: %d frames sounded", lead, k.frames)
			}
			for i, w := range k.segs[0].words {
				if at := audio.Duration(w.samples, 8000); at != kept+time.Duration(i+1)*200*ms {
					t.Errorf("%v of silence: word %d ends at %v", lead, i, at)
				}
			}
		})
	}
}

// conv:S10, A7: a voice that stalls in a sentence keeps its place in silence;
// after a second that is told, and before three are over another voice says the
// rest, from the last word that came whole: no word twice, none left out.
func TestUnderrunKeepsItsPlace_convS10(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stalls := &reader{marks: true, breaks: func(int, string) (time.Duration, error) { return 700 * ms, nil }}
		rest := &reader{first: 200 * ms, text: strings.Fields("one two three four five six")}
		stalls.text = rest.text
		k := newTalk(t, []string{"one two three four five six"}, stalls, rest)
		k.run(t, 700*ms+40*ms)
		before := k.out.Position(1).Samples
		k.run(t, 2*time.Second)
		if n := k.out.Position(1).Samples; n != before || n != 5600 {
			t.Errorf("the place moved in silence from %d to %d samples", before, n)
		}
		k.run(t, 10*time.Second)
		k.end()
		if want := []int{1, 2, 3, 4, 0, 4, 5, 6}; !slices.Equal(k.heard, want) { // half of the fourth was heard
			t.Errorf("heard %v, want %v", k.heard, want)
		}
		if q := rest.requests(); len(q) != 1 || q[0].text != "four five six" {
			t.Errorf("the rest is %+v", q)
		}
		if dry := k.out.Stats().Silence; audio.Duration(int(dry), 8000) > 3*time.Second {
			t.Errorf("%v of silence", audio.Duration(int(dry), 8000))
		}
		var dry []voiceDry
		var failed []voiceErr
		for item, ok := k.mail.take(); ok; item, ok = k.mail.take() {
			switch m := item.(type) {
			case voiceDry:
				dry = append(dry, m)
			case voiceErr:
				failed = append(failed, m)
			}
		}
		if len(dry) != 1 || dry[0].name != "v0" || len(failed) != 1 || failed[0].next != "v1" {
			t.Errorf("told %+v, %+v", dry, failed)
		}
	})
}

// A voice may break off wherever it likes: those behind it go on so that every
// word is said in its order, none twice and none left out, but for one that was
// cut in its middle, which is said again.
func TestEveryWordIsSaidOnce(t *testing.T) {
	torn := errors.New("connection reset")
	rapid.Check(t, func(rt *rapid.T) {
		each := rapid.IntRange(1, 12).Draw(rt, "words in a sentence")
		n := rapid.IntRange(1, 30).Draw(rt, "words")
		down := rapid.SliceOfN(rapid.IntRange(0, 3000), 3, 3).Draw(rt, "break after, ms")
		nth := rapid.SliceOfN(rapid.IntRange(1, 4), 3, 3).Draw(rt, "of request")
		pace := rapid.Float64Range(0.9, 20).Draw(rt, "pace")
		lead := time.Duration(rapid.IntRange(0, 400).Draw(rt, "lead")) * ms
		synctest.Test(t, func(t *testing.T) {
			var voices []tts.Provider
			text := strings.Fields(strings.Join(sentences(n, each), " "))
			for i := range 3 {
				voices = append(voices, &reader{
					marks: true, pace: pace, lead: lead, text: text,
					breaks: func(q int, _ string) (time.Duration, error) {
						if q == nth[i] {
							return time.Duration(down[i]) * ms, torn
						}
						return 0, nil
					},
				})
			}
			voices = append(voices, &reader{marks: true, text: text})
			k := newTalk(t, sentences(n, each), voices...)
			k.run(t, time.Minute)
			k.end()
			next := 1
			for _, w := range k.heard {
				switch {
				case w == 0 || w == next-1 && w > 0: // a wait, or a word that was cut
				case w == next:
					next++
				default:
					rt.Errorf("word %d after word %d: %v", w, next-1, k.heard)
					return
				}
			}
			if next != n+1 {
				rt.Errorf("heard %v of %d words", k.heard, n)
			}
			h := k.out.Position(1)
			if got := heardOf(strings.Join(sentences(n, each), " "), k.segs, h, 8000, seeded); len(k.heard) > 0 && h.Complete() && !got.all {
				rt.Errorf("all was heard, and %q counts", got.text)
			}
		})
	})
}

// A reply has one voice: what one had begun of the next sentence when it broke
// off in this one is said by the other.
func TestOneVoiceToTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		text := sentences(9, 3)
		torn := &reader{word: 400 * ms, marks: true, pace: 1.5, breaks: func(_ int, said string) (time.Duration, error) {
			if said == text[0] {
				return 900 * ms, io.ErrUnexpectedEOF
			}
			return 0, nil
		}}
		other := &reader{word: 400 * ms, marks: true}
		torn.text = strings.Fields(strings.Join(text, " "))
		other.text = torn.text
		k := newTalk(t, text, torn, other)
		begun := time.Now()
		k.run(t, time.Minute)
		k.end()
		for _, q := range torn.requests() {
			if q.at.Sub(begun) > 600*ms { // 900 ms of sound come in that
				t.Errorf("the voice that broke off was asked for %q", q.text)
			}
		}
		var said []string
		for _, q := range other.requests() {
			said = append(said, q.text)
		}
		slices.Sort(said)
		want := []string{strings.Fields(text[0])[2], text[1], text[2]}
		if slices.Sort(want); !slices.Equal(said, want) {
			t.Errorf("the other said %q, want %q", said, want)
		}
		if !slices.Equal(k.heard, []int{1, 2, 3, 4, 5, 6, 7, 8, 9}) {
			t.Errorf("heard %v", k.heard)
		}
	})
}

// conv:S12: a voice that goes on after its text is cut at three times its
// length, and counted; what was to be said was said.
func TestVoiceThatRepeatsIsCut_convS12(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := prepare(t, &agent.Agent{Name: "a"}, says("Your order was shipped yesterday."))
		k.cfg.TTS[""] = voiceOf(humming(5*time.Second), humming(5*time.Second), humming(20*time.Second))
		k.start().wait(500*ms).say("where is my order?", time.Second).wait(12 * time.Second)
		k.want(`"error":"the voice said far more than its text: cut"`, `"heard_ms":6600`,
			`"heard_text":"Your order was shipped yesterday."`).not(`"event":"provider.fallback"`).hangUp()
		short := audio.Duration(0, 8000)
		for _, text := range []string{"0171 234 567", "OK.", "我们九点开门"} { // few letters, long to say
			v := &voice{voices: []namedVoice{{}}, cps: newPace().cps1}
			if d := time.Duration(tooLong * float64(max(shortest, v.length(text)))); d < 3*time.Second || d <= short {
				t.Errorf("%q is cut after %v", text, d)
			}
		}
	})
}

// tapped is a leg whose sound to the caller a test sees.
type tapped struct {
	*testkit.Leg
	heard func([]int16)
}

func (l tapped) Connect(in audio.Sink, out audio.Source) {
	if out != nil {
		out = audio.Tap(out, func(pcm []int16, _ bool) { l.heard(pcm) })
	}
	l.Leg.Connect(in, out)
}

// conv:S14: whatever wants to speak at once, one voice is heard at a time, each
// sentence without another in it.
func TestNeverTwoVoices_convS14(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		text := "We are open from nine to six on all days but sundays and holidays."
		k := prepare(t, &agent.Agent{Name: "a", Greeting: "Hello and welcome to the shop by the river."}, says(text))
		r := &reader{first: 50 * ms, pace: 3, marks: true}
		k.cfg.TTS[""] = r
		k.engine()
		var mu sync.Mutex
		var heard []int
		leg := tapped{k.leg, func(pcm []int16) {
			mu.Lock()
			defer mu.Unlock()
			levels := map[int]int{}
			for _, x := range pcm[80:] {
				if x != 0 && x%step == 0 {
					levels[int(x/step)]++
				}
			}
			for w, n := range levels {
				if n > 60 && (len(heard) == 0 || heard[len(heard)-1] != w) {
					heard = append(heard, w)
				}
			}
		}}
		go func() {
			k.e.ServeCall(t.Context(), leg)
			close(k.ended)
		}()
		for i := range 4 {
			time.Sleep(400 * ms)
			if err := k.e.Say("0190", "News "+[]string{"alpha", "bravo", "charlie", "delta"}[i]+" from the office upstairs."); err != nil {
				t.Fatal(err)
			}
		}
		k.wait(12*time.Second).say("when?", time.Second).wait(1200 * ms)
		if err := k.e.Say("0190", "News echo from the office upstairs."); err != nil {
			t.Fatal(err)
		}
		k.wait(20 * time.Second).hangUp()
		mu.Lock()
		defer mu.Unlock()
		var words []string
		for _, w := range heard {
			words = append(words, r.text[w-1])
		}
		said := " " + strings.Join(words, " ") + " "
		for _, s := range []string{
			k.log.last.Transcript[0].Text, "News delta from the office upstairs.", text,
			"News echo from the office upstairs.",
		} {
			for _, p := range fixedPieces(turn.New(turn.Policy{}).Policy(), s, spoken.NewSpeaker("en"), false) {
				if !strings.Contains(said, " "+p.raw+" ") {
					t.Errorf("%q was not heard in one piece in %q", p.raw, said)
				}
			}
		}
	})
}

// From the first text to its first sample, with a voice that takes no time.
func BenchmarkTextToSample(b *testing.B) {
	pcm := make([]int16, 8000)
	p := testkit.Voice(func(ctx context.Context, _ tts.Request) (tts.Stream, error) {
		return testkit.Perform(ctx, testkit.Cue[tts.Chunk]{Give: tts.Chunk{PCM: pcm, Rate: 8000}}), nil
	})
	pcm[0] = 20000
	cache, mail := newPhrases(1<<20), newMailbox(0)
	dst := make([]int16, 160)
	b.ReportAllocs()
	for b.Loop() {
		out := playout.New(8000, nil)
		v := &voice{
			g: 1, out: out, rate: 8000, cache: cache, work: mail, coming: map[int]*coming{}, wake: make(chan struct{}, 1),
			cps: newPace().cps1, voices: []namedVoice{{name: "v", p: p}},
		}
		out.Play(1)
		v.add(&segment{said: spoken.Spoken{Text: "Hello."}})
		v.end()
		v.run(context.Background())
		if out.Next(dst); dst[0] == 0 {
			b.Fatal("no sound")
		}
		for _, ok := mail.take(); ok; _, ok = mail.take() {
		}
	}
}
