package engine

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/llm"
)

// noted answers what it was told from outside, and knows it later on.
func noted(r llm.Request) (string, []llm.ToolCall, error) {
	all := ""
	for _, m := range r.Messages {
		all += m.Content + "\n"
	}
	switch last := r.Messages[len(r.Messages)-1]; {
	case last.Data && strings.Contains(last.Content, "order has shipped"):
		return "Good news, your order has shipped.", nil, nil
	case strings.Contains(all, "ten percent"):
		return "I can offer you ten percent.", nil, nil
	}
	return "Alright.", nil, nil
}

// F-17: a live call is told what the caller does not hear; with
// trigger_response the agent speaks of it by itself, both being quiet.
func TestContextIsInjected_F17(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := dial(t, &agent.Agent{Name: "a", Greeting: "Hello."}, noted)
		k.wait(3 * time.Second)
		if err := k.e.Inject("0190", "Offer ten percent.", false); err != nil {
			t.Fatal(err)
		}
		k.wait(2*time.Second).want(`"event":"context.injected","call_id":"0190"`, `"text":"Offer ten percent."`).not("I can offer")
		if n := len(k.llm.Asked()); n != 0 {
			t.Errorf("the model was asked %d times of what needs no answer", n)
		}
		k.say("is there a discount", time.Second).wait(5 * time.Second).want("I can offer you ten percent.")
		if err := k.e.Inject("0190", "The order has shipped.", true); err != nil {
			t.Fatal(err)
		}
		k.wait(6 * time.Second).want("Good news, your order has shipped.")
		last := k.llm.Asked()[len(k.llm.Asked())-1].Messages
		if m := last[len(last)-1]; !m.Data || m.Content != llm.NotePrefix+"The order has shipped." {
			t.Errorf("asked with %+v", m)
		}
		k.hangUp()
		if err := k.e.Inject("0190", "Too late.", true); err == nil {
			t.Error("a call that is over was told something")
		}
	})
}

// F-17: keys are sent to the other end, as events or as tones.
func TestKeysOfACommand_F17(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := prepare(t, &agent.Agent{Name: "a", Greeting: "Hello."}, says("Alright."))
		leg := &sipLeg{Leg: k.leg}
		k.engine()
		go func() {
			k.e.ServeCall(t.Context(), leg)
			close(k.ended)
		}()
		k.wait(2 * time.Second)
		if err := k.e.Press("0190", "12#"); err != nil {
			t.Fatal(err)
		}
		k.wait(time.Second).want(`"event":"dtmf.sent"`, `"digits":"12#"`).hangUp()
		if leg.keys != "12#" || len(leg.sent) != 1 || leg.sent[0].Duration != commandedKey {
			t.Errorf("sent %q as %+v", leg.keys, leg.sent)
		}
	})
}
