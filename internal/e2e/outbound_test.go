//go:build e2e

package e2e

import (
	"strings"
	"testing"
	"time"
)

// TestPeerBaresipIsDialled: patchcord call dials a foreign phone through a running
// engine, which speaks to it; a number that the gate does not know is refused.
func TestPeerBaresipIsDialled(t *testing.T) {
	t.Parallel()
	phone := startPhone(t, "PCMA", 1000)
	e := serve(t, silent+"dialing: {allow: [\"sip:127.0.0.1\"]}\n", map[string]string{"support.yaml": silentAgent})
	dial := func(to string) (int, string) {
		p := start(t, time.Minute, t.TempDir(), command(t, "patchcord"), "call", to, "--agent", "support", "--api", e.http)
		if strings.HasPrefix(to, "sip:") {
			phone.await(15*time.Second, "CALL_ESTABLISHED")
			talk(4 * time.Second)
			phone.do("hangup", "")
		}
		code, err := p.wait()
		if err != nil {
			t.Fatal(err)
		}
		return code, p.out.String()
	}
	code, said := dial(phone.aor)
	if code != 0 || !strings.Contains(said, "Hello and welcome") {
		t.Errorf("exit %d\n%s", code, tail(said, 3000))
	}
	if code, said := dial("+19005550100"); code != 1 || !strings.Contains(said, "dialing.allow") {
		t.Errorf("a number beyond the gate: exit %d\n%s", code, tail(said, 3000))
	}
	pcm, rate := phone.quit()
	if h := listen(pcm, rate, 440, 1000); h.tone < time.Second || h.other > 0.01 {
		t.Errorf("the phone heard 440 Hz for %v with %.2f %% of its own tone in it", h.tone, 100*h.other)
	}
	e.stop(t)
}
