package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/patchcord/patchcord/engine"
	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/store"
	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/telephony/dialer"
)

// Dial is a call to place.
type Dial struct {
	AgentID     string         `json:"agent_id" minLength:"1" maxLength:"255" doc:"Who speaks" example:"support"`
	To          string         `json:"to" minLength:"1" maxLength:"255" doc:"E.164, or a SIP URI" example:"+4930123456"`
	From        string         `json:"from,omitempty" maxLength:"255" doc:"Caller ID; the trunk's where none is given"`
	Trunk       string         `json:"trunk,omitempty" maxLength:"255"`
	Variables   map[string]any `json:"variables,omitempty" doc:"For the prompt and the tools, as {{name}}"`
	RingTimeout Seconds        `json:"ring_timeout,omitempty" doc:"Give up after this time; 60 s where none is given, 5 min at most"`
	AMD         *bool          `json:"amd,omitempty" doc:"Whether it is told who answers, a person or a machine; as the agent has it where it is not said"`
}

// Dialed is a call on its way.
type Dialed struct {
	ID     string `json:"id" format:"uuid"`
	Status string `json:"status" enum:"dialing"`
}

type dialInput struct{ Body Dial }

type dialOutput struct {
	Location string `header:"Location"`
	Body     Dialed
}

type idInput struct {
	ID string `path:"id" maxLength:"64" doc:"Id of the call"`
}

type listInput struct {
	AgentID   string    `query:"agent_id" maxLength:"255"`
	Status    string    `query:"status" enum:"dialing,ringing,in_progress,ended"`
	Direction string    `query:"direction" enum:"inbound,outbound"`
	Number    string    `query:"number" maxLength:"255" doc:"Either party"`
	EndReason string    `query:"end_reason" maxLength:"64"`
	Since     time.Time `query:"since" doc:"Started at this time or later"`
	Until     time.Time `query:"until" doc:"Started before this time"`
	Limit     int       `query:"limit" minimum:"1" maximum:"100" default:"50"`
	Cursor    string    `query:"cursor" maxLength:"255" doc:"next_cursor of the page before"`
}

// Page is a list with the cursor of the next page.
type Page[T any] struct {
	Data       []T    `json:"data"`
	NextCursor string `json:"next_cursor,omitempty" doc:"Absent on the last page"`
}

type body[T any] struct{ Body T }

func (s *Server) calls() {
	huma.Register(s.api, huma.Operation{
		OperationID: "dial", Method: http.MethodPost, Path: "/v1/calls", Summary: "Place a call", Tags: []string{"calls"},
		Security: scope("calls:write"), DefaultStatus: http.StatusCreated, MaxBodyBytes: maxBody, Metadata: once,
	}, s.dial)
	huma.Register(s.api, huma.Operation{
		OperationID: "list-calls", Method: http.MethodGet, Path: "/v1/calls", Summary: "List calls, the latest first",
		Tags: []string{"calls"}, Security: scope("calls:read"),
	}, s.list)
	huma.Register(s.api, huma.Operation{
		OperationID: "get-call", Method: http.MethodGet, Path: "/v1/calls/{id}", Summary: "A call", Tags: []string{"calls"},
		Security: scope("calls:read"),
	}, func(ctx context.Context, in *idInput) (*body[Call], error) {
		r, err := s.record(ctx, in.ID)
		if err != nil {
			return nil, err
		}
		return &body[Call]{viewOf(r)}, nil
	})
	huma.Register(s.api, huma.Operation{
		OperationID: "get-transcript", Method: http.MethodGet, Path: "/v1/calls/{id}/transcript",
		Summary: "What was said and heard, so far while the call is up", Tags: []string{"calls"},
		Security: scope("calls:read"),
	}, s.transcript)
	huma.Register(s.api, huma.Operation{
		OperationID: "get-recording", Method: http.MethodGet, Path: "/v1/calls/{id}/recording",
		Summary: "The recording: WAV, caller left, agent right", Tags: []string{"calls"}, Security: scope("calls:read"),
		Responses: map[string]*huma.Response{"200": {
			Description: "WAV; ranges are served",
			Content:     map[string]*huma.MediaType{"audio/wav": {Schema: &huma.Schema{Type: "string", Format: "binary"}}},
		}},
	}, s.recording)
}

// dial places a call, if everything allows it.
func (s *Server) dial(ctx context.Context, in *dialInput) (*dialOutput, error) {
	if ring := time.Duration(in.Body.RingTimeout); ring < 0 || ring > 5*time.Minute {
		return nil, fail(http.StatusUnprocessableEntity, "", "body.ring_timeout", "A call may ring for 5 minutes at most.")
	}
	d := in.Body
	known, err := s.knows(ctx, agent.ID(d.AgentID))
	if err != nil {
		return nil, err
	}
	if !known {
		return nil, fail(http.StatusUnprocessableEntity, "agent_not_found", "body.agent_id", "There is no such agent.")
	}
	if s.cfg.Engine == nil {
		return nil, fail(http.StatusServiceUnavailable, "", "", "This process places no calls.")
	}
	refused := errors.New("no number may be dialled; dialing.allow lists prefixes that may")
	if s.cfg.Gate != nil {
		refused = s.cfg.Gate.Check(d.To)
	}
	var denied *dialer.Denied
	if errors.As(refused, &denied) {
		refused = errors.New(denied.Why) // the number is not repeated
	}
	if refused != nil {
		return nil, fail(http.StatusForbidden, "destination_not_allowed", "body.to",
			"Not dialled: "+refused.Error()+".")
	}
	id, err := s.cfg.Engine.Call(ctx, engine.Outbound{
		Agent: agent.ID(d.AgentID), To: d.To, From: d.From, Trunk: telephony.TrunkID(d.Trunk), Variables: d.Variables,
		RingTimeout: time.Duration(d.RingTimeout), AMD: d.AMD,
	})
	switch {
	case errors.Is(err, engine.ErrFull):
		return nil, fail(http.StatusServiceUnavailable, "no_capacity", "", "No further call can be taken now.")
	case err != nil:
		return nil, fail(http.StatusUnprocessableEntity, "not_dialled", "",
			"Not dialled: "+err.Error()+".").because(err)
	}
	s.awaitRecord(ctx, id)
	return &dialOutput{
		Location: "/v1/calls/" + string(id), Body: Dialed{ID: string(id), Status: engine.StatusDialing},
	}, nil
}

// awaitRecord waits until the call can be read back: its own goroutine writes
// its beginning, a moment after it was placed.
func (s *Server) awaitRecord(ctx context.Context, id telephony.CallID) {
	ctx, cancel := context.WithTimeout(ctx, recordWait)
	defer cancel()
	t := time.NewTicker(5 * time.Millisecond)
	defer t.Stop()
	for {
		if _, err := s.cfg.Calls.Call(ctx, id); !errors.Is(err, store.ErrNotFound) {
			return
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
	}
}

// recordWait bounds awaitRecord: a client that asks again finds the call then.
const recordWait = time.Second

func (s *Server) list(ctx context.Context, in *listInput) (*body[Page[Call]], error) {
	who := caller(ctx)
	f := store.Filter{
		Status: in.Status, Direction: telephony.Direction(in.Direction), Number: in.Number,
		EndReason: engine.EndReason(in.EndReason), Since: in.Since, Until: in.Until, Cursor: in.Cursor, Limit: in.Limit,
	}
	if len(who.Agents) > 0 {
		f.Agents = who.Agents
	}
	if in.AgentID != "" {
		f.Agents = []agent.ID{agent.ID(in.AgentID)}
		if !who.sees(f.Agents[0]) {
			f.Agents = []agent.ID{}
		}
	}
	records, next, err := s.cfg.Calls.Calls(ctx, f)
	if errors.Is(err, store.ErrCursor) {
		return nil, fail(http.StatusUnprocessableEntity, "", "query.cursor", "The cursor is not one that a list gave.")
	}
	if err != nil {
		return nil, internal(err)
	}
	page := Page[Call]{Data: make([]Call, 0, len(records)), NextCursor: next}
	for _, r := range records {
		page.Data = append(page.Data, viewOf(r))
	}
	return &body[Page[Call]]{page}, nil
}

// record is a call that the caller may see.
func (s *Server) record(ctx context.Context, id string) (engine.Record, error) {
	r, err := s.cfg.Calls.Call(ctx, telephony.CallID(id))
	switch {
	case errors.Is(err, store.ErrNotFound), err == nil && !caller(ctx).sees(r.Agent):
		return r, notFound("call")
	case err != nil:
		return r, internal(err)
	}
	return r, nil
}

func (s *Server) transcript(ctx context.Context, in *idInput) (*body[Page[engine.Item]], error) {
	if _, err := s.record(ctx, in.ID); err != nil {
		return nil, err
	}
	items, err := s.cfg.Calls.Transcript(ctx, telephony.CallID(in.ID))
	if err != nil {
		return nil, internal(err)
	}
	if items == nil {
		items = []engine.Item{}
	}
	return &body[Page[engine.Item]]{Page[engine.Item]{Data: items}}, nil
}

func (s *Server) recording(ctx context.Context, in *idInput) (*huma.StreamResponse, error) {
	r, err := s.record(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if r.Recording == "" {
		return nil, fail(http.StatusNotFound, "no_recording", "", "This call has no recording.")
	}
	f, err := os.Open(r.Recording)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fail(http.StatusNotFound, "no_recording", "", "The recording of this call is gone, or not finished.")
	}
	if err != nil {
		return nil, internal(err)
	}
	return &huma.StreamResponse{Body: func(ctx huma.Context) {
		defer f.Close() //nolint:errcheck // read only
		req, w := humago.Unwrap(ctx)
		// An hour of stereo is about 115 MB: slow lines need time.
		ctl := http.NewResponseController(w)
		_ = errors.Join(ctl.SetReadDeadline(time.Time{}), ctl.SetWriteDeadline(time.Now().Add(30*time.Minute)))
		w.Header().Set("Content-Type", "audio/wav")
		w.Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", string(r.ID)+".wav"))
		http.ServeContent(w, req, "", r.Ended, f)
	}}, nil
}
