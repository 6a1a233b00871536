package phone

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/audio/record"
	"github.com/patchcord/patchcord/audio/vad"
	"github.com/patchcord/patchcord/internal/testkit"
	"github.com/patchcord/patchcord/internal/testkit/scenario"
	"github.com/patchcord/patchcord/telephony"
)

const (
	ms  = time.Millisecond
	sec = time.Second
)

// inMemory is a file that can be sought, for a recording.
type inMemory struct {
	b  []byte
	at int
}

func (m *inMemory) Write(p []byte) (int, error) {
	if grow := m.at + len(p) - len(m.b); grow > 0 {
		m.b = append(m.b, make([]byte, grow)...)
	}
	copy(m.b[m.at:], p)
	m.at += len(p)
	return len(p), nil
}

func (m *inMemory) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekStart:
		m.at = int(offset)
	case io.SeekEnd:
		m.at = len(m.b) + int(offset)
	default:
		m.at += int(offset)
	}
	return int64(m.at), nil
}

// call plays a scenario in virtual time; agent is what the other side does.
func call(
	t *testing.T, lines string, agent func(*testkit.Leg, *testkit.STT),
) (*scenario.Report, *testkit.Leg, *record.WAV) {
	t.Helper()
	s, err := scenario.Parse("x.yaml", []byte(lines))
	if err != nil {
		t.Fatal(err)
	}
	prompts, err := Prepare(t.Context(), s, &testkit.TTS{})
	if err != nil {
		t.Fatal(err)
	}
	var rep *scenario.Report
	var leg *testkit.Leg
	var file inMemory
	synctest.Test(t, func(t *testing.T) {
		leg = testkit.NewLeg("x")
		hearing := &testkit.STT{Delay: 200 * ms}
		if err := leg.Answer(t.Context()); err != nil {
			t.Fatal(err)
		}
		p, err := Start(t.Context(), leg, Config{
			Prompts: prompts, Ear: hearing,
			Record: func(rate int) (*record.Recorder, error) { return record.New(&file, rate) },
		})
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			agent(leg, hearing)
		}()
		rep = scenario.Run(t.Context(), s, p)
		<-done
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	w, err := record.ReadWAV(bytes.NewReader(file.b))
	if err != nil {
		t.Fatal(err)
	}
	return rep, leg, w
}

func TestACallInVirtualTime(t *testing.T) {
	const words = "where is my order" // of 17 letters, 1133 ms
	rep, leg, w := call(t, `
steps:
  - wait_for: welcome
  - wait_quiet: 500ms
  - say: `+words+`
  - barge_in: {after: 1s, say: stop now, stops_within: 500ms}
  - expect_silence: 300ms
  - press: 1#
  - hangup
heard: [welcome, shop, order]
`, func(leg *testkit.Leg, hearing *testkit.STT) {
		hearing.Hear("welcome to the shop")
		hearing.Hear("your order was")
		time.Sleep(300 * ms)
		leg.Speak(sec)
		time.Sleep(3500 * ms) // the caller has spoken
		leg.Speak(5 * sec)
		time.Sleep(1400 * ms) // the caller speaks again
		leg.Speak(0)
	})
	if !rep.OK || rep.EndedByAgent || len(rep.Unheard) != 0 {
		var b strings.Builder
		_, _ = rep.WriteTo(&b)
		t.Fatal(b.String())
	}
	if got := leg.Spoken(); len(got) != 2 || got[0].To-got[0].From < 1100*ms || got[0].To-got[0].From > 1180*ms {
		t.Errorf("said %v", got)
	}
	if note := rep.Steps[3].Note; !strings.HasPrefix(note, "the agent stopped after ") {
		t.Error(note)
	}
	if w.Channels != 2 || w.Rate != 8000 || audio.RMS(w.Channel(0)) < 0.01 || audio.RMS(w.Channel(1)) < 0.01 {
		t.Errorf("%d channels, %d Hz, %.3f, %.3f", w.Channels, w.Rate, audio.RMS(w.Channel(0)), audio.RMS(w.Channel(1)))
	}
}

func TestTheAgentHangsUpWhileTheCallerSpeaks(t *testing.T) {
	rep, _, _ := call(t, "steps:\n  - say: "+strings.Repeat("long ", 20)+"\n", func(leg *testkit.Leg, _ *testkit.STT) {
		time.Sleep(sec)
		leg.Close(telephony.Cause{Reason: telephony.ReasonNormal, Remote: true})
	})
	if rep.OK || !strings.Contains(rep.Steps[0].Fault, "the call ended at 1.0s: normal") {
		t.Errorf("%+v", rep.Steps)
	}
}

func TestTheLastWordsAreHeardAfterTheEnd(t *testing.T) {
	rep, _, _ := call(t, "steps:\n  - expect_hangup\nheard: [bye]\n", func(leg *testkit.Leg, hearing *testkit.STT) {
		hearing.Hear("good bye")
		leg.Speak(sec)
		time.Sleep(900 * ms) // it hangs up into its own last word
		leg.Close(telephony.Cause{Reason: telephony.ReasonNormal, Remote: true})
	})
	if !rep.OK || rep.Took > 1100*ms {
		t.Errorf("%+v", rep)
	}
}

func TestPrepareTellsWhichStepHasNoSound(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	bad := filepath.Join(dir, "bad.wav")
	if err := os.WriteFile(bad, []byte("no sound"), 0o600); err != nil {
		t.Fatal(err)
	}
	broken := &testkit.TTS{}
	broken.Fail(errors.New("the voice is missing"))
	for _, tt := range []struct{ step, want string }{
		{"play: none.wav", "x.yaml:3:5: play: open none.wav"},
		{"play: " + bad, "x.yaml:3:5: play: " + bad + ": record: not a WAV file"},
		{"say: hello", "x.yaml:3:5: say: the voice is missing"},
	} {
		s, err := scenario.Parse("x.yaml", []byte("steps:\n  - wait: 1s\n  - "+tt.step+"\n"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Prepare(t.Context(), s, broken); err == nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("got %v, want %s", err, tt.want)
		}
	}
	s := &scenario.Scenario{Steps: []scenario.Step{{Verb: scenario.Say, Text: "x"}}}
	if _, err := Prepare(t.Context(), s, nil); err == nil {
		t.Error("a text is spoken without a voice")
	}
}

func TestVoiceClosesGaps(t *testing.T) {
	t.Parallel()
	var v voice
	var got []edge
	at := func(d time.Duration, e vad.Edge) {
		if e, ok := v.take(&sound{at: d, edge: e}); ok {
			got = append(got, e)
		}
	}
	at(200*ms, vad.Edge{Kind: vad.Start, At: 100 * ms})
	at(700*ms, vad.Edge{Kind: vad.End, At: 480 * ms}) // ends at 500 ms
	at(780*ms, vad.Edge{})
	at(790*ms, vad.Edge{Kind: vad.Start, At: 690 * ms}) // a gap of 190 ms
	at(1200*ms, vad.Edge{Kind: vad.End, At: 980 * ms})
	at(1280*ms, vad.Edge{})
	at(1300*ms, vad.Edge{})
	at(1320*ms, vad.Edge{})
	if len(got) != 2 || got[0] != (edge{on: true, at: 100 * ms}) || got[1] != (edge{at: sec}) {
		t.Errorf("%+v", got)
	}
}

func TestTrim(t *testing.T) {
	t.Parallel()
	if got := trim([]int16{0, 50, -3000, 0, 200, 10}); len(got) != 3 || got[0] != -3000 || got[2] != 200 {
		t.Errorf("%v", got)
	}
	if got := trim([]int16{0, 1}); len(got) != 0 {
		t.Errorf("%v", got)
	}
}

func TestTheEarAllocatesNothing(t *testing.T) {
	e := newEar()
	f := audio.Frame{PCM: make([]int16, 320), Rate: 16000}
	if n := testing.AllocsPerRun(1000, func() { e.hear(f); f.At += audio.FrameTime }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if e.dropped.Load() != 501 { // of 1001, 500 wait
		t.Errorf("%d dropped", e.dropped.Load())
	}
}
