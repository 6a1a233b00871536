package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/patchcord/patchcord/engine"
)

// eventLog writes every event as a line of JSON. Writing never holds a call
// up: what a slow disk or pipe does not take in time is dropped and counted.
type eventLog struct {
	w       io.Writer
	close   func() error
	lines   chan engine.Event // 4096: 100 calls of 5 events a second for 8 s
	dropped atomic.Uint64
	done    sync.WaitGroup
}

// openEventLog opens "-" (stdout), a file, or nothing for "off".
func openEventLog(name string) (*eventLog, error) {
	l := &eventLog{w: os.Stdout, close: func() error { return nil }, lines: make(chan engine.Event, 4096)}
	switch name {
	case "off", "":
		l.w = io.Discard
	case "-":
	default:
		f, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600) //nolint:gosec // the operator names it
		if err != nil {
			return nil, fmt.Errorf("event log: %w", err)
		}
		l.w, l.close = f, f.Close
	}
	l.done.Go(l.run)
	return l, nil
}

func (l *eventLog) run() {
	w := bufio.NewWriter(l.w)
	for ev := range l.lines {
		b, err := json.Marshal(ev)
		if err != nil {
			continue // a value that JSON cannot hold: the engine's tests forbid it
		}
		_, _ = w.Write(append(b, '\n')) // a full disk costs the log, not the call
		if len(l.lines) == 0 {
			_ = w.Flush()
		}
	}
	_ = w.Flush()
}

// Started is not an event.
func (l *eventLog) Started(engine.Record) {}

// Event writes one event.
func (l *eventLog) Event(e engine.Event) {
	select {
	case l.lines <- e:
	default:
		l.dropped.Add(1)
	}
}

// Ended is not an event.
func (l *eventLog) Ended(engine.Record) {}

// Close writes what waits.
func (l *eventLog) Close() error {
	close(l.lines)
	l.done.Wait()
	return l.close()
}

// journals hands everything to several journals, in order.
type journals []engine.Journal

func (js journals) Started(r engine.Record) {
	for _, j := range js {
		j.Started(r)
	}
}

func (js journals) Event(e engine.Event) {
	for _, j := range js {
		j.Event(e)
	}
}

func (js journals) Ended(r engine.Record) {
	for _, j := range js {
		j.Ended(r)
	}
}

// closeTimeout bounds what is written at the end.
const closeTimeout = 5 * time.Second
