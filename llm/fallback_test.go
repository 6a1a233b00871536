package llm_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/patchcord/patchcord/llm"
)

// step is one thing a scripted model does, wait before it.
type step struct {
	wait time.Duration
	d    llm.Delta
	err  error
}

func say(s string) step           { return step{d: llm.Delta{Kind: llm.Text, Text: s}} }
func after(ms int, s step) step   { s.wait = time.Duration(ms) * time.Millisecond; return s }
func refuse(e *llm.Error) attempt { return attempt{refuse: e} }

var (
	done    = step{d: llm.Delta{Kind: llm.Done, Finish: "stop"}}
	hang    = step{wait: time.Hour}
	down    = &llm.Error{Provider: "fake", Op: "request", Status: 503, Temporary: true, Err: errors.New("down")}
	denied  = &llm.Error{Provider: "fake", Op: "request", Status: 401, Err: errors.New("denied")}
	call    = llm.ToolCall{ID: "1", Name: "lookup", Args: []byte(`{}`)}
	answers = attempt{steps: []step{after(100, say("Yes.")), done}}
)

// attempt is what a model does with one request.
type attempt struct {
	refuse *llm.Error
	steps  []step
}

// model does one attempt after the other, the last one again and again.
type model struct {
	attempts []attempt
	asked    []llm.Request
}

func (m *model) Stream(ctx context.Context, r llm.Request) (llm.Stream, error) {
	a := m.attempts[min(len(m.asked), len(m.attempts)-1)]
	m.asked = append(m.asked, r)
	if a.refuse != nil {
		return nil, a.refuse
	}
	return &modelStream{ctx: ctx, steps: a.steps}, nil
}

type modelStream struct {
	ctx   context.Context
	steps []step
}

func (s *modelStream) Next() (llm.Delta, error) {
	if len(s.steps) == 0 {
		return llm.Delta{}, io.EOF
	}
	st := s.steps[0]
	s.steps = s.steps[1:]
	if st.wait > 0 {
		t := time.NewTimer(st.wait)
		defer t.Stop()
		select {
		case <-t.C:
		case <-s.ctx.Done():
			return llm.Delta{}, s.ctx.Err() // the cause is for the fallback to know
		}
	}
	return st.d, st.err
}

func (s *modelStream) Close() error { return nil }

// read tells a stream as a line: words, {call}, [fell: why → who], and how it
// ended, each with its time.
func read(st llm.Stream, start time.Time) string {
	var out []string
	note := func(s string) {
		out = append(out, fmt.Sprintf("%s@%d", s, time.Since(start).Milliseconds()))
	}
	for {
		d, err := st.Next()
		switch {
		case errors.Is(err, io.EOF):
			note("end")
			return strings.Join(out, " ")
		case err != nil:
			note("error(" + err.Error() + ")")
			return strings.Join(out, " ")
		}
		switch d.Kind {
		case llm.Text:
			note(d.Text)
		case llm.ToolBegan:
			note("began")
		case llm.ToolReady:
			note("{" + d.ToolCall.Name + "}")
		case llm.Fell:
			note("[" + d.Failed.Op + ": " + d.Failed.Err.Error() + " → " + d.Provider + "]")
		case llm.Done:
			note("done")
		}
	}
}

func TestFallback(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		models []attempt2
		want   string
		asked  string // requests to each model
	}{
		{
			name:   "the first answers",
			models: []attempt2{{answers}, {answers}},
			want:   "Yes.@100 done@100 end@100", asked: "1 0",
		},
		{
			name:   "conv:L2 a model that says nothing for 4 s is left for the next",
			models: []attempt2{{attempt{steps: []step{hang}}}, {answers}},
			want:   "[first token: no useful token in time → m2]@4000 Yes.@4100 done@4100 end@4100", asked: "1 1",
		},
		{
			name:   "conv:L2 the next one has 6 s of its own",
			models: []attempt2{{attempt{steps: []step{hang}}}, {attempt{steps: []step{hang}}}, {answers}},
			want: "[first token: no useful token in time → m2]@4000 [first token: no useful token in time → m3]@10000 " +
				"Yes.@10100 done@10100 end@10100", asked: "1 1 1",
		},
		{
			name:   "nobody answers",
			models: []attempt2{{attempt{steps: []step{hang}}}},
			want:   "error(llm: m1: first token: no useful token in time)@4000", asked: "1",
		},
		{
			name: "conv:L1 what is not useful is neither passed on nor waited for",
			models: []attempt2{{attempt{steps: []step{
				after(1500, say("")), after(1500, say("")), after(1500, say("Late.")), done,
			}}}, {answers}},
			want: "[first token: no useful token in time → m2]@4000 Yes.@4100 done@4100 end@4100", asked: "1 1",
		},
		{
			name:   "a refusal for the moment is asked once more after 300 ms",
			models: []attempt2{{refuse(down), answers}, {answers}},
			want:   "Yes.@400 done@400 end@400", asked: "2 0",
		},
		{
			name:   "a second refusal goes to the next",
			models: []attempt2{{refuse(down)}, {answers}},
			want:   "[request: down → m2]@300 Yes.@400 done@400 end@400", asked: "2 1",
		},
		{
			name: "Retry-After is honoured up to 2 s",
			models: []attempt2{{refuse(&llm.Error{
				Provider: "fake", Op: "request", Status: 429, Temporary: true, RetryAfter: 1500 * time.Millisecond, Err: errors.New("busy"),
			}), answers}, {answers}},
			want: "Yes.@1600 done@1600 end@1600", asked: "2 0",
		},
		{
			name: "a longer one is not waited for",
			models: []attempt2{{refuse(&llm.Error{
				Provider: "fake", Op: "request", Status: 429, Temporary: true, RetryAfter: 3 * time.Second, Err: errors.New("busy"),
			}), answers}, {answers}},
			want: "[request: busy → m2]@0 Yes.@100 done@100 end@100", asked: "1 1",
		},
		{
			name:   "a refusal for good is not asked again",
			models: []attempt2{{refuse(denied)}, {answers}},
			want:   "[request: denied → m2]@0 Yes.@100 done@100 end@100", asked: "1 1",
		},
		{
			name: "the retry has no time of its own",
			models: []attempt2{{
				attempt{steps: []step{{wait: 3900 * time.Millisecond, err: down}}}, answers,
			}, {answers}},
			want: "[request: down → m2]@3900 Yes.@4000 done@4000 end@4000", asked: "1 1",
		},
		{
			name:   "conv:L6 a completion with nothing in it is asked for once more",
			models: []attempt2{{attempt{steps: []step{after(50, done)}}, answers}, {answers}},
			want:   "Yes.@150 done@150 end@150", asked: "2 0",
		},
		{
			name:   "conv:L6 twice nothing is a failure",
			models: []attempt2{{attempt{steps: []step{after(50, done)}}}},
			want:   "error(llm: m1: stream: empty completion)@100", asked: "2",
		},
		{
			name: "conv:L5 after words were passed on there is no second try",
			models: []attempt2{{attempt{steps: []step{
				after(100, say("Your order ")), {wait: 50 * time.Millisecond, err: down},
			}}}, {answers}},
			want: "Your order @100 error(llm: fake: request: down)@150", asked: "1 0",
		},
		{
			name: "conv:L5 a stall in the middle is an error after 5 s",
			models: []attempt2{{attempt{steps: []step{
				after(100, say("Your order ")), after(4900, say("is ")), hang,
			}}}, {answers}},
			want: "Your order @100 is @5000 error(llm: m1: stream: stalled)@10000", asked: "1 0",
		},
		{
			name: "conv:L7 a tool call that broke off is an error and never ready",
			models: []attempt2{{attempt{steps: []step{
				{d: llm.Delta{Kind: llm.ToolBegan, ToolCall: call}}, {wait: time.Second, err: down},
			}}}, {answers}},
			want: "began@0 error(llm: fake: request: down)@1000", asked: "1 0",
		},
		{
			name: "a tool call is useful",
			models: []attempt2{{attempt{steps: []step{
				after(3900, step{d: llm.Delta{Kind: llm.ToolBegan, ToolCall: call}}),
				after(200, step{d: llm.Delta{Kind: llm.ToolReady, ToolCall: call}}), done,
			}}}},
			want: "began@3900 {lookup}@4100 done@4100 end@4100", asked: "1",
		},
		{
			name:   "a stream that ends without Done was cut",
			models: []attempt2{{attempt{steps: []step{say("Yes.")}}}, {answers}},
			want:   "Yes.@0 error(llm: m1: stream: completion cut)@0", asked: "1 0",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var models []*model
				var named []llm.Named
				for i, a := range c.models {
					m := &model{attempts: a}
					models = append(models, m)
					named = append(named, llm.Named{Name: fmt.Sprintf("m%d", i+1), Provider: m})
				}
				start := time.Now()
				st, err := llm.NewFallback(llm.FallbackConfig{}, named...).Stream(t.Context(), llm.Request{})
				if err != nil {
					t.Fatal(err)
				}
				got := read(st, start)
				_ = st.Close()
				var asked []string
				for _, m := range models {
					asked = append(asked, fmt.Sprint(len(m.asked)))
				}
				if a := strings.Join(asked, " "); got != c.want || a != c.asked {
					t.Errorf("\n got %s (asked %s)\nwant %s (asked %s)", got, a, c.want, c.asked)
				}
			})
		})
	}
}

type attempt2 []attempt

func TestFallbackNamesNoModelOfAnother(t *testing.T) {
	t.Parallel()
	first, second := &model{attempts: []attempt{refuse(denied)}}, &model{attempts: []attempt{{steps: []step{say("Yes."), done}}}}
	p := llm.NewFallback(llm.FallbackConfig{}, llm.Named{Name: "a", Provider: first}, llm.Named{Name: "b", Provider: second})
	st, err := p.Stream(t.Context(), llm.Request{Model: "gpt-4.1", MaxTokens: 7})
	if err != nil {
		t.Fatal(err)
	}
	read(st, time.Now())
	if first.asked[0].Model != "gpt-4.1" || second.asked[0].Model != "" || second.asked[0].MaxTokens != 7 {
		t.Errorf("asked for %q, then %q", first.asked[0].Model, second.asked[0].Model)
	}
}

func TestFallbackEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		gone := errors.New("the caller spoke")
		for _, at := range []struct {
			name string
			m    *model
		}{
			{"before the first token", &model{attempts: []attempt{{steps: []step{hang}}}}},
			{"in the wait for a retry", &model{attempts: []attempt{refuse(down)}}},
			{"in the middle", &model{attempts: []attempt{{steps: []step{say("One "), hang}}}}},
		} {
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(200*time.Millisecond, func() { cancel(gone) })
			other := &model{attempts: []attempt{answers}}
			p := llm.NewFallback(llm.FallbackConfig{}, llm.Named{Name: "a", Provider: at.m}, llm.Named{Name: "b", Provider: other})
			st, err := p.Stream(ctx, llm.Request{})
			if err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			for err == nil {
				_, err = st.Next()
			}
			if !errors.Is(err, gone) || time.Since(start) != 200*time.Millisecond || len(other.asked) != 0 {
				t.Errorf("%s: %v after %v, the other was asked %d times", at.name, err, time.Since(start), len(other.asked))
			}
			_ = st.Close()
		}
	})
}

func TestFallbackOfNobody(t *testing.T) {
	t.Parallel()
	if _, err := llm.NewFallback(llm.FallbackConfig{}).Stream(t.Context(), llm.Request{}); err == nil {
		t.Error("a fallback without a model answers")
	}
}
