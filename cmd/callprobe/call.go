package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/patchcord/patchcord/audio/record"
	"github.com/patchcord/patchcord/internal/testkit/phone"
	"github.com/patchcord/patchcord/internal/testkit/scenario"
	"github.com/patchcord/patchcord/telephony"
)

// outcome is one call.
type outcome struct {
	report *scenario.Report
	setup  time.Duration // from the INVITE to the answer
	codec  string
	media  telephony.Stats
	record string // path of the recording
}

// call places the n-th call and plays the scenario on it.
func (p *probe) call(ctx context.Context, n int) outcome {
	var out outcome
	began := time.Now()
	leg, err := p.dial(ctx)
	if err != nil {
		out.report = p.unanswered(err)
		return out
	}
	out.setup = time.Since(began)
	out.codec = leg.Info().Codec
	cfg := phone.Config{Prompts: p.prompts, Ear: p.ear}
	if p.cli.Record != "" {
		out.record = p.recording(n)
		cfg.Record = func(rate int) (*record.Recorder, error) {
			f, err := os.Create(out.record) //nolint:gosec // the user names it
			if err != nil {
				return nil, err
			}
			return record.New(f, rate)
		}
	}
	if p.live && p.cli.Calls == 1 {
		answered := time.Now()
		tell := func(who string) func(string) {
			return func(what string) {
				fmt.Fprintf(p.stderr, "%6.1fs  %s: %s\n", time.Since(answered).Seconds(), who, what)
			}
		}
		cfg.Said, cfg.Heard = tell("caller"), tell("agent")
	}
	ph, err := phone.Start(context.WithoutCancel(ctx), leg, cfg)
	if err != nil {
		out.report = p.unanswered(err)
		_ = leg.Hangup(context.WithoutCancel(ctx), telephony.Cause{Reason: telephony.ReasonFailed})
		return out
	}
	out.report = scenario.Run(ctx, p.scenario, ph)
	out.media = leg.Stats()
	if err := ph.Close(); err != nil {
		out.report.OK = false
		out.report.Fault = strings.TrimPrefix(out.report.Fault+"; "+err.Error(), "; ")
	}
	return out
}

// dial returns when the call is answered.
func (p *probe) dial(ctx context.Context) (telephony.Leg, error) {
	to := telephony.Destination{To: p.cli.To, From: p.scenario.From, RingTimeout: p.cli.Ring}
	if p.scenario.Codec != "" {
		to.Codecs = []string{p.scenario.Codec}
	}
	return p.line.Dial(ctx, to)
}

// unanswered is the report of a call that was never up.
func (p *probe) unanswered(err error) *scenario.Report {
	return &scenario.Report{
		Name: p.scenario.Name, File: p.scenario.File, Skipped: len(p.scenario.Steps), EndReason: "not answered",
		Steps:    []scenario.Result{{Step: "dial " + p.cli.To, Fault: err.Error()}},
		KeyWords: len(p.scenario.Heard.Words), Unheard: p.scenario.Heard.Words,
	}
}

// recording is the path of the n-th call's.
func (p *probe) recording(n int) string {
	if p.cli.Calls == 1 {
		return p.cli.Record
	}
	ext := filepath.Ext(p.cli.Record)
	return strings.TrimSuffix(p.cli.Record, ext) + "-" + strconv.Itoa(n+1) + ext
}
