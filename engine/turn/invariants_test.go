package turn

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// checker steps a machine and checks, after each Step, what must hold in every
// call: the invariants (docs/conformance.md) that live in the machine.
// Its ledger is what a shell knows from effects alone. A rule about a state goes
// into laws, one about an effect into effect.
type checker struct {
	fail func(format string, args ...any)
	m    *Machine
	now  time.Duration

	trace bool // print what happens

	ev                 Event     // the step's
	before             CallState // before it
	audible            Gen       // what was audible before it, 0 for nothing
	locked             bool      // … and could not be interrupted
	voiced             bool      // whether the detector heard a voice before it
	live, over         map[Gen]bool
	kind               map[Gen]Kind
	started            map[Gen]bool
	front              Gen
	paused             bool
	ahead              Gen // speculative, neither adopted nor discarded
	answers            map[answerKey]Gen
	turns              int
	items              map[int]string // what the turns came to
	open               map[int]bool   // turns whose words are to come
	dropped            strings.Builder
	proposed           map[string]bool // calls, and whether who made them was live
	running            map[string]bool
	ran                map[string]bool // … ever
	away               map[string]bool // asynchronous ones, answered at once
	settled            map[string]bool
	holding            bool            // the sound of waiting is on
	node               string          // of the flow
	actions            map[string]bool // its actions that run
	ends               int             // terminal calls that took effect
	said               []string
	keys               int // pressed and taken
	lastEnd            time.Duration
	drains             time.Duration // since when the call is draining
	hungUp             bool
	commits, bargeIns  int
	paused1, resumed1  int
	steps              int
	ignoredBefore      int
	speculated, adoped int
}

type answerKey struct{ turn, rev, step int }

func newChecker(p Policy, fail func(string, ...any)) *checker {
	return &checker{
		fail: fail, m: New(p), live: map[Gen]bool{}, over: map[Gen]bool{}, kind: map[Gen]Kind{}, started: map[Gen]bool{},
		answers: map[answerKey]Gen{}, items: map[int]string{}, open: map[int]bool{}, proposed: map[string]bool{},
		running: map[string]bool{}, ran: map[string]bool{}, away: map[string]bool{}, settled: map[string]bool{},
	}
}

// law is what holds in every state after a Step: its text says what is wrong.
type law struct {
	id    string
	wrong func(c *checker) string
}

// laws are the rules about states.
var laws = []law{
	{"liveness", func(c *checker) string { return c.m.Stuck() }},
	{"INV3", func(c *checker) string {
		a := c.m.Agent()
		sounds := a == Audible || a == Suspended || a == Locked
		return unless(sounds == (c.front != 0 && c.started[c.front]), "the agent's floor is not what sounds")
	}},
	{"INV4", func(c *checker) string {
		if (c.m.Agent() == Suspended) != (c.front != 0 && c.started[c.front] && c.paused) {
			return "suspended and paused differ"
		}
		over := c.m.Agent() == Suspended && c.m.call == Live && !c.m.voice &&
			c.now > max(c.m.end, c.m.pausedAt)+c.m.policy.ResumeCap
		return unless(!over, "suspended for longer than the cap")
	}},
	{"INV6", func(c *checker) string {
		held := c.m.front == nil && c.m.holdUntil > 0 && c.now > c.m.holdUntil && c.m.call == Live &&
			!c.m.anything() && !c.m.proven && c.m.next() != nil && !c.m.armed(tGap)
		return unless(!held, "a reply is held for a sound without words")
	}},
	{"INV13", func(c *checker) string {
		_, idle := c.ev.(AudioIdle)
		return unless(!idle || c.m.call == Ended || c.m.user != Onset && c.m.user != Speaking && !c.m.voice, "speaking on a dead line")
	}},
	{"INV15", func(c *checker) string {
		m, p := c.m, &c.m.policy
		if m.user != Pausing || m.voice || !m.anything() || m.call != Live || len(m.digits) > 0 ||
			m.collect != nil && m.collect.HoldSpeech || m.opening != nil ||
			m.front != nil && m.front.started && !m.interruptible() {
			return ""
		}
		wait := max(p.WaitCap, p.STTWait)
		if m.slow {
			wait = max(wait, p.SlowMax)
		}
		return unless(m.armed(tCommit) && m.timer[tCommit] <= max(c.now, m.end+wait), "words wait for no commit")
	}},
	{"INV31", func(c *checker) string {
		if !c.m.armed(tSilence) {
			return ""
		}
		filling := slices.ContainsFunc(c.m.line, (*reply).filling)
		return unless(c.m.running() == nil && !filling, "silence is counted under a tool or a filler")
	}},
	{"INV34", func(c *checker) string {
		long := c.m.call == Draining && c.now > c.drains+c.m.policy.DrainCap+c.m.policy.FinishCap
		return unless(!long, "the goodbye takes for ever")
	}},
	{"INV46", func(c *checker) string {
		g, fenced := workerGen(c.ev)
		if !fenced || c.liveBefore(g) {
			return ""
		}
		return unless(c.ignored() > c.ignoredBefore, "an event of a reply that is over was not counted")
	}},
}

// workerGen is the reply that an event of a worker is of.
func workerGen(ev Event) (Gen, bool) {
	switch e := ev.(type) {
	case Started:
		return e.G, true
	case Played:
		return e.G, true
	case Audio:
		return e.G, true
	case Fed:
		return e.G, true
	case LLMErr:
		return e.G, true
	case Useful:
		return e.G, true
	}
	return 0, false
}

// effectGen is the reply that an effect is of.
func effectGen(e Effect) (Gen, bool) {
	switch e := e.(type) {
	case StartReply:
		return e.G, true
	case Say:
		return e.G, true
	case Play:
		return e.G, true
	case Pause:
		return e.G, true
	case Resume:
		return e.G, true
	case Cancel:
		return e.G, true
	case Finish:
		return e.G, true
	case Adopt:
		return e.G, true
	case StopModel:
		return e.G, true
	case Shorten:
		return e.G, true
	}
	return 0, false
}

func (c *checker) ignored() int {
	n := 0
	for _, k := range c.m.ignored {
		n += k
	}
	return n
}

// liveBefore says whether a reply was live when the step began: it ended in it
// or is live still.
func (c *checker) liveBefore(g Gen) bool { return c.live[g] || c.endedNow(g) }

// endedNow says whether the step's effects ended a reply.
func (c *checker) endedNow(g Gen) bool {
	for _, e := range c.m.out {
		switch e := e.(type) {
		case Cancel:
			if e.G == g {
				return true
			}
		case Finish:
			if e.G == g {
				return true
			}
		}
	}
	return false
}

// step steps the machine and checks all.
func (c *checker) step(ev Event) []Effect {
	m := c.m
	c.ev, c.before, c.steps, c.ignoredBefore = ev, m.Call(), c.steps+1, c.ignored()
	c.audible, c.locked, c.voiced = 0, false, m.voice
	if m.front != nil && m.front.started {
		c.audible, c.locked = m.front.g, m.front.locked
	}
	c.noteEvent(ev)
	out := m.Step(ev, c.now)
	if c.before != Draining && m.Call() == Draining {
		c.drains = c.now
	}
	if c.trace {
		fmt.Printf("%8d %T%+v: %v %v %v\n", c.now.Milliseconds(), ev, ev, m.call, m.user, m.Agent())
	}
	for _, e := range out {
		if c.trace {
			fmt.Printf("%8s   %T%+v\n", "", e, e)
		}
		c.effect(e)
	}
	for _, l := range laws {
		if what := l.wrong(c); what != "" {
			c.fail("%s: %s, after %T%+v: call %v, caller %v, agent %v", l.id, what, ev, ev, m.call, m.user, m.Agent())
		}
	}
	if m.Call() == Ended && len(c.live) > 0 {
		c.fail("INV22: %d replies without an end after the call's", len(c.live))
	}
	return out
}

// noteEvent enters an event into the ledger.
func (c *checker) noteEvent(ev Event) {
	switch e := ev.(type) {
	case Started:
		if c.live[e.G] && e.G == c.front {
			c.started[e.G] = true
		}
	case ToolDone:
		delete(c.running, e.ID)
	case LLMDone:
		for _, call := range e.Calls {
			c.proposed[call.ID] = c.live[e.G] && !call.Refused
		}
	}
}

// effect checks one effect and enters it into the ledger.
func (c *checker) effect(e Effect) {
	if c.hungUp {
		c.fail("INV46: %T%+v after the hang-up", e, e)
	}
	g, has := effectGen(e)
	switch e.(type) {
	case StartReply, Say:
		if c.live[g] || c.over[g] {
			c.fail("generation %d is used again", g)
		}
		c.live[g] = true
	default:
		if has && !c.live[g] {
			c.fail("INV46: %T%+v of a reply that is not live", e, e)
		}
	}
	if has && c.ahead != 0 && g == c.ahead {
		switch e.(type) {
		case Adopt, Cancel:
		default:
			c.fail("INV30: %T%+v of a speculative reply", e, e)
		}
	}
	switch e := e.(type) {
	case CommitUser:
		c.committed(e)
	case HeardUser:
		if e.Turn < 1 || e.Turn > c.turns || !c.open[e.Turn] {
			c.fail("words of turn %d of %d, which waits for none", e.Turn, c.turns)
		}
		c.items[e.Turn] = e.Text
		c.later(e.Turn, e.Later)
	case Drop:
		if e.Reason != "duplicate" { // else it is in an item
			c.dropped.WriteString(e.Text + "\n")
		}
	case StartReply:
		for id := range c.actions {
			if c.running[id] {
				c.fail("conv:W18: %+v does not wait for %s of the node %s", e, id, c.node)
			}
		}
		c.asked(e)
	case Adopt:
		if e.G != c.ahead {
			c.fail("adopted %d, prepared is %d", e.G, c.ahead)
		}
		c.ahead = 0
		c.adoped++
		c.oneAnswer(e.Turn, 0, e.G)
	case Say:
		c.kind[e.G] = e.Kind
	case Play:
		if c.front != 0 {
			c.fail("INV9: %d played over %d", e.G, c.front)
		}
		c.front = e.G
	case Pause:
		if e.G != c.front || c.locked && c.m.call == Live && c.before == Live {
			c.fail("INV7: paused %d, %d is in front, locked %v", e.G, c.front, c.locked)
		}
		c.paused = true
		c.paused1++
	case Resume:
		c.paused = false
		c.resumed1++
	case Cancel:
		c.cancelled(e)
	case Finish:
		c.end(e.G)
	case RunTool:
		c.runs(e.ID)
	case EnterNode:
		c.entered(e)
	case HoldSound:
		if e.On == c.holding {
			c.fail("the sound of waiting is %v already", e.On)
		}
		c.holding = e.On
	case SettleTool:
		c.result(e)
	case HangUp:
		c.hangUp(e)
	}
}

func (c *checker) committed(e CommitUser) {
	c.commits++
	if !e.Amend && e.Turn != c.turns+1 || e.Amend && e.Turn != c.turns {
		c.fail("INV17: turn %d after %d, amend %v", e.Turn, c.turns, e.Amend)
	}
	if e.End > c.now || e.End < c.lastEnd {
		c.fail("INV16: a turn's speech ended at %v, the last one's at %v, now is %v", e.End, c.lastEnd, c.now)
	}
	_, keyed := c.ev.(Digit)
	noise := c.now-c.m.lastWords >= c.m.policy.HardStop
	answered := slices.ContainsFunc(c.m.out, func(e Effect) bool { // else it is kept, and no turn ends
		_, asked := e.(StartReply)
		_, adopted := e.(Adopt)
		return asked || adopted
	})
	if answered && c.m.voice && c.voiced && !keyed && !noise && e.Keys == "" && c.m.call == Live && !c.m.proven {
		c.fail("INV14: %+v is committed under a voice", e)
	}
	c.turns, c.lastEnd = e.Turn, e.End
	c.items[e.Turn] = e.Text
	c.later(e.Turn, e.Later)
}

// later notes whether words of a turn are still to come.
func (c *checker) later(turn int, more bool) {
	delete(c.open, turn)
	if more {
		c.open[turn] = true
	}
}

func (c *checker) asked(e StartReply) {
	// Two deadlines may come in one step: that of a turn, and that of the call.
	if call := c.m.Call(); call != Live && call != Held && c.before != Live && c.before != Held {
		c.fail("conv:H7: a reply starts in %v", call)
	}
	switch {
	case e.Speculative:
		c.speculated++
		if c.ahead != 0 || c.m.Call() != Live {
			c.fail("%+v beside %d in %v", e, c.ahead, c.m.Call())
		}
		c.ahead = e.G
	case len(e.News) == 0 && !e.Continue: // else it is no answer, or the rest of one
		c.oneAnswer(e.Turn, e.Step, e.G)
	}
}

// oneAnswer notes the one reply to a step of a turn.
func (c *checker) oneAnswer(turn, step int, g Gen) {
	key := answerKey{turn, c.m.committedRev, step}
	if old, ok := c.answers[key]; ok && !c.over[old] {
		c.fail("INV10: two replies to %+v", key)
	}
	c.answers[key] = g
}

func (c *checker) cancelled(e Cancel) {
	if e.Interrupted {
		c.bargeIns++
	}
	switch {
	case e.Interrupted && c.locked && e.G == c.audible:
		c.fail("INV7: %+v of what cannot be interrupted", e)
	case e.Proof != "" && e.Proof != ProofDigit && c.audible == 0:
		c.fail("INV11: %+v with nothing audible", e)
	}
	switch c.ev.(type) {
	case VoiceStart, VoiceEnd, Voiced, AudioIdle, STTDown, Endpoint, EOT:
		if (e.Reason == "absorbed" || e.Reason == "barge_in") && c.audible == 0 {
			c.fail("INV6: %+v for a sound without words", e)
		}
	}
	c.end(e.G)
	if e.G == c.ahead {
		c.ahead = 0
	}
}

func (c *checker) end(g Gen) {
	delete(c.live, g)
	c.over[g] = true
	if c.front == g {
		c.front, c.paused = 0, false
	}
}

func (c *checker) runs(id string) {
	if !c.proposed[id] {
		c.fail("INV25: %s runs, though who proposed it was gone", id)
	}
	if c.before == Draining || c.m.Call() == Ended {
		c.fail("INV25: %s starts in a call that ends", id)
	}
	if c.ran[id] || c.settled[id] {
		c.fail("INV24: %s runs twice, or after its result", id)
	}
	c.running[id], c.ran[id] = true, true
}

// entered checks that one node is left as the other is entered, after the words
// that led there.
func (c *checker) entered(e EnterNode) {
	if e.From != c.node {
		c.fail("INV28: %+v, the call is in %q", e, c.node)
	}
	if e.Call != "" && c.turns == 0 {
		c.fail("INV18: %+v before the caller's words", e)
	}
	c.node, c.actions = e.To, map[string]bool{}
	for _, id := range e.Actions {
		c.actions[id], c.proposed[id] = true, true
	}
}

func (c *checker) result(e SettleTool) {
	if c.settled[e.ID] {
		c.fail("INV24: %+v is a second result", e)
	}
	c.settled[e.ID] = true
	delete(c.running, e.ID)
	if e.Code == "started" {
		c.away[e.ID] = true
	}
	if e.OK && e.Code == "ended" {
		if c.ends++; c.ends > 1 {
			c.fail("INV29: the call was ended %d times", c.ends)
		}
	}
}

func (c *checker) hangUp(e HangUp) {
	c.hungUp = true
	_, lost := c.ev.(MediaLost)
	if c.front != 0 && c.kind[c.front] == Goodbye && !lost && c.now < c.drains+c.m.policy.DrainCap {
		c.fail("INV33: %+v over the goodbye", e)
	}
}

// word is a word that no other final has.
func (c *checker) word() string {
	text := fmt.Sprintf("order w%dw", len(c.said))
	if call := c.m.Call(); call != Setup && call != Ended {
		c.said = append(c.said, text[6:])
	}
	return text
}

// kept checks, at the end, that no final and no key was lost, and none became
// two items.
func (c *checker) kept() {
	all := strings.Join(slices.Collect(maps.Values(c.items)), "\n")
	for _, s := range c.said {
		n, dropped := strings.Count(all, s), strings.Count(c.dropped.String(), s)
		if n+dropped != 1 {
			c.fail("INV12: %s is in the items %d times, was dropped %d times: %v", s, n, dropped, c.items)
		}
	}
	if n := strings.Count(all, "A"); n != c.keys {
		c.fail("INV42: %d keys are in the items, %d were pressed: %v", n, c.keys, c.items)
	}
	if len(c.open) > 0 {
		c.fail("turns %v wait for words for ever", c.open)
	}
	if c.m.Call() != Ended {
		at, _ := c.m.Next()
		c.fail("INV36: left alone, the call never ended: %v %v %v, now %v, next %v", c.m.Call(), c.m.User(), c.m.Agent(),
			c.now, at)
	}
}
