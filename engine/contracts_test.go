package engine

import (
	"context"
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/patchcord/patchcord/audio/tts"
	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/internal/testkit"
	"github.com/patchcord/patchcord/llm"
	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/tools"
	forms "github.com/patchcord/patchcord/tools/wire"
)

// defined is a tool of a definition as its platform writes it, which takes d
// and answers with json instead of asking its endpoint.
func defined(t *testing.T, text string, d time.Duration, answer string) *tool {
	t.Helper()
	made := built(t, tools.Deps{Dialects: forms.Dialects()}, text)
	return &tool{def: *made[0].Definition(), d: d, json: answer}
}

// at is the place of an event among all, -1 where there is none.
func (c *call) at(name, key string, value any) int {
	c.log.mu.Lock()
	defer c.log.mu.Unlock()
	return slices.IndexFunc(c.log.events, func(e Event) bool { return e.Name == name && (key == "" || e.Get(key) == value) })
}

const crmConsult = `{name: consulter-contact-crm, description: "Vérifier si le contact existe.", tool_type: webhook, dialect: callin,
  config: {method: GET, url: "https://crm.exemple.com/contacts", body_parameters: [{identifier: email, type: texte, required: true}]},
  speech: {bridging_sentence: "Je vais vérifier, puis on continue.", success: "Parfait, je vois votre fiche.",
    failure_sentence: "Je n'ai pas pu vérifier tout de suite. On continue."}}`

const send = `{name: creer-lead-crm, description: "Créer un lead.", tool_type: webhook, dialect: callin,
  config: {method: POST, url: "https://crm.exemple.com/leads", body_parameters: [{identifier: email, type: texte, required: true}]}}`

// consults calls a tool for the first words of the caller, and talks to all others.
func consults(name string) answers {
	return func(r llm.Request) (string, []llm.ToolCall, error) {
		last := r.Messages[len(r.Messages)-1]
		switch {
		case last.Role == llm.ToolRole:
			return "Quel est le motif de votre appel ?", nil, nil
		case last.Content == "laura@exemple.com":
			return "", []llm.ToolCall{{ID: "t", Name: name, Args: json.RawMessage(`{"email":"laura@exemple.com"}`)}}, nil
		}
		return "Je suis là.", nil, nil
	}
}

// C-01: a tool that sends data runs while the conversation goes on: the caller
// is heard and answered before the tool is done, in one call.
func TestToolRunsDuringTheConversation_C01(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lead := defined(t, send, 8*time.Second, `{"id":7}`)
		k := dial(t, &agent.Agent{Name: "a", Language: "fr"}, consults("creer-lead-crm"), lead)
		k.wait(500*ms).say("laura@exemple.com", time.Second).wait(4 * time.Second)
		k.say("vous êtes toujours là ?", time.Second).wait(14 * time.Second).hangUp()
		started, finished := k.at(EventToolStarted, "", nil), k.at(EventToolFinished, "status", "ok")
		asked, answered := k.at(EventTurnUser, "text", "vous êtes toujours là ?"), k.at(EventTurnAgent, "heard_text", "Je suis là.")
		if started < 0 || asked < started || answered < asked || finished < answered {
			t.Errorf("started %d, asked %d, answered %d, finished %d:\n%s", started, asked, answered, finished, k.lines())
		}
		if n := len(lead.runs); n != 1 || string(lead.runs[0].Args) != `{"email":"laura@exemple.com"}` {
			t.Errorf("ran %+v", lead.runs)
		}
		if k.log.last.EndReason != "hangup" || k.log.last.ToolCalls != 1 {
			t.Errorf("the call ended with %+v", k.log.last)
		}
	})
}

// C-14: when a tool fails or does not answer, the caller hears its own sentence
// and nothing of what went wrong, and the conversation goes on.
func TestFailureIsToldInItsOwnSentence_C14(t *testing.T) {
	for name, c := range map[string]struct {
		d    time.Duration
		json string
	}{
		"a failure":         {200 * ms, ""},
		"no answer in time": {time.Minute, `{"late":true}`},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				look := defined(t, crmConsult, c.d, c.json)
				look.def.TimeoutSecs = 4
				k := dial(t, &agent.Agent{Name: "a", Language: "fr"}, consults("consulter-contact-crm"), look)
				k.wait(500*ms).say("laura@exemple.com", time.Second).wait(14 * time.Second)
				k.say("pour les offres", time.Second).wait(4 * time.Second).hangUp()
				said := k.said()
				i := slices.Index(said, "Je n'ai pas pu vérifier tout de suite. On continue.")
				if i < 0 || !slices.Contains(said[i:], "Quel est le motif de votre appel ?") || said[len(said)-1] != "Je suis là." {
					t.Errorf("said %q", said)
				}
				for _, words := range said {
					if strings.ContainsAny(words, `{}_"`) || strings.Contains(words, "error") || strings.Contains(words, "fiche") {
						t.Errorf("said %q", words)
					}
				}
				if len(look.runs) != 1 || k.log.last.EndReason != "hangup" {
					t.Errorf("ran %d times, ended by %s", len(look.runs), k.log.last.EndReason)
				}
			})
		})
	}
}

// C-17: the bridging sentence is heard before what the tool brings, and before
// the sentence that tells it.
func TestBridgingSentenceComesFirst_C17(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		look := defined(t, crmConsult, 2*time.Second, `{"found":true}`)
		k := dial(t, &agent.Agent{Name: "a", Language: "fr"}, consults("consulter-contact-crm"), look)
		k.wait(500*ms).say("laura@exemple.com", time.Second).wait(12 * time.Second).hangUp()
		said := k.said()
		if len(said) < 2 || said[0] != "Je vais vérifier, puis on continue." || said[1] != "Parfait, je vois votre fiche." {
			t.Errorf("said %q", said)
		}
		if bridge, finished := k.at(EventSpeechBridge, "", nil), k.at(EventToolFinished, "", nil); bridge < 0 || finished < bridge {
			t.Errorf("bridge %d, finished %d:\n%s", bridge, finished, k.lines())
		}
	})
}

// T-07: with speak_during_execution the agent speaks while the tool runs;
// without it says nothing, and a hold sound is heard after 2.5 s.
func TestSpeakDuringExecution_T07(t *testing.T) {
	for during, want := range map[string]struct{ speaks, hold bool }{"true": {true, false}, "false": {false, true}} {
		t.Run(during, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				look := defined(t, `{name: check, description: "Looks up an order.", tool_type: http_request,
  config: {url: "https://crm.example.com/orders", method: GET, speak_during_execution: `+during+`, speak_after_execution: true}}`,
					6*time.Second, `{"status":"shipped"}`)
				k := dial(t, &agent.Agent{Name: "a"}, order, look)
				k.wait(500*ms).say("where is my order", time.Second).wait(16 * time.Second).hangUp()
				finished := k.at(EventToolFinished, "status", "ok")
				before := k.at(EventTurnAgent, "", nil)
				if finished < 0 || before < 0 || before < finished != want.speaks || k.at(EventSpeechBridge, "", nil) >= 0 != want.speaks {
					t.Errorf("spoke at %d, the tool finished at %d:\n%s", before, finished, k.lines())
				}
				hold := k.at(EventSpeechHold, "on", true)
				if hold >= 0 != want.hold || want.hold && hold > finished {
					t.Errorf("hold sound at %d, the tool finished at %d:\n%s", hold, finished, k.lines())
				}
				k.want(`It says {`)
			})
		})
	}
}

// T-12: the goodbye of an end_call is spoken to its last word, then the agent
// hangs up; without one the model's own words are.
func TestGoodbyeMessageIsSpokenWhole_T12(t *testing.T) {
	const bye = "Vielen Dank fuer Ihren Anruf. Auf Wiederhoeren!"
	for _, c := range []struct{ name, config, words, want string }{
		{"a goodbye_message", `{goodbye_message: "` + bye + `"}`, "", bye},
		{"none, and the model's words", `{}`, "Gern geschehen, auf Wiedersehen.", "Gern geschehen, auf Wiedersehen."},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := dial(t, &agent.Agent{Name: "a", Language: "de"}, func(llm.Request) (string, []llm.ToolCall, error) {
					return c.words, []llm.ToolCall{{ID: "e", Name: "end_call", Args: json.RawMessage(`{}`)}}, nil
				}, built(t, tools.Deps{}, `{tool_type: end_call, config: `+c.config+`}`)...)
				k.wait(500*ms).say("das war alles, danke.", time.Second).over()
				heard := strings.Join(k.said(), " ")
				bursts := k.leg.Spoken()
				length := time.Duration(len(c.want)) * time.Second / 15 // the voice of the tests
				if heard != c.want || len(bursts) == 0 || bursts[len(bursts)-1].To-bursts[0].From < length-60*ms {
					t.Errorf("%q was heard, in %v", heard, bursts)
				}
				k.want(`"end_reason":"agent_done"`)
			})
		})
	}
}

// refused is a directory whose agent tells why it takes no call.
type refused struct {
	directory
	say string
}

func (r refused) ForCall(context.Context, telephony.Info) (*agent.Agent, error) {
	return r.a, &Refusal{Say: r.say}
}

// F-13: a call that is refused is answered, its caller hears why to the last
// word, nothing else is said or done, and it ends.
func TestRefusedCallerIsTold_F13(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const say = "Sorry, we are currently closed. Please call again tomorrow."
		look := &tool{def: tools.Definition{Name: "lookup_caller"}, d: 300 * ms, json: `{"name":"Priya"}`}
		a := &agent.Agent{
			Name: "a", Greeting: "Thank you for calling.", Disclosure: "This call is recorded.", PreCallTools: []string{"lookup_caller"},
		}
		k := prepare(t, a, says("Never."), look)
		k.cfg.Directory = refused{directory{a: a}, say}
		k.start().over()
		if got := k.said(); !slices.Equal(got, []string{say}) || len(k.llm.Asked()) != 0 || len(look.runs) != 0 {
			t.Errorf("said %q, asked the model %d times, ran %d tools", got, len(k.llm.Asked()), len(look.runs))
		}
		k.want(`"event":"call.answered"`, `"end_reason":"rejected"`)
		if k.leg.HungUp().Reason != telephony.ReasonNormal {
			t.Errorf("hung up with %v", k.leg.HungUp())
		}
	})
}

// F-13: a speech-to-speech model may say a sentence in words of its own: where
// there is a voice, that one says why the call is refused.
func TestARefusalOfASpeechToSpeechAgentIsSaidToTheLetter_F13(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const say = "Sorry, we are currently closed. Please call again tomorrow."
		model := &testkit.Realtime{Answer: func(int, llm.Respond) testkit.RealtimeAnswer {
			return testkit.RealtimeAnswer{Text: "I am happy to help you, we never close."}
		}}
		k := spokenCall(t, model)
		k.cfg.TTS = map[string]tts.Provider{"": k.tts}
		k.cfg.Directory = refused{k.cfg.Directory.(directory), say} //nolint:forcetypeassert // that of spokenCall
		k.start().over()
		if got := k.said(); !slices.Equal(got, []string{say}) {
			t.Errorf("said %q", got)
		}
		if asked := sent[llm.Respond](model); len(asked) > 0 {
			t.Errorf("the model was asked for %+v", asked)
		}
		k.want(`"event":"call.answered"`, `"end_reason":"rejected"`)
	})
}

// F-13: where there is no voice but the model's, what it makes of the sentence is
// looked at, and told.
func TestARefusalInOtherWordsIsTold_F13(t *testing.T) {
	const say = "Sorry, we are currently closed."
	for said, told := range map[string]bool{"sorry we are currently closed": false, "Sorry, we never open.": true} {
		synctest.Test(t, func(t *testing.T) {
			model := &testkit.Realtime{Answer: func(int, llm.Respond) testkit.RealtimeAnswer {
				return testkit.RealtimeAnswer{Text: said}
			}}
			k := spokenCall(t, model)
			k.cfg.Directory = refused{k.cfg.Directory.(directory), say} //nolint:forcetypeassert // that of spokenCall
			k.start().over()
			k.want(`"end_reason":"rejected"`)
			if got := strings.Contains(k.lines(), "in other words"); got != told {
				t.Errorf("%q is told: %t\n%s", said, got, k.lines())
			}
		})
	}
}

// The words of a refusal are said as they are, whatever language the call begins
// in, and nobody who is not told of it is recorded (F-13).
func TestARefusalIsNoGreetingAndNotRecorded_F13(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		const say = "Sorry, {{language}} is closed."
		a := &agent.Agent{
			Name: "a", Language: "en", Greeting: "Hello.", Disclosure: "This call is recorded.",
			Languages: []agent.Tongue{{Language: "fr", Greeting: "Bonjour."}}, Variables: map[string]any{"language": "fr"},
		}
		k := prepare(t, a, says("Never."))
		k.cfg.Directory, k.cfg.RecordingDir = refused{directory{a: a}, say}, dir
		k.start().over()
		if got := k.said(); !slices.Equal(got, []string{say}) {
			t.Errorf("said %q", got)
		}
		files, err := filepath.Glob(filepath.Join(dir, "*"))
		if err != nil || len(files) != 0 || k.log.last.Recording != "" {
			t.Errorf("recorded %q, %q (%v)", k.log.last.Recording, files, err)
		}
		if a.Recording != nil || a.Disclosure == "" {
			t.Error("the agent itself is changed")
		}
	})
}
