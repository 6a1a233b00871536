package scenario

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// fakePhone is a call with a scripted agent: each thing the caller does starts
// the next of its turns.
type fakePhone struct {
	events chan Event // room for all events of a test: the agent never waits
	turns  []agentTurn
	stops  time.Duration // how soon the agent stops when it is spoken over; 0: never
	refuse error         // of every method
	buffer time.Duration // how much sooner all of it is on the wire; 0: not known

	mu    sync.Mutex // guards the fields below
	log   []string
	next  int
	quit  chan struct{} // of the turn that is spoken
	ended bool
	onset time.Time
	wg    sync.WaitGroup
}

// agentTurn is what the agent says: sentences, each with a pause before it.
type agentTurn struct {
	says []sentence
	bye  bool // hangs up behind it
}

type sentence struct {
	after, lasts time.Duration
	text         string
}

const recognising = 400 * time.Millisecond // from the end of a sentence to its words

func newFakePhone(turns ...agentTurn) *fakePhone {
	p := &fakePhone{events: make(chan Event, 256), turns: turns}
	p.act("")
	return p
}

func (p *fakePhone) Events() <-chan Event { return p.events }

// act notes what the caller does and lets the agent answer.
func (p *fakePhone) act(what string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if what != "" {
		p.log = append(p.log, what)
	}
	if p.next < len(p.turns) && !p.ended {
		turn, quit := p.turns[p.next], make(chan struct{})
		p.next++
		p.quit = quit
		p.wg.Go(func() { p.speak(turn, quit) })
	}
}

func (p *fakePhone) speak(t agentTurn, quit chan struct{}) {
	for _, s := range t.says {
		if !waited(s.after, quit) {
			return
		}
		start := time.Now()
		p.events <- AgentSpeaks{On: true, At: start}
		whole := waited(s.lasts, quit)
		if !whole {
			if p.stops == 0 {
				time.Sleep(s.lasts - time.Since(start))
			} else {
				time.Sleep(p.stops)
			}
		}
		end := time.Now()
		time.Sleep(300 * time.Millisecond) // the detector's hang
		ev := AgentSpeaks{At: end}
		if p.buffer > 0 {
			ev.Wire = end.Add(-p.buffer)
		}
		p.events <- ev
		time.Sleep(recognising - 300*time.Millisecond)
		p.events <- Heard{Text: s.text, Start: start, Final: true}
		if !whole {
			return
		}
	}
	if t.bye {
		p.end(Ended{At: time.Now(), Reason: "normal", Remote: true})
	}
}

func waited(d time.Duration, quit chan struct{}) bool {
	select {
	case <-time.After(d):
		return true
	case <-quit:
		return false
	}
}

// Onset implements [Wired].
func (p *fakePhone) Onset() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.onset
}

func (p *fakePhone) end(e Ended) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.ended {
		p.ended = true
		p.events <- e
		close(p.events)
	}
}

func (p *fakePhone) utter(ctx context.Context, what string, d time.Duration) error {
	if p.refuse != nil {
		return p.refuse
	}
	p.mu.Lock()
	if p.quit != nil {
		close(p.quit)
		p.quit = nil
	}
	ended := p.ended
	p.onset = time.Now().Add(20 * time.Millisecond)
	p.mu.Unlock()
	if ended {
		return errors.New("no call")
	}
	select {
	case <-time.After(d):
	case <-ctx.Done():
		return ctx.Err()
	}
	p.act(what)
	return nil
}

func (p *fakePhone) Say(ctx context.Context, text, voice string) error {
	return p.utter(ctx, strings.TrimSpace(voice+" "+text), time.Second)
}

func (p *fakePhone) Play(ctx context.Context, file string) error {
	return p.utter(ctx, file, time.Second)
}

func (p *fakePhone) Press(ctx context.Context, digits string) error {
	return p.utter(ctx, digits, time.Duration(len(digits))*150*time.Millisecond)
}

func (p *fakePhone) Disturb(ctx context.Context, s *Step) error { return p.utter(ctx, s.Verb, s.For) }

func (p *fakePhone) Hangup(context.Context) error {
	p.mu.Lock()
	if p.quit != nil {
		close(p.quit)
		p.quit = nil
	}
	p.mu.Unlock()
	p.wg.Wait() // what is being recognised comes first
	p.end(Ended{At: time.Now(), Reason: "normal"})
	return nil
}

func say(after, lasts time.Duration, text string) agentTurn {
	return agentTurn{says: []sentence{{after, lasts, text}}}
}

const (
	ms  = time.Millisecond
	sec = time.Second
)

func greeting() agentTurn { return say(500*ms, 2*sec, "Welcome to the shop. How can I help you?") }

// play runs a script on the phone in virtual time.
func play(t *testing.T, p func() *fakePhone, check func(*Report, *fakePhone), lines ...string) {
	t.Helper()
	s, err := Parse("x.yaml", []byte(strings.Join(lines, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		phone := p()
		check(Run(t.Context(), s, phone), phone)
		phone.wg.Wait()
	})
}

func TestAWholeCall(t *testing.T) {
	play(t, func() *fakePhone {
		p := newFakePhone(
			greeting(),
			agentTurn{says: []sentence{
				{600 * ms, sec, "Let me look."}, {sec, 4 * sec, "Your order shipped on Monday and will arrive at your door"},
			}},
			agentTurn{},
			agentTurn{says: []sentence{{400 * ms, sec, "Good bye"}}, bye: true},
		)
		p.stops = 200 * ms
		return p
	}, func(r *Report, p *fakePhone) {
		if !r.OK || r.Skipped != 0 || !r.EndedByAgent || r.EndReason != "normal" || len(r.Unheard) != 0 {
			var b strings.Builder
			_, _ = r.WriteTo(&b)
			t.Fatalf("%+v\n%s", r, b.String())
		}
		if got := strings.Join(p.log, ", "); got != "rms where is my order, slt stop, 12#" {
			t.Error(got)
		}
		if r.Steps[4].Note != "the agent stopped after 200 ms" {
			t.Error(r.Steps[4].Note)
		}
		if r.Steps[2].Answer != 600*ms || r.Steps[4].Answer != 0 || r.Steps[5].Answer != 400*ms {
			t.Errorf("%+v", r.Steps)
		}
		if r.Steps[2].Took != sec || r.Steps[1].At != 2900*ms {
			t.Errorf("%+v", r.Steps)
		}
	},
		"voice: rms",
		"steps:",
		"  - wait_for: [welcome, help]",
		"  - wait_quiet: 700ms",
		"  - say: where is my order",
		"  - expect_words: look",
		"  - barge_in: {after: 1s, say: stop, voice: slt, stops_within: 300ms}",
		"  - press: 12#",
		"  - expect_hangup: {within: 5s}",
		"heard: {words: [welcome, order, monday, goodbye|good bye], share: 0.8}",
	)
}

func TestFaultsSayWhatWasExpectedAndHeard(t *testing.T) {
	greet := func() *fakePhone { return newFakePhone(greeting()) }
	stubborn := func() *fakePhone { return newFakePhone(greeting(), greeting(), greeting()) }
	polite := func() *fakePhone {
		p := newFakePhone(greeting(), greeting())
		p.stops = 800 * ms
		return p
	}
	buffered := func() *fakePhone {
		p := polite()
		p.buffer = 60 * ms
		return p
	}
	leaving := func() *fakePhone { return newFakePhone(agentTurn{says: []sentence{{0, sec, "bye"}}, bye: true}) }
	broken := func() *fakePhone {
		p := greet()
		p.refuse = errors.New("the voice is missing")
		return p
	}
	for _, tt := range []struct {
		name  string
		phone func() *fakePhone
		steps []string
		want  string
		heard string
	}{
		{"words that were not said", greet, []string{"wait_for: {words: [welcome, order], within: 5s}"}, `not heard within 5s: "order"`, "welcome to the shop how can i help you"},
		{"a word that must not be said", greet, []string{"expect_words: {words: welcome, not: [shop]}"}, `"shop" was heard and must not be`, "welcome to the shop how can i help you"},
		{"words from before the caller spoke", stubborn, []string{"wait_for: welcome", "wait_quiet", "say: a", "expect_words: {words: [welcome], within: 1s}"}, "not heard within 1s", ""},
		{"words that are used up", greet, []string{"wait_for: welcome", "wait_for: {words: welcome, within: 1s}"}, "not heard within 1s", "to the shop how can i help you"},
		{"an agent that never speaks", func() *fakePhone { return newFakePhone() }, []string{"wait_quiet: {within: 3s}"}, "the agent said nothing within 3s", ""},
		{"an agent that never answers", greet, []string{"wait_quiet", "say: a", "wait_quiet: {within: 3s}"}, "the agent said nothing within 3s", ""},
		{"no silence", greet, []string{"wait: 600ms", "expect_silence: {within: 1s}"}, "the agent is still speaking after 1s, for 1.1s by now", ""},
		{"a barge-in that is ignored", stubborn, []string{"barge_in: {after: 500ms, say: stop, stops_within: 200ms}"}, "the agent spoke on for 1.2s, it must stop within 200ms", ""},
		{"a barge-in that stops the agent late", polite, []string{"barge_in: {after: 500ms, say: stop, stops_within: 500ms}"}, "the agent stopped after 800 ms, it must within 500ms", ""},
		{"a barge-in that stops the wire late", buffered, []string{"barge_in: {after: 500ms, say: stop, stops_within: 719ms}"}, "the agent stopped after 720 ms on the wire, 800 ms heard here, it must within 719ms", ""},
		{"a barge-in into too little speech", greet, []string{"barge_in: {after: 3s, say: stop, within: 10s}"}, "the agent did not speak for 3s within 10s, only for 2.0s", "welcome to the shop how can i help you"},
		{"a barge-in into nothing", func() *fakePhone { return newFakePhone() }, []string{"barge_in: {after: 1s, say: stop, within: 2s}"}, "the agent did not speak within 2s", ""},
		{"an agent that stays", greet, []string{"expect_hangup: {within: 4s}"}, "the agent did not hang up within 4s", "welcome to the shop how can i help you"},
		{"an agent that leaves early", leaving, []string{"wait_for: welcome"}, "the call ended at 1.4s: normal", "bye"},
		{"a call that is over", leaving, []string{"wait: 3s", "say: hello"}, "the call ended at 1.4s: normal", "bye"},
		{"a hang-up that comes second", leaving, []string{"wait: 3s", "hangup"}, "the call ended at 1.4s: normal", "bye"},
		{"a phone that fails", broken, []string{"say: hello"}, "the voice is missing", ""},
		{"a scenario that takes too long", greet, []string{"wait: 55s", "wait: 55s", "wait: 55s"}, "the scenario's timeout of 2m0s is over", "welcome to the shop how can i help you"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			play(t, tt.phone, func(r *Report, _ *fakePhone) {
				last := r.Steps[len(r.Steps)-1]
				if r.OK || last.OK || !strings.Contains(last.Fault, tt.want) || last.Heard != tt.heard {
					t.Errorf("fault %q, heard %q, %+v", last.Fault, last.Heard, r.Steps)
				}
				if last.Line != len(r.Steps)+1 {
					t.Errorf("line %d", last.Line)
				}
				var b strings.Builder
				if _, err := r.WriteTo(&b); err != nil || !strings.Contains(b.String(), fmt.Sprintf("x.yaml:%d: %s", last.Line, last.Fault)) {
					t.Errorf("%s, %v", b.String(), err)
				}
			}, append([]string{"steps:"}, prefixed(tt.steps)...)...)
		})
	}
}

func prefixed(steps []string) []string {
	list := make([]string, len(steps))
	for i, s := range steps {
		list[i] = "  - " + s
	}
	return list
}

func TestSilenceBeginsWhenTheAgentFallsSilent(t *testing.T) {
	play(t, func() *fakePhone { return newFakePhone(greeting()) }, func(r *Report, _ *fakePhone) {
		if !r.OK || r.Steps[1].Note != "silent after 1500 ms" || r.Steps[1].Took != 2*sec || r.Steps[2].Took != 300*ms {
			t.Errorf("%+v", r.Steps)
		}
	}, "steps:", "  - wait: 1s", "  - expect_silence: {for: 500ms, within: 3s}", "  - expect_silence: 300ms", "  - hangup")
}

func TestQuietMayBeTheEndOfTheCall(t *testing.T) {
	play(t, func() *fakePhone {
		return newFakePhone(agentTurn{says: []sentence{{0, sec, "thanks, bye"}}, bye: true})
	}, func(r *Report, _ *fakePhone) {
		if !r.OK {
			t.Errorf("%+v", r.Steps)
		}
	}, "steps:", "  - expect_words: {words: bye, not: order}", "  - wait_quiet: 5s", "  - wait: 1s", "  - expect_hangup")
}

func TestKeyWordsAreCountedAtTheEnd(t *testing.T) {
	for _, tt := range []struct {
		share string
		ok    bool
	}{{"0.5", true}, {"0.8", false}, {"1", false}} {
		play(t, func() *fakePhone { return newFakePhone(greeting()) }, func(r *Report, _ *fakePhone) {
			if r.OK != tt.ok || r.Share() != 0.5 || strings.Join(r.Unheard, " ") != "monday tuesday" {
				t.Errorf("share %s: %+v", tt.share, r)
			}
			b, err := json.Marshal(r)
			if err != nil || !strings.Contains(string(b), `"unheard_words":["monday","tuesday"]`) {
				t.Errorf("%s, %v", b, err)
			}
		}, "steps:", "  - wait_quiet", "heard: {words: [welcome, help, monday, tuesday], share: "+tt.share+"}")
	}
}

func TestACallThatEndsWithoutAWord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newFakePhone()
		close(p.events)
		r := Run(t.Context(), &Scenario{Timeout: sec, Steps: []Step{{Verb: Say, Text: "x"}, {Verb: Hangup}}}, p)
		if r.OK || r.Skipped != 0 {
			t.Errorf("%+v", r)
		}
	})
}
