package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/patchcord/patchcord/engine"
)

// transcriptPrinter shows a call as it happens: who said what, the tools, and
// where each turn's time went.
type transcriptPrinter struct {
	mu    sync.Mutex // guards what follows, and the order of lines
	w     io.Writer
	start time.Time
	added []int64 // engine_added_ms of each turn
	v2v   []int64 // v2v_ms
}

func newTranscriptPrinter(w io.Writer) *transcriptPrinter {
	return &transcriptPrinter{w: w, start: time.Now()}
}

// Started begins the clock.
func (p *transcriptPrinter) Started(engine.Record) {}

// Ended is told by an event as well.
func (p *transcriptPrinter) Ended(engine.Record) {}

// said is what the caller says, as the scenario has it.
func (p *transcriptPrinter) said(what string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.line("caller", what)
}

func (p *transcriptPrinter) line(who, format string, args ...any) {
	if len(args) > 0 {
		format = fmt.Sprintf(format, args...)
	}
	fmt.Fprintf(p.w, "%6.1f  %-7s %s\n", time.Since(p.start).Seconds(), who, format)
}

// Event prints what people want to see.
func (p *transcriptPrinter) Event(e engine.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	text := func(key string) string { s, _ := e.Get(key).(string); return s }
	num := func(key string) int64 { n, _ := e.Get(key).(int64); return n }
	switch e.Name {
	case engine.EventCallAnswered:
		p.start = time.Now()
		p.line("call", "answered, %s", text("codec"))
	case engine.EventTurnUser:
		p.line("", "  understood: %q", text("text"))
	case engine.EventTurnAgent:
		heard := text("heard_text")
		if heard == "" {
			return
		}
		if i, _ := e.Get("interrupted").(bool); i {
			heard += " —"
		}
		p.line("agent", "%s", heard)
	case engine.EventSpeechInterupted:
		p.line("", "  interrupted (%s) after %d ms", text("proof"), num("heard_ms"))
	case engine.EventToolStarted:
		args, _ := json.Marshal(e.Get("args"))
		p.line("tool", "%s %s", text("tool"), args)
	case engine.EventToolFinished:
		p.line("tool", "%s: %s after %d ms", text("tool"), text("status"), num("ms"))
	case engine.EventTurnMetrics:
		p.added, p.v2v = append(p.added, num("engine_added_ms")), append(p.v2v, num("v2v_ms"))
		p.line("", "  heard after %d ms: wait %d, model %d, voice %d, engine %d", num("v2v_ms"),
			num("endpoint_wait_ms"), num("llm_first_ms"), num("tts_first_ms"), num("engine_added_ms"))
	case engine.EventProviderFailed:
		p.line("failed", "%s %s: %s", text("kind"), text("provider"), text("error"))
	case engine.EventCallEnded:
		p.line("call", "ended: %s", strings.ReplaceAll(text("end_reason"), "_", " "))
	}
}
