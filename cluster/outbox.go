package cluster

import (
	"context"
	"encoding/json"
	"sync"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"github.com/patchcord/patchcord/engine"
	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/telephony"
)

// mostEvents wait for the bus: a second of 800 calls.
const mostEvents = 4096

// job is something to be told, in the order in which it happened: that a call
// has begun or is over, else an event of it.
type job struct {
	begun, over bool
	call        telephony.CallID
	agent       agent.ID
	event       engine.Event
	campaign    string // where the event is of one: its id
}

// outbox is between the calls, which never wait, and the bus, which may.
type outbox struct {
	mu     sync.Mutex // guards what follows
	jobs   []job
	events int   // of jobs
	missed int64 // events that found no room

	wake chan struct{} // capacity 1: one token says that there is something
}

func newOutbox() outbox { return outbox{wake: make(chan struct{}, 1)} }

// put adds a job. Events beyond mostEvents are dropped; beginnings and ends,
// which are few, are not.
func (o *outbox) put(j job) {
	o.mu.Lock()
	if !j.begun && !j.over {
		if o.events >= mostEvents {
			o.missed++
			o.mu.Unlock()
			return
		}
		o.events++
	}
	o.jobs = append(o.jobs, j)
	o.mu.Unlock()
	select {
	case o.wake <- struct{}{}:
	default: // a token is there already
	}
}

func (o *outbox) take() []job {
	o.mu.Lock()
	defer o.mu.Unlock()
	jobs := o.jobs
	o.jobs, o.events = nil, 0
	return jobs
}

func (o *outbox) dropped() int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.missed
}

// live is a call of this node.
type live struct {
	agent agent.ID
	sub   *nats.Subscription // to its commands
}

// send tells the others, until ctx ends.
func (n *Node) send(ctx context.Context) {
	calls := map[telephony.CallID]live{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-n.out.wake:
		}
		for _, j := range n.out.take() {
			n.tell(calls, j)
		}
	}
}

func (n *Node) tell(calls map[telephony.CallID]live, j job) {
	switch {
	case j.begun:
		sub, err := n.nc.ChanSubscribe(n.subject("call."+string(j.call)+".ctl"), n.commands)
		if err != nil {
			n.log.Warn("cluster: other nodes cannot control a call", zap.String("call_id", string(j.call)), zap.Error(err))
			return
		}
		calls[j.call] = live{j.agent, sub}
	case j.over:
		if c, ok := calls[j.call]; ok {
			_ = c.sub.Unsubscribe() // fails where the connection is closed for good
			delete(calls, j.call)
		}
	default:
		e := j.event
		body, err := json.Marshal(e)
		if err != nil {
			return // the store logs an event that is no JSON
		}
		of, subject := calls[j.call].agent, "call."+string(j.call)+".ev"
		if j.campaign != "" {
			of = j.agent // the call, if there was one, is over
		}
		if j.call == "" {
			subject = "campaign." + j.campaign + ".ev"
		}
		b, err := json.Marshal(Event{Agent: of, Seq: e.Seq, Name: e.Name, Body: body})
		if err == nil {
			err = n.nc.Publish(n.subject(subject), b)
		}
		if err != nil { // too large, or the existing NATS is away
			n.out.miss()
		}
	}
}

func (o *outbox) miss() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.missed++
}
