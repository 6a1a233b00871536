package engine

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/internal/testkit"
	"github.com/patchcord/patchcord/llm"
	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/tools"
)

// built are tools as their maker writes them.
func built(t *testing.T, deps tools.Deps, defs ...string) []tools.Tool {
	t.Helper()
	ds := make([]tools.Definition, len(defs))
	for i, text := range defs {
		if err := yaml.UnmarshalWithOptions([]byte(text), &ds[i], yaml.Strict()); err != nil {
			t.Fatal(err)
		}
	}
	set, faults := tools.Build(ds, deps)
	if err := faults.Err(); err != nil {
		t.Fatal(err)
	}
	return set.Tools()
}

// once calls a tool when the caller speaks, and says something of its result.
func once(tool, args string) answers {
	return func(r llm.Request) (string, []llm.ToolCall, error) {
		switch last := r.Messages[len(r.Messages)-1]; {
		case last.Role == llm.ToolRole:
			return "That was it: " + last.Content, nil, nil
		case last.Data:
			return "I am still here.", nil, nil
		}
		return "", []llm.ToolCall{{ID: "t", Name: tool, Args: json.RawMessage(args)}}, nil
	}
}

// sipLeg is a leg that takes keys in a way of its own, or none.
type sipLeg struct {
	*testkit.Leg
	by   string
	fail error

	mu   sync.Mutex // guards sent
	sent []telephony.Tone
	keys string
}

func (l *sipLeg) Info() telephony.Info {
	i := l.Leg.Info()
	i.Transport, i.Keys = "sip/udp", l.by
	return i
}

func (l *sipLeg) SendDigits(_ context.Context, keys string, tone telephony.Tone) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent, l.keys = append(l.sent, tone), l.keys+keys
	return l.fail
}

// TestPlayTone_T14: one press of the length and volume that were asked for, in
// the way that the leg has.
func TestPlayTone_T14(t *testing.T) {
	for _, c := range []struct {
		name, tool, args, as string
		want                 telephony.Tone
	}{
		{
			"by event", `{tool_type: play_tone, config: {tone_type: dtmf, dtmf_digit: "1", duration: 500, volume: 0.8}}`, `{}`,
			"rfc4733",
			telephony.Tone{Duration: 500 * ms, Volume: 0.8},
		},
		{
			"keys of the model's choice", `{tool_type: play_tone, config: {duration: 200, volume: 0.5}}`, `{"digits":"12#"}`,
			"rfc4733",
			telephony.Tone{Duration: 200 * ms, Volume: 0.5},
		},
		{
			"as sound", `{tool_type: play_tone, config: {dtmf_digit: "1"}}`, `{}`, "inband",
			telephony.Tone{Duration: 500 * ms, Volume: 0.8},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				x := prepare(t, &agent.Agent{Name: "a", Greeting: "Hello."}, once("play_tone", c.args), built(t, tools.Deps{}, c.tool)...)
				leg := &sipLeg{Leg: x.leg, by: c.as}
				x.engine()
				go func() {
					x.e.ServeCall(t.Context(), leg)
					close(x.ended)
				}()
				x.wait(2*time.Second).say("press one", time.Second).wait(4 * time.Second).hangUp()
				x.want(`"event":"dtmf.sent"`, `"as":"`+c.as+`"`, `"status":"ok"`)
				if len(leg.sent) != 1 || leg.sent[0] != c.want {
					t.Errorf("sent %q as %+v, want %+v", leg.keys, leg.sent, c.want)
				}
			})
		})
	}
}

// Keys that are pressed while the call is being set up are not sent, and the
// model is told.
func TestKeysBeforeTheAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := prepare(t, &agent.Agent{Name: "a", Greeting: "Hello.", PreCallTools: []string{"play_tone"}}, says("Yes."),
			built(t, tools.Deps{}, `{tool_type: play_tone, config: {dtmf_digit: "1"}}`)...)
		x.engine()
		leg := &sipLeg{Leg: x.leg, fail: errors.New("no sound yet")}
		go func() {
			x.e.ServeCall(t.Context(), leg)
			close(x.ended)
		}()
		x.wait(3 * time.Second).hangUp().want(`"tool_call_id":"pre-play_tone","status":"error"`)
	})
}
