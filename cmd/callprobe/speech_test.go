package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/patchcord/patchcord/audio/tts"
	"github.com/patchcord/patchcord/audio/tts/flite"
	"github.com/patchcord/patchcord/internal/localspeech"
)

// speech builds the helper and makes the agent's turns with it; the test is
// skipped where the libraries of the local voice are missing.
func speech(t *testing.T, turns ...string) (helper string, pcm [][]int16) {
	t.Helper()
	helper = filepath.Join(t.TempDir(), "localspeech")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", helper, "../localspeech")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Skipf("cmd/localspeech cannot be built here: %v\n%s", err, out)
	}
	if _, err := os.Stat("/usr/share/pocketsphinx/model/en-us"); err != nil {
		t.Skip("the package pocketsphinx-en-us is not installed")
	}
	process := localspeech.New(localspeech.Config{Path: helper})
	t.Cleanup(func() { _ = process.Close() })
	voice, err := flite.New(flite.Config{Voice: "slt"}, process, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for _, text := range turns {
		s, err := voice.Synthesize(ctx, tts.Request{Text: text})
		if err != nil {
			t.Skipf("no local voice: %v (apt-get install libflite1 libpocketsphinx3)", err)
		}
		var turn []int16
		for {
			c, err := s.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			turn = append(turn, c.PCM...) // at 16 kHz
		}
		pcm = append(pcm, turn)
	}
	return helper, pcm
}

// Both sides speak with real voices, and what the agent says is understood.
func TestACallWithSpeech(t *testing.T) {
	helper, turns := speech(t,
		"Welcome to the flower shop. How can I help you?",
		"Your order was shipped on Monday, and it will arrive at your door on Friday morning between nine and eleven.",
		"You are welcome. Good bye.",
	)
	file := probeFiles(t,
		"phrases: agent.phrases", "codec: G722", "steps:",
		"  - wait_for: {words: [welcome, help], within: 15s}",
		"  - wait_quiet: 500ms",
		`  - say: "where is my order?"`,
		"  - wait_for: {words: [order, monday], within: 15s}",
		"  - barge_in: {after: 1s, say: thank you, stops_within: 2s}",
		"  - expect_words: {words: [welcome, good bye|goodbye], not: [order], within: 15s}",
		"  - expect_hangup: {within: 10s}",
		"heard: {words: [flower, shop, order, shipped, monday, welcome], share: 0.8}",
	)
	phrases := "welcome to the flower shop how can i help you\nyour order was shipped on monday\n" +
		"your order was shipped on monday and it will arrive at your door on friday morning between nine and eleven\n" +
		"you are welcome good bye\n"
	if err := os.WriteFile(filepath.Join(filepath.Dir(file), "agent.phrases"), []byte(phrases), 0o600); err != nil {
		t.Fatal(err)
	}
	a := &agent{turns: turns, rate: 16000, hangup: true}
	code, out, errs := probeRun(t, file, "--to", a.serve(t), "--helper", helper)
	t.Log(out)
	if code != exitOK || !strings.Contains(out, "6 of 6 key words heard") {
		t.Errorf("exit %d\n%s", code, errs)
	}
}
