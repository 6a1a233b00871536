package engine

import (
	"context"
	"encoding/json"
	"strings"

	"go.uber.org/zap"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/audio/playout"
	"github.com/patchcord/patchcord/engine/turn"
	"github.com/patchcord/patchcord/llm"
	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/telephony/bridge"
	"github.com/patchcord/patchcord/tools"
)

// joined is a caller who talks with the target of a transfer. The agent has left
// the line, or listens.
type joined struct {
	bridge         *bridge.Bridge
	caller, target *bridge.Party
	toCaller       *aside // whispers, nil before the first
	talking        bool   // they hear each other; before that the target is only heard
}

// overheard is what one of the two said while the agent listened.
type overheard struct{ speaker, text string }

// mostOverheard is how many of their last words the model is told of.
const mostOverheard = 40

// bridgeOver puts the two on a bridge: the caller's sound is still what the call
// hears and records.
func (s *session) bridgeOver() *joined {
	if j := s.moving.joined; j != nil {
		return j
	}
	c := s.moving.consult
	j := &joined{bridge: bridge.New(bridge.Config{Pressed: func(_ *bridge.Party, key byte, err error) {
		if err != nil {
			s.log.Debug("a key did not get across", zap.String("key", string(key)), zap.Error(err))
		}
	}})}
	keep := s.said()
	j.caller = j.bridge.Join(s.leg, bridge.Taps{Heard: s.listen, Sent: func(pcm []int16, sound bool) {
		if sound {
			keep(pcm)
		}
	}})
	theirs := bridge.Taps{}
	if c.ear != nil {
		theirs.Heard = c.ear
	}
	j.target = j.bridge.Join(c.leg, theirs)
	if c.lips != nil {
		j.bridge.Voice(c.lips.out, j.target).SpeakTo(j.target)
	}
	j.target.SpeakTo(j.caller)
	s.moving.joined = j
	return j
}

// join lets the caller talk with who has taken the call.
func (s *session) join() {
	j := s.bridgeOver()
	j.talking = true
	j.caller.SpeakTo(j.target)
	j.caller.KeysTo(j.target)
	j.target.KeysTo(j.caller)
	s.listen.away.Store(!s.overhears())
	if !s.overhears() && s.earsOff != nil {
		s.earsOff()
	}
	s.progress("joined", 0)
	s.transferOver(outcome{ResultAnswered, ""})
	s.step(turn.TransferJoined{ID: s.moving.id})
}

// overhears says whether the agent listens to the two.
func (s *session) overhears() bool {
	return s.moving.to.Kind == tools.Monitored && !s.server.listening()
}

// unjoin takes the caller's sound back.
func (s *session) unjoin() {
	j := s.moving.joined
	j.bridge.Close()
	s.leg.Connect(s.listen, s.sound)
	if j.talking && !s.overhears() {
		s.listenAgain()
	}
}

// targetThere goes on when somebody has taken the call: of a monitored transfer
// the caller is told first.
func (s *session) targetThere() {
	m := &s.moving
	if m.to.Kind != tools.Monitored {
		if m.to.Kind == tools.Warm {
			s.progress("accepted", 0)
			s.refer(telephony.ReferTo{Target: m.to.To, Replaces: m.consult.leg}, false)
			return
		}
		s.join()
		return
	}
	if s.m.Call() != turn.Live {
		s.transferFailed(outcome{ResultCancelled, "the call is " + s.m.Call().String()})
		return
	}
	s.progress("accepted", 0)
	m.consult.box.put(whisper{m.consult.lips, m.consult.script.connecting})
	if c := s.calls[m.call]; c != nil && !c.over {
		s.finished(c, tools.Result{JSON: json.RawMessage(`{"status":"connected"}`), Status: tools.OK})
		s.step(turn.AsyncDone{ID: m.call, Untold: true})
	}
	id := m.id
	s.step(turn.TransferStarted{ID: id, Announcement: m.to.Message})
	if s.m.Call() != turn.Handover && !s.ended {
		s.transferOver(outcome{ResultRefused, "nobody is there to be handed over"})
		s.letGo()
	}
}

// consulted is news of the other party's leg.
func (s *session) consulted(n consultNews) {
	if n.c != s.moving.consult {
		return
	}
	switch {
	case n.status != "":
		s.progress(n.status, n.code)
	case n.failed != nil:
		s.transferFailed(*n.failed)
	case n.early:
		s.bridgeOver()
	case n.accepted:
		s.targetThere()
	case n.over != nil:
		s.targetLeft(*n.over)
	case n.said != "":
		s.overhear("target", n.said)
	case n.key.Key != 0:
		s.targetPressed(n.key)
	}
}

// targetLeft is the other party's end of the conversation.
func (s *session) targetLeft(c telephony.Cause) {
	m := &s.moving
	switch {
	case m.joined == nil || !m.joined.talking:
		s.transferFailed(gone(c))
	case m.to.Returns:
		s.stepIn("target_left")
	default:
		id := m.id
		s.event(EventTransferReturned, F("id", id), F("reason", "target_left"), F("ends", true))
		m.joined.bridge.Close()
		s.step(turn.TransferResult{ID: id, OK: true})
	}
}

// stepIn gives the caller back to the agent, who is told what the two said.
func (s *session) stepIn(reason string) {
	m := s.moving
	s.event(EventTransferReturned, F("id", m.id), F("reason", reason), F("ends", false))
	s.letGo()
	if len(m.talk) > 0 {
		b, err := json.Marshal(map[string]any{"while_they_talked": lines(m.talk)})
		if err == nil { // strings always are
			s.transcript.context(llm.ContextPrefix + string(b))
		}
	}
	s.step(turn.TransferResult{ID: m.id, Reason: reason})
}

func lines(talk []overheard) []string {
	out := make([]string, len(talk))
	for i, o := range talk {
		out[i] = o.speaker + ": " + o.text
	}
	return out
}

// talking says whether the caller talks with somebody else now.
func (s *session) talking() bool { return s.moving.joined != nil && s.moving.joined.talking }

// overhear keeps what one of the two said.
func (s *session) overhear(speaker, text string) {
	if !s.talking() || !s.overhears() {
		return
	}
	role := speaker
	if role == "caller" {
		role = "user"
	}
	it := Item{Role: role, Text: text, Turn: s.m.Turn(), AtMS: s.out.Now().Milliseconds()}
	s.record.Transcript = append(s.record.Transcript, it)
	s.event(EventTurnOverheard, F("speaker", speaker), F("text", text))
	m := &s.moving
	if m.talk = append(m.talk, overheard{speaker, text}); len(m.talk) > mostOverheard {
		m.talk = m.talk[1:]
	}
	said := " " + turn.Normal(text) + " "
	for _, p := range m.to.ReturnPhrases {
		if p = turn.Normal(p); p != "" && strings.Contains(said, " "+p+" ") {
			s.stepIn("asked")
			return
		}
	}
}

// between is a key of one of the two: it is the other's, or calls the agent.
func (s *session) between(d telephony.Digit, from *bridge.Party) {
	if k := s.moving.to.ReturnKey; k != "" && d.Key == k[0] {
		s.stepIn("asked")
		return
	}
	if err := from.Press(d); err != nil {
		s.log.Info("a key is lost", zap.Error(err))
	}
}

func (s *session) targetPressed(d telephony.Digit) {
	if s.talking() {
		s.between(d, s.moving.joined.target)
	}
}

// whisperCommand is what one of the two is to hear from the agent alone.
type whisperCommand struct {
	toCaller bool
	text     string
}

// whispers says something to one of two who talk.
func (s *session) whispers(w whisperCommand) {
	m := &s.moving
	if !s.talking() {
		if !w.toCaller { // the caller talks with the agent, who goes by it
			s.injected(injectCommand{text: w.text})
		}
		return
	}
	c, j := m.consult, m.joined
	to := c.lips
	switch {
	case w.toCaller:
		if j.toCaller == nil {
			j.toCaller = s.aside(s.leg.Info(), c.box)
			j.bridge.Voice(j.toCaller.out, j.caller).SpeakTo(j.caller)
		}
		to = j.toCaller
	case to == nil:
		to = s.aside(c.leg.Info(), c.box)
		c.lips = to
		j.bridge.Voice(to.out, j.target).SpeakTo(j.target)
	}
	c.box.put(whisper{to, w.text})
}

// aside makes what speaks in the call's voice to a leg other than by the call's
// own playout. What it tells goes to box.
func (s *session) aside(info telephony.Info, box *mailbox) *aside {
	a := s.voiceFor()
	return a(info, box)
}

// voiceFor makes asides, on any goroutine.
func (s *session) voiceFor() func(telephony.Info, *mailbox) *aside {
	policy, speaker := *s.m.Policy(), s.speaker()
	t, id, cps, cache := *s.tongue, s.id, s.pacer(), s.e.phrases
	return func(info telephony.Info, box *mailbox) *aside {
		rate := info.Format.Rate
		if rate == 0 {
			rate = 8000
		}
		format := audio.Format{Encoding: info.Format.Encoding, Rate: rate}
		a := &aside{}
		a.out = playout.New(rate, func(e playout.Edge) {
			if e.Kind == playout.Played {
				box.must(spokenAll{})
			}
			a.poke()
		})
		a.speak = func(g turn.Gen, text string) *voice {
			v := &voice{
				g: g, out: a.out, voices: t.voices, rate: rate, cache: cache, work: box, req: t.request(format, id), cps: cps,
				breath: policy.SentencePause, coming: map[int]*coming{}, wake: make(chan struct{}, 1),
			}
			for _, p := range fixedPieces(&policy, text, speaker, false) {
				if said := speaker.Speak(p.raw); said.Text != "" {
					v.add(&segment{at: p.at, raw: p.raw, said: said})
				}
			}
			v.end()
			return v
		}
		return a
	}
}

// consultTarget calls the other party; claimed tells that the call was counted
// already.
func (s *session) consultTarget(claimed bool) {
	m := &s.moving
	ctx, cancel := context.WithCancel(s.ctx)
	info := s.leg.Info()
	dest := telephony.Destination{
		To: m.to.To, Trunk: telephony.TrunkID(m.to.Trunk), RingTimeout: m.to.Timeout, Prefer: info.Codec,
		Headers: map[string]string{"X-Call-ID": string(s.id)}, Diverted: passedOn(info), Passports: info.Passports,
		Caller: info.From, CallerName: info.FromName,
	}
	if info.Direction == telephony.Outbound {
		dest.Caller, dest.CallerName = info.To, ""
	}
	if dest.Trunk == "" && !strings.HasPrefix(strings.ToLower(dest.To), "sip:") {
		dest.Trunk = info.Trunk
	}
	c := &consult{
		to: m.to, dialer: s.e.cfg.Dialer, dest: dest, claim: s.claim(m.to.To), unclaim: s.e.unclaim,
		language: s.language(), options: s.hearing(info), speech: s.voiceFor(), connect: m.to.Kind == tools.Cold,
		news: s.work, box: newMailbox(0), cancel: cancel,
	}
	if p, ok := s.e.cfg.STT[s.tongue.stt]; ok {
		c.chain = sttChain(s.tongue.stt, p)
	}
	if claimed {
		c.claim = func(context.Context) error { return nil }
	}
	if !c.connect {
		c.script = s.scriptOf(m.to)
		c.summary = s.summaryFor(ctx, m.to)
	}
	m.consult = c
	s.wg.Go(func() { c.run(ctx) })
}
