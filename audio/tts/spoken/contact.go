package spoken

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Telephone numbers and ids.
const (
	telephoneLeast = 7  // figures
	telephoneMost  = 20 // figures
	idLeast        = 3  // figures after a word such as "order"
)

// telephone is a number in groups: +49 30 123456, (555) 123-4567, card
// numbers. Its figures are said one by one, with a pause between the groups.
func (s *scanner) telephone(rest string) bool {
	if !s.wordStart() {
		return false
	}
	n, total, groups, sep := 0, 0, 0, byte(0)
	plus := rest[0] == '+'
	if !plus && rest[0] != '(' && !isDigit(rest[0]) {
		return false
	}
	mixed := false
	for n < len(rest) {
		k := digitLen(rest[n:])
		if k > 0 {
			n, total, groups = n+k, total+k, groups+1
			continue
		}
		skip := 0
		for skip < 3 && n+skip < len(rest) && strings.IndexByte(" -./()+", rest[n+skip]) >= 0 {
			skip++
		}
		if skip == 0 || n+skip >= len(rest) || !isDigit(rest[n+skip]) ||
			skip > 1 && strings.Trim(rest[n:n+skip], "-./") == "" {
			break
		}
		if n > 0 {
			mixed = mixed || sep != 0 && sep != rest[n]
			sep = rest[n]
		}
		n += skip
	}
	if total > telephoneMost || !after(rest[n:]) || groups < 2 && !plus {
		return false
	}
	last, prior := s.before()
	known := plus || rest[0] == '0' || rest[0] == '(' || s.l.idWords[last] || s.l.idWords[prior]
	f := s.l.figure(rest)
	switch {
	case total < telephoneLeast && !(known && total >= 6) || f.frac != "" && f.n >= n:
		return false
	case f.grouped && f.n >= n && (sep != ' ' || !known && (len(f.whole)%3 != 0 || len(f.whole) < 9)):
		return false
	case sep == ' ' && groups == 2 && !known:
		return false
	case sep == '-' && groups == 2 && total == 8 && digitLen(rest) == 4 && !known && value(rest[:4]) < value(rest[5:9]):
		return false // 1000-2000
	}
	for end := s.at + n; s.at < end; {
		k := digitLen(s.old[s.at:end])
		if k > 0 {
			if l := s.last(); unicode.IsLetter(l) {
				s.put(0, ",")
			}
			s.digits(s.old[s.at : s.at+k])
			continue
		}
		if s.old[s.at] == '+' {
			s.say(1, s.l.signs["+"])
			continue
		}
		s.put(1, "")
	}
	return true
}

// id is a number that stands for something: an order, a code, a long one.
func (s *scanner) id(rest string, f figure) bool {
	digits := rest[:digitLen(rest)]
	if f.frac != "" || f.grouped || !after(rest[len(digits):]) {
		return false
	}
	last, prior := s.before()
	named := s.l.idWords[last] || len(last) <= 6 && s.l.idWords[prior] && isFiller(last)
	switch {
	case named && len(digits) >= idLeast:
	case len(digits) > 1 && digits[0] == '0':
	case len(digits) >= telephoneLeast && !strings.HasSuffix(digits, "000"):
	default:
		return false
	}
	s.digits(digits)
	return true
}

// isFiller are words between what an id is of and the id.
func isFiller(word string) bool { return fillers[word] }

var fillers = set(`is was ist war lautet est es era é è foi number no no. nr nr. nummer numéro número numero num n°
	n.º nº id code código codice the`)

// Ends of names in the Internet, with which a word is one.
var domains = set(`com net org info biz gov edu io co ai app dev eu de at ch fr be lu es it nl pt br mx ar uk us ca au
	nz ie in pl se no dk fi cz shop online tech cloud`)

// address is an e-mail address or a link, read back sign by sign.
func (s *scanner) address(rest string) bool {
	n := strings.IndexAny(rest, " \"'“”‘’«»()<>[]{}|,;‹›")
	if n < 0 {
		n = len(rest)
	}
	word := strings.TrimRight(rest[:n], ".,;:!?…")
	if strings.IndexByte(word, '.') < 0 && !strings.Contains(word, "://") {
		return false
	}
	skip, end := 0, len(word)
	switch at := strings.IndexByte(word, '@'); {
	case at > 0 && isDomain(word[at+1:]):
	case at >= 0:
		return false
	default:
		if i := strings.Index(word, "://"); i > 0 && wordLen(word) == i {
			skip = i + 3
		}
		if strings.HasPrefix(strings.ToLower(word[skip:]), "www.") {
			skip += 4
		}
		if i := strings.IndexAny(word[skip:], "?#"); i >= 0 {
			end = skip + i
		}
		host, _, _ := strings.Cut(word[skip:end], "/")
		host, _, _ = strings.Cut(host, ":")
		if skip == 0 && !isDomain(host) || skip > 0 && strings.Trim(host, ".") == "" {
			return false
		}
		for end > skip && word[end-1] == '/' {
			end--
		}
	}
	s.put(skip, "")
	for i := skip; i < end; {
		i += s.readBack(word[i:end])
	}
	s.put(len(word)-end, "")
	return true
}

// readBack says the next part of an address and tells how long it is.
func (s *scanner) readBack(text string) int {
	if n := digitLen(text); n > 0 {
		if l := s.last(); unicode.IsLetter(l) {
			s.put(0, " ")
		}
		s.digits(text[:n])
		return n
	}
	if n := wordLen(text); n > 0 {
		if l := s.last(); unicode.IsLetter(l) && s.at > 0 && !isLetter(s.old[s.at-1]) {
			s.put(0, " ")
		}
		s.keep(n)
		return n
	}
	_, n := utf8.DecodeRuneInString(text)
	words := s.l.spelled[text[0]]
	if n > 1 || words == "" {
		s.put(n, " ")
		return n
	}
	lead := " "
	if l := s.last(); l == 0 || l == ' ' {
		lead = ""
	}
	s.put(n, lead+words+" ")
	return n
}

// isDomain says whether a text is a name in the Internet.
func isDomain(host string) bool {
	i := strings.LastIndexByte(host, '.')
	if i <= 0 || !domains[strings.ToLower(host[i+1:])] {
		return false
	}
	for _, r := range host {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '.' && r != '-' {
			return false
		}
	}
	return !strings.Contains(host, "..")
}
