package written

import (
	"errors"
	"net/mail"
	"regexp"
	"strings"
	"unicode"

	"golang.org/x/net/idna"
	"golang.org/x/net/publicsuffix"
)

var (
	errNoAddress = errors.New("no e-mail address was understood: ask for it again, spelled, with its dots and its at sign")
	errNoDomain  = errors.New("what stands behind the at sign is no domain of the Internet: ask for it again, spelled")
)

// address is one that is written as it is, and nothing beside it.
var address = regexp.MustCompile(`^([\p{L}\p{N}._%+-]+)@([\p{L}\p{N}-]+(?:\.[\p{L}\p{N}-]+)+)$`)

// email is an address, spoken or written.
func (l *lang) email(text string) (string, error) {
	if m := address.FindStringSubmatch(strings.TrimRight(strings.TrimSpace(text), ".,;!?")); m != nil {
		return l.checked(strings.ToLower(m[1]), m[2])
	}
	ts := tokens(text)
	for i := 0; i < len(ts); { // how it is written is said beside it
		if _, n := phrase(l.silent, ts, i); n > 0 && !l.joined(ts, i, n) {
			ts = append(ts[:i:i], ts[i+n:]...)
			continue
		}
		i++
	}
	ps := l.spell(ts, false)
	at, ok := l.atSign(ps)
	if !ok {
		return "", errNoAddress
	}
	local := join(ps[l.begins(ps, at):at])
	domain := join(ps[at+1 : at+1+domainLen(ps[at+1:])])
	if !strings.Contains(text, "@") {
		domain = l.ascii(domain) // who says it, means letters without accents
	}
	return l.checked(local, domain)
}

// checked is the address of two parts, if it is one that mail can be sent to.
func (l *lang) checked(local, domain string) (string, error) {
	domain, err := idna.Lookup.ToASCII(strings.ToLower(strings.Trim(domain, ".")))
	if err != nil {
		return "", errNoDomain
	}
	out := strings.Trim(l.ascii(local), ".") + "@" + domain
	a, err := mail.ParseAddress(out)
	tooLong := len(out) > 254 || strings.IndexByte(out, '@') > 64 // RFC 5321 section 4.5.3.1
	if err != nil || a.Address != out || tooLong || strings.ContainsAny(out, "\"\\ ") {
		return "", errNoAddress
	}
	suffix, icann := publicsuffix.PublicSuffix(domain)
	if !icann && !strings.Contains(suffix, ".") || suffix == domain {
		return "", errNoDomain
	}
	return out, nil
}

// joined says whether a word stands between signs, so that it is part of the
// address.
func (l *lang) joined(ts []token, i, n int) bool {
	for _, j := range []int{i - 1, i + n} {
		if j < 0 || j >= len(ts) {
			continue
		}
		if ts[j].text == "." || ts[j].text == "-" || ts[j].text == "_" || ts[j].text == "@" {
			return true
		}
		for k := max(0, j-3); k <= j; k++ {
			if s, m := phrase(l.signs, ts, k); m > 0 && k <= j && j < k+m && s != "@" {
				return true
			}
		}
	}
	return false
}

// atSign is the place of the @: the last with a domain behind it.
func (l *lang) atSign(ps []piece) (int, bool) {
	dots, at := 0, -1
	for i := len(ps) - 1; i >= 0 && at < 0; i-- {
		switch {
		case ps[i].form == sign && ps[i].text == "@" && dots > 0 && i > 0:
			at = i
		case ps[i].form == sign && ps[i].text == ".":
			dots++
		}
	}
	for i := len(ps) - 1; i > 0 && at < 0; i-- {
		_, maybe := l.at[ps[i].from.low]
		if maybe && ps[i].form != sign && domainLen(ps[i+1:]) > 0 {
			at = i
		}
	}
	return at, at > 0
}

// begins is where the part before the @ does: behind what only leads to it.
func (l *lang) begins(ps []piece, at int) int {
	from := 0
	for i := range at {
		p := ps[i]
		if p.form == sign && (p.text == "@" || p.text == ":") {
			from = i + 1
		}
		_, lead := l.leads[p.from.low]
		if lead && p.form == word && i+1 < at && !dot(ps, i+1) && !dot(ps, i-1) {
			from = i + 1
		}
	}
	return min(from, at)
}

// dot says whether there is a sign that joins words at a place.
func dot(ps []piece, i int) bool {
	return i >= 0 && i < len(ps) && ps[i].form == sign && strings.Contains("._-+", ps[i].text)
}

// domainLen is how many pieces are a domain: all up to the word behind the last
// dot.
func domainLen(ps []piece) int {
	n := 0
	for i := range ps {
		isDot := ps[i].form == sign && ps[i].text == "."
		if isDot && i > 0 && i+1 < len(ps) && (ps[i+1].form != sign || ps[i+1].from.low == "at") {
			n = i + 2
			for ps[i+1].form == letter && n < len(ps) && ps[n].form == letter && !ps[n].pause { // "dot c o m"
				n++
			}
			if n >= len(ps) || ps[n].form != sign || ps[n].pause {
				break
			}
		} else if ps[i].form == sign && ps[i].text != "-" && ps[i].text != "." && ps[i].from.low != "at" {
			break
		}
	}
	return n
}

func join(ps []piece) string {
	var b strings.Builder
	for i, p := range ps {
		if i > 0 && p.from.low == "at" && ps[i-1].text == "." { // Austria's domain
			p.text = p.from.low
		}
		if p.form != gap {
			b.WriteString(p.text)
		}
	}
	return b.String()
}

// ascii is the part before the @ without accents; German writes umlauts in two
// letters.
func (l *lang) ascii(s string) string {
	s = strings.ToLower(s)
	if l.tag == "de" {
		s = strings.NewReplacer("ä", "ae", "ö", "oe", "ü", "ue").Replace(s)
	}
	s = fold(s)
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return -1
		}
		return r
	}, s)
}
