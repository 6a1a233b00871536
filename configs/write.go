package configs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/internal/secret"
	"github.com/patchcord/patchcord/internal/yamlfault"
	"github.com/patchcord/patchcord/telephony/trunk"
	"github.com/patchcord/patchcord/tools"
)

// Objects is what a store holds and files may hold.
type Objects struct {
	Agents  []agent.Agent
	Library []tools.Definition
	Trunks  []trunk.Config
	Numbers []trunk.Number
}

// Write makes a configuration like c in a folder, with these objects in place
// of those that c's files hold. Of its own files it takes those that providers
// name. No secret is written: each is a variable, and the variables to be set
// are told. The folder may be there and must be empty.
func Write(dir string, c *Config, o Objects) (variables []string, err error) {
	w := &writer{dir: dir, c: c}
	if err := w.write(o); err != nil {
		return nil, fmt.Errorf("configs: write %s: %w", dir, err)
	}
	return w.variables, nil
}

type writer struct {
	dir       string
	c         *Config
	variables []string
}

func (w *writer) write(o Objects) error {
	agents, err := folder("agents", w.c.AgentFiles, len(o.Agents))
	if err != nil {
		return err
	}
	library, err := folder("tools.files", w.c.Tools.Files, len(o.Library))
	if err != nil {
		return err
	}
	if agents == library && agents != "" {
		return errors.New("agents and tools.files name one folder; give each its own")
	}
	if err := os.MkdirAll(w.dir, 0o750); err != nil {
		return err
	}
	if have, err := os.ReadDir(w.dir); err != nil || len(have) > 0 {
		return errors.Join(err, errors.New("the folder is not empty"))
	}
	text, err := w.config(o)
	if err != nil {
		return err
	}
	if err := w.file("patchcord.yaml", text); err != nil {
		return err
	}
	for _, a := range o.Agents {
		if err := w.agent(agents, a); err != nil {
			return fmt.Errorf("agent %s: %w", a.Name, err)
		}
	}
	if len(o.Library) == 0 {
		return nil
	}
	b, err := asYAML(map[string]any{"tools": o.Library})
	if err != nil {
		return err
	}
	return w.file(path.Join(library, "library.yaml"), b)
}

// folder is where the files of a pattern are.
func folder(key, pattern string, needed int) (string, error) {
	dir, file := path.Split(filepath.ToSlash(pattern))
	if dir = path.Clean(dir); file == "*.yaml" && filepath.IsLocal(dir) && dir != "." && !strings.ContainsAny(dir, "*?[") {
		return dir, nil
	}
	if needed == 0 {
		return "", nil
	}
	return "", fmt.Errorf("%s: %q names no folder to write to; write one such as \"agents/*.yaml\"", key, pattern)
}

// file makes a file that is not there yet.
func (w *writer) file(name string, text []byte) error {
	full := filepath.Join(w.dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(full), 0o750); err != nil { //nolint:gosec // in the operator's folder
		return err
	}
	f, err := os.OpenFile(full, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // in the operator's folder
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Close())
}

// free is a file name that nothing has yet.
func (w *writer) free(dir, name, ext string) string {
	for n := 1; ; n++ {
		try := path.Join(dir, name+ext)
		if n > 1 {
			try = path.Join(dir, fmt.Sprintf("%s-%d%s", name, n, ext))
		}
		if _, err := os.Lstat(filepath.Join(w.dir, try)); errors.Is(err, fs.ErrNotExist) {
			return try
		}
	}
}

var notInNames = regexp.MustCompile(`[^a-z0-9]+`)

func fileName(s string) string {
	s = strings.Trim(notInNames.ReplaceAllString(strings.ToLower(s), "-"), "-")
	if s == "" {
		return "agent"
	}
	return s[:min(len(s), 60)]
}

// variable is what stands for a secret in a file. asYAML would escape it.
func (w *writer) variable(parts ...string) string {
	name := strings.ToUpper("PATCHCORD_" + strings.ReplaceAll(fileName(strings.Join(parts, "-")), "-", "_"))
	for n := 2; slices.Contains(w.variables, name); n++ {
		name = fmt.Sprintf("%s_%d", strings.TrimRight(name, "_0123456789"), n)
	}
	w.variables = append(w.variables, name)
	return name
}

const secretMark = "\x01secret\x02" // no text that is kept has it

// unmark turns marks into variables.
func unmark(b []byte) []byte {
	mark := strings.Trim(quoted(secretMark), `"`)
	return []byte(strings.ReplaceAll(string(b), mark, "$"))
}

func (w *writer) agent(dir string, a agent.Agent) error {
	if string(a.ID) == a.Name {
		a.ID = ""
	}
	if a.WebhookSecret != "" {
		a.WebhookSecret = secretMark + "{" + w.variable(a.Name, "webhook_secret") + "}"
	}
	for _, s := range []*agent.Sound{&a.Ambience, &a.HoldSound} {
		if s.File == "" {
			continue
		}
		sound, err := os.ReadFile(s.File)
		if err != nil {
			return err
		}
		base := filepath.Base(s.File)
		name := w.free(dir, strings.TrimSuffix(base, filepath.Ext(base)), filepath.Ext(base))
		if err := w.file(name, sound); err != nil {
			return err
		}
		s.File = path.Base(name)
	}
	b, err := asYAML(a)
	if err != nil {
		return err
	}
	return w.file(w.free(dir, fileName(a.Name), ".yaml"), unmark(b))
}

// config is the configuration's own text, every comment in its place, with
// other trunks and numbers.
func (w *writer) config(o Objects) ([]byte, error) {
	text := Default()
	if w.c.File != "" {
		var err error
		if text, err = os.ReadFile(w.c.File); err != nil {
			return nil, err
		}
	}
	if err := w.takeFiles(text); err != nil {
		return nil, err
	}
	trunks := slices.Clone(o.Trunks)
	for i := range trunks {
		if t := &trunks[i]; *t.Credential() != "" {
			*t.Credential() = secret.Text(secretMark + "{" + w.variable(t.Name, t.CredentialKey()) + "}")
		}
	}
	out := string(text)
	for _, part := range []struct {
		key   string
		value any
		n     int
	}{{"trunks", plainTrunks(trunks), len(trunks)}, {"numbers", o.Numbers, len(o.Numbers)}} {
		b, err := asYAML(map[string]any{part.key: part.value})
		if err != nil {
			return nil, err
		}
		out = replaceKey(out, part.key, string(unmark(b)))
	}
	known := func(id string) bool {
		return slices.ContainsFunc(o.Agents, func(a agent.Agent) bool { return string(a.ID) == id || a.Name == id })
	}
	if id := string(w.c.DefaultAgent); id != "" && !known(id) {
		out = replaceKey(out, "default_agent", "default_agent: \"\"   # "+id+" is not there any more\n")
	}
	return []byte(out), nil
}

// plainTrunks shows the secrets, which are marks by now.
func plainTrunks(trunks []trunk.Config) []any {
	out := make([]any, 0, len(trunks))
	for _, c := range trunks {
		password, token := c.Password.Reveal(), c.AuthToken.Reveal()
		c.Password, c.AuthToken = "", ""
		t := struct {
			trunk.Config
			Password  string `yaml:"password"`
			AuthToken string `yaml:"auth_token"`
		}{c, password, token}
		out = append(out, t)
	}
	return out
}

// replaceKey puts other lines in the place of a key at the top of a file.
func replaceKey(text, key, lines string) string {
	all := strings.SplitAfter(text, "\n")
	at := slices.IndexFunc(all, func(l string) bool {
		rest, ok := strings.CutPrefix(strings.Trim(l, `"'`), key)
		return ok && strings.HasPrefix(strings.TrimLeft(rest, `"' `), ":")
	})
	if at < 0 {
		if text != "" && !strings.HasSuffix(text, "\n") {
			text += "\n"
		}
		return text + lines
	}
	last := at
	for i := at + 1; i < len(all); i++ {
		l := strings.TrimRight(all[i], "\r\n")
		if strings.TrimSpace(l) == "" || strings.HasPrefix(strings.TrimSpace(l), "#") {
			continue // of this key where more of it follows
		}
		if !strings.ContainsAny(l[:1], " \t-]}") {
			break
		}
		last = i
	}
	return strings.Join(slices.Replace(all, at, last+1, lines), "")
}

// takeFiles copies the files that providers and listeners name.
func (w *writer) takeFiles(text []byte) error {
	root, err := parse(w.c.File, text)
	if err != nil {
		return err
	}
	pairs, _ := yamlfault.Pairs(root)
	for _, p := range pairs {
		if !slices.Contains([]string{"llm", "stt", "tts", "realtime", "sip"}, yamlfault.Key(p)) {
			continue
		}
		if err := w.takeNamed(p.Value); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) takeNamed(n ast.Node) error {
	if pairs, ok := yamlfault.Pairs(n); ok {
		for _, p := range pairs {
			if err := w.takeNamed(p.Value); err != nil {
				return err
			}
		}
		return nil
	}
	s, ok := n.(*ast.StringNode)
	if !ok || !filepath.IsLocal(s.Value) {
		return nil
	}
	st, err := os.Stat(w.c.Path(s.Value)) //nolint:gosec // the operator names it
	if err != nil || !st.Mode().IsRegular() {
		return nil //nolint:nilerr // no file is meant
	}
	b, err := os.ReadFile(w.c.Path(s.Value)) //nolint:gosec // the operator names it
	if err != nil {
		return err
	}
	if err := w.file(filepath.ToSlash(s.Value), b); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}
