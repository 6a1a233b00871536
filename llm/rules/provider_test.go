package rules_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/patchcord/patchcord/llm"
	"github.com/patchcord/patchcord/llm/llmtest"
	"github.com/patchcord/patchcord/llm/rules"
)

func TestConformance(t *testing.T) {
	const network = "it has no network"
	llmtest.Run(t, llmtest.Subject{
		Start: func(t *testing.T, s llmtest.Script) llm.Provider {
			rule := map[string]any{"when": "where is my order"}
			if s.Text != "" {
				rule["say"] = s.Text
			}
			var calls []map[string]any
			for _, c := range s.Calls {
				var args map[string]any
				if err := json.Unmarshal(c.Args, &args); err != nil {
					t.Fatal(err)
				}
				calls = append(calls, map[string]any{"tool": c.Name, "args": args})
			}
			if calls != nil {
				rule["call"] = calls
			}
			file, err := yaml.Marshal(map[string]any{"otherwise": "no", "not_understood": "no", "rules": []any{rule}})
			if err != nil {
				t.Fatal(err)
			}
			r, err := rules.Parse("script", file)
			if err != nil {
				t.Fatal(err)
			}
			cfg := rules.Config{}
			if s.Hang {
				cfg.First = time.Hour
			}
			return rules.Of(r, cfg)
		},
		Skip: map[string]string{
			"a completion cut after words is an error": network, "a refusal says its status": network,
			"a tool call cut in its arguments is never ready": network, "usage is told or zero": "it counts no tokens",
		},
	})
}

// The example in the package comment is a file that works.
func TestPackageExample(t *testing.T) {
	t.Parallel()
	src, err := os.ReadFile("rules.go")
	if err != nil {
		t.Fatal(err)
	}
	var example []string
	for _, line := range strings.Split(string(src), "\n") {
		if l, ok := strings.CutPrefix(line, "//\t"); ok {
			example = append(example, l)
		} else if example != nil {
			break
		}
	}
	r, err := rules.Parse("example", []byte(strings.Join(example, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	a := r.Answer(llm.Request{Messages: []llm.Message{user("my order is number 4 7 1 1")}, Tools: offered})
	if len(a.Calls) != 1 || string(a.Calls[0].Args) != `{"order_id":"4711"}` {
		t.Errorf("got %+v", a)
	}
}

func TestFaultsAreToldWithTheirPlaces(t *testing.T) {
	t.Parallel()
	const rest = "\notherwise: a\nnot_understood: b\n"
	for _, c := range []struct{ name, file, want string }{
		{"an unknown key", "otherwise: a\nnot_understod: b\n", `f:2:1: unknown key "not_understod"; did you mean "not_understood"?`},
		{"an unknown key of a rule", "rules:\n  - {when: a, says: b}" + rest, `f:2:15: unknown key "says"; did you mean "say"?`},
		{"no YAML", "rules: [", "f:1:8: "},
		{"nothing", "", "not_understood is missing"},
		{"no rules", rest, "no rules"},
		{"an open bracket", "rules:\n  - {when: \"where (is\", say: b}" + rest, `f:2:19: pattern: ( without )`},
		{"a stray character", "rules:\n  - {when: a & b, say: b}" + rest, `f:2:14: pattern: '&' does not belong here`},
		{"a pattern for everything", "rules:\n  - {when: \"*\", say: b}" + rest, "a pattern that fits everything"},
		{"an empty alternative", "rules:\n  - {when: (a|), say: b}" + rest, "f:2:15: pattern: nothing to match here"},
		{"an unknown capture", "rules:\n  - {when: \"a {digit:x}\", say: b}" + rest, `f:2:15: pattern: "digit" captures nothing; did you mean "digits"?`},
		{"an odd range", "rules:\n  - {when: \"a {digits:x:8-3}\", say: b}" + rest, `"8-3" is no number of digits`},
		{"unknown words", "words: {yes: [a]}\nrules:\n  - {when: <yess>, say: b}" + rest, `did you mean "yes"?`},
		{"an unknown name in a sentence", "rules:\n  - {when: \"a {order}\", say: \"{{oder}}\"}" + rest, `f:2:30: nothing has the name "oder"; did you mean "order"?`},
		{"an unknown name in an argument", "rules:\n  - {when: \"a {order}\", call: {tool: t, args: {x: \"${oder}\"}}}" + rest, `nothing captures ${oder}; did you mean "order"?`},
		{"a broken template", "rules:\n  - {when: a, say: \"{% if %}\"}" + rest, "f:2:20: sentence: "},
		{"a broken condition", "rules:\n  - {after: t, if: \"resul.x == 1\", say: b}" + rest, "f:2:20: condition: unknown name resul"},
		{"a state that nothing leads to", "rules:\n  - {state: x, when: a, say: b}" + rest, `f:2:13: no rule leads to the state "x"`},
		{"a rule for nothing", "rules:\n  - {say: b}" + rest, "f:2:11: a rule without when: and without after:"},
		{"a rule that does nothing", "rules:\n  - {name: n, when: a}" + rest, "a rule that does nothing"},
		{"a language without numbers", "language: xx\nrules:\n  - {when: a, say: b}" + rest, `f:1:11: no spoken numbers in "xx"`},
		{"when and after", "rules:\n  - {when: a, after: t, say: b}" + rest, "a rule with both when: and after:"},
		{"a list where text is due", "rules:\n  - {when: a, say: {a: b}}" + rest, "takes text"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := rules.Parse("f", []byte(c.file))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
			if err != nil && !regexp.MustCompile(`^f:\d+:\d+: `).MatchString(err.Error()) {
				t.Errorf("no place in %v", err)
			}
		})
	}
}

func TestAllFaultsAtOnce(t *testing.T) {
	t.Parallel()
	_, err := rules.Parse("f", []byte("rules:\n  - {when: (a, say: \"{{x}}\"}\n  - {state: z, when: b, say: c}\notherwise: a\n"))
	if err == nil || strings.Count(err.Error(), "\n") != 3 {
		t.Errorf("want four faults, got %v", err)
	}
}

func TestWordsComeAtTheirTimes(t *testing.T) {
	t.Parallel()
	r := orders(t)
	synctest.Test(t, func(t *testing.T) {
		p := rules.Of(r, rules.Config{First: 50 * time.Millisecond, Word: 20 * time.Millisecond})
		st, err := p.Stream(t.Context(), llm.Request{Messages: []llm.Message{user("goodbye")}, Tools: offered})
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		var got []string
		for {
			d, err := st.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, fmt.Sprintf("%d:%s%s%s@%d", d.Kind, d.Text, d.ToolCall.Name, d.Finish, time.Since(start).Milliseconds()))
		}
		want := "0:Thank @50|0:you @70|0:for @90|0:calling. @110|0:Goodbye.@130|1:end_call@150|2:end_call@170|4:tool_calls@170"
		if g := strings.Join(got, "|"); g != want {
			t.Errorf("got  %s\nwant %s", g, want)
		}
	})
}

func TestFileIsReadBesideTheConfiguration(t *testing.T) {
	t.Parallel()
	if _, err := rules.New(rules.Config{File: "orders.yaml", Dir: "testdata"}); err != nil {
		t.Error(err)
	}
	abs, err := filepath.Abs("testdata/orders.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := rules.New(rules.Config{File: abs, Dir: "elsewhere"}); err != nil {
		t.Error(err)
	}
	for _, c := range []rules.Config{{}, {File: "none.yaml"}} {
		if _, err := rules.New(c); err == nil {
			t.Errorf("%+v is taken", c)
		}
	}
}
