package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"
)

// listen subscribes to what is for every node.
func (n *Node) listen() error {
	if _, err := n.nc.Subscribe(n.subject("here"), n.met); err != nil {
		return err
	}
	_, err := n.nc.Subscribe(n.subject("changed"), n.heardChange)
	return err
}

// Answer answers what other nodes ask this process under a name. f must be
// quick; it is called by one goroutine.
func (n *Node) Answer(what string, f func(question []byte) (answer []byte)) error {
	_, err := n.nc.Subscribe(n.subject("node."+n.id+"."+what), func(m *nats.Msg) {
		if err := m.Respond(f(m.Data)); err != nil {
			n.log.Debug("cluster: a question could not be answered", zap.Error(err))
		}
	})
	if err != nil {
		return fmt.Errorf("cluster: answer: %w", err)
	}
	return nil
}

// Ask asks the process of an id. ErrNobody: there is none; ErrNoAnswer: it does
// not answer.
func (n *Node) Ask(ctx context.Context, id, what string, question []byte) ([]byte, error) {
	if n.Alone() || id == n.id || !inSubject(id) {
		return nil, ErrNobody
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	return n.ask(ctx, n.subject("node."+id+"."+what), question)
}

// anyTimeout is how long the one that knows may take to answer, of all.
const anyTimeout = 500 * time.Millisecond

// AnswerAny answers what other nodes ask all; f gives nil where this one does not
// know. f must be quick; it is called by one goroutine.
func (n *Node) AnswerAny(what string, f func(question []byte) (answer []byte)) error {
	_, err := n.nc.Subscribe(n.subject("any."+what), func(m *nats.Msg) {
		answer := f(m.Data)
		if answer == nil {
			return
		}
		if err := m.Respond(answer); err != nil {
			n.log.Debug("cluster: a question could not be answered", zap.Error(err))
		}
	})
	if err != nil {
		return fmt.Errorf("cluster: answer: %w", err)
	}
	return nil
}

// AskAny asks all other nodes and takes the first answer. ErrNobody: none knows,
// or who does is out of reach.
func (n *Node) AskAny(ctx context.Context, what string, question []byte) ([]byte, error) {
	if n.Alone() {
		return nil, ErrNobody
	}
	ctx, cancel := context.WithTimeout(ctx, anyTimeout)
	defer cancel()
	b, err := n.ask(ctx, n.subject("any."+what), question)
	if errors.Is(err, ErrNoAnswer) {
		err = ErrNobody
	}
	return b, err
}

// change is what is said on the subject changed.
type change struct {
	Kind string `json:"kind"`
}

func readChange(b []byte) (c change, err error) {
	if err := json.Unmarshal(b, &c); err != nil {
		return change{}, err
	}
	if c.Kind == "" {
		return change{}, errors.New("a change of nothing")
	}
	return c, nil
}

// Changed tells the other nodes that something of a kind was changed in the
// store.
func (n *Node) Changed(kind string) {
	if n.Alone() {
		return
	}
	b, err := json.Marshal(change{kind})
	if err == nil {
		err = n.nc.Publish(n.subject("changed"), b)
	}
	if err != nil {
		n.log.Debug("cluster: a change was not told; it is found later", zap.Error(err))
	}
}

// OnChange has f called for what other nodes changed, by one goroutine. It must
// not block.
func (n *Node) OnChange(f func(kind string)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.changed = append(n.changed, f)
}

func (n *Node) heardChange(m *nats.Msg) {
	c, err := readChange(m.Data)
	if err != nil {
		return
	}
	n.mu.Lock()
	all := n.changed
	n.mu.Unlock()
	for _, f := range all {
		f(c.Kind)
	}
}
