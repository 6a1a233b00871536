package api

import (
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
}

// ToolInput is a tool as it is sent.
type ToolInput struct{ tools.Definition }

// ofTool are what answers have besides the definition; bodies may repeat it.
var ofTool = []string{"id", "agent_id", "created_at", "updated_at", "updated_by", "revision", "source", "warnings"}

func toolView(t store.Tool) Tool {
	return Tool{
		Definition: t.Definition, AgentID: string(t.Agent), DisplayName: t.DisplayName, Enabled: t.IsEnabled(),
		CreatedAt: t.Created, UpdatedAt: t.Updated, UpdatedBy: t.By, Revision: t.Revision, Source: t.Source,
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
