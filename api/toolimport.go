package api

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/patchcord/patchcord/store"
	"github.com/patchcord/patchcord/tools"
	"github.com/patchcord/patchcord/tools/wire"
)

// ToolImport is what was taken from a file of another platform.
type ToolImport struct {
	Form     string         `json:"form" enum:"callin,hubspot,talkpilot,flireo,dariet,patchcord" doc:"Whose form the file is in; patchcord is our own"`
	DryRun   bool           `json:"dry_run" doc:"true: nothing was kept"`
	Data     []ImportedTool `json:"data"`
	Warnings []Fault        `json:"warnings,omitempty" doc:"What was not taken as it stands, and advice"`
}

// ImportedTool is one tool of it, as it is kept.
type ImportedTool struct {
	tools.Definition
	Op       string `json:"op" enum:"create,replace"`
	Revision int64  `json:"revision,omitempty" doc:"Absent in a trial run"`
}

type importInput struct {
	DryRun  bool `query:"dry_run" doc:"Only tell what would be kept"`
	Replace bool `query:"replace" doc:"A tool takes the place of the one of its name; else that is a conflict"`
	RawBody []byte
}

type importOutput struct {
	Status int
	Body   ToolImport
}

func (s *Server) toolImport() {
	file := &huma.MediaType{Schema: &huma.Schema{Description: "A file in one of the forms"}}
	huma.Register(s.api, huma.Operation{
		OperationID: "import-tools", Method: http.MethodPost, Path: "/v1/tools/import",
		Summary: "Take tools in the form of another platform into the library",
		Description: "The file as it is, JSON or YAML, 1 MB at most: the fields of a Callin tool, a HubSpot *-hsmeta.json, " +
			"a TalkPilot tool or list, a Flireo tool or agent, a Dariet tool, or our own. All tools of it are taken or, where " +
			"one cannot be used, none: the answer then names every fault by its place in the file.",
		Tags: []string{"tools"}, Security: scope("tools:write"), DefaultStatus: http.StatusCreated,
		MaxBodyBytes: maxBody, SkipValidateBody: true, Metadata: once,
		RequestBody: &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
			"application/json": file, "application/yaml": file,
		}},
		Responses: map[string]*huma.Response{"200": {
			Description: "What would be kept, of a trial run",
			Content:     map[string]*huma.MediaType{"application/json": {Schema: s.schema(ToolImport{})}},
		}},
	}, s.importTools)
}

func (s *Server) importTools(ctx context.Context, in *importInput) (*importOutput, error) {
	if err := whole(ctx); err != nil {
		return nil, err
	}
	r, err := readImport(in.RawBody)
	if err != nil {
		return nil, err
	}
	s.writes.Lock()
	defer s.writes.Unlock()
	if err := s.settle(ctx, r, in.Replace); err != nil {
		return nil, err
	}
	out := &importOutput{Status: http.StatusOK, Body: ToolImport{
		Form: r.form, DryRun: in.DryRun, Data: make([]ImportedTool, 0, len(r.tools)), Warnings: r.advice,
	}}
	now := r.tools
	if !in.DryRun {
		out.Status = http.StatusCreated
		if now, err = s.cfg.Objects.PutTools(ctx, caller(ctx).Name, r.tools); err != nil {
			return nil, kept(err, "tool")
		}
	}
	for i, t := range now {
		one := ImportedTool{Definition: t.Definition, Op: "create", Revision: t.Revision}
		if r.tools[i].ID != "" {
			one.Op = "replace"
		}
		if in.DryRun {
			one.Revision = 0
		}
		out.Body.Data = append(out.Body.Data, one)
	}
	return out, nil
}

// importing is a file that is taken in.
type importing struct {
	form      string
	tools     []store.Tool
	at        []string // where each stands in the file
	advice    []Fault
	faults    []Fault
	conflicts int               // of the faults: names that are taken
	quiet     *strings.Replacer // hides what was sent
}

// readImport reads a file in whichever form it is.
func readImport(sent []byte) (*importing, error) {
	doc, err := wire.JSON(sent)
	if err != nil {
		return nil, fail(http.StatusBadRequest, "", "body", "The body is neither JSON nor YAML.")
	}
	in, err := wire.Import("body", doc)
	r := &importing{form: in.Form, at: in.At, quiet: values(doc)}
	if err != nil {
		code := ""
		if errors.Is(err, wire.ErrNoForm) {
			code = "unknown_form"
		}
		return nil, fail(http.StatusUnprocessableEntity, code, "body",
			"It cannot be imported: "+r.quiet.Replace(strings.TrimPrefix(err.Error(), "body: "))+".")
	}
	for _, n := range in.Notes {
		f := Fault{Param: param(n.At, n.Field), Message: r.quiet.Replace(say(n.What, n.Do))}
		if n.Refused {
			r.faults = append(r.faults, f)
		} else {
			r.advice = append(r.advice, f)
		}
	}
	for _, d := range in.Tools {
		d.ID = "" // of the platform that it comes from
		if d.Name == "" && d.Type != tools.ExtractVariable {
			d.Name = string(d.Type) // as a call names a built-in
		}
		r.tools = append(r.tools, store.Tool{Definition: d})
	}
	return r, nil
}

// param names a part of a body.
func param(parts ...string) string {
	out := "body"
	for _, p := range parts {
		if p != "" && p[0] != '[' {
			out += "."
		}
		out += p
	}
	return out
}

// settle finds the tool whose place each one takes, and checks it like one that
// is sent by itself.
func (s *Server) settle(ctx context.Context, r *importing, replace bool) error {
	first := map[string]string{}
	for i := range r.tools {
		t, at := &r.tools[i], r.at[i]
		if t.Name != "" { // an extraction may be without: a call names it by its variable
			if before, twice := first[t.Name]; twice {
				r.wrong(at, "name", "a second tool of this name (the first is "+before+")", "rename one of them")
				continue
			}
			first[t.Name] = param(at)
			if ok, err := s.place(ctx, r, i, replace); err != nil {
				return err
			} else if !ok {
				continue
			}
		}
		if err := s.checkImport(r, t.Definition, at); err != nil {
			return err
		}
	}
	switch len(r.faults) {
	case 0:
		return nil
	case r.conflicts:
		return &Problem{Status: http.StatusConflict, Faults: r.faults}
	}
	return &Problem{Status: http.StatusUnprocessableEntity, Faults: r.faults}
}

// place gives a tool the place of the one of its name; false: it may not have it.
func (s *Server) place(ctx context.Context, r *importing, i int, replace bool) (bool, error) {
	t, at := &r.tools[i], r.at[i]
	was, err := s.cfg.Objects.Tool(ctx, t.Name)
	switch {
	case errors.Is(err, store.ErrNotFound), err == nil && was.Name != t.Name: // an id is no name
		return true, nil
	case err != nil:
		return false, internal(err)
	case !replace:
		r.conflicts++
		r.wrong(at, "name", "there is a tool of this name already", "rename it, or replace that one with ?replace=true")
		return false, nil
	}
	t.ID, t.Revision = was.ID, was.Revision
	if err := succeed(&was.Definition, &t.Definition, r.form); err != nil {
		r.wrong(at, "", err.Error(), "")
		return false, nil
	}
	return true, nil
}

// checkImport checks one tool; what the reading of the file has told already is
// not told again.
func (s *Server) checkImport(r *importing, d tools.Definition, at string) error {
	d.ID = ""
	text, err := marshal(d)
	if err != nil {
		return err
	}
	_, faults := s.cfg.Reader.ReadTool(text, nil)
	for _, f := range faults {
		told := Fault{Param: param(at, f.Path), Message: r.quiet.Replace(say(f.What, f.Do))}
		switch {
		case !f.Warning:
			r.faults = append(r.faults, told)
		case !slices.Contains(r.advice, told):
			r.advice = append(r.advice, told)
		}
	}
	return nil
}

func (r *importing) wrong(at, field, what, do string) {
	r.faults = append(r.faults, Fault{Param: param(at, field), Message: r.quiet.Replace(say(what, do))})
}

// succeed lets a tool take another's place: what is promised of a published
// action stays, and its version goes on (H-19). HubSpot's own file is silent on
// what stands beside the action, which stays; our own form says it.
func succeed(was, next *tools.Definition, form string) error {
	if was.Dialect != "hubspot" || next.Dialect != "hubspot" {
		return nil
	}
	if err := wire.HubSpotCompatible(was, next); err != nil {
		return err
	}
	if form == "hubspot" {
		return wire.HubSpotNext(was, next)
	}
	return wire.HubSpotVersion(was, next)
}
