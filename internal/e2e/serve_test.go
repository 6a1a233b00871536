//go:build e2e

package e2e

import (
	"fmt"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/patchcord/patchcord/internal/testkit/scenario"
)

// TestPeerSIPpIsServed: the built binary answers, speaks, and keeps a record
// of calls whose caller says nothing, over UDP and TCP.
func TestPeerSIPpIsServed(t *testing.T) {
	t.Parallel()
	needs(t, "sipp", "sip-tester")
	e := serve(t, silent, map[string]string{"support.yaml": silentAgent})
	for _, tcp := range []bool{false, true} {
		sipp(t, sippRun{scenario: "basic", to: e.sip, tcp: tcp, calls: 5, rate: 5})
	}
	eventually(t, 10*time.Second, "ten calls have ended", func() bool {
		return len(named(e.read(t), "call.ended")) == 10
	})
	seqs := map[string]float64{}
	for _, ev := range e.read(t) {
		id := ev.text("call_id")
		seq, ok := ev["seq"].(float64)
		if id == "" || !ok {
			continue
		}
		if last, seen := seqs[id]; seen && seq != last+1 {
			t.Errorf("call %s: seq %v follows %v", id, seq, last)
		}
		seqs[id] = seq
	}
	if len(seqs) != 10 {
		t.Errorf("events of %d calls, want 10", len(seqs))
	}
	for _, path := range []string{"/healthz", "/readyz", "/openapi.json"} {
		if status, _ := e.get(t, path); status != http.StatusOK {
			t.Errorf("GET %s: %d", path, status)
		}
	}
	status, body := e.get(t, "/v1/calls")
	if calls, _ := body["data"].([]any); status != http.StatusOK || len(calls) != 10 {
		t.Errorf("GET /v1/calls: %d with %d calls, want 10", status, len(calls))
	}
	e.stop(t)
}

// TestPeerBaresipIsRecorded: a foreign phone hears the engine's voice, and the
// recording holds the caller on the left and the agent on the right.
func TestPeerBaresipIsRecorded(t *testing.T) {
	t.Parallel()
	phone := startPhone(t, "PCMU", 1000)
	e := serve(t, silent+"", map[string]string{"support.yaml": silentAgent})
	phone.do("dial", "sip:4930123456@"+e.sip)
	phone.await(5*time.Second, "CALL_ESTABLISHED")
	talk(5 * time.Second)
	phone.do("hangup", "")
	eventually(t, 10*time.Second, "the call has ended", func() bool {
		return len(named(e.read(t), "call.ended")) == 1
	})
	pcm, rate := phone.quit()
	h := listen(pcm, rate, 440, 1000)
	t.Logf("baresip heard 440 Hz for %v", h.tone)
	if h.tone < time.Second || h.other > 0.01 {
		t.Errorf("baresip heard the agent's 440 Hz for %v with %.2f %% of its own tone in it, want 1 s and none", h.tone, 100*h.other)
	}
	e.stop(t)
	files, err := filepath.Glob(filepath.Join(e.dir, "recordings", "*.wav"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%d recordings, want 1 (%v)", len(files), err)
	}
	channels, rate, err := readWAV(files[0])
	if err != nil {
		t.Fatal(err)
	}
	if len(channels) != 2 {
		t.Fatalf("%d channels, want 2", len(channels))
	}
	wantTone(t, "the recording's left side", channels[0], rate, 1000, 440, 4*time.Second)
	if h := listen(channels[1], rate, 440, 1000); h.tone < time.Second || h.other > 0.01 {
		t.Errorf("the recording's right side holds 440 Hz for %v with %.2f %% of the caller in it", h.tone, 100*h.other)
	}
}

// needsSpeech skips the test, by name, where the local voice and recogniser
// are not installed.
func needsSpeech(t *testing.T) {
	t.Helper()
	for file, debianPackage := range map[string]string{
		"/usr/lib/*/libflite.so.1": "libflite1", "/usr/lib/*/libpocketsphinx.so.3": "libpocketsphinx3",
		"/usr/share/pocketsphinx/model/en-us": "pocketsphinx-en-us",
	} {
		if found, err := filepath.Glob(file); err != nil || len(found) == 0 {
			t.Skipf("%s is not installed (apt-get install %s)", file, debianPackage)
		}
	}
}

// TestScenarios dials the engine with every scripted caller: the agent that is
// built in, with the local voice and recogniser.
func TestScenarios(t *testing.T) {
	t.Parallel()
	needsSpeech(t)
	files, err := filepath.Glob("../../testdata/scenarios/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	agents, err := filepath.Abs("../../configs/agents")
	if err != nil {
		t.Fatal(err)
	}
	e := serve(t, `llm: {default: rules, rules: {type: rules, file: "`+agents+`/rules.yaml"}}
stt: {default: local, local: {type: pocketsphinx, phrases: "`+agents+`/demo.phrases"}}
tts: {default: local, local: {type: flite, voice: slt}}
default_agent: support
`, map[string]string{"support.yaml": silentAgent})
	for _, file := range files {
		if s, err := scenario.Load(file); err != nil || s.Engine != nil {
			continue // played on virtual time, by the engine that it describes
		}
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			path, err := filepath.Abs(file)
			if err != nil {
				t.Fatal(err)
			}
			if code, said := e.probe(t, path); code != 0 {
				t.Errorf("callprobe: exit %d\n%s", code, tail(said, 4000))
			}
		})
	}
	e.stop(t)
}

// TestScenariosOverSIP plays files that the engine's own tests play on virtual
// time to the engine and the agent that they describe, over SIP, with the local
// voice and recogniser at both ends.
func TestScenariosOverSIP(t *testing.T) {
	t.Parallel()
	needsSpeech(t)
	for _, name := range []string{"barge_in", "cough", "goodbye", "greeting_interrupted"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path, s, answers, e := described(t, name)
			if code, report := e.probe(t, path, "--phrases", answers, "--voice", "rms"); code != 0 {
				t.Errorf("callprobe: exit %d\n%s", code, tail(report, 4000))
			}
			n, log := e.tally(t)
			if want := s.Expect; want.BargeIns != nil && n.cancelled != *want.BargeIns || len(want.User) != n.turns {
				t.Errorf("%+v, want %q\n%s", n, want.User, tail(log, 4000))
			}
		})
	}
}

// described serves the engine and the agent that a scenario describes, with the
// local voice and recogniser. answers is a file of what the agent may say.
func described(t *testing.T, name string) (path string, s *scenario.Scenario, answers string, e *engine) {
	t.Helper()
	var err error
	path, err = filepath.Abs("../../testdata/scenarios/" + name + ".yaml")
	if err != nil {
		t.Fatal(err)
	}
	s, err = scenario.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	var far struct {
		Agent map[string]any `yaml:"agent"`
		Rules string         `yaml:"rules"`
	}
	if err := yaml.NodeToValue(s.Engine, &far); err != nil {
		t.Fatal(err)
	}
	far.Agent["name"] = "support"
	agent, err := yaml.Marshal(far.Agent)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	var said, told []string
	for _, step := range s.Steps {
		if step.Text != "" {
			said = append(said, step.Text)
		}
	}
	told = append(told, fmt.Sprint(far.Agent["greeting"]))
	for _, m := range sayLine.FindAllStringSubmatch(far.Rules, -1) {
		told = append(told, m[1])
	}
	write(t, filepath.Join(dir, "rules.yaml"), "not_understood: \"Sorry, what was that?\"\n"+far.Rules)
	write(t, filepath.Join(dir, "said"), sentences(said))
	write(t, filepath.Join(dir, "answers"), sentences(told))
	e = serve(t, `llm: {default: rules, rules: {type: rules, file: "`+dir+`/rules.yaml"}}
stt: {default: local, local: {type: pocketsphinx, phrases: "`+dir+`/said"}}
tts: {default: local, local: {type: flite, voice: slt}}
default_agent: support
`, map[string]string{"support.yaml": string(agent)})
	return path, s, filepath.Join(dir, "answers"), e
}

var sayLine = regexp.MustCompile(`say: "([^"]+)"`)

// sentences is a recogniser's file of them: words only.
func sentences(texts []string) string {
	var b strings.Builder
	for _, text := range texts {
		for _, s := range strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return strings.ContainsRune(".?!,", r) }) {
			b.WriteString(strings.TrimSpace(s) + "\n")
		}
	}
	return b.String()
}
