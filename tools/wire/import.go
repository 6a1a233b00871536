package wire

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/parser"

	"github.com/patchcord/patchcord/tools"
)

// Imported is what was read from one file.
type Imported struct {
	File  string             `json:"file"`
	Form  string             `json:"form"` // callin, hubspot, talkpilot, flireo, dariet; patchcord for our own
	Tools []tools.Definition `json:"tools"`
	At    []string           `json:"-"` // where in the file each of Tools stands, as in Note
	Notes []Note             `json:"notes,omitempty"`
}

// Note is something of a file that was not taken as it stands, or that its maker
// should look at.
type Note struct {
	File    string `json:"file"`
	Tool    string `json:"tool,omitempty"`
	At      string `json:"at,omitempty"` // where in the file the tool stands: data[2]; "" of the only one
	Field   string `json:"field,omitempty"`
	What    string `json:"what"`
	Do      string `json:"do,omitempty"`
	Refused bool   `json:"refused,omitempty"` // the tool was left out for it
}

func (n Note) String() string {
	s := n.File
	for _, part := range []string{cmp.Or(n.Tool, n.At), n.Field, n.What} {
		if part != "" {
			s += ": " + part
		}
	}
	if n.Do != "" {
		s += "; " + n.Do
	}
	return s
}

// maxFile is the largest file that is read, bytes.
const maxFile = 4 << 20

// ErrNoForm tells that a file is in none of the forms.
var ErrNoForm = errors.New("this is no tool in a form that is known: a HubSpot *-hsmeta.json, a Flireo agent or " +
	"tool, a TalkPilot tool or list, a Dariet tool, the fields of a Callin tool, or our own")

// Import reads a file of tools, JSON or YAML, in whichever of the five forms it
// is, or our own. name is for the notes. A tool that cannot be used is left out
// and its faults are noted; the error is of a file that holds none at all.
func Import(name string, data []byte) (out Imported, err error) {
	out.File = name
	if len(data) > maxFile {
		return out, fmt.Errorf("%s: larger than 4 MB", name)
	}
	doc, err := JSON(data)
	if err != nil {
		return out, fmt.Errorf("%s: %w", name, err)
	}
	in := &importer{out: &out}
	if err := in.read(doc); err != nil {
		return out, fmt.Errorf("%s: %w", name, err)
	}
	return out, nil
}

// JSON is a document of JSON or YAML as JSON, its keys in their order.
func JSON(data []byte) (_ json.RawMessage, err error) {
	defer func() { // of the YAML library
		if p := recover(); p != nil {
			err = fmt.Errorf("cannot be read (%v)", p)
		}
	}()
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	if json.Valid(data) {
		return bytes.TrimSpace(data), nil
	}
	f, err := parser.ParseBytes(data, 0)
	if err != nil {
		first, _, _ := strings.Cut(err.Error(), "\n")
		return nil, fmt.Errorf("neither JSON nor YAML: %s", first)
	}
	if len(f.Docs) == 0 || f.Docs[0].Body == nil {
		return nil, errors.New("the file is empty")
	}
	b, err := tools.Config{Node: f.Docs[0].Body}.MarshalJSON()
	if err != nil {
		return nil, err
	}
	return b, nil
}

// importer gathers the tools of one file.
type importer struct {
	out  *Imported
	tool string // that is being read
	at   string // where it stands
}

func (in *importer) note(field, what, do string) {
	n := Note{File: in.out.File, Tool: in.tool, At: in.at, Field: field, What: what, Do: do}
	in.out.Notes = append(in.out.Notes, n)
}

// read finds the tools of a document: one, a list, or a list under data or tools.
func (in *importer) read(doc json.RawMessage) error {
	var list []json.RawMessage
	if json.Unmarshal(doc, &list) == nil {
		return in.all("", list)
	}
	var keys map[string]json.RawMessage
	if json.Unmarshal(doc, &keys) != nil {
		return ErrNoForm
	}
	if llm, ok := keys["llm_config"]; ok {
		return in.flireoAgent(keys, llm)
	}
	for _, k := range []string{"data", "tools"} {
		if l, ok := keys[k]; ok && json.Unmarshal(l, &list) == nil {
			return in.all(k, list)
		}
	}
	return in.one(doc)
}

func (in *importer) all(under string, list []json.RawMessage) error {
	if len(list) == 0 {
		return errors.New("an empty list of tools")
	}
	for i, item := range list {
		in.at = fmt.Sprintf("%s[%d]", under, i)
		if err := in.one(item); err != nil {
			return fmt.Errorf("%s: %w", in.at, err)
		}
	}
	return nil
}

// one reads one tool.
func (in *importer) one(item json.RawMessage) error {
	var keys map[string]json.RawMessage
	if json.Unmarshal(item, &keys) != nil {
		return ErrNoForm
	}
	in.tool = text(keys["name"])
	read, form := in.form(keys)
	if read == nil {
		return ErrNoForm
	}
	d, err := read(item)
	if err != nil {
		in.refuse("", err.Error(), "")
		return in.as(form)
	}
	in.take(d)
	return in.as(form)
}

// as says of what form the file is; one file is in one.
func (in *importer) as(form string) error {
	if in.out.Form != "" && in.out.Form != form {
		return fmt.Errorf("a file with tools of %s and of %s: write them into files of their own", in.out.Form, form)
	}
	in.out.Form = form
	return nil
}

// form tells a tool's form by its keys.
func (in *importer) form(keys map[string]json.RawMessage) (func(json.RawMessage) (tools.Definition, error), string) {
	has := func(k string) bool { _, ok := keys[k]; return ok }
	switch {
	case has("tool_type") && (has("dialect") || text(keys["tool_type"]) == "mcp"):
		return in.own, "patchcord"
	case has("tool_type"):
		return in.own, "talkpilot"
	case text(keys["type"]) == "workflow-action", has("uid") && isAction(keys["config"]):
		return in.action, "hubspot"
	case has("webhook_url"):
		return in.dariet, "dariet"
	case isFlireo(keys):
		return in.flireo, "flireo"
	case isCallin(keys):
		return in.callin, "callin"
	}
	return nil, ""
}

// isAction tells a workflow action from other components of an app.
func isAction(config json.RawMessage) bool {
	var keys map[string]json.RawMessage
	return json.Unmarshal(config, &keys) == nil && (keys["actionUrl"] != nil || keys["toolType"] != nil)
}

// refuse leaves the present tool out.
func (in *importer) refuse(field, what, do string) {
	in.note(field, what, do)
	in.out.Notes[len(in.out.Notes)-1].Refused = true
}

// take adds a tool, unless it cannot be used.
func (in *importer) take(d tools.Definition) {
	in.tool = d.Name
	faults := d.Validate(tools.Deps{Dialects: Dialects()})
	for _, f := range faults {
		switch {
		case f.NotYet:
		case f.Warning:
			in.note(f.Path, f.What, f.Do)
		default:
			in.refuse(f.Path, f.What, f.Do)
		}
	}
	if faults.Err() == nil {
		in.out.Tools, in.out.At = append(in.out.Tools, d), append(in.out.At, in.at)
	}
}

// leftOut notes keys that mean nothing here.
func (in *importer) leftOut(item json.RawMessage, v any, but ...string) {
	for _, k := range unknownKeys(item, v) {
		if !slices.Contains(but, k) {
			in.note(k, "this key is not known and is left out", "")
		}
	}
}

// own reads a tool of TalkPilot's data model, which is ours.
func (in *importer) own(item json.RawMessage) (d tools.Definition, err error) {
	in.leftOut(item, &struct {
		tools.Definition
		Config     json.RawMessage `json:"config"`
		Parameters json.RawMessage `json:"parameters"`
		AgentID    string          `json:"agent_id"`
		Created    string          `json:"created_at"`
		Updated    string          `json:"updated_at"`
	}{}, "agent_id", "created_at", "updated_at")
	if err := json.Unmarshal(item, &d); err != nil {
		return d, fmt.Errorf("cannot be read: %w", err)
	}
	return d, nil
}

// action reads a workflow action of HubSpot's.
func (in *importer) action(item json.RawMessage) (d tools.Definition, err error) {
	cfg, err := tools.NewConfig(struct {
		Meta   json.RawMessage `json:"hsmeta"`
		Secret string          `json:"client_secret"`
	}{item, "{{secret.hubspot}}"})
	if err != nil {
		return d, err
	}
	d = tools.Definition{Type: tools.Webhook, Dialect: "hubspot", Config: cfg}
	if err := Resolve(&d, nil); err != nil {
		return d, err
	}
	in.tool = d.Name
	in.note("config.client_secret", "requests are signed with the app's client secret",
		"write it under secrets: {hubspot: …}")
	return d, nil
}

func (in *importer) dariet(item json.RawMessage) (tools.Definition, error) {
	in.leftOut(item, &darietDefinition{}, "created_at", "updated_at")
	return readDariet(item)
}

// ImportFS reads a folder: a HubSpot project, or one with files of tools. Files
// that are none are left out; those whose names say that they should be are
// noted.
func ImportFS(fsys fs.FS) ([]Imported, error) {
	var out []Imported
	project := ""
	var files []string
	err := fs.WalkDir(fsys, ".", func(p string, d fs.DirEntry, err error) error {
		switch name := path.Base(p); {
		case err != nil:
			return err
		case d.IsDir() && (strings.HasPrefix(name, ".") && name != "." || name == "node_modules"):
			return fs.SkipDir
		case d.IsDir():
		case name == "hsproject.json":
			project = p
		case slices.Contains([]string{".json", ".yaml", ".yml"}, path.Ext(name)):
			files = append(files, p)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the folder: %w", err)
	}
	for _, p := range files {
		isMeta := strings.HasSuffix(p, "-hsmeta.json")
		if project != "" && !isMeta {
			continue
		}
		b, err := fs.ReadFile(fsys, p)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p, err)
		}
		one, err := Import(p, b)
		switch {
		case errors.Is(err, ErrNoForm) && (isMeta || project != ""):
			continue // of another component of the app
		case errors.Is(err, ErrNoForm):
			one.Notes = append(one.Notes, Note{File: p, What: "no tool in a form that is known: left out"})
		case err != nil:
			one.Notes = append(one.Notes, Note{File: p, What: strings.TrimPrefix(err.Error(), p+": "), Refused: true})
		case isMeta && path.Base(path.Dir(p)) != "workflow-actions": // H-01
			one.Notes = append(one.Notes, Note{
				File: p, What: "an action outside of the folder workflow-actions", Do: "move it to app/workflow-actions",
			})
		}
		out = append(out, one)
	}
	if project != "" {
		if n := platform(fsys, project); n != nil && len(out) > 0 {
			out[0].Notes = append([]Note{*n}, out[0].Notes...)
		}
	}
	if len(out) == 0 {
		return nil, errors.New("no file of tools in this folder")
	}
	return out, nil
}

// platform looks at a project's platform version (H-01).
func platform(fsys fs.FS, file string) *Note {
	const want = "2025.2"
	var p struct {
		Version string `json:"platformVersion"`
	}
	b, err := fs.ReadFile(fsys, file)
	if err == nil {
		err = json.Unmarshal(b, &p)
	}
	if err == nil && p.Version == want {
		return nil
	}
	return &Note{
		File: file, Field: "platformVersion", What: fmt.Sprintf("%q: agent tools need %s", p.Version, want),
		Do: "set platformVersion to " + want,
	}
}
