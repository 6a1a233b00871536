package archtest

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestImportsFollowTheTable holds every import of ours against the table.
// Test files may import what they exercise; the engine's are bound all the
// same by TestEngineKnowsNoTransport.
func TestImportsFollowTheTable(t *testing.T) {
	t.Parallel()
	unknown := map[string]bool{}
	for _, f := range files(t) {
		allowed, ok := rule(f.pkg)
		if !ok && !unknown[f.pkg] {
			unknown[f.pkg] = true
			t.Errorf("%s: package is not in the import table: give it a line in internal/archtest/table_test.go", f.pkg)
		}
		if !ok || f.test {
			continue
		}
		for _, imp := range f.imports() {
			if !matchesAny(allowed, imp) && !matchesAny(leaves, imp) {
				t.Errorf("%s: %s must not import %s", f.path, f.pkg, imp)
			}
		}
	}
}

// TestEngineKnowsNoTransport holds for the engine's tests too: whatever
// carries a call or answers for a model is handed to the engine.
func TestEngineKnowsNoTransport(t *testing.T) {
	t.Parallel()
	for _, f := range files(t) {
		if f.pkg != "engine" && f.pkg != "engine/turn" && f.pkg != "engine/agent" {
			continue
		}
		for _, imp := range f.imports() {
			if imp != "audio/tts/spoken" && matchesAny(engineNever, imp) { // that one is no provider
				t.Errorf("%s: %s must not import %s", f.path, f.pkg, imp)
			}
		}
	}
}

const purego = "github.com/ebitengine/purego"

// TestOnlyTheHelperLoadsC keeps C libraries in a process of their own.
func TestOnlyTheHelperLoadsC(t *testing.T) {
	t.Parallel()
	for _, f := range files(t) {
		if f.importsPath(purego) && f.pkg != "cmd/localspeech" && !strings.HasPrefix(f.pkg, "cmd/localspeech/") {
			t.Errorf("%s: only cmd/localspeech may import %s", f.path, purego)
		}
		if f.importsPath("C") {
			t.Errorf("%s: cgo is not used here: the tree builds with CGO_ENABLED=0", f.path)
		}
	}
}

// TestTheEngineBinaryLoadsNoC asks the go command what the binary really
// links, our imports and everybody else's. Time zones are among it: calls leave
// by the hours of callees also where the machine has no /usr/share/zoneinfo.
func TestTheEngineBinaryLoadsNoC(t *testing.T) {
	t.Parallel()
	has := slices.ContainsFunc(files(t), func(f file) bool { return f.pkg == "cmd/patchcord" && !f.test })
	if !has {
		t.Skip("cmd/patchcord is not in the tree")
	}
	cmd := exec.Command("go", "list", "-deps", "./cmd/patchcord")
	cmd.Dir = root
	cmd.Env = append(cmd.Environ(), "CGO_ENABLED=0")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list -deps ./cmd/patchcord: %v", err)
	}
	deps := strings.Fields(string(out))
	if !slices.Contains(deps, "time/tzdata") {
		t.Error("cmd/patchcord does not link time/tzdata")
	}
	for _, dep := range deps {
		if dep == purego || strings.HasPrefix(dep, purego+"/") || dep == "runtime/cgo" {
			t.Errorf("cmd/patchcord links %s: it belongs into cmd/localspeech", dep)
		}
	}
}
