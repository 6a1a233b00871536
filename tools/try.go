package tools

import (
	"context"
	"encoding/json"
	"net/url"
	"strings"

	"github.com/google/uuid"
)

// Trial is what came of one run of a tool outside a phone call.
type Trial struct {
	Tool     string          `json:"tool"`
	Request  *Sent           `json:"request"`  // nil: nothing was sent
	Response *Answer         `json:"response"` // nil: nothing came back
	Result   json.RawMessage `json:"result"`   // what the model would be told
	Status   Status          `json:"status"`
	Error    string          `json:"error,omitempty"` // without secrets and addresses
	Duration int64           `json:"duration_ms"`
	Hints    []Hint          `json:"hints,omitempty"`
}

// Sent is a request as it went out, secrets masked.
type Sent struct {
	Method string `json:"method"`
	URL    string `json:"url"`
	Header []KV   `json:"headers"`
	Body   string `json:"body,omitempty"`
}

// Answer is what an endpoint answered, secrets masked.
type Answer struct {
	Status      int    `json:"status"`
	ContentType string `json:"content_type,omitempty"`
	Body        string `json:"body"`
}

// User is an agent that a tool is assigned to.
type User struct {
	Agent  string
	Prompt string
}

// Try runs one tool exactly as a phone call would: the same check of its
// arguments, guard, signature and timeout. users are the agents that it is
// assigned to, nil where that is not known. The error is of the definition:
// nothing was run.
func Try(ctx context.Context, d Definition, deps Deps, c Call, users []User) (Trial, error) {
	t := Trial{Tool: d.Name}
	deps.Watch = func(s Sent, a *Answer) {
		if t.Request == nil { // of a deferred result, the first
			t.Request, t.Response = &s, a
		}
	}
	set, faults := Build([]Definition{d}, deps)
	if err := faults.Err(); err != nil {
		return t, err
	}
	for _, f := range faults {
		t.Hints = append(t.Hints, Hint{Problem: f.What, Solution: f.Do})
	}
	if len(set.tools) == 0 { // not built yet: the warnings say so
		t.Status, t.Result, t.Error = Refused, json.RawMessage(`{"error":"not_built"}`), "not_built"
		return t, nil
	}
	tool := set.tools[0]
	def := tool.Definition()
	t.Tool, c.Name = def.Name, def.Name
	if c.ID == "" {
		c.ID = "try-" + uuid.NewString()
	}
	raw := c.Args
	args, r, ok := Arguments(tool, raw)
	if c.Args = args; ok {
		r = tool.Run(ctx, c)
	}
	if r.Later != nil { // nobody waits for it here
		over, cancel := context.WithCancel(ctx)
		cancel()
		r.Later(over)
	}
	t.Result, t.Status, t.Error, t.Duration = r.JSON, r.Status, r.Err, r.Took.Milliseconds()
	t.Hints = append(t.Hints, diagnose(tool, args, r, users)...)
	return t, nil
}

// mostShown is how much of a body is shown, bytes.
const mostShown = 16 << 10

// masked is an exchange as people may see it.
func masked(req Request, reply Reply, secrets []string) (Sent, *Answer) {
	s := Sent{Method: req.Method, URL: MaskURL(mask(req.URL, secrets)), Header: []KV{}, Body: shown(req.Body, secrets)}
	for _, h := range req.Header {
		s.Header = append(s.Header, KV{h.Key, maskHeader(h.Key, mask(h.Value, secrets))})
	}
	if reply.Status == 0 {
		return s, nil
	}
	kind := reply.Header.Get("Content-Type")
	return s, &Answer{Status: reply.Status, ContentType: kind, Body: shown(reply.Body, secrets)}
}

func shown(body []byte, secrets []string) string {
	return clip(mask(strings.ToValidUTF8(string(body), "\uFFFD"), secrets), mostShown)
}

// mask puts stars in place of secrets, as they are and as URLs and JSON write
// them.
func mask(s string, secrets []string) string {
	for _, v := range secrets {
		if v == "" {
			continue
		}
		forms := []string{v, url.QueryEscape(v), url.PathEscape(v)}
		for _, write := range []func(any) ([]byte, error){json.Marshal, marshal} {
			if j, err := write(v); err == nil {
				forms = append(forms, string(j[1:len(j)-1]))
			}
		}
		for _, f := range forms {
			s = strings.ReplaceAll(s, f, "***")
		}
	}
	return s
}
