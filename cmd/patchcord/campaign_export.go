package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"

	"github.com/schollz/progressbar/v3"
)

type campaignExportCmd struct {
	apiFlags
	Format   string `help:"${enum}." enum:"csv,ndjson" default:"csv"`
	Attempts bool   `help:"A line for each call, not for each person with the last one."`
	Out      string `short:"o" help:"Write to a file; else to standard output." type:"path" placeholder:"FILE"`
	ID       string `arg:"" name:"campaign" help:"Campaign, by id or name."`
}

// Help is shown by --help.
func (campaignExportCmd) Help() string {
	return `Writes while it reads: a long list takes no more memory than a short one. A cell
that a spreadsheet would take for a formula begins with an apostrophe. Exit code 1
tells that the list is not complete.

Example:
  patchcord campaign export spring > results.csv
  patchcord campaign export spring --format ndjson --attempts | jq 'select(.outcome == "person")'`
}

// Run exports.
func (c *campaignExportCmd) Run(ctx context.Context, out *output) (err error) {
	cl, err := c.client()
	if err != nil {
		return err
	}
	per := "contact"
	if c.Attempts {
		per = "attempt"
	}
	f := campaignFlags{ID: c.ID}
	res, err := cl.send(ctx, http.MethodGet, f.path("/results?format="+c.Format+"&per="+per), nil, nil)
	if err != nil {
		return err
	}
	defer res.Body.Close() //nolint:errcheck // read only
	to := out.out
	if c.Out != "" {
		file, err := os.Create(c.Out)
		if err != nil {
			return err
		}
		defer func() {
			if e := file.Close(); err == nil {
				err = e
			}
		}()
		bar := progressbar.NewOptions64(-1, progressbar.OptionSetWriter(out.err),
			progressbar.OptionSetVisibility(out.terminal),
			progressbar.OptionSetDescription("exporting"), progressbar.OptionShowBytes(true), progressbar.OptionClearOnFinish())
		defer bar.Finish() //nolint:errcheck // a bar that cannot be drawn is no fault
		to = io.MultiWriter(file, bar)
	}
	if _, err := io.Copy(to, res.Body); err != nil {
		return fmt.Errorf("the results are not complete: %w", err)
	}
	return nil
}
