package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/engine/turn"
	"github.com/patchcord/patchcord/telephony"
)

// Outbound is a call to place.
type Outbound struct {
	ID          telephony.CallID // "": a new one
	Agent       agent.ID
	Transient   *agent.Agent // of this call alone, in the place of Agent; nil: none
	To, From    string
	Trunk       telephony.TrunkID
	Headers     map[string]string // X- headers of the call
	Variables   map[string]any
	RingTimeout time.Duration  // 0: 60 s
	AMD         *bool          // whether it is told who answers; nil: as the agent has it
	Voicemail   *string        // said to a machine, "" hangs up silently; nil: as the agent has it
	Zone        *time.Location // where the callee is; nil: not known
	Anonymous   bool           // the callee shall not see From
	Unrecorded  bool           // it is not recorded, whatever the agent has
	Claimed     bool           // Claim has counted it already
	Seated      bool           // it has a seat that Reserve gave
}

// Ending is what a placed call came to.
type Ending struct {
	Record Record
	// Cause is how its leg ended; of a call that was not answered, why.
	Cause   telephony.Cause
	Greeted time.Time // when the callee's first words had ended, zero: none were heard
	Spoke   time.Time // when our first word was heard, zero: never
	// MessageLeft tells that a machine has our message, to its last word.
	MessageLeft bool
	Extracted   map[string]any // what the agent noted in the call
	Disposition string         // what the agent made of the call, "" for nothing
	Callback    time.Time      // when the callee asked to be called again, zero: not
	OptOut      bool           // the callee asked not to be called again
}

// Reserve takes room for a call that is to be placed, until release: nobody else's
// call takes it. A call that is Seated uses it, also when the engine drains.
func (e *Engine) Reserve() (release func(), ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.roomLocked(0) {
		return nil, false
	}
	e.reserved++
	return sync.OnceFunc(func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.reserved--
	}), true
}

// roomLocked says whether another call may come that leaves some free.
func (e *Engine) roomLocked(kept int) bool {
	return !e.draining && (e.cfg.MaxCalls == 0 || e.takenLocked() < e.cfg.MaxCalls-kept)
}

// takenLocked is how many calls are up, on their way, or have a seat.
func (e *Engine) takenLocked() int { return len(e.calls) - e.seated + e.reserved + len(e.admitted) }

// busy says whether there is any of them.
func (e *Engine) busy() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.calls) > 0 || e.takenLocked() > 0
}

// Call dials and runs the call in a goroutine of its own until it ends; it
// returns as soon as the call is on its way.
func (e *Engine) Call(ctx context.Context, o Outbound) (telephony.CallID, error) {
	s, err := e.place(ctx, o)
	if err != nil {
		return "", err
	}
	return s.id, nil
}

// Place is Call, but it returns when the call is over and its record closed, or
// with ctx: the call goes on then. With an error nothing was dialled.
func (e *Engine) Place(ctx context.Context, o Outbound) (Ending, error) {
	s, err := e.place(ctx, o)
	if err != nil {
		return Ending{}, err
	}
	select {
	case end := <-s.over:
		return end, nil
	case <-ctx.Done():
		return Ending{}, context.Cause(ctx)
	}
}

// place dials and begins to run the call.
func (e *Engine) place(ctx context.Context, o Outbound) (*session, error) {
	if e.cfg.Dialer == nil {
		return nil, errors.New("engine: dial: no telephony to dial with")
	}
	a := o.Transient
	if a == nil {
		var err error
		if a, err = e.cfg.Directory.Agent(ctx, o.Agent); err != nil {
			return nil, fmt.Errorf("engine: dial: %w", err)
		}
	}
	if o.ID == "" {
		id, err := uuid.NewV7()
		if err != nil {
			return nil, fmt.Errorf("engine: dial: %w", err)
		}
		o.ID = telephony.CallID(id.String())
	}
	e.mu.Lock()
	room := o.Seated || e.roomLocked(0)
	e.mu.Unlock()
	if !room {
		return nil, ErrFull
	}
	if !o.Claimed {
		if err := e.claim(ctx, o.To); err != nil {
			return nil, fmt.Errorf("engine: dial %s: %w", o.To, err)
		}
	}
	run := context.WithoutCancel(ctx)
	leg, err := e.cfg.Dialer.Dial(run, telephony.Destination{
		To: o.To, From: o.From, Trunk: o.Trunk, CallID: o.ID, RingTimeout: o.RingTimeout,
		Headers: o.Headers, Withhold: o.Anonymous,
	})
	if err != nil {
		e.unclaim()
		return nil, fmt.Errorf("engine: dial %s: %w", o.To, err)
	}
	s := e.session(leg, a, o)
	if s == nil {
		_ = leg.Hangup(run, telephony.Cause{Reason: telephony.ReasonOverload})
		return nil, ErrFull
	}
	if s.detect = a.VoicemailDetection; o.AMD != nil {
		s.detect = *o.AMD
	}
	e.wg.Go(func() {
		s.serve(run)
		_ = leg.Hangup(run, telephony.Cause{Reason: telephony.ReasonNormal})
	})
	return s, nil
}

// message is what a machine is told that takes the call.
func (s *session) message() string {
	if s.order.Voicemail != nil {
		return s.render(*s.order.Voicemail)
	}
	return s.render(s.agent.VoicemailMessage)
}

// tellEnding tells who placed the call what it came to.
func (s *session) tellEnding() {
	end := Ending{
		Record: s.record, Cause: s.cause, Greeted: s.greeted, OptOut: s.optedOut, Callback: s.callback,
		MessageLeft: s.record.EndReason == turn.EndVoicemail && s.messaged,
		Disposition: s.scrubbed(s.disposition),
	}
	if s.firstSound > 0 {
		end.Spoke = s.record.Answered.Add(s.firstSound)
	}
	for name, n := range s.consent.known {
		if end.Extracted == nil {
			end.Extracted = map[string]any{}
		}
		end.Extracted[name] = s.scrub(n.Value)
		if name == dispositionName {
			end.Disposition = s.scrubbed(n.Text)
		}
	}
	s.over <- end
}
