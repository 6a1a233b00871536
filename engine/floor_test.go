package engine

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/internal/testkit"
	"github.com/patchcord/patchcord/telephony"
)

// outbound is a call that was dialled and is answered now.
func outbound(t *testing.T, a *agent.Agent) *call {
	t.Helper()
	c := prepare(t, a, says("Good to hear you."))
	c.leg = testkit.NewOutbound("0190", "+49301")
	c.engine()
	s := c.e.session(c.leg, a, Outbound{})
	s.detect = a.VoicemailDetection
	go func() {
		s.serve(t.Context())
		close(c.ended)
	}()
	time.Sleep(10 * ms)
	c.leg.PickUp()
	return c.wait(10 * ms)
}

// said is what was heard of the agent, in order.
func (c *call) said() (out []string) {
	c.log.mu.Lock()
	defer c.log.mu.Unlock()
	for _, e := range c.log.events {
		if e.Name == EventTurnAgent && e.Get("heard_text") != "" {
			out = append(out, e.Get("heard_text").(string)) //nolint:forcetypeassert // it is text
		}
	}
	return out
}

func seller() *agent.Agent {
	return &agent.Agent{
		Name: "a", Greeting: "Hello, this is Ada.", VoicemailDetection: true,
		VoicemailMessage: "Please call {{agent_name}} back.",
	}
}

func TestCalleeIsHeardBeforeWeGreet_convH2_convM3(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := outbound(t, seller())
		c.wait(time.Second).say("Hello?", 500*ms).wait(1600 * ms)
		if b := c.leg.Spoken(); len(b) != 1 || b[0].From < 2150*ms || b[0].From > 2300*ms {
			t.Errorf("greeted at %v: 700 ms after their greeting is wanted", b)
		}
		c.wait(3*time.Second).say("who is this?", time.Second).wait(5 * time.Second).hangUp()
		if got := c.said(); !slices.Equal(got, []string{"Hello, this is Ada.", "Good to hear you."}) {
			t.Errorf("said %q", got)
		}
		if r := c.log.last; r.AnsweredBy != "human" || r.AnsweredCause != "short" {
			t.Errorf("answered by %q: %q", r.AnsweredBy, r.AnsweredCause)
		}
		c.not("voicemail.detected")
	})
	synctest.Test(t, func(t *testing.T) { // nobody asks who answers
		c := outbound(t, &agent.Agent{Name: "a", Greeting: "Hello, this is Ada."}).wait(3 * time.Second)
		if b := c.leg.Spoken(); len(b) != 1 || b[0].From < 1150*ms || b[0].From > 1300*ms {
			t.Errorf("greeted at %v, 1.2 s of silence are wanted", b)
		}
		c.hangUp()
	})
}

// Who answers and says nothing is greeted within 2 s, and whoever placed the call
// can tell.
func TestSilentCalleeIsGreeted_convM5(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := placing(t, seller(), Outbound{}, says("x"))
		p.leg.PickUp()
		p.wait(5 * time.Second)
		p.leg.Close(telephony.Cause{Reason: telephony.ReasonNormal, Remote: true})
		end := <-p.end
		if d := end.Spoke.Sub(end.Record.Answered); d < 1750*ms || d > 2*time.Second {
			t.Errorf("greeted %v after the answer", d)
		}
		if r := end.Record; r.AnsweredBy != "unsure" || r.AnsweredCause != "no_speech" || len(p.said()) != 1 {
			t.Errorf("%+v, said %q", r, p.said())
		}
	})
	synctest.Test(t, func(t *testing.T) { // a mailbox that begins late has its message all the same
		c := outbound(t, seller()).wait(2500 * ms)
		if len(c.leg.Spoken()) == 0 {
			t.Fatal("not greeted")
		}
		c.say("You have reached Bob, please leave a message after the tone.", 3*time.Second).wait(10 * time.Second).over()
		if got := c.said(); len(got) != 2 || got[1] != "Please call a back." {
			t.Errorf("said %q", got)
		}
		c.want(`"answered_by":"machine"`)
	})
}

func TestMailboxGetsItsMessage_convM2_convM4(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := outbound(t, seller()).wait(500 * ms)
		c.say("Hi, you've reached Bob, leave a message.", 2*time.Second).wait(3 * time.Second)
		if len(c.leg.Spoken()) > 0 {
			t.Error("it is spoken into the mailbox's own words")
		}
		c.over()
		if got := c.said(); !slices.Equal(got, []string{"Please call a back."}) {
			t.Errorf("said %q", got)
		}
		if b := c.leg.Spoken(); b[0].From < 3900*ms || b[0].From > 4200*ms {
			t.Errorf("left at %v: 1.5 s after its last word are wanted", b)
		}
		c.want(`"event":"voicemail.detected"`, `"answered_by":"machine","cause":"phrase"`, `"end_reason":"voicemail"`)
		c.not("silence.prompted", "turn.user")
	})
}

func TestMessageFollowsTheBeep_convM4(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := outbound(t, seller()).wait(500*ms).say("Leave a message after the tone.", 2*time.Second).wait(3 * time.Second)
		c.leg.Speak(400 * ms) // a buzz of one frequency
		c.over()
		if b := c.leg.Spoken(); len(b) != 1 || b[0].From < 3950*ms || b[0].From > 4200*ms {
			t.Errorf("left at %v, the beep ended at 3.9 s", b)
		}
	})
}

// Words that are dropped under our greeting still tell that a machine speaks.
func TestGreetingIsTakenBackFromAMailbox_convM6(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := seller()
		a.AllowGreetingInterruption = new(bool) // locked: its words make no turn
		a.Greeting = "Hello, this is Ada, and I have a long story to tell about what we sell."
		c := outbound(t, a).wait(300*ms).say("Hi.", 400*ms).wait(1800 * ms)
		if len(c.leg.Spoken()) == 0 {
			t.Fatal("not greeted")
		}
		c.say("You have reached Bob, please leave a message after the tone.", 3*time.Second).wait(10 * time.Second).over()
		if got := c.said(); len(got) != 2 || got[1] != "Please call a back." {
			t.Errorf("said %q", got)
		}
		c.want(`"answered_by":"machine"`)
	})
}

func TestScreeningIsAnswered_convM7(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := outbound(t, seller()).wait(500 * ms)
		c.say("Hi, record your name and reason for calling.", 3*time.Second).wait(10 * time.Second)
		c.say("Thanks, stay on the line.", time.Second).wait(4 * time.Second)
		if got := c.said(); len(got) != 1 || !strings.HasPrefix(got[0], "This is a call for") {
			t.Errorf("said %q", got)
		}
		c.say("Hello?", 500*ms).wait(4 * time.Second).hangUp()
		if got := c.said(); len(got) != 2 || got[1] != "Hello, this is Ada." {
			t.Errorf("said %q", got)
		}
		c.want(`"answered_by":"screening"`)
		if c.log.last.AnsweredBy != "human" {
			t.Errorf("answered by %q at last", c.log.last.AnsweredBy)
		}
	})
}

func TestDisclosureIsSaidFirstAndWhole_convH3(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := dial(t, &agent.Agent{Name: "a", Disclosure: "This call is recorded.", Greeting: "How can I help?"}, says("Yes."))
		c.wait(300*ms).say("hello, I have a question", 900*ms).wait(8 * time.Second).hangUp()
		if got := c.said(); len(got) < 2 || got[0] != "This call is recorded." || got[len(got)-1] != "Yes." {
			t.Errorf("said %q", got)
		}
	})
}

func TestGreetingIsReadyAtTheAnswer_convH1(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := prepare(t, &agent.Agent{Name: "a", Greeting: "How can I help?"}, says("Yes."))
		c.tts.Delay = 300 * ms
		c.start().wait(time.Second).hangUp()
		c.ended = make(chan struct{}) // the next call has the greeting in the cache
		e := c.e
		c.leg = testkit.NewLeg("0191")
		c.log.ends = 0
		go func() {
			e.ServeCall(t.Context(), c.leg)
			close(c.ended)
		}()
		c.wait(time.Second)
		if b := c.leg.Spoken(); len(b) == 0 || b[0].From > 100*ms {
			t.Errorf("spoke at %v", b)
		}
		c.hangUp()
	})
}

func TestLongHoldIsWelcomedBack_convH11(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		story := "We are open from nine to five on Monday, on Tuesday from nine to eight, and on other days we rest."
		c := dial(t, &agent.Agent{Name: "a"}, says(story))
		c.wait(500*ms).say("when are you open?", time.Second).wait(3 * time.Second)
		c.leg.Send(telephony.Held{})
		c.wait(45 * time.Second)
		c.leg.Send(telephony.MediaLost{Silent: 30 * time.Second})
		c.wait(ms)
		c.leg.Send(telephony.Resumed{})
		c.wait(12 * time.Second).hangUp()
		got := c.said()
		cut := len(got) > 0 && strings.HasPrefix(story, got[0]) && got[0] != story
		if !cut || !slices.Equal(got[1:], []string{"Welcome back.", story}) {
			t.Errorf("said %q", got)
		}
		asked := c.llm.Asked()
		last := asked[len(asked)-1].Messages
		if m := last[len(last)-1]; !m.Data || !strings.Contains(m.Content, "on hold for 45 seconds") {
			t.Errorf("asked with %+v", last)
		}
	})
}

func TestMutedCallMakesNoTurns_convH12(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := dial(t, &agent.Agent{Name: "a", Greeting: "How can I help?"}, says("Yes.")).wait(3 * time.Second)
		if err := c.e.Mute("0190", true); err != nil {
			t.Fatal(err)
		}
		before := c.leg.Frames()
		c.wait(ms).say("is anybody there?", time.Second).wait(20 * time.Second)
		c.want(`"reason":"muted"`).not("turn.user", "silence.prompted")
		if n := c.leg.Frames() - before; n < 1000 {
			t.Errorf("%d frames in 21 s", n)
		}
		if err := c.e.Mute("0190", false); err != nil {
			t.Fatal(err)
		}
		c.wait(ms).say("is anybody there?", time.Second).wait(4 * time.Second).want("turn.user").hangUp()
	})
}

// buffered is a leg whose far end buffers what we say.
type buffered struct {
	*testkit.Leg
	until time.Time // it has played all
}

func (b *buffered) Flush() time.Duration { return 0 }
func (b *buffered) Ahead() time.Duration { return max(0, time.Until(b.until)) }

func TestFarEndPlaysTheGoodbye_convH5_INV33(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := prepare(t, &agent.Agent{Name: "a"}, says("x")).engine()
		leg := &buffered{c.leg, time.Now().Add(2500 * ms)}
		go func() {
			c.e.ServeCall(t.Context(), leg)
			close(c.ended)
		}()
		time.Sleep(500 * ms)
		if err := c.e.End("0190", "Goodbye then."); err != nil {
			t.Fatal(err)
		}
		c.over()
		if got := time.Since(leg.until); got < 0 || got > 50*ms {
			t.Errorf("hung up %v after the last mark", got)
		}
	})
}

func TestSilentCallerIsAskedByTheModel_F21(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := dial(t, &agent.Agent{Name: "a", Greeting: "How can I help?", AutonomousSilence: true}, says("Are you there?"))
		start := time.Now()
		c.over()
		var at []time.Duration
		for _, e := range c.log.events {
			if e.Name == EventSilencePrompted {
				at = append(at, e.Time.Sub(start).Round(time.Second))
			}
		}
		greeting, prompt := time.Second, time.Second // 15 characters each
		want := []time.Duration{
			7*time.Second + greeting, 19*time.Second + greeting + prompt, 31*time.Second + greeting + 2*prompt,
		}
		if !slices.Equal(at, want) {
			t.Errorf("asked at %v, want %v", at, want)
		}
		c.want(`"end_reason":"silence"`)
		if m := c.llm.Asked()[0].Messages; !strings.Contains(m[len(m)-1].Content, "said nothing for 7 seconds") {
			t.Errorf("asked with %+v", m)
		}
	})
}

func TestSilenceBeginsWithTheLastSample_convI1(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := dial(t, &agent.Agent{Name: "a", Greeting: "How can I help?"}, says("x")).wait(10 * time.Second)
		b := c.leg.Spoken()
		if len(b) != 2 {
			t.Fatalf("spoke %v", b)
		}
		// The prompt is synthesised when it is due; 20 ms are the voice's, 20 one frame.
		if gap := b[1].From - b[0].To - lag - 8*time.Second; gap < -20*ms || gap > 40*ms {
			t.Errorf("prompted %v too late", gap)
		}
		c.hangUp()
	})
}
