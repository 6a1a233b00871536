package main

import (
	"bytes"
	"context"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// usage is what the process has used.
type usage struct {
	cpu  time.Duration // user and system
	wall time.Time
	took time.Duration
}

func usageNow() usage {
	var r unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &r) // our own always answers
	return usage{cpu: time.Duration(r.Utime.Nano() + r.Stime.Nano()), wall: time.Now()}
}

func (u usage) since(before usage) usage {
	return usage{cpu: u.cpu - before.cpu, wall: u.wall, took: u.wall.Sub(before.wall)}
}

// share is processor time per time.
func (u usage) share() float64 {
	if u.took <= 0 {
		return 0
	}
	return float64(u.cpu) / float64(u.took)
}

// sample is what the process holds.
type sample struct {
	RSS         int64 // bytes, 0 where the system does not tell
	Heap        int64 // bytes in use, with garbage
	Stacks      int64 // bytes of the goroutines'
	Goroutines  int
	Descriptors int
}

func sampleNow() sample {
	heap := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/stacks:bytes"}}
	metrics.Read(heap)
	s := sample{
		RSS: residentBytes(), Heap: int64(heap[0].Value.Uint64()), Stacks: int64(heap[1].Value.Uint64()),
		Goroutines: runtime.NumGoroutine(),
	}
	if fds, err := os.ReadDir("/proc/self/fd"); err == nil {
		s.Descriptors = len(fds) - 1 // without the one that reads
	}
	return s
}

// settled is a sample without what only waits to be collected.
func settled() sample {
	runtime.GC()
	debug.FreeOSMemory()
	return sampleNow()
}

// residentBytes is VmRSS.
func residentBytes() int64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, rest, ok := bytes.Cut(status, []byte("VmRSS:"))
	if !ok {
		return 0
	}
	kb, _, _ := bytes.Cut(rest, []byte(" kB"))
	n, err := strconv.ParseInt(string(bytes.TrimSpace(kb)), 10, 64)
	if err != nil {
		return 0
	}
	return n << 10
}

// meter follows what the process holds and keeps the most of it.
type meter struct {
	wg sync.WaitGroup

	mu     sync.Mutex // guards what follows
	peak   sample
	closed bool
}

func (m *meter) start(ctx context.Context) {
	m.wg.Go(func() {
		t := time.NewTicker(250 * time.Millisecond)
		defer t.Stop()
		for {
			select {
			case <-t.C:
				m.add(sampleNow())
			case <-ctx.Done():
				return
			}
		}
	})
}

func (m *meter) add(s sample) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return
	}
	m.peak.RSS = max(m.peak.RSS, s.RSS)
	m.peak.Heap = max(m.peak.Heap, s.Heap)
	m.peak.Stacks = max(m.peak.Stacks, s.Stacks)
	m.peak.Goroutines = max(m.peak.Goroutines, s.Goroutines)
	m.peak.Descriptors = max(m.peak.Descriptors, s.Descriptors)
}

// reset begins anew, hold ends with what there is.
func (m *meter) reset() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.peak = sample{}
}

func (m *meter) hold() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
}

func (m *meter) wait() { m.wg.Wait() }
