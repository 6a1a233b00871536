package api

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"go.uber.org/zap"

	"github.com/patchcord/patchcord/store"
)

// Problem is an error as the API answers it: the members of RFC 9457, and the
// envelope {"error": {…}} beside them. Code is stable; programs branch on it.
type Problem struct {
	Status int
	Code   string // "not_found"
	Param  string // what of the request is wrong: "body.to"
	Detail string // for people
	Faults []Fault
	cause  error // for the log

	scope string // that is missing
	wait  int64  // s until there is room again
	retry string // Retry-After, where the problem itself carries it

	form                form
	instance, requestID string
}

// Fault is one of several things wrong with a request.
type Fault struct {
	Param   string `json:"param" doc:"Where in the request: body.to, query.limit"`
	Message string `json:"message"`
}

func (p *Problem) Error() string { return p.Detail }

// Unwrap gives what went wrong inside.
func (p *Problem) Unwrap() error { return p.cause }

// GetStatus is the HTTP status.
func (p *Problem) GetStatus() int { return p.Status }

// again tells when to come again, in whole seconds, none too few.
func (p *Problem) again(d time.Duration) *Problem {
	p.retry = strconv.FormatInt(int64((d+time.Second-1)/time.Second), 10)
	return p
}

// GetHeaders are those of the answer.
func (p *Problem) GetHeaders() http.Header {
	if p.retry == "" {
		return nil
	}
	return http.Header{"Retry-After": {p.retry}}
}

// ContentType is that of RFC 9457, or JSON on the paths of other platforms.
func (p *Problem) ContentType(string) string {
	if p.form != ours {
		return "application/json"
	}
	return "application/problem+json"
}

// ProblemBody is the JSON of a problem.
type ProblemBody struct {
	Type     string    `json:"type" doc:"Always about:blank: the status says it all" example:"about:blank"`
	Title    string    `json:"title" example:"Not Found"`
	Status   int       `json:"status" example:"404"`
	Detail   string    `json:"detail"`
	Instance string    `json:"instance" doc:"Path of the request"`
	Errors   []Fault   `json:"errors,omitempty" doc:"Every fault of the request"`
	Error    ErrorBody `json:"error"`
}

// ErrorBody is the envelope.
type ErrorBody struct {
	Code      string `json:"code" doc:"Stable, for programs" example:"not_found"`
	Message   string `json:"message" doc:"For people"`
	Param     string `json:"param,omitempty" doc:"Which part of the request is at fault" example:"body.to"`
	RequestID string `json:"request_id" doc:"Also in X-Request-Id and in the log"`
}

// MarshalJSON writes a ProblemBody, or the envelope of another platform.
func (p *Problem) MarshalJSON() ([]byte, error) {
	if p.form != ours {
		return p.vendor()
	}
	return json.Marshal(ProblemBody{
		Type: "about:blank", Title: http.StatusText(p.Status), Status: p.Status, Detail: p.Detail, Instance: p.instance,
		Errors: p.Faults,
		Error:  ErrorBody{Code: p.Code, Message: p.Detail, Param: p.Param, RequestID: p.requestID},
	})
}

// storeAgain is when to come again where the store is away.
const storeAgain = 5 * time.Second

// codes are the codes of errors that have none of their own.
var codes = map[int]string{
	http.StatusBadRequest: "bad_request", http.StatusUnauthorized: "unauthorized", http.StatusForbidden: "forbidden",
	http.StatusNotFound: "not_found", http.StatusMethodNotAllowed: "method_not_allowed",
	http.StatusNotAcceptable: "not_acceptable", http.StatusRequestTimeout: "timeout", http.StatusConflict: "conflict",
	http.StatusRequestEntityTooLarge: "too_large", http.StatusUnsupportedMediaType: "unsupported_media_type",
	http.StatusUnprocessableEntity: "invalid_request", http.StatusTooManyRequests: "rate_limited",
	http.StatusServiceUnavailable: "unavailable",
}

// problem makes every error that an operation answers one of ours. What was
// submitted is left out: it may be a secret.
func (s *Server) problem(ctx huma.Context, _ string, v any) (any, error) {
	answer := func(p *Problem) (any, error) {
		p = s.fill(ctx.Context(), ctx.URL().Path, p)
		ctx.SetHeader("Content-Type", p.ContentType(""))
		return p, nil
	}
	switch e := v.(type) {
	case *Problem:
		return answer(e)
	case *huma.ErrorModel:
		p := &Problem{Status: e.Status, Detail: e.Detail}
		for _, d := range e.Errors {
			if d != nil {
				p.Faults = append(p.Faults, Fault{Param: d.Location, Message: d.Message})
			}
		}
		if e.Status >= http.StatusInternalServerError {
			var inside []string
			for _, f := range p.Faults {
				inside = append(inside, f.Message)
			}
			p.cause, p.Faults = errors.New(strings.Join(inside, "; ")), nil
		}
		return answer(p)
	}
	return v, nil
}

// fill completes a problem. What went wrong inside is logged, not told.
func (s *Server) fill(ctx context.Context, path string, p *Problem) *Problem {
	p.instance, p.requestID, p.form = path, requestID(ctx), formOf(path)
	if p.Code == "" {
		p.Code = codes[p.Status]
	}
	if p.Code == "" {
		p.Code = "internal"
	}
	if p.Status == http.StatusUnsupportedMediaType {
		p.Detail, p.Faults = "Send the body as Content-Type: application/json.", nil
	}
	if len(p.Faults) > 0 {
		if p.Param == "" {
			p.Param = p.Faults[0].Param
		}
		if p.Detail == "" || p.Detail == "validation failed" {
			p.Detail = "The request is not valid: " + p.Faults[0].Message + "."
		}
	}
	if p.Status >= http.StatusInternalServerError && p.cause != nil {
		s.log.Error("request failed", zap.String("request_id", p.requestID), zap.String("path", path), zap.Error(p.cause))
	}
	if p.Status == http.StatusInternalServerError {
		p.Detail = "Something went wrong here. The log has it under the request_id."
	}
	p.inForm()
	return p
}

// writeProblem answers outside an operation.
func writeProblem(w io.Writer, header func(k, v string), status func(int), p *Problem) {
	body, err := json.Marshal(p)
	if err != nil {
		body = []byte(`{}`) // strings and numbers always are JSON
	}
	header("Content-Type", p.ContentType(""))
	header("Cache-Control", "no-store")
	status(p.Status)
	_, _ = w.Write(append(body, '\n')) // the reader may be gone
}

// fail is a problem; a code of "" is that of its status.
func fail(status int, code, param, detail string) *Problem {
	return &Problem{Status: status, Code: code, Param: param, Detail: detail}
}

// because adds what went wrong inside, for the log.
func (p *Problem) because(err error) *Problem {
	p.cause = err
	return p
}

// at is a place in a list.
func at(list string, i int) string { return list + "[" + strconv.Itoa(i) + "]" }

// internal is a fault that is not the request's: ours, or of a store that is away.
func internal(err error) *Problem {
	if store.Unavailable(err) {
		p := fail(http.StatusServiceUnavailable, "", "", "The store is away or full. Nothing was changed; try again later.")
		return p.because(err).again(storeAgain)
	}
	return &Problem{Status: http.StatusInternalServerError, cause: err}
}

func notFound(what string) *Problem {
	return fail(http.StatusNotFound, "not_found", "", "There is no such "+what+".")
}
