package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/uptrace/bun"

	"github.com/patchcord/patchcord/telephony/dialer"
)

// Ledger is what the dialer keeps in a store: who is called, by which node, and
// what became of it. An attempt is claimed, dialled once its node has passed the
// fence, and ended. A claim is safely given back at any time: its node does not
// pass the fence any more. What was dialled when a node died is up for review.
//
// A contact is changed before its attempts, and numbers that are not to be called
// are put on their list with their contacts locked.
type Ledger struct {
	s     *Store
	clock func() time.Time // of a test; nil: the database's, which of SQLite is ours
}

var _ dialer.Ledger = (*Ledger)(nil)

// Ledger is the dialer's part of the store.
func (s *Store) Ledger() *Ledger { return &Ledger{s: s} }

const (
	// slotsAhead is how far ahead of now calls are claimed: a node that claims
	// twice in it loses no call of the campaign's rate.
	slotsAhead = time.Second
	// mostJudged is how many contacts one claim looks at: it holds the campaign.
	mostJudged = 500
	// claimLife is how long a claim may take to be dialled. What a claim took whose
	// answer got lost is given back after it.
	claimLife = time.Minute
)

// now is the clock that slots, due times and leases go by, us of Unix time.
func (l *Ledger) now() bun.Safe {
	if l.clock != nil {
		return bun.Safe(fmt.Sprint(l.clock().UnixMicro()))
	}
	return clock(l.s.postgres)
}

// clock is that of a database, us of Unix time.
func clock(postgres bool) bun.Safe {
	if postgres {
		return "(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000)::bigint"
	}
	return bun.Safe(fmt.Sprint(time.Now().UnixMicro()))
}

// Running are the campaigns that may be claimed from, by priority, and those that
// Complete would end.
func (l *Ledger) Running(ctx context.Context) ([]dialer.Campaign, error) {
	var rows []campaignRow
	err := l.s.read.NewSelect().Model(&rows).
		Where("status = ? AND starts_at <= ? / 1000", dialer.Running, l.now()).
		Order("priority DESC", "created_at", "id").Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("store: running campaigns: %w", err)
	}
	out := make([]dialer.Campaign, 0, len(rows))
	for _, r := range rows {
		c, err := r.campaign()
		if err != nil {
			return nil, err
		}
		out = append(out, c.Campaign)
	}
	return out, nil
}

// Claim takes contacts that are due. While another node claims from the campaign
// there are none.
func (l *Ledger) Claim(ctx context.Context, campaign string, most int, judge dialer.Judge) ([]dialer.Attempt, error) {
	var out []dialer.Attempt
	if most <= 0 {
		return nil, nil
	}
	err := l.s.InTx(ctx, func(ctx context.Context, tx Tx) error {
		row := campaignRow{}
		q := tx.NewSelect().Model(&row).ColumnExpr("?TableColumns").ColumnExpr("? AS now", l.now()).
			Where("id = ? AND status = ?", campaign, dialer.Running)
		if tx.pgx != nil {
			q = q.For("NO KEY UPDATE SKIP LOCKED")
		}
		if err := none(q.Scan(ctx)); errors.Is(err, ErrNotFound) {
			return nil
		} else if err != nil {
			return err
		}
		if ms := row.Now / 1000; ms < row.StartsAt || row.EndsAt > 0 && ms >= row.EndsAt {
			return nil
		}
		up, err := active(ctx, tx, campaign)
		if err != nil {
			return err
		}
		slots := row.slots(min(most, row.Concurrency-up))
		if len(slots) == 0 {
			return nil
		}
		if out, err = l.take(ctx, tx, &row, slots, judge); err != nil || len(out) == 0 {
			return err
		}
		next := out[len(out)-1].Slot.Add(row.interval()).UnixMicro()
		_, err = tx.NewUpdate().Model((*campaignRow)(nil)).Set("next_slot = ?", next).Where("id = ?", campaign).Exec(ctx)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("store: claim from campaign %s: %w", campaign, err)
	}
	return out, nil
}

// active counts the attempts of a campaign that are claimed or dialled, of all
// nodes.
func active(ctx context.Context, tx Tx, campaign string) (int, error) {
	n, err := tx.NewSelect().Model((*dialRow)(nil)).Where("campaign_id = ? AND ended_at = 0", campaign).Count(ctx)
	return int(n), err
}

// interval is from one call of a campaign to the next.
func (r *campaignRow) interval() time.Duration {
	if r.CPS <= 0 {
		return 0
	}
	return time.Duration(float64(time.Second) / r.CPS)
}

// slots are the next times at which a call may leave, at most n. Those that nobody
// took are gone: calls do not bunch after a pause. Where the next one is further ahead
// than any that was given away, the clock was set back since: it counts no more.
func (r *campaignRow) slots(n int) []time.Time {
	now := time.UnixMicro(r.Now).UTC()
	last := now.Add(slotsAhead)
	next := now
	if t := time.UnixMicro(r.NextSlot).UTC(); t.After(now) && r.CPS > 0 && !t.After(last.Add(r.interval())) {
		next = t
	}
	var out []time.Time
	for ; len(out) < n && !next.After(last); next = next.Add(r.interval()) {
		out = append(out, next)
	}
	return out
}

// take claims a contact for each slot, as far as there are any.
func (l *Ledger) take(
	ctx context.Context, tx Tx, c *campaignRow, slots []time.Time, judge dialer.Judge,
) ([]dialer.Attempt, error) {
	var out []dialer.Attempt
	now := c.Now / 1000
	again := true
	for seen := 0; len(out) < len(slots) && seen < mostJudged; {
		rows, err := due(ctx, tx, c.ID, again, now, min(len(slots)-len(out), mostJudged-seen))
		switch {
		case err != nil:
			return nil, err
		case len(rows) == 0 && !again:
			return out, nil
		case len(rows) == 0:
			again = false
			continue
		}
		seen += len(rows)
		past, err := history(ctx, tx, rows)
		if err != nil {
			return nil, err
		}
		others, err := elsewhere(ctx, tx, rows, now)
		if err != nil {
			return nil, err
		}
		var taken []dialRow
		for i := range rows {
			row := &rows[i]
			a := attempt(row, l.s.cfg.Node, past[row.ID], now)
			a.Elsewhere = others[row.Number]
			if row.judge(a, judge, now); row.State != dialer.Claimed {
				continue
			}
			a.Contact.State, a.Slot = dialer.Claimed, slots[len(out)]
			out = append(out, a)
			taken = append(taken, dialRow{
				ContactID: row.ID, N: a.N, CampaignID: c.ID, Node: a.Node, State: dialClaimed, Data: "{}", ClaimedAt: now,
			})
		}
		if _, err := tx.NewUpdate().Model(&rows).Column("state", "why", "due_at", "updated_at").Bulk().Exec(ctx); err != nil {
			return nil, err
		}
		if len(taken) == 0 {
			continue
		}
		if _, err := tx.NewInsert().Model(&taken).Exec(ctx); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// due are contacts that wait no longer, and why which of them are not to be called:
// those to be called again, or all.
func due(ctx context.Context, tx Tx, campaign string, again bool, now int64, most int) ([]contactRow, error) {
	var rows []contactRow
	why := tx.NewSelect().Model((*dncRow)(nil)).ColumnExpr("MIN(why)").
		Where("dnc_row.number = contact_row.number AND dnc_row.campaign_id IN ('', contact_row.campaign_id)")
	q := tx.NewSelect().Model(&rows).ColumnExpr("?TableColumns").ColumnExpr("(?) AS listed", why).
		Where("campaign_id = ? AND state = ? AND due_at <= ?", campaign, dialer.Pending, now).
		Order("due_at", "id").Limit(int64(most))
	if again {
		q = q.Where("tries > 0")
	}
	if tx.pgx != nil {
		q = q.For("UPDATE OF contact_row SKIP LOCKED")
	}
	return rows, q.Scan(ctx)
}

// history is what was dialled of contacts, the latest attempt first.
func history(ctx context.Context, tx Tx, rows []contactRow) (map[string][]dialRow, error) {
	var ids []string
	for i := range rows {
		if rows[i].Tries > 0 {
			ids = append(ids, rows[i].ID)
		}
	}
	if len(ids) == 0 {
		return nil, nil
	}
	var past []dialRow
	err := tx.NewSelect().Model(&past).Column("contact_id", "n", "outcome", "dialed_at").
		Where("contact_id IN (?)", bun.List(ids)).Order("contact_id", "n DESC").Scan(ctx)
	out := map[string][]dialRow{}
	for _, p := range past {
		out[p.ContactID] = append(out[p.ContactID], p)
	}
	return out, err
}

// elsewhere is what other campaigns do with the numbers of contacts of one.
func elsewhere(ctx context.Context, tx Tx, rows []contactRow, now int64) (map[string]dialer.Elsewhere, error) {
	numbers := make([]string, 0, len(rows))
	for i := range rows {
		numbers = append(numbers, rows[i].Number)
	}
	var all []struct {
		Number            string
		Outcome           dialer.Outcome
		DialedAt, EndedAt int64
	}
	day := now - (24 * time.Hour).Milliseconds()
	err := tx.NewSelect().Model((*dialRow)(nil)).Column("c.number", "dial_row.outcome", "dialed_at", "ended_at").
		Join("JOIN contacts AS c ON c.id = dial_row.contact_id").
		Where("c.number IN (?) AND c.campaign_id <> ?", bun.List(numbers), rows[0].CampaignID).
		Where("dial_row.ended_at = 0 OR dial_row.dialed_at > ?", day).Order("dialed_at").Scan(ctx, &all)
	out := make(map[string]dialer.Elsewhere, len(all))
	for _, d := range all {
		e := out[d.Number]
		switch {
		case d.EndedAt == 0:
			e.Open = true
		case d.Outcome.Rings():
			if e.Today++; e.Today == 1 {
				e.First = at(d.DialedAt)
			}
		}
		out[d.Number] = e
	}
	return out, err
}

// attempt is the next attempt at a contact. past is what was dialled, the latest
// first.
func attempt(row *contactRow, node string, past []dialRow, now int64) dialer.Attempt {
	a := dialer.Attempt{Contact: row.contact(), N: row.Tries + 1, Node: node, Claimed: at(now)}
	day := now - (24 * time.Hour).Milliseconds()
	for i, p := range past {
		if p.DialedAt > day && p.Outcome.Rings() {
			a.Today++
			a.First = at(p.DialedAt) // the latest comes first
		}
		if p.Outcome == past[0].Outcome && a.Same[p.Outcome] == i {
			if i == 0 {
				a.Same = map[dialer.Outcome]int{}
			}
			a.Same[p.Outcome]++
		}
	}
	return a
}

// judge puts a contact that is due where it belongs: Claimed, or elsewhere.
func (r *contactRow) judge(a dialer.Attempt, judge dialer.Judge, now int64) {
	r.UpdatedAt = now
	if r.Listed != nil {
		r.State, r.Why = dialer.Blocked, blocked(*r.Listed)
		return
	}
	if judge == nil {
		r.State, r.Why = dialer.Claimed, ""
		return
	}
	next, due, why := judge(a)
	r.State, r.Why = next, clean(why)
	if next == dialer.Pending {
		r.DueAt = max(ms(due), now+1) // it is not looked at twice by one claim
	}
}

// Shown is how often each of some caller IDs was shown since a time, by whatever
// campaign.
func (l *Ledger) Shown(ctx context.Context, numbers []string, since time.Time) (map[string]int, error) {
	if len(numbers) == 0 {
		return nil, nil
	}
	var rows []struct {
		CallerID string
		N        int
	}
	err := l.s.read.NewSelect().Model((*dialRow)(nil)).Column("caller_id").ColumnExpr("COUNT(*) AS n").
		Where("caller_id IN (?) AND dialed_at >= ? AND dialed_at > 0", bun.List(numbers), ms(since)).
		Group("caller_id").Scan(ctx, &rows)
	if err != nil {
		return nil, fmt.Errorf("store: how often caller IDs were shown: %w", err)
	}
	out := make(map[string]int, len(rows))
	for _, r := range rows {
		out[r.CallerID] = r.N
	}
	return out, nil
}

// Tally counts the attempts of a campaign that ended since a time. Those whose end
// nobody knows are not among them.
func (l *Ledger) Tally(ctx context.Context, campaign string, since time.Time) (dialer.Tally, error) {
	l.s.fresh(ctx)
	var t dialer.Tally
	var rows []struct {
		Outcome dialer.Outcome
		N       int
	}
	err := l.s.read.NewSelect().Model((*dialRow)(nil)).Column("outcome").ColumnExpr("COUNT(*) AS n").
		Where("campaign_id = ? AND ended_at >= ? AND ended_at > 0", campaign, ms(since)).Group("outcome").Scan(ctx, &rows)
	if err != nil {
		return t, fmt.Errorf("store: count attempts of campaign %s: %w", campaign, err)
	}
	for _, r := range rows {
		if r.Outcome == dialer.OutcomeUnknown {
			continue
		}
		t.Attempts += r.N
		switch r.Outcome {
		case dialer.OutcomeVoicemail, dialer.OutcomeScreening:
			t.Answered += r.N
		case dialer.OutcomePerson:
			t.Answered += r.N
			t.People += r.N
		case dialer.OutcomeAbandoned:
			t.Answered += r.N
			t.People += r.N
			t.Abandoned += r.N
		case dialer.OutcomeCongestion, dialer.OutcomeFailed:
			t.Failed += r.N
		}
	}
	return t, nil
}

// Pause pauses a running campaign. One that does not run stays as it is.
func (l *Ledger) Pause(ctx context.Context, campaign, why string) (bool, error) {
	_, err := l.s.PauseCampaign(ctx, "", campaign, why)
	if errors.Is(err, ErrStatus) {
		return false, nil
	}
	return err == nil, err
}

// Complete ends a running campaign whose end has come, or whose contacts are all in
// a final state.
func (l *Ledger) Complete(ctx context.Context, campaign string) (bool, error) {
	l.s.fresh(ctx)
	// Most ask in vain, and lock nothing for it.
	if goesOn, err := l.goesOn(ctx, l.s.read, campaign); err != nil || goesOn {
		return false, err
	}
	done := false
	err := l.s.change(ctx, func(ctx context.Context, tx Tx) error {
		row, err := lockCampaign(ctx, tx, campaign)
		if err != nil || row.Status != dialer.Running {
			return err
		}
		if goesOn, err := l.goesOn(ctx, tx, campaign); err != nil || goesOn {
			return err
		}
		done = true
		return row.turn(ctx, tx, "", dialer.Completed, "")
	}, "complete campaign %s", campaign)
	return done && err == nil, err
}

// goesOn tells whether a campaign has contacts to call or in a call, and its end
// has not come.
func (l *Ledger) goesOn(ctx context.Context, db bun.IDB, campaign string) (bool, error) {
	open, err := db.NewSelect().Model((*contactRow)(nil)).Where("campaign_id = ? AND state IN (?, ?, ?)",
		campaign, dialer.Pending, dialer.Claimed, dialer.Dialing).Exists(ctx)
	if err != nil || !open {
		return false, err
	}
	over, err := db.NewSelect().Model((*campaignRow)(nil)).
		Where("id = ? AND ends_at > 0 AND ends_at <= ? / 1000", campaign, l.now()).Exists(ctx)
	return !over, err
}

// Block puts a number on the do-not-call list of a campaign, or of all where
// campaign is "".
func (l *Ledger) Block(ctx context.Context, campaign, number, why string) error {
	_, err := l.s.AddDNC(ctx, "", campaign, []DNC{{Number: number, Why: why}})
	return err
}
