package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/patchcord/patchcord/configs"
	"github.com/patchcord/patchcord/llm/rules"
	"github.com/patchcord/patchcord/tools"
)

// validateCmd checks files and starts nothing.
type validateCmd struct {
	Files  []string `arg:"" name:"file" help:"Configuration, agent, tools or rules: told by what is in it." type:"path"`
	Config string   `short:"c" help:"Configuration that agents are checked with." type:"existingfile" placeholder:"FILE"`
	JSON   bool     `name:"json" help:"One JSON object instead of lines."`
}

// Help is shown by --help.
func (validateCmd) Help() string {
	return `Tells every fault as file:line:column: what; what to do. A configuration is
checked with the agents, tools and rules it names.

Example:
  patchcord validate configs/patchcord.yaml
  patchcord validate agents/*.yaml -c patchcord.yaml --json`
}

// checked is what was found in one file.
type checked struct {
	File     string   `json:"file"`
	Kind     string   `json:"kind"`
	OK       bool     `json:"ok"`
	Has      string   `json:"has,omitempty"`
	Faults   []remark `json:"faults,omitempty"`
	Warnings []remark `json:"warnings,omitempty"`
}

// remark is a fault or a warning.
type remark struct {
	File string `json:"file"`
	Line int    `json:"line,omitempty"`
	Col  int    `json:"col,omitempty"`
	What string `json:"what"`
	Do   string `json:"do,omitempty"`
	text string
}

// Run checks.
func (c *validateCmd) Run(out *output) error {
	var library []tools.Definition
	if c.Config != "" {
		cfg, _, err := configs.Load(c.Config)
		if err != nil {
			return err
		}
		library = append([]tools.Definition{}, cfg.Library...)
	}
	ok := true
	all := make([]checked, 0, len(c.Files))
	for _, f := range c.Files {
		r := check(f, library)
		ok = ok && r.OK
		all = append(all, r)
	}
	if c.JSON {
		enc := json.NewEncoder(out.out)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(map[string]any{"ok": ok, "files": all}); err != nil {
			return err
		}
	} else {
		for _, r := range all {
			r.print(out)
		}
	}
	if !ok {
		return errFaults
	}
	return nil
}

func (r checked) print(out *output) {
	for _, f := range r.Faults {
		fmt.Fprintln(out.out, f.text)
	}
	for _, w := range r.Warnings {
		fmt.Fprintln(out.out, "warning: "+w.text)
	}
	if r.OK {
		fmt.Fprintf(out.out, "%s: ok: %s\n", r.File, r.Has)
	}
}

// check reads one file.
func check(path string, library []tools.Definition) checked {
	r := checked{File: display(path)}
	text, err := os.ReadFile(path) //nolint:gosec // named on the command line
	if err != nil {
		var pe *os.PathError
		if errors.As(err, &pe) {
			err = pe.Err
		}
		r.fault(&configs.Fault{Pos: configs.Pos{File: path}, What: err.Error(), Do: "name a file that can be read"})
		return r
	}
	kind := configs.Kind(text)
	r.Kind = string(kind)
	switch kind {
	case configs.KindAgent:
		a, warnings, err := configs.LoadAgent(path, library)
		r.took(warnings, err)
		if a != nil {
			r.Has = fmt.Sprintf("agent %s, %s", a.ID, count(len(a.Tools), "tool"))
		}
	case configs.KindTools:
		defs, warnings, err := configs.LoadTools(path)
		r.took(warnings, err)
		r.Has = count(len(defs), "tool")
	case configs.KindRules:
		_, err := rules.Parse(path, text)
		r.took(nil, err)
		r.Has = "rules"
	default: // one that is nothing else is most likely meant as a configuration
		cfg, warnings, err := configs.Load(path)
		r.Kind = string(configs.KindConfig)
		r.took(warnings, err)
		if cfg != nil {
			r.Has = fmt.Sprintf("configuration with %s, %s, %s", count(len(cfg.Agents), "agent"),
				count(len(cfg.Library), "shared tool"), count(len(cfg.Trunks), "trunk"))
		}
	}
	r.OK = r.Faults == nil
	return r
}

func (r *checked) took(warnings []configs.Warning, err error) {
	for _, w := range warnings {
		f := configs.Fault(w)
		r.Warnings = append(r.Warnings, remarkOf(&f))
	}
	if err == nil {
		return
	}
	faults := configs.Faults(err)
	var in *rules.Fault
	if faults == nil && errors.As(err, &in) {
		faults = []*configs.Fault{{Pos: configs.Pos{File: in.File, Line: in.Line, Col: in.Col}, What: in.What, Do: in.Do}}
	}
	if faults == nil {
		faults = []*configs.Fault{{Pos: configs.Pos{File: r.File}, What: err.Error()}}
	}
	for _, f := range faults {
		r.fault(f)
	}
}

func (r *checked) fault(f *configs.Fault) { r.Faults = append(r.Faults, remarkOf(f)) }

func remarkOf(f *configs.Fault) remark {
	g := *f
	g.File = display(f.File)
	return remark{File: g.File, Line: g.Line, Col: g.Col, What: g.What, Do: g.Do, text: g.Error()}
}

// display is a path as people write it: relative where that is shorter.
func display(path string) string {
	dir, err := os.Getwd()
	if err != nil {
		return path
	}
	if rel, err := filepath.Rel(dir, path); err == nil && len(rel) < len(path) {
		return rel
	}
	return path
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
