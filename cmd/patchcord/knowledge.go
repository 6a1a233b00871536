package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/schollz/progressbar/v3"

	"github.com/patchcord/patchcord/tools/knowledge"
)

// knowledgeCmd looks after the documents behind knowledge_base.
type knowledgeCmd struct {
	Add    knowledgeAddCmd    `cmd:"" help:"Add documents to an agent."`
	List   knowledgeListCmd   `cmd:"" help:"List the documents of an agent."`
	Search knowledgeSearchCmd `cmd:"" help:"Search as the agent would."`
	Delete knowledgeDeleteCmd `cmd:"" help:"Delete documents of an agent."`
}

// knowledgeFlags are those of all of them.
type knowledgeFlags struct {
	apiFlags
	Agent string `required:"" help:"Whose documents, by id or name." placeholder:"ID"`
	JSON  bool   `name:"json" help:"The result as one JSON object."`
}

func (f *knowledgeFlags) path(rest string) string {
	return "/v1/agents/" + url.PathEscape(f.Agent) + "/knowledge" + rest
}

// get asks the engine and reads its answer.
func (f *knowledgeFlags) get(ctx context.Context, path string, dst any) error {
	c, err := f.client()
	if err != nil {
		return err
	}
	return c.get(ctx, path, dst)
}

// knownDocument is a document as the engine shows it.
type knownDocument struct {
	ID       string `json:"id"`
	Name     string `json:"name"`
	Type     string `json:"type"`
	Language string `json:"language,omitempty"`
	Status   string `json:"status"`
	Bytes    int    `json:"bytes"`
	Passages int    `json:"passages"`
	Embedded int    `json:"embedded"`
}

type knowledgeAddCmd struct {
	knowledgeFlags
	Files []string `arg:"" help:"Files, or folders: of these the txt, md, html, pdf and docx files." type:"path"`
}

// Help is shown by --help.
func (knowledgeAddCmd) Help() string {
	return `A document of the same name is replaced. The agent needs a tool of the type
knowledge_base to look into its documents.

Example:
  patchcord knowledge add --agent support docs/prices.pdf docs/faq.md`
}

// added is the JSON of what was added.
type added struct {
	Documents []knownDocument `json:"documents"`
	Failed    []failedFile    `json:"failed"`
}

type failedFile struct {
	File  string `json:"file"`
	Error string `json:"error"`
}

// Run sends the files, one after the other; one that is refused does not keep
// the others back.
func (c *knowledgeAddCmd) Run(ctx context.Context, out *output) error {
	files, err := documentFiles(c.Files)
	if err != nil {
		return err
	}
	cl, err := c.client()
	if err != nil {
		return err
	}
	bar := progressbar.NewOptions(len(files), progressbar.OptionSetWriter(out.err),
		progressbar.OptionSetVisibility(out.terminal && !c.JSON && len(files) > 1),
		progressbar.OptionSetDescription("adding"), progressbar.OptionClearOnFinish())
	done := added{Documents: []knownDocument{}, Failed: []failedFile{}}
	for _, file := range files {
		d, err := c.add(ctx, cl, file)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		_ = bar.Add(1) // a bar that cannot be drawn is no fault
		if err != nil {
			done.Failed = append(done.Failed, failedFile{file, err.Error()})
			if !c.JSON {
				_ = bar.Clear()
				fmt.Fprintf(out.err, "patchcord: %s: %v\n", file, err)
			}
			continue
		}
		done.Documents = append(done.Documents, d)
	}
	_ = bar.Finish()
	switch {
	case c.JSON:
		if err := json.NewEncoder(out.out).Encode(done); err != nil {
			return err
		}
	default:
		if err := printDocuments(out.out, done.Documents); err != nil {
			return err
		}
	}
	if len(done.Failed) > 0 {
		return errFaults
	}
	return nil
}

func (c *knowledgeAddCmd) add(ctx context.Context, cl *client, file string) (d knownDocument, err error) {
	data, err := readDocument(file)
	if err != nil {
		return d, err
	}
	return d, cl.post(ctx, c.path("?name="+url.QueryEscape(filepath.Base(file))), raw(data), &d, nil)
}

// readDocument reads a file that is no larger than a document may be.
func readDocument(file string) ([]byte, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, errors.Unwrap(err)
	}
	if info.Size() > knowledge.MaxFile {
		return nil, fmt.Errorf("%d MB, %d are the most: cut it into parts", info.Size()>>20, knowledge.MaxFile>>20)
	}
	data, err := os.ReadFile(file) //nolint:gosec // named on the command line
	if err != nil {
		return nil, errors.Unwrap(err)
	}
	return data, nil
}

// documentFiles are the files that are named, and those of the folders named.
func documentFiles(paths []string) ([]string, error) {
	var out []string
	for _, p := range paths {
		info, err := os.Stat(p)
		if err != nil {
			return nil, usagef("%s: %w", p, errors.Unwrap(err))
		}
		if !info.IsDir() {
			out = append(out, p)
			continue
		}
		err = filepath.WalkDir(p, func(at string, e fs.DirEntry, err error) error {
			if err == nil && e.Type().IsRegular() && slices.Contains(knowledge.Endings(), strings.ToLower(filepath.Ext(at))) {
				out = append(out, at)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	if len(out) == 0 {
		return nil, usagef("no file of the forms %s", strings.Join(knowledge.Endings(), " "))
	}
	return out, nil
}

func printDocuments(w io.Writer, ds []knownDocument) error {
	if len(ds) == 0 {
		return nil
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ID\tNAME\tLANGUAGE\tPASSAGES\tEMBEDDED\tKB")
	for _, d := range ds {
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%d\t%d\n", d.ID, d.Name, d.Language, d.Passages, d.Embedded, (d.Bytes+1023)/1024)
	}
	return t.Flush()
}

type knowledgeListCmd struct{ knowledgeFlags }

// Help is shown by --help.
func (knowledgeListCmd) Help() string {
	return `Example:
  patchcord knowledge list --agent support`
}

// Run lists.
func (c *knowledgeListCmd) Run(ctx context.Context, out *output) error {
	var page struct {
		Data []knownDocument `json:"data"`
	}
	if err := c.get(ctx, c.path(""), &page); err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(out.out).Encode(page)
	}
	return printDocuments(out.out, page.Data)
}

type knowledgeSearchCmd struct {
	knowledgeFlags
	Query     []string `arg:"" help:"What to look for."`
	TopK      int      `name:"top-k" help:"How many passages." default:"5"`
	Threshold float64  `help:"Only passages at least as similar, 0 to 1." default:"0"`
}

// Help is shown by --help.
func (knowledgeSearchCmd) Help() string {
	return `Shows the similarity of each passage: what similarity_threshold of the tool
knowledge_base is held against.

Example:
  patchcord knowledge search --agent support delivery to Switzerland`
}

// Run searches.
func (c *knowledgeSearchCmd) Run(ctx context.Context, out *output) error {
	if c.TopK < 1 || c.TopK > knowledge.MaxTopK {
		return usagef("--top-k=%d: 1 to %d", c.TopK, knowledge.MaxTopK)
	}
	if c.Threshold < 0 || c.Threshold > 1 {
		return usagef("--threshold=%g: 0 to 1", c.Threshold)
	}
	var found struct {
		Found bool `json:"found"`
		Data  []struct {
			Document string  `json:"document"`
			Heading  string  `json:"heading,omitempty"`
			Text     string  `json:"text"`
			Score    float64 `json:"score"`
		} `json:"data"`
		Documents int      `json:"documents"`
		Languages []string `json:"languages"`
		Late      bool     `json:"late"`
		TookMS    int64    `json:"took_ms"`
	}
	q := url.Values{
		"query": {strings.Join(c.Query, " ")}, "top_k": {fmt.Sprint(c.TopK)},
		"similarity_threshold": {fmt.Sprint(c.Threshold)},
	}
	if err := c.get(ctx, c.path("/search?"+q.Encode()), &found); err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(out.out).Encode(found)
	}
	if !found.Found {
		fmt.Fprintf(out.out, "Nothing found in %d documents.\n", found.Documents)
		return nil
	}
	for _, p := range found.Data {
		at := p.Document
		if p.Heading != "" {
			at += ": " + p.Heading
		}
		fmt.Fprintf(out.out, "%.2f  %s\n      %s\n\n", p.Score, at, strings.ReplaceAll(p.Text, "\n", "\n      "))
	}
	return nil
}

type knowledgeDeleteCmd struct {
	apiFlags
	Agent string   `required:"" help:"Whose documents, by id or name." placeholder:"ID"`
	IDs   []string `arg:"" name:"id" help:"Documents, by the ids that list shows."`
}

// Help is shown by --help.
func (knowledgeDeleteCmd) Help() string {
	return `Example:
  patchcord knowledge delete --agent support 019a5b1c-0f5e-7c41-9d0a-6f1f0a7f1b2c`
}

// Run deletes.
func (c *knowledgeDeleteCmd) Run(ctx context.Context, _ *output) error {
	cl, err := c.client()
	if err != nil {
		return err
	}
	f := knowledgeFlags{Agent: c.Agent}
	for _, id := range c.IDs {
		res, err := cl.send(ctx, http.MethodDelete, f.path("/"+url.PathEscape(id)), nil, nil)
		if err != nil {
			return fmt.Errorf("delete %s: %w", id, err)
		}
		_ = res.Body.Close() // empty
	}
	return nil
}

// readDocumentCmd reads a file in a process of its own: the engine starts it.
type readDocumentCmd struct {
	Type string `arg:""`
}

// Run reads from the standard input.
func (c *readDocumentCmd) Run(ctx context.Context, out *output) error {
	err := knowledge.ReadFile(ctx, knowledge.Type(c.Type), out.in, out.out)
	if err != nil {
		fmt.Fprintln(out.err, err)
		return errFaults
	}
	return nil
}

// documentReader is this program as a reader of documents, nil where it does
// not know where it is.
func documentReader() []string {
	self, err := os.Executable()
	if err != nil {
		return nil
	}
	return []string{self, "read-document"}
}
