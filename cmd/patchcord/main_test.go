package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// ran is what a command did.
type ran struct {
	code     int
	out, err string
}

func runCommand(t *testing.T, in string, args ...string) ran {
	t.Helper()
	var out, errs bytes.Buffer
	code := run(t.Context(), args, &output{in: strings.NewReader(in), out: &out, err: &errs})
	return ran{code, out.String(), errs.String()}
}

func TestWrongWaysToCallACommandExitWithTwo(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		args []string
		says string
	}{
		{"nothing", nil, "expected one of"},
		{"an unknown command", []string{"dance"}, "unexpected argument dance"},
		{"a misspelt command", []string{"validat"}, `did you mean "validate"`},
		{"an unknown flag", []string{"tail", "--wher", "x"}, `did you mean "--where"`},
		{"validate nothing", []string{"validate"}, "<file>"},
		{"call nobody", []string{"call", "--agent", "a"}, "<number>"},
		{"call as nobody", []string{"call", "+49"}, "--agent"},
		{"a variable without value", []string{"call", "+49", "--agent", "a", "--var", "name"}, "name"},
		{"a bad address", []string{"call", "+49", "--agent", "a", "--api", "nowhere"}, "no URL"},
		{"too long a ring", []string{"call", "+49", "--agent", "a", "--ring-timeout", "1h"}, "5 minutes"},
		{"a bad condition", []string{"tail", "--where", "event =="}, "--where"},
		{"a condition that is no question", []string{"tail", "--where", "1 + 1"}, "bool"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r := runCommand(t, "", tc.args...)
			if r.code != 2 || !strings.Contains(r.err, tc.says) || !strings.Contains(r.err, "--help") || r.out != "" {
				t.Errorf("%+v", r)
			}
		})
	}
}

func TestEveryCommandShowsAnExample(t *testing.T) {
	t.Parallel()
	if r := runCommand(t, "", "--help"); r.code != 0 || !strings.Contains(r.out, "validate") {
		t.Errorf("%+v", r)
	}
	for _, c := range []string{
		"serve", "demo", "validate", "call", "tail", "replay", "bench", "tools list", "tools import", "tools test",
	} {
		if r := runCommand(t, "", append(strings.Fields(c), "--help")...); r.code != 0 || !strings.Contains(r.out, "patchcord "+c) || !strings.Contains(r.out, "Example") {
			t.Errorf("%s: %+v", c, r)
		}
	}
	if r := runCommand(t, "", "--version"); r.code != 0 || strings.TrimSpace(r.out) != version {
		t.Errorf("%+v", r)
	}
}

func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Every example is valid as it stands, with no warning.
func TestValidateTakesTheExamples(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../configs/examples/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	r := runCommand(t, "", append([]string{"validate"}, files...)...)
	if n := strings.Count(r.out, ": ok: agent "); r.code != 0 || n != len(files) || strings.Contains(r.out, "warning") {
		t.Errorf("exit %d, %d of %d agents:\n%s", r.code, n, len(files), r.out)
	}
}

func TestValidateTellsKindsAndFaults(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, text string
		code       int
		says       string
	}{
		{"a configuration", "http: {listen: \"127.0.0.1:1\"}\n", 0, "ok: configuration with 0 agents"},
		{"a configuration with a fault", "http: {listne: x}\n", 1, `:1:8: unknown key "listne" in http; did you mean "listen"?`},
		{"no key that is known", "htp: {}\n", 1, `did you mean "http"?`},
		{"an agent", "name: a\nprompt: Answer.\ntools: [{tool_type: end_call}]\n", 0, "ok: agent a, 1 tool"},
		{"an agent with a fault", "name: a\nprompt: Answer.\nvioce: x\n", 1, `:3:1: unknown key "vioce"; did you mean "voice"?`},
		{
			"a tool", "name: t\ndescription: Looks up.\ntool_type: http_request\n" +
				"config: {url: \"https://a.example/\", method: GET}\n", 0, "ok: 1 tool",
		},
		{"a tool with a fault", "name: t\ntool_type: htp_request\n", 1, "http_request"},
		{"rules", "not_understood: What?\notherwise: I see.\nrules: [{when: hello, say: Hello.}]\n", 0, "ok: rules"},
		{"rules with a fault", "rules: [{wehn: hello}]\n", 1, ":1:"},
		{"no YAML", "a: [\n", 1, ":"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			path := writeFile(t, "f.yaml", tc.text)
			r := runCommand(t, "", "validate", path)
			if r.code != tc.code || !strings.Contains(r.out, tc.says) || !strings.Contains(r.out, "f.yaml") || r.err != "" {
				t.Errorf("%+v", r)
			}
			r = runCommand(t, "", "validate", "--json", path)
			var got struct {
				OK    bool
				Files []checked
			}
			if err := json.Unmarshal([]byte(r.out), &got); err != nil || got.OK != (tc.code == 0) ||
				len(got.Files) != 1 || got.Files[0].OK != got.OK {
				t.Errorf("%v %+v", err, r)
			}
		})
	}
	if r := runCommand(t, "", "validate", "/nowhere/x.yaml"); r.code != 1 || !strings.Contains(r.out, "no such file") {
		t.Errorf("%+v", r)
	}
}

const recorded = `{"ts":"2026-11-20T12:00:00.000Z","level":"info","event":"call.started","call_id":"0190-aaaa11","seq":1,"at_ms":0,"direction":"inbound","from":"+49301","to":"+49302","agent":"support"}
{"ts":"2026-11-20T12:00:00.010Z","level":"info","event":"sip.message","call_id":"0190-aaaa11","seq":2,"at_ms":0,"dir":"in","method":"INVITE","status":0,"cseq":1}
{"ts":"2026-11-20T12:00:00.020Z","level":"info","event":"sip.message","call_id":"0190-aaaa11","seq":3,"at_ms":0,"dir":"out","method":"INVITE","status":200,"cseq":1}

{"ts":"2026-11-20T12:00:02.000Z","level":"info","event":"turn.user","call_id":"0190-aaaa11","seq":4,"at_ms":2000,"text":"Where is my\u001b[31m order?","turn":1,"rev":1,"confidence":0.91}
{"ts":"2026-11-20T12:00:03.000Z","level":"info","event":"turn.metrics","call_id":"0190-aaaa11","seq":5,"at_ms":3000,"turn":1,"endpoint_wait_ms":600,"stt_final_ms":40,"llm_first_ms":200,"tts_first_ms":150,"engine_added_ms":9,"v2v_ms":959}
{"ts":"2026-11-20T12:00:05.000Z","level":"info","event":"turn.agent","call_id":"0190-aaaa11","seq":6,"at_ms":5000,"text":"It was shipped on Friday.","heard_text":"It was","heard_ms":800,"interrupted":true}
{"ts":"2026-11-20T12:00:06.000Z","level":"info","event":"call.ended","call_id":"0190-aaaa11","seq":7,"at_ms":6000,"end_reason":"hangup","duration_ms":6000,"turns":1,"mos":4.31}
`

func TestTailShowsARecordedCall(t *testing.T) {
	t.Parallel()
	r := runCommand(t, recorded, "tail", "-")
	if r.code != 0 || strings.Contains(r.out, "\x1b") {
		t.Errorf("%+v", r)
	}
	for _, want := range []string{
		"0.000  call     inbound: +49301 → +49302, agent support\n",
		"peer ── INVITE (1) ", "▶ us\n", "peer ◀", " 200 INVITE (1) ── us\n",
		"2.000  caller   Where is my [31m order?  (0.91)\n",
		"959 ms from the caller's last word to the answer, 9 of them the engine's\n",
		"wait    600 ms ████████████████████████\n", "model   200 ms                         ████████\n",
		"agent    It was [… shipped on Friday.]\n",
		"ended: hangup after 6.0 s, 1 turns, MOS 4.31\n",
	} {
		if !strings.Contains(r.out, want) {
			t.Errorf("%q is not in\n%s", want, r.out)
		}
	}
	path := writeFile(t, "calls.jsonl", recorded)
	for _, tc := range []struct {
		args []string
		want int // lines
	}{
		{[]string{"--json"}, 7},
		{[]string{"--json", "--where", `event startsWith "turn."`}, 3},
		{[]string{"--json", "--where", `v2v_ms > 900`}, 1},
		{[]string{"--json", "--where", `v2v_ms > 1000`}, 0},
		{[]string{"--json", "--where", `confidence < 0.95 and text contains "order"`}, 1},
		{[]string{"--json", "--call", "0190-aaaa11"}, 7},
		{[]string{"--json", "--call", "other"}, 0},
	} {
		r := runCommand(t, "", append([]string{"tail", path}, tc.args...)...)
		if n := strings.Count(r.out, "\n"); r.code != 0 || n != tc.want {
			t.Errorf("%v: %d lines, want %d: %+v", tc.args, n, tc.want, r)
		}
	}
}

func TestTailTellsWhatIsNoEvent(t *testing.T) {
	t.Parallel()
	for _, in := range []string{"hello\n", "{}\n", `{"event":7}` + "\n", "[]\n"} {
		if r := runCommand(t, recorded+in, "tail", "-"); r.code != 1 || !strings.Contains(r.err, "-:9: not an event: ") {
			t.Errorf("%q: %+v", in, r)
		}
	}
	if r := runCommand(t, "", "tail", "/nowhere.jsonl"); r.code != 1 || !strings.Contains(r.err, "no such file") {
		t.Errorf("%+v", r)
	}
}

// fakeAPI answers as a running engine does.
type fakeAPI struct {
	mu      sync.Mutex // guards what follows
	body    map[string]any
	key     string
	streams []string // what each request of the events gets
	lastIDs []string
}

func (f *fakeAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch f.key = r.Header.Get("X-API-Key"); {
	case r.Method == http.MethodPost && r.URL.Path == "/v1/calls":
		_ = json.NewDecoder(r.Body).Decode(&f.body)
		if f.body["to"] == "+1900" {
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprint(w, `{"error":{"code":"destination_not_allowed","message":"Not dialled: no prefix fits."}}`)
			return
		}
		w.WriteHeader(http.StatusCreated)
		fmt.Fprint(w, `{"id":"0190-aaaa11","status":"dialing"}`)
	case strings.HasSuffix(r.URL.Path, "/events"):
		f.lastIDs = append(f.lastIDs, r.Header.Get("Last-Event-ID"))
		w.Header().Set("Content-Type", "text/event-stream")
		if len(f.streams) > 0 {
			fmt.Fprint(w, f.streams[0])
			f.streams = f.streams[1:]
		}
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler) // the connection breaks after what was sent
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

// sse writes the recorded events from one seq to another as a stream.
func sse(from, to int) string {
	var b strings.Builder
	n := 0
	for line := range strings.Lines(recorded) {
		if line == "\n" {
			continue
		}
		if n++; n < from || n > to {
			continue
		}
		var e event
		_ = json.Unmarshal([]byte(line), &e)
		fmt.Fprintf(&b, "event: %s\nid: %d\ndata: %s\n", e.name(), n, line)
	}
	return b.String()
}

const answeredSSE = "event: call.answered\nid: 3\ndata: {\"event\":\"call.answered\",\"call_id\":\"0190-aaaa11\",\"seq\":3,\"at_ms\":0,\"codec\":\"PCMA\"}\n\n"

func TestCallShowsTheConversationThroughABrokenStream(t *testing.T) {
	t.Parallel()
	api := &fakeAPI{streams: []string{": \n\n" + sse(1, 2) + answeredSSE, sse(4, 7)}}
	srv := httptest.NewServer(api)
	defer srv.Close()
	args := []string{"call", "+4930123456", "--agent", "support", "--var", "name=Ada=Lovelace", "--var", "x=1;y", "--api", srv.URL, "--key", "k"}
	r := runCommand(t, "", args...)
	if r.code != 0 || !strings.Contains(r.out, "caller   Where is my") || !strings.Contains(r.out, "ended: hangup") || strings.Contains(r.out, "INVITE") {
		t.Errorf("%+v", r)
	}
	api.mu.Lock()
	vars, _ := api.body["variables"].(map[string]any)
	if api.body["to"] != "+4930123456" || api.body["agent_id"] != "support" || vars["name"] != "Ada=Lovelace" || vars["x"] != "1;y" || api.key != "k" {
		t.Errorf("sent %v with key %q", api.body, api.key)
	}
	if got := strings.Join(api.lastIDs, ","); got != ",3" {
		t.Errorf("Last-Event-ID %s", got)
	}
	api.streams, api.lastIDs = []string{sse(1, 2) + answeredSSE + sse(4, 7)}, nil
	api.mu.Unlock()
	r = runCommand(t, "", append(args, "--json")...)
	var res callResult
	if err := json.Unmarshal([]byte(r.out), &res); err != nil || !res.Answered || res.EndReason != "hangup" || res.DurationMS != 6000 || res.Turns != 1 {
		t.Errorf("%v %+v", err, r)
	}
}

func TestACallThatNobodyAnswersFails(t *testing.T) {
	t.Parallel()
	busy := "event: call.ended\nid: 2\ndata: {\"event\":\"call.ended\",\"call_id\":\"c\",\"seq\":2,\"at_ms\":0,\"end_reason\":\"busy\"}\n\n"
	srv := httptest.NewServer(&fakeAPI{streams: []string{busy}})
	defer srv.Close()
	if r := runCommand(t, "", "call", "+49", "--agent", "a", "--api", srv.URL); r.code != 1 || !strings.Contains(r.err, "did not answer: busy") {
		t.Errorf("%+v", r)
	}
	if r := runCommand(t, "", "call", "+1900", "--agent", "a", "--api", srv.URL); r.code != 1 || !strings.Contains(r.err, "Not dialled: no prefix fits.") {
		t.Errorf("%+v", r)
	}
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	if r := runCommand(t, "", "call", "+49", "--agent", "a", "--api", gone.URL); r.code != 1 || !strings.Contains(r.err, "patchcord serve") {
		t.Errorf("%+v", r)
	}
}

func FuzzEvent(f *testing.F) {
	for line := range strings.Lines(recorded) {
		f.Add([]byte(strings.TrimSpace(line)))
	}
	f.Add([]byte(`{"event":"turn.metrics","v2v_ms":1e300,"endpoint_wait_ms":-9e18,"llm_first_ms":9e18}`))
	where, err := condition(`v2v_ms > 5 or text contains "x"`)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		e, err := readEvent(line)
		if err != nil {
			return
		}
		where.holds(e)
		var out bytes.Buffer
		newTimeline(&out).event(e)
		if n := bytes.Count(out.Bytes(), []byte("\n")); n > 6 || out.Len() > 8192 {
			t.Errorf("%d lines, %d bytes of %q", n, out.Len(), line)
		}
	})
}
