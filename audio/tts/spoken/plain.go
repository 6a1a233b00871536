package spoken

import (
	"html"
	"strings"
	"unicode"
	"unicode/utf8"
)

// longestTag is how long an element of markup may be, bytes. Beyond it a "<"
// is a sign of its own.
const longestTag = 200

// fence begins and ends a block of code, which is not said.
const fence = "```"

// stripper takes out of a text what only the eye reads: markup, code, emoji,
// control characters, double spaces.
type stripper struct {
	pen

	code bool // inside a fenced block
}

// strip is text without markup. Code tells, and is told, whether the text
// begins inside a block of code that began before it.
func strip(text string, code *bool) (string, path) {
	s := &stripper{pen: pen{old: text}, code: *code}
	for s.at < len(text) {
		s.step()
	}
	*code = s.code
	if out := s.b.String(); strings.HasSuffix(out, " ") { // the space after the last word is not said
		out = out[:len(out)-1]
		for i := range s.p {
			s.p[i].now = min(s.p[i].now, len(out))
		}
		return out, s.p
	}
	return s.b.String(), s.p
}

func (s *stripper) step() {
	rest := s.old[s.at:]
	if strings.HasPrefix(rest, fence) {
		s.code = !s.code
		n := len(fence)
		if s.code { // the name of the language
			n += strings.IndexFunc(rest[n:]+" ", unicode.IsSpace)
		}
		s.gap(n)
		return
	}
	if s.code {
		n := strings.Index(rest, fence)
		if n < 0 {
			n = len(rest)
		}
		s.put(n, "")
		return
	}
	if n := lineMark(rest); n > 0 && s.lineStart() {
		s.put(n, "")
		return
	}
	r, size := utf8.DecodeRuneInString(rest)
	switch {
	case r == utf8.RuneError && size <= 1:
		s.put(size, "")
	case unicode.IsSpace(r):
		s.space(size, r)
	case r == '`' || r == '~' && strings.HasPrefix(rest, "~~"):
		s.put(strings.IndexFunc(rest+" ", func(x rune) bool { return x != r }), "")
	case r == '*':
		s.asterisk(rest)
	case r == '_':
		s.underscore(rest)
	case r == '[' || r == ']' || r == '!' && strings.HasPrefix(rest, "!["):
		s.bracket(rest)
	case r == '<':
		s.angle(rest)
	case r == '&':
		s.entity(rest)
	case r == '|':
		s.pipe()
	case unspoken(r):
		s.put(size, "")
	default:
		s.keep(size)
	}
}

// lineStart says whether a line begins here.
func (s *stripper) lineStart() bool {
	return s.at == 0 || strings.TrimRight(s.old[:s.at], " \t") == "" || s.old[s.at-1] == '\n' ||
		strings.HasSuffix(strings.TrimRight(s.old[:s.at], " \t>"), "\n")
}

// lineMark is how long the mark of a heading, a quotation, a list or a rule at
// the start of a line is.
func lineMark(s string) int {
	n := len(s) - len(strings.TrimLeft(s, "#"))
	switch {
	case n > 0 && n <= 6 && strings.HasPrefix(s[n:], " "):
		return n + 1
	case strings.HasPrefix(s, "> "), strings.HasPrefix(s, "- "), strings.HasPrefix(s, "* "), strings.HasPrefix(s, "+ "):
		return 2
	case strings.HasPrefix(s, "• "):
		return len("• ")
	}
	line, _, _ := strings.Cut(s, "\n")
	if len(line) >= 3 && strings.Trim(line, "-=_*|: ") == "" && strings.Trim(line, "| ") != "" {
		return len(line)
	}
	return 0
}

// gap writes nothing for n bytes, or the space between what is before and
// after them.
func (s *stripper) gap(n int) {
	if l := s.last(); l != 0 && l != ' ' {
		s.put(n, " ")
		return
	}
	s.put(n, "")
}

func (s *stripper) space(size int, r rune) {
	if l := s.last(); r == ' ' && l != ' ' && l != 0 {
		s.keep(size)
		return
	}
	s.gap(size)
}

// asterisk is emphasis, unless it stands between numbers.
func (s *stripper) asterisk(rest string) {
	n := len(rest) - len(strings.TrimLeft(rest, "*"))
	if n == 1 && unicode.IsDigit(s.last()) && len(rest) > 1 && isDigit(rest[1]) {
		s.put(1, "×")
		return
	}
	s.put(n, "")
}

// underscore is emphasis at a word's edge, and a space or part of an address
// inside a word.
func (s *stripper) underscore(rest string) {
	n := len(rest) - len(strings.TrimLeft(rest, "_"))
	next, _ := utf8.DecodeRuneInString(rest[n:])
	last := s.last()
	if n == 1 && (unicode.IsLetter(last) || unicode.IsDigit(last)) && (unicode.IsLetter(next) || unicode.IsDigit(next)) {
		s.keep(1)
		return
	}
	s.put(n, "")
}

// bracket is a link, of which its words are said, a footnote, of which nothing
// is, or a bracket.
func (s *stripper) bracket(rest string) {
	switch {
	case strings.HasPrefix(rest, "!["):
		s.put(2, "")
	case strings.HasPrefix(rest, "]("):
		if n := strings.IndexAny(rest, ")\n"); n > 0 && rest[n] == ')' {
			s.put(n+1, "")
			return
		}
		s.put(len(rest), "")
	case rest[0] == ']':
		s.put(1, "")
	default:
		if n := strings.IndexByte(rest, ']'); n > 1 && n <= 4 && strings.Trim(rest[1:n], "0123456789^") == "" {
			s.put(n+1, "")
			return
		}
		s.put(1, "")
	}
}

// angle is an element of markup, a link in brackets, or a sign.
func (s *stripper) angle(rest string) {
	if len(rest) > 1 && (isLetter(rest[1]) || strings.IndexByte("/!?", rest[1]) >= 0) {
		if n := strings.IndexByte(rest[:min(len(rest), longestTag)], '>'); n > 0 {
			if inside := rest[1:n]; strings.Contains(inside, "://") && !strings.Contains(inside, " ") ||
				strings.Contains(inside, "@") && !strings.Contains(inside, " ") {
				s.put(1, "")
				s.keep(len(inside))
				s.put(1, "")
				return
			}
			s.gap(n + 1)
			return
		}
	}
	s.keep(1)
}

// entity is a character by its name in markup.
func (s *stripper) entity(rest string) {
	if n := strings.IndexByte(rest[:min(len(rest), 12)], ';'); n > 1 {
		if text := html.UnescapeString(rest[:n+1]); text != rest[:n+1] {
			if text == "\u00a0" || text == "<" || text == ">" { // named so because it is no markup
				text = map[string]string{"\u00a0": " ", "<": "‹", ">": "›"}[text]
			}
			s.put(n+1, text)
			return
		}
	}
	s.keep(1)
}

// pipe is the line between two cells of a table.
func (s *stripper) pipe() {
	line, _, _ := strings.Cut(s.old[s.at+1:], "\n")
	if l := s.last(); l == 0 || l == ',' || strings.Trim(line, " |\t\r") == "" || s.lineStart() {
		s.put(1, "")
		return
	}
	s.put(1, ",")
}

// unspoken are characters without a sound: emoji, arrows, dingbats, marks of
// direction, control characters, private use.
func unspoken(r rune) bool {
	switch {
	case r < 0x20 || r == 0x7f:
		return true
	case r < 0x2000:
		return r == '©' || r == '®' || r == '\u00ad' || unicode.Is(unicode.Cc, r)
	case unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Co, r) || unicode.Is(unicode.Cs, r):
		return true
	case r >= 0x2122 && r <= 0x2123, // trade marks
		r >= 0x2190 && r <= 0x21ff, // arrows
		r >= 0x2300 && r <= 0x23ff, // technical
		r >= 0x2460 && r <= 0x2bff, // enclosed, boxes, shapes, symbols, dingbats, more arrows
		r == 0x2022 || r == 0x2023, // bullets
		r >= 0x3008 && r <= 0x301f,
		r >= 0xfe00 && r <= 0xfe0f,
		r >= 0x1f000 && r <= 0x1faff:
		return true
	}
	return false
}

func isDigit(b byte) bool { return b >= '0' && b <= '9' }

func isLetter(b byte) bool { return b|0x20 >= 'a' && b|0x20 <= 'z' }
