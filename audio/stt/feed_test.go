package stt

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
)

var errDown = errors.New("down")

// feed is one whose work delivers what comes in, until the stream ends or stop
// closes.
func feed(ctx context.Context, stop <-chan struct{}, in ...Event) *Feed {
	f := NewFeed(ctx, "test", 1)
	f.Run(func() error {
		for _, ev := range in {
			f.Deliver(ev)
		}
		select {
		case <-stop:
			return errDown
		case <-f.Context().Done():
			return errors.New("read: use of a closed connection") // what an end looks like from inside
		}
	})
	return f
}

func TestFeedEnds(t *testing.T) {
	t.Parallel()
	gone := errors.New("the caller hung up")
	for name, c := range map[string]struct {
		end  func(f *Feed, hangUp context.CancelCauseFunc, stop chan struct{})
		want error // of Err
	}{
		"its work fails":       {func(_ *Feed, _ context.CancelCauseFunc, stop chan struct{}) { close(stop) }, errDown},
		"something else fails": {func(f *Feed, _ context.CancelCauseFunc, _ chan struct{}) { _ = f.Fail(errDown) }, errDown},
		"the caller hangs up":  {func(_ *Feed, hangUp context.CancelCauseFunc, _ chan struct{}) { hangUp(gone) }, gone},
		"it is closed":         {func(f *Feed, _ context.CancelCauseFunc, _ chan struct{}) { _ = f.Close() }, nil},
		"it fails after the end": {func(f *Feed, hangUp context.CancelCauseFunc, _ chan struct{}) {
			hangUp(gone)
			if err := f.Fail(errDown); !errors.Is(err, gone) {
				t.Errorf("Fail gives %v", err)
			}
		}, gone},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, hangUp := context.WithCancelCause(t.Context())
				stop := make(chan struct{})
				f := feed(ctx, stop, Event{Text: "a"}, Event{Text: "b"}, Event{Text: "c"})
				if ev := <-f.Events(); ev.Text != "a" || f.Err() != nil || f.Over() != nil {
					t.Errorf("%+v, Err %v, Over %v", ev, f.Err(), f.Over())
				}
				synctest.Wait() // b waits for a reader, c for room
				if name == "its work fails" {
					<-f.Events()
				}
				c.end(f, hangUp, stop)
				for range f.Events() { //nolint:revive // until they end
				}
				if err := f.Err(); !errors.Is(err, c.want) {
					t.Errorf("Err is %v, want %v", err, c.want)
				}
				if f.Over() == nil {
					t.Error("it takes sound after its end")
				}
				_, _ = f.Close(), f.Close()
				var e *Error
				if !errors.As(f.Over(), &e) || e.Provider != "test" || f.Err() != nil {
					t.Errorf("closed: Over %v, Err %v", f.Over(), f.Err())
				}
			})
		})
	}
}

// TestErrWaitsForTheEvents: Err is nil while Events is open.
func TestErrWaitsForTheEvents(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f, more := NewFeed(t.Context(), "test", 0), make(chan struct{})
		f.Run(func() error { <-more; return nil })
		_ = f.Fail(errDown)
		if f.Err() != nil || !errors.Is(f.Over(), errDown) {
			t.Errorf("Err %v, Over %v", f.Err(), f.Over())
		}
		close(more)
		<-f.Events()
		if !errors.Is(f.Err(), errDown) {
			t.Errorf("Err is %v", f.Err())
		}
		_ = f.Close()
	})
}
