package configs

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/engine/turn"
	"github.com/patchcord/patchcord/telephony/trunk"
)

// write makes a folder with the files of a test; the first is the
// configuration.
func write(t *testing.T, files ...string) string {
	t.Helper()
	dir := t.TempDir()
	for i := 0; i < len(files); i += 2 {
		path := filepath.Join(dir, files[i])
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(files[i+1]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, files[0])
}

const speech = "llm: {default: r, r: {type: openai, api_key: k}}\nstt: {default: s, s: {type: pocketsphinx}}\n" +
	"tts: {default: f, f: {type: flite}}\n"

func TestTheBuiltInDefaultLoadsWithoutAWarning(t *testing.T) {
	c, warnings, err := Load("")
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range warnings {
		t.Errorf("warning: %s", w)
	}
	if len(c.Agents) != 1 || c.Agents[0].ID != "support" || c.Agents[0].Greeting == "" {
		t.Errorf("agents: %+v", c.Agents)
	}
	if p, ok := c.LLM.Find(""); !ok || p.Type != "rules" {
		t.Errorf("default model: %+v", p)
	}
	if len(c.Trunks) != 1 || c.Trunks[0].Allow[0] != "127.0.0.0/8" {
		t.Errorf("trunks: %+v", c.Trunks)
	}
}

func TestWhatAFileLeavesOutIsWhatTheDefaultFileSays(t *testing.T) {
	empty, _, err := Load(write(t, "c.yaml", "# nothing\n"))
	if err != nil {
		t.Fatal(err)
	}
	def, _, err := Load("")
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range []string{"HTTP", "SIP", "RTP", "WebRTC", "Store", "Recording", "Log", "AgentFiles", "Dialing", "Limits"} {
		got := fmt.Sprintf("%+v", reflect.ValueOf(*empty).FieldByName(k))
		want := fmt.Sprintf("%+v", reflect.ValueOf(*def).FieldByName(k))
		if got != want {
			t.Errorf("%s: %s, the default file says %s", k, got, want)
		}
	}
}

// The default file documents every key: in its place, or in a commented
// example where lists and providers are empty.
func TestEveryKeyIsInTheAnnotatedFile(t *testing.T) {
	root, err := parse("patchcord.yaml", Default())
	if err != nil {
		t.Fatal(err)
	}
	c := checker{at: map[string]Pos{}}
	c.node(root, reflect.TypeFor[Config](), "")
	comments := ""
	for line := range strings.Lines(string(Default())) {
		if _, comment, ok := strings.Cut(line, "#"); ok {
			comments += comment
		}
	}
	var walk func(t reflect.Type, path string)
	walk = func(typ reflect.Type, path string) {
		for name, ft := range fieldsOf(typ) {
			p := join(path, name)
			if _, ok := c.at[p]; !ok && !strings.Contains(path, "[]") {
				t.Errorf("%s is not in configs/patchcord.yaml", p)
			}
			if strings.Contains(path, "[]") && !regexp.MustCompile(`\b`+name+`:`).MatchString(comments) {
				t.Errorf("%s is in no example of configs/patchcord.yaml", p)
			}
			switch {
			case ft.Kind() == reflect.Struct && ft != providersType:
				walk(ft, p)
			case ft.Kind() == reflect.Slice && ft.Elem().Kind() == reflect.Struct:
				walk(ft.Elem(), p+"[]")
			}
		}
	}
	walk(reflect.TypeFor[Config](), "")
}

// testdata/full.yaml sets every key that may be set; what is not built yet is
// a warning, nothing is an error.
func TestTheFullFileIsAccepted(t *testing.T) {
	t.Setenv("OPENAI_API_KEY", "sk-1")
	c, warnings, err := Load("testdata/full.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var notBuilt []string
	for _, w := range warnings {
		if strings.Contains(w.What, "not built yet") {
			notBuilt = append(notBuilt, w.Error())
		}
	}
	if len(notBuilt) > 0 {
		t.Errorf("warnings %q", notBuilt)
	}
	if c.Trunks[0].Password.Reveal() != "0123" {
		t.Errorf("a password of digits became %q", c.Trunks[0].Password.Reveal())
	}
	if c.Numbers[0].Number != "+4930123456" {
		t.Errorf("number %q", c.Numbers[0].Number)
	}
	if c.Limits.MaxCallDuration != 15*time.Minute {
		t.Errorf("max_call_duration %s", c.Limits.MaxCallDuration)
	}
	if got := c.LLM.Chain(""); len(got) != 2 || got[0].Name != "main" || got[1].Name != "rules" {
		t.Errorf("fallback chain %+v", got)
	}
	var openai struct {
		BaseURL string `yaml:"base_url"`
		APIKey  string `yaml:"api_key"`
		Model   string `yaml:"model"`
	}
	p, _ := c.LLM.Find("main")
	if err := p.Decode(&openai); err != nil || openai.APIKey != "sk-1" || openai.Model != "gpt-4.1-mini" {
		t.Errorf("openai: %+v, %v", openai, err)
	}
}

func TestFaultsSayWhereWhatAndWhatToDo(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, text, want string }{
		{"unknown key at the top", "htp:\n  listen: x\n", `c.yaml:1:1: unknown key "htp"; did you mean "http"?`},
		{"unknown key below", "http:\n  listn: \"127.0.0.1:1\"\n", `c.yaml:2:3: unknown key "listn" in http; did you mean "listen"?`},
		{"unknown key in a list", "trunks:\n  - {name: a, alow: [x]}\n", `c.yaml:2:15: unknown key "alow" in trunks[0]; did you mean "allow"?`},
		{"nothing near", "zzzzzzzzz: 1\n", `c.yaml:1:1: unknown key "zzzzzzzzz"; known keys: http, sip`},
		{"text for a mapping", "http: here\n", `c.yaml:1:7: http is "here"; it takes a mapping with the keys listen, public_url`},
		{"text for a number", "limits: {max_calls: many}\n", `c.yaml:1:21: limits.max_calls is "many"; it takes a whole number`},
		{"a store that is not built in", "recording: {dir: \"gs://calls\"}\n", `gs:// is no store of this build: it has file, mem, s3`},
		{"more kept than there are", "limits: {max_calls: 5, reserved: 6}\n", `c.yaml:1:34: 6 of 5 calls`},
		{"text for a truth value", "recording: {enabled: ja}\n", `c.yaml:1:22: recording.enabled is "ja"; it takes true or false`},
		{"a bad duration", "limits: {max_call_duration: 15}\n", `c.yaml:1:29: limits.max_call_duration is "15"; it takes a duration`},
		{"text for a list", "sip: {listen: \"udp://0.0.0.0:5060\"}\n", `sip.listen is "udp://0.0.0.0:5060"; it takes a list`},
		{"syntax", "http: {listen: \"a\n", `c.yaml:1:16: `},
		{"a key twice", "log: {}\nlog: {}\n", `c.yaml:2:1: mapping key "log" already defined`},
		{"two documents", "log: {}\n---\nlog: {}\n", `c.yaml:3:1: a second YAML document`},
		{"an address", "http: {listen: here}\n", `c.yaml:1:16: "here": no host:port; write host:port`},
		{"a port", "http: {listen: \"127.0.0.1:99999\"}\n", `"99999" is no port`},
		{"a transport", "sip: {listen: [\"udp:0.0.0.0:5060\"]}\n", `c.yaml:1:16: "udp:0.0.0.0:5060" has no transport of udp, tcp, tls`},
		{"ports", "rtp: {ports: \"30000-20000\"}\n", `must rise and lie within 1024-65534`},
		{"level", "log: {level: inf}\n", `c.yaml:1:14: "inf" is not one of its values; did you mean "info"?`},
		{"store", "store: {url: patchcord.db}\n", `names no store; write sqlite:FILE`},
		{"a prefix", "trunks: [{name: a, allow: [\"10.0.0.0/80\"]}]\n", `c.yaml:1:28: `},
		{"a gateway", "trunks: [{name: a, gateways: [\"203.0.113.10:x\"]}]\n", `write sip:host`},
		{"a useless trunk", "trunks: [{name: a}]\n", `has neither gateways nor allow`},
		{"a trunk twice", "trunks: [{name: a, allow: [\"::1\"]}, {name: a, allow: [\"::2\"]}]\n", `a second trunk named "a"`},
		{"a trunk that is none", "numbers: [{number: \"1\", trunk: b, agent: c}]\n", `no trunk "b"`},
		{"an agent that is none", "default_agent: suport\n" + speech, `no agent "suport"; did you mean "support"?`},
		{"a provider without type", "llm: {a: {model: x}}\n", `c.yaml:1:7: a has no type`},
		{"a provider that is text", "llm: {a: openai}\n", `c.yaml:1:10: a is "openai"; write a mapping with type:`},
		{"a default that is none", "tts: {default: lokal, local: {type: flite}}\n", `c.yaml:1:16: no tts "lokal"; did you mean "local"?`},
		{"a fallback that is none", "llm: {a: {type: openai, fallback: rulez}, rules: {type: openai}}\n", `no llm "rulez"; did you mean "rules"?`},
		{"a hedge of nobody", "llm: {a: {type: openai, hedge: true}}\n", `a: hedge without a fallback`},
		{"a hedge of voices", "tts: {a: {type: flite, fallback: b, hedge: true}, b: {type: flite}}\n", `a: only models race`},
		{"a hedge that is no truth", "llm: {a: {type: openai, hedge: fast}}\n", `hedge is "fast"; write true or false`},
		{"a type that is none", "llm: {a: {type: openia}}\n", `c.yaml:1:17: llm.a: unknown type "openia"; did you mean "openai"?`},
		{"a key that the provider lacks", "llm: {a: {type: openai, modle: x}}\n", `c.yaml:1:25: unknown key "modle"; did you mean "model"?`},
		{"a recogniser that is none", "stt: {a: {type: depgram}}\n", `c.yaml:1:17: stt.a: unknown type "depgram"; did you mean "deepgram"?`},
		{"a key that the voice lacks", "tts: {a: {type: flite, voise: x}}\n", `c.yaml:1:24: unknown key "voise"; did you mean "voice"?`},
		{"rules that are no file", "llm: {default: a, a: {type: rules, file: nowhere.yaml}}\n", `c.yaml:1:19: a: llm: rules: open`},
		{"rules with a fault", "llm: {a: {type: rules, file: r.yaml}}\n", `r.yaml:1:`},
		{"a scope", "api: {keys: [{name: a, key: 0123456789abcdef, scopes: [\"call:read\"]}]}\n", `did you mean "calls:read"?`},
		{"SEC-13: a public address without a key", "http: {listen: \"0.0.0.0:8080\"}\n", `the API has no key (SEC-13)`},
		{"a dialing prefix", "dialing: {allow: [\"0049\"]}\n", `"0049" is no prefix of E.164`},
		{"an open variable", "log: {events: \"${X\"}\n", `c.yaml:1:15: ${ without }`},
		{"a bad variable", "log: {events: \"${a b}\"}\n", `${a b}: not a name of an environment variable`},
		{"a missing secret file", "log: {events: \"${file:/nowhere}\"}\n", `${file:/nowhere}: `},
		{"an alias to nothing", "log: {events: *x}\n", `no anchor &x before this alias`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			path := write(t, "c.yaml", tc.text, "agents/support.yaml", "name: support\nprompt: x\n", "r.yaml", "rulse: []\n")
			_, _, err := Load(path)
			if err == nil {
				t.Fatal("no fault")
			}
			if got := strings.ReplaceAll(err.Error(), filepath.Dir(path)+"/", ""); !strings.Contains(got, tc.want) {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
}

func TestAllFaultsAreToldAtOnceInOrder(t *testing.T) {
	t.Parallel()
	_, _, err := Load(write(t, "c.yaml", "limits: {max_calls: x}\nlog: {levle: info}\nhtp: {}\nllm: {a: {}, b: {}}\n"))
	var lines []int
	for _, f := range Faults(err) {
		lines = append(lines, f.Line)
	}
	if !reflect.DeepEqual(lines, []int{1, 2, 3, 4, 4}) {
		t.Errorf("faults in lines %v:\n%v", lines, err)
	}
}

func TestVariablesAreTextAndNeverYAML(t *testing.T) {
	env := map[string]string{"EVIL": "x\", level: \"debug", "EMPTY": "", "ON": "true", "N": "7", "NAME": "log"}
	l := loader{fs: osFS{}, env: func(k string) (string, bool) { v, ok := env[k]; return v, ok }}
	path := write(t, "c.yaml", "log: {events: \"a${EVIL}b\", journal: \"$${NAME}-${EMPTY:-e}-${GONE:-g}\"}\n"+
		"recording: {enabled: \"${ON}\", dir: \"${GONE}\"}\nlimits: {max_calls: \"${N}\"}\n")
	c, warnings, err := l.load(path, filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	if c.Log.Events != "ax\", level: \"debugb" || c.Log.Level != "info" {
		t.Errorf("events %q, level %q", c.Log.Events, c.Log.Level)
	}
	if c.Log.Journal != "${NAME}-e-g" {
		t.Errorf("journal %q", c.Log.Journal)
	}
	if !c.Recording.Enabled || c.Limits.MaxCalls != 7 || c.Recording.Dir != "" {
		t.Errorf("recording %+v limits %+v", c.Recording, c.Limits)
	}
	if got := fmt.Sprint(warnings); !strings.Contains(got, "GONE is not set") {
		t.Errorf("no warning of an unset variable in %s", got)
	}
}

func TestInAgentsOnlyCapitalsAreVariables(t *testing.T) {
	t.Setenv("SHOP_URL", "https://shop.example")
	c, _, err := Load(write(t, "c.yaml", speech, "agents/a.yaml", "name: a\nprompt: \"It costs ${price}, ${ and ${a b}.\"\n"+
		"tools:\n  - {name: t, description: Looks up., tool_type: http_request, config: {url: \"${SHOP_URL}/x\", method: GET}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := c.Agents[0].Tools[0].Config.MarshalJSON()
	if c.Agents[0].Prompt != "It costs ${price}, ${ and ${a b}." || err != nil || !strings.Contains(string(b), "https://shop.example/x") {
		t.Errorf("prompt %q, tool %s, %v", c.Agents[0].Prompt, b, err)
	}
}

func TestAnchorsAndMerges(t *testing.T) {
	t.Parallel()
	c, _, err := Load(write(t, "c.yaml", speech+
		"trunks:\n  - &base {name: a, allow: [\"192.0.2.1\"], username: u}\n  - {<<: *base, name: b, allow: [\"192.0.2.2\"]}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if c.Trunks[1].Name != "b" || c.Trunks[1].Username != "u" || c.Trunks[0].Name != "a" {
		t.Errorf("%+v", c.Trunks)
	}
}

// SEC-10: no way of printing shows a secret.
func TestSecretsNeverPrint(t *testing.T) {
	t.Parallel()
	const canary = "canary-7f3a"
	c := Config{
		Secrets: map[string]Secret{"a": {Value: canary}}, Trunks: []trunk.Config{{Password: canary}},
		API: API{Keys: []APIKey{{Key: canary}}},
	}
	core, logs := observer.New(zap.DebugLevel)
	log := zap.New(core)
	log.Info("x", zap.Any("any", c), zap.Reflect("r", c.Trunks), zap.Any("s", c.Secrets["a"]), zap.Stringer("st", c.Secrets["a"].Value))
	var out strings.Builder
	for _, v := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&out, v+v, c, c.Secrets["a"])
	}
	for _, enc := range []func(any) ([]byte, error){json.Marshal, yaml.Marshal} {
		b, err := enc(c.Trunks)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(b)
	}
	for _, e := range logs.All() {
		b, err := json.Marshal(e.ContextMap())
		if err != nil {
			t.Fatal(err)
		}
		out.Write(b)
	}
	if strings.Contains(out.String(), canary) || strings.Contains(out.String(), fmt.Sprintf("%x", canary)) {
		t.Errorf("a secret printed: %s", out.String())
	}
	if c.Secrets["a"].Value.Reveal() != canary {
		t.Error("the value itself is lost")
	}
}

// A secret may say where it goes.
func TestASecretHasItsHosts(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`key: abc`: "abc true []",
		`key: {value: abc, hosts: [crm.example.com, "*.example.org"]}`: "abc true [crm.example.com *.example.org]",
		`key: {value: abc}`:                          "abc true []",
		`key: {value: abc, host: [crm.example.com]}`: "unknown field",
		`key: {value: abc, hosts: ["https://x.y"]}`:  "is no host",
		`key: {hosts: [crm.example.com]}`:            "[1:16] a secret without a value: write {value: ..., hosts: [...]}",
		`key: {}`:                                    "a secret without a value",
		`key: {value: "", hosts: [crm.example.com]}`: " true [crm.example.com]",
	} {
		var c Config
		err := yaml.Unmarshal([]byte("secrets: {"+text+"}"), &c)
		v, ok := c.Secret("key")
		got := fmt.Sprint(v, " ", ok, " ", c.SecretHosts("key"))
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, want) {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

func TestAnAgentsFaultsHaveTheirPlaces(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, text, want string }{
		{"a flow that goes nowhere", "name: a\nflow:\n  nodes:\n    - node_key: x\n      is_initial: true\n      on_error: y\n", `agents/a.yaml:6:17: no node "y"; name one of: x`},
		{"a node that no way leads to", "name: a\nflow:\n  nodes:\n    - {node_key: x, is_initial: true}\n    - {node_key: y}\n", `agents/a.yaml:5:8: no way leads to the node "y"`},
		{"a tool of a node", "name: a\nflow: {nodes: [{node_key: x, is_initial: true, tool_ids: [lok]}]}\n", `no tool "lok"`},
		{"an action of a node", "name: a\nflow: {nodes: [{node_key: x, is_initial: true, pre_actions: [{type: tool_call, tool_id: lok}]}]}\n", `no tool "lok"`},
		{"an unknown key of a node", "name: a\nflow: {nodes: [{node_key: x, is_initial: true, slow_imput: true}]}\n", `unknown key "slow_imput" in flow.nodes[0]; did you mean "slow_input"?`},
		{"unknown key", "name: a\ngreting: hi\n", `agents/a.yaml:2:1: unknown key "greting"; did you mean "greeting"?`},
		{"two greetings", "name: a\ngreeting: x\nfirst_message: y\n", `a.yaml:3:16: greeting and first_message differ`},
		{"no name", "prompt: x\n", `the agent has no name`},
		{"temperature", "name: a\nllm_config: {temperature: 3}\n", `a.yaml:2:27: the temperature is 3; use 0 to 2`},
		{"too long a call", "name: a\nmax_call_duration: 3h\n", `a.yaml:2:20: a call may last 3h0m0s; use at most 2h`},
		{"a bad duration", "name: a\nmax_call_duration: soon\n", `a.yaml:2:20: `},
		{"a turn constant", "name: a\nturn: {wait_normall: 1s}\n", `unknown key "wait_normall" in turn; did you mean "wait_normal"?`},
		{"a provider", "name: a\ntts: g\n", `a.yaml:2:6: no tts provider "g"; did you mean "f"?`},
		{"a shared tool", "name: a\ntool_ids: [lookup]\n", `a.yaml:2:12: no tool "lookup"; did you mean "look_up"?`},
		{"a pre-call tool", "name: a\npre_call_tool_ids: [x]\n", `a.yaml:2:21: no tool "x"`},
		{"language", "name: a\nlanguage: english please\n", `"english please" is no language tag`},
		{"a built-in sound", "name: a\nambience: {sound: siren}\n", `a.yaml:2:19: there is no built-in sound "siren"; write one of music`},
		{"a sound's file", "name: a\nhold_sound: {file: m.wav}\n", `a.yaml:2:20: engine: sound: open `},
		{"a file that is no sound", "name: a\nambience: {file: a.yaml}\n", `agents/a.yaml: record: not a WAV file`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			path := write(t, "c.yaml", speech, "agents/a.yaml", tc.text, "tools/t.yaml",
				"- {name: look_up, description: Looks up., tool_type: http_request, config: {url: \"https://a.example/\", method: GET}}\n")
			_, _, err := Load(path)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got  %v\nwant %s", err, tc.want)
			}
		})
	}
}

func TestASeedsAgentIsBroughtToOneShape(t *testing.T) {
	t.Parallel()
	path := write(t, "c.yaml", speech+"default_agent: a\n", "agents/a.yaml", `
name: a
first_message: Hallo
llm_config:
  provider: r
  messages:
    - {role: system, content: "Je bent een medewerker."}
`)
	c, _, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	a := c.Agents[0]
	if a.Greeting != "Hallo" || a.Prompt != "Je bent een medewerker." || a.Language != "en" || a.ID != "a" || len(a.LLM.Messages) != 0 {
		t.Errorf("%+v", a)
	}
	if time.Duration(a.MaxCallDuration) != 15*time.Minute {
		t.Errorf("max_call_duration %s", time.Duration(a.MaxCallDuration))
	}
}

func TestTwoAgentsOfOneName(t *testing.T) {
	t.Parallel()
	_, _, err := Load(write(t, "c.yaml", speech, "agents/a.yaml", "name: x\n", "agents/b.yaml", "name: x\n"))
	if err == nil || !strings.Contains(err.Error(), `a second agent "x"`) {
		t.Errorf("%v", err)
	}
}

func TestExportWritesFilesThatLoad(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := Export(dir); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Load(filepath.Join(dir, "patchcord.yaml")); err != nil {
		t.Fatal(err)
	}
}

func FuzzConfig(f *testing.F) {
	f.Add(Default())
	f.Add([]byte("a: &x [*x, ${Y:-z}]\n<<: {b: 1}\n"))
	f.Add([]byte("llm: {default: a, a: {type: openai, fallback: [b]}}\ntrunks: [{name: 0x1}]"))
	f.Fuzz(func(t *testing.T, text []byte) {
		l := loader{fs: memory{"c.yaml": text}, env: func(string) (string, bool) { return "v", true }}
		c, _, err := l.load("c.yaml", "/nonexistent")
		if (c == nil) == (err == nil) {
			t.Fatalf("config %v, error %v", c, err)
		}
		for _, fault := range Faults(err) {
			if fault.File == "" || fault.What == "" {
				t.Errorf("a fault without its place: %#v", fault)
			}
		}
		_ = Kind(text)
	})
}

type memory map[string][]byte

func (m memory) ReadFile(name string) ([]byte, error) {
	b, ok := m[name]
	if !ok {
		return nil, os.ErrNotExist
	}
	return b, nil
}

// The examples are as good as they look.
func TestExamplesAreValid(t *testing.T) {
	files, err := filepath.Glob("examples/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		if _, warnings, err := LoadAgent(f, nil); err != nil || len(warnings) > 0 {
			t.Errorf("%s: %v, %v", f, err, warnings)
		}
	}
}

// The reference has every key of an agent, and in turn: the value that holds
// without it.
func TestTheReferenceHasEveryKeyOfAnAgent(t *testing.T) {
	const file = "examples/reference.yaml"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var walk func(reflect.Type)
	walk = func(typ reflect.Type) {
		for name, ft := range fieldsOf(typ) {
			if !regexp.MustCompile(`\b` + name + `:`).Match(text) {
				t.Errorf("%s of %s is not in %s", name, typ, file)
			}
			for ft.Kind() == reflect.Pointer || ft.Kind() == reflect.Slice {
				ft = ft.Elem()
			}
			if ft.Kind() == reflect.Struct && ft.Name() != "Definition" && ft.Name() != "Message" && ft.Name() != "Node" {
				walk(ft)
			}
		}
	}
	walk(reflect.TypeFor[agent.Agent]())
	a, _, err := LoadAgent(file, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := a.Turn.WithDefaults(), (turn.Policy{}).WithDefaults(); !reflect.DeepEqual(got, want) {
		t.Errorf("the reference has %+v, the defaults are %+v", got, want)
	}
}
