package deepgram

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
	Type        string  `json:"type"`
	Start       float64 `json:"start"`    // s, stream time
	Duration    float64 `json:"duration"` // s
	IsFinal     bool    `json:"is_final"`
	SpeechFinal bool    `json:"speech_final"`
	// Channel is an object in Results and a pair of numbers in the others.
	Channel     json.RawMessage `json:"channel"`
	Description string          `json:"description"` // of Error
	Message     string          `json:"message"`     // of Error
	Variant     string          `json:"variant"`     // of Error
}

// channel is what Results heard.
type channel struct {
	Alternatives []struct {
		Transcript string   `json:"transcript"`
		Confidence float64  `json:"confidence"`
		Languages  []string `json:"languages"`
		Words      []struct {
			Start float64 `json:"start"`
			End   float64 `json:"end"`
		} `json:"words"`
	} `json:"alternatives"`
}

// results turns the server's messages into events.
type results struct {
	language string
	// open tells that words were settled since the last end of an utterance.
	open bool
}

// read is what a text frame means. The types that say nothing to a call
// (Metadata, SpeechStarted: the engine has a detector of its own) and those
// not known are no events.
func (r *results) read(frame []byte) ([]stt.Event, error) {
	var m message
	if err := json.Unmarshal(frame, &m); err != nil {
		return nil, fmt.Errorf("a message that is no JSON: %w", err)
	}
	switch m.Type {
	case "Results":
		return r.result(m)
	case "UtteranceEnd":
		if !r.open {
			return nil, nil
		}
		r.open = false
		return []stt.Event{{Kind: stt.Endpoint, Language: r.language}}, nil
	case "Error":
		return nil, fmt.Errorf("error %s: %.300s", m.Variant, strings.TrimSpace(m.Description+" "+m.Message))
	}
	return nil, nil
}

func (r *results) result(m message) ([]stt.Event, error) {
	var c channel
	if err := json.Unmarshal(m.Channel, &c); err != nil {
		return nil, fmt.Errorf("results without a channel: %w", err)
	}
	ev := stt.Event{Kind: stt.Interim, Language: r.language, Start: seconds(m.Start), End: seconds(m.Start + m.Duration)}
	if len(c.Alternatives) > 0 {
		a := c.Alternatives[0]
		ev.Text = strings.TrimSpace(a.Transcript)
		ev.Confidence = max(0, min(1, a.Confidence))
		if len(a.Languages) > 0 {
			ev.Language = a.Languages[0]
		}
		if n := len(a.Words); n > 0 && a.Words[n-1].End >= a.Words[0].Start {
			ev.Start, ev.End = seconds(a.Words[0].Start), seconds(a.Words[n-1].End)
		}
	}
	switch {
	case ev.Text == "" && m.IsFinal && m.SpeechFinal && r.open:
		// The words came before; only the silence after them is settled here.
		r.open = false
		ev.Kind = stt.Endpoint
		return []stt.Event{ev}, nil
	case ev.Text == "":
		return nil, nil // silence
	case m.IsFinal:
		ev.Kind = stt.Final
		ev.Endpointed = m.SpeechFinal
		r.open = !m.SpeechFinal
	}
	return []stt.Event{ev}, nil
}

// seconds is a time of the wire; nonsense is 0.
func seconds(s float64) time.Duration {
	if !(s > 0) || s > 1e6 { // NaN too
		return 0
	}
	return time.Duration(s * float64(time.Second))
}
