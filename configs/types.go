package configs

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/patchcord/patchcord/internal/factory"
	"github.com/patchcord/patchcord/internal/yamlfault"
	llmall "github.com/patchcord/patchcord/llm/all"
	"github.com/patchcord/patchcord/llm/rules"
)

// checkModels makes every model: their keys, and the files they name, are
// checked by those who read them. Nothing is asked of the network.
func (l *loader) checkModels(c *Config) {
	table, used := llmall.Types(), c.UsedLLM()
	for _, name := range c.LLM.Names() {
		p := c.LLM.Named[name]
		factory, ok := table[p.Type]
		if !ok {
			l.unknownType(p, "llm", table.Types())
			continue
		}
		if l.embedded && p.Type == "rules" {
			continue // its file is checked by a test, and read where the files are written to
		}
		_, err := factory(p.Decode, llmall.Deps{Dir: c.Dir})
		var in *rules.Fault
		isUsed := slices.ContainsFunc(used, func(u Provider) bool { return u.Name == name })
		if err != nil && (isUsed || Faults(err) != nil || errors.As(err, &in)) {
			l.providerFault(c, p, err) // a model that nobody asks may lack its key
		}
	}
}

// errChecked ends the making of a provider whose keys are right: recognisers
// and voices start helpers, which is not for a check.
var errChecked = errors.New("checked")

// checkKeys lets providers decode their nodes and makes none of them.
func checkKeys[P, D any](l *loader, kind string, ps Providers, table factory.Table[P, D]) {
	for _, name := range ps.Names() {
		p := ps.Named[name]
		factory, ok := table[p.Type]
		if !ok {
			l.unknownType(p, kind, table.Types())
			continue
		}
		var deps D
		_, err := factory(func(dst any) error {
			if err := p.Decode(dst); err != nil {
				return err
			}
			return errChecked
		}, deps)
		for _, f := range Faults(err) {
			l.faults = append(l.faults, f)
		}
	}
}

func (l *loader) unknownType(p Provider, kind string, known []string) {
	l.faults = append(l.faults, &Fault{
		Pos: l.pos(kind + "." + p.Name + ".type"), What: fmt.Sprintf("%s.%s: unknown type %q", kind, p.Name, p.Type),
		Do: yamlfault.Suggest(p.Type, known),
	})
}

// providerFault places what a provider says of its configuration.
func (l *loader) providerFault(c *Config, p Provider, err error) {
	var in *rules.Fault
	switch own := Faults(err); {
	case own != nil:
		for _, f := range own {
			l.faults = append(l.faults, f)
		}
	case errors.As(err, &in):
		for _, e := range parts(err) {
			if !errors.As(e, &in) {
				continue
			}
			file := in.File
			if !filepath.IsAbs(file) {
				file = filepath.Join(c.Dir, file)
			}
			l.faults = append(l.faults, &Fault{Pos: Pos{file, in.Line, in.Col}, What: in.What, Do: in.Do})
		}
	default:
		l.faults = append(l.faults, &Fault{Pos: p.Pos, What: p.Name + ": " + err.Error()})
	}
}
