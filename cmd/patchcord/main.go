// Command patchcord is the whole of Patchcord: it answers and places calls
// (serve), shows what it can do (demo), checks configuration (validate), places
// one call (call) or those of a list (campaign, dnc), keeps the library of tools
// (tools) and documents (knowledge), shows what happened (tail), decides a
// recorded call again (replay) and measures itself (bench).
//
// Results go to standard output, everything else to standard error. It exits
// with 0 when all went well, 1 when something failed, 2 when it was called the
// wrong way.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // where callees are: the machine may know no time zones

	"github.com/alecthomas/kong"
	"golang.org/x/term"
)

// version is set when a release is built.
var version = "dev"

// The exit codes.
const (
	exitOK = iota
	exitFailed
	exitUsage
)

// commands are what patchcord can do: to add one, write its file and its line.
type commands struct {
	Serve    serveCmd    `cmd:"" help:"Run the engine: answer and place calls."`
	Demo     demoCmd     `cmd:"" help:"Play a real phone call on this machine."`
	Validate validateCmd `cmd:"" help:"Check configuration, agents, tools and rules."`
	Export   exportCmd   `cmd:"" help:"Write what the store holds as files."`
	Call     callCmd     `cmd:"" help:"Place one call through a running engine and watch it."`
	Tools    toolsCmd    `cmd:"" help:"The library of tools: list, import, test."`
	Tail     tailCmd     `cmd:"" help:"Show what happens, or happened, in calls."`
	Replay   replayCmd   `cmd:"" help:"Decide recorded calls again and compare."`
	Bench    benchCmd    `cmd:"" help:"Measure the engine under load, from its wire."`

	Campaign  campaignCmd  `cmd:"" help:"Call lists of people: create, import, start, watch, export."`
	DNC       dncCmd       `cmd:"" name:"dnc" help:"Numbers that are not to be called."`
	Knowledge knowledgeCmd `cmd:"" help:"Add, list, search and delete the documents of agents."`

	BenchCallers benchCallersCmd `cmd:"" hidden:""`
	ReadDocument readDocumentCmd `cmd:"" hidden:""`

	Version kong.VersionFlag `help:"Print the version."`
}

// output is where a command writes, and what it knows of its reader.
type output struct {
	in       io.Reader
	out      io.Writer // results
	err      io.Writer // everything else
	terminal bool      // out is watched by a person
}

// usageError is a wrong way to call a command: exit code 2.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

// errFaults ends a command that has told its faults already.
var errFaults = errors.New("")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	terminal := term.IsTerminal(int(os.Stdout.Fd())) //nolint:gosec // G115: a descriptor
	code := run(ctx, os.Args[1:], &output{in: os.Stdin, out: os.Stdout, err: os.Stderr, terminal: terminal})
	stop()
	os.Exit(code)
}

// left is what kong leaves with after --help and --version.
type left int

// run is the program without its process.
func run(ctx context.Context, args []string, out *output) (code int) {
	defer func() {
		if v := recover(); v != nil {
			l, ok := v.(left)
			if !ok {
				panic(v)
			}
			code = int(l)
		}
	}()
	var c commands
	p, err := kong.New(&c, kong.Name("patchcord"),
		kong.Description("Real-time voice calls between the telephone and language models."),
		kong.Vars{"version": version}, kong.Writers(out.out, out.err), kong.Exit(func(code int) { panic(left(code)) }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}), kong.Bind(out), kong.BindTo(ctx, (*context.Context)(nil)),
	)
	if err != nil {
		fmt.Fprintln(out.err, "patchcord:", err)
		return exitFailed
	}
	cmd, err := p.Parse(args)
	if err != nil {
		fmt.Fprintf(out.err, "patchcord: %v\nSee patchcord --help.\n", err)
		return exitUsage
	}
	err = cmd.Run()
	var usage *usageError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &usage):
		fmt.Fprintf(out.err, "%s: %v\nSee %[1]s --help.\n", cmd.Selected().FullPath(), err)
		return exitUsage
	case errors.Is(err, errFaults):
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
	default:
		fmt.Fprintf(out.err, "patchcord: %v\n", err)
	}
	return exitFailed
}
