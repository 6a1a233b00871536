package dialer

import (
	"time"

	"github.com/patchcord/patchcord/telephony"
)

// mostSilence is what may pass between the callee's greeting and our first
// word: 2 s (16 CFR 310.4(b)(1)(iv)).
const mostSilence = 2 * time.Second

// greetsWithin is how long a callee who says nothing is given for a greeting. The
// rule counts from its end; where there is none the two seconds begin here.
const greetsWithin = 2 * time.Second

// Call is how the call of an attempt went, as Classify reads it.
type Call struct {
	Cause      telephony.Cause
	AnsweredBy string    // as in Result
	Answered   time.Time // zero: it was not
	Greeted    time.Time // when the callee's first words ended, zero: none were heard
	Spoke      time.Time // when our first word was heard, zero: never
	Ended      time.Time
}

// What answers a call.
const (
	ByHuman     = "human"
	ByMachine   = "machine"
	ByScreening = "screening"
	ByUnsure    = "unsure"
)

// Classify says what became of an attempt. Of a call that was answered, what
// answered it decides, and not how it ended.
func Classify(c Call) Outcome {
	if c.Answered.IsZero() {
		return unanswered(c.Cause)
	}
	if c.Cause.Reason == telephony.ReasonNoMedia { // no sound ever came: nobody was talked to
		return OutcomeFailed
	}
	switch c.AnsweredBy {
	case ByMachine:
		return OutcomeVoicemail
	case ByScreening:
		return OutcomeScreening
	}
	if c.abandoned() {
		return OutcomeAbandoned
	}
	return OutcomePerson
}

// abandoned tells that somebody waited for a word of ours: since their first words
// had ended or, where they said none before ours, since they should have.
func (c Call) abandoned() bool {
	until := c.Spoke
	if until.IsZero() {
		until = c.Ended
	}
	from := c.Answered.Add(greetsWithin)
	if !c.Greeted.IsZero() && c.Greeted.Before(until) {
		from = c.Greeted
	}
	return until.Sub(from) > mostSilence
}

// unanswered is the outcome of a call that nobody answered.
func unanswered(c telephony.Cause) Outcome {
	reason := c.Reason
	if reason == "" {
		reason = telephony.ReasonOf(c.Status)
	}
	switch reason { //exhaustive:enforce
	case telephony.ReasonBusy:
		return OutcomeBusy
	case telephony.ReasonNoAnswer, telephony.ReasonCancelled: // we cancel what rings too long
		return OutcomeNoAnswer
	case telephony.ReasonRejected:
		return OutcomeRejected
	case telephony.ReasonBadNumber:
		return OutcomeInvalid
	case telephony.ReasonCongestion, telephony.ReasonOverload, telephony.ReasonDraining:
		return OutcomeCongestion
	case telephony.ReasonNormal, telephony.ReasonNoCodec, telephony.ReasonNotSecure, telephony.ReasonNoAck,
		telephony.ReasonNoMedia, telephony.ReasonMediaTimeout, telephony.ReasonSession, telephony.ReasonTransferred,
		telephony.ReasonFailed:
	}
	return OutcomeFailed
}

// Rings tells whether the callee's phone may have rung, so that the attempt
// counts for what is allowed in a day. Of a number that no gateway took, it did
// not.
func (o Outcome) Rings() bool { return o != OutcomeCongestion }
