// Package llmtest is the suite that every language model passes: what a stream
// gives and in which order, how it is cut, refused and given up.
//
// A model that needs no network proves less of it; what it cannot do it skips,
// by name and with the reason.
package llmtest

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/patchcord/patchcord/llm"
)

// Script is what the model shall do with the next requests.
type Script struct {
	Text   string         // words, as one or several chunks
	Calls  []llm.ToolCall // after the words
	Status int            // refuse with this HTTP status
	Retry  time.Duration  // Retry-After of the refusal
	Cut    Cut            // break off
	Hang   bool           // accept and say nothing
	Noise  bool           // role-only, keep-alive and reasoning chunks before the words
	Usage  llm.Usage      // zero: not told
}

// Cut says where a completion breaks off.
type Cut int

// The places.
const (
	NotCut Cut = iota
	AfterText
	InArguments // a tool call's name and half its arguments were sent
)

// Subject is a model under test.
type Subject struct {
	// Start gives a model that does as the script says, for any number of
	// requests. What it needs is ended by t.Cleanup.
	Start func(t *testing.T, s Script) llm.Provider
	// Skip names the cases that the model cannot be brought to, with why.
	Skip map[string]string
}

// Limit is how long anything that should come at once may take here.
const limit = 10 * time.Second

// lookup is a tool as a script calls it.
var lookup = llm.Tool{
	Name: "check_order_status", Description: "Looks up an order.",
	Parameters: json.RawMessage(`{"type":"object","properties":{"order_id":{"type":"string"}},"required":["order_id"]}`),
}

// Ask is the request that every case makes.
func Ask() llm.Request {
	return llm.Request{
		Messages: []llm.Message{
			{Role: llm.System, Content: "You answer the phone."},
			{Role: llm.User, Content: "Where is my order?"},
		},
		Tools: []llm.Tool{lookup, {
			Name: "end_call", Description: "Ends the call.", Parameters: json.RawMessage(`{"type":"object"}`),
		}},
	}
}

// Run runs the suite.
func Run(t *testing.T, s Subject) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if why := s.Skip[c.name]; why != "" {
				t.Skip(why)
			}
			before := goleak.IgnoreCurrent()
			t.Run("case", func(t *testing.T) { c.run(t, s) })
			goleak.VerifyNone(t, before)
		})
	}
}

var cases = []struct {
	name string
	run  func(*testing.T, Subject)
}{
	{"words come in order and end with Done", words},
	{"words before a tool call", wordsThenCall},
	{"several tool calls are whole and in order", severalCalls},
	{"noise is not passed on", noise},
	{"a completion cut after words is an error", cutText},
	{"a tool call cut in its arguments is never ready", cutCall},
	{"a refusal says its status", refusals},
	{"a stream ends when its context does", cancelled},
	{"a closed stream is over", closed},
	{"usage is told or zero", usage},
	{"streams are independent", independent},
}

// read reads a stream to its end; err is never nil.
func read(s llm.Stream) (out []llm.Delta, err error) {
	for {
		d, err := s.Next()
		if err != nil {
			return out, err
		}
		out = append(out, d)
	}
}

func start(t *testing.T, s Subject, script Script) llm.Stream {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	st, err := s.Start(t, script).Stream(ctx, Ask())
	if err != nil {
		t.Fatalf("Stream: %v", err)
	}
	t.Cleanup(func() { _ = st.Close() })
	return st
}

// whole checks what holds of every completion that was not cut.
func whole(t *testing.T, got []llm.Delta, err error) (text string, calls []llm.ToolCall) {
	t.Helper()
	if !errors.Is(err, io.EOF) {
		t.Fatalf("the stream ended with %v, want io.EOF", err)
	}
	began := 0
	for i, d := range got {
		switch d.Kind {
		case llm.Text:
			if d.Text == "" {
				t.Error("an empty text was passed on")
			}
			text += d.Text
		case llm.ToolBegan:
			began++
			if d.ToolCall.Name == "" {
				t.Error("a tool call began without a name")
			}
		case llm.ToolReady:
			calls = append(calls, d.ToolCall)
			if len(calls) > began {
				t.Error("a tool call is ready that never began")
			}
			if d.ToolCall.ID == "" {
				t.Error("a tool call without an id")
			}
		case llm.Done:
			if i != len(got)-1 {
				t.Error("something came after Done")
			}
			if d.Finish == "" {
				t.Error("Done does not say why")
			}
		case llm.Fell:
			t.Error("a provider alone fell back to another")
		}
	}
	if len(got) == 0 || got[len(got)-1].Kind != llm.Done {
		t.Error("the last delta is not Done")
	}
	return text, calls
}

func words(t *testing.T, s Subject) {
	const want = "Your order is on its way to you."
	st := start(t, s, Script{Text: want})
	got, err := read(st)
	text, calls := whole(t, got, err)
	if text != want || calls != nil {
		t.Errorf("got %q and %d calls, want %q", text, len(calls), want)
	}
	if f := got[len(got)-1].Finish; f != "stop" {
		t.Errorf("finish %q, want stop", f)
	}
	if _, err := st.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("after the end: %v, want io.EOF again", err)
	}
}

func wordsThenCall(t *testing.T, s Subject) {
	st := start(t, s, Script{Text: "One moment, please.", Calls: []llm.ToolCall{{
		ID: "call_a", Name: lookup.Name, Args: json.RawMessage(`{"order_id":"4711"}`),
	}}})
	got, err := read(st)
	text, calls := whole(t, got, err)
	if text != "One moment, please." || len(calls) != 1 {
		t.Fatalf("got %q and %+v", text, calls)
	}
	if calls[0].Name != lookup.Name || string(calls[0].Args) != `{"order_id":"4711"}` {
		t.Errorf("got %+v", calls[0])
	}
	if f := got[len(got)-1].Finish; f != "tool_calls" {
		t.Errorf("finish %q, want tool_calls", f)
	}
}

func severalCalls(t *testing.T, s Subject) {
	st := start(t, s, Script{Calls: []llm.ToolCall{
		{ID: "call_a", Name: lookup.Name, Args: json.RawMessage(`{"order_id":"4711"}`)},
		{ID: "call_b", Name: lookup.Name, Args: json.RawMessage(`{"order_id":"0815"}`)},
		{ID: "call_c", Name: "end_call", Args: json.RawMessage(`{}`)},
	}})
	got, err := read(st)
	_, calls := whole(t, got, err)
	var args []string
	ids := map[string]bool{}
	for _, c := range calls {
		args = append(args, string(c.Args))
		ids[c.ID] = true
	}
	if strings.Join(args, " ") != `{"order_id":"4711"} {"order_id":"0815"} {}` || len(ids) != 3 {
		t.Errorf("got %q under %d ids", args, len(ids))
	}
}

// conv:L1: the first useful token is a word or a tool call.
func noise(t *testing.T, s Subject) {
	st := start(t, s, Script{Text: "Yes.", Noise: true})
	d, err := st.Next()
	if err != nil || d.Kind != llm.Text || !strings.HasPrefix("Yes.", d.Text) {
		t.Errorf("the first delta is %+v (%v), want the words", d, err)
	}
}

func cutText(t *testing.T, s Subject) {
	got, err := read(start(t, s, Script{Text: "Your order is", Cut: AfterText}))
	if errors.Is(err, io.EOF) {
		t.Errorf("a cut completion ended with %v", err)
	}
	for _, d := range got {
		if d.Kind == llm.Done {
			t.Error("a cut completion is Done")
		}
	}
}

// conv:L7: a call whose arguments broke off is never given.
func cutCall(t *testing.T, s Subject) {
	got, err := read(start(t, s, Script{Text: "One moment.", Cut: InArguments, Calls: []llm.ToolCall{
		{ID: "call_a", Name: lookup.Name, Args: json.RawMessage(`{"order_id":"4711"}`)},
	}}))
	var e *llm.Error
	if !errors.As(err, &e) {
		t.Errorf("a cut tool call ended with %v, want an *llm.Error", err)
	}
	for _, d := range got {
		if d.Kind == llm.ToolReady || d.Kind == llm.Done {
			t.Errorf("a cut tool call gave %+v", d)
		}
	}
}

func refusals(t *testing.T, s Subject) {
	for _, c := range []struct {
		status    int
		temporary bool
	}{
		{http.StatusTooManyRequests, true},
		{http.StatusInternalServerError, true},
		{http.StatusServiceUnavailable, true},
		{http.StatusUnauthorized, false},
		{http.StatusBadRequest, false},
	} {
		p := s.Start(t, Script{Status: c.status, Retry: 2 * time.Second})
		st, err := p.Stream(t.Context(), Ask())
		if err == nil {
			_, err = read(st)
			_ = st.Close()
		}
		var e *llm.Error
		if !errors.As(err, &e) {
			t.Errorf("%d: %v is no *llm.Error", c.status, err)
			continue
		}
		if e.Status != c.status || e.Temporary != c.temporary || e.RetryAfter != 2*time.Second || e.Provider == "" {
			t.Errorf("%d: got %+v", c.status, e)
		}
	}
}

func cancelled(t *testing.T, s Subject) {
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("the caller is gone")
	time.AfterFunc(20*time.Millisecond, func() { cancel(gone) })
	st, err := s.Start(t, Script{Text: "Never said.", Hang: true}).Stream(ctx, Ask())
	if err == nil {
		_, err = read(st)
		_ = st.Close()
	}
	if !errors.Is(err, gone) && !errors.Is(err, context.Canceled) {
		t.Errorf("after cancel: %v", err)
	}
}

func closed(t *testing.T, s Subject) {
	st := start(t, s, Script{Text: "One two three four five six."})
	if _, err := st.Next(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := st.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	for range 1000 { // what was read already may still come
		if _, err := st.Next(); err != nil {
			return
		}
	}
	t.Error("a closed stream goes on")
}

func usage(t *testing.T, s Subject) {
	want := llm.Usage{Prompt: 20, Completion: 7}
	got, err := read(start(t, s, Script{Text: "Yes.", Usage: want}))
	whole(t, got, err)
	if u := got[len(got)-1].Usage; u != want {
		t.Errorf("usage %+v, want %+v", u, want)
	}
	got, err = read(start(t, s, Script{Text: "Yes."}))
	whole(t, got, err)
	if u := got[len(got)-1].Usage; u != (llm.Usage{}) {
		t.Errorf("usage %+v of a model that does not tell", u)
	}
}

func independent(t *testing.T, s Subject) {
	const want = "This is the answer to you alone."
	p := s.Start(t, Script{Text: want})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			st, err := p.Stream(t.Context(), Ask())
			if err != nil {
				t.Error(err)
				return
			}
			defer func() { _ = st.Close() }()
			got, err := read(st)
			if text, _ := whole(t, got, err); text != want {
				t.Errorf("got %q", text)
			}
		})
	}
	wg.Wait()
}
