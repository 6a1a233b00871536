package api

import (
	"bufio"
	"context"
	"encoding/csv"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"go.uber.org/zap"

	"github.com/patchcord/patchcord/store"
	"github.com/patchcord/patchcord/telephony/dialer"
)

// Result is a line of the results: a contact with its last attempt, or an
// attempt with its contact.
type Result struct {
	ContactID string         `json:"contact_id"`
	Number    string         `json:"number"`
	Name      string         `json:"name,omitempty"`
	State     dialer.State   `json:"state" enum:"pending,claimed,dialing,reached,failed,blocked,expired,review"`
	StateWhy  string         `json:"state_why,omitempty"`
	Tries     int            `json:"tries"`
	DueAt     *time.Time     `json:"due_at,omitempty"`
	Consent   string         `json:"consent,omitempty"`
	Variables map[string]any `json:"variables,omitempty"`
	*Attempt                 // nil where there is none
}

type resultsInput struct {
	CampaignPath
	Accept string `header:"Accept"`
	Format string `query:"format" enum:"ndjson,csv" doc:"Absent: as Accept has it"`
	Per    string `query:"per" enum:"contact,attempt" default:"contact" doc:"contact: each with its last attempt"`
}

func (s *Server) results(path string, tags []string) {
	huma.Register(s.api, huma.Operation{
		OperationID: "get-results", Method: http.MethodGet, Path: path + "/{id}/results",
		Summary: "What became of a campaign's contacts, all of it as a stream",
		Description: "One line per contact, with its last attempt, or per attempt. In CSV each variable of the " +
			"campaign has a " +
			"column of its own, and a cell that a spreadsheet would take for a formula begins with an apostrophe.",
		Tags: tags, Security: scope("campaigns:read"),
		Responses: map[string]*huma.Response{"200": {
			Description: "A stream; one that breaks off is not complete",
			Content: map[string]*huma.MediaType{
				ndjson: {Schema: s.schema(Result{})}, csvType: {Schema: &huma.Schema{Type: huma.TypeString}},
			},
		}},
	}, s.getResults)
}

// What results and contacts come as.
const (
	ndjson  = "application/x-ndjson"
	csvType = "text/csv"
)

func (s *Server) getResults(ctx context.Context, in *resultsInput) (*huma.StreamResponse, error) {
	c, err := s.campaign(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	format := in.Format
	if format == "" && strings.Contains(in.Accept, csvType) {
		format = "csv"
	}
	return &huma.StreamResponse{Body: func(hctx huma.Context) {
		_, w := humago.Unwrap(hctx)
		to := &patient{w: w, ctl: http.NewResponseController(w)}
		buf := bufio.NewWriterSize(to, 64<<10)
		kind, write := ndjson, jsonLines(buf)
		if format == "csv" {
			kind, write = csvType+"; charset=utf-8; header=present", csvLines(buf, c.Variables)
			w.Header().Set("Content-Disposition", "attachment; filename="+strconv.Quote("results.csv"))
		}
		w.Header().Set("Content-Type", kind)
		w.WriteHeader(http.StatusOK)
		if err := s.writeResults(hctx.Context(), c.ID, in.Per == "attempt", write); err != nil {
			s.log.Warn("results broke off", zap.String("campaign", c.ID), zap.Error(err))
			panic(http.ErrAbortHandler) // a stream that ended would look complete
		}
		_ = buf.Flush() // the reader may be gone
	}}, nil
}

// writeResults hands each line to write.
func (s *Server) writeResults(ctx context.Context, id string, each bool, write func(*Result) error) error {
	if err := write(nil); err != nil {
		return err
	}
	for d, err := range s.cfg.Campaigns.Results(ctx, id) {
		if err != nil {
			return err
		}
		dials := d.Dials
		if !each && len(dials) > 1 {
			dials = dials[len(dials)-1:]
		}
		if !each && len(dials) == 0 {
			if err := write(resultOf(d.Contact, nil)); err != nil {
				return err
			}
		}
		for i := range dials {
			if err := write(resultOf(d.Contact, &dials[i])); err != nil {
				return err
			}
		}
	}
	return nil
}

func resultOf(c store.Contact, d *store.Dial) *Result {
	r := &Result{
		ContactID: c.ID, Number: c.Number, Name: c.Name, State: c.State, StateWhy: c.Why, Tries: c.Tries,
		DueAt: someTime(c.Due), Consent: c.Consent, Variables: c.Variables,
	}
	if d != nil {
		a := attemptView(*d)
		r.Attempt = &a
	}
	return r
}

// jsonLines writes one JSON object a line.
func jsonLines(w io.Writer) func(*Result) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return func(r *Result) error {
		if r == nil { // before the first
			return nil
		}
		return e.Encode(r)
	}
}

// csvLines writes rows of CSV (RFC 4180): those of Result, and a column for each
// variable that the campaign declares.
func csvLines(w io.Writer, variables []dialer.Variable) func(*Result) error {
	c := csv.NewWriter(w)
	head := []string{
		"contact_id", "number", "name", "state", "state_why", "tries", "due_at", "consent", "n", "status", "outcome",
		"call_id",
		"node", "from", "sip", "why", "answered_by", "message_left", "opt_out", "disposition", "data", "claimed_at",
		"dialed_at", "answered_at", "ended_at", "callback_at",
	}
	for _, v := range variables {
		head = append(head, "variables."+v.Name)
	}
	row := make([]string, 0, len(head))
	return func(r *Result) error {
		if r == nil {
			return c.Write(head)
		}
		row = append(row[:0], r.ContactID, r.Number, r.Name, string(r.State), r.StateWhy, strconv.Itoa(r.Tries),
			timeCell(r.DueAt), r.Consent)
		a, n, sip := r.Attempt, "", ""
		if a == nil {
			a = &Attempt{}
		} else {
			n = strconv.Itoa(a.N)
		}
		if a.SIP != 0 {
			sip = strconv.Itoa(a.SIP)
		}
		row = append(row, n, a.Status, string(a.Outcome), a.CallID, a.Node, a.From, sip, a.Why, a.AnsweredBy,
			boolCell(r.Attempt, a.MessageLeft), boolCell(r.Attempt, a.OptOut), a.Disposition, jsonCell(a.Data),
			timeCell(someTime(a.ClaimedAt)), timeCell(a.DialedAt), timeCell(a.AnsweredAt), timeCell(a.EndedAt),
			timeCell(a.CallbackAt))
		for _, v := range variables {
			row = append(row, valueCell(r.Variables[v.Name]))
		}
		for i := range row {
			row[i] = inertCell(row[i])
		}
		if err := c.Write(row); err != nil {
			return err
		}
		c.Flush() // into w, which has a buffer too
		return c.Error()
	}
}

// inertCell keeps a spreadsheet from taking a cell for a formula: what begins
// like one gets an apostrophe before it. Numbers are none.
func inertCell(s string) string {
	if s == "" || !strings.ContainsRune("=+-@\t\r\n", rune(s[0])) {
		return s
	}
	if rest := s[1:]; (s[0] == '+' || s[0] == '-') && rest != "" && strings.Trim(rest, "0123456789.") == "" {
		return s
	}
	return "'" + s
}

func timeCell(t *time.Time) string {
	if t == nil {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z07:00")
}

func boolCell(of *Attempt, v bool) string {
	if of == nil {
		return ""
	}
	return strconv.FormatBool(v)
}

func jsonCell(m map[string]any) string {
	if len(m) == 0 {
		return ""
	}
	b, err := json.Marshal(m)
	if err != nil { // it was JSON where it was kept
		return ""
	}
	return string(b)
}

// valueCell is a value as people write it.
func valueCell(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	}
	b, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return string(b)
}

// patient is an answer of any length: each write has its own time.
type patient struct {
	w   io.Writer
	ctl *http.ResponseController
}

// Write waits for a reader that is slow, and not for one that stopped.
func (p *patient) Write(b []byte) (int, error) {
	_ = p.ctl.SetWriteDeadline(time.Now().Add(patience)) // a recorder has none
	return p.w.Write(b)
}
