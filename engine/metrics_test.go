package engine

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/engine/turn"
	"github.com/patchcord/patchcord/internal/testkit"
	"github.com/patchcord/patchcord/llm"
)

// of are the events of a name.
func (c *call) of(name string) (out []Event) {
	c.log.mu.Lock()
	defer c.log.mu.Unlock()
	for _, e := range c.log.events {
		if e.Name == name {
			out = append(out, e)
		}
	}
	return out
}

func number(t *testing.T, e Event, key string) int64 {
	t.Helper()
	switch v := e.Get(key).(type) {
	case int64:
		return v
	case int:
		return int64(v)
	}
	t.Fatalf("%s has no number %s", e.Name, key)
	return 0
}

// INV16: the stages of a turn follow one another and add up to what the caller
// waited, from one clock, whatever the providers take and whether the reply was
// prepared or not.
func TestStagesOfATurnAddUp_INV16(t *testing.T) {
	for _, final := range []time.Duration{0, 120 * ms, 700 * ms} {
		for _, first := range []time.Duration{0, 300 * ms, 2500 * ms} {
			for _, on := range []bool{false, true} {
				synctest.Test(t, func(t *testing.T) {
					k := prepare(t, speculating(on, false), says("It was shipped yesterday, and it will be there tomorrow."))
					k.llm.First, k.tts.Delay = first, 120*ms
					k.start().wait(500 * ms)
					for _, words := range []string{"Where is my order?", "where is it", "so tell me where the"} {
						k.utter("", words, final).wait(8 * time.Second)
					}
					k.hangUp()
					metrics := k.of(EventTurnMetrics)
					if len(metrics) != 3 {
						t.Errorf("%d turns were measured:\n%s", len(metrics), k.lines())
					}
					for _, e := range metrics {
						took := func(key string) int64 { return number(t, e, key) }
						sum := took("endpoint_wait_ms") + took("chunk_wait_ms") + took("tts_first_ms") + took("first_packet_ms")
						if !on { // else a part of it lies in the endpoint's wait
							sum += took("llm_first_ms")
						}
						v2v := took("v2v_ms")
						if sum > v2v || !on && e.Get("kind") == "answer" && v2v-sum > 5 || took("engine_added_ms") > 40 {
							b, _ := json.Marshal(e)
							t.Errorf("final %v, first %v, speculation %v: the stages make %d ms of %d: %s", final, first, on, sum, v2v, b)
						}
						for _, f := range e.Fields {
							if n, ok := f.Value.(int64); ok && n < 0 {
								t.Errorf("%s is %d", f.Key, n)
							}
						}
						if first == 2500*ms != (e.Get("kind") == "filler") && !on {
							t.Errorf("first heard was %v with a model of %v", e.Get("kind"), first)
						}
					}
				})
			}
		}
	}
}

// A turn's summary tells what was heard of it, what disturbed it, what was
// thrown away (INV45), and the call's is the sum.
func TestSummaryOfATurn_INV45(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &agent.Agent{Name: "a"}
		k := prepare(t, a, func(r llm.Request) (string, []llm.ToolCall, error) {
			if strings.HasSuffix(r.Messages[len(r.Messages)-1].Content, "go on") {
				return strings.Repeat("And then it went on for a while. ", 6), nil, nil
			}
			return "Alright.", nil, nil
		})
		k.start().wait(500*ms).utter("", "please go on", 120*ms).wait(3 * time.Second)
		k.leg.Speak(400 * ms) // a cough
		k.wait(700 * ms).stt.Interim("mm-hmm")
		k.wait(3 * time.Second)
		k.leg.Speak(time.Second)
		k.wait(500 * ms).stt.Interim("no, wait")
		k.wait(620 * ms)
		k.utter("", "no, wait, my name is", 120*ms).wait(400 * ms)
		k.utter("", "John.", 120*ms).wait(5 * time.Second).hangUp()
		got := k.of(EventTurnSummary)
		if len(got) != 2 {
			t.Fatalf("%d summaries:\n%s", len(got), k.lines())
		}
		one, two := got[0], got[1]
		if heard, total := number(t, one, "heard_ms"), number(t, one, "total_ms"); heard < 4000 || total <= heard {
			t.Errorf("heard %d ms of %d", heard, total)
		}
		if one.Get("interrupted") != string(turn.ProofStop) || number(t, one, "suspends") < 2 || number(t, one, "resumes") != 1 {
			t.Errorf("%+v", one.Fields)
		}
		if number(t, one, "dead_air_max_ms") > 2100 || number(t, one, "spec_tries") != 1 || number(t, one, "spec_adopted") != 1 {
			t.Errorf("%+v", one.Fields)
		}
		if number(t, two, "spec_tries") < 2 || number(t, two, "spec_wasted_tokens") == 0 {
			t.Errorf("%+v", two.Fields)
		}
		end := k.of(EventCallEnded)[0]
		for _, key := range []string{"heard_ms", "suspends", "spec_tries", "spec_wasted_tokens", "stale_dropped"} {
			if sum := number(t, one, key) + number(t, two, key); number(t, end, key) != sum {
				t.Errorf("%s of the call is %d, of its turns %d", key, number(t, end, key), sum)
			}
		}
		if s := k.log.last.Speculation; int64(s.Wasted) != number(t, end, "spec_wasted_tokens") {
			t.Errorf("the record counts %+v", s)
		}
	})
}

// INV46: what comes of a reply that is over is dropped, and counted where
// people look.
func TestStaleIsCounted_INV46(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := prepare(t, &agent.Agent{Name: "a"}, nil)
		k.cfg.LLM[""] = model(word("One. "), testkit.Cue[llm.Delta]{After: 900 * ms, Give: llm.Delta{Kind: llm.Text, Text: "Two. "}}, stall)
		k.start().wait(500*ms).utter("", "count.", 120*ms).wait(600 * ms)
		s := k.session()
		g := turn.Gen(1)
		for range 3 { // as a worker that was slow to hear that it is over
			s.work.put(modelDelta{g + 100, llm.Delta{Kind: llm.Text, Text: "late"}})
		}
		k.wait(time.Second).hangUp()
		if n := number(t, k.of(EventCallEnded)[0], "stale_dropped"); n < 3 {
			t.Errorf("%d were counted:\n%s", n, k.lines())
		}
		k.not(`late`)
	})
}
