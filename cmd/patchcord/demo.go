package main

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/patchcord/patchcord/audio/stt/pocketsphinx"
	"github.com/patchcord/patchcord/configs"
	"github.com/patchcord/patchcord/engine"
	"github.com/patchcord/patchcord/internal/testkit/phone"
	"github.com/patchcord/patchcord/internal/testkit/scenario"
	"github.com/patchcord/patchcord/telephony"
)

//go:embed demo
var demoFiles embed.FS

// demoCmd plays one real call on loopback: SIP, RTP, two local voices, local
// recognisers on both sides, and a customer's system over HTTP.
type demoCmd struct {
	Talk     bool   `help:"Talk to the agent yourself: serves a browser phone and prints its address."`
	Scenario string `help:"What the caller does, instead of the demo's own." type:"existingfile" placeholder:"FILE"`
	Agents   string `help:"Folder with agents, rules and phrases." type:"existingdir" placeholder:"DIR"`
	Out      string `help:"Folder for the recording and the log." default:"recordings" placeholder:"DIR"`
	LLMURL   string `name:"llm-url" help:"A model of OpenAI's form instead of the demo's rules." placeholder:"URL"`
	LLMModel string `name:"llm-model" help:"Its name." default:"gpt-4.1-mini" placeholder:"NAME"`
}

// Help is shown by --help.
func (demoCmd) Help() string {
	return `Plays one call of about a minute and judges its recording. With OPENAI_API_KEY
set, or --llm-url, the model is real. It fails when a step does not happen, when
another order number reaches the shop than the one spoken, or when fewer than
80 % of either side's key words are recognised in the recording.

Example:
  patchcord demo
  patchcord demo --talk
  patchcord demo --llm-url http://127.0.0.1:11434/v1 --llm-model llama3.2`
}

// demo is the command at work.
type demo struct {
	demoCmd
	out      io.Writer
	dir      string // of this call's files
	files    string // the demo's own files, or the user's
	shop     *shop
	show     *transcriptPrinter
	scenario *scenario.Scenario
	ended    chan engine.Record // 1: the demo has one call
}

// Run plays the demo.
func (c *demoCmd) Run(ctx context.Context, out *output) error {
	d := &demo{demoCmd: *c, out: out.out, ended: make(chan engine.Record, 1)}
	if err := d.prepare(); err != nil {
		return err
	}
	defer d.close()
	if d.Talk {
		return d.talk(ctx)
	}
	report, rec, err := d.call(ctx)
	if err != nil {
		return err
	}
	return d.judge(ctx, report, rec)
}

// prepare lays out the demo's files and starts the shop.
func (d *demo) prepare() (err error) {
	d.dir = filepath.Join(d.Out, time.Now().Format("demo-20060102-150405"))
	if err := os.MkdirAll(d.dir, 0o750); err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	if d.files, err = os.MkdirTemp("", "patchcord-demo-"); err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	own, err := fs.Sub(demoFiles, "demo")
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	if err := os.CopyFS(d.files, own); err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	if d.Agents != "" {
		if err := os.RemoveAll(filepath.Join(d.files, "agents")); err != nil {
			return fmt.Errorf("demo: %w", err)
		}
		if err := os.CopyFS(filepath.Join(d.files, "agents"), os.DirFS(d.Agents)); err != nil {
			return fmt.Errorf("demo: %w", err)
		}
	}
	path := d.Scenario
	if path == "" {
		path = filepath.Join(d.files, "caller.yaml")
	}
	if d.scenario, err = scenario.Load(path); err != nil {
		return err
	}
	if d.scenario.Phrases == "" {
		d.scenario.Phrases = filepath.Join(d.files, "caller.phrases")
	}
	if d.shop, err = openShop(); err != nil {
		return err
	}
	return d.environment()
}

// environment fills the placeholders of the demo's configuration.
func (d *demo) environment() error {
	vars := map[string]string{"DEMO_DIR": d.dir, "DEMO_ENDPOINT": d.shop.url, "DEMO_LLM_MODEL": d.LLMModel}
	if d.Talk {
		vars["DEMO_WEBRTC"] = "udp://127.0.0.1:0"
	}
	if d.LLMURL != "" {
		vars["DEMO_LLM"], vars["DEMO_LLM_URL"] = "main", d.LLMURL
	} else if os.Getenv("OPENAI_API_KEY") != "" {
		vars["DEMO_LLM"] = "main"
	}
	for k, v := range vars {
		if err := os.Setenv(k, v); err != nil {
			return fmt.Errorf("demo: %w", err)
		}
	}
	return nil
}

func (d *demo) close() {
	if d.shop != nil {
		d.shop.close()
	}
	if d.files != "" {
		_ = os.RemoveAll(d.files) // a folder of our own under the system's temporary one
	}
}

// call runs the engine and the caller until the call is over and kept.
func (d *demo) call(ctx context.Context) (*scenario.Report, engine.Record, error) {
	var none engine.Record
	cfg, _, err := configs.Load(filepath.Join(d.files, "patchcord.yaml"))
	if err != nil {
		return nil, none, err
	}
	log, err := processLog("warn")
	if err != nil {
		return nil, none, err
	}
	d.show = newTranscriptPrinter(d.out)
	n, err := openNode(ctx, cfg, log, nodeOptions{journal: journals{d.show, (*demoJournal)(d)}})
	if err != nil {
		return nil, none, err
	}
	caller, err := d.openCaller(ctx, n, log)
	if err != nil {
		n.close()
		return nil, none, err
	}
	run, stop := context.WithCancel(ctx)
	served := make(chan error, 1) // the one result
	ready := make(chan struct{})
	go func() { served <- n.serve(run, atOnce, func() { close(ready) }) }()
	var report *scenario.Report
	rec := none
	select {
	case <-ready:
		if report, err = caller.play(run, n); err == nil {
			rec, err = d.record(run)
		}
	case err = <-served:
		served <- err
	}
	stop()
	caller.close()
	return report, rec, errors.Join(err, <-served)
}

// atOnce lets no call go on.
func atOnce() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx, cancel
}

// record waits until the call is kept.
func (d *demo) record(ctx context.Context) (engine.Record, error) {
	select {
	case r := <-d.ended:
		return r, nil
	case <-time.After(10 * time.Second):
		return engine.Record{}, errors.New("demo: the engine did not end the call")
	case <-ctx.Done():
		return engine.Record{}, context.Cause(ctx)
	}
}

// demoJournal waits for the call's end.
type demoJournal demo

func (*demoJournal) Started(engine.Record) {}
func (*demoJournal) Event(engine.Event)    {}
func (d *demoJournal) Ended(r engine.Record) {
	select {
	case d.ended <- r:
	default:
	}
}

// caller is the other end of the demo's line.
type caller struct {
	d       *demo
	prompts *phone.Prompts
	ear     *pocketsphinx.Provider
}

// openCaller makes what the caller says before the call, and its recogniser.
func (d *demo) openCaller(ctx context.Context, n *node, log *zap.Logger) (*caller, error) {
	prompts, err := phone.Prepare(ctx, d.scenario, n.speech.tts[""])
	if err != nil {
		return nil, err
	}
	ear, err := pocketsphinx.New(pocketsphinx.Config{Phrases: d.scenario.Phrases}, n.speech.helper, log)
	if err != nil {
		return nil, err
	}
	return &caller{d: d, prompts: prompts, ear: ear}, nil
}

// play dials the engine and plays the scenario.
func (c *caller) play(ctx context.Context, n *node) (*scenario.Report, error) {
	line, err := phone.OpenLine(ctx, phone.LineConfig{PortMin: 32000, PortMax: 32998, Name: "demo"})
	if err != nil {
		return nil, err
	}
	defer line.Close()
	to := telephony.Destination{
		To: "sip:lampshop@" + n.sip.Addrs()[0].String(), From: "+4930555123", FromName: "Priya",
	}
	if codec := c.d.scenario.Codec; codec != "" {
		to.Codecs = []string{codec}
	}
	leg, err := line.Dial(ctx, to)
	if err != nil {
		return nil, fmt.Errorf("demo: dial: %w", err)
	}
	p, err := phone.Start(ctx, leg, phone.Config{Prompts: c.prompts, Ear: c.ear, Said: c.d.show.said})
	if err != nil {
		return nil, err
	}
	report := scenario.Run(ctx, c.d.scenario, p)
	if err := p.Close(); err != nil {
		return report, fmt.Errorf("demo: the caller's phone: %w", err)
	}
	return report, nil
}

func (c *caller) close() {
	_ = c.ear.Close() // its helper ends with the node
}

// result is the demo's last line.
type result struct {
	Turns         int         `json:"turns"`
	ToolCalls     int         `json:"tool_calls"`
	BargeIns      int         `json:"barge_ins"`
	HeardWords    int         `json:"heard_words"`
	UnheardWords  []string    `json:"unheard_words"`
	EngineAddedMS percentiles `json:"engine_added_ms"`
	V2VMS         percentiles `json:"v2v_ms"`
	PacketsLost   uint64      `json:"packets_lost"`
	MOS           float64     `json:"mos"`
	EndReason     string      `json:"end_reason"`
	Recording     string      `json:"recording"`
	Events        string      `json:"events"`
}

type percentiles struct {
	P50 int64 `json:"p50"`
	P99 int64 `json:"p99"`
}

func percentilesOf(xs []int64) percentiles {
	if len(xs) == 0 {
		return percentiles{}
	}
	slices.Sort(xs)
	at := func(q float64) int64 { return xs[min(len(xs)-1, int(math.Ceil(q*float64(len(xs))))-1)] }
	return percentiles{at(0.5), at(0.99)}
}

// judge compares what happened with what was meant to, and prints the result.
func (d *demo) judge(ctx context.Context, report *scenario.Report, rec engine.Record) error {
	var faults []string
	if !report.OK {
		fmt.Fprintln(d.out)
		_, _ = report.WriteTo(d.out)
		faults = append(faults, "a step did not happen as it was meant to")
	}
	orders, callers := d.shop.asked()
	if spoken := spokenNumbers(d.scenario); !slices.Equal(orders, spoken) {
		faults = append(faults, fmt.Sprintf("order numbers spoken: %q, asked for at the endpoint: %q", spoken, orders))
	}
	if len(callers) != 1 {
		faults = append(faults, fmt.Sprintf("the caller was looked up %d times, not once", len(callers)))
	}
	heard, unheard, shares, err := d.listen(ctx, rec.Recording)
	if err != nil {
		return err
	}
	for side, share := range shares {
		if share < 0.8 {
			faults = append(faults, fmt.Sprintf("%.0f %% of the %s's key words are in the recording", share*100, side))
		}
	}
	events := filepath.Join(d.dir, "demo.jsonl")
	fmt.Fprintf(d.out, "\nrecording  %s  (caller left, agent right)\nevents     %s\njournal    %s  (patchcord replay)\n",
		rec.Recording, events, filepath.Join(d.dir, "journal", string(rec.ID)+".jsonl"))
	line, err := json.Marshal(result{
		Turns: rec.Turns, ToolCalls: rec.ToolCalls, BargeIns: rec.BargeIns, HeardWords: heard, UnheardWords: unheard,
		EngineAddedMS: percentilesOf(d.show.added), V2VMS: percentilesOf(d.show.v2v), PacketsLost: rec.Lost,
		MOS: math.Round(rec.MOS*100) / 100, EndReason: string(rec.EndReason), Recording: rec.Recording, Events: events,
	})
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	if len(faults) > 0 {
		fmt.Fprintf(d.out, "\nThe demo failed:\n- %s\n", strings.Join(faults, "\n- "))
	}
	fmt.Fprintf(d.out, "%s\n", line)
	if len(faults) > 0 {
		return errFaults
	}
	return nil
}
