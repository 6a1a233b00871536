package llmtest

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/llm"
)

// RealtimeScript is what a speech-to-speech model shall do.
type RealtimeScript struct {
	Text  string         // spoken, as a response to anything
	Calls []llm.ToolCall // after it
	Words string         // what the caller says in each turn
	Hang  bool           // a response begins and goes no further
}

// RealtimeSubject is a speech-to-speech model under test.
type RealtimeSubject struct {
	// Start gives a model that does as the script says. What it needs is ended
	// by t.Cleanup.
	Start func(t *testing.T, s RealtimeScript) llm.Realtime
	// Cut breaks the connections of the model that Start gave last.
	Cut func(t *testing.T)
	// Refuse is a model whose key is not taken, and the key.
	Refuse func(t *testing.T) (llm.Realtime, string)
	// Anonymous responses do not say who asked for them.
	Anonymous bool
}

// RunRealtime runs the suite of speech-to-speech models, in each format that a
// call may have.
func RunRealtime(t *testing.T, s RealtimeSubject) {
	t.Helper()
	for _, f := range []audio.Format{
		{Encoding: audio.MuLaw, Rate: 8000},
		{Encoding: audio.ALaw, Rate: 8000},
		{Encoding: audio.PCM16, Rate: 8000},
		{Encoding: audio.PCM16, Rate: 16000},
	} {
		t.Run(string(f.Encoding), func(t *testing.T) {
			spoken(t, s, f)
			turn(t, s, f)
		})
	}
	for name, test := range map[string]func(*testing.T, RealtimeSubject){
		"a call is given complete":                         called,
		"one response at a time":                           oneAtATime,
		"a cancelled response ends":                        cancelledSession,
		"what was said can be cut and forgotten":           cutAndForgotten,
		"Close ends the events without an error":           closedSession,
		"Close does not wait for a reader":                 unreadSession,
		"the end of the context ends the session":          ctxSession,
		"a lost connection is a temporary error":           lostSession,
		"a refusal is an error that no second try changes": refusedSession,
	} {
		t.Run(name, func(t *testing.T) {
			before := goleak.IgnoreCurrent()
			t.Cleanup(func() {
				if err := goleak.Find(before); err != nil && !t.Failed() {
					t.Error(err)
				}
			})
			test(t, s)
		})
	}
}

// mulaw is the format of the cases that need none of their own.
var mulaw = audio.Format{Encoding: audio.MuLaw, Rate: 8000}

func connect(ctx context.Context, t *testing.T, r llm.Realtime, f audio.Format) llm.RealtimeSession {
	t.Helper()
	s, err := r.Connect(ctx, llm.RealtimeOptions{
		Format: f, Instructions: "You answer the phone.", Tools: []llm.Tool{lookup}, Language: "en-GB", CallID: "c1",
	})
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func do(t *testing.T, s llm.RealtimeSession, cs ...llm.RealtimeCommand) {
	t.Helper()
	for _, c := range cs {
		if err := s.Do(c); err != nil {
			t.Fatalf("%T: %v", c, err)
		}
	}
}

// until reads events up to one of a kind, and returns all of them.
func until(t *testing.T, s llm.RealtimeSession, k llm.RealtimeKind) []llm.RealtimeEvent {
	t.Helper()
	var out []llm.RealtimeEvent
	late := time.After(limit)
	for {
		select {
		case ev, ok := <-s.Events():
			if !ok {
				t.Fatalf("the session is over: %v, after %+v", s.Err(), out)
			}
			out = append(out, ev)
			if ev.Kind == k {
				return out
			}
		case <-late:
			t.Fatalf("no event %d came, only %+v", k, out)
		}
	}
}

// spoken: a response is sound at the call's rate, with its words, from its
// beginning to its end.
func spoken(t *testing.T, subject RealtimeSubject, f audio.Format) {
	const text = "Good morning, how can I help?"
	s := connect(t.Context(), t, subject.Start(t, RealtimeScript{Text: text}), f)
	do(t, s, llm.Respond{ID: "r1"})
	evs := until(t, s, llm.ResponseDone)
	first, last := evs[0], evs[len(evs)-1]
	if first.Kind != llm.ResponseBegan || first.Response == "" || first.ID != "r1" && !subject.Anonymous {
		t.Errorf("it begins with %+v", first)
	}
	if last.Finish != "completed" || last.Response != first.Response {
		t.Errorf("it ends with %+v", last)
	}
	words, samples, item := "", 0, ""
	for _, ev := range evs[1:] {
		if ev.Response != first.Response {
			t.Errorf("%+v is of another response", ev)
		}
		switch ev.Kind {
		case llm.ItemBegan:
			item = ev.Item
		case llm.SpokenWords:
			words += ev.Text
		case llm.Spoken:
			if samples += len(ev.PCM); ev.Item != item || item == "" {
				t.Errorf("sound of item %q, %q has begun", ev.Item, item)
			}
		}
	}
	if words != text {
		t.Errorf("said %q", words)
	}
	if want := len(text) * f.Rate / 15; samples < want*95/100 || samples > want*105/100 {
		t.Errorf("%d samples, want about %d", samples, want)
	}
}

// turn: a voice and the silence after it are a turn, whose words follow.
func turn(t *testing.T, subject RealtimeSubject, f audio.Format) {
	s := connect(t.Context(), t, subject.Start(t, RealtimeScript{Words: "Where is my order?"}), f)
	frame := make([]int16, f.Rate/50)
	for i := range 100 { // 1 s of a voice, 1 s of none
		for k := range frame {
			frame[k] = 0
			if i < 50 {
				frame[k] = int16(8000 * (1 - 2*(k/8%2)))
			}
		}
		if err := s.Send(frame); err != nil {
			t.Fatal(err)
		}
	}
	evs := until(t, s, llm.TurnWords)
	var kinds []llm.RealtimeKind
	for _, ev := range evs {
		kinds = append(kinds, ev.Kind)
		if (ev.Kind == llm.VoiceBegan || ev.Kind == llm.VoiceEnded) && (ev.Ago < 0 || ev.Ago > 2*time.Second) {
			t.Errorf("%+v is of no time in the call", ev)
		}
	}
	want := []llm.RealtimeKind{llm.VoiceBegan, llm.VoiceEnded, llm.TurnEnded, llm.TurnWords}
	if len(kinds) != len(want) {
		t.Fatalf("heard %+v", evs)
	}
	for i, k := range want {
		if kinds[i] != k {
			t.Fatalf("heard %+v", evs)
		}
	}
	if w := evs[3]; w.Text != "Where is my order?" || w.Item == "" || w.Item != evs[2].Item {
		t.Errorf("words %+v of turn %+v", w, evs[2])
	}
}

var orderCall = llm.ToolCall{ID: "call_1", Name: lookup.Name, Args: json.RawMessage(`{"order_id":"4711"}`)}

func called(t *testing.T, subject RealtimeSubject) {
	script := RealtimeScript{Text: "Let me look.", Calls: []llm.ToolCall{orderCall}}
	s := connect(t.Context(), t, subject.Start(t, script), mulaw)
	do(t, s, llm.Respond{ID: "r1"})
	n := 0
	for _, ev := range until(t, s, llm.ResponseDone) {
		if ev.Kind != llm.CallReady {
			continue
		}
		n++
		same := ev.Call.ID == orderCall.ID && ev.Call.Name == orderCall.Name && string(ev.Call.Args) == string(orderCall.Args)
		if !same || ev.Item == "" {
			t.Errorf("got %+v", ev)
		}
	}
	if n != 1 {
		t.Errorf("%d calls", n)
	}
	do(t, s,
		llm.AddMessage{ID: "a1", Message: llm.Message{Role: llm.ToolRole, ToolCallID: orderCall.ID, Content: `{"ok":true}`}},
		llm.Respond{ID: "r2"})
	for _, ev := range until(t, s, llm.ResponseDone) {
		if ev.Kind == llm.Refused {
			t.Errorf("refused: %+v", ev)
		}
	}
}

func oneAtATime(t *testing.T, subject RealtimeSubject) {
	s := connect(t.Context(), t, subject.Start(t, RealtimeScript{Text: "Hello.", Hang: true}), mulaw)
	do(t, s, llm.Respond{ID: "r1"})
	began := until(t, s, llm.ResponseBegan)[0]
	do(t, s, llm.Respond{ID: "r2"})
	evs := until(t, s, llm.Refused)
	if ev := evs[len(evs)-1]; ev.ID != "r2" || ev.Code != llm.CodeActive || ev.Err == nil {
		t.Errorf("got %+v", ev)
	}
	do(t, s, llm.CancelResponse{ID: "c1", Response: began.Response})
	until(t, s, llm.ResponseDone)
	do(t, s, llm.CancelResponse{ID: "c2", Response: began.Response})
	evs = until(t, s, llm.Refused)
	if ev := evs[len(evs)-1]; ev.ID != "c2" || ev.Code != llm.CodeNotActive {
		t.Errorf("got %+v", ev)
	}
}

func cancelledSession(t *testing.T, subject RealtimeSubject) {
	s := connect(t.Context(), t, subject.Start(t, RealtimeScript{Text: strings.Repeat("on and on ", 60)}), mulaw)
	do(t, s, llm.Respond{ID: "r1"})
	evs := until(t, s, llm.Spoken)
	do(t, s, llm.CancelResponse{ID: "c1", Response: evs[0].Response})
	evs = until(t, s, llm.ResponseDone)
	if ev := evs[len(evs)-1]; ev.Finish != "cancelled" {
		t.Errorf("ended with %+v", ev)
	}
}

func cutAndForgotten(t *testing.T, subject RealtimeSubject) {
	s := connect(t.Context(), t, subject.Start(t, RealtimeScript{Text: "Good morning, how can I help?"}), mulaw)
	do(t, s, llm.Respond{ID: "r1"})
	item := ""
	for _, ev := range until(t, s, llm.ResponseDone) {
		if ev.Kind == llm.Spoken {
			item = ev.Item
		}
	}
	do(t, s,
		llm.Truncate{ID: "t1", Item: item, End: time.Second},
		llm.DeleteItem{ID: "d1", Item: item},
		llm.Instruct{ID: "i1", Instructions: "Be brief."},
		llm.AddMessage{ID: "a1", Message: llm.Message{Role: llm.Assistant, Content: "Good"}},
		llm.AddMessage{ID: "a2", Message: llm.Message{Role: llm.User, Content: "DTMF 1"}},
		llm.AddMessage{ID: "a3", Message: llm.Message{Role: llm.Assistant, ToolCalls: []llm.ToolCall{orderCall}}},
		llm.AddMessage{ID: "a4", Message: llm.Message{Role: llm.ToolRole, ToolCallID: orderCall.ID, Content: "{}"}},
		llm.Truncate{ID: "t2", Item: item, End: time.Second}, // it is gone: this ends the wait
	)
	evs := until(t, s, llm.Refused)
	if ev := evs[len(evs)-1]; len(evs) != 1 || ev.ID != "t2" || ev.Err == nil {
		t.Errorf("got %+v", evs)
	}
}

func closedSession(t *testing.T, subject RealtimeSubject) {
	s := connect(t.Context(), t, subject.Start(t, RealtimeScript{}), mulaw)
	for range 2 {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}
	for range s.Events() { //nolint:revive // until they end
	}
	if err := s.Err(); err != nil {
		t.Errorf("after Close: %v", err)
	}
	if s.Send(make([]int16, 160)) == nil || s.Do(llm.Respond{}) == nil {
		t.Error("a closed session takes more")
	}
}

func unreadSession(t *testing.T, subject RealtimeSubject) {
	s := connect(t.Context(), t, subject.Start(t, RealtimeScript{Text: strings.Repeat("on and on ", 100)}), mulaw)
	do(t, s, llm.Respond{ID: "r1"})
	until(t, s, llm.ResponseBegan)
	done := make(chan struct{})
	go func() { _ = s.Close(); close(done) }()
	select {
	case <-done:
	case <-time.After(limit):
		t.Fatal("Close waits for a reader")
	}
}

func ctxSession(t *testing.T, subject RealtimeSubject) {
	ctx, cancel := context.WithCancelCause(t.Context())
	r := subject.Start(t, RealtimeScript{})
	s := connect(ctx, t, r, mulaw)
	why := errors.New("the call is over")
	cancel(why)
	for range s.Events() { //nolint:revive // until they end
	}
	if err := s.Err(); !errors.Is(err, why) {
		t.Errorf("got %v", err)
	}
	if _, err := r.Connect(ctx, llm.RealtimeOptions{Format: mulaw}); !errors.Is(err, why) {
		t.Errorf("connect after the end: %v", err)
	}
}

func lostSession(t *testing.T, subject RealtimeSubject) {
	s := connect(t.Context(), t, subject.Start(t, RealtimeScript{}), mulaw)
	subject.Cut(t)
	for range s.Events() { //nolint:revive // until they end
	}
	var e *llm.Error
	if err := s.Err(); !errors.As(err, &e) || !e.Temporary || e.Provider == "" {
		t.Errorf("got %v", err)
	}
	if s.Send(make([]int16, 160)) == nil {
		t.Error("a lost session takes sound")
	}
}

func refusedSession(t *testing.T, subject RealtimeSubject) {
	r, key := subject.Refuse(t)
	_, err := r.Connect(t.Context(), llm.RealtimeOptions{Format: mulaw})
	var e *llm.Error
	if !errors.As(err, &e) || e.Temporary {
		t.Fatalf("got %v", err)
	}
	if strings.Contains(err.Error(), key) {
		t.Errorf("the key is in %v", err) // SEC-10
	}
}
