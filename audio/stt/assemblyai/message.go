package assemblyai

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/patchcord/patchcord/audio/stt"
)

// message is any text frame of the server. Fields of other types than the one
// that came are zero.
type message struct {
	Type       string  `json:"type"`
	Order      int     `json:"turn_order"`
	End        bool    `json:"end_of_turn"`
	Transcript string  `json:"transcript"` // of the turn so far, settled words
	Utterance  string  `json:"utterance"`  // settled at a pause inside of the turn
	Language   string  `json:"language_code"`
	LangConf   float64 `json:"language_confidence"`
	Words      []struct {
		Text       string  `json:"text"`
		Start      float64 `json:"start"` // ms, stream time
		End        float64 `json:"end"`   // ms
		Confidence float64 `json:"confidence"`
	} `json:"words"`
	Code  int    `json:"error_code"` // of Error
	Error string `json:"error"`      // of Error
}

// lasting tells which codes of errors and closures another try does not change:
// 1008 is a wrong key or an account without credit, 3006 a request that the
// vendor cannot read. 3005 is a fault of theirs, 3007 sound of a wrong length or
// too fast, 3008 a session that is too old, 3009 too many sessions.
func lasting(code int) bool { return code == 1008 || code == 3006 }

// sure is the least confidence in a language for it to be told.
const sure = 0.5

// turns turns the server's messages into events.
type turns struct {
	language string
	decides  bool   // the end of a turn is the caller's
	last     int    // turn_order of the last turn that has ended
	said     string // words of the turn that were passed on
	eager    bool   // its end was announced
}

// read is what a text frame means. The types that say nothing to a call
// (Begin, SpeechStarted: the engine has a detector of its own, Termination) and
// those not known are no events.
func (t *turns) read(frame []byte) ([]stt.Event, error) {
	var m message
	if err := json.Unmarshal(frame, &m); err != nil {
		return nil, fmt.Errorf("a message that is no JSON: %w", err)
	}
	switch {
	case m.Type == "Error" || m.Type == "" && m.Error != "":
		return nil, &stt.Error{
			Provider: Name, Op: "read", Temporary: !lasting(m.Code), Err: fmt.Errorf("error %d: %.300s", m.Code, m.Error),
		}
	case m.Type == "Turn" && m.Order > t.last:
		return t.turn(m), nil
	}
	return nil, nil
}

func (t *turns) turn(m message) []stt.Event {
	ev := t.event(m)
	var out []stt.Event
	if m.End {
		t.last, t.said, t.eager = m.Order, "", false
		ev.Kind, ev.Endpointed = stt.Final, t.decides
		return append(out, ev)
	}
	if ev.Text != "" && ev.Text != t.said {
		if t.eager {
			t.eager = false
			out = append(out, stt.Event{Kind: stt.Resumed, Language: ev.Language, End: ev.End})
		}
		t.said = ev.Text
		out = append(out, ev)
	}
	if m.Utterance != "" && ev.Text != "" && !t.eager {
		t.eager = true
		ev.Kind = stt.Eager
		out = append(out, ev)
	}
	return out
}

func (t *turns) event(m message) stt.Event {
	ev := stt.Event{Kind: stt.Interim, Text: strings.TrimSpace(m.Transcript), Language: t.language}
	if m.Language != "" && (m.LangConf == 0 || m.LangConf >= sure) {
		ev.Language = m.Language
	}
	n := len(m.Words)
	if n == 0 {
		return ev
	}
	var words []string
	for _, w := range m.Words {
		if text := strings.TrimSpace(w.Text); text != "" {
			words = append(words, text)
		}
		ev.Confidence += max(0, min(1, w.Confidence)) / float64(n)
	}
	ev.Confidence = min(1, ev.Confidence)
	if said := strings.Join(words, " "); !m.End && len(said) > len(ev.Text) {
		ev.Text = said // with the words that are not settled
	}
	if start, end := m.Words[0].Start, m.Words[n-1].End; end >= start {
		ev.Start, ev.End = millis(start), millis(end)
	}
	return ev
}

// millis is a time of the wire; nonsense is 0.
func millis(x float64) time.Duration {
	if !(x > 0) || x > 1e9 { // NaN too
		return 0
	}
	return time.Duration(x * float64(time.Millisecond))
}
