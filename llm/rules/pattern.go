package rules

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/patchcord/patchcord/internal/yamlfault"
)

// Bounds of a pattern.
const (
	maxPattern = 1000 // bytes
	maxNesting = 20
)

// pattern is a compiled pattern. Utterances are matched as their words, each
// followed by a space; the expression is one of Go's, linear in their length.
type pattern struct {
	re       *regexp.Regexp
	captures []capture // of its groups, in order
}

type capture struct {
	name, kind string
	least      int // digits
	most       int // digits, 0 for any number
}

// patternError is a fault in a pattern, at a byte of it.
type patternError struct {
	at       int
	what, do string
}

func (e *patternError) Error() string { return e.what }

// normal is an utterance as patterns see it: its words in lower case, each
// followed by a space. Apostrophes are left out, all else that is neither
// letter nor digit parts words.
func normal(s string) string {
	var b strings.Builder
	b.Grow(len(s) + 1)
	word := false
	for _, r := range s {
		switch {
		case r == '\'' || r == '’':
			continue
		case unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r):
			b.WriteRune(unicode.ToLower(r))
			word = true
		case word:
			b.WriteByte(' ')
			word = false
		}
	}
	if word {
		b.WriteByte(' ')
	}
	return b.String()
}

// match finds the pattern in a normal utterance.
func (p *pattern) match(text string, n numerals) (map[string]any, bool) {
	m := p.re.FindStringSubmatch(text)
	if m == nil {
		return nil, false
	}
	out := map[string]any{}
	for i, c := range p.captures {
		got := strings.TrimSpace(m[i+1])
		if got == "" {
			continue
		}
		switch c.kind {
		case "digits":
			d := n.digits(got)
			if len(d) < c.least || c.most > 0 && len(d) > c.most {
				return nil, false
			}
			out[c.name] = d
		case "number":
			v, ok := n.number(got)
			if !ok {
				return nil, false
			}
			out[c.name] = v
		default:
			out[c.name] = got
		}
	}
	return out, true
}

// compile reads a pattern. words are the named alternatives of <name>.
func compile(src string, words map[string]string, n numerals) (*pattern, error) {
	if len(src) > maxPattern {
		return nil, &patternError{0, fmt.Sprintf("a pattern of %d bytes", len(src)), fmt.Sprintf("%d at most", maxPattern)}
	}
	c := &compiler{src: src, words: words, numerals: n}
	c.out.WriteString(`(?:^| )`)
	c.space()
	if c.take('^') {
		c.out.Reset()
		c.out.WriteString(`^`)
	}
	if err := c.alternatives(0, false); err != nil {
		return nil, err
	}
	if c.take('$') {
		c.out.WriteString(`$`)
		c.space()
	}
	if c.pos < len(c.src) {
		return nil, c.stray()
	}
	re, err := regexp.Compile(c.out.String())
	if err != nil {
		return nil, &patternError{0, "a pattern too large", "make two of it"}
	}
	if re.MatchString("") {
		return nil, &patternError{0, "a pattern that fits everything", "write at least one word; otherwise: is for the rest"}
	}
	return &pattern{re: re, captures: c.captures}, nil
}

// compiler turns a pattern into a regular expression over normal text.
type compiler struct {
	src      string
	pos      int
	out      strings.Builder
	words    map[string]string
	numerals numerals
	captures []capture
}

func (c *compiler) space() {
	for c.pos < len(c.src) && strings.IndexByte(" \t\r\n,.!?;:\"", c.src[c.pos]) >= 0 {
		c.pos++
	}
}

// take takes a byte and the space behind it.
func (c *compiler) take(b byte) bool {
	if c.pos >= len(c.src) || c.src[c.pos] != b {
		return false
	}
	c.pos++
	c.space()
	return true
}

func (c *compiler) fail(at int, what, do string) error { return &patternError{at, what, do} }

// alternatives reads a|b up to something that is not theirs.
func (c *compiler) alternatives(depth int, inGroup bool) error {
	if depth > maxNesting {
		return c.fail(c.pos, "nested too deeply", "")
	}
	c.out.WriteString("(?:")
	for {
		start := c.pos
		if err := c.sequence(depth); err != nil {
			return err
		}
		if c.pos == start && (inGroup || c.pos < len(c.src) && c.src[c.pos] == '|') {
			return c.fail(c.pos, "nothing to match here", "write a word, or [a|b] for what may be missing")
		}
		if !c.take('|') {
			break
		}
		c.out.WriteByte('|')
	}
	c.out.WriteByte(')')
	return nil
}

// sequence reads elements one after the other.
func (c *compiler) sequence(depth int) error {
	c.space()
	for c.pos < len(c.src) {
		at := c.pos
		switch b := c.src[c.pos]; b {
		case '(', '[':
			if err := c.group(depth, b); err != nil {
				return err
			}
		case '*':
			c.take('*')
			c.out.WriteString(`(?:[^ ]+ )*?`)
		case '+':
			c.take('+')
			c.out.WriteString(`(?:[^ ]+ )+?`)
		case '{':
			if err := c.capture(); err != nil {
				return err
			}
		case '<':
			if err := c.named(); err != nil {
				return err
			}
		default:
			if !c.word() {
				return nil
			}
		}
		if c.pos == at {
			return nil
		}
		c.space()
	}
	return nil
}

func (c *compiler) group(depth int, open byte) error {
	at, closing := c.pos, map[byte]byte{'(': ')', '[': ']'}[open]
	c.take(open)
	if err := c.alternatives(depth+1, true); err != nil {
		return err
	}
	if !c.take(closing) {
		if c.pos < len(c.src) {
			return c.stray()
		}
		return c.fail(at, fmt.Sprintf("%c without %c", open, closing), "")
	}
	if open == '[' {
		c.out.WriteByte('?')
	}
	return nil
}

// word reads a word; one with a hyphen is two.
func (c *compiler) word() bool {
	start := c.pos
	for c.pos < len(c.src) {
		r, n := utf8.DecodeRuneInString(c.src[c.pos:])
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r) && r != '\'' && r != '’' && r != '-' {
			break
		}
		c.pos += n
	}
	w := normal(c.src[start:c.pos])
	if w == "" {
		c.pos = start
		return false
	}
	c.out.WriteString(regexp.QuoteMeta(w))
	return true
}

// named reads <name>.
func (c *compiler) named() error {
	at := c.pos
	end := strings.IndexByte(c.src[c.pos:], '>')
	if end < 0 {
		return c.fail(at, "< without >", "")
	}
	name := c.src[c.pos+1 : c.pos+end]
	expr, ok := c.words[name]
	if !ok {
		return c.fail(at, fmt.Sprintf("<%s> is none of words:", name), yamlfault.Suggest(name, keys(c.words)))
	}
	c.out.WriteString(expr)
	c.pos += end + 1
	return nil
}

var captureKinds = []string{"digits", "number", "word", "words"}

// capture reads {name}, {kind:name} or {digits:name:3-8}.
func (c *compiler) capture() error {
	at := c.pos
	end := strings.IndexByte(c.src[c.pos:], '}')
	if end < 0 {
		return c.fail(at, "{ without }", "")
	}
	parts := strings.Split(c.src[c.pos+1:c.pos+end], ":")
	c.pos += end + 1
	k := capture{name: parts[0], kind: "words", least: 1}
	if len(parts) > 1 {
		k.kind, k.name = strings.TrimSpace(parts[0]), parts[1]
	}
	k.name = strings.TrimSpace(k.name)
	switch {
	case !slices.Contains(captureKinds, k.kind):
		return c.fail(at, fmt.Sprintf("%q captures nothing", k.kind), yamlfault.Suggest(k.kind, captureKinds))
	case !isName(k.name):
		return c.fail(at, fmt.Sprintf("%q is no name", k.name), "letters, digits and _, a letter first")
	case slices.Contains(ownNames, k.name):
		return c.fail(at, fmt.Sprintf("%q has a meaning of its own", k.name), "give the capture another name")
	case len(parts) > 3 || len(parts) == 3 && k.kind != "digits":
		return c.fail(at, "too many colons", "write {digits:name:3-8}")
	case len(parts) == 3:
		low, high, isRange := strings.Cut(parts[2], "-")
		if !isRange {
			high = low
		}
		var err1, err2 error
		k.least, err1 = strconv.Atoi(low)
		k.most, err2 = strconv.Atoi(high)
		if err1 != nil || err2 != nil || k.least < 1 || k.most < k.least || k.most > 100 {
			return c.fail(at, fmt.Sprintf("%q is no number of digits", parts[2]), "write 4, or 3-8")
		}
	}
	c.captures = append(c.captures, k)
	if len(c.captures) > 20 {
		return c.fail(at, "too many captures", "20 at most")
	}
	c.out.WriteString("(" + c.expression(k.kind) + ")")
	return nil
}

func (c *compiler) expression(kind string) string {
	n := c.numerals
	switch kind {
	case "digits":
		one := `(?:` + alternatives(byLength(n.value)) + `|[0-9]+)`
		if len(n.repeat) > 0 {
			one = `(?:(?:` + alternatives(byLength(n.repeat)) + `) )?` + one
		}
		return `(?:` + one + ` )+`
	case "number":
		one := `(?:` + alternatives(byLength(n.value, n.scale)) + `|[0-9]{1,9})`
		return one + ` (?:(?:` + regexp.QuoteMeta(n.and) + ` )?` + one + ` )*`
	case "word":
		return `[^ ]+ `
	}
	return `(?:[^ ]+ )+`
}

func alternatives(words []string) string {
	q := make([]string, len(words))
	for i, w := range words {
		q[i] = regexp.QuoteMeta(w)
	}
	return strings.Join(q, "|")
}

// stray is what stands where it cannot.
func (c *compiler) stray() error {
	r, _ := utf8.DecodeRuneInString(c.src[c.pos:])
	do := "patterns are words, ( | ), [ ], *, +, { }, < >, ^ at the beginning and $ at the end"
	return c.fail(c.pos, fmt.Sprintf("%q does not belong here", r), do)
}

func isName(s string) bool {
	for i, r := range s {
		if r != '_' && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return s != ""
}
