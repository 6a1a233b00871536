package engine

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/llm"
	"github.com/patchcord/patchcord/tools"
)

// A call that was agreed to is judged when it is proposed and when it runs: the
// caller's one yes holds for both, and for no second call.
func TestAYesIsForOneCall_SEC9(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ids := 0
		k := prepare(t, &agent.Agent{Name: "a", Language: "en-US"}, func(r llm.Request) (string, []llm.ToolCall, error) {
			if last := r.Messages[len(r.Messages)-1]; last.Role == llm.ToolRole {
				return "Shall I press five?", nil, nil
			}
			calls := make([]llm.ToolCall, 2)
			for i := range calls {
				ids++
				calls[i] = llm.ToolCall{ID: "t" + string(rune('0'+ids)), Name: "play_tone", Args: json.RawMessage(`{"digits":"5"}`)}
			}
			return "", calls, nil
		}, built(t, tools.Deps{}, `{tool_type: play_tone, confirm: true, dedupe: {mode: allow}}`)...)
		leg := &sipLeg{Leg: k.leg, by: "rfc4733"}
		k.engine()
		go func() {
			k.e.ServeCall(t.Context(), leg)
			close(k.ended)
		}()
		k.wait(500*ms).say("press five.", time.Second).wait(4*time.Second).say("yes please.", time.Second).wait(4 * time.Second).hangUp()
		if leg.keys != "5" {
			t.Errorf("pressed %q:\n%s", leg.keys, k.lines())
		}
	})
}

// What the machine carries out itself is judged when it is proposed, whatever is
// noted by a call before it: nobody judges it later.
func TestACallIsNotEndedPastItsGate_C12(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := dial(t, &agent.Agent{Name: "a", Language: "en-US"}, func(r llm.Request) (string, []llm.ToolCall, error) {
			if last := r.Messages[len(r.Messages)-1]; last.Role == llm.ToolRole {
				return "Is that right?", nil, nil
			}
			return "", []llm.ToolCall{
				{ID: "1", Name: "extract_variable", Args: json.RawMessage(`{"value":"412"}`)},
				{ID: "2", Name: "end_call", Args: json.RawMessage(`{}`)},
			}, nil
		}, built(t, tools.Deps{}, `{tool_type: end_call, requires: [order!]}`,
			`{tool_type: extract_variable, config: {variable_name: order, variable_type: number, confirmation_enabled: true}}`)...)
		k.wait(500*ms).say("my order is 412.", time.Second).wait(6 * time.Second).hangUp()
		k.want(`"tool":"end_call","tool_call_id":"2","args":{},"reason":"variables_required: order"`, `"end_reason":"hangup"`)
	})
}

// A tool that runs by itself at the start of a call has its gates too.
func TestNoGateIsPassedBeforeTheCall_C12(t *testing.T) {
	for _, gate := range []string{`requires: [order!]`, `confirm: true`, `phase: closing`, `when: 'results.a.found == true'`} {
		synctest.Test(t, func(t *testing.T) {
			k := prepare(t, &agent.Agent{Name: "a", PreCallTools: []string{"play_tone"}}, says("Hello."),
				built(t, tools.Deps{}, `{tool_type: play_tone, config: {dtmf_digit: "1"}, `+gate+`}`)...)
			leg := &sipLeg{Leg: k.leg, by: "rfc4733"}
			k.engine()
			go func() {
				k.e.ServeCall(t.Context(), leg)
				close(k.ended)
			}()
			k.wait(2*time.Second).say("hello.", time.Second).wait(3 * time.Second).hangUp()
			k.want(`"event":"tool.refused"`, `"tool_call_id":"pre-play_tone"`, `"event":"turn.agent"`).not(`"event":"tool.started"`)
			if leg.keys != "" {
				t.Errorf("%s: pressed %q", gate, leg.keys)
			}
		})
	}
}

// A tool whose outcome is nobody's did not run where its gate is shut: that is
// told, though the model has heard that it was started.
func TestAnAcknowledgedToolThatDidNotRunIsTold_C12(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := acknowledged{&tool{def: tools.Definition{Name: "notify", Class: tools.Async, Requires: []string{"order!"}}, json: `{}`}}
		note := built(t, tools.Deps{},
			`{tool_type: extract_variable, config: {variable_name: order, variable_type: number, confirmation_enabled: true}}`)
		k := dial(t, &agent.Agent{Name: "a", Language: "en-US"}, func(r llm.Request) (string, []llm.ToolCall, error) {
			if last := r.Messages[len(r.Messages)-1]; last.Role == llm.ToolRole || last.Data {
				return "Well then.", nil, nil
			}
			return "", []llm.ToolCall{
				{ID: "1", Name: "extract_variable", Args: json.RawMessage(`{"value":"412"}`)},
				{ID: "2", Name: "notify", Args: json.RawMessage(`{}`)},
			}, nil
		}, append(note, x)...)
		k.wait(500*ms).say("my order is 412.", time.Second).wait(8 * time.Second).hangUp()
		told := false
		for _, r := range k.llm.Asked() {
			for _, m := range r.Messages {
				told = told || strings.Contains(m.Content, "variables_required")
			}
		}
		if !told {
			t.Errorf("the model does not know:\n%s", k.lines())
		}
		k.not(`"event":"tool.started","call_id":"0190","seq":6,"at_ms":1920,"tool":"notify"`)
	})
}

// An action of a node has its gates too: where one is shut it does not run, and
// the node is left for the one for failures.
func TestNoGateIsPassedByAnAction_C12(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		free := freeTool(100 * ms)
		free.def.Requires = []string{"order!"}
		k := dial(t, booking(), goes, flowTools(free)...)
		k.wait(3*time.Second).say("a table, please.", time.Second).wait(7 * time.Second)
		k.want(`"event":"tool.refused"`, `"tool":"free"`, `"reason":"variables_required: order"`, `"node":"sorry","from":"book","by":"error"`)
		k.hangUp()
		if len(free.runs) != 0 {
			t.Errorf("ran %d times", len(free.runs))
		}
	})
}
