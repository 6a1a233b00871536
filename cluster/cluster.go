// Package cluster lets several nodes act as one: any of them controls any call,
// hears any call's events and sound, and knows which others there are. It
// speaks NATS core, by a server in this process or by one that is there
// already; what it carries may be lost, and nothing of it is kept.
//
// A node alone has the same server in its process, without a port. The subjects,
// each behind the cluster's name and a dot:
//
//	call.<id>.ctl       commands to a call: its owner alone subscribes and answers
//	call.<id>.ev        the events of a call, as they happen, and what its attempt came to
//	campaign.<id>.ev    what becomes of a campaign
//	node.<id>.<what>    questions to one process: web tokens, results that come later
//	any.<what>          questions to whoever knows: who an agent of one call alone is
//	ear.<id>            the sound of a call, to one who listens
//	here                every node each second: its name, its calls, whether it drains
//	changed             what was changed in the store
//
// A call is served by its node alone: when the bus is slow, cut or gone, its call
// goes on, no event waits for anybody, and whoever is on the same node loses
// nothing.
package cluster

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"github.com/patchcord/patchcord/engine"
	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/internal/secret"
	"github.com/patchcord/patchcord/telephony"
)

// Config is one node's place among the others. Its zero value is a node alone.
type Config struct {
	Name   string   // of the cluster, "" for patchcord: nodes of another name are strangers
	Node   string   // of this node
	NATS   string   // URLs of an existing NATS, with commas; "" for a server of our own
	Listen string   // host:port for the other nodes; "": none
	Routes []string // nats://host:port of other nodes; one that is up tells the rest

	User        string
	Password    secret.Text
	Token       secret.Text // of an existing NATS
	Credentials string      // of an existing NATS: a file of its form
	TLS         TLS

	Version string        // of the program, for Nodes
	Status  func() Status // of this node; nil: idle
	Log     *zap.Logger
}

// TLS are PEM files. Between nodes each shows its certificate to the other.
type TLS struct {
	Cert, Key string
	CA        string
}

// Status is what a node tells of itself.
type Status struct {
	Calls    int  `json:"calls"`
	Draining bool `json:"draining"`
}

const (
	defaultName = "patchcord"
	// openTimeout bounds the start of our own server.
	openTimeout, openPoll = 10 * time.Second, 100 * time.Millisecond
	// askTimeout is how long another node may take to answer.
	askTimeout = 2 * time.Second
	// mostCommands wait at a node: it takes each in microseconds.
	mostCommands = 1024
)

// ErrNoAnswer tells that the node that was asked did not answer in time. Whether
// it did what it was asked is not known.
var ErrNoAnswer = errors.New("the node that has it did not answer in time")

// ErrAway tells that the other nodes cannot be asked now: the existing NATS is
// away.
var ErrAway = errors.New("the other nodes are out of reach")

// ErrNobody tells that no node answers to what was asked.
var ErrNobody = errors.New("no node has it")

// Node is this process among the others. Its methods may be called by any
// goroutine.
type Node struct {
	cfg Config
	log *zap.Logger
	id  string // of this process, 12 hex digits
	at  time.Time

	srv  *server.Server // nil: an existing NATS
	auth nats.Option    // of our own
	nc   *nats.Conn

	out      outbox
	commands chan *nats.Msg // capacity mostCommands
	engine   atomic.Pointer[Calls]
	roster   roster
	lost     atomic.Int64 // messages that came faster than they were taken

	closing chan struct{} // closed when streams of sound must end
	close   sync.Once
	wg      sync.WaitGroup // streams of sound, and questions that are being answered

	mu      sync.Mutex // guards what follows
	changed []func(kind string)
}

var _ engine.Journal = (*Node)(nil)

// Open makes a node and connects it. A port that is taken is an error; others
// that cannot be reached are not: they are tried for as long as the node is open.
func Open(cfg Config) (_ *Node, err error) {
	if cfg.Log == nil {
		cfg.Log = zap.NewNop()
	}
	if cfg.Name == "" {
		cfg.Name = defaultName
	}
	if cfg.Status == nil {
		cfg.Status = func() Status { return Status{} }
	}
	if err := cfg.Check(); err != nil {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	n := &Node{
		cfg: cfg, log: cfg.Log, id: newID(), at: time.Now(), out: newOutbox(), closing: make(chan struct{}),
		commands: make(chan *nats.Msg, mostCommands),
	}
	defer func() {
		if err != nil {
			n.Close()
		}
	}()
	if cfg.NATS == "" {
		if n.srv, err = n.openServer(); err != nil {
			return nil, fmt.Errorf("cluster: %w", err)
		}
	}
	if n.nc, err = n.connect(); err != nil {
		return nil, fmt.Errorf("cluster: connect: %w", err)
	}
	if err = n.listen(); err != nil {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	return n, nil
}

// ID is of this process: no other has it, nor has this one after a restart.
func (n *Node) ID() string { return n.id }

// Addr is where other nodes reach this one, "" where they do not.
func (n *Node) Addr() string {
	if n.srv == nil || n.srv.ClusterAddr() == nil {
		return ""
	}
	return n.srv.ClusterAddr().String()
}

// Alone tells that there is no way to other nodes.
func (n *Node) Alone() bool { return n.cfg.alone() }

// Serve tells the others of this node and does what they ask, until ctx ends.
func (n *Node) Serve(ctx context.Context) error {
	var wg sync.WaitGroup
	wg.Go(func() { n.send(ctx) })
	wg.Go(func() { n.obey(ctx) })
	n.appear(ctx)
	wg.Wait()
	return nil
}

// Close leaves the others. Serve has ended before.
func (n *Node) Close() {
	n.close.Do(func() {
		close(n.closing)
		n.wg.Wait()
		if n.nc != nil {
			n.nc.Close()
		}
		if n.srv != nil {
			n.srv.Shutdown()
			n.srv.WaitForShutdown()
		}
	})
}

// subject is one of the cluster's.
func (n *Node) subject(of string) string { return n.cfg.Name + "." + of }

// Started lets others control a call.
func (n *Node) Started(r engine.Record) {
	if inSubject(string(r.ID)) {
		n.out.put(job{begun: true, call: r.ID, agent: r.Agent})
	}
}

// Ended takes no further commands for it.
func (n *Node) Ended(r engine.Record) {
	if inSubject(string(r.ID)) {
		n.out.put(job{over: true, call: r.ID})
	}
}

// Event tells others of an event. It never waits: what the bus does not take in
// time is dropped, and counted.
func (n *Node) Event(e engine.Event) {
	if !n.Alone() && inSubject(string(e.CallID)) {
		n.out.put(job{call: e.CallID, event: e})
	}
}

// News tells others of an event of a campaign, or of one of its attempts. It is of
// the call of that attempt, after the call's own events, or of none. It never
// waits, as Event does not.
func (n *Node) News(campaign string, of agent.ID, e engine.Event) {
	if n.Alone() || !inSubject(campaign) || e.CallID != "" && !inSubject(string(e.CallID)) {
		return
	}
	n.out.put(job{call: e.CallID, campaign: campaign, agent: of, event: e})
}

// Stats are what a node has lost since it was opened.
type Stats struct {
	Nodes   int   // that are seen, with this one
	Routes  int   // to other nodes' servers; of an existing NATS 1 while it is there
	Dropped int64 // events that the bus did not take in time
	Lost    int64 // messages that came faster than they were taken
}

// Stats of now.
func (n *Node) Stats() Stats {
	s := Stats{Nodes: len(n.Nodes()), Dropped: n.out.dropped(), Lost: n.lost.Load()}
	switch {
	case n.srv != nil:
		s.Routes = n.srv.NumRoutes()
	case n.nc.IsConnected():
		s.Routes = 1
	}
	return s
}

// newID is one that nobody guesses.
func newID() string {
	var b [6]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// inSubject tells whether a text can be one part of a subject.
func inSubject(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	for _, c := range []byte(s) {
		if c <= ' ' || c >= 0x7f || c == '.' || c == '*' || c == '>' {
			return false
		}
	}
	return true
}

// callOf is the call of a subject call.<id>.<kind>; "" where it is of none.
func (n *Node) callOf(subject, kind string) telephony.CallID {
	id, ok := strings.CutPrefix(subject, n.subject("call."))
	if id, of := strings.CutSuffix(id, "."+kind); ok && of {
		return telephony.CallID(id)
	}
	return ""
}
