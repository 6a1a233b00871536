package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/patchcord/patchcord/engine"
	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/telephony"
)

var day = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

func newID(t *testing.T) telephony.CallID {
	t.Helper()
	id, err := uuid.NewV7()
	if err != nil {
		t.Fatal(err)
	}
	return telephony.CallID(id.String())
}

func started(id telephony.CallID, at time.Time) engine.Record {
	return engine.Record{
		ID: id, Direction: telephony.Inbound, From: "+4930123456", To: "+4930654321", Trunk: "carrier", Agent: "support",
		Codec: "PCMA", SIPCallID: "x@y", Status: engine.StatusRinging, Started: at,
		Variables: map[string]any{"name": "Ada", "vip": true},
	}
}

func event(id telephony.CallID, seq int, name string, fields ...engine.Field) engine.Event {
	at := time.Duration(seq) * time.Second
	return engine.Event{Time: day.Add(at), Level: "info", Name: name, CallID: id, Seq: seq, At: at, Fields: fields}
}

func TestACallIsKeptWholeAndSurvivesReopening(t *testing.T) {
	t.Parallel()
	eachURL(t, func(t *testing.T, url string) {
		s := open(t, url)
		id := newID(t)
		r := started(id, day)
		s.Started(r)
		s.Event(event(id, 1, engine.EventCallStarted))
		s.Event(event(id, 2, engine.EventCallAnswered))
		got, err := s.Call(t.Context(), id)
		if err != nil || got.Status != engine.StatusInProgress || !got.Answered.Equal(day.Add(2*time.Second)) {
			t.Errorf("after the answer: %+v, %v", got, err)
		}
		r.Status, r.Answered, r.Ended = engine.StatusInProgress, day.Add(2*time.Second), day.Add(62*time.Second)
		r.EndReason, r.Turns, r.ToolCalls, r.BargeIns, r.MOS, r.Loss, r.Lost = "hangup", 3, 2, 1, 4.2, 0.01, 7
		r.Recording, r.AnsweredBy, r.AnsweredCause = "recordings/x.wav", "machine", "phrase"
		r.SIPCallID = "x@\x00y"
		r.Transcript = []engine.Item{
			{Role: "agent", Text: "Hello there.", HeardText: "Hello", Interrupted: true},
			{Role: "user", Text: "Hi — ‘ö’ \\ '", Turn: 1, AtMS: 2100, Confidence: 0.9},
			{Role: "tool", Tool: "lookup", Text: `{"found":true}`, Turn: 1},
		}
		s.Ended(r)
		closed(t, s)

		s = open(t, url)
		defer closed(t, s)
		got, err = s.Call(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		want := r
		want.Status, want.Transcript, want.SIPCallID = engine.StatusEnded, nil, "x@y"
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
		items, err := s.Transcript(t.Context(), id)
		if err != nil || !reflect.DeepEqual(items, r.Transcript) {
			t.Errorf("transcript %+v, %v", items, err)
		}
	})
}

func TestAnUnknownCallIsNotFound(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *Store) {
		if _, err := s.Call(t.Context(), "nobody"); !errors.Is(err, ErrNotFound) {
			t.Errorf("%v", err)
		}
	})
}

func TestASecondProcessIsRefused(t *testing.T) {
	t.Parallel()
	eachURL(t, func(t *testing.T, url string) {
		s := open(t, url)
		if _, err := Open(t.Context(), Config{URL: url, Node: "test"}); err == nil || !strings.Contains(err.Error(), "another process ") {
			t.Errorf("second open: %v", err)
		}
		closed(t, s)
		closed(t, open(t, url))
	})
}

func TestBadURLs(t *testing.T) {
	t.Parallel()
	for _, u := range []string{"calls.db", "sqlite:", "postgres://user:hunter2@db/x", "mysql:x"} {
		_, err := Open(t.Context(), Config{URL: u})
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", u, err)
		}
	}
}

func TestACallWhoseProcessDiedIsEndedWithWhatIsKnown(t *testing.T) {
	t.Parallel()
	eachURL(t, func(t *testing.T, url string) {
		s := open(t, url)
		id, bare := newID(t), newID(t)
		s.Started(started(id, day))
		s.Started(started(bare, day))
		for _, e := range []engine.Event{
			event(id, 1, engine.EventCallStarted),
			event(id, 2, engine.EventCallAnswered),
			event(id, 3, engine.EventTurnAgent, engine.F("text", "Hello."), engine.F("heard_text", "Hello.")),
			event(id, 4, engine.EventTurnUser, engine.F("text", "My order"), engine.F("turn", 1)),
			event(id, 5, engine.EventTurnAgent, engine.F("text", "Which one?"), engine.F("heard_text", ""), engine.F("turn", 1)),
			event(id, 6, engine.EventTurnUser, engine.F("text", "My order please"), engine.F("turn", 1), engine.F("rev", 2)),
		} {
			s.Event(e)
		}
		closed(t, s) // without Ended: what a kill leaves behind

		s = open(t, url)
		defer closed(t, s)
		got, err := s.Call(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if got.Status != engine.StatusEnded || got.EndReason != engine.EndNodeLost ||
			!got.Ended.Equal(day.Add(6*time.Second)) || got.Duration() != 4*time.Second || got.Turns != 1 {
			t.Errorf("%+v", got)
		}
		items, err := s.Transcript(t.Context(), id)
		if err != nil || len(items) != 2 || items[0].Text != "Hello." || items[1].Text != "My order please" {
			t.Errorf("transcript %+v, %v", items, err)
		}
		events, err := s.Events(t.Context(), id, 6, 10)
		if err != nil || len(events) != 1 || events[0].Seq != 7 || events[0].Name != engine.EventCallEnded ||
			!strings.Contains(string(events[0].Body), `"end_reason":"node_lost"`) {
			t.Errorf("events %v, %v", events, err)
		}
		if got, err := s.Call(t.Context(), bare); err != nil || got.EndReason != engine.EndNodeLost {
			t.Errorf("%+v, %v", got, err)
		}
	})
}

func TestListsGoPageByPageAndByFilter(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *Store) {
		var ids []telephony.CallID
		for i := range 25 {
			r := started(newID(t), day.Add(time.Duration(i/2)*time.Minute)) // two of each time
			if i%5 == 0 {
				r.Agent, r.Direction, r.From = "sales", telephony.Outbound, "+1555"
			}
			s.Started(r)
			ids = append(ids, r.ID)
		}
		var got []telephony.CallID
		cursor, pages := "", 0
		for {
			page, next, err := s.Calls(t.Context(), Filter{Cursor: cursor, Limit: 7})
			if err != nil {
				t.Fatal(err)
			}
			pages++
			for _, r := range page {
				got = append(got, r.ID)
			}
			if next == "" {
				break
			}
			cursor = next
		}
		for i, j := 0, len(ids)-1; i < j; i, j = i+1, j-1 {
			ids[i], ids[j] = ids[j], ids[i]
		}
		if pages != 4 || !reflect.DeepEqual(got, ids) {
			t.Errorf("%d pages, %d calls:\n%v\n%v", pages, len(got), got, ids)
		}
		for _, tc := range []struct {
			name string
			f    Filter
			want int
		}{
			{"agent", Filter{Agents: []agent.ID{"sales"}}, 5},
			{"two agents", Filter{Agents: []agent.ID{"sales", "support"}}, 25},
			{"no agent allowed", Filter{Agents: []agent.ID{}}, 0},
			{"direction", Filter{Direction: telephony.Outbound}, 5},
			{"number", Filter{Number: "+1555"}, 5},
			{"status", Filter{Status: engine.StatusEnded}, 0},
			{"since", Filter{Since: day.Add(10 * time.Minute)}, 5},
			{"until", Filter{Until: day.Add(10 * time.Minute)}, 20},
			{"hostile text", Filter{Number: "' OR 1=1 --"}, 0},
			{"text that is none", Filter{Number: "\x00\xff"}, 0},
		} {
			calls, _, err := s.Calls(t.Context(), tc.f)
			if err != nil || len(calls) != tc.want {
				t.Errorf("%s: %d calls, %v; want %d", tc.name, len(calls), err, tc.want)
			}
		}
		for _, bad := range []string{"x", "!!", "MTIz"} {
			if _, _, err := s.Calls(t.Context(), Filter{Cursor: bad}); !errors.Is(err, ErrCursor) {
				t.Errorf("cursor %q: %v", bad, err)
			}
		}
	})
}

func TestIdempotencyKeys(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		if a, err := s.Once(ctx, "ops", "k", "h1"); a != nil || err != nil {
			t.Fatalf("new: %v, %v", a, err)
		}
		if _, err := s.Once(ctx, "ops", "k", "h1"); !errors.Is(err, ErrKeyRunning) {
			t.Errorf("running: %v", err)
		}
		answer := Answer{Status: 201, Header: map[string]string{"Location": "/x"}, Body: json.RawMessage(`{"id":"x"}`)}
		if err := s.Answered(ctx, "ops", "k", answer); err != nil {
			t.Fatal(err)
		}
		if a, err := s.Once(ctx, "ops", "k", "h1"); err != nil || a == nil || a.Status != 201 || string(a.Body) != `{"id":"x"}` || a.Header["Location"] != "/x" {
			t.Errorf("again: %+v, %v", a, err)
		}
		if _, err := s.Once(ctx, "ops", "k", "h2"); !errors.Is(err, ErrKeyReused) {
			t.Errorf("another request: %v", err)
		}
		if a, err := s.Once(ctx, "other", "k", "h2"); a != nil || err != nil {
			t.Errorf("another owner: %v, %v", a, err)
		}
		if err := s.Forget(ctx, "other", "k"); err != nil {
			t.Fatal(err)
		}
		if a, err := s.Once(ctx, "other", "k", "h3"); a != nil || err != nil {
			t.Errorf("forgotten: %v, %v", a, err)
		}
	})
}

func TestManyWritersAndReaders(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *Store) {
		done := make(chan error, 8) // one for each goroutine below
		for range 4 {
			go func() {
				id, err := uuid.NewV7()
				if err != nil {
					done <- err
					return
				}
				call := telephony.CallID(id.String())
				s.Started(started(call, day))
				for seq := range 200 {
					s.Event(event(call, seq+1, engine.EventRTPStats, engine.F("loss", 0.1)))
				}
				events, err := s.Events(context.Background(), call, 0, 1000)
				if err == nil && len(events) != 200 {
					err = fmt.Errorf("%d events, want 200: a read misses what was written before it", len(events))
				}
				done <- err
			}()
			go func() {
				_, _, err := s.Calls(context.Background(), Filter{})
				done <- err
			}()
		}
		for range 8 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	})
}

// What a call's goroutine pays for one event.
func BenchmarkEvent(b *testing.B) {
	s, err := Open(b.Context(), Config{URL: "sqlite:" + filepath.Join(b.TempDir(), "b.db"), MaxQueued: 1 << 30})
	if err != nil {
		b.Fatal(err)
	}
	e := event("0190b1d4-0000-7000-8000-000000000000", 1, engine.EventTurnMetrics, engine.F("v2v_ms", 612), engine.F("llm_first_ms", 201))
	b.ReportAllocs()
	for b.Loop() {
		e.Seq++
		s.Event(e)
	}
	b.StopTimer()
	_ = s.Close(context.Background())
}
