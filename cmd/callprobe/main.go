// Callprobe is a scripted caller: it dials in over SIP, says what a scenario
// tells it, listens, interrupts, presses keys, and expects. With --calls it is
// many callers at once.
//
// It exits with 0 when every expectation held in every call, with 1 when one
// did not, and with 2 when it was not used rightly: nothing was dialled then.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
)

// version is set when a release is built.
var version = "dev"

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

// cli is the command line.
type cli struct {
	Scenario string `arg:"" help:"Scenario file (YAML)."`

	To      string        `required:"" placeholder:"URI" help:"Whom to call: sip:user@host[:port][;transport=tcp]."`
	From    string        `placeholder:"NUMBER" help:"Caller ID. Default: the scenario's, else callprobe."`
	Codec   string        `enum:",${codecs}" default:"" placeholder:"NAME" help:"Offer only this: ${codecs}."`
	Record  string        `placeholder:"FILE" help:"Record a WAV: said left, heard right (of several calls: FILE-1, ...)."`
	JSON    bool          `help:"Print one line of JSON in place of the report."`
	Calls   int           `default:"1" placeholder:"N" help:"How many calls to place."`
	Rate    float64       `default:"1" placeholder:"R" help:"Calls begun per second."`
	Voice   string        `placeholder:"NAME" help:"Default voice: rms, slt, awb, kal, kal16. Default: the scenario's."`
	Phrases string        `placeholder:"FILE" help:"Sentences to understand. Default: the scenario's phrases."`
	Helper  string        `placeholder:"FILE" help:"The localspeech binary. Default: beside this one, then on PATH."`
	Ring    time.Duration `default:"30s" help:"How long to let it ring."`
	Bind    string        `default:"0.0.0.0" placeholder:"ADDR" help:"Local address; :: for IPv6."`
	Ports   string        `default:"30000-32766" placeholder:"A-B" help:"Local RTP ports."`
	Verbose bool          `short:"v" help:"Log signalling and media to stderr."`

	Version kong.VersionFlag `help:"Print the version."`
}

const about = `A scripted caller: dials in over SIP, speaks, listens, interrupts, presses keys, expects.

Example:

    callprobe testdata/scenarios/greeting.yaml --to sip:support@127.0.0.1:5060 --record call.wav
    callprobe testdata/scenarios/load.yaml --to sip:support@127.0.0.1 --calls 100 --rate 10 --json

A scenario is a YAML file:

    steps:
      - wait_for: {words: [welcome], within: 10s}
      - wait_quiet: 700ms
      - say: "where is my order"
      - barge_in: {after: 1.2s, say: "stop please", stops_within: 500ms}
      - expect_words: [shipped]
      - press: "12#"
      - expect_hangup: {within: 10s}

Exit codes: 0 every expectation held, 1 one did not, 2 bad usage.`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// exited is how kong ends the program after --help and --version.
type exited int

func run(ctx context.Context, args []string, stdout, stderr io.Writer) (code int) {
	defer func() {
		switch e := recover().(type) {
		case nil:
		case exited:
			code = int(e)
		default:
			panic(e)
		}
	}()
	var c cli
	parser, err := kong.New(&c, kong.Name("callprobe"), kong.Description(about),
		kong.Vars{"version": version, "codecs": "PCMU,PCMA,G722,opus"},
		kong.Writers(stdout, stderr), kong.Exit(func(code int) { panic(exited(code)) }))
	if err != nil {
		panic(err) // the table above is wrong
	}
	if _, err := parser.Parse(args); err != nil {
		fmt.Fprintf(stderr, "callprobe: %v\nTry callprobe --help.\n", err)
		return exitUsage
	}
	p, err := c.prepare(ctx, stderr)
	if err != nil {
		fmt.Fprintf(stderr, "callprobe: %v\n", err)
		if ctx.Err() != nil {
			return exitFailed
		}
		return exitUsage
	}
	defer p.close()
	sum := p.callAll(ctx)
	if err := sum.write(stdout, c.JSON); err != nil {
		fmt.Fprintf(stderr, "callprobe: %v\n", err)
		return exitFailed
	}
	if !sum.ok() {
		return exitFailed
	}
	return exitOK
}

// checks are what kong does not check.
func (c *cli) checks() error {
	var faults []error
	if c.Calls < 1 {
		faults = append(faults, fmt.Errorf("--calls %d: want 1 or more", c.Calls))
	}
	if !(c.Rate > 0 && c.Rate <= 1000) {
		faults = append(faults, fmt.Errorf("--rate %v: want more than 0, at most 1000 calls per second", c.Rate))
	}
	return errors.Join(faults...)
}
