package api

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/patchcord/patchcord/engine"
	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/store"
	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/telephony/dialer"
)

// Dial is a call to place.
type Dial struct {
	AgentID     string            `json:"agent_id,omitempty" minLength:"1" maxLength:"255" doc:"Who speaks, by id or name; or agent" example:"support"`
	Agent       AgentOfCall       `json:"agent,omitempty"`
	To          string            `json:"to" minLength:"1" maxLength:"255" doc:"E.164, or a SIP URI" example:"+4930123456"`
	From        string            `json:"from,omitempty" maxLength:"255" doc:"Caller ID; the trunk's where none is given"`
	Anonymous   bool              `json:"anonymous,omitempty" doc:"The callee shall not see the caller ID"`
	Trunk       string            `json:"trunk,omitempty" maxLength:"255"`
	Headers     map[string]string `json:"headers,omitempty" doc:"X- headers of the call, 32 of 1 kB each at most"`
	Variables   map[string]any    `json:"variables,omitempty" doc:"For the prompt and the tools, as {{name}}"`
	RingTimeout Seconds           `json:"ring_timeout,omitempty" doc:"Give up after this time; 60 s where none is given, 5 min at most"`
	AMD         *bool             `json:"amd,omitempty" doc:"Whether it is told who answers, a person or a machine; as the agent has it where it is not said"`
}

// AgentOfCall is a whole agent as it is sent; it is read as POST /v1/agents
// reads one.
type AgentOfCall json.RawMessage

// UnmarshalJSON keeps what was sent.
func (a *AgentOfCall) UnmarshalJSON(b []byte) error {
	*a = append((*a)[:0], b...)
	return nil
}

// MarshalJSON gives it back.
func (a AgentOfCall) MarshalJSON() ([]byte, error) { return json.RawMessage(a).MarshalJSON() }

// Schema describes it for the document.
func (AgentOfCall) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{
		Type: huma.TypeObject, AdditionalProperties: true,
		Description: "Who speaks in this call alone, in the place of agent_id: a whole agent as POST /v1/agents takes it. " +
			"It needs agents:write. Its webhooks are sent as long as this process runs.",
	}
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

// dial places a call, if everything allows it.
func (s *Server) dial(ctx context.Context, in *dialInput) (*dialOutput, error) {
	id, err := s.placeCall(ctx, in.Body)
	if err != nil {
		return nil, err
	}
	return &dialOutput{
		Location: "/v1/calls/" + string(id), Body: Dialed{ID: string(id), Status: engine.StatusDialing},
	}, nil
}

func (s *Server) placeCall(ctx context.Context, d Dial) (telephony.CallID, error) {
	if ring := time.Duration(d.RingTimeout); ring < 0 || ring > 5*time.Minute {
		return "", fail(http.StatusUnprocessableEntity, "", "body.ring_timeout", "A call may ring for 5 minutes at most.")
	}
	if err := checkHeaders(d.Headers); err != nil {
		return "", err
	}
	own, err := s.speaker(ctx, &d)
	if err != nil {
		return "", err
	}
	if s.cfg.Engine == nil {
		return "", fail(http.StatusServiceUnavailable, "", "", "This process places no calls.")
	}
	if err := s.mayDial(d.To, "body.to"); err != nil {
		return "", err
	}
	if own != nil && s.cfg.Transients != nil {
		s.cfg.Transients.Remember(own)
	}
	id, err := s.cfg.Engine.Call(ctx, engine.Outbound{
		Agent: agent.ID(d.AgentID), Transient: own, To: d.To, From: d.From, Trunk: telephony.TrunkID(d.Trunk),
		Headers: d.Headers, Variables: d.Variables, RingTimeout: time.Duration(d.RingTimeout), AMD: d.AMD,
		Anonymous: d.Anonymous,
	})
	var denied *dialer.Denied
	var full *telephony.FullError
	switch {
	case errors.As(err, &full):
		return "", fail(http.StatusServiceUnavailable, "no_capacity", "body.trunk", "Not dialled: "+full.Error()+".").
			again(full.RetryAfter)
	case errors.Is(err, engine.ErrFull):
		return "", fail(http.StatusServiceUnavailable, "no_capacity", "", "No further call can be taken now.")
	case errors.As(err, &denied):
		return "", fail(http.StatusForbidden, "dial_limit", "", "Not dialled: "+denied.Why+".")
	case err != nil:
		return "", fail(http.StatusUnprocessableEntity, "not_dialled", "",
			"Not dialled: "+err.Error()+".").because(err)
	}
	s.awaitRecord(ctx, id)
	return id, nil
}

// mayDial asks the gate; param is where the number stands.
func (s *Server) mayDial(to, param string) error {
	refused := errors.New("no number may be dialled; dialing.allow lists prefixes that may")
	if s.cfg.Gate != nil {
		refused = s.cfg.Gate.Check(to)
	}
	var denied *dialer.Denied
	if errors.As(refused, &denied) {
		refused = errors.New(denied.Why) // the number is not repeated
	}
	if refused != nil {
		return fail(http.StatusForbidden, "destination_not_allowed", param, "Not dialled: "+refused.Error()+".")
	}
	return nil
}

// speaker checks that the one who shall speak exists, or reads who speaks in
// this call alone.
func (s *Server) speaker(ctx context.Context, d *Dial) (*agent.Agent, error) {
	switch {
	case d.AgentID == "" && len(d.Agent) == 0:
		return nil, fail(http.StatusUnprocessableEntity, "missing_field", "body.agent_id",
			"A call needs agent_id, or agent: who speaks.")
	case d.AgentID != "" && len(d.Agent) > 0:
		return nil, fail(http.StatusUnprocessableEntity, "", "body.agent", "Send agent_id or agent, not both.")
	case d.AgentID != "":
		known, err := s.knows(ctx, agent.ID(d.AgentID))
		if err == nil && !known {
			err = fail(http.StatusUnprocessableEntity, "agent_not_found", "body.agent_id", "There is no such agent.")
		}
		return nil, err
	}
	if !caller(ctx).may("agents:write") {
		return nil, &Problem{Status: http.StatusForbidden, scope: "agents:write"}
	}
	if err := whole(ctx); err != nil {
		return nil, err
	}
	sent := []byte(d.Agent)
	all, err := fields(sent)
	if err != nil {
		return nil, err
	}
	if _, ok := all["name"]; !ok { // nobody else will call it by one
		all["name"] = json.RawMessage(`"transient"`)
	}
	for _, k := range ofAgent {
		delete(all, k)
	}
	text, err := marshal(all)
	if err != nil {
		return nil, err
	}
	a, _, err := s.readAgent(ctx, text, sent, nil, "")
	var p *Problem
	if errors.As(err, &p) {
		for i := range p.Faults {
			p.Faults[i].Param = "body.agent" + strings.TrimPrefix(p.Faults[i].Param, "body")
		}
	}
	if err != nil {
		return nil, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return nil, internal(err)
	}
	a.ID = agent.ID(id.String())
	return &a, nil
}

// The bounds of a call's headers.
const (
	mostHeaders   = 32
	longestHeader = 1024 // bytes of a value
)

// checkHeaders lets X- headers of one line through.
func checkHeaders(headers map[string]string) error {
	refuse := func(why string) error {
		return fail(http.StatusUnprocessableEntity, "", "body.headers", why)
	}
	if len(headers) > mostHeaders {
		return refuse("A call has 32 headers at most.")
	}
	for name, value := range headers {
		token := strings.Trim(strings.ToLower(name), "abcdefghijklmnopqrstuvwxyz0123456789-_.") == ""
		if !token || len(name) < 3 || len(name) > 64 || !strings.EqualFold(name[:2], "X-") {
			return refuse("Only headers whose names begin with X- may be set, of letters, digits, - . and _.")
		}
		if len(value) > longestHeader || strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return refuse("A header is one line of 1 kB at most.")
		}
	}
	return nil
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

// FlireoDial is a call to place as Flireo's clients ask for one (F-23). Names
// of theirs that are not published are those of ours.
type FlireoDial struct {
	Dial
	To     string `json:"to,omitempty" maxLength:"255" doc:"E.164, or a SIP URI"`
	Number string `json:"phone_number,omitempty" maxLength:"255" doc:"Another name of to"`
}

// FlireoDialed is its answer.
type FlireoDialed struct {
	Success bool   `json:"success"`
	CallID  string `json:"call_id"`
	Room    string `json:"room_name" doc:"Names the call too; there are no rooms here" example:"outbound-7f3a91c2"`
	Status  string `json:"status" enum:"dialing"`
}

type flireoDialInput struct{ Body FlireoDial }

func (s *Server) flireoDial(ctx context.Context, in *flireoDialInput) (*body[FlireoDialed], error) {
	d := in.Body.Dial
	if d.To = cmp.Or(in.Body.To, in.Body.Number); d.To == "" {
		return nil, fail(http.StatusUnprocessableEntity, "missing_field", "body.to", "A call needs to: the number.")
	}
	id, err := s.placeCall(ctx, d)
	if err != nil {
		return nil, err
	}
	return &body[FlireoDialed]{FlireoDialed{
		Success: true, CallID: string(id), Room: "outbound-" + string(id[max(0, len(id)-8):]), Status: engine.StatusDialing,
	}}, nil
}
