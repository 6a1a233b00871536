package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/patchcord/patchcord/store"
)

// elsewhere is a recording that is no file here.
type elsewhere struct{ *bytes.Reader }

func (elsewhere) Close() error { return nil }

// A recording is streamed from wherever it is, ranges too; a store of them that
// does not answer is not one that has nothing.
func TestRecordingsFromElsewhere(t *testing.T) {
	t.Parallel()
	var away error
	f := newFixture(t, func(c *Config) {
		c.Recording = func(_ context.Context, path string) (io.ReadSeekCloser, error) {
			if away != nil {
				return nil, away
			}
			return elsewhere{bytes.NewReader([]byte("RIFF of " + path))}, nil
		}
	})
	id := f.started("support")
	f.ended(id, "support", "spool/a.wav")
	a := f.do("GET", "/v1/calls/"+string(id)+"/recording", "")
	if a.StatusCode != 200 || a.text != "RIFF of spool/a.wav" || a.Header.Get("Content-Type") != "audio/wav" {
		t.Errorf("%d %q %v", a.StatusCode, a.text, a.Header)
	}
	if a = f.do("GET", "/v1/calls/"+string(id)+"/recording", "", "Range", "bytes=0-3"); a.StatusCode != 206 || a.text != "RIFF" {
		t.Errorf("%d %q", a.StatusCode, a.text)
	}
	away = fmt.Errorf("archive: %w", fs.ErrNotExist)
	if a = f.do("GET", "/v1/calls/"+string(id)+"/recording", ""); a.StatusCode != 404 || a.problem(t) != "no_recording" {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
	away = errors.New("archive: no route to host")
	a = f.do("GET", "/v1/calls/"+string(id)+"/recording", "")
	if a.StatusCode != 503 || a.Header.Get("Retry-After") != "5" || strings.Contains(a.text, "route") {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
}

// What is away and calls go on without makes nothing unready.
func TestDegraded(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(c *Config) { c.Away = func() []string { return []string{"store"} } })
	if a := f.do("GET", "/readyz", ""); a.StatusCode != 200 || !strings.Contains(a.text, `"status":"degraded"`) ||
		!strings.Contains(a.text, `"away":["store"]`) {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
}

// A store that is away is no fault of ours: who asks comes again.
func TestAStoreThatIsAway(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err    error
		status int
		retry  string
	}{
		{errors.New("a fault"), 500, ""},
		{store.ErrNotFound, 500, ""},
		{fmt.Errorf("store: %w", &pgconn.PgError{Code: "57P01"}), 503, "5"},
		{fmt.Errorf("store: %w", context.DeadlineExceeded), 503, "5"},
	} {
		if p := internal(c.err); p.Status != c.status || p.GetHeaders().Get("Retry-After") != c.retry || !errors.Is(p, c.err) {
			t.Errorf("%v: %d, %v", c.err, p.Status, p.GetHeaders())
		}
	}
}
