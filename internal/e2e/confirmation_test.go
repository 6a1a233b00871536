//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/patchcord/patchcord/internal/testkit/scenario"
)

// What the two recognisers of the confirmation know. Both could hear more than is
// said: other names, any spelling, any number. The caller spells by words (juliet,
// oscar): pocketsphinx takes the letters' own names for one another, and makes of
// "j o h n dot d o e" "j o h m dot d o b" over a telephone, "j o h n dot j o v"
// over G.722. The call is in G.722 for the other ear: some short answers of the
// agent's it does not hear in the band of a telephone. "the" is not among the
// words, it was heard behind "delta".
const (
	callersWords = `please register me
my name is john doe
my name is frank low
my name is mark doe
<codewords> dot <codewords> at example dot com
<codewords> at example dot com
<digits>
yes
yes that is right
no
no that is wrong
i want to know your prices
please send my link
no thank you
`
	agentsWords = `your address is john dot doe at example dot com
your address is frank dot low at example dot com
your address is john dot low at example dot com is that right
your address is frank dot doe at example dot com is that right
your address is john dot doe at example dot com is that right
the number is <digits>
the number is <digits> is that right
is that right
`
)

// form is a tool of a scenario's engine: section.
type form struct {
	Name   string        `yaml:"name"`
	Takes  time.Duration `yaml:"takes"`
	Result string        `yaml:"result"` // JSON
	Args   string        `yaml:"args"`   // JSON
	Speech struct {
		Bridging string `yaml:"bridging_sentence"`
		Success  string `yaml:"success"`
	} `yaml:"speech"`
}

// TestConfirmationOverSIP: name, e-mail address and telephone number are said,
// read back, corrected and confirmed by people's means alone, a voice and an ear
// at each end; the CRM is asked with what was confirmed and with nothing else,
// and in the order that the gates give (C-12, C-18, C-19, C-22, T-13). It is the
// call of testdata/scenarios/confirmation.yaml, which the engine's tests play on
// virtual time; here each tool is an HTTP request.
func TestConfirmationOverSIP(t *testing.T) {
	t.Parallel()
	needsSpeech(t)
	path, err := filepath.Abs("../../testdata/scenarios/confirmation.yaml")
	if err != nil {
		t.Fatal(err)
	}
	s, err := scenario.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	var far struct {
		Agent map[string]any   `yaml:"agent"`
		Tools []map[string]any `yaml:"tools"`
		Rules string           `yaml:"rules"`
	}
	var crm crm
	for _, into := range []any{&far, &crm} {
		if err := yaml.NodeToValue(s.Engine, into); err != nil {
			t.Fatal(err)
		}
	}
	srv := httptest.NewServer(&crm)
	t.Cleanup(srv.Close)
	said := []string{fmt.Sprint(far.Agent["greeting"])}
	offered, _ := far.Agent["tools"].([]any)
	for i, f := range crm.Tools {
		offered = append(offered, f.request(t, far.Tools[i], srv.URL))
		said = append(said, f.Speech.Bridging, f.Speech.Success)
	}
	far.Agent["name"], far.Agent["tools"] = "support", offered
	agent, err := yaml.Marshal(far.Agent)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range sayLine.FindAllStringSubmatch(far.Rules, -1) {
		if !strings.Contains(m[1], "{{") { // else it is one of agentsWords
			said = append(said, m[1])
		}
	}
	dir := t.TempDir()
	write(t, filepath.Join(dir, "rules.yaml"), far.Rules)
	write(t, filepath.Join(dir, "said"), callersWords)
	write(t, filepath.Join(dir, "answers"), agentsWords+sentences(said)+whole(said))
	e := serve(t, `llm: {default: rules, rules: {type: rules, file: "`+dir+`/rules.yaml"}}
stt: {default: local, local: {type: pocketsphinx, phrases: "`+dir+`/said"}}
tts: {default: local, local: {type: flite, voice: slt}}
tools: {allow_insecure_hosts: ["127.0.0.1"], allow_cidrs: ["127.0.0.0/8"]}
default_agent: support
`, map[string]string{"support.yaml": string(agent)})
	p := start(t, s.Timeout+30*time.Second, t.TempDir(), command(t, "callprobe"), path, "--to", "sip:4930123456@"+e.sip,
		"--phrases", filepath.Join(dir, "answers"), "--voice", "rms", "--record", filepath.Join(e.dir, "call.wav"))
	code, err := p.wait()
	if err != nil {
		t.Fatal(err)
	}
	got := milestones(e.read(t))
	_, log := e.tally(t)
	if code != 0 {
		t.Errorf("callprobe: exit %d\n%s\n%s\n%s", code, tail(p.out.String(), 4000), strings.Join(got, "\n"), tail(log, 4000))
	}
	asked := []string{"lookup_contact: right", "create_lead: right", "send_portal_link: right"}
	if !slices.Equal(crm.got(), asked) {
		t.Errorf("the CRM was asked for %q, want %q", crm.got(), asked)
	}
	rest := []string{
		"tool.refused lookup_contact", // nothing is known yet
		"variable.set name false",
		"variable.set email false",
		"variable.set email true",
		"variable.set phone false",
		"variable.set phone false", // the number put right
		"variable.set phone true",
		"tool.started lookup_contact", "tool.finished lookup_contact ok",
		"tool.started create_lead", "tool.finished create_lead ok",
		"tool.refused send_portal_link", // before the end
		"tool.started send_portal_link", "tool.finished send_portal_link ok",
		"call.ended agent_done",
	}
	for _, m := range got { // an ear may mishear a value, which is then noted once more
		if len(rest) > 0 && m == rest[0] {
			rest = rest[1:]
		}
	}
	if len(rest) > 0 {
		t.Errorf("it came to\n%s\nwithout, in this order,\n%s", strings.Join(got, "\n"), strings.Join(rest, "\n"))
	}
	e.stop(t)
}

// whole is a recogniser's file of answers that are said in one breath.
func whole(texts []string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(".?!,", r) {
			return -1
		}
		return r
	}, strings.Join(texts, "\n")) + "\n"
}

// request makes the definition of the scripted tool that of one which asks an
// endpoint, with the variables that it is to be called with.
func (f *form) request(t *testing.T, definition map[string]any, url string) map[string]any {
	t.Helper()
	var body map[string]string
	if err := json.Unmarshal([]byte(f.Args), &body); err != nil {
		t.Fatal(err)
	}
	for name := range body {
		body[name] = "{{" + name + "}}"
	}
	for _, key := range []string{"takes", "result", "args"} {
		delete(definition, key)
	}
	definition["tool_type"] = "http_request"
	definition["description"] = "Call this when you know what it asks for."
	definition["config"] = map[string]any{"url": url + "/" + f.Name, "method": "POST", "body": body}
	return definition
}

// crm answers for all tools as the scenario says, and judges what it is asked.
type crm struct {
	Tools []form `yaml:"tools"`

	mu    sync.Mutex // guards asked
	asked []string
}

func (c *crm) got() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.asked)
}

func (c *crm) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	name := strings.TrimPrefix(r.URL.Path, "/")
	i := slices.IndexFunc(c.Tools, func(f form) bool { return f.Name == name })
	verdict := fmt.Sprintf("%s %s (%v)", r.Method, body, err)
	if i >= 0 && r.Method == http.MethodPost && string(body) == c.Tools[i].Args {
		verdict = "right"
	}
	c.mu.Lock()
	c.asked = append(c.asked, name+": "+verdict)
	c.mu.Unlock()
	if i < 0 {
		http.NotFound(w, r)
		return
	}
	select { // the caller hears the bridging sentence meanwhile
	case <-time.After(c.Tools[i].Takes):
	case <-r.Context().Done():
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprint(w, c.Tools[i].Result)
}

// milestones are the events of a call that say what was noted and what was done.
func milestones(all []event) (out []string) {
	for _, ev := range all {
		name, tool := ev.text("event"), ev.text("tool")
		switch {
		case name == "variable.set":
			out = append(out, fmt.Sprint(name, " ", ev.text("name"), " ", ev["confirmed"]))
		case name == "call.ended":
			out = append(out, name+" "+ev.text("end_reason"))
		case tool == "" || strings.HasPrefix(tool, "extract_") || tool == "end_call":
		case name == "tool.finished":
			out = append(out, name+" "+tool+" "+ev.text("status"))
		case name == "tool.started", name == "tool.refused":
			out = append(out, name+" "+tool)
		}
	}
	return out
}
