package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/patchcord/patchcord/engine"
	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/store"
	"github.com/patchcord/patchcord/telephony"
)

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
	f, err := s.openRecording(ctx, r.Recording)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fail(http.StatusNotFound, "no_recording", "", "The recording of this call is gone, or not finished.")
	case err != nil && s.cfg.Recording != nil:
		p := fail(http.StatusServiceUnavailable, "", "", "The store of the recordings does not answer now; try again later.")
		return nil, p.because(err).again(storeAgain)
	case err != nil:
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

// openRecording opens a recording, wherever it is.
func (s *Server) openRecording(ctx context.Context, path string) (io.ReadSeekCloser, error) {
	if s.cfg.Recording != nil {
		return s.cfg.Recording(ctx, path)
	}
	return os.Open(path) //nolint:gosec // of our own record
}
