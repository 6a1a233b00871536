package configs

import (
	"fmt"
	"reflect"
	"slices"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"

	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/internal/yamlfault"
)

var _ yaml.NodeUnmarshaler = (*Providers)(nil)

// UnmarshalYAML takes a mapping of names to nodes, and default.
func (p *Providers) UnmarshalYAML(n ast.Node) error {
	got, faults := readProviders(n)
	if faults != nil {
		return faults[0]
	}
	*p = got
	return nil
}

func readProviders(n ast.Node) (p Providers, faults []*Fault) {
	if _, ok := n.(*ast.NullNode); ok {
		return p, nil
	}
	pairs, ok := yamlfault.Pairs(n)
	if !ok {
		return p, []*Fault{{
			Pos: at("", n), What: "the providers are " + kindOf(n),
			Do: "write names with a mapping each, and default: NAME",
		}}
	}
	p.Named = map[string]Provider{}
	for _, v := range pairs {
		name := yamlfault.Key(v)
		if name == "default" {
			p.Default = scalar(v.Value)
			p.defaultAt = at("", v.Value)
			continue
		}
		pr, err := readProvider(name, v)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		p.Named[name] = pr
	}
	return p, faults
}

func readProvider(name string, v *ast.MappingValueNode) (Provider, *Fault) {
	p := Provider{Name: name, Pos: at("", v.Key)}
	pairs, ok := yamlfault.Pairs(v.Value)
	if !ok {
		return p, &Fault{
			Pos: at("", v.Value), What: fmt.Sprintf("%s is %s", name, kindOf(v.Value)),
			Do: "write a mapping with type: and the keys of that type",
		}
	}
	rest := &ast.MappingNode{BaseNode: &ast.BaseNode{}, Start: v.Value.GetToken()}
	if m, ok := v.Value.(*ast.MappingNode); ok {
		rest.Start, rest.End, rest.IsFlowStyle = m.Start, m.End, m.IsFlowStyle
	}
	for _, kv := range pairs {
		switch yamlfault.Key(kv) {
		case "type":
			p.Type = scalar(kv.Value)
		case "fallback":
			p.Fallback = texts(kv.Value)
		case "hedge":
			b, ok := kv.Value.(*ast.BoolNode)
			if !ok {
				return p, &Fault{Pos: at("", kv.Value), What: name + ": hedge is " + kindOf(kv.Value), Do: "write true or false"}
			}
			p.Hedge = b.Value
		default:
			rest.Values = append(rest.Values, kv)
		}
	}
	if p.Type == "" {
		return p, &Fault{Pos: p.Pos, What: name + " has no type", Do: "write which provider it is, such as type: openai"}
	}
	p.Node = rest
	return p, nil
}

// texts are the texts of a list, or the one of a scalar.
func texts(n ast.Node) []string {
	seq, ok := n.(*ast.SequenceNode)
	if !ok {
		if s := scalar(n); s != "" {
			return []string{s}
		}
		return nil
	}
	var out []string
	for _, v := range seq.Values {
		out = append(out, scalar(v))
	}
	return out
}

// in sets the file of every place.
func (p *Providers) in(file string) {
	p.defaultAt.File = file
	for name, pr := range p.Named {
		pr.Pos.File = file
		p.Named[name] = pr
	}
}

// Find is the provider of a name, "" for the default. A name that is none is
// taken for a type when exactly one provider has it: agents of other systems
// name the vendor.
func (p Providers) Find(name string) (Provider, bool) {
	if name == "" {
		name = p.Default
	}
	if pr, ok := p.Named[name]; ok {
		return pr, true
	}
	var found []Provider
	for _, pr := range p.Named {
		if pr.Type == name {
			found = append(found, pr)
		}
	}
	if len(found) != 1 {
		return Provider{}, false
	}
	return found[0], true
}

// Chain is a provider and those it falls back to, in the order they are asked.
func (p Providers) Chain(name string) []Provider {
	first, ok := p.Find(name)
	if !ok {
		return nil
	}
	chain, seen := []Provider{}, map[string]bool{}
	var add func(Provider)
	add = func(pr Provider) {
		if seen[pr.Name] {
			return
		}
		seen[pr.Name] = true
		chain = append(chain, pr)
		for _, f := range pr.Fallback {
			if next, ok := p.Named[f]; ok {
				add(next)
			}
		}
	}
	add(first)
	return chain
}

// used are the providers that are asked: the defaults, those that agents name,
// and what stands behind them.
func (c *Config) used(p Providers, named func(*agent.Agent) []string) []Provider {
	seen := map[string]bool{}
	var out []Provider
	add := func(name string) {
		for _, pr := range p.Chain(name) {
			if !seen[pr.Name] {
				seen[pr.Name] = true
				out = append(out, pr)
			}
		}
	}
	add("")
	for i := range c.Agents {
		for _, name := range named(&c.Agents[i]) {
			add(name)
		}
	}
	return out
}

// UsedLLM are the models that calls may need: only they have to be opened.
func (c *Config) UsedLLM() []Provider {
	return c.used(c.LLM, func(a *agent.Agent) []string {
		names := []string{a.LLM.Provider}
		if a.LLM.Summary != nil {
			names = append(names, a.LLM.Summary.Provider)
		}
		if a.AnalysisPlan.Provider != "" {
			names = append(names, a.AnalysisPlan.Provider)
		}
		return names
	})
}

// UsedSTT are the recognisers that calls may need.
func (c *Config) UsedSTT() []Provider {
	return c.used(c.STT, (*agent.Agent).STTNames)
}

// UsedTTS are the voices that calls may need.
func (c *Config) UsedTTS() []Provider {
	return c.used(c.TTS, (*agent.Agent).TTSNames)
}

// UsedRealtime are the speech-to-speech models that calls may need.
func (c *Config) UsedRealtime() []Provider {
	var out []Provider
	for _, pr := range c.used(c.Realtime, func(a *agent.Agent) []string { return []string{a.Realtime} }) {
		named := func(a agent.Agent) bool {
			p, ok := c.Realtime.Find(a.Realtime)
			return ok && a.Realtime != "" && p.Name == pr.Name
		}
		if slices.ContainsFunc(c.Agents, named) { // a default that nobody names is nobody's
			out = append(out, pr)
		}
	}
	return out
}

// Names are the names of all, sorted.
func (p Providers) Names() []string {
	out := make([]string, 0, len(p.Named))
	for n := range p.Named {
		out = append(out, n)
	}
	slices.Sort(out)
	return out
}

// Decode fills dst, a pointer to a provider's Config, from its node: unknown
// keys and wrong values are faults with their places, all at once. Fields of
// dst that are set already are the defaults.
func (p Provider) Decode(dst any) error {
	if t := reflect.TypeOf(dst); t == nil || t.Kind() != reflect.Pointer || t.Elem().Kind() != reflect.Struct {
		return fmt.Errorf("configs: decode %s into %T: not a pointer to a struct", p.Name, dst)
	}
	_, faults := decode(p.Pos.File, p.Node, dst)
	return joined(faults)
}
