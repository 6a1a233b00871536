package yamlfault

import (
	"errors"
	"fmt"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

func TestPlaces(t *testing.T) {
	t.Parallel()
	f, err := parser.ParseBytes([]byte("a: 1\n\"b c\":\n  d: [x, y]\n7: z\n"), 0)
	if err != nil {
		t.Fatal(err)
	}
	pairs, ok := Pairs(f.Docs[0].Body)
	if !ok || len(pairs) != 3 {
		t.Fatalf("%d pairs, %v", len(pairs), ok)
	}
	var got string
	for _, p := range pairs {
		line, col := Place(p.Value)
		got += fmt.Sprintf("%s=%d:%d ", Key(p), line, col)
	}
	if want := "a=1:4 b c=3:3 7=4:4 "; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	line, col := Place(nil)
	if _, ok := Pairs(pairs[0].Value); ok || line != 0 || col != 0 {
		t.Errorf("a scalar has pairs (%v), or nothing is at %d:%d", ok, line, col)
	}
	if line, col := Place(&ast.NullNode{}); line != 0 || col != 0 {
		t.Errorf("a node of no file is at %d:%d", line, col)
	}
}

func TestExplain(t *testing.T) {
	t.Parallel()
	var c struct {
		A int `yaml:"a"`
	}
	err := yaml.UnmarshalWithOptions([]byte("a: 1\nbb: 2\n"), &c, yaml.Strict())
	for want, err := range map[string]error{
		`unknown field "bb" 2 1`: fmt.Errorf("read: %w", err),
		"gone 0 0":               errors.New("gone"),
	} {
		what, line, col := Explain(err)
		if got := fmt.Sprint(what, " ", line, " ", col); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestSuggest(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		word  string
		known []string
		want  string
	}{
		{"greting", []string{"name", "greeting"}, `did you mean "greeting"?`},
		{"base-URL", []string{"base_url"}, `did you mean "base_url"?`},
		{"x", []string{"name", "greeting"}, "known: name, greeting"},
		{"x", nil, ""},
		{"", []string{"ab"}, `did you mean "ab"?`},
	} {
		if got := Suggest(c.word, c.known); got != c.want {
			t.Errorf("%q: got %s, want %s", c.word, got, c.want)
		}
	}
}

func TestDistance(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"kitten", "sitting", 3}, {"flaw", "lawn", 2}} {
		if got := distance(c.a, c.b); got != c.want {
			t.Errorf("%s to %s: %d, want %d", c.a, c.b, got, c.want)
		}
	}
}
