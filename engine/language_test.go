package engine

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/patchcord/patchcord/audio/stt"
	"github.com/patchcord/patchcord/audio/tts"
	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/internal/testkit"
	"github.com/patchcord/patchcord/llm"
)

// voiced keeps which voice was asked for what.
type voiced struct {
	testkit.TTS
	mu   sync.Mutex // guards asks
	asks []string
}

func (v *voiced) Synthesize(ctx context.Context, r tts.Request) (tts.Stream, error) {
	v.mu.Lock()
	v.asks = append(v.asks, r.Voice+"/"+r.Language+": "+r.Text)
	v.mu.Unlock()
	return v.TTS.Synthesize(ctx, r)
}

func (v *voiced) asked(text string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Contains(v.asks, text)
}

// bilingual is a call whose agent speaks English and German, each with its own
// voice, and its own recogniser where one is given.
func bilingual(t *testing.T, german stt.Provider) (*call, *voiced) {
	t.Helper()
	v := &voiced{TTS: testkit.TTS{Delay: 20 * ms}}
	a := &agent.Agent{
		Name: "a", Language: "en", Voice: "mary", Prompt: "You help.", Greeting: "Hello.",
		Languages: []agent.Tongue{{Language: "de", Voice: "anna", Greeting: "Guten Tag."}},
	}
	k := prepare(t, a, says("It was shipped yesterday."))
	k.cfg.TTS[""] = v
	if german != nil {
		a.Languages[0].STT = "german"
		k.cfg.STT["german"] = german
	}
	return k, v
}

// german lets the caller speak for a second and be understood in German.
func (c *call) german(text string, span time.Duration, confidence float64) *call {
	c.leg.Speak(time.Second)
	c.wait(1400 * ms) // the detector's end, and the words it comes to
	end := time.Duration(c.leg.Frames()) * 20 * ms
	c.stt.Give(stt.Event{
		Kind: stt.Final, Text: text, Language: "de", Confidence: confidence, Start: end - span, End: end, Endpointed: true,
	})
	return c
}

func TestLanguageChangesAtAReply_convN2(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, v := bilingual(t, nil)
		k.start().wait(2 * time.Second)
		k.german("wo ist meine Bestellung?", time.Second, 0.9).wait(5 * time.Second)
		if !v.asked("mary/en: Hello.") || !v.asked("anna/de: It was shipped yesterday.") {
			t.Errorf("%q", v.asks)
		}
		ask := k.llm.Asked()[len(k.llm.Asked())-1].Messages
		if !slices.ContainsFunc(ask, func(m llm.Message) bool { return strings.Contains(m.Content, `tag "de"`) }) {
			t.Errorf("the model does not know: %+v", ask)
		}
		k.want(`"event":"language.changed"`, `"from":"en","to":"de","reason":"caller"`).hangUp()
	})
}

// A reply that speaks when the language changes keeps its voice to its end.
func TestReplyKeepsItsVoice_convN2(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, v := bilingual(t, nil)
		long := "This is the first of some sentences. This is the second of them. And this is the last."
		k.llm.Answer = says(long)
		k.start().wait(2*time.Second).say("tell me", time.Second).wait(3 * time.Second)
		k.german("mhm ja", time.Second, 0.9).wait(12 * time.Second) // it only tells that the caller listens
		for _, a := range v.asks {
			if strings.Contains(a, "sentences") || strings.Contains(a, "second") || strings.Contains(a, "last") {
				if !strings.HasPrefix(a, "mary/en") {
					t.Errorf("in the middle of a reply: %q", a)
				}
			}
		}
		k.hangUp()
	})
}

// belated is a recogniser that takes its time to open.
func belated(d time.Duration, s *testkit.STT) stt.Provider {
	return testkit.Recogniser(func(ctx context.Context, o stt.Options) (stt.Stream, error) {
		select {
		case <-time.After(d):
			return s.Open(ctx, o)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	})
}

func TestRecogniserOfTheNewLanguageInTime_convN3(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // it opens in time: it listens from then on
		german := &testkit.STT{Delay: 100 * ms}
		k, _ := bilingual(t, belated(1400*ms, german))
		k.start().wait(2 * time.Second)
		k.german("wo ist meine Bestellung?", time.Second, 0.9).wait(5 * time.Second)
		german.Hear("ist sie schon da?")
		k.leg.Speak(time.Second)
		k.wait(4 * time.Second).want(`"text":"ist sie schon da?"`).not(`"reason":"recogniser_failed"`)
		k.hangUp()
	})
	synctest.Test(t, func(t *testing.T) { // it does not: the old language stays, and nothing waited for it
		k, v := bilingual(t, belated(1600*ms, &testkit.STT{}))
		k.start().wait(2 * time.Second)
		k.german("wo ist meine Bestellung?", time.Second, 0.9).wait(5 * time.Second)
		k.want(`"from":"de","to":"en","reason":"recogniser_failed"`).not(`"event":"dead_air"`)
		k.say("hello?", time.Second).wait(5 * time.Second)
		if !v.asked("mary/en: It was shipped yesterday.") {
			t.Errorf("%q", v.asks)
		}
		k.hangUp()
	})
}

// The first words in another language open its recogniser; the second find it
// open, and it begins with what is not settled (conv:N4).
func TestLanguageIsPreparedFor_convN4(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		german := &testkit.STT{Delay: 100 * ms}
		opened := 0
		k, v := bilingual(t, testkit.Recogniser(func(ctx context.Context, o stt.Options) (stt.Stream, error) {
			opened++
			if o.Language != "de" {
				t.Errorf("opened for %q", o.Language)
			}
			return german.Open(ctx, o)
		}))
		k.start().wait(2 * time.Second)
		if !v.asked("anna/de: bitte.") {
			t.Errorf("the other voice is cold: %q", v.asks)
		}
		k.german("guten Tag", 500*ms, 0.9).wait(ms)
		if opened != 1 || german.Heard() != 0 {
			t.Errorf("opened %d times, heard %d samples", opened, german.Heard())
		}
		k.wait(4 * time.Second).leg.Speak(time.Second)
		k.wait(900 * ms)
		end := time.Duration(k.leg.Frames())*20*ms - 600*ms // the words after them are not settled
		k.stt.Give(stt.Event{Kind: stt.Final, Text: "wo ist sie?", Language: "de", Start: end - 200*ms, End: end})
		k.wait(ms)
		if heard := german.Heard(); opened != 1 || heard != 600*8 {
			t.Errorf("opened %d times, heard %d samples at once", opened, heard)
		}
		k.wait(4 * time.Second)
		german.Hear("ist sie da?")
		k.leg.Speak(time.Second)
		k.wait(4 * time.Second).want(`"text":"ist sie da?"`).hangUp()
	})
	synctest.Test(t, func(t *testing.T) { // nobody speaks German after all
		german := &testkit.STT{}
		k, _ := bilingual(t, german)
		k.start().wait(2*time.Second).german("guten Tag", 500*ms, 0.9).wait(spareLife + time.Second)
		german.Give(stt.Event{}) // to nobody, or it would wait for ever
		k.hangUp()
	})
}

func TestCallBeginsInALanguage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, v := bilingual(t, nil)
		a, _ := k.cfg.Directory.Agent(t.Context(), "")
		a.Variables = map[string]any{"language": "de"}
		k.start().wait(2 * time.Second).hangUp().want(`"heard_text":"Guten Tag."`)
		if !v.asked("anna/de: Guten Tag.") {
			t.Errorf("%q", v.asks)
		}
	})
}

// profiled is a recogniser of which something is known.
type profiled struct {
	stt.Provider
	stt.Profile
}

// A recogniser that judges turns ends the hang of the detector with its word,
// 100 ms of quiet after the voice (INV14): the turn is taken then.
func TestEndOfTurnEndsTheHang_INV14(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := prepare(t, &agent.Agent{Name: "a"}, says("Hello."))
		k.cfg.STT[""] = profiled{k.stt, stt.Profile{Turns: true, Wait: 350 * ms}}
		k.start().wait(2 * time.Second)
		k.leg.Speak(time.Second)
		k.wait(1050 * ms)
		if got := k.e.waits.wait("default", 350*ms); got != 350*ms {
			t.Errorf("the wait is %v", got)
		}
		k.stt.Give(stt.Event{Kind: stt.Final, Text: "where is it", Endpointed: true})
		k.wait(20 * ms).not(`"event":"turn.user"`)
		k.wait(60 * ms).want(`"text":"where is it"`).hangUp()
	})
}

// … and at once where it has been quiet for that long already: no frame is waited
// for, which is 20 ms of the caller's.
func TestEndOfTurnWaitsForNoFrame_INV14(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := prepare(t, &agent.Agent{Name: "a"}, says("Hello."))
		k.cfg.STT[""] = profiled{k.stt, stt.Profile{Turns: true, Wait: 350 * ms}}
		k.start().wait(2 * time.Second)
		k.leg.Speak(time.Second)
		k.wait(1125 * ms) // between two frames, the detector's hang is 200 ms
		k.stt.Give(stt.Event{Kind: stt.Final, Text: "where is it", Endpointed: true})
		k.wait(time.Millisecond).want(`"text":"where is it"`).hangUp()
	})
}

// What a call measures is what later calls wait for.
func TestWaitIsSharedByCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := prepare(t, &agent.Agent{Name: "a"}, says("Hello."))
		k.stt.Delay = 260 * ms // after the detector's hang
		k.start().wait(2 * time.Second)
		for range waitLess + 1 {
			k.say("where is my order?", 500*ms).wait(4 * time.Second)
		}
		if got := k.e.waits.wait("default", 0); got < 450*ms || got > 550*ms {
			t.Errorf("99 of 100 come in %v", got)
		}
		k.hangUp()
	})
}
