package pocketsphinx

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/audio/codec"
	"github.com/patchcord/patchcord/audio/stt"
	"github.com/patchcord/patchcord/internal/localspeech/localspeechtest"
)

// BenchmarkLoss loses packets of 20 ms by chance, each by itself, from
// every caller's sentence of testdata/heard.txt in both voices, has the
// telephone's concealment fill the gaps, and compares what is understood of the
// very same sound: 1, 3 and 5 % may cost 1, 2 and 4 points of the words, and 10 and
// 20 %, of which nothing is promised but that the call stays up, 6 and 10. A run is
// 450 sentences and takes two minutes.
func BenchmarkLoss(b *testing.B) {
	for b.Loop() {
		wordsSurviveLoss(b)
	}
}

func wordsSurviveLoss(t testing.TB) {
	t.Helper()
	caller, helper := start(t, "shop.phrases")
	losses := []struct {
		percent int
		points  float64 // of word error beyond that of the whole sound
	}{{0, 0}, {1, 1}, {3, 2}, {5, 4}, {10, 6}, {20, 10}}
	voices := []string{"rms", "slt"}
	scores := make([][]score, len(voices)) // by voice and loss
	var wg sync.WaitGroup
	for v, voice := range voices {
		scores[v] = make([]score, len(losses))
		wg.Go(func() {
			st, err := caller.Open(t.Context(), stt.Options{Format: audio.Format{Rate: 8000}})
			if err != nil {
				t.Error(err)
				return
			}
			defer st.Close()
			for n, text := range readHeard(t)["caller"] {
				sound := phone(localspeechtest.Say(t, helper, voice, text))
				for l, loss := range losses {
					ev := hear(t, st, 8000, lossy(sound, loss.percent, uint64(n)))
					scores[v][l].add(t, text, ev, true)
				}
			}
		})
	}
	wg.Wait()
	var table strings.Builder
	fmt.Fprintf(&table, "%-6s %6s %6s %s\n", "lost %", "words", "WER %", voices)
	wer := func(s score) float64 { return 100 * float64(s.wrong) / float64(max(1, s.words)) }
	var clean float64
	for l, loss := range losses {
		all := score{words: scores[0][l].words + scores[1][l].words, wrong: scores[0][l].wrong + scores[1][l].wrong}
		fmt.Fprintf(&table, "%-6d %6d %6.1f %.1f %.1f\n", loss.percent, all.words, wer(all), wer(scores[0][l]), wer(scores[1][l]))
		if loss.percent == 0 {
			clean = wer(all)
		}
		if wer(all) > clean+loss.points {
			t.Errorf("%d %% lost: %.1f %% of the words are wrong, %.1f %% without; at most %v points more",
				loss.percent, wer(all), clean, loss.points)
		}
	}
	t.Logf("\n%s", table.String())
}

// lossy is 8 kHz sound of which so many packets in a hundred never came.
func lossy(sound []int16, percent int, seed uint64) []int16 {
	const frame = 160
	chance := rand.New(rand.NewPCG(seed, uint64(percent))) //nolint:gosec // a network of the test's
	c := codec.NewConcealer(8000)
	out := make([]int16, 0, len(sound))
	for ; len(sound) >= frame; sound = sound[frame:] {
		heard := make([]int16, frame)
		if chance.IntN(100) < percent {
			c.Conceal(heard)
		} else {
			copy(heard, sound)
			c.Good(heard)
		}
		out = append(out, heard...)
	}
	return out
}
