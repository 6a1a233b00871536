// Package ttstest is the conformance suite of voices: what a provider may rely
// on, and what a call may rely on of it.
//
// It guarantees of a provider that passes: a sentence is sound of one rate and
// then io.EOF, a sentence without sound is an error and never a silent success
// (conv:S11), the ends of a stream are told as the contract says, sentences
// do not wait for one another's readers, and no goroutine stays behind.
package ttstest

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/audio/tts"
)

// patience is how long anything may take, on a busy machine too.
const patience = 20 * time.Second

// Subject is a provider under test.
type Subject struct {
	// New makes the provider; what it starts beside it ends in t.Cleanup. A
	// provider that is an io.Closer is closed by the suite.
	New func(t *testing.T) tts.Provider
	// Text is a sentence of at least a second. Default an English one.
	Text string
	// Silent is a provider that answers without any sound. nil where none does.
	Silent func(t *testing.T) tts.Provider
	// Broken is a provider whose connection breaks after some sound of the
	// sentence. nil where none can.
	Broken func(t *testing.T) tts.Provider
	// Refuse is a provider that the vendor refuses for good (a wrong key). nil
	// where none can be.
	Refuse func(t *testing.T) tts.Provider
	// Words tells that the voice says when words sound: all of them.
	Words bool
}

// Run runs the suite.
func Run(t *testing.T, s Subject) {
	if s.Text == "" {
		s.Text = "One moment, I am looking that up for you."
	}
	for name, test := range map[string]func(*testing.T, Subject){
		"a sentence is sound of one rate and then EOF":     sentence,
		"nothing to say is an error, never EOF":            nothing,
		"several sentences at once":                        many,
		"Close gives up what is left":                      closes,
		"a sentence that nobody reads holds nothing up":    unread,
		"the end of the context ends the stream":           ctxEnds,
		"an ended context speaks nothing":                  ctxEnded,
		"no sound is an error, never EOF (conv:S11)":       silent,
		"a lost connection is a temporary error":           broken,
		"a refusal is an error that no second try changes": refused,
	} {
		t.Run(name, func(t *testing.T) {
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

func (s Subject) make(t *testing.T) tts.Provider {
	t.Helper()
	return closed(t, s.New(t))
}

func closed(t *testing.T, p tts.Provider) tts.Provider {
	if c, ok := p.(io.Closer); ok {
		t.Cleanup(func() {
			if err := c.Close(); err != nil {
				t.Errorf("close the provider: %v", err)
			}
		})
	}
	return p
}

func (s Subject) request() tts.Request {
	return tts.Request{Text: s.Text, Format: audio.Format{Encoding: audio.MuLaw, Rate: 8000}, CallID: "c1"}
}

// read reads a stream to its end and returns how long it sounds. The marks of
// its words rise, lie at the ends of words, and within the sound.
func read(st tts.Stream, text string, words bool) (time.Duration, error) {
	samples, rate, marks := 0, 0, 0
	last := tts.WordMark{}
	for {
		c, err := st.Next()
		if err != nil {
			d := audio.Duration(samples, rate)
			switch n := len(strings.Fields(text)); {
			case errors.Is(err, io.EOF) && last.End > d:
				return 0, fmt.Errorf("a word ends %v into %v of sound", last.End, d)
			case errors.Is(err, io.EOF) && words && (marks != n || last.TextEnd != len(text)):
				return 0, fmt.Errorf("%d marks for %d words, the last one %+v", marks, n, last)
			}
			return d, err
		}
		switch {
		case len(c.PCM) == 0 && len(c.Words) == 0:
			return 0, errors.New("a chunk without sound or words")
		case c.Rate < 8000 || c.Rate > 48000 || rate != 0 && c.Rate != rate:
			return 0, fmt.Errorf("a chunk at %d Hz after %d Hz", c.Rate, rate)
		}
		samples, rate = samples+len(c.PCM), c.Rate
		for _, w := range c.Words {
			if w.TextEnd <= last.TextEnd || w.TextEnd > len(text) || w.End < last.End {
				return 0, fmt.Errorf("word mark %+v after %+v in %d bytes of text", w, last, len(text))
			}
			if text[w.TextEnd-1] == ' ' || w.TextEnd < len(text) && text[w.TextEnd] != ' ' {
				return 0, fmt.Errorf("word mark %+v is not at the end of a word of %q", w, text)
			}
			last = w
			marks++
		}
	}
}

func (s Subject) speak(t *testing.T, p tts.Provider) (time.Duration, error) {
	t.Helper()
	st, err := p.Synthesize(t.Context(), s.request())
	if err != nil {
		return 0, err
	}
	d, err := read(st, s.Text, s.Words)
	if _, again := st.Next(); again == nil || err == io.EOF && again != io.EOF { //nolint:errorlint // EOF itself
		t.Errorf("after its end the stream says %v, then %v", err, again)
	}
	if err := st.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	return d, err
}

func sentence(t *testing.T, s Subject) {
	p := s.make(t)
	for range 2 {
		d, err := s.speak(t, p)
		if !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		if d < 500*time.Millisecond || d > 30*time.Second {
			t.Errorf("%q sounds for %v", s.Text, d)
		}
	}
}

func nothing(t *testing.T, s Subject) {
	p := s.make(t)
	for _, text := range []string{"", " \n", "…", "--"} {
		_, err := Subject{Text: text}.speak(t, p)
		var e *tts.Error
		if !errors.As(err, &e) {
			t.Errorf("%q: got %v, want a *tts.Error", text, err)
		}
	}
}

func many(t *testing.T, s Subject) {
	p := s.make(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if d, err := s.speak(t, p); !errors.Is(err, io.EOF) || d < 500*time.Millisecond {
				t.Errorf("%v of sound, then %v", d, err)
			}
		})
	}
	wg.Wait()
}

func closes(t *testing.T, s Subject) {
	p := s.make(t)
	for chunks := range 2 {
		st, err := p.Synthesize(t.Context(), s.request())
		if err != nil {
			t.Fatal(err)
		}
		for range chunks {
			if _, err := st.Next(); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 {
			if err := st.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		}
		if _, err := st.Next(); err == nil || errors.Is(err, io.EOF) {
			t.Errorf("a closed stream says %v, want an error that is not EOF", err)
		}
	}
	if _, err := s.speak(t, p); !errors.Is(err, io.EOF) {
		t.Errorf("the next sentence: %v", err)
	}
}

func unread(t *testing.T, s Subject) {
	p := s.make(t)
	for range 4 {
		st, err := p.Synthesize(t.Context(), tts.Request{Text: strings.Repeat(s.Text+" ", 4)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = st.Close() })
	}
	if _, err := s.speak(t, p); !errors.Is(err, io.EOF) {
		t.Errorf("beside sentences that nobody reads: %v", err)
	}
}
