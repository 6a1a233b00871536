package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// How long calls that are told to end may say goodbye: the machine's own limits
// are less than the first. Who is told a second time waits no longer than the
// second, then all hang up: within 3 s with what the network takes.
const (
	goodbyeAtMost = 30 * time.Second
	goodbyeBriefs = 2 * time.Second
)

// errToldAgain is why running calls may not go on after another signal.
var errToldAgain = errors.New("told to end again")

// secondSignal makes the context that running calls may go on in, once ctx has
// ended: it ends after drain, or with another signal, which is its cause then.
func secondSignal(ctx context.Context, drain time.Duration) func() (context.Context, context.CancelFunc) {
	signals := make(chan os.Signal, 2) // the first, which has ended ctx already, and the second
	signal.Notify(signals, syscall.SIGTERM, os.Interrupt)
	return func() (context.Context, context.CancelFunc) {
		limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
		told, tell := context.WithCancelCause(limit)
		go func() {
			defer signal.Stop(signals)
			for n := 0; n < 2; n++ {
				select {
				case <-signals:
				case <-limit.Done():
					return
				}
			}
			tell(errToldAgain)
		}()
		return told, func() {
			tell(nil)
			cancel()
		}
	}
}

// drain takes no further calls, at once, and waits for those that are up: as long
// as limit they end in their own time, then they say goodbye. Those that do not
// come to an end are hung up.
func (n *node) drain(limit context.Context, hangUp func()) {
	n.sip.Drain(true)
	if n.web != nil {
		n.web.Drain(true)
	}
	n.streams.Drain(true)
	done := make(chan struct{})
	go func() { // waited for below
		n.drainCampaigns(limit)
		n.engine.Drain(limit)
		close(done)
	}()
	select {
	case <-done:
		return
	case <-limit.Done():
	}
	patience := goodbyeAtMost
	if errors.Is(context.Cause(limit), errToldAgain) {
		patience = goodbyeBriefs
	}
	t := time.NewTimer(patience)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
		hangUp()
		<-done
	}
}
