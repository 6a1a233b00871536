package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"text/tabwriter"
)

// dncCmd keeps the list of numbers that are not to be called.
type dncCmd struct {
	Add    dncAddCmd    `cmd:"" help:"Let numbers be called no more, at once."`
	Remove dncRemoveCmd `cmd:"" help:"Let numbers be called again."`
	List   dncListCmd   `cmd:"" help:"List who is not to be called."`
	Import dncImportCmd `cmd:"" help:"Add a list of numbers."`
}

// dncFlags are those of all of them.
type dncFlags struct {
	apiFlags
	JSON     bool   `name:"json" help:"The result as JSON."`
	Campaign string `help:"Its own list; without it, that of all campaigns." placeholder:"ID"`
}

// path is that of a list, with its campaign.
func (f *dncFlags) path(rest string, q url.Values) string {
	if q == nil {
		q = url.Values{}
	}
	if f.Campaign != "" {
		q.Set("campaign", f.Campaign)
	}
	if len(q) > 0 {
		rest += "?" + q.Encode()
	}
	return "/v1/dnc" + rest
}

type dncAddCmd struct {
	dncFlags
	Numbers []string `arg:"" name:"number" help:"In international form."`
	Why     string   `help:"Kept with the number." placeholder:"TEXT"`
	Country string   `help:"Of numbers without a country code, ISO 3166." placeholder:"CODE"`
}

// Help is shown by --help.
func (dncAddCmd) Help() string {
	return `Nobody of these is dialled from then on, not even who is about to be. A call that
is up goes on.

Example:
  patchcord dnc add +4930123456 --why "asked in a letter"
  patchcord dnc add --campaign spring +4930123456`
}

// Run adds.
func (c *dncAddCmd) Run(ctx context.Context, out *output) error {
	cl, err := c.client()
	if err != nil {
		return err
	}
	body := map[string]any{"numbers": c.Numbers}
	if c.Why != "" {
		body["why"] = c.Why
	}
	if c.Country != "" {
		body["country"] = c.Country
	}
	var done struct {
		Added      int `json:"added"`
		Duplicates int `json:"duplicates"`
	}
	err = cl.post(ctx, c.path("", nil), body, &done, nil)
	var refused *apiError
	if errors.As(err, &refused) && len(refused.faults) > 0 {
		for _, f := range refused.faults {
			fmt.Fprintf(out.err, "patchcord: %s: %s\n", f.Param, f.Message)
		}
		return errFaults
	}
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(out.out).Encode(done)
	}
	_, err = fmt.Fprintf(out.out, "%d added, %d there already\n", done.Added, done.Duplicates)
	return err
}

type dncRemoveCmd struct {
	dncFlags
	Numbers []string `arg:"" name:"number" help:"In international form."`
}

// Help is shown by --help.
func (dncRemoveCmd) Help() string {
	return `People who were blocked stay it: PATCH of a contact lets one be called.

Example:
  patchcord dnc remove +4930123456`
}

// Run removes.
func (c *dncRemoveCmd) Run(ctx context.Context, _ *output) error {
	cl, err := c.client()
	if err != nil {
		return err
	}
	for _, n := range c.Numbers {
		res, err := cl.send(ctx, http.MethodDelete, c.path("/"+url.PathEscape(n), nil), nil, nil)
		if err != nil {
			return fmt.Errorf("remove %s: %w", n, err)
		}
		_ = res.Body.Close() // empty
	}
	return nil
}

type dncListCmd struct{ dncFlags }

// Help is shown by --help.
func (dncListCmd) Help() string {
	return `Example:
  patchcord dnc list
  patchcord dnc list --campaign spring --json`
}

// Run lists.
func (c *dncListCmd) Run(ctx context.Context, out *output) error {
	cl, err := c.client()
	if err != nil {
		return err
	}
	t := tabwriter.NewWriter(out.out, 0, 0, 2, ' ', 0)
	q := url.Values{"limit": {"100"}}
	if c.Campaign != "" {
		q.Set("campaign", c.Campaign)
	}
	none := true
	err = pages(ctx, cl, "/v1/dnc", q, func(text json.RawMessage) error {
		if c.JSON {
			_, err := fmt.Fprintf(out.out, "%s\n", text)
			return err
		}
		var d struct {
			Number, Why string
			AddedBy     string `json:"added_by"`
			CreatedAt   string `json:"created_at"`
		}
		if err := json.Unmarshal(text, &d); err != nil {
			return fmt.Errorf("read the engine's answer: %w", err)
		}
		if none {
			none = false
			fmt.Fprintln(t, "NUMBER\tSINCE\tBY\tWHY")
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", d.Number, d.CreatedAt, d.AddedBy, d.Why)
		return nil
	})
	return errors.Join(err, t.Flush())
}

type dncImportCmd struct {
	dncFlags
	listFlags
	Country string `help:"Of numbers without a country code, ISO 3166." placeholder:"CODE"`
}

// Help is shown by --help.
func (dncImportCmd) Help() string {
	return `The first line of a CSV names the columns: number, and why if it has that. A row
that is refused does not keep the others back; the exit code is 1 then.

Example:
  patchcord dnc import robinson.csv --country DE`
}

// Run imports.
func (c *dncImportCmd) Run(ctx context.Context, out *output) error {
	cl, err := c.client()
	if err != nil {
		return err
	}
	q := url.Values{}
	if c.Country != "" {
		q.Set("country", c.Country)
	}
	return c.send(ctx, cl, out, c.path("/import", q), c.JSON)
}
