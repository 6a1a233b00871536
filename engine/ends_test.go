package engine

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
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

// dialer hands out one leg.
type dialer struct{ leg telephony.Leg }

func (d dialer) Dial(context.Context, telephony.Destination) (telephony.Leg, error) {
	if d.leg == nil {
		return nil, errors.New("no route")
	}
	return d.leg, nil
}

// place dials out.
func place(t *testing.T, a *agent.Agent) *call {
	t.Helper()
	k := prepare(t, a, says("Yes."))
	k.leg = testkit.NewOutbound("0190", "+4940222")
	k.cfg.Dialer = dialer{k.leg}
	k.engine()
	close(k.ended)
	id, err := k.e.Call(context.Background(), Outbound{Agent: "a", To: "+4940222"})
	if err != nil || id != "0190" {
		t.Fatal(id, err)
	}
	return k.wait(100 * ms)
}

func TestDialledCallEndsAsItsLegDoes(t *testing.T) {
	for _, c := range []struct {
		name  string
		cause telephony.Cause
		want  EndReason
	}{
		{"busy", telephony.Cause{Reason: telephony.ReasonBusy, Status: 486}, EndBusy},
		{"no answer", telephony.Cause{Reason: telephony.ReasonNoAnswer, Status: 480}, EndNoAnswer},
		{"bad number", telephony.Cause{Reason: telephony.ReasonBadNumber, Status: 404}, EndBadNum},
		{"declined", telephony.Cause{Reason: telephony.ReasonRejected, Status: 603}, EndRejected},
		{"no route", telephony.Cause{Reason: telephony.ReasonCongestion, Status: 503}, EndFailed},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := place(t, &agent.Agent{Name: "a"})
				k.leg.Send(telephony.Ringing{})
				k.leg.Send(telephony.EarlyMedia{})
				k.wait(3 * time.Second)
				k.leg.Close(c.cause)
				k.wait(time.Second).over()
				if r := k.log.last; r.EndReason != c.want || !r.Answered.IsZero() || r.Duration() != 0 {
					t.Errorf("ended with %q after %v", r.EndReason, r.Duration())
				}
			})
		})
	}
}

func TestDialledCallIsAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := place(t, &agent.Agent{Name: "a", Greeting: "Hello, this is support."})
		k.leg.Send(telephony.Ringing{})
		k.wait(5 * time.Second)
		k.leg.PickUp()
		k.wait(3*time.Second).want(`"direction":"outbound"`, `"event":"call.answered"`,
			`"heard_text":"Hello, this is support."`)
		k.say("is it you?", time.Second).wait(3 * time.Second).want(`"heard_text":"Yes."`)
		k.leg.Close(telephony.Cause{Reason: telephony.ReasonNormal, Remote: true})
		k.wait(time.Second).over().want(`"end_reason":"hangup"`)
	})
}

func TestDialledCallIsCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := place(t, &agent.Agent{Name: "a", Greeting: "Hello."})
		if err := k.e.End("0190", ""); err != nil {
			t.Fatal(err)
		}
		k.wait(time.Second).over().want(`"end_reason":"cancelled"`).not("call.answered")
		if k.leg.HungUp().Reason != telephony.ReasonCancelled {
			t.Errorf("hung up with %v", k.leg.HungUp())
		}
	})
}

func TestDialThatFailsIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := prepare(t, &agent.Agent{Name: "a"}, says("x"))
		k.cfg.Dialer = dialer{}
		counted := 0 // of the day (SEC-5)
		k.cfg.Claim = func(context.Context, string) error { counted++; return nil }
		k.cfg.Unclaim = func() { counted-- }
		if _, err := k.engine().e.Call(t.Context(), Outbound{Agent: "a", To: "1"}); err == nil {
			t.Error("no error")
		}
		if counted != 0 {
			t.Errorf("%d calls are counted that did not leave", counted)
		}
	})
}

func TestAnswerThatFails(t *testing.T) {
	for _, c := range []struct {
		name string
		err  error
		want EndReason
	}{
		{"the caller gave up", &telephony.HangupError{Cause: telephony.Cause{Reason: telephony.ReasonCancelled}}, EndCanceled},
		{"no ACK came", &telephony.HangupError{Cause: telephony.Cause{Reason: telephony.ReasonNoAck}}, EndFailed},
		{"anything else", errors.New("socket closed"), EndFailed},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				k := prepare(t, &agent.Agent{Name: "a", Greeting: "Hello."}, says("x"))
				k.cfg.RecordingDir = dir
				k.leg.Refuse(c.err)
				k.start()
				k.leg.Close(telephony.Cause{Reason: telephony.ReasonFailed})
				k.over()
				if r := k.log.last; r.EndReason != c.want || r.Recording != "" {
					t.Errorf("ended with %q, recording %q", r.EndReason, r.Recording)
				}
				if files, _ := filepath.Glob(filepath.Join(dir, "*")); len(files) > 0 {
					t.Errorf("left %q behind", files)
				}
			})
		})
	}
}

func TestRecordingThatCannotBeWrittenIsNoFaultOfTheCall(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		k := prepare(t, &agent.Agent{Name: "a", Greeting: "Hello there."}, says("Yes."))
		k.cfg.RecordingDir = filepath.Join(file, "folder") // not even root can make it
		k.start().wait(3*time.Second).hangUp().want(`"heard_text":"Hello there."`, `"end_reason":"hangup"`)
		if k.log.last.Recording != "" {
			t.Errorf("recording %q", k.log.last.Recording)
		}
	})
}

func TestContextOfTheLegEndsTheCallInEveryPhase(t *testing.T) {
	for _, c := range []struct {
		name string
		at   time.Duration
	}{
		{"at once", 0},
		{"greeting", 500 * ms},
		{"quiet", 4 * time.Second},
		{"caller speaks", 5500 * ms},
		{"model thinks", 6450 * ms},
		{"tool runs", 7 * time.Second},
		{"answer", 12 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := prepare(t, &agent.Agent{Name: "a", Greeting: "Hello, how can I help?"}, order, checkTool(4*time.Second))
				k.engine()
				ctx, cancel := context.WithCancelCause(t.Context())
				go func() {
					k.e.ServeCall(ctx, k.leg)
					close(k.ended)
				}()
				time.AfterFunc(5*time.Second, func() { k.say("where is my order?", time.Second) })
				k.wait(c.at)
				cancel(&telephony.HangupError{Cause: telephony.Cause{Reason: telephony.ReasonSession}})
				before := time.Now()
				k.leg.Close(telephony.Cause{Reason: telephony.ReasonSession})
				if k.over(); time.Since(before) > 2*time.Second {
					t.Errorf("ended after %v", time.Since(before))
				}
				k.want(`"end_reason":"failed"`)
				time.Sleep(6 * time.Second)
			})
		})
	}
}

// bubbled counts the goroutines of the test's own bubble. The runtime's own
// count holds those of other tests too, and such as have ended and are not yet
// taken away.
func bubbled() int {
	all := stacks() // our own goroutine is the first
	head, _, _ := strings.Cut(all, "]")
	_, own, _ := strings.Cut(head, "synctest ")
	return strings.Count(all, own+"]") + strings.Count(all, own+",")
}

func stacks() string {
	buf := make([]byte, 1<<20)
	return string(buf[:runtime.Stack(buf, true)])
}

func TestNothingRunsTwoSecondsAfterTheEnd_INV32(t *testing.T) {
	for _, at := range []time.Duration{0, 300 * ms, 1700 * ms, 2 * time.Second, 3 * time.Second, 7 * time.Second} {
		t.Run(at.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				before := bubbled()
				a := &agent.Agent{Name: "a", Greeting: "Hello, how can I help?"}
				k := dial(t, a, order, checkTool(4*time.Second))
				k.say("where is my order?", time.Second).wait(at)
				k.leg.Close(telephony.Cause{Reason: telephony.ReasonNormal, Remote: true})
				time.Sleep(2 * time.Second)
				synctest.Wait()
				if n := bubbled(); n > before {
					t.Errorf("%d goroutines more:\n%s", n-before, stacks())
				}
				k.over()
			})
		})
	}
}

func TestAPISpeaksAndEndsInEveryState_convH8(t *testing.T) {
	for _, c := range []struct {
		name string
		at   time.Duration
	}{
		{"greeting", 300 * ms},
		{"quiet", 4 * time.Second},
		{"caller speaks", 5500 * ms},
		{"caller pauses", 6150 * ms},
		{"model thinks", 6450 * ms},
		{"bridging sentence", 7 * time.Second},
		{"tool runs", 9500 * ms},
		{"answer", 11500 * ms},
		{"on hold", 30 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := &agent.Agent{Name: "a", Greeting: "Hello, how can I help?"}
				k := dial(t, a, order, checkTool(4*time.Second))
				time.AfterFunc(5*time.Second, func() { k.say("where is my order?", time.Second) })
				if c.name == "on hold" {
					k.wait(time.Second)
					k.leg.Send(telephony.Held{})
				}
				k.wait(c.at)
				if err := k.e.Say("0190", "The shop closes in five minutes."); err != nil {
					t.Fatal(err)
				}
				k.wait(c.at / 20)
				if c.name != "on hold" {
					k.wait(8 * time.Second).want(`"kind":"said","text":"The shop closes in five minutes."`)
				}
				if err := k.e.End("0190", "So long."); err != nil {
					t.Fatal(err)
				}
				k.over().want(`"kind":"goodbye"`, `"heard_text":"So long."`, `"end_reason":"api"`)
			})
		})
	}
}

func TestHoldInEveryState_convH11(t *testing.T) {
	for _, c := range []struct {
		name string
		at   time.Duration
	}{
		{"greeting", 500 * ms},
		{"quiet", 4 * time.Second},
		{"caller speaks", 5500 * ms},
		{"caller pauses", 6150 * ms},
		{"model thinks", 6450 * ms},
		{"bridging sentence", 7 * time.Second},
		{"tool runs", 9500 * ms},
		{"answer", 11500 * ms},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := &agent.Agent{Name: "a", Greeting: "Hello, how can I help?"}
				k := dial(t, a, order, checkTool(4*time.Second))
				time.AfterFunc(5*time.Second, func() { k.say("where is my order?", time.Second) })
				k.wait(c.at)
				k.leg.Send(telephony.Held{})
				k.wait(40 * ms)
				held := k.leg.Spoken()
				k.wait(20 * time.Second)
				if now := k.leg.Spoken(); len(now) != len(held) || len(now) > 0 && now[len(now)-1].To != held[len(held)-1].To {
					t.Errorf("spoke on hold: %v, then %v", held, now)
				}
				k.leg.Send(telephony.Resumed{})
				k.wait(15*time.Second).want(`"event":"call.held"`, `"event":"call.resumed"`)
				k.want(`"heard_text":"It says {\"status\":\"shipped\"}"`).hangUp()
			})
		})
	}
}

func TestGoodbyeIsNeverClipped_INV33(t *testing.T) {
	bye := "Thank you for calling, goodbye and take care."
	for _, c := range []struct {
		name string
		do   func(k *call)
	}{
		{"in silence", func(*call) {}},
		{"under noise", func(k *call) { k.leg.Speak(8 * time.Second) }},
		{"under their own goodbye", func(k *call) { k.say("okay, thanks, bye!", time.Second) }},
		{"with a second end", func(k *call) { _ = k.e.End("0190", "Another one.") }},
		{"with something else to say", func(k *call) { _ = k.e.Say("0190", "By the way.") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				end := &tool{def: tools.Definition{Name: "end_call", Type: tools.EndCall, Class: tools.Terminal}, json: `{}`}
				k := dial(t, &agent.Agent{Name: "a"}, func(llm.Request) (string, []llm.ToolCall, error) {
					return bye, []llm.ToolCall{{ID: "e", Name: "end_call"}, {ID: "e", Name: "end_call"}}, nil
				}, end)
				k.wait(500*ms).say("that is all, bye.", time.Second).wait(2800 * ms)
				c.do(k)
				k.over().want(`"heard_text":"`+bye+`"`, `"end_reason":"agent_done"`)
				k.not(`"heard_text":"By the way."`, "Another one")
				bursts := k.leg.Spoken()
				if got := bursts[len(bursts)-1].To - bursts[0].From; got < time.Duration(len(bye))*time.Second/15-60*ms {
					t.Errorf("the goodbye lasted %v", got)
				}
				if k.log.last.Turns != 1 {
					t.Errorf("%d turns", k.log.last.Turns)
				}
			})
		})
	}
}

// A terminal call is armed until its words were heard: a caller who goes on
// before is not cut off (pipecat #4997), by words or by keys (INV25, INV33).
func TestGoodbyeIsTakenBackWhenTheCallerGoesOn(t *testing.T) {
	for _, c := range []struct {
		name, turn string
		at         time.Duration
		do         func(k *call)
	}{
		{"under it", "oh, one more thing", 2800 * ms, func(k *call) { k.say("oh, one more thing", time.Second) }},
		{"over its end", "oh, one more thing", 4200 * ms, func(k *call) { k.say("oh, one more thing", time.Second) }},
		{"with a key", "DTMF 1", 2800 * ms, func(k *call) { k.leg.Send(telephony.Digit{Key: '1'}) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				end := &tool{def: tools.Definition{Name: "end_call", Type: tools.EndCall, Class: tools.Terminal}, json: `{}`}
				n := 0
				k := dial(t, &agent.Agent{Name: "a"}, func(llm.Request) (string, []llm.ToolCall, error) {
					if n++; n == 1 {
						return "Thank you for calling, goodbye and take care.", []llm.ToolCall{{ID: "e", Name: "end_call"}}, nil
					}
					return "Of course, go ahead.", nil, nil
				}, end)
				k.wait(500*ms).say("that is all, bye.", time.Second).wait(c.at)
				c.do(k)
				k.wait(8*time.Second).want(c.turn, `"reason":"caller_resumed:`, `"heard_text":"Of course, go ahead."`)
				k.not(`"end_reason"`).hangUp().want(`"end_reason":"hangup"`)
				if got := results(k.llm.Asked()[1]); len(got) != 1 || !strings.Contains(got[0], "caller_resumed") {
					t.Errorf("the model was told %q", got)
				}
			})
		})
	}
}

func TestLegThatFloodsEndsTheCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := prepare(t, &agent.Agent{Name: "a"}, says("x"))
		s := newSession(k.engine().e, k.leg, &agent.Agent{}, nil)
		go func() {
			for range 3 * ctlItems {
				k.leg.Send(telephony.Digit{Key: '1'})
			}
			k.leg.Close(telephony.Cause{Reason: telephony.ReasonNormal})
		}()
		s.pumpLeg() // nobody takes
		var over, ended bool
		for {
			item, ok := s.ctl.take()
			if !ok {
				break
			}
			_, isOver := item.(overload)
			ev, _ := item.(legEvent)
			_, isEnd := ev.ev.(telephony.Ended)
			over, ended = over || isOver, ended || isEnd
		}
		if !over || !ended {
			t.Errorf("overload %v, ended %v", over, ended)
		}
	})
}

// Room for a call is taken when it is admitted, kept for those that are urgent,
// and a call that was admitted is served though the engine drains since.
func TestAdmittedCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := dial(t, &agent.Agent{Name: "a", Greeting: "Hello."}, says("x"))
		e := k.e
		e.cfg.MaxCalls, e.cfg.Reserved = 3, 1
		if !e.Admit("second", false) || e.Admit("third", false) || !e.Admit("third", true) || e.Admit("fourth", true) {
			t.Error("two of three calls may be any, the third an urgent one")
		}
		e.Leave("third")
		if e.Room() {
			t.Error("there is room for any call")
		}
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		done := make(chan struct{})
		go func() {
			e.Drain(ctx)
			close(done)
		}()
		k.wait(time.Second)
		served := make(chan struct{})
		leg := testkit.NewLeg("second")
		go func() {
			e.ServeCall(t.Context(), leg)
			close(served)
		}()
		k.wait(time.Second)
		if e.Calls() != 2 || e.Admit("late", true) {
			t.Errorf("%d calls are up, want the two from before", e.Calls())
		}
		<-done
		<-served
		<-k.ended
	})
}

func TestDrainLetsCallsEndThenSaysGoodbye(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := dial(t, &agent.Agent{Name: "a", Greeting: "Hello."}, says("x"))
		k.wait(2 * time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		done := make(chan struct{})
		go func() {
			k.e.Drain(ctx)
			close(done)
		}()
		k.wait(time.Second)
		if k.e.Room() {
			t.Error("a draining engine takes calls")
		}
		k.e.ServeCall(t.Context(), testkit.NewLeg("0191"))
		k.over().want(`"kind":"goodbye"`, `"end_reason":"drained"`).not("0191")
		<-done
	})
}

// The times of a call are told by a clock that nobody sets: a step of the wall
// clock changes no duration and no wait (reliability.md 5.2).
func TestTimesOfACallAreMonotonic(t *testing.T) {
	t.Parallel()
	k := prepare(t, &agent.Agent{Name: "a"}, says("x")).engine() // in real time: that of a bubble is the wall clock's alone
	go func() {
		k.e.ServeCall(t.Context(), k.leg)
		close(k.ended)
	}()
	tick := time.NewTicker(5 * ms)
	defer tick.Stop()
	for !strings.Contains(k.lines(), `"event":"call.answered"`) {
		<-tick.C
	}
	k.leg.Close(telephony.Cause{Reason: telephony.ReasonNormal, Remote: true})
	<-k.ended
	k.e.Drain(t.Context()) // until the record is closed
	r := k.log.last
	for name, at := range map[string]time.Time{"started": r.Started, "answered": r.Answered, "ended": r.Ended} {
		if !strings.Contains(at.String(), " m=") {
			t.Errorf("%s is of the wall clock alone: %v", name, at)
		}
	}
}
