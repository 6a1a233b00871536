package configs

import (
	"encoding/json"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/telephony/trunk"
	"github.com/patchcord/patchcord/tools"
)

// Reader reads what the API is sent, with the checks that files have. Nothing
// in it is expanded, and it names no files: who may use the API is not who may
// read the machine's. Faults name their places as paths: tools[0].config.url.
type Reader struct {
	c    *Config
	deps tools.Deps
}

// Reader makes a reader of values for this configuration.
func (c *Config) Reader() *Reader { return &Reader{c: c, deps: c.toolDeps()} }

// ReadAgent reads an agent from JSON. library are the tools that its ids may
// name; was is the agent in whose place it comes, nil for a new one.
func (r *Reader) ReadAgent(text []byte, library []tools.Definition, was *agent.Agent) (agent.Agent, tools.Faults) {
	var a agent.Agent
	l, at := r.decode(text, &a)
	if l.faults != nil {
		return a, l.told()
	}
	if was == nil {
		was = &agent.Agent{}
	}
	l.noFile("ambience.file", a.Ambience.File, was.Ambience.File, agentFiles)
	l.noFile("hold_sound.file", a.HoldSound.File, was.HoldSound.File, agentFiles)
	l.checkAgent(&a, at, "", library)
	l.agentRefs(r.c, &a, at, "")
	return a, l.told()
}

// ReadTool reads a tool from JSON: of an agent's own, or with nil of the
// library.
func (r *Reader) ReadTool(text []byte, of *agent.Agent) (tools.Definition, tools.Faults) {
	var d tools.Definition
	l, at := r.decode(text, &d)
	if l.faults != nil {
		return d, l.told()
	}
	var vars map[string]any
	if of != nil {
		l.deps, vars = of.ToolDeps(l.deps), of.Variables
	}
	l.tool(&d, "", at, "", vars)
	return d, l.told()
}

// ReadTrunk reads a trunk from JSON. The store checks it beside the others. was
// is the trunk in whose place it comes, nil for a new one.
func (r *Reader) ReadTrunk(text []byte, was *trunk.Config) (trunk.Config, tools.Faults) {
	var c trunk.Config
	l, _ := r.decode(text, &c)
	if was == nil {
		was = &trunk.Config{}
	}
	l.noFile("tls.ca", c.TLS.CA, was.TLS.CA, trunkFiles)
	l.noFile("tls.cert", c.TLS.Cert, was.TLS.Cert, trunkFiles)
	l.noFile("tls.key", c.TLS.Key, was.TLS.Key, trunkFiles)
	return c, l.told()
}

// decode fills dst from JSON, strictly.
func (r *Reader) decode(text []byte, dst any) (*loader, map[string]Pos) {
	l := &loader{deps: r.deps, sent: true}
	if !json.Valid(text) {
		l.faults = append(l.faults, &Fault{What: "no JSON", Do: "send one JSON object"})
		return l, nil
	}
	root, err := tools.ParseJSON(text)
	if err != nil {
		l.faults = append(l.faults, &Fault{What: err.Error()})
		return l, nil
	}
	if _, ok := root.(*ast.MappingNode); !ok {
		l.faults = append(l.faults, &Fault{What: "no object", Do: "send one JSON object"})
		return l, nil
	}
	at, faults := (&checker{json: true, at: map[string]Pos{}}).decode(root, dst)
	l.at, l.faults = at, faults
	return l, at
}

// Where files may be named.
const (
	agentFiles = "name files in the agent's own file, or use sound"
	trunkFiles = "name files in the configuration file, or pin the key"
)

// noFile refuses a file that was not there before.
func (l *loader) noFile(path, file, was, do string) {
	if file != "" && file != was {
		l.faults = append(l.faults, &Fault{
			Path: path, What: "a file of this machine", Do: do,
		})
	}
}

// told are the faults and warnings as those of a tool are told.
func (l *loader) told() tools.Faults {
	var out tools.Faults
	for _, f := range Faults(joined(l.faults)) {
		out = append(out, &tools.Fault{Path: f.Path, What: strings.TrimPrefix(f.What, f.Path+": "), Do: f.Do})
	}
	for _, w := range l.warnings {
		out = append(out, &tools.Fault{Path: w.Path, What: strings.TrimPrefix(w.What, w.Path+": "), Do: w.Do, Warning: true})
	}
	return out
}
