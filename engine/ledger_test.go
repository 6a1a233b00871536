package engine

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/patchcord/patchcord/audio/playout"
	"github.com/patchcord/patchcord/engine/turn"
	"github.com/patchcord/patchcord/llm"
)

// wire is a ledger and a server with a network between them: each takes what
// the other has sent, in order, any time later.
type wire struct {
	t      *rapid.T
	l      ledger
	now    time.Time
	up     []llm.RealtimeCommand
	down   []llm.RealtimeEvent
	active string                // the server's response
	items  map[string]int        // the server's, samples
	mine   map[string]int        // samples taken of an item
	heard  map[string]int        // of items of replies that are over: what may be kept
	of     map[turn.Gen][]string // items of live replies, in order
	ended  map[turn.Gen]bool     // all of it came
	live   map[turn.Gen]bool
	begun  map[turn.Gen]int // responses the server began for it
	asks   map[string]turn.Gen
	gen    turn.Gen
	n      int
}

const wireRate = 8000

func (w *wire) send() {
	for _, c := range w.l.take() {
		if r, ok := c.(llm.Respond); ok {
			w.asks[r.ID] = w.l.slot.g
		}
		w.up = append(w.up, c)
	}
}

func (w *wire) refuse(id, code string) {
	if code != llm.CodeNotActive { // a cancel may cross the end
		w.t.Fatalf("refused: %s", code)
	}
	w.down = append(w.down, llm.RealtimeEvent{Kind: llm.Refused, ID: id, Code: code, Err: errors.New(code)})
}

// take lets the server have a command.
func (w *wire) take() {
	if len(w.up) == 0 {
		return
	}
	c := w.up[0]
	w.up = w.up[1:]
	switch c := c.(type) {
	case llm.Respond:
		if w.active != "" {
			w.refuse(c.ID, llm.CodeActive) // conv:R8
		}
		w.n++
		w.active = fmt.Sprint("r", w.n)
		w.begun[w.asks[c.ID]]++
		w.down = append(w.down, llm.RealtimeEvent{Kind: llm.ResponseBegan, Response: w.active, ID: c.ID})
	case llm.CancelResponse:
		if w.active == "" || c.Response != "" && c.Response != w.active {
			w.refuse(c.ID, llm.CodeNotActive)
			return
		}
		w.end("cancelled")
	case llm.Truncate:
		n, ok := w.items[c.Item]
		if end := int(c.End * wireRate / time.Second); !ok || end <= 0 || end > n {
			w.t.Fatalf("%s is cut to %d of %d samples (INV39)", c.Item, end, n)
		}
		w.items[c.Item] = int(c.End * wireRate / time.Second)
	case llm.DeleteItem:
		if _, ok := w.items[c.Item]; !ok {
			w.t.Fatalf("%s is deleted, which is not there", c.Item)
		}
		delete(w.items, c.Item)
	}
}

func (w *wire) end(how string) {
	w.down = append(w.down, llm.RealtimeEvent{Kind: llm.ResponseDone, Response: w.active, Finish: how})
	w.active = ""
}

// speak lets the server make sound, of the item it is at or of another.
func (w *wire) speak(another bool) {
	if w.active == "" {
		return
	}
	if another || w.items["at"] == 0 {
		w.n++
	}
	item := fmt.Sprint("i", w.active, "-", w.n)
	w.items[item] += wireRate / 5
	w.down = append(w.down, llm.RealtimeEvent{
		Kind: llm.Spoken, Response: w.active, Item: item, PCM: make([]int16, wireRate/5),
	})
}

// read lets us have an event.
func (w *wire) read() {
	if len(w.down) == 0 {
		return
	}
	ev := w.down[0]
	w.down = w.down[1:]
	switch ev.Kind {
	case llm.ResponseBegan:
		w.l.began(ev, w.now)
	case llm.Spoken:
		g, it := w.l.item(ev, false, w.now)
		if it == nil {
			break
		}
		if !w.live[g] {
			w.t.Fatalf("sound of %d, which is over (conv:R7)", g)
		}
		if w.mine[ev.Item] == 0 {
			w.of[g] = append(w.of[g], ev.Item)
		}
		w.mine[ev.Item] += len(ev.PCM)
	case llm.ResponseDone:
		if g, ok := w.l.done(ev, w.now); ok {
			w.ended[g] = true
		}
	case llm.Refused:
		w.l.refused(ev, w.now)
	}
	w.send()
}

// over ends a reply, of which some was heard.
func (w *wire) over(g turn.Gen, share int) {
	h := playout.Heard{Ended: w.ended[g]}
	total := 0
	for _, item := range w.of[g] {
		total += w.mine[item]
	}
	left := total * share / 100
	for i, item := range w.of[g] {
		n := min(left, w.mine[item])
		left -= n
		h.Segments = append(h.Segments, playout.SegmentHeard{
			Seg: i, Samples: n, Pushed: w.mine[item], Ended: w.ended[g] || i+1 < len(w.of[g]),
		})
		h.Samples += n
		h.Dropped += w.mine[item] - n
		w.heard[item] = n
	}
	delete(w.live, g)
	w.l.drop(g, w.now)
	w.l.close(g, h, wireRate, false)
	w.send()
}

func (w *wire) pick() turn.Gen {
	for g := turn.Gen(1); g <= w.gen; g++ {
		if w.live[g] && rapid.Bool().Draw(w.t, "this") {
			return g
		}
	}
	return 0
}

// Whatever crosses whatever, the server is asked for one response at a time,
// nothing that it does not have is cut, and in the end it keeps what was heard.
func TestLedgerHoldsUnderAnyOrder_convR5(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &wire{
			t: t, now: epoch, items: map[string]int{}, mine: map[string]int{}, heard: map[string]int{},
			of: map[turn.Gen][]string{}, ended: map[turn.Gen]bool{}, live: map[turn.Gen]bool{},
			begun: map[turn.Gen]int{}, asks: map[string]turn.Gen{},
		}
		for range rapid.IntRange(1, 150).Draw(t, "steps") {
			switch rapid.IntRange(0, 9).Draw(t, "step") {
			case 0:
				w.gen++
				w.live[w.gen] = true
				w.l.want(wanted{g: w.gen}, w.now)
				w.send()
			case 1, 2:
				w.take()
			case 3, 4:
				w.speak(rapid.Bool().Draw(t, "another"))
			case 5:
				if w.active != "" {
					w.end("completed")
				}
			case 6, 7, 8:
				w.read()
			case 9:
				if g := w.pick(); g != 0 {
					w.over(g, rapid.IntRange(0, 100).Draw(t, "heard"))
				}
			}
		}
		for range 2000 { // all that was asked for is answered
			w.take()
			w.read()
			if w.active != "" && len(w.up) == 0 && len(w.down) == 0 {
				w.end("completed")
			}
		}
		for g := range w.live {
			if w.begun[g] != 1 || !w.ended[g] {
				t.Fatalf("reply %d had %d responses, ended %v (INV41)", g, w.begun[g], w.ended[g])
			}
			w.over(g, 100)
		}
		for range 2000 {
			w.take()
			w.read()
		}
		for item, n := range w.items {
			if n > w.heard[item] {
				t.Fatalf("the server keeps %d samples of %s, %d were heard (INV40)", n, item, w.heard[item])
			}
		}
	})
}

func TestLedgerAsksThreeTimes(t *testing.T) {
	t.Parallel()
	var l ledger
	l.want(wanted{g: 1}, epoch)
	now := epoch
	asked := len(l.take())
	for range 4 {
		now = now.Add(responseWatch)
		if g := l.tick(now); g == 1 {
			if asked != responseTries || l.slot != nil {
				t.Errorf("given up after %d questions: %+v", asked, l.slot)
			}
			return
		}
		asked += len(l.take())
	}
	t.Error("a silent server is asked for ever")
}

// TestLedgerCancelsWhatBeginsLate: the caller goes on before the server has
// begun the response, and the server finds nothing to cancel yet.
func TestLedgerCancelsWhatBeginsLate(t *testing.T) {
	t.Parallel()
	var l ledger
	l.want(wanted{g: 1}, epoch)
	l.drop(1, epoch)
	sent := l.take()
	cancel, ok := sent[len(sent)-1].(llm.CancelResponse)
	if !ok {
		t.Fatalf("sent %+v", sent)
	}
	l.refused(llm.RealtimeEvent{Kind: llm.Refused, ID: cancel.ID, Code: llm.CodeNotActive}, epoch)
	l.began(llm.RealtimeEvent{Kind: llm.ResponseBegan, ID: sent[0].(llm.Respond).ID, Response: "r1"}, epoch)
	if out := l.take(); len(out) != 1 || out[0].(llm.CancelResponse).Response != "r1" {
		t.Errorf("sent %+v, want the response cancelled", out)
	}
}

// TestLedgerForgetsWhatWasDropped: a response that somebody else began does not
// bring back one that was given up, nor one that nobody wanted.
func TestLedgerForgetsWhatWasDropped(t *testing.T) {
	t.Parallel()
	for name, before := range map[string]func(*ledger){
		"given up": func(l *ledger) {
			l.want(wanted{g: 1}, epoch)
			l.drop(1, epoch)
		},
		"unknown": func(l *ledger) {
			l.want(wanted{g: 1}, epoch)
			l.refused(llm.RealtimeEvent{Kind: llm.Refused, ID: l.slot.id, Code: llm.CodeActive}, epoch)
			l.drop(1, epoch)
		},
	} {
		var l ledger
		before(&l)
		l.take()
		l.began(llm.RealtimeEvent{Kind: llm.ResponseBegan, ID: "theirs", Response: "r9"}, epoch)
		l.done(llm.RealtimeEvent{Kind: llm.ResponseDone, Response: "r9", Finish: "cancelled"}, epoch)
		for _, c := range l.take() {
			if r, ok := c.(llm.Respond); ok {
				t.Errorf("%s: asked for %+v", name, r)
			}
		}
	}
}
