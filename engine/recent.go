package engine

import (
	"time"

	"github.com/patchcord/patchcord/engine/turn"
)

// recent are the words we said lately, to know them again when they come back
// as an echo (conv:E2).
type recent struct {
	words []string
	at    time.Time
}

const (
	echoAfter = 700 * time.Millisecond // after our last sound a caller repeats us (conv:E4)
	echoShare = 0.7
	echoLeast = 3  // words: fewer agree by chance
	echoTail  = 12 // words said in about 3 s
)

func (r *recent) said(text string, at time.Time) {
	w := turn.Words(text)
	r.words, r.at = w[max(0, len(w)-echoTail):], at
}

// echo says whether a caller's words are ours come back. now is what is being
// said, "" when nothing is.
func (r *recent) echo(text, now string, at time.Time) bool {
	said := r.words
	if at.Sub(r.at) > echoAfter {
		said = nil
	}
	if now != "" {
		w := turn.Words(now)
		said = append(w[max(0, len(w)-echoTail):], said...)
	}
	heard := turn.Words(text)
	if len(heard) < echoLeast || len(said) == 0 {
		return false
	}
	has := map[string]bool{}
	for _, w := range said {
		has[w] = true
	}
	same := 0
	for _, w := range heard {
		if has[w] {
			same++
		}
	}
	return float64(same) >= echoShare*float64(len(heard))
}
