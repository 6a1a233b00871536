package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"go.uber.org/zap"
)

const (
	defaultPoll   = 30 * time.Second
	listenRetry   = time.Second           // until a lost connection is made anew
	listenTimeout = 10 * time.Second      // for making it
	mostTold      = 7900                  // bytes: PostgreSQL takes 7,999 in one notification
	channel       = "'patchcord_changes'" // of a database: the schema stands in what is told
)

// told is what a process tells the others when it has changed something.
type told struct {
	By      string      `json:"by"` // the store's self
	Schema  string      `json:"schema"`
	Changed [][2]string `json:"changed"` // kind and id; none: too many to be told
}

// tell tells other processes, when the transaction is kept, what it changed.
func (t Tx) tell(ctx context.Context, self string, touched []ref) error {
	if t.pgx == nil || len(touched) == 0 {
		return nil
	}
	n := told{By: self}
	if err := t.NewRaw("SELECT current_schema()").Scan(ctx, &n.Schema); err != nil {
		return err
	}
	for _, r := range touched {
		n.Changed = append(n.Changed, [2]string{string(r.kind), r.id})
	}
	b, err := json.Marshal(n)
	if err == nil && len(b) > mostTold {
		n.Changed = nil
		b, err = json.Marshal(n)
	}
	if err != nil {
		return err
	}
	_, err = t.NewRaw("SELECT pg_notify("+channel+", ?)", string(b)).Exec(ctx)
	return err
}

// Serve takes over what other processes change in the same PostgreSQL store,
// until ctx ends: at once by what they tell, and within Poll where that gets
// lost. An SQLite store has no others. A change that could not be read is read
// within Poll too, whoever made it.
func (d *Directory) Serve(ctx context.Context) error {
	if !d.s.postgres {
		d.mend(ctx)
		return nil
	}
	for ctx.Err() == nil {
		if err := d.listen(ctx); ctx.Err() == nil {
			d.s.log.Warn("store: what other nodes change is not told now", zap.Error(err),
				zap.Duration("retry_in", listenRetry))
		}
		select {
		case <-ctx.Done():
		case <-time.After(listenRetry):
		}
	}
	return nil
}

// mend reads what could not be read when it was changed, until ctx ends.
func (d *Directory) mend(ctx context.Context) {
	tick := time.NewTicker(d.poll())
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if !d.behind() {
			continue
		}
		if err := d.catchUp(ctx); err != nil && ctx.Err() == nil {
			d.s.log.Warn("store: a change cannot be read yet", zap.Error(err), zap.Duration("retry_in", d.poll()))
		}
	}
}

// behind tells whether a change could not be read.
func (d *Directory) behind() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.stale
}

// errUntold is a change that was found and not told: a connection that only
// seems to be there, or something between that keeps notifications back.
var errUntold = errors.New("a change was not told")

// listen follows what is told until the connection is lost, or what was told
// cannot be read.
func (d *Directory) listen(ctx context.Context) (err error) {
	conn, schema, err := d.s.listener(ctx)
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Close(ctx) // what failed is known
	}()
	was, err := d.s.print(ctx)
	if err != nil {
		return err
	}
	if err := d.catchUp(ctx); err != nil { // with what was changed before it listened
		return err
	}
	for {
		wait, cancel := context.WithTimeout(ctx, d.poll())
		n, err := conn.WaitForNotification(wait)
		cancel()
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			ours, err := d.hear(ctx, schema, n.Payload)
			if err != nil {
				return err
			}
			if ours {
				was = "" // the next print has it, and whatever was changed beside it
			}
		case !pgconn.Timeout(err) || conn.IsClosed():
			return fmt.Errorf("listen: %w", err)
		default:
			now, err := d.s.print(ctx)
			if err != nil {
				return err
			}
			if was != "" && was != now {
				return errors.Join(errUntold, d.catchUp(ctx))
			}
			if was == "" || d.behind() { // behind: one of its own, which the print knows
				if err := d.catchUp(ctx); err != nil {
					return err
				}
			}
			was = now
		}
	}
}

func (d *Directory) poll() time.Duration {
	if d.cfg.Poll > 0 {
		return d.cfg.Poll
	}
	return defaultPoll
}

// listener is a connection that is told of changes.
func (s *Store) listener(ctx context.Context) (conn *pgx.Conn, schema string, err error) {
	ctx, cancel := context.WithTimeout(ctx, listenTimeout)
	defer cancel()
	if conn, err = pgx.ConnectConfig(ctx, s.conn.Copy()); err != nil {
		return nil, "", err
	}
	if err = conn.QueryRow(ctx, "SELECT current_schema()").Scan(&schema); err == nil {
		_, err = conn.Exec(ctx, "LISTEN patchcord_changes")
	}
	if err != nil {
		return nil, "", errors.Join(err, conn.Close(ctx))
	}
	return conn, schema, nil
}

// print is another after each change of what a directory holds.
func (s *Store) print(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, followTimeout)
	defer cancel()
	var out string
	for _, table := range []string{"agents", "tools", "trunks", "numbers"} {
		var n, revisions, last int64
		err := s.read.NewSelect().Table(table).ColumnExpr("count(*)").ColumnExpr("coalesce(sum(revision), 0)::bigint").
			ColumnExpr("coalesce(max(updated_at), 0)").Scan(ctx, &n, &revisions, &last)
		if err != nil {
			return "", fmt.Errorf("look for changes: %w", err)
		}
		out += fmt.Sprintf("%d %d %d\n", n, revisions, last)
	}
	return out, nil
}

// hear follows what another process tells; ours says that it is of this store, in
// whose schema others of the database have no part.
func (d *Directory) hear(ctx context.Context, schema, text string) (ours bool, err error) {
	var n told
	if err := json.Unmarshal([]byte(text), &n); err != nil {
		d.s.log.Warn("store: a notification that is none of ours", zap.Error(err))
		return false, nil
	}
	if n.By == d.s.self || n.Schema != schema {
		return n.Schema == schema, nil
	}
	touched := make([]ref, 0, len(n.Changed))
	for _, c := range n.Changed {
		touched = append(touched, ref{Kind(c[0]), c[1]})
	}
	if len(touched) == 0 {
		return true, d.catchUp(ctx)
	}
	return true, d.follow(ctx, touched)
}

// catchUp reads everything, and tells which agents are other than they were.
func (d *Directory) catchUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, followTimeout)
	defer cancel()
	d.mu.Lock()
	defer d.mu.Unlock()
	was := d.now.Load().agents
	d.stale = true
	if err := d.readAll(ctx); err != nil {
		return fmt.Errorf("calls are made with what was there before a change: %w", err)
	}
	d.tellLocked(was)
	return nil
}
