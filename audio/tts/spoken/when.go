package spoken

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// date is a date in figures: 2024-05-03, 3.5.2024, 03/05/2024, 03/05.
func (s *scanner) date(rest string) bool {
	var parts [3]string
	var sep byte
	n, count := 0, 0
	for count < 3 {
		k := digitLen(rest[n:])
		if k == 0 || k > 4 {
			break
		}
		parts[count] = rest[n : n+k]
		n += k
		count++
		if count == 3 || len(rest) <= n || strings.IndexByte("-./", rest[n]) < 0 || sep != 0 && rest[n] != sep {
			break
		}
		if len(rest) <= n+1 || !isDigit(rest[n+1]) {
			if rest[n] == '.' && count == 2 && sep == '.' && s.l.dotOrdinal { // "am 3.5."
				n++
			}
			break
		}
		sep = rest[n]
		n++
	}
	if count < 2 || !after(rest[n:]) || n < len(rest)-1 && rest[n] == sep && isDigit(rest[n+1]) {
		return false
	}
	var y, m, d string
	switch {
	case count == 3 && len(parts[0]) == 4 && len(parts[1]) == 2 && sep != '.':
		y, m, d = parts[0], parts[1], parts[2]
	case count == 3 && len(parts[2]) != 3 && len(parts[2]) != 1 && len(parts[0]) <= 2 && len(parts[1]) <= 2:
		d, m, y = parts[0], parts[1], parts[2]
	case count == 2 && len(parts[0]) <= 2 && len(parts[1]) <= 2 &&
		(sep == '/' && len(parts[0])+len(parts[1]) == 4 || strings.HasSuffix(rest[:n], ".")):
		d, m = parts[0], parts[1]
	default:
		return false
	}
	if s.l.monthFirst && len(parts[0]) <= 2 && sep != '.' {
		d, m = m, d
	}
	if value(m) > 12 && value(d) <= 12 {
		d, m = m, d
	}
	if sep == '.' && count == 3 && len(y) == 2 && !s.l.dotOrdinal { // a version, more likely
		return false
	}
	day, month, year := value(d), value(m), value(y)
	if day < 1 || day > 31 || month < 1 || month > 12 || len(y) == 4 && year < 1000 {
		return false
	}
	if len(y) == 2 {
		if year += 2000; year >= 2070 {
			year -= 100
		}
	}
	if strings.HasSuffix(rest[:n], ".") && n == len(rest) {
		n-- // the full stop
	}
	last, _ := s.before()
	s.say(n, s.l.date(day, month, year, last))
	return true
}

// date is a date in words, the year left out where it is 0.
func (l *language) date(d, m, y uint64, before string) string {
	month := l.months[m-1]
	of := " "
	if l.dayOf != "" {
		of = " " + l.dayOf + " "
	}
	var out string
	switch {
	case l.monthFirst:
		out = month + " " + l.day(l, d, before)
	case l.ordinalMarks["th"] == counting && l.point == "point": // English of other countries
		if out = l.day(l, d, before) + " of " + month; before != "the" {
			out = "the " + out
		}
		of = " "
	default:
		out = l.day(l, d, before) + of + month
	}
	if y == 0 {
		return out
	}
	if l.monthFirst {
		out += ","
	}
	return out + of + l.year(l, y)
}

// dayBefore is a day of the month before or behind the month's name: "3 May",
// "3. Mai", "3 de mayo", "May 3".
func (s *scanner) dayBefore(rest string) bool {
	n := digitLen(rest)
	if n > 2 || value(rest[:n]) < 1 || value(rest[:n]) > 31 {
		return false
	}
	day := value(rest[:n])
	last, _ := s.before()
	english := s.l.ordinalMarks["th"] == counting && s.l.am == "a m"
	behind := s.l.monthNames[last] > 0 && s.capital(last) && !strings.HasSuffix(s.old[:s.at], ", ")
	if english && behind && after(rest[n:]) && !more(rest[n:]) &&
		!strings.HasPrefix(rest[n:], ":") && !strings.HasPrefix(rest[n:], "%") {
		s.say(n, s.l.day(s.l, day, last))
		return true
	}
	mark := 0
	if s.l.dotOrdinal && strings.HasPrefix(rest[n:], ".") ||
		strings.HasPrefix(rest[n:], "°") || strings.HasPrefix(rest[n:], "º") {
		_, mark = utf8.DecodeRuneInString(rest[n:])
	} else if day == 1 && strings.HasPrefix(rest[n:], "er") {
		mark = 2
	}
	tail := rest[n+mark:]
	if !strings.HasPrefix(tail, " ") {
		return false
	}
	tail = tail[1:]
	for _, of := range []string{"de ", "of ", "di "} {
		tail = strings.TrimPrefix(tail, of)
	}
	k := wordLen(tail)
	if k < 3 || s.l.monthNames[strings.ToLower(tail[:k])] == 0 || s.shortMonth(tail, k) {
		return false
	}
	words := s.l.day(s.l, day, last)
	if english && !strings.HasPrefix(rest[n+mark:], " of ") {
		if words += " of"; last != "the" {
			words = "the " + words
		}
	}
	s.say(n+mark, words)
	return true
}

// shortMonth says whether a month's short form is a word of its own here:
// without a capital or a full stop it is no month ("3 mar" is, "5 set" is not).
func (s *scanner) shortMonth(tail string, k int) bool {
	word := tail[:k]
	for _, name := range s.l.months {
		if strings.EqualFold(name, word) {
			return s.l.monthFirst && unicode.IsLower(rune(word[0]))
		}
	}
	r, _ := utf8.DecodeRuneInString(word)
	return !unicode.IsUpper(r) && !strings.HasPrefix(tail[k:], ".")
}

// capital says whether the word before this place begins with a capital.
func (s *scanner) capital(lower string) bool {
	word, _ := lastWord(s.old[:s.at])
	r, _ := utf8.DecodeRuneInString(word)
	return strings.EqualFold(word, lower) && unicode.IsUpper(r)
}

// time is a time of day: 14:30, 5 p.m., 14h30, 14.30 Uhr.
func (s *scanner) time(rest string) bool {
	n := digitLen(rest)
	if n > 2 {
		return false
	}
	h, m := value(rest[:n]), uint64(0)
	minutes, named := false, false
	if sign := s.minuteSign(rest[n:]); sign != 0 {
		m, minutes, named = value(rest[n+1:n+3]), true, sign != ':'
		n += 3
	}
	if h > 24 || m > 59 || minutes && len(rest) > n+1 && rest[n] == ':' && isDigit(rest[n+1]) {
		return false
	}
	k := s.hourBehind(rest[n:])
	half, pn := s.halfDay(rest[n:], minutes)
	switch {
	case pn > 0:
		dot := ""
		if strings.HasSuffix(rest[:n+pn], ".") && n+pn == len(rest) {
			dot = "."
		}
		s.say(n, s.l.clock(s.l, h, m, true))
		gap := 0
		if rest[n] == ' ' {
			gap = 1
		}
		s.keep(gap)
		s.put(pn-gap, half+dot)
	case k > 0:
		s.say(n+k, s.l.clock(s.l, h, m, false))
	case minutes && (named || after(rest[n:])):
		s.say(n, s.l.clock(s.l, h, m, false))
	default:
		return false
	}
	s.quantity = true
	return true
}

// minuteSign is the sign between hours and minutes that a text begins with, 0
// for none.
func (s *scanner) minuteSign(text string) byte {
	if len(text) < 3 || digitLen(text[1:]) != 2 {
		return 0
	}
	switch end := after(text[3:]); {
	case text[0] == ':', s.hourSign(text[:1]) && end:
		return text[0]
	case text[0] == '.' && (s.hourBehind(text[3:]) > 0 || end && s.l.hourWords[s.previous()]):
		return '.'
	}
	return 0
}

// hourSign says whether a letter parts hours and minutes: 14h30, 9u30.
func (s *scanner) hourSign(sign string) bool { return s.l.hourMarks[strings.ToLower(sign)] }

// hourBehind is how long a word for the hour is that a text begins with.
func (s *scanner) hourBehind(text string) int {
	gap := 0
	if strings.HasPrefix(text, " ") {
		gap = 1
	}
	n := wordLen(text[gap:])
	if strings.HasPrefix(text[gap+n:], "'") {
		n += 1 + wordLen(text[gap+n+1:])
	}
	if n == 0 || !s.l.hourMarks[strings.ToLower(text[gap:gap+n])] || !after(text[gap+n:]) {
		return 0
	}
	return gap + n
}

// halfDay is "p.m." and its like at the start of a text, and its bytes. One
// behind a full hour needs its full stops or no space.
func (s *scanner) halfDay(text string, _ bool) (string, int) {
	if s.l.am == "" {
		return "", 0
	}
	gap := 0
	if strings.HasPrefix(text, " ") {
		gap = 1
	}
	for _, form := range []string{"a.m.", "p.m.", "a. m.", "p. m.", "a.m", "p.m", "am", "pm"} {
		if len(text) < gap+len(form) || !strings.EqualFold(text[gap:gap+len(form)], form) || !after(text[gap+len(form):]) {
			continue
		}
		if form[0] == 'a' {
			return s.l.am, gap + len(form)
		}
		return s.l.pm, gap + len(form)
	}
	return "", 0
}
