package written

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// token is a word, a run of figures or a sign of what was said.
type token struct {
	text  string // as it came
	low   string // lower case
	glued bool   // no space before it
	pause bool   // a comma or the end of a sentence before it
}

func (t token) letters() bool { r, _ := utf8.DecodeRuneInString(t.text); return unicode.IsLetter(r) }
func (t token) figures() bool { return t.text != "" && t.text[0] >= '0' && t.text[0] <= '9' }

// letter says whether it is one letter alone.
func (t token) letter() bool { return utf8.RuneCountInString(t.text) == 1 && t.letters() }

// tokens cuts a text. Apostrophes belong to words; commas and what ends a
// sentence are pauses, a full stop between words without a space is a sign.
func tokens(text string) []token {
	text = norm.NFC.String(strings.NewReplacer("’", "'", "‘", "'", "−", "-", "–", "-", "‑", "-").Replace(text))
	var out []token
	pause, space := true, true
	add := func(s string) {
		out = append(out, token{text: s, low: strings.ToLower(s), glued: !space && len(out) > 0, pause: pause})
		pause, space = false, false
	}
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRuneInString(text[i:])
		next, _ := utf8.DecodeRuneInString(text[i+n:])
		switch {
		case unicode.IsLetter(r):
			j := i + n
			for j < len(text) {
				r, k := utf8.DecodeRuneInString(text[j:])
				after, _ := utf8.DecodeRuneInString(text[j+k:])
				if !unicode.IsLetter(r) && !unicode.Is(unicode.Mn, r) && (r != '\'' || !unicode.IsLetter(after)) {
					break
				}
				j += k
			}
			add(text[i:j])
			i = j
			continue
		case r >= '0' && r <= '9':
			j := i
			for j < len(text) && text[j] >= '0' && text[j] <= '9' {
				j++
			}
			add(text[i:j])
			i = j
			continue
		case unicode.IsSpace(r):
			space = true
		case strings.ContainsRune(",;!?…", r), r == '.' && (next == utf8.RuneError || unicode.IsSpace(next)):
			pause, space = true, true
		case strings.ContainsRune(`"«»“”()<>[]{}`, r):
			space = true
		default:
			add(string(r))
		}
		i += n
	}
	return out
}

// phrase is how many tokens from a place on are one of the phrases of a set,
// the longest, and what it stands for.
func phrase(set map[string]string, ts []token, i int) (value string, n int) {
	var b strings.Builder
	for k := 0; k < 4 && i+k < len(ts); k++ {
		if k > 0 {
			if ts[i+k].pause {
				break
			}
			b.WriteByte(' ')
		}
		b.WriteString(ts[i+k].low)
		if v, ok := set[b.String()]; ok {
			value, n = v, k+1
		}
	}
	return value, n
}

// words is the set of the lines' words, "_" standing for a space in a phrase.
func words(text string) map[string]string {
	m := map[string]string{}
	for w := range strings.FieldsSeq(text) {
		m[strings.ReplaceAll(w, "_", " ")] = ""
	}
	return m
}

// pairs reads lines of "value = phrase, phrase".
func pairs(lines string) map[string]string {
	m := map[string]string{}
	for line := range strings.Lines(lines) {
		value, list, ok := strings.Cut(line, " = ")
		if !ok {
			continue
		}
		for p := range strings.SplitSeq(list, ",") {
			m[strings.TrimSpace(p)] = strings.TrimSpace(value)
		}
	}
	return m
}

// fold is a text in lower case without accents, for comparing.
func fold(s string) string {
	var b strings.Builder
	for _, r := range norm.NFD.String(strings.ToLower(s)) {
		switch {
		case unicode.Is(unicode.Mn, r):
		case r == 'ß':
			b.WriteString("ss")
		case r == 'œ':
			b.WriteString("oe")
		case r == 'æ':
			b.WriteString("ae")
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
