package api

import (
	"context"
	"encoding/json"
	"net/http"
	"regexp"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/patchcord/patchcord/store"
	"github.com/patchcord/patchcord/tools"
)

// DarietTool is a tool as Dariet has it (D-02).
type DarietTool struct {
	ID          string            `json:"id,omitempty" format:"uuid" readOnly:"true"`
	Name        string            `json:"name" doc:"snake_case; never changes"`
	Description string            `json:"description"`
	Parameters  json.RawMessage   `json:"parameters" doc:"JSON Schema: properties and required"`
	URL         string            `json:"webhook_url"`
	Method      string            `json:"webhook_method" required:"false" enum:"POST,GET" default:"POST"`
	Headers     map[string]string `json:"headers" required:"false"`
	Timeout     float64           `json:"timeout_secs" required:"false" default:"10"`
	CreatedAt   *time.Time        `json:"created_at,omitempty" readOnly:"true"`
	UpdatedAt   *time.Time        `json:"updated_at,omitempty" readOnly:"true"`
	Warnings    []Fault           `json:"warnings,omitempty" readOnly:"true"`
}

// ofDariet are the members that answers have and bodies may repeat.
var ofDariet = []string{"id", "created_at", "updated_at", "warnings"}

// inConfig are those that stand in the configuration of our definition.
var inConfig = []string{"webhook_url", "webhook_method", "headers", "timeout_secs"}

const dariet = "dariet"

// dariet are its paths: tools of the library in its shape (D-01, D-21).
func (s *Server) dariet() {
	const path = "/api/tools"
	huma.Register(s.api, huma.Operation{
		OperationID: "dariet-list-tools", Method: http.MethodGet, Path: path, Summary: "All tools of this shape",
		Tags: []string{dariet}, Security: scope("tools:read"),
	}, s.darietList)
	huma.Register(s.api, huma.Operation{
		OperationID: "dariet-create-tool", Method: http.MethodPost, Path: path, Summary: "Create a tool",
		Tags: []string{dariet}, Security: scope("tools:write"), DefaultStatus: http.StatusCreated, MaxBodyBytes: maxBody,
		SkipValidateBody: true, RequestBody: s.bodyOf(DarietTool{}), Metadata: once,
	}, s.darietCreate)
	huma.Register(s.api, huma.Operation{
		OperationID: "dariet-get-tool", Method: http.MethodGet, Path: path + "/{id}", Summary: "A tool",
		Tags: []string{dariet}, Security: scope("tools:read"),
	}, func(ctx context.Context, in *ToolPath) (*object[DarietTool], error) {
		t, err := s.darietTool(ctx, in.ID)
		if err != nil {
			return nil, err
		}
		return darietAnswer(ctx, t, nil)
	})
	huma.Register(s.api, huma.Operation{
		OperationID: "dariet-change-tool", Method: http.MethodPatch, Path: path + "/{id}",
		Summary: "Change a tool, but for its name", Tags: []string{dariet}, Security: scope("tools:write"),
		MaxBodyBytes: maxBody, SkipValidateBody: true, RequestBody: s.partOf(DarietTool{}),
	}, s.darietChange)
	huma.Register(s.api, huma.Operation{
		OperationID: "dariet-delete-tool", Method: http.MethodDelete, Path: path + "/{id}", Summary: "Delete a tool",
		Tags: []string{dariet}, Security: scope("tools:write"),
	}, func(ctx context.Context, in *ToolPath) (*struct{}, error) {
		t, err := s.darietTool(ctx, in.ID)
		if err != nil {
			return nil, err
		}
		return nil, s.deleteTool(ctx, t)
	})
	huma.Register(s.api, huma.Operation{
		OperationID: "dariet-test-tool", Method: http.MethodPost, Path: path + "/{id}/test",
		Summary: "Run a tool as a call would", Tags: []string{dariet}, Security: scope("tools:write"), MaxBodyBytes: maxBody,
	}, s.darietTest)
}

// darietTool is a tool of this shape that the caller may see.
func (s *Server) darietTool(ctx context.Context, id string) (store.Tool, error) {
	t, err := s.tool(ctx, id)
	if err == nil && t.Dialect != dariet {
		err = store.ErrNotFound
	}
	return t, kept(err, "tool")
}

// darietView is one of our tools in its shape.
func darietView(t store.Tool) (DarietTool, error) {
	v := DarietTool{Method: http.MethodPost, Headers: map[string]string{}, Timeout: 10}
	config, err := json.Marshal(t.Config)
	if err == nil {
		err = json.Unmarshal(config, &v)
	}
	v.ID, v.Name, v.Description, v.CreatedAt, v.UpdatedAt = t.ID, t.Name, t.Description, &t.Created, &t.Updated
	if v.Parameters = json.RawMessage(t.Parameters); len(v.Parameters) == 0 {
		v.Parameters = json.RawMessage(`{}`)
	}
	return v, err
}

func darietAnswer(ctx context.Context, t store.Tool, advice []Fault) (*object[DarietTool], error) {
	t.Definition = shownTool(ctx, t).Definition
	v, err := darietView(t)
	if err != nil {
		return nil, internal(err)
	}
	v.Warnings = advice
	return &object[DarietTool]{ETag: etag(t.Revision), Body: v}, nil
}

func (s *Server) darietList(ctx context.Context, _ *struct{}) (*body[[]DarietTool], error) {
	list, _, err := s.cfg.Objects.Tools(ctx, "", everything)
	if err != nil {
		return nil, internal(err)
	}
	var named []string
	if len(caller(ctx).Agents) > 0 {
		if named, err = s.namedByOwn(ctx); err != nil {
			return nil, err
		}
	}
	out := []DarietTool{}
	for _, t := range list {
		if t.Dialect != dariet || !visible(ctx, t, named) {
			continue
		}
		t.Definition = shownTool(ctx, t).Definition
		v, err := darietView(t)
		if err != nil {
			return nil, internal(err)
		}
		out = append(out, v)
	}
	return &body[[]DarietTool]{out}, nil
}

// ours is its definition in our shape.
func (s *Server) fromDariet(sent []byte) ([]byte, map[string]json.RawMessage, error) {
	members, err := fields(sent)
	if err != nil {
		return nil, nil, err
	}
	all := map[string]any{"tool_type": tools.Webhook, "dialect": dariet}
	config := map[string]any{}
	for k, v := range members {
		all[k] = v
	}
	for _, k := range ofDariet {
		delete(all, k)
	}
	for _, k := range inConfig {
		if v, ok := members[k]; ok {
			config[k] = v
			delete(all, k)
		}
	}
	all["config"] = config
	text, err := marshal(all)
	return text, members, err
}

var snakeCase = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

// readDariet reads a tool of this shape and says what is wrong in its terms.
func (s *Server) readDariet(sent []byte, whole []byte) (tools.Definition, []Fault, error) {
	text, members, err := s.fromDariet(whole)
	if err != nil {
		return tools.Definition{}, nil, err
	}
	d, faults := s.cfg.Reader.ReadTool(text, nil)
	if d.Name != "" && !snakeCase.MatchString(d.Name) {
		faults = append(faults, &tools.Fault{Path: "name", What: "no snake_case", Do: "write one such as check_order_status"})
	}
	for _, f := range faults {
		if pathIn(f.Path, "config") {
			f.Path = f.Path[min(len(f.Path), len("config.")):]
		}
	}
	advice, err := split(faults, sent, "")
	return d, advice, missing(err, members, []string{"name", "description", "parameters", "webhook_url"})
}

func (s *Server) darietCreate(ctx context.Context, in *struct{ RawBody []byte }) (*object[DarietTool], error) {
	if err := whole(ctx); err != nil {
		return nil, err
	}
	d, advice, err := s.readDariet(in.RawBody, in.RawBody)
	if err != nil {
		return nil, err
	}
	t, err := s.cfg.Objects.CreateTool(ctx, caller(ctx).Name, store.Tool{Definition: d})
	if err := kept(err, "tool"); err != nil {
		return nil, err
	}
	return darietAnswer(ctx, t, advice)
}

func (s *Server) darietChange(ctx context.Context, in *toolChange) (*object[DarietTool], error) {
	if err := whole(ctx); err != nil {
		return nil, err
	}
	want, err := revision(in.Match)
	if err != nil {
		return nil, err
	}
	var advice []Fault
	made, err := again(&s.writes, want, func() (t store.Tool, err error) {
		was, err := s.darietTool(ctx, in.ID)
		if err != nil {
			return was, err
		}
		v, err := darietView(was)
		if err != nil {
			return was, err
		}
		text, err := onto(v, in.RawBody, nil)
		if err != nil {
			return was, err
		}
		d, more, err := s.readDariet(in.RawBody, text)
		if err != nil {
			return was, err
		}
		if d.Name != was.Name {
			return was, fail(http.StatusUnprocessableEntity, "name_immutable", "body.name",
				"The name of a tool does not change: delete it and create another.")
		}
		advice = more
		t = was // what this shape does not know stays: gates, speech, priority
		t.Description, t.Parameters, t.Config = d.Description, d.Parameters, d.Config
		if want != 0 {
			t.Revision = want
		}
		return s.cfg.Objects.UpdateTool(ctx, caller(ctx).Name, t)
	})
	if err := kept(err, "tool"); err != nil {
		return nil, err
	}
	return darietAnswer(ctx, made, advice)
}

// DarietTrial is what came of a test (D-21).
type DarietTrial struct {
	Status   *int            `json:"status_code" doc:"null: nothing came back"`
	Response json.RawMessage `json:"response" doc:"What the model would be told"`
	Duration int64           `json:"duration_ms"`
	Error    *string         `json:"error" doc:"null: none"`
}

type darietTestInput struct {
	ToolPath
	Body struct {
		Args map[string]any `json:"args,omitempty"`
	}
}

func (s *Server) darietTest(ctx context.Context, in *darietTestInput) (*body[DarietTrial], error) {
	if _, err := s.darietTool(ctx, in.ID); err != nil {
		return nil, err
	}
	trial, err := s.try(ctx, in.ID, ToolTest{Args: in.Body.Args})
	if err != nil {
		return nil, err
	}
	out := DarietTrial{Response: trial.Result, Duration: trial.Duration}
	if trial.Response != nil {
		out.Status = &trial.Response.Status
	}
	if trial.Status != tools.OK {
		said := trial.Error
		var r struct {
			Error string `json:"error"`
		}
		if said == "" && json.Unmarshal(trial.Result, &r) == nil {
			said = r.Error
		}
		out.Error = &said
	}
	return &body[DarietTrial]{out}, nil
}
