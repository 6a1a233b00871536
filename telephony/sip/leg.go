package sip

import (
	"context"
	"maps"
	"math"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emiago/sipgo/sip"
	"go.uber.org/zap"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/telephony/trunk"
)

// state is how far a leg is.
type state int

const (
	stateNew      state = iota // inbound: its INVITE is on the way up; outbound: nothing is sent
	stateRinging               // the INVITE is open
	stateAnswered              // inbound: 200 is sent, its ACK has not come
	stateUp
	stateEnded // over for its user; the dialog may still have to be closed
)

// leg is one call. The fields of the first part never change, those under mu
// are guarded by it, all others belong to the goroutine in run, which others
// reach through post.
type leg struct {
	u         *UserAgent
	log       *zap.Logger
	direction telephony.Direction
	trunk     *trunk.Trunk // nil: dialled to a URI
	localTag  string
	callID    string
	first     *message       // the INVITE as it came; nil of a dialled leg
	conn      netip.AddrPort // the connection the call is on; zero: none; guarded by legs.mu
	victim    *leg           // whose place the INVITE wants; nil: a call of its own
	ctx       context.Context
	cancel    context.CancelCauseFunc
	wake      chan struct{} // 1: a signal that there is mail, more would say no more
	over      chan struct{} // closed when run returns

	party atomic.Pointer[party] // what the call is run by, where its trunk takes transfers

	// events is what Events returns. 256: more than a user falls behind by; see emit.
	events chan telephony.Event

	mu        sync.Mutex
	info      telephony.Info
	wasUp     bool // its answer was confirmed
	mail      []func()
	closed    bool // run has returned
	sink      audio.Sink
	source    audio.Source
	media     *media // written by the leg's goroutine only
	remoteTag string
	// replaceable: the peer takes an INVITE with Replaces (RFC 3891)
	replaceable bool
	friends     map[netip.Addr]struct{} // where the peer's messages may come from beside its trunk
	order       []awaited               // requests of the peer in the order they came
	announced   uint32                  // the greatest CSeq in order, ever
	hasSeq      bool
	branches    []string // of the peer's last requests within the dialog
	reinvite    string   // branch of the peer's last INVITE within the dialog

	state  state
	dialog dialog
	cause  telephony.Cause // from stateEnded on
	holds  int             // what still has to happen before the dialog can go

	arrived   map[uint32]incoming // requests that wait for an earlier one
	reorder   func()              // stops the timer of the gap
	uas       *answering          // our answer to an INVITE that has no ACK yet
	invite    incoming            // inbound: the INVITE to answer
	lost      func()              // inbound: stops the wait for it to come up
	acks      <-chan *sip.Request // ACKs that bear the branch of their INVITE
	attempt   *attempt            // outbound: the INVITE under way
	attempts  attempts
	offering  *offering // our offer within the dialog that is under way
	parked    incoming  // a re-INVITE that waits for the ACK of the one before
	unpark    func()    // stops its timer
	refer     *referral
	referrals int // REFERs of the peer
	expiry    expiry
	early     early
	kept      *standing // what the file of dialogs was told last; nil: nothing
	digits    digitFilter
	held      bool
	counted   bool       // it takes room of its trunk
	fresh     bool       // inbound: its answer has no ACK yet
	peerCan   string     // the peer's Allow field, "" unknown
	auth      sip.Header // credentials of our INVITE, for its ACK
	gateway   netip.Addr // of the trunk, that the call goes through: who else asks gets no password
}

var _ telephony.Leg = (*leg)(nil)

// mailMax bounds what of the peer waits for a leg; beyond it messages are lost as
// on a full network. What we have to do ourselves is never lost: a timer, a final
// response, a hangup.
const mailMax = 512

// legEvents is how many events wait for whoever uses the leg: some seconds of key
// presses and of messages.
const legEvents = 64

func (u *UserAgent) newLeg(d telephony.Direction) *leg {
	g := &leg{
		u: u, direction: d, localTag: newTag(),
		wake: make(chan struct{}, 1), over: make(chan struct{}), events: make(chan telephony.Event, legEvents),
		arrived: map[uint32]incoming{},
	}
	g.ctx, g.cancel = context.WithCancelCause(context.Background())
	return g
}

// post gives f to the leg's goroutine; false if that has ended.
func (g *leg) post(f func()) bool { return g.put(f, math.MaxInt) }

// postMessage is post of what a peer can send as often as it likes; false too if
// the leg is swamped.
func (g *leg) postMessage(f func()) bool { return g.put(f, mailMax) }

func (g *leg) put(f func(), most int) bool {
	g.mu.Lock()
	ok := !g.closed && len(g.mail) < most
	if ok {
		g.mail = append(g.mail, f)
	}
	g.mu.Unlock()
	if ok {
		select {
		case g.wake <- struct{}{}:
		default:
		}
	}
	return ok
}

func (g *leg) take() []func() {
	g.mu.Lock()
	defer g.mu.Unlock()
	mail := g.mail
	g.mail = nil
	return mail
}

// run is the leg. It returns when the call is over and nothing of its dialog
// is left to do.
func (g *leg) run() {
	stop := g.u.stop
	for {
		for _, f := range g.take() {
			g.safely(f)
		}
		g.keep()
		if g.state == stateEnded && g.holds == 0 {
			break
		}
		select {
		case <-g.wake:
		case ack := <-g.acks:
			g.safely(func() { g.onAck(ack) })
		case <-stop:
			stop = nil
			g.safely(g.shutdown)
		}
	}
	if g.kept != nil {
		g.u.cfg.Dialogs.strike(g.localTag)
	}
	g.u.legs.remove(g)
	g.settle()
	close(g.over)
	g.mu.Lock()
	for addr := range g.friends {
		g.u.peers.remove(addr)
	}
	g.closed = true
	left := g.mail
	g.mail = nil
	g.mu.Unlock()
	for _, f := range left { // requests among them want an answer
		g.safely(f)
	}
	for _, seq := range slices.Sorted(maps.Keys(g.arrived)) { // and those that waited for their turn
		g.safely(func() { g.serve(g.arrived[seq]) })
	}
}

// safely runs f; a panic in it ends this call and no other (SEC-1).
func (g *leg) safely(f func()) {
	defer func() {
		if r := recover(); r != nil {
			g.u.count.panics.Add(1)
			g.log.Error("sip: call ended by panic", zap.Any("panic", r), zap.Stack("stack"))
			g.crash()
		}
	}()
	f()
}

// crash ends the call as a hangup would, and if that panics too, without a
// word to the peer.
func (g *leg) crash() {
	cause := telephony.Cause{Reason: telephony.ReasonFailed, Status: 500, Text: "internal error"}
	defer func() {
		if recover() != nil {
			g.end(cause)
			g.holds = 0
		}
	}()
	if g.state == stateEnded {
		g.holds = 0
		return
	}
	g.hangup(cause)
}

// after runs f on the leg's goroutine in d unless stopped before.
func (g *leg) after(d time.Duration, f func()) (stop func()) {
	if f := g.u.cfg.onTimer; f != nil {
		f(d)
	}
	live := true // of the leg's goroutine
	t := time.AfterFunc(d, func() {
		g.post(func() {
			if live {
				live = false
				f()
			}
		})
	})
	return func() {
		live = false
		t.Stop()
	}
}

// shutdown is the end of Serve: the call is hung up and its dialog gets a
// moment to close.
func (g *leg) shutdown() {
	g.hangup(telephony.Cause{Reason: telephony.ReasonDraining})
	g.after(4*g.u.cfg.t1, func() { g.holds = 0 })
}

// end makes the leg over for its user: once. What the dialog still needs goes
// on in run.
func (g *leg) end(c telephony.Cause) {
	if g.state == stateEnded {
		return
	}
	g.state, g.cause = stateEnded, c
	if g.counted {
		g.u.capacity.Leave(g.trunk.ID, g.direction)
	}
	if leave := g.u.cfg.Leave; leave != nil && g.direction == telephony.Inbound && g.victim == nil {
		leave(g.Info().ID)
	}
	if in := g.parked; in.tx != nil {
		g.unpark()
		g.parked = incoming{}
		g.respond(in, 487, "Request Terminated")
	}
	for _, stop := range []*func(){&g.attempts.stopRing, &g.attempts.stopNext, &g.attempts.stopWatch} {
		if *stop != nil {
			(*stop)()
		}
	}
	p := g.party.Load()
	switch {
	case g.media == nil:
	case p != nil && p.keeps(g):
		g.mute()
	default:
		g.media.close()
	}
	if p != nil {
		p.failed(g)
	}
	g.expiry.stop()
	if r := g.early.open; r != nil {
		r.stop()
	}
	g.endOffering(g.ended())
	g.endReferral(c)
	g.emit(telephony.Ended{Cause: c})
	close(g.events)
	g.cancel(&telephony.HangupError{Cause: c})
	g.log.Debug("sip: call ended", zap.String("reason", string(c.Reason)), zap.Int("status", c.Status),
		zap.Bool("remote", c.Remote))
}

// ended is the error of what cannot be done any more.
func (g *leg) ended() error { return &telephony.HangupError{Cause: g.cause} }

// emit sends an event. It never waits: a user who does not read loses traces
// first, then what is oldest.
func (g *leg) emit(e telephony.Event) {
	if g.state == stateEnded {
		if _, last := e.(telephony.Ended); !last {
			return
		}
	}
	for {
		select {
		case g.events <- e:
			return
		default:
		}
		if _, trace := e.(telephony.SignalTrace); trace {
			return
		}
		select {
		case <-g.events:
		default:
		}
	}
}

// trace tells of one message.
func (g *leg) trace(dir string, method sip.RequestMethod, status int, seq uint32) {
	g.emit(telephony.SignalTrace{Dir: dir, Method: string(method), Status: status, CSeq: seq})
}

// Info is what is known of the leg now.
func (g *leg) Info() telephony.Info {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.info
}

// Events are what happens to the leg.
func (g *leg) Events() <-chan telephony.Event { return g.events }

// Connect sets where the peer's sound goes and where ours comes from.
func (g *leg) Connect(in audio.Sink, out audio.Source) {
	g.mu.Lock()
	g.sink, g.source = in, out
	m := g.media
	g.mu.Unlock()
	if m != nil {
		m.session.Connect(in, out)
	}
}

// Stats are the media figures; of an ended leg the last ones.
func (g *leg) Stats() telephony.Stats {
	g.mu.Lock()
	m := g.media
	g.mu.Unlock()
	if m == nil {
		return telephony.Stats{}
	}
	return m.stats()
}

// ask runs f on the leg's goroutine and waits for what it says through done.
func (g *leg) ask(ctx context.Context, f func(done func(error))) error {
	answer := make(chan error, 1) // the first answer; later ones say no more
	done := func(err error) {
		select {
		case answer <- err:
		default:
		}
	}
	if !g.post(func() {
		if g.state == stateEnded {
			done(g.ended())
			return
		}
		f(done)
	}) {
		return context.Cause(g.ctx)
	}
	select {
	case err := <-answer:
		return err
	case <-g.ctx.Done():
		select {
		case err := <-answer:
			return err
		default:
			return context.Cause(g.ctx)
		}
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Hangup ends the leg: it rejects a call that is not answered, cancels one
// that rings at the far end, sends BYE otherwise. It returns when the message
// is sent.
func (g *leg) Hangup(_ context.Context, c telephony.Cause) error {
	done := make(chan struct{})
	if !g.post(func() {
		defer close(done)
		g.hangup(c)
	}) {
		return nil
	}
	select {
	case <-done:
	case <-g.ctx.Done():
	}
	return nil
}

// settle is the end of the wait for an ACK, however it came.
func (g *leg) settle() {
	if g.fresh {
		g.fresh = false
		g.u.legs.settle(g.trunk.ID)
	}
}

// up is the confirmation of the call.
func (g *leg) up() {
	g.state = stateUp
	g.settle()
	g.mu.Lock()
	g.wasUp = true
	g.mu.Unlock()
}

// leave is the end by whoever ran the call.
func (g *leg) leave(c telephony.Cause) {
	if g.state < stateAnswered && c.Reason == telephony.ReasonNormal {
		c.Status = 480
	}
	g.hangup(c)
}

func (g *leg) hangup(c telephony.Cause) {
	switch g.state {
	case stateEnded:
	case stateNew, stateRinging:
		if g.direction == telephony.Inbound {
			g.reject(c)
			return
		}
		g.abandon(c)
	case stateAnswered:
		// Not before the ACK: RFC 3261 section 15.
		g.hold()
		g.uas.hungup = func() { g.bye(c); g.release() }
		g.end(c)
	case stateUp:
		g.bye(c)
		g.end(c)
	}
}

// hold keeps the dialog alive until release.
func (g *leg) hold() { g.holds++ }

func (g *leg) release() { g.holds = max(0, g.holds-1) }
