package store

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/uptrace/bun"
	"go.uber.org/zap"

	"github.com/patchcord/patchcord/telephony/dialer"
)

// beats is how many heartbeats a node may miss until the others look whether it is
// gone.
const beats = 3

// pgNow is the database's clock, ms of Unix time.
const pgNow = "(EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::bigint"

// beat tells the others that this node is there, $1, for $2 ms from now. Where its
// time had run out it counts as new. Where the clock was set back it is there since
// now at the latest.
const beat = "INSERT INTO nodes (id, since_at, expires_at) VALUES ($1, " + pgNow + ", " + pgNow + " + $2) " +
	"ON CONFLICT (id) DO UPDATE SET expires_at = EXCLUDED.expires_at, " +
	"since_at = CASE WHEN nodes.expires_at < EXCLUDED.since_at THEN EXCLUDED.since_at " +
	"ELSE LEAST(nodes.since_at, EXCLUDED.since_at) END"

// beat is how often this node tells that it is there.
func (s *Store) beat() time.Duration { return cmp.Or(s.cfg.beat, nodeCheck) }

// lease is for how long it tells so, ms.
func (s *Store) lease() int64 { return beats * s.beat().Milliseconds() }

// there is what holds of a node whose time runs. What would run for longer than any
// says was said before the database's clock was set back.
func (s *Store) there() string {
	return fmt.Sprintf("expires_at BETWEEN %s AND %s + %d", pgNow, pgNow, 2*s.lease())
}

// nodeLost is why nobody knows what became of an attempt.
const nodeLost = "the node that dialled it is gone"

// recoverDials gives back what an earlier process of this name had claimed, and
// puts what it had dialled up for review. Of SQLite there is no other process.
func (s *Store) recoverDials(ctx context.Context) error {
	var back, review int
	err := s.InTx(ctx, func(ctx context.Context, tx Tx) (err error) {
		where, args := "ended_at = 0", []any(nil)
		if s.postgres {
			where, args = "ended_at = 0 AND node = ?", []any{s.cfg.Node}
		}
		back, review, err = tx.recoverDials(ctx, where, args...)
		return err
	})
	if err == nil && back+review > 0 {
		s.log.Warn("attempts of an earlier process that did not end", zap.Int("given_back", back), zap.Int("review", review))
	}
	return err
}

// Recover gives back what nodes that are gone had claimed, and what no node has
// dialled in a minute, or has claimed when the clock was ahead by more than that; what
// nodes that are gone had dialled goes to review.
//
// A node is gone when its lease has run out and nobody holds its name. Who has not
// had the database for as long as a lease, since it was away, judges nobody: the
// others come back to it at their own time.
func (l *Ledger) Recover(ctx context.Context) (givenBack, review int, err error) {
	err = l.s.InTx(ctx, func(ctx context.Context, tx Tx) error {
		var now int64 // of all statements: each is to see the same claims
		err := tx.NewRaw("SELECT ? / 1000", l.now()).Scan(ctx, &now)
		if err == nil {
			life := claimLife.Milliseconds()
			givenBack, _, err = tx.recoverDials(ctx, "ended_at = 0 AND state = ? AND claimed_at NOT BETWEEN ? AND ?",
				dialClaimed, now-life, now+life)
		}
		return err
	})
	if err != nil {
		return 0, 0, fmt.Errorf("store: give claims back: %w", err)
	}
	if !l.s.postgres {
		return givenBack, 0, nil
	}
	var gone []string
	lease := l.s.lease()
	err = l.s.write.NewRaw("SELECT DISTINCT node FROM attempts WHERE ended_at = 0 AND node <> ? AND NOT EXISTS "+
		"(SELECT 1 FROM nodes WHERE id = node AND "+l.s.there()+") AND EXISTS "+
		"(SELECT 1 FROM nodes WHERE id = ? AND "+l.s.there()+" AND since_at <= "+pgNow+" - ?) ORDER BY node",
		l.s.cfg.Node, l.s.cfg.Node, lease).Scan(ctx, &gone)
	for _, node := range gone {
		var back, up int
		if back, up, err = l.recoverNode(ctx, node); err != nil {
			break
		}
		givenBack, review = givenBack+back, review+up
		if back+up > 0 {
			l.s.log.Warn("attempts of a node that is gone", zap.String("node", node), zap.Int("given_back", back),
				zap.Int("review", up))
		}
	}
	if err != nil {
		return givenBack, review, fmt.Errorf("store: recover the attempts of nodes that are gone: %w", err)
	}
	return givenBack, review, nil
}

// recoverNode takes the name of a node meanwhile, so that it does not come back in
// between.
func (l *Ledger) recoverNode(ctx context.Context, node string) (back, review int, err error) {
	err = l.s.InTx(ctx, func(ctx context.Context, tx Tx) error {
		var schema string
		if err := tx.NewRaw("SELECT COALESCE(current_schema(), '')").Scan(ctx, &schema); err != nil {
			return err
		}
		var free bool
		if err := tx.NewRaw("SELECT pg_try_advisory_xact_lock(?)", lockID("node", schema, node)).Scan(ctx,
			&free); err != nil {
			return err
		}
		if !free {
			return nil
		}
		back, review, err = tx.recoverDials(ctx, "ended_at = 0 AND node = ? AND NOT EXISTS "+
			"(SELECT 1 FROM nodes WHERE id = node AND "+l.s.there()+")", node)
		return err
	})
	return back, review, err
}

// recoverDials gives back attempts that are claimed and ends those that are
// dialled.
func (t Tx) recoverDials(ctx context.Context, where string, args ...any) (back, review int, err error) {
	q := t.NewSelect().Model((*campaignRow)(nil)).Column("id").
		Where("id IN (?)", t.NewSelect().Model((*dialRow)(nil)).Column("campaign_id").Where(where, args...)).Order("id")
	if t.pgx != nil {
		q = q.For("KEY SHARE") // none of them ends meanwhile
	}
	var campaigns []string
	if err := q.Scan(ctx, &campaigns); err != nil || len(campaigns) == 0 {
		return 0, 0, err
	}
	now := ms(time.Now())
	theirs := func(state DialState) func(bun.QueryBuilder) bun.QueryBuilder {
		return func(q bun.QueryBuilder) bun.QueryBuilder { return q.Where(where, args...).Where("state = ?", state) }
	}
	move := func(from, to dialer.State, state DialState, why string) error {
		ended := t.NewSelect().Model((*campaignRow)(nil)).Column("id").
			Where("status IN (?, ?)", dialer.Completed, dialer.Cancelled)
		q := t.NewUpdate().Model((*contactRow)(nil)).Set("why = ?", why).Set("updated_at = ?", now)
		if to == dialer.Pending {
			q = q.Set("state = CASE WHEN campaign_id IN (?) THEN ? ELSE ? END", ended, dialer.Expired, dialer.Pending)
		} else {
			q = q.Set("state = ?", to)
		}
		ids := t.NewSelect().Model((*dialRow)(nil)).Column("contact_id").ApplyQueryBuilder(theirs(state))
		_, err := q.Where("state = ? AND id IN (?)", from, ids).Exec(ctx)
		return err
	}
	if err := move(dialer.Claimed, dialer.Pending, dialClaimed, ""); err != nil {
		return 0, 0, err
	}
	if err := move(dialer.Dialing, dialer.Review, dialDialing, nodeLost); err != nil {
		return 0, 0, err
	}
	res, err := t.NewDelete().Model((*dialRow)(nil)).ApplyQueryBuilder(theirs(dialClaimed)).Exec(ctx)
	if err != nil {
		return 0, 0, err
	}
	gone, err := res.RowsAffected()
	if err != nil {
		return 0, 0, err
	}
	res, err = t.NewUpdate().Model((*dialRow)(nil)).Set("state = ?", dialEnded).Set("outcome = ?", dialer.OutcomeUnknown).
		Set("why = ?", nodeLost).Set("ended_at = ?", now).ApplyQueryBuilder(theirs(dialDialing)).Exec(ctx)
	if err != nil {
		return 0, 0, err
	}
	up, err := res.RowsAffected()
	return int(gone), int(up), err
}
