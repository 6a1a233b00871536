package main

import (
	"context"
	"io"
	"os"
	"time"

	"go.uber.org/zap"

	"github.com/patchcord/patchcord/audio/record/archive"
	"github.com/patchcord/patchcord/engine"
)

// recordingsWait is how long a process that ends waits for its last recordings to
// be stored; the next one stores the others.
const recordingsWait = 10 * time.Second

// openRecordings makes what stores the recordings elsewhere, where recording.dir
// is a bucket. dir is where calls are recorded, "" for nowhere.
func (n *node) openRecordings(ctx context.Context) (dir string, err error) {
	c := n.cfg.Recording
	switch {
	case !c.Enabled:
		return "", nil
	case !archive.Is(c.Dir):
		return c.Dir, nil
	}
	n.archive, err = archive.Open(ctx, archive.Config{URL: c.Dir, Spool: c.Spool, Log: n.log})
	if err != nil {
		return "", err
	}
	n.onClose(func() {
		if err := n.archive.Close(); err != nil {
			n.log.Warn("recordings: close", zap.Error(err))
		}
	})
	n.metrics.Gauge("recordings_waiting", "Recordings that the bucket of recording.dir does not have yet.",
		func() float64 { return float64(n.archive.Waiting()) })
	return c.Spool, nil
}

// recording opens a recording by the path it was made at.
func (n *node) recording(ctx context.Context, path string) (io.ReadSeekCloser, error) {
	if n.archive != nil {
		return n.archive.Open(ctx, path)
	}
	return os.Open(path) //nolint:gosec // of our own record
}

// archived is the journal that has recordings stored which are finished.
type archived struct{ *archive.Archive }

var _ engine.Journal = archived{}

// Started does nothing.
func (archived) Started(engine.Record) {}

// Event does nothing.
func (archived) Event(engine.Event) {}

// Ended has the call's recording stored.
func (a archived) Ended(r engine.Record) {
	if r.Recording != "" {
		a.Add(r.Recording)
	}
}
