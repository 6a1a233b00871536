package main

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
)

// What of the memory limit may be in use for another call to be taken, how
// often that is looked at, and what of a container's memory is our limit.
const (
	memoryShare = 0.90
	memoryLook  = 250 * time.Millisecond
	cgroupShare = 0.90
)

// limitMemory sets the limit that the collector keeps to, where GOMEMLIMIT does
// not: to what the container has, less a tenth for what Go does not count.
func limitMemory(log *zap.Logger) {
	if os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	bytes, ok := cgroupMemory("/")
	if !ok {
		return
	}
	limit := int64(cgroupShare * float64(bytes))
	debug.SetMemoryLimit(limit)
	log.Info("memory is limited", zap.Int64("limit_mb", limit>>20))
}

// cgroupMemory is the least limit of this process's control group and those
// above it (cgroups version 2, memory.max; version 1, memory.limit_in_bytes).
func cgroupMemory(root string) (limit int64, ok bool) {
	text, err := os.ReadFile(filepath.Join(root, "proc/self/cgroup"))
	if err != nil {
		return 0, false
	}
	limit = math.MaxInt64
	for line := range strings.Lines(string(text)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		base, name := "sys/fs/cgroup", "memory.max"
		switch {
		case parts[1] == "memory":
			base, name = "sys/fs/cgroup/memory", "memory.limit_in_bytes"
		case parts[1] != "" || parts[0] != "0":
			continue
		}
		for dir := filepath.Clean("/" + parts[2]); ; dir = filepath.Dir(dir) {
			b, err := os.ReadFile(filepath.Join(root, base, dir, name))
			if n, bad := strconv.ParseInt(string(bytes.TrimSpace(b)), 10, 64); err == nil && bad == nil && n > 0 {
				limit = min(limit, n)
			}
			if dir == "/" {
				break
			}
		}
	}
	return limit, limit < 1<<60 // version 1 writes nearly 2^63 for none
}

// use is what is used of a limit, bytes.
type use struct{ used, limit int64 }

// memory says whether the memory limit is near. It is looked at now and then.
type memory struct {
	read func() use

	mu   sync.Mutex // guards what follows
	at   time.Time
	near bool
}

func (m *memory) full(now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.at.IsZero() || now.Sub(m.at) >= memoryLook || now.Before(m.at) {
		u := m.read()
		m.at, m.near = now, float64(u.used) > memoryShare*float64(u.limit)
	}
	return m.near
}

// memoryNow is what the limit counts, without what the collector would free: a
// heap may be full of garbage at any time.
func memoryNow() use {
	s := []metrics.Sample{
		{Name: "/memory/classes/total:bytes"},
		{Name: "/memory/classes/heap/released:bytes"},
		{Name: "/memory/classes/heap/free:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/gc/heap/live:bytes"},
		{Name: "/gc/gomemlimit:bytes"},
	}
	metrics.Read(s)
	v := func(i int) int64 { return int64(min(s[i].Value.Uint64(), math.MaxInt64)) } //nolint:gosec // bounded
	return use{used: v(0) - v(1) - v(2) - max(0, v(3)-v(4)), limit: v(5)}
}
