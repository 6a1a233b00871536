package engine

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/internal/testkit"
	"github.com/patchcord/patchcord/llm"
	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/tools"
)

// awaited is a call that somebody waits for.
type awaited struct {
	*call

	end chan Ending
}

// placing places a call that rings.
func placing(t *testing.T, a *agent.Agent, o Outbound, answer answers, ts ...tools.Tool) *awaited {
	t.Helper()
	p := &awaited{prepare(t, a, answer, ts...), make(chan Ending, 1)}
	p.leg = testkit.NewOutbound("0190", "+4940222")
	p.cfg.Dialer = dialer{p.leg}
	p.cfg.RecordingDir = t.TempDir()
	close(p.ended)
	o.To = "+4940222"
	p.cfg.DoNotCall = func(context.Context, string, telephony.CallID, string) error { return nil }
	p.engine()
	go func() {
		end, err := p.e.Place(context.Background(), o)
		if err != nil {
			t.Error(err)
		}
		p.end <- end
	}()
	p.wait(100 * ms)
	return p
}

func TestAPlacedCallTellsItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := placing(t, &agent.Agent{Name: "a", Greeting: "Hello, this is Ada."}, Outbound{}, says("Good."))
		p.leg.Close(telephony.Cause{Reason: telephony.ReasonBusy, Status: 486})
		end := <-p.end
		if end.Cause.Status != 486 || !end.Record.Answered.IsZero() || end.Record.EndReason != EndBusy ||
			!end.Spoke.IsZero() {
			t.Errorf("%+v", end)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		p := placing(t, &agent.Agent{Name: "a", Greeting: "Hello, this is Ada."}, Outbound{}, says("Good."))
		p.leg.PickUp()
		p.wait(300*ms).say("Hello?", 500*ms).wait(4 * time.Second)
		p.leg.Close(telephony.Cause{Reason: telephony.ReasonNormal, Remote: true})
		end := <-p.end
		answered := end.Record.Answered
		if d := end.Greeted.Sub(answered); d < 700*ms || d > 1000*ms {
			t.Errorf("their first words ended %v behind the answer", d)
		}
		if d := end.Spoke.Sub(end.Greeted); d < 0 || d > 2*time.Second {
			t.Errorf("we spoke %v behind them", d)
		}
	})
}

// F-22: a mailbox gets the message of whoever places the call, or a silent end, in
// the place of the agent's.
func TestTheMessageOfAPlacedCall_F22(t *testing.T) {
	own, none := "This is for {{name}}.", ""
	for _, c := range []struct {
		name    string
		message *string
		want    string
	}{{"its own", &own, "This is for Bo."}, {"none", &none, ""}, {"the agent's", nil, "Please call a back."}} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := seller()
				a.VoicemailDetection = false
				on := true
				p := placing(t, a, Outbound{Voicemail: c.message, AMD: &on, Variables: map[string]any{"name": "Bo"}}, says("x"))
				p.leg.PickUp()
				p.wait(500*ms).say("Hi, you've reached Bob, leave a message.", 2*time.Second)
				end := <-p.end
				if got := strings.Join(p.said(), " "); got != c.want {
					t.Errorf("said %q, want %q", got, c.want)
				}
				if end.MessageLeft != (c.want != "") || end.Record.AnsweredBy != "machine" || end.Record.EndReason != "voicemail" {
					t.Errorf("message left: %v, %+v", end.MessageLeft, end.Record)
				}
			})
		})
	}
}

// Whoever has hung up before the last word has no message.
func TestAMessageThatIsCutIsNotLeft_F22(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := placing(t, seller(), Outbound{}, says("x"))
		p.leg.PickUp()
		p.wait(500*ms).say("Hi, you've reached Bob, leave a message.", 2*time.Second)
		for len(p.leg.Spoken()) == 0 {
			p.wait(100 * ms)
		}
		p.leg.Close(telephony.Cause{Reason: telephony.ReasonNormal, Remote: true})
		if end := <-p.end; end.MessageLeft {
			t.Errorf("a message is left of which was heard: %q", p.said())
		}
	})
}

func TestACallWithoutConsentIsNotRecorded(t *testing.T) {
	for _, unrecorded := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			p := placing(t, &agent.Agent{Name: "a", Greeting: "Hello."}, Outbound{Unrecorded: unrecorded}, says("x"))
			p.leg.PickUp()
			p.wait(3 * time.Second)
			p.leg.Close(telephony.Cause{Reason: telephony.ReasonNormal, Remote: true})
			end := <-p.end
			files, err := filepath.Glob(filepath.Join(p.cfg.RecordingDir, "*"))
			if err != nil || (len(files) == 0) != unrecorded || (end.Record.Recording == "") != unrecorded {
				t.Errorf("unrecorded %v: %v, %q, %v", unrecorded, files, end.Record.Recording, err)
			}
			for _, f := range files {
				_ = os.Remove(f)
			}
		})
	}
}

// A seat that was reserved is nobody else's, and serves its call also while the
// engine drains, which waits for it.
func TestASeatIsKeptForItsCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := prepare(t, &agent.Agent{Name: "a", Greeting: "Hello."}, says("x"))
		k.leg = testkit.NewOutbound("0190", "+4940222")
		k.cfg.Dialer, k.cfg.MaxCalls = dialer{k.leg}, 1
		k.engine()
		close(k.ended)
		release, ok := k.e.Reserve()
		if _, second := k.e.Reserve(); !ok || second || k.e.Room() {
			t.Fatal("one seat is there for two")
		}
		if _, err := k.e.Call(t.Context(), Outbound{Agent: "a", To: "1"}); !errors.Is(err, ErrFull) {
			t.Errorf("a call without a seat: %v", err)
		}
		drained := make(chan struct{})
		go func() {
			k.e.Drain(t.Context())
			close(drained)
		}()
		time.Sleep(time.Second)
		if _, err := k.e.Call(t.Context(), Outbound{Agent: "a", To: "1", Seated: true}); err != nil {
			t.Fatal(err)
		}
		k.leg.PickUp()
		k.wait(3 * time.Second)
		k.leg.Close(telephony.Cause{Reason: telephony.ReasonNormal, Remote: true})
		k.wait(time.Second)
		select {
		case <-drained:
			t.Error("drained while a seat is held")
		default:
		}
		release()
		release()
		<-drained
		if k.e.reserved != 0 || k.e.seated != 0 {
			t.Errorf("%d seats and %d calls on them are left", k.e.reserved, k.e.seated)
		}
	})
}

// wants is a model that calls a tool at the caller's first words.
func wants(name, args string) answers {
	return func(r llm.Request) (string, []llm.ToolCall, error) {
		if last := r.Messages[len(r.Messages)-1]; last.Role == llm.ToolRole {
			return "It says " + last.Content, nil, nil
		}
		return "", []llm.ToolCall{{ID: "1", Name: name, Args: json.RawMessage(args)}}, nil
	}
}

// D-24: who asks not to be called again is marked at once, by the tool or by what
// they say.
func TestWhoAsksNotToBeCalledIsMarked_D24(t *testing.T) {
	for _, c := range []struct {
		name, said string
		answer     answers
		by         string
	}{
		{"by the tool", "Oh, leave me in peace.", wants("do_not_call", `{"reason":"wants peace"}`), "tool"},
		{"by the phrase", "Please don't call me again.", says("I am sorry."), "phrase"},
		{"by both", "Please don't call me again.", wants("do_not_call", `{}`), "phrase"},
		{"not at all", "When are you open?", says("At nine."), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := placing(t, &agent.Agent{Name: "a", Greeting: "Hello."}, Outbound{}, c.answer,
					built(t, tools.Deps{}, `{tool_type: do_not_call}`)...)
				marked := make(chan string, 2)
				p.e.cfg.DoNotCall = func(_ context.Context, number string, id telephony.CallID, _ string) error {
					marked <- number + " " + string(id)
					return nil
				}
				p.leg.PickUp()
				p.wait(2*time.Second).say(c.said, time.Second).wait(4 * time.Second)
				if c.by != "" && (len(marked) == 0 || <-marked != "+4940222 0190") {
					t.Errorf("the number is not marked while the call goes on:\n%s", p.lines())
				}
				p.leg.Close(telephony.Cause{Reason: telephony.ReasonNormal, Remote: true})
				if end := <-p.end; end.OptOut != (c.by != "") {
					t.Errorf("opted out: %v", end.OptOut)
				}
				if c.by == "" {
					p.not("call.opted_out")
				} else if n := strings.Count(p.lines(), `"event":"call.opted_out"`); n != 1 {
					t.Errorf("told %d times:\n%s", n, p.lines())
				} else {
					p.want(`"event":"call.opted_out"`, `"by":"`+c.by+`"`)
				}
			})
		})
	}
}

// A list that cannot be written is no success for the model.
func TestAMarkThatIsNotKept_D24(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := placing(t, &agent.Agent{Name: "a", Greeting: "Hello."}, Outbound{}, wants("do_not_call", `{}`),
			built(t, tools.Deps{}, `{tool_type: do_not_call}`)...)
		p.e.cfg.DoNotCall = func(context.Context, string, telephony.CallID, string) error { return errors.New("no database") }
		p.leg.PickUp()
		p.wait(2*time.Second).say("No more of this.", time.Second).wait(4 * time.Second)
		p.want(`"tool":"do_not_call"`, `"status":"error"`).not("call.opted_out")
		p.leg.Close(telephony.Cause{Reason: telephony.ReasonNormal, Remote: true})
		<-p.end
	})
}

func TestACallbackIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		zone, err := time.LoadLocation("Europe/Berlin")
		if err != nil {
			t.Fatal(err)
		}
		p := placing(t, &agent.Agent{Name: "a", Greeting: "Hello."}, Outbound{Zone: zone},
			wants("schedule_callback", `{"at":"2000-01-03T15:30"}`), built(t, tools.Deps{}, `{tool_type: schedule_callback}`)...)
		p.leg.PickUp()
		p.wait(2*time.Second).say("Monday at half past three.", time.Second).wait(4 * time.Second)
		p.leg.Close(telephony.Cause{Reason: telephony.ReasonNormal, Remote: true})
		if end := <-p.end; !end.Callback.Equal(time.Date(2000, 1, 3, 14, 30, 0, 0, time.UTC)) {
			t.Errorf("%v", end.Callback)
		}
	})
}

// What a call came to is a variable of that name, or what a tool of that name was
// told.
func TestTheDispositionOfACall(t *testing.T) {
	note := &tool{def: tools.Definition{Name: "disposition", Class: tools.Effect}, json: `{"ok":true}`}
	for name, c := range map[string]struct {
		answer answers
		ts     func(t *testing.T) []tools.Tool
	}{
		"a tool": {wants("disposition", `{"value":"sold"}`), func(*testing.T) []tools.Tool { return []tools.Tool{note} }},
		"a variable": {wants("note", `{"value":"sold"}`), func(t *testing.T) []tools.Tool {
			t.Helper()
			return built(t, tools.Deps{}, `{name: note, tool_type: extract_variable, config: {variable_name: disposition}}`)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := placing(t, &agent.Agent{Name: "a", Greeting: "Hello."}, Outbound{}, c.answer, c.ts(t)...)
				p.leg.PickUp()
				p.wait(2*time.Second).say("I take it.", time.Second).wait(4 * time.Second)
				p.leg.Close(telephony.Cause{Reason: telephony.ReasonNormal, Remote: true})
				end := <-p.end
				if end.Disposition != "sold" || (name == "a variable") != (end.Extracted["disposition"] == "sold") {
					t.Errorf("%q, %v", end.Disposition, end.Extracted)
				}
			})
		})
	}
}
