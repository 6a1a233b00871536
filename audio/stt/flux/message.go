package flux

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
	Type       string   `json:"type"`
	Event      string   `json:"event"`
	Index      float64  `json:"turn_index"`
	From       float64  `json:"audio_window_start"` // s, stream time
	To         float64  `json:"audio_window_end"`   // s
	Transcript string   `json:"transcript"`         // of the turn so far
	Languages  []string `json:"languages"`          // of flux-general-multi, most used first
	Words      []struct {
		Confidence float64 `json:"confidence"`
	} `json:"words"`
	Code        string `json:"code"`        // of Error
	Description string `json:"description"` // of Error and ConfigureFailure
}

// turns turns the server's messages into events.
type turns struct {
	language string
	decides  bool   // an EndOfTurn ends the turn
	said     string // words of the turn that were passed on
	eager    bool   // its end was announced
}

// read is what a text frame means. The types that say nothing to a call
// (Connected, ConfigureSuccess) and those not known are no events.
func (t *turns) read(frame []byte) ([]stt.Event, error) {
	var m message
	if err := json.Unmarshal(frame, &m); err != nil {
		return nil, fmt.Errorf("a message that is no JSON: %w", err)
	}
	switch m.Type {
	case "TurnInfo":
		return t.turn(m), nil
	case "Error", "ConfigureFailure":
		return nil, refused(m)
	}
	return nil, nil
}

// refused is an error of the server: what is wrong with the request stays wrong.
func refused(m message) error {
	code := strings.ToUpper(m.Code)
	lasting := m.Type == "ConfigureFailure"
	for _, word := range []string{
		"UNAUTHORIZED", "FORBIDDEN", "INVALID", "BAD_REQUEST", "NOT_FOUND", "UNPARSABLE", "UNSUPPORTED", "PAYMENT",
	} {
		lasting = lasting || strings.Contains(code, word)
	}
	err := fmt.Errorf("error %s: %.300s", m.Code, m.Description)
	return &stt.Error{Provider: Name, Op: "read", Temporary: !lasting, Err: err}
}

func (t *turns) turn(m message) []stt.Event {
	ev := stt.Event{
		Kind: stt.Interim, Text: strings.TrimSpace(m.Transcript), Language: t.language,
		Confidence: confidence(m), Start: seconds(m.From), End: seconds(m.To),
	}
	ev.Start = min(ev.Start, ev.End)
	if len(m.Languages) > 0 {
		ev.Language = m.Languages[0]
	}
	var out []stt.Event
	if m.Event == "EndOfTurn" {
		t.said, t.eager = "", false
		ev.Kind, ev.Endpointed = stt.Final, t.decides
		return append(out, ev)
	}
	if m.Event == "TurnResumed" && t.eager {
		t.eager = false
		out = append(out, stt.Event{Kind: stt.Resumed, Language: ev.Language, End: ev.End})
	}
	if ev.Text != "" && ev.Text != t.said { // an Update comes for every quarter of a second, new words or none
		t.said = ev.Text
		out = append(out, ev)
	}
	if m.Event == "EagerEndOfTurn" && !t.eager {
		t.eager = true
		ev.Kind = stt.Eager
		out = append(out, ev)
	}
	return out
}

// confidence is the mean of the words'.
func confidence(m message) float64 {
	if len(m.Words) == 0 {
		return 0
	}
	sum := 0.0
	for _, w := range m.Words {
		sum += max(0, min(1, w.Confidence))
	}
	return min(1, sum/float64(len(m.Words)))
}

// seconds is a time of the wire; nonsense is 0.
func seconds(s float64) time.Duration {
	if !(s > 0) || s > 1e6 { // NaN too
		return 0
	}
	return time.Duration(s * float64(time.Second))
}
