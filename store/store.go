// Package store keeps agents, tools, trunks and numbers, calls with their
// transcripts and events, and what the API must remember, in SQL: one SQLite
// file by default, or PostgreSQL, through the same code.
//
// It is the engine's journal. Writing of calls never blocks one: what happens
// goes to a queue that one goroutine empties in batches. When the disk cannot
// keep up, or the database is away, all of it waits in memory. Events and
// webhooks that are too many for that (Config) are dropped, counted (Queued) and
// told in the log; records of calls never are. What was queued before a read is
// in what the read gives. An SQLite store belongs to
// one process, a second one is refused; of a PostgreSQL store each process has
// a name of its own, and ends only its own calls when it starts again.
//
// A change of an object is on the disk when its method returns. Two writers do
// not overwrite each other: see [Meta]. Of agents and tools every version is
// kept, with who made it and when.
package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/pressly/goose/v3"
	"github.com/uptrace/bun"
	"go.uber.org/zap"

	"github.com/patchcord/patchcord/engine"
	"github.com/patchcord/patchcord/internal/secret"
)

//go:embed migrations
var migrations embed.FS

// ErrNotFound tells that there is nothing of that id.
var ErrNotFound = errors.New("not found")

// Config says where the store is.
type Config struct {
	URL  string      // "sqlite:FILE" or "postgres://…"; "" means sqlite:patchcord.db
	Node string      // name of this process among those of a PostgreSQL store, "" for the host's
	Key  secret.Text // seals the secrets of agents and trunks: 64 hex digits, "" to keep them in plain
	Log  *zap.Logger
	// MaxQueued is how many events may wait for the disk, 0 for 10,000:
	// 100 calls that write 5 events each second for 20 s.
	MaxQueued int
	// MaxQueuedWebhooks is how much memory webhooks may take that wait for the
	// disk, bytes, 0 for 64 MB: some 50,000 of them, an hour of 10 calls that
	// each send one a second. The last quarter is kept for those that tell of
	// a call's end.
	MaxQueuedWebhooks int
}

func (c Config) withDefaults() Config {
	if c.URL == "" {
		c.URL = "sqlite:patchcord.db"
	}
	if c.Node == "" {
		c.Node, _ = os.Hostname() // "" is a name too
	}
	if c.Log == nil {
		c.Log = zap.NewNop()
	}
	if c.MaxQueued <= 0 {
		c.MaxQueued = 10_000
	}
	if c.MaxQueuedWebhooks <= 0 {
		c.MaxQueuedWebhooks = 64 << 20
	}
	return c
}

// Store is an open store. Its methods may be called by any goroutine.
type Store struct {
	cfg      Config
	log      *zap.Logger
	postgres bool
	conn     *pgx.ConnConfig // of a PostgreSQL store
	self     string          // this store among all that are open on one database
	write    *bun.DB         // of SQLite one connection: it has one writer
	read     *bun.DB         // refuses to write
	lock     io.Closer
	vault    *vault
	jobs     jobs
	lost     []engine.Record // ended by recover
	queue    queue
	done     chan struct{}      // closed when the writer has ended
	kill     context.CancelFunc // ends the writer's transaction

	directory atomic.Pointer[Directory] // that follows the changes, nil for none
}

var _ engine.Journal = (*Store)(nil)

// Open opens or makes a store, brings its tables up to date, and ends the
// calls that an earlier process left open.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	cfg = cfg.withDefaults()
	s := &Store{cfg: cfg, log: cfg.Log, self: uuid.NewString(), done: make(chan struct{})}
	life, kill := context.WithCancel(context.WithoutCancel(ctx)) // the writer outlives the opening
	s.kill = kill
	if err := s.open(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("store: %w", err), s.closeFiles())
	}
	s.queue.init(cfg.MaxQueued, cfg.MaxQueuedWebhooks)
	go func() { // waited for in Close
		defer close(s.done)
		s.writer(life)
	}()
	return s, nil
}

func (s *Store) open(ctx context.Context) error {
	var err error
	if s.vault, err = newVault(s.cfg.Key, s.log); err != nil {
		return err
	}
	scheme, rest, ok := strings.Cut(s.cfg.URL, ":")
	switch {
	case ok && (scheme == "postgres" || scheme == "postgresql"):
		s.postgres = true
		err = s.openPostgres(ctx, s.cfg.URL)
	case ok && scheme == "sqlite" && rest != "":
		err = s.openSQLite(ctx, strings.TrimPrefix(rest, "//"))
	default:
		err = errors.New("the URL names no store; write sqlite:FILE or postgres://user@host/database")
	}
	if err != nil {
		return err
	}
	if err := s.checkSecrets(ctx); err != nil {
		return err
	}
	if s.lost, err = s.recover(ctx); err != nil {
		return fmt.Errorf("end the calls of an earlier process: %w", err)
	}
	if n := len(s.lost); n > 0 {
		s.log.Warn("calls of an earlier process that did not end", zap.Int("calls", n),
			zap.String("end_reason", string(engine.EndNodeLost)))
	}
	return nil
}

// migrate brings the tables up to date.
func migrate(ctx context.Context, db *sql.DB, d goose.Dialect, folder string, options ...goose.ProviderOption) error {
	files, err := fs.Sub(migrations, "migrations/"+folder)
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(d, db, files, options...)
	if err == nil {
		_, err = p.Up(ctx)
	}
	if err != nil {
		return fmt.Errorf("bring the tables up to date: %w", err)
	}
	return nil
}

// Close writes what is queued and closes the store. It waits no longer than
// ctx for a disk that does not take it.
func (s *Store) Close(ctx context.Context) error {
	s.queue.close()
	var err error
	select {
	case <-s.done:
	case <-ctx.Done():
		s.queue.abandon()
		s.kill()
		<-s.done
		n := s.Queued()
		err = fmt.Errorf("store: close: %w with %d records, %d webhooks and %d events unwritten",
			ctx.Err(), n.Records, n.Webhooks, n.Events)
	}
	return errors.Join(err, s.closeFiles())
}

func (s *Store) closeFiles() error {
	s.kill()
	var errs []error
	if s.jobs != nil {
		errs = append(errs, s.jobs.close())
	}
	for i, db := range []*bun.DB{s.read, s.write} {
		if db != nil && (i == 0 || db != s.read) {
			errs = append(errs, db.Close())
		}
	}
	if s.lock != nil {
		errs = append(errs, s.lock.Close())
	}
	return errors.Join(errs...)
}

// ms is a time as it is kept; 0 for none.
func ms(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// at is a kept time.
func at(v int64) time.Time {
	if v == 0 {
		return time.Time{}
	}
	return time.UnixMilli(v).UTC()
}
