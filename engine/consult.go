package engine

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/audio/playout"
	"github.com/patchcord/patchcord/audio/stt"
	"github.com/patchcord/patchcord/engine/turn"
	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/tools"
)

// The patience with whoever is called for a transfer.
const (
	ringGrace  = 5 * time.Second         // beyond the leg's own ringing time
	screenFor  = 4 * time.Second         // after the answer, in which a mailbox is told from a person
	quietFor   = 10 * time.Second        // after it, a person may say nothing: then only a mailbox's own words count
	screenLong = 2500 * time.Millisecond // of uninterrupted greeting is a mailbox's
	briefWait  = 2 * time.Second         // after the answer, for a summary that is not written yet
	briefMost  = time.Minute             // for the briefing to be heard
	acceptFor  = 10 * time.Second        // for an answer to it, twice
	hangUpFor  = 5 * time.Second
)

// consult is the leg to whoever the caller is to be handed over to. Its one
// goroutine dials, tells a person from a mailbox, tells them of the call, and
// stays with the leg until that is over: it hangs up whatever happens. The
// session hears of it by consultNews and ends it by cancel.
type consult struct {
	to       tools.Transfer
	dialer   telephony.Dialer
	dest     telephony.Destination
	claim    func(context.Context) error
	unclaim  func()    // takes it back
	chain    stt.Chain // who listens to them
	options  stt.Options
	language string
	script   script
	summary  <-chan string                         // 1: of the call; nil: none is made
	speech   func(telephony.Info, *mailbox) *aside // makes what speaks to them
	connect  bool                                  // the caller is heard and told at once when somebody is there
	news     *mailbox                              // the session's
	box      *mailbox                              // what the goroutine is told; no bound: edges, words, whispers
	cancel   context.CancelFunc
	wg       sync.WaitGroup // who listens and speaks

	// Set before the session is told that somebody is there.
	leg  telephony.Leg
	ear  *listener // nil: they are joined at once
	lips *aside
}

// consultNews is what becomes of a consult leg: one of its fields is set.
type consultNews struct {
	c        *consult
	status   string // a stage, and the SIP status it stands for
	code     int
	early    bool             // the far end gives sound before it answers
	accepted bool             // somebody is there who takes the call
	failed   *outcome         // nobody is
	over     *telephony.Cause // they have left
	key      telephony.Digit
	said     string // words of theirs
}

// whisper is what the goroutine is to say to somebody of those who talk.
type whisper struct {
	to   *aside
	text string
}

// spokenAll is the end of what an aside said.
type spokenAll struct{}

// firstSound is a sink that tells of the first frame that the network delivered.
type firstSound struct {
	box  *mailbox
	told bool
}

func (f *firstSound) Hear(frame audio.Frame) {
	if !f.told && !frame.Lost {
		f.told = true
		f.box.put(*f)
	}
}

func (c *consult) tell(n consultNews) {
	n.c = c
	c.news.put(n)
}

// run is the consult leg.
func (c *consult) run(ctx context.Context) {
	defer c.wg.Wait()
	defer c.cancel()
	if err := c.claim(ctx); err != nil {
		c.tell(consultNews{failed: &outcome{ResultFailed, err.Error()}})
		return
	}
	c.tell(consultNews{status: "dialing"})
	leg, err := c.dialer.Dial(ctx, c.dest)
	if err != nil {
		c.unclaim()
		c.tell(consultNews{failed: &outcome{ResultFailed, err.Error()}})
		return
	}
	c.leg = leg
	defer func() {
		leg.Connect(nil, nil)
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), hangUpFor)
		defer cancel()
		_ = leg.Hangup(end, telephony.Cause{Reason: telephony.ReasonNormal}) // over either way
	}()
	if o := c.reach(ctx); o.result != ResultAnswered {
		c.tell(consultNews{failed: &o})
		return
	}
	c.tell(consultNews{accepted: true})
	c.attend(ctx)
}

// next is what happens next: an event of the leg, an edge of their voice,
// words, or what the session wants; nil when the time has come or ctx has ended.
func (c *consult) next(ctx context.Context, until time.Time) any {
	t := time.NewTimer(time.Until(until))
	defer t.Stop()
	for {
		if item, ok := c.box.take(); ok {
			return item
		}
		select {
		case <-c.box.wake:
		case ev, ok := <-c.leg.Events():
			if !ok {
				return telephony.Ended{}
			}
			return ev
		case <-t.C:
			return nil
		case <-ctx.Done():
			return nil
		}
	}
}

// reach follows the leg until somebody is there who takes the call.
func (c *consult) reach(ctx context.Context) outcome {
	until := time.Now().Add(c.to.Timeout + ringGrace)
	for {
		switch ev := c.next(ctx, until).(type) {
		case nil:
			if ctx.Err() != nil {
				return outcome{ResultCancelled, ""}
			}
			return outcome{ResultNoAnswer, "it rang for too long"}
		case telephony.Ringing:
			c.tell(consultNews{status: "ringing", code: 180})
		case telephony.EarlyMedia:
			c.tell(consultNews{status: "early_media", code: 183})
			if c.connect {
				c.leg.Connect(&firstSound{box: c.box}, nil)
			}
		case firstSound:
			c.tell(consultNews{early: true})
		case telephony.Ended:
			return outcomeOf(ev.Cause)
		case telephony.Answered:
			c.tell(consultNews{status: "answered", code: 200})
			return c.answered(ctx)
		}
	}
}

// answered finds out who has answered, and whether they take the call.
func (c *consult) answered(ctx context.Context) outcome {
	if c.connect {
		return outcome{ResultAnswered, ""}
	}
	info := c.leg.Info()
	rate := info.Format.Rate
	if rate == 0 {
		rate = 8000
	}
	c.lips = c.speech(info, c.box)
	c.ear = newListener(audio.Format{Encoding: info.Format.Encoding, Rate: rate}, 0, c.box, nil)
	c.ear.beep = audio.NewBeepDetector(rate)
	c.ear.mailbox.Store(true)
	c.leg.Connect(c.ear, c.lips.out)
	if c.to.Kind == tools.Monitored || c.to.Accept != tools.AcceptKey {
		o := c.options
		o.Format = audio.Format{Encoding: info.Format.Encoding, Rate: rate}
		r := newRecogniser(c.ear.ring, c.box, ears{chain: c.chain, options: o})
		c.wg.Go(func() { r.run(ctx) })
	}
	if c.to.Kind == tools.Monitored && c.to.Accept == tools.AcceptNone {
		return c.screen(ctx)
	}
	return c.brief(ctx)
}

// hears is what was heard of them so far, as amd judges it.
type hears struct {
	amd   *amd
	start time.Time
}

// attentive begins to hear. Whoever says nothing is not greeted for it, as one that an
// agent calls is: a mailbox may take its time.
func attentive() hears {
	h := hears{newAMD(0), time.Now()}
	h.amd.patience = quietFor
	return h
}

// take lets the judge know of an edge or of words; beep tells of a mailbox's.
func (h *hears) take(item any) (text string, final, beep bool) {
	switch m := item.(type) {
	case voiceEdge:
		switch at := max(0, m.when.Sub(h.start)-m.back); m.kind {
		case voiceOn:
			h.amd.voiceAt(true, at)
		case voiceOff:
			h.amd.voiceAt(false, at)
		case beepHeard:
			return "", false, true
		case voiceLong, lineIdle, ringLow:
		}
	case sttEvent:
		if k := m.ev.Kind; m.err == nil && m.up == nil && (k == stt.Final || k == stt.Interim) {
			h.amd.words(m.ev.Text, k == stt.Final)
			return m.ev.Text, k == stt.Final, false
		}
	}
	return "", false, false
}

// until is when to look again, no later than end.
func (h *hears) until(end time.Time) time.Time {
	if at := h.amd.next(time.Since(h.start)); at > 0 && h.start.Add(at).Before(end) {
		return h.start.Add(at)
	}
	return end
}

// machine says whether a mailbox or an assistant has given itself away.
func (h *hears) machine() bool {
	party, _, ok := h.amd.judge(time.Since(h.start))
	return ok && (party == turn.PartyMachine || party == turn.PartyScreening)
}

// screen tells a person from a mailbox by their first words (telephony.md 4.3):
// who is quiet after a greeting, or says nothing at all, is a person.
func (c *consult) screen(ctx context.Context) outcome {
	h := attentive()
	end := h.start.Add(screenFor)
	for {
		item := c.next(ctx, h.until(end))
		if ev, over := item.(telephony.Ended); over {
			return gone(ev.Cause)
		}
		c.grow(item)
		_, _, beep := h.take(item)
		now := time.Since(h.start)
		switch {
		case ctx.Err() != nil:
			return outcome{ResultCancelled, ""}
		case beep:
			return outcome{ResultVoicemail, "beep"}
		case h.machine():
			return outcome{ResultVoicemail, h.amd.cause}
		case h.amd.said != "":
			return outcome{ResultAnswered, ""}
		case now < screenFor:
		case h.amd.voice && now-h.amd.onset >= screenLong && count(h.amd.heard(), offerPhrases) == 0:
			return outcome{ResultVoicemail, causeLong}
		default:
			return outcome{ResultAnswered, ""}
		}
	}
}

// gone is the outcome where they hang up before they have taken the call.
func gone(c telephony.Cause) outcome {
	if c.Reason == telephony.ReasonNormal || c.Reason == "" {
		return outcome{ResultDeclined, "hung up"}
	}
	return outcomeOf(c)
}

// grow makes room where the recogniser falls behind.
func (c *consult) grow(item any) {
	if e, is := item.(voiceEdge); is && e.kind == ringLow {
		c.ear.grow()
	}
}

// brief tells whoever has answered of the call, and asks whether they take it:
// a mailbox does not, so none has a caller put through to it.
func (c *consult) brief(ctx context.Context) outcome {
	h := attentive()
	c.tell(consultNews{status: "briefing"})
	c.wg.Go(func() { c.box.put(whisper{c.lips, c.words(ctx)}) })
	said, asked, until := false, 1, h.start.Add(briefMost)
	greeted := false
	for {
		item := c.next(ctx, h.until(until))
		c.grow(item)
		switch m := item.(type) {
		case nil:
			switch {
			case ctx.Err() != nil:
				return outcome{ResultCancelled, ""}
			case h.machine():
				return outcome{ResultVoicemail, h.amd.cause}
			case time.Now().Before(until):
				continue
			case said && asked > 1, !said:
				return outcome{ResultNoAnswer, "nobody took the call"}
			}
			asked++
			said, until = false, time.Now().Add(briefMost)
			c.lips.say(ctx, &c.wg, c.script.asks(c.to.Accept))
			continue
		case telephony.Ended:
			return gone(m.Cause)
		case whisper:
			m.to.say(ctx, &c.wg, m.text)
			continue
		case spokenAll, voiceFed:
			if f, is := m.(voiceFed); is && f.sound {
				continue
			}
			if c.to.Accept == tools.AcceptNone {
				return outcome{ResultAnswered, ""}
			}
			said, until = true, time.Now().Add(acceptFor)
			continue
		case telephony.Digit:
			switch {
			case c.to.Accept == tools.AcceptVoice:
			case m.Key == '1':
				return outcome{ResultAnswered, ""}
			case m.Key == '2':
				return outcome{ResultDeclined, "by key"}
			}
			continue
		}
		text, final, beep := h.take(item)
		if beep || h.machine() {
			return outcome{ResultVoicemail, h.amd.cause}
		}
		if final && c.to.Accept != tools.AcceptKey {
			heard := said || asked > 1
			switch yes, no := takes(text, c.language, heard); {
			case !heard && !greeted: // how they answer the telephone: "Yes?"
				greeted = true
			case yes:
				return outcome{ResultAnswered, ""}
			case no:
				return outcome{ResultDeclined, "by voice"}
			}
		}
	}
}

// words are what whoever answers is told.
func (c *consult) words(ctx context.Context) string {
	about := ""
	if c.summary != nil {
		select {
		case about = <-c.summary:
		case <-time.After(briefWait):
		case <-ctx.Done():
		}
	}
	return c.script.briefing(about, c.to.Accept)
}

// attend stays with a leg whose party has taken the call, until it is over.
func (c *consult) attend(ctx context.Context) {
	for ctx.Err() == nil {
		item := c.next(ctx, time.Now().Add(time.Hour))
		c.grow(item)
		switch m := item.(type) {
		case telephony.Ended:
			c.tell(consultNews{over: &m.Cause})
			return
		case telephony.MediaLost, telephony.MediaFailed:
			c.tell(consultNews{over: &telephony.Cause{Reason: telephony.ReasonMediaTimeout}})
			return
		case telephony.Digit:
			c.tell(consultNews{key: m})
		case whisper:
			m.to.say(ctx, &c.wg, m.text)
		case sttEvent:
			if m.err == nil && m.up == nil && m.ev.Kind == stt.Final && m.ev.Text != "" {
				c.tell(consultNews{said: m.ev.Text})
			}
		}
	}
}

// aside is what the agent says to somebody beside the call: to the target before
// they take it, or to one of two who talk.
type aside struct {
	out   *playout.Playout
	speak func(g turn.Gen, text string) *voice // a voice that has the words
	n     turn.Gen
	now   atomic.Pointer[voice]
}

// say speaks a text in the place of what is being said.
func (a *aside) say(ctx context.Context, wg *sync.WaitGroup, text string) {
	a.n++
	v := a.speak(a.n, text)
	a.now.Store(v)
	a.out.Play(uint64(a.n))
	wg.Go(func() { v.run(ctx) })
}

// poke lets the voice look again: the media plane does it.
func (a *aside) poke() {
	if v := a.now.Load(); v != nil {
		v.poke()
	}
}
