package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/patchcord/patchcord/internal/testkit/scenario"
)

// reportsKept is how many reports of failed calls are shown.
const reportsKept = 5

// summary is all calls together.
type summary struct {
	calls, failed int
	setups        []time.Duration // of answered calls
	faults        map[string]int  // what went wrong, how often
	reports       []outcome       // of the only call, or of the first failed ones
	lost          uint64          // packets, of all calls
	received      uint64
	worstMOS      float64 // 0: none
}

func (s *summary) ok() bool { return s.calls > 0 && s.failed == 0 }

// callAll places the calls, so many per second, and waits for all.
func (p *probe) callAll(ctx context.Context) *summary {
	s := &summary{faults: map[string]int{}}
	var mu sync.Mutex // guards s
	var wg sync.WaitGroup
	var bar *progressbar.ProgressBar
	if p.live && p.cli.Calls > 1 {
		bar = progressbar.NewOptions(p.cli.Calls, progressbar.OptionSetWriter(p.stderr),
			progressbar.OptionSetDescription("calls"), progressbar.OptionShowCount(), progressbar.OptionClearOnFinish())
	}
	tick := time.NewTicker(time.Duration(float64(time.Second) / p.cli.Rate))
	defer tick.Stop()
	for n := range p.cli.Calls {
		if n > 0 {
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
		}
		if ctx.Err() != nil {
			break
		}
		wg.Go(func() {
			out := p.call(ctx, n)
			mu.Lock()
			defer mu.Unlock()
			s.add(out, p.cli.Calls == 1)
			if bar != nil {
				_ = bar.Add(1)
			}
		})
	}
	wg.Wait()
	if bar != nil {
		_ = bar.Finish()
	}
	return s
}

func (s *summary) add(o outcome, only bool) {
	s.calls++
	if o.setup > 0 {
		s.setups = append(s.setups, o.setup)
		s.lost += o.media.PacketsLost
		s.received += o.media.PacketsReceived
		if m := o.media.MOS; m > 0 && (s.worstMOS == 0 || m < s.worstMOS) {
			s.worstMOS = m
		}
	}
	if !o.report.OK {
		s.failed++
		s.faults[fault(o.report)]++
	}
	if only || !o.report.OK && len(s.reports) < reportsKept {
		s.reports = append(s.reports, o)
	}
}

// fault is why a call failed, in one line.
func fault(r *scenario.Report) string {
	for _, step := range r.Steps {
		if !step.OK {
			return step.Step + ": " + step.Fault
		}
	}
	return r.Fault
}

func (s *summary) write(w io.Writer, asJSON bool) error {
	slices.Sort(s.setups)
	if asJSON {
		return json.NewEncoder(w).Encode(s.json())
	}
	var b strings.Builder
	for _, o := range s.reports {
		if _, err := o.report.WriteTo(&b); err != nil {
			return err
		}
		if o.setup > 0 {
			fmt.Fprintf(&b, "              %s, answered after %d ms, %d packets received, %d lost, MOS %.2f\n",
				o.codec, o.setup.Milliseconds(), o.media.PacketsReceived, o.media.PacketsLost, o.media.MOS)
		}
		if o.record != "" {
			fmt.Fprintf(&b, "              recorded in %s\n", o.record)
		}
	}
	if s.calls > 1 {
		for f, n := range s.faults {
			fmt.Fprintf(&b, "%6d x %s\n", n, f)
		}
		fmt.Fprintf(&b, "%d calls, %d failed; answered after %d ms (p50), %d ms (p99); %d of %d packets lost\n",
			s.calls, s.failed, percentile(s.setups, 50).Milliseconds(), percentile(s.setups, 99).Milliseconds(),
			s.lost, s.lost+s.received)
	}
	if s.ok() {
		b.WriteString("ok\n")
	} else {
		b.WriteString("FAILED\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// percentile of sorted values, by nearest rank.
func percentile(sorted []time.Duration, p int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)*p/100, len(sorted)-1)]
}

func (s *summary) json() any {
	type ms struct {
		P50 int64 `json:"p50"`
		P99 int64 `json:"p99"`
	}
	out := struct {
		OK        bool               `json:"ok"`
		Calls     int                `json:"calls"`
		Failed    int                `json:"failed"`
		Setup     ms                 `json:"answer_ms"`
		Lost      uint64             `json:"packets_lost"`
		Received  uint64             `json:"packets_received"`
		MOS       float64            `json:"mos_worst"`
		Faults    map[string]int     `json:"faults"`
		Reports   []*scenario.Report `json:"reports"`
		Recording string             `json:"recording,omitempty"`
		Codec     string             `json:"codec,omitempty"`
	}{
		OK: s.ok(), Calls: s.calls, Failed: s.failed, Lost: s.lost, Received: s.received, MOS: s.worstMOS,
		Setup:  ms{percentile(s.setups, 50).Milliseconds(), percentile(s.setups, 99).Milliseconds()},
		Faults: s.faults, Reports: []*scenario.Report{},
	}
	for _, o := range s.reports {
		out.Reports = append(out.Reports, o.report)
	}
	if s.calls == 1 && len(s.reports) == 1 {
		out.Recording, out.Codec = s.reports[0].record, s.reports[0].codec
	}
	return out
}
