//go:build e2e

package e2e

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/patchcord/patchcord/audio"
)

// What those say who are handed over and who take them; the engine's recogniser and
// the ears of these tests know the sentences. Some are there to be mistaken for.
const (
	salesAnswer  = "yes good morning"
	salesAccept  = "yes put them through"
	salesDecline = "no i am sorry not now"
	salesAsk     = "what can i do for you"
	callerWish   = "i would like to buy a red boat"
	callerThere  = "are you still on the line"
	stillThere   = "I am still with you."
	callBack     = "could you bring the assistant back please"
	otherWords   = `i would like to sell a blue car
the boat is very expensive
good evening this is the garage
we have two of them in the harbour
when can i come and see it
`
)

// briefed is what who is called for a warm transfer is told, in one breath and in parts.
const briefed = `say yes to take it or no to decline
you have a call from <digits> the caller wants to buy a red boat
you have a call from <digits> the caller wants to buy a red boat say yes to take it or no to decline
you have a call from <digits> the caller wants to sell a blue car say yes to take it or no to decline
you have a call from plus <digits> the caller wants to buy a red boat say yes to take it or no to decline
you have a call from plus <digits> the caller wants to sell a blue car say yes to take it or no to decline
the caller wants to buy a red boat say yes to take it or no to decline
`

// saidInTransfers are all of them, a sentence a line.
var saidInTransfers = strings.Join([]string{
	salesAnswer, salesAccept, salesDecline, salesAsk, callerWish, callerThere, callBack, otherWords,
}, "\n")

// tells is a sentence of which the other hears some words: it is said again where they
// did not. Who says it hears nothing meanwhile.
func (p *party) tells(t *testing.T, to *party, pcm []int16, want string) {
	t.Helper()
	var got string
	for range 4 {
		mine, theirs, least := p.mark(), to.mark(), sounding(pcm, 8000)/2
		p.says8k(pcm)
		eventually(t, 20*time.Second, "a sentence is heard to its end", func() bool {
			heard, rate := to.since(theirs)
			return sounding(heard, rate) >= least && hush(heard, rate) >= time.Second
		})
		own, rate := p.since(mine)
		if d := sounding(own, rate); d > 0 {
			t.Errorf("who spoke heard something for %v beside their own voice", d)
		}
		heard, rate := to.since(theirs)
		if got = heardWords(t, heard, rate); strings.Contains(got, want) {
			t.Logf("heard: %s", got)
			return
		}
		t.Logf("heard %q, not %q: once more", got, want)
	}
	t.Errorf("the other heard %q at last, not %q", got, want)
}

// insists is a sentence that is said again after a pause until done, as by a person
// who gets no answer, and who lets others finish.
func (p *party) insists(t *testing.T, what string, pcm []int16, done func() bool) {
	t.Helper()
	const pause = 4 * time.Second
	times, limit := 0, time.Now().Add(time.Minute)
	for next := time.Now(); !done(); talk(20 * time.Millisecond) {
		now := time.Now()
		switch {
		case now.After(limit):
			t.Fatalf("%s: said %d times, and nothing came of it", what, times)
		case now.After(next) && hush(p.since(0)) >= time.Second:
			next = now.Add(audio.Duration(len(pcm), 8000) + pause)
			p.says8k(pcm)
			times++
		}
	}
	p.voice.say(nil)
	t.Logf("%s: said %d times", what, times)
}

// says8k begins to say sound of 8 kHz.
func (p *party) says8k(pcm []int16) {
	r := audio.NewResampler(8000, p.leg.Info().Format.Rate)
	p.voice.say(r.Flush(r.Append(nil, pcm)))
	p.talks.Store(true)
}

// listens waits until a voice of at least that long was heard since a mark, and then
// two seconds of silence: sentences may come late on a busy machine.
func (p *party) listens(t *testing.T, mark int, least time.Duration) {
	t.Helper()
	eventually(t, 40*time.Second, "somebody has spoken to the end", func() bool {
		pcm, rate := p.since(mark)
		return sounding(pcm, rate) >= least && hush(pcm, rate) >= 2*time.Second
	})
}

// sounding is how much of a sound is none of silence, in windows of 20 ms.
func sounding(pcm []int16, rate int) (d time.Duration) {
	for window := rate / 50; window > 0 && len(pcm) >= window; pcm = pcm[window:] {
		if rms(pcm[:window]) > 50 {
			d += audio.FrameTime
		}
	}
	return d
}

// hush is how long it has been silent at the end, three seconds at most.
func hush(pcm []int16, rate int) (d time.Duration) {
	pcm = pcm[max(0, len(pcm)-3*rate):]
	for window := rate / 50; window > 0 && len(pcm) >= window; pcm = pcm[:len(pcm)-window] {
		if rms(pcm[len(pcm)-window:]) > 50 {
			break
		}
		d += audio.FrameTime
	}
	return d
}

// beside is how much of a sound is something else than a tone, in windows of 100 ms.
func beside(pcm []int16, rate int, hz float64) (d time.Duration) {
	for window := rate / 10; window > 0 && len(pcm) >= window; pcm = pcm[window:] {
		if rms(pcm[:window]) > 50 && share(pcm[:window], rate, hz) < 0.85 {
			d += 100 * time.Millisecond
		}
	}
	return d
}

// heardWords are the words that are understood of a sound.
func heardWords(t *testing.T, pcm []int16, rate int) string {
	t.Helper()
	phrases := filepath.Join(t.TempDir(), "phrases")
	write(t, phrases, heardOf+briefed+saidInTransfers+"\ni am still with you\n")
	return understood(t, phrases, pcm, rate)
}

// wantWords fails unless so many of several words are among them: on a busy machine a
// sound may have gaps.
func wantWords(t *testing.T, who string, pcm []int16, rate, least int, among ...string) {
	t.Helper()
	got, n := heardWords(t, pcm, rate), 0
	t.Logf("%s heard: %s", who, got)
	for _, w := range among {
		if strings.Contains(got, w) {
			n++
		}
	}
	if n < least {
		t.Errorf("%s heard %q, want %d of %q", who, got, least, among)
	}
}

// spokenDesk is a front desk where everybody has a voice and an ear, a caller of it
// who has pressed some keys, and whoever is called then and has said hello.
func spokenDesk(t *testing.T, keys string) (e *engine, caller, target *party, asked int, say map[string][]int16) {
	t.Helper()
	needsSpeech(t)
	say = spoken(t, salesAnswer, salesAccept, salesDecline, salesAsk, callerWish, callerThere, callBack)
	desk, clerk := openDesk(t, 500*time.Millisecond, -1)
	d := &frontDesk{
		desks: []string{desk}, voice: localVoice, hears: saidInTransfers, warm: ", accept: voice",
		more:  `, return_phrases: ["Operator!", "Bring the assistant BACK."]`,
		rules: "  - {when: still on the line, say: \"" + stillThere + "\"}\n",
	}
	e = d.serve(t)
	caller = openLine(t, 0, nil).calls(t, e, "4930111222")
	caller.listens(t, 0, 100*time.Millisecond) // to the greeting
	asked = caller.mark()
	caller.press(t, keys)
	target = clerk.take(t, 10*time.Second)
	e.awaits(t, 20*time.Second, "transfer.progress", "status=answered")
	target.says8k(say[salesAnswer])
	return e, caller, target, asked, say
}

// happened says whether there is an event that has a field.
func (e *engine) happened(t *testing.T, name, key, value string) func() bool {
	return func() bool {
		for _, ev := range named(e.read(t), name) {
			if ev.text(key) == value {
				return true
			}
		}
		return false
	}
}

// said waits until the agent has said something to its end.
func (e *engine) said(t *testing.T, text string) {
	t.Helper()
	eventually(t, 20*time.Second, "the agent has said "+text, func() bool {
		return slices.ContainsFunc(named(e.read(t), "turn.agent"), func(ev event) bool {
			return strings.Contains(ev.text("heard_text"), text)
		})
	})
}

// These are not parallel: their recognisers are given the machine.

// TestWarmTransferIsTakenByVoice: who is called says hello, hears who calls and why,
// and says that the caller may be put through; the caller hears music and nothing of
// it, then the two hear each other (T-10).
func TestWarmTransferIsTakenByVoice_T10(t *testing.T) {
	e, caller, target, asked, say := spokenDesk(t, "21")
	target.listens(t, 0, 3*time.Second)
	told, rate := target.since(0)
	wantWords(t, "the target", told, rate, 2, "you have a call from", "the caller wants to buy", "red boat",
		"yes to take it", "no to decline")
	if e.happened(t, "transfer.finished", "result", "answered")() {
		t.Error("the call was taken by a greeting")
	}
	accepted := caller.mark()
	target.insists(t, salesAccept, say[salesAccept], e.happened(t, "transfer.progress", "status", "joined"))
	e.awaits(t, 5*time.Second, "transfer.finished", "result=answered")
	waited, rate := caller.since(asked)
	waited = waited[:accepted-asked]
	if h := listen(waited, rate, musicTone, 0); h.tone < 3*time.Second {
		t.Errorf("the caller heard music for %v", h.tone)
	}
	if d := beside(waited, rate, musicTone); d > 2*time.Second { // "One moment."
		t.Errorf("the caller heard something else than music for %v", d)
	}
	caller.listens(t, accepted, 0) // until the music is over
	caller.tells(t, target, say[callerWish], "buy a red boat")
	target.tells(t, caller, say[salesAsk], "can i do for you")
	caller.hangUp(t)
	target.ended(t, "the target", 5*time.Second)
	e.freed(t, 0)
	e.stop(t)
}

// TestWarmTransferIsDeclinedByVoice: the caller is with the agent again, who says why
// and listens to them (T-10, conv:C6).
func TestWarmTransferIsDeclinedByVoice_T10_convC6(t *testing.T) {
	e, caller, target, _, say := spokenDesk(t, "21")
	target.listens(t, 0, 3*time.Second)
	target.insists(t, salesDecline, say[salesDecline], e.happened(t, "transfer.finished", "result", "declined"))
	back := caller.mark()
	e.awaits(t, time.Second, "transfer.finished", "result=declined", "reason=by voice")
	target.ended(t, "the target", 5*time.Second)
	e.said(t, "How else can I help?")
	caller.listens(t, back, 2*time.Second)
	heard, rate := caller.since(back)
	wantWords(t, "the caller", heard, rate, 1, "cannot take your call", "how else can i help")
	if d := tones(heard[min(len(heard), rate):], rate, musicTone); d > 0 {
		t.Errorf("the caller heard music for %v beside it", d)
	}
	e.answers(t, caller, say)
	caller.hangUp(t)
	e.freed(t, 0)
	e.stop(t)
}

// answers sees that the agent hears a caller and is heard by them.
func (e *engine) answers(t *testing.T, caller *party, say map[string][]int16) {
	t.Helper()
	mark := caller.mark()
	caller.insists(t, callerThere, say[callerThere], e.happened(t, "turn.agent", "heard_text", stillThere))
	caller.listens(t, mark, 500*time.Millisecond)
	pcm, rate := caller.since(mark)
	wantWords(t, "the caller", pcm, rate, 1, "i am still", "still with you")
}

// TestAgentIsCalledBackByVoice: it listens to two who talk with each other, is heard
// by neither, and steps in when one of them says so, in the middle of a sentence and
// whoever it is (T-11).
func TestAgentIsCalledBackByVoice_T11(t *testing.T) {
	for _, by := range []string{"caller", "target"} {
		t.Run("by the "+by, func(t *testing.T) {
			e, caller, target, _, say := spokenDesk(t, "31")
			e.awaits(t, 20*time.Second, "transfer.progress", "status=joined")
			caller.listens(t, 0, time.Second)
			target.listens(t, 0, time.Second)
			caller.tells(t, target, say[callerWish], "buy a red boat")
			target.tells(t, caller, say[salesAsk], "can i do for you")
			for _, of := range []string{"caller", "target"} {
				e.awaits(t, 20*time.Second, "turn.overheard", "speaker="+of)
			}
			if e.happened(t, "transfer.returned", "reason", "asked")() {
				t.Error("the agent stepped in before it was asked to")
			}
			asks, back := caller, caller.mark()
			if by == "target" {
				asks = target
			}
			asks.insists(t, callBack, say[callBack], e.happened(t, "transfer.returned", "reason", "asked"))
			e.awaits(t, time.Second, "transfer.returned", "reason=asked", "ends=false")
			target.ended(t, "the target", 5*time.Second)
			e.said(t, "Welcome back.")
			caller.listens(t, back, 500*time.Millisecond)
			heard, rate := caller.since(back)
			wantWords(t, "the caller", heard, rate, 1, "welcome")
			e.answers(t, caller, say)
			caller.hangUp(t)
			e.freed(t, 0)
			e.stop(t)
		})
	}
}
