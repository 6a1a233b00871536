package tools

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"
)

// exchange makes one request within the tool's timeout and reads its reply.
// Whatever goes wrong is a result; a panic of a reader is one too.
func exchange(
	ctx context.Context, d *Definition, deps Deps, c Call, req Request, s *scope, read func(Reply) Result,
) (res Result) {
	start := time.Now()
	defer func() {
		if p := recover(); p != nil {
			res = ErrorResult(Failed, "invalid_response", "")
			res.Err = "invalid_response: the reply could not be read"
		}
		res.Took = time.Since(start)
		if deps.Log != nil {
			deps.Log.Debug("tool request", zap.String("tool", d.Name), zap.String("method", req.Method),
				zap.Int("http_status", res.HTTP), zap.String("status", string(res.Status)),
				zap.Int64("dur_ms", res.Took.Milliseconds()))
		}
	}()
	secrets := s.used
	if err := deps.mayCarry(d.Name, req.URL, s.named); err != nil {
		return refusal(err)
	}
	req.Header = append(req.Header, idempotency(c, req.Header)...)
	within, cancel := context.WithTimeout(ctx, d.Timeout())
	defer cancel()
	reply, err := deps.Client.Do(within, req)
	if deps.Watch != nil {
		deps.Watch(masked(req, reply, secrets))
	}
	switch {
	case err == nil:
		reply.Body = without(reply.Body, secrets)
		return read(reply)
	case ctx.Err() != nil:
		return ErrorResult(Cancelled, "cancelled", "")
	case within.Err() != nil:
		return Result{JSON: timeoutJSON, Status: TimedOut, Err: "timeout after " + d.Timeout().String(), HTTP: reply.Status}
	case errors.Is(err, ErrTooLarge):
		r := ErrorResult(Failed, "invalid_response", "")
		r.Err, r.HTTP = "invalid_response: "+err.Error(), reply.Status
		return r
	}
	r := refusal(err)
	r.HTTP = reply.Status
	return r
}

// idempotencyKey is the header by which an endpoint knows a request that it has
// had already, where its sender could not tell.
const idempotencyKey = "Idempotency-Key"

// idempotency is that header for one call of a tool, unless the definition
// writes its own. A model's ids are its own affair and may begin anew in each
// phone call, so the phone call's id stands before them.
func idempotency(c Call, have []KV) []KV {
	if c.ID == "" || slices.ContainsFunc(have, func(h KV) bool { return strings.EqualFold(h.Key, idempotencyKey) }) {
		return nil
	}
	id := c.ID
	if c.Env.CallID != "" {
		id = c.Env.CallID + "-" + id
	}
	visible := func(r rune) rune {
		if r <= ' ' || r > '~' {
			return '-'
		}
		return r
	}
	return []KV{{idempotencyKey, clip(strings.Map(visible, id), 200)}}
}

// refusal is the result of a request that was not made.
func refusal(err error) Result {
	var missing *missingError
	var arg argError
	switch {
	case errors.As(err, &missing):
		r := ErrorResult(Failed, "missing_variable", "")
		r.Err = "missing_variable: " + err.Error()
		return r
	case errors.As(err, &arg):
		return invalidArguments([]string{err.Error()})
	case errors.Is(err, ErrBlocked):
		r := ErrorResult(Failed, "blocked_url", "")
		r.Err = "blocked_url: " + err.Error()
		return r
	case errors.Is(err, errSecretHost):
		r := ErrorResult(Failed, "blocked_secret", "")
		r.Err = "blocked_secret: " + err.Error()
		return r
	case errors.Is(err, ErrHeader):
		return invalidArguments([]string{err.Error()})
	}
	r := ErrorResult(Failed, "unreachable", "")
	r.Err = "unreachable: " + err.Error()
	return r
}

// Metadata are the arguments of a tool that runs by itself: the call's
// phone_number and direction, and the context variables of an outbound call,
// typed as they came (D-06, D-07, D-16). The call's own facts win over a context
// variable of the same name (D-09). A pre-action is told the call_id as well (D-08).
func Metadata(e Env) json.RawMessage {
	own := []member{
		{"phone_number", str(e.Phone)},
		{"direction", str(e.Direction)},
	}
	if e.PreAction {
		own = append(own, member{"call_id", str(e.CallID)})
	}
	for _, k := range names(e.Context) {
		if IsMetadata(k) {
			continue
		}
		if v, err := marshal(e.Context[k]); err == nil {
			own = append(own, member{k, v})
		}
	}
	return objectOf(own)
}

// IsMetadata says whether a name is one of the call's own facts in [Metadata].
func IsMetadata(name string) bool {
	return name == "phone_number" || name == "direction" || name == "call_id"
}

func str(s string) json.RawMessage {
	b, err := marshal(s)
	if err != nil {
		return json.RawMessage(`""`)
	}
	return b
}

// Declared keeps the arguments that a schema names.
func Declared(schema Schema, args json.RawMessage) json.RawMessage {
	return declared(json.RawMessage(schema), args)
}

func declared(schema, args json.RawMessage) json.RawMessage {
	var s struct {
		Properties map[string]json.RawMessage `json:"properties"`
	}
	if json.Unmarshal(schema, &s) != nil {
		return json.RawMessage("{}")
	}
	ms, err := members(args)
	if err != nil {
		return json.RawMessage("{}")
	}
	var out []member
	for _, m := range ms {
		if _, ok := s.Properties[m.Key]; ok {
			out = append(out, m)
		}
	}
	return objectOf(out)
}

// flat are the texts of one argument in a query string.
func flat(v json.RawMessage) []string {
	var items []json.RawMessage
	if len(v) > 0 && v[0] == '[' && json.Unmarshal(v, &items) == nil {
		var out []string
		for _, it := range items {
			if len(it) > 0 && (it[0] == '{' || it[0] == '[') {
				return []string{string(v)}
			}
			out = append(out, flat(it)...)
		}
		return out
	}
	var s string
	if json.Unmarshal(v, &s) == nil && len(v) > 0 && v[0] == '"' {
		return []string{s}
	}
	if string(v) == "null" {
		return nil
	}
	return []string{string(v)}
}

// Contexts is what the tools that ran by themselves found, in their order.
type Contexts []Found

// Found is the result of one of them.
type Found struct {
	Tool   string
	Result json.RawMessage
}

// Text is how results enter the model's context: one object, keyed by the
// tools' names (D-15). It is "" when there is nothing.
func (cs Contexts) Text() string {
	if len(cs) == 0 {
		return ""
	}
	ms := make([]member, len(cs))
	for i, c := range cs {
		ms[i] = member{c.Tool, c.Result}
		if !json.Valid(c.Result) {
			ms[i].Value = json.RawMessage(`{"error":"invalid_response"}`)
		}
	}
	return "Caller context: " + string(objectOf(ms))
}
