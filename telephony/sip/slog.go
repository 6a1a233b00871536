package sip

import (
	"context"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
)

// silent is where the library's process-wide logger goes.
var silent = slog.New(slog.DiscardHandler)

// libLog brings the lines of the library below into ours. They carry whole
// messages of peers (sip:P10): values are cut to libLogBytes, credentials and
// keys are taken out, and no more than libLogLines lines pass in a second.
type libLog struct {
	log   *zap.Logger
	attrs []slog.Attr
	gate  *gate // shared by the handlers made of one
}

const (
	libLogBytes = 256
	libLogLines = 5
)

// gate lets a number of lines through per second.
type gate struct {
	mu     sync.Mutex
	second int64
	lines  int
	muted  int
}

// open is pass for who does not tell how many were muted.
func (g *gate) open(now time.Time) bool {
	_, ok := g.pass(now)
	return ok
}

func (g *gate) pass(now time.Time) (muted int, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if s := now.Unix(); s != g.second {
		g.second, g.lines = s, 0
	}
	if g.lines++; g.lines > libLogLines {
		g.muted++
		return 0, false
	}
	muted, g.muted = g.muted, 0
	return muted, true
}

func newSlog(log *zap.Logger) *slog.Logger {
	return slog.New(&libLog{log: log, gate: &gate{}})
}

// Enabled leaves out the library's narration.
func (h *libLog) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelWarn }

func (h *libLog) Handle(_ context.Context, r slog.Record) error {
	muted, ok := h.gate.pass(time.Now())
	if !ok {
		return nil
	}
	fields := make([]zap.Field, 0, len(h.attrs)+r.NumAttrs()+1)
	add := func(a slog.Attr) bool {
		fields = append(fields, zap.String(a.Key, redact(a.Value.String())))
		return true
	}
	for _, a := range h.attrs {
		add(a)
	}
	r.Attrs(add)
	if muted > 0 {
		fields = append(fields, zap.Int("muted", muted))
	}
	// What goes wrong below is a peer's doing or a socket's end: a warning.
	h.log.Warn("sip: stack: "+redact(r.Message), fields...)
	return nil
}

func (h *libLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	n := *h
	n.attrs = append(append([]slog.Attr(nil), h.attrs...), attrs...)
	return &n
}

func (h *libLog) WithGroup(string) slog.Handler { return h }

var secrets = regexp.MustCompile(`(?i)((?:proxy-)?authorization\s*:|a=crypto:|a=key-mgmt:)[^\r\n]*`)

// redact takes credentials out of s and cuts it.
func redact(s string) string {
	s = secrets.ReplaceAllString(s, "$1 [redacted]")
	if len(s) > libLogBytes {
		s = strings.ToValidUTF8(s[:libLogBytes], "") + "…"
	}
	return s
}
