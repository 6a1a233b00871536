package spoken

import (
	"strings"
	"unicode/utf8"
)

// money is an amount that begins with its currency: "$1,250.50", "CHF 20".
func (s *scanner) money(rest string) bool {
	if !s.wordStart() {
		return false
	}
	for n := min(len(rest), 4); n > 0; n-- {
		m, ok := s.l.currencies[rest[:n]]
		if !ok || !utf8.ValidString(rest[:n]) {
			continue
		}
		gap := 0
		if strings.HasPrefix(rest[n:], " ") {
			gap = 1
		}
		f := s.l.figure(rest[n+gap:])
		if f.n == 0 {
			return false
		}
		s.amount(n+gap, f, 0, m)
		return true
	}
	return false
}

// amount says an amount of money of which the sign takes lead bytes before the
// figures and tail bytes behind them.
func (s *scanner) amount(lead int, f figure, tail int, m money) {
	n := lead + f.n
	rest := s.old[s.at+n:]
	large, k := s.large(rest, true)
	if k > 0 && tail == 0 {
		s.quantity = true
		s.say(n+k, s.l.said(f, masc)+" "+large.of(value(f.whole)+uint64(len(f.frac)))+s.l.ofLarge(m.unit.many))
		return
	}
	for _, dash := range []string{",-", ",–", ",—", ".-", ".–"} {
		if tail == 0 && strings.HasPrefix(rest, dash) {
			tail = len(dash)
		}
	}
	s.quantity = true
	s.say(n+tail, s.l.amount(f, m))
}

// amount is money in words.
func (l *language) amount(f figure, m money) string {
	whole := value(f.whole)
	if len(f.whole) > longestNumber || f.frac != "" && len(f.frac) != 2 {
		return l.said(f, masc) + " " + m.unit.many
	}
	cents := value(f.frac)
	if whole == 0 && cents > 0 {
		return l.cardinal(cents, m.cent.g) + " " + m.cent.of(cents)
	}
	out := l.cardinal(whole, m.unit.g)
	if whole >= 1e6 && whole%1e6 == 0 {
		out += l.ofLarge(m.unit.many)
	} else {
		out += " " + m.unit.of(whole)
	}
	switch {
	case cents > 0 && l.centNames:
		out += l.cents + l.cardinal(cents, m.cent.g) + " " + m.cent.of(cents)
	case cents > 0:
		out += l.cents + l.cardinal(cents, counting)
	}
	return out
}

// large is a word such as "million" at the start of a text, after a space
// perhaps, and its bytes. A single letter counts only with money.
func (s *scanner) large(text string, money bool) (noun, int) {
	gap := 0
	if strings.HasPrefix(text, " ") {
		gap = 1
	}
	n, gap0 := wordLen(text[gap:]), true
	word := text[gap : gap+n]
	big, ok := s.l.large[word]
	if !ok {
		big, ok = s.l.large[strings.ToLower(word)]
		if n == 1 {
			ok = false
		}
	}
	if sign, _ := s.currency(text[gap+n:]); sign.unit.one != "" && n > 0 {
		money, gap0 = true, false
	}
	if !ok || n == 1 && (gap0 && gap > 0 || !money && word != "k" && word != "K") || !after(text[gap+n:]) {
		return noun{}, 0
	}
	if n < len(text[gap:]) && text[gap+n] == '.' && n < 4 && len(text) > gap+n+1 { // "Mio."
		n++
	}
	return big, gap + n
}

// ofLarge joins a word such as "million" with what it counts.
func (l *language) ofLarge(what string) string {
	switch {
	case l.of == "":
		return " " + what
	case l.elides && strings.ContainsAny(what[:1], "aeiou"):
		return " " + l.of[:1] + "'" + what
	}
	return " " + l.of + " " + what
}

// measure is a number with what it counts behind it: money, a part of a
// hundred, a unit.
func (s *scanner) measure(rest string, f figure) bool {
	tail := rest[f.n:]
	for _, dash := range []string{",-", ",–", ",--"} {
		if strings.HasPrefix(tail, dash+" €") || strings.HasPrefix(tail, dash+"€") {
			f.n += len(dash)
			tail = tail[len(dash):]
		}
	}
	big, k := s.large(tail, false)
	if k > 0 {
		number := s.l.said(f, masc) + " " + big.of(value(f.whole)+uint64(len(f.frac)))
		if s.l.large["k"] == big || big.one == big.many && f.frac == "" && f.whole == "1" && s.l.large["mil"] == big {
			number = s.l.said(f, counting) + " " + big.one
		}
		if big.g == fem && f.whole == "1" && f.frac == "" {
			number = s.l.said(f, fem) + " " + big.one
		}
		if m, n := s.currency(tail[k:]); n > 0 {
			s.quantity = true
			s.say(f.n+k+n, number+s.l.ofLarge(m.unit.many))
			return true
		}
		s.quantity = true
		s.say(f.n+k, number)
		return true
	}
	if m, n := s.currency(tail); n > 0 {
		s.amount(0, f, n, m)
		return true
	}
	gap := 0
	if strings.HasPrefix(tail, " ") {
		gap = 1
	}
	if strings.HasPrefix(tail[gap:], "%") {
		s.quantity = true
		s.say(f.n, s.l.said(f, masc))
		s.put(gap, "")
		s.say(1, s.l.percent)
		return true
	}
	for n := min(len(tail)-gap, 8); n > 0; n-- {
		u, ok := s.l.units[tail[gap:gap+n]]
		if !ok || !after(tail[gap+n:]) || strings.HasPrefix(tail[gap+n:], "/") && n == 1 {
			continue
		}
		s.quantity = true
		s.say(f.n, s.l.said(f, u.g))
		s.put(gap, "")
		if s.last() != ' ' {
			s.put(0, " ")
		}
		if f.frac != "" {
			s.say(n, u.many)
		} else {
			s.say(n, u.of(value(f.whole)))
		}
		return true
	}
	return false
}

// currency is the sign, code or name of one at the start of a text, after a
// space perhaps, and its bytes.
func (s *scanner) currency(text string) (money, int) {
	gap := 0
	if strings.HasPrefix(text, " ") {
		gap = 1
	}
	for n := min(len(text)-gap, 5); n > 0; n-- {
		m, ok := s.l.currencies[text[gap:gap+n]]
		if ok && after(text[gap+n:]) {
			if next := strings.TrimLeft(text[gap+n:], " "); gap == 1 && n <= 3 && next != "" && isDigit(next[0]) {
				return money{}, 0 // "5 $10" is no "5 $"
			}
			return m, gap + n
		}
	}
	return money{}, 0
}
