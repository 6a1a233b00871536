package store

import (
	"context"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if os.Getenv(childStore) != "" {
		deliveringChild()
	}
	if os.Getenv(childDials) != "" {
		dialingChild()
	}
	if url := os.Getenv(childURL); url != "" {
		writeUntilKilled(url)
	}
	goleak.VerifyTestMain(m)
}

// eachURL runs a test on every kind of store, each time on one that is not
// there yet. The PostgreSQL half needs a server: TEST_PG_DSN.
func eachURL(t *testing.T, f func(t *testing.T, url string)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		f(t, "sqlite:"+filepath.Join(t.TempDir(), "deep", "a b?#%.db"))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		f(t, schema(t))
	})
}

// each is eachURL with the store opened.
func each(t *testing.T, f func(t *testing.T, s *Store)) {
	t.Helper()
	eachURL(t, func(t *testing.T, url string) {
		t.Helper()
		s := open(t, url)
		t.Cleanup(func() { closed(t, s) })
		f(t, s)
	})
}

// schema is the URL of a new schema in the database of TEST_PG_DSN.
func schema(tb testing.TB) string {
	tb.Helper()
	dsn := os.Getenv("TEST_PG_DSN")
	if dsn == "" {
		tb.Skip("TEST_PG_DSN is not set: postgres://user@host/database")
	}
	u, err := url.Parse(dsn)
	if err != nil || u.Host == "" {
		tb.Fatal("TEST_PG_DSN is no URL")
	}
	name := "t_" + strings.ReplaceAll(uuid.NewString(), "-", "")
	statement(tb, dsn, "CREATE SCHEMA "+name)
	tb.Cleanup(func() { statement(tb, dsn, "DROP SCHEMA "+name+" CASCADE") })
	q := u.Query()
	q.Set("search_path", name)
	u.RawQuery = q.Encode()
	return u.String()
}

// statement runs one statement on a connection of its own.
func statement(tb testing.TB, dsn, text string) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c, err := pgx.Connect(ctx, dsn)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = c.Close(ctx) }()
	if _, err := c.Exec(ctx, text); err != nil {
		tb.Fatalf("%s: %v", text, err)
	}
}

func open(tb testing.TB, url string) *Store {
	tb.Helper()
	s, err := Open(tb.Context(), Config{URL: url, Node: "test"})
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func closed(tb testing.TB, s *Store) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := s.Close(ctx); err != nil {
		tb.Error(err)
	}
}
