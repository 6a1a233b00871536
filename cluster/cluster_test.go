package cluster

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/patchcord/patchcord/engine"
	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/tools"
)

// A node alone has no port, controls its own calls and knows itself.
func TestANodeAlone(t *testing.T) {
	t.Parallel()
	a, _ := open(t, Config{Node: "a", Status: func() Status { return Status{Calls: 3, Draining: true} }})
	if a.srv.Addr() != nil || a.srv.ClusterAddr() != nil {
		t.Errorf("it listens at %v, %v", a.srv.Addr(), a.srv.ClusterAddr())
	}
	id := a.begin(t, a)
	if err := a.calls.Say(id, "hello"); err != nil || a.engine.told(id) != "say hello" {
		t.Errorf("%v, told %q", err, a.engine.told(id))
	}
	if err := a.calls.Say("0190", "hello"); !errors.Is(err, engine.ErrNoCall) {
		t.Errorf("a call that is nobody's: %v", err)
	}
	if _, err := a.calls.Listen("0190"); !errors.Is(err, engine.ErrNoCall) {
		t.Errorf("to listen to it: %v", err)
	}
	nodes := a.Nodes()
	if len(nodes) != 1 || nodes[0].Name != "a" || !nodes[0].Self || nodes[0].Calls != 3 || !nodes[0].Draining {
		t.Errorf("nodes %+v", nodes)
	}
}

// Every command reaches a call from a node that does not have it.
func TestEveryCommandReachesAnotherNode(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	id := a.begin(t, b)
	c := b.calls
	for _, err := range []error{
		c.Say(id, "grüezi"), c.End(id, "bye"), c.Mute(id, true), c.Mute(id, false), c.Inject(id, "note", true),
		c.Press(id, "1#"), c.Transfer(id, tools.Transfer{To: "+4930", Message: "wait"}), c.Whisper(id, "psst", true),
	} {
		if err != nil {
			t.Error(err)
		}
	}
	want := "say grüezi, end bye, mute on, mute off, inject note on, press 1#, transfer +4930 wait, whisper psst on"
	if got := a.engine.told(id); got != want {
		t.Errorf("told %q\nwant %q", got, want)
	}
	if _, err := c.Listen(id); !errors.Is(err, engine.ErrListeners) {
		t.Errorf("listen: %v", err)
	}
	a.end(id)
	eventually(t, "the call is gone", func() bool { return errors.Is(c.Say(id, "x"), engine.ErrNoCall) })
}

// A browser's call is hung up by the node that has it.
func TestHangUpReachesAnotherNode(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	id := a.begin(t, b)
	hung := make(chan telephony.CallID, 1)
	a.Calls(a.engine, func(id telephony.CallID) bool { hung <- id; return true })
	if !b.calls.HangUp(id) || <-hung != id {
		t.Error("it was not hung up")
	}
	if b.calls.HangUp("0190") {
		t.Error("a call that is nobody's was hung up")
	}
}

// An owner that does not answer is told from one that is not there.
func TestAnOwnerThatHangs(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	id := a.begin(t, b)
	a.engine.mu.Lock()
	a.engine.block = make(chan struct{})
	a.engine.mu.Unlock()
	begun := time.Now()
	if err := b.calls.Say(id, "x"); !errors.Is(err, ErrNoAnswer) {
		t.Errorf("%v", err)
	}
	if took := time.Since(begun); took < askTimeout || took > askTimeout+10*time.Second {
		t.Errorf("after %v", took)
	}
	close(a.engine.block)
}

// watched collects what a watcher is told.
type watched struct {
	mu     sync.Mutex
	events []Event
}

func (w *watched) told(e Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, e)
}

func (w *watched) names() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []string
	for _, e := range w.events {
		out = append(out, fmt.Sprintf("%s/%d", e.Name, e.Seq))
	}
	return strings.Join(out, " ")
}

func (w *watched) has(name string) bool { return strings.Contains(w.names(), name) }

// reached waits until what happens at p is heard by w.
func reached(t testing.TB, p *peer, id telephony.CallID, w *watched) {
	t.Helper()
	eventually(t, "events are heard", func() bool {
		p.happen(id, "probe")
		return w.has("probe")
	})
}

// What becomes of campaigns is heard elsewhere, that of an attempt after the end of
// its call, and with the call's id; who watches one call hears of its attempt alone.
func TestCampaignsAreHeardElsewhere(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	id, other := a.begin(t, b), a.begin(t, b)
	var all, one, own watched
	for _, w := range []struct {
		n    *peer
		id   telephony.CallID
		told *watched
	}{{b, "", &all}, {b, id, &one}, {a, "", &own}} {
		stop, err := w.n.Watch(w.id, w.told.told)
		if err != nil {
			t.Fatal(err)
		}
		defer stop()
	}
	reached(t, a, id, &all)
	reached(t, a, id, &one)
	news := func(name string, of telephony.CallID) {
		a.News("spring", "support", engine.Event{CallID: of, Name: name, Level: "info", Time: time.Now()})
	}
	news("campaign.started", "")
	a.happen(id, "call.ended")
	a.end(id)
	news("attempt.finished", id)
	news("attempt.finished", other)
	news("campaign.completed", "")
	for _, bad := range []string{"", "a.b", "*"} {
		a.News(bad, "support", engine.Event{Name: "campaign.of-no-name"})
	}
	a.happen(other, "last")
	eventually(t, "all is heard", func() bool { return all.has("last") && one.has("attempt.finished") })
	ended := fmt.Sprintf("call.ended/%d", a.seq[id])
	want := "campaign.started/0 " + ended + " attempt.finished/0 attempt.finished/0 campaign.completed/0 last/1"
	if got := all.names(); !strings.HasSuffix(got, want) {
		t.Errorf("all: %s, want at its end %s", got, want)
	}
	if got := one.names(); !strings.HasSuffix(got, ended+" attempt.finished/0") {
		t.Errorf("one call: %s", got)
	}
	if got := own.names(); got != "" {
		t.Errorf("its own comes back: %s", got)
	}
	var of []telephony.CallID
	for _, e := range all.events {
		if e.Seq != 0 {
			continue
		}
		if of = append(of, e.CallID); e.Agent != "support" || !strings.Contains(string(e.Body), `"event":"`+e.Name+`"`) {
			t.Errorf("%s of the agent %q: %s", e.Name, e.Agent, e.Body)
		}
	}
	if !slices.Equal(of, []telephony.CallID{"", id, other, ""}) {
		t.Errorf("of the calls %q", of)
	}
}

func TestEventsReachWatchersElsewhere(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	id, other := a.begin(t, b), a.begin(t, b)
	var all, one, own watched
	for _, w := range []struct {
		n    *peer
		id   telephony.CallID
		told func(Event)
	}{{b, "", all.told}, {b, id, one.told}, {a, "", own.told}} {
		stop, err := w.n.Watch(w.id, w.told)
		if err != nil {
			t.Fatal(err)
		}
		defer stop()
	}
	reached(t, a, other, &all)
	reached(t, a, id, &one)
	a.happen(id, "turn.user")
	a.happen(other, "turn.agent")
	a.happen(id, "call.ended")
	eventually(t, "the last is heard", func() bool { return all.has("call.ended") && one.has("call.ended") })
	if one.has("turn.agent") || !all.has("turn.agent") || !one.has("turn.user") {
		t.Errorf("all %s\none %s", all.names(), one.names())
	}
	one.mu.Lock()
	last := one.events[len(one.events)-1]
	one.mu.Unlock()
	if last.CallID != id || last.Agent != "support" || !strings.Contains(string(last.Body), `"event":"call.ended"`) {
		t.Errorf("%+v %s", last, last.Body)
	}
	if names := own.names(); names != "" {
		t.Errorf("the call's own node is told %s", names)
	}
}

// What is told comes in its order.
func TestEventsKeepTheirOrder(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	id := a.begin(t, b)
	var w watched
	stop, err := b.Watch(id, w.told)
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	reached(t, a, id, &w)
	for range 1000 {
		a.happen(id, "x")
	}
	a.happen(id, "last")
	eventually(t, "the last is heard", func() bool { return w.has("last/") })
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := 1; i < len(w.events); i++ {
		if w.events[i].Seq != w.events[i-1].Seq+1 {
			t.Fatalf("%d after %d", w.events[i].Seq, w.events[i-1].Seq)
		}
	}
}

// A call never waits for the bus: without anybody who sends, events are dropped
// and counted, and beginnings and ends are kept.
func TestEventsNeverWait(t *testing.T) {
	t.Parallel()
	n, err := Open(meshed("a"))
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	for range mostEvents + 100 {
		n.Event(engine.Event{CallID: "0190", Seq: 1, Name: "x"})
	}
	n.Started(engine.Record{ID: "0190"})
	n.Ended(engine.Record{ID: "0190"})
	if got := n.Stats().Dropped; got != 100 {
		t.Errorf("%d were dropped", got)
	}
	if got := len(n.out.take()); got != mostEvents+2 {
		t.Errorf("%d are kept", got)
	}
}

func TestQuestionsToAProcess(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	if err := a.Answer("ticket", func(q []byte) []byte { return append([]byte("got "), q...) }); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is answered", func() bool {
		got, err := b.Ask(t.Context(), a.ID(), "ticket", []byte("x"))
		return err == nil && string(got) == "got x"
	})
	for _, c := range []struct{ id, what string }{{a.ID(), "other"}, {"0123456789ab", "ticket"}, {"", "ticket"}, {"a.b", "ticket"}} {
		if _, err := b.Ask(t.Context(), c.id, c.what, nil); !errors.Is(err, ErrNobody) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func TestQuestionsToWhoeverKnows(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	c, _ := open(t, meshed("c", a.route()))
	see(t, a, b, c)
	for _, p := range []*peer{a, b} {
		err := p.AnswerAny("agent", func(q []byte) []byte {
			if string(q) != p.cfg.Node {
				return nil
			}
			return []byte("I am " + p.cfg.Node)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"a", "b"} {
		eventually(t, name+" answers", func() bool {
			got, err := c.AskAny(t.Context(), "agent", []byte(name))
			return err == nil && string(got) == "I am "+name
		})
	}
	if _, err := c.AskAny(t.Context(), "agent", []byte("x")); !errors.Is(err, ErrNobody) {
		t.Errorf("what nobody knows: %v", err)
	}
	if _, err := c.AskAny(t.Context(), "other", nil); !errors.Is(err, ErrNobody) {
		t.Errorf("what nobody answers: %v", err)
	}
}

func TestChangesAreTold(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	heard := make(chan string, 100)
	b.OnChange(func(kind string) {
		select {
		case heard <- kind:
		default:
		}
	})
	eventually(t, "a change is heard", func() bool {
		a.Changed("keys")
		select {
		case kind := <-heard:
			return kind == "keys"
		default:
			return false
		}
	})
}

// A node that leaves is gone at once, one that vanishes within seconds.
func TestNodesThatLeave(t *testing.T) {
	t.Parallel()
	a, _ := open(t, meshed("a"))
	k := openLink(t, a.srv.ClusterAddr().String())
	_, leave := open(t, meshed("b", a.route()))
	c, _ := open(t, meshed("c", k.route()))
	eventually(t, "three are there", func() bool { return len(a.Nodes()) == 3 && len(c.Nodes()) == 3 })
	leave()
	eventually(t, "it has left", func() bool { return len(a.Nodes()) == 2 && len(c.Nodes()) == 2 })
	for _, n := range []*peer{a, c} {
		if all := n.Nodes(); all[0].Name != "a" || all[1].Name != "c" {
			t.Errorf("left are %+v", all)
		}
	}
	k.set(true)
	begun := time.Now()
	eventually(t, "it has vanished", func() bool { return len(a.Nodes()) == 1 && len(c.Nodes()) == 1 })
	if took := time.Since(begun); took > absence+10*time.Second {
		t.Errorf("after %v", took)
	}
	k.set(false)
	eventually(t, "it is back", func() bool { return len(a.Nodes()) == 2 && len(c.Nodes()) == 2 })
}

// While a route is cut calls go on and nobody waits; then control works again
// and events flow again.
func TestARouteIsCutAndHealed(t *testing.T) {
	t.Parallel()
	a, _ := open(t, meshed("a"))
	k := openLink(t, a.srv.ClusterAddr().String())
	b, _ := open(t, meshed("b", k.route()))
	see(t, a, b)
	id := a.begin(t, b)
	var w watched
	stop, err := b.Watch("", w.told)
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	reached(t, a, id, &w)

	k.set(true)
	eventually(t, "the call is out of reach", func() bool { return errors.Is(b.calls.Say(id, "x"), engine.ErrNoCall) })
	begun := time.Now()
	for range 1000 {
		a.happen(id, "unheard")
	}
	if err := a.calls.Say(id, "here"); err != nil {
		t.Errorf("its own node: %v", err)
	}
	if took := time.Since(begun); took > writeTimeout { // of one write that waits, of a thousand
		t.Errorf("a cut route held the call up for %v", took)
	}

	k.set(false)
	eventually(t, "control works again", func() bool { return b.calls.Say(id, "again") == nil })
	eventually(t, "events flow again", func() bool {
		a.happen(id, "healed")
		return w.has("healed")
	})
	if told := a.engine.told(id); !strings.Contains(told, "here") || !strings.HasSuffix(told, "say again") {
		t.Errorf("told %q", told)
	}
}

// A node that knows no password, or has another name, stays a stranger.
func TestStrangers(t *testing.T) {
	t.Parallel()
	a, _ := open(t, meshed("a"))
	for name, change := range map[string]func(*Config){
		"of no password": func(c *Config) { c.Password = "guessed" },
		"of another":     func(c *Config) { c.Name = "staging" },
	} {
		core, said := observer.New(zap.WarnLevel)
		cfg := meshed(name, a.route())
		cfg.Log = zap.New(core)
		change(&cfg)
		b, _ := open(t, cfg)
		eventually(t, name+" is refused", func() bool { return said.Len() > 0 })
		if len(b.Nodes()) != 1 || b.srv.NumRoutes() != 0 {
			t.Errorf("%s: nodes %+v, %d routes", name, b.Nodes(), b.srv.NumRoutes())
		}
	}
	if len(a.Nodes()) != 1 || a.srv.NumRoutes() != 0 {
		t.Errorf("nodes %+v, %d routes", a.Nodes(), a.srv.NumRoutes())
	}
}
