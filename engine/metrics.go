package engine

import (
	"math"
	"slices"
	"time"

	"github.com/patchcord/patchcord/engine/turn"
)

// stages are the times of one turn, call time each, from one clock; what has
// not come is negative.
type stages struct {
	turn                                          int
	end, final, commit, asked, first, text, sound time.Duration
	done                                          bool

	spec   Speculation // of this turn
	coming Speculation // of the words that are no turn yet
	lead   time.Duration
}

// committed begins a turn.
func (t *stages) committed(turnNo int, end, final, now time.Duration) {
	if turnNo == t.turn { // more words of it
		t.coming.Tries += t.spec.Tries
		t.coming.Wasted += t.spec.Wasted
		t.coming.Adopted += t.spec.Adopted
	}
	*t = stages{
		turn: turnNo, end: end, final: final, commit: now, asked: -1, first: -1, text: -1, sound: -1, spec: t.coming,
	}
}

// adopted is a reply that was asked for before the turn was taken, at useful
// the time of its first token, 0 when none has come.
func (t *stages) adopted(lead, useful time.Duration) {
	t.spec.Adopted++
	t.lead, t.asked = lead, t.commit-lead
	if useful > 0 {
		t.first = useful
	}
}

func (t *stages) ask(step int, now time.Duration) {
	if step == 0 {
		t.asked = now
	}
}

func (t *stages) useful(now time.Duration) { mark(&t.first, now) }

// ready is the first piece of text handed to the voice. A bridging sentence
// counts: it is the first thing the caller hears.
func (t *stages) ready(_ turn.Kind, now time.Duration) { mark(&t.text, now) }

func (t *stages) sounded(now time.Duration) { mark(&t.sound, now) }

func mark(t *time.Duration, now time.Duration) {
	if *t < 0 {
		*t = now
	}
}

// heard closes the turn's account of time when its first sound left us. The
// times are in order, each stage beginning where the one before it ended
// (INV16): what was done before the turn was taken costs it nothing.
func (t *stages) heard(kind turn.Kind, now time.Duration) ([]Field, bool) {
	if t.turn == 0 || t.done || t.text < 0 {
		return nil, false
	}
	t.done = true
	sub := func(a, b time.Duration) time.Duration {
		if a < 0 || b < 0 {
			return 0
		}
		return max(0, a-b)
	}
	begun := max(t.asked, t.commit) // of the model's time that the caller waits for
	v2v := now - t.end
	policy := sub(t.commit, t.end)
	model := sub(t.text, begun)
	voice := sub(t.sound, t.text)
	return []Field{
		F("turn", t.turn),
		F("kind", kind.String()),
		F("endpoint_wait_ms", policy),
		F("stt_final_ms", sub(t.final, t.end)),
		F("llm_first_ms", sub(t.first, t.asked)),
		F("chunk_wait_ms", sub(t.text, max(t.first, begun))),
		F("tts_first_ms", voice),
		F("first_packet_ms", sub(now, t.sound)),
		F("engine_added_ms", max(0, v2v-policy-model-voice)),
		F("v2v_ms", v2v),
		F("spec_adopted", t.spec.Adopted > 0),
		F("spec_lead_ms", t.lead),
	}, true
}

// account is what else a turn came to, from its commit to the next one's; the
// call's is the sum of all.
type account struct {
	heard, total time.Duration // of our sound: heard, and made
	proof        turn.Proof    // of the interruption, "" for none
	suspends     int           // pauses for a sound of the caller's
	resumes      int
	echoes       int // words of our own that came back
	backchannels int
	falseAlarms  int           // interruptions after which nothing was said
	stuck        int           // times that the watchdog had to go on
	deadAir      time.Duration // the longest silence in which it was our turn
	stale        int           // things dropped that came of replies that were over, so far in the call
	quiet        time.Duration // since when we have been silent though it is our turn
}

func (a *account) add(b *account) {
	a.heard += b.heard
	a.total += b.total
	a.suspends += b.suspends
	a.resumes += b.resumes
	a.echoes += b.echoes
	a.backchannels += b.backchannels
	a.falseAlarms += b.falseAlarms
	a.stuck += b.stuck
	a.deadAir = max(a.deadAir, b.deadAir)
}

// sounds notes that a reply begins to be heard, silent that one has ended: from
// then on the silence is ours where something is still to be said.
func (a *account) sounds(now time.Duration) {
	if a.quiet > 0 {
		a.deadAir = max(a.deadAir, now-a.quiet)
	}
	a.quiet = 0
}

func (a *account) silent(agent turn.AgentState, now time.Duration) {
	if a.quiet = 0; agent != turn.Idle {
		a.quiet = now
	}
}

// closeTurn writes down what the turn came to, when the next one is taken or
// the call is over.
func (s *session) closeTurn() {
	a, st := &s.account, &s.stages
	s.total.add(a)
	stale := 0
	for _, n := range s.staleDropped() {
		stale += n
	}
	if st.turn > 0 {
		s.event(EventTurnSummary, F("turn", st.turn), F("heard_ms", a.heard), F("total_ms", a.total),
			F("interrupted", string(a.proof)), F("suspends", a.suspends), F("resumes", a.resumes),
			F("echo_suppressed", a.echoes), F("backchannels", a.backchannels), F("dead_air_max_ms", a.deadAir),
			F("stale_dropped", stale-a.stale), F("stuck", a.stuck), F("spec_tries", st.spec.Tries),
			F("spec_adopted", st.spec.Adopted), F("spec_lead_ms", st.lead), F("spec_wasted_tokens", st.spec.Wasted))
	}
	s.account = account{stale: stale}
}

// took counts how long the caller waited for something to be heard.
func (s *session) took(fields []Field) {
	for _, f := range fields {
		if ms, ok := f.Value.(int64); ok && f.Key == "v2v_ms" {
			s.v2v = append(s.v2v, float64(ms))
		}
	}
}

// percentile is the smallest value that at least the share q of all are not
// above, 0 of none. It sorts xs.
func percentile(xs []float64, q float64) float64 {
	if len(xs) == 0 {
		return 0
	}
	slices.Sort(xs)
	return xs[min(max(int(math.Ceil(q*float64(len(xs))))-1, 0), len(xs)-1)]
}
