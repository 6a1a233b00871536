package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"unicode/utf8"

	"github.com/goccy/go-yaml"

	"github.com/patchcord/patchcord/configs"
	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/tools"
	"github.com/patchcord/patchcord/tools/wire"
)

// toolsCmd is the library of tools.
type toolsCmd struct {
	List   toolsListCmd   `cmd:"" help:"Show the tools of the configuration, and who uses them."`
	Import toolsImportCmd `cmd:"" help:"Read tools in another platform's form and write them in ours."`
	Test   toolsTestCmd   `cmd:"" help:"Run one tool as a call would, and show what went over the wire."`
}

// toolsListCmd shows the tools of a configuration.
type toolsListCmd struct {
	Config string `short:"c" help:"Configuration; found like that of serve." type:"existingfile" placeholder:"FILE"`
	JSON   bool   `name:"json" help:"One JSON object a line."`
}

// Help is shown by --help.
func (toolsListCmd) Help() string {
	return `Example:
  patchcord tools list -c patchcord.yaml`
}

// listed is one tool and who uses it.
type listed struct {
	Name    string   `json:"name"`
	Type    string   `json:"tool_type"`
	Dialect string   `json:"dialect,omitempty"`
	Enabled bool     `json:"is_enabled"`
	Agents  []string `json:"agents"`
	Shared  bool     `json:"shared"` // of the library
	About   string   `json:"description"`

	def tools.Definition
	of  *agent.Agent // whose own it is
}

// Run lists.
func (c *toolsListCmd) Run(out *output) error {
	cfg, _, done, err := configs.Open(c.Config)
	if err != nil {
		return err
	}
	defer done()
	all := listTools(cfg)
	if c.JSON {
		enc := json.NewEncoder(out.out)
		enc.SetEscapeHTML(false)
		for _, t := range all {
			if err := enc.Encode(t); err != nil {
				return err
			}
		}
		return nil
	}
	w := tabwriter.NewWriter(out.out, 0, 8, 2, ' ', 0)
	for _, t := range all {
		who := strings.Join(t.Agents, ", ")
		if who == "" {
			who = "assigned to no agent"
		}
		if !t.Enabled {
			who += " (disabled)"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", t.Name, strings.TrimSuffix(t.Type+" "+t.Dialect, " "), who, short(t.About, 60))
	}
	return w.Flush()
}

// short is the beginning of a text.
func short(s string, n int) string {
	s = strings.Join(strings.Fields(s), " ")
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n-1]) + "…"
}

// listTools are the tools of the library and those that agents have to
// themselves.
func listTools(cfg *configs.Config) []listed {
	var out []listed
	add := func(d tools.Definition, shared bool, of *agent.Agent, agents []string) {
		if d.Name == "" {
			d.Name = string(d.Type)
		}
		out = append(out, listed{
			Name: d.Name, Type: string(d.Type), Dialect: d.Dialect, Enabled: d.IsEnabled(), Agents: agents,
			Shared: shared, About: d.Description, def: d, of: of,
		})
	}
	for _, d := range cfg.Library {
		agents := []string{}
		for i := range cfg.Agents {
			if a := &cfg.Agents[i]; a.Uses(d.Name) || d.ID != "" && a.Uses(d.ID) {
				agents = append(agents, a.Name)
			}
		}
		add(d, true, nil, agents)
	}
	for i := range cfg.Agents {
		for _, d := range cfg.Agents[i].Tools {
			add(d, false, &cfg.Agents[i], []string{cfg.Agents[i].Name})
		}
	}
	return out
}

// toolsImportCmd reads other platforms' tools.
type toolsImportCmd struct {
	Paths []string `arg:"" name:"path" help:"Files, or folders such as a HubSpot project." type:"path"`
	Out   string   `short:"o" help:"Folder for the files." default:"tools" type:"path" placeholder:"DIR"`
	Force bool     `help:"Write over files that are there."`
	Dry   bool     `name:"dry-run" help:"Only say what would be written."`
	JSON  bool     `name:"json" help:"One JSON object instead of lines."`
}

// Help is shown by --help.
func (toolsImportCmd) Help() string {
	return `Recognises tools of Callin (its fields, English or French), HubSpot
(*-hsmeta.json, or a project's folder), TalkPilot, Flireo (a tool, or an agent
with llm_config.tools) and Dariet, in JSON or YAML, and writes each into a file
of its own. Exits with 1 when one cannot be taken; the others are written.

Example:
  patchcord tools import agent.json
  patchcord tools import my-hubspot-project -o tools`
}

// written is one file that was written.
type written struct {
	Tool string `json:"tool"`
	Form string `json:"form"`
	File string `json:"file"`
}

// Run imports.
func (c *toolsImportCmd) Run(out *output) error {
	var all []wire.Imported
	for _, p := range c.Paths {
		some, err := importPath(p)
		if err != nil {
			some = []wire.Imported{{File: display(p), Notes: []wire.Note{{
				File: display(p), What: strings.TrimPrefix(err.Error(), display(p)+": "), Refused: true,
			}}}}
		}
		all = append(all, some...)
	}
	files, notes := []written{}, []wire.Note{}
	seen := map[string]string{}
	for _, in := range all {
		notes = append(notes, in.Notes...)
		for _, d := range in.Tools {
			file := filepath.Join(c.Out, d.Name+".yaml")
			if first, twice := seen[d.Name]; twice {
				notes = append(notes, wire.Note{
					File: in.File, Tool: d.Name, What: "a second tool of this name (the first is in " + first + ")",
					Do: "rename one of them", Refused: true,
				})
				continue
			}
			seen[d.Name] = in.File
			if err := c.write(file, &d, in); err != nil {
				notes = append(notes, wire.Note{File: in.File, Tool: d.Name, What: err.Error(), Refused: true})
				continue
			}
			files = append(files, written{d.Name, in.Form, display(file)})
		}
	}
	refused := slices.ContainsFunc(notes, func(n wire.Note) bool { return n.Refused })
	if c.JSON {
		enc := json.NewEncoder(out.out)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(map[string]any{"ok": !refused, "tools": files, "notes": notes}); err != nil {
			return err
		}
	} else {
		for _, n := range notes {
			prefix := "note: "
			if n.Refused {
				prefix = ""
			}
			fmt.Fprintln(out.out, prefix+n.String())
		}
		for _, f := range files {
			fmt.Fprintf(out.out, "%s: %s, written to %s\n", f.Tool, f.Form, f.File)
		}
	}
	if refused {
		return errFaults
	}
	return nil
}

// importPath reads a file or a folder.
func importPath(p string) ([]wire.Imported, error) {
	st, err := os.Stat(p)
	if err != nil {
		var pe *os.PathError
		if errors.As(err, &pe) {
			err = pe.Err
		}
		return nil, err
	}
	if st.IsDir() {
		some, err := wire.ImportFS(os.DirFS(p))
		for i := range some {
			some[i].File = filepath.Join(display(p), some[i].File)
			for j := range some[i].Notes {
				some[i].Notes[j].File = filepath.Join(display(p), some[i].Notes[j].File)
			}
		}
		return some, err
	}
	f, err := os.Open(p) //nolint:gosec // named on the command line
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 5<<20))
	if err != nil {
		return nil, err
	}
	one, err := wire.Import(display(p), b)
	return []wire.Imported{one}, err
}

// write writes one definition. One that is there is kept, unless it may be
// written over; of a published action required fields stay as they are (H-19).
func (c *toolsImportCmd) write(file string, d *tools.Definition, in wire.Imported) error {
	if old, _, err := configs.LoadTools(file); err == nil && len(old) == 1 {
		if !c.Force {
			return fmt.Errorf("%s is there already: remove it, or write --force", display(file))
		}
		if in.Form == "hubspot" {
			if err := wire.HubSpotCompatible(&old[0], d); err != nil {
				return err
			}
			if err := wire.HubSpotNext(&old[0], d); err != nil {
				return err
			}
		}
	} else if _, err := os.Stat(file); err == nil && !c.Force {
		return fmt.Errorf("%s is there already: remove it, or write --force", display(file))
	}
	if c.Dry {
		return nil
	}
	b, err := toolYAML(d)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
		return err
	}
	head := fmt.Sprintf("# Imported from %s (%s).\n", filepath.Base(in.File), in.Form)
	return os.WriteFile(file, append([]byte(head), b...), 0o600)
}

// toolYAML is a definition as a file has it.
func toolYAML(d *tools.Definition) ([]byte, error) {
	b, err := json.Marshal(d)
	if err != nil {
		return nil, err
	}
	return yaml.JSONToYAML(b)
}

// toolsTestCmd runs one tool.
type toolsTestCmd struct {
	Name      string   `arg:"" help:"The tool's name."`
	Args      string   `help:"The model's arguments, a JSON object." default:"{}" placeholder:"JSON"`
	Agent     string   `help:"Whose tool it is; default: the first agent that uses it." placeholder:"NAME"`
	Phone     string   `help:"The caller's number." default:"+15550100" placeholder:"NUMBER"`
	Var       vars     `name:"var" help:"A variable of the call." placeholder:"KEY=VALUE"`
	Documents []string `help:"Files or folders for a knowledge_base." type:"path" sep:"none" placeholder:"PATH"`
	Config    string   `short:"c" help:"Configuration; found like that of serve." type:"existingfile" placeholder:"FILE"`
	JSON      bool     `name:"json" help:"One JSON object."`
}

// vars are variables of a call by their names.
type vars map[string]string

// Help is shown by --help.
func (toolsTestCmd) Help() string {
	return `Runs the tool as a phone call would: the same check of the arguments, the same
guard of addresses, signature and timeout. The endpoint is really asked. Shows
request and response with secrets masked, what the model would be told, and in
plain words what is wrong. Exits with 1 unless the tool succeeded.

A knowledge_base looks into the documents that the agent has in the store of the
configuration, or into those that --documents names.

Example:
  patchcord tools test check_order_status --args '{"order_id": "ORD-12345"}'
  patchcord tools test docs --args '{"query": "delivery cost"}' --documents docs`
}

// Run tests.
func (c *toolsTestCmd) Run(ctx context.Context, out *output) error {
	if !json.Valid([]byte(c.Args)) || !strings.HasPrefix(strings.TrimSpace(c.Args), "{") {
		return usagef("--args: %s is no JSON object", c.Args)
	}
	cfg, _, done, err := configs.Open(c.Config)
	if err != nil {
		return err
	}
	defer done()
	all := listTools(cfg)
	i := slices.IndexFunc(all, func(t listed) bool {
		return t.Name == c.Name && (c.Agent == "" || slices.Contains(t.Agents, c.Agent))
	})
	if i < 0 {
		return noTool(c.Name, c.Agent, all)
	}
	client, err := cfg.ToolClient()
	if err != nil {
		return err
	}
	defer client.Close()
	deps := tools.Deps{
		Secrets: cfg.Secret, SecretHosts: cfg.SecretHosts, Client: client, Dialects: wire.Dialects(), Account: cfg.Account(),
	}
	users := []tools.User{}
	env := tools.Env{CallID: "test", Phone: c.Phone, Direction: "inbound", Vars: map[string]any{}}
	for j := range cfg.Agents {
		a := &cfg.Agents[j]
		if !slices.Contains(all[i].Agents, a.Name) {
			continue
		}
		users = append(users, tools.User{Agent: a.Name, Prompt: a.Instructions()})
		if env.AgentID == "" && (c.Agent == "" || c.Agent == a.Name) {
			env.AgentID, deps = string(a.ID), a.ToolDeps(deps)
			for k, v := range a.Variables {
				env.Vars[k] = v
			}
		}
	}
	for k, v := range c.Var {
		env.Vars[k] = v
	}
	if all[i].def.Type == tools.KnowledgeBase {
		env.AgentID = cmp.Or(env.AgentID, "test") // one that nobody uses looks into what is named
		lib, done, err := c.documents(ctx, cfg, env.AgentID)
		if err != nil {
			return err
		}
		defer done()
		deps.Knowledge = lib
	} else if len(c.Documents) > 0 {
		return usagef("--documents: %s is no knowledge_base", c.Name)
	}
	t, err := tools.Try(ctx, all[i].def, deps, tools.Call{Args: json.RawMessage(c.Args), Env: env}, users)
	if err != nil {
		return err
	}
	if c.JSON {
		enc := json.NewEncoder(out.out)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(t); err != nil {
			return err
		}
	} else {
		printTrial(out.out, t)
	}
	if t.Status != tools.OK {
		return errFaults
	}
	return nil
}

func noTool(name, of string, all []listed) error {
	var known []string
	for _, t := range all {
		known = append(known, t.Name)
	}
	if of != "" {
		name += " of " + of
	}
	if len(known) == 0 {
		return fmt.Errorf("there is no tool %s: the configuration has none", name)
	}
	return fmt.Errorf("there is no tool %s; there are: %s", name, strings.Join(known, ", "))
}

// printTrial shows a trial to people.
func printTrial(w io.Writer, t tools.Trial) {
	if r := t.Request; r != nil {
		fmt.Fprintf(w, "> %s %s\n", r.Method, r.URL)
		for _, h := range r.Header {
			fmt.Fprintf(w, "> %s: %s\n", h.Key, h.Value)
		}
		if r.Body != "" {
			fmt.Fprintf(w, ">\n> %s\n", strings.ReplaceAll(r.Body, "\n", "\n> "))
		}
	} else {
		fmt.Fprintln(w, "> nothing was sent")
	}
	if a := t.Response; a != nil {
		fmt.Fprintf(w, "< %d %s\n", a.Status, a.ContentType)
		if a.Body != "" {
			fmt.Fprintf(w, "< %s\n", strings.ReplaceAll(a.Body, "\n", "\n< "))
		}
	}
	fmt.Fprintf(w, "%s after %d ms; the model is told %s\n", t.Status, t.Duration, t.Result)
	for _, h := range t.Hints {
		line := h.Problem
		if h.Cause != "" {
			line += ": " + h.Cause
		}
		fmt.Fprintln(w, "- "+line)
		if h.Solution != "" {
			fmt.Fprintln(w, "  "+h.Solution)
		}
	}
}
