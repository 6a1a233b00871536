package api

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/patchcord/patchcord/cluster"
	"github.com/patchcord/patchcord/engine"
	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/tools"
)

// Command is something a live call is told to do (F-17).
type Command struct {
	Type     string `json:"type" enum:"say,end-call,mute,inject-context,whisper,dtmf,transfer,listen" doc:"listen: the answer has the url of a WebSocket at which the call is heard"`
	Content  string `json:"content,omitempty" maxLength:"2000" doc:"say: the words. inject-context: what the agent is told and the caller does not hear. whisper: the same, or, after a transfer, what is said to whom the caller was handed over to"`
	EndAfter bool   `json:"end_after,omitempty" doc:"say: hang up after the words"`
	Message  string `json:"message,omitempty" maxLength:"2000" doc:"end-call: said before hanging up; the agent's goodbye where none is given. transfer: said before it"`
	On       *bool  `json:"on,omitempty" doc:"mute: whether the caller is not heard for turns; true where it is not said"`
	Respond  bool   `json:"trigger_response,omitempty" doc:"inject-context: the agent speaks of it at the next quiet moment, else it knows it from its next answer on"`
	Digits   string `json:"digits,omitempty" maxLength:"32" doc:"dtmf: keys that are sent to the other end, 0 to 9, *, # and A to D"`
	Dest     string `json:"destination,omitempty" maxLength:"255" doc:"transfer: to whom, a number or a SIP URI; a cold one, whose events tell what becomes of it"`
}

// Done is the answer to a command.
type Done struct {
	Success bool   `json:"success"`
	Message string `json:"message" example:"Command sent successfully"`
	URL     string `json:"url,omitempty" doc:"listen: where the call is heard, on this server, without a key: within a minute, by one" example:"/v1/calls/0190…/listen?token=pcl_…"`
}

const commandID = "control-call"

type controlInput struct {
	ID   string `path:"id" maxLength:"64" doc:"Id of the call"`
	Body Command
}

func (s *Server) control() {
	huma.Register(s.api, huma.Operation{
		OperationID: commandID, Method: http.MethodPost, Path: "/v1/calls/{id}/control",
		Summary: "Tell a live call to say something, what to know, which keys to send, or to end; listen to it",
		Tags:    []string{"calls"}, Security: scope("calls:control"), MaxBodyBytes: maxBody,
	}, s.command)
}

func (s *Server) command(ctx context.Context, in *controlInput) (*body[Done], error) {
	r, err := s.record(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	notLive := notActive()
	if s.cfg.Engine == nil || r.Status == engine.StatusEnded {
		return nil, notLive
	}
	id := telephony.CallID(in.ID)
	switch c := in.Body; {
	case c.Content == "" && (c.Type == "say" || c.Type == "inject-context" || c.Type == "whisper"):
		return nil, fail(http.StatusUnprocessableEntity, "missing_field", "body.content", c.Type+" needs content: the words.")
	case c.Type == "transfer" && c.Dest == "":
		return nil, fail(http.StatusUnprocessableEntity, "missing_field", "body.destination",
			"transfer needs destination: a number or a SIP URI.")
	case c.Type == "dtmf" && c.Digits == "":
		return nil, fail(http.StatusUnprocessableEntity, "missing_field", "body.digits", "dtmf needs digits: the keys.")
	case c.Type == "dtmf" && strings.Trim(c.Digits, "0123456789*#ABCD") != "":
		return nil, fail(http.StatusUnprocessableEntity, "", "body.digits", "A key is one of 0 to 9, *, # and A to D.")
	case c.Type == "say" && c.EndAfter:
		err = s.cfg.Engine.End(id, c.Content)
	case c.Type == "say":
		err = s.cfg.Engine.Say(id, c.Content)
	case c.Type == "end-call":
		err = s.cfg.Engine.End(id, c.Message)
	case c.Type == "mute":
		err = s.cfg.Engine.Mute(id, c.On == nil || *c.On)
	case c.Type == "inject-context":
		err = s.cfg.Engine.Inject(id, c.Content, c.Respond)
	case c.Type == "whisper": // to who the caller was handed over to, else the agent goes by it
		err = s.cfg.Engine.Whisper(id, c.Content, false)
	case c.Type == "dtmf":
		err = s.cfg.Engine.Press(id, c.Digits)
	case c.Type == "transfer":
		if err := s.mayDial(c.Dest, "body.destination"); err != nil {
			return nil, err
		}
		err = s.cfg.Engine.Transfer(id, tools.Transfer{To: c.Dest, Message: c.Message})
	case c.Type == "listen":
		return s.pass(ctx, in.ID)
	}
	if err != nil {
		return nil, notTaken(err, "The call did not take the command.")
	}
	return &body[Done]{Done{Success: true, Message: "Command sent successfully"}}, nil
}

// notTaken is the answer where a command was not taken, or not surely.
func notTaken(err error, otherwise string) *Problem {
	switch {
	case errors.Is(err, engine.ErrNoCall):
		return notActive()
	case errors.Is(err, cluster.ErrNoAnswer):
		return fail(http.StatusServiceUnavailable, "node_no_answer", "",
			"The node that has the call did not answer in time: whether it took the command is not known.").because(err)
	case errors.Is(err, cluster.ErrAway):
		return fail(http.StatusServiceUnavailable, "nodes_away", "",
			"The call is not on this node, and the others are out of reach now.").because(err)
	}
	return fail(http.StatusServiceUnavailable, "", "", otherwise).because(err)
}
