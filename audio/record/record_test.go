package record

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/patchcord/patchcord/audio"
)

const frame = 160

func constant(v int16) []int16 {
	pcm := make([]int16, frame)
	for i := range pcm {
		pcm[i] = v
	}
	return pcm
}

// memory is a file that can be slow, and full.
type memory struct {
	b      []byte
	at     int
	full   int // bytes there is room for; 0: no bound
	closed int
	gate   chan struct{} // not nil: each write waits for it
}

func (m *memory) Write(p []byte) (int, error) {
	if m.gate != nil {
		<-m.gate
	}
	if m.full > 0 && m.at+len(p) > m.full {
		return 0, errFailing
	}
	if need := m.at + len(p) - len(m.b); need > 0 {
		m.b = append(m.b, make([]byte, need)...)
	}
	m.at += copy(m.b[m.at:], p)
	return len(p), nil
}

func (m *memory) Seek(to int64, whence int) (int64, error) {
	m.at = int(to)
	if whence == io.SeekEnd {
		m.at += len(m.b)
	}
	return int64(m.at), nil
}

func (m *memory) Close() error { m.closed++; return nil }

func (m *memory) wav(t *testing.T) *WAV {
	t.Helper()
	w, err := ReadWAV(bytes.NewReader(m.b))
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func TestBothSidesStandAtTheirTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &memory{}
		r, err := New(m, 8000)
		if err != nil {
			t.Fatal(err)
		}
		const start = 40 * time.Millisecond // the recording begins at the first sound
		for k := range 500 {                // 10 s; the agent speaks in the third second, the caller is lost in the fifth
			at := start + time.Duration(k)*audio.FrameTime
			r.Caller(audio.Frame{PCM: constant(int16(k + 1)), Rate: 8000, At: at, Lost: k >= 200 && k < 250})
			if k >= 100 && k < 150 {
				r.Agent(constant(int16(-k)), at+5*time.Millisecond)
			}
			time.Sleep(audio.FrameTime)
		}
		total, err := r.Close()
		if err != nil {
			t.Fatal(err)
		}
		if total.Start != start || total.Duration != 10*time.Second || total.DroppedCaller+total.DroppedAgent != 0 {
			t.Fatalf("totals %+v", total)
		}
		if int(total.Bytes) != len(m.b) || m.closed != 1 {
			t.Fatalf("%d bytes of %d, closed %d times", total.Bytes, len(m.b), m.closed)
		}
		w := m.wav(t)
		if w.Rate != 8000 || w.Channels != 2 {
			t.Fatalf("%d Hz, %d channels", w.Rate, w.Channels)
		}
		left, right := w.Channel(0), w.Channel(1)
		for i, v := range left {
			k := i / frame
			want := int16(k + 1)
			if k >= 200 && k < 250 {
				want = 0
			}
			if v != want {
				t.Fatalf("left sample %d is %d, want %d", i, v, want)
			}
		}
		for i, v := range right {
			k := (i - 40) / frame // 5 ms later
			want := int16(0)
			if i >= 40 && k >= 100 && k < 150 {
				want = int16(-k)
			}
			if v != want {
				t.Fatalf("right sample %d is %d, want %d", i, v, want)
			}
		}
		if again, err := r.Close(); err != nil || again != total || m.closed != 1 {
			t.Fatalf("closed again: %+v, %v", again, err)
		}
		r.Caller(audio.Frame{PCM: constant(1)}) // after the end: nothing
	})
}

// A process that is killed leaves a file that can be read up to 2.5 s before.
func TestFileIsValidAtAnyTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &memory{}
		r, err := New(m, 16000)
		if err != nil {
			t.Fatal(err)
		}
		pcm := make([]int16, 320)
		for k := range 500 {
			r.Caller(audio.Frame{PCM: pcm, At: time.Duration(k) * audio.FrameTime})
			time.Sleep(audio.FrameTime)
			synctest.Wait()
			if k%20 > 0 {
				continue
			}
			had := audio.Duration(len(m.wav(t).PCM)/2, 16000)
			if past := time.Duration(k) * audio.FrameTime; past-had > 2500*time.Millisecond {
				t.Fatalf("after %v the header tells of %v", past, had)
			}
		}
		if _, err := r.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// A disk that is stuck costs sound, counted, and never time.
func TestSlowDiskDropsAndCounts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &memory{}
		r, err := New(m, 8000)
		if err != nil {
			t.Fatal(err)
		}
		m.gate = make(chan struct{})
		before := time.Now()
		for k := range 200 { // 4 s at once
			r.Caller(audio.Frame{PCM: constant(9), At: time.Duration(k) * audio.FrameTime})
		}
		if time.Since(before) != 0 {
			t.Fatal("the call waited for the disk")
		}
		close(m.gate)
		total, err := r.Close()
		if err != nil {
			t.Fatal(err)
		}
		if total.DroppedCaller < 2*time.Second || total.DroppedCaller+total.Duration != 4*time.Second {
			t.Fatalf("totals %+v", total)
		}
	})
}

func TestFullDiskIsToldOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &memory{full: 100_000}
		r, err := New(m, 8000)
		if err != nil {
			t.Fatal(err)
		}
		for k := range 1000 {
			r.Caller(audio.Frame{PCM: constant(9), At: time.Duration(k) * audio.FrameTime})
			time.Sleep(audio.FrameTime)
		}
		if err := <-r.Failed(); !errors.Is(err, errFailing) {
			t.Fatalf("told %v", err)
		}
		total, err := r.Close()
		if !errors.Is(err, errFailing) || m.closed != 1 {
			t.Fatalf("closed %d times with %v", m.closed, err)
		}
		select {
		case err := <-r.Failed():
			t.Fatalf("told again: %v", err)
		default:
		}
		if w := m.wav(t); audio.Duration(len(w.PCM)/2, 8000) != total.Duration || total.Duration < 2*time.Second {
			t.Fatalf("%d samples are left of %v", len(w.PCM)/2, total.Duration)
		}
	})
}

func TestLateAndFarSoundIsDropped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &memory{}
		r, err := New(m, 8000)
		if err != nil {
			t.Fatal(err)
		}
		for k := range 100 {
			r.Caller(audio.Frame{PCM: constant(9), At: time.Duration(k) * audio.FrameTime})
			time.Sleep(audio.FrameTime)
		}
		r.Agent(constant(5), 0)            // its place was written long ago
		r.Agent(constant(5), 24*time.Hour) // a clock that jumped
		total, err := r.Close()
		if err != nil || total.Duration != 2*time.Second || total.DroppedAgent != 2*audio.FrameTime {
			t.Fatalf("totals %+v, %v", total, err)
		}
	})
}

func TestRecordToAFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "call.wav")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	r, err := New(f, 8000)
	if err != nil {
		t.Fatal(err)
	}
	r.Agent(constant(3), time.Second)
	if _, err := r.Close(); err != nil {
		t.Fatal(err)
	}
	in, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if w, err := ReadWAV(in); err != nil || len(w.PCM) != 2*frame || w.PCM[1] != 3 {
		t.Fatalf("%+v, %v", w, err)
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	if _, err := New(&memory{}, 0); err == nil {
		t.Error("0 Hz is recorded")
	}
	if _, err := New(&memory{full: 10}, 8000); !errors.Is(err, errFailing) {
		t.Errorf("a full disk gave %v", err)
	}
}

func TestTapsDoNotAllocate(t *testing.T) {
	r, err := New(&memory{}, 8000)
	if err != nil {
		t.Fatal(err)
	}
	pcm := constant(1)
	at := time.Duration(0)
	if n := testing.AllocsPerRun(100, func() {
		r.Caller(audio.Frame{PCM: pcm, At: at})
		r.Agent(pcm, at)
		at += audio.FrameTime
	}); n != 0 {
		t.Errorf("%v allocations a frame", n)
	}
	if _, err := r.Close(); err != nil {
		t.Fatal(err)
	}
}

func BenchmarkTaps(b *testing.B) {
	r, err := New(&memory{full: headerSize}, 8000)
	if err != nil {
		b.Fatal(err)
	}
	pcm := constant(1)
	b.ReportAllocs()
	at := int64(0)
	for b.Loop() {
		r.caller.put(at, pcm)
		r.agent.put(at, pcm)
		r.caller.take(frame)
		r.agent.take(frame)
		at += frame
	}
	if _, err := r.Close(); err != nil {
		b.Log(err)
	}
}

// BenchmarkNew shows what a recording costs in memory.
func BenchmarkNew(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		r, err := New(&memory{}, 16000)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := r.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
