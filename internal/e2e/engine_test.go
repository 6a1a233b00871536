//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// built makes the commands once, into a folder that lives as long as the run.
var built = sync.OnceValues(func() (dir string, err error) {
	if dir, err = os.MkdirTemp("", "patchcord-e2e-"); err != nil {
		return "", err
	}
	cmd := exec.Command("go", "build", "-o", dir+"/", "./cmd/patchcord", "./cmd/localspeech", "./cmd/callprobe")
	cmd.Dir, cmd.Env = "../..", append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return dir, fmt.Errorf("go build: %w\n%s", err, out)
	}
	return dir, nil
})

func TestMain(m *testing.M) {
	_, _ = built() // before any phone is started, which has a minute; who needs it tells the fault
	code := m.Run()
	if dir, err := built(); err == nil {
		os.RemoveAll(dir)
	}
	os.Exit(code)
}

// command is the path of one of our binaries.
func command(t *testing.T, name string) string {
	t.Helper()
	dir, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, name)
}

// engine is the built binary, serving.
type engine struct {
	*process
	dir    string // its folder: configuration, store, recordings
	sip    string // host:port, UDP and TCP
	http   string // http://host:port
	events string // the file of its events
}

// silent is an agent whose voice is a tone of 440 Hz, whose recogniser hears
// one word whatever is said, and whose model says one sentence.
const (
	silent = `llm: {default: plain, plain: {type: "null", text: "I have made a note of that for you."}}
stt: {default: plain, plain: {type: "null"}}
tts: {default: plain, plain: {type: "null", first_byte: 50ms, tone: 440}}
default_agent: support
`
	silentAgent = `name: support
greeting: "Hello and welcome, this is a line that answers with a tone and nothing else at all."
prompt: "Answer."
`
)

// carrierToken is what the carrier signs with that brings calls over WebSockets.
const carrierToken = "5d1f0c3f6a4f4f9f8f1c2b3a4d5e6f70"

// serve starts the binary with a configuration of its own and waits until it
// is ready. more is further YAML; agents maps file names to agents.
func serve(t *testing.T, more string, agents map[string]string) *engine {
	t.Helper()
	return serveWith(t, more, agents)
}

// serveWith is that with further arguments.
func serveWith(t *testing.T, more string, agents map[string]string, args ...string) *engine {
	t.Helper()
	program := command(t, "patchcord")
	host, dir := ourAddr(), t.TempDir()
	e := &engine{
		dir: dir, sip: net.JoinHostPort(host, "5060"), events: filepath.Join(dir, "events.jsonl"),
		http: "http://" + net.JoinHostPort(host, "8080"),
	}
	config := fmt.Sprintf(`http: {listen: "%[1]s:8080", public_url: "http://%[1]s:8080"}
sip: {listen: ["udp://%[1]s:5060", "tcp://%[1]s:5060"]}
rtp: {ports: "30000-31998"}
store: {url: "sqlite:%[2]s/calls.db"}
recording: {dir: "%[2]s/recordings"}
log: {level: info, events: "%[3]s", journal: "%[2]s/journal"}
trunks: [{name: local, allow: ["127.0.0.1", "%[4]s"]}, {name: twilio, type: twilio, auth_token: "%[6]s"}]
agents: "agents/*.yaml"
%[5]s`, host, dir, e.events, ourNet, more, carrierToken)
	for key, ours := range map[string]string{"store: {": "store: {url: \"sqlite:%s/calls.db\"}\n", "recording: {": "recording: {dir: \"%s/recordings\"}\n"} {
		if strings.Contains(more, key) { // of its own
			config = strings.Replace(config, fmt.Sprintf(ours, dir), "", 1)
		}
	}
	write(t, filepath.Join(dir, "patchcord.yaml"), config)
	for name, text := range agents {
		write(t, filepath.Join(dir, "agents", name), text)
	}
	t.Cleanup(func() { replayAll(t, filepath.Join(dir, "journal", "*.jsonl")) })
	life := *trackLength + 5*time.Minute + time.Duration(*transfersEach)*2*time.Second
	argv := append([]string{program, "serve", "-c", filepath.Join(dir, "patchcord.yaml")}, args...)
	e.process = start(t, life, dir, argv...)
	eventually(t, 20*time.Second, "the engine is ready", func() bool {
		select {
		case <-e.done:
			t.Fatalf("patchcord serve ended:\n%s", tail(e.out.String(), 4000))
		default:
		}
		return e.logged("ready")
	})
	return e
}

// replayAll decides calls again from their journals: what a real call did over
// real sockets, the machine must do on a virtual clock, byte for byte.
func replayAll(t *testing.T, pattern string) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		return // a test without calls
	}
	argv := append([]string{command(t, "patchcord"), "replay"}, files...)
	code, out := 0, &output{}
	cmd := exec.Command(argv[0], argv[1:]...) //nolint:gosec // our own binary
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Run(); err != nil {
		code = cmd.ProcessState.ExitCode()
	}
	if code != 0 {
		t.Errorf("replay: exit %d\n%s", code, tail(out.String(), 4000))
	}
	t.Logf("replayed %d calls: %s", len(files), tail(out.String(), 300))
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// logged tells whether the process log has a line with this message.
func (e *engine) logged(msg string) bool {
	for line := range strings.Lines(e.out.String()) {
		var entry struct {
			Msg string `json:"msg"`
		}
		// Parsing every line at each look took more of a machine than the campaign it waits for.
		if strings.Contains(line, msg) && json.Unmarshal([]byte(line), &entry) == nil && entry.Msg == msg {
			return true
		}
	}
	return false
}

// event is one line of the event log.
type event map[string]any

func (ev event) text(key string) string { s, _ := ev[key].(string); return s }

// read returns the events so far.
func (e *engine) read(t *testing.T) []event {
	t.Helper()
	b, err := os.ReadFile(e.events)
	if err != nil {
		t.Fatal(err)
	}
	var out []event
	for line := range strings.Lines(string(b)) {
		if !strings.HasSuffix(line, "\n") {
			break // it is being written
		}
		var ev event
		if err := json.Unmarshal([]byte(line), &ev); err != nil {
			t.Errorf("event log: %v: %q", err, line)
			continue
		}
		out = append(out, ev)
	}
	return out
}

// named are the events of one name.
func named(all []event, name string) []event {
	var out []event
	for _, ev := range all {
		if ev.text("event") == name {
			out = append(out, ev)
		}
	}
	return out
}

// get asks the HTTP API.
func (e *engine) get(t *testing.T, path string) (status int, body map[string]any) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, e.http+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	_ = json.NewDecoder(res.Body).Decode(&body) // healthz may answer in plain text
	return res.StatusCode, body
}

// stop asks the engine to end as an operator would, and wants exit status 0.
func (e *engine) stop(t *testing.T) {
	t.Helper()
	if err := e.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-e.done:
		if e.err != nil {
			t.Errorf("patchcord serve ended: %v", e.err)
		}
	case <-time.After(20 * time.Second):
		t.Error("patchcord serve does not end on SIGTERM")
	}
}

// probe runs a scenario of callprobe against the engine.
func (e *engine) probe(t *testing.T, scenario string, args ...string) (code int, said string) {
	t.Helper()
	argv := append([]string{command(t, "callprobe"), scenario, "--to", "sip:4930123456@" + e.sip}, args...)
	p := start(t, 2*time.Minute, t.TempDir(), argv...)
	code, err := p.wait()
	if err != nil {
		t.Fatal(err)
	}
	return code, p.out.String()
}
