package api

import (
	"encoding/json"
	"sync"

	"github.com/patchcord/patchcord/cluster"
	"github.com/patchcord/patchcord/engine"
	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/telephony"
)

// Message is an event on its way to those who watch.
type Message struct {
	CallID telephony.CallID
	Agent  agent.ID
	Seq    int
	Name   string
	Body   json.RawMessage
}

// Elsewhere is where other nodes' calls and campaigns are: *cluster.Node.
type Elsewhere interface {
	Watch(id telephony.CallID, told func(cluster.Event)) (stop func(), err error)
	// News tells the other nodes of an event of a campaign. It must not block.
	News(campaign string, of agent.ID, e engine.Event)
}

// Hub hands the events of calls to those who watch them. It is a journal of
// the engine; publishing never blocks: who does not keep up is cut off.
type Hub struct {
	elsewhere Elsewhere // nil: this process has all calls

	mu     sync.Mutex
	agents map[telephony.CallID]agent.ID // of the calls that are up
	subs   map[*Subscription]struct{}
}

var (
	_ engine.Journal = (*Hub)(nil)
	_ Elsewhere      = (*cluster.Node)(nil)
)

// NewHub makes a hub.
func NewHub() *Hub {
	return &Hub{agents: map[telephony.CallID]agent.ID{}, subs: map[*Subscription]struct{}{}}
}

// Join lets who watches hear of other nodes too, and them of the campaigns here.
// It is called before anybody does.
func (h *Hub) Join(e Elsewhere) { h.elsewhere = e }

// Started notes whose call it is.
func (h *Hub) Started(r engine.Record) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.agents[r.ID] = r.Agent
}

// Ended forgets it.
func (h *Hub) Ended(r engine.Record) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.agents, r.ID)
}

// Event publishes one event.
func (h *Hub) Event(e engine.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.publishLocked(e, h.agents[e.CallID])
}

func (h *Hub) publishLocked(e engine.Event, of agent.ID) {
	if len(h.subs) == 0 {
		return
	}
	m := Message{CallID: e.CallID, Agent: of, Seq: e.Seq, Name: e.Name}
	for sub := range h.subs {
		if !sub.want(m) {
			continue
		}
		if m.Body == nil {
			body, err := json.Marshal(e)
			if err != nil {
				return // the store logs an event that is no JSON
			}
			m.Body = body
		}
		h.giveLocked(sub, m)
	}
}

// giveLocked gives a message to one who wants it, or cuts who has no room for it.
func (h *Hub) giveLocked(sub *Subscription, m Message) {
	select {
	case sub.c <- m:
	default:
		sub.cut = true
		h.removeLocked(sub)
	}
}

// Subscription is somebody who watches.
type Subscription struct {
	// C brings the messages; it is closed when the subscription is closed or
	// cut.
	C <-chan Message

	hub  *Hub
	c    chan Message
	want func(Message) bool
	cut  bool   // guarded by hub.mu
	stop func() // hearing of other nodes
}

// Subscribe watches what want chooses of one call, of all where id is "", with
// room for size messages that wait. want must not block.
func (h *Hub) Subscribe(id telephony.CallID, size int, want func(Message) bool) *Subscription {
	c := make(chan Message, size)
	sub := &Subscription{C: c, hub: h, c: c, stop: func() {}}
	sub.want = func(m Message) bool { return (id == "" || m.CallID == id) && want(m) }
	h.mu.Lock()
	h.subs[sub] = struct{}{}
	h.mu.Unlock()
	if h.elsewhere != nil {
		sub.stop, _ = h.elsewhere.Watch(id, sub.hear) // fails where this process ends
	}
	return sub
}

// hear takes an event of another node.
func (s *Subscription) hear(e cluster.Event) {
	m := Message{CallID: e.CallID, Agent: e.Agent, Seq: e.Seq, Name: e.Name, Body: e.Body}
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	if _, ok := s.hub.subs[s]; ok && s.want(m) {
		s.hub.giveLocked(s, m)
	}
}

// Close ends the subscription.
func (s *Subscription) Close() {
	s.stop()
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	s.hub.removeLocked(s)
}

// Cut tells whether it ended because it did not keep up.
func (s *Subscription) Cut() bool {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	return s.cut
}

func (h *Hub) removeLocked(s *Subscription) {
	if _, ok := h.subs[s]; ok {
		delete(h.subs, s)
		close(s.c)
	}
}
