package tools

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"golang.org/x/net/http/httpguts"
)

// Checks gathers the faults of a type's or a dialect's configuration, each with
// the place of its key.
type Checks struct {
	Definition *Definition
	Deps       Deps
	Faults     Faults
}

// Fault notes what is wrong with a key of the configuration; one within others
// is written a.b[0].c.
func (c *Checks) Fault(key, what, do string) { c.fault(key, what, do).Warning = false }

// Warn is Fault for what leaves the definition usable.
func (c *Checks) Warn(key, what, do string) { c.fault(key, what, do).Warning = true }

func (c *Checks) fault(key, what, do string) *Fault {
	return c.Faults.add(c.node(key), "config."+key, what, do)
}

func (c *Checks) node(key string) ast.Node {
	var path []any
	for part := range strings.FieldsFuncSeq(key, func(r rune) bool { return r == '.' || r == '[' || r == ']' }) {
		if n, err := strconv.Atoi(part); err == nil {
			path = append(path, n)
		} else {
			path = append(path, part)
		}
	}
	return c.Definition.Config.at(path...)
}

// Text checks the placeholders of a text.
func (c *Checks) Text(key, text string) {
	t, err := parseTemplate(text)
	if err != nil {
		c.Fault(key, err.Error(), "")
	}
	c.names(key, c.node(key), t.names())
}

// URL checks a URL that may hold placeholders (T-09).
func (c *Checks) URL(key, raw string) { c.url(key, raw) }

// Headers checks names, values and placeholders of headers.
func (c *Checks) Headers(key string, kvs []KV) { c.headers(key, kvs) }

func (c *Checks) url(key, raw string) urlTemplate {
	if raw == "" {
		c.Fault(key, "missing", "write the endpoint's URL, https://…")
		return urlTemplate{}
	}
	u, err := parseURL(raw)
	if origin, ok := u.static(); err == nil && ok {
		switch {
		case c.Deps.Client != nil:
			err = c.Deps.Client.CheckURL(origin)
		case !strings.HasPrefix(origin, "https://") && !strings.HasPrefix(origin, "http://"):
			err = errors.New("not a URL of the form https://host/path")
		}
	}
	if err != nil {
		c.Fault(key, err.Error(), "")
	} else if MaskURL(raw) != raw {
		c.literal(key)
	}
	c.names(key, c.node(key), u.names())
	return u
}

// hopHeaders are written by the transport alone.
var hopHeaders = []string{
	"Host", "Content-Length", "Transfer-Encoding", "Connection", "Upgrade", "Te", "Trailer", "Keep-Alive",
}

func (c *Checks) headers(key string, kvs []KV) []pair {
	for i, h := range kvs {
		n, path := c.Definition.Config.at(key, i), fmt.Sprintf("config.%s[%d].key", key, i)
		if _, isList := c.Definition.Config.at(key).(*ast.SequenceNode); !isList {
			n, path = c.Definition.Config.at(key, h.Key), "config."+key+"."+h.Key
		}
		switch {
		case !httpguts.ValidHeaderFieldName(h.Key):
			c.Faults.add(n, path, fmt.Sprintf("%q is no name of a header", h.Key), "")
		case slices.Contains(hopHeaders, http.CanonicalHeaderKey(h.Key)):
			c.Faults.add(n, path, h.Key+" is written by the transport", "leave it out")
		case !httpguts.ValidHeaderFieldValue(h.Value):
			c.Faults.add(n, path, "a value with a line break or a control character", "write it in one line")
		case isCredential(h.Key, h.Value):
			warnLiteral(c.Faults.add(n, path, "", ""))
		}
	}
	return c.pairs(key, kvs)
}

// literal advises against a credential that stands in a definition as it is.
func (c *Checks) literal(key string) { warnLiteral(c.fault(key, "", "")) }

func warnLiteral(f *Fault) {
	f.What, f.Do = "a credential as it is: whoever may change the tool sees it, and exports hold it",
		"keep it under secrets: and write {{secret.NAME}}"
	f.Warning = true
}

func (c *Checks) pairs(key string, kvs []KV) []pair {
	var out []pair
	for i, kv := range kvs {
		n, path := c.Definition.Config.at(key, i), fmt.Sprintf("config.%s[%d].value", key, i)
		if _, isList := c.Definition.Config.at(key).(*ast.SequenceNode); !isList {
			n, path = c.Definition.Config.at(key, kv.Key), "config."+key+"."+kv.Key
		}
		t, err := parseTemplate(kv.Value)
		if err != nil {
			c.Faults.add(n, path, err.Error(), "")
		}
		if kv.Key == "" {
			c.Faults.add(n, path, "no key", "write the parameter's name")
		}
		c.names(strings.TrimPrefix(path, "config."), n, t.names())
		out = append(out, pair{kv.Key, t})
	}
	return out
}

// everyCall are the variables that every call has.
var everyCall = []string{
	"call_id", "agent_id", "caller_phone", "phone_number", "direction",
	"caller_anonymous", "caller_uri", "called_uri", "diverted_from", "diversion_reason",
}

// EveryCall says whether every call has a variable of this name.
func EveryCall(name string) bool { return slices.Contains(everyCall, name) }

// names checks what placeholders stand for, as far as it is known before a
// call: secrets that there are, and no name that is a variable's and a
// secret's.
func (c *Checks) names(path string, n ast.Node, used []string) {
	if c.Deps.Secrets == nil {
		return
	}
	for _, name := range used {
		if s, ok := strings.CutPrefix(name, "secret."); ok {
			if _, ok := c.Deps.Secrets(s); !ok {
				c.Faults.add(n, "config."+path, "no secret of the name "+s, "add it under secrets: in the configuration")
			}
			continue
		}
		head, _, _ := strings.Cut(name, ".")
		isVar := slices.Contains(everyCall, head) || slices.Contains(c.Deps.Vars, head)
		if _, isSecret := c.Deps.Secrets(name); isSecret && isVar {
			c.Faults.add(n, "config."+path, "{{"+name+"}} is a variable of the call and a secret",
				"write {{secret."+name+"}}, or give one of them another name")
		}
	}
}
