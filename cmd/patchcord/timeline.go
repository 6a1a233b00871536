package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/patchcord/patchcord/engine"
)

const (
	barWidth  = 48  // columns of the longest waterfall
	barScale  = 25  // ms per column, until a turn is longer than they hold
	nameWidth = 8   // columns of who or what
	textWidth = 400 // characters of a text that are shown
)

// timeline writes events for people: seconds into the call, who, what.
type timeline struct {
	w     io.Writer
	brief bool            // the conversation only
	mixed bool            // lines say of which call they are, from the first on
	calls map[string]bool // seen so far
}

func newTimeline(w io.Writer) *timeline { return &timeline{w: w, calls: map[string]bool{}} }

// event writes one event.
func (t *timeline) event(e event) {
	t.calls[e.call()] = true
	switch e.name() {
	case engine.EventSIPMessage:
		if !t.brief {
			t.line(e, "sip", ladder(e))
		}
		return
	case engine.EventTurnMetrics:
		if !t.brief {
			t.waterfall(e)
		}
		return
	case engine.EventRTPStats:
		if t.brief {
			return
		}
	}
	who, what := describe(e)
	if what != "" {
		t.line(e, who, what)
	}
}

func (t *timeline) line(e event, who, what string) {
	t.prefix(e)
	fmt.Fprintf(t.w, "%-*s %s\n", nameWidth, who, clip(what))
}

// prefix is when, and of which call where there is more than one.
func (t *timeline) prefix(e event) {
	if t.mixed || len(t.calls) > 1 {
		id := e.call()
		fmt.Fprintf(t.w, "%-6s ", id[max(0, len(id)-6):])
	}
	fmt.Fprintf(t.w, "%8.3f  ", e.float("at_ms")/1000)
}

// describe is who does what.
func describe(e event) (who, what string) {
	switch e.name() {
	case engine.EventCallStarted:
		return "call", fmt.Sprintf("%s: %s → %s, agent %s", e.text("direction"), shown(e.text("from")), shown(e.text("to")),
			cmp.Or(e.text("agent"), "?"))
	case engine.EventCallAnswered:
		return "call", "answered" + with(", ", e.text("codec")) + with(", encrypted by ", e.text("srtp"))
	case engine.EventCallHeld:
		return "call", "on hold"
	case engine.EventCallResumed:
		return "call", "off hold"
	case engine.EventCallPassedOn:
		return "call", fmt.Sprintf("passed on by the other side: %s → %s", shown(e.text("from")), shown(e.text("to")))
	case engine.EventCallEnded:
		return "call", fmt.Sprintf("ended: %s after %.1f s, %d turns, MOS %.2f", e.text("end_reason"),
			e.float("duration_ms")/1000, e.number("turns"), e.float("mos"))
	case engine.EventTurnUser:
		sure := ""
		if c := e.float("confidence"); c > 0 {
			sure = fmt.Sprintf("  (%.2f)", c)
		}
		return "caller", e.text("text") + sure
	case engine.EventTurnAgent:
		return "agent", heard(e)
	case engine.EventSpeechBridge:
		return "bridge", e.text("text") + with("  while ", e.text("tool"))
	case engine.EventSpeechInterupted:
		return "barge-in", fmt.Sprintf("%s, %d ms heard", e.text("proof"), e.number("heard_ms"))
	case engine.EventToolStarted:
		return "tool", e.text("tool") + " " + compact(e["args"])
	case engine.EventToolFinished:
		return "tool", fmt.Sprintf("%s: %s after %d ms%s", e.text("tool"), e.text("status"), e.number("ms"),
			with(": ", e.text("error")))
	case engine.EventToolRefused:
		return "tool", fmt.Sprintf("%s refused: %s", e.text("tool"), e.text("reason"))
	case engine.EventProviderFailed:
		return "failed", fmt.Sprintf("%s %s: %s", e.text("kind"), e.text("provider"), e.text("error"))
	case engine.EventRTPStats:
		return "rtp", fmt.Sprintf("loss %.1f %%, jitter %d ms, MOS %.2f", e.float("loss")*100, e.number("jitter_ms"),
			e.float("mos"))
	}
	return "", e.name() + rest(e)
}

// heard is what of the agent's words reached the ear; what did not is in
// brackets.
func heard(e event) string {
	text, ear := e.text("text"), e.text("heard_text")
	if after, ok := strings.CutPrefix(text, ear); ok && after != "" {
		return strings.TrimSpace(ear + " […" + after + "]")
	}
	return cmp.Or(ear, "[…"+text+"]")
}

// ladder is a signalling message between the two parties.
func ladder(e event) string {
	what := e.text("method")
	if status := e.number("status"); status != 0 {
		what = fmt.Sprintf("%d %s", status, what)
	}
	what = fmt.Sprintf(" %s (%d) ", what, e.number("cseq"))
	fill := strings.Repeat("─", max(2, 28-utf8.RuneCountInString(what)))
	if e.text("dir") == "in" {
		return "peer ──" + what + fill + "▶ us"
	}
	return "peer ◀" + fill + what + "── us"
}

// waterfall shows where a turn's time went, from the end of the caller's
// speech to the first sound of the answer.
func (t *timeline) waterfall(e event) {
	total := e.number("v2v_ms")
	scale := max(barScale, (total+barWidth-1)/barWidth)
	t.line(e, "turn", fmt.Sprintf("%d ms from the caller's last word to the answer, %d of them the engine's", total,
		e.number("engine_added_ms")))
	at := int64(0)
	for _, stage := range []struct{ key, name string }{
		{"endpoint_wait_ms", "wait"}, {"stt_final_ms", "words"}, {"llm_first_ms", "model"}, {"tts_first_ms", "voice"},
	} {
		d := e.number(stage.key)
		if d <= 0 {
			continue
		}
		begin := at
		if stage.key == "stt_final_ms" {
			begin = 0 // the last words come while we wait
		} else {
			at += d
		}
		t.prefix(e)
		fmt.Fprintf(t.w, "%*s %-5s %5d ms %s%s\n", nameWidth, "", stage.name, d,
			strings.Repeat(" ", int(min(begin/scale, barWidth))), strings.Repeat("█", int(max(1, min(d/scale, barWidth)))))
	}
}

// rest are the own fields of an event that has no words of its own here.
func rest(e event) string {
	out := ""
	for _, k := range sortedKeys(e) {
		switch k {
		case "ts", "level", "event", "call_id", "seq", "at_ms":
			continue
		}
		v := compact(e[k])
		if s, ok := e[k].(string); ok {
			v = s
		}
		out += " " + k + "=" + v
	}
	return out
}

func compact(v any) string {
	if v == nil {
		return ""
	}
	b, err := json.Marshal(v)
	if err != nil {
		return "?"
	}
	return string(b)
}

func with(before, text string) string {
	if text == "" {
		return ""
	}
	return before + text
}

func shown(number string) string { return cmp.Or(number, "unknown") }

// clip keeps a line a line: no control characters, no novel.
func clip(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return ' '
		}
		return r
	}, s)
	if utf8.RuneCountInString(s) > textWidth {
		s = string([]rune(s)[:textWidth]) + "…"
	}
	return strings.TrimRight(s, " ")
}

func sortedKeys(e event) []string { return slices.Sorted(maps.Keys(e)) }
