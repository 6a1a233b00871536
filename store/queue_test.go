package store

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/patchcord/patchcord/engine"
)

// What waits for the disk is bounded; what was refused by the disk waits on in its
// order.
func TestTheQueueIsBounded(t *testing.T) {
	t.Parallel()
	const each = 100 // bytes of a source
	var q queue
	q.init(3, 8*(rowBytes+each), 9*rowBytes)
	r := started("a", day)
	hook := func(ends bool) item {
		return item{delivery: &deliveryRow{CallID: "a", Source: strings.Repeat("x", each)}, ends: ends}
	}
	for seq := range 10 {
		q.push(item{event: &eventRow{CallID: "a", Seq: seq}})
		q.push(item{record: &r})
		q.push(hook(false))
	}
	want := Queued{
		Events: 3, Records: 9, RecordBytes: 9 * rowBytes, Webhooks: 6, WebhookBytes: 6 * (rowBytes + each), EventsDropped: 7,
		WebhooksDropped: 4, RecordsDropped: 1, Latest: "a",
	}
	if q.n != want {
		t.Errorf("%+v, want %+v", q.n, want)
	}
	for range 3 { // a quarter is for the ends of calls
		q.push(hook(true))
	}
	want.Webhooks, want.WebhookBytes, want.WebhooksDropped = 8, 8*(rowBytes+each), 5
	if q.n != want {
		t.Errorf("with ends of calls: %+v, want %+v", q.n, want)
	}
	all, _ := q.take(100)
	if empty := (Queued{EventsDropped: 7, WebhooksDropped: 5, RecordsDropped: 1, Latest: "a"}); q.n != empty || q.items != nil {
		t.Errorf("taken: %+v", q.n)
	}
	q.giveBack(all)
	if q.n != want {
		t.Errorf("given back: %+v, want %+v", q.n, want)
	}
	again, _ := q.take(4)
	if len(again) != 4 || fmt.Sprint(again) != fmt.Sprint(all[:4]) {
		t.Errorf("not in their order: %v", again)
	}
}

func TestMarksAreShared(t *testing.T) {
	t.Parallel()
	var q queue
	q.init(3, rowBytes, rowBytes)
	q.push(item{event: &eventRow{CallID: "a", Seq: 1}})
	first := q.mark()
	for range 100 {
		if q.mark() != first {
			t.Fatal("two marks for the same")
		}
	}
	q.push(item{event: &eventRow{CallID: "a", Seq: 2}})
	if q.mark() == first {
		t.Error("the mark of what was queued before")
	}
	all, _ := q.take(100)
	if len(all) != 4 {
		t.Errorf("%d items for two events and two marks", len(all))
	}
	q.giveBack(all)
	q.abandon()
	<-first
	q.close()
	if q.mark() != nil {
		t.Error("a mark after the end")
	}
}

func TestADiskThatHangsBlocksNoCall(t *testing.T) {
	t.Parallel()
	s := open(t, "sqlite:"+filepath.Join(t.TempDir(), "calls.db"))
	tx, err := s.write.BeginTx(t.Context(), nil) // the one connection is taken
	if err != nil {
		t.Fatal(err)
	}
	id := newID(t)
	s.Started(started(id, day))
	for seq := range 20_000 {
		s.Event(event(id, seq+1, engine.EventRTPStats))
	}
	if s.Queued().EventsDropped == 0 {
		t.Error("nothing was dropped: the queue has no bound")
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Call(t.Context(), id); err != nil {
		t.Errorf("the record is lost: %v", err)
	}
	closed(t, s)
}

// observed opens a store whose log the test reads.
func observed(t *testing.T, url string, webhookBytes int) (*Store, *observer.ObservedLogs) {
	t.Helper()
	core, logs := observer.New(zapcore.WarnLevel)
	s, err := Open(t.Context(), Config{URL: url, Node: "test", Log: zap.New(core), MaxQueuedWebhooks: webhookBytes})
	if err != nil {
		t.Fatal(err)
	}
	return s, logs
}

// untilTold waits for a message in the log.
func untilTold(t *testing.T, logs *observer.ObservedLogs, message string) {
	t.Helper()
	limit, tick := time.NewTimer(time.Minute), time.NewTicker(time.Millisecond)
	defer limit.Stop()
	defer tick.Stop()
	for logs.FilterMessage(message).Len() == 0 {
		select {
		case <-limit.C:
			t.Fatalf("nobody was told: %s", message)
		case <-tick.C:
		}
	}
}

func alter(t *testing.T, s *Store, statement string) {
	t.Helper()
	if _, err := s.write.ExecContext(t.Context(), statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// A store that takes nothing for a while loses nothing that it has room for. What
// it has none for is told: how many, and of which call.
func TestAStoreThatIsAway(t *testing.T) {
	t.Parallel()
	eachURL(t, func(t *testing.T, url string) {
		const room = 600 // more than the writer takes at a time
		s, logs := observed(t, url, room*(rowBytes+2))
		alter(t, s, "ALTER TABLE calls RENAME TO away")
		id := newID(t)
		s.Started(started(id, day))
		const events = 2000
		for seq := range events {
			s.Event(event(id, seq+1, engine.EventRTPStats))
		}
		for n := range 2 * room {
			s.Deliver(Delivery{Call: id, Event: fmt.Sprint("e", n), URL: "https://x.test", Source: []byte("{}")})
		}
		s.Deliver(Delivery{Call: id, Event: "end", URL: "https://x.test", Source: []byte("{}"), Ends: true})
		dropped := s.Queued().WebhooksDropped
		if least := uint64(2*room - room*3/4 - batch); dropped < least || dropped > 2*room { // the writer may hold a batch
			t.Errorf("%d webhooks dropped", dropped)
		}
		untilTold(t, logs, "calls cannot be written; trying again")
		alter(t, s, "ALTER TABLE away RENAME TO calls")
		waitFor(t, s)
		if got, err := s.Events(t.Context(), id, 0, 5000); err != nil || len(got) != events {
			t.Errorf("%d events of %d, %v", len(got), events, err)
		}
		ds, _, err := s.Deliveries(t.Context(), DeliveryFilter{Call: id, Page: Page{Limit: All}})
		if err != nil || uint64(len(ds))+dropped != 2*room+1 || ds[len(ds)-1].Event != "end" {
			t.Errorf("%d webhooks and %d dropped, %v", len(ds), dropped, err)
		}
		for n, d := range ds[:len(ds)-1] {
			if d.N != n+1 {
				t.Errorf("the %dth is number %d", n+1, d.N)
			}
		}
		closed(t, s)
		told := uint64(0)
		for _, l := range logs.FilterMessageSnippet("webhooks dropped").All() {
			f := l.ContextMap()
			n, _ := f["webhooks"].(uint64)
			if told += n; f["latest_call_id"] != string(id) {
				t.Errorf("told: %v", f)
			}
		}
		if told != dropped {
			t.Errorf("%d dropped webhooks were told, %d were dropped", told, dropped)
		}
	})
}

// What the database takes at no time holds nothing else up.
func TestWhatIsRefusedHoldsNothingUp(t *testing.T) {
	t.Parallel()
	eachURL(t, func(t *testing.T, url string) {
		s, logs := observed(t, url, 0)
		if s.postgres {
			alter(t, s, "ALTER TABLE call_events ADD CONSTRAINT no CHECK (name <> 'bad')")
		} else {
			alter(t, s, "CREATE TRIGGER no BEFORE INSERT ON call_events WHEN NEW.name = 'bad' "+
				"BEGIN SELECT RAISE(ABORT, 'no'); END")
		}
		id := newID(t)
		s.Started(started(id, day))
		for seq, name := range []string{"one", "bad", "two", "bad", "three"} {
			s.Event(event(id, seq+1, name))
		}
		s.Deliver(Delivery{Call: id, Event: "hook", URL: "https://x.test"})
		waitFor(t, s)
		if got, err := s.Events(t.Context(), id, 0, 5000); err != nil || len(got) != 3 {
			t.Errorf("%d events, %v", len(got), err)
		}
		if ds, _, err := s.Deliveries(t.Context(), DeliveryFilter{Call: id}); err != nil || len(ds) != 1 {
			t.Errorf("%d webhooks, %v", len(ds), err)
		}
		told := logs.FilterMessageSnippet("the store refuses").All()
		if n := s.Queued().Refused; n != 2 || len(told) != 2 || told[0].ContextMap()["what"] != "event bad" {
			t.Errorf("%d refused, told: %v", n, told)
		}
		closed(t, s)
	})
}

// A store that is closed while the disk takes nothing tells what is lost.
func TestClosedWhileAway(t *testing.T) {
	t.Parallel()
	eachURL(t, func(t *testing.T, url string) {
		s, _ := observed(t, url, 0)
		alter(t, s, "ALTER TABLE calls RENAME TO away")
		id := newID(t)
		s.Started(started(id, day))
		s.Event(event(id, 1, engine.EventCallStarted))
		s.Deliver(Delivery{Call: id, Event: "hook", URL: "https://x.test"})
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		err := s.Close(ctx)
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "1 records, 1 webhooks and 1 events unwritten") {
			t.Errorf("%v", err)
		}
	})
}
