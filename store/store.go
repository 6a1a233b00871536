// Package store keeps agents, tools, trunks and numbers, calls with their
// transcripts and events, campaigns with the ledger of what is dialled for them
// (Ledger), and what the API must remember, in SQL: one SQLite file by default, or
// PostgreSQL, through the same code.
//
// It is the engine's journal. Writing of calls never blocks one: what happens
// goes to a queue that one goroutine empties in batches. When the disk cannot
// keep up, or the database is away, all of it waits in memory, and what is many
// in a file whose room is reserved (Config.Spool). What is too much for these is
// dropped, counted (Queued) and told in the log. What was queued before a read is
// in what the read gives. An SQLite store belongs to one process, a second one is
// refused; of a PostgreSQL store each process has a name of its own, and ends only
// its own calls when it starts again.
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
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/pressly/goose/v3"
	"github.com/uptrace/bun"
	"go.uber.org/zap"

	"github.com/patchcord/patchcord/engine"
	"github.com/patchcord/patchcord/internal/lockfile"
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
	// MaxQueued is how many events may wait for the disk in memory, 0 for 10,000:
	// 100 calls that write 5 events each second for 20 s.
	MaxQueued int
	// MaxQueuedWebhooks is how much memory webhooks may take that wait for the
	// disk, bytes, 0 for 64 MB: some 50,000 of them, an hour of 10 calls that
	// each send one a second. The last quarter is kept for those that tell of
	// a call's end.
	MaxQueuedWebhooks int
	// MaxQueuedRecords is the same of records of calls, 0 for 64 MB: some 10,000
	// calls with their transcripts.
	MaxQueuedRecords int
	// Spool is a file for what is more than a quarter of that while the database
	// takes nothing, events in half of it at most, and for all that is unwritten
	// when the store is closed: the next one that opens it writes them. "" is none.
	Spool string
	// SpoolMay lets the store do without a spool that cannot be opened: a folder
	// that nobody can write to is no reason to take no calls. One that another
	// process has is a fault all the same.
	SpoolMay bool
	// SpoolBytes is its size, which is reserved on the disk where the system can;
	// 0 for 64 MB.
	SpoolBytes int64

	beat time.Duration // of a node of a PostgreSQL store, 0: nodeCheck
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
	if c.MaxQueuedRecords <= 0 {
		c.MaxQueuedRecords = 64 << 20
	}
	if c.SpoolBytes <= 0 {
		c.SpoolBytes = spoolSize
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
	vectors  bool            // PostgreSQL compares them (vectors.go)
	indexed  sync.Map        // names of the indexes of vectors that are known to be there
	lost     []engine.Record // ended by recover
	queue    queue
	fence    fence
	spool    *spool             // nil: none
	done     chan struct{}      // closed when the writer has ended
	kill     context.CancelFunc // ends the writer's transaction
	away     atomic.Bool        // what was written last could not be

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
	s.queue.init(cfg.MaxQueued, cfg.MaxQueuedWebhooks, cfg.MaxQueuedRecords)
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
	if err := s.unspool(ctx); err != nil {
		return fmt.Errorf("write what an earlier process could not: %w", err)
	}
	if s.lost, err = s.recover(ctx); err != nil {
		return fmt.Errorf("end the calls of an earlier process: %w", err)
	}
	if err := s.recoverDials(ctx); err != nil {
		return fmt.Errorf("recover the attempts of an earlier process: %w", err)
	}
	if n := len(s.lost); n > 0 {
		s.log.Warn("calls of an earlier process that did not end", zap.Int("calls", n),
			zap.String("end_reason", string(engine.EndNodeLost)))
	}
	return nil
}

// unspool opens the spool and writes what is in it, before anything is said of
// the calls that an earlier process left.
func (s *Store) unspool(ctx context.Context) error {
	if s.cfg.Spool == "" {
		return nil
	}
	sp, reserved, err := openSpool(s.cfg.Spool, s.cfg.SpoolBytes)
	if err != nil {
		if s.cfg.SpoolMay && !errors.Is(err, lockfile.ErrTaken) {
			s.log.Warn("what the database does not take waits in memory alone: name a file in store.spool", zap.Error(err))
			return nil
		}
		return err
	}
	s.spool = sp
	if reserved != nil {
		s.log.Warn("the spool's room on the disk is not reserved: a full disk may leave none", zap.Error(reserved))
	}
	for n := 0; !sp.empty(); {
		items, behind, err := sp.next(batch)
		if err == nil {
			_, err = s.saveAll(ctx, items)
		}
		if err == nil {
			err = sp.advance(behind)
		}
		if err != nil {
			return err
		}
		if n += len(items); sp.empty() {
			s.log.Info("parts of calls are written that an earlier process could not write", zap.Int("parts", n))
		}
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

// Away tells whether the database takes nothing now, as far as is known: calls go
// on, what they leave waits, and what is asked fails.
func (s *Store) Away() bool {
	name, ok := s.lock.(*nodeLock)
	return s.away.Load() || ok && name.lost.Load()
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
		err = s.leave(ctx.Err())
	}
	return errors.Join(err, s.closeFiles())
}

// leave puts what is unwritten into the spool, for the next process.
func (s *Store) leave(cause error) error {
	all := s.queue.left
	if s.spool != nil {
		n, err := s.spool.append(all)
		if n == len(all) && err == nil {
			s.log.Warn("parts of calls are left in the spool: the next start writes them", zap.Int("parts", n),
				zap.Int64("spooled_bytes", s.spool.waiting.Load()))
			return nil
		}
		cause, all = errors.Join(cause, err), all[n:]
	}
	var n Queued
	for _, it := range all {
		switch {
		case it.isRecord():
			n.Records++
		case it.delivery != nil:
			n.Webhooks++
		case it.event != nil:
			n.Events++
		}
	}
	return fmt.Errorf("store: close: %w with %d records, %d webhooks and %d events unwritten",
		cause, n.Records, n.Webhooks, n.Events)
}

func (s *Store) closeFiles() error {
	s.kill()
	s.fence.close()
	var errs []error
	if s.jobs != nil {
		errs = append(errs, s.jobs.close())
	}
	for i, db := range []*bun.DB{s.read, s.write} {
		if db != nil && (i == 0 || db != s.read) {
			errs = append(errs, db.Close())
		}
	}
	errs = append(errs, s.spool.close())
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
