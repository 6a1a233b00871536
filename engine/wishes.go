package engine

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/patchcord/patchcord/engine/turn"
	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/tools"
)

// What the other party wishes of later calls: none, or one at another time; and
// what the agent made of this one.

// dispositionName is the tool or the variable that tells what a call came to.
const dispositionName = "disposition"

// optOutWait is how long what was said in a call may take to be kept.
const optOutWait = 10 * time.Second

// errNobody tells that there is no number to keep.
var errNobody = errors.New("the caller's number is not known")

// doNotCall has the other party called no more. Any goroutine may call it.
func (s *session) doNotCall(ctx context.Context, why string) error {
	number := s.phone()
	switch {
	case s.e.cfg.DoNotCall == nil:
		return errors.New("nothing keeps who is not to be called here")
	case number == "" || number == telephony.Anonymous:
		return errNobody
	}
	return s.e.cfg.DoNotCall(ctx, number, s.id, why)
}

// heeds looks for a wish in what somebody said who was called.
func (s *session) heeds(text string) {
	if s.optedOut || s.record.Direction != telephony.Outbound || s.record.AnsweredBy == string(turn.PartyMachine) ||
		!OptOut(text) {
		return
	}
	s.optOut("phrase")
	if s.e.cfg.DoNotCall == nil {
		return
	}
	ctx := context.WithoutCancel(s.ctx)
	s.detached.Go(func() {
		ctx, cancel := context.WithTimeout(ctx, optOutWait)
		defer cancel()
		if err := s.doNotCall(ctx, "asked for it in a call"); err != nil {
			s.log.Error("who asked not to be called is not on the list", zap.Error(err))
		}
	})
}

func (s *session) optOut(by string) {
	s.optedOut = true
	s.event(EventOptedOut, F("by", by))
}

// wished keeps what a tool came to that is about later calls.
func (s *session) wished(c *toolCall, r tools.Result) {
	if c.tool == nil || r.Status != tools.OK {
		return
	}
	switch d := c.tool.Definition(); {
	case d.Type == tools.DoNotCall:
		if !s.optedOut {
			s.optOut("tool")
		}
	case !r.Callback.IsZero():
		s.callback = r.Callback
	case d.Name == dispositionName && d.Type != tools.ExtractVariable:
		s.disposition = dispositionOf(c.toSend())
	}
}

// dispositionOf is what a tool of that name was told.
func dispositionOf(args json.RawMessage) string {
	var in map[string]any
	if json.Unmarshal(args, &in) != nil {
		return ""
	}
	for _, key := range []string{dispositionName, "value", "result"} {
		if text, ok := in[key].(string); ok && text != "" {
			return text
		}
	}
	if len(in) == 1 {
		for _, v := range in {
			text, _ := v.(string)
			return text
		}
	}
	return ""
}
