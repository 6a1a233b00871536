package llm_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/patchcord/patchcord/llm"
)

// taught is a hedge of two models whose first one took 100 to 290 ms for each
// of its first twenty answers: 19 of 20 within 280 ms.
func taught(t *testing.T, second *model, then ...attempt) (p llm.Provider, first *model) {
	t.Helper()
	first = &model{}
	for i := range 20 {
		first.attempts = append(first.attempts, attempt{steps: []step{after(100+10*i, say("Yes.")), done}})
	}
	first.attempts = append(first.attempts, then...)
	p = llm.NewFallback(llm.FallbackConfig{Hedge: true},
		llm.Named{Name: "a", Provider: first}, llm.Named{Name: "b", Provider: second})
	for i := range 20 {
		want := fmt.Sprintf("Yes.@%[1]d done@%[1]d end@%[1]d", 100+10*i)
		if got := ask(t, p); got != want {
			t.Fatalf("answer %d: %s, want %s", i, got, want)
		}
	}
	if len(second.asked) != 0 {
		t.Fatal("the other was asked before anything was known")
	}
	return p, first
}

func ask(t *testing.T, p llm.Provider) string {
	t.Helper()
	start := time.Now()
	st, err := p.Stream(t.Context(), llm.Request{Model: "big"})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close() //nolint:errcheck // read to its end
	return read(st, start)
}

// conv:L3: the second model starts when the first takes longer than its p95,
// and the first useful token wins.
func TestHedge(t *testing.T) {
	t.Parallel()
	slow := func(ms int) attempt { return attempt{steps: []step{after(ms, say("Well.")), done}} }
	for _, c := range []struct {
		name          string
		first, second attempt
		want          string
		asked         int // the second model
	}{
		{"a usual answer is not raced", slow(270), answers, "Well.@270 done@270 end@270", 0},
		{"the second is faster", slow(900), answers, "[first token: another answered first → b]@380 Yes.@380 done@380 end@380", 1},
		{"the first is faster after all", slow(350), answers, "Well.@350 done@350 end@350", 1},
		{
			"one that hangs does not hold the other up",
			attempt{steps: []step{hang}},
			answers,
			"[first token: another answered first → b]@380 Yes.@380 done@380 end@380", 1,
		},
		{"one that fails at once", refuse(denied), answers, "[request: denied → b]@0 Yes.@100 done@100 end@100", 1},
		{"the second fails, the first is late", slow(900), refuse(denied), "Well.@900 done@900 end@900", 1},
		{"both fail", refuse(denied), refuse(denied), "[request: denied → b]@0 error(llm: fake: request: denied)@0", 1},
		{
			"nobody says anything",
			attempt{steps: []step{hang}},
			attempt{steps: []step{hang}},
			"[first token: no useful token in time → b]@4000 error(llm: b: first token: no useful token in time)@6280", 1,
		},
		{
			"conv:L5 no second try once a word was passed on",
			attempt{steps: []step{after(200, say("Your ")), {wait: time.Second, err: down}}},
			answers,
			"Your @200 error(llm: fake: request: down)@1200", 0,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				second := &model{attempts: []attempt{c.second}}
				p, first := taught(t, second, c.first)
				if got := ask(t, p); got != c.want || len(second.asked) != c.asked {
					t.Errorf("\n got %s (asked %d)\nwant %s (asked %d)", got, len(second.asked), c.want, c.asked)
				}
				if first.asked[0].Model != "big" || c.asked > 0 && second.asked[0].Model != "" {
					t.Error("a model was asked for the other's")
				}
			})
		})
	}
}

// What was overtaken counts: else the slow ones would drop out of the p95 and
// it would sink from race to race.
func TestHedgeDoesNotForgetTheSlow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		second := &model{attempts: []attempt{answers}}
		p, _ := taught(t, second, attempt{steps: []step{hang}})
		for range 50 {
			ask(t, p)
		}
		before := len(second.asked)
		if got := ask(t, p); got != "[first token: another answered first → b]@380 Yes.@380 done@380 end@380" {
			t.Errorf("a model that became slow is raced at another time: %s", got)
		}
		if before != 50 {
			t.Errorf("the second was asked %d times of 50", before)
		}
	})
}

func TestHedgeEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		gone := errors.New("the caller spoke")
		second := &model{attempts: []attempt{{steps: []step{hang}}}}
		p, _ := taught(t, second, attempt{steps: []step{hang}})
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(500*time.Millisecond, func() { cancel(gone) })
		st, err := p.Stream(ctx, llm.Request{})
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if _, err = st.Next(); !errors.Is(err, gone) || time.Since(start) != 500*time.Millisecond {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		if err := st.Close(); err != nil { // and both have ended, or the bubble says so
			t.Error(err)
		}
	})
}

func TestHedgeOutlivesAPanic(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := llm.NewFallback(llm.FallbackConfig{Hedge: true},
			llm.Named{Name: "a", Provider: panics{}}, llm.Named{Name: "b", Provider: &model{attempts: []attempt{answers}}})
		if got := ask(t, p); got != "[request: panic: nil map → b]@0 Yes.@100 done@100 end@100" {
			t.Error(got)
		}
	})
}

type panics struct{}

func (panics) Stream(context.Context, llm.Request) (llm.Stream, error) { panic("nil map") }
