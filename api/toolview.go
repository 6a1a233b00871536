package api

import (
	"context"
	"reflect"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/internal/secret"
	"github.com/patchcord/patchcord/store"
	"github.com/patchcord/patchcord/tools"
)

// Tool is a tool as the API shows it (T-02).
type Tool struct {
	tools.Definition
	AgentID     string    `json:"agent_id,omitempty" doc:"Whose own it is; absent in the library"`
	DisplayName string    `json:"display_name"`
	Enabled     bool      `json:"is_enabled"`
	CreatedAt   time.Time `json:"created_at"`
	UpdatedAt   time.Time `json:"updated_at"`
	UpdatedBy   string    `json:"updated_by,omitempty" doc:"Name of the API key that changed it last"`
	Revision    int64     `json:"revision" doc:"Counts its changes from 1"`
	Source      string    `json:"source,omitempty" doc:"The file that it comes from"`
	Warnings    []Fault   `json:"warnings,omitempty" doc:"Advice: it works, but perhaps not as meant"`
	// Resolved is told where one tool is asked for; of one that cannot run, with
	// the configuration as it is now, there is none.
	Resolved *ResolvedTool `json:"resolved,omitempty" doc:"The form that calls go by: what it means here, whatever keys it was written in"`
}

// ResolvedTool is a tool in our own keys: those of its platform read, and
// defaults filled in.
type ResolvedTool struct {
	Name        string       `json:"name"`
	Description string       `json:"description" doc:"What the model is told"`
	Parameters  tools.Schema `json:"parameters" doc:"JSON Schema of the arguments"`
	Class       tools.Class  `json:"class" enum:"read,effect,terminal,async"`
	Timeout     float64      `json:"timeout" doc:"Seconds"`
	MaxFailures int          `json:"max_failures" doc:"Failures in a row after which it is refused; 0: no limit"`
	Speech      tools.Speech `json:"speech" doc:"What is said around it"`
}

// ToolInput is a tool as it is sent.
type ToolInput struct{ tools.Definition }

// ofTool are what answers have besides the definition; bodies may repeat it.
var ofTool = []string{
	"id", "agent_id", "created_at", "updated_at", "updated_by", "revision", "source", "warnings", "resolved",
}

func toolView(t store.Tool) Tool {
	return Tool{
		Definition: t.Definition, AgentID: string(t.Agent), DisplayName: t.DisplayName, Enabled: t.IsEnabled(),
		CreatedAt: t.Created, UpdatedAt: t.Updated, UpdatedBy: t.By, Revision: t.Revision, Source: t.Source,
	}
}

// shownTool is a tool as the caller sees it: who may not change it sees no
// credentials in it (SEC-10). Who may could have them sent anywhere.
func shownTool(ctx context.Context, t store.Tool) Tool {
	v := toolView(t)
	if who := caller(ctx); !who.may("tools:write") || t.Agent == "" && len(who.Agents) > 0 {
		v.Definition = v.Definition.Shown()
	}
	return v
}

// resolved is the form that calls of a tool go by.
func (s *Server) resolved(ctx context.Context, t store.Tool) *ResolvedTool {
	deps := s.cfg.Tools
	deps.Servers = nil // nobody is asked for it
	if t.Agent != "" {
		a, err := s.cfg.Objects.Agent(ctx, t.Agent)
		if err != nil {
			return nil
		}
		deps = a.ToolDeps(deps)
	}
	set, _ := tools.Build([]tools.Definition{t.Definition}, deps) // its faults were told when it was changed
	all := set.Tools()
	if len(all) != 1 {
		return nil
	}
	d := all[0].Definition()
	return &ResolvedTool{
		Name: d.Name, Description: d.Description, Parameters: tools.Schema(all[0].Schema()), Class: d.Class,
		Timeout: d.Timeout().Seconds(), MaxFailures: d.FailuresInARow(), Speech: d.Speech,
	}
}

// describe says how types are described whose JSON is not what Go has.
func describe(r huma.Registry) {
	object := reflect.TypeFor[map[string]any]()
	r.RegisterTypeAlias(reflect.TypeFor[tools.Config](), object)
	r.RegisterTypeAlias(reflect.TypeFor[tools.Schema](), object)
	r.RegisterTypeAlias(reflect.TypeFor[time.Duration](), reflect.TypeFor[string]())
	r.RegisterTypeAlias(reflect.TypeFor[agent.Duration](), reflect.TypeFor[string]())
}

// asWritten is a struct as it is written in a file: by its yaml names, without
// what is not set, durations as text.
func asWritten(v any) map[string]any {
	out := map[string]any{}
	of := reflect.ValueOf(v)
	for i := range of.NumField() {
		name, _, _ := strings.Cut(of.Type().Field(i).Tag.Get("yaml"), ",")
		f := of.Field(i)
		if name == "" || name == "-" || f.IsZero() {
			continue
		}
		switch v := f.Interface().(type) {
		case time.Duration:
			out[name] = v.String()
		case secret.Text: // shown to nobody
		default:
			out[name] = v
			if f.Kind() == reflect.Struct {
				out[name] = asWritten(v)
			}
		}
	}
	return out
}
