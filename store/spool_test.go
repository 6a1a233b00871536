package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/patchcord/patchcord/engine"
	"github.com/patchcord/patchcord/internal/lockfile"
	"github.com/patchcord/patchcord/telephony"
)

// reopenedSpool opens a spool again, as the next process does.
func reopenedSpool(t *testing.T, s *spool, path string, size int64) *spool {
	t.Helper()
	if s != nil {
		if err := s.close(); err != nil {
			t.Fatal(err)
		}
	}
	next, _, err := openSpool(path, size)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = next.close() })
	return next
}

// callsOf tells parts by their calls.
func callsOf(items []item) string {
	var out []string
	for _, it := range items {
		out = append(out, it.call())
	}
	return strings.Join(out, " ")
}

func records(ids ...string) (items []item) {
	for _, id := range ids {
		r := started("x", day)
		r.ID, r.Variables = telephony.CallID(id), map[string]any{"n": 9007199254740993}
		items = append(items, item{record: &r})
	}
	return items
}

// What waits is there again after a start, in its order, until the database has
// taken it.
func TestASpoolKeepsItsOrder(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "deep", "x.spool")
	s := reopenedSpool(t, nil, path, 1<<16)
	if !s.empty() {
		t.Fatal("a new one is not empty")
	}
	for _, id := range []string{"a", "b", "c"} {
		if n, err := s.append(records(id)); n != 1 || err != nil {
			t.Fatal(n, err)
		}
	}
	hook := deliveryRow{ID: "1", CallID: "d", Event: "call.ended", Source: `{"at":1}`, Round: 1}
	if n, err := s.append([]item{{delivery: &hook, ends: true}, {event: &eventRow{CallID: "e", Seq: 7, Body: "{}"}}}); n != 2 || err != nil {
		t.Fatal(n, err)
	}
	s = reopenedSpool(t, s, path, 1<<16)
	items, _, err := s.next(2)
	if err != nil || callsOf(items) != "a b" {
		t.Fatal(callsOf(items), err)
	}
	if v := fmt.Sprint(items[0].record.Variables["n"]); v != "9007199254740993" {
		t.Errorf("a variable became %s", v)
	}
	s = reopenedSpool(t, s, path, 1<<16) // the database had not taken them
	items, behind, err := s.next(2)
	if err != nil || callsOf(items) != "a b" {
		t.Fatal(callsOf(items), err)
	}
	if err := s.advance(behind); err != nil {
		t.Fatal(err)
	}
	s = reopenedSpool(t, s, path, 1<<16)
	items, behind, err = s.next(10)
	if err != nil || callsOf(items) != "c d e" || !reflect.DeepEqual(*items[1].delivery, hook) || !items[1].ends || items[2].event.Seq != 7 {
		t.Fatalf("%s, %v: %+v", callsOf(items), err, items)
	}
	if err := s.advance(behind); err != nil || !s.empty() || s.waiting.Load() != 0 {
		t.Errorf("%v, %d bytes wait", err, s.waiting.Load())
	}
	// It begins anew, and what stands behind from before is not taken for more.
	if n, err := s.append(records("f")); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	s = reopenedSpool(t, s, path, 1<<16)
	if items, _, err = s.next(10); err != nil || callsOf(items) != "f" {
		t.Errorf("%s, %v", callsOf(items), err)
	}
}

// A full spool takes what has room and tells how much that was.
func TestASpoolIsBounded(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x.spool")
	s := reopenedSpool(t, nil, path, 2048)
	var ids []string
	for i := range 100 {
		ids = append(ids, fmt.Sprint("call", i))
	}
	n, err := s.append(records(ids...))
	if err == nil || n == 0 || n == len(ids) {
		t.Fatalf("%d, %v", n, err)
	}
	s = reopenedSpool(t, s, path, 2048)
	items, behind, err := s.next(1000)
	if err != nil || callsOf(items) != strings.Join(ids[:n], " ") {
		t.Fatalf("%s, %v", callsOf(items), err)
	}
	if err := s.advance(behind); err != nil {
		t.Fatal(err)
	}
	if again, err := s.append(records(ids[n:]...)); again != n || err == nil {
		t.Errorf("emptied it takes %d, %v", again, err)
	}
	if st, err := os.Stat(path); err != nil || st.Size() > 2048 {
		t.Errorf("%v, %v", st.Size(), err)
	}
}

// Whatever a process that was killed left behind, what it had written whole is
// there, and a file that is no spool is put aside.
func TestATornSpool(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x.spool")
	s := reopenedSpool(t, nil, path, 1<<16)
	if _, err := s.append(records("a", "b")); err != nil {
		t.Fatal(err)
	}
	tail := s.tail
	if _, err := s.append(records("c")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.f.WriteAt([]byte("torn"), tail+40); err != nil {
		t.Fatal(err)
	}
	s = reopenedSpool(t, s, path, 1<<16)
	items, _, err := s.next(10)
	if err != nil || callsOf(items) != "a b" {
		t.Errorf("%s, %v", callsOf(items), err)
	}
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("something else"), 0o600); err != nil {
		t.Fatal(err)
	}
	s = reopenedSpool(t, nil, path, 1<<16)
	if _, err := s.append(records("d")); err != nil || s.waiting.Load() == 0 {
		t.Error(err)
	}
	if b, err := os.ReadFile(path + ".bad"); err != nil || string(b) != "something else" {
		t.Errorf("%s, %v", b, err)
	}
}

// FuzzSpool opens files of any bytes: what can be read is, and more can be
// written behind it.
func FuzzSpool(f *testing.F) {
	f.Add([]byte(spoolMagic), true)
	f.Add([]byte{}, false)
	f.Fuzz(func(t *testing.T, raw []byte, whole bool) {
		path := filepath.Join(t.TempDir(), "x.spool")
		s, _, err := openSpool(path, 1<<14)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.append(records("a", "b")); err != nil {
			t.Fatal(err)
		}
		at := int64(0)
		if whole { // behind a header that is right
			at = spoolFirst
			raw = append(binary.BigEndian.AppendUint32(nil, uint32(len(raw))), raw...) //nolint:gosec // short
		}
		if _, err := s.f.WriteAt(raw[:min(len(raw), 1<<14-spoolFirst)], at); err != nil {
			t.Fatal(err)
		}
		if err := s.close(); err != nil {
			t.Fatal(err)
		}
		s, _, err = openSpool(path, 1<<14)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = s.close() }()
		for !s.empty() {
			_, behind, err := s.next(3)
			if err == nil {
				err = s.advance(behind)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if n, err := s.append(records("c")); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		if items, _, err := s.next(3); err != nil || callsOf(items) != "c" {
			t.Errorf("%s, %v", callsOf(items), err)
		}
	})
}

// full opens a store with a spool whose database takes no more, and what lets it
// take more again.
func full(t *testing.T, url, spool string, memory int) (s *Store, free func()) {
	t.Helper()
	s, err := Open(t.Context(), Config{
		URL: url, Node: "test", Spool: spool, SpoolBytes: 4 << 20, MaxQueuedRecords: memory, MaxQueuedWebhooks: memory,
	})
	if err != nil {
		t.Fatal(err)
	}
	pages := 0
	if err := s.write.NewRaw("PRAGMA page_count").Scan(t.Context(), &pages); err != nil {
		t.Fatal(err)
	}
	limit := func(n int) {
		if _, err := s.write.ExecContext(context.WithoutCancel(t.Context()), fmt.Sprint("PRAGMA max_page_count = ", n)); err != nil {
			t.Error(err)
		}
	}
	limit(pages)
	return s, func() { limit(1 << 30) }
}

// journaled are the beginnings and ends of n calls, with words and a webhook.
func journaled(t *testing.T, s *Store, n int) (ids []engine.Record) {
	t.Helper()
	for range n {
		r := started(newID(t), day)
		r.Answered = day
		s.Started(r)
		s.Deliver(Delivery{Call: r.ID, Agent: r.Agent, Event: "call.answered", URL: "https://x.example", Source: []byte(`{}`)})
		r.Ended, r.Status, r.EndReason = day.Add(time.Minute), engine.StatusEnded, engine.EndReason("hangup")
		r.Transcript = []engine.Item{{Role: "user", Text: strings.Repeat("words ", 100), Turn: 1}}
		s.Ended(r)
		ids = append(ids, r)
	}
	return ids
}

// allThere sees that calls are kept with their ends, and their webhooks once.
func allThere(t *testing.T, s *Store, calls []engine.Record) {
	t.Helper()
	for _, want := range calls {
		r, err := s.Call(t.Context(), want.ID)
		if err != nil || r.EndReason != want.EndReason || r.Status != engine.StatusEnded {
			t.Fatalf("%+v, %v", r, err)
		}
		if words, err := s.Transcript(t.Context(), want.ID); err != nil || len(words) != 1 {
			t.Fatalf("%+v, %v", words, err)
		}
	}
	if n, err := s.PendingDeliveries(t.Context()); err != nil || n != int64(len(calls)) {
		t.Errorf("%d webhooks of %d calls, %v", n, len(calls), err)
	}
}

// While the disk is full what calls leave takes no more memory than it may, waits
// in the spool, and is all written in its order when there is room again.
func TestAFullDiskFillsNoMemory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const memory = 200 << 10
	s, free := full(t, "sqlite:"+filepath.Join(dir, "x.db"), filepath.Join(dir, "x.spool"), memory)
	defer closed(t, s)
	var calls []engine.Record
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for limit := time.After(time.Minute); s.Queued().Spooled == 0 || len(calls) < 100; {
		if q := s.Queued(); q.RecordBytes < memory*3/4 && q.WebhookBytes < memory/2 {
			calls = append(calls, journaled(t, s, 1)...)
			continue
		}
		select {
		case <-tick.C: // until the writer has tried again
		case <-limit:
			t.Fatalf("nothing is spooled: %+v", s.Queued())
		}
	}
	if q := s.Queued(); q.RecordsDropped+q.WebhooksDropped > 0 || q.RecordBytes > memory {
		t.Errorf("%+v", q)
	}
	free()
	waitFor(t, s)
	allThere(t, s, calls)
	if q := s.Queued(); q.Spooled != 0 || q.RecordBytes != 0 {
		t.Errorf("%+v", q)
	}
}

// What is unwritten when the process ends is written by the next one, before it
// says of any call that it was lost.
func TestTheNextProcessWritesWhatIsLeft(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	url, path := "sqlite:"+filepath.Join(dir, "x.db"), filepath.Join(dir, "x.spool")
	s, _ := full(t, url, path, 1<<20)
	calls := journaled(t, s, 50)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := s.Close(ctx); err != nil {
		t.Errorf("it is no loss: %v", err)
	}
	core, logs := observer.New(zap.InfoLevel)
	s, err := Open(t.Context(), Config{URL: url, Node: "test", Spool: path, SpoolBytes: 4 << 20, Log: zap.New(core)})
	if err != nil {
		t.Fatal(err)
	}
	defer closed(t, s)
	if len(s.Lost()) > 0 || logs.FilterMessageSnippet("an earlier process could not write").Len() != 1 {
		t.Errorf("lost: %+v, told: %+v", s.Lost(), logs.All())
	}
	allThere(t, s, calls)
}

// A spool that nobody asked for by name may be one that cannot be made: it is
// told, and the calls go on without. One that another process has is a fault.
func TestASpoolThatCannotBeOpened(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	url, file := "sqlite:"+filepath.Join(dir, "x.db"), filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := Config{URL: url, Node: "test", Spool: filepath.Join(file, "x.spool")}
	if s, err := Open(t.Context(), cfg); err == nil {
		closed(t, s)
		t.Error("one that was named is done without")
	}
	core, logs := observer.New(zap.WarnLevel)
	cfg.SpoolMay, cfg.Log = true, zap.New(core)
	s, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	closed(t, s)
	if logs.FilterMessageSnippet("store.spool").Len() != 1 {
		t.Errorf("told: %+v", logs.All())
	}
	cfg.Spool = filepath.Join(dir, "taken")
	other, _, err := openSpool(cfg.Spool, 1<<14)
	if err != nil {
		t.Fatal(err)
	}
	defer other.close() //nolint:errcheck // the test is over
	if s, err := Open(t.Context(), cfg); !errors.Is(err, lockfile.ErrTaken) {
		if err == nil {
			closed(t, s)
		}
		t.Errorf("one of another process: %v", err)
	}
}

// Without a spool, and beyond it, what is too much is counted and told.
func TestRecordsThatAreTooManyAreTold(t *testing.T) {
	t.Parallel()
	core, logs := observer.New(zap.ErrorLevel)
	s, err := Open(t.Context(), Config{
		URL: "sqlite:" + filepath.Join(t.TempDir(), "x.db"), Node: "test", MaxQueuedRecords: 20 << 10, Log: zap.New(core),
	})
	if err != nil {
		t.Fatal(err)
	}
	tx, err := s.write.BeginTx(t.Context(), nil) // the one connection is taken
	if err != nil {
		t.Fatal(err)
	}
	journaled(t, s, 100)
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	closed(t, s)
	if n := s.Queued().RecordsDropped; n == 0 || n > 200 {
		t.Errorf("%d records were dropped", n)
	}
	if logs.FilterMessageSnippet("records of calls dropped").Len() == 0 {
		t.Errorf("told: %+v", logs.All())
	}
}
