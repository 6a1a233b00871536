package engine

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/engine/turn"
	"github.com/patchcord/patchcord/internal/testkit"
)

func TestWhoTakesACall(t *testing.T) {
	t.Parallel()
	const yes, no, neither = "yes", "no", ""
	for _, c := range []struct {
		language, said string
		early          bool // before the question was asked
		want           string
	}{
		{"en", "Yes.", false, yes},
		{"en-US", "YES, put them through!", false, yes},
		{"en", "yes put them through", true, yes},
		{"en", "Put them through, please.", false, yes},
		{"en", "Well, I suppose that you may put them through now.", false, yes},
		{"en", "Yes of course, I was waiting for that call all morning.", false, yes},
		{"en", "No problem, I'll take it.", false, yes},
		{"en", "No.", false, no},
		{"en", "No, I'm sorry, not now.", false, no},
		{"en", "I can't, I am in the middle of something.", false, no},
		{"en", "I'm sorry, I am in a meeting for the next two hours.", false, no},
		{"en", "Yes, but I cannot talk now.", false, neither},
		{"en", "Wait a second.", false, neither},
		{"en", "Who is calling?", false, neither},
		{"en", "Good morning, yes, this is the sales department of Example.", true, neither},
		{"en", "Hello, this is John, I can't come to the telephone.", true, neither},
		{"en", "This is John, I am away until Monday, please try again then.", false, neither},
		{"de-DE", "Ja, bitte.", false, yes},
		{"de", "Ja gerne, stellen Sie ihn durch.", false, yes},
		{"de", "Nein, gerade nicht.", false, no},
		{"de", "Tut mir leid, ich habe gerade überhaupt keine Zeit.", false, no},
		{"fr-FR", "Oui, passez-le-moi.", false, yes},
		{"fr", "Non, pas maintenant.", false, no},
		{"es-ES", "Sí.", false, yes},
		{"es", "Sí, pásemelo, por favor.", false, yes},
		{"es", "No, estoy ocupado.", false, no},
		{"it", "Sì, va bene.", false, yes},
		{"it", "No, non posso.", false, no},
		{"nl", "Ja, verbind maar door.", false, yes},
		{"nl", "Nee, ik heb geen tijd.", false, no},
		{"pt-BR", "Sim, pode passar.", false, yes},
		{"pt", "Não, agora não.", false, no},
		{"sv", "yes", false, yes}, // it was asked in English
	} {
		got := neither
		switch y, n := takes(c.said, c.language, !c.early); {
		case y:
			got = yes
		case n:
			got = no
		}
		if got != c.want {
			t.Errorf("%s: %q is %q, want %q", c.language, c.said, got, c.want)
		}
	}
	for tag := range scripts {
		w, ok := takings[tag]
		if !ok {
			t.Errorf("%s: the question is asked, and no answer is known", tag)
		}
		for _, p := range append(append(append(w.yes, w.no...), w.takes...), append(w.declines, w.asides...)...) {
			if " "+turn.Normal(p)+" " != p {
				t.Errorf("%s: %q is no words as they are compared", tag, p)
			}
		}
	}
}

// TestWarmTransferTakenByVoice: a greeting is no answer; what was said to the
// question is, and the caller is told of a no (T-10).
func TestWarmTransferTakenByVoice_T10(t *testing.T) {
	const tool = `{name: hand_over, tool_type: transfer_call, config: {phone_number: "+4930999888", transfer_mode: warm, accept: voice}}`
	for answer, want := range map[string]string{
		"Yes, you may put them through to me.": `"status":"joined"`,
		"No, I am sorry, not now.":             `"result":"declined","reason":"by voice"`,
		"Who is that?":                         `"result":"no_answer","reason":"nobody took the call"`,
	} {
		t.Run(answer, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := &desk{}
				var c *call
				d.answer = answersAnd(200*ms, func(l *testkit.Leg) {
					c.stt.Hear("Yes, good morning?")
					greets(time.Second)(l)
					time.Sleep(15 * time.Second)
					c.stt.Hear(answer)
					greets(time.Second)(l)
				})
				ts := built(t, germany, tool)
				c = prepare(t, &agent.Agent{Name: "a", Greeting: "Hello."}, askedFor("hand_over"), ts...)
				c.cfg.Dialer = d
				c.start().wait(2*time.Second).say("sales please", time.Second).wait(50 * time.Second)
				c.want(want)
				if strings.Contains(want, "declined") {
					if c.wait(4 * time.Second); !strings.Contains(strings.Join(c.said(), " "), "They cannot take your call") {
						t.Errorf("the caller heard %q", c.said())
					}
				}
				c.hangUp()
				d.freed(t)
			})
		})
	}
}

// TestReturnPhrase: the agent steps in when one of two who talk says it, in whatever
// case and sentence, and not for a part of it (T-11).
func TestReturnPhrase_T11(t *testing.T) {
	const tool = `{name: hand_over, tool_type: monitored_transfer, config: {phone_number: "+4930999888",
	  return_phrases: ["Operator!", "Bring the assistant BACK."]}}`
	for _, x := range []struct {
		by, said string
		back     bool
	}{
		{"caller", "Could you bring the assistant back, please?", true},
		{"target", "could you bring the assistant back please", true},
		{"caller", "OPERATOR", true},
		{"target", "Bring the assistant.", false},
		{"caller", "The operators are back.", false},
	} {
		t.Run(x.by+" "+x.said, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := &desk{answer: picksUp}
				ts := built(t, germany, tool)
				a := &agent.Agent{Name: "a", Greeting: "Hello.", Turn: turn.Policy{Silence: 10 * time.Minute}}
				c := prepare(t, a, askedFor("hand_over"), ts...)
				c.cfg.Dialer = d
				c.start().wait(2*time.Second).say("sales please", time.Second).wait(20 * time.Second).want(`"status":"joined"`)
				if x.by == "caller" {
					c.say(x.said, time.Second)
				} else {
					c.stt.Hear(x.said)
					greets(time.Second)(d.leg())
				}
				c.wait(5*time.Second).want(`"event":"turn.overheard"`, `"speaker":"`+x.by+`"`)
				if got := strings.Contains(c.lines(), `"reason":"asked"`); got != x.back {
					t.Errorf("the agent stepped in: %v, want %v", got, x.back)
				}
				if x.back {
					d.freed(t)
				}
				c.hangUp()
				d.freed(t)
			})
		})
	}
}
