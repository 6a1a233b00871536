package api

import (
	"context"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/patchcord/patchcord/engine"
	"github.com/patchcord/patchcord/telephony"
)

// Command is something a live call is told to do (F-17).
type Command struct {
	Type     string `json:"type" enum:"say,end-call,mute,inject-context,transfer"`
	Content  string `json:"content,omitempty" maxLength:"2000" doc:"say: the words"`
	EndAfter bool   `json:"end_after,omitempty" doc:"say: hang up after the words"`
	Message  string `json:"message,omitempty" maxLength:"2000" doc:"end-call: said before hanging up; the agent's goodbye where none is given"`
	On       *bool  `json:"on,omitempty" doc:"mute: whether the caller is not heard for turns; true where it is not said"`
	// Of the commands that are recognised and not built yet.
	TriggerResponse bool   `json:"trigger_response,omitempty" doc:"inject-context: not built yet"`
	Destination     string `json:"destination,omitempty" maxLength:"255" doc:"transfer: not built yet"`
}

// Done is the answer to a command.
type Done struct {
	Success bool   `json:"success"`
	Message string `json:"message" example:"Command sent successfully"`
}

const commandID = "control-call"

type controlInput struct {
	ID   string `path:"id" maxLength:"64" doc:"Id of the call"`
	Body Command
}

func (s *Server) control() {
	huma.Register(s.api, huma.Operation{
		OperationID: commandID, Method: http.MethodPost, Path: "/v1/calls/{id}/control",
		Summary: "Tell a live call to say something or to end", Tags: []string{"calls"}, Security: scope("calls:control"),
		MaxBodyBytes: maxBody,
	}, s.command)
}

func (s *Server) command(ctx context.Context, in *controlInput) (*body[Done], error) {
	r, err := s.record(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	notLive := fail(http.StatusConflict, "call_not_active", "", "The call is not active.")
	if s.cfg.Engine == nil || r.Status == engine.StatusEnded {
		return nil, notLive
	}
	id := telephony.CallID(in.ID)
	switch c := in.Body; {
	case c.Type == "say" && c.Content == "":
		return nil, fail(http.StatusUnprocessableEntity, "missing_field", "body.content", "say needs content: the words.")
	case c.Type == "say" && c.EndAfter:
		err = s.cfg.Engine.End(id, c.Content)
	case c.Type == "say":
		err = s.cfg.Engine.Say(id, c.Content)
	case c.Type == "end-call":
		err = s.cfg.Engine.End(id, c.Message)
	case c.Type == "mute":
		err = s.cfg.Engine.Mute(id, c.On == nil || *c.On)
	default:
		return nil, fail(http.StatusNotImplemented, "not_implemented", "body.type",
			"The command "+c.Type+" is not built yet.")
	}
	switch {
	case errors.Is(err, engine.ErrNoCall):
		return nil, notLive
	case err != nil:
		return nil, fail(http.StatusServiceUnavailable, "", "", "The call did not take the command.").because(err)
	}
	return &body[Done]{Done{Success: true, Message: "Command sent successfully"}}, nil
}
