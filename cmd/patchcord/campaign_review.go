package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"text/tabwriter"
)

type campaignDeleteCmd struct {
	apiFlags
	ID string `arg:"" name:"campaign" help:"Campaign, by id or name."`
}

// Help is shown by --help.
func (campaignDeleteCmd) Help() string {
	return `Its people and what became of them are deleted with it; the records of their calls
stay. One that runs is refused: cancel or pause it first.

Example:
  patchcord campaign export spring > spring.csv && patchcord campaign delete spring`
}

// Run deletes.
func (c *campaignDeleteCmd) Run(ctx context.Context, _ *output) error {
	cl, err := c.client()
	if err != nil {
		return err
	}
	f := campaignFlags{ID: c.ID}
	res, err := cl.send(ctx, http.MethodDelete, f.path(""), nil, nil)
	if err != nil {
		return err
	}
	return res.Body.Close() // empty
}

type campaignReviewCmd struct {
	campaignFlags
	Contacts []string `arg:"" optional:"" name:"contact" help:"People, by id or number."`
	All      bool     `help:"All that are up for review."`
	As       string   `help:"What they become: ${enum}." enum:",pending,reached,failed" default:"" placeholder:"STATE"`
	Why      string   `help:"Kept with each." placeholder:"TEXT"`
}

// Help is shown by --help.
func (campaignReviewCmd) Help() string {
	return `Whoever was dialled when a node died is up for review: perhaps the phone rang. Without
--as these are listed with their calls. pending calls them again, reached and failed
are done with them. Nobody is moved who is not up for review.

Example:
  patchcord campaign review spring
  patchcord campaign review spring --as failed --why "hung up at once" +4930123456
  patchcord campaign review spring --as pending --all`
}

// reviewed is a contact that is up for review, or was.
type reviewed struct {
	ID        string `json:"id"`
	Number    string `json:"number"`
	Name      string `json:"name"`
	State     string `json:"state"`
	Why       string `json:"why"`
	UpdatedAt string `json:"updated_at"`
	Attempts  []struct {
		CallID string `json:"call_id"`
	} `json:"attempts"`
}

// call is the id of the last call, "" where there is none.
func (r *reviewed) call() string {
	if len(r.Attempts) == 0 {
		return ""
	}
	return r.Attempts[len(r.Attempts)-1].CallID
}

// Run lists, or moves.
func (c *campaignReviewCmd) Run(ctx context.Context, out *output) error {
	switch {
	case c.As == "" && (c.All || c.Why != ""):
		return usagef("--as is missing: say what they become")
	case c.As != "" && c.All == (len(c.Contacts) > 0):
		return usagef("name the people, or --all")
	}
	cl, err := c.client()
	if err != nil {
		return err
	}
	list, err := c.chosen(ctx, cl)
	if err != nil {
		return err
	}
	if c.As == "" {
		return c.list(ctx, cl, out, list)
	}
	for i, k := range list {
		body := map[string]string{"from": "review", "state": c.As}
		if c.Why != "" {
			body["why"] = c.Why
		}
		res, err := cl.send(ctx, http.MethodPatch, c.path("/contacts/"+url.PathEscape(k.ID)), body, nil)
		if err != nil {
			return fmt.Errorf("%s, after %d of %d: %w", k.Number, i, len(list), err)
		}
		_ = res.Body.Close() // the contact as it is now
	}
	if c.JSON {
		return json.NewEncoder(out.out).Encode(map[string]any{"state": c.As, "moved": len(list)})
	}
	_, err = fmt.Fprintf(out.out, "%d now %s\n", len(list), c.As)
	return err
}

// chosen are those that are up for review, of them those that are named.
func (c *campaignReviewCmd) chosen(ctx context.Context, cl *client) ([]reviewed, error) {
	var all []reviewed
	q := url.Values{"limit": {"100"}, "state": {"review"}}
	err := pages(ctx, cl, c.path("/contacts"), q, func(text json.RawMessage) error {
		var k reviewed
		if err := json.Unmarshal(text, &k); err != nil {
			return fmt.Errorf("read the engine's answer: %w", err)
		}
		all = append(all, k)
		return nil
	})
	if err != nil || len(c.Contacts) == 0 {
		return all, err
	}
	known := map[string]reviewed{}
	for _, k := range all {
		known[k.ID], known[k.Number] = k, k
	}
	var list []reviewed
	var strangers []string
	taken := map[string]bool{}
	for _, name := range c.Contacts {
		k, ok := known[name]
		switch {
		case !ok:
			strangers = append(strangers, name)
		case !taken[k.ID]:
			taken[k.ID] = true
			list = append(list, k)
		}
	}
	if strangers != nil {
		return nil, errors.New("not up for review in this campaign: " + strings.Join(strangers, ", "))
	}
	return list, nil
}

// list shows contacts with their calls.
func (c *campaignReviewCmd) list(ctx context.Context, cl *client, out *output, all []reviewed) error {
	t := tabwriter.NewWriter(out.out, 0, 0, 2, ' ', 0)
	for i, k := range all {
		var text json.RawMessage
		if err := cl.get(ctx, c.path("/contacts/"+url.PathEscape(k.ID)), &text); err != nil {
			return errors.Join(err, t.Flush())
		}
		if c.JSON {
			fmt.Fprintf(out.out, "%s\n", strings.TrimSpace(string(text)))
			continue
		}
		if err := json.Unmarshal(text, &k); err != nil {
			return fmt.Errorf("read the engine's answer: %w", err)
		}
		if i == 0 {
			fmt.Fprintln(t, "CONTACT\tNUMBER\tNAME\tSINCE\tCALL\tWHY")
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", k.ID, k.Number, k.Name, k.UpdatedAt, k.call(), k.Why)
	}
	return t.Flush()
}
