package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/uptrace/bun"
	"go.uber.org/zap"

	"github.com/patchcord/patchcord/telephony/dialer"
)

// settled is what became of a claim: given back, or dialled and ended. It is
// written by the store's writer, as records of calls are: it waits for a database
// that takes nothing, in memory and in the spool.
type settled struct {
	Attempt dialRef
	Back    bool // it was not dialled
	Next    dialer.State
	Due     int64
	Why     string        // of a contact that is given back
	Result  dialer.Result // without Data, Next and Due
	Data    string        // JSON object
	At      int64

	stale bool // somebody else has decided; set before it is told written
}

// dialRef names a claim.
type dialRef struct {
	Contact, Campaign, Number string
	N                         int
	Node                      string
	ClaimedAt                 int64
}

func refOf(a dialer.Attempt) dialRef {
	return dialRef{a.Contact.ID, a.Contact.Campaign, a.Contact.Number, a.N, a.Node, ms(a.Claimed)}
}

// errResults tells that a result has no room to wait.
var errResults = errors.New("too many results wait for the store")

// Release gives a claim back that was not dialled. It returns when that is
// written, or has waited for the database for a while: it is not lost then.
func (l *Ledger) Release(ctx context.Context, a dialer.Attempt, next dialer.State, due time.Time, why string) error {
	err := l.settle(ctx, &settled{Attempt: refOf(a), Back: true, Next: next, Due: ms(due), Why: clean(why)})
	if err != nil && !errors.Is(err, dialer.ErrNotClaimed) { // who has it already needs no help
		return fmt.Errorf("store: give contact %s back: %w", a.Contact.ID, err)
	}
	return nil
}

// Finish keeps what became of an attempt that was dialled. It returns when that is
// written, or has waited for the database for a while: it is not lost then.
func (l *Ledger) Finish(ctx context.Context, a dialer.Attempt, r dialer.Result) error {
	data, err := object(r.Data)
	if err != nil {
		l.s.log.Error("what was extracted in a call is no JSON and is not kept", zap.String("contact", a.Contact.ID),
			zap.Error(err))
		data = "{}"
	}
	w := &settled{Attempt: refOf(a), Next: r.Next, Due: ms(r.Due), Why: clean(r.Why), Result: r, Data: data}
	w.Result.Data, w.Result.Next, w.Result.Due = nil, "", time.Time{}
	if err := l.settle(ctx, w); err != nil {
		return fmt.Errorf("store: keep attempt %d at contact %s: %w", a.N, a.Contact.ID, err)
	}
	return nil
}

func (l *Ledger) settle(ctx context.Context, w *settled) error {
	w.At = ms(time.Now())
	wrote := make(chan struct{})
	if !l.s.push(item{settled: w, wrote: wrote, weight: rowBytes + len(w.Data)}) {
		return errResults
	}
	patience := time.NewTimer(flushWait)
	defer patience.Stop()
	select {
	case <-wrote:
		if w.stale {
			return dialer.ErrNotClaimed
		}
	case <-patience.C:
	case <-ctx.Done():
	}
	return nil
}

// saveSettled writes what became of claims, once: what was written and is written
// again changes nothing. Of one contact that is one thing at a time.
func saveSettled(ctx context.Context, tx Tx, items []item) error {
	var all []*settled
	for _, it := range items {
		if it.settled != nil {
			all = append(all, it.settled)
		}
	}
	for len(all) > 0 {
		seen := make(map[string]bool, len(all))
		var first, later []*settled
		for _, w := range all {
			if seen[w.Attempt.Contact] {
				later = append(later, w)
				continue
			}
			seen[w.Attempt.Contact] = true
			first = append(first, w)
		}
		if err := settleAll(ctx, tx, first); err != nil {
			return fmt.Errorf("ends of %d attempts: %w", len(first), err)
		}
		all = later
	}
	return nil
}

// settleAll writes what became of claims of contacts of which none is twice there.
// Campaigns are locked before contacts, as all lock them.
func settleAll(ctx context.Context, tx Tx, all []*settled) error {
	next, err := whereto(ctx, tx, all)
	if err != nil {
		return err
	}
	ids := make([]string, 0, len(all))
	for _, w := range all {
		ids = append(ids, w.Attempt.Contact)
	}
	contacts, err := lockContacts(ctx, tx, ids)
	if err != nil {
		return err
	}
	dials, err := dialsOf(ctx, tx, ids)
	if err != nil {
		return err
	}
	var moved []*contactRow
	var ended, back []*dialRow
	for _, w := range all {
		to, goesOn := next[w]
		d := dials[dialKey{w.Attempt.Contact, w.Attempt.N}]
		if w.stale = !goesOn || d == nil || !d.is(&w.Attempt) || !w.holds(d) && !w.told(d); w.stale || !w.holds(d) {
			continue
		}
		if c := contacts[w.Attempt.Contact]; c != nil && w.move(c, to) {
			moved = append(moved, c)
		}
		if w.Back {
			back = append(back, d)
			continue
		}
		w.end(d)
		ended = append(ended, d)
	}
	if err := update(ctx, tx, moved, "state", "why", "tries", "due_at", "updated_at"); err != nil {
		return err
	}
	if err := update(ctx, tx, ended, "state", "outcome", "sip", "why", "caller_id", "answered_by", "message_left",
		"opt_out", "disposition", "data", "answered_at", "ended_at", "callback_at"); err != nil {
		return err
	}
	if len(back) > 0 {
		if _, err := tx.NewDelete().Model(&back).WherePK().Exec(ctx); err != nil {
			return err
		}
	}
	return optOuts(ctx, tx, all)
}

// update writes columns of rows that the transaction has locked.
func update[R any](ctx context.Context, tx Tx, rows []*R, columns ...string) error {
	if len(rows) == 0 {
		return nil
	}
	_, err := tx.NewUpdate().Model(&rows).Column(columns...).Bulk().Exec(ctx)
	return err
}

// dialKey names an attempt.
type dialKey struct {
	contact string
	n       int
}

// dialsOf are the attempts at contacts, as far as their ends need them.
func dialsOf(ctx context.Context, tx Tx, contacts []string) (map[dialKey]*dialRow, error) {
	var rows []dialRow
	err := tx.NewSelect().Model(&rows).
		Column("contact_id", "n", "node", "claimed_at", "state", "outcome", "ended_at", "caller_id").
		Where("contact_id IN (?)", bun.List(contacts)).Scan(ctx)
	out := make(map[dialKey]*dialRow, len(rows))
	for i := range rows {
		out[dialKey{rows[i].ContactID, rows[i].N}] = &rows[i]
	}
	return out, err
}

// destination is a state that a contact goes to.
type destination struct {
	state dialer.State
	why   string
}

// whereto are the states that contacts go to, without those whose campaign is
// deleted: none waits for a campaign that has ended, or on a list.
func whereto(ctx context.Context, tx Tx, all []*settled) (map[*settled]destination, error) {
	status := map[string]dialer.Status{}
	var numbers []string
	for _, w := range all {
		if w.Next == dialer.Pending {
			status[w.Attempt.Campaign] = ""
			numbers = append(numbers, w.Attempt.Number)
		}
	}
	var err error
	for _, id := range slices.Sorted(maps.Keys(status)) {
		if status[id], err = keepStatus(ctx, tx, id); errors.Is(err, ErrNotFound) {
			delete(status, id)
		} else if err != nil {
			return nil, err
		}
	}
	listed, err := listed(ctx, tx, numbers)
	if err != nil {
		return nil, err
	}
	out := make(map[*settled]destination, len(all))
	for _, w := range all {
		if w.Next != dialer.Pending {
			out[w] = destination{w.Next, w.Why}
			continue
		}
		s, kept := status[w.Attempt.Campaign]
		why, no := listed.of(w.Attempt.Campaign, w.Attempt.Number)
		switch {
		case !kept: // nobody is there to go on with it
		case over(s):
			out[w] = destination{dialer.Expired, endOf(s)}
		case no:
			out[w] = destination{dialer.Blocked, blocked(why)}
		case w.Result.OptOut:
			out[w] = destination{dialer.Blocked, blocked(optedOut)}
		default:
			out[w] = destination{dialer.Pending, w.Why}
		}
	}
	return out, nil
}

// holds tells whether an attempt is still the claim's to end. What its node finished
// after all is known better than what others made of it.
func (w *settled) holds(d *dialRow) bool {
	if w.Back {
		return d.State == dialClaimed || d.State == dialDialing
	}
	return d.State == dialDialing || d.Outcome == dialer.OutcomeUnknown
}

// told tells whether an end was written before, and the answer to that got lost.
func (w *settled) told(d *dialRow) bool {
	return !w.Back && d.State == dialEnded && d.Outcome == w.Result.Outcome && d.EndedAt == w.endedAt()
}

func (w *settled) endedAt() int64 {
	if t := ms(w.Result.Ended); t != 0 {
		return t
	}
	return w.At
}

// move takes a contact on, unless somebody else has.
func (w *settled) move(c *contactRow, to destination) bool {
	switch {
	case w.Back && (c.State == dialer.Claimed || c.State == dialer.Dialing):
		c.Tries = w.Attempt.N - 1
	case !w.Back && c.Tries == w.Attempt.N && (c.State == dialer.Dialing || c.State == dialer.Review):
	default:
		return false
	}
	c.State, c.Why, c.DueAt, c.UpdatedAt = to.state, to.why, w.Due, w.At
	return true
}

// end writes into an attempt what became of it.
func (w *settled) end(d *dialRow) {
	r := &w.Result
	d.State, d.Outcome, d.SIP, d.Why = dialEnded, r.Outcome, r.SIP, clean(r.Why)
	d.AnsweredBy, d.MessageLeft, d.OptOut = clean(r.AnsweredBy), r.MessageLeft, r.OptOut
	d.Disposition, d.Data = clean(r.Disposition), w.Data
	d.AnsweredAt, d.EndedAt, d.CallbackAt = ms(r.Answered), w.endedAt(), ms(r.Callback)
	if r.From != "" {
		d.CallerID = clean(r.From)
	}
}

// optedOut is why a number is on the list of those who said so in a call.
const optedOut = "asked in a call not to be called again"

// optOuts puts on the list who asked for it: whoever's the attempt is, what the
// callee said counts.
func optOuts(ctx context.Context, tx Tx, all []*settled) error {
	for _, w := range all {
		if w.Back || !w.Result.OptOut {
			continue
		}
		row, err := newDNC("", "", DNC{Number: w.Attempt.Number, Why: optedOut})
		if err == nil {
			_, err = tx.block(ctx, "", []dncRow{row})
		}
		if err != nil {
			return fmt.Errorf("contact %s: %w", w.Attempt.Contact, err)
		}
	}
	return nil
}
