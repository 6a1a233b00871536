package configs

import (
	"testing"
	"unicode/utf8"

	"github.com/patchcord/patchcord/engine/agent"
)

// What is written is read again as it was.
func FuzzYAML(f *testing.F) {
	for _, s := range []string{"a", "", "yes", "a\n b\n", "${HOME} $${", "# x", "- a", "'\"\\\x01", "\u2028\ufeff", "😀\nü"} {
		f.Add(s, "key")
	}
	f.Fuzz(func(t *testing.T, s, key string) {
		if !utf8.ValidString(s) || !utf8.ValidString(key) {
			return // JSON, which is what is kept, has none of them
		}
		want := agent.Agent{
			Name: "a", Prompt: s, Greeting: "x" + s, Variables: map[string]any{key: []any{s, map[string]any{"x": s}}},
		}
		b, err := asYAML(want)
		if err != nil {
			t.Fatal(err)
		}
		root, err := parse("x", b)
		if err != nil {
			t.Fatalf("%v in\n%s", err, b)
		}
		p := prepare{file: "x", env: func(string) (string, bool) { return "", true }, only: capitals}
		var got agent.Agent
		if _, faults := decode("x", p.node(root, 0), &got); faults != nil {
			t.Fatalf("%v in\n%s", faults, b)
		}
		list, _ := got.Variables[key].([]any)
		if len(list) != 2 {
			t.Fatalf("%q\n%s", got.Variables, b)
		}
		deep, _ := list[1].(map[string]any)
		if got.Prompt != s || got.Greeting != "x"+s || list[0] != s || deep["x"] != s {
			t.Fatalf("got %q, %q, %q, %q\nwant %q\n%s", got.Prompt, got.Greeting, list[0], deep["x"], s, b)
		}
	})
}

func TestReplaceKeyKeepsTheRest(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, text, want string }{
		{"one line", "a: 1\ntrunks: []\nb: 2\n", "a: 1\nX\nb: 2\n"},
		{"a block", "trunks:\n  - {a: 1}\n\n  # of it\n  - {b: 1}\n\n# of b\nb: 2\n", "X\n\n# of b\nb: 2\n"},
		{"a list without indent", "trunks:\n- a: 1\n  b: 2\nb: 2", "X\nb: 2"},
		{"flow over lines", "trunks: [\n  {a: 1},\n]\nb: 2\n", "X\nb: 2\n"},
		{"quoted", "\"trunks\" : []\n", "X\n"},
		{"another key", "trunks2: 1\n# trunks: x\n", "trunks2: 1\n# trunks: x\nX\n"},
		{"no end of line", "a: 1", "a: 1\nX\n"},
		{"nothing", "", "X\n"},
	} {
		if got := replaceKey(c.text, "trunks", "X\n"); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}
