package store

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/rivermigrate"
)

// riverJobs is River over one of the two databases; T is its transaction.
type riverJobs[T any] struct {
	driver   riverdriver.Driver[T]
	tx       func(Tx) T
	poll     time.Duration // how often the queue is asked
	pollOnly bool          // nobody tells of new jobs
	id       string        // of this process, "" for any
	shut     func() error

	client *river.Client[T] // inserts only
}

var _ jobs = (*riverJobs[any])(nil)

// quiet drops what the queue says: what goes wrong is kept with the delivery.
var quiet = slog.New(slog.DiscardHandler)

// open brings the queue's tables up to date.
func (j *riverJobs[T]) open(ctx context.Context) error {
	m, err := rivermigrate.New(j.driver, &rivermigrate.Config{Logger: quiet})
	if err == nil {
		_, err = m.Migrate(ctx, rivermigrate.DirectionUp, nil)
	}
	if err != nil {
		return fmt.Errorf("bring the job queue's tables up to date: %w", err)
	}
	if j.client, err = river.NewClient(j.driver, &river.Config{Logger: quiet}); err != nil {
		return fmt.Errorf("open the job queue: %w", err)
	}
	return nil
}

func (j *riverJobs[T]) insert(ctx context.Context, tx Tx, args river.JobArgs) error {
	_, err := j.client.InsertTx(ctx, j.tx(tx), args, nil)
	return err
}

func (j *riverJobs[T]) run(ctx context.Context, w *river.Workers, stop time.Duration) error {
	hourly := river.NewPeriodicJob(river.PeriodicInterval(time.Hour), func() (river.JobArgs, *river.InsertOpts) {
		return purgeArgs{}, nil
	}, nil)
	c, err := river.NewClient(j.driver, &river.Config{
		ID: j.id, Logger: quiet, Workers: w,
		Queues:   map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: jobWorkers}},
		PollOnly: j.pollOnly, FetchCooldown: min(j.poll, jobPoll), FetchPollInterval: j.poll,
		RescueStuckJobsAfter: jobRescue, JobTimeout: attemptTime, CompletedJobRetentionPeriod: time.Hour,
		PeriodicJobs: []*river.PeriodicJob{hourly},
	})
	if err != nil {
		return err
	}
	life, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	if err := c.Start(life); err != nil {
		return err
	}
	<-ctx.Done()
	soft, cancel := context.WithTimeout(life, stop)
	defer cancel()
	if c.Stop(soft) == nil {
		return nil
	}
	hard, cancel := context.WithTimeout(life, stop)
	defer cancel()
	return c.StopAndCancel(hard)
}

func (j *riverJobs[T]) close() error { return j.shut() }
