package agent

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/patchcord/patchcord/llm"
)

// The bounds of a call's length.
const (
	DefaultMaxCallDuration = Duration(15 * time.Minute)
	LongestCallDuration    = Duration(2 * time.Hour)
)

// Problem is one thing wrong with an agent. Path is where it stands, as keys
// of its file: "llm_config.temperature".
type Problem struct {
	Path string
	What string
	Do   string // what to do about it, "" where What says it all
}

func (p Problem) Error() string {
	s := p.What
	if p.Path != "" {
		s = p.Path + ": " + s
	}
	if p.Do != "" {
		s += "; " + p.Do
	}
	return s
}

// Normalize brings the shapes in which an agent may be written to one:
// first_message becomes the greeting, system messages of llm_config the
// prompt, its tools the agent's, and what is not set gets its default.
func (a *Agent) Normalize() {
	if a.ID == "" {
		a.ID = ID(a.Name)
	}
	if a.Greeting == "" {
		a.Greeting = a.FirstMessage
	}
	a.FirstMessage = ""
	var system []string
	var rest []llm.Message
	for _, m := range a.LLM.Messages {
		if m.Role == llm.System {
			system = append(system, m.Content)
		} else {
			rest = append(rest, m)
		}
	}
	if a.Prompt == "" {
		a.Prompt, a.LLM.Messages = strings.Join(system, "\n\n"), rest
	}
	a.Tools = append(a.Tools, a.LLM.Tools...)
	a.LLM.Tools = nil
	if a.Language == "" {
		a.Language = "en"
	}
	if a.MaxCallDuration == 0 {
		a.MaxCallDuration = DefaultMaxCallDuration
	}
}

// Validate is nil for an agent that can answer calls, else every problem it
// has, joined. What the outside must know (providers, tools) is checked there.
func (a *Agent) Validate() error {
	var errs []error
	for _, p := range a.Problems() {
		errs = append(errs, p)
	}
	return errors.Join(errs...)
}

// bcp47 is the form of a language tag, not the list of languages.
var bcp47 = regexp.MustCompile(`^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$`)

// Problems lists what Validate joins.
func (a *Agent) Problems() []Problem {
	var out []Problem
	add := func(path, what, do string) { out = append(out, Problem{path, what, do}) }
	if a.Name == "" {
		add("name", "the agent has no name", "write name: support")
	}
	if len(a.Name) > 255 {
		add("name", fmt.Sprintf("the name has %d bytes", len(a.Name)), "use at most 255")
	}
	if a.Greeting != "" && a.FirstMessage != "" && a.Greeting != a.FirstMessage {
		add("first_message", "greeting and first_message differ, and they are the same thing", "keep one of them")
	}
	if a.Language != "" && !bcp47.MatchString(a.Language) {
		add("language", fmt.Sprintf("%q is no language tag", a.Language), "write one such as en, en-GB or fr")
	}
	out = append(out, a.languageProblems()...)
	if c := a.LLM.Summary; a.LLM.ContextTokens < 0 ||
		c != nil && (c.AfterTokens < 0 || c.KeepTurns < 0 || c.MaxTokens < 0 || c.Timeout < 0) {
		add("llm_config", "a bound of the context is negative", "use 0 for the default, or more")
	}
	for i, p := range a.Pronunciations {
		at := fmt.Sprintf("pronunciations[%d]", i)
		if strings.TrimSpace(p.Word) == "" || strings.TrimSpace(p.Say) == "" {
			add(at, "a word or what is said for it is missing", "write {word: nginx, say: engine x}")
		}
		if p.Language != "" && !bcp47.MatchString(p.Language) {
			add(at+".language", fmt.Sprintf("%q is no language tag", p.Language), "write one such as en, en-GB or fr")
		}
	}
	if t := a.LLM.Temperature; t != nil && !(*t >= 0 && *t <= 2) {
		add("llm_config.temperature", fmt.Sprintf("the temperature is %g", *t), "use 0 to 2")
	}
	if a.LLM.MaxTokens < 0 {
		add("llm_config.max_tokens", fmt.Sprintf("max_tokens is %d", a.LLM.MaxTokens), "use 1 or more, or leave it out")
	}
	for i, m := range a.LLM.Messages {
		switch m.Role {
		case llm.System, llm.User, llm.Assistant:
		default:
			add(fmt.Sprintf("llm_config.messages[%d].role", i), fmt.Sprintf("%q is no role", m.Role),
				"write system, user or assistant")
		}
	}
	if a.MaxCallDuration > LongestCallDuration {
		add("max_call_duration", fmt.Sprintf("a call may last %s", time.Duration(a.MaxCallDuration)), "use at most 2h")
	}
	if a.WebhookURL != "" {
		if u, err := url.Parse(a.WebhookURL); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
			add("webhook_url", fmt.Sprintf("%q is no URL", a.WebhookURL), "write one such as https://crm.example.com/hook")
		}
	}
	if d := a.AnalysisPlan.StructuredData; d.Enabled {
		if _, err := d.Schema.Check([]byte("{}")); err != nil || len(d.Schema) == 0 {
			add("analysis_plan.structured_data_plan.schema", "there is no JSON Schema of an object",
				"write {properties: {topic: {type: string}}, required: [topic]}")
		}
	}
	if a.Turn.MinWords < 0 || a.Turn.MaxToolSteps < 0 || a.Turn.SilencePrompts < 0 {
		add("turn", "a count is negative", "use 0 for the default, or more")
	}
	out = append(out, a.Ambience.problems("ambience")...)
	out = append(out, a.HoldSound.problems("hold_sound")...)
	if t := a.Turn.Keys.Terminator; t != "" && t != "none" && (len(t) != 1 || !strings.Contains("0123456789*#ABCD", t)) {
		add("turn.keys.terminator", fmt.Sprintf("%q is no key", t), "write \"#\", \"*\" or none")
	}
	if k := a.Turn.Keys; k.Max < 0 || k.Reprompts < 0 || k.First < 0 || k.Gap < 0 {
		add("turn.keys", "a count or a time is negative", "use 0 for the default, or more")
	}
	return append(append(out, a.toolProblems()...), a.flowProblems()...)
}

// NoSound is the name of no sound at all.
const NoSound = "none"

// soundNames are the built-in sounds, and none of them.
var soundNames = []string{"music", "comfort", "office", NoSound}

func (s Sound) problems(at string) []Problem {
	var out []Problem
	if s.Sound != "" && !slices.Contains(soundNames, s.Sound) {
		out = append(out, Problem{
			at + ".sound", fmt.Sprintf("there is no built-in sound %q", s.Sound),
			"write one of " + strings.Join(soundNames, ", ") + ", or file: with a WAV file",
		})
	}
	if s.Sound != "" && s.File != "" {
		out = append(out, Problem{at, "both sound and file are set", "keep one of them"})
	}
	if !(s.Gain >= -60 && s.Gain <= 20) {
		out = append(out, Problem{at + ".gain", fmt.Sprintf("the gain is %g dB", s.Gain), "use -60 to 20"})
	}
	return out
}

// mostLanguages is how many languages a call may change to: each is kept warm.
const mostLanguages = 8

func (a *Agent) languageProblems() []Problem {
	var out []Problem
	seen := map[string]bool{strings.ToLower(a.Language): true}
	for i, t := range a.Languages {
		at := fmt.Sprintf("languages[%d].language", i)
		switch {
		case !bcp47.MatchString(t.Language):
			out = append(out, Problem{at, fmt.Sprintf("%q is no language tag", t.Language), "write one such as en, en-GB or fr"})
		case seen[strings.ToLower(t.Language)]:
			out = append(out, Problem{at, fmt.Sprintf("%s is there already", t.Language), "name each language once"})
		}
		seen[strings.ToLower(t.Language)] = true
	}
	if len(a.Languages) > mostLanguages {
		out = append(out, Problem{"languages", fmt.Sprintf("%d languages", len(a.Languages)), "use at most 8"})
	}
	return out
}

func (a *Agent) toolProblems() []Problem {
	var out []Problem
	seen := map[string]string{}
	look := func(at, name string) {
		if name == "" {
			return
		}
		if first, twice := seen[name]; twice {
			out = append(out, Problem{at, fmt.Sprintf("a second tool %q (the first is %s)", name, first), "rename one"})
			return
		}
		seen[name] = at
	}
	for i, t := range a.Tools {
		look(fmt.Sprintf("tools[%d]", i), t.Name)
	}
	for i, t := range a.LLM.Tools {
		look(fmt.Sprintf("llm_config.tools[%d]", i), t.Name)
	}
	return out
}
