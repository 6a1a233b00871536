package api

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/patchcord/patchcord/tools"
)

// Callbacks takes the results that endpoints bring later: *tools.Callbacks.
type Callbacks interface {
	Complete(id string, result json.RawMessage) bool
}

// What is asked of the process whose tool waits.
type (
	callbackQuestion struct {
		ID     string          `json:"id"`
		Result json.RawMessage `json:"result"`
	}
	callbackAnswer struct {
		Taken bool `json:"taken"`
	}
)

// complete brings a result to who waits for it, in whichever process.
func (s *Server) complete(ctx context.Context, id string, result json.RawMessage) bool {
	if s.cfg.Callbacks != nil && s.cfg.Callbacks.Complete(id, result) {
		return true
	}
	a, _ := askOther[callbackAnswer](ctx, s, madeBy(id, tools.CallbackPrefix), askCallback, callbackQuestion{id, result})
	return a.Taken
}

// Completion is a result that is brought later (H-28).
type Completion struct {
	_       struct{}                   `additionalProperties:"true"`
	Outputs map[string]json.RawMessage `json:"outputFields" doc:"Outputs of the action"`
}

type completionInput struct {
	ID   string `path:"callbackId" maxLength:"100" doc:"callbackId of the request that was answered with BLOCK"`
	Body Completion
}

// callbacks is HubSpot's path, in its own shape.
func (s *Server) callbacks() {
	huma.Register(s.api, huma.Operation{
		OperationID: "complete-callback", Method: http.MethodPost,
		Path:    "/automation/v4/actions/callbacks/{callbackId}/complete",
		Summary: "Bring the result of a tool that was answered with BLOCK", Tags: []string{"calls"},
		Security: scope("calls:control"), MaxBodyBytes: maxBody, DefaultStatus: http.StatusNoContent,
	}, func(ctx context.Context, in *completionInput) (*struct{}, error) {
		b, err := json.Marshal(in.Body.Outputs)
		if err != nil {
			return nil, fail(http.StatusUnprocessableEntity, "", "body.outputFields", "outputFields is no object.").because(err)
		}
		if !s.complete(ctx, in.ID, b) {
			return nil, fail(http.StatusNotFound, "not_found", "callbackId",
				"Nobody waits for this callback: it was completed, its time is over, or its call has ended.")
		}
		return nil, nil
	})
}
