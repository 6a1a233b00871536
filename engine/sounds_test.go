package engine

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/audio/playout"
	"github.com/patchcord/patchcord/audio/record"
	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/engine/turn"
	"github.com/patchcord/patchcord/internal/testkit"
)

func TestEveryBuiltInSoundHasItsName(t *testing.T) {
	t.Parallel()
	for _, name := range append(audio.LoopNames(), agent.NoSound) {
		a := agent.Agent{Name: "a", Ambience: agent.Sound{Sound: name}, HoldSound: agent.Sound{Sound: name}}
		if err := a.Validate(); err != nil {
			t.Error(err)
		}
	}
	if audio.Loop(defaultHold, 8000) == nil {
		t.Errorf("%s, the default, is no sound", defaultHold)
	}
}

// waiting is a session that can sound, and nothing else.
func waiting(t *testing.T, a *agent.Agent) (*session, *journal) {
	t.Helper()
	j := &journal{}
	e, err := New(Config{Directory: directory{a: a}, Journal: j})
	if err != nil {
		t.Fatal(err)
	}
	s := newSession(e, testkit.NewLeg("1"), a, nil)
	s.rate, s.out = 8000, playout.New(8000, nil)
	s.openSounds()
	return s, j
}

func level(s *session, d time.Duration) float64 {
	pcm := make([]int16, 160)
	var all []int16
	for range d / audio.FrameTime {
		s.out.Next(pcm)
		all = append(all, pcm...)
	}
	return audio.DB(audio.RMS(all))
}

func TestHoldSoundIsTurnedOnAndOff(t *testing.T) {
	t.Parallel()
	s, j := waiting(t, &agent.Agent{Name: "a"})
	if l := level(s, time.Second); l > -100 {
		t.Errorf("%v dB before anything is asked for", l)
	}
	for range 2 { // asked for twice is once
		s.do(turn.HoldSound{On: true})
	}
	if l := level(s, 4*time.Second); l < -35 || l > -20 {
		t.Errorf("music at %v dB", l)
	}
	s.do(turn.HoldSound{})
	level(s, 60*time.Millisecond)
	if l := level(s, time.Second); l > -100 {
		t.Errorf("%v dB after it", l)
	}
	if st := s.out.Stats(); st.Speech != 0 {
		t.Errorf("%d samples of music count as speech", st.Speech)
	}
	var on []any
	for _, e := range j.events {
		if e.Name == EventSpeechHold {
			on = append(on, e.Get("on"))
		}
	}
	if !slices.Equal(on, []any{true, false}) {
		t.Errorf("events %v", on)
	}
}

func TestSoundsOfAgents(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "own.wav")
	write := func(level int16, n int) {
		var b bytes.Buffer
		if err := record.WriteWAV(&b, 16000, 1, slices.Repeat([]int16{level, -level}, n/2)); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(8000, 16000)
	for _, c := range []struct {
		name string
		a    agent.Agent
		want float64 // dB
	}{
		{"a room under the call", agent.Agent{Ambience: agent.Sound{Sound: "office"}}, -44},
		{"a louder one", agent.Agent{Ambience: agent.Sound{Sound: "office", Gain: 10}}, -34},
		{"none", agent.Agent{Ambience: agent.Sound{Sound: agent.NoSound}}, -120},
		{"a file that is not there", agent.Agent{Ambience: agent.Sound{File: file + "x"}}, -120},
	} {
		s, _ := waiting(t, &c.a)
		if l := level(s, 5*time.Second); l < c.want-3 || l > c.want+3 {
			t.Errorf("%s: %v dB, want %v", c.name, l, c.want)
		}
	}
	s, _ := waiting(t, &agent.Agent{})
	b, err := s.e.sounds.bed(agent.Sound{File: file}, 8000)
	if err != nil || len(b.pcm) < 7900 || len(b.pcm) > 8100 {
		t.Fatalf("a second at 16 kHz is %d samples at 8 kHz: %v", len(b.pcm), err)
	}
	write(4000, 32000)
	if err := os.Chtimes(file, epoch, epoch); err != nil {
		t.Fatal(err)
	}
	if b, err = s.e.sounds.bed(agent.Sound{File: file}, 8000); err != nil || len(b.pcm) < 15900 {
		t.Fatalf("a file that has changed is read again: %d samples, %v", len(b.pcm), err)
	}
	write(1, 10)
	if _, err := ReadSound(file); err == nil || !strings.Contains(err.Error(), "no sound") {
		t.Errorf("an empty file: %v", err)
	}
}
