package main

import (
	"context"
	"encoding/json"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/patchcord/patchcord/api"
	"github.com/patchcord/patchcord/configs"
	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/store"
	"github.com/patchcord/patchcord/tools/knowledge"
)

// documents is an engine's API with a library, and its URL.
func documents(t *testing.T) string {
	t.Helper()
	st, err := store.Open(t.Context(), store.Config{URL: "sqlite:" + filepath.Join(t.TempDir(), "a.db")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := st.CreateAgent(t.Context(), "", agent.Agent{ID: "shop", Name: "shop"}); err != nil {
		t.Fatal(err)
	}
	cfg, _, err := configs.Load("")
	if err != nil {
		t.Fatal(err)
	}
	l, err := knowledge.New(knowledge.Config{Store: st})
	if err != nil {
		t.Fatal(err)
	}
	srv, err := api.New(api.Config{
		Listen: "127.0.0.1:0", Calls: st, Once: st, Hub: api.NewHub(), Knowledge: l, Version: "test", Objects: st,
		Reader: cfg.Reader(),
	})
	if err != nil {
		t.Fatal(err)
	}
	h := httptest.NewServer(srv.Handler())
	t.Cleanup(func() {
		h.Close()
		l.Close()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := st.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return h.URL
}

func TestDocumentsAreAddedSearchedAndDeleted(t *testing.T) {
	t.Parallel()
	url := documents(t)
	dir := t.TempDir()
	for name, text := range map[string]string{
		"hours.md": "# Hours\n\nThe shop is open from nine to five.\n", "broken.docx": "x", "notes.xls": "not taken",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r := runCommand(t, "", "knowledge", "add", "--api", url, "--agent", "shop", "../../configs/examples/shop.md", dir)
	if r.code != 1 || !strings.Contains(r.out, "shop.md") || !strings.Contains(r.out, "hours.md") ||
		!strings.Contains(r.err, "broken.docx: the file is no docx") || strings.Contains(r.out+r.err, "notes.xls") {
		t.Errorf("add: %+v", r)
	}
	r = runCommand(t, "", "knowledge", "search", "--api", url, "--agent", "shop", "--threshold", "0.5", "parcel", "to", "Switzerland")
	if r.code != 0 || !strings.Contains(r.out, "1.00  shop.md: The bicycle shop") || !strings.Contains(r.out, "six days and 15 euros") {
		t.Errorf("search: %+v", r)
	}
	if r = runCommand(t, "", "knowledge", "search", "--api", url, "--agent", "shop", "helicopter"); r.out != "Nothing found in 2 documents.\n" {
		t.Errorf("nothing: %+v", r)
	}
	r = runCommand(t, "", "knowledge", "list", "--api", url, "--agent", "shop", "--json")
	var page struct{ Data []knownDocument }
	if err := json.Unmarshal([]byte(r.out), &page); err != nil || len(page.Data) != 2 {
		t.Fatalf("list: %+v", r)
	}
	if r = runCommand(t, "", "knowledge", "delete", "--api", url, "--agent", "shop", page.Data[0].ID, page.Data[1].ID); r.code != 0 {
		t.Errorf("delete: %+v", r)
	}
	if r = runCommand(t, "", "knowledge", "list", "--api", url, "--agent", "shop"); r.code != 0 || r.out != "" {
		t.Errorf("list of none: %+v", r)
	}
	for _, args := range [][]string{
		{"add", "--agent", "shop", filepath.Join(dir, "nowhere.md")},
		{"add", "--agent", "shop", t.TempDir()},
		{"search", "--agent", "shop", "--top-k", "0", "x"},
		{"search", "--agent", "shop", "--threshold", "2", "x"},
		{"list"},
	} {
		if r := runCommand(t, "", append([]string{"knowledge"}, args...)...); r.code != 2 {
			t.Errorf("%v: %+v", args, r)
		}
	}
	if r = runCommand(t, "", "knowledge", "list", "--api", url, "--agent", "nobody"); r.code != 1 || !strings.Contains(r.err, "agent") {
		t.Errorf("no such agent: %+v", r)
	}
}
