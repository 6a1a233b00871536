package api

import (
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// Limits are how many requests may be made in a window; 0 is the default, a
// negative number no limit.
type Limits struct {
	PerMinute int
	PerHour   int
	// Control is how many commands one live call takes in a minute (F-18).
	Control int
}

// DefaultLimits are those of keys that set none (T-25, F-18).
var DefaultLimits = Limits{PerMinute: 60, PerHour: 1000, Control: 10}

// flireoPerMinute is how many requests a key that sets no limit may make on
// Flireo's paths in a minute. They are counted by themselves (F-18).
const flireoPerMinute = 100

// or fills in what is not set.
func (l Limits) or(d Limits) Limits {
	if l.PerMinute == 0 {
		l.PerMinute = d.PerMinute
	}
	if l.PerHour == 0 {
		l.PerHour = d.PerHour
	}
	if l.Control == 0 {
		l.Control = d.Control
	}
	return l
}

// window counts requests from the first one on, for its length.
type window struct {
	begun time.Time
	used  int
}

// quota is what is left in a window: the headers of an answer.
type quota struct {
	limit, left int
	reset       time.Time
}

func (w *window) at(now time.Time, length time.Duration, limit int) quota {
	if now.Sub(w.begun) >= length {
		*w = window{begun: now}
	}
	return quota{limit, max(0, limit-w.used), w.begun.Add(length)}
}

// limiter counts requests by whose they are. It keeps one entry for each key
// and for each call under control.
type limiter struct {
	mu     sync.Mutex
	now    func() time.Time
	hours  map[string]*window
	minute map[string]*window
}

// mostWindows is how many windows are kept before those that are over go.
const mostWindows = 4096

func newLimiter() *limiter {
	return &limiter{now: time.Now, hours: map[string]*window{}, minute: map[string]*window{}}
}

// take counts one request and tells what is left: of both windows that which
// runs out first. A request that is refused is not counted.
func (l *limiter) take(who string, perMinute, perHour int) (q quota, limited, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	var open []*window
	for _, w := range []struct {
		of     map[string]*window
		length time.Duration
		limit  int
	}{{l.minute, time.Minute, perMinute}, {l.hours, time.Hour, perHour}} {
		if w.limit < 0 {
			continue
		}
		if w.of[who] == nil {
			prune(w.of, now, w.length)
			w.of[who] = &window{begun: now}
		}
		left := w.of[who].at(now, w.length, w.limit)
		if !limited || left.left < q.left || left.left == 0 && left.reset.After(q.reset) {
			q = left
		}
		limited = true
		open = append(open, w.of[who])
	}
	if limited && q.left == 0 {
		return q, true, false
	}
	for _, w := range open {
		w.used++
	}
	q.left--
	return q, limited, true
}

func prune(of map[string]*window, now time.Time, length time.Duration) {
	if len(of) < mostWindows {
		return
	}
	for who, w := range of {
		if now.Sub(w.begun) >= length {
			delete(of, who)
		}
	}
}

// limit lets as many requests through as a key may make. Who needs no key has
// no limit, but where one is configured.
func (s *Server) limit(ctx huma.Context, next func(huma.Context)) {
	who, known := ctx.Context().Value(keyOfCaller).(*Key)
	if !known { // an operation that needs no key
		next(ctx)
		return
	}
	limits := who.Limits.or(s.cfg.Limits)
	unset := limits.PerMinute == 0 && limits.PerHour == 0
	counted := "key " + who.id()
	switch {
	case who == local:
		limits = Limits{unlimited(limits.PerMinute), unlimited(limits.PerHour), unlimited(limits.Control)}
	case unset && formOf(ctx.URL().Path) == flireo:
		limits = Limits{PerMinute: flireoPerMinute, PerHour: -1, Control: limits.Control}
		counted = "flireo " + counted
	}
	limits = limits.or(DefaultLimits)
	if !s.took(ctx, counted, limits.PerMinute, limits.PerHour) {
		return
	}
	if op := ctx.Operation().OperationID; op == commandID || op == flireoCommandID {
		// A call that is not there for the caller takes no command, and counts none.
		id := ctx.Param("id")
		if _, err := s.record(ctx.Context(), id); err == nil && !s.took(ctx, "call "+id, limits.Control, -1) {
			return
		}
	}
	next(ctx)
}

// took counts a request, or refuses it.
func (s *Server) took(ctx huma.Context, who string, perMinute, perHour int) bool {
	q, limited, ok := s.limiter.take(who, perMinute, perHour)
	if !limited {
		return true
	}
	ctx.SetHeader("X-RateLimit-Limit", strconv.Itoa(q.limit))
	ctx.SetHeader("X-RateLimit-Remaining", strconv.Itoa(q.left))
	ctx.SetHeader("X-RateLimit-Reset", strconv.FormatInt(unixUp(q.reset), 10))
	if ok {
		return true
	}
	wait := int64((q.reset.Sub(s.limiter.now()) + time.Second - 1) / time.Second) // whole seconds, none too few
	wait = max(1, wait)
	ctx.SetHeader("Retry-After", strconv.FormatInt(wait, 10))
	s.refuse(ctx, &Problem{Status: http.StatusTooManyRequests, wait: wait})
	return false
}

// unixUp is the first full second that is not before t.
func unixUp(t time.Time) int64 { return t.Add(time.Second - 1).Unix() }

// unlimited is what is configured, none where nothing is.
func unlimited(n int) int {
	if n == 0 {
		return -1
	}
	return n
}
