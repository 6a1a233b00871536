package engine

import (
	"strings"
	"time"

	"github.com/patchcord/patchcord/engine/turn"
)

// Answering machine detection (2.11) is a judgement over what is heard after an
// outbound call was answered: when somebody speaks and for how long, and what
// is understood of it. Words beat durations; the durations are those of
// Asterisk's app_amd where it has them. It is a pure type: time comes with every
// event, in the call's own.
type amd struct {
	answered time.Duration
	patience time.Duration // with a callee who says nothing
	voice    bool
	onset    time.Duration
	end      time.Duration // of the last voice
	spoken   time.Duration // by all voices that ended
	owed     bool          // words of the last voice are still to come
	finals   string        // normal
	interim  string
	said     turn.Party // the verdict so far, "" for none
	cause    string
	at       time.Duration // when it was given
}

// The constants, as their names in the design.
const (
	amdShort   = 2 * time.Second         // a person's greeting is no longer (conv:M3)
	amdAfter   = 700 * time.Millisecond  // of silence behind it
	amdWords   = 1500 * time.Millisecond // after the end of a voice its words are waited for (conv:M2)
	amdFair    = 3500 * time.Millisecond // a greeting that may be either's, where words say nothing
	amdLong    = 6 * time.Second         // of speech is a machine's, whatever it says
	amdNothing = 1800 * time.Millisecond // without a voice: greeted within the 2 s of 47 CFR 64.1200(a)(7) (conv:M5)
	amdTotal   = 18 * time.Second        // for the first verdict
	amdLate    = 12 * time.Second        // after it, in which a mailbox may still give itself away
)

// causes of a verdict.
const (
	causePhrase  = "phrase"        // it said what machines say, or people
	causeShort   = "short"         // a short greeting, then silence
	causeLong    = "long_greeting" // nobody greets for so long
	causeSilence = "no_speech"
	causeTotal   = "too_long" // no verdict in all the time there is
)

func newAMD(answered time.Duration) *amd { return &amd{answered: answered, patience: amdNothing} }

// voiceAt tells of an edge of the voice, back-dated.
func (a *amd) voiceAt(on bool, at time.Duration) {
	switch {
	case on && !a.voice:
		a.voice, a.onset = true, at
	case !on && a.voice:
		a.voice, a.end, a.owed = false, max(at, a.onset), true
		a.spoken += a.end - a.onset
	}
}

// words tells what is understood. Those that are dropped elsewhere, under our
// own greeting, are told here all the same (conv:M6).
func (a *amd) words(text string, final bool) {
	normal := turn.Normal(text)
	if !final {
		a.interim = normal
		return
	}
	a.interim, a.owed = "", a.voice && a.owed
	if a.said == turn.PartyScreening && count(normal, waitPhrases) > 0 { // it is still the assistant
		a.spoken, a.finals = 0, ""
		return
	}
	a.finals = strings.TrimSpace(a.finals + " " + normal)
}

// heard is all that was understood.
func (a *amd) heard() string { return strings.TrimSpace(a.finals + " " + a.interim) }

// judge is the verdict at a time, when there is a new one. A first verdict of a
// person may still be taken back by a machine's own words.
func (a *amd) judge(now time.Duration) (p turn.Party, cause string, ok bool) {
	p, cause = a.think(now)
	if p == "" || p == a.said {
		return "", "", false
	}
	if a.said == turn.PartyMachine || a.said != "" && now > a.at+amdLate {
		return "", "", false
	}
	a.said, a.cause, a.at = p, cause, now
	return p, cause, true
}

func (a *amd) think(now time.Duration) (turn.Party, string) {
	text := a.heard()
	boxes, screens, absent := count(text, mailboxPhrases), count(text, screeningPhrases), count(text, absencePhrases)
	offers := count(text, offerPhrases)
	spoken := a.spoken
	if a.voice {
		spoken += now - a.onset
	}
	switch {
	case boxes > 0:
		return turn.PartyMachine, causePhrase
	case screens > 0: // it is asked, and answered, once it has said all
		if now-a.answered < amdTotal && (a.voice || now-a.end < amdAfter) {
			return "", ""
		}
		return turn.PartyScreening, causePhrase
	case absent > 1 && offers == 0:
		return turn.PartyMachine, causePhrase
	case a.said != "" && a.said != turn.PartyScreening: // only their own words change it
		return "", ""
	case spoken > amdLong && offers == 0:
		return turn.PartyMachine, causeLong
	case a.voice && now-a.answered < amdTotal:
		return "", ""
	case now-a.answered >= amdTotal && a.said == "":
		return turn.PartyUnsure, causeTotal
	case a.spoken == 0 && text == "":
		if now-a.answered >= a.patience && a.said == "" {
			return turn.PartyUnsure, causeSilence
		}
		return "", ""
	case now-a.end < amdAfter || a.owed && now-a.end < amdWords:
		return "", ""
	}
	return a.short(text, absent, offers)
}

// short judges a greeting that is over, with nothing in it that only machines
// say.
func (a *amd) short(text string, absent, offers int) (turn.Party, string) {
	switch {
	case offers > 0:
		return turn.PartyHuman, causePhrase
	case a.spoken <= amdShort && absent == 0:
		return turn.PartyHuman, causeShort
	case text == "" && a.spoken > amdFair: // nothing was understood: the length is all there is
		return turn.PartyMachine, causeLong
	case text == "":
		return turn.PartyUnsure, causeLong
	case absent > 0 && a.spoken > amdShort:
		return turn.PartyMachine, causePhrase
	case a.spoken <= amdFair:
		return turn.PartyHuman, causeShort
	}
	return turn.PartyUnsure, causeTotal
}

// next is when judge is to be asked again if nothing happens, 0 for never.
func (a *amd) next(now time.Duration) time.Duration {
	best := time.Duration(0)
	for _, at := range []time.Duration{
		a.end + amdAfter, a.end + amdWords, a.onset + amdLong - a.spoken, a.answered + a.patience, a.answered + amdTotal,
	} {
		if at > now && (best == 0 || at < best) {
			best = at
		}
	}
	return best
}

// over tells that no verdict can come any more.
func (a *amd) over(now time.Duration) bool {
	return a.said == turn.PartyMachine || a.said != "" && a.said != turn.PartyScreening && now > a.at+amdLate
}

// screened begins anew behind an assistant that screened the call: whoever
// comes next is judged by what they say.
func (a *amd) screened(now time.Duration) {
	*a = amd{answered: now, said: turn.PartyScreening, at: now}
}
