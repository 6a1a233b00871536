package rules

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/patchcord/patchcord/llm"
)

func TestPatterns(t *testing.T) {
	t.Parallel()
	words := map[string]string{"bye": "(?:goodbye |bye (?:bye )?)"}
	for _, c := range []struct{ pattern, said, want string }{
		{"order", "My ORDER, please!", "map[]"},
		{"order", "orders", "no"},
		{"order", "reorder", "no"},
		{"my order", "my big order", "no"},
		{"my [big] order", "my big order", "map[]"},
		{"my * order", "my very big order", "map[]"},
		{"my + order", "my order", "no"},
		{"(where|what time) [is]", "what time", "map[]"},
		{"^ yes $", "yes", "map[]"},
		{"^ yes $", "oh yes", "no"},
		{"yes $", "oh yes", "map[]"},
		{"don't know", "I don’t know", "map[]"},
		{"don't know", "i dont know", "map[]"},
		{"check-in", "when is check in", "map[]"},
		{"<bye>", "ok bye bye", "map[]"},
		{"name is {name}", "my name is Anna Maria", "map[name:anna maria]"},
		{"name is {word:name}", "my name is Anna Maria", "map[name:anna]"},
		{"from {a} to {b}", "from new york to los angeles", "map[a:new york b:los angeles]"},
		{"{digits:n}", "it is four seven one one thanks", "map[n:4711]"},
		{"{digits:n}", "forty seven eleven", "map[n:4711]"},
		{"{digits:n}", "oh eight fifteen", "map[n:0815]"},
		{"{digits:n}", "triple seven oh", "map[n:7770]"},
		{"{digits:n}", "47-11", "map[n:4711]"},
		{"{digits:n}", "nothing", "no"},
		{"{digits:n:4}", "one two three", "no"},
		{"{digits:n:2-3}", "one two three", "map[n:123]"},
		{"{number:n} (people|persons)", "a table for twenty five people", "map[n:25]"},
		{"{number:n}", "two thousand three hundred and five", "map[n:2305]"},
		{"{number:n}", "a hundred", "map[n:100]"},
		{"{number:n} (euros|dollars)", "450 euros", "map[n:450]"},
		{"grün", "GRÜN", "map[]"},
	} {
		p, err := compile(c.pattern, words, languages["en"])
		if err != nil {
			t.Errorf("%s: %v", c.pattern, err)
			continue
		}
		got := "no"
		if m, ok := p.match(normal(c.said), languages["en"]); ok {
			got = fmt.Sprint(m)
		}
		if got != c.want {
			t.Errorf("%q over %q gives %s, want %s", c.pattern, c.said, got, c.want)
		}
	}
}

func TestSpokenDigitsOfOtherLanguages(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ lang, said, want string }{
		{"de", "vier sieben eins zwo", "4712"},
		{"de", "siebzehn null fünf", "1705"},
		{"fr", "quatre sept un un", "4711"},
		{"fr", "vingt trois", "23"},
		{"es", "cuatro siete uno uno", "4711"},
	} {
		p, err := compile("{digits:n}", nil, languages[c.lang])
		if err != nil {
			t.Fatal(err)
		}
		if m, _ := p.match(normal(c.said), languages[c.lang]); m["n"] != c.want {
			t.Errorf("%s: %q is %v, want %s", c.lang, c.said, m["n"], c.want)
		}
	}
}

func FuzzPattern(f *testing.F) {
	for _, s := range []string{
		"where is [my] (order|parcel)", "* {digits:order_id:3-8} $", "^ <yes> + {number:n}", "([a|b]|{word:x})", "don't (|)", "{", "((((",
	} {
		f.Add(s, "where is my order four seven one one")
	}
	f.Fuzz(func(t *testing.T, src, said string) {
		p, err := compile(src, map[string]string{"yes": "(?:yes )"}, languages["en"])
		if err != nil {
			var at int
			if pe, ok := err.(*patternError); ok {
				at = pe.at
			}
			if at < 0 || at > len(src) || err.Error() == "" {
				t.Fatalf("fault %q at %d of %q", err, at, src)
			}
			return
		}
		if _, ok := p.match("", languages["en"]); ok {
			t.Fatalf("%q fits silence", src)
		}
		if len(said) > 2000 {
			return
		}
		text := normal(said)
		if normal(text) != text {
			t.Fatalf("normal is not stable: %q, %q", text, normal(text))
		}
		p.match(text, languages["en"])
	})
}

func FuzzParse(f *testing.F) {
	b, err := os.ReadFile("testdata/orders.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte("rules: [{when: a, say: b}]\notherwise: a\nnot_understood: b"))
	f.Add([]byte("rules:\n  - {after: t, if: result.x > 1, call: {tool: t, args: {a: [\"${args.x}\", {b: 1}]}}}\notherwise: a\nnot_understood: b"))
	f.Fuzz(func(t *testing.T, src []byte) {
		r, err := Parse("f", src)
		if err != nil {
			return
		}
		q := llm.Request{
			Messages: []llm.Message{
				{Role: llm.User, Content: "where is order 4711"},
				{Role: llm.Assistant, ToolCalls: []llm.ToolCall{{ID: "1", Name: "check_order_status", Args: []byte(`{"order_id":1}`)}}},
				{Role: llm.ToolRole, ToolCallID: "1", Content: `{"x":[1,{"y":null}]}`},
			},
			Tools: []llm.Tool{{Name: "check_order_status"}},
		}
		if a, b := r.Answer(q), r.Answer(q); a.Say != b.Say || len(a.Calls) != len(b.Calls) {
			t.Fatalf("two answers to one conversation: %+v, %+v", a, b)
		}
	})
}

func BenchmarkAnswer(b *testing.B) {
	src, err := os.ReadFile("testdata/orders.yaml")
	if err != nil {
		b.Fatal(err)
	}
	r, err := Parse("orders.yaml", src)
	if err != nil {
		b.Fatal(err)
	}
	var q llm.Request
	for range 10 {
		q.Messages = append(q.Messages,
			llm.Message{Role: llm.User, Content: "can you tell me where my order is " + strings.Repeat("please ", 5)},
			llm.Message{Role: llm.Assistant, Content: "Sure. What is your order number?"})
	}
	q.Messages = append(q.Messages, llm.Message{Role: llm.User, Content: "four seven one one"})
	q.Tools = []llm.Tool{{Name: "check_order_status"}, {Name: "end_call"}}
	b.ReportAllocs()
	for b.Loop() {
		if a := r.Answer(q); len(a.Calls) != 1 {
			b.Fatal(a)
		}
	}
}
