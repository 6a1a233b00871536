package cluster

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/telephony"
)

// Event is an event of another node: of a call, or of a campaign.
type Event struct {
	CallID telephony.CallID `json:"-"` // of the subject; "" where it is of no call
	Agent  agent.ID         `json:"agent,omitempty"`
	Seq    int              `json:"seq"` // 0 of a campaign's
	Name   string           `json:"name"`
	Body   json.RawMessage  `json:"body"` // the object of docs/events.md, on one line
}

// Watch tells of the events of other nodes' calls and campaigns, of all or of one
// call, until stop is called. told must not block. What happens before Watch has returned, and a
// moment after, may be missing: who needs every event looks in the store too.
func (n *Node) Watch(id telephony.CallID, told func(Event)) (stop func(), err error) {
	of := "*.*" // one subscription: what is of one call keeps its order
	if id != "" {
		if !inSubject(string(id)) {
			return func() {}, nil // there is no such call
		}
		of = "call." + string(id)
	}
	sub, err := n.nc.Subscribe(n.subject(of+".ev"), func(m *nats.Msg) {
		e, err := readEvent(m.Data)
		if err != nil {
			n.log.Debug("cluster: an event that is none", zap.Error(err))
			return
		}
		e.CallID = n.callOf(m.Subject, "ev")
		told(e)
	})
	if err != nil {
		return func() {}, fmt.Errorf("cluster: watch: %w", err)
	}
	return func() { _ = sub.Unsubscribe() }, nil // fails where the connection is closed for good
}

// readEvent reads what another node tells. The body is written to people's
// streams as it is: one that has another line in it is none.
func readEvent(b []byte) (e Event, err error) {
	if err := json.Unmarshal(b, &e); err != nil {
		return Event{}, err
	}
	switch {
	case e.Name == "" || e.Seq < 0:
		return Event{}, errors.New("an event without name or seq")
	case len(e.Body) == 0 || e.Body[0] != '{' || bytes.ContainsAny(e.Body, "\r\n"):
		return Event{}, errors.New("an event whose body is no object on one line")
	case bytes.ContainsAny([]byte(e.Name), "\r\n"):
		return Event{}, errors.New("an event whose name is more than a line")
	}
	return e, nil
}
