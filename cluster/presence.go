package cluster

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"
)

const (
	// presence is how often a node says that it is there.
	presence = time.Second
	// absence is the silence after which it is not: three that were lost.
	absence = 3500 * time.Millisecond
	// mostNodes bounds what strangers on the bus can make us remember.
	mostNodes = 1024
	// longestName bounds a node's name and version, bytes.
	longestName = 255
)

// Presence is one node, as it told of itself.
type Presence struct {
	ID      string    `json:"id"` // of the process
	Name    string    `json:"name"`
	Version string    `json:"version"`
	Since   time.Time `json:"since"` // when it was opened
	Status

	Self bool      `json:"-"` // it is this one
	Seen time.Time `json:"-"` // when it was heard last
}

// notice is what is said on the subject here.
type notice struct {
	Presence

	Gone bool `json:"gone,omitempty"` // it leaves
}

func readNotice(b []byte) (p notice, err error) {
	if err := json.Unmarshal(b, &p); err != nil {
		return notice{}, err
	}
	switch {
	case !inSubject(p.ID):
		return notice{}, errors.New("a node without an id")
	case len(p.Name) > longestName || len(p.Version) > longestName || p.Calls < 0:
		return notice{}, errors.New("a node of no size")
	}
	return p, nil
}

// roster are the other nodes.
type roster struct {
	mu  sync.Mutex // guards all
	all map[string]Presence
}

// hear takes what a node tells at a time and says whether it is new.
func (r *roster) hear(p notice, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p.Gone {
		delete(r.all, p.ID)
		return false
	}
	was, known := r.all[p.ID]
	if !known && len(r.all) >= mostNodes {
		return false
	}
	if r.all == nil {
		r.all = map[string]Presence{}
	}
	p.Seen = now
	r.all[p.ID] = p.Presence
	return !known || was.away(now)
}

func (r *roster) list(now time.Time) []Presence {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]Presence, 0, len(r.all)+1)
	for _, p := range r.all {
		if !p.away(now) {
			out = append(out, p)
		}
	}
	return out
}

// miss forgets those who are away, and says who they were.
func (r *roster) miss(now time.Time) (out []Presence) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, p := range r.all {
		if p.away(now) {
			delete(r.all, id)
			out = append(out, p)
		}
	}
	return out
}

func (p *Presence) away(now time.Time) bool { return now.Sub(p.Seen) > absence }

// Nodes are those that are there, this one among them, by their names.
func (n *Node) Nodes() []Presence {
	now := time.Now()
	all := append(n.roster.list(now), n.self(now))
	slices.SortFunc(all, func(a, b Presence) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
	})
	return all
}

func (n *Node) self(now time.Time) Presence {
	return Presence{
		ID: n.id, Name: n.cfg.Node, Version: n.cfg.Version, Since: n.at, Status: n.cfg.Status(), Self: true, Seen: now,
	}
}

// appear tells the others of this node until ctx ends, and then that it leaves.
func (n *Node) appear(ctx context.Context) {
	tick := time.NewTicker(presence)
	defer tick.Stop()
	for {
		n.present(false)
		for _, p := range n.roster.miss(time.Now()) {
			n.log.Warn("cluster: a node is out of reach", zap.String("node", p.Name), zap.String("version", p.Version))
		}
		select {
		case <-ctx.Done():
			n.present(true)
			return
		case <-tick.C:
		}
	}
}

// present says that this node is there, or leaves.
func (n *Node) present(gone bool) {
	b, err := json.Marshal(notice{Presence: n.self(time.Now()), Gone: gone})
	if err == nil {
		err = n.nc.Publish(n.subject("here"), b)
	}
	if err != nil {
		n.log.Debug("cluster: the others were not told of this node", zap.Error(err))
	}
}

// met takes what another node tells of itself.
func (n *Node) met(m *nats.Msg) {
	p, err := readNotice(m.Data)
	if err != nil || p.ID == n.id {
		return
	}
	if !n.roster.hear(p, time.Now()) {
		return
	}
	log := n.log.With(zap.String("node", p.Name), zap.String("version", p.Version))
	if p.Name == n.cfg.Node {
		log.Warn("cluster: another node has the name of this one; give each its own: cluster.node")
		return
	}
	log.Info("cluster: a node is there")
	n.present(false) // it need not wait to know us
}
