package store

import (
	"context"
	"fmt"
	"hash/fnv"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"
)

const (
	// pgConns is the connections that read, and as many that write.
	pgConns = 8
	// pgConnectTimeout is for one connection where the URL says nothing.
	pgConnectTimeout = 5 * time.Second
	// pgJobConns is the connections of the job queue: one listens.
	pgJobConns = 6
	// pgJobPoll is how often the job queue is asked, which is told of new jobs.
	pgJobPoll = time.Second
	// pgMigrateWait is how long another process's migration is waited for, s.
	pgMigrateWait = 60
)

func (s *Store) openPostgres(ctx context.Context, url string) error {
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		return fmt.Errorf("the URL of PostgreSQL: %w", err) // without the password
	}
	if cfg.ConnectTimeout == 0 {
		cfg.ConnectTimeout = pgConnectTimeout
	}
	if cfg.RuntimeParams["application_name"] == "" {
		cfg.RuntimeParams["application_name"] = "patchcord"
	}
	if cfg.RuntimeParams["lock_timeout"] == "" {
		cfg.RuntimeParams["lock_timeout"] = "5s" // as long as on SQLite
	}
	// Every statement has another text: bun writes the values into it. Kept
	// ones would only push each other out. A URL may say otherwise
	// (default_query_exec_mode), for a pooler that keeps no statements at all.
	if cfg.DefaultQueryExecMode == pgx.QueryExecModeCacheStatement {
		cfg.DefaultQueryExecMode = pgx.QueryExecModeDescribeExec
	}
	name, err := lockNode(ctx, &nodeLock{cfg: cfg, node: s.cfg.Node, log: s.log, every: s.beat()})
	if err != nil {
		return err
	}
	s.lock, s.conn = name, cfg
	s.write = connectPostgres(cfg)
	if err := migratePostgres(ctx, s.write); err != nil {
		return fmt.Errorf("open %s: %w", pgName(cfg), err)
	}
	if err := name.leases(ctx, s.write); err != nil {
		return fmt.Errorf("open %s: %w", pgName(cfg), err)
	}
	s.read = connectPostgres(readOnly(cfg))
	if err := s.openVectors(ctx); err != nil {
		return fmt.Errorf("open %s: pgvector: %w", pgName(cfg), err)
	}
	return s.postgresJobs(ctx, cfg)
}

// postgresJobs opens the job queue on connections of its own. What an earlier
// process of this name was at is begun again.
func (s *Store) postgresJobs(ctx context.Context, conn *pgx.ConnConfig) error {
	cfg, err := pgxpool.ParseConfig("")
	if err != nil {
		return err
	}
	cfg.ConnConfig = conn.Copy()
	if conn.DefaultQueryExecMode == pgx.QueryExecModeDescribeExec {
		cfg.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeCacheStatement // these statements are always the same
	}
	cfg.MaxConns = pgJobConns
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return err
	}
	j := &riverJobs[pgx.Tx]{
		driver: riverpgxv5.New(pool), tx: Tx.PGX, poll: pgJobPoll, id: s.cfg.Node + "/" + uuid.NewString(),
		shut: func() error { pool.Close(); return nil },
	}
	s.jobs = j
	if err := oneAtATime(ctx, pool, j.open); err != nil {
		return err
	}
	_, err = pool.Exec(ctx, "UPDATE river_job SET state = 'available' WHERE state = 'running' AND "+
		"starts_with(attempted_by[array_upper(attempted_by, 1)], $1)", s.cfg.Node+"/")
	return err
}

// readOnly is a configuration whose connections cannot write.
func readOnly(cfg *pgx.ConnConfig) *pgx.ConnConfig {
	cfg = cfg.Copy()
	cfg.RuntimeParams["default_transaction_read_only"] = "on"
	return cfg
}

func connectPostgres(cfg *pgx.ConnConfig) *bun.DB {
	db := stdlib.OpenDB(*cfg)
	db.SetMaxOpenConns(pgConns)
	db.SetMaxIdleConns(pgConns)
	db.SetConnMaxIdleTime(5 * time.Minute)
	return bun.NewDB(db, pgdialect.New()).WithQueryHook(bounded{statementTime})
}

// pgName tells a database without its password.
func pgName(cfg *pgx.ConnConfig) string {
	return fmt.Sprintf("postgres://%s@%s:%d/%s", cfg.User, cfg.Host, cfg.Port, cfg.Database)
}

// migratePostgres waits for another process that does the same.
func migratePostgres(ctx context.Context, db *bun.DB) error {
	var schema string
	if err := db.QueryRowContext(ctx, "SELECT COALESCE(current_schema(), '')").Scan(&schema); err != nil {
		return err
	}
	l, err := lock.NewPostgresSessionLocker(
		lock.WithLockID(lockID("migrate", schema)), lock.WithLockTimeout(1, pgMigrateWait),
	)
	if err != nil {
		return err
	}
	return migrate(ctx, db.DB, goose.DialectPostgres, "postgres", goose.WithSessionLocker(l))
}

// oneAtATime keeps two processes from making the job queue's tables at once.
func oneAtATime(ctx context.Context, pool *pgxpool.Pool, f func(context.Context) error) error {
	return pool.AcquireFunc(ctx, func(c *pgxpool.Conn) error {
		var schema string
		if err := c.QueryRow(ctx, "SELECT COALESCE(current_schema(), '')").Scan(&schema); err != nil {
			return err
		}
		id := lockID("jobs", schema)
		if _, err := c.Exec(ctx, "SELECT pg_advisory_lock($1)", id); err != nil {
			return err
		}
		defer func() { _, _ = c.Exec(ctx, "SELECT pg_advisory_unlock($1)", id) }() // it ends with the connection too
		return f(ctx)
	})
}

// lockID is the number of an advisory lock. They are of one database.
func lockID(parts ...string) int64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte("patchcord"))
	for _, p := range parts {
		_, _ = h.Write([]byte("\x00" + p))
	}
	return int64(h.Sum64()) //nolint:gosec // any number will do
}
