package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/patchcord/patchcord/engine"
)

// callCmd places one call and watches it.
type callCmd struct {
	apiFlags
	Number  string            `arg:"" help:"Who is called: E.164, or a SIP URI."`
	Agent   string            `required:"" help:"Who speaks." placeholder:"ID"`
	From    string            `help:"Caller ID; the trunk's where none is given." placeholder:"NUMBER"`
	Anon    bool              `name:"anonymous" help:"The callee shall not see the caller ID."`
	Trunk   string            `help:"The carrier's account." placeholder:"NAME"`
	Var     map[string]string `help:"A variable for prompt and tools, repeatable." mapsep:"none" placeholder:"NAME=VALUE"`
	Header  map[string]string `help:"An X- header of the call, repeatable." mapsep:"none" placeholder:"NAME=VALUE"`
	AMD     *bool             `name:"amd" negatable:"" help:"Tell who answers; else as the agent has it."`
	Ring    time.Duration     `name:"ring-timeout" help:"Give up after this time." default:"60s" placeholder:"TIME"`
	JSON    bool              `name:"json" help:"The result as one JSON object, no transcript."`
	Verbose bool              `short:"v" help:"Signalling and where the time of each turn went, too."`
}

// Help is shown by --help.
func (callCmd) Help() string {
	return `Shows the conversation as it happens. It fails when nobody answers. Ctrl-C ends
the call. What may be dialled is the engine's choice: dialing.allow.

Example:
  patchcord call +4930123456 --agent support --var name=Ada --amd`
}

// callResult is the JSON of a call that is over.
type callResult struct {
	ID         string  `json:"id"`
	Answered   bool    `json:"answered"`
	EndReason  string  `json:"end_reason"`
	DurationMS int64   `json:"duration_ms"`
	Turns      int     `json:"turns"`
	MOS        float64 `json:"mos"`
}

// Run dials and watches.
func (c *callCmd) Run(ctx context.Context, out *output) error {
	if c.Ring <= 0 || c.Ring > 5*time.Minute {
		return usagef("--ring-timeout=%s: a call may ring for 5 minutes at most", c.Ring)
	}
	cl, err := c.client()
	if err != nil {
		return err
	}
	body := map[string]any{"agent_id": c.Agent, "to": c.Number, "ring_timeout": c.Ring.Seconds()}
	for key, v := range map[string]string{"from": c.From, "trunk": c.Trunk} {
		if v != "" {
			body[key] = v
		}
	}
	if c.Anon {
		body["anonymous"] = true
	}
	if len(c.Var) > 0 {
		body["variables"] = c.Var
	}
	if len(c.Header) > 0 {
		body["headers"] = c.Header
	}
	if c.AMD != nil {
		body["amd"] = *c.AMD
	}
	var dialed struct {
		ID string `json:"id"`
	}
	header := http.Header{"Idempotency-Key": {uuid.NewString()}}
	if err := cl.post(ctx, "/v1/calls", body, &dialed, header); err != nil {
		return fmt.Errorf("call %s: %w", c.Number, err)
	}
	return c.watch(ctx, cl, dialed.ID, out)
}

func (c *callCmd) watch(ctx context.Context, cl *client, id string, out *output) error {
	res := callResult{ID: id}
	show := newTimeline(out.out)
	show.brief = !c.Verbose
	err := cl.events(ctx, "/v1/calls/"+id+"/events", true, func(line []byte) error {
		e, err := readEvent(line)
		if err != nil {
			return err
		}
		switch e.name() {
		case engine.EventCallAnswered:
			res.Answered = true
		case engine.EventCallEnded:
			res.EndReason, res.DurationMS = e.text("end_reason"), e.number("duration_ms")
			res.Turns, res.MOS = int(e.number("turns")), e.float("mos")
		}
		if !c.JSON {
			show.event(e)
		}
		if res.EndReason != "" {
			return errStop
		}
		return nil
	})
	if ctx.Err() != nil {
		return c.hangUp(ctx, cl, id, out)
	}
	if err != nil {
		return fmt.Errorf("call %s: %w", id, err)
	}
	if c.JSON {
		if err := json.NewEncoder(out.out).Encode(res); err != nil {
			return err
		}
	}
	if !res.Answered {
		return fmt.Errorf("%s did not answer: %s", c.Number, res.EndReason)
	}
	return nil
}

// hangUp ends the call after Ctrl-C.
func (c *callCmd) hangUp(ctx context.Context, cl *client, id string, out *output) error {
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	err := cl.post(end, "/v1/calls/"+id+"/control", map[string]any{"type": "end-call"}, nil, nil)
	var refused *apiError
	if errors.As(err, &refused) && refused.status == http.StatusConflict {
		err = nil // it is over already
	}
	if err != nil {
		return fmt.Errorf("call %s may still be up: %w", id, err)
	}
	fmt.Fprintln(out.err, "patchcord: the call was told to end")
	return ctx.Err()
}
