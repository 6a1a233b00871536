// Package localspeechtest gives tests a running helper process, built from the
// tree, and skips them by name where its libraries are not installed.
package localspeechtest

import (
	"context"
	"errors"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/patchcord/patchcord/internal/localspeech"
)

// Build builds the helper and returns its path.
func Build(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), localspeech.Name)
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", path, "github.com/patchcord/patchcord/cmd/localspeech")
	cmd.Env = append(cmd.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the helper: %v\n%s", err, out)
	}
	return path
}

// Start builds and starts a helper that ends with the test. Without flite the
// test is skipped: it is what gives tests their speech.
func Start(t testing.TB) *localspeech.Process {
	t.Helper()
	p := localspeech.New(localspeech.Config{Path: Build(t)})
	t.Cleanup(func() { _ = p.Close() })
	_ = Say(t, p, "rms", "hello")
	return p
}

// Skip skips the test if err says that a library is not installed.
func Skip(t testing.TB, err error) {
	t.Helper()
	if err != nil && strings.Contains(err.Error(), "apt-get install") {
		t.Skip(err)
	}
}

// Say is a sentence in a voice of 16 kHz.
func Say(t testing.TB, p *localspeech.Process, voice, text string) []int16 {
	t.Helper()
	ctx := context.Background() // cleanups speak too
	v, err := p.Speak(ctx, voice, text)
	if err != nil {
		Skip(t, err)
		t.Fatal(err)
	}
	defer v.Close()
	var pcm []int16
	for {
		sound, err := v.Next(ctx)
		if errors.Is(err, io.EOF) {
			return pcm
		}
		if err != nil {
			Skip(t, err)
			t.Fatal(err)
		}
		pcm = append(pcm, sound.PCM...)
	}
}
