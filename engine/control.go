package engine

import (
	"strconv"
	"time"

	"go.uber.org/zap"

	"github.com/patchcord/patchcord/engine/turn"
	"github.com/patchcord/patchcord/llm"
	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/tools"
)

// commandedKey is how long a key is held that a command sends.
const commandedKey = 100 * time.Millisecond

type (
	injectCommand struct {
		text    string
		respond bool
	}
	pressCommand struct{ keys string }
)

// Inject tells the agent of a live call something that the caller does not hear
// (F-17). With respond it speaks of it by itself, at the next quiet moment; else
// it knows it from its next answer on.
func (e *Engine) Inject(id telephony.CallID, text string, respond bool) error {
	return e.control(id, injectCommand{text, respond})
}

// Press sends keys to the caller's end of a live call, as play_tone does.
func (e *Engine) Press(id telephony.CallID, keys string) error {
	return e.control(id, pressCommand{keys})
}

// injected adds a note to the conversation.
func (s *session) injected(c injectCommand) {
	s.notes++
	id, text := "note-"+strconv.Itoa(s.notes), llm.NotePrefix+c.text
	s.event(EventContextInjected, F("text", c.text), F("trigger_response", c.respond))
	s.transcript.news(id, text)
	s.responder.know(text)
	s.changed()
	s.step(turn.Inject{ID: id, Respond: c.respond})
}

// presses sends keys beside the conversation.
func (s *session) presses(c pressCommand) {
	ctx := s.ctx
	s.wg.Go(func() {
		err := guarded(func() error {
			return s.press(ctx, tools.Press{Keys: c.keys, Duration: commandedKey, Volume: 0.8})
		})
		if err != nil && ctx.Err() == nil {
			s.log.Warn("keys of a command could not be sent", zap.Error(err))
		}
	})
}
