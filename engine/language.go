package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/audio/stt"
	"github.com/patchcord/patchcord/audio/tts"
	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/engine/turn"
	"github.com/patchcord/patchcord/llm"
	"github.com/patchcord/patchcord/telephony"
)

// tongue is a language that the call can be held in: who hears it, who speaks
// it. A reply keeps the one it began in (conv:N2).
type tongue struct {
	language string
	voice    string
	greeting string
	stt      string // name in the configuration
	voices   []namedVoice
}

// spareLife is how long a recogniser that was opened for a language the call
// may change to is kept.
const spareLife = 10 * time.Second

// spare is a recogniser that is opened, or open, beside the one that listens,
// for a language that the call may change to (conv:N4).
type spare struct {
	language string
	wanted   bool // the call has changed to it
	from     string
	ears     ears // open when its stream is there
	timer    *time.Timer
	cancel   context.CancelFunc
}

// spareOpen tells that a spare is open, or why not; spareOld that nobody wanted it.
type (
	spareOpen struct {
		sp     *spare
		stream stt.Stream
		err    error
	}
	spareOld struct{ sp *spare }
)

// openTongues finds the languages of the call; the first is the agent's own.
func (s *session) openTongues() error {
	own := agent.Tongue{Language: s.agent.Language, Voice: s.agent.Voice, Greeting: s.agent.Greeting}
	if own.Greeting == "" {
		own.Greeting = s.agent.FirstMessage
	}
	var fault error
	for i, t := range append([]agent.Tongue{own}, s.agent.Languages...) {
		made, err := s.openTongue(t, i == 0)
		if fault == nil {
			fault = err
		}
		s.tongues = append(s.tongues, made)
	}
	s.tongue = &s.tongues[0]
	if t := s.find(s.begins()); t != nil {
		s.tongue = t
	}
	return fault
}

// openTongue finds the recogniser and the voices of a language.
func (s *session) openTongue(t agent.Tongue, own bool) (tongue, error) {
	if t.STT == "" {
		t.STT = s.agent.STT
	}
	if t.TTS == "" {
		t.TTS = s.agent.TTS
	}
	made := tongue{language: t.Language, voice: t.Voice, greeting: t.Greeting, stt: t.STT}
	var err error
	if made.voices, err = s.e.voicesOf(t, own); err != nil {
		return made, err
	}
	_, err = pick(s.e.cfg.STT, t.STT, "stt")
	return made, err
}

// voicesOf are the voices of a language: the one it names, and those that stand
// behind it, which are not asked for what that one calls its voice. The default
// stands behind those of the agent's own language.
func (e *Engine) voicesOf(t agent.Tongue, own bool) ([]namedVoice, error) {
	first, err := pick(e.cfg.TTS, t.TTS, "tts")
	if err != nil {
		return nil, err
	}
	var out []namedVoice
	add := func(chain tts.Chain) {
		for _, n := range chain {
			if !slices.ContainsFunc(out, func(o namedVoice) bool { return o.name == n.Name }) {
				out = append(out, namedVoice{name: n.Name, p: n.Provider})
			}
		}
	}
	add(tts.ChainOf(orDefault(t.TTS), first))
	if fallback, ok := e.cfg.TTS[""]; ok && t.TTS != "" && own {
		add(tts.ChainOf(orDefault(""), fallback))
	}
	out[0].voice = t.Voice
	return out, nil
}

// begins is the language that the call was started in by its variable language,
// "" where that is none of the agent's.
func (s *session) begins() string {
	want, _ := s.vars["language"].(string)
	for _, tag := range s.agent.Tags() {
		if strings.EqualFold(tag, want) {
			return tag
		}
	}
	return ""
}

// find is the tongue of a language, nil for one that the call does not have.
func (s *session) find(language string) *tongue {
	for i := range s.tongues {
		if strings.EqualFold(s.tongues[i].language, language) {
			return &s.tongues[i]
		}
	}
	return nil
}

// request is what a voice of the call is asked for, but for the text.
func (t *tongue) request(format audio.Format, id telephony.CallID) tts.Request {
	return tts.Request{Voice: t.voice, Language: t.language, Format: format, CallID: string(id)}
}

// inLanguage tells the model which language the call has changed to.
func (s *session) inLanguage() []llm.Message {
	if s.tongue == &s.tongues[0] {
		return nil
	}
	return []llm.Message{{Role: llm.System, Content: fmt.Sprintf(
		"The caller speaks the language with the tag %q. Answer in that language from now on.", s.tongue.language)}}
}

// expectLanguage prepares for a language that the caller may be speaking: its
// recogniser is opened beside the one that listens.
func (s *session) expectLanguage(language string) {
	t := s.find(language)
	if t == nil || t.stt == s.tongue.stt || s.spare != nil && s.spare.language == language {
		return
	}
	s.dropSpare()
	s.openSpare(t)
}

// openSpare opens a recogniser, or says by the policy's wait that it could not.
func (s *session) openSpare(t *tongue) {
	o := s.hears
	o.Language = t.language
	sp := &spare{language: t.language, ears: ears{chain: stt.ChainOf(orDefault(t.stt), s.e.cfg.STT[t.stt]), options: o}}
	ctx, cancel := context.WithCancelCause(s.ctx)
	sp.cancel = func() { cancel(nil) }
	s.spare = sp
	wait, work := s.m.Policy().LanguageSwitch.Wait, s.work
	s.wg.Go(func() {
		slow := time.AfterFunc(wait, func() { cancel(errStreamSlow) })
		var st stt.Stream
		err := guarded(func() (err error) { st, err = sp.ears.chain.Open(ctx, o); return err })
		if !slow.Stop() && err == nil { // it came in the moment it was given up
			_ = st.Close()
			err = errStreamSlow
		}
		if err != nil && errors.Is(context.Cause(ctx), errStreamSlow) {
			err = errStreamSlow
		}
		work.put(spareOpen{sp, st, err})
	})
}

// spareOpened takes a spare that is open: it listens at once if the call has
// changed to its language, and waits for a while if it may.
func (s *session) spareOpened(e spareOpen) {
	if e.sp != s.spare {
		e.close()
		return
	}
	if e.err != nil {
		s.spare = nil
		e.sp.cancel()
		s.failed("stt", e.sp.ears.chain[0].Name, e.err)
		if e.sp.wanted { // who cannot be heard is not spoken to (conv:N3)
			s.speakIn(s.find(e.sp.from), "recogniser_failed")
			s.step(turn.SetLanguage{Tag: e.sp.from})
		}
		return
	}
	e.sp.ears.stream, e.sp.ears.cancel = e.stream, e.sp.cancel
	if e.sp.wanted {
		s.handOver()
		return
	}
	work, sp := s.work, e.sp
	sp.timer = time.AfterFunc(spareLife, func() { work.put(spareOld{sp}) })
}

func (e spareOpen) close() {
	if e.stream != nil {
		_ = e.stream.Close() // nobody wants it any more
	}
	e.sp.cancel()
}

// handOver lets the spare listen from now on, with the sound whose words are not
// settled.
func (s *session) handOver() {
	sp := s.spare
	s.spare = nil
	if sp.timer != nil {
		sp.timer.Stop()
	}
	s.ears.change(sp.ears)
}

// dropSpare gives a spare up that is not wanted.
func (s *session) dropSpare() {
	sp := s.spare
	if sp == nil {
		return
	}
	s.spare = nil
	if sp.timer != nil {
		sp.timer.Stop()
	}
	sp.ears.close()
	sp.cancel()
}

// switchLanguage changes the call's language: replies that begin from now on
// are spoken in it (conv:N2), and its recogniser listens as soon as it is open.
func (s *session) switchLanguage(e turn.SwitchLanguage) {
	t := s.find(e.To)
	if t == nil {
		return
	}
	heard := s.tongue.stt
	s.speakIn(t, "caller")
	if s.spare != nil && s.spare.language != t.language {
		s.dropSpare()
	}
	switch {
	case t.stt == heard:
	case s.spare == nil:
		s.openSpare(t)
		s.spare.wanted, s.spare.from = true, e.From
	default:
		s.spare.wanted, s.spare.from = true, e.From
		if s.spare.ears.stream != nil {
			s.handOver()
		}
	}
}

// speakIn makes a tongue the call's.
func (s *session) speakIn(t *tongue, reason string) {
	if t == nil || t == s.tongue {
		return
	}
	s.event(EventLanguageChanged, F("from", s.tongue.language), F("to", t.language), F("reason", reason))
	s.tongue = t
	s.vars["language"] = t.language
}
