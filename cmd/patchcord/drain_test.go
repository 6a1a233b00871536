package main

import (
	"context"
	"errors"
	"testing"
	"time"
)

// What running calls may go on in ends after its time, and not for another signal.
func TestDrainEndsWithItsTime(t *testing.T) {
	limit, cancel := secondSignal(t.Context(), time.Millisecond)()
	defer cancel()
	<-limit.Done()
	if cause := context.Cause(limit); !errors.Is(cause, context.DeadlineExceeded) {
		t.Errorf("ended by %v", cause)
	}
}
