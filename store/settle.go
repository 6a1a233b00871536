package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
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

// saveSettled writes what became of claims, by their contacts in the order in which
// block locks them: two who did not would wait for each other.
func saveSettled(ctx context.Context, tx Tx, items []item) error {
	var all []*settled
	for _, it := range items {
		if it.settled != nil {
			all = append(all, it.settled)
		}
	}
	slices.SortStableFunc(all, func(a, b *settled) int { return strings.Compare(a.Attempt.Contact, b.Attempt.Contact) })
	for _, w := range all {
		if err := w.save(ctx, tx); err != nil {
			return err
		}
	}
	return nil
}

// save writes what became of a claim, once: what was written and is written again
// changes nothing.
func (w *settled) save(ctx context.Context, tx Tx) error {
	a := w.Attempt
	next, why, err := w.where(ctx, tx)
	if errors.Is(err, ErrNotFound) { // the campaign is deleted
		w.stale = true
		return nil
	}
	if err != nil {
		return fmt.Errorf("attempt at contact %s: %w", a.Contact, err)
	}
	// What its node finished after all is known better than what others made of it.
	claim := func(q bun.QueryBuilder) bun.QueryBuilder {
		q = q.Where("contact_id = ? AND n = ? AND node = ? AND claimed_at = ?", a.Contact, a.N, a.Node, a.ClaimedAt)
		if w.Back {
			return q.Where("state IN (?, ?)", dialClaimed, dialDialing)
		}
		return q.Where("(state = ? OR outcome = ?)", dialDialing, dialer.OutcomeUnknown)
	}
	its := tx.NewSelect().Model((*dialRow)(nil)).ColumnExpr("1").ApplyQueryBuilder(claim)
	q := tx.NewUpdate().Model((*contactRow)(nil)).Set("state = ?", next).Set("why = ?", why).Set("due_at = ?", w.Due).
		Set("updated_at = ?", w.At).Where("id = ?", a.Contact).Where("EXISTS (?)", its)
	if w.Back {
		q = q.Set("tries = ?", a.N-1).Where("state IN (?, ?)", dialer.Claimed, dialer.Dialing)
	} else {
		q = q.Where("tries = ? AND state IN (?, ?)", a.N, dialer.Dialing, dialer.Review)
	}
	if _, err := q.Exec(ctx); err != nil {
		return fmt.Errorf("contact %s: %w", a.Contact, err)
	}
	if w.Back {
		res, err := tx.NewDelete().Model((*dialRow)(nil)).ApplyQueryBuilder(claim).Exec(ctx)
		return w.hit(one(res, err))
	}
	err = w.hit(w.end(ctx, tx, claim))
	// Whoever's the attempt is: what the callee said counts.
	if err == nil && w.Result.OptOut {
		var row dncRow
		if row, err = newDNC("", "", DNC{Number: a.Number, Why: optedOut}); err == nil {
			_, err = tx.block(ctx, "", []dncRow{row})
		}
	}
	return err
}

// optedOut is why a number is on the list of those who said so in a call.
const optedOut = "asked in a call not to be called again"

// where is the state that a contact goes to: none waits for a campaign that has
// ended, or on a list.
func (w *settled) where(ctx context.Context, tx Tx) (dialer.State, string, error) {
	if w.Next != dialer.Pending {
		return w.Next, w.Why, nil
	}
	status, err := keepStatus(ctx, tx, w.Attempt.Campaign)
	if err != nil {
		return "", "", err
	}
	if over(status) {
		return dialer.Expired, endOf(status), nil
	}
	why, ok, err := listed(ctx, tx, w.Attempt.Campaign, w.Attempt.Number)
	switch {
	case err != nil:
		return "", "", err
	case ok:
		return dialer.Blocked, blocked(why), nil
	case w.Result.OptOut:
		return dialer.Blocked, blocked(optedOut), nil
	}
	return dialer.Pending, w.Why, nil
}

// end writes the attempt.
func (w *settled) end(ctx context.Context, tx Tx, claim func(bun.QueryBuilder) bun.QueryBuilder) error {
	r := w.Result
	ended := ms(r.Ended)
	if ended == 0 {
		ended = w.At
	}
	q := tx.NewUpdate().Model((*dialRow)(nil)).Set("state = ?", dialEnded).Set("outcome = ?", r.Outcome).
		Set("sip = ?", r.SIP).Set("why = ?", clean(r.Why)).Set("answered_by = ?", clean(r.AnsweredBy)).
		Set("message_left = ?", r.MessageLeft).Set("opt_out = ?", r.OptOut).Set("disposition = ?", clean(r.Disposition)).
		Set("data = ?", w.Data).Set("answered_at = ?", ms(r.Answered)).Set("ended_at = ?", ended).
		Set("callback_at = ?", ms(r.Callback))
	if r.From != "" {
		q = q.Set("caller_id = ?", clean(r.From))
	}
	res, err := q.ApplyQueryBuilder(claim).Exec(ctx)
	if err = one(res, err); !errors.Is(err, dialer.ErrNotClaimed) {
		return err
	}
	// It may have been written before, and the answer to that got lost.
	was, e := tx.NewSelect().Model((*dialRow)(nil)).
		Where("contact_id = ? AND n = ? AND node = ? AND claimed_at = ? AND state = ? AND outcome = ? AND ended_at = ?",
			w.Attempt.Contact, w.Attempt.N, w.Attempt.Node, w.Attempt.ClaimedAt, dialEnded, r.Outcome, ended).Exists(ctx)
	if was || e != nil {
		return e
	}
	return err
}

// hit remembers that somebody else has decided.
func (w *settled) hit(err error) error {
	if w.stale = errors.Is(err, dialer.ErrNotClaimed); w.stale {
		return nil
	}
	if err != nil {
		return fmt.Errorf("attempt at contact %s: %w", w.Attempt.Contact, err)
	}
	return nil
}
