package api

import (
	"bytes"
	"context"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/tools/knowledge"
)

// Knowledge is the documents that agents may look into: *knowledge.Library.
type Knowledge interface {
	Add(ctx context.Context, agent, name, mediaType string, data []byte) (knowledge.Document, error)
	Documents(ctx context.Context, agent string) ([]knowledge.Document, error)
	Document(ctx context.Context, agent, id string) (knowledge.Document, error)
	Delete(ctx context.Context, agent, id string) error
	Search(ctx context.Context, q knowledge.Query) (knowledge.Answer, error)
}

var _ Knowledge = (*knowledge.Library)(nil)

// Document is a document as the API shows it.
type Document struct {
	ID        string    `json:"id" format:"uuid"`
	AgentID   string    `json:"agent_id"`
	Name      string    `json:"name" example:"prices.pdf"`
	Title     string    `json:"title,omitempty"`
	Type      string    `json:"type" enum:"txt,md,html,pdf,docx"`
	Language  string    `json:"language,omitempty" doc:"Of its words, as it was recognised" example:"en"`
	Status    string    `json:"status" enum:"ready" doc:"ready: it is found by searches"`
	Bytes     int       `json:"bytes"`
	Passages  int       `json:"passages"`
	Embedded  int       `json:"embedded" doc:"Passages with a vector; without, words alone find them"`
	CreatedAt time.Time `json:"created_at"`
}

func documentView(d knowledge.Document) Document {
	return Document{
		ID: d.ID, AgentID: d.Agent, Name: d.Name, Title: d.Title, Type: string(d.Type), Language: d.Language, Status: "ready",
		Bytes: d.Bytes, Passages: d.Chunks, Embedded: d.Vectors, CreatedAt: d.Created,
	}
}

// Passage is a part of a document that answers a question.
type Passage struct {
	DocumentID string  `json:"document_id" format:"uuid"`
	Document   string  `json:"document" doc:"Its name"`
	Heading    string  `json:"heading,omitempty" example:"Delivery > Abroad"`
	Text       string  `json:"text"`
	Score      float64 `json:"score" doc:"Similarity, 0 to 1"`
}

// Findings are the passages that were found, the best first.
type Findings struct {
	Found     bool      `json:"found"`
	Data      []Passage `json:"data"`
	Documents int       `json:"documents" doc:"That were looked into"`
	Languages []string  `json:"languages" doc:"Of the documents"`
	Late      bool      `json:"late" doc:"The embeddings server did not answer in time: words alone decided"`
	TookMS    int64     `json:"took_ms"`
}

// documentOf names an agent and one of its documents.
type documentOf struct {
	ID    string `path:"id" maxLength:"255" doc:"Agent, by id or name"`
	DocID string `path:"docId" maxLength:"64"`
}

// upload is a file, as it is or in a form.
type upload struct {
	ID          string `path:"id" maxLength:"255" doc:"Agent, by id or name"`
	Name        string `query:"name" maxLength:"255" doc:"The file's name, where it is sent as it is" example:"prices.pdf"`
	ContentType string `header:"Content-Type"`
	RawBody     []byte
}

const uploadSlack = 64 << 10 // bytes of a form around its file

func (s *Server) knowledge() {
	binary := &huma.Schema{Type: huma.TypeString, Format: "binary"}
	form := &huma.Schema{
		Type: huma.TypeObject, Properties: map[string]*huma.Schema{"file": binary}, Required: []string{"file"},
	}
	huma.Register(s.api, huma.Operation{
		OperationID: "add-document", Method: http.MethodPost, Path: "/v1/agents/{id}/knowledge", Summary: "Add a document",
		Description: "txt, md, html, pdf or docx, at most 20 MB: as the file of a form, or as it is with its name in the " +
			"query. A document of the same name is replaced. It is found by searches as soon as this answers; vectors follow.",
		Tags: []string{"knowledge"}, Security: scope("knowledge:write"), DefaultStatus: http.StatusCreated,
		MaxBodyBytes: knowledge.MaxFile + uploadSlack, BodyReadTimeout: readTimeout, SkipValidateBody: true,
		Middlewares: huma.Middlewares{s.fewUploads},
		RequestBody: &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
			"multipart/form-data": {Schema: form}, "application/octet-stream": {Schema: binary},
		}},
	}, func(ctx context.Context, in *upload) (*body[Document], error) {
		id, err := s.library(ctx, in.ID)
		if err != nil {
			return nil, err
		}
		name, kind, data, err := in.file()
		if err != nil {
			return nil, fail(http.StatusUnprocessableEntity, "", "body", err.Error())
		}
		d, err := s.cfg.Knowledge.Add(ctx, id, name, kind, data)
		if err != nil {
			return nil, knowledgeFault(err)
		}
		if known, err := s.knows(ctx, agent.ID(id)); err == nil && !known { // deleted while the file was read
			return nil, errors.Join(notFound("agent"), s.cfg.Knowledge.Delete(ctx, id, d.ID))
		}
		return &body[Document]{documentView(d)}, nil
	})
	huma.Register(s.api, huma.Operation{
		OperationID: "list-documents", Method: http.MethodGet, Path: "/v1/agents/{id}/knowledge", Summary: "List documents",
		Tags: []string{"knowledge"}, Security: scope("knowledge:read"),
	}, func(ctx context.Context, in *struct {
		ID string `path:"id" maxLength:"255" doc:"Agent, by id or name"`
	},
	) (*body[Page[Document]], error) {
		id, err := s.library(ctx, in.ID)
		if err != nil {
			return nil, err
		}
		all, err := s.cfg.Knowledge.Documents(ctx, id)
		if err != nil {
			return nil, internal(err)
		}
		page := Page[Document]{Data: make([]Document, 0, len(all))}
		for _, d := range all {
			page.Data = append(page.Data, documentView(d))
		}
		return &body[Page[Document]]{page}, nil
	})
	huma.Register(s.api, huma.Operation{
		OperationID: "search-documents", Method: http.MethodGet, Path: "/v1/agents/{id}/knowledge/search",
		Summary:     "Search documents",
		Description: "What the tool knowledge_base would find, with the similarity of each passage.",
		Tags:        []string{"knowledge"}, Security: scope("knowledge:read"),
	}, func(ctx context.Context, in *struct {
		ID        string  `path:"id" maxLength:"255" doc:"Agent, by id or name"`
		Query     string  `query:"query" required:"true" minLength:"1" maxLength:"2000"`
		TopK      int     `query:"top_k" minimum:"1" maximum:"20" default:"5"`
		Threshold float64 `query:"similarity_threshold" minimum:"0" maximum:"1" default:"0"`
	},
	) (*body[Findings], error) {
		id, err := s.library(ctx, in.ID)
		if err != nil {
			return nil, err
		}
		a, err := s.cfg.Knowledge.Search(ctx, knowledge.Query{
			Agent: id, Text: in.Query, TopK: in.TopK, Threshold: in.Threshold,
		})
		if err != nil {
			return nil, knowledgeFault(err)
		}
		out := Findings{
			Found: len(a.Hits) > 0, Data: make([]Passage, 0, len(a.Hits)), Documents: a.Documents, Languages: a.Languages,
			Late: a.Late, TookMS: a.Took.Milliseconds(),
		}
		if out.Languages == nil {
			out.Languages = []string{}
		}
		for _, h := range a.Hits {
			out.Data = append(out.Data, Passage{
				DocumentID: h.ID, Document: h.Document, Heading: h.Heading, Text: h.Text, Score: h.Score,
			})
		}
		return &body[Findings]{out}, nil
	})
	huma.Register(s.api, huma.Operation{
		OperationID: "get-document", Method: http.MethodGet, Path: "/v1/agents/{id}/knowledge/{docId}",
		Summary: "A document", Tags: []string{"knowledge"}, Security: scope("knowledge:read"),
	}, func(ctx context.Context, in *documentOf) (*body[Document], error) {
		id, err := s.library(ctx, in.ID)
		if err != nil {
			return nil, err
		}
		d, err := s.cfg.Knowledge.Document(ctx, id, in.DocID)
		if err != nil {
			return nil, knowledgeFault(err)
		}
		return &body[Document]{documentView(d)}, nil
	})
	huma.Register(s.api, huma.Operation{
		OperationID: "delete-document", Method: http.MethodDelete, Path: "/v1/agents/{id}/knowledge/{docId}",
		Summary: "Delete a document", Tags: []string{"knowledge"}, Security: scope("knowledge:write"),
		DefaultStatus: http.StatusNoContent,
	}, func(ctx context.Context, in *documentOf) (*struct{}, error) {
		id, err := s.library(ctx, in.ID)
		if err != nil {
			return nil, err
		}
		if err := s.cfg.Knowledge.Delete(ctx, id, in.DocID); err != nil {
			return nil, knowledgeFault(err)
		}
		return nil, nil //nolint:nilnil // 204
	})
}

// library is the id of an agent that the caller sees and whose documents there
// are.
func (s *Server) library(ctx context.Context, idOrName string) (string, error) {
	if s.cfg.Knowledge == nil {
		return "", fail(http.StatusServiceUnavailable, "", "", "This engine keeps no documents.")
	}
	a, err := s.agent(ctx, idOrName)
	return string(a.ID), err
}

// mostUploads is how many files are held at a time: each of up to 20 MB, twice
// that from a form.
const mostUploads = 8

// fewUploads refuses a file while others wait to be read.
func (s *Server) fewUploads(ctx huma.Context, next func(huma.Context)) {
	select {
	case s.uploads <- struct{}{}:
		defer func() { <-s.uploads }()
		next(ctx)
	default:
		ctx.SetHeader("Retry-After", "5")
		s.refuse(ctx, fail(http.StatusServiceUnavailable, "", "", "Other documents are being read. Try again in a moment."))
	}
}

// file is what was sent: its name, its media type and its bytes.
func (u *upload) file() (name, kind string, data []byte, err error) {
	kind, params, err := mime.ParseMediaType(u.ContentType)
	if err != nil || kind != "multipart/form-data" {
		if u.Name == "" {
			return "", "", nil, errors.New("the file has no name: add ?name=FILE to the path, or send a form")
		}
		return u.Name, kind, u.RawBody, nil
	}
	r := multipart.NewReader(bytes.NewReader(u.RawBody), params["boundary"])
	for {
		p, err := r.NextPart()
		if errors.Is(err, io.EOF) {
			return "", "", nil, errors.New("the form has no file: send it in the field file")
		}
		if err != nil {
			return "", "", nil, errors.New("the form cannot be read")
		}
		if p.FileName() == "" {
			continue
		}
		data, err := io.ReadAll(p)
		if err != nil {
			return "", "", nil, errors.New("the form cannot be read")
		}
		if name = u.Name; name == "" {
			name = p.FileName()
		}
		return name, p.Header.Get("Content-Type"), data, nil
	}
}

func knowledgeFault(err error) error {
	var f *knowledge.FileError
	switch {
	case errors.As(err, &f):
		return fail(http.StatusUnprocessableEntity, "unreadable_document", "body", f.What)
	case errors.Is(err, knowledge.ErrNotFound):
		return notFound("document")
	case errors.Is(err, knowledge.ErrTooMany):
		return fail(http.StatusConflict, "too_many", "", err.Error())
	case errors.Is(err, knowledge.ErrNotReady):
		return fail(http.StatusServiceUnavailable, "", "", "The documents are still being read. Try again in a moment.")
	}
	return internal(err)
}
