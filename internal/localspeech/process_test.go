package localspeech

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// The test binary is its own helper, with a backend in Go: what it does is
// told by the text and by the folder it is started from.
func TestMain(m *testing.M) {
	switch filepath.Base(filepath.Dir(os.Args[0])) {
	default:
		goleak.VerifyTestMain(m)
	case "serve":
		if err := Serve(os.Stdin, os.Stdout, fake{}); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	case "old":
		_, _ = os.Stdout.Write(AppendFrame(nil, Frame{Kind: KindHello, Body: []byte{99, 0}}))
		_, _ = io.Copy(io.Discard, os.Stdin)
	case "deaf": // says hello and never reads
		_, _ = os.Stdout.Write(AppendFrame(nil, Frame{Kind: KindHello, Body: []byte{Version, 0}}))
		select {}
	case "dies":
		fmt.Fprintln(os.Stderr, "no luck today")
		os.Exit(3)
	}
}

// fake speaks a sample per byte of the text, and recognises how much sound it
// heard.
type fake struct{}

func (fake) Speak(voice, text string, emit func(int, []int16) bool) error {
	switch voice {
	case "missing":
		return &Error{Text: "no such library: apt-get install libflite1"}
	case "endless":
		for emit(8000, make([]int16, 800)) {
			<-time.After(time.Millisecond)
		}
		return nil
	case "crash":
		emit(8000, make([]int16, 800))
		_ = syscall.Kill(os.Getpid(), syscall.SIGSEGV)
		select {}
	}
	for i := range text {
		if !emit(16000, []int16{int16(text[i])}) {
			break
		}
	}
	return nil
}

func (fake) Recogniser(args []string) (Decoder, error) {
	if len(args) > 0 && args[0] == "-fail" {
		return nil, &Error{Text: "apt-get install libpocketsphinx3"}
	}
	d := &counting{}
	if len(args) > 0 && args[0] == "-slow" {
		d.block = make(chan struct{})
	}
	return d, nil
}

type counting struct {
	n     int
	block chan struct{} // Process never returns
}

func (d *counting) Begin() error { d.n = 0; return nil }

func (d *counting) Process(pcm []int16) error {
	if d.block != nil {
		<-d.block
	}
	d.n += len(pcm)
	return nil
}

// Words is a word for each 200 ms, the last of them another one each time.
func (d *counting) Words() []Word {
	words := []Word{{Text: "<s>"}}
	for at := 3200; at < d.n; at += 3200 {
		words = append(words, Word{Text: fmt.Sprint(at), End: at / 160})
	}
	return append(words, Word{Text: fmt.Sprint("guess ", d.n), End: d.n / 160})
}

// End is the number of samples.
func (d *counting) End() ([]Word, error) {
	return []Word{{Text: fmt.Sprint(d.n), End: d.n / 160}}, nil
}
func (d *counting) Close() {}

// helper is the test binary as a helper of a kind, which it knows by the folder.
// It is a link: a file that was just written may still be open in a process that
// another test is starting, and then does not run ("text file busy").
func helper(t testing.TB, kind string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), kind)
	path := filepath.Join(dir, Name)
	if err := errors.Join(os.Mkdir(dir, 0o700), os.Symlink(self, path)); err != nil {
		t.Fatal(err)
	}
	return path
}

func process(t testing.TB, kind string) *Process {
	t.Helper()
	p := New(Config{Path: helper(t, kind), Ping: 200 * time.Millisecond})
	t.Cleanup(func() { _ = p.Close() })
	return p
}

func readAll(ctx context.Context, v *Voice) (string, error) {
	var text []byte
	for {
		s, err := v.Next(ctx)
		if err != nil {
			return string(text), err
		}
		for _, b := range s.PCM {
			text = append(text, byte(b))
		}
	}
}

func TestManyStreams(t *testing.T) {
	t.Parallel()
	p := process(t, "serve")
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			text := strings.Repeat(fmt.Sprint(i, " "), 50)
			v, err := p.Speak(t.Context(), "any", text)
			if err != nil {
				t.Error(err)
				return
			}
			if got, err := readAll(t.Context(), v); got != text || !errors.Is(err, io.EOF) {
				t.Errorf("got %q, %v; want %q", got, err, text)
			}
		})
		wg.Go(func() {
			r, err := p.Recognise(t.Context(), Recognise{Rate: 16000})
			if err != nil {
				t.Error(err)
				return
			}
			defer r.Close()
			_ = r.Audio(make([]int16, 99)) // before the utterance: not heard
			_ = r.Begin()
			for range i + 1 {
				_ = r.Audio(make([]int16, 160))
			}
			_ = r.End()
			h, err := r.Next(t.Context())
			if want := fmt.Sprint(160 * (i + 1)); err != nil || !h.Final || h.Words[0].Text != want {
				t.Errorf("got %+v, %v; want %s", h, err, want)
			}
		})
	}
	wg.Wait()
}

// TestInterimHypotheses: told while it is heard are the words that stay, each
// state of them once.
func TestInterimHypotheses(t *testing.T) {
	t.Parallel()
	r, err := process(t, "serve").Recognise(t.Context(), Recognise{Rate: 16000, Every: 200 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for range 2 {
		_ = r.Begin()
		for range 10 {
			_ = r.Audio(make([]int16, 1280)) // 80 ms: an answer is due after every third
		}
		_ = r.End()
		for i, want := range []string{"<s> 3200", "<s> 3200 6400", "12800"} {
			h, err := r.Next(t.Context())
			var got []string
			for _, w := range h.Words {
				got = append(got, w.Text)
			}
			if err != nil || h.Final != (i == 2) || strings.Join(got, " ") != want {
				t.Errorf("%d: got %+v, %v; want %q", i, h, err, want)
			}
		}
	}
}

// TestSlowDecoderBlocksNobody: its own stream waits, the others go on.
func TestSlowDecoderBlocksNobody(t *testing.T) {
	t.Parallel()
	p := process(t, "serve")
	slow, err := p.Recognise(t.Context(), Recognise{Rate: 16000, Args: []string{"-slow"}})
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	_ = slow.Begin()
	for range maxQueued + 100 {
		if err := slow.Audio(make([]int16, 160)); err != nil {
			t.Fatal(err)
		}
	}
	v, err := p.Speak(t.Context(), "any", "hello")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := readAll(t.Context(), v); got != "hello" || !errors.Is(err, io.EOF) {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestCrashEndsTheStreamsAndTheNextGoesWell(t *testing.T) {
	t.Parallel()
	p := process(t, "serve")
	for range 3 {
		r, err := p.Recognise(t.Context(), Recognise{Rate: 8000})
		if err != nil {
			t.Fatal(err)
		}
		v, err := p.Speak(t.Context(), "crash", "")
		if err != nil {
			t.Fatal(err)
		}
		_, err = readAll(t.Context(), v)
		_, errR := r.Next(t.Context())
		for _, err := range []error{err, errR} {
			var e *Error
			if !errors.As(err, &e) || !e.Temporary {
				t.Errorf("got %v, want a temporary *Error", err)
			}
		}
		if err := r.Begin(); err == nil {
			t.Error("a dead stream takes frames")
		}
		r.Close()
		v.Close()
		v, err = p.Speak(t.Context(), "any", "alive")
		if err != nil {
			t.Fatal(err)
		}
		if got, err := readAll(t.Context(), v); got != "alive" || !errors.Is(err, io.EOF) {
			t.Errorf("after the crash: %q, %v", got, err)
		}
	}
}

func TestHungHelperIsKilled(t *testing.T) {
	t.Parallel()
	p := process(t, "deaf")
	v, err := p.Speak(t.Context(), "any", "hello")
	if err != nil {
		t.Fatal(err)
	}
	var e *Error
	if _, err := v.Next(t.Context()); !errors.As(err, &e) || !e.Temporary {
		t.Errorf("got %v, want a temporary *Error", err)
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	t.Run("a missing library", func(t *testing.T) {
		t.Parallel()
		p := process(t, "serve")
		v, err := p.Speak(t.Context(), "missing", "x")
		if err != nil {
			t.Fatal(err)
		}
		_, err = v.Next(t.Context())
		_, errR := p.Recognise(t.Context(), Recognise{Rate: 8000, Args: []string{"-fail"}})
		for _, err := range []error{err, errR} {
			var e *Error
			if !errors.As(err, &e) || e.Temporary || !strings.Contains(err.Error(), "apt-get install") {
				t.Errorf("got %v", err)
			}
		}
	})
	for kind, want := range map[string]string{"old": "version 99", "dies": "no luck today"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			p := process(t, kind)
			for range 2 { // every stream tries again
				if _, err := p.Speak(t.Context(), "any", "x"); err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("got %v, want %q in it", err, want)
				}
			}
		})
	}
	t.Run("a wrong rate", func(t *testing.T) {
		t.Parallel()
		if _, err := process(t, "serve").Recognise(t.Context(), Recognise{Rate: 1}); err == nil {
			t.Error("1 Hz is taken")
		}
	})
}

func TestCloseEndsAll(t *testing.T) {
	t.Parallel()
	p := process(t, "serve")
	v, err := p.Speak(t.Context(), "endless", "")
	if err != nil {
		t.Fatal(err)
	}
	pid := p.PID()
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = v.Next(t.Context())
	}
	if !errors.Is(err, ErrClosed) {
		t.Errorf("got %v", err)
	}
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("the helper is still there: %v", err)
	}
	if _, err := p.Speak(t.Context(), "any", "x"); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func TestStreamEndsWithItsContext(t *testing.T) {
	t.Parallel()
	v, err := process(t, "serve").Speak(t.Context(), "endless", "")
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := v.Next(ctx); err != nil {
		t.Error(err)
	}
	cancel()
	if _, err := v.Next(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// TestHelperEndsWithItsInput: an engine that dies leaves no helper behind.
func TestHelperEndsWithItsInput(t *testing.T) {
	t.Parallel()
	cmd := exec.Command(helper(t, "serve"))
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	in.Close()
	done := make(chan error, 1) // one result
	go func() { done <- cmd.Wait() }()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		_ = cmd.Process.Kill()
		t.Error("it is still there")
	}
}

func TestFind(t *testing.T) {
	t.Parallel()
	if _, err := Find(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a path that is none is taken")
	}
	if path := helper(t, "serve"); true {
		if got, err := Find(path); err != nil || got != path {
			t.Errorf("got %q, %v", got, err)
		}
	}
}

func FuzzServe(f *testing.F) {
	all := AppendFrame(nil, Frame{Stream: 1, Kind: KindRecognise, Body: Recognise{Rate: 8000, Every: 1}.Append(nil)})
	for _, k := range []Kind{KindBegin, KindBegin, KindEnd, KindPing, KindClose} {
		all = AppendFrame(all, Frame{Stream: 1, Kind: k})
	}
	f.Add(all)
	f.Add(AppendFrame(nil, Frame{Stream: 2, Kind: KindSpeak, Body: Speak{Voice: "any", Text: "x"}.Append(nil)}))
	f.Add(AppendFrame(nil, Frame{Stream: 2, Kind: KindAudio, Body: []byte{1}}))
	f.Fuzz(func(t *testing.T, in []byte) {
		_ = Serve(strings.NewReader(string(in)), io.Discard, quiet{})
	})
}

// quiet is a backend for the fuzzer: it ends at once and leaves nothing behind.
type quiet struct{}

func (quiet) Speak(string, string, func(int, []int16) bool) error { return nil }
func (quiet) Recogniser([]string) (Decoder, error)                { return nil, errors.New("no") }
