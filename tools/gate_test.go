package tools_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/patchcord/patchcord/tools"
)

const emailTool = `
tool_type: extract_variable
config: {variable_name: email, variable_type: email, prompt_text: "Quel est votre email ?",
  example_format: name@example.com, confirmation_enabled: true}
`

const phoneTool = `
tool_type: extract_variable
config: {variable_name: telephone, variable_type: phone, confirmation_enabled: true}
`

var day = time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)

// teller is a call as far as gates see it.
type teller struct {
	t     *testing.T
	set   *tools.Set
	told  tools.ReadBacks
	known tools.Known
	vars  map[string]any
	found map[string]any
	end   bool
}

func newTeller(t *testing.T, defs ...string) *teller {
	t.Helper()
	var ds []tools.Definition
	for _, d := range defs {
		ds = append(ds, define(t, d))
	}
	set, faults := tools.Build(ds, deps(t))
	if err := faults.Err(); err != nil {
		t.Fatal(err)
	}
	return &teller{t: t, set: set, known: tools.Known{}, vars: map[string]any{}, found: map[string]any{}}
}

func (x *teller) env() tools.Env { return tools.Env{Language: "fr", Region: "FR", Vars: x.vars} }

// note calls the tool of a variable.
func (x *teller) note(name, args string) string {
	x.t.Helper()
	tool, ok := x.set.Get(name)
	if !ok {
		x.t.Fatalf("no tool %s", name)
	}
	clean, refused, ok := tools.Arguments(tool, json.RawMessage(args))
	if !ok {
		return string(refused.JSON)
	}
	r, n := tool.(*tools.Extraction).Take(clean, &x.told, x.known, x.env(), day)
	if n != nil {
		x.known[n.Name], x.vars[n.Name] = *n, n.Value
	}
	return string(r.JSON)
}

// open asks the gates of a tool; "" when they are open.
func (x *teller) open(name, args string) (sent, refused string) {
	x.t.Helper()
	tool, ok := x.set.Get(name)
	if !ok {
		x.t.Fatalf("no tool %s", name)
	}
	g := tools.Gates{
		Env: x.env(), Results: x.found, Known: x.known, Closing: x.end, Told: &x.told, Now: day,
		Notes: func(v string) string {
			if n := x.set.Notes(v); n != nil {
				return n.Definition().Name
			}
			return ""
		},
	}
	clean, r, ok := g.Open(tool.Definition(), json.RawMessage(args))
	if ok { // judged when it is proposed, and when it begins
		if _, r, ok = g.Open(tool.Definition(), json.RawMessage(args)); !ok {
			x.t.Errorf("%s: open once only: %s", name, r.JSON)
		}
		g.Begun(tool.Definition())
		return string(clean), ""
	}
	return string(clean), string(r.JSON)
}

func (x *teller) hear(words string) { x.told.Heard(words, x.env().Written(day)) }
func (x *teller) say(words string)  { x.told.Said(words, "fr") }

// TestAVariableIsConfirmed_T13 is the loop of one variable: read back, heard,
// answered; a correction begins anew (C-12).
func TestAVariableIsConfirmed_T13(t *testing.T) {
	t.Parallel()
	const read = `"read_back":"laura point martin arobase exemple point com"`
	x := newTeller(t, emailTool)
	const tool = "extract_variable"
	said := `{"value":"laura point martin arobase exemple point com","confirmed":false}`
	if got, want := x.note(tool, said), `{"value":"laura.martin@exemple.com","confirmed":false,`+read+`}`; got != want {
		t.Fatalf("noted: got %s, want %s", got, want)
	}
	for _, step := range []struct {
		name, hear, say string
		confirmed       bool
	}{
		{"nothing was read back", "", "", false},
		{"the caller speaks before it was", "", "oui", false},
		{"only half of it was heard", "Alors, laura point martin…", "oui", false},
		{"it was heard, and nobody answered", "arobase exemple point com. Est-ce correct ?", "", false},
		{"the caller says no", "", "non, ce n'est pas ça", false},
		{"what was denied is not confirmed by asking again", "", "", false},
		{"it is read once more and the caller agrees", "Alors laura point martin arobase exemple point com ?", "oui", true},
		{"told twice", "", "", true},
	} {
		x.hear(step.hear)
		if step.say != "" {
			x.say(step.say)
		}
		got := x.note(tool, strings.Replace(said, "false", "true", 1))
		if is := strings.Contains(got, `"confirmed":true`); is != step.confirmed || x.known["email"].Confirmed != step.confirmed {
			t.Fatalf("%s: got %s", step.name, got)
		}
	}
	if got := x.note(tool, `{"value":"lauras.martin@exemple.com","confirmed":true}`); !strings.Contains(got, `"confirmed":false`) ||
		x.known["email"].Confirmed || x.vars["email"] != "lauras.martin@exemple.com" {
		t.Fatalf("a changed value: got %s", got)
	}
	if got := x.note(tool, `{"value":"laura martin"}`); !strings.Contains(got, `"error":"invalid_value"`) ||
		x.vars["email"] != "lauras.martin@exemple.com" {
		t.Fatalf("no address: got %s", got)
	}
}

func TestExtractVariableIsOffered_T13(t *testing.T) {
	t.Parallel()
	x := newTeller(t, emailTool, phoneTool, `{name: when, tool_type: extract_variable, config: {variable_name: day, variable_type: date}}`)
	var names []string
	for _, o := range x.set.Offered() {
		names = append(names, o.Name)
	}
	if got := strings.Join(names, " "); got != "extract_email extract_telephone when" {
		t.Errorf("several are offered as %s", got)
	}
	o := x.set.Offered()[0]
	for _, want := range []string{"Quel est votre email ?", "confirmed true only after"} {
		if !strings.Contains(o.Description, want) {
			t.Errorf("the description lacks %q: %s", want, o.Description)
		}
	}
	if !strings.Contains(string(o.Parameters), "name@example.com") || !strings.Contains(string(o.Parameters), `"confirmed"`) {
		t.Errorf("arguments: %s", o.Parameters)
	}
	if got := x.note("when", `{"value":"demain"}`); got != `{"value":"2026-03-11","confirmed":false}` {
		t.Errorf("a date without confirmation: %s", got)
	}
	for text, want := range map[string]string{
		`{tool_type: extract_variable, config: {variable_type: email}}`:                                          "config.variable_name",
		`{tool_type: extract_variable, config: {variable_name: caller_phone}}`:                                   "config.variable_name",
		`{tool_type: extract_variable, config: {variable_name: "a b"}}`:                                          "config.variable_name",
		`{tool_type: extract_variable, config: {variable_name: a, variable_type: emial}}`:                        `did you mean "email"?`,
		`{tool_type: extract_variable, config: {variable_name: a, region: France}}`:                              "config.region",
		`{tool_type: extract_variable, config: {variable_name: a}, parameters: {properties: {}, required: [x]}}`: "parameters",
	} {
		_, faults := tools.Build([]tools.Definition{define(t, text)}, deps(t))
		if err := faults.Err(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", text, err, want)
		}
	}
}

const lookup = `
name: lookup
description: Looks the contact up once email and phone are confirmed.
tool_type: http_request
requires: [email!, telephone!]
config: {url: "https://crm.example.com/x", method: POST}
`

// TestNothingRunsUnconfirmed_C12: with the arguments that the caller confirmed
// or not at all.
func TestNothingRunsUnconfirmed_C12(t *testing.T) {
	t.Parallel()
	x := newTeller(t, emailTool, phoneTool, lookup)
	const args = `{"email":"laura.martin@exemple.com","telephone":"06 65 12 34 56","motif":"offres"}`
	refused := func(want ...string) {
		t.Helper()
		_, r := x.open("lookup", args)
		for _, w := range want {
			if !strings.Contains(r, w) {
				t.Errorf("got %s, want %s", r, w)
			}
		}
	}
	refused(`"missing":["email","telephone"]`, "extract_email", "extract_telephone")
	x.note("extract_email", `{"value":"laura.martin@exemple.com"}`)
	x.note("extract_telephone", `{"value":"six six cinq, un deux trois, quatre cinq six"}`)
	refused(`"unconfirmed":["email","telephone"]`, "read email back")
	x.hear("J'ai compris laura point martin arobase exemple point com, et le 665 123 456. Est-ce correct ?")
	x.say("Oui.")
	x.note("extract_email", `{"value":"laura.martin@exemple.com","confirmed":true}`)
	refused(`"unconfirmed":["telephone"]`)
	x.note("extract_telephone", `{"value":"665123456","confirmed":true}`)
	sent, r := x.open("lookup", args)
	if want := `{"email":"laura.martin@exemple.com","telephone":"+33665123456","motif":"offres"}`; r != "" || sent != want {
		t.Errorf("sent %s, want %s (%s)", sent, want, r)
	}
	if _, r := x.open("lookup", `{"email":"lara.martin@exemple.com"}`); !strings.Contains(r, "not_the_confirmed_value") {
		t.Errorf("another address: %s", r)
	}
	x.note("extract_email", `{"value":"lara.martin@exemple.com"}`) // a correction shuts the gate
	refused(`"unconfirmed":["email"]`)
}

// TestToolsWaitForResultsAndPhases: C-18, C-19.
func TestToolsWaitForResultsAndPhases(t *testing.T) {
	t.Parallel()
	x := newTeller(t, `{name: create, description: d, tool_type: http_request, when: "results['look-up'].found == false",
		config: {url: "https://crm.example.com/x", method: POST}}`,
		`{name: link_a, description: d, tool_type: http_request, phase: during, config: {url: "https://crm.example.com/a", method: POST}}`,
		`{name: link_b, description: d, tool_type: http_request, phase: closing, config: {url: "https://crm.example.com/b", method: POST}}`)
	refused := func(name, want string) {
		t.Helper()
		if _, r := x.open(name, `{}`); want == "" && r != "" || !strings.Contains(r, want) {
			t.Errorf("%s: got %q, want %q", name, r, want)
		}
	}
	refused("create", "call look-up first") // C-18
	x.found["look-up"] = map[string]any{"found": true}
	refused("create", "condition_not_met")
	x.found["look-up"] = map[string]any{"found": false}
	refused("create", "")
	refused("link_a", "") // C-19
	refused("link_b", "anything else")
	x.end = true
	refused("link_a", "not_in_phase")
	refused("link_b", "")
}

// TestConfirmWantsAYes: a tool marked so runs only with arguments that the
// caller heard and agreed to (SEC-9).
func TestConfirmWantsAYes(t *testing.T) {
	t.Parallel()
	x := newTeller(t, `{name: cancel, description: d, tool_type: http_request, confirm: true,
		config: {url: "https://crm.example.com/x", method: DELETE}}`)
	const args = `{"order":"AB-123","day":"2026-03-21","persons":4}`
	for _, step := range []struct {
		name, hear, say string
		runs            bool
	}{
		{"at once", "", "", false},
		{"the caller speaks of something else", "", "oui", false},
		{"not all was told", "J'annule la commande a b un deux trois, d'accord ?", "oui", false},
		{"all was told, no yes", "C'est pour le vingt et un mars, quatre personnes.", "attendez", false},
		{"after a no it is told again", "", "oui", false},
		{"neither yes nor no", "Donc a b un deux trois, le vingt et un mars, quatre personnes ?", "ma femme arrive", false},
		{"yes", "", "oui, allez-y", true},
		{"once only", "", "", false},
	} {
		x.hear(step.hear)
		if step.say != "" {
			x.say(step.say)
		}
		if _, r := x.open("cancel", args); (r == "") != step.runs {
			t.Fatalf("%s: %s", step.name, r)
		}
	}
	x.hear("a b un deux trois, vingt et un mars, quatre")
	x.say("oui")
	if _, r := x.open("cancel", `{"order":"AB-124","day":"2026-03-21","persons":4}`); !strings.Contains(r, `"confirm_first"`) {
		t.Errorf("other arguments: %s", r)
	}
}

func TestARefusalIsNoCall(t *testing.T) {
	t.Parallel()
	d := define(t, `{name: create, description: d, tool_type: http_request, max_calls: 1, dedupe: {scope: call},
		config: {url: "https://crm.example.com/x", method: POST}}`)
	set, _ := tools.Build([]tools.Definition{d}, deps(t))
	tool, _ := set.Get("create")
	var g tools.Guard
	c := tools.Call{Args: json.RawMessage(`{}`)}
	if _, ok := g.Allow(tool.Definition(), c, 0); !ok {
		t.Fatal("the first call is refused")
	}
	g.Done(tool.Definition(), c, tools.Refused)
	if r, ok := g.Allow(tool.Definition(), c, time.Second); !ok {
		t.Errorf("after a gate was shut: %s", r.JSON)
	}
}

func TestAGateThatNothingOpensIsTold(t *testing.T) {
	t.Parallel()
	_, faults := tools.Build([]tools.Definition{define(t, lookup), define(t, emailTool)}, deps(t))
	if w := faults.Warnings(); faults.Err() != nil || len(w) != 1 || !strings.Contains(w[0].Error(), "telephone") {
		t.Errorf("got %v", faults)
	}
	_, faults = tools.Build([]tools.Definition{define(t, strings.Replace(lookup, "email!", "e mail!", 1))}, deps(t))
	if faults.Err() == nil {
		t.Error("a variable with a space is taken")
	}
}
