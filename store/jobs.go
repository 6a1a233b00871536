package store

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
	"go.uber.org/zap"
)

// Times of jobs.
const (
	// jobPoll is how soon a new job is seen: the queue is asked, not told.
	jobPoll = 250 * time.Millisecond
	// attemptTime bounds one attempt, the forming of the body included.
	attemptTime = 75 * time.Second
	// jobRescue is when a job counts as lost whose process was killed.
	jobRescue = 90 * time.Second
	// jobWorkers is how many webhooks are under way at once.
	jobWorkers = 32
	// keepDeliveries is how long one is kept that has arrived or was given up.
	keepDeliveries = 30 * 24 * time.Hour
)

// backoff is the pause after an attempt, s. A receiver that is back after an
// hour gets what it missed within five minutes.
var backoff = []int{5, 15, 60, 120, 300}

// pauseAfter is the pause after the attempt of that number, from 1. Deliveries
// that failed together are spread over a tenth of it.
func pauseAfter(attempt int, seed int64) time.Duration {
	d := time.Duration(backoff[min(max(attempt, 1), len(backoff))-1]) * time.Second
	return d + d/10*time.Duration(seed%10)/10
}

// jobs is the queue of what is to be done beside calls.
type jobs interface {
	// insert keeps a job with the transaction. The same job twice is one.
	insert(ctx context.Context, tx Tx, args river.JobArgs) error
	// run works until ctx ends, then gives what runs the time that stop has.
	run(ctx context.Context, w *river.Workers, stop time.Duration) error
	close() error
}

// deliverArgs is the job of one round of a delivery.
type deliverArgs struct {
	ID    string `json:"id" river:"unique"`
	Round int    `json:"round" river:"unique"`
}

// Kind is its name in the queue.
func (deliverArgs) Kind() string { return "deliver_webhook" }

// InsertOpts makes it one job as long as it is not over.
func (deliverArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{
		MaxAttempts: 1000, // DeliveryLife ends it
		UniqueOpts: river.UniqueOpts{ByArgs: true, ByState: []rivertype.JobState{
			rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRetryable,
			rivertype.JobStateRunning, rivertype.JobStateScheduled,
		}},
	}
}

// deliverer works off deliveries.
type deliverer struct {
	river.WorkerDefaults[deliverArgs]
	s    *Store
	send func(context.Context, Delivery) Attempt

	mu     sync.Mutex // guards unkept
	unkept map[deliverArgs]unkept
}

// unkept is an attempt that was made, but the store could not keep what came of
// it.
type unkept struct {
	Attempt
	after int // attempts: with more, another node has made one since
}

// Timeout bounds one attempt.
func (w *deliverer) Timeout(*river.Job[deliverArgs]) time.Duration { return attemptTime }

// NextRetry is when the next attempt is due.
func (w *deliverer) NextRetry(job *river.Job[deliverArgs]) time.Time {
	return time.Now().Add(pauseAfter(job.Attempt, job.ID))
}

// Work makes one attempt. Its error makes the queue try again.
func (w *deliverer) Work(ctx context.Context, job *river.Job[deliverArgs]) error {
	d, err := w.s.Delivery(ctx, job.Args.ID)
	switch {
	case errors.Is(err, ErrNotFound):
		w.drop(job.Args)
		return nil
	case err != nil:
		return err
	case d.State != DeliveryPending || d.round != job.Args.Round:
		w.drop(job.Args)
		return nil
	}
	first, err := firstPending(ctx, w.s.read, string(d.Call))
	if err != nil {
		return err
	}
	if first == nil || first.ID != d.ID {
		return river.JobSnooze(time.Second) // one before it was replayed
	}
	a := w.attempt(ctx, job.Args, d)
	last := time.Since(d.Begun) >= DeliveryLife
	again, err := w.s.settle(context.WithoutCancel(ctx), d, a, last)
	if err != nil {
		w.keep(job.Args, d, a)
		return err
	}
	if again {
		return a.Err
	}
	if a.Err != nil {
		w.s.log.Warn("webhook given up", zap.String("delivery", d.ID), zap.String("call_id", string(d.Call)),
			zap.String("webhook", d.Event), zap.Int("attempts", d.Attempts+1), zap.Int("http_status", a.Status),
			zap.Error(a.Err))
	}
	return nil
}

// attempt makes one attempt; or gives what came of the one before, which the
// store could not keep: what was sent is not sent again for that.
func (w *deliverer) attempt(ctx context.Context, args deliverArgs, d Delivery) (a Attempt) {
	if u, made := w.drop(args); made && u.after == d.Attempts {
		return u.Attempt
	}
	defer func() { // a fault of ours: another attempt would meet it too, and the next of the call waits
		if p := recover(); p != nil {
			w.s.log.Error("webhook: panic", zap.String("delivery", d.ID), zap.Any("panic", p), zap.Stack("stack"))
			a = Attempt{Err: fmt.Errorf("a fault of ours: %v", p), Final: true}
		}
	}()
	return w.send(ctx, d)
}

// drop takes out what could not be kept of an attempt.
func (w *deliverer) drop(args deliverArgs) (u unkept, made bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	u, made = w.unkept[args]
	delete(w.unkept, args)
	return u, made
}

func (w *deliverer) keep(args deliverArgs, d Delivery, a Attempt) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.unkept == nil {
		w.unkept = map[deliverArgs]unkept{}
	}
	w.unkept[args] = unkept{a, d.Attempts}
}

// purgeArgs is the job that drops what is old.
type purgeArgs struct{}

// Kind is its name in the queue.
func (purgeArgs) Kind() string { return "purge_deliveries" }

type purger struct {
	river.WorkerDefaults[purgeArgs]
	s *Store
}

// Work drops deliveries that are over since long.
func (w *purger) Work(ctx context.Context, _ *river.Job[purgeArgs]) error {
	_, err := w.s.write.NewDelete().Model((*deliveryRow)(nil)).
		Where("state <> ? AND begun_at < ?", DeliveryPending, ms(time.Now().Add(-keepDeliveries))).Exec(ctx)
	return err
}

// Work works off deliveries until ctx ends; send makes one attempt at one. Then
// those that were never tried have stop to be, and those under way as long to
// arrive. What is left is tried by the next process.
func (s *Store) Work(ctx context.Context, stop time.Duration, send func(context.Context, Delivery) Attempt) error {
	w := river.NewWorkers()
	if err := errors.Join(
		river.AddWorkerSafely(w, &deliverer{s: s, send: send}), river.AddWorkerSafely(w, &purger{s: s}),
	); err != nil {
		return fmt.Errorf("store: workers: %w", err)
	}
	run, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	over := make(chan struct{})
	go func() { // waited for below
		defer close(over)
		defer end()
		select {
		case <-ctx.Done():
			s.untried(run, stop)
		case <-run.Done():
		}
	}()
	err := s.jobs.run(run, w, stop)
	end()
	<-over
	if err != nil {
		return fmt.Errorf("store: work: %w", err)
	}
	return nil
}

// untried waits until every delivery was tried, no longer than stop.
func (s *Store) untried(ctx context.Context, stop time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, stop)
	defer cancel()
	_ = s.Flush(ctx) // what the last calls have queued; in time or not
	t := time.NewTicker(jobPoll)
	defer t.Stop()
	for {
		n, err := s.read.NewSelect().Model((*deliveryRow)(nil)).Where("state = ? AND attempts = 0", DeliveryPending).
			Where("NOT EXISTS (SELECT 1 FROM deliveries AS earlier WHERE earlier.call_id = delivery_row.call_id AND " +
				"earlier.n < delivery_row.n AND earlier.state = 'pending')").Count(ctx)
		if err != nil || n == 0 {
			return
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
	}
}
