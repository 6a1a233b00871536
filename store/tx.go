package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/uptrace/bun"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// Tx is a transaction that writes. What else must be kept or lost together
// with it, such as a job, takes the transaction itself: SQL of an SQLite
// store, PGX of a PostgreSQL one; the other is nil.
type Tx struct {
	bun.IDB
	sql     *sql.Tx
	pgx     pgx.Tx
	vault   *vault
	touched *[]ref // what it changes, for the directory
}

// ref names an object that was changed or deleted.
type ref struct {
	kind Kind
	id   string
}

func (t Tx) touch(k Kind, id string) {
	if t.touched != nil {
		*t.touched = append(*t.touched, ref{k, id})
	}
}

// SQL is the transaction of an SQLite store.
func (t Tx) SQL() *sql.Tx { return t.sql }

// PGX is the transaction of a PostgreSQL store.
func (t Tx) PGX() pgx.Tx { return t.pgx }

// InTx runs f in one transaction: all that it writes is kept, or nothing when
// f fails. On SQLite no other transaction writes meanwhile; f does not use the
// store's own methods, which would wait for it.
func (s *Store) InTx(ctx context.Context, f func(context.Context, Tx) error) error {
	if s.postgres {
		if _, set := ctx.Deadline(); !set {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, transactionTime)
			defer cancel()
		}
		return s.inPostgresTx(ctx, f)
	}
	return s.write.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		return f(ctx, Tx{IDB: tx, sql: tx.Tx, vault: s.vault})
	})
}

// inPostgresTx begins below database/sql, on a connection that nobody else
// has: what bun runs on it is in the transaction too.
func (s *Store) inPostgresTx(ctx context.Context, f func(context.Context, Tx) error) (err error) {
	begin, begun := context.WithTimeout(ctx, statementTime)
	defer begun()
	conn, err := s.write.Conn(begin)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	var tx pgx.Tx
	err = conn.Raw(func(raw any) (err error) {
		c, ok := raw.(*stdlib.Conn)
		if !ok {
			return fmt.Errorf("a connection of %T", raw)
		}
		tx, err = c.Conn().Begin(begin)
		return err
	})
	if err != nil {
		return err
	}
	defer func() { // a transaction that was committed is not rolled back
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		if e := tx.Rollback(ctx); e != nil && !errors.Is(e, pgx.ErrTxClosed) && err == nil {
			err = e
		}
	}()
	if err := f(ctx, Tx{IDB: conn, pgx: tx, vault: s.vault}); err != nil {
		return err
	}
	return tx.Commit(ctx)
}

// forUpdate keeps others from changing the rows of a query until the
// transaction ends. SQLite has one writer and needs nothing.
func (t Tx) forUpdate(q *bun.SelectQuery) *bun.SelectQuery {
	if t.pgx == nil {
		return q
	}
	return q.For("UPDATE")
}

// try runs a part of the transaction that may fail without it.
func (t Tx) try(ctx context.Context, f func() error) error {
	if _, err := t.NewRaw("SAVEPOINT part").Exec(ctx); err != nil {
		return err
	}
	err := f()
	end := "RELEASE SAVEPOINT part"
	if err != nil {
		end = "ROLLBACK TO SAVEPOINT part"
	}
	if _, e := t.NewRaw(end).Exec(ctx); e != nil {
		return errors.Join(err, e)
	}
	return err
}

// lockTable keeps others from changing a table until the transaction ends.
func (t Tx) lockTable(ctx context.Context, name string) error {
	if t.pgx == nil {
		return nil
	}
	_, err := t.NewRaw("LOCK TABLE ? IN SHARE ROW EXCLUSIVE MODE", bun.Ident(name)).Exec(ctx)
	return err
}

// lockAll keeps others from changing and from locking anything in tables until
// the transaction ends. It waits for them in the tables' order.
func (t Tx) lockAll(ctx context.Context, names ...string) error {
	if t.pgx == nil {
		return nil
	}
	for _, n := range names {
		if _, err := t.NewRaw("LOCK TABLE ? IN EXCLUSIVE MODE", bun.Ident(n)).Exec(ctx); err != nil {
			return err
		}
	}
	return nil
}

// PostgreSQL's codes.
const (
	pgUnique   = "23505"
	pgText     = "22021" // NUL, or no UTF-8
	pgDeadlock = "40P01"
)

func isPG(err error, code string) bool {
	var p *pgconn.PgError
	return errors.As(err, &p) && p.Code == code
}

// isTaken tells whether a statement broke a UNIQUE rule.
func isTaken(err error) bool {
	if isPG(err, pgUnique) {
		return true
	}
	var e *sqlite.Error
	return errors.As(err, &e) &&
		(e.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE || e.Code() == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY)
}

// Unavailable tells whether an error is not the request's but the store's: the
// disk is full, the database is locked or away. The same may work later.
func Unavailable(err error) bool {
	var p *pgconn.PgError
	if errors.As(err, &p) {
		// Connection, two that wait for each other, resources, lock_not_available and
		// the like, the server ends.
		return slices.Contains([]string{"08", "40", "53", "55", "57", "58"}, p.Code[:min(2, len(p.Code))])
	}
	var c *pgconn.ConnectError
	var n net.Error
	if errors.As(err, &c) || errors.As(err, &n) || errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, driver.ErrBadConn) || pgconn.SafeToRetry(err) {
		return true
	}
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.Code() & 0xff { // without the details
	case sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY,
		sqlite3.SQLITE_CANTOPEN:
		return true
	}
	return false
}

// refused tells whether an error is of what was to be written: the same will be
// refused as often as it is tried.
func refused(err error) bool {
	var p *pgconn.PgError
	if errors.As(err, &p) { // data exception, constraint, limit of a row
		return slices.Contains([]string{"22", "23", "54"}, p.Code[:min(2, len(p.Code))])
	}
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_RANGE:
		return true
	}
	return false
}

// none turns what a query without rows returns into ErrNotFound, and what
// one returns that asks for a text which cannot be kept.
func none(err error) error {
	if errors.Is(err, sql.ErrNoRows) || isPG(err, pgText) {
		return ErrNotFound
	}
	return err
}

// taken turns a broken UNIQUE rule into ErrExists.
func taken(err error) error {
	if isTaken(err) {
		return ErrExists
	}
	return err
}
