package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"github.com/patchcord/patchcord/engine"
	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/tools"
)

// Engine places and controls the calls of this process: *engine.Engine.
type Engine interface {
	Call(ctx context.Context, o engine.Outbound) (telephony.CallID, error)
	Say(id telephony.CallID, text string) error
	End(id telephony.CallID, goodbye string) error
	Mute(id telephony.CallID, on bool) error
	Inject(id telephony.CallID, text string, respond bool) error
	Press(id telephony.CallID, keys string) error
	Transfer(id telephony.CallID, to tools.Transfer) error
	Whisper(id telephony.CallID, text string, toCaller bool) error
	Listen(id telephony.CallID) (*engine.Listening, error)
}

var _ Engine = (*engine.Engine)(nil)

// What a command does.
const (
	doSay      = "say"
	doEnd      = "end"
	doMute     = "mute"
	doInject   = "inject"
	doPress    = "press"
	doTransfer = "transfer"
	doWhisper  = "whisper"
	doListen   = "listen"
	doHangUp   = "hang_up"
)

// command is what a call is told over the bus.
type command struct {
	Do       string          `json:"do"`
	Text     string          `json:"text,omitempty"`
	On       bool            `json:"on,omitempty"` // mute, respond, to the caller
	Transfer *tools.Transfer `json:"transfer,omitempty"`
	Ear      string          `json:"ear,omitempty"` // listen: where the sound goes
}

// reply is the answer of the call's node: fault "" is a yes.
type reply struct {
	Fault string `json:"fault,omitempty"`
	Text  string `json:"text,omitempty"`
	Rate  int    `json:"rate,omitempty"` // listen: Hz
}

// Faults that a caller branches on; any other is told by its text.
const (
	faultNoCall    = "no_call"
	faultListeners = "listeners"
	faultOther     = "failed"
)

func replyOf(err error) reply {
	switch {
	case err == nil:
		return reply{}
	case errors.Is(err, engine.ErrNoCall):
		return reply{Fault: faultNoCall}
	case errors.Is(err, engine.ErrListeners):
		return reply{Fault: faultListeners}
	}
	return reply{Fault: faultOther, Text: err.Error()}
}

func (r reply) err() error {
	switch r.Fault {
	case "":
		return nil
	case faultNoCall:
		return engine.ErrNoCall
	case faultListeners:
		return engine.ErrListeners
	}
	return fmt.Errorf("the call's node: %s", r.Text)
}

// Calls controls the calls of all nodes, as an engine does those of its own.
type Calls struct {
	Engine // places calls, and has those of this node

	n      *Node
	hangUp func(telephony.CallID) bool // nil: no calls come from browsers
}

// Calls gives the calls of all nodes to e's callers, and those of e to all nodes.
// hangUp ends a browser's call as its page asks; nil: there are none.
func (n *Node) Calls(e Engine, hangUp func(telephony.CallID) bool) *Calls {
	c := &Calls{e, n, hangUp}
	n.engine.Store(c)
	return c
}

// Say makes a live call say something.
func (c *Calls) Say(id telephony.CallID, text string) error {
	return c.do(id, command{Do: doSay, Text: text})
}

// End ends a live call politely.
func (c *Calls) End(id telephony.CallID, goodbye string) error {
	return c.do(id, command{Do: doEnd, Text: goodbye})
}

// Mute lets the caller of a live call not be heard for turns, or again.
func (c *Calls) Mute(id telephony.CallID, on bool) error {
	return c.do(id, command{Do: doMute, On: on})
}

// Inject tells the agent of a live call something.
func (c *Calls) Inject(id telephony.CallID, text string, respond bool) error {
	return c.do(id, command{Do: doInject, Text: text, On: respond})
}

// Press sends keys to the caller's end of a live call.
func (c *Calls) Press(id telephony.CallID, keys string) error {
	return c.do(id, command{Do: doPress, Text: keys})
}

// Transfer hands the caller of a live call over to somebody else.
func (c *Calls) Transfer(id telephony.CallID, to tools.Transfer) error {
	return c.do(id, command{Do: doTransfer, Transfer: &to})
}

// Whisper says something to one of two who talk after a transfer.
func (c *Calls) Whisper(id telephony.CallID, text string, toCaller bool) error {
	return c.do(id, command{Do: doWhisper, Text: text, On: toCaller})
}

// HangUp ends a browser's call as its page asks; false: there is none.
func (c *Calls) HangUp(id telephony.CallID) bool {
	return c.do(id, command{Do: doHangUp}) == nil
}

// do gives a command to this node's call, else to who has it.
func (c *Calls) do(id telephony.CallID, cmd command) error {
	err := c.here(id, cmd)
	if !errors.Is(err, engine.ErrNoCall) {
		return err
	}
	_, err = c.n.command(id, cmd)
	return err
}

// here gives a command to a call of this node.
func (c *Calls) here(id telephony.CallID, cmd command) error {
	switch cmd.Do {
	case doSay:
		return c.Engine.Say(id, cmd.Text)
	case doEnd:
		return c.Engine.End(id, cmd.Text)
	case doMute:
		return c.Engine.Mute(id, cmd.On)
	case doInject:
		return c.Engine.Inject(id, cmd.Text, cmd.On)
	case doPress:
		return c.Engine.Press(id, cmd.Text)
	case doWhisper:
		return c.Engine.Whisper(id, cmd.Text, cmd.On)
	case doTransfer:
		if cmd.Transfer == nil {
			return errors.New("a transfer to nobody")
		}
		return c.Engine.Transfer(id, *cmd.Transfer)
	case doHangUp:
		if c.hangUp == nil || !c.hangUp(id) {
			return engine.ErrNoCall
		}
		return nil
	}
	return fmt.Errorf("a command %q that is not known here: are all nodes of one version?", cmd.Do)
}

// settle is how long the subscription of a call that has just begun may take to
// be known everywhere.
const settle = 20 * time.Millisecond

// command gives a command to the node that has the call.
func (n *Node) command(id telephony.CallID, cmd command) (reply, error) {
	if n.Alone() || !inSubject(string(id)) {
		return reply{}, engine.ErrNoCall
	}
	b, err := json.Marshal(cmd)
	if err != nil {
		return reply{}, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), askTimeout)
	defer cancel()
	subject := n.subject("call." + string(id) + ".ctl")
	m, err := n.ask(ctx, subject, b)
	if errors.Is(err, ErrNobody) {
		select {
		case <-ctx.Done():
		case <-time.After(settle):
		}
		m, err = n.ask(ctx, subject, b)
	}
	switch {
	case errors.Is(err, ErrNobody):
		return reply{}, engine.ErrNoCall
	case err != nil:
		return reply{}, err
	}
	r, err := readReply(m)
	if err != nil {
		return reply{}, fmt.Errorf("the call's node: %w", err)
	}
	return r, r.err()
}

// ask asks and waits for the one answer.
func (n *Node) ask(ctx context.Context, subject string, b []byte) ([]byte, error) {
	m, err := n.nc.RequestWithContext(ctx, subject, b)
	switch {
	case err == nil:
		return m.Data, nil
	case errors.Is(err, nats.ErrNoResponders):
		return nil, ErrNobody
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, nats.ErrTimeout):
		return nil, ErrNoAnswer
	}
	return nil, fmt.Errorf("%w: %w", ErrAway, err)
}

// obey does what other nodes tell calls of this one, until ctx ends.
func (n *Node) obey(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case m := <-n.commands:
			n.answer(m, n.obeyed(m))
		}
	}
}

func (n *Node) obeyed(m *nats.Msg) reply {
	cmd, err := readCommand(m.Data)
	c := n.engine.Load()
	switch id := n.callOf(m.Subject, "ctl"); {
	case err != nil:
		return replyOf(fmt.Errorf("a command that cannot be read: %w", err))
	case c == nil:
		return replyOf(engine.ErrNoCall)
	case cmd.Do == doListen:
		return n.speak(c.Engine, id, cmd.Ear)
	default:
		return replyOf(c.here(id, cmd))
	}
}

func (n *Node) answer(m *nats.Msg, r reply) {
	b, err := json.Marshal(r)
	if err == nil && m.Reply != "" {
		err = m.Respond(b)
	}
	if err != nil {
		n.log.Warn("cluster: a command could not be answered", zap.Error(err))
	}
}

func readCommand(b []byte) (c command, err error) {
	err = json.Unmarshal(b, &c)
	return c, err
}

func readReply(b []byte) (r reply, err error) {
	if len(b) == 0 {
		return r, errors.New("an empty answer")
	}
	err = json.Unmarshal(b, &r)
	return r, err
}
