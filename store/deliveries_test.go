package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/patchcord/patchcord/engine"
	"github.com/patchcord/patchcord/telephony"
)

// receiver takes deliveries.
type receiver struct {
	mu   sync.Mutex
	got  []string // in the order of arrival
	when []time.Time
	does func(d Delivery, n int) Attempt // n: the how-manieth attempt of all
	n    int
}

func (r *receiver) send(_ context.Context, d Delivery) Attempt {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.n++
	a := r.does(d, r.n)
	if a.Err == nil {
		r.got = append(r.got, fmt.Sprint(d.Call, " ", d.Event))
		r.when = append(r.when, time.Now())
	}
	return a
}

func (r *receiver) all() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.got...)
}

func ok(Delivery, int) Attempt { return Attempt{Status: 200} }

// work runs deliveries until the returned function is called.
func work(t *testing.T, s *Store, r *receiver) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Work(ctx, 2*time.Second, r.send) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func deliver(s *Store, call telephony.CallID, events ...string) {
	s.Started(engine.Record{ID: call, Started: time.Now(), Status: engine.StatusInProgress})
	for _, e := range events {
		s.Deliver(Delivery{Call: call, Agent: "a", Event: e, URL: "https://x.test"})
	}
}

// A receiver that is away for an hour gets every event within five minutes of
// its return, those of one call in their order.
func TestReceiverAwayForAnHour(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "p.db")
	synctest.Test(t, func(t *testing.T) {
		s := openFast(t, path)
		back := time.Now().Add(time.Hour)
		r := &receiver{does: func(Delivery, int) Attempt {
			if time.Now().Before(back) {
				return Attempt{Status: 503, Err: errors.New("503")}
			}
			return Attempt{Status: 200}
		}}
		stop := work(t, s, r)
		deliver(s, "c1", "one", "two", "three")
		deliver(s, "c2", "one", "two")
		time.Sleep(time.Hour + 6*time.Minute)
		stop()
		order := map[string][]string{}
		for _, g := range r.all() {
			order[g[:2]] = append(order[g[:2]], g[3:])
		}
		if fmt.Sprint(order) != "map[c1:[one two three] c2:[one two]]" {
			t.Errorf("arrived: %v", order)
		}
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// openFast is a store whose queue is looked at every five seconds, for tests
// that last days.
func openFast(t *testing.T, path string) *Store {
	t.Helper()
	s, err := Open(t.Context(), Config{URL: "sqlite:" + path})
	if err != nil {
		t.Fatal(err)
	}
	s.jobs.(*riverJobs[*sql.Tx]).poll = 5 * time.Second
	return s
}

func TestDeliveries(t *testing.T) {
	t.Parallel()
	away := errors.New("no answer")
	for _, c := range []struct {
		name  string
		does  func(d Delivery, n int) Attempt
		waits time.Duration
		want  string
		state map[string]DeliveryState
		tries map[string]int
	}{
		{
			name: "one by one, in their order", does: ok, waits: time.Minute,
			want: "[c1 one c1 two c1 three]", tries: map[string]int{"one": 1, "two": 1, "three": 1},
		},
		{
			name: "one that fails holds the later ones of its call up", waits: 10 * time.Minute,
			does: func(d Delivery, n int) Attempt {
				if d.Event == "one" && n <= 3 {
					return Attempt{Status: 500, Err: away}
				}
				return Attempt{Status: 200}
			},
			want: "[c1 one c1 two c1 three]", tries: map[string]int{"one": 4, "two": 1},
		},
		{
			name: "one that nobody wants any more lets the others pass", waits: time.Minute,
			does: func(d Delivery, _ int) Attempt {
				if d.Event == "two" {
					return Attempt{Status: 410, Err: away, Final: true}
				}
				return Attempt{Status: 200}
			},
			want: "[c1 one c1 three]", state: map[string]DeliveryState{"two": DeliveryDead}, tries: map[string]int{"two": 1},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "p.db")
			synctest.Test(t, func(t *testing.T) {
				s := openFast(t, path)
				r := &receiver{does: c.does}
				stop := work(t, s, r)
				deliver(s, "c1", "one", "two", "three")
				time.Sleep(c.waits)
				stop()
				if got := fmt.Sprint(r.all()); got != c.want {
					t.Errorf("arrived: %s, want %s", got, c.want)
				}
				ds, _, err := s.Deliveries(t.Context(), DeliveryFilter{Call: "c1"})
				if err != nil || len(ds) != 3 {
					t.Fatalf("%d deliveries: %v", len(ds), err)
				}
				for _, d := range ds {
					want := Delivered
					if st, ok := c.state[d.Event]; ok {
						want = st
					}
					if d.State != want || c.tries[d.Event] != 0 && d.Attempts != c.tries[d.Event] {
						t.Errorf("%s is %s after %d attempts (%d %s)", d.Event, d.State, d.Attempts, d.Status, d.Error)
					}
				}
				if err := s.Close(t.Context()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// After a day a delivery is given up, and the next of its call begins.
func TestGivenUpAfterADay(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "p.db")
	synctest.Test(t, func(t *testing.T) {
		s := openFast(t, path)
		r := &receiver{does: func(d Delivery, _ int) Attempt {
			if d.Event == "one" {
				return Attempt{Err: errors.New("no answer")}
			}
			return Attempt{Status: 200}
		}}
		stop := work(t, s, r)
		deliver(s, "c1", "one", "two")
		time.Sleep(time.Minute)
		if got := r.all(); len(got) != 0 {
			t.Errorf("arrived: %v", got)
		}
		_, err := s.write.NewUpdate().Model((*deliveryRow)(nil)).Set("begun_at = ?", ms(time.Now().Add(-DeliveryLife))).
			Where("event = 'one'").Exec(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(6 * time.Minute)
		if got := fmt.Sprint(r.all()); got != "[c1 two]" {
			t.Errorf("arrived: %s", got)
		}
		ds, _, err := s.Deliveries(t.Context(), DeliveryFilter{State: DeliveryDead})
		if err != nil || len(ds) != 1 || ds[0].Event != "one" || ds[0].Error != "no answer" {
			t.Errorf("%+v, %v", ds, err)
		}
		stop()
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestSingleIsTriedOnce(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "p.db")
	synctest.Test(t, func(t *testing.T) {
		s := openFast(t, path)
		r := &receiver{does: func(Delivery, int) Attempt { return Attempt{Status: 500, Err: errors.New("500")} }}
		stop := work(t, s, r)
		s.Started(engine.Record{ID: "c1", Started: time.Now()})
		s.Deliver(Delivery{Call: "c1", Event: "call_started", URL: "https://x.test", Single: true})
		time.Sleep(10 * time.Minute)
		stop()
		if r.n != 1 {
			t.Errorf("tried %d times", r.n)
		}
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// One that is sent once is tried until something was sent; what panics is given
// up, with its reason, and the next of the call is sent.
func TestNothingWasSent(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "p.db")
	synctest.Test(t, func(t *testing.T) {
		s := openFast(t, path)
		r := &receiver{does: func(d Delivery, n int) Attempt {
			switch {
			case d.Event == "two":
				panic("no form")
			case n < 3:
				return Attempt{Err: errors.New("the store is busy"), Unsent: true}
			}
			return Attempt{Status: 500, Err: errors.New("500")}
		}}
		stop := work(t, s, r)
		s.Started(engine.Record{ID: "c1", Started: time.Now()})
		for _, event := range []string{"one", "two", "three"} {
			s.Deliver(Delivery{Call: "c1", Event: event, URL: "https://x.test", Single: true})
		}
		time.Sleep(10 * time.Minute)
		stop()
		ds, _, err := s.Deliveries(t.Context(), DeliveryFilter{})
		if err != nil || len(ds) != 3 {
			t.Fatalf("%+v, %v", ds, err)
		}
		for i, want := range []struct {
			attempts int
			err      string
		}{{3, "500"}, {1, "a fault of ours: no form"}, {1, "500"}} {
			if d := ds[i]; d.State != DeliveryDead || d.Attempts != want.attempts || d.Error != want.err {
				t.Errorf("%s: %s after %d attempts, %s", d.Event, d.State, d.Attempts, d.Error)
			}
		}
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// What has arrived is not sent again because the store could not keep that it
// has.
func TestArrivedWhileTheStoreIsAway(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "p.db")
	synctest.Test(t, func(t *testing.T) {
		s := openFast(t, path)
		r := &receiver{does: func(Delivery, int) Attempt {
			alter(t, s, "ALTER TABLE deliveries RENAME TO away")
			time.AfterFunc(time.Minute, func() { alter(t, s, "ALTER TABLE away RENAME TO deliveries") })
			return Attempt{Status: 200}
		}}
		stop := work(t, s, r)
		deliver(s, "c1", "one")
		time.Sleep(10 * time.Minute)
		stop()
		ds, _, err := s.Deliveries(t.Context(), DeliveryFilter{})
		if err != nil || len(ds) != 1 || ds[0].State != Delivered || r.n != 1 {
			t.Errorf("sent %d times: %+v, %v", r.n, ds, err)
		}
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// A batch that was kept is written again where the answer to its COMMIT got lost.
func TestKeptTwiceIsKeptOnce(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *Store) {
		r := started(newID(t), day)
		batch := []item{{record: &r}, {event: &eventRow{CallID: string(r.ID), Seq: 1, Name: "one", Body: "{}"}}}
		for _, id := range []string{"a", "b"} {
			batch = append(batch, item{delivery: &deliveryRow{
				ID: id, CallID: string(r.ID), URL: "https://x.test", State: string(DeliveryPending), Round: 1,
			}})
		}
		for range 2 {
			if rest, err := s.saveAll(t.Context(), batch); err != nil || rest != nil {
				t.Fatalf("%v, %v", rest, err)
			}
		}
		ds, _, err := s.Deliveries(t.Context(), DeliveryFilter{})
		if err != nil || len(ds) != 2 || ds[0].N != 1 || ds[1].N != 2 {
			t.Errorf("%+v, %v", ds, err)
		}
		if n := s.Queued().Refused; n != 0 {
			t.Errorf("%d were refused", n)
		}
	})
}

// What came of an attempt and could not be kept is not taken for what comes of
// the next one: another node made that meanwhile.
func TestAnOldAttemptIsNotUsed(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		deliver(s, "c1", "one")
		ds, _, err := s.Deliveries(ctx, DeliveryFilter{})
		if err != nil || len(ds) != 1 {
			t.Fatalf("%+v, %v", ds, err)
		}
		w := &deliverer{s: s, send: func(context.Context, Delivery) Attempt { return Attempt{Status: 202} }}
		args := deliverArgs{ds[0].ID, 1}
		job := &river.Job[deliverArgs]{JobRow: &rivertype.JobRow{}, Args: args}
		w.keep(args, ds[0], Attempt{Status: 200})
		if _, err := s.settle(ctx, ds[0], Attempt{Status: 500, Err: errors.New("500")}, false); err != nil {
			t.Fatal(err)
		}
		if err := w.Work(ctx, job); err != nil {
			t.Fatal(err)
		}
		d, err := s.Delivery(ctx, ds[0].ID)
		if err != nil || d.State != Delivered || d.Status != 202 || d.Attempts != 2 {
			t.Errorf("%+v, %v", d, err)
		}
		w.keep(args, d, Attempt{Status: 200})
		if err := w.Work(ctx, job); err != nil || len(w.unkept) != 0 {
			t.Errorf("%d attempts at what has arrived are kept, %v", len(w.unkept), err)
		}
	})
}

// The same on both stores: what one that is sent once comes to.
func TestSettledOnEachStore(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *Store) {
		s.Started(engine.Record{ID: "c1", Started: day, Status: engine.StatusInProgress})
		s.Deliver(Delivery{Call: "c1", Event: "one", URL: "https://x.test", Single: true})
		ds, _, err := s.Deliveries(t.Context(), DeliveryFilter{})
		if err != nil || len(ds) != 1 {
			t.Fatalf("%+v, %v", ds, err)
		}
		for _, c := range []struct {
			a     Attempt
			again bool
			state DeliveryState
		}{
			{Attempt{Err: errors.New("no \x00 body"), Unsent: true}, true, DeliveryPending},
			{Attempt{Err: errors.New("500"), Status: 500}, false, DeliveryDead},
		} {
			again, err := s.settle(t.Context(), ds[0], c.a, false)
			d, e := s.Delivery(t.Context(), ds[0].ID)
			if err != nil || e != nil || again != c.again || d.State != c.state {
				t.Errorf("%v: again %v, %+v, %v, %v", c.a.Err, again, d, err, e)
			}
		}
	})
}

// What the last calls queue before the end of a process is tried once.
func TestTheLastAreTried(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "p.db")
	synctest.Test(t, func(t *testing.T) {
		s := openFast(t, path)
		s.jobs.(*riverJobs[*sql.Tx]).poll = jobPoll
		r := &receiver{does: func(d Delivery, _ int) Attempt {
			if d.Call == "c2" {
				return Attempt{Status: 500, Err: errors.New("500")}
			}
			return Attempt{Status: 200}
		}}
		stop := work(t, s, r)
		time.Sleep(10 * time.Second)
		deliver(s, "c1", "one", "two")
		deliver(s, "c2", "one", "two") // its second waits for the first
		began := time.Now()
		stop()
		if took := time.Since(began); fmt.Sprint(r.all()) != "[c1 one c1 two]" || r.n != 3 || took > 2*time.Second {
			t.Errorf("arrived: %v after %v and %d attempts", r.all(), took, r.n)
		}
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// A replay sends the same body under the same id, also of what has arrived.
func TestReplay(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "p.db")
	synctest.Test(t, func(t *testing.T) {
		s := openFast(t, path)
		var bodies []string
		r := &receiver{does: func(d Delivery, n int) Attempt {
			body := d.Body
			if body == nil {
				body = []byte(fmt.Sprintf(`{"n":%d}`, n))
			}
			bodies = append(bodies, d.ID+string(body))
			return Attempt{Status: 200, Body: body}
		}}
		stop := work(t, s, r)
		deliver(s, "c1", "one")
		time.Sleep(time.Minute)
		ds, _, err := s.Deliveries(t.Context(), DeliveryFilter{State: Delivered})
		if err != nil || len(ds) != 1 {
			t.Fatalf("%v, %v", ds, err)
		}
		if d, err := s.Replay(t.Context(), ds[0].ID); err != nil || d.State != DeliveryPending {
			t.Errorf("%+v, %v", d, err)
		}
		if _, err := s.Replay(t.Context(), ds[0].ID); !errors.Is(err, ErrPending) {
			t.Errorf("at once again: %v", err)
		}
		time.Sleep(time.Minute)
		if len(bodies) != 2 || bodies[0] != bodies[1] {
			t.Errorf("sent: %q", bodies)
		}
		if _, err := s.Replay(t.Context(), "none"); !errors.Is(err, ErrNotFound) {
			t.Error(err)
		}
		stop()
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// What is over is dropped after thirty days, what is not stays.
func TestOldDeliveriesAreDropped(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "p.db")
	s, err := Open(t.Context(), Config{URL: "sqlite:" + path})
	if err != nil {
		t.Fatal(err)
	}
	deliver(s, "c1", "old", "new", "waiting")
	if err := s.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	long := ms(time.Now().Add(-keepDeliveries - time.Hour))
	for event, state := range map[string]DeliveryState{"old": Delivered, "new": Delivered, "waiting": DeliveryPending} {
		q := s.write.NewUpdate().Model((*deliveryRow)(nil)).Set("state = ?", state).Where("event = ?", event)
		if event != "new" {
			q = q.Set("begun_at = ?", long)
		}
		if _, err := q.Exec(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := (&purger{s: s}).Work(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	ds, _, err := s.Deliveries(t.Context(), DeliveryFilter{})
	if err != nil || len(ds) != 2 || ds[0].Event != "new" || ds[1].Event != "waiting" {
		t.Errorf("%+v, %v", ds, err)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// The same on both stores, in real time: order, an attempt that fails, and
// several calls at once.
func TestDeliveriesOfEachStore(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *Store) {
		t.Helper()
		const calls = 20
		arrived := make(chan struct{}, 3*calls)
		r := &receiver{does: func(_ Delivery, n int) Attempt {
			if n == 1 {
				return Attempt{Status: 502, Err: errors.New("502")}
			}
			arrived <- struct{}{}
			return Attempt{Status: 200}
		}}
		stop := work(t, s, r)
		for i := range calls {
			deliver(s, telephony.CallID(fmt.Sprintf("c%02d", i)), "1", "2", "3")
		}
		patience := time.After(time.Minute)
		for range 3 * calls {
			select {
			case <-arrived:
			case <-patience:
				t.Fatalf("arrived: %v", r.all())
			}
		}
		stop()
		order := map[string]string{}
		for _, g := range r.all() {
			order[g[:3]] += g[4:]
		}
		for call, o := range order {
			if o != "123" {
				t.Errorf("%s: %s", call, o)
			}
		}
		if n := len(order); n != calls {
			t.Errorf("%d calls", n)
		}
	})
}

// A model's words are kept whatever they hold.
func TestASummaryWithAZeroByteIsKept(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *Store) {
		s.Started(engine.Record{ID: "c1", Status: engine.StatusInProgress, Started: day})
		if err := s.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := s.KeepReport(t.Context(), "c1", "He\x00 asked.", nil); err != nil {
			t.Fatal(err)
		}
		if r, err := s.Call(t.Context(), "c1"); err != nil || r.Summary != "He asked." {
			t.Errorf("%q, %v", r.Summary, err)
		}
	})
}
