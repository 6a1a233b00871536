//go:build e2e

package e2e

import (
	"strings"
	"testing"
)

// TestMemoryIsShort: an engine whose memory is nearly used up takes no call, says so,
// and lives (reliability.md 5.2).
func TestMemoryIsShort(t *testing.T) {
	t.Setenv("GOMEMLIMIT", "12MiB") // less than it has in use without calls
	e := serve(t, silent, map[string]string{"support.yaml": silentAgent})
	for range 3 {
		text, took := e.answer(t, "INVITE")
		if !strings.HasPrefix(text, "SIP/2.0 503 ") || !strings.Contains(text, "\r\nRetry-After: ") {
			t.Errorf("%v: %s", took, text)
		}
	}
	if !strings.Contains(e.out.String(), "the memory limit is near") {
		t.Error("the log does not tell why calls are refused")
	}
	e.stop(t)
}
