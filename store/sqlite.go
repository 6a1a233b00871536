package store

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	"github.com/pressly/goose/v3"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/sqlitedialect"
	_ "modernc.org/sqlite" // the driver "sqlite"
)

func (s *Store) openSQLite(ctx context.Context, path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return fmt.Errorf("make the folder of %s: %w", path, err)
	}
	lock, err := lockFile(path + ".lock")
	if err != nil {
		return err
	}
	s.lock = lock
	if s.write, err = connectSQLite(path, "&_txlock=immediate", 1); err != nil {
		return err
	}
	if err := migrate(ctx, s.write.DB, goose.DialectSQLite3, "sqlite"); err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	// Readers beside the writer: pages of the API and streams of events.
	if s.read, err = connectSQLite(path, "&_pragma=query_only(1)", 4); err != nil {
		return err
	}
	return s.sqliteJobs(ctx, path)
}

// sqliteJobs opens the job queue on a connection of its own. What an earlier
// process was at is begun again: nobody else has the file.
func (s *Store) sqliteJobs(ctx context.Context, path string) error {
	db, err := connectSQLite(path, "&_txlock=immediate", 1)
	if err != nil {
		return err
	}
	j := &riverJobs[*sql.Tx]{driver: riversqlite.New(db.DB), tx: Tx.SQL, poll: jobPoll, pollOnly: true, shut: db.Close}
	s.jobs = j
	if err := j.open(ctx); err != nil {
		return err
	}
	_, err = s.write.ExecContext(ctx, "UPDATE river_job SET state = 'available' WHERE state = 'running'")
	return err
}

func connectSQLite(path, options string, conns int) (*bun.DB, error) {
	dsn := "file:" + (&url.URL{Path: path}).EscapedPath() +
		"?_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)" + options
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	return bun.NewDB(db, sqlitedialect.New()), nil
}
