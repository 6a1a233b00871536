package all_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/patchcord/patchcord/llm"
	"github.com/patchcord/patchcord/llm/all"
)

func model(name, typ, cfg string, fallback ...string) all.Model {
	return all.Model{Name: name, Type: typ, Fallback: fallback, Decode: func(dst any) error {
		return yaml.UnmarshalWithOptions([]byte(cfg), dst, yaml.Strict())
	}}
}

func TestChainOfModels(t *testing.T) {
	t.Parallel()
	// Nobody listens on port 1: the rules answer in the model's place.
	m, err := all.New([]all.Model{
		model("main", "openai", "{base_url: \"http://127.0.0.1:1/v1\", model: m}", "rules"),
		model("rules", "rules", "{file: orders.yaml}", "main"), // a circle ends where it began
		model("load", "null", "{first: 1ms, text: Hello.}"),
	}, all.Deps{Dir: "../rules/testdata"})
	if err != nil {
		t.Fatal(err)
	}
	p, ok := m.Get("main")
	if !ok {
		t.Fatal("no main")
	}
	st, err := p.Stream(t.Context(), llm.Request{Messages: []llm.Message{{Role: llm.User, Content: "when are you open"}}})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	var text strings.Builder
	fell := ""
	for {
		d, err := st.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if d.Kind == llm.Fell {
			fell = d.Provider
		}
		text.WriteString(d.Text)
	}
	if fell != "rules" || !strings.HasPrefix(text.String(), "We are open") {
		t.Errorf("fell to %q, which said %q", fell, text.String())
	}
	if _, ok := m.Get("none"); ok {
		t.Error("a model that is none")
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		m    all.Model
		want string
	}{
		{model("a", "opnai", "{}"), `a: unknown type "opnai"; known: null, openai, rules`},
		{model("a", "null", "{frist: 1s}"), `unknown field "frist"`},
		{model("a", "null", "{first: soon}"), "a: "},
		{model("a", "null", "{}", "b"), `a: fallback "b": there is no model of this name`},
		{all.Model{Name: "a", Type: "rules"}, "file is missing"},
	} {
		if _, err := all.New([]all.Model{c.m}, all.Deps{}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
}
