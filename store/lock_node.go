package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"
)

// nodeCheck is how often the connection that holds the lock is looked at, and
// how long it may take to answer.
const nodeCheck = 5 * time.Second

var errNodeTaken = errors.New("another process runs under this name")

// nodeLock holds the name of this process among those of a PostgreSQL store,
// on a connection of its own: an advisory lock ends with it. Where the server
// was lost the lock is taken again as soon as it is back.
type nodeLock struct {
	cfg   *pgx.ConnConfig
	node  string
	log   *zap.Logger
	every time.Duration // how often the connection is looked at
	conn  *pgx.Conn     // of the goroutine in watch
	stop  context.CancelFunc
	done  chan struct{} // closed when watch has ended
}

func lockNode(ctx context.Context, l nodeLock) (*nodeLock, error) {
	l.done = make(chan struct{})
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
	return &l, nil
}

// take connects and takes the lock.
func (l *nodeLock) take(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*pgConnectTimeout)
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, l.cfg)
	if err != nil {
		return err
	}
	var schema string
	var got bool
	if err = conn.QueryRow(ctx, "SELECT COALESCE(current_schema(), '')").Scan(&schema); err == nil {
		err = conn.QueryRow(ctx, "SELECT pg_try_advisory_lock($1)", lockID("node", schema, l.node)).Scan(&got)
	}
	if err == nil && !got {
		err = errNodeTaken
	}
	if err != nil {
		_ = conn.Close(ctx)
		return err
	}
	l.conn = conn
	return nil
}

func (l *nodeLock) watch(ctx context.Context) {
	t := time.NewTicker(l.every)
	defer t.Stop()
	held := true
	for {
		select {
		case <-ctx.Done():
			l.drop()
			return
		case <-t.C:
		}
		if l.conn != nil {
			ping, cancel := context.WithTimeout(ctx, nodeCheck)
			err := l.conn.Ping(ping)
			cancel()
			if err == nil {
				continue
			}
			l.drop()
		}
		err := l.take(ctx)
		switch {
		case err != nil && held && ctx.Err() == nil:
			l.log.Error("store: the name of this node is not locked any more", zap.String("node", l.node), zap.Error(err))
		case err == nil && !held:
			l.log.Info("store: the name of this node is locked again", zap.String("node", l.node))
		}
		held = err == nil
	}
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
