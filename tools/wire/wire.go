// Package wire holds the forms in which other platforms write and call tools:
// for each a reader of its definitions, the request it sends and the reply it
// reads. The rules that all share (timeouts, limits, what a result may be) are
// of package tools.
//
//	                 callin     hubspot       talkpilot     flireo                  dariet
//	method           GET POST   POST          any           POST                    POST GET
//	body             flat       inputFields   flat, own     message.tool_call_list  tool, args, call_id
//	several calls    no         no            no            in one request          no
//	signed           no         SHA-256, v2   no            HMAC of time and body   no
//	answers later    no         BLOCK         no            async                   no
//
// A form sends exactly what its platform documents and nothing of a secret
// reaches a result. The signatures can be checked by those who receive them:
// VerifyHubSpot, VerifyFlireo.
package wire

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/patchcord/patchcord/tools"
)

// Dialects is the table of forms, by the dialect: key of a webhook.
func Dialects() map[string]tools.Dialect {
	return map[string]tools.Dialect{
		"callin":    Callin{},
		"dariet":    Dariet{},
		"flireo":    Flireo{},
		"hubspot":   HubSpot{},
		"talkpilot": TalkPilot{},
	}
}

// target resolves URL and headers of one request.
func target(method, rawURL string, headers []tools.KV, e *tools.Expander) (tools.Request, error) {
	r := tools.Request{Method: method}
	var err error
	if r.URL, err = e.URL(rawURL); err != nil {
		return r, err
	}
	for _, h := range headers {
		v, err := e.Text(h.Value)
		if err != nil {
			return r, err
		}
		r.Header = append(r.Header, tools.KV{Key: h.Key, Value: v})
	}
	return r, nil
}

// withJSON is r with v as its body, in application/json unless a header says
// otherwise.
func withJSON(r tools.Request, v any) (tools.Request, error) {
	b, err := compact(v)
	if err != nil {
		return r, err
	}
	r.Body = b
	if !slices.ContainsFunc(r.Header, func(h tools.KV) bool { return strings.EqualFold(h.Key, "Content-Type") }) {
		r.Header = append(r.Header, tools.KV{Key: "Content-Type", Value: "application/json"})
	}
	return r, nil
}

// compact is JSON without escaping <, > and &.
func compact(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, fmt.Errorf("wire: arguments: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// asSent is a URL as whoever gets the request can tell it: one without a path
// asks for /.
func asSent(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return raw // the client will refuse it
	}
	if u.Fragment = ""; u.Path == "" {
		u.Path = "/"
	}
	return u.String()
}

// parameter is one argument of a tool.
type parameter struct {
	name     string
	schema   any
	required bool
}

// schemaOf is the JSON Schema of parameters, in their order; more are further
// members of it.
func schemaOf(ps []parameter, more ...string) (tools.Schema, error) {
	var b bytes.Buffer
	required := []string{}
	b.WriteString(`{"type":"object","properties":{`)
	for i, p := range ps {
		name, err := compact(p.name)
		if err != nil {
			return nil, err
		}
		s, err := compact(p.schema)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%s:%s", name, s)
		if p.required {
			required = append(required, p.name)
		}
	}
	list, err := compact(required)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(&b, `},"required":%s`, list)
	for _, m := range more {
		b.WriteString("," + m)
	}
	b.WriteByte('}')
	return tools.Schema(b.Bytes()), nil
}
