package spoken

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// figure is a number as it is written.
type figure struct {
	whole, frac string // figures alone
	n           int    // bytes
	grouped     bool
}

// figure reads a number at the start of a text, by the signs of the language
// and, where they can be nothing else, by those of others.
func (l *language) figure(text string) figure {
	n := digitLen(text)
	f := figure{whole: text[:n], n: n}
	if n == 0 {
		return f
	}
	if n <= 3 && text[0] != '0' {
		for _, sep := range []byte{l.group, ' ', '\'', l.decimal} {
			if sep == ' ' && !l.spaced {
				continue
			}
			whole, k := grouped(text, sep)
			if k == 0 {
				continue
			}
			if sep == l.decimal && strings.Count(text[:k], string(sep)) < 2 && !otherDecimal(text[k:], l.group) {
				continue // 1.250 with a decimal point is one and a quarter
			}
			f.whole, f.n, f.grouped = whole, k, true
			break
		}
	}
	sep := l.decimal
	if f.grouped && strings.IndexByte(text[:f.n], l.decimal) >= 0 {
		sep = l.group
	}
	tail := text[f.n:]
	k := digitLen(tail[min(1, len(tail)):])
	other := k > 0 && k != 3 && !f.grouped && tail[0] == l.group && l.group != ',' // the sign of another language
	if k > 0 && (tail[0] == sep || other) && !more(tail[1+k:]) {
		f.frac = tail[1 : 1+k]
		f.n += 1 + k
	}
	return f
}

// otherDecimal says whether a text goes on with a decimal part behind a sign.
func otherDecimal(text string, sign byte) bool {
	return len(text) > 1 && text[0] == sign && isDigit(text[1])
}

// more says whether a number goes on with a further sign and figures, as
// versions and addresses do.
func more(text string) bool {
	return len(text) > 1 && (text[0] == '.' || text[0] == ',') && isDigit(text[1])
}

// grouped reads 1,250,000 with a sign between groups of three; 0 when it is
// none.
func grouped(text string, sep byte) (whole string, n int) {
	n = digitLen(text)
	whole = text[:n]
	for {
		t := text[n:]
		if len(t) < 4 || t[0] != sep || digitLen(t[1:]) != 3 {
			break
		}
		whole += t[1:4]
		n += 4
	}
	if len(whole) == digitLen(text) || len(text) > n && isDigit(text[n]) {
		return "", 0
	}
	return whole, n
}

// said is a number in words.
func (l *language) said(f figure, g gender) string {
	out := l.whole(f.whole, g)
	if f.frac != "" {
		out = l.whole(f.whole, counting) + " " + l.point + " " + l.fraction(f.frac)
	}
	return out
}

// figures is whatever begins with a figure.
func (s *scanner) figures(rest string) {
	s.quantity = false
	if s.at > 0 && isLetter(s.old[s.at-1]) && s.wordStart() {
		s.put(0, " ")
	}
	f := s.l.figure(rest)
	switch {
	case s.decade(rest), s.date(rest), s.dayBefore(rest), s.time(rest), s.measure(rest, f), s.version(rest):
	case s.telephone(rest), s.id(rest, f):
	case s.ordinal(rest, f), s.simpleFraction(rest):
	default:
		s.plain(rest, f)
	}
}

// plain is a number that is nothing else.
func (s *scanner) plain(rest string, f figure) {
	if len(f.whole) == 4 && f.frac == "" && !f.grouped {
		if y := value(f.whole); s.isYear(rest, y) {
			s.say(f.n, s.l.year(s.l, y))
			return
		}
	}
	s.say(f.n, s.l.said(f, s.genderAfter(rest[f.n:])))
}

// isYear says whether four figures are a year: after a month, after words such
// as "since", or where only years are written so.
func (s *scanner) isYear(rest string, y uint64) bool {
	if y < 1100 || y > 2199 {
		return false
	}
	last, prior := s.before()
	if s.l.monthNames[last] > 0 || s.l.monthNames[prior] > 0 && (digitLen(last) > 0 || last == s.l.dayOf) {
		return true
	}
	if y >= 1900 && y <= 2099 && s.l.yearWords[last] {
		return true
	}
	if f := strings.TrimLeft(rest[4:], "–-"); len(f) < len(rest)-4 && digitLen(f) == 4 && y >= 1900 && value(f[:4]) > y {
		return value(f[:4]) < 2100
	}
	if s.at >= 5 && isDigit(s.old[s.at-2]) && !isDigit(s.old[s.at-1]) && digitLen(s.old[s.at-5:]) == 4 {
		return value(s.old[s.at-5:s.at-1]) < y && y < 2100 && value(s.old[s.at-5:s.at-1]) >= 1900
	}
	return s.l.always && y < 2000
}

// ordinal is "3rd", "2ème", "3º", and in German "am 3.".
func (s *scanner) ordinal(rest string, f figure) bool {
	if f.frac != "" || len(f.whole) > 6 {
		return false
	}
	tail := rest[f.n:]
	best, form := 0, counting
	for mark, g := range s.l.ordinalMarks {
		if len(mark) > best && strings.HasPrefix(tail, mark) && after(tail[len(mark):]) {
			best, form = len(mark), g
		}
	}
	if best > 0 {
		s.say(f.n+best, s.l.ordinal(value(f.whole), form))
		return true
	}
	if !s.l.dotOrdinal || len(f.whole) > 2 || !strings.HasPrefix(tail, ". ") || f.whole == "0" {
		return false
	}
	last, _ := s.before()
	if next, _ := utf8.DecodeRuneInString(tail[2:]); !unicode.IsLetter(next) ||
		!germanDative[last] && last != "der" && last != "die" && last != "das" {
		return false
	}
	s.say(f.n+1, s.l.day(s.l, value(f.whole), last))
	return true
}

// decade is "the 1990s", in English.
func (s *scanner) decade(rest string) bool {
	if digitLen(rest) != 4 || !strings.HasPrefix(rest[3:], "0s") || !after(rest[5:]) || s.l.am != "a m" {
		return false
	}
	s.say(5, strings.TrimSuffix(englishYear(s.l, value(rest[:4])), "y")+"ies")
	return true
}

// simpleFraction is 1/2 and its like.
func (s *scanner) simpleFraction(rest string) bool {
	for _, c := range []struct{ written, sign string }{
		{"1/2", "½"}, {"1/4", "¼"}, {"3/4", "¾"}, {"1/3", "⅓"}, {"2/3", "⅔"},
	} {
		if strings.HasPrefix(rest, c.written) && !strings.HasPrefix(rest[3:], "/") && (len(rest) == 3 || !isDigit(rest[3])) {
			s.say(3, s.l.signs[c.sign])
			return true
		}
	}
	return false
}

// version is a number of many parts: 1.2.3, 192.168.0.1.
func (s *scanner) version(rest string) bool {
	n, parts := 0, 0
	for {
		k := digitLen(rest[n:])
		if k == 0 || k > 3 {
			return false
		}
		n += k
		parts++
		if len(rest) < n+2 || rest[n] != '.' || !isDigit(rest[n+1]) {
			break
		}
		n++
	}
	if parts < 3 || s.l.figure(rest).n == n || !after(rest[n:]) {
		return false
	}
	for end := s.at + n; s.at < end; {
		k := digitLen(s.old[s.at:])
		part := s.old[s.at : s.at+k]
		if len(part) > 1 && part[0] == '0' {
			s.digits(part)
		} else {
			s.say(k, s.l.cardinal(value(part), counting))
		}
		if s.at < end {
			s.put(1, " "+s.l.spelled['.']+" ")
		}
	}
	return true
}

// genderAfter guesses the gender of the noun behind a number, from its ending.
func (s *scanner) genderAfter(tail string) gender {
	if !strings.HasPrefix(tail, " ") || s.l.genderOf == nil {
		return counting
	}
	n := wordLen(tail[1:])
	if n < 2 {
		return counting
	}
	return s.l.genderOf(tail[1 : 1+n])
}

// ending says whether a word has one of the endings.
func ending(word, endings string) bool {
	for e := range strings.FieldsSeq(endings) {
		if strings.HasSuffix(word, e) {
			return true
		}
	}
	return false
}
