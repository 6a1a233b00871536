package engine

import (
	"fmt"
	"slices"
	"time"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/audio/playout"
	"github.com/patchcord/patchcord/engine/turn"
	"github.com/patchcord/patchcord/llm"
)

const (
	// responseWatch is how long the server may leave a cancel or a question
	// unanswered before it is taken to have nothing active (INV41).
	responseWatch = 5 * time.Second
	// responseTries is how often a response is asked for that the server is
	// silent about, or has no room for.
	responseTries = 3
	// keptDeleted is how many items are remembered as deleted, so that what
	// still comes of them deletes them once.
	keptDeleted = 64
)

// ledger is what a speech-to-speech model's server has and is asked for: the
// one response it may have at a time, those that wait for it, and the items
// that the replies are made of. It decides and sends nothing: take has the
// commands. Times are handed in.
//
// It guarantees that no second response is asked for while one is active
// (conv:R8); that a reply which is over is cancelled there, cut to what was
// heard of it or deleted, never beyond what there is (conv:R2 to R5, INV39,
// INV40); and that what comes of it still is nobody's (conv:R7).
type ledger struct {
	queue   []wanted
	slot    *slot // nil: nothing is active
	items   map[turn.Gen][]*serverItem
	deleted []string // the last ones
	n       int      // commands so far
	out     []llm.RealtimeCommand
}

// wanted is a response to be asked for.
type wanted struct {
	g       turn.Gen
	exactly string
	noTools bool
	tries   int
}

// slot is the response that the server has, or was asked for.
type slot struct {
	wanted
	id        string // of the command
	response  string // "" until it began
	cancelled bool
	early     bool      // … before there was anything to cancel there
	since     time.Time // its last sign, or ours
}

// serverItem is a part of a reply as the server keeps it.
type serverItem struct {
	id    string
	seg   int  // of the playout; -1: a call
	short bool // the server has more of it than was taken
}

func (l *ledger) emit(c llm.RealtimeCommand) { l.out = append(l.out, c) }

// id names a command.
func (l *ledger) id(kind string) string {
	l.n++
	return fmt.Sprintf("%s%d", kind, l.n)
}

// take is what is to be sent, in order.
func (l *ledger) take() []llm.RealtimeCommand {
	out := l.out
	l.out = nil
	return out
}

// want asks for a response, when the one before it is done.
func (l *ledger) want(w wanted, now time.Time) {
	l.queue = append(l.queue, w)
	l.pump(now)
}

func (l *ledger) pump(now time.Time) {
	if l.slot != nil || len(l.queue) == 0 {
		return
	}
	w := l.queue[0]
	l.queue = l.queue[1:]
	w.tries++
	l.slot = &slot{wanted: w, id: l.id("respond"), since: now}
	l.emit(llm.Respond{ID: l.slot.id, Exactly: w.exactly, NoTools: w.noTools})
}

// drop takes a reply's response back, wherever it is.
func (l *ledger) drop(g turn.Gen, now time.Time) {
	l.queue = slices.DeleteFunc(l.queue, func(w wanted) bool { return w.g == g })
	if s := l.slot; s != nil && s.g == g && !s.cancelled {
		l.stop(now)
	}
}

// stop cancels what is active.
func (l *ledger) stop(now time.Time) {
	l.slot.cancelled, l.slot.since = true, now
	l.emit(llm.CancelResponse{ID: l.id("cancel"), Response: l.slot.response})
}

// began has the server's word that a response is active. One that nobody asked
// for is cancelled; one that says nobody's name is that which was asked for.
func (l *ledger) began(ev llm.RealtimeEvent, now time.Time) {
	if s := l.slot; s != nil && s.response == "" && (ev.ID == "" || ev.ID == s.id) {
		s.response, s.since = ev.Response, now
		if s.early {
			l.stop(now)
		}
		return
	}
	if s := l.slot; s != nil && s.response == "" && !s.cancelled { // ours will be refused
		l.queue = slices.Insert(l.queue, 0, s.wanted)
	}
	l.slot = &slot{response: ev.Response}
	l.stop(now)
}

// of is the live reply that a response belongs to.
func (l *ledger) of(response string, now time.Time) (turn.Gen, bool) {
	s := l.slot
	if s == nil || s.response != response || response == "" {
		return 0, false
	}
	s.since = now
	return s.g, !s.cancelled
}

// item is the live reply that an item belongs to, and the item, made when it
// is new. What belongs to none is deleted (conv:R5, conv:R7).
func (l *ledger) item(ev llm.RealtimeEvent, call bool, now time.Time) (turn.Gen, *serverItem) {
	g, live := l.of(ev.Response, now)
	if !live {
		if ev.Item != "" && !l.known(ev.Item) {
			l.forget(ev.Item)
		}
		return 0, nil
	}
	segs := 0
	for _, it := range l.items[g] {
		if it.id == ev.Item {
			if call {
				it.seg = -1
			}
			return g, it
		}
		if it.seg >= 0 {
			segs++
		}
	}
	it := &serverItem{id: ev.Item, seg: segs}
	if call {
		it.seg = -1
	}
	if l.items == nil {
		l.items = map[turn.Gen][]*serverItem{}
	}
	l.items[g] = append(l.items[g], it)
	return g, it
}

// known says whether an item is a live reply's, or was dealt with.
func (l *ledger) known(id string) bool {
	for _, items := range l.items {
		if slices.ContainsFunc(items, func(it *serverItem) bool { return it.id == id }) {
			return true
		}
	}
	return slices.Contains(l.deleted, id)
}

// dealt notes that nothing more is to be done about an item.
func (l *ledger) dealt(id string) {
	if len(l.deleted) >= keptDeleted {
		l.deleted = slices.Delete(l.deleted, 0, 1)
	}
	l.deleted = append(l.deleted, id)
}

func (l *ledger) forget(id string) {
	l.dealt(id)
	l.emit(llm.DeleteItem{ID: l.id("delete"), Item: id})
}

// done has the end of a response, and the live reply that it was.
func (l *ledger) done(ev llm.RealtimeEvent, now time.Time) (turn.Gen, bool) {
	g, live := l.of(ev.Response, now)
	if s := l.slot; s != nil && (s.response == ev.Response || s.response == "" && s.cancelled) {
		l.slot = nil
	}
	l.pump(now)
	return g, live
}

// refused has a command that the server did not take. failed tells that the
// reply gets no response.
func (l *ledger) refused(ev llm.RealtimeEvent, now time.Time) (g turn.Gen, failed bool) {
	s := l.slot
	if s != nil && s.cancelled && s.response == "" && ev.Code == llm.CodeNotActive {
		s.early = true
	}
	if s == nil || ev.ID != s.id || s.response != "" {
		return 0, false // a cancel or a cut that crossed the end of what it was for
	}
	l.slot = nil
	if ev.Code == llm.CodeActive { // one we do not know of: its end is waited for
		if !s.cancelled {
			l.queue = slices.Insert(l.queue, 0, s.wanted)
		}
		l.slot = &slot{since: now, cancelled: true}
		return 0, false
	}
	l.pump(now)
	return s.g, !s.cancelled
}

// tick looks for what the server is silent about: a reply of which nothing
// more comes, and a cancel or a question without an answer.
func (l *ledger) tick(now time.Time) (stalled turn.Gen) {
	s := l.slot
	if s == nil || now.Before(l.deadline()) {
		return 0
	}
	switch {
	case s.cancelled:
		l.slot = nil
	case s.response != "":
		s.since = now
		return s.g
	case s.tries < responseTries:
		l.slot = nil
		l.queue = slices.Insert(l.queue, 0, s.wanted)
	default:
		l.slot = nil
		stalled = s.g
	}
	l.pump(now)
	return stalled
}

// deadline is when tick has something to do, if something is active.
func (l *ledger) deadline() time.Time {
	if l.slot.response != "" && !l.slot.cancelled {
		return l.slot.since.Add(modelStall)
	}
	return l.slot.since.Add(responseWatch)
}

// close settles a reply that is over with the server: what was heard whole
// stays, what was heard in part is cut, the rest is deleted. ran tells that its
// calls were taken up.
func (l *ledger) close(g turn.Gen, h playout.Heard, rate int, ran bool) {
	left := 0
	for _, seg := range h.Segments {
		left += seg.Samples
	}
	if !h.Complete() {
		left -= audio.Samples(lag, rate) // conv:T4
	}
	for _, it := range l.items[g] {
		if it.seg < 0 {
			if !ran {
				l.forget(it.id)
			}
			continue
		}
		var seg playout.SegmentHeard
		if it.seg < len(h.Segments) {
			seg = h.Segments[it.seg]
		}
		n := max(0, min(seg.Samples, left))
		left -= n
		end := audio.Duration(n, rate).Truncate(time.Millisecond)
		switch {
		case seg.Ended && n == seg.Pushed && n > 0 && !it.short: // conv:R4
		case end <= 0: // conv:R3
			l.forget(it.id)
			continue
		default:
			l.emit(llm.Truncate{ID: l.id("cut"), Item: it.id, End: end})
		}
		l.dealt(it.id)
	}
	delete(l.items, g)
}

// keep drops what waits for replies that are over.
func (l *ledger) keep(live func(turn.Gen) bool) {
	l.queue = slices.DeleteFunc(l.queue, func(w wanted) bool { return !live(w.g) })
}

// reset forgets a server that is gone. What was asked of it is asked again.
func (l *ledger) reset() {
	if s := l.slot; s != nil && s.g != 0 && !s.cancelled {
		l.queue = slices.Insert(l.queue, 0, s.wanted)
	}
	for i := range l.queue {
		l.queue[i].tries = 0
	}
	l.slot, l.items, l.deleted, l.out = nil, nil, nil, nil
}
