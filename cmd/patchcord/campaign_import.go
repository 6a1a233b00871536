package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/schollz/progressbar/v3"
)

type campaignImportCmd struct {
	campaignFlags
	listFlags
}

// listFlags name a list that is sent.
type listFlags struct {
	File   string `arg:"" help:"A .csv, .json, .ndjson or .jsonl file, - for standard input." placeholder:"FILE"`
	Format string `help:"What is in it, where its name does not tell: ${enum}." enum:",csv,json,ndjson" default:"" placeholder:"FORM"`
}

// Help is shown by --help.
func (campaignImportCmd) Help() string {
	return `The first line of a CSV names the columns: number, and as they are known name,
zone, consent, record, due, and a column for each variable of the campaign. A row
that is refused does not keep the others back, and is told with line, column and
why; the exit code is 1 then. The same list may be sent again: people who are
there already stay as they are.

Example:
  patchcord campaign import spring contacts.csv
  query-crm | patchcord campaign import spring - --format ndjson`
}

// importReport is what the engine took of a list.
type importReport struct {
	Rows       int          `json:"rows"`
	Accepted   int          `json:"accepted"`
	Duplicates int          `json:"duplicates"`
	Refused    int          `json:"refused"`
	Faults     []refusedRow `json:"faults"`
}

type refusedRow struct {
	Line   int    `json:"line"`
	Column int    `json:"column,omitempty"`
	Field  string `json:"field,omitempty"`
	Why    string `json:"why"`
}

// Run imports.
func (c *campaignImportCmd) Run(ctx context.Context, out *output) error {
	cl, err := c.client()
	if err != nil {
		return err
	}
	return c.send(ctx, cl, out, c.path("/contacts"), c.JSON)
}

// kinds are the media types of lists, by their forms and the ends of their names.
var kinds = map[string]string{
	"csv": "text/csv", "json": "application/json", "ndjson": "application/x-ndjson", "jsonl": "application/x-ndjson",
}

// send sends the list and prints what was taken of it.
func (f *listFlags) send(ctx context.Context, cl *client, out *output, path string, asJSON bool) error {
	form := f.Format
	if form == "" {
		form = strings.ToLower(strings.TrimPrefix(filepath.Ext(f.File), "."))
	}
	kind := kinds[form]
	if kind == "" {
		return usagef("%s: its name does not tell what is in it: add --format csv, json or ndjson", f.File)
	}
	in, size := out.in, int64(-1)
	if f.File != "-" {
		file, err := os.Open(f.File)
		if err != nil {
			return usagef("%s: %w", f.File, errors.Unwrap(err))
		}
		defer file.Close() //nolint:errcheck // read only
		if info, err := file.Stat(); err == nil && info.Mode().IsRegular() {
			size = info.Size()
		}
		in = file
	}
	bar := progressbar.NewOptions64(size, progressbar.OptionSetWriter(out.err),
		progressbar.OptionSetVisibility(out.terminal && !asJSON), progressbar.OptionSetDescription("importing"),
		progressbar.OptionShowBytes(true), progressbar.OptionClearOnFinish())
	read := progressbar.NewReader(in, bar)
	var r importReport
	err := cl.post(ctx, path, streamed{io.NopCloser(&read), kind}, &r, http.Header{})
	_ = bar.Finish() // a bar that cannot be drawn is no fault
	if err != nil {
		return err
	}
	if asJSON {
		err = json.NewEncoder(out.out).Encode(r)
	} else {
		err = r.print(out)
	}
	if err == nil && r.Refused > 0 {
		err = errFaults
	}
	return err
}

// print tells people what was taken, and what was not.
func (r *importReport) print(out *output) error {
	fmt.Fprintf(out.out, "%d of %d rows taken, %d there already, %d refused\n", r.Accepted, r.Rows, r.Duplicates,
		r.Refused)
	if len(r.Faults) == 0 {
		return nil
	}
	t := tabwriter.NewWriter(out.err, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "LINE\tCOLUMN\tWHY")
	for _, f := range r.Faults {
		where := f.Field
		if where == "" && f.Column > 0 {
			where = strconv.Itoa(f.Column)
		}
		fmt.Fprintf(t, "%d\t%s\t%s\n", f.Line, where, f.Why)
	}
	if more := r.Refused - len(r.Faults); more > 0 {
		fmt.Fprintf(t, "\t\tand %d more\n", more)
	}
	return t.Flush()
}
