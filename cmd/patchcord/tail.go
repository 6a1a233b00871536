package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strconv"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/vm"
)

// tailCmd shows events for people.
type tailCmd struct {
	apiFlags
	File  string `arg:"" optional:"" help:"An event log, - for standard input. Without one: live." placeholder:"FILE"`
	Call  string `help:"Only this call." placeholder:"ID"`
	Where string `help:"Only events of which this expression is true." placeholder:"EXPR"`
	JSON  bool   `name:"json" help:"The events themselves, one JSON object per line."`
}

// Help is shown by --help.
func (tailCmd) Help() string {
	return `One timeline of what was said and heard, tools, signalling, and for each turn
where its time went. docs/events.md lists the events and their fields, which are
the names in --where (https://expr-lang.org).

Example:
  patchcord tail
  patchcord tail --where 'event == "turn.metrics" && v2v_ms > 1000'
  patchcord tail recordings/calls.jsonl --call 0190b1d4-7a2c-7000-8000-0123456789ab`
}

// Run shows.
func (c *tailCmd) Run(ctx context.Context, out *output) error {
	where, err := condition(c.Where)
	if err != nil {
		return err
	}
	show := newTimeline(out.out)
	handle := func(line []byte) error {
		e, err := readEvent(line)
		if err != nil {
			return err
		}
		if c.Call != "" && e.call() != c.Call || !where.holds(e) {
			return nil
		}
		if c.JSON {
			_, err := out.out.Write(append(line, '\n'))
			return err
		}
		show.event(e)
		return nil
	}
	if c.File == "" {
		show.mixed = c.Call == ""
		return c.live(ctx, handle)
	}
	in := out.in
	if c.File != "-" {
		f, err := os.Open(c.File)
		if err != nil {
			return fmt.Errorf("tail: %w", err)
		}
		defer f.Close() //nolint:errcheck // read only
		in = f
	}
	return lines(c.File, in, handle)
}

func (c *tailCmd) live(ctx context.Context, handle func([]byte) error) error {
	cl, err := c.client()
	if err != nil {
		return err
	}
	path, resume := "/v1/events", false
	if c.Call != "" {
		path, resume = "/v1/calls/"+url.PathEscape(c.Call)+"/events", true
	}
	err = cl.events(ctx, path, resume, handle)
	if errors.Is(err, context.Canceled) {
		return nil // Ctrl-C is how one stops watching
	}
	return err
}

// lines hands over every line of a log; a line that is no event is a fault
// with its number.
func lines(name string, r io.Reader, handle func([]byte) error) error {
	sc := bufio.NewScanner(r)
	sc.Buffer(make([]byte, 64<<10), maxLine)
	for n := 1; sc.Scan(); n++ {
		if len(sc.Bytes()) == 0 {
			continue
		}
		if err := handle(sc.Bytes()); err != nil {
			return fmt.Errorf("%s:%d: %w", name, n, err)
		}
	}
	if err := sc.Err(); err != nil {
		return fmt.Errorf("tail: read %s: %w", name, err)
	}
	return nil
}

// filter is a condition over the fields of an event; nil holds always.
type filter struct{ program *vm.Program }

func condition(text string) (*filter, error) {
	if text == "" {
		return nil, nil //nolint:nilnil // no condition
	}
	p, err := expr.Compile(text, expr.Env(map[string]any{}), expr.AllowUndefinedVariables(), expr.AsBool())
	if err != nil {
		return nil, usagef("--where: %w", err)
	}
	return &filter{p}, nil
}

// holds tells whether the condition is true. One that compares a field which
// the event does not have is not.
func (f *filter) holds(e event) bool {
	if f == nil {
		return true
	}
	v, err := expr.Run(f.program, map[string]any(e))
	ok, _ := v.(bool) // AsBool saw to it
	return err == nil && ok
}

// event is one line of the log.
type event map[string]any

func readEvent(line []byte) (event, error) {
	var e event
	if err := json.Unmarshal(line, &e); err != nil || e.name() == "" {
		return nil, fmt.Errorf("not an event: %s", strconv.Quote(string(line[:min(len(line), 60)])))
	}
	return e, nil
}

func (e event) text(key string) string   { s, _ := e[key].(string); return s }
func (e event) float(key string) float64 { f, _ := e[key].(float64); return f }
func (e event) number(key string) int64  { return int64(e.float(key)) }
func (e event) name() string             { return e.text("event") }
func (e event) call() string             { return e.text("call_id") }
