package localspeech

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestMessagesComeBackAsTheyWere(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 70000)
	for _, m := range []interface {
		Append([]byte) []byte
		Parse([]byte) error
	}{
		&both[Speak, *Speak]{Speak{Voice: "slt", Text: "Grüße\x00"}},
		&both[Recognise, *Recognise]{Recognise{Rate: 8000, Every: 200 * time.Millisecond, Args: []string{"-lm", "", "x"}}},
		&both[Sound, *Sound]{Sound{Rate: 16000, PCM: []int16{0, -1, 32767, -32768}}},
		&both[Hypothesis, *Hypothesis]{Hypothesis{Final: true, Words: []Word{{"yes", 3, 40, -99.5}, {"<sil>", 41, 50, 0}}}},
		&Error{Temporary: true, Text: "gone"},
	} {
		body := m.Append(nil)
		got := reflect.New(reflect.TypeOf(m).Elem()).Interface().(interface{ Parse([]byte) error })
		if err := got.Parse(body); err != nil || !reflect.DeepEqual(got, m) {
			t.Errorf("got %+v, %v; want %+v", got, err, m)
		}
		for n := range body {
			short := reflect.New(reflect.TypeOf(m).Elem()).Interface().(interface{ Parse([]byte) error })
			if err := short.Parse(body[:n]); err == nil && n%2 == 1 {
				t.Errorf("%+v cut to %d of %d bytes is taken", m, n, len(body))
			}
		}
	}
	var s Speak
	if err := s.Parse(Speak{Text: long}.Append(nil)); err != nil || len(s.Text) != 65535 {
		t.Errorf("a long text: %d bytes, %v", len(s.Text), err)
	}
}

// both lets the table hold values that append and pointers that parse.
type both[V interface{ Append([]byte) []byte }, P interface {
	*V
	Parse([]byte) error
}] struct{ V V }

func (b *both[V, P]) Append(dst []byte) []byte { return b.V.Append(dst) }
func (b *both[V, P]) Parse(body []byte) error  { return P(&b.V).Parse(body) }

func TestReaderRefuses(t *testing.T) {
	t.Parallel()
	good := AppendFrame(nil, Frame{Stream: 7, Kind: KindSpeak, Body: []byte("abc")})
	r := NewReader(bytes.NewReader(append(bytes.Clone(good), good...)))
	for range 2 {
		if f, err := r.Next(); err != nil || f.Stream != 7 || f.Kind != KindSpeak || string(f.Body) != "abc" {
			t.Fatalf("got %+v, %v", f, err)
		}
	}
	if _, err := r.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %v", err)
	}
	for name, b := range map[string][]byte{
		"a cut head":      good[:5],
		"a cut body":      good[:len(good)-1],
		"a size of 4":     {4, 0, 0, 0, 0, 0, 0, 0, 1},
		"a size of 4 GB":  {255, 255, 255, 255, 0, 0, 0, 0, 1},
		"an unknown kind": {5, 0, 0, 0, 0, 0, 0, 0, 200},
		"no kind":         {5, 0, 0, 0, 0, 0, 0, 0, 0},
	} {
		if _, err := NewReader(bytes.NewReader(b)).Next(); err == nil || errors.Is(err, io.EOF) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func FuzzReader(f *testing.F) {
	f.Add(AppendFrame(nil, Frame{Kind: KindHello, Body: []byte{1, 0}}))
	f.Add(AppendFrame(nil, Frame{Stream: 1, Kind: KindHypothesis, Body: Hypothesis{Final: true, Words: []Word{{Text: "a"}}}.Append(nil)}))
	f.Add(AppendFrame(nil, Frame{Stream: 1, Kind: KindRecognise, Body: Recognise{Rate: 8000, Args: []string{"-lm"}}.Append(nil)}))
	f.Add(AppendFrame(nil, Frame{Stream: 1, Kind: KindSound, Body: Sound{Rate: 8000, PCM: []int16{1}}.Append(nil)}))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := NewReader(bytes.NewReader(data))
		for {
			fr, err := r.Next()
			if err != nil {
				return
			}
			for _, m := range []interface{ Parse([]byte) error }{&Speak{}, &Recognise{}, &Sound{}, &Hypothesis{}, &Error{}} {
				_ = m.Parse(fr.Body)
			}
		}
	})
}

func BenchmarkAudioFrame(b *testing.B) {
	pcm := make([]int16, 160)
	var body, frame []byte
	b.ReportAllocs()
	for b.Loop() {
		body = AppendPCM(body[:0], pcm)
		frame = AppendFrame(frame[:0], Frame{Stream: 1, Kind: KindAudio, Body: body})
	}
}
