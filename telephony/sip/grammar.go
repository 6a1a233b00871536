package sip

import "strings"

// splitList cuts a header value at its commas, leaving those in quoted strings
// and in <> alone. Values are trimmed; empty ones are kept, as faults.
func splitList(s string) []string { return splitOutside(s, ',') }

// splitOutside cuts s at sep where sep is neither quoted nor in <>.
func splitOutside(s string, sep byte) []string {
	var out []string
	quoted, angle, from := false, false, 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case quoted && c == '\\':
			i++
		case c == '"' && !angle:
			quoted = !quoted
		case quoted:
		case c == '<':
			angle = true
		case c == '>':
			angle = false
		case c == sep && !angle:
			out = append(out, strings.Trim(s[from:i], " \t"))
			from = i + 1
		}
	}
	return append(out, strings.Trim(s[from:], " \t"))
}

// address is a name-addr or addr-spec (RFC 3261 section 25.1) in its parts.
type address struct {
	display string // without quotes, escapes resolved
	uri     string
	params  []param
	bracket bool // the URI stood in <>
}

type param struct{ name, value string }

// param is the value of one parameter.
func (a *address) param(name string) (string, bool) {
	for _, p := range a.params {
		if strings.EqualFold(p.name, name) {
			return p.value, true
		}
	}
	return "", false
}

// parseAddress reads s strictly: balanced quotes, a display name of tokens
// unless quoted, no white space within <>. White space around ; and = is
// allowed (SEMI and EQUAL of section 25.1).
func parseAddress(s string) (address, bool) {
	var a address
	s = strings.Trim(s, " \t")
	rest := s
	if strings.HasPrefix(s, `"`) {
		end := quotedEnd(s)
		if end < 0 {
			return a, false
		}
		a.display = unquote(s[:end])
		rest = strings.TrimLeft(s[end:], " \t")
		if !strings.HasPrefix(rest, "<") {
			return a, false
		}
	}
	if i := strings.IndexByte(rest, '<'); i >= 0 && !strings.Contains(rest[:i], ";") {
		if i > 0 {
			for _, word := range strings.Fields(rest[:i]) {
				if !isToken(word) {
					return a, false
				}
			}
			a.display = strings.TrimSpace(rest[:i])
		}
		end := strings.IndexByte(rest[i:], '>')
		if end < 0 {
			return a, false
		}
		a.uri, a.bracket = rest[i+1:i+end], true
		rest = strings.Trim(rest[i+end+1:], " \t")
		if rest != "" && rest[0] != ';' {
			return a, false
		}
		rest = strings.TrimPrefix(rest, ";")
	} else {
		// Without <> the parameters belong to the field (section 20).
		a.uri, rest, _ = strings.Cut(rest, ";")
		a.uri = strings.TrimRight(a.uri, " \t")
	}
	if a.uri == "" || strings.ContainsAny(a.uri, " \t\"<>") {
		return a, false
	}
	if rest == "" {
		return a, true
	}
	for _, part := range splitOutside(rest, ';') {
		name, value, _ := strings.Cut(part, "=")
		name = strings.Trim(name, " \t")
		if !isToken(name) {
			return a, false
		}
		value = strings.Trim(value, " \t")
		if strings.HasPrefix(value, `"`) && quotedEnd(value) != len(value) {
			return a, false
		}
		a.params = append(a.params, param{name, value})
	}
	return a, true
}

// String writes the address as the parser below reads it: no white space but
// behind the display name, the URI in <>.
func (a *address) String() string {
	var b strings.Builder
	if a.display != "" {
		b.WriteString(quote(a.display))
		b.WriteByte(' ')
	}
	b.WriteString("<" + a.uri + ">")
	for _, p := range a.params {
		b.WriteString(";" + p.name)
		if p.value != "" {
			b.WriteString("=" + p.value)
		}
	}
	return b.String()
}

// quotedEnd is the offset behind the closing quote of the quoted string that s
// starts with, or -1.
func quotedEnd(s string) int {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return -1
}

// unquote resolves the escapes of a quoted string.
func unquote(s string) string {
	s = strings.TrimSuffix(strings.TrimPrefix(s, `"`), `"`)
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// quote writes s as a quoted string; control characters are escaped like the
// quote itself (section 25.1, quoted-pair).
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(s) {
		if c := s[i]; c == '"' || c == '\\' || c < ' ' || c == 0x7f {
			b.WriteByte('\\')
		}
		b.WriteByte(s[i])
	}
	b.WriteByte('"')
	return b.String()
}

// via is one Via value (RFC 3261 section 20.42).
type via struct {
	transport string // upper case
	sentBy    string // host[:port]
	params    []param
}

func (v *via) param(name string) (string, bool) {
	a := address{params: v.params}
	return a.param(name)
}

// parseVia reads one Via value; white space may stand around the slashes, the
// colon, ; and =.
func parseVia(s string) (via, bool) {
	var v via
	protocol, rest, ok := strings.Cut(s, "/")
	version, rest, ok2 := strings.Cut(rest, "/")
	if !ok || !ok2 || !strings.EqualFold(strings.TrimSpace(protocol), "SIP") || strings.TrimSpace(version) != "2.0" {
		return v, false
	}
	rest = strings.TrimLeft(rest, " \t")
	i := strings.IndexAny(rest, " \t")
	if i < 0 || !isToken(rest[:i]) {
		return v, false
	}
	v.transport = strings.ToUpper(rest[:i])
	parts := splitOutside(rest[i:], ';')
	v.sentBy = strings.Join(strings.Fields(parts[0]), "")
	if v.sentBy == "" || strings.ContainsAny(v.sentBy, `"<>,;@`) {
		return v, false
	}
	for _, part := range parts[1:] {
		name, value, _ := strings.Cut(part, "=")
		name, value = strings.Trim(name, " \t"), strings.Trim(value, " \t")
		if !isToken(name) {
			return v, false
		}
		v.params = append(v.params, param{name, value})
	}
	return v, true
}

func (v *via) String() string {
	var b strings.Builder
	b.WriteString("SIP/2.0/" + v.transport + " " + v.sentBy)
	for _, p := range v.params {
		b.WriteString(";" + p.name)
		if p.value != "" {
			b.WriteString("=" + p.value)
		}
	}
	return b.String()
}

// scheme is the URI's scheme in lower case, "" if it has none.
func scheme(uri string) string {
	s, _, ok := strings.Cut(uri, ":")
	if !ok {
		return ""
	}
	return strings.ToLower(s)
}

// phoneScheme reports whether a call can be to or from such a URI.
func phoneScheme(uri string) bool {
	switch scheme(uri) {
	case "sip", "sips", "tel":
		return true
	}
	return false
}
