package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"runtime/pprof"
	"strconv"
	"strings"
	"time"

	"github.com/patchcord/patchcord/internal/load"
)

// benchCmd loads an engine with calls and measures it from the wire.
type benchCmd struct {
	Calls     int           `help:"How many calls; by profile 100, 20, 2000 or 40." placeholder:"N"`
	Profile   string        `help:"null, real, churn or overload." enum:"null,real,churn,overload" default:"null" placeholder:"NAME"`
	Duration  time.Duration `help:"How long figures are taken." default:"20s" placeholder:"TIME"`
	Warmup    time.Duration `help:"How long all calls are up before." default:"3s" placeholder:"TIME"`
	Rate      float64       `help:"Calls begun per second." default:"18" placeholder:"R"`
	Each      time.Duration `help:"How long a call lasts of the profiles churn, 3s, and overload, 10s." placeholder:"TIME"`
	Settle    time.Duration `help:"To be back at the baseline; by profile 5s or 70s." placeholder:"TIME"`
	Recording bool          `help:"Record the calls."`
	Providers string        `help:"What recogniser, model and voice take, ms: null or A,B,C." placeholder:"LIST"`
	Table     bool          `help:"The table of latencies: 1, 50 and 200 calls, with both."`
	Speculate bool          `help:"Let replies be prepared before turns have ended; the model's time is then no wait."`

	STTFinal time.Duration `name:"stt-final" help:"End of speech to last words." default:"-1ns" placeholder:"TIME"`
	LLMFirst time.Duration `name:"llm-first" help:"To the model's first word." default:"-1ns" placeholder:"TIME"`
	LLMWord  time.Duration `name:"llm-word" help:"Between its words." default:"-1ns" placeholder:"TIME"`
	TTSFirst time.Duration `name:"tts-first" help:"To the voice's first sound." default:"-1ns" placeholder:"TIME"`
	TTSSpeed float64       `name:"tts-speed" help:"Times real time; 0: all at once." default:"-1" placeholder:"X"`

	Events string `help:"Where the calls' events go: a file, or off." default:"off" placeholder:"FILE"`
	CPU    string `name:"cpuprofile" help:"Write a processor profile of the engine." placeholder:"FILE"`
	Heap   string `name:"memprofile" help:"Write a heap profile of it, all calls up." placeholder:"FILE"`
	JSON   bool   `name:"json" help:"Print only the line of JSON."`
}

// Help is shown by --help.
func (benchCmd) Help() string {
	return `Runs an engine with providers that need no network, calls it from a second
process over SIP and RTP on loopback, and measures from the packets. The last
line is JSON. It fails when a call does.

Profiles: null has providers that take no time, real those that take what real
ones do, churn many short calls. The callers speak, are answered, and interrupt
every third answer. overload lets the engine take --calls at a time and offers
it that many, twice and ten times as many.

The machine should do nothing else: "callers_late_ms" is how late the callers'
own packets left, milliseconds that are not the engine's.

With --table it runs 1, 50 and 200 calls with providers that take no time and
with 120, 300 and 120 ms, and prints one table beside what is aimed for.

Examples:
  patchcord bench --calls 100
  patchcord bench --providers 120,300,120 --calls 50
  patchcord bench --table
  patchcord bench --profile real --duration 60s
  patchcord bench --profile churn --calls 2000 --json
  patchcord bench --profile overload --calls 40`
}

// delays are what the providers take, and what the engine is not blamed for.
type delays struct {
	STTFinal, LLMFirst, LLMWord, TTSFirst time.Duration
	TTSSpeed                              float64
}

// benchProfile is what a profile sets where no flag does.
type benchProfile struct {
	calls  int
	each   time.Duration
	settle time.Duration
	delays
}

var benchProfiles = map[string]benchProfile{
	"null":     {calls: 100, settle: 5 * time.Second},
	"churn":    {calls: 2000, each: 3 * time.Second, settle: 70 * time.Second},
	"overload": {calls: 40, each: 10 * time.Second, settle: 5 * time.Second},
	"real": {calls: 20, settle: 5 * time.Second, delays: delays{
		STTFinal: 300 * time.Millisecond, LLMFirst: 200 * time.Millisecond, LLMWord: 10 * time.Millisecond,
		TTSFirst: 150 * time.Millisecond, TTSSpeed: 8,
	}},
}

// settle fills in what the profile gives.
func (c *benchCmd) settle() (delays, error) {
	p := benchProfiles[c.Profile]
	d := p.delays
	if c.Calls == 0 {
		c.Calls = p.calls
	}
	if c.Each == 0 {
		c.Each = p.each
	}
	if c.Settle == 0 {
		c.Settle = p.settle
	}
	if err := d.set(c.Providers); err != nil {
		return d, err
	}
	if c.Calls < 1 || c.Calls > 4000 {
		return d, usagef("--calls %d: want 1 to 4000", c.Calls)
	}
	if c.Rate <= 0 || c.Rate > 20 {
		return d, usagef("--rate %v: want up to 20: telephony/sip takes no more calls per second of one source", c.Rate)
	}
	if c.Duration < time.Second || c.Warmup < 0 || c.Each != 0 && c.Each < time.Second {
		return d, usagef("--duration and --each are at least 1s, --warmup is no less than 0")
	}
	for _, o := range []struct {
		given time.Duration
		field *time.Duration
	}{
		{c.STTFinal, &d.STTFinal},
		{c.LLMFirst, &d.LLMFirst},
		{c.LLMWord, &d.LLMWord},
		{c.TTSFirst, &d.TTSFirst},
	} {
		if o.given >= 0 {
			*o.field = o.given
		}
	}
	if c.TTSSpeed >= 0 {
		d.TTSSpeed = c.TTSSpeed
	}
	return d, nil
}

// set takes what recogniser, model and voice take, as --providers has it.
func (d *delays) set(list string) error {
	if list == "" {
		return nil
	}
	*d = delays{}
	if list == "null" {
		return nil
	}
	fields := []*time.Duration{&d.STTFinal, &d.LLMFirst, &d.TTSFirst}
	parts := strings.Split(list, ",")
	for i, p := range parts {
		ms, err := strconv.ParseUint(strings.TrimSpace(p), 10, 16)
		if err != nil || len(parts) != len(fields) {
			return usagef("--providers %s: want null, or three numbers of ms such as 120,300,120", list)
		}
		*fields[i] = time.Duration(ms) * time.Millisecond
	}
	return nil
}

// Run measures.
func (c *benchCmd) Run(ctx context.Context, out *output) error {
	if c.Table {
		return c.table(ctx, out)
	}
	if c.Profile == "overload" {
		return c.overload(ctx, out)
	}
	r, b, err := c.once(ctx, out, 0)
	if err != nil {
		return err
	}
	if !c.JSON {
		r.print(out.out)
	}
	line, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	fmt.Fprintf(out.out, "%s\n", line)
	return b.failed(r)
}

// failed tells of the calls that failed.
func (b *bench) failed(r *benchResult) error {
	if r.Failed == 0 {
		return nil
	}
	for _, f := range b.faults(5) {
		fmt.Fprintln(b.out.err, "patchcord bench:", f)
	}
	return errFaults
}

// once is one run; part is of the overload profile.
func (c *benchCmd) once(ctx context.Context, out *output, part float64) (*benchResult, *bench, error) {
	d, err := c.settle()
	if err != nil {
		return nil, nil, err
	}
	dir, err := os.MkdirTemp("", "patchcord-bench-")
	if err != nil {
		return nil, nil, fmt.Errorf("bench: %w", err)
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a folder of our own under the system's temporary one
	b := &bench{benchCmd: *c, part: part, wait: d, dir: dir, out: out, decisions: newDecisions()}
	if err := b.run(ctx); err != nil {
		return nil, nil, fmt.Errorf("bench: %w", err)
	}
	return b.result(), b, nil
}

// bench is the command at work.
type bench struct {
	benchCmd
	part float64  // of the overload profile: calls offered, of capacity
	back comeback // of it, and the call behind it
	next *load.Report

	wait      delays
	dir       string
	out       *output
	decisions *decisions
	meter     meter
	report    *load.Report
	node      *node

	idle, begin, end usage // an idle second, and the ends of the window
	base, alone      sample
	peak, after      sample
}

// run starts the engine, lets the callers call, and watches both.
func (b *bench) run(ctx context.Context) error {
	n, err := b.open(ctx)
	if err != nil {
		return err
	}
	b.node = n
	run, stop := context.WithCancel(ctx)
	served := make(chan error, 1) // the one result
	ready := make(chan struct{})
	go func() { served <- n.serve(run, atOnce, func() { close(ready) }) }()
	select {
	case <-ready:
		err = b.measure(run, n)
	case err = <-served:
		served <- err
	}
	stop()
	return errors.Join(err, <-served)
}

// measure is a run, from the idle engine to the idle engine.
func (b *bench) measure(ctx context.Context, n *node) error {
	if err := pause(ctx, 500*time.Millisecond); err != nil {
		return err
	}
	b.base = settled()
	before := usageNow()
	if err := pause(ctx, time.Second); err != nil {
		return err
	}
	b.idle = usageNow().since(before)
	to, err := netip.ParseAddrPort(n.sip.Addrs()[0].String())
	if err != nil {
		return err
	}
	cfg := b.crowd(to)
	b.say("calling %s %d times", to, cfg.Calls)
	watch, unwatch := context.WithCancel(ctx)
	b.meter.start(watch)
	b.report, err = b.callers(ctx, cfg, func(p load.Phase) {
		b.phase(p)
		if p == load.End && b.part > 0 {
			b.back.start(watch, func() bool { return n.media.Load().OverrunP99 > lateTicks })
		}
	})
	if err == nil && b.part > 0 {
		cfg.Calls, cfg.Ramp, cfg.Sources, cfg.Each = 1, 0, 1, 3*time.Second
		b.next, err = b.callers(ctx, cfg, func(load.Phase) {})
	}
	unwatch()
	b.meter.wait()
	b.back.wg.Wait()
	if err != nil {
		return err
	}
	b.peak = b.meter.peak
	b.say("waiting until the engine is idle again")
	b.after, err = b.idleAgain(ctx, n)
	return err
}

// phase hears from the callers.
func (b *bench) phase(p load.Phase) {
	switch p {
	case load.Alone:
		b.alone = settled()
		b.say("one call is up: %d MB", b.alone.RSS>>20)
	case load.Begin:
		b.meter.reset()
		b.begin = usageNow()
		b.say("all calls are up, measuring for %v", b.Duration)
		b.profile(true)
	case load.End:
		b.end = usageNow()
		b.meter.hold()
		b.profile(false)
		if b.Profile != "churn" && b.part == 0 {
			b.sayGoodbye()
		}
	}
}

// sayGoodbye lets the engine end all calls, a few at a time.
func (b *bench) sayGoodbye() {
	for _, id := range b.decisions.up() {
		_ = b.node.engine.End(id, "") // one that is over by itself is no harm
		time.Sleep(5 * time.Millisecond)
	}
}

// profile begins and ends what --cpuprofile and --memprofile ask for.
func (b *bench) profile(begins bool) {
	write := func(path string, f func(*os.File) error) {
		file, err := os.Create(filepath.Clean(path))
		if err == nil {
			err = f(file)
		}
		if err != nil {
			fmt.Fprintln(b.out.err, "patchcord bench:", err)
		}
	}
	switch {
	case begins && b.CPU != "":
		write(b.CPU, func(f *os.File) error { return pprof.StartCPUProfile(f) })
	case !begins && b.CPU != "":
		pprof.StopCPUProfile()
	}
	if !begins && b.Heap != "" {
		write(b.Heap, func(f *os.File) error { return errors.Join(pprof.WriteHeapProfile(f), f.Close()) })
	}
}

// idleAgain waits until the engine is back at its baseline, or until it has
// had long enough: 70 s are twice what SIP transactions live, and some.
func (b *bench) idleAgain(ctx context.Context, n *node) (sample, error) {
	limit := time.Now().Add(b.Settle)
	for {
		s := settled()
		back := s.Goroutines <= b.base.Goroutines && s.Descriptors <= b.base.Descriptors && s.Heap-b.base.Heap < 1<<20
		if n.engine.Calls() == 0 && back || time.Now().After(limit) {
			return s, nil
		}
		if err := pause(ctx, time.Second); err != nil {
			return s, err
		}
	}
}

// say tells a person how far it is.
func (b *bench) say(format string, args ...any) {
	if b.out.terminal && !b.JSON {
		fmt.Fprintf(b.out.err, format+"\n", args...)
	}
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
