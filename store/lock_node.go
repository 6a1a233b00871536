package store

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/uptrace/bun"
	"go.uber.org/zap"
)

// nodeCheck is how often the connection that holds the lock is looked at, and
// how long it may take to answer.
const nodeCheck = 5 * time.Second

// nodeLeaves is how long a name may still be taken by a process that has just
// ended: the server sees the end of its connection a little later.
const (
	nodeLeaves         = "3s"
	pgLockNotAvailable = "55P03"
)

var errNodeTaken = errors.New("another process runs under this name")

// nodeLock holds the name of this process among those of a PostgreSQL store,
// on a connection of its own: an advisory lock ends with it. Where the server
// was lost the lock is taken again as soon as it is back. Over this connection the
// node tells that it is there: other statements cannot hold that up.
type nodeLock struct {
	cfg   *pgx.ConnConfig
	node  string
	log   *zap.Logger
	every time.Duration // how often the connection is looked at
	conn  *pgx.Conn     // of the goroutine in watch
	lease chan struct{} // closed when the node is to tell that it is there
	lost  atomic.Bool   // the lock is, with the connection
	stop  context.CancelFunc
	done  chan struct{} // closed when watch has ended
}

func lockNode(ctx context.Context, l *nodeLock) (*nodeLock, error) {
	l.done, l.lease = make(chan struct{}), make(chan struct{})
	if err := l.take(ctx); err != nil {
		if errors.Is(err, errNodeTaken) {
			err = fmt.Errorf("%w; end it, or give this one another name: cluster.node", err)
		}
		return nil, fmt.Errorf("open %s as node %s: %w", pgName(l.cfg), l.node, err)
	}
	run, stop := context.WithCancel(context.WithoutCancel(ctx)) // until Close
	l.stop = stop
	go func() {
		defer close(l.done)
		l.watch(run)
	}()
	return l, nil
}

// take connects and takes the lock.
func (l *nodeLock) take(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*pgConnectTimeout)
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, l.cfg)
	if err != nil {
		return err
	}
	var schema, wait string
	if err = conn.QueryRow(ctx, "SELECT COALESCE(current_schema(), ''), set_config('lock_timeout', $1, false)",
		nodeLeaves).Scan(&schema, &wait); err == nil {
		_, err = conn.Exec(ctx, "SELECT pg_advisory_lock($1)", lockID("node", schema, l.node))
	}
	if pg := (*pgconn.PgError)(nil); errors.As(err, &pg) && pg.Code == pgLockNotAvailable {
		err = errNodeTaken
	}
	if err != nil {
		_ = conn.Close(ctx)
		return err
	}
	// A machine that is gone without a word is seen in 20 s, not in the hours that
	// systems give it. A server that cannot says so, and nothing is worse than before.
	_, _ = conn.Exec(ctx, "SELECT set_config('tcp_keepalives_idle', '10', false), "+
		"set_config('tcp_keepalives_interval', '5', false), set_config('tcp_keepalives_count', '2', false)")
	l.conn = conn
	return nil
}

// leases has the node tell from now on that it is there. The table of nodes must be.
func (l *nodeLock) leases(ctx context.Context, db *bun.DB) error {
	_, err := db.DB.ExecContext(ctx, "DELETE FROM nodes WHERE id = $1", l.node) // of an earlier process
	if err == nil {
		_, err = db.DB.ExecContext(ctx, beat, l.node, beats*l.every.Milliseconds())
	}
	if err == nil {
		close(l.lease)
	}
	return err
}

// tell tells that the node is there, or looks whether the connection is. Where ctx
// ends meanwhile it has a second: the connection is needed to take leave.
func (l *nodeLock) tell(ended context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ended), nodeCheck)
	defer cancel()
	defer context.AfterFunc(ended, func() { time.AfterFunc(time.Second, cancel) })()
	select {
	case <-l.lease:
		_, err := l.conn.Exec(ctx, beat, l.node, beats*l.every.Milliseconds())
		return err
	default:
		return l.conn.Ping(ctx)
	}
}

func (l *nodeLock) watch(ctx context.Context) {
	t := time.NewTicker(l.every)
	defer t.Stop()
	held := true
	for {
		select {
		case <-ctx.Done():
			l.leave()
			l.drop()
			return
		case <-t.C:
		}
		if l.conn != nil {
			if l.tell(ctx) == nil {
				continue
			}
			l.drop()
			l.lost.Store(true)
		}
		err := l.take(ctx)
		if err == nil {
			err = l.tell(ctx)
		}
		l.lost.Store(err != nil)
		switch {
		case err != nil && held && ctx.Err() == nil:
			l.log.Error("store: the name of this node is not locked any more", zap.String("node", l.node), zap.Error(err))
		case err == nil && !held:
			l.log.Info("store: the name of this node is locked again", zap.String("node", l.node))
		}
		held = err == nil
	}
}

// leave tells that the node is there no more.
func (l *nodeLock) leave() {
	select {
	case <-l.lease:
	default:
		return
	}
	if l.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_, _ = l.conn.Exec(ctx, "DELETE FROM nodes WHERE id = $1", l.node) // else it runs out
}

func (l *nodeLock) drop() {
	if l.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = l.conn.Close(ctx)
	l.conn = nil
}

// Close gives the name up.
func (l *nodeLock) Close() error {
	l.stop()
	<-l.done
	return nil
}
