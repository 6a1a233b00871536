package api

import (
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/patchcord/patchcord/store"
)

// BenchmarkImport imports 100,000 contacts over HTTP into SQLite and, where
// TEST_PG_DSN names one, PostgreSQL, and reads their results. The figures to
// keep: under 15 s for the import, and memory that does not grow with the list.
func BenchmarkImport(b *testing.B) {
	const n = 100_000
	for _, db := range []struct{ name, url string }{
		{"SQLite", "sqlite:" + filepath.Join(b.TempDir(), "a.db")}, {"PostgreSQL", os.Getenv("TEST_PG_DSN")},
	} {
		b.Run(db.name, func(b *testing.B) {
			if db.url == "" {
				b.Skip("TEST_PG_DSN is not set")
			}
			st, err := store.Open(b.Context(), store.Config{URL: db.url})
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() {
				ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
				defer cancel()
				if err := st.Close(ctx); err != nil {
					b.Error(err)
				}
			})
			f := newFixture(b, func(c *Config) { c.Campaigns = st })
			f.copyAgent(st)
			var importing, reading time.Duration
			var most uint64
			for b.Loop() {
				path := "/v1/campaigns/" + f.draft("bench "+time.Now().String(), "support").ID
				begun := time.Now()
				most = max(most, heap(func() {
					if got := f.send(path+"/contacts", rows(n)); got.Accepted != n {
						b.Fatalf("%+v", got)
					}
				}))
				importing += time.Since(begun)
				begun = time.Now()
				most = max(most, heap(func() { f.discard(path + "/results?format=csv") }))
				reading += time.Since(begun)
			}
			b.ReportMetric(importing.Seconds()/float64(b.N), "import-s")
			b.ReportMetric(reading.Seconds()/float64(b.N), "results-s")
			b.ReportMetric(float64(most>>20), "heap-MB")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// copyAgent gives another store the agent that calls.
func (f *fixture) copyAgent(to *store.Store) {
	f.t.Helper()
	a, err := f.store.Agent(f.t.Context(), "support")
	if err == nil {
		_, err = to.CreateAgent(f.t.Context(), "", a.Agent)
	}
	if err != nil {
		f.t.Fatal(err)
	}
}

// discard reads an answer to its end.
func (f *fixture) discard(path string) {
	f.t.Helper()
	req, err := http.NewRequestWithContext(f.t.Context(), http.MethodGet, f.http.URL+path, nil)
	if err != nil {
		f.t.Fatal(err)
	}
	req.Header.Set("X-API-Key", f.key)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		f.t.Fatal(err)
	}
	defer res.Body.Close() //nolint:errcheck // read only
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		f.t.Fatal(err)
	}
}

// heap is the most memory that lived while f ran, bytes above what lived before:
// what the last collections left.
func heap(f func()) uint64 {
	var before runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	stop, most := make(chan struct{}), make(chan uint64)
	go func() {
		var now runtime.MemStats
		top := uint64(0)
		tick := time.NewTicker(250 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				runtime.GC()
				runtime.ReadMemStats(&now)
				top = max(top, now.HeapAlloc)
			case <-stop:
				most <- top
				return
			}
		}
	}()
	f()
	close(stop)
	top := <-most
	return top - min(top, before.HeapAlloc)
}
