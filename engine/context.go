package engine

import (
	"github.com/patchcord/patchcord/engine/turn"
	"github.com/patchcord/patchcord/llm"
)

// messages is the conversation as a model is asked: every call with its result
// right behind it, two items of one speaker in a row made one (conv:X5), and
// the caller's words or a tool's result last.
func (t *transcript) messages(prompt []llm.Message) []llm.Message {
	out := append(make([]llm.Message, 0, len(prompt)+len(t.entries)), prompt...)
	asked := -1 // the last message with calls
	for _, e := range t.entries {
		if e.text == "" && len(e.calls) == 0 {
			continue
		}
		n := len(out) - 1
		switch {
		case e.kind == turn.Bridge && e.role == llm.Assistant && asked >= 0: // said beside the calls
			out[asked].Content = join(out[asked].Content, " ", e.text)
			continue
		case n >= len(prompt) && e.role == llm.User && out[n].Role == llm.User && e.outside == out[n].Data:
			out[n].Content = join(out[n].Content, "\n", e.text)
			continue
		case n >= len(prompt) && e.role == llm.Assistant && out[n].Role == llm.Assistant:
			out[n].Content = join(out[n].Content, " ", e.text)
		default:
			out = append(out, llm.Message{Role: e.role, Content: e.text, Data: e.outside})
			n++
		}
		if len(e.calls) == 0 {
			continue
		}
		asked = n
		for _, c := range e.calls {
			out[n].ToolCalls = append(out[n].ToolCalls, c.call)
			out = append(out, llm.Message{Role: llm.ToolRole, ToolCallID: c.call.ID, Content: string(c.shown())})
		}
	}
	// A sentence that a tool had said while another is to be spoken of.
	if n := len(out) - 1; n > asked && asked >= 0 && n >= len(prompt) && out[n].Role == llm.Assistant {
		out[asked].Content = join(out[asked].Content, " ", out[n].Content)
		out = out[:n]
	}
	return out
}

func join(a, sep, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + sep + b
}
