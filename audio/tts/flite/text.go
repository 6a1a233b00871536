package flite

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// maxWord is how long a word may be, letters: flite is old C and is not given
// reasons to prove it. maxText is what is spoken at most of one sentence.
const (
	maxWord = 60
	maxText = 4000
)

// punctuation that flite does not know, in the form that it does.
var punctuation = strings.NewReplacer(
	"’", "'", "‘", "'", "“", `"`, "”", `"`, "–", ", ", "—", ", ", "…", "...", "€", " euros ", "£", " pounds ",
	"\u00a0", " ", "ß", "ss", "æ", "ae", "ø", "o", "œ", "oe",
)

// plain is text in ASCII, which is all that flite's English voices can read:
// accents go, other scripts and control characters too. It is "" when no
// letter and no digit is left.
func plain(text string) string {
	var b strings.Builder
	run, spoken := 0, false
	for _, r := range norm.NFD.String(punctuation.Replace(text)) {
		switch {
		case b.Len() >= maxText:
		case unicode.IsSpace(r):
			run = 0
			b.WriteByte(' ')
		case r > unicode.MaxASCII || !unicode.IsPrint(r):
		default:
			if run++; run > maxWord {
				run = 1
				b.WriteByte(' ')
			}
			spoken = spoken || unicode.IsLetter(r) || unicode.IsDigit(r)
			b.WriteRune(r)
		}
	}
	if !spoken {
		return ""
	}
	return strings.TrimSpace(b.String())
}
