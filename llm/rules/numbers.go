package rules

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// numerals are the number words of one language, as they are spoken digit by
// digit or in pairs.
type numerals struct {
	value  map[string]int // zero to ninety
	repeat map[string]int // double, triple: the next digit as many times
	scale  map[string]int // hundred, thousand
	and    string         // left out between them
}

var languages = map[string]numerals{
	"en": {
		value: count(0, "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "+
			"fifteen sixteen seventeen eighteen nineteen", map[string]int{
			"oh": 0, "o": 0, "nought": 0, "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50,
			"sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90,
		}),
		repeat: map[string]int{"double": 2, "triple": 3},
		scale:  map[string]int{"hundred": 100, "thousand": 1000},
		and:    "and",
	},
	"de": {
		value: count(0, "null eins zwei drei vier fünf sechs sieben acht neun zehn elf zwölf dreizehn vierzehn "+
			"fünfzehn sechzehn siebzehn achtzehn neunzehn zwanzig", map[string]int{"ein": 1, "eine": 1, "zwo": 2}),
		repeat: map[string]int{"doppel": 2},
		scale:  map[string]int{"hundert": 100, "tausend": 1000},
		and:    "und",
	},
	"fr": {
		value: count(0, "zéro un deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze quinze seize",
			map[string]int{
				"une": 1, "vingt": 20, "trente": 30,
				"quarante":  40, //nolint:misspell // French
				"cinquante": 50, "soixante": 60,
			}),
		repeat: map[string]int{"double": 2, "triple": 3},
		scale:  map[string]int{"cent": 100, "mille": 1000},
		and:    "et",
	},
	"es": {
		value: count(0, "cero uno dos tres cuatro cinco seis siete ocho nueve diez once doce trece catorce quince",
			map[string]int{"un": 1, "una": 1, "veinte": 20, "treinta": 30, "cuarenta": 40, "cincuenta": 50}),
		repeat: map[string]int{"doble": 2, "triple": 3},
		scale:  map[string]int{"cien": 100, "ciento": 100, "mil": 1000},
		and:    "y",
	},
}

func count(from int, words string, more map[string]int) map[string]int {
	out := maps.Clone(more)
	for i, w := range strings.Fields(words) {
		out[w] = from + i
	}
	return out
}

// byLength are all words of several tables, the longest first, so that an
// expression takes seventeen before seven.
func byLength(ms ...map[string]int) []string {
	var out []string
	for _, m := range ms {
		out = append(out, slices.Sorted(maps.Keys(m))...)
	}
	slices.SortStableFunc(out, func(a, b string) int { return len(b) - len(a) })
	return out
}

// digits are spoken or written digits as a number is written: "four seven
// eleven" is 4711, "forty seven" is 47, "double four" is 44.
func (n numerals) digits(text string) string {
	var b strings.Builder
	times, tens := 1, 0
	flush := func() {
		if tens > 0 {
			b.WriteString(strconv.Itoa(tens))
			tens = 0
		}
	}
	for _, w := range strings.Fields(text) {
		v, known := n.value[w]
		switch r := n.repeat[w]; {
		case r > 0:
			flush()
			times = r
			continue
		case !known:
			flush()
			b.WriteString(strings.Repeat(w, times))
		case v >= 20 && v%10 == 0:
			flush()
			tens = v
		case tens > 0 && v > 0 && v < 10:
			b.WriteString(strconv.Itoa(tens + v))
			tens = 0
		default:
			flush()
			b.WriteString(strings.Repeat(strconv.Itoa(v), times))
		}
		times = 1
	}
	flush()
	return b.String()
}

// number is a spoken or written whole number.
func (n numerals) number(text string) (int, bool) {
	const most = 1_000_000_000
	total, part, found := 0, 0, false
	for _, w := range strings.Fields(text) {
		if w == n.and {
			continue
		}
		found = true
		if s := n.scale[w]; s > 0 {
			if part == 0 {
				part = 1
			}
			part *= s
			if s >= 1000 {
				total, part = total+part, 0
			}
		} else if v, ok := n.value[w]; ok {
			part += v
		} else if v, err := strconv.Atoi(w); err == nil && v < most {
			part += v
		} else {
			return 0, false
		}
		if total > most || part > most {
			return 0, false
		}
	}
	return total + part, found
}
