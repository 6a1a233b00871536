package engine

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/audio/vad"
	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/internal/testkit"
)

// A turn model's answer takes the place of what the words suggest: 300 ms or
// 2.5 s of waiting instead of 600 ms. One that is late, fails or panics changes
// nothing.
func TestTurnModelSetsTheWait(t *testing.T) {
	for _, c := range []struct {
		name  string
		model testkit.TurnModel
		wait  time.Duration
	}{
		{"sure", func(context.Context, []int16, int) (float64, error) { return 0.9, nil }, 300 * ms},
		{"unsure", func(context.Context, []int16, int) (float64, error) { return 0.1, nil }, 2500 * ms},
		{"late", func(ctx context.Context, _ []int16, _ int) (float64, error) {
			<-ctx.Done()
			return 0.1, nil
		}, 600 * ms},
		{"broken", func(context.Context, []int16, int) (float64, error) { return 0.1, errDown }, 600 * ms},
		{"panics", func(context.Context, []int16, int) (float64, error) { panic("oh") }, 600 * ms},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := prepare(t, &agent.Agent{Name: "a"}, says("Hello."))
				k.stt.Delay = 20 * ms
				asked := 0
				k.cfg.TurnModel = testkit.TurnModel(func(ctx context.Context, pcm []int16, rate int) (float64, error) {
					if asked++; rate != 8000 || len(pcm) < 5*8000 || len(pcm) > 8*8000 {
						t.Errorf("%d samples at %d Hz", len(pcm), rate)
					}
					return c.model(ctx, pcm, rate)
				})
				k.start().wait(6 * time.Second)
				k.say("my number is in the book", time.Second).wait(time.Second)
				k.wait(c.wait - 60*ms).not(`"event":"turn.user"`)
				k.wait(140 * ms).want(`"text":"my number is in the book"`).hangUp()
				if asked != 1 {
					t.Errorf("asked %d times", asked)
				}
			})
		})
	}
}

// A classifier that takes the caller's sound for music keeps the call's detector
// shut; words open the turn by themselves (conv:B10).
func TestClassifierIsOfTheCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := prepare(t, &agent.Agent{Name: "a", Greeting: "Hello, this is a long greeting for a caller."}, says("Hello."))
		made := 0
		k.cfg.Classifier = func() vad.Classifier {
			made++
			return testkit.Classifier(func(audio.Frame) float64 { return 0.2 })
		}
		k.start().wait(time.Second)
		k.leg.Speak(time.Second)
		k.wait(3 * time.Second).not(`"event":"speech.paused"`).hangUp()
		if made != 1 {
			t.Errorf("%d classifiers for one call", made)
		}
	})
}
