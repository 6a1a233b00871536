package llm_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/patchcord/patchcord/llm"
)

// A provider that failed five times within 30 s is not waited for any more: one
// completion in ten seconds tries it, until it answers.
func TestBrokenProviderIsLeftOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		well := &model{attempts: []attempt{answers}}
		first := &model{attempts: []attempt{{steps: []step{hang}}}}
		p := llm.NewFallback(llm.FallbackConfig{}, llm.Named{Name: "a", Provider: first}, llm.Named{Name: "b", Provider: well})
		const (
			waited  = "[first token: no useful token in time → b]@4000 Yes.@4100 done@4100 end@4100"
			leftOut = "[request: left out after its last failures → b]@0 Yes.@100 done@100 end@100"
			healed  = "Yes.@100 done@100 end@100"
		)
		for i, want := range []string{waited, waited, waited, waited, waited, leftOut, leftOut} {
			if got := ask(t, p); got != want {
				t.Fatalf("completion %d: %s, want %s", i, got, want)
			}
		}
		time.Sleep(10 * time.Second)
		beside := make(chan string, 1) // the one result
		go func() { time.Sleep(time.Second); beside <- ask(t, p) }()
		if got := ask(t, p); got != waited {
			t.Errorf("the one that tries: %s", got)
		}
		if got := <-beside; got != leftOut {
			t.Errorf("another beside it: %s", got)
		}
		if got := ask(t, p); got != leftOut {
			t.Errorf("after it failed again: %s", got)
		}
		first.attempts = []attempt{answers}
		time.Sleep(10 * time.Second)
		for range 2 {
			if got := ask(t, p); got != healed {
				t.Errorf("after it answered: %s", got)
			}
		}
	})
}

// Failures far apart do not count, nor those of a completion that was given up,
// and where everybody fails the last one is still asked.
func TestProviderIsNotLeftOutForLittle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		first, last := &model{attempts: []attempt{refuse(denied)}}, &model{attempts: []attempt{refuse(denied)}}
		p := llm.NewFallback(llm.FallbackConfig{}, llm.Named{Name: "a", Provider: first}, llm.Named{Name: "b", Provider: last})
		for range 8 {
			ask(t, p)
			time.Sleep(8 * time.Second)
		}
		if len(first.asked) != 8 {
			t.Errorf("asked %d times of 8, the failures 8 s apart", len(first.asked))
		}
		for range 6 {
			ask(t, p)
		}
		if len(first.asked) > 13 || len(last.asked) != 14 {
			t.Errorf("asked %d and %d times of 14", len(first.asked), len(last.asked))
		}

		slow := &model{attempts: []attempt{{steps: []step{hang}}}}
		p = llm.NewFallback(llm.FallbackConfig{}, llm.Named{Name: "a", Provider: slow}, llm.Named{Name: "b", Provider: last})
		for range 8 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			st, err := p.Stream(ctx, llm.Request{})
			if err != nil {
				t.Fatal(err)
			}
			read(st, time.Now())
			_ = st.Close()
			cancel()
		}
		if len(slow.asked) != 8 {
			t.Errorf("asked %d times of 8, which the caller gave up", len(slow.asked))
		}
	})
}
