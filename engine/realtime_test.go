package engine

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/internal/testkit"
	"github.com/patchcord/patchcord/llm"
	"github.com/patchcord/patchcord/tools"
)

// spoken is a call whose agent has a speech-to-speech model, and nothing else
// unless told. It is started by start.
func spokenCall(t *testing.T, model *testkit.Realtime, ts ...tools.Tool) *call {
	t.Helper()
	c := prepare(t, &agent.Agent{Name: "a", Realtime: "voice"}, says("from the cascade"), ts...)
	c.cfg.Realtime = map[string]llm.Realtime{"voice": model}
	c.cfg.STT, c.cfg.TTS, c.cfg.LLM = nil, nil, nil
	return c
}

// sent are the commands of one kind.
func sent[C llm.RealtimeCommand](r *testkit.Realtime) (out []C) {
	for _, c := range r.Log() {
		if c, ok := c.(C); ok {
			out = append(out, c)
		}
	}
	return out
}

// kept fails the test when the server refused something.
func kept(t *testing.T, r *testkit.Realtime, refusals ...string) {
	t.Helper()
	if got := r.Refused(); !slices.Equal(got, refusals) {
		t.Errorf("the server refused %q", got)
	}
}

func speaks(texts ...string) func(int, llm.Respond) testkit.RealtimeAnswer {
	return func(n int, r llm.Respond) testkit.RealtimeAnswer {
		if r.Exactly != "" {
			return testkit.RealtimeAnswer{Text: r.Exactly}
		}
		return testkit.RealtimeAnswer{Text: texts[min(n, len(texts)-1)]}
	}
}

func TestAnItemOfWhichNothingWasHeardIsDeleted_convR3(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		model := &testkit.Realtime{Answer: func(n int, _ llm.Respond) testkit.RealtimeAnswer {
			return testkit.RealtimeAnswer{Text: []string{story, "It is John Doe."}[n], First: 300 * ms}
		}}
		c := spokenCall(t, model).start().wait(500 * ms)
		model.Turn("my name is john", 800*ms)
		c.wait(900 * ms)
		model.Turn("doe", 700*ms) // the caller goes on before the answer is there
		c.wait(5 * time.Second).hangUp()
		c.want(`"text":"my name is john doe","turn":1`, `"heard_text":"It is John Doe."`)
		if d := sent[llm.DeleteItem](model); len(d) != 1 || d[0].Item != "item-resp0" {
			t.Errorf("deleted %+v", d)
		}
		if n := len(sent[llm.Truncate](model)); n != 0 {
			t.Errorf("%d items were cut", n)
		}
		kept(t, model)
	})
}

// TestOnlyWhatWasHeardIsKept_INV40: at any time of a barge-in the server keeps
// of its items what was heard of them, and never cuts beyond their end.
func TestOnlyWhatWasHeardIsKept_INV40(t *testing.T) {
	for _, at := range []time.Duration{
		20 * ms, 60 * ms, 100 * ms, 500 * ms, 3 * time.Second, 9800 * ms, 10020 * ms, 11 * time.Second,
	} {
		synctest.Test(t, func(t *testing.T) {
			model := &testkit.Realtime{Answer: speaks(story)}
			c := spokenCall(t, model).start().wait(500 * ms)
			model.Turn("tell me a story", 500*ms)
			c.wait(520*ms + at)
			model.Turn("stop", 500*ms)
			c.wait(490 * ms) // before it is answered
			heard := time.Duration(0)
			for _, b := range c.leg.Spoken() {
				heard += b.To - b.From
			}
			kept(t, model) // conv:R2, INV39
			items := model.Items()
			if len(items) > 1 || len(items) == 1 && (items[0].Sound > heard || items[0].Sound < heard-lag-60*ms) {
				t.Errorf("after %v: %v was heard, the server keeps %+v", at, heard, items)
			}
			if n := len(sent[llm.Truncate](model)); heard > 10*time.Second && n != 0 {
				t.Errorf("an item that was heard whole was cut %d times (conv:R4)", n)
			}
			c.hangUp()
		})
	}
}

func TestNothingOfACancelledResponseIsHeard_convR7(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		model := &testkit.Realtime{Answer: speaks(story, "Yes?")}
		c := spokenCall(t, model).start().wait(500 * ms)
		model.Turn("tell me a story", 500*ms)
		c.wait(600 * ms)
		model.Give(llm.RealtimeEvent{Kind: llm.VoiceBegan})
		c.wait(5 * ms)
		pcm := make([]int16, 8000)
		for i := range pcm {
			pcm[i] = int16(8000 * (1 - 2*(i/8%2)))
		}
		for range 3 { // the server has not seen the cancel yet
			model.Give(
				llm.RealtimeEvent{Kind: llm.Spoken, Response: "resp0", Item: "item-resp0", PCM: pcm},
				llm.RealtimeEvent{Kind: llm.SpokenWords, Response: "resp0", Item: "item-resp0", Text: "and so on"},
				llm.RealtimeEvent{Kind: llm.CallReady, Response: "resp0", Item: "call", Call: llm.ToolCall{ID: "c", Name: "check"}})
		}
		c.wait(2 * time.Second)
		stop := c.find(EventSpeechInterupted)
		for _, b := range c.leg.Spoken() {
			if b.To > stop[0].At+40*ms {
				t.Errorf("heard until %v, cancelled at %v", b.To, stop[0].At)
			}
		}
		c.not("and so on", `"tool.started"`).hangUp()
		if d := sent[llm.DeleteItem](model); len(d) != 1 || d[0].Item != "call" { // conv:R5, once
			t.Errorf("deleted %+v", d)
		}
	})
}

// lookup asks for calls first and then tells what came back.
func lookupThen(text string, calls ...llm.ToolCall) func(int, llm.Respond) testkit.RealtimeAnswer {
	return func(n int, r llm.Respond) testkit.RealtimeAnswer {
		switch {
		case r.Exactly != "":
			return testkit.RealtimeAnswer{Text: r.Exactly}
		case n == 0:
			return testkit.RealtimeAnswer{Calls: calls}
		}
		return testkit.RealtimeAnswer{Text: text}
	}
}

func orderCall(id, name string) llm.ToolCall {
	return llm.ToolCall{ID: id, Name: name, Args: json.RawMessage(`{}`)}
}

// TestOneResponseFollowsTheResults_INV41: two calls at once, one much slower,
// with a sentence of the model's own in between.
func TestOneResponseFollowsTheResults_INV41(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		quick, slow := checkTool(100*ms), checkTool(1500*ms)
		quick.def.Name, slow.def.Name = "quick", "slow"
		model := &testkit.Realtime{
			Answer: lookupThen("It is on its way.", orderCall("c1", "slow"), orderCall("c2", "quick")),
		}
		c := spokenCall(t, model, quick, slow).start().wait(500 * ms)
		model.Turn("where is my order", 500*ms)
		c.wait(9 * time.Second).hangUp()
		c.want(`"event":"speech.bridge"`, `"heard_text":"One moment, I am looking."`, `"heard_text":"It is on its way."`)
		var order []string
		for _, cmd := range model.Log() {
			switch cmd := cmd.(type) {
			case llm.Respond:
				order = append(order, "respond "+cmd.Exactly)
			case llm.AddMessage:
				order = append(order, "result "+cmd.Message.ToolCallID)
			}
		}
		want := []string{"respond ", "respond One moment, I am looking.", "result c2", "result c1", "respond "}
		if !slices.Equal(order, want) { // conv:R8: one, behind both
			t.Errorf("sent %q", order)
		}
		if items := model.Items(); len(items) != 4 {
			t.Errorf("the server keeps %+v", items)
		}
		kept(t, model)
	})
}

// TestAResponseIsAskedForAgain: one is active that nobody knew of, and the
// server never says that it is done.
func TestAResponseIsAskedForAgain_convR8(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		model := &testkit.Realtime{Answer: func(n int, _ llm.Respond) testkit.RealtimeAnswer {
			if n == 0 {
				return testkit.RealtimeAnswer{Hang: true, Deaf: true}
			}
			return testkit.RealtimeAnswer{Text: "Here I am."}
		}}
		c := spokenCall(t, model).start().wait(500 * ms)
		model.Turn("hello", 500*ms)
		c.wait(600 * ms)
		model.Turn("are you there", 500*ms) // the first is cancelled, and does not hear it
		c.wait(4 * time.Second)
		if n := len(sent[llm.Respond](model)); n != 1 {
			t.Errorf("%d responses were asked for while one is active", n)
		}
		c.wait(3 * time.Second)
		if n := len(sent[llm.Respond](model)); n < 2 { // the watchdog of 5 s
			t.Errorf("%d responses were asked for", n)
		}
		c.hangUp()
	})
}

func TestASilentResponseIsCancelledThere_convR9(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		model := &testkit.Realtime{Answer: func(n int, r llm.Respond) testkit.RealtimeAnswer {
			if n == 0 {
				return testkit.RealtimeAnswer{Hang: true}
			}
			return testkit.RealtimeAnswer{Text: r.Exactly}
		}}
		c := spokenCall(t, model).start().wait(500 * ms)
		model.Turn("hello", 500*ms)
		c.wait(20 * time.Second)
		if n := len(sent[llm.CancelResponse](model)); n != 1 {
			t.Errorf("%d responses were cancelled", n)
		}
		c.want(`"event":"dead_air"`, `"kind":"apology"`).hangUp()
		kept(t, model)
	})
}

// TestAResponseThatNobodyAskedForIsCancelled: one authority (conv:R10).
func TestAResponseThatNobodyAskedForIsCancelled_convR1(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		model := &testkit.Realtime{}
		c := spokenCall(t, model).start().wait(500 * ms)
		model.Give(
			llm.RealtimeEvent{Kind: llm.ResponseBegan, Response: "own"},
			llm.RealtimeEvent{Kind: llm.ItemBegan, Response: "own", Item: "its"},
			llm.RealtimeEvent{Kind: llm.Spoken, Response: "own", Item: "its", PCM: make([]int16, 8000)},
		)
		c.wait(time.Second)
		model.Give(llm.RealtimeEvent{Kind: llm.ResponseDone, Response: "own", Finish: "cancelled"})
		model.Turn("hello", 300*ms)
		c.wait(3 * time.Second).want(`"heard_text":"Hello."`).hangUp()
		if x, d := sent[llm.CancelResponse](model), sent[llm.DeleteItem](model); len(x) != 1 || x[0].Response != "own" ||
			len(d) != 1 || d[0].Item != "its" {
			t.Errorf("cancelled %+v, deleted %+v", x, d)
		}
	})
}

func TestFixedSentencesAreTheModels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		model := &testkit.Realtime{Open: 300 * ms, Answer: speaks("It is open.")}
		c := spokenCall(t, model)
		c.cfg.Directory = directory{a: &agent.Agent{
			Name: "a", Realtime: "voice", Prompt: "You help {{caller_phone}}.", Greeting: "Good morning.", Language: "en-GB",
		}}
		c.start().wait(3 * time.Second)
		if err := c.e.Say("0190", "The shop closes soon."); err != nil {
			t.Fatal(err)
		}
		c.wait(3 * time.Second)
		if err := c.e.End("0190", "Goodbye."); err != nil {
			t.Fatal(err)
		}
		c.over().want(`"heard_text":"Good morning."`, `"kind":"said","text":"The shop closes soon."`, `"kind":"goodbye"`,
			`"heard_text":"Goodbye."`, `"end_reason":"api"`)
		if o := model.Options(); o.Instructions != "You help +4930111." || o.Language != "en-GB" || o.Format.Encoding != "mulaw" {
			t.Errorf("connected with %+v", o)
		}
		kept(t, model)
	})
}

// TestTheAgentsOwnVoiceSaysThem where it names one; the server is told what was
// heard.
func TestTheAgentsOwnVoiceSaysThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		model := &testkit.Realtime{}
		c := spokenCall(t, model)
		c.cfg.TTS = prepare(t, &agent.Agent{}, nil).cfg.TTS
		c.cfg.TTS["own"] = c.cfg.TTS[""]
		c.cfg.Directory = directory{a: &agent.Agent{Name: "a", Realtime: "voice", TTS: "own", Greeting: "Good morning."}}
		c.start().wait(3 * time.Second)
		added := sent[llm.AddMessage](model)
		if len(sent[llm.Respond](model)) != 0 || len(added) != 1 || added[0].Message.Content != "Good morning." ||
			added[0].Message.Role != llm.Assistant {
			t.Errorf("sent %+v", model.Log())
		}
		c.hangUp()
	})
}

func TestEndCallByASpeechToSpeechModel_convH6(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		end := &tool{def: tools.Definition{Name: "end_call", Class: tools.Terminal, Type: tools.EndCall}, json: `{}`}
		model := &testkit.Realtime{Answer: func(int, llm.Respond) testkit.RealtimeAnswer {
			return testkit.RealtimeAnswer{Text: "Thank you, goodbye.", Calls: []llm.ToolCall{orderCall("e", "end_call")}}
		}}
		c := spokenCall(t, model, end).start().wait(500 * ms)
		model.Turn("that is all", 500*ms)
		c.over().want(`"heard_text":"Thank you, goodbye."`, `"end_reason":"agent_done"`)
		kept(t, model)
	})
}

func TestKeysAreToldToTheModel_convD3(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		model := &testkit.Realtime{}
		c := spokenCall(t, model).start().wait(500 * ms)
		c.press("12#").wait(3 * time.Second).hangUp()
		added := sent[llm.AddMessage](model)
		if len(added) != 1 || added[0].Message.Role != llm.User || !strings.HasPrefix(added[0].Message.Content, "DTMF 12") ||
			len(sent[llm.Respond](model)) != 1 {
			t.Errorf("sent %+v", model.Log())
		}
	})
}

// TestALostSessionIsOpenedAgain with what was said before it; the answer that
// was asked for comes all the same (reliability 5.1).
func TestALostSessionIsOpenedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		model := &testkit.Realtime{Answer: func(n int, _ llm.Respond) testkit.RealtimeAnswer {
			switch n {
			case 0:
				return testkit.RealtimeAnswer{Text: "It is John."}
			case 1:
				return testkit.RealtimeAnswer{Hang: true}
			}
			return testkit.RealtimeAnswer{Text: "You are John."}
		}}
		c := spokenCall(t, model).start().wait(500 * ms)
		model.Turn("my name is john", 500*ms)
		c.wait(3 * time.Second)
		model.Turn("who am i", 500*ms)
		c.wait(time.Second)
		begun := time.Now()
		model.Cut(&llm.Error{Provider: "x", Op: "read", Temporary: true, Err: errors.New("gone")})
		c.wait(5*time.Second).want(`"event":"provider.failed"`, `"kind":"realtime"`, `"heard_text":"You are John."`).hangUp()
		var told []string
		for _, a := range sent[llm.AddMessage](model) {
			told = append(told, string(a.Message.Role)+" "+a.Message.Content)
		}
		if want := []string{"user my name is john", "assistant It is John.", "user who am i"}; !slices.Equal(told, want) {
			t.Errorf("told %q", told)
		}
		if model.Sessions() != 2 {
			t.Errorf("%d sessions", model.Sessions())
		}
		last := c.leg.Spoken()
		if at := last[len(last)-1].From; at > begun.Sub(epoch)+2*time.Second && len(last) < 2 {
			t.Errorf("heard at %v", at)
		}
		kept(t, model)
	})
}

// TestTheCascadeGoesOn where the model is lost for good.
func TestTheCascadeGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		model := &testkit.Realtime{Answer: func(int, llm.Respond) testkit.RealtimeAnswer {
			return testkit.RealtimeAnswer{Hang: true}
		}}
		c := spokenCall(t, model)
		all := prepare(t, &agent.Agent{}, nil).cfg
		c.cfg.TTS, c.cfg.STT, c.cfg.LLM = all.TTS, all.STT, all.LLM
		c.llm.Answer = says("I am the other model.")
		c.cfg.LLM[""], c.cfg.STT[""] = c.llm, c.stt
		c.start().wait(500 * ms)
		model.Turn("hello", 500*ms)
		c.wait(time.Second)
		gone := &llm.Error{Provider: "x", Op: "connect", Temporary: true, Err: errors.New("gone")}
		model.Fail(gone)
		model.Cut(gone)
		c.wait(4*time.Second).want(`"event":"provider.fallback"`, `"kind":"realtime"`, `"to":"cascade"`,
			`"heard_text":"I am the other model."`)
		c.say("and you", time.Second).wait(5 * time.Second).want(`"text":"and you","turn":2`).hangUp()
		if asked := c.llm.Asked(); len(asked) != 2 || asked[0].Messages[0].Content != "hello" {
			t.Errorf("asked %+v", asked)
		}
	})
}

// TestALostModelWithoutACascadeEndsTheCall politely, as far as it can.
func TestALostModelWithoutACascadeEndsTheCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		model := &testkit.Realtime{}
		c := spokenCall(t, model).start().wait(500 * ms)
		model.Fail(errors.New("gone"))
		model.Cut(errors.New("gone"))
		c.over().want(`"end_reason":"vendor_failed"`)
	})
}
