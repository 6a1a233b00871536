// Package all is the table of language models: the types a configuration can
// name, and the chain of models that answer for one another.
//
// Every model of it is asked through a fallback, with its waits and its one
// retry, even when nothing stands behind it.
package all

import (
	"fmt"
	"slices"

	"github.com/patchcord/patchcord/internal/factory"
	"github.com/patchcord/patchcord/llm"
	"github.com/patchcord/patchcord/llm/null"
	"github.com/patchcord/patchcord/llm/openai"
	"github.com/patchcord/patchcord/llm/openairealtime"
	"github.com/patchcord/patchcord/llm/rules"
	"github.com/patchcord/patchcord/llm/xai"
)

// Deps is what models need of the outside.
type Deps struct {
	Dir      string // what files are relative to
	Fallback llm.FallbackConfig
}

// Types is the table: to add a model, write its folder and its line here.
func Types() factory.Table[llm.Provider, Deps] {
	return factory.Table[llm.Provider, Deps]{
		"null":   factory.Of(func(c null.Config, _ Deps) (llm.Provider, error) { return null.New(c) }),
		"openai": factory.Of(func(c openai.Config, _ Deps) (llm.Provider, error) { return openai.New(c) }),
		"rules": factory.Of(func(c rules.Config, d Deps) (llm.Provider, error) {
			c.Dir = d.Dir
			return rules.New(c)
		}),
	}
}

// RealtimeTypes is the table of speech-to-speech models.
func RealtimeTypes() factory.Table[llm.Realtime, Deps] {
	return factory.Table[llm.Realtime, Deps]{
		openairealtime.Name: factory.Of(func(c openairealtime.Config, _ Deps) (llm.Realtime, error) {
			return openairealtime.New(c)
		}),
		xai.Name: factory.Of(func(c xai.Config, _ Deps) (llm.Realtime, error) { return xai.New(c) }),
	}
}

// Model is one model of a configuration.
type Model struct {
	Name     string
	Type     string
	Fallback []string        // names of those to ask when it fails, in order
	Hedge    bool            // … or when it is slower than it mostly is
	Decode   func(any) error // fills the model's own Config, strictly; nil: nothing is set
}

// Models are the models of a configuration, each with its chain.
type Models struct {
	byName map[string]llm.Provider
}

// New makes all models. An error names the model it is about.
func New(models []Model, d Deps) (*Models, error) {
	table := Types()
	alone := map[string]llm.Provider{}
	chains, hedges := map[string][]string{}, map[string]bool{}
	for _, m := range models {
		if alone[m.Name] != nil {
			return nil, fmt.Errorf("llm: %s: a second model of this name", m.Name)
		}
		p, err := table.Make(m.Type, m.Decode, d)
		if err != nil {
			return nil, fmt.Errorf("llm: %s: %w", m.Name, err)
		}
		alone[m.Name], chains[m.Name], hedges[m.Name] = p, m.Fallback, m.Hedge
	}
	out := &Models{byName: map[string]llm.Provider{}}
	for name := range alone {
		chain, err := follow(name, chains)
		if err != nil {
			return nil, err
		}
		var asked []llm.Named
		for _, n := range chain {
			asked = append(asked, llm.Named{Name: n, Provider: alone[n]})
		}
		waits := d.Fallback
		waits.Hedge = hedges[name]
		out.byName[name] = llm.NewFallback(waits, asked...)
	}
	return out, nil
}

// follow is a model and all that stand behind it, depth first, each once.
func follow(name string, chains map[string][]string) ([]string, error) {
	var out []string
	var add func(string) error
	add = func(n string) error {
		if slices.Contains(out, n) {
			return nil // asked already: a circle ends where it began
		}
		out = append(out, n)
		for _, next := range chains[n] {
			if _, ok := chains[next]; !ok {
				return fmt.Errorf("llm: %s: fallback %q: there is no model of this name", n, next)
			}
			if err := add(next); err != nil {
				return err
			}
		}
		return nil
	}
	err := add(name)
	return out, err
}

// Get is the model of a name, with those behind it.
func (m *Models) Get(name string) (llm.Provider, bool) {
	p, ok := m.byName[name]
	return p, ok
}
