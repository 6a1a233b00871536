package tools

import (
	"errors"
	"net/url"
	"strings"
)

// urlTemplate is a URL with placeholders: each is escaped for the place it
// stands in, and scheme and host take none but secrets, so that nothing a
// caller or a model says can send a request elsewhere.
type urlTemplate struct{ origin, path, query template }

func parseURL(raw string) (urlTemplate, error) {
	var u urlTemplate
	scheme := strings.Index(raw, "://")
	if scheme < 0 {
		if strings.HasPrefix(raw, "{{") {
			return u, errors.New("a URL that begins with a placeholder: write https:// and the host")
		}
		return u, errors.New("not a URL of the form https://host/path")
	}
	end := scheme + 3 + originEnd(raw[scheme+3:])
	rest, query, _ := strings.Cut(raw[end:], "?")
	query, _, _ = strings.Cut(query, "#")
	var err error
	if u.origin, err = parseTemplate(raw[:end]); err != nil {
		return u, err
	}
	for _, n := range u.origin.names() {
		if !strings.HasPrefix(n, "secret.") {
			return u, errors.New("{{" + n + "}} in the host: only {{secret.…}} may stand there")
		}
	}
	if u.path, err = parseTemplate(rest); err != nil {
		return u, err
	}
	u.query, err = parseTemplate(query)
	return u, err
}

// originEnd is where the host of a URL ends.
func originEnd(s string) int {
	in := false
	for i := range len(s) {
		switch {
		case strings.HasPrefix(s[i:], "{{"):
			in = true
		case strings.HasPrefix(s[i:], "}}"):
			in = false
		case !in && strings.IndexByte("/?#", s[i]) >= 0:
			return i
		}
	}
	return len(s)
}

func (u urlTemplate) names() []string {
	return append(append(u.origin.names(), u.path.names()...), u.query.names()...)
}

// static is the URL when no placeholder stands in it.
func (u urlTemplate) static() (string, bool) {
	if len(u.origin.names()) > 0 {
		return "", false
	}
	s, err := u.origin.expand(nil, plain)
	return s, err == nil
}

func (u urlTemplate) expand(s *scope) (string, error) {
	origin, err := u.origin.expand(s, plain)
	if err != nil {
		return "", err
	}
	path, err := u.path.expand(s, pathSegment)
	if err != nil {
		return "", err
	}
	query, err := u.query.expand(s, func(v any) (string, error) { return url.QueryEscape(textOf(v)), nil })
	if err != nil {
		return "", err
	}
	if query != "" {
		query = "?" + query
	}
	return origin + path + query, nil
}

// pathSegment keeps a value within its segment of the path.
func pathSegment(v any) (string, error) {
	s := textOf(v)
	if s == "." || s == ".." {
		return "", argError("a path may not hold . or .. as a value")
	}
	return url.PathEscape(s), nil
}

// argError is a value that cannot stand where it is asked for.
type argError string

func (e argError) Error() string { return string(e) }

// Query is a URL with parameters added in their order.
func Query(raw string, params []KV) string {
	var b strings.Builder
	b.WriteString(raw)
	sep := byte('?')
	if strings.Contains(raw, "?") {
		sep = '&'
	}
	for _, p := range params {
		b.WriteByte(sep)
		b.WriteString(url.QueryEscape(p.Key) + "=" + url.QueryEscape(p.Value))
		sep = '&'
	}
	return b.String()
}

// Flatten makes query parameters of a JSON object, in its order: lists of
// scalars become repeated keys, objects stay JSON. Keys of taken are left out.
func Flatten(args []byte, taken map[string]bool) []KV {
	ms, err := members(args)
	if err != nil {
		return nil
	}
	var out []KV
	for _, m := range ms {
		if taken[m.Key] {
			continue
		}
		for _, v := range flat(m.Value) {
			out = append(out, KV{m.Key, v})
		}
	}
	return out
}
