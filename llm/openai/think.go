package openai

import "strings"

const (
	thinkOpen  = "<think>"
	thinkClose = "</think>"
)

// thinkFilter takes out the reasoning that self-hosted models write into the
// answer itself: one <think>…</think> at its beginning. It is nothing that a
// caller may hear (conv:L1).
type thinkFilter struct {
	state int // 0 before the answer, 1 inside, 2 the answer
	held  string
}

// pass gives what may be passed on of the next piece.
func (f *thinkFilter) pass(s string) string {
	if f.state == 2 || s == "" {
		return s
	}
	f.held += s
	if f.state == 0 {
		begin := strings.TrimLeft(f.held, " \t\r\n")
		switch {
		case strings.HasPrefix(begin, thinkOpen):
			f.state, f.held = 1, begin[len(thinkOpen):]
		case strings.HasPrefix(thinkOpen, begin):
			return "" // may become one
		default:
			return f.rest()
		}
	}
	if i := strings.Index(f.held, thinkClose); i >= 0 {
		f.state = 2
		s, f.held = strings.TrimLeft(f.held[i+len(thinkClose):], " \t\r\n"), ""
		return s
	}
	// Keep no more than may be the beginning of the closing mark.
	f.held = f.held[max(0, len(f.held)-len(thinkClose)+1):]
	return ""
}

// rest is what was held back when the answer ends, and is none.
func (f *thinkFilter) rest() string {
	s := f.held
	if f.state == 1 {
		s = ""
	}
	f.state, f.held = 2, ""
	return s
}
