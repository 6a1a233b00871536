package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/engine/turn"
	"github.com/patchcord/patchcord/internal/testkit"
	"github.com/patchcord/patchcord/llm"
	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/tools"
)

// germany lets calls through as the gate for dialling does with that prefix allowed
// and premium numbers denied; its own tests hold what else it refuses.
var germany = tools.Deps{MayDial: func(to string) error {
	if !strings.HasPrefix(to, "+49") || strings.HasPrefix(to, "+49900") {
		return errors.New("no prefix of dialing.allow fits")
	}
	return nil
}}

const sales = `{tool_type: transfer_call, config: {destinations: [
  {type: number, number: "+4930999888", description: "Sales team", message: "I put you through to sales."},
  {type: number, name: premium, number: "+49900123456", description: "A costly line"},
  {type: number, name: abroad, number: "+881612345678", description: "A satellite"}]}}`

// desk is who is called: every leg to it does as answer says, from its dialling
// on.
type desk struct {
	answer func(*testkit.Leg)

	mu   sync.Mutex // guards what follows
	legs []*testkit.Leg
	to   []telephony.Destination
}

func (d *desk) Dial(ctx context.Context, to telephony.Destination) (telephony.Leg, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	l := testkit.NewOutbound(telephony.CallID(fmt.Sprintf("target-%d", len(d.legs))), to.To)
	d.legs, d.to = append(d.legs, l), append(d.to, to)
	up := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		select {
		case <-up: // the answer was faster
		default:
			l.Close(telephony.Cause{Reason: telephony.ReasonCancelled})
		}
	})
	nobody := telephony.Cause{Reason: telephony.ReasonNoAnswer, Status: 408}
	ring := time.AfterFunc(to.RingTimeout, func() { l.Close(nobody) })
	go func() {
		defer stop()
		defer ring.Stop()
		d.answer(l)
		if l.Over() {
			return
		}
		close(up)
	}()
	return l, nil
}

// freed fails where a leg to the desk is up.
func (d *desk) freed(t *testing.T) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	for i, l := range d.legs {
		if !l.Over() {
			t.Errorf("leg %d to the target is up", i)
		}
	}
}

func (d *desk) leg() *testkit.Leg {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.legs) == 0 {
		return nil
	}
	return d.legs[len(d.legs)-1]
}

// picksUp answers after a while of ringing, and says hello.
func picksUp(l *testkit.Leg) {
	time.Sleep(500 * ms)
	l.Send(telephony.Ringing{})
	time.Sleep(1500 * ms)
	l.PickUp()
}

// rings does so for ever.
func rings(l *testkit.Leg) {
	l.Send(telephony.Ringing{})
	for !l.Over() {
		time.Sleep(100 * ms)
	}
}

// turnsDown ends the attempt.
func turnsDown(status int) func(*testkit.Leg) {
	return func(l *testkit.Leg) {
		time.Sleep(500 * ms)
		l.Close(telephony.Cause{Reason: telephony.ReasonOf(status), Status: status, Remote: true})
	}
}

// transferring is a caller who has asked for sales.
func transferring(t *testing.T, args string, d *desk, defs ...string) *call {
	t.Helper()
	if defs == nil {
		defs = []string{sales}
	}
	ts := built(t, germany, defs...)
	c := prepare(t, &agent.Agent{Name: "a", Greeting: "Hello."}, once(ts[0].Definition().Name, args), ts...)
	c.cfg.TransfersPerCall = 1
	if d != nil {
		c.cfg.Dialer = d
	}
	return c.start().wait(2*time.Second).say("sales please", time.Second)
}

const toSales = `{"destination":"+4930999888"}`

// TestTransferTool_F09: to a destination of its list, after its message.
func TestTransferTool_F09_convH9_convH10(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &desk{answer: picksUp}
		c := transferring(t, toSales, d).wait(10 * time.Second)
		c.want(`"event":"transfer.started","call_id":"0190"`, `"announcement":"I put you through to sales."`, `"status":"joined"`,
			`"result":"answered"`)
		if got := c.said(); !slices.Equal(got, []string{"Hello.", "I put you through to sales."}) {
			t.Errorf("said %q", got)
		}
		if n := len(c.llm.Asked()); n != 1 {
			t.Errorf("the model was asked %d times", n)
		}
		before := len(d.leg().Spoken())
		c.say("hello sales", time.Second).wait(2 * time.Second)
		if len(d.leg().Spoken()) == before {
			t.Error("the target does not hear the caller")
		}
		heard := len(c.leg.Spoken())
		d.leg().Speak(time.Second)
		if c.wait(2 * time.Second); len(c.leg.Spoken()) == heard {
			t.Error("the caller does not hear the target")
		}
		d.leg().Close(telephony.Cause{Reason: telephony.ReasonNormal, Remote: true})
		c.over().want(`"end_reason":"transferred"`)
		d.freed(t)
	})
}

// TestNothingElseIsDialled_SEC5: whatever a model asks for, no call goes where
// the maker or the gate does not want it.
func TestNothingElseIsDialled_SEC5(t *testing.T) {
	for _, to := range []string{
		"premium", "abroad", "+49900123456", "+881612345678", "+4930999888;phone-context=+1", "+4930999888?Replaces=x", "tel:+4930999888",
		"sip:user@evil.example", "sips:user@evil.example", "+1-900-555-0100", "+１２３４５", "+4930999888\r\nVia: x", "0900123456",
		"+4930999888,premium", " +4930999888", "+49 30 999888", "", "null", "*72+4930999888", "00881612345678", "+4930999888#",
		"sip:+4930999888@127.0.0.1", "+4930999888@evil.example", "+49309998880", "+493099988", "٤٩٣٠٩٩٩٨٨٨", "+4930999888%0d%0a",
		"<sip:a@b>", "Sales team", "{{caller_phone}}", "+49<script>", "+4930999888 OR 1=1", "../../etc/passwd", "urn:service:sos", "112",
		"911", "+1900", "+44871", "+37129999999", "+24174123456", "+870773123456", "+88213123456", "+979123456789", "118118",
		"sip:@", "sip:a@[::1]", "sip:a@0.0.0.0", "tel:118", "+", "+0", "+49", "+490", "+4900",
	} {
		synctest.Test(t, func(t *testing.T) {
			arg := strings.NewReplacer("\r", `\r`, "\n", `\n`, `"`, `\"`).Replace(to)
			d := &desk{answer: picksUp}
			c := transferring(t, `{"destination":"`+arg+`"}`, d)
			c.wait(4 * time.Second).hangUp()
			if len(d.to) > 0 {
				t.Errorf("%q: dialled %+v", to, d.to)
			}
			c.want(`"event":"tool.refused"`, "That was it").not("transfer.started")
		})
	}
}

// TestTransferByTheAPI_F17: in the same way as by a tool, through the same gate.
func TestTransferByTheAPI_F17_SEC5(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &desk{answer: picksUp}
		c := prepare(t, &agent.Agent{Name: "a", Greeting: "Hello."}, says("I see."))
		c.cfg.Dialer, c.cfg.Tools, c.cfg.TransfersPerCall = d, germany, 1
		c.leg.Describe(func(i *telephony.Info) {
			i.Diverted, i.Passports = []telephony.Diversion{{Number: "+4930222", Reason: "no-answer"}}, []string{"e.y.j"}
		})
		c.start().wait(2 * time.Second)
		for _, to := range []string{"+49900123456", "+881612345678"} {
			if err := c.e.Transfer("0190", tools.Transfer{To: to}); err == nil || !strings.Contains(err.Error(), "dialing.allow") {
				t.Errorf("%s: %v", to, err)
			}
		}
		if err := c.e.Transfer("0190", tools.Transfer{To: "+4930999888", Message: "One moment."}); err != nil {
			t.Fatal(err)
		}
		c.wait(6*time.Second).want(`"announcement":"One moment."`, `"result":"answered"`)
		if err := c.e.Transfer("0190", tools.Transfer{To: "+4930999888"}); err != nil {
			t.Fatal(err)
		}
		c.wait(time.Second).want(`"result":"refused"`).hangUp()
		if len(d.to) != 1 || d.to[0].To != "+4930999888" || d.to[0].Prefer != "PCMU" {
			t.Errorf("dialled %+v", d.to)
		}
		if got := fmt.Sprint(d.to[0].Diverted, d.to[0].Passports); got != "[{+4930222 no-answer} {+4930123456 deflection}] [e.y.j]" {
			t.Errorf("passed on with %s", got)
		}
		d.freed(t)
	})
}

// TestTransferWithoutAWay: the call goes on, and the model knows why.
func TestTransferWithoutAWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := transferring(t, toSales, nil)
		c.wait(6*time.Second).hangUp().want("transfer_unavailable", `That was it`).not("transfer.started")
	})
}

// TestTransfersAreBounded_SEC5: one a call, however often they fail, and no more
// in all than the day has room for.
func TestTransfersAreBounded_SEC5(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &desk{answer: turnsDown(486)}
		c := transferring(t, toSales, d, strings.Replace(sales, "config:", "max_failures: 0, config:", 1)).wait(10 * time.Second)
		c.say("once more please", time.Second).wait(10 * time.Second).hangUp()
		c.want(`"result":"busy"`, `"reason":"transfer_limit`)
		if len(d.to) != 1 {
			t.Errorf("dialled %d times", len(d.to))
		}
	})
	synctest.Test(t, func(t *testing.T) {
		d := &desk{answer: picksUp}
		ts := built(t, germany, sales)
		c := prepare(t, &agent.Agent{Name: "a", Greeting: "Hello."}, once("transfer_call", toSales), ts...)
		c.cfg.Dialer = d
		c.cfg.Claim = func(context.Context, string) error {
			return errors.New("dialing.per_day: 100 calls were dialled today")
		}
		c.start().wait(2*time.Second).say("sales please", time.Second).wait(8 * time.Second).hangUp()
		c.want(`"result":"failed","reason":"no further call may be dialled now: dialing.per_day: 100 calls were dialled today"`)
		if len(d.to) > 0 {
			t.Errorf("dialled %v", d.to)
		}
	})
}

// A transfer whose call could not be placed is not counted against the day,
// whichever way it was to go (SEC-5).
func TestTransferThatCannotBeDialledIsNotCounted_SEC5(t *testing.T) {
	for way, def := range ways {
		t.Run(way, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ts := built(t, germany, def)
				c := prepare(t, &agent.Agent{Name: "a", Greeting: "Hello."}, askedFor("hand_over"), ts...)
				c.cfg.Dialer = dialer{} // every call fails
				claimed, counted := 0, 0
				c.cfg.Claim = func(context.Context, string) error { claimed++; counted++; return nil }
				c.cfg.Unclaim = func() { counted-- }
				c.start().wait(2*time.Second).say("sales please", time.Second).wait(10 * time.Second).hangUp()
				c.want(`"event":"transfer.finished"`, `"result":"failed"`)
				if claimed != 1 || counted != 0 {
					t.Errorf("claimed %d times, %d calls are counted that did not leave", claimed, counted)
				}
			})
		})
	}
}

// told is when a sentence of the agent's began to sound.
func (c *call) told(text string) time.Time {
	c.log.mu.Lock()
	defer c.log.mu.Unlock()
	for _, e := range c.log.events {
		if e.Name == EventTurnAgent && e.Get("text") == text {
			return e.Time.Add(-time.Duration(e.Get("heard_ms").(int64)) * ms) //nolint:durationcheck,forcetypeassert // it always is
		}
	}
	return time.Time{}
}

// TestTransferThatFailsIsToldWithinASecond_convH9: it is back with the agent, who
// knows why, and goes on.
func TestTransferThatFailsIsToldWithinASecond_convH9_convC6(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var failed time.Time
		d := &desk{answer: func(l *testkit.Leg) {
			time.Sleep(10 * time.Second)
			failed = time.Now()
			l.Close(telephony.Cause{Reason: telephony.ReasonBusy, Status: 486, Text: "Busy Here"})
		}}
		c := transferring(t, toSales, d)
		c.wait(6 * time.Second)
		c.leg.Speak(time.Second) // nobody listens to it: the sound of ringing may come back in it
		from := time.Now()
		c.want(`"event":"speech.hold"`).wait(8500 * ms)
		if failed.Before(from) || c.told("The line is busy just now. How else can I help?").Sub(failed) > time.Second {
			t.Errorf("it failed at %v, told at %v", failed, c.told("The line is busy just now. How else can I help?"))
		}
		c.wait(4*time.Second).say("then take a message", time.Second).wait(4 * time.Second).hangUp()
		want := []string{"Hello.", "I put you through to sales.", "The line is busy just now. How else can I help?", "That was it:"}
		if got := c.said(); !slices.Equal(got, want) {
			t.Errorf("said %q", got)
		}
		c.want(`"result":"busy","reason":"486 Busy Here"`).not("hello?")
		if c.log.last.Turns != 2 {
			t.Errorf("%d turns", c.log.last.Turns)
		}
		told := false
		for _, m := range c.llm.Asked()[len(c.llm.Asked())-1].Messages {
			told = told || m.Data && strings.Contains(m.Content, "The transfer failed: busy")
		}
		if !told {
			t.Error("the model does not know that it was busy")
		}
		d.freed(t)
	})
}

// ways are tools that hand the caller over, one of each kind.
var ways = map[string]string{
	"cold": `{name: hand_over, tool_type: transfer_call, config: {phone_number: "+4930999888", message: "One moment.", play_hold_music: true}}`,
	"warm": `{name: hand_over, tool_type: transfer_call, config: {phone_number: "+4930999888", message: "One moment.",
	  transfer_mode: warm, play_hold_music: true, timeout_seconds: 20}}`,
	"monitored": `{name: hand_over, tool_type: monitored_transfer, config: {phone_number: "+4930999888", message: "One moment."}}`,
}

// asked is what the model does in these calls: it hands over once, answers what
// it is told, and writes the summary.
func askedFor(tool string) answers {
	first := once(tool, `{}`)
	return func(r llm.Request) (string, []llm.ToolCall, error) {
		if strings.HasPrefix(r.Messages[0].Content, "A caller is to be put through") {
			return "They want to buy a boat.", nil, nil
		}
		for _, m := range r.Messages {
			if m.Role == llm.ToolRole {
				last := r.Messages[len(r.Messages)-1]
				switch {
				case strings.HasPrefix(last.Content, llm.NewsPrefix):
					return "I am sorry, that did not work: " + last.Content, nil, nil
				case last.Role == llm.ToolRole:
					return "I am trying to reach them.", nil, nil
				}
				return "I see.", nil, nil
			}
		}
		return first(r)
	}
}

// handingOver is a caller who is handed over in a way.
func handingOver(t *testing.T, way string, d *desk) *call {
	t.Helper()
	ts := built(t, germany, ways[way])
	a := &agent.Agent{Name: "a", Greeting: "Hello.", Turn: turn.Policy{Silence: 10 * time.Minute}}
	c := prepare(t, a, askedFor("hand_over"), ts...)
	c.cfg.Dialer, c.cfg.TransfersPerCall = d, 1
	return c.start().wait(2*time.Second).say("sales please", time.Second).wait(4 * time.Second)
}

// answersAnd picks up and does something some time later.
func answersAnd(after time.Duration, do func(*testkit.Leg)) func(*testkit.Leg) {
	return func(l *testkit.Leg) {
		picksUp(l)
		go func() {
			time.Sleep(after)
			do(l)
		}()
	}
}

func presses(key byte) func(*testkit.Leg) {
	return func(l *testkit.Leg) { l.Send(telephony.Digit{Key: key, Duration: 100 * ms}) }
}

func leaves(l *testkit.Leg) { l.Close(telephony.Cause{Reason: telephony.ReasonNormal, Remote: true}) }

// greets is who greets for so long; they are not understood.
func greets(d time.Duration) func(*testkit.Leg) {
	return func(l *testkit.Leg) { // in syllables: one long tone is a beep
		for end := time.Now().Add(d); time.Now().Before(end) && !l.Over(); time.Sleep(240 * ms) {
			l.Speak(160 * ms)
		}
	}
}

// TestTransferTable: every way to hand a caller over, and everything that may
// become of it: what the caller hears, what is told, and that nobody is left
// on a line (T-10, T-11).
func TestTransferTable_T10_T11(t *testing.T) {
	const joined = `"status":"joined"`
	type cell struct {
		answer func(*testkit.Leg)
		result string
		hears  string // the caller, from the agent, at last
		end    string
	}
	failed := map[string]cell{
		"busy":            {turnsDown(486), `"result":"busy"`, "The line is busy", ""},
		"busy everywhere": {turnsDown(600), `"result":"busy"`, "The line is busy", ""},
		"no answer":       {rings, `"result":"no_answer"`, "Nobody is answering", ""},
		"unavailable":     {turnsDown(480), `"result":"no_answer"`, "Nobody is answering", ""},
		"declined":        {turnsDown(603), `"result":"declined"`, "They cannot take your call", ""},
		"forbidden":       {turnsDown(403), `"result":"declined"`, "They cannot take your call", ""},
		"bad number":      {turnsDown(404), `"result":"failed","reason":"bad_number"`, "That number cannot be reached", ""},
		"incomplete":      {turnsDown(484), `"result":"failed","reason":"bad_number"`, "That number cannot be reached", ""},
		"gone":            {turnsDown(410), `"result":"failed","reason":"bad_number"`, "That number cannot be reached", ""},
		"congestion":      {turnsDown(503), `"result":"failed","reason":"congestion"`, "I cannot get a line", ""},
		"server error":    {turnsDown(500), `"result":"failed","reason":"congestion"`, "I cannot get a line", ""},
	}
	cells := map[string]map[string]cell{
		"cold": {
			"answered": {picksUp, `"result":"answered"`, "", ""},
			"left":     {answersAnd(10*time.Second, leaves), `"result":"answered"`, "", "transferred"},
		},
		"warm": {
			"accepted":        {answersAnd(15*time.Second, presses('1')), `"result":"answered"`, "", ""},
			"declined by key": {answersAnd(15*time.Second, presses('2')), `"result":"declined","reason":"by key"`, "They cannot take", ""},
			"hung up":         {answersAnd(3*time.Second, leaves), `"result":"declined","reason":"hung up"`, "They cannot take", ""},
			"nobody takes it": {picksUp, `"result":"no_answer","reason":"nobody took the call"`, "Nobody is answering", ""},
			"left":            {answersAnd(15*time.Second, func(l *testkit.Leg) { presses('1')(l); time.Sleep(10 * time.Second); leaves(l) }), `"result":"answered"`, "", "transferred"},
		},
		"monitored": {
			"answered":  {answersAnd(300*ms, greets(time.Second)), `"result":"answered"`, "", ""},
			"silent":    {picksUp, `"result":"answered"`, "", ""},
			"voicemail": {answersAnd(0, greets(5*time.Second)), `"result":"voicemail","reason":"long_greeting"`, "did not work", ""},
			"hung up":   {answersAnd(time.Second, leaves), `"result":"declined"`, "did not work", ""},
			"left":      {answersAnd(20*time.Second, leaves), `"event":"transfer.returned","call_id":"0190"`, "Welcome back.", ""},
		},
	}
	for way := range ways {
		for name, c := range failed {
			if way == "monitored" { // the model tells it, in its own words
				c.hears = "did not work"
			}
			cells[way][name] = c
		}
		for name, x := range cells[way] {
			t.Run(way+"/"+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					d := &desk{answer: x.answer}
					c := handingOver(t, way, d).wait(60 * time.Second)
					c.want(`"event":"transfer.started"`, `"kind":"`+way+`"`, `"status":"dialing"`, x.result)
					if n := strings.Count(c.lines(), `"event":"transfer.finished"`); n != 1 {
						t.Errorf("%d results", n)
					}
					if got := c.said(); x.hears != "" && !slices.ContainsFunc(got, func(s string) bool { return strings.Contains(s, x.hears) }) {
						t.Errorf("the caller heard %q, want %q", got, x.hears)
					}
					up := !strings.Contains(c.lines(), `"result":"answered"`) || strings.Contains(c.lines(), "transfer.returned")
					switch {
					case x.end != "":
						c.over().want(`"end_reason":"` + x.end + `"`)
					case up: // the agent goes on
						d.freed(t)
						c.say("then tell me more", time.Second).wait(5 * time.Second).want("then tell me more")
						c.hangUp().want(`"end_reason":"hangup"`)
					default:
						c.want(joined)
						before, heard := len(d.leg().Spoken()), len(c.leg.Spoken())
						c.leg.Speak(time.Second)
						d.leg().Speak(time.Second)
						if c.wait(2 * time.Second); len(d.leg().Spoken()) == before || len(c.leg.Spoken()) == heard {
							t.Error("the two do not hear each other")
						}
						c.leg.Send(telephony.Digit{Key: '5', Duration: 100 * ms})
						if c.wait(time.Second); d.leg().Pressed() != "5" {
							t.Errorf("the target was sent the keys %q", d.leg().Pressed())
						}
						c.hangUp().want(`"end_reason":"hangup"`)
					}
					d.freed(t)
				})
			})
		}
	}
}

// TestReferWhoseWordComesLate: a leg that ends as transferred has been, also where
// its end overtakes the last NOTIFY on the way to the session (T-10).
func TestReferWhoseWordComesLate_T10(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &desk{answer: picksUp}
		ts := built(t, germany, ways["cold"])
		c := prepare(t, &agent.Agent{Name: "a", Greeting: "Hello."}, askedFor("hand_over"), ts...)
		c.cfg.Dialer = d
		c.leg.Refers(func(telephony.ReferTo) error { return nil })
		c.start().wait(2*time.Second).say("sales please", time.Second).wait(4 * time.Second)
		c.leg.Send(telephony.ReferProgress{Status: 180})
		c.wait(time.Second).want(`"status":"ringing"`)
		c.leg.Close(telephony.Cause{Reason: telephony.ReasonTransferred})
		c.over().want(`"result":"answered"`, `"end_reason":"transferred"`).not(`"result":"cancelled"`)
		if len(d.to) > 0 {
			t.Errorf("dialled %v", d.to)
		}
	})
}

// TestTransferToAMailbox: by its words or its beep it is known, and nobody is put
// through to it.
func TestTransferToAMailbox(t *testing.T) {
	for _, way := range []string{"warm", "monitored"} {
		synctest.Test(t, func(t *testing.T) {
			d := &desk{}
			var c *call
			d.answer = answersAnd(200*ms, func(l *testkit.Leg) {
				c.stt.Hear("nobody is here please leave a message after the tone")
				greets(2 * time.Second)(l)
			})
			ts := built(t, germany, ways[way])
			c = prepare(t, &agent.Agent{Name: "a", Greeting: "Hello."}, askedFor("hand_over"), ts...)
			c.cfg.Dialer = d
			c.start().wait(2*time.Second).say("sales please", time.Second).wait(15 * time.Second)
			c.want(`"result":"voicemail","reason":"phrase"`).not("joined")
			d.freed(t)
			c.hangUp()
		})
	}
}

// TestCallerGoesDuringATransfer: whatever its stage, nobody is left on a line, and
// the outcome tells why.
func TestCallerGoesDuringATransfer_INV32(t *testing.T) {
	for way := range ways {
		for after := time.Duration(0); after < 30*time.Second; after += 700 * ms {
			synctest.Test(t, func(t *testing.T) {
				d := &desk{answer: answersAnd(15*time.Second, presses('1'))}
				ts := built(t, germany, ways[way])
				c := prepare(t, &agent.Agent{Name: "a", Greeting: "Hello."}, askedFor("hand_over"), ts...)
				c.cfg.Dialer = d
				c.start().wait(2*time.Second).say("sales please", time.Second).wait(1600*ms + after).want("transfer.started")
				c.hangUp().want(`"end_reason":"hangup"`)
				all := c.lines()
				if n := strings.Count(all, `"event":"transfer.finished"`); n != 1 {
					t.Errorf("%s, %v: %d results", way, after, n)
				}
				if !strings.Contains(all, `"status":"joined"`) && !strings.Contains(all, `"result":"caller_hung_up"`) {
					t.Errorf("%s, %v: no word of the caller:\n%s", way, after, all)
				}
				d.freed(t)
				c.wait(20 * time.Second) // for the desk
			})
		}
	}
}
