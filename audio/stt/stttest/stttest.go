// Package stttest is the conformance suite of speech recognisers: what a
// provider may rely on, and what a call may rely on of it.
//
// It guarantees of a provider that passes: every utterance is one or more
// events in order, positions lie inside the stream, the ends of a stream are
// told as the contract says (Close, the context, a lost connection), nothing
// blocks for a reader that does not come, and no goroutine stays behind.
package stttest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/audio/stt"
)

// patience is how long anything may take, on a busy machine too.
const patience = 20 * time.Second

// Subject is a provider under test.
type Subject struct {
	// New makes the provider; what it starts beside it ends in t.Cleanup. A
	// provider that is an io.Closer is closed by the suite.
	New func(t *testing.T) stt.Provider
	// Format of the sound. Default µ-law at 8 kHz.
	Format audio.Format
	// Voice is an utterance, and Words what must be recognised of it. Default a
	// second of tones, and any words.
	Voice []int16
	Words string
	// Cut breaks the connections of the provider that New made last: what is
	// open ends with a temporary *stt.Error. nil where it has none.
	Cut func(t *testing.T)
	// Refuse is a provider that the vendor refuses for good (a wrong key): Open
	// or the first utterance ends with a *stt.Error that is not temporary. nil
	// where none can be.
	Refuse func(t *testing.T) stt.Provider
}

func (s Subject) withDefaults() Subject {
	if s.Format.Rate == 0 {
		s.Format = audio.Format{Encoding: audio.MuLaw, Rate: 8000}
	}
	if s.Voice == nil {
		s.Voice = make([]int16, s.Format.Rate)
		for i := range s.Voice {
			s.Voice[i] = int16(8000 * (i / 9 % 2 * 2))
		}
	}
	return s
}

// Run runs the suite.
func Run(t *testing.T, s Subject) {
	s = s.withDefaults()
	for name, test := range map[string]func(*testing.T, Subject){
		"an utterance is recognised":                       utterance,
		"two utterances come in order":                     inOrder,
		"sound comes in pieces of any size":                pieces,
		"edges twice and out of place do no harm":          edges,
		"many streams at once each hear their own":         many,
		"Close ends the events without an error":           closes,
		"Close does not wait for a reader":                 unread,
		"the end of the context ends the stream":           ctxEnds,
		"an ended context opens nothing":                   ctxEnded,
		"a lost connection is a temporary error":           cut,
		"a refusal is an error that no second try changes": refused,
	} {
		t.Run(name, func(t *testing.T) {
			stuck := time.AfterFunc(6*patience, func() { panic("stttest: " + t.Name() + " does not end") })
			defer stuck.Stop()
			leaks(t)
			test(t, s)
		})
	}
}

// leaks fails the test if a goroutine outlives it and all that it cleans up.
func leaks(t *testing.T) {
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() {
		if err := goleak.Find(before); err != nil && !t.Failed() {
			t.Error(err)
		}
	})
}

func (s Subject) make(t *testing.T) stt.Provider {
	t.Helper()
	return closed(t, s.New(t))
}

func closed(t *testing.T, p stt.Provider) stt.Provider {
	if c, ok := p.(io.Closer); ok {
		t.Cleanup(func() {
			if err := c.Close(); err != nil {
				t.Errorf("close the provider: %v", err)
			}
		})
	}
	return p
}

func (s Subject) open(ctx context.Context, t *testing.T, p stt.Provider) stt.Stream {
	t.Helper()
	st, err := p.Open(ctx, stt.Options{Format: s.Format, Language: "en-US", CallID: "c1"})
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() { _ = st.Close() })
	return st
}

// say sends silence, the utterance in 20 ms frames with its edges, and
// silence; it stops at the first error and returns it.
func (s Subject) say(st stt.Stream) error {
	frame := s.Format.Rate / 50
	quiet := make([]int16, frame)
	send := func(n int) error {
		for range n {
			if err := st.Send(quiet); err != nil {
				return err
			}
		}
		return nil
	}
	if err := send(10); err != nil {
		return err
	}
	for i := 0; i < len(s.Voice); i += frame {
		if err := st.Send(s.Voice[i:min(len(s.Voice), i+frame)]); err != nil {
			return err
		}
		if i/frame == 3 { // the detector's onset: 80 ms late
			if err := st.Speech(true); err != nil {
				return err
			}
		}
	}
	if err := send(10); err != nil {
		return err
	}
	if err := st.Speech(false); err != nil {
		return err
	}
	return send(50)
}

// sent is how long what say sends lasts.
func (s Subject) sent() time.Duration {
	return 70*audio.FrameTime + audio.Duration(len(s.Voice), s.Format.Rate)
}

// final reads events up to the Final that ends an utterance and returns its
// words.
func final(st stt.Stream, limit time.Duration) (string, error) {
	var words []string
	timeout := time.After(patience)
	for {
		select {
		case ev, ok := <-st.Events():
			if !ok {
				return "", fmt.Errorf("the stream is over before the Final: %w", st.Err())
			}
			if err := check(ev, limit); err != nil {
				return "", err
			}
			if ev.Kind == stt.Final && ev.Text != "" {
				words = append(words, ev.Text)
			}
			if ev.Kind == stt.Final {
				return strings.Join(words, " "), nil
			}
		case <-timeout:
			return "", errors.New("no Final comes")
		}
	}
}

func check(ev stt.Event, limit time.Duration) error {
	switch {
	case ev.Kind < stt.Interim || ev.Kind > stt.Eager:
		return fmt.Errorf("an event of kind %d", int(ev.Kind))
	case ev.Kind == stt.Interim && ev.Text == "":
		return errors.New("an Interim without text")
	case ev.Text != strings.TrimSpace(ev.Text):
		return fmt.Errorf("text with space around: %q", ev.Text)
	case ev.Confidence < 0 || ev.Confidence > 1:
		return fmt.Errorf("confidence %v", ev.Confidence)
	case ev.Start < 0 || ev.End < 0 || ev.End != 0 && ev.End < ev.Start || ev.End > limit:
		return fmt.Errorf("%v at %v to %v of a stream of %v", ev.Kind, ev.Start, ev.End, limit)
	}
	return nil
}

func (s Subject) expect(t *testing.T, st stt.Stream, limit time.Duration) {
	t.Helper()
	text, err := final(st, limit)
	if err != nil {
		t.Fatal(err)
	}
	if s.Words != "" && !strings.Contains(strings.ToLower(text), strings.ToLower(s.Words)) {
		t.Fatalf("heard %q, want %q", text, s.Words)
	}
}

func utterance(t *testing.T, s Subject) {
	st := s.open(t.Context(), t, s.make(t))
	if err := s.say(st); err != nil {
		t.Fatal(err)
	}
	s.expect(t, st, s.sent())
	if err := st.Err(); err != nil {
		t.Errorf("Err is %v while the stream is open", err)
	}
}

func inOrder(t *testing.T, s Subject) {
	st := s.open(t.Context(), t, s.make(t))
	for n := range 2 {
		if err := s.say(st); err != nil {
			t.Fatal(err)
		}
		s.expect(t, st, time.Duration(n+1)*s.sent())
	}
}

func pieces(t *testing.T, s Subject) {
	st := s.open(t.Context(), t, s.make(t))
	if err := st.Send(nil); err != nil {
		t.Fatalf("send nothing: %v", err)
	}
	if err := st.Speech(true); err != nil {
		t.Fatal(err)
	}
	for i, n := 0, 1; i < len(s.Voice); i, n = i+n, n%977+1+n/7 {
		if err := st.Send(s.Voice[i:min(len(s.Voice), i+n)]); err != nil {
			t.Fatal(err)
		}
	}
	if err := st.Send(make([]int16, s.Format.Rate/2)); err != nil {
		t.Fatal(err)
	}
	if err := st.Speech(false); err != nil {
		t.Fatal(err)
	}
	s.expect(t, st, s.sent())
}

func edges(t *testing.T, s Subject) {
	st := s.open(t.Context(), t, s.make(t))
	for _, on := range []bool{false, true, true, false, false} {
		if err := st.Speech(on); err != nil {
			t.Fatalf("speech %v: %v", on, err)
		}
	}
	if err := s.say(st); err != nil {
		t.Fatal(err)
	}
	text := ""
	for range 2 { // the empty utterance may be a Final of its own
		got, err := final(st, s.sent())
		if err != nil {
			t.Fatal(err)
		}
		if text = got; text != "" || s.Words == "" {
			break
		}
	}
	if !strings.Contains(strings.ToLower(text), strings.ToLower(s.Words)) {
		t.Errorf("heard %q, want %q", text, s.Words)
	}
}

func many(t *testing.T, s Subject) {
	p := s.make(t)
	var wg sync.WaitGroup
	for range 6 {
		st := s.open(t.Context(), t, p)
		wg.Go(func() {
			if err := s.say(st); err != nil {
				t.Error(err)
				return
			}
			text, err := final(st, s.sent())
			if err != nil || !strings.Contains(strings.ToLower(text), strings.ToLower(s.Words)) {
				t.Errorf("heard %q, %v; want %q", text, err, s.Words)
			}
		})
	}
	wg.Wait()
}
