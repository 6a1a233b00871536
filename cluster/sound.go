package cluster

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"github.com/patchcord/patchcord/engine"
	"github.com/patchcord/patchcord/telephony"
)

const (
	// soundAlive is how often a call without sound says that it is there.
	soundAlive = time.Second
	// soundLost is the silence after which its node is taken for gone.
	soundLost = 5 * time.Second
	// soundWaits is how many blocks wait for one who listens: 2 s of them or more.
	soundWaits = 64
	// unheard is how often nobody takes a block until its listener is taken for
	// gone: not at the first, a route may be cut for a moment.
	unheard = 3
)

// What a block of sound is, its first byte. The number of the block follows in
// 4 bytes, then the samples.
const (
	soundBlock = 's'
	soundIdle  = 'i' // none: the call is there
	soundOver  = 'o' // the call is over
	soundCut   = 'c' // the listener did not keep up
)

const soundHead = 5 // bytes

// block is one of them.
type block struct {
	kind byte
	seq  uint32
	pcm  []byte
}

func (b block) bytes() []byte {
	out := make([]byte, soundHead, soundHead+len(b.pcm))
	out[0] = b.kind
	binary.BigEndian.PutUint32(out[1:], b.seq)
	return append(out, b.pcm...)
}

func readBlock(b []byte) (block, error) {
	if len(b) < soundHead {
		return block{}, errors.New("less than a head")
	}
	out := block{b[0], binary.BigEndian.Uint32(b[1:]), b[soundHead:]}
	switch out.kind {
	case soundBlock:
		if len(out.pcm)%4 != 0 { // two channels of 16 bits
			return block{}, errors.New("part of a sample")
		}
	case soundIdle, soundOver, soundCut:
		out.pcm = nil
	default:
		return block{}, fmt.Errorf("kind %q", out.kind)
	}
	return out, nil
}

// Listen lets one more listen in to a live call, wherever it is. The sound of
// another node's call comes over the bus: who falls behind is cut, at either end.
func (c *Calls) Listen(id telephony.CallID) (*engine.Listening, error) {
	l, err := c.Engine.Listen(id)
	if !errors.Is(err, engine.ErrNoCall) {
		return l, err
	}
	return c.n.hear(id)
}

// hear asks the call's node for its sound.
func (n *Node) hear(id telephony.CallID) (*engine.Listening, error) {
	if n.Alone() {
		return nil, engine.ErrNoCall
	}
	e := newEar()
	ear := newID() + newID()
	sub, err := n.nc.Subscribe(n.subject("ear."+ear), func(m *nats.Msg) { e.take(m.Data) })
	if err != nil {
		return nil, fmt.Errorf("cluster: listen: %w", err)
	}
	e.begin(func() { _ = sub.Unsubscribe() }) // fails where the connection is closed for good
	stop := func() { e.end(ended{}) }
	r, err := n.command(id, command{Do: doListen, Ear: ear})
	if err == nil && r.Rate <= 0 {
		err = errors.New("the call's node: sound of no rate")
	}
	if err != nil {
		stop()
		return nil, err
	}
	return engine.Relay(engine.Relayed{
		Rate: r.Rate, Sound: e.sound, Cut: func() bool { return e.why().cut }, Lost: func() bool { return e.why().lost },
		Close: stop,
	}), nil
}

// ended is why there is no more sound: neither where the call is over.
type ended struct{ cut, lost bool }

// ear takes the sound of another node's call.
type ear struct {
	sound chan []byte // capacity soundWaits

	mu    sync.Mutex // guards what follows
	next  uint32     // seq of the next block
	over  bool       // sound is closed
	as    ended
	alive *time.Timer
	gone  func() // is called at the end: no more is to be sent
}

func newEar() *ear { return &ear{sound: make(chan []byte, soundWaits)} }

// begin takes a node that says nothing for lost.
func (e *ear) begin(gone func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.gone, e.alive = gone, time.AfterFunc(soundLost, func() { e.end(ended{lost: true}) })
}

// take takes one block. It never blocks.
func (e *ear) take(data []byte) {
	b, err := readBlock(data)
	if err != nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.over || e.alive == nil {
		return
	}
	e.alive.Reset(soundLost)
	switch {
	case b.seq != e.next: // some of it was lost on the way
		e.endLocked(ended{cut: true})
		return
	case b.kind == soundOver:
		e.endLocked(ended{})
		return
	case b.kind == soundCut:
		e.endLocked(ended{cut: true})
		return
	case b.kind == soundBlock:
		select {
		case e.sound <- b.pcm:
		default:
			e.endLocked(ended{cut: true})
			return
		}
	}
	e.next++
}

func (e *ear) end(as ended) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.over {
		e.endLocked(as)
	}
}

func (e *ear) endLocked(as ended) {
	e.over, e.as = true, as
	e.alive.Stop()
	close(e.sound)
	e.gone()
}

func (e *ear) why() ended {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.as
}

// speak sends the sound of a call of this node to an ear elsewhere.
func (n *Node) speak(e Engine, id telephony.CallID, ear string) reply {
	if !inSubject(ear) {
		return replyOf(errors.New("nowhere to send the sound to"))
	}
	l, err := e.Listen(id)
	if err != nil {
		return replyOf(err)
	}
	gone := make(chan *nats.Msg, unheard)
	inbox := n.nc.NewInbox()
	sub, err := n.nc.ChanSubscribe(inbox, gone)
	if err != nil {
		l.Close()
		return replyOf(err)
	}
	n.wg.Go(func() {
		defer l.Close()
		defer sub.Unsubscribe() //nolint:errcheck // fails where the connection is closed for good
		n.pump(l, nats.Msg{Subject: n.subject("ear." + ear), Reply: inbox}, gone)
	})
	return reply{Rate: l.Rate}
}

// pump sends sound until the call is over or nobody takes it: each block asks for
// an answer that never comes, but the server's where nobody is subscribed.
func (n *Node) pump(l *engine.Listening, to nats.Msg, gone <-chan *nats.Msg) {
	idle := time.NewTicker(soundAlive)
	defer idle.Stop()
	var seq uint32
	put := func(kind byte, pcm []byte) {
		to.Data = block{kind, seq, pcm}.bytes()
		seq++
		if err := n.nc.PublishMsg(&to); err != nil {
			n.log.Debug("cluster: sound is lost", zap.Error(err)) // the listener hears the gap
		}
	}
	for nobody := 0; nobody < unheard; {
		select {
		case b, ok := <-l.Sound:
			switch {
			case ok:
				put(soundBlock, b)
				continue
			case l.Cut():
				put(soundCut, nil)
			default:
				put(soundOver, nil)
			}
			return
		case <-idle.C:
			put(soundIdle, nil)
		case <-gone:
			nobody++
		case <-n.closing:
			put(soundOver, nil)
			return
		}
	}
}
