package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/parser"

	"github.com/patchcord/patchcord/internal/yamlfault"
	"github.com/patchcord/patchcord/tools/wire"
)

// campaignCmd is the outbound dialer of a running engine.
type campaignCmd struct {
	Create campaignCreateCmd `cmd:"" help:"Make a campaign of a file, as a draft."`
	Import campaignImportCmd `cmd:"" help:"Add a list of people to a campaign."`
	Start  campaignStartCmd  `cmd:"" help:"Start a draft: its people are called."`
	Pause  campaignPauseCmd  `cmd:"" help:"Call nobody further; calls that are up end in their own time."`
	Resume campaignResumeCmd `cmd:"" help:"Go on after a pause."`
	Cancel campaignCancelCmd `cmd:"" help:"End a campaign for good."`
	Review campaignReviewCmd `cmd:"" help:"List or decide on people who were perhaps called when a node died."`
	Status campaignStatusCmd `cmd:"" help:"Show where a campaign is."`
	Export campaignExportCmd `cmd:"" help:"Write what became of its people."`
	Delete campaignDeleteCmd `cmd:"" help:"Delete a campaign that does not run, with its people."`
	List   campaignListCmd   `cmd:"" help:"List the campaigns."`
}

// knownCampaign is a campaign as the engine shows it.
type knownCampaign struct {
	ID        string         `json:"id"`
	Name      string         `json:"name"`
	Status    string         `json:"status"`
	Reason    string         `json:"reason,omitempty"`
	CreatedAt string         `json:"created_at"`
	Stats     *campaignStats `json:"stats,omitempty"`
}

// campaignFlags are those of the commands that speak of one campaign.
type campaignFlags struct {
	apiFlags
	JSON bool   `name:"json" help:"The result as one JSON object."`
	ID   string `arg:"" name:"campaign" help:"Campaign, by id or name."`
}

func (f *campaignFlags) path(rest string) string {
	return "/v1/campaigns/" + url.PathEscape(f.ID) + rest
}

type campaignCreateCmd struct {
	apiFlags
	JSON bool   `name:"json" help:"The campaign as one JSON object."`
	File string `arg:"" help:"YAML or JSON, - for standard input." placeholder:"FILE"`
}

// Help is shown by --help.
func (campaignCreateCmd) Help() string {
	return `docs/campaigns.md lists what a campaign has. Every fault is told as
file:line:column, and then nothing is made.

Example:
  patchcord campaign create configs/examples/campaign/spring.yaml
  patchcord campaign import spring configs/examples/campaign/contacts.csv
  patchcord campaign start spring`
}

// Run creates.
func (c *campaignCreateCmd) Run(ctx context.Context, out *output) error {
	cl, err := c.client()
	if err != nil {
		return err
	}
	text, err := readInput(c.File, out.in)
	if err != nil {
		return err
	}
	doc, err := wire.JSON(text)
	if err != nil {
		return fmt.Errorf("%s: %w", display(c.File), err)
	}
	var made json.RawMessage
	err = cl.post(ctx, "/v1/campaigns", doc, &made, nil)
	var refused *apiError
	if errors.As(err, &refused) && len(refused.faults) > 0 {
		for _, f := range refused.faults {
			fmt.Fprintln(out.err, placed(display(c.File), text, f))
		}
		return errFaults
	}
	if err != nil {
		return err
	}
	return printCampaign(out.out, made, c.JSON)
}

// readInput reads a file, or standard input where it is named "-".
func readInput(file string, in io.Reader) ([]byte, error) {
	if file == "-" {
		return io.ReadAll(in)
	}
	text, err := os.ReadFile(file) //nolint:gosec // named on the command line
	if err != nil {
		return nil, usagef("%s: %w", file, errors.Unwrap(err))
	}
	return text, nil
}

// placed is a fault of a document with its place: the line and column of what it
// is about or, where that is missing, of what should have it.
func placed(name string, text []byte, f apiFault) string {
	path := strings.TrimPrefix(strings.TrimPrefix(f.Param, "body"), ".")
	line, col := memberPlace(text, path)
	what := f.Message
	if path != "" {
		what = path + ": " + what
	}
	if line == 0 {
		return name + ": " + what
	}
	return fmt.Sprintf("%s:%d:%d: %s", name, line, col, what)
}

// memberPlace is where a member of a YAML or JSON document stands; 0 for nowhere.
func memberPlace(text []byte, path string) (line, col int) {
	defer func() { // of the YAML library
		if recover() != nil {
			line, col = 0, 0
		}
	}()
	doc, err := parser.ParseBytes(text, 0)
	if err != nil || len(doc.Docs) == 0 || doc.Docs[0].Body == nil {
		return 0, 0
	}
	for ; ; path = parent(path) {
		p, err := yaml.PathString(strings.TrimSuffix("$."+path, "."))
		if err == nil {
			if n, err := p.FilterNode(doc.Docs[0].Body); err == nil && n != nil {
				return yamlfault.Place(n)
			}
		}
		if path == "" {
			return yamlfault.Place(doc.Docs[0].Body)
		}
	}
}

// parent is the path of what a member is in.
func parent(path string) string { return path[:max(0, strings.LastIndexAny(path, ".["))] }

// printCampaign prints a campaign that the engine answered.
func printCampaign(w io.Writer, text json.RawMessage, asJSON bool) error {
	if asJSON {
		_, err := fmt.Fprintf(w, "%s\n", strings.TrimSpace(string(text)))
		return err
	}
	var c knownCampaign
	if err := json.Unmarshal(text, &c); err != nil {
		return fmt.Errorf("read the engine's answer: %w", err)
	}
	_, err := fmt.Fprintf(w, "%s  %s: %s\n", c.ID, c.Name, c.Status)
	return err
}

// turn asks for another status.
func (f *campaignFlags) turn(ctx context.Context, out *output, verb, reason string) error {
	cl, err := f.client()
	if err != nil {
		return err
	}
	body := map[string]string{}
	if reason != "" {
		body["reason"] = reason
	}
	var now json.RawMessage
	if err := cl.post(ctx, f.path("/"+verb), body, &now, nil); err != nil {
		return err
	}
	return printCampaign(out.out, now, f.JSON)
}

type campaignStartCmd struct{ campaignFlags }

// Help is shown by --help.
func (campaignStartCmd) Help() string {
	return `Example:
  patchcord campaign start spring && patchcord campaign status spring --watch`
}

// Run starts.
func (c *campaignStartCmd) Run(ctx context.Context, out *output) error {
	return c.turn(ctx, out, "start", "")
}

type campaignPauseCmd struct {
	campaignFlags
	Reason string `help:"Shown to whoever looks at the campaign." placeholder:"TEXT"`
}

// Help is shown by --help.
func (campaignPauseCmd) Help() string {
	return `Example:
  patchcord campaign pause spring --reason "the shop is closed today"`
}

// Run pauses.
func (c *campaignPauseCmd) Run(ctx context.Context, out *output) error {
	return c.turn(ctx, out, "pause", c.Reason)
}

type campaignResumeCmd struct{ campaignFlags }

// Help is shown by --help.
func (campaignResumeCmd) Help() string {
	return `Example:
  patchcord campaign resume spring`
}

// Run resumes.
func (c *campaignResumeCmd) Run(ctx context.Context, out *output) error {
	return c.turn(ctx, out, "resume", "")
}

type campaignCancelCmd struct {
	campaignFlags
	Reason string `help:"Shown to whoever looks at the campaign." placeholder:"TEXT"`
}

// Help is shown by --help.
func (campaignCancelCmd) Help() string {
	return `People who wait are called no more, calls that are up end in their own time. A
cancelled campaign stays it.

Example:
  patchcord campaign cancel spring`
}

// Run cancels.
func (c *campaignCancelCmd) Run(ctx context.Context, out *output) error {
	return c.turn(ctx, out, "cancel", c.Reason)
}

type campaignListCmd struct {
	apiFlags
	JSON   bool   `name:"json" help:"One JSON object a line."`
	Status string `help:"Only those of this status: ${enum}." enum:",draft,running,paused,completed,cancelled" default:"" placeholder:"STATUS"`
}

// Help is shown by --help.
func (campaignListCmd) Help() string {
	return `Example:
  patchcord campaign list --status running`
}

// Run lists.
func (c *campaignListCmd) Run(ctx context.Context, out *output) error {
	cl, err := c.client()
	if err != nil {
		return err
	}
	t := tabwriter.NewWriter(out.out, 0, 0, 2, ' ', 0)
	q := url.Values{"limit": {"100"}}
	if c.Status != "" {
		q.Set("status", c.Status)
	}
	none := true
	err = pages(ctx, cl, "/v1/campaigns", q, func(text json.RawMessage) error {
		if c.JSON {
			_, err := fmt.Fprintf(out.out, "%s\n", text)
			return err
		}
		var k knownCampaign
		if err := json.Unmarshal(text, &k); err != nil {
			return fmt.Errorf("read the engine's answer: %w", err)
		}
		if none {
			none = false
			fmt.Fprintln(t, "ID\tNAME\tSTATUS\tREASON")
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", k.ID, k.Name, k.Status, k.Reason)
		return nil
	})
	return errors.Join(err, t.Flush())
}

// pages hands over every object of a list.
func pages(ctx context.Context, cl *client, path string, q url.Values, each func(json.RawMessage) error) error {
	for {
		var page struct {
			Data []json.RawMessage `json:"data"`
			Next string            `json:"next_cursor"`
		}
		if err := cl.get(ctx, path+"?"+q.Encode(), &page); err != nil {
			return err
		}
		for _, o := range page.Data {
			if err := each(o); err != nil {
				return err
			}
		}
		if page.Next == "" {
			return nil
		}
		q.Set("cursor", page.Next)
	}
}
