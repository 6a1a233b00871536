package configs

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/patchcord/patchcord/tools"
)

//go:embed patchcord.yaml agents
var builtin embed.FS

// Default is the text of the annotated default file.
func Default() []byte {
	b, err := builtin.ReadFile("patchcord.yaml")
	if err != nil {
		panic(err) // embedded at build time
	}
	return b
}

// Load reads a configuration file with the agents and tools it names; "" for
// the built-in default. The error joins every fault found, each a *Fault
// (see Faults).
func Load(path string) (*Config, []Warning, error) {
	l := loader{env: os.LookupEnv, fs: osFS{}}
	if path == "" {
		l.fs, l.embedded = builtin, true
		return l.load("patchcord.yaml", "")
	}
	return l.load(path, filepath.Dir(path))
}

// Open is Load for a command: a path that is empty is looked for (see Find),
// and where there is none the built-in files are written to a folder of their
// own, which done removes.
func Open(path string) (c *Config, w []Warning, done func(), err error) {
	done = func() {}
	if path == "" {
		path = Find()
	}
	if path == "" {
		dir, err := os.MkdirTemp("", "patchcord-")
		if err != nil {
			return nil, nil, done, fmt.Errorf("configs: a folder for the built-in files: %w", err)
		}
		done = func() { _ = os.RemoveAll(dir) }
		if err := Export(dir); err != nil {
			done()
			return nil, nil, func() {}, fmt.Errorf("configs: write the built-in files: %w", err)
		}
		path = filepath.Join(dir, "patchcord.yaml")
	}
	if c, w, err = Load(path); err != nil {
		done()
		done = func() {}
	}
	return c, w, done, err
}

// Export writes the built-in default files into a folder, for a start of
// one's own. Files that exist are an error; nothing is overwritten.
func Export(dir string) error {
	return os.CopyFS(dir, builtin)
}

// files is what a loader needs of a file system; paths are those of the
// operating system for osFS.
type files interface {
	ReadFile(name string) ([]byte, error)
}

type osFS struct{}

func (osFS) ReadFile(name string) ([]byte, error) { return os.ReadFile(name) } //nolint:gosec // the operator names it

type loader struct {
	env      func(string) (string, bool)
	fs       files
	file     string
	warnings []Warning
	faults   []error
	at       map[string]Pos
	deps     tools.Deps

	agentsFailed bool // names of agents cannot be checked
	standalone   bool // a file without its configuration
	sent         bool // a value of the API's, in no file
	embedded     bool // the built-in file, whose neighbours are in no folder
}

func (l *loader) load(path, dir string) (*Config, []Warning, error) {
	c := withDefaults()
	c.File, c.Dir, l.file = path, dir, path
	if l.embedded {
		c.File = ""
	}
	root := l.read(path, nil)
	if root != nil {
		var faults []error
		l.at, faults = decode(path, root, c)
		l.faults = append(l.faults, faults...)
	}
	if l.faults != nil {
		return nil, l.warnings, joined(l.faults)
	}
	for _, p := range []*Providers{&c.LLM, &c.STT, &c.TTS, &c.Realtime} {
		p.in(path)
	}
	for i := range c.Trunks {
		c.Trunks[i].TLS.In(c.Path)
	}
	l.deps = c.toolDeps()
	l.loadTools(c)
	l.loadAgents(c)
	l.check(c)
	slices.SortStableFunc(l.warnings, func(a, b Warning) int { return a.Line - b.Line })
	if l.faults != nil {
		return nil, l.warnings, joined(l.faults)
	}
	return c, l.warnings, nil
}

// read parses and prepares one file; nil when it is empty or has faults.
func (l *loader) read(path string, variables func(string) bool) ast.Node {
	text, err := l.fs.ReadFile(path)
	if err != nil {
		what := err.Error()
		var pe *fs.PathError
		if errors.As(err, &pe) {
			what = pe.Err.Error()
		}
		l.faults = append(l.faults, &Fault{Pos: Pos{File: path}, What: what, Do: "name a file that can be read"})
		return nil
	}
	root, err := parse(path, text)
	if err != nil {
		l.faults = append(l.faults, err)
		return nil
	}
	p := prepare{file: path, env: l.env, only: variables, anchors: map[string]ast.Node{}}
	if root != nil {
		root = p.node(root, 0)
	}
	if p.nodes > maxNodes {
		p.faults = append(p.faults, &Fault{Pos: Pos{File: path}, What: "the file has too many values"})
	}
	l.warnings = append(l.warnings, p.unset...)
	l.faults = append(l.faults, p.faults...)
	if p.faults != nil {
		return nil
	}
	return root
}

// glob are the files of a pattern relative to the configuration.
func (l *loader) glob(pattern, key, dir string) []string {
	if pattern == "" {
		return nil
	}
	if !filepath.IsAbs(pattern) {
		pattern = filepath.Join(dir, pattern)
	}
	var found []string
	var err error
	if f, ok := l.fs.(fs.FS); ok {
		found, err = fs.Glob(f, filepath.ToSlash(pattern))
	} else {
		found, err = filepath.Glob(pattern)
	}
	if err != nil {
		l.fault(key, "the pattern "+pattern+" is not one", `write one such as "agents/*.yaml"`)
	}
	if len(found) == 0 && !strings.ContainsAny(pattern, "*?[") {
		l.fault(key, "no file "+pattern, "name a file that exists, or a pattern such as agents/*.yaml")
	}
	slices.Sort(found)
	return found
}

func (l *loader) fault(path, what, do string) {
	l.faults = append(l.faults, &Fault{Pos: l.pos(path), What: what, Do: do})
}

func (l *loader) warn(path, what, do string) {
	l.warnings = append(l.warnings, Warning{Pos: l.pos(path), What: what, Do: do})
}

// pos is where a value stands, or the nearest one around it.
func (l *loader) pos(path string) Pos {
	for path != "" {
		if p, ok := l.at[path]; ok {
			return p
		}
		path = path[:max(0, strings.LastIndexAny(path, ".["))]
	}
	return Pos{File: l.file}
}
