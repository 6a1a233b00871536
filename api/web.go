package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"go.uber.org/zap"

	"github.com/patchcord/patchcord/engine"
	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/telephony"
)

// Browsers takes the calls of browsers.
type Browsers interface {
	// Answer answers a page's offer (SDP); the agent is known. A call that is not
	// let in is a *telephony.HangupError, any other error a fault of the offer.
	Answer(ctx context.Context, agent agent.ID, from, offer string) (telephony.CallID, string, error)
	// Hangup ends a call as its page asks; false: there is none.
	Hangup(id telephony.CallID) bool
}

const (
	webPath = "/v1/calls/web"
	// maxOffer bounds an offer, bytes: that of a browser has 3 to 10 kB.
	maxOffer = 16 << 10
	sdpType  = "application/sdp"

	leastTicket, mostTicket = 10 * time.Second, 10 * time.Minute
	usualTicket             = time.Minute
)

// forPages marks operations that a ticket opens as well as a key.
var forPages = map[string]any{ticketKey: true}

const ticketKey = "ticket"

// WebToken asks for a ticket.
type WebToken struct {
	AgentID   string  `json:"agent_id" minLength:"1" maxLength:"255" doc:"Who answers" example:"support"`
	From      string  `json:"from,omitempty" maxLength:"255" doc:"Who calls, for the record and the agent" example:"+4930123456"`
	ExpiresIn Seconds `json:"expires_in,omitempty" doc:"Until when it can begin the call: 10 s to 10 min, 1 min by default"`
}

// WebTokenMade is a ticket.
type WebTokenMade struct {
	Token     string    `json:"token" doc:"For one call: as Authorization: Bearer at the paths below /v1/calls/web"`
	AgentID   string    `json:"agent_id"`
	ExpiresAt time.Time `json:"expires_at" doc:"Until when the call can be begun; it may last longer"`
}

type webTokenInput struct{ Body WebToken }

type webOffer struct {
	AgentID string `query:"agent_id" maxLength:"255" doc:"Who answers; a token says it already"`
	RawBody []byte `contentType:"application/sdp"`
}

type webAnswer struct {
	ContentType string `header:"Content-Type"`
	Location    string `header:"Location"`
	Body        []byte
}

// web are the paths of calls from browsers, WHIP's (RFC 9725), and who may use
// them.
func (s *Server) web() {
	if s.cfg.Browsers == nil {
		return
	}
	huma.Register(s.api, huma.Operation{
		OperationID: "web-token", Method: http.MethodPost, Path: webPath + "/token",
		Summary: "A token with which a page may make one call", Tags: []string{"calls"},
		Security: scope("calls:write"), DefaultStatus: http.StatusCreated, MaxBodyBytes: maxBody,
	}, s.webToken)
	huma.Register(s.api, huma.Operation{
		OperationID: "web-call", Method: http.MethodPost, Path: webPath, Summary: "Call from a browser (WHIP)",
		Tags: []string{"calls"}, Security: scope("calls:write"), DefaultStatus: http.StatusCreated, MaxBodyBytes: maxOffer,
		Metadata: forPages, Description: "The body is the offer, the answer that of the browser's peer connection, with " +
			"all candidates. Location is the call.",
		Responses: map[string]*huma.Response{"201": {
			Description: "The call is up when the browser has connected",
			Content:     map[string]*huma.MediaType{sdpType: {Schema: &huma.Schema{Type: "string"}}},
		}},
	}, s.webCall)
	huma.Register(s.api, huma.Operation{
		OperationID: "web-hangup", Method: http.MethodDelete, Path: webPath + "/{id}", Summary: "Hang up a browser's call",
		Tags: []string{"calls"}, Security: scope("calls:write"), Metadata: forPages, DefaultStatus: http.StatusNoContent,
	}, s.webHangup)
	huma.Register(s.api, huma.Operation{
		OperationID: "web-events", Method: http.MethodGet, Path: webPath + "/{id}/events",
		Summary: "What a call's page may know of it, live until it ends: what was said, keys, its end",
		Tags:    []string{"calls"}, Security: scope("calls:write"), Metadata: forPages, Responses: streamed(),
	}, s.webEvents)
}

// webToken makes a ticket.
func (s *Server) webToken(ctx context.Context, in *webTokenInput) (*body[WebTokenMade], error) {
	life := time.Duration(in.Body.ExpiresIn)
	if life == 0 {
		life = usualTicket
	}
	if life < leastTicket || life > mostTicket {
		return nil, fail(http.StatusUnprocessableEntity, "", "body.expires_in", "A token can be used for 10 s to 10 min.")
	}
	id, err := s.webAgent(ctx, in.Body.AgentID, "body.agent_id")
	if err != nil {
		return nil, err
	}
	token, t, ok := s.tickets.make(ticket{agent: id, from: in.Body.From, by: caller(ctx).Name}, life)
	if !ok {
		return nil, fail(http.StatusServiceUnavailable, "no_capacity", "", "Too many tokens wait to be used.")
	}
	return &body[WebTokenMade]{WebTokenMade{Token: token, AgentID: string(id), ExpiresAt: t.expires.UTC()}}, nil
}

// webAgent is an agent that the caller may let answer.
func (s *Server) webAgent(ctx context.Context, name, param string) (agent.ID, error) {
	if name == "" {
		return "", fail(http.StatusUnprocessableEntity, "agent_not_found", param, "Say which agent answers.")
	}
	a, err := s.agent(ctx, name)
	if err != nil {
		var p *Problem
		if errors.As(err, &p) && p.Status == http.StatusNotFound {
			return "", fail(http.StatusUnprocessableEntity, "agent_not_found", param, "There is no such agent.")
		}
		return "", err
	}
	return a.ID, nil
}

// webCall begins a call.
func (s *Server) webCall(ctx context.Context, in *webOffer) (*webAnswer, error) {
	t, _ := ctx.Value(keyOfTicket).(*ticket)
	name, from := in.AgentID, ""
	if t != nil {
		if name != "" && name != string(t.agent) {
			return nil, fail(http.StatusForbidden, "forbidden", "query.agent_id", "The token is for another agent.")
		}
		name, from = string(t.agent), t.from
	}
	id, err := s.webAgent(ctx, name, "query.agent_id")
	if err != nil {
		return nil, err
	}
	if t != nil && !s.useTicket(ctx, t) {
		return nil, fail(http.StatusUnauthorized, "token_used", "", "The token has made its call already.")
	}
	call, answer, err := s.cfg.Browsers.Answer(ctx, id, from, string(in.RawBody))
	if t != nil {
		s.ticketUsed(ctx, t, call)
	}
	var refused *telephony.HangupError
	switch {
	case errors.As(err, &refused):
		return nil, fail(http.StatusServiceUnavailable, "no_capacity", "", "No further call can be taken now.").because(err)
	case err != nil:
		return nil, fail(http.StatusUnprocessableEntity, "offer_not_answered", "body",
			"The offer cannot be answered: "+err.Error()+".").because(err)
	}
	s.log.Info("browser calls", zap.String("call_id", string(call)), zap.String("agent", string(id)))
	return &webAnswer{ContentType: sdpType, Location: webPath + "/" + string(call), Body: []byte(answer)}, nil
}

// mayWeb tells whether a call is the caller's to end or to follow: of a ticket
// its own, of a key those of its agents.
func (s *Server) mayWeb(ctx context.Context, id string) error {
	if t, ok := ctx.Value(keyOfTicket).(*ticket); ok {
		if s.tickets.owns(t, telephony.CallID(id)) {
			return nil
		}
		return notFound("call")
	}
	s.awaitRecord(ctx, telephony.CallID(id))
	_, err := s.record(ctx, id)
	return err
}

func (s *Server) webHangup(ctx context.Context, in *idInput) (*struct{}, error) {
	if err := s.mayWeb(ctx, in.ID); err != nil {
		return nil, err
	}
	s.cfg.Browsers.Hangup(telephony.CallID(in.ID)) // one that has ended already is as it was asked for
	return nil, nil
}

// pageEvents are the events of a call that its page is told of, and pageFields what of
// them: nothing of tools, variables or the engine.
var (
	pageEvents = []string{
		engine.EventCallAnswered, engine.EventCallEnded, engine.EventTurnUser, engine.EventTurnAgent,
		engine.EventSpeechBridge, engine.EventDTMFReceived,
	}
	pageFields = []string{"event", "at_ms", "turn", "text", "heard_text", "interrupted", "digit", "end_reason"}
)

// webEvents writes what is told of a call.
func (s *Server) webEvents(ctx context.Context, in *idInput) (*huma.StreamResponse, error) {
	if err := s.mayWeb(ctx, in.ID); err != nil {
		return nil, err
	}
	s.awaitRecord(ctx, telephony.CallID(in.ID))
	r, err := s.cfg.Calls.Call(ctx, telephony.CallID(in.ID))
	if err != nil {
		return nil, internal(err)
	}
	return s.eventsOf(r, 0, pageEvent), nil
}

// pageEvent is what a page may know of an event; nil: nothing.
func pageEvent(name string, data []byte) []byte {
	all, some := map[string]json.RawMessage{}, map[string]json.RawMessage{}
	if !slices.Contains(pageEvents, name) || json.Unmarshal(data, &all) != nil {
		return nil
	}
	for _, f := range pageFields {
		if v, ok := all[f]; ok {
			some[f] = v
		}
	}
	b, err := json.Marshal(some)
	if err != nil {
		return nil // raw JSON is JSON
	}
	return b
}

// origin lets pages of other sites at the paths of browsers' calls, where they
// are named: browsers ask before, and say where the page is from. False: it was
// refused, or answered.
func (s *Server) origin(w http.ResponseWriter, r *http.Request, refuse func(*Problem)) bool {
	if r.URL.Path != webPath && !strings.HasPrefix(r.URL.Path, webPath+"/") {
		return true
	}
	h, from := w.Header(), r.Header.Get("Origin")
	h.Add("Vary", "Origin")
	if from == "" || from == "http://"+r.Host || from == "https://"+r.Host {
		return true
	}
	for _, o := range s.cfg.Origins {
		if o != "*" && !strings.EqualFold(o, from) {
			continue
		}
		h.Set("Access-Control-Allow-Origin", from)
		h.Set("Access-Control-Expose-Headers", "Location")
		if r.Method != http.MethodOptions {
			return true
		}
		h.Set("Access-Control-Allow-Methods", "POST, DELETE, GET")
		h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type")
		h.Set("Access-Control-Max-Age", "600")
		w.WriteHeader(http.StatusNoContent)
		return false
	}
	refuse(fail(http.StatusForbidden, "origin_not_allowed", "",
		"Pages of this site may not call; webrtc.origins names those that may."))
	return false
}
