package realtime

import (
	"encoding/json"

	"github.com/patchcord/patchcord/llm"
)

// Tools are functions as session.update names them.
func Tools(tools []llm.Tool) []map[string]any {
	out := make([]map[string]any, 0, len(tools))
	for _, t := range tools {
		parameters := t.Parameters
		if len(parameters) == 0 {
			parameters = json.RawMessage(`{"type":"object","properties":{}}`)
		}
		out = append(out, map[string]any{
			"type": "function", "name": t.Name, "description": t.Description, "parameters": parameters,
		})
	}
	return out
}

// event is the event of a command. A message with calls is several.
func (d *Dialect) event(c llm.RealtimeCommand) []map[string]any {
	one := func(id, kind string, fields map[string]any) []map[string]any {
		if fields == nil {
			fields = map[string]any{}
		}
		fields["type"] = kind
		if id != "" {
			fields["event_id"] = id
		}
		return []map[string]any{fields}
	}
	switch c := c.(type) {
	case llm.Respond:
		ev := d.Respond(c)
		ev["event_id"] = c.ID
		return []map[string]any{ev}
	case llm.CancelResponse:
		if c.Response == "" {
			return one(c.ID, "response.cancel", nil)
		}
		return one(c.ID, "response.cancel", map[string]any{"response_id": c.Response})
	case llm.Truncate:
		return one(c.ID, "conversation.item.truncate", map[string]any{
			"item_id": c.Item, "content_index": 0, "audio_end_ms": c.End.Milliseconds(),
		})
	case llm.DeleteItem:
		return one(c.ID, "conversation.item.delete", map[string]any{"item_id": c.Item})
	case llm.AddMessage:
		var out []map[string]any
		for _, item := range items(c.Message) {
			out = append(out, one(c.ID, "conversation.item.create", map[string]any{"item": item})...)
		}
		return out
	case llm.Instruct:
		return one(c.ID, "session.update", map[string]any{"session": d.Instruct(c)})
	}
	return nil
}

// items are the items of the conversation that a message is.
func items(m llm.Message) []map[string]any {
	if m.Role == llm.ToolRole {
		return []map[string]any{{"type": "function_call_output", "call_id": m.ToolCallID, "output": m.Content}}
	}
	var out []map[string]any
	if m.Content != "" {
		kind := "input_text"
		if m.Role == llm.Assistant {
			kind = "output_text"
		}
		out = append(out, map[string]any{
			"type": "message", "role": string(m.Role), "content": []map[string]any{{"type": kind, "text": m.Content}},
		})
	}
	for _, c := range m.ToolCalls {
		out = append(out, map[string]any{
			"type": "function_call", "call_id": c.ID, "name": c.Name, "arguments": string(c.Args),
		})
	}
	return out
}
