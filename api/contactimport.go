package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/patchcord/patchcord/telephony/dialer"
)

const (
	maxImport   = 256 << 20 // bytes of a list
	mostImports = 4         // lists that are read at a time
	partOfList  = 1000      // rows that are kept at once: others write in between
	mostRefused = 1000      // rows of a list that are told of one by one
)

// Imported is what was taken of a list.
type Imported struct {
	Rows       int          `json:"rows" doc:"That were read, the head of a CSV left out"`
	Accepted   int          `json:"accepted"`
	Duplicates int          `json:"duplicates" doc:"Numbers that were there already"`
	Refused    int          `json:"refused"`
	Faults     []RefusedRow `json:"faults" doc:"Why rows were refused, of the first thousand"`
}

// RefusedRow is a row of a list that was not taken.
type RefusedRow struct {
	Line   int    `json:"line" doc:"From 1, the head counted"`
	Column int    `json:"column,omitempty" doc:"In bytes from 1; absent: the row as a whole"`
	Field  string `json:"field,omitempty" doc:"As the list names it; absent: the row as a whole" example:"number"`
	Why    string `json:"why"`
}

// List is a list that is sent, which is read while it comes.
type List struct {
	ContentType string `header:"Content-Type"`
	body        *arriving
}

// Resolve keeps the body as a stream.
func (l *List) Resolve(ctx huma.Context) []error {
	r, w := humago.Unwrap(ctx)
	l.body = &arriving{r: http.MaxBytesReader(w, r.Body, maxImport), ctl: http.NewResponseController(w)}
	return nil
}

// formats are those of a list, by their media types.
var formats = map[string]dialer.Format{
	csvType: dialer.FormatCSV, "application/json": dialer.FormatJSON, ndjson: dialer.FormatJSON,
	"application/jsonl": dialer.FormatJSON,
}

// format is that of the list.
func (l *List) format() (dialer.Format, error) {
	kind, _, err := mime.ParseMediaType(l.ContentType)
	if f, ok := formats[kind]; ok && err == nil {
		return f, nil
	}
	return "", fail(http.StatusUnprocessableEntity, "", "header.Content-Type",
		"Send a list as Content-Type text/csv, application/json or application/x-ndjson.")
}

type contactsInput struct {
	CampaignPath
	List
}

// takesList tells in the document that a POST takes a list. Told at once, it
// would be read into memory before the operation begins.
func (s *Server) takesList(path, of string) {
	text := func(what string) *huma.MediaType {
		return &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString, Description: what}}
	}
	s.api.OpenAPI().Paths[path].Post.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
		csvType: text("The first line names the columns"), ndjson: text("A " + of + " a line, as a JSON object"),
		"application/json": {Schema: &huma.Schema{
			Type: huma.TypeArray, Items: &huma.Schema{Type: huma.TypeObject, Description: "A " + of},
		}},
	}}
}

func (s *Server) contactImport(path string, tags []string) {
	huma.Register(s.api, huma.Operation{
		OperationID: "import-contacts", Method: http.MethodPost, Path: path, Summary: "Add contacts to a campaign",
		Description: "A list of up to 256 MB, which is read while it arrives: a CSV whose first line names the columns " +
			"(number, name, zone, consent, record, due, and a column for each variable of the campaign), a JSON array, or a " +
			"JSON object a line. A row that is refused does not keep the others back; the answer tells of each its line, " +
			"column and why. A list may be sent again: numbers that are there already stay as they are.",
		Tags: tags, Security: scope("campaigns:write"), MaxBodyBytes: maxImport, Metadata: once,
		Middlewares: huma.Middlewares{s.fewImports},
	}, s.importContacts)
	s.takesList(path, "contact")
}

// fewImports refuses a list while others are read.
func (s *Server) fewImports(ctx huma.Context, next func(huma.Context)) {
	select {
	case s.imports <- struct{}{}:
		defer func() { <-s.imports }()
		next(ctx)
	default:
		ctx.SetHeader("Retry-After", "5")
		s.refuse(ctx, fail(http.StatusServiceUnavailable, "", "", "Other lists are being read. Try again in a moment."))
	}
}

func (s *Server) importContacts(ctx context.Context, in *contactsInput) (*body[Imported], error) {
	c, err := s.campaign(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return readList(&in.List, c.Campaign, func(part []dialer.Contact) (int, error) {
		duplicates, err := s.cfg.Campaigns.AddContacts(ctx, c.ID, part)
		return len(duplicates), err
	}, s.cfg.Gate)
}

// readList hands a list to keep, some rows at a time. What the gate refuses is
// told as a row that is refused; nil: there is none.
func readList(
	in *List, of dialer.Campaign, keep func([]dialer.Contact) (duplicates int, err error), gate Gate,
) (*body[Imported], error) {
	format, err := in.format()
	if err != nil {
		return nil, err
	}
	out := Imported{Faults: []RefusedRow{}}
	part := make([]dialer.Contact, 0, partOfList)
	flush := func() error {
		if len(part) == 0 {
			return nil
		}
		duplicates, err := keep(part)
		if err != nil {
			return err
		}
		out.Accepted += len(part) - duplicates
		out.Duplicates += duplicates
		part = part[:0]
		return nil
	}
	for row, no := range dialer.ReadContacts(in.body, format, of) {
		switch {
		case no != nil && no.Final:
			return nil, out.broken(errors.Join(no, flush()))
		case no != nil:
			out.refuse(RefusedRow{no.Line, no.Column, no.Field, no.Why})
			continue
		}
		if gate != nil {
			if err := gate.Check(row.Contact.Number); err != nil {
				out.refuse(RefusedRow{Line: row.Line, Field: "number", Why: whyNot(err)})
				continue
			}
		}
		out.Rows++
		if part = append(part, row.Contact); len(part) == partOfList {
			if err := flush(); err != nil {
				return nil, out.broken(err)
			}
		}
	}
	if err := flush(); err != nil {
		return nil, out.broken(err)
	}
	return &body[Imported]{out}, nil
}

func (r *Imported) refuse(f RefusedRow) {
	r.Rows++
	if r.Refused++; len(r.Faults) < mostRefused {
		r.Faults = append(r.Faults, f)
	}
}

// broken says why a list was not read to its end. What was taken by then stays.
func (r *Imported) broken(err error) error {
	taken := ""
	if r.Accepted+r.Duplicates > 0 {
		taken = fmt.Sprintf(" Of %d rows before, %d were taken: they stay, and the list may be sent again.", r.Rows,
			r.Accepted)
	}
	var long *http.MaxBytesError
	var no *dialer.Refusal
	switch {
	case errors.As(err, &long):
		return fail(http.StatusRequestEntityTooLarge, "", "body",
			fmt.Sprintf("A list has %d MB at most: cut it.%s", maxImport>>20, taken))
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, os.ErrDeadlineExceeded):
		return fail(http.StatusBadRequest, "", "body", "The list did not arrive to its end."+taken)
	case errors.As(err, &no):
		return fail(http.StatusUnprocessableEntity, "unreadable_list", "body", "It cannot be read: "+no.Error()+"."+taken)
	}
	return campaignKept(err)
}

// whyNot is why the gate refuses a number, without the number.
func whyNot(err error) string {
	var d *dialer.Denied
	if errors.As(err, &d) {
		return d.Why
	}
	return err.Error()
}
