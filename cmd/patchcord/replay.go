package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/patchcord/patchcord/engine/replay"
	"github.com/patchcord/patchcord/engine/turn"
)

// replayCmd runs the journals of calls again.
type replayCmd struct {
	Journals []string `arg:"" name:"journal" help:"Journals of calls, as log.journal keeps them." type:"existingfile"`
	Set      []string `name:"set" help:"Another constant of the turn policy: what it changes." placeholder:"KEY=VALUE"`
	Show     bool     `name:"show" help:"Every step: when, what happened, what was decided."`
	JSON     bool     `name:"json" help:"One JSON object a journal."`
}

// Help is shown by --help.
func (replayCmd) Help() string {
	return `Tells the inputs of a call's decisions, which log.journal keeps, to the engine's
turn machine again, at the same times of a virtual clock. Exits with 1 and shows
where decisions differ.

Example:
  patchcord replay journal/0190c1d2.jsonl
  patchcord replay --show journal/0190c1d2.jsonl | less
  patchcord replay --set wait_normal=900ms journal/*.jsonl`
}

// replayed is the result as JSON.
type replayed struct {
	File      string              `json:"file"`
	CallID    string              `json:"call_id"`
	OK        bool                `json:"ok"`
	Steps     int                 `json:"steps"`
	Effects   int                 `json:"effects"`
	Cut       bool                `json:"cut"`
	Lost      int                 `json:"lost"`
	EndReason string              `json:"end_reason"`
	TookMS    float64             `json:"took_ms"`
	Different []replay.Difference `json:"different"`
}

// differences is how many of a journal's are shown: the first is the one to
// look at, those after it follow from it.
const differences = 5

// Run replays.
func (c *replayCmd) Run(out *output) error {
	change, err := c.change()
	if err != nil {
		return err
	}
	all := true
	for _, file := range c.Journals {
		r, took, err := c.replay(file, change, out.out)
		if err != nil {
			return fmt.Errorf("replay: %s: %w", file, err)
		}
		all = all && r.OK()
		if c.JSON {
			v := replayed{
				file, r.Header.CallID, r.OK(), r.Steps, r.Effects, r.Cut, r.Lost, string(r.End),
				float64(took.Microseconds()) / 1000, r.Different,
			}
			if err := json.NewEncoder(out.out).Encode(v); err != nil {
				return err
			}
			continue
		}
		c.print(out.out, file, r, took)
	}
	if !all {
		return errFaults
	}
	return nil
}

// change is what --set asks for.
func (c *replayCmd) change() (func(*turn.Policy), error) {
	if len(c.Set) == 0 {
		return nil, nil
	}
	var doc strings.Builder
	for _, s := range c.Set {
		key, value, ok := strings.Cut(s, "=")
		if !ok {
			return nil, usagef("--set %s: write KEY=VALUE, such as wait_normal=900ms", s)
		}
		fmt.Fprintf(&doc, "%s: %s\n", key, value)
	}
	var p turn.Policy
	if err := yaml.UnmarshalWithOptions([]byte(doc.String()), &p, yaml.Strict()); err != nil {
		return nil, usagef("--set: %v", err)
	}
	return func(to *turn.Policy) {
		_ = yaml.UnmarshalWithOptions([]byte(doc.String()), to, yaml.Strict()) // it was read before
	}, nil
}

func (c *replayCmd) replay(file string, change func(*turn.Policy), w io.Writer) (*replay.Result, time.Duration, error) {
	f, err := os.Open(file) //nolint:gosec // the user names it
	if err != nil {
		return nil, 0, err
	}
	defer f.Close() //nolint:errcheck // read only
	var show func(replay.Shown)
	if c.Show && !c.JSON {
		show = func(s replay.Shown) { printStep(w, s) }
	}
	start := time.Now()
	r, err := replay.Run(f, change, show)
	return r, time.Since(start), err
}

func (c *replayCmd) print(w io.Writer, file string, r *replay.Result, took time.Duration) {
	what := "the same decisions"
	if !r.OK() {
		what = fmt.Sprintf("%d steps differ", len(r.Different))
	}
	fmt.Fprintf(w, "%s: %d steps, %d effects in %s: %s\n", file, r.Steps, r.Effects, took.Round(10*time.Microsecond), what)
	if r.Cut {
		fmt.Fprintf(w, "  the journal has no end: the process stopped with the call up\n")
	}
	if r.Lost > 0 {
		fmt.Fprintf(w, "  %d steps at its end were not written in time\n", r.Lost)
	}
	for i, d := range r.Different {
		if i == differences {
			fmt.Fprintf(w, "  … and %d more\n", len(r.Different)-i)
			break
		}
		fmt.Fprintf(w, "  line %d, %.3f s, %s:\n", d.Line, d.At.Seconds(), d.Event)
		for _, s := range d.Was {
			fmt.Fprintf(w, "    - %s\n", s)
		}
		for _, s := range d.Now {
			fmt.Fprintf(w, "    + %s\n", s)
		}
	}
}

// printStep writes one step for people.
func printStep(w io.Writer, s replay.Shown) {
	fmt.Fprintf(w, "%9.3f  %-8s %-8s %-9s  %s%s\n",
		s.At.Seconds(), s.Call, s.User, s.Agent, turn.NameOf(s.Event), fields(s.Event))
	for _, e := range s.Effects {
		fmt.Fprintf(w, "%9s  %29s%s%s\n", "", "→ ", turn.NameOf(e), fields(e))
	}
}

// fields are an event's or effect's, "" when there are none.
func fields(v any) string {
	b, err := json.Marshal(v)
	if err != nil || string(b) == "{}" {
		return ""
	}
	return " " + string(b)
}
