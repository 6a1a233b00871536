package ttstest

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/patchcord/patchcord/audio/tts"
)

// end is the error that ends a stream.
func end(t *testing.T, st tts.Stream) error {
	t.Helper()
	done := make(chan error, 1) // one result
	go func() {
		for {
			if _, err := st.Next(); err != nil {
				done <- err
				return
			}
		}
	}()
	select {
	case err := <-done:
		return err
	case <-time.After(patience):
		_ = st.Close()
		t.Fatal("the stream does not end")
		return nil
	}
}

func ctxEnds(t *testing.T, s Subject) {
	ctx, cancel := context.WithCancelCause(t.Context())
	st, err := s.make(t).Synthesize(ctx, s.request())
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	over := errors.New("the caller interrupts")
	cancel(over)
	// What has come already may still be read.
	if err := end(t, st); !errors.Is(err, over) && !errors.Is(err, context.Canceled) && !errors.Is(err, io.EOF) {
		t.Errorf("got %v, want the context's error", err)
	}
}

func ctxEnded(t *testing.T, s Subject) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	st, err := s.make(t).Synthesize(ctx, s.request())
	if err == nil {
		err = end(t, st)
		_ = st.Close()
	}
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

func fails(t *testing.T, s Subject, from func(*testing.T) tts.Provider, why string) *tts.Error {
	t.Helper()
	if from == nil {
		t.Skip(why)
	}
	_, err := s.speak(t, closed(t, from(t)))
	var e *tts.Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v (%T), want a *tts.Error", err, err)
	}
	if e.Provider == "" || e.Op == "" {
		t.Errorf("%+v: provider and op are not named", e)
	}
	return e
}

func silent(t *testing.T, s Subject) {
	fails(t, s, s.Silent, "the provider is never silent")
}

func broken(t *testing.T, s Subject) {
	if e := fails(t, s, s.Broken, "the provider has no connection"); e != nil && !e.Temporary {
		t.Errorf("%v is not temporary", e)
	}
}

func refused(t *testing.T, s Subject) {
	if e := fails(t, s, s.Refuse, "nobody refuses this provider"); e != nil && e.Temporary {
		t.Errorf("%v is temporary", e)
	}
}
