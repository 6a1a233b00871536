package scenario

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

const full = `# a comment
name: order status
from: "+4930123456"
voice: rms
codec: G722
phrases: demo.phrases
timeout: 90s
steps:
  - wait_for: {words: [welcome, "how can i"], within: 10s}
  - wait_quiet
  - wait_quiet: 1s
  - wait_quiet: {for: 600ms, within: 20s}
  - say: where is my order
  - say: {text: "hello", voice: slt}
  - play: sounds/a.wav
  - wait: 1.5s
  - barge_in: {after: 1.2s, say: "stop", stops_within: 500ms}
  - press: 12#
  - press: 0123
  - expect_words: order
  - expect_words: [order, "monday|tuesday"]
  - expect_words:
      words: [shipped]
      not: [sorry]
      within: 5s
  - expect_silence: {for: 300ms, within: 2s}
  - expect_hangup: {within: 10s}
heard: {words: [welcome, order], share: 0.8}
`

func TestParse(t *testing.T) {
	t.Parallel()
	s, err := Parse("calls/x.yaml", []byte(full))
	if err != nil {
		t.Fatal(err)
	}
	const sec, ms = time.Second, time.Millisecond
	want := &Scenario{
		File: "calls/x.yaml", Name: "order status", From: "+4930123456", Voice: "rms", Codec: "G722",
		Phrases: "calls/demo.phrases", Timeout: 90 * sec, Heard: KeyWords{[]string{"welcome", "order"}, 0.8},
		Steps: []Step{
			{Verb: WaitFor, Line: 9, Words: []string{"welcome", "how can i"}, Within: 10 * sec},
			{Verb: WaitQuiet, Line: 10, For: DefaultQuiet, Within: DefaultWithin},
			{Verb: WaitQuiet, Line: 11, For: sec, Within: DefaultWithin},
			{Verb: WaitQuiet, Line: 12, For: 600 * ms, Within: 20 * sec},
			{Verb: Say, Line: 13, Text: "where is my order"},
			{Verb: Say, Line: 14, Text: "hello", Voice: "slt"},
			{Verb: Play, Line: 15, File: "calls/sounds/a.wav"},
			{Verb: Wait, Line: 16, For: 1500 * ms},
			{Verb: BargeIn, Line: 17, After: 1200 * ms, Text: "stop", StopsWithin: 500 * ms, Within: DefaultWithin},
			{Verb: Press, Line: 18, Digits: "12#"},
			{Verb: Press, Line: 19, Digits: "0123"},
			{Verb: ExpectWords, Line: 20, Words: []string{"order"}, Within: DefaultWithin, For: DefaultQuiet},
			{Verb: ExpectWords, Line: 21, Words: []string{"order", "monday|tuesday"}, Within: DefaultWithin, For: DefaultQuiet},
			{Verb: ExpectWords, Line: 22, Words: []string{"shipped"}, Not: []string{"sorry"}, Within: 5 * sec, For: DefaultQuiet},
			{Verb: ExpectSilence, Line: 26, For: 300 * ms, Within: 2 * sec},
			{Verb: ExpectHangup, Line: 27, Within: 10 * sec},
		},
	}
	for i := range s.Steps {
		if s.Steps[i].Col != 5 {
			t.Errorf("%s is in column %d", s.Steps[i], s.Steps[i].Col)
		}
		s.Steps[i].Col = 0
		if i < len(want.Steps) && !reflect.DeepEqual(s.Steps[i], want.Steps[i]) {
			t.Errorf("step %d is %+v, want %+v", i, s.Steps[i], want.Steps[i])
		}
	}
	s.Steps, want.Steps = nil, nil
	if !reflect.DeepEqual(s, want) {
		t.Errorf("got %+v\nwant %+v", s, want)
	}
}

func TestParseTellsEveryFaultWithItsPlace(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, text, want string }{
		{"nothing", "", "x.yaml: empty; a scenario needs steps"},
		{"comments only", "# nothing\n", "x.yaml: empty"},
		{"no steps", "name: x\n", "x.yaml:1:1: a scenario needs steps"},
		{"not YAML", "steps: [\n", "x.yaml:1:"},
		{"a list", "- say: x\n", "x.yaml:1:1: want keys and values (codec, engine, expect, from, heard, name, phrases, steps, timeout, voice)"},
		{"two documents", "steps: [hangup]\n---\nsteps: [hangup]\n", "x.yaml:3:1: a second YAML document"},
		{"an unknown key", "stops: []\nsteps: [hangup]\n", `x.yaml:1:1: no key "stops"; the keys are codec, engine, expect, from,`},
		{"a key twice", "steps: [hangup]\nsteps: [hangup]\n", "x.yaml:2:1: "},
		{"an unknown verb", "steps:\n  - sing: la\n", `x.yaml:2:5: no verb "sing"; the verbs are say, play, wait,`},
		{"a verb by another name", "steps:\n  - bye\n", `x.yaml:2:5: no verb "bye"; write hangup`},
		{"a loss that is none", "steps:\n  - loss: 5\n", `x.yaml:2:11: "5" is no share of packets; write 5%, or off`},
		{"a noise above the voice", "steps:\n  - noise: {db: 3}\n", `x.yaml:2:17: "3" is no number from -60 to 0`},
		{"a count that is none", "steps: [wait: 1s]\nexpect: {answers: few}\n", `x.yaml:2:19: "few" is no count`},
		{"tools without counts", "steps: [wait: 1s]\nexpect: {tools: [a]}\n", "x.yaml:2:17: want tools and how often each was run"},
		{"two verbs in a step", "steps:\n  - say: x\n    wait: 1s\n", "x.yaml:2:5: a step has one verb, this one has 2"},
		{"a list as a step", "steps:\n  - [say]\n", "x.yaml:2:5: a step is one verb"},
		{"steps that are no list", "steps: hangup\n", "x.yaml:1:8: steps is a list"},
		{"no value", "steps:\n  - say:\n", "x.yaml:2:5: say needs a value"},
		{"an empty text", "steps:\n  - say: \" \"\n", "x.yaml:2:10: say needs a text"},
		{"a text that is a list", "steps:\n  - say: {text: [a]}\n", "x.yaml:2:17: want a text"},
		{"no duration", "steps:\n  - wait: 2\n", `x.yaml:2:11: "2" is no duration; write 2s`},
		{"a negative duration", "steps:\n  - wait: -2s\n", "x.yaml:2:11: \"-2s\" is no duration"},
		{"keys that are none", "steps:\n  - press: 12x\n", "x.yaml:2:12: press takes keys"},
		{"no words", "steps:\n  - wait_for: {within: 1s}\n", "wait_for needs words"},
		{"words that are none", "steps:\n  - wait_for: [\"...\"]\n", "x.yaml:2:16: want words"},
		{"not in wait_for", "steps:\n  - wait_for: {words: a, not: b}\n", `x.yaml:2:26: no key "not"`},
		{"a silence longer than its wait", "steps:\n  - expect_silence: {for: 2s, within: 1s}\n", "within 1s is shorter"},
		{"a barge-in without words", "steps:\n  - barge_in: {after: 1s}\n", "barge_in needs say or play"},
		{"a barge-in with both", "steps:\n  - barge_in: {say: a, play: b}\n", "barge_in needs say or play"},
		{"a step after the end", "steps:\n  - hangup\n  - wait: 1s\n", "x.yaml:3:5: no step can follow hangup"},
		{"a share over 1", "steps: [hangup]\nheard: {words: [a], share: 80}\n", "x.yaml:2:28: share is"},
		{"a share of no words", "steps: [hangup]\nheard: {share: 0.8}\n", "heard needs words"},
		{"no time", "steps: [hangup]\ntimeout: 0s\n", "timeout must be longer"},
		{"two faults", "naem: x\nsteps:\n  - wait: x\n", "x.yaml:3:11"},
		{"an alias of nothing", "steps: *x\n", "x.yaml:1:8"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, err := Parse("x.yaml", []byte(tt.text))
			var f *Fault
			if !errors.As(err, &f) || s != nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
	_, err := Parse("x.yaml", []byte("naem: x\nsteps:\n  - wait: x\n  - sing\n"))
	if got := strings.Count(err.Error(), "\n") + 1; got != 3 {
		t.Errorf("%d faults told: %v", got, err)
	}
}

func TestLoad(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s.yaml")
	if err := os.WriteFile(path, []byte("steps:\n  - play: a.wav\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := Load(path)
	if err != nil || s.Steps[0].File != filepath.Join(filepath.Dir(path), "a.wav") {
		t.Errorf("%+v, %v", s, err)
	}
	if _, err := Load(path + "x"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

// The scenarios of the tree are read by the tests, so that none of them rots.
func TestScenariosOfTheTree(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../../testdata/scenarios/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, f := range files {
		if _, err := Load(f); err != nil {
			t.Error(err)
		}
	}
}

func TestWords(t *testing.T) {
	t.Parallel()
	e := ear{}
	now := time.Now()
	e.hear(Heard{Text: "Hello!", Start: now})
	e.hear(Heard{Text: "Hello, it's the shop.", Start: now, Final: true})
	e.hear(Heard{Text: "Your order ships", Start: now.Add(time.Second)})
	if got := join(e.all()); got != "hello its the shop your order ships" {
		t.Error(got)
	}
	for _, tt := range []struct {
		expected string
		end      int
	}{
		{"it's", 2}, {"The Shop", 4}, {"shop the", -1}, {"store|shop", 4}, {"order shipped | order ships", 7}, {"hell", -1},
	} {
		if got := find(tt.expected, e.all()); got != tt.end {
			t.Errorf("%s ends at %d, want %d", tt.expected, got, tt.end)
		}
	}
	e.since = now.Add(time.Millisecond)
	if words, at := e.fresh(); join(words) != "your order ships" || at != 4 {
		t.Errorf("%v at %d", words, at)
	}
	e.hear(Heard{Text: "", Final: true})
	if got := join(e.all()); got != "hello its the shop" {
		t.Error(got)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(full)
	f.Add("steps:\n  - barge_in: {after: 1s, say: x}\n  - &a say: *a\n")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := Parse("x.yaml", []byte(text))
		if (err == nil) == (s == nil) {
			t.Fatalf("%v, %v", s, err)
		}
		if err == nil && len(s.Steps) == 0 {
			t.Fatal("no steps")
		}
	})
}

func TestWhatIsNoSpeech(t *testing.T) {
	t.Parallel()
	s, err := Parse("x.yaml", []byte(`
steps:
  - cough
  - hum: 300ms
  - noise: {db: -20}
  - echo: {db: -12, lag: 200ms}
  - echo: off
  - mute: 2s
  - loss: 5%
  - hold: 3s
expect: {user: ["my name is john"], answers: 1, barge_ins: 0, tools: {check: 2}, events: [speech.paused]}
engine: {agent: {name: a}}
`))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, st := range s.Steps {
		got = append(got, st.String())
	}
	want := "cough 400ms, hum 300ms, noise -20 dB, echo -12 dB after 200ms, echo off, mute 2s, loss 5%, hold 3s"
	if strings.Join(got, ", ") != want {
		t.Errorf("%s", strings.Join(got, ", "))
	}
	if e := s.Expect; *e.Answers != 1 || *e.BargeIns != 0 || e.Tools["check"] != 2 || e.User[0] != "my name is john" ||
		s.Engine == nil {
		t.Errorf("%+v", e)
	}
}
