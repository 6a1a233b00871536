package configs

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/patchcord/patchcord/api/delivery"
	"github.com/patchcord/patchcord/engine"
	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/internal/yamlfault"
	"github.com/patchcord/patchcord/tools"
	"github.com/patchcord/patchcord/tools/wire"
)

// loadAgents reads the files of AgentFiles, one agent each.
func (l *loader) loadAgents(c *Config) {
	seen := map[agent.ID]string{}
	for _, path := range l.glob(c.AgentFiles, "agents", c.Dir) {
		if !l.isAgent(path) {
			continue
		}
		a, at, ok := l.agent(path, c.Library)
		if !ok {
			l.agentsFailed = true
			continue
		}
		if first, twice := seen[a.ID]; twice {
			l.faults = append(l.faults, &Fault{
				Pos: place(at, path, "name"), What: fmt.Sprintf("a second agent %q (the first is in %s)", a.ID, first),
				Do: "rename one of them",
			})
			continue
		}
		seen[a.ID] = path
		l.agentRefs(c, a, at, path)
		c.Agents, c.AgentPaths = append(c.Agents, *a), append(c.AgentPaths, c.rel(path))
	}
}

// rel is a path as the configuration names it.
func (c *Config) rel(path string) string {
	if r, err := filepath.Rel(c.Dir, path); err == nil && c.Dir != "" {
		return filepath.ToSlash(r)
	}
	return path
}

// LoadAgent reads one agent's file; library are the tools its tool_ids may
// name, nil where they are not known.
func LoadAgent(path string, library []tools.Definition) (*agent.Agent, []Warning, error) {
	l := loader{
		env: os.LookupEnv, fs: osFS{}, file: path, standalone: true,
		deps: tools.Deps{Dialects: wire.Dialects()},
	}
	a, _, ok := l.agent(path, library)
	if !ok || l.faults != nil {
		return nil, l.warnings, joined(l.faults)
	}
	return a, l.warnings, nil
}

func (l *loader) agent(path string, library []tools.Definition) (*agent.Agent, map[string]Pos, bool) {
	before := len(l.faults)
	root := l.read(path, capitals)
	if root == nil {
		if len(l.faults) == before {
			l.faults = append(l.faults, &Fault{
				Pos: Pos{File: path}, What: "the file is empty", Do: "write an agent: name, prompt, greeting",
			})
		}
		return nil, nil, false
	}
	a := new(agent.Agent)
	at, faults := decode(path, root, a)
	if faults != nil {
		l.faults = append(l.faults, faults...)
		return nil, at, false
	}
	l.sound(&a.Ambience, at, path, "ambience.file")
	l.sound(&a.HoldSound, at, path, "hold_sound.file")
	l.checkAgent(a, at, path, library)
	return a, at, len(l.faults) == before
}

// checkAgent tells everything that is wrong with an agent, and brings it to
// its one shape.
func (l *loader) checkAgent(a *agent.Agent, at map[string]Pos, path string, library []tools.Definition) {
	for _, p := range a.Problems() {
		l.faults = append(l.faults, &Fault{Pos: place(at, path, p.Path), Path: p.Path, What: p.What, Do: p.Do})
	}
	ofLibrary := l.deps
	l.deps = a.ToolDeps(l.deps)
	for i := range a.Tools {
		l.tool(&a.Tools[i], path, at, fmt.Sprintf("tools[%d]", i), a.Variables)
	}
	for i := range a.LLM.Tools {
		l.tool(&a.LLM.Tools[i], path, at, fmt.Sprintf("llm_config.tools[%d]", i), a.Variables)
	}
	l.deps = ofLibrary
	l.webhookEvents(a, at, path)
	a.Normalize()
	l.toolRefs(a, library, at, path)
}

// webhookEvents checks the names of what the agent's webhooks tell.
func (l *loader) webhookEvents(a *agent.Agent, at map[string]Pos, path string) {
	known := delivery.Events()
	for i, name := range a.WebhookEvents {
		if slices.Contains(known, name) {
			continue
		}
		key := fmt.Sprintf("webhook_events[%d]", i)
		l.faults = append(l.faults, &Fault{
			Pos: place(at, path, key), Path: key,
			What: fmt.Sprintf("there is no event %q", name), Do: yamlfault.Suggest(name, known),
		})
	}
	if len(a.WebhookEvents) > 0 && a.WebhookURL == "" {
		l.warnings = append(l.warnings, Warning{
			Pos: place(at, path, "webhook_events"), Path: "webhook_events",
			What: "events are asked for and there is no webhook_url", Do: "write webhook_url: https://…",
		})
	}
}

// sound checks that a sound's file, named relative to the agent's, can be
// played.
func (l *loader) sound(s *agent.Sound, at map[string]Pos, path, key string) {
	if s.File == "" {
		return
	}
	if !filepath.IsAbs(s.File) {
		s.File = filepath.Join(filepath.Dir(path), s.File)
	}
	if _, err := engine.ReadSound(s.File); err != nil {
		l.faults = append(l.faults, &Fault{
			Pos: place(at, path, key), Path: key, What: err.Error(),
			Do: "name a WAV file of 16-bit samples, at most 5 minutes long",
		})
	}
}

// toolRefs checks that every name of a tool leads to one.
func (l *loader) toolRefs(a *agent.Agent, library []tools.Definition, at map[string]Pos, path string) {
	var inline, shared []string
	for _, t := range a.Tools {
		inline = append(inline, cmp.Or(t.Name, string(t.Type)))
	}
	for _, t := range library {
		shared = append(shared, t.Name)
		if t.ID != "" {
			shared = append(shared, t.ID)
		}
	}
	look := func(form string, ids, known []string) {
		for i, id := range ids {
			key := fmt.Sprintf(form, i)
			if slices.Contains(known, id) {
				continue
			}
			do := "name one of: " + strings.Join(known, ", ")
			if len(known) == 0 {
				do = "there is none yet: write one in tools/*.yaml"
			}
			if k := yamlfault.Nearest(id, known); k != "" {
				do = fmt.Sprintf("did you mean %q?", k)
			}
			l.faults = append(l.faults, &Fault{
				Pos: place(at, path, key), Path: key, What: fmt.Sprintf("no tool %q", id), Do: do,
			})
		}
	}
	if library == nil && l.standalone {
		return
	}
	look("tool_ids[%d]", a.ToolIDs, shared)
	known := append(inline, shared...)
	look("pre_call_tool_ids[%d]", a.PreCallTools, known)
	for i, n := range a.Flow.Nodes {
		at := fmt.Sprintf("flow.nodes[%d].", i)
		look(at+"tool_ids[%d]", n.ToolIDs, known)
		look(at+"pre_actions[%d].tool_id", toolsOf(n.PreActions), known)
		look(at+"post_actions[%d].tool_id", toolsOf(n.PostActions), known)
	}
}

func toolsOf(actions []agent.Action) (out []string) {
	for _, a := range actions {
		out = append(out, a.Tool)
	}
	return out
}

// agentRefs checks that the providers an agent names exist.
func (l *loader) agentRefs(c *Config, a *agent.Agent, at map[string]Pos, path string) {
	look := func(kind, key, name string, p Providers) {
		if _, ok := p.Find(name); ok {
			return
		}
		f := &Fault{Pos: place(at, path, key), Path: key}
		if name == "" {
			f.What = fmt.Sprintf("the agent names no %s provider, and the configuration has no default", kind)
			f.Do = fmt.Sprintf("write %s: {default: NAME, …} in %s", kind, l.file)
		} else {
			l.noSuch(f.Pos, kind+" provider", name, p.Names()).Path = key
			return
		}
		l.faults = append(l.faults, f)
	}
	if sum := a.LLM.Summary; sum != nil && sum.Provider != "" {
		look("llm", "llm_config.summary.provider", sum.Provider, c.LLM)
	}
	if name := a.AnalysisPlan.Provider; name != "" {
		look("llm", "analysis_plan.provider", name, c.LLM)
	}
	if a.Realtime != "" {
		look("realtime", "realtime", a.Realtime, c.Realtime)
		for _, o := range []struct { // it needs none of them: what it names must be there
			kind, key, name string
			p               Providers
		}{
			{"llm", "llm_config.provider", a.LLM.Provider, c.LLM}, {"stt", "stt", a.STT, c.STT}, {"tts", "tts", a.TTS, c.TTS},
		} {
			if o.name != "" {
				look(o.kind, o.key, o.name, o.p)
			}
		}
		return
	}
	look("llm", "llm_config.provider", a.LLM.Provider, c.LLM)
	look("stt", "stt", a.STT, c.STT)
	look("tts", "tts", a.TTS, c.TTS)
	for i, t := range a.Languages {
		if t.STT != "" {
			look("stt", fmt.Sprintf("languages[%d].stt", i), t.STT, c.STT)
		}
		if t.TTS != "" {
			look("tts", fmt.Sprintf("languages[%d].tts", i), t.TTS, c.TTS)
		}
	}
}

// isAgent tells an agent's file from the other files of the same folder, such
// as rules: it has a name, or none of their keys.
func (l *loader) isAgent(path string) bool {
	text, err := l.fs.ReadFile(path)
	if err != nil {
		return true // read tells the fault
	}
	return Kind(text) != KindRules
}

// place is where a path stands, or the nearest value around it.
func place(at map[string]Pos, file, path string) Pos {
	return (&loader{at: at, file: file}).pos(path)
}

// rootKeys are the keys a file begins with.
func rootKeys(text []byte) map[string]ast.Node {
	out := map[string]ast.Node{}
	root, err := parse("", text)
	if err != nil || root == nil {
		return out
	}
	pairs, _ := yamlfault.Pairs(root)
	for _, v := range pairs {
		out[yamlfault.Key(v)] = v.Value
	}
	return out
}
