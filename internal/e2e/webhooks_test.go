//go:build e2e

package e2e

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/patchcord/patchcord/api/webhook"
)

const hookSecret = "whsec_dGhlIGtleSBvZiBhIHRlc3Q="

// hooks is the endpoint of an agent's webhooks: every one is verified.
type hooks struct {
	url, ca string

	mu   sync.Mutex // guards what follows
	got  []hook     // those answered with 200
	away bool       // answers 503
}

// hook is one that has arrived.
type hook struct {
	event, call, status, id string
	body                    map[string]any
}

func receive(t *testing.T) *hooks {
	t.Helper()
	h := &hooks{}
	v := webhook.Verifier{Secrets: []string{hookSecret}}
	web := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := v.Read(r)
		if err != nil {
			t.Errorf("%s: %v", r.Header.Get("X-Webhook-Event"), err)
		}
		var m struct {
			Message map[string]any `json:"message"`
		}
		if err := json.Unmarshal(body, &m); err != nil {
			t.Errorf("%v in %s", err, body)
		}
		call, _ := m.Message["call"].(map[string]any)
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.away {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		id, _ := call["id"].(string)
		status, _ := call["status"].(string)
		h.got = append(h.got, hook{r.Header.Get("X-Webhook-Event"), id, status, r.Header.Get("webhook-id"), m.Message})
		_, _ = io.WriteString(w, "{}")
	}))
	t.Cleanup(web.Close)
	h.url, h.ca = web.URL+"/hook", filepath.Join(t.TempDir(), "ca.pem")
	write(t, h.ca, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: web.Certificate().Raw})))
	return h
}

func (h *hooks) all() []hook {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.got)
}

func (h *hooks) setAway(away bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.away = away
}

// TestWebhooksOfCalls: a call tells its agent's endpoint that it is answered and
// over, signed and in order; a call whose engine is killed while its endpoint is
// away loses neither its beginning nor its end (F-14, F-15, SEC-8).
func TestWebhooksOfCalls(t *testing.T) {
	t.Parallel()
	h := receive(t)
	e := serve(t, silent+fmt.Sprintf("tools: {allow_cidrs: [127.0.0.0/8], ca_file: %q}\n", h.ca), map[string]string{
		"support.yaml": silentAgent + fmt.Sprintf("webhook_url: %q\nwebhook_secret: %q\n", h.url, hookSecret) +
			"webhook_events: [status-update, end-of-call-report]\n",
	})
	short := filepath.Join(t.TempDir(), "short.yaml")
	write(t, short, "steps:\n  - wait: 1s\n  - hangup\n")
	if code, said := e.probe(t, short); code != 0 {
		t.Fatalf("callprobe: exit %d\n%s", code, tail(said, 4000))
	}
	eventually(t, 20*time.Second, "three webhooks have arrived", func() bool { return len(h.all()) == 3 })
	for i, want := range []string{"status-update in-progress", "status-update ended", "end-of-call-report ended"} {
		if got := h.all()[i]; got.event+" "+got.status != want {
			t.Errorf("%d: %s %s, want %s", i, got.event, got.status, want)
		}
	}
	report := h.all()[2].body
	if s, _ := report["summary"].(string); s == "" || report["duration_seconds"] == nil || report["messages"] == nil {
		t.Errorf("the report is %v", report)
	}

	h.setAway(true)
	long := filepath.Join(t.TempDir(), "long.yaml")
	write(t, long, "steps:\n  - wait: 1m\n  - hangup\n")
	caller := start(t, 2*time.Minute, t.TempDir(), command(t, "callprobe"), long, "--to", "sip:4930123456@"+e.sip)
	eventually(t, 20*time.Second, "the second call's beginning is on the disk", func() bool {
		_, body := e.get(t, "/v1/webhook-deliveries?state=pending")
		data, _ := body["data"].([]any)
		return len(data) == 1
	})
	if err := e.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-e.done
	if err := caller.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	h.setAway(false)
	again := start(t, 2*time.Minute, e.dir, command(t, "patchcord"), "serve", "-c", filepath.Join(e.dir, "patchcord.yaml"))
	e.process = again
	eventually(t, time.Minute, "the webhooks of the call that was cut off have arrived", func() bool { return len(h.all()) == 6 })
	cut := h.all()[3:]
	for i, want := range []string{"status-update in-progress", "status-update ended-with-error", "end-of-call-report ended"} {
		if got := cut[i]; got.event+" "+got.status != want || got.call != cut[0].call {
			t.Errorf("%d: %s %s of %s, want %s of %s", i, got.event, got.status, got.call, want, cut[0].call)
		}
	}
	if why := cut[1].body["error"]; why != "node_lost" {
		t.Errorf("its error is %v", why)
	}
	e.stop(t)
}
