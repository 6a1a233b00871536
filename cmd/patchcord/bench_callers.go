package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"runtime/debug"
	"time"

	"github.com/patchcord/patchcord/internal/load"
)

// benchCallersCmd is the callers' side of bench: a process of its own, so that
// what it costs is not the engine's. It reads a load.Config from stdin and
// writes callerNews to stdout.
type benchCallersCmd struct{}

// callersMemory is what the callers fill before they collect, bytes.
const callersMemory = 1 << 30

// callerNews is a line of the callers': a phase, and at last the report.
type callerNews struct {
	Phase  load.Phase   `json:"phase,omitempty"`
	Report *load.Report `json:"report,omitempty"`
}

// Run calls.
func (benchCallersCmd) Run(ctx context.Context, out *output) error {
	var c load.Config
	if err := json.NewDecoder(out.in).Decode(&c); err != nil {
		return usagef("is started by patchcord bench: %w", err)
	}
	debug.SetGCPercent(-1) // collecting here would keep the engine waiting for the processors
	debug.SetMemoryLimit(callersMemory)
	enc := json.NewEncoder(out.out)
	r, err := load.Run(ctx, c, func(p load.Phase) { _ = enc.Encode(callerNews{Phase: p}) }) // who reads it has gone, then
	if err != nil {
		return err
	}
	return enc.Encode(callerNews{Report: r})
}

// crowd is what the callers do.
func (b *bench) crowd(to netip.AddrPort) load.Config {
	cfg := load.Config{
		To: to, User: benchAgent, Calls: b.Calls, Rate: b.Rate, Alone: 3 * time.Second, Warmup: b.Warmup,
		Window: b.Duration, Goodbye: 15 * time.Second, Talk: load.Talk{Barge: 3},
	}
	switch b.Profile {
	case "churn":
		cfg.Alone, cfg.Each, cfg.Goodbye = 0, b.Each, 0
		cfg.Talk = load.Talk{Say: 500 * time.Millisecond, Wait: 300 * time.Millisecond}
	case "overload":
		cfg = b.flood(cfg)
	}
	return cfg
}

// callers runs them and hands on their phases.
func (b *bench) callers(ctx context.Context, cfg load.Config, phase func(load.Phase)) (*load.Report, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, "bench-callers") //nolint:gosec // this program itself
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second
	cmd.Stderr = b.out.err
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	news, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the callers: %w", err)
	}
	err = errors.Join(json.NewEncoder(in).Encode(cfg), in.Close())
	var report *load.Report
	for dec := json.NewDecoder(news); err == nil && report == nil; {
		var n callerNews
		if err = dec.Decode(&n); err != nil {
			break
		}
		if n.Phase != "" {
			phase(n.Phase)
		}
		report = n.Report
	}
	if ended := cmd.Wait(); ended != nil {
		err = fmt.Errorf("the callers: %w", ended)
	}
	return report, err
}
