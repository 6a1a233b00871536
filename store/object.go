package store

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/uptrace/bun"
	"go.uber.org/zap"
)

// The faults of changes.
var (
	ErrExists  = errors.New("the name is taken")
	ErrStale   = errors.New("somebody else changed it since it was read")
	ErrInUse   = errors.New("something else needs it")
	ErrMissing = errors.New("it names something that does not exist")
	ErrInvalid = errors.New("it cannot be kept like this")
	ErrLastKey = errors.New("no key would open everything for good")
)

// Meta is what the store knows of an object besides what is in it.
type Meta struct {
	// Revision counts the object's changes from 1. An update names the one
	// that was read: with another in the store it is ErrStale. 0 in an update
	// is any.
	Revision         int64
	Created, Updated time.Time // UTC, ms
	By               string    // who changed it last: the name of an API key
	Source           string    // the file that it comes from, "" for none
}

// Page chooses a part of a list. Lists are in the order of creation.
type Page struct {
	Cursor string // of the page before, "" for the first
	Limit  int    // 0: 50, at most 100; All for everything at once
}

// All is the limit of a list that is not cut into pages.
const All = -1

type metaRow struct {
	Source    string
	Revision  int64
	UpdatedBy string
	CreatedAt int64
	UpdatedAt int64
}

func (r metaRow) meta() Meta {
	return Meta{
		Revision: r.Revision, Created: at(r.CreatedAt), Updated: at(r.UpdatedAt), By: r.UpdatedBy, Source: r.Source,
	}
}

// next is the row's meta data after a change; of a new row, when there is
// none yet.
func (r metaRow) next(by string, now time.Time) metaRow {
	if r.CreatedAt == 0 {
		r.CreatedAt = ms(now)
	}
	r.Revision++
	r.UpdatedBy, r.UpdatedAt = by, ms(now)
	return r
}

// check tells whether a change of revision want may be made.
func (r metaRow) check(want int64) error {
	if want != 0 && want != r.Revision {
		return fmt.Errorf("revision %d of what is now %d: %w", want, r.Revision, ErrStale)
	}
	return nil
}

func newUUID() (string, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return "", fmt.Errorf("make an id: %w", err)
	}
	return id.String(), nil
}

// apply bounds a query to a page; cut makes the list and its cursor of what it
// finds.
func (p Page) apply(q *bun.SelectQuery) (*bun.SelectQuery, error) {
	q = q.Order("created_at", "id")
	if p.Cursor != "" {
		created, id, err := parseCursor(p.Cursor)
		if err != nil {
			return nil, err
		}
		q = q.Where("(created_at, id) > (?, ?)", created, id)
	}
	if p.Limit != All {
		q = q.Limit(int64(p.limit()) + 1)
	}
	return q, nil
}

func (p Page) limit() int {
	if p.Limit <= 0 {
		return 50
	}
	return min(p.Limit, 100)
}

func cut[T any](p Page, rows []T, key func(*T) (created int64, id string)) ([]T, string) {
	if p.Limit == All || len(rows) <= p.limit() {
		return rows, ""
	}
	rows = rows[:p.limit()]
	return rows, cursor(key(&rows[len(rows)-1]))
}

// cursor is where a list goes on: behind the object of this time and id.
func cursor(created int64, id string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(strconv.FormatInt(created, 10) + " " + id))
}

func parseCursor(s string) (created int64, id string, err error) {
	raw, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		return 0, "", ErrCursor
	}
	at, id, ok := strings.Cut(string(raw), " ")
	if created, err = strconv.ParseInt(at, 10, 64); err != nil || !ok || id == "" ||
		!utf8.ValidString(id) || strings.Contains(id, "\x00") {
		return 0, "", ErrCursor
	}
	return created, id, nil
}

// change runs one change of objects in a transaction; what says what it is.
// Calls that begin after it are made with what it left.
func (s *Store) change(ctx context.Context, f func(context.Context, Tx) error, what string, args ...any) error {
	var touched []ref
	err := s.InTx(ctx, func(ctx context.Context, tx Tx) error {
		tx.touched = &touched
		if err := f(ctx, tx); err != nil {
			return err
		}
		return tx.tell(ctx, s.self, touched)
	})
	if err != nil {
		if isPG(err, pgText) {
			err = errors.Join(ErrInvalid, err)
		}
		return fmt.Errorf("store: "+what+": %w", append(args, err)...)
	}
	if d := s.directory.Load(); d != nil {
		if err := d.follow(context.WithoutCancel(ctx), touched); err != nil {
			s.log.Error("store: a change is kept and not followed yet", zap.Error(err))
		}
	}
	return nil
}
