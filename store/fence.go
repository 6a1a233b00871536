package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/uptrace/bun"

	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/telephony/dialer"
)

// fence lets attempts pass. A transaction takes all that have come since the one
// before it began: under load a call costs a part of one.
type fence struct {
	mu      sync.Mutex
	waiting []*passing
	busy    bool
	closed  bool
	idle    sync.WaitGroup // of who is at it
}

// passing is an attempt at the fence.
type passing struct {
	dialRef
	call, from string
	err        error // once done is closed
	done       chan struct{}
}

// passAtOnce bounds what one transaction lets pass.
const passAtOnce = 256

var (
	errClosed = errors.New("the store is closed")
	errCalled = fmt.Errorf("another campaign calls its number: %w", dialer.ErrNotClaimed)
)

// Dialing is the fence. It lets the attempt of a claim pass that stands, of a
// campaign that runs, to a number that is on no list and that no other campaign calls;
// from then on it counts as dialled. With any other fault than ErrNotClaimed nobody knows whether it has
// passed: it must not leave either, and is given back.
func (l *Ledger) Dialing(ctx context.Context, a dialer.Attempt, call telephony.CallID, from string) error {
	p := &passing{dialRef: refOf(a), call: clean(string(call)), from: clean(from), done: make(chan struct{})}
	l.s.enter(p)
	var err error
	select {
	case <-p.done:
		err = p.err
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	if err == nil {
		return nil
	}
	if !errors.Is(err, dialer.ErrNotClaimed) {
		l.s.push(item{settled: &settled{Attempt: p.dialRef, Back: true, Next: dialer.Pending}})
	}
	return fmt.Errorf("store: dial contact %s: %w", a.Contact.ID, err)
}

// enter puts an attempt before the fence.
func (s *Store) enter(p *passing) {
	f := &s.fence
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.closed:
		p.err = errClosed
		close(p.done)
	case f.busy:
		f.waiting = append(f.waiting, p)
	default:
		f.waiting, f.busy = append(f.waiting, p), true
		f.idle.Go(s.letPass)
	}
}

// close waits for those before the fence; nobody passes after it.
func (f *fence) close() {
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
	f.idle.Wait()
}

// letPass lets pass who waits, until nobody does.
func (s *Store) letPass() {
	f := &s.fence
	for {
		f.mu.Lock()
		n := min(len(f.waiting), passAtOnce)
		all := f.waiting[:n:n]
		f.waiting = f.waiting[n:]
		if n == 0 {
			f.busy, f.waiting = false, nil
		}
		f.mu.Unlock()
		if n == 0 {
			return
		}
		s.passAll(all)
	}
}

// passAll asks for all at once, and for each by itself where one of them is refused
// as no other try would change.
func (s *Store) passAll(all []*passing) {
	err := s.pass(all)
	if refused(err) && len(all) > 1 {
		for _, p := range all {
			s.passAll([]*passing{p})
		}
		return
	}
	if isTaken(err) {
		err = errCalled
	}
	for _, p := range all {
		if err != nil {
			p.err = err
		}
		close(p.done)
	}
}

// pass is one transaction. Who is not let through has ErrNotClaimed.
func (s *Store) pass(all []*passing) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), statementTime)
	defer cancel()
	// By their contacts, as all lock them.
	slices.SortStableFunc(all, func(a, b *passing) int { return strings.Compare(a.Contact, b.Contact) })
	for range 3 { // who waits in a circle is let go, and the others pass
		err = s.InTx(ctx, func(ctx context.Context, tx Tx) error { return tx.pass(ctx, all) })
		if !isPG(err, pgDeadlock) {
			break
		}
	}
	return err
}

func (t Tx) pass(ctx context.Context, all []*passing) error {
	ids := make([]string, 0, len(all))
	for _, p := range all {
		ids, p.err = append(ids, p.Contact), dialer.ErrNotClaimed
	}
	contacts, err := lockContacts(ctx, t, ids, dialer.Claimed)
	if err != nil || len(contacts) == 0 {
		return err
	}
	// With the contacts locked nobody puts their numbers on a list, or takes a claim.
	number := t.NewSelect().Model((*dncRow)(nil)).ColumnExpr("1").
		Join("JOIN contacts AS c ON c.number = dnc_row.number").
		Where("c.id = dial_row.contact_id AND dnc_row.campaign_id IN ('', dial_row.campaign_id)")
	campaign := t.NewSelect().Model((*campaignRow)(nil)).ColumnExpr("1").
		Where("id = dial_row.campaign_id AND status = ?", dialer.Running)
	var claims []dialRow
	err = t.NewSelect().Model(&claims).Column("contact_id", "n", "node", "claimed_at").
		ColumnExpr("? AS now", clock(t.pgx != nil)).
		Where("contact_id IN (?) AND state = ?", bun.List(ids), dialClaimed).
		Where("NOT EXISTS (?)", number).Where("EXISTS (?)", campaign).Scan(ctx)
	if err != nil {
		return err
	}
	claimed := make(map[string]*dialRow, len(claims))
	for i := range claims {
		claimed[claims[i].ContactID] = &claims[i]
	}
	var passed []*contactRow
	var dials []*dialRow
	for _, p := range all {
		c, d := contacts[p.Contact], claimed[p.Contact]
		if c == nil || d == nil || c.State != dialer.Claimed || !d.is(&p.dialRef) {
			continue
		}
		p.err = nil
		now := d.Now / 1000
		c.State, c.Tries, c.UpdatedAt = dialer.Dialing, p.N, now
		if p.from != "" {
			c.CallerID = p.from
		}
		d.State, d.CallID, d.CallerID, d.DialedAt = dialDialing, p.call, p.from, now
		passed, dials = append(passed, c), append(dials, d)
	}
	if err := update(ctx, t, passed, "state", "tries", "caller_id", "updated_at"); err != nil {
		return err
	}
	return update(ctx, t, dials, "state", "call_id", "caller_id", "dialed_at")
}

// lockContacts are contacts that nobody else changes until the transaction ends, by
// their ids: those that are in a state, or in any where none is named.
func lockContacts(ctx context.Context, tx Tx, ids []string, states ...dialer.State) (map[string]*contactRow, error) {
	var rows []contactRow
	q := tx.NewSelect().Model(&rows).Column("id", "state", "why", "tries", "due_at", "caller_id", "updated_at").
		Where("id IN (?)", bun.List(ids)).Order("id")
	if len(states) > 0 {
		q = q.Where("state IN (?)", bun.List(states))
	}
	if err := tx.forUpdate(q).Scan(ctx); err != nil {
		return nil, err
	}
	out := make(map[string]*contactRow, len(rows))
	for i := range rows {
		out[rows[i].ID] = &rows[i]
	}
	return out, nil
}
