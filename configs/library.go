package configs

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/goccy/go-yaml/ast"

	"github.com/patchcord/patchcord/internal/yamlfault"
	"github.com/patchcord/patchcord/telephony/dialer"
	"github.com/patchcord/patchcord/tools"
	"github.com/patchcord/patchcord/tools/wire"
)

// loadTools reads the library: files with one tool, a list of tools, or a
// list under tools:.
func (l *loader) loadTools(c *Config) {
	seen := map[string]Pos{}
	for _, path := range l.glob(c.Tools.Files, "tools.files", c.Dir) {
		defs, places := l.tools(path)
		for i, d := range defs {
			if first, twice := seen[d.Name]; twice && d.Name != "" {
				l.faults = append(l.faults, &Fault{
					Pos: places[i], What: fmt.Sprintf("a second tool %q (the first is at %s)", d.Name, first),
					Do: "rename one of them",
				})
				continue
			}
			seen[d.Name] = places[i]
			c.Library, c.LibraryPaths = append(c.Library, d), append(c.LibraryPaths, c.rel(path))
		}
	}
}

// LoadTools reads one file of tools. The warnings tell what works otherwise
// than its writer may expect.
func LoadTools(path string) ([]tools.Definition, []Warning, error) {
	l := loader{env: os.LookupEnv, fs: osFS{}, file: path, deps: tools.Deps{Dialects: wire.Dialects()}}
	defs, _ := l.tools(path)
	if l.faults != nil {
		return nil, l.warnings, joined(l.faults)
	}
	return defs, l.warnings, nil
}

func (l *loader) tools(path string) (defs []tools.Definition, places []Pos) {
	root := l.read(path, capitals)
	if root == nil {
		return nil, nil
	}
	for _, n := range toolNodes(root) {
		var d tools.Definition
		at, faults := decode(path, n, &d)
		l.faults = append(l.faults, faults...)
		if faults != nil {
			continue
		}
		l.tool(&d, path, at, "", nil)
		defs, places = append(defs, d), append(places, at[""])
	}
	return defs, places
}

// beside is a path relative to the file that names it.
func beside(file, name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(filepath.Dir(file), name)
}

func toolNodes(root ast.Node) []ast.Node {
	if pairs, ok := yamlfault.Pairs(root); ok && len(pairs) == 1 && yamlfault.Key(pairs[0]) == "tools" {
		root = pairs[0].Value
	}
	if seq, ok := root.(*ast.SequenceNode); ok {
		return seq.Values
	}
	return []ast.Node{root}
}

// tool checks one definition; vars are the variables that its agent's calls
// may have besides those of every call.
func (l *loader) tool(d *tools.Definition, path string, places map[string]Pos, at string, vars map[string]any) {
	deps := l.deps
	deps.Vars = slices.Sorted(maps.Keys(vars))
	read := func(name string) ([]byte, error) {
		if l.sent { // whoever sends it has no files here
			return nil, errors.New("a file of this machine: write what stands in it under hsmeta")
		}
		return l.fs.ReadFile(beside(path, name))
	}
	if err := wire.Resolve(d, read); err != nil {
		l.faults = append(l.faults, &Fault{
			Pos: place(places, path, join(at, "config")), What: err.Error(), Do: "name a file *-hsmeta.json beside this one",
		})
		return
	}
	for _, f := range d.Validate(deps) {
		pos := Pos{File: path, Line: f.Line, Col: f.Col}
		if f.Line == 0 {
			pos = place(places, path, join(at, f.Path))
		}
		what := f.Path + ": " + f.What
		if f.Path == "" {
			what = f.What
		}
		if f.Tool != "" {
			what = "tool " + f.Tool + ": " + what
		}
		if l.sent {
			what = f.What // its path is told beside it
		}
		fault := Fault{Pos: pos, Path: join(at, f.Path), What: what, Do: f.Do}
		if f.Warning {
			l.warnings = append(l.warnings, Warning(fault))
			continue
		}
		l.faults = append(l.faults, &fault)
	}
}

// toolDeps is what definitions are checked against.
func (c *Config) toolDeps() tools.Deps {
	d := tools.Deps{
		Secrets: c.Secret, SecretHosts: c.SecretHosts, Dialects: wire.Dialects(), Account: c.Account(),
		MayDial: c.Gate().Check,
	}
	client, err := c.ToolClient()
	if err == nil { // else the faults of tools: tell it
		d.Client = client
	}
	return d
}

// Gate is the one of everything that dials (SEC-5).
func (c *Config) Gate() dialer.Gate {
	return dialer.Gate{Allow: c.Dialing.Allow, Deny: c.Dialing.Deny}
}

// Account is the webhook of agents that have none (F-02).
func (c *Config) Account() tools.WebhookTo {
	return tools.WebhookTo{URL: c.Tools.WebhookURL, Secret: c.Tools.WebhookSecret}
}

// ToolClient makes the requests of tools.
func (c *Config) ToolClient() (*tools.Client, error) {
	return tools.NewClient(tools.HTTPConfig{
		AllowInsecureHosts: c.Tools.AllowInsecureHosts, AllowCIDRs: c.Tools.AllowCIDRs, CAFile: c.Path(c.Tools.CAFile),
	})
}

// Secret is the value of {{secret.name}}.
func (c *Config) Secret(name string) (string, bool) {
	s, ok := c.Secrets[name]
	return s.Value.Reveal(), ok
}

// SecretHosts are the hosts that {{secret.name}} may be sent to, none: any.
func (c *Config) SecretHosts(name string) []string { return c.Secrets[name].Hosts }
