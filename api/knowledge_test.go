package api

import (
	"bytes"
	"context"
	"mime/multipart"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/tools/knowledge"
)

const prices = "# Delivery\n\nParcels to Switzerland take six days.\n\n# Hours\n\nThe shop is open from nine to five.\n"

func withKnowledge(t *testing.T) *fixture {
	t.Helper()
	const kbKey = "kb-key-0123456789abcdef"
	var l *knowledge.Library
	f := newFixture(t, func(c *Config) {
		st, ok := c.Calls.(knowledge.Store)
		if !ok {
			t.Fatal("the store keeps no documents")
		}
		var err error
		if l, err = knowledge.New(knowledge.Config{Store: st}); err != nil {
			t.Fatal(err)
		}
		c.Knowledge = l
		c.Keys = append(c.Keys, Key{Name: "kb", Hash: HashKey(kbKey), Scopes: []string{"kb:read"}, Agents: []agent.ID{"sales"}})
	})
	t.Cleanup(l.Close) // before the store
	return f
}

func TestADocumentIsUploadedFoundAndDeleted(t *testing.T) {
	t.Parallel()
	f := withKnowledge(t)
	a := f.do("POST", "/v1/agents/support/knowledge?name=prices.md", prices, "Content-Type", "application/octet-stream")
	var d Document
	a.into(t, &d)
	if a.StatusCode != 201 || d.Name != "prices.md" || d.Type != "md" || d.Status != "ready" || d.Passages != 2 || d.Language != "en" {
		t.Fatalf("%d %s", a.StatusCode, a.text)
	}
	var found Findings
	f.do("GET", "/v1/agents/support/knowledge/search?query="+url.QueryEscape("delivery Switzerland")+"&similarity_threshold=0.7", "").
		into(t, &found)
	if !found.Found || len(found.Data) != 1 || found.Data[0].Heading != "Delivery" || found.Data[0].DocumentID != d.ID ||
		found.Data[0].Score != 1 {
		t.Errorf("found %+v", found)
	}
	a = f.do("GET", "/v1/agents/support/knowledge/search?query=helicopter", "")
	if found = (Findings{}); true {
		a.into(t, &found)
	}
	if found.Found || found.Data == nil || found.Documents != 1 {
		t.Errorf("nothing: %s", a.text)
	}

	var form bytes.Buffer
	w := multipart.NewWriter(&form)
	part, err := w.CreateFormFile("file", "../../tmp/preise.txt")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := part.Write([]byte("Der Versand in die Schweiz dauert sechs Tage und kostet neun Euro.")); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	a = f.do("POST", "/v1/agents/support/knowledge", form.String(), "Content-Type", w.FormDataContentType())
	if a.into(t, &d); a.StatusCode != 201 || d.Name != "preise.txt" || d.Language != "de" {
		t.Errorf("a form: %d %s", a.StatusCode, a.text)
	}
	var page Page[Document]
	f.do("GET", "/v1/agents/support/knowledge", "").into(t, &page)
	if len(page.Data) != 2 {
		t.Errorf("list: %+v", page)
	}
	if a = f.do("GET", "/v1/agents/support/knowledge/"+d.ID, ""); a.StatusCode != 200 {
		t.Errorf("get: %d", a.StatusCode)
	}
	if a = f.do("DELETE", "/v1/agents/support/knowledge/"+d.ID, ""); a.StatusCode != 204 || a.text != "" {
		t.Errorf("delete: %d %s", a.StatusCode, a.text)
	}
	if a = f.do("DELETE", "/v1/agents/support/knowledge/"+d.ID, ""); a.StatusCode != 404 || a.problem(t) != "not_found" {
		t.Errorf("delete again: %d", a.StatusCode)
	}
}

func TestUploadsThatAreRefused(t *testing.T) {
	t.Parallel()
	f := withKnowledge(t)
	for _, c := range []struct {
		name, path, body, kind string
		status                 int
		code, says             string
	}{
		{"no name", "/v1/agents/support/knowledge", "x", "text/plain", 422, "invalid_request", "?name="},
		{"no such agent", "/v1/agents/nobody/knowledge?name=a.md", "x", "text/plain", 404, "not_found", "agent"},
		{"no file", "/v1/agents/support/knowledge?name=a.md", "", "text/markdown", 400, "", ""},
		{"a form that is read", "/v1/agents/support/knowledge?name=a.xls", "x", "x/y", 422, "unreadable_document", "send txt"},
		{"a broken file", "/v1/agents/support/knowledge?name=a.docx", "x", "x/y", 422, "unreadable_document", "no docx"},
		{"a broken form", "/v1/agents/support/knowledge", "x", "multipart/form-data; boundary=y", 422, "", "form"},
		{
			"too large", "/v1/agents/support/knowledge?name=a.txt", strings.Repeat("x", knowledge.MaxFile+uploadSlack+1), "text/plain",
			413, "too_large", "",
		},
	} {
		a := f.do("POST", c.path, c.body, "Content-Type", c.kind)
		if a.StatusCode != c.status || !strings.Contains(a.text, c.says) {
			t.Errorf("%s: %d %s", c.name, a.StatusCode, a.text)
			continue
		}
		if code := a.problem(t); c.code != "" && code != c.code {
			t.Errorf("%s: code %s", c.name, code)
		}
	}
	if a := f.do("GET", "/v1/agents/support/knowledge/search", ""); a.StatusCode != 422 {
		t.Errorf("no query: %d", a.StatusCode)
	}
}

// T-23, T-24: kb:read reads, it does not write, and other agents are not there.
func TestDocumentsNeedTheirScope(t *testing.T) {
	t.Parallel()
	f := withKnowledge(t)
	f.key = "kb-key-0123456789abcdef"
	if a := f.do("GET", "/v1/agents/sales/knowledge", ""); a.StatusCode != 200 {
		t.Errorf("kb:read reads: %d %s", a.StatusCode, a.text)
	}
	if a := f.do("POST", "/v1/agents/sales/knowledge?name=a.md", "x"); a.StatusCode != 403 {
		t.Errorf("kb:read writes: %d", a.StatusCode)
	}
	if a := f.do("GET", "/v1/agents/support/knowledge", ""); a.StatusCode != 404 {
		t.Errorf("another agent: %d", a.StatusCode)
	}
}

// late is a library whose agent is deleted while a file is read.
type late struct {
	Knowledge

	before func()
}

func (l late) Add(ctx context.Context, agent, name, kind string, data []byte) (knowledge.Document, error) {
	l.before()
	return l.Knowledge.Add(ctx, agent, name, kind, data)
}

func TestADocumentOfAnAgentDeletedMeanwhileIsNotKept(t *testing.T) {
	t.Parallel()
	f := withKnowledge(t)
	f.srv.cfg.Knowledge = late{f.srv.cfg.Knowledge, func() {
		if err := f.store.DeleteAgent(t.Context(), "", "support"); err != nil {
			t.Error(err)
		}
	}}
	if a := f.do("POST", "/v1/agents/support/knowledge?name=a.md", prices, "Content-Type", "text/markdown"); a.StatusCode != 404 {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
	if all, err := f.store.Documents(t.Context(), ""); err != nil || len(all) != 0 {
		t.Errorf("%+v, %v", all, err)
	}
}

// Files that wait to be read do not fill the memory.
func TestFewFilesAreHeldAtATime(t *testing.T) {
	t.Parallel()
	f := withKnowledge(t)
	var held sync.WaitGroup
	held.Add(mostUploads)
	release := make(chan struct{})
	f.srv.cfg.Knowledge = late{f.srv.cfg.Knowledge, func() {
		held.Done()
		<-release
	}}
	upload := func() answer {
		return f.do("POST", "/v1/agents/support/knowledge?name=a.md", prices, "Content-Type", "text/markdown")
	}
	var sent sync.WaitGroup
	for range mostUploads {
		sent.Go(func() {
			if a := upload(); a.StatusCode != 201 {
				t.Errorf("%d %s", a.StatusCode, a.text)
			}
		})
	}
	held.Wait()
	if a := upload(); a.StatusCode != 503 || a.Header.Get("Retry-After") == "" {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
	close(release)
	sent.Wait()
}
