package spoken

import (
	"cmp"
	"slices"
	"strings"
)

// Speaker makes the texts of one reply ready for a voice, piece after piece.
// It is used by one goroutine.
type Speaker struct {
	l    *language
	says []Pronunciation // longest first
	code bool            // inside a block of code
}

// NewSpeaker makes one for a language, BCP 47, with a list of words that are
// said otherwise than they are written.
func NewSpeaker(lang string, list ...Pronunciation) *Speaker {
	s := &Speaker{l: region(lang)}
	for _, p := range list {
		base, _, _ := strings.Cut(strings.ToLower(lang), "-")
		only, _, _ := strings.Cut(strings.ToLower(p.Language), "-")
		if p.Word = strings.TrimSpace(p.Word); p.Word != "" && (only == "" || only == base) {
			s.says = append(s.says, p)
		}
	}
	slices.SortStableFunc(s.says, func(a, b Pronunciation) int { return cmp.Compare(len(b.Word), len(a.Word)) })
	return s
}

// Speak is a piece as it is to be said.
func (s *Speaker) Speak(text string) Spoken {
	plain, p := strip(text, &s.code)
	scan := scanner{pen: pen{old: plain}, l: s.l, says: s.says}
	out, bare := scan.run()
	return Spoken{Text: out, plain: p, bare: bare}
}

// Speak is a whole text as it is to be said in a language.
func Speak(text, lang string) Spoken { return NewSpeaker(lang).Speak(text) }
