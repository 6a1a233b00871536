package realtime

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/audio/codec"
	"github.com/patchcord/patchcord/llm"
)

// message is an event of the server, as far as it is of use.
type serverEvent struct {
	Type         string `json:"type"`
	ResponseID   string `json:"response_id"`
	ItemID       string `json:"item_id"`
	CallID       string `json:"call_id"`
	Name         string `json:"name"`
	Arguments    string `json:"arguments"`
	Delta        string `json:"delta"`
	Transcript   string `json:"transcript"`
	AudioStartMS *int64 `json:"audio_start_ms"`
	AudioEndMS   *int64 `json:"audio_end_ms"`
	Response     struct {
		ID            string            `json:"id"`
		Status        string            `json:"status"`
		Metadata      map[string]string `json:"metadata"`
		StatusDetails struct {
			Reason string    `json:"reason"`
			Error  wireError `json:"error"`
		} `json:"status_details"`
		Usage struct {
			InputTokens  int `json:"input_tokens"`
			OutputTokens int `json:"output_tokens"`
		} `json:"usage"`
	} `json:"response"`
	Item struct {
		ID     string `json:"id"`
		Type   string `json:"type"`
		CallID string `json:"call_id"`
		Name   string `json:"name"`
	} `json:"item"`
	Error wireError `json:"error"`
}

type wireError struct {
	Type    string `json:"type"`
	Code    string `json:"code"`
	Message string `json:"message"`
	Param   string `json:"param"`
	EventID string `json:"event_id"`
}

// text is what an error says.
func (e wireError) text() string {
	out := e.Message
	if e.Param != "" {
		out += " (" + e.Param + ")"
	}
	if code := e.Code; code != "" {
		out = code + ": " + out
	}
	if out == "" {
		out = e.Type
	}
	return out
}

// message is what the body of a refusal says.
func message(body []byte) string {
	var m struct{ Error wireError }
	if json.Unmarshal(body, &m) == nil && m.Error.Message != "" {
		return m.Error.text()
	}
	return string(body)
}

// metadataID is the key under which a response carries the id of what asked
// for it.
const metadataID = "patchcord"

// Metadata is what a response is asked for with, so that it says whose it is.
func Metadata(id string) map[string]string { return map[string]string{metadataID: id} }

// reader turns what a server sends into events. It belongs to one goroutine.
type reader struct {
	encoding audio.Encoding
	from, to int                  // rates of PCM, Hz
	padding  time.Duration        // see Dialect
	silence  time.Duration        // the same
	sent     func() time.Duration // how much sound was sent
	item     string               // whose sound is being read
	odd      []byte               // half a sample of it
	rs       *audio.Resampler     // of it
	names    map[string]string    // of calls, by item: some servers tell them only once
}

// keptNames bounds the calls whose names are kept until they are complete.
const keptNames = 256

// errEvent is a message that is no event.
var errEvent = errors.New("a message that is no event")

// read takes one message. settled tells that it takes the settings.
func (r *reader) read(data []byte) (out []llm.RealtimeEvent, settled bool, err error) {
	var e serverEvent
	if err := json.Unmarshal(data, &e); err != nil {
		return nil, false, fmt.Errorf("%w: %w", errEvent, err)
	}
	switch e.Type {
	case "":
		return nil, false, errEvent
	case "session.updated":
		return nil, true, nil
	case "response.output_audio.delta", "response.audio.delta":
		return r.sound(e)
	case "response.output_audio.done", "response.audio.done":
		return r.soundDone(e), false, nil
	}
	if ev, ok := r.event(e); ok {
		out = append(out, ev)
	}
	return out, false, nil
}

// event is what a message without sound says.
func (r *reader) event(e serverEvent) (llm.RealtimeEvent, bool) {
	ev := llm.RealtimeEvent{Response: e.ResponseID, Item: e.ItemID}
	switch e.Type {
	case "response.created":
		ev.Kind, ev.Response, ev.ID = llm.ResponseBegan, e.Response.ID, e.Response.Metadata[metadataID]
	case "response.output_item.added":
		ev.Kind, ev.Item = llm.ItemBegan, e.Item.ID
		if e.Item.Type == "function_call" {
			ev.Call = llm.ToolCall{ID: e.Item.CallID, Name: e.Item.Name}
			if len(r.names) < keptNames {
				r.names[e.Item.ID] = e.Item.Name
			}
		}
	case "response.output_audio_transcript.delta", "response.audio_transcript.delta",
		"response.output_text.delta", "response.text.delta":
		ev.Kind, ev.Text = llm.SpokenWords, e.Delta
	case "response.function_call_arguments.done":
		name := e.Name
		if name == "" {
			name = r.names[e.ItemID]
		}
		delete(r.names, e.ItemID)
		ev.Kind, ev.Call = llm.CallReady, llm.ToolCall{ID: e.CallID, Name: name, Args: json.RawMessage(e.Arguments)}
	case "response.done":
		d := e.Response.StatusDetails
		ev.Kind, ev.Response, ev.Finish, ev.Text = llm.ResponseDone, e.Response.ID, e.Response.Status, d.Reason
		if ev.Finish == "" {
			ev.Finish = "completed"
		}
		if d.Error != (wireError{}) {
			ev.Code, ev.Text = d.Error.Code, d.Error.text()
		}
		ev.Usage = llm.Usage{Prompt: e.Response.Usage.InputTokens, Completion: e.Response.Usage.OutputTokens}
	case "input_audio_buffer.speech_started":
		ev.Kind, ev.Ago = llm.VoiceBegan, r.ago(e.AudioStartMS, r.padding)
	case "input_audio_buffer.speech_stopped":
		ev.Kind, ev.Ago = llm.VoiceEnded, r.ago(e.AudioEndMS, -r.silence)
	case "input_audio_buffer.committed":
		ev.Kind = llm.TurnEnded
	case "conversation.item.input_audio_transcription.completed":
		ev.Kind, ev.Text = llm.TurnWords, e.Transcript
	case "conversation.item.input_audio_transcription.failed":
		ev.Kind = llm.TurnWords
	case "error":
		ev.Kind, ev.ID, ev.Code, ev.Err = llm.Refused, e.Error.EventID, e.Error.Code, errors.New(e.Error.text())
	default:
		return ev, false
	}
	return ev, true
}

// ago is how long before the last sample sent a position lies, moved by some.
// Servers that tell none mean now.
func (r *reader) ago(ms *int64, move time.Duration) time.Duration {
	if ms == nil || *ms < 0 || *ms > 1<<40 {
		return 0
	}
	return max(0, r.sent()-time.Duration(*ms)*time.Millisecond-move)
}

// sound decodes a piece of sound.
func (r *reader) sound(e serverEvent) ([]llm.RealtimeEvent, bool, error) {
	raw, err := base64.StdEncoding.DecodeString(e.Delta)
	if err != nil {
		return nil, false, fmt.Errorf("sound of %s: %w", e.ItemID, err)
	}
	if e.ItemID != r.item {
		r.item, r.odd, r.rs = e.ItemID, nil, nil
		if r.encoding == audio.PCM16 && r.from != r.to {
			r.rs = audio.NewResampler(r.from, r.to)
		}
	}
	if r.encoding == audio.PCM16 {
		raw = append(r.odd, raw...)
		whole := len(raw) &^ 1
		r.odd = append([]byte(nil), raw[whole:]...)
		raw = raw[:whole]
	}
	pcm, err := codec.AppendSamples(nil, r.encoding, raw)
	if err != nil {
		return nil, false, err
	}
	if r.rs != nil {
		pcm = r.rs.Append(nil, pcm)
	}
	if len(pcm) == 0 {
		return nil, false, nil
	}
	return []llm.RealtimeEvent{{Kind: llm.Spoken, Response: e.ResponseID, Item: e.ItemID, PCM: pcm}}, false, nil
}

// soundDone gives what the resampler still holds of an item.
func (r *reader) soundDone(e serverEvent) []llm.RealtimeEvent {
	if r.rs == nil || e.ItemID != r.item {
		return nil
	}
	pcm := r.rs.Flush(nil)
	r.item, r.rs, r.odd = "", nil, nil
	if len(pcm) == 0 {
		return nil
	}
	return []llm.RealtimeEvent{{Kind: llm.Spoken, Response: e.ResponseID, Item: e.ItemID, PCM: pcm}}
}
