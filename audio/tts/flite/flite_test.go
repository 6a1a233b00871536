package flite

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/audio/tts"
	"github.com/patchcord/patchcord/audio/tts/ttstest"
	"github.com/patchcord/patchcord/internal/localspeech/localspeechtest"
)

func TestConformance(t *testing.T) {
	localspeechtest.Start(t) // skips by name without flite
	path := localspeechtest.Build(t)
	ttstest.Run(t, ttstest.Subject{
		New: func(t *testing.T) tts.Provider {
			p, err := New(Config{Helper: path}, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			return p
		},
		Broken: func(t *testing.T) tts.Provider {
			p, err := New(Config{Helper: path}, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			return killed{p, t}
		},
		Refuse: func(t *testing.T) tts.Provider {
			p, err := New(Config{Helper: filepath.Join(t.TempDir(), "none")}, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			return p
		},
	})
}

// killed is a provider whose helper is killed at the first sound of a long
// sentence.
type killed struct {
	*Provider
	t *testing.T
}

func (k killed) Synthesize(ctx context.Context, r tts.Request) (tts.Stream, error) {
	r.Text = strings.Repeat(r.Text+" ", 20)
	st, err := k.Provider.Synthesize(ctx, r)
	if err != nil {
		return nil, err
	}
	if _, err := st.Next(); err != nil {
		return nil, err
	}
	if err := syscall.Kill(k.helper.PID(), syscall.SIGSEGV); err != nil {
		k.t.Error(err)
	}
	return st, nil
}

// TestVoices speaks in all voices at once, more sentences than a reference
// counter of flite's that is never set back would allow.
func TestVoices(t *testing.T) {
	t.Parallel()
	helper := localspeechtest.Start(t)
	p, err := New(Config{}, helper, nil)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for _, voice := range Voices {
		wg.Go(func() {
			rate := 16000
			if voice == "kal" {
				rate = 8000
			}
			for range 3 {
				st, err := p.Synthesize(t.Context(), tts.Request{Text: "Your order arrives on Monday.", Voice: voice})
				if err != nil {
					t.Errorf("%s: %v", voice, err)
					return
				}
				n := 0
				for {
					c, err := st.Next()
					if errors.Is(err, io.EOF) {
						break
					}
					if err != nil || c.Rate != rate {
						t.Errorf("%s: %d Hz, %v", voice, c.Rate, err)
						return
					}
					n += len(c.PCM)
				}
				if d := audio.Duration(n, rate); d < time.Second || d > 4*time.Second {
					t.Errorf("%s: %v of sound", voice, d)
				}
			}
		})
	}
	wg.Wait()
}

func TestUnknownVoice(t *testing.T) {
	t.Parallel()
	if _, err := New(Config{Voice: "siri"}, nil, nil); err == nil || !strings.Contains(err.Error(), "slt") {
		t.Errorf("got %v, want the voices that there are", err)
	}
	helper := localspeechtest.Start(t)
	p, err := New(Config{}, helper, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, voice := range []string{"siri", "../../x", "RMS"} {
		st, err := p.Synthesize(t.Context(), tts.Request{Text: "Hello.", Voice: voice})
		if err == nil {
			_, err = st.Next()
		}
		var e *tts.Error
		if !errors.As(err, &e) || e.Temporary {
			t.Errorf("%q: got %v", voice, err)
		}
	}
}

func TestPlain(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, want string }{
		{"It’s “fine” – really…", `It's "fine" ,  really...`},
		{"Café Zürich, 5 €", "Cafe Zurich, 5  euros"},
		{"tab\tand\nline\x00", "tab and line"},
		{"你好", ""},
		{" . ! ", ""},
		{strings.Repeat("a", 70), strings.Repeat("a", 60) + " " + strings.Repeat("a", 10)},
	} {
		if got := plain(c.text); got != c.want {
			t.Errorf("%q: got %q, want %q", c.text, got, c.want)
		}
	}
	if n := len(plain(strings.Repeat("word ", 5000))); n > maxText+1 {
		t.Errorf("%d bytes, at most %d", n, maxText)
	}
}

func FuzzPlain(f *testing.F) {
	f.Add("It’s 5 €")
	f.Add("\x00\xff…")
	f.Fuzz(func(t *testing.T, text string) {
		got := plain(text)
		for i := range len(got) {
			if got[i] < ' ' || got[i] > '~' {
				t.Fatalf("%q: byte %#x at %d", text, got[i], i)
			}
		}
		if len(got) > maxText+1 {
			t.Fatalf("%d bytes", len(got))
		}
	})
}

// BenchmarkFirstSound is the time from the request to the first 50 ms.
func BenchmarkFirstSound(b *testing.B) {
	p, err := New(Config{}, localspeechtest.Start(b), nil)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		st, err := p.Synthesize(b.Context(), tts.Request{Text: "Your order shipped yesterday and will arrive on Monday."})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := st.Next(); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		for err == nil {
			_, err = st.Next()
		}
		b.StartTimer()
	}
}
