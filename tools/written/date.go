package written

import (
	"errors"
	"regexp"
	"strconv"
	"strings"
	"time"
)

var errNoDate = errors.New("no date was understood: ask for it again, with day, month and year")

var (
	isoDate  = regexp.MustCompile(`\b(\d{4})-(\d{1,2})-(\d{1,2})(?:\b|T)`)
	dateSign = regexp.MustCompile(`\b(\d{1,2})\s?[./-]\s?(\d{1,2})(?:\s?[./-]\s?(\d{4}|\d{2})\b|\.|\b)`)
)

// today is the day that others are counted from.
func (o Options) today() time.Time {
	now := o.Now
	if now.IsZero() {
		now = time.Now()
	}
	return time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, time.UTC)
}

// date is a day: written, in words, or counted from now; errNoDate where no
// rule of the language fits.
func (l *lang) date(text string, now time.Time) (time.Time, error) {
	if m := isoDate.FindStringSubmatch(text); m != nil {
		return calendar(atoi(m[1]), atoi(m[2]), atoi(m[3]))
	}
	if m := dateSign.FindStringSubmatch(text); m != nil {
		d, mo := atoi(m[1]), atoi(m[2])
		if l.monthFirst && !strings.Contains(m[0], ".") {
			d, mo = mo, d
		}
		if mo > 12 && d <= 12 {
			d, mo = mo, d
		}
		if m[3] == "" {
			return nextOf(now, mo, d)
		}
		return calendar(century(atoi(m[3]), len(m[3]), now), mo, d)
	}
	ts := tokens(text)
	for _, f := range []func([]token, time.Time) (time.Time, bool, error){
		l.named, l.counted, l.weekday, l.ordinals, l.dayAlone,
	} {
		if t, ok, err := f(ts, now); ok {
			return t, err
		}
	}
	return time.Time{}, errNoDate
}

// named is a date with the name of its month.
func (l *lang) named(ts []token, now time.Time) (time.Time, bool, error) {
	for i, t := range ts {
		month, ok := l.months[t.low]
		if !ok || t.low == "may" && i == 0 && len(ts) > 2 && l.dayAt(ts, i+1) == 0 {
			continue
		}
		day, rest := l.dayBefore(ts, i), i+1
		if day == 0 {
			j := l.skip(ts, i+1)
			if n, used := l.anyDay(ts, j); used > 0 {
				day, rest = n, j+used
			}
		}
		if day == 0 {
			continue
		}
		if y, ok := l.yearAt(ts, l.skip(ts, rest), now); ok {
			t, err := calendar(y, month, day)
			return t, true, err
		}
		t, err := nextOf(now, month, day)
		return t, true, err
	}
	return time.Time{}, false, nil
}

// skip steps over words between the parts of a date.
func (l *lang) skip(ts []token, i int) int {
	for i < len(ts) {
		if _, fill := l.dateFiller[ts[i].low]; !fill && ts[i].low != "." && ts[i].low != "," {
			break
		}
		i++
	}
	return i
}

// dayBefore is the day that stands before a month.
func (l *lang) dayBefore(ts []token, i int) int {
	end := i
	for end > 0 {
		if _, fill := l.dateFiller[ts[end-1].low]; !fill && ts[end-1].low != "." {
			break
		}
		end--
	}
	for from := max(0, end-4); from < end; from++ {
		if n, used := l.anyDay(ts[:end], from); used > 0 && from+used == end {
			return n
		}
	}
	return 0
}

func (l *lang) dayAt(ts []token, i int) int {
	if i = l.skip(ts, i); i < len(ts) {
		n, _ := l.anyDay(ts, i)
		return n
	}
	return 0
}

// anyDay is a day of the month, first or one, in words or figures.
func (l *lang) anyDay(ts []token, i int) (day, used int) {
	if i >= len(ts) {
		return 0, 0
	}
	if n, k := l.ordinal(l, ts, i); k > 0 && n <= 31 {
		return n, k
	}
	n, k := l.cardinalAt(ts, i)
	if k == 0 || n < 1 || n > 31 {
		return 0, 0
	}
	if ts[i].figures() && i+1 < len(ts) && ts[i+1].glued && nth[ts[i+1].low] { // 3rd, 1er
		k++
	}
	return int(n), k
}

var nth = set("st nd rd th er ère ème e ter ten te")

// yearAt is a year, in figures or as it is said.
func (l *lang) yearAt(ts []token, i int, now time.Time) (int, bool) {
	if i < len(ts) && ts[i].low == "'" {
		i++
	}
	if i >= len(ts) {
		return 0, false
	}
	if ts[i].figures() {
		n := len(ts[i].text)
		return century(atoi(ts[i].text), n, now), n == 4 || n == 2
	}
	n, used := l.cardinal(l, ts, i)
	if used == 0 {
		return 0, false
	}
	if j := i + used; n >= 10 && n < 100 && l.tag == "en" && j < len(ts) { // nineteen eighty-five, nineteen oh five
		oh := 0
		if _, is := l.oh[ts[j].low]; is && j+1 < len(ts) {
			oh = 1
		}
		if m, k := l.cardinal(l, ts, j+oh); k > 0 && m < 100 && (m >= 10 || oh > 0) {
			n = n*100 + m
		} else if l.scales[ts[j].low] == 100 {
			n *= 100
		}
	}
	switch {
	case n >= 1000 && n < 3000:
		return int(n), true
	case n >= 10 && n < 100:
		return century(int(n), 2, now), true
	}
	return 0, false
}

// century is a year of which two figures were said: not more than ten years
// ahead.
func century(y, figures int, now time.Time) int {
	if figures != 2 {
		return y
	}
	if y += now.Year() / 100 * 100; y > now.Year()+10 {
		y -= 100
	}
	return y
}

// counted is a day counted from today: "tomorrow", "in two weeks".
func (l *lang) counted(ts []token, now time.Time) (time.Time, bool, error) {
	for i := range ts {
		best, n := 0, 0
		for k := min(4, len(ts)-i); k > 0 && n == 0; k-- {
			var ws []string
			for _, t := range ts[i : i+k] {
				ws = append(ws, t.low)
			}
			if d, ok := l.days[strings.Join(ws, " ")]; ok {
				best, n = d, k
			}
		}
		if n > 0 {
			return now.AddDate(0, 0, best), true, nil
		}
		_, used := phrase(l.inWords, ts, i)
		if used == 0 || i+used >= len(ts) {
			continue
		}
		j := i + used
		count, k := l.cardinalAt(ts, j)
		if k == 0 {
			if _, one := l.articles()[ts[j].low]; !one {
				continue
			}
			count, k = 1, 1
		}
		if j+k >= len(ts) || count > 1000 {
			continue
		}
		c := int(count)
		switch l.spans[ts[j+k].low] {
		case "day":
			return now.AddDate(0, 0, c), true, nil
		case "week":
			return now.AddDate(0, 0, 7*c), true, nil
		case "month":
			return now.AddDate(0, c, 0), true, nil
		case "year":
			return now.AddDate(c, 0, 0), true, nil
		}
	}
	return time.Time{}, false, nil
}

func (l *lang) articles() map[string]string {
	return words("a an une un ein eine einem einer")
}

// weekday is the next day of that name, or that of the week after.
func (l *lang) weekday(ts []token, now time.Time) (time.Time, bool, error) {
	for i, t := range ts {
		day, ok := l.weekdays[t.low]
		if !ok || l.ordinalNear(ts, i) {
			continue
		}
		ahead := (day - int(now.Weekday()) + 6) % 7
		out := now.AddDate(0, 0, ahead+1)
		for j := i + 1; j < len(ts); j++ {
			if _, n := phrase(l.nextWeek, ts, j); n > 0 { // Monday begins a week
				monday := now.AddDate(0, 0, 7-(int(now.Weekday())+6)%7)
				return monday.AddDate(0, 0, (day+6)%7), true, nil
			}
		}
		return out, true, nil
	}
	return time.Time{}, false, nil
}

// ordinalNear says whether a weekday goes with a day of the month: "Tuesday
// the third".
func (l *lang) ordinalNear(ts []token, i int) bool {
	j := l.skip(ts, i+1)
	if j >= len(ts) {
		return false
	}
	_, used := l.anyDay(ts, j)
	return used > 0
}

// ordinals is "am dritten zehnten": a month by its number.
func (l *lang) ordinals(ts []token, now time.Time) (time.Time, bool, error) {
	if l.tag != "de" {
		return time.Time{}, false, nil
	}
	for i := range ts {
		d, n := l.ordinal(l, ts, i)
		if n == 0 || i+n >= len(ts) {
			continue
		}
		m, k := l.ordinal(l, ts, i+n)
		if k == 0 || m > 12 {
			continue
		}
		if y, ok := l.yearAt(ts, l.skip(ts, i+n+k), now); ok {
			t, err := calendar(y, m, d)
			return t, true, err
		}
		t, err := nextOf(now, m, d)
		return t, true, err
	}
	return time.Time{}, false, nil
}

// dayAlone is "the twenty-first": of this month, or of the next that has it.
func (l *lang) dayAlone(ts []token, now time.Time) (time.Time, bool, error) {
	for i := range ts {
		d, n := l.ordinal(l, ts, i)
		if n == 0 && ts[i].figures() && i+1 < len(ts) && ts[i+1].glued && nth[ts[i+1].low] {
			d, n = atoi(ts[i].text), 2
		}
		if n == 0 && l.tag == "fr" && i > 0 && ts[i-1].low == "le" {
			d, n = l.anyDay(ts, i)
		}
		if n == 0 || d < 1 || d > 31 {
			continue
		}
		for k := range 12 {
			first := time.Date(now.Year(), now.Month()+time.Month(k), 1, 0, 0, 0, 0, time.UTC)
			t, err := calendar(first.Year(), int(first.Month()), d)
			if err == nil && t.After(now) {
				return t, true, nil
			}
		}
	}
	return time.Time{}, false, nil
}

// calendar is a day that there is.
func calendar(y, m, d int) (time.Time, error) {
	t := time.Date(y, time.Month(m), d, 0, 0, 0, 0, time.UTC)
	if t.Year() != y || int(t.Month()) != m || t.Day() != d || y < 1000 || y > 2999 {
		return time.Time{}, errors.New("there is no such day: ask for the date again")
	}
	return t, nil
}

// nextOf is the next day of that name, today included.
func nextOf(now time.Time, m, d int) (time.Time, error) {
	var err error
	for y := now.Year(); y < now.Year()+9; y++ { // the 29th of February
		t, fault := calendar(y, m, d)
		if err = fault; err == nil && !t.Before(now) {
			return t, nil
		}
	}
	if err == nil {
		err = errNoDate
	}
	return time.Time{}, err
}

func atoi(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0
	}
	return n
}

// englishOrdinal is "twenty-first".
func englishOrdinal(l *lang, ts []token, i int) (n, used int) {
	if n, ok := englishNth[ts[i].low]; ok {
		return n, 1
	}
	if t := l.tens[ts[i].low]; t > 0 {
		if j := follows(ts, i+1); j >= 0 && englishNth[ts[j].low] > 0 && englishNth[ts[j].low] < 10 {
			return t*10 + englishNth[ts[j].low], j + 1 - i
		}
	}
	return 0, 0
}

var englishNth = func() map[string]int {
	m := numbered(1, `first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth
		fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth twentieth`)
	m["thirtieth"] = 30
	return m
}()

// frenchOrdinal is "premier", the only one that dates have.
func frenchOrdinal(_ *lang, ts []token, i int) (n, used int) {
	if ts[i].low == "premier" || ts[i].low == "première" {
		return 1, 1
	}
	return 0, 0
}

// germanOrdinal is "dritten", "einundzwanzigster", "21.".
func germanOrdinal(l *lang, ts []token, i int) (n, used int) {
	if ts[i].figures() && i+1 < len(ts) && ts[i+1].text == "." && ts[i+1].glued {
		return atoi(ts[i].text), 2
	}
	w := germanLetters.Replace(ts[i].low)
	for _, end := range []string{"n", "r", "s", ""} {
		stem, ok := strings.CutSuffix(w, end)
		if !ok {
			continue
		}
		if n, ok := germanNth[stem]; ok {
			return n, 1
		}
		if stem, ok = strings.CutSuffix(stem, "ste"); ok {
			if n, ok := germanNumber(stem); ok && n >= 20 && n < 100 {
				return int(n), 1
			}
		}
	}
	one := germanOnes[w]
	if one > 0 && one < 10 && i+2 < len(ts) && ts[i+1].low == "und" { // "ein und zwanzigsten"
		if t, k := germanOrdinal(l, ts, i+2); k > 0 && t%10 == 0 && t >= 20 {
			return t + one, k + 2
		}
	}
	return 0, 0
}

var germanNth = numbered(1, `erste zweite/zwote dritte vierte fünfte sechste siebte/siebente achte neunte zehnte
	elfte zwölfte dreizehnte vierzehnte fünfzehnte sechzehnte siebzehnte achtzehnte neunzehnte`)
