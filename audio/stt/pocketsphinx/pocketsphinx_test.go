package pocketsphinx

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/audio/stt"
	"github.com/patchcord/patchcord/audio/stt/stttest"
	"github.com/patchcord/patchcord/internal/localspeech"
	"github.com/patchcord/patchcord/internal/localspeech/localspeechtest"
)

// start makes a provider of the shop's sentences on a helper of the test.
func start(t testing.TB, phrases string) (*Provider, *Helper) {
	t.Helper()
	helper := localspeechtest.Start(t)
	p, err := New(Config{Phrases: phrases, Dir: "testdata"}, helper, nil)
	localspeechtest.Skip(t, err)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	st, err := p.Open(t.Context(), stt.Options{Format: audio.Format{Rate: 16000}})
	localspeechtest.Skip(t, err)
	if err != nil {
		t.Fatal(err)
	}
	_ = st.Close()
	return p, helper
}

func TestConformance(t *testing.T) {
	helper := localspeechtest.Start(t)
	path := localspeechtest.Build(t)
	var last *Provider
	stttest.Run(t, stttest.Subject{
		New: func(t *testing.T) stt.Provider {
			// A helper of the provider's own: it must end with the provider.
			p, err := New(Config{Phrases: "shop.phrases", Dir: "testdata", Helper: path}, nil, nil)
			localspeechtest.Skip(t, err)
			if err != nil {
				t.Fatal(err)
			}
			last = p
			return p
		},
		Voice: phone(localspeechtest.Say(t, helper, "rms", "where is my package")),
		Words: "where is my package",
		Cut: func(t *testing.T) {
			if err := syscall.Kill(last.helper.PID(), syscall.SIGSEGV); err != nil {
				t.Fatal(err)
			}
		},
		Refuse: func(t *testing.T) stt.Provider {
			p, err := New(Config{Phrases: "shop.phrases", Dir: "testdata", Helper: filepath.Join(t.TempDir(), "none")}, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			return p
		},
	})
}

// TestDeadHelperIsStartedAgain kills the helper in the middle of an utterance:
// that stream ends with a temporary error, the next one hears.
func TestDeadHelperIsStartedAgain(t *testing.T) {
	t.Parallel()
	p, helper := start(t, "shop.phrases")
	voice := phone(localspeechtest.Say(t, helper, "rms", "yes please"))
	o := stt.Options{Format: audio.Format{Encoding: audio.MuLaw, Rate: 8000}}
	for range 3 {
		st, err := p.Open(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		if err := st.Speech(true); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(helper.PID(), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		for range st.Events() { //nolint:revive // until they end
		}
		if err, ok := st.Err().(*stt.Error); !ok || !err.Temporary {
			t.Fatalf("Err is %v, want a temporary *stt.Error", st.Err())
		}
		_ = st.Close()

		st, err = p.Open(t.Context(), o)
		if err != nil {
			t.Fatalf("after the helper died: %v", err)
		}
		if got := hear(t, st, 8000, voice); got.Text != "yes please" {
			t.Errorf("after the helper died: heard %q", got.Text)
		}
		_ = st.Close()
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	model := t.TempDir()
	if err := os.WriteFile(filepath.Join(model, "cmudict-en-us.dict"), []byte("yes Y EH S\nno N OW\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	file := func(text string) string {
		path := filepath.Join(t.TempDir(), "x.phrases")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, c := range []struct {
		name string
		c    Config
		want string
	}{
		{"no file named", Config{}, "phrases is empty"},
		{"no file there", Config{Phrases: "nowhere.phrases", Dir: "/dir"}, "/dir/nowhere.phrases"},
		{"an unknown word", Config{Phrases: file("yes\nno\nyes blorp"), Model: model}, `x.phrases:3: no pronunciation is known of "blorp"`},
		{"a reject of 1", Config{Phrases: file("yes"), Model: model, Reject: 1}, "reject 1"},
		{"a negative interval", Config{Phrases: file("yes"), Model: model, Interim: -1}, "interim"},
		{"no model", Config{Phrases: file("yes"), Model: "/nowhere"}, "apt-get install pocketsphinx-en-us"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := New(c.c, nil, nil)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q in it", err, c.want)
			}
		})
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	p := &Provider{helper: localspeech.New(localspeech.Config{})}
	for name, o := range map[string]stt.Options{
		"German":       {Format: audio.Format{Rate: 8000}, Language: "de-DE"},
		"no rate":      {},
		"a wrong rate": {Format: audio.Format{Rate: 4000}},
	} {
		_, err := p.Open(t.Context(), o)
		if e, ok := err.(*stt.Error); !ok || e.Temporary {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestCloseRemovesTheModel(t *testing.T) {
	t.Parallel()
	model := t.TempDir()
	if err := os.WriteFile(filepath.Join(model, "cmudict-en-us.dict"), []byte("yes Y EH S\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(model, "en-us"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(model, "en-us", "feat.params"), []byte("-lowerf 130\n-cmninit 1,2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	phrases := filepath.Join(model, "p")
	if err := os.WriteFile(phrases, []byte("yes"), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := New(Config{Phrases: phrases, Model: model}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(p.file("phrases.lm")); err != nil {
		t.Error(err)
	}
	if got, err := os.ReadFile(p.file("telephone.params")); err != nil || string(got) != "-lowerf 130\n\n-cmninit "+telephone.mean+"\n" {
		t.Errorf("got %s, %v", got, err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(p.dir); !os.IsNotExist(err) {
		t.Errorf("the folder is still there: %v", err)
	}
}
