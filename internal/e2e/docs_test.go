//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestReadmeAgent: the agent that the README shows passes validate, and with a
// fault in it the place is told.
func TestReadmeAgent(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(readme), "```yaml\n")
	agent, _, closed := strings.Cut(rest, "```")
	if !ok || !closed {
		t.Fatal("README.md shows no agent")
	}
	file := filepath.Join(t.TempDir(), "agents", "support.yaml")
	for _, c := range []struct {
		name, text, want string
		code             int
	}{
		{"as it is", agent, "", 0},
		{"with a misspelt key", strings.Replace(agent, "greeting:", "greetin:", 1), "support.yaml:2:", 1},
	} {
		write(t, file, c.text)
		p := start(t, 20*time.Second, t.TempDir(), command(t, "patchcord"), "validate", file)
		code, err := p.wait()
		if err != nil {
			t.Fatal(err)
		}
		if said := p.out.String(); code != c.code || !strings.Contains(said, c.want) {
			t.Errorf("%s: exit %d, want %d and %q:\n%s", c.name, code, c.code, c.want, said)
		}
	}
}
