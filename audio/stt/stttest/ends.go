package stttest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/patchcord/patchcord/audio/stt"
)

// drain reads events until they are over.
func drain(t *testing.T, st stt.Stream) {
	t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case _, ok := <-st.Events():
			if !ok {
				return
			}
		case <-timeout:
			t.Fatal("the events do not end")
		}
	}
}

func closes(t *testing.T, s Subject) {
	st := s.open(t.Context(), t, s.make(t))
	if err := s.say(st); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := st.Close(); err != nil {
			t.Fatalf("close: %v", err)
		}
	}
	drain(t, st)
	if err := st.Err(); err != nil {
		t.Errorf("Err after Close: %v", err)
	}
	if err := st.Send(s.Voice[:160]); err == nil {
		t.Error("a closed stream takes samples")
	}
	if err := st.Speech(true); err == nil {
		t.Error("a closed stream takes edges")
	}
}

// unread has events that nobody takes: neither Send nor Close waits for them.
func unread(t *testing.T, s Subject) {
	st := s.open(t.Context(), t, s.make(t))
	done := make(chan error, 1) // one result
	go func() {
		for range 3 {
			if err := s.say(st); err != nil {
				done <- err
				return
			}
		}
		if err := st.Speech(true); err != nil { // closed inside of an utterance
			done <- err
			return
		}
		done <- st.Close()
	}()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Fatal("Send or Close waits for a reader of events")
	}
}

func ctxEnds(t *testing.T, s Subject) {
	ctx, cancel := context.WithCancelCause(t.Context())
	st := s.open(ctx, t, s.make(t))
	if err := st.Send(s.Voice[:160]); err != nil {
		t.Fatal(err)
	}
	over := errors.New("the caller hung up")
	cancel(over)
	drain(t, st)
	if err := st.Err(); !errors.Is(err, over) && !errors.Is(err, context.Canceled) {
		t.Errorf("Err is %v, want the context's", err)
	}
	if err := st.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

func ctxEnded(t *testing.T, s Subject) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	st, err := s.make(t).Open(ctx, stt.Options{Format: s.Format})
	if err == nil {
		drain(t, st)
		err = st.Err()
		_ = st.Close()
	}
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

func cut(t *testing.T, s Subject) {
	if s.Cut == nil {
		t.Skip("the provider has no connection")
	}
	p := s.make(t)
	st := s.open(t.Context(), t, p)
	if err := st.Send(s.Voice[:160]); err != nil {
		t.Fatal(err)
	}
	s.Cut(t)
	_ = s.say(st) // a provider that connects for each utterance notices now
	drain(t, st)
	err := st.Err()
	var e *stt.Error
	if !errors.As(err, &e) || !e.Temporary || e.Provider == "" || e.Op == "" {
		t.Errorf("Err is %v (%T), want a temporary *stt.Error with provider and op", err, err)
	}
	if err := s.say(st); err == nil {
		t.Error("a stream that is over takes samples")
	}
}

func refused(t *testing.T, s Subject) {
	if s.Refuse == nil {
		t.Skip("nobody refuses this provider")
	}
	st, err := closed(t, s.Refuse(t)).Open(t.Context(), stt.Options{Format: s.Format})
	if err == nil {
		_ = s.say(st)
		drain(t, st)
		err = st.Err()
		_ = st.Close()
	}
	var e *stt.Error
	if !errors.As(err, &e) || e.Temporary {
		t.Errorf("got %v (%T), want a *stt.Error that is not temporary", err, err)
	}
}
