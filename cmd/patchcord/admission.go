package main

import (
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/patchcord/patchcord/configs"
	"github.com/patchcord/patchcord/engine"
	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/telephony/rtp"
)

// Bounds beyond which no further call is taken.
const (
	lateTicks = 10 * time.Millisecond // of the media plane, 99th percentile over 2 s
	lateLong  = 4 * time.Second       // that long above it: two windows, one stall is none
	lateCalls = 50                    // calls below which lateness is the machine's, not ours
	spareRTP  = 16                    // ports kept for calls that are being set up
)

// admission decides whether there is room for a call, from what is known
// without asking anybody: it is asked for every INVITE, before anything else is
// done for it.
type admission struct {
	engine *engine.Engine
	load   func() rtp.Load
	late   lateness
	memory memory
	urgent []string // trunks whose calls may have what is reserved
	log    *zap.Logger

	mu     sync.Mutex // guards what follows
	reason string     // of the refusals at the moment, "" where there are none
	told   time.Time
}

func newAdmission(e *engine.Engine, media *rtp.Media, limits configs.Limits, log *zap.Logger) *admission {
	return &admission{engine: e, load: media.Load, memory: memory{read: memoryNow}, urgent: limits.Priority, log: log}
}

// admit takes room for a call over SIP, until the engine is told that it left.
func (a *admission) admit(id telephony.CallID, of telephony.TrunkID) bool {
	urgent := slices.Contains(a.urgent, string(of))
	why := a.full(a.load(), time.Now())
	if why == "" && !a.engine.Admit(id, urgent) {
		why = "limits.max_calls are up"
	}
	a.tell(why)
	return why == ""
}

// room says whether there is room for a call that comes another way.
func (a *admission) room(telephony.Info) (telephony.Cause, bool) {
	why := a.full(a.load(), time.Now())
	if why == "" && !a.engine.Room() {
		why = "limits.max_calls are up"
	}
	a.tell(why)
	return telephony.Cause{Reason: telephony.ReasonOverload, Text: why}, why == ""
}

// machine says whether the machine has room for a call that is placed, which the
// engine counts.
func (a *admission) machine(telephony.Info) (telephony.Cause, bool) {
	why := a.full(a.load(), time.Now())
	a.tell(why)
	return telephony.Cause{Reason: telephony.ReasonOverload, Text: why}, why == ""
}

// full says what there is no room by, "" for nothing.
func (a *admission) full(load rtp.Load, now time.Time) string {
	switch {
	case load.FreePorts < spareRTP:
		return "rtp.ports are used up"
	case a.late.busy(load, now):
		return "the machine is busy"
	case a.memory.full(now):
		return "the memory limit is near"
	}
	return ""
}

// tellEvery is how often the log is told that calls are refused.
const tellEvery = 10 * time.Second

// tell logs what calls are refused for.
func (a *admission) tell(why string) {
	if why == "" || a.engine.Draining() {
		return
	}
	a.mu.Lock()
	now := time.Now()
	quiet := a.reason == why && now.Sub(a.told) < tellEvery
	if !quiet {
		a.reason, a.told = why, now
	}
	a.mu.Unlock()
	if !quiet {
		a.log.Warn("calls are refused", zap.String("reason", why), zap.Int("calls", a.engine.Calls()))
	}
}

// lateness tells a media plane that has no time any more from one that was
// held up once.
type lateness struct {
	mu          sync.Mutex // guards what follows
	since, last time.Time  // above lateTicks since, and seen so last
}

// busy takes what is seen now and says whether calls are to be refused.
func (l *lateness) busy(load rtp.Load, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if load.Sessions < lateCalls || load.OverrunP99 <= lateTicks {
		l.since = time.Time{}
		return false
	}
	if l.since.IsZero() || now.Sub(l.last) > lateLong {
		l.since = now
	}
	l.last = now
	return now.Sub(l.since) >= lateLong
}
