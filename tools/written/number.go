package written

import (
	"errors"
	"math"
	"regexp"
	"strconv"
	"strings"

	"github.com/patchcord/patchcord/audio/tts/spoken"
)

// follows is the next token of a number word, over a hyphen; -1 where the
// number ends.
func follows(ts []token, i int) int {
	if i < len(ts) && ts[i].low == "-" && ts[i].glued {
		i++
	}
	if i >= len(ts) || ts[i].pause {
		return -1
	}
	return i
}

// counted reads parts of a number from a place on. n is what it is worth, end
// where it ends; end is the place itself where there is no number.
type counted func(l *lang, ts []token, i int) (n uint64, end int)

// unit is a number word below 20, or figures.
func unit(l *lang, ts []token, i int) (uint64, int) {
	if n, ok := l.units[ts[i].low]; ok {
		return uint64(n), i + 1
	}
	return 0, i
}

// below100 is "twenty", "twenty-one", "nineteen".
func below100(l *lang, ts []token, i int) (uint64, int) {
	n, ok := l.tens[ts[i].low]
	if !ok {
		return unit(l, ts, i)
	}
	worth := uint64(n) * 10
	if j := follows(ts, i+1); j >= 0 {
		if u, end := unit(l, ts, j); end > j && u > 0 && u < 10 {
			return worth + u, end
		}
	}
	return worth, i + 1
}

// grouped reads hundreds, thousands and so on over what is below a hundred.
func grouped(below counted) counted {
	return func(l *lang, ts []token, i int) (uint64, int) {
		var total, group uint64
		end, last, big := i, uint64(math.MaxUint64), uint64(math.MaxUint64)
		for j := i; j >= 0 && j < len(ts); {
			k := j
			if _, is := l.and[ts[j].low]; is && end > i && last != 1 && last != math.MaxUint64 {
				if k = follows(ts, j+1); k < 0 {
					break
				}
			}
			n, stop := below(l, ts, k)
			switch {
			case stop > k && group%100 == 0 && last != 1:
				group += n
				end, last = stop, 1
			case k == j && l.scales[ts[k].low] > 0:
				scale := l.scales[ts[k].low]
				switch {
				case scale == 100 && group < 100 && (last == 1 || group == 0 && last != 100):
					group = max(1, group) * 100
				case scale > 100 && scale < big:
					total += max(1, group) * scale
					group, big = 0, scale
				default:
					return total + group, end
				}
				end, last = k+1, scale
			default:
				return total + group, end
			}
			j = follows(ts, end)
		}
		return total + group, end
	}
}

// stepwise counts as English does.
func stepwise(l *lang, ts []token, i int) (uint64, int) {
	if (ts[i].low == "a" || ts[i].low == "one") && i+1 < len(ts) && l.scales[ts[i+1].low] > 0 {
		if n, end := grouped(below100)(l, ts, i+1); end > i+1 {
			return n, end - i
		}
	}
	if _, scale := l.scales[ts[i].low]; scale {
		return 0, 0
	}
	n, end := grouped(below100)(l, ts, i)
	return n, end - i
}

// frenchCardinal counts with "soixante-dix" and "quatre-vingt".
func frenchCardinal(l *lang, ts []token, i int) (uint64, int) {
	n, end := grouped(frenchBelow100)(l, ts, i)
	return n, end - i
}

func frenchBelow100(l *lang, ts []token, i int) (uint64, int) {
	var worth uint64
	most, end := uint64(9), i+1
	switch j := follows(ts, i+1); {
	case ts[i].low == "quatre" && j >= 0 && (ts[j].low == "vingt" || ts[j].low == "vingts"):
		worth, most, end = 80, 19, j+1
	case ts[i].low == "dix" && j >= 0:
		if u, stop := unit(l, ts, j); stop > j && u >= 7 && u <= 9 {
			return 10 + u, stop
		}
		return 10, end
	case l.tens[ts[i].low] > 0:
		worth = uint64(l.tens[ts[i].low]) * 10
		if worth == 60 {
			most = 19
		}
	default:
		return unit(l, ts, i)
	}
	j := follows(ts, end)
	and := j >= 0 && ts[j].low == "et"
	if and {
		j = follows(ts, j+1)
	}
	if j < 0 {
		return worth, end
	}
	u, stop := unit(l, ts, j)
	if stop > j && u == 10 && most == 19 { // "dix-sept"
		u, stop = frenchBelow100(l, ts, j)
	}
	if stop == j || u == 0 || u > most || u%10 == 1 && !and && worth != 80 { // "trente, un"
		return worth, end
	}
	return worth + u, stop
}

// germanCardinal reads one word or several that make one: "sieben und neunzig".
func germanCardinal(_ *lang, ts []token, i int) (uint64, int) {
	joined, best, used := "", uint64(0), 0
	for k := 0; k < 10 && i+k < len(ts) && (k == 0 || !ts[i+k].pause); k++ {
		joined += germanLetters.Replace(ts[i+k].low)
		if n, ok := germanNumber(joined); ok {
			best, used = n, k+1
		}
		if len(joined) > 120 {
			break
		}
	}
	return best, used
}

var (
	germanLetters = strings.NewReplacer("ß", "ss", "fuenf", "fünf", "zwoelf", "zwölf", "zwo", "zwei")
	germanOnes    = numbered(0, `null ein/eins zwei drei vier fünf sechs sieben acht neun zehn elf zwölf dreizehn vierzehn
		fünfzehn sechzehn siebzehn achtzehn neunzehn`)
	germanTens = numbered(2, "zwanzig dreissig vierzig fünfzig sechzig siebzig achtzig neunzig")
)

// germanNumber is what a number written in one word is worth.
func germanNumber(w string) (uint64, bool) {
	for _, s := range []struct {
		worth uint64
		names []string
	}{{1e9, []string{"milliarden", "milliarde"}}, {1e6, []string{"millionen", "million"}}, {1000, []string{"tausend"}}} {
		for _, name := range s.names {
			before, after, ok := strings.Cut(w, name)
			if !ok {
				continue
			}
			if before == "eine" {
				before = "ein"
			}
			n, ok1 := germanPart(before, 1)
			rest, ok2 := germanRest(after, s.worth)
			return n*s.worth + rest, ok1 && ok2 && n > 0 && n < 1e6
		}
	}
	return germanHundreds(w)
}

func germanHundreds(w string) (uint64, bool) {
	if before, after, ok := strings.Cut(w, "hundert"); ok {
		n, ok1 := germanPart(before, 1)
		rest, ok2 := germanRest(after, 100)
		return n*100 + rest, ok1 && ok2 && n > 0 && n < 100
	}
	if n, ok := germanOnes[w]; ok {
		return uint64(n), true
	}
	if n, ok := germanTens[w]; ok {
		return uint64(n) * 10, true
	}
	one, ten, ok := strings.Cut(w, "und")
	n, t := germanOnes[one], germanTens[ten]
	return uint64(t*10 + n), ok && n > 0 && n < 10 && t > 0
}

// germanPart is a number, or what none at all is worth.
func germanPart(w string, none uint64) (uint64, bool) {
	if w == "" {
		return none, true
	}
	return germanNumber(w)
}

func germanRest(w string, below uint64) (uint64, bool) {
	n, ok := germanPart(strings.TrimPrefix(w, "und"), 0)
	return n, ok && n < below
}

// cardinalAt is a number in words or figures at a place; used is 0 for none.
func (l *lang) cardinalAt(ts []token, i int) (n uint64, used int) {
	if ts[i].figures() {
		n, err := strconv.ParseUint(ts[i].text, 10, 64)
		if err != nil {
			return 0, 0
		}
		return n, 1
	}
	if l.article(ts, i) {
		return 0, 0
	}
	return l.cardinal(l, ts, i)
}

var inFigures = regexp.MustCompile(`-?\d(?:[\d.,'\x{00a0}\x{202f} ]*\d)?`)

var errNoNumber = errors.New("no number was understood: ask for it again, in figures or words")

// number is a single quantity: figures, words, decimals, an amount of money.
func (l *lang) number(text string) (float64, string, error) {
	text = strings.NewReplacer("−", "-", "’", "'").Replace(text)
	if strings.ContainsAny(text, "0123456789") {
		return l.numberInFigures(text)
	}
	ts := tokens(text)
	found, out, err := false, 0.0, error(nil)
	for i := 0; i < len(ts); {
		f, used := l.quantity(ts, i)
		if used == 0 {
			i++
			continue
		}
		if _, n := phrase(l.minus, ts, max(0, i-1)); i > 0 && n > 0 {
			f = -f
		}
		if found {
			return 0, "", errors.New("more than one number was said: ask which one is meant")
		}
		found, out = true, f
		i += used
	}
	if !found {
		err = errNoNumber
	}
	return out, strconv.FormatFloat(out, 'f', -1, 64), err
}

// quantity is a number with what belongs to it.
func (l *lang) quantity(ts []token, i int) (float64, int) {
	n, used := l.oneNumber(ts, i)
	if used == 0 {
		if ts[i].low == "anderthalb" {
			return 1.5, 1
		}
		if stem, ok := strings.CutSuffix(ts[i].low, "einhalb"); ok && l.tag == "de" {
			if whole, ok := germanNumber(germanLetters.Replace(stem)); ok {
				return float64(whole) + 0.5, 1
			}
		}
		return 0, 0
	}
	end := i + used
	out := float64(n)
	if end < len(ts) && !ts[end].pause {
		if _, k := phrase(l.halves, ts, end); k > 0 {
			return out + 0.5, used + k
		}
		if _, k := phrase(l.point, ts, end); k > 0 {
			if digits, more := l.fraction(ts, end+k); more > 0 {
				f, err := strconv.ParseFloat(strconv.FormatUint(n, 10)+"."+digits, 64)
				if err == nil {
					return f, used + k + more
				}
			}
		}
		if _, money := l.money[ts[end].low]; money {
			j := end + 1
			if j < len(ts) {
				if _, is := l.and[ts[j].low]; is {
					j++
				}
			}
			if j < len(ts) {
				if cents, more := l.cardinalAt(ts, j); more > 0 && cents < 100 {
					return float64(n*100+cents) / 100, j + more - i
				}
			}
			return out, used + 1
		}
	}
	return out, used
}

// oneNumber is a cardinal, or several said one behind the other that make one:
// "four one two", "nineteen eighty-five".
func (l *lang) oneNumber(ts []token, i int) (uint64, int) {
	n, used := l.cardinalAt(ts, i)
	if used == 0 {
		return 0, 0
	}
	parts := []uint64{n}
	end := i + used
	for end < len(ts) && !ts[end].pause && len(parts) < 15 {
		m, k := l.cardinalAt(ts, end)
		if k == 0 {
			break
		}
		parts = append(parts, m)
		end += k
	}
	single := true
	for _, p := range parts {
		single = single && p < 10
	}
	switch {
	case len(parts) == 1:
		return n, used
	case single:
		n = 0
		for _, p := range parts {
			n = n*10 + p
		}
		return n, end - i
	case len(parts) == 2 && l.tag == "en" && parts[0] >= 10 && parts[0] < 100 && parts[1] >= 10 && parts[1] < 100:
		return parts[0]*100 + parts[1], end - i
	}
	return n, used
}

// fraction is what stands behind a decimal sign, as figures.
func (l *lang) fraction(ts []token, i int) (digits string, used int) {
	for j := i; j < len(ts) && !ts[j].pause && len(digits) < 12; {
		n, k := l.cardinalAt(ts, j)
		if _, oh := l.oh[ts[j].low]; oh && k == 0 {
			n, k = 0, 1
		}
		if k == 0 || n > 999999 {
			break
		}
		if ts[j].figures() {
			digits += ts[j].text
		} else {
			digits += strconv.FormatUint(n, 10)
		}
		j += k
		used = j - i
	}
	return digits, used
}

// numberInFigures reads 1,250.50 by the signs of the language.
func (l *lang) numberInFigures(text string) (float64, string, error) {
	all := inFigures.FindAllStringIndex(text, -1)
	if len(all) != 1 {
		return 0, "", errors.New("more than one number was said: ask which one is meant")
	}
	s := text[all[0][0]:all[0][1]]
	if all[0][0] > 0 && strings.HasPrefix(s, "-") && text[all[0][0]-1] != ' ' {
		s = s[1:] // "B-12"
	}
	f, err := strconv.ParseFloat(l.plainFigures(s), 64)
	if err != nil || math.IsInf(f, 0) || math.Abs(f) > 1e15 {
		return 0, "", errNoNumber
	}
	ts := tokens(text[:all[0][0]])
	if n := len(ts); n > 0 && f > 0 {
		if _, is := l.minus[ts[n-1].low]; is {
			f = -f
		}
	}
	if ts = tokens(text[all[0][1]:]); len(ts) > 0 {
		scale := l.scales[ts[0].low]
		if l.tag == "de" {
			if n, ok := germanNumber(ts[0].low); ok && n >= 1000 {
				scale = n
			}
		}
		if scale > 0 {
			f *= float64(scale)
		}
	}
	return f, strconv.FormatFloat(f, 'f', -1, 64), nil
}

// plainFigures is a number with a decimal point and nothing else. A sign of
// the other language's is taken by what stands behind it.
func (l *lang) plainFigures(s string) string {
	s = strings.NewReplacer(" ", "", "\u00a0", "", "\u202f", "", "'", "").Replace(s)
	decimal, group := l.decimal, byte('.')
	if decimal == '.' {
		group = ','
	}
	d, g := strings.LastIndexByte(s, decimal), strings.LastIndexByte(s, group)
	once := strings.Count(s, string(group)) == 1
	if once && (d >= 0 && g > d || d < 0 && len(s)-g-1 != 3) { // 1,250.50 where one writes 1.250,50; 12.5
		decimal, group = group, decimal
	}
	s = strings.ReplaceAll(s, string(group), "")
	return strings.Replace(s, string(decimal), ".", 1)
}

// sayNumber is a number as the language writes it, in words.
func (l *lang) sayNumber(text, tag string) string {
	if l.decimal == ',' {
		text = strings.Replace(text, ".", ",", 1)
	}
	sign := ""
	if strings.HasPrefix(text, "-") {
		for w := range l.minus {
			if sign == "" || w < sign {
				sign = w
			}
		}
		text, sign = text[1:], sign+" "
	}
	return sign + spoken.Speak(l.inGroups(text), tag).Text
}

// inGroups writes the thousands of a whole number apart, so that a long one is
// not read figure by figure. One with decimals is read as a number as it is.
func (l *lang) inGroups(text string) string {
	if len(text) < 5 || strings.Contains(text, string(l.decimal)) {
		return text
	}
	var b strings.Builder
	for i := range len(text) {
		if i > 0 && (len(text)-i)%3 == 0 {
			b.WriteByte(l.group)
		}
		b.WriteByte(text[i])
	}
	return b.String()
}
