package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/uptrace/bun"
	"go.uber.org/zap"

	"github.com/patchcord/patchcord/engine"
	"github.com/patchcord/patchcord/telephony"
)

// Ten minutes of 20 calls at a time that the database takes nothing of: all their
// records, webhooks and events wait, in bounded memory, and come out in the order
// of each call (reliability.md 5.2).
func TestTenMinutesWithoutTheDatabase(t *testing.T) {
	t.Parallel()
	const (
		minutes, up     = 10, 20
		each            = 60 // s that a call lasts
		eventsPerSecond = 5
		calls           = minutes * 60 / each * up
	)
	path := filepath.Join(t.TempDir(), "x.spool")
	s := &Store{log: zap.NewNop()}
	c := Config{}.withDefaults()
	s.queue.init(c.MaxQueued, c.MaxQueuedWebhooks, c.MaxQueuedRecords)
	s.spool = reopenedSpool(t, nil, path, c.SpoolBytes)
	begun := map[int]*engine.Record{}
	for second := range minutes * 60 {
		for line := range up {
			at := second - line*each/up // the calls of each line begin at another second
			turn := at / each
			if at < 0 || (turn+1)*each+line*each/up > minutes*60 {
				continue // before the first, and what would outlast the outage
			}
			r := begun[turn*up+line]
			if r == nil {
				r = &engine.Record{
					ID: telephony.CallID(fmt.Sprint(turn, "-", line)), Started: day, Status: engine.StatusInProgress,
				}
				begun[turn*up+line] = r
				s.Started(*r)
			}
			for range eventsPerSecond {
				r.Turns++
				s.Event(event(r.ID, r.Turns, engine.EventTurnMetrics))
			}
			if (at+1)%each == 0 {
				r.Status, r.Ended, r.EndReason = engine.StatusEnded, day, "hangup"
				s.Deliver(Delivery{Call: r.ID, Event: "end-of-call-report", URL: "https://x.example", Source: []byte(`{}`)})
				s.Ended(*r)
			}
		}
		s.spill() // as the writer does where it could not write, once a second
		if q := s.Queued(); q.Events > c.MaxQueued/2 || q.RecordBytes > c.MaxQueuedRecords/2 {
			t.Fatalf("in memory after %d s: %+v", second, q)
		}
	}
	q := s.Queued()
	t.Logf("in memory: %d events, %d records; in the spool: %d MB", q.Events, q.Records, q.Spooled>>20)
	if q.EventsDropped+q.WebhooksDropped+q.RecordsDropped > 0 || q.Spooled == 0 || q.Spooled > c.SpoolBytes/2+4<<20 {
		t.Errorf("%+v", q)
	}
	s.spool = reopenedSpool(t, s.spool, path, c.SpoolBytes) // it survives the process
	last, ended, hooks, got := map[string]int{}, 0, 0, 0
	take := func(items []item) {
		for _, it := range items {
			switch {
			case it.event != nil:
				got++
				if it.event.Seq != last[it.call()]+1 {
					t.Fatalf("call %s: event %d behind %d", it.call(), it.event.Seq, last[it.call()])
				}
				last[it.call()] = it.event.Seq
			case it.delivery != nil:
				hooks++
			case it.ended:
				ended++
			}
		}
	}
	for !s.spool.empty() {
		items, behind, err := s.spool.next(batch)
		if err != nil {
			t.Fatal(err)
		}
		take(items)
		if err := s.spool.advance(behind); err != nil {
			t.Fatal(err)
		}
	}
	for {
		items, _ := s.queue.take(batch)
		if len(items) == 0 {
			break
		}
		take(items)
	}
	want := 0
	for _, r := range begun {
		want += r.Turns
	}
	if got != want || hooks != ended || ended != len(begun) || ended < calls-up {
		t.Errorf("%d of %d events, %d records of ends and %d webhooks of %d calls", got, want, ended, hooks, len(begun))
	}
	t.Logf("%d calls, %d events", len(begun), got)
}

func TestUnavailable(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err  error
		want bool
	}{
		{nil, false},
		{errors.New("a fault of ours"), false},
		{ErrNotFound, false},
		{fmt.Errorf("read: %w", context.DeadlineExceeded), true},
		{fmt.Errorf("read: %w", io.ErrUnexpectedEOF), true},
		{&net.OpError{Op: "dial", Err: errors.New("refused")}, true},
		{driver.ErrBadConn, true},
		{&pgconn.PgError{Code: "57P01"}, true},
		{&pgconn.PgError{Code: "23505"}, false},
	} {
		if got := Unavailable(c.err); got != c.want {
			t.Errorf("%v: %v", c.err, got)
		}
	}
}

// A statement has its time, where who asks has set none.
func TestStatementsAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := bounded{10 * time.Second}
		q := &bun.QueryEvent{IQuery: &bun.SelectQuery{}}
		ctx := b.BeforeQuery(t.Context(), q)
		begun := time.Now()
		<-ctx.Done()
		if took := time.Since(begun); took != 10*time.Second || !Unavailable(ctx.Err()) {
			t.Errorf("%v after %v", ctx.Err(), took)
		}
		b.AfterQuery(ctx, q)
		q = &bun.QueryEvent{IQuery: &bun.SelectQuery{}}
		ctx = b.BeforeQuery(t.Context(), q)
		b.AfterQuery(ctx, q)
		if !errors.Is(ctx.Err(), context.Canceled) {
			t.Error("the time goes on behind the statement")
		}
		own, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if ctx := b.BeforeQuery(own, q); ctx != own {
			t.Error("a time that was set is another")
		}
		if ctx := b.BeforeQuery(t.Context(), &bun.QueryEvent{}); ctx != t.Context() {
			t.Error("rows that are read later have a time")
		}
	})
}
