package configs

import (
	"strings"
	"testing"

	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/telephony/trunk"
)

func reader(t *testing.T) *Reader {
	t.Helper()
	c, _, err := Load("")
	if err != nil {
		t.Fatal(err)
	}
	return c.Reader()
}

func TestAnAgentIsReadFromJSON(t *testing.T) {
	t.Parallel()
	a, faults := reader(t).ReadAgent([]byte(`{
		"name":"support","prompt":"Costs ${HOME} \"$5\" \ud83d\ude00 \/","language":"de","turn":{"onset_confirm":"150ms","min_words":2},
		"webhook_secret":"s","max_call_duration":"20m","variables":{"amount":4500},
		"llm_config":{"messages":[{"role":"system","content":"Be kind."}]},
		"tools":[{"name":"find","description":"Finds.","tool_type":"http_request","config":{"url":"https://crm.example.com","method":"GET"}}]}`), nil, nil)
	if faults.Err() != nil {
		t.Fatal(faults.Err())
	}
	if a.Prompt != "Costs ${HOME} \"$5\" 😀 /" || a.Turn.MinWords != 2 || a.Turn.OnsetConfirm.Milliseconds() != 150 || a.WebhookSecret != "s" ||
		len(a.Tools) != 1 || a.Variables["amount"] == nil {
		t.Errorf("%+v", a)
	}
}

// All faults at once, each with its path and what to do.
func TestFaultsOfWhatIsSentHavePaths(t *testing.T) {
	t.Parallel()
	r := reader(t)
	for _, tc := range []struct{ name, text, want string }{
		{"no JSON", `{"name":`, `no JSON`},
		{"two values", `{"name":"a"} {}`, `no JSON`},
		{"no object", `["name"]`, `no object`},
		{"an unknown key", `{"name":"a","promt":"x"}`, `promt: unknown key "promt"; did you mean "prompt"?`},
		{"text for a number", `{"name":"a","llm_config":{"max_tokens":"5"}}`, `llm_config.max_tokens: `},
		{"a number for text", `{"name":7}`, `name: `},
		{"text for a truth", `{"name":"a","recording":"true"}`, `recording: `},
		{"no name", `{"language":"very english"}`, "name: the agent has no name"},
		{"and the other", `{"language":"very english"}`, "language: "},
		{"a tool's", `{"name":"a","tools":[{"name":"x y","description":"d","tool_type":"end_cal"}]}`, `tools[0].tool_type: unknown tool type "end_cal"; did you mean "end_call"?`},
		{
			"a flow's", `{"name":"a","flow":{"nodes":[{"node_key":"a","is_initial":true,"functions":[{"name":"f","description":"d","next_node_key":"b"}]}]}}`,
			`flow.nodes[0].functions[0].next_node_key: no node "b"`,
		},
		{"a provider's", `{"name":"a","stt":"nobody"}`, `stt: no stt provider "nobody"`},
		{"a library's tool", `{"name":"a","tool_ids":["nothing"]}`, `tool_ids[0]: no tool "nothing"`},
		{"a file of the machine", `{"name":"a","ambience":{"file":"/etc/passwd"}}`, `ambience.file: a file of this machine`},
		{"too deep", `{"variables":` + strings.Repeat("[", 300) + strings.Repeat("]", 300) + `}`, "nested too deeply"},
	} {
		_, faults := r.ReadAgent([]byte(tc.text), nil, nil)
		if err := faults.Err(); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v lacks %s", tc.name, err, tc.want)
		}
	}
	was := &agent.Agent{Ambience: agent.Sound{File: "/srv/office.wav"}}
	if _, faults := r.ReadAgent([]byte(`{"name":"a","ambience":{"file":"/srv/office.wav"}}`), nil, was); faults.Err() != nil {
		t.Errorf("a file that was there: %v", faults)
	}
	if _, faults := r.ReadTool([]byte(`{"name":"x","tool_type":"http_request","config":{"url":"http://127.0.0.1"}}`), nil); len(faults) < 2 {
		t.Errorf("%v", faults)
	}
	if _, faults := r.ReadTrunk([]byte(`{"name":"x","gatways":[]}`), nil); faults.Err() == nil {
		t.Error("a trunk's unknown key is taken")
	}
}

func FuzzReadAgent(f *testing.F) {
	c, _, err := Load("")
	if err != nil {
		f.Fatal(err)
	}
	r := c.Reader()
	f.Add(`{"name":"a","tools":[{"name":"b","config":{"url":"https://x.example"}}],"flow":{"nodes":[{"node_key":"a"}]}}`)
	f.Add(`{"name":{"a":[null,1.5e9]},"turn":{"onset_confirm":"1h"}}`)
	f.Fuzz(func(t *testing.T, text string) {
		a, faults := r.ReadAgent([]byte(text), nil, nil)
		if faults.Err() == nil && a.Name == "" {
			t.Errorf("%q is taken", text)
		}
	})
}

// Whoever sends a tool has no files here: none of this machine is read for it.
func TestNoFileIsReadForWhatIsSent_SEC7(t *testing.T) {
	t.Parallel()
	const text = `{"name":"x","tool_type":"webhook","dialect":"hubspot","config":{"file":"/etc/hostname"}}`
	r := reader(t)
	_, faults := r.ReadTool([]byte(text), nil)
	_, inAgent := r.ReadAgent([]byte(`{"name":"a","prompt":"p","tools":[`+text+`]}`), nil, nil)
	for _, fs := range []error{faults.Err(), inAgent.Err()} {
		if fs == nil || !strings.Contains(fs.Error(), "a file of this machine") {
			t.Errorf("got %v", fs)
		}
	}
}

// The API names no files of the machine, but leaves those that a file has named.
func TestATrunkOfTheAPINamesNoFiles(t *testing.T) {
	t.Parallel()
	r := reader(t)
	text := []byte(`{"name":"x","gateways":["sips:sip.example.com"],"tls":{"ca":"/etc/passwd","pin":"sha256/x"}}`)
	if _, faults := r.ReadTrunk(text, nil); faults.Err() == nil || !strings.Contains(faults.Err().Error(), "tls.ca") {
		t.Errorf("a file was named: %v", faults)
	}
	was := &trunk.Config{TLS: trunk.Security{CA: "/etc/passwd"}}
	if _, faults := r.ReadTrunk(text, was); faults.Err() != nil {
		t.Errorf("the file that was there: %v", faults)
	}
}
