package turn

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// happening is an event on its way to the machine.
type happening struct {
	at time.Duration
	ev Event
}

// rehearsal is one scripted call whose workers answer the machine's effects as a
// shell's do: a model, a voice, a playout, a tool, a recogniser. It can be made
// to deliver any one worker event late, twice or in two parts.
type rehearsal struct {
	*checker
	queue []happening
	n     int // worker events there were
	twist func(n int, h happening) []happening
	heard time.Duration // the recogniser's events keep their order
	words []string
	did   []string
	took  []Event // as they came
	left  map[Gen]time.Duration
	began map[Gen]time.Duration
}

// lasting is how long each of our replies sounds.
const lasting = 1500 * ms

func newRehearsal(t *testing.T, twist func(n int, h happening) []happening) *rehearsal {
	t.Helper()
	off := false
	r := &rehearsal{twist: twist, left: map[Gen]time.Duration{}, began: map[Gen]time.Duration{}}
	r.checker = newChecker(Policy{Language: "en", Speculation: Speculation{Enabled: &off}}, func(f string, args ...any) {
		t.Helper()
		t.Errorf(f, args...)
	})
	r.queue = append(r.queue, happening{0, Answered{Greeting: "Hello."}})
	r.say(2500*ms, time.Second, "where is", "my order")
	r.say(5200*ms, 900*ms, "the other", "one please")
	r.say(9500*ms, 800*ms, "that was", "very kind")
	r.queue = append(r.queue, happening{25 * time.Second, Bye{}})
	return r
}

// say lets the caller speak: the detector's edges, then the recogniser's words.
func (r *rehearsal) say(at, lasts time.Duration, first, rest string) {
	r.words = append(r.words, first, rest)
	r.queue = append(r.queue, happening{at + 60*ms, VoiceStart{At: at}}, happening{at + 200*ms, Voiced{}},
		happening{at + lasts + 200*ms, VoiceEnd{At: at + lasts}})
	r.work(at+lasts/2, Interim{Text: first})
	r.work(at+lasts+250*ms, Final{Text: first + " " + rest, Confidence: 0.9})
}

// work queues a worker's event, twisted or not.
func (r *rehearsal) work(at time.Duration, ev Event) {
	hs := []happening{{at, ev}}
	if r.twist != nil {
		hs = r.twist(r.n, hs[0])
	}
	r.n++
	for _, h := range hs {
		switch h.ev.(type) {
		case Interim, Final:
			h.at = max(h.at, r.heard)
			r.heard = h.at
		}
		r.queue = append(r.queue, h)
	}
}

// play runs the call to its end.
func (r *rehearsal) play() *rehearsal {
	for len(r.queue) > 0 && r.m.Call() != Ended {
		slices.SortStableFunc(r.queue, func(a, b happening) int { return int(a.at - b.at) })
		h := r.queue[0]
		if at, ok := r.m.Next(); ok && at < h.at {
			r.now = max(r.now, at)
			r.react(r.step(Tick{}))
			continue
		}
		r.queue = r.queue[1:]
		r.now = max(r.now, h.at)
		r.took = append(r.took, h.ev)
		r.react(r.step(h.ev))
		if s, ok := h.ev.(Started); ok && r.live[s.G] && r.began[s.G] == 0 {
			r.began[s.G], r.left[s.G] = r.now, lasting
			r.ends(s.G)
		}
	}
	r.kept()
	return r
}

// ends queues the end of what sounds now.
func (r *rehearsal) ends(g Gen) { r.work(r.now+r.left[g], Played{g}) }

// stops takes it back.
func (r *rehearsal) stops(g Gen) {
	r.queue = slices.DeleteFunc(r.queue, func(h happening) bool { return h.ev == Played{g} })
}

// react does what a shell does.
func (r *rehearsal) react(effects []Effect) {
	for _, e := range slices.Clone(effects) {
		if d, ok := e.(Drop); !ok || d.Reason != "duplicate" {
			r.did = append(r.did, fmt.Sprintf("%d %T%+v", r.now.Milliseconds(), e, e))
		}
		switch e := e.(type) {
		case StartReply:
			r.work(r.now+150*ms, Useful{e.G})
			if e.Turn == 1 && e.Step == 0 {
				r.work(r.now+300*ms, LLMDone{G: e.G, Calls: []Call{{ID: fmt.Sprint("t", e.G), Bridge: "One moment."}}})
				continue
			}
			r.work(r.now+350*ms, Audio{e.G})
			r.work(r.now+400*ms, LLMDone{G: e.G, Words: true})
			r.work(r.now+600*ms, Fed{e.G, true})
		case Say:
			r.work(r.now+50*ms, Audio{e.G})
			r.work(r.now+120*ms, Fed{e.G, true})
		case Play:
			r.work(r.now+20*ms, Started(e))
		case Pause:
			r.stops(e.G)
			r.left[e.G] -= r.now - r.began[e.G]
		case Resume:
			r.began[e.G] = r.now
			r.ends(e.G)
		case Cancel:
			r.stops(e.G)
		case RunTool:
			r.work(r.now+800*ms, ToolDone{ID: e.ID})
		}
	}
}

// text is all that the caller's turns came to.
func (r *rehearsal) text() string {
	var all []string
	for turn := 1; turn <= r.turns; turn++ {
		all = append(all, r.items[turn])
	}
	return strings.Join(all, " ")
}

// A worker's event that comes late changes nothing of what the caller said.
func TestLateWorkersChangeNoWords_INV12(t *testing.T) {
	t.Parallel()
	base := newRehearsal(t, nil).play()
	if want := strings.Join(base.words, " "); base.text() != want || base.bargeIns == 0 {
		t.Fatalf("the caller said %q, it came to %q, with %d interruptions", want, base.text(), base.bargeIns)
	}
	for n := range base.n {
		for _, late := range []time.Duration{50 * ms, 400 * ms, 1100 * ms, 2400 * ms} {
			r := newRehearsal(t, func(i int, h happening) []happening {
				if i == n {
					h.at += late
				}
				return []happening{h}
			}).play()
			if r.text() != base.text() {
				t.Errorf("event %d late by %v: the caller's words came to %q\n%s", n, late, r.text(), strings.Join(r.did, "\n"))
			}
		}
	}
}

// A worker's event that comes twice changes nothing at all.
func TestWorkersMaySayThingsTwice_INV46(t *testing.T) {
	t.Parallel()
	base := newRehearsal(t, nil).play()
	for n := range base.n {
		r := newRehearsal(t, func(i int, h happening) []happening {
			if i == n {
				return []happening{h, h}
			}
			return []happening{h}
		}).play()
		for i := range max(len(r.did), len(base.did)) {
			if i >= len(r.did) || i >= len(base.did) || r.did[i] != base.did[i] {
				t.Errorf("event %d twice, from there on:\n%s\nonce:\n%s", n,
					strings.Join(r.did[min(i, len(r.did)):], "\n"), strings.Join(base.did[min(i, len(base.did)):], "\n"))
				break
			}
		}
	}
}

// A final that comes in two parts changes nothing but where they part.
func TestFinalsMayComeInParts_INV12(t *testing.T) {
	t.Parallel()
	base := newRehearsal(t, nil).play()
	finals := 0
	for n := range base.n {
		r := newRehearsal(t, func(i int, h happening) []happening {
			f, ok := h.ev.(Final)
			if i != n || !ok {
				return []happening{h}
			}
			finals++
			words := strings.Fields(f.Text)
			first, rest := f, f
			first.Text, rest.Text = strings.Join(words[:2], " "), strings.Join(words[2:], " ")
			return []happening{{h.at, first}, {h.at, rest}}
		}).play()
		if r.text() != base.text() {
			t.Errorf("final %d in parts came to %q, whole to %q", n, r.text(), base.text())
		}
	}
	if finals != 3 {
		t.Fatalf("%d finals were split", finals)
	}
}

// reordered feeds events in an order to a checked machine, which then is left
// to a shell that does its work.
func reordered(t *testing.T, evs []Event, what string) {
	t.Helper()
	w := &world{}
	w.checker = newChecker(Policy{Language: "en"}, func(f string, args ...any) {
		t.Helper()
		t.Fatalf(what+": "+f, args...)
	})
	for _, ev := range evs {
		w.pass(120 * ms)
		switch ev.(type) {
		case VoiceStart:
			ev = VoiceStart{At: w.now - 60*ms}
		case VoiceEnd:
			ev = VoiceEnd{At: max(0, w.now-200*ms)}
		}
		w.step(ev)
	}
	w.finish()
	w.kept()
}

// Every order of two events of a turn with a tool and an interruption keeps the
// invariants; on demand (-turn.steps), two pairs of its workers' events too.
func TestEveryOrderOfTwoEvents_INV46(t *testing.T) {
	t.Parallel()
	evs := newRehearsal(t, nil).play().took
	evs = evs[:len(evs)-1] // the end comes by itself
	var workers []int
	for i, ev := range evs {
		if _, fenced := workerGen(ev); fenced || slices.Contains([]string{"Interim", "Final", "LLMDone", "ToolDone"}, NameOf(ev)) {
			workers = append(workers, i)
		}
	}
	orders := 0
	swap := func(in []Event, i, j int) []Event {
		out := slices.Clone(in)
		out[i], out[j] = out[j], out[i]
		return out
	}
	for i := range evs { // each event at every place
		for j := range evs {
			out := slices.Delete(slices.Clone(evs), i, i+1)
			reordered(t, slices.Insert(out, j, evs[i]), fmt.Sprint("event ", i, " at ", j))
			orders++
		}
	}
	for a, i := range workers {
		for _, j := range workers[a+1:] {
			once := swap(evs, i, j)
			reordered(t, once, fmt.Sprint("events ", i, " and ", j))
			orders++
			if *stepsFlag <= 1_000_000 { // the rest on demand: 190,000 orders
				continue
			}
			for b, k := range workers[a+1:] {
				for _, l := range workers[a+1+b+1:] {
					reordered(t, swap(once, k, l), fmt.Sprint("events ", i, " and ", j, ", ", k, " and ", l))
					orders++
				}
			}
		}
	}
	t.Logf("%d events, %d of workers: %d orders", len(evs), len(workers), orders)
}
