package cluster

import (
	"context"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"github.com/patchcord/patchcord/engine"
	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/tools"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeEngine has calls that note what they are told.
type fakeEngine struct {
	mu    sync.Mutex // guards what follows
	calls map[telephony.CallID][]string
	block chan struct{} // nil: commands are taken at once
	ears  map[telephony.CallID]*fakeEar
}

// fakeEar is the sound of a call.
type fakeEar struct {
	sound  chan []byte
	closed chan struct{}
	once   sync.Once
}

var _ Engine = (*fakeEngine)(nil)

func (e *fakeEngine) note(id telephony.CallID, what string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, ok := e.calls[id]; !ok {
		return engine.ErrNoCall
	}
	if e.block != nil {
		<-e.block
	}
	e.calls[id] = append(e.calls[id], what)
	return nil
}

func (e *fakeEngine) told(id telephony.CallID) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return strings.Join(e.calls[id], ", ")
}

func (e *fakeEngine) Call(context.Context, engine.Outbound) (telephony.CallID, error) {
	return "", engine.ErrFull
}
func (e *fakeEngine) Say(id telephony.CallID, s string) error { return e.note(id, "say "+s) }
func (e *fakeEngine) End(id telephony.CallID, s string) error { return e.note(id, "end "+s) }
func (e *fakeEngine) Mute(id telephony.CallID, on bool) error {
	return e.note(id, "mute "+onOff(on))
}

func (e *fakeEngine) Inject(id telephony.CallID, s string, respond bool) error {
	return e.note(id, "inject "+s+" "+onOff(respond))
}
func (e *fakeEngine) Press(id telephony.CallID, s string) error { return e.note(id, "press "+s) }
func (e *fakeEngine) Transfer(id telephony.CallID, to tools.Transfer) error {
	return e.note(id, "transfer "+to.To+" "+to.Message)
}

func (e *fakeEngine) Whisper(id telephony.CallID, s string, toCaller bool) error {
	return e.note(id, "whisper "+s+" "+onOff(toCaller))
}

func (e *fakeEngine) Listen(id telephony.CallID) (*engine.Listening, error) {
	if err := e.note(id, "listen"); err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	ear := e.ears[id]
	if ear == nil {
		return nil, engine.ErrListeners
	}
	no := func() bool { return false }
	return engine.Relay(engine.Relayed{
		Rate: 8000, Sound: ear.sound, Cut: no, Lost: no, Close: func() { ear.once.Do(func() { close(ear.closed) }) },
	}), nil
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

// peer is a node with an engine of its own.
type peer struct {
	*Node

	engine *fakeEngine
	calls  *Calls
	seq    map[telephony.CallID]int
}

// open opens a node and runs it until the test ends, or the returned stop.
func open(t testing.TB, cfg Config) (p *peer, stop func()) {
	t.Helper()
	n, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	p = &peer{
		Node: n, engine: &fakeEngine{calls: map[telephony.CallID][]string{}, ears: map[telephony.CallID]*fakeEar{}},
		seq: map[telephony.CallID]int{},
	}
	p.calls = n.Calls(p.engine, nil)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := n.Serve(ctx); err != nil {
			t.Error(err)
		}
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		<-done
		n.Close()
	})
	t.Cleanup(stop)
	return p, stop
}

// meshed is the configuration of a node at loopback with routes to others.
func meshed(name string, routes ...string) Config {
	return Config{Node: name, Listen: "127.0.0.1:0", User: "nodes", Password: "s3cret", Routes: routes, Version: "test"}
}

// route is where a node is reached by others.
func (p *peer) route() string { return "nats://" + p.Addr() }

// pair are two nodes that see each other.
func pair(t testing.TB) (a, b *peer) {
	t.Helper()
	a, _ = open(t, meshed("a"))
	b, _ = open(t, meshed("b", a.route()))
	see(t, a, b)
	return a, b
}

// see waits until all see all.
func see(t testing.TB, all ...*peer) {
	t.Helper()
	eventually(t, "all nodes see each other", func() bool {
		for _, p := range all {
			if len(p.Nodes()) != len(all) {
				return false
			}
		}
		return true
	})
}

// begin begins a call of p that others can reach.
func (p *peer) begin(t testing.TB, others ...*peer) telephony.CallID {
	t.Helper()
	id := telephony.CallID(uuid.Must(uuid.NewV7()).String())
	p.engine.mu.Lock()
	p.engine.calls[id] = nil
	p.engine.mu.Unlock()
	p.Started(engine.Record{ID: id, Agent: "support"})
	for _, o := range others {
		eventually(t, "the call is reached", func() bool { return o.calls.Mute(id, true) == nil })
	}
	p.engine.mu.Lock()
	defer p.engine.mu.Unlock()
	p.engine.calls[id] = nil
	return id
}

func (p *peer) end(id telephony.CallID) {
	p.engine.mu.Lock()
	delete(p.engine.calls, id)
	p.engine.mu.Unlock()
	p.Ended(engine.Record{ID: id})
}

// happen is an event of a call of p.
func (p *peer) happen(id telephony.CallID, name string) {
	p.seq[id]++
	p.Event(engine.Event{CallID: id, Seq: p.seq[id], Name: name, Level: "info", Time: time.Now()})
}

// eventually waits for what comes from other goroutines and sockets.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(20 * time.Second)
	for !is() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("not within 20 s: %s", what)
		}
	}
}

// link is a TCP route that can be cut: it forwards to a place.
type link struct {
	l  net.Listener
	to string

	mu    sync.Mutex // guards what follows
	cut   bool
	conns map[net.Conn]struct{}
	wg    sync.WaitGroup
}

func openLink(t testing.TB, to string) *link {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	k := &link{l: l, to: to, conns: map[net.Conn]struct{}{}}
	k.wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			k.wg.Go(func() { k.carry(conn) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		k.set(true)
		k.wg.Wait()
	})
	return k
}

func (k *link) route() string { return "nats://" + k.l.Addr().String() }

// set cuts the link, or heals it.
func (k *link) set(cut bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.cut = cut
	if cut {
		for c := range k.conns {
			c.Close()
		}
	}
}

func (k *link) add(c net.Conn) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.cut {
		c.Close()
		return false
	}
	k.conns[c] = struct{}{}
	return true
}

func (k *link) carry(a net.Conn) {
	defer a.Close()
	if !k.add(a) {
		return
	}
	b, err := net.Dial("tcp", k.to)
	if err != nil {
		return
	}
	defer b.Close()
	if !k.add(b) {
		return
	}
	var both sync.WaitGroup
	both.Go(func() { _, _ = io.Copy(a, b); a.Close() })
	both.Go(func() { _, _ = io.Copy(b, a); b.Close() })
	both.Wait()
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.conns, a)
	delete(k.conns, b)
}
