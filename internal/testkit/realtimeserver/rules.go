package realtimeserver

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/patchcord/patchcord/audio"
)

// paths are the parameters of a session, those of OpenAI and those of xAI.
var (
	openaiPaths = strings.Fields(`type output_modalities instructions tools tool_choice max_output_tokens tracing prompt
		include model reasoning audio audio.input audio.input.format audio.input.format.type audio.input.format.rate
		audio.input.transcription audio.input.transcription.model audio.input.transcription.language
		audio.input.transcription.prompt audio.input.turn_detection audio.input.turn_detection.type
		audio.input.turn_detection.threshold audio.input.turn_detection.prefix_padding_ms
		audio.input.turn_detection.silence_duration_ms audio.input.turn_detection.create_response
		audio.input.turn_detection.interrupt_response audio.input.turn_detection.idle_timeout_ms
		audio.input.turn_detection.eagerness audio.input.noise_reduction audio.input.noise_reduction.type
		audio.output audio.output.format audio.output.format.type audio.output.format.rate audio.output.voice
		audio.output.speed`)
	xaiPaths = strings.Fields(`instructions voice turn_detection turn_detection.type turn_detection.threshold
		turn_detection.prefix_padding_ms turn_detection.silence_duration_ms turn_detection.create_response
		turn_detection.interrupt_response turn_detection.idle_timeout_ms tools audio audio.input audio.input.format
		audio.input.format.type audio.input.format.rate audio.input.transcription
		audio.input.transcription.language_hint audio.input.transcription.keyterms audio.output audio.output.format
		audio.output.format.type audio.output.format.rate audio.output.speed reasoning reasoning.effort replace`)
	responsePaths = strings.Fields(`instructions tools tool_choice output_modalities metadata conversation input
		max_output_tokens audio`)
)

// unknown is the first parameter of an object that is none.
func unknown(o object, prefix string, paths []string) string {
	for k, v := range o {
		path := strings.TrimPrefix(prefix+"."+k, ".")
		if !slices.Contains(paths, path) {
			return path
		}
		if sub, ok := v.(map[string]any); ok && path != "metadata" {
			if bad := unknown(sub, path, paths); bad != "" {
				return bad
			}
		}
	}
	return ""
}

// at is a value in an object, nil where there is none.
func at(o object, path string) any {
	var v any = o
	for k := range strings.SplitSeq(path, ".") {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[k]
	}
	return v
}

// update is session.update.
func (c *conn) update(id string, raw json.RawMessage) {
	var o object
	if err := json.Unmarshal(raw, &o); err != nil || o == nil {
		c.refuse(id, "missing_required_parameter", "Missing required parameter: 'session'.", "session")
		return
	}
	paths, vad := openaiPaths, "audio.input.turn_detection"
	if c.s.XAI {
		paths, vad = xaiPaths, "turn_detection"
	} else if o["type"] != "realtime" {
		c.refuse(id, "missing_required_parameter", "Missing required parameter: 'session.type'.", "session.type")
		return
	}
	if bad := unknown(o, "", paths); bad != "" {
		c.refuse(id, "unknown_parameter", fmt.Sprintf("Unknown parameter: 'session.%s'.", bad), "session."+bad)
		return
	}
	voice := at(o, "audio.output.voice")
	if voice != nil && c.spoke && voice != at(c.session, "audio.output.voice") {
		c.refuse(id, "cannot_update_voice", "Cannot update a conversation's voice if assistant audio is present.", "")
		return
	}
	for path, f := range map[string]*sound{"audio.input.format": &c.in, "audio.output.format": &c.out} {
		if !c.format(id, at(o, path), path, f) {
			return
		}
	}
	if t, ok := at(o, vad).(map[string]any); ok {
		if !slices.Contains([]any{"server_vad", "semantic_vad"}, t["type"]) || c.s.XAI && t["type"] != "server_vad" {
			c.refuse(id, "invalid_value", "Invalid value of 'session."+vad+".type'.", "session."+vad+".type")
			return
		}
		c.detects, c.creates = true, t["create_response"] != false
		if ms, ok := t["silence_duration_ms"].(float64); ok {
			c.silence = int(ms)
		}
		if ms, ok := t["prefix_padding_ms"].(float64); ok {
			c.padding = int(ms)
		}
	}
	for k, v := range o {
		c.session[k] = v
	}
	c.send(object{"type": "session.updated", "session": c.session})
}

func (c *conn) format(id string, v any, path string, f *sound) bool {
	o, ok := v.(map[string]any)
	if !ok {
		return true
	}
	rate, _ := o["rate"].(float64)
	switch o["type"] {
	case "audio/pcmu":
		*f = sound{audio.MuLaw, 8000}
	case "audio/pcma":
		*f = sound{audio.ALaw, 8000}
	case "audio/pcm":
		if !c.s.XAI && rate != 24000 || c.s.XAI && (rate < 8000 || rate > 48000) {
			c.refuse(id, "invalid_value", "Invalid 'session."+path+".rate'.", "session."+path+".rate")
			return false
		}
		*f = sound{audio.PCM16, int(rate)}
	default:
		c.refuse(id, "invalid_value", "Invalid 'session."+path+".type'.", "session."+path+".type")
		return false
	}
	return true
}

// create is conversation.item.create.
func (c *conn) create(id string, raw json.RawMessage) {
	var in struct {
		ID, Type, Role string
		Content        []struct{ Type, Text string }
		CallID         string `json:"call_id"`
		Name           string
		Arguments      string
		Output         *string
	}
	if err := json.Unmarshal(raw, &in); err != nil {
		c.refuse(id, "missing_required_parameter", "Missing required parameter: 'item'.", "item")
		return
	}
	it := &Item{ID: in.ID, Type: in.Type, Role: in.Role, CallID: in.CallID, Name: in.Name}
	if it.ID == "" {
		it.ID = c.id("item")
	}
	switch in.Type {
	case "message":
		want := map[string]string{"user": "input_text", "system": "input_text", "assistant": "output_text"}[in.Role]
		for _, p := range in.Content {
			if p.Type != want {
				c.refuse(id, "invalid_value", fmt.Sprintf("Invalid value: '%s'. Value must be '%s'.", p.Type, want),
					"item.content[0].type")
				return
			}
			it.Text += p.Text
		}
		if want == "" || len(in.Content) == 0 {
			c.refuse(id, "invalid_value", fmt.Sprintf("Invalid 'item.role': '%s'.", in.Role), "item.role")
			return
		}
	case "function_call":
		it.Text = in.Arguments
	case "function_call_output":
		if !slices.ContainsFunc(c.items, func(x *Item) bool { return x.Type == "function_call" && x.CallID == in.CallID }) {
			c.refuse(id, "invalid_tool_call_id", fmt.Sprintf("Tool call ID '%s' not found in conversation.", in.CallID),
				"item.call_id")
			return
		}
		if in.Output == nil {
			c.refuse(id, "missing_required_parameter", "Missing required parameter: 'item.output'.", "item.output")
			return
		}
		it.Text = *in.Output
	case "force_message":
		if c.s.XAI && len(in.Content) == 1 && in.Content[0].Type == "output_text" {
			c.begin("", Ask{Instructions: in.Content[0].Text})
			return
		}
		fallthrough
	default:
		c.refuse(id, "invalid_value", fmt.Sprintf("Invalid value: '%s'.", in.Type), "item.type")
		return
	}
	c.items = append(c.items, it)
	c.added(it)
}

// truncate is conversation.item.truncate.
func (c *conn) truncate(id string, e map[string]json.RawMessage) {
	var end, index int
	if json.Unmarshal(e["audio_end_ms"], &end) != nil || json.Unmarshal(e["content_index"], &index) != nil {
		c.refuse(id, "missing_required_parameter", "Missing required parameter: 'audio_end_ms'.", "audio_end_ms")
		return
	}
	it := c.find(text(e["item_id"]))
	switch {
	case end < 0:
		c.refuse(id, "integer_below_min_value", fmt.Sprintf(
			"Invalid 'audio_end_ms': integer below minimum value. Expected a value >= 0, but got %d instead.", end),
			"audio_end_ms")
	case it == nil:
		c.refuse(id, "item_truncate_invalid_item_id", fmt.Sprintf(
			"Error truncating item: the item with id '%s' does not exist.", text(e["item_id"])), "item_id")
	case it.Role != "assistant" || !it.Sounding || index != 0:
		c.refuse(id, "unsupported_content_type", "Only model output audio messages can be truncated.", "content_index")
	case time.Duration(end)*time.Millisecond > it.Sound:
		c.refuse(id, "invalid_value", fmt.Sprintf(
			"Audio content of %dms is already shorter than %dms", it.Sound.Milliseconds(), end), "audio_end_ms")
	default:
		it.Sound, it.Cut, it.Text = time.Duration(end)*time.Millisecond, true, ""
		c.send(object{
			"type": "conversation.item.truncated", "item_id": it.ID, "content_index": 0, "audio_end_ms": end,
		})
	}
}

// remove is conversation.item.delete, and retrieve.
func (c *conn) remove(id, item, kind string) {
	if c.find(item) == nil {
		c.refuse(id, "item_delete_invalid_item_id", fmt.Sprintf(
			"Error deleting item: the item with id '%s' does not exist.", item), "item_id")
		return
	}
	if kind == "conversation.item.retrieve" {
		c.send(object{"type": "conversation.item.retrieved", "item": object{"id": item}})
		return
	}
	c.items = slices.DeleteFunc(c.items, func(x *Item) bool { return x.ID == item })
	c.send(object{"type": "conversation.item.deleted", "item_id": item})
}
