package engine

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/patchcord/patchcord/audio/tts/spoken"
	"github.com/patchcord/patchcord/engine/turn"
)

// chunker cuts the words of one reply into clauses and sentences, by the rules
// of its policy (conv:S1, conv:S2), never inside what belongs together (conv:S3).
// It belongs to its reply and dies with it (INV35).
type chunker struct {
	rules   *turn.Policy
	speaker *spoken.Speaker
	hold    *spoken.Holder
	buf     string
	at      int  // where buf begins in the reply's text, bytes
	first   bool // something was cut already
	clauses bool // every clause is a piece
}

func newChunker(rules *turn.Policy, speaker *spoken.Speaker) *chunker {
	return &chunker{rules: rules, speaker: speaker, hold: speaker.Hold()}
}

// leastClause is the shortest clause that is a piece of its own, characters.
const leastClause = 8

// piece is some words of a reply and where they begin in its text.
type piece struct {
	at  int
	raw string
}

// end is the place behind the piece.
func (p piece) end() int { return p.at + len(p.raw) }

// add takes words and returns the pieces that are ready to speak.
func (c *chunker) add(text string) []piece {
	c.buf += c.hold.Add(text)
	var out []piece
	for {
		n := c.cut(c.buf)
		if n == 0 {
			return out
		}
		if p := c.take(n); p.raw != "" {
			out = append(out, p)
			c.first = true
		}
	}
}

// take gives n bytes away, without the spaces around them.
func (c *chunker) take(n int) piece {
	s := c.buf[:n]
	words := strings.TrimLeftFunc(s, unicode.IsSpace)
	p := piece{c.at + len(s) - len(words), strings.TrimRightFunc(words, unicode.IsSpace)}
	c.at, c.buf = c.at+n, c.buf[n:]
	return p
}

// impatient is called when no token came for a while: the first words are
// spoken when there are enough of them.
func (c *chunker) impatient() piece {
	if !c.first && len(strings.Fields(c.buf)) >= c.rules.FirstWords {
		if i := c.lastSpace(c.buf, len(c.buf)); i > 0 {
			c.first = true
			return c.take(i)
		}
	}
	return piece{}
}

// rest is what is left at the end of the reply (conv:S4).
func (c *chunker) rest() piece {
	c.buf += c.hold.Rest()
	return c.take(len(c.buf))
}

// drop forgets what was not cut yet, at the end of a reply that is cancelled.
func (c *chunker) drop() { *c = *newChunker(c.rules, c.speaker) }

// cut is how many bytes of s are a piece, 0 when it must grow first.
func (c *chunker) cut(s string) int {
marks:
	for i, r := range s {
		if r != '\n' && !strings.ContainsRune(".!?…:;,—", r) {
			continue
		}
		end := i + utf8.RuneLen(r)
		if r == '\n' {
			if strings.TrimSpace(s[:end]) != "" {
				return end
			}
			continue
		}
		for _, mark := range []string{`"`, "”", "“", "»", ")", "*", "_"} { // belongs to the sentence before it
			for strings.HasPrefix(s[end:], mark) {
				end += len(mark)
			}
		}
		if end >= len(s) {
			break // what follows decides: a space, or "3.14"
		}
		if next, _ := utf8.DecodeRuneInString(s[end:]); !unicode.IsSpace(next) || c.speaker.Joined(s, end) {
			continue
		}
		length := utf8.RuneCountInString(strings.TrimSpace(s[:end]))
		switch sentence := strings.ContainsRune(".!?…", r); {
		case c.clauses && length >= leastClause,
			sentence && (!c.first || length >= c.rules.MinSentence),
			!sentence && !c.first && length >= c.rules.FirstClause:
			if length > c.rules.MaxSentence {
				break marks
			}
			return end
		}
	}
	most := c.rules.FirstLength
	if c.first {
		most = c.rules.MaxSentence
	}
	if utf8.RuneCountInString(strings.TrimSpace(s)) > most {
		return c.lastSpace(s, most)
	}
	return 0
}

// lastSpace is the byte after the last space within the first limit characters
// that parts nothing that belongs together.
func (c *chunker) lastSpace(s string, limit int) int {
	chars, last := 0, 0
	for i, r := range s {
		if chars++; chars > limit {
			break
		}
		if end := i + utf8.RuneLen(r); unicode.IsSpace(r) && strings.TrimSpace(s[:i]) != "" && !c.speaker.Joined(s, end) {
			last = end
		}
	}
	return last
}
