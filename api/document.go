package api

import (
	"reflect"
	"slices"

	"github.com/danielgtaylor/huma/v2"
)

var (
	problemBody = reflect.TypeFor[ProblemBody]()
	vendorBody  = reflect.TypeFor[VendorError]()
)

// clean gives every operation our answer to errors, and those of other
// platforms theirs, tells of Idempotency-Key where it is known, and takes
// huma's own shapes out of the document.
func clean(doc *huma.OpenAPI) {
	schemas := doc.Components.Schemas
	problem := errorAnswer("application/problem+json", schemas.Schema(problemBody, true, "Problem"))
	vendor := errorAnswer("application/json", schemas.Schema(vendorBody, true, "VendorError"))
	for _, name := range []string{"ErrorModel", "ErrorDetail"} {
		delete(schemas.Map(), name)
	}
	for _, name := range []string{"Definition", "Tool", "ToolInput", "ImportedTool"} { // 0 where it is not said
		if s := schemas.Map()[name]; s != nil {
			s.Required = slices.DeleteFunc(s.Required, func(of string) bool { return of == "priority" })
		}
	}
	if s := schemas.Map()["Result"]; s != nil { // of a contact that was not called yet
		s.Required = slices.DeleteFunc(s.Required, func(of string) bool {
			return slices.Contains(schemas.Map()["Attempt"].Required, of)
		})
	}
	for path, item := range doc.Paths {
		for _, op := range []*huma.Operation{item.Get, item.Post, item.Put, item.Patch, item.Delete} {
			if op == nil {
				continue
			}
			for code := range op.Responses {
				if code >= "400" && code <= "599" {
					delete(op.Responses, code)
				}
			}
			op.Responses["default"] = problem
			if formOf(path) != ours {
				op.Responses["default"] = vendor
			}
			if b := op.RequestBody; b != nil && b.Content["application/json"] != nil {
				delete(b.Content, "application/octet-stream") // how a body that is read here would be told
			}
			if _, is := op.Metadata[onceKey]; is {
				op.Parameters = append(op.Parameters, idempotencyParam())
			}
		}
	}
}

func errorAnswer(kind string, schema *huma.Schema) *huma.Response {
	return &huma.Response{Description: "Error", Content: map[string]*huma.MediaType{kind: {Schema: schema}}}
}

func idempotencyParam() *huma.Param {
	most := 255
	return &huma.Param{
		Name: idempotencyHeader, In: "header", Description: "Sent again within 24 h: the first answer",
		Schema: &huma.Schema{Type: huma.TypeString, MaxLength: &most},
	}
}

// bodyOf describes a body that the handler reads itself.
func (s *Server) bodyOf(v any) *huma.RequestBody { return jsonBody(s.schema(v)) }

// partOf describes a body that may have any of the members of another.
func (s *Server) partOf(v any) *huma.RequestBody {
	name := reflect.TypeOf(v).Name()
	all := s.api.OpenAPI().Components.Schemas
	part := *all.SchemaFromRef(s.schema(v).Ref)
	part.Required = nil
	all.Map()[name+"Part"] = &part
	return jsonBody(&huma.Schema{Ref: "#/components/schemas/" + name + "Part"})
}

func jsonBody(schema *huma.Schema) *huma.RequestBody {
	return &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"application/json": {Schema: schema}}}
}

// schema describes a type.
func (s *Server) schema(v any) *huma.Schema {
	t := reflect.TypeOf(v)
	return s.api.OpenAPI().Components.Schemas.Schema(t, true, t.Name())
}
