package engine

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/patchcord/patchcord/audio/stt"
	"github.com/patchcord/patchcord/audio/tts"
	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/internal/testkit"
	"github.com/patchcord/patchcord/llm"
)

// deadAir is the longest silence between the end of the caller's words and the
// end of what the agent said within d of it.
func (c *call) deadAir(from, d time.Duration) time.Duration {
	longest, at := time.Duration(0), from
	for _, b := range c.leg.Spoken() {
		if b.From < from || b.From > from+d {
			continue
		}
		longest, at = max(longest, b.From-at), b.To
	}
	if at == from {
		return d
	}
	return longest
}

// chain is a fallback of models, as a configuration makes it.
func chain(models ...llm.Provider) llm.Provider {
	var named []llm.Named
	for i, m := range models {
		named = append(named, llm.Named{Name: fmt.Sprint("m", i+1), Provider: m})
	}
	return llm.NewFallback(llm.FallbackConfig{}, named...)
}

// refuses is a model that answers with an HTTP status.
func refuses(status int, temporary bool) llm.Provider {
	return testkit.Model(func(context.Context, llm.Request) (llm.Stream, error) {
		return nil, &llm.Error{
			Provider: "vendor", Op: "request", Status: status, Temporary: temporary, Err: fmt.Errorf("HTTP %d", status),
		}
	})
}

// turns lets a model do one thing after the other.
func turns(ps ...llm.Provider) llm.Provider {
	n := 0
	return testkit.Model(func(ctx context.Context, r llm.Request) (llm.Stream, error) {
		n++
		return ps[min(n, len(ps))-1].Stream(ctx, r)
	})
}

// silent opens and says nothing, whatever it is asked.
var silent = model(stall)

// keepAlive opens and sends what is not useful.
var keepAlive = model(word(""), word(""), word(""), stall)

// No waiting longer than promised, whatever a provider does: after the caller
// has finished something is heard within 2 s and the wait for an answer, and
// there is never a silence of more than 3 s before it or before we apologise
// (INV37, conv:L1, L2, L4).
func TestNoSilenceIsLongerThanThreeSeconds_INV37(t *testing.T) {
	well := model(sentence, finished)
	const answer = `"heard_text":"Your order was shipped yesterday by train."`
	apology := `"kind":"apology"`
	for _, c := range []struct {
		name   string
		model  llm.Provider
		within time.Duration // of the caller's last word: all has been said
		want   []string
		not    []string
	}{
		{"one model, silent", chain(silent), 9 * time.Second, []string{apology, `no useful token in time`}, nil},
		{"one model, silent, without deadlines of its own", silent, 14 * time.Second, []string{apology, `"kind":"filler"`}, nil},
		{"silent, the next one answers", chain(silent, well), 9 * time.Second, []string{
			answer, `"event":"provider.fallback"`, `"kind":"filler"`,
		}, []string{apology}},
		{"two models, silent", chain(silent, silent), 14 * time.Second, []string{apology, `I am still on it.`}, nil},
		{"keep-alives only", chain(keepAlive, keepAlive), 14 * time.Second, []string{apology, `"kind":"filler"`}, nil},
		{"a word, then silence", chain(model(word("Sure. "), word("Your "), stall)), 16 * time.Second, []string{
			`"heard_text":"Sure."`, `"error":"stalled"`, apology,
		}, []string{"Sure. Your"}},
		{"a word, then silence, then it goes on", turns(model(word("Sure. "), stall), well), 9 * time.Second, []string{
			`"heard_text":"Sure."`, answer,
		}, []string{apology}},
		{
			"cut in the middle, then it goes on", turns(model(sentence, word("It will"), broken), model(word("It will arrive today."), finished)),
			9 * time.Second,
			[]string{answer, `"heard_text":"It will arrive today."`},
			[]string{apology},
		},
		{"cut in the middle twice", turns(model(sentence, broken)), 12 * time.Second, []string{answer, apology}, nil},
		{"429 for good", chain(refuses(429, true), well), 5 * time.Second, []string{answer}, []string{apology}},
		{"503, alone", chain(refuses(503, true)), 6 * time.Second, []string{apology, "HTTP 503"}, nil},
		{"500 once", chain(turns(refuses(500, true), well)), 5 * time.Second, []string{answer}, []string{apology, "provider.failed"}},
		{"401", chain(refuses(401, false)), 6 * time.Second, []string{apology, "HTTP 401"}, nil},
		{"401, the next one answers", chain(refuses(401, false), well), 5 * time.Second, []string{answer}, []string{apology}},
		{"nothing (conv:L6)", chain(model(finished)), 6 * time.Second, []string{apology, "empty completion"}, nil},
		{"nothing once (conv:L6)", chain(turns(model(finished), well)), 5 * time.Second, []string{answer}, []string{apology}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := prepare(t, speculating(false, false), nil)
				k.cfg.LLM[""] = c.model
				k.start().wait(500*ms).say("where is my order?", time.Second).wait(25 * time.Second)
				const end = 1500 * ms
				if gap := k.deadAir(end, c.within); gap > 3*time.Second {
					t.Errorf("%v of silence, heard %v:\n%s", gap, k.leg.Spoken(), k.lines())
				}
				if s := k.leg.Spoken(); s[0].From > end+2600*ms { // 300 ms to the commit, 2 s to the filler, the voice
					t.Errorf("first heard %v after the words", s[0].From-end)
				}
				k.hangUp().want(`"end_reason":"hangup"`).want(c.want...).not(c.not...)
			})
		})
	}
}

// The same of voices and recognisers that are open but silent.
func TestNoSilenceOfVoicesAndRecognisers_INV37(t *testing.T) {
	dead := testkit.Cue[tts.Chunk]{After: testkit.Never}
	// mute speaks its own phrases, which are kept, and then no answer.
	mute := func(k *call, what string) tts.Provider {
		return testkit.Voice(func(ctx context.Context, r tts.Request) (tts.Stream, error) {
			if strings.Contains("Your order was shipped yesterday by|express train.", r.Text) && strings.Contains(r.Text, what) {
				return testkit.Perform(ctx, dead), nil
			}
			return k.tts.Synthesize(ctx, r)
		})
	}
	for _, c := range []struct {
		name string
		set  func(*call, *agent.Agent)
		want []string
	}{
		{"a silent voice", func(k *call, _ *agent.Agent) { k.cfg.TTS[""] = mute(k, "") }, []string{
			`"kind":"apology"`, `"error":"the voice gave no sound in time"`,
		}},
		{"a voice that leaves out a piece (INV19)", func(k *call, _ *agent.Agent) { k.cfg.TTS[""] = mute(k, "order") }, []string{
			`"heard_text":"express train."`,
		}},
		{"a silent voice, another speaks", func(k *call, a *agent.Agent) {
			a.TTS = "first"
			k.cfg.TTS["first"] = mute(k, "")
		}, []string{`"heard_text":"Your order was shipped yesterday by express train."`}},
		{"a silent recogniser", func(k *call, _ *agent.Agent) {
			k.cfg.STT[""] = testkit.Recogniser(func(context.Context, stt.Options) (stt.Stream, error) {
				return deafStream{make(chan stt.Event)}, nil
			})
		}, []string{`"kind":"repeat"`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := &agent.Agent{Name: "a"}
				k := prepare(t, a, says("Your order was shipped yesterday by express train."))
				c.set(k, a)
				k.start().wait(500*ms).say("where is my order?", time.Second).wait(9 * time.Second)
				if gap := k.deadAir(1500*ms, 7*time.Second); gap > 3*time.Second {
					t.Errorf("%v of silence, heard %v:\n%s", gap, k.leg.Spoken(), k.lines())
				}
				k.hangUp().want(c.want...)
			})
		})
	}
}

// deafStream hears everything and says nothing.
type deafStream struct{ events chan stt.Event }

func (d deafStream) Send([]int16) error       { return nil }
func (d deafStream) Speech(bool) error        { return nil }
func (d deafStream) Events() <-chan stt.Event { return d.events }
func (d deafStream) Err() error               { return nil }
func (d deafStream) Close() (err error) {
	defer func() { _ = recover() }()
	close(d.events)
	return nil
}

// conv:L5: a model that goes on is told what was heard and what to do, once a
// turn; nothing that was said is said again, and the half word is forgotten.
func TestBrokenAnswerIsGoneOnWith_convL5(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked []llm.Request
		n := 0
		k := prepare(t, speculating(false, false), nil)
		k.cfg.LLM[""] = testkit.Model(func(ctx context.Context, r llm.Request) (llm.Stream, error) {
			asked = append(asked, r)
			if n++; n == 1 {
				return testkit.Perform(ctx, sentence, word("It will be th"), broken), nil
			}
			return testkit.Perform(ctx, word("It will arrive today."), finished), nil
		})
		k.start().wait(500*ms).say("where is my order?", time.Second).wait(9 * time.Second)
		k.say("thank you.", time.Second).wait(4 * time.Second).hangUp()
		if len(asked) != 3 {
			t.Fatalf("asked %d times:\n%s", len(asked), k.lines())
		}
		again := asked[1].Messages
		if last := again[len(again)-1]; !last.Data || !strings.Contains(last.Content, "Go on") {
			t.Errorf("it was told %+v", last)
		}
		if said := again[len(again)-2]; said.Content != "Your order was shipped yesterday by train." {
			t.Errorf("it was told that it had said %q", said.Content)
		}
		whole := asked[2].Messages[1]
		if whole.Content != "Your order was shipped yesterday by train. It will arrive today." {
			t.Errorf("the context has %q", whole.Content)
		}
		said := strings.Join(k.tts.Said(), "|")
		if strings.Count(said, "shipped") != 1 || strings.Contains(said, "be th") {
			t.Errorf("the voice said %s", said)
		}
	})
}
