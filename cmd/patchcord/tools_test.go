package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/patchcord/patchcord/store"
	"github.com/patchcord/patchcord/tools"
	"github.com/patchcord/patchcord/tools/knowledge"
)

const importable = "../../testdata/tools/"

func runTools(t *testing.T, args ...string) (code int, out, errs string) {
	t.Helper()
	r := runCommand(t, "", args...)
	return r.code, r.out, r.err
}

func TestToolsImport(t *testing.T) {
	dir := t.TempDir()
	// An action that is published has a version; the first import writes it, the
	// second needs --force.
	action := importable + "hubspot/book-slot-hsmeta.json"
	code, out, _ := runTools(t, "tools", "import", action, importable+"flireo/agent.json", "-o", dir)
	if code != exitOK || !strings.Contains(out, "book_slot: hubspot, written to ") || !strings.Contains(out, "log_interest: flireo, written to ") {
		t.Fatalf("exit %d: %s", code, out)
	}
	if code, out, _ = runTools(t, "tools", "import", action, "-o", dir); code != exitFailed || !strings.Contains(out, "is there already") {
		t.Errorf("exit %d: %s", code, out)
	}
	if code, out, _ = runTools(t, "validate", filepath.Join(dir, "book_slot.yaml"), filepath.Join(dir, "log_interest.yaml")); code != exitOK {
		t.Errorf("exit %d: %s", code, out)
	}
	if code, out, _ = runTools(t, "tools", "import", action, "-o", dir, "--force"); code != exitOK {
		t.Errorf("exit %d: %s", code, out)
	}
	b, err := os.ReadFile(filepath.Join(dir, "book_slot.yaml"))
	if err != nil || !strings.Contains(string(b), "version: 2") { // H-19
		t.Errorf("%v: %s", err, b)
	}
	// H-19: a required field that was published stays.
	text, err := os.ReadFile(action)
	if err != nil {
		t.Fatal(err)
	}
	changed := filepath.Join(t.TempDir(), "book-slot-hsmeta.json")
	if err := os.WriteFile(changed, []byte(strings.Replace(string(text), `"name": "day"`, `"name": "date"`, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, _ = runTools(t, "tools", "import", changed, "-o", dir, "--force", "--json")
	var r struct {
		OK    bool `json:"ok"`
		Notes []struct {
			What    string `json:"what"`
			Refused bool   `json:"refused"`
		} `json:"notes"`
	}
	if err := json.Unmarshal([]byte(out), &r); err != nil || code != exitFailed || r.OK || !strings.Contains(out, `the required field \"day\" was published and is gone`) {
		t.Errorf("exit %d, %v: %s", code, err, out)
	}
	if code, _, errs := runTools(t, "tools", "import"); code != exitUsage || errs == "" {
		t.Errorf("no path: exit %d, %s", code, errs)
	}
	if code, out, _ := runTools(t, "tools", "import", filepath.Join(dir, "not-there"), "-o", dir); code != exitFailed || !strings.Contains(out, "no such file") {
		t.Errorf("no file: exit %d, %s", code, out)
	}
}

// config writes a configuration with one tool in the library and one agent, and
// names it.
func toolConfig(t *testing.T, url, toolIDs string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"patchcord.yaml": `http: {listen: "127.0.0.1:0"}
llm: {default: "n", "n": {type: "null"}}
stt: {default: "n", "n": {type: "null"}}
tts: {default: "n", "n": {type: "null"}}
secrets: {crm: canary-4711}
default_agent: support
tools: {files: "tools/*.yaml", allow_cidrs: ["127.0.0.0/8"]}
`,
		"agents/support.yaml": "name: support\nprompt: Be kind.\ntool_ids: " + toolIDs + "\ntools: [{tool_type: end_call}]\n",
		"tools/order.yaml": `name: check_order_status
description: Looks up an order. Call this when the caller asks for one.
tool_type: webhook
dialect: dariet
parameters: {properties: {order_id: {type: string}}, required: [order_id]}
config: {webhook_url: "` + url + `/orders", headers: {Authorization: "Bearer {{secret.crm}}"}}
`,
	} {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "patchcord.yaml")
}

// C-20, C-21: one run as a call would make it, shown with secrets masked.
func TestToolsTest_C20_C21(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil || r.Header.Get("Authorization") != "Bearer canary-4711" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"got":%q}`, b)
	}))
	t.Cleanup(s.Close)
	cfg := toolConfig(t, s.URL, "[check_order_status]")
	code, out, errs := runTools(t, "tools", "test", "check_order_status", "--args", `{"order_id":"1"}`, "-c", cfg)
	for _, want := range []string{
		"> POST " + s.URL + "/orders", "> Authorization: Bearer ***", `> {"tool":"check_order_status","args":{"order_id":"1"},"call_id":"test"}`,
		"< 200 application/json", "ok after ",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in it", want)
		}
	}
	if code != exitOK || strings.Contains(out, "canary") || errs != "" {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
	code, out, _ = runTools(t, "tools", "test", "check_order_status", "-c", cfg, "--json")
	var trial tools.Trial
	if err := json.Unmarshal([]byte(out), &trial); err != nil || code != exitFailed || trial.Request != nil || trial.Hints[0].Problem != "fields are missing" {
		t.Errorf("exit %d, %v: %s", code, err, out)
	}
	code, out, _ = runTools(t, "tools", "test", "check_order_status", "--args", `{"order_id":"1"}`, "-c", toolConfig(t, s.URL, "[]"))
	if code != exitOK || !strings.Contains(out, "it is not assigned to an agent") { // C-02
		t.Errorf("exit %d: %s", code, out)
	}
	if code, _, errs := runTools(t, "tools", "test", "chek_order", "-c", cfg); code != exitFailed || !strings.Contains(errs, "check_order_status") {
		t.Errorf("exit %d: %s", code, errs)
	}
	if code, _, errs := runTools(t, "tools", "test", "check_order_status", "--args", `[1]`, "-c", cfg); code != exitUsage || !strings.Contains(errs, "patchcord tools test --help") {
		t.Errorf("exit %d: %s", code, errs)
	}
}

// T-15, C-20: a trial of knowledge_base looks into the files that are named, else
// into what the agent has in the store.
func TestToolsTestOfDocuments_T15(t *testing.T) {
	cfg := toolConfig(t, "https://x.example", "[docs]")
	dir := filepath.Dir(cfg)
	for name, text := range map[string]string{
		"tools/docs.yaml": "name: docs\ndescription: Searches the documents. Call this for questions.\ntool_type: knowledge_base\n" +
			"config: {top_k: 2, similarity_threshold: 0.1}\n",
		"docs/prices.md": "# Prices\n\nDelivery of an order costs four euros.\n",
		"docs/note.bin":  "no document",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f, err := os.OpenFile(cfg, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	url := "sqlite:" + filepath.Join(dir, "calls.db")
	if _, err := fmt.Fprintf(f, "store: {url: %q}\n", url); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	args := []string{"tools", "test", "docs", "--args", `{"query":"delivery cost"}`, "-c", cfg}
	code, out, errs := runTools(t, append(args, "--documents", filepath.Join(dir, "docs"))...)
	if code != exitOK || !strings.Contains(out, "Delivery of an order costs four euros.") {
		t.Errorf("exit %d: %s%s", code, out, errs)
	}
	if code, out, errs := runTools(t, args...); code != exitFailed || !strings.Contains(errs, "--documents") {
		t.Errorf("without a store: exit %d: %s%s", code, out, errs)
	}
	st, err := store.Open(t.Context(), store.Config{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	lib, err := knowledge.New(knowledge.Config{Store: st})
	if err != nil {
		t.Fatal(err)
	}
	_, err = lib.Add(t.Context(), "support", "hours.md", "", []byte("Delivery is free on Mondays.\n"))
	lib.Close()
	if err = errors.Join(err, st.Close(t.Context())); err != nil {
		t.Fatal(err)
	}
	code, out, errs = runTools(t, args...)
	if code != exitOK || !strings.Contains(out, "Delivery is free on Mondays.") {
		t.Errorf("of the store: exit %d: %s%s", code, out, errs)
	}
	if code, _, errs := runTools(t, append(args, "--documents", filepath.Join(dir, "none.md"))...); code != exitUsage || !strings.Contains(errs, "none.md") {
		t.Errorf("a file that is none: exit %d: %s", code, errs)
	}
	if code, _, errs := runTools(t, append(args, "--documents", filepath.Join(dir, "docs", "note.bin"))...); code != exitFailed || !strings.Contains(errs, "note.bin") {
		t.Errorf("a file of another form: exit %d: %s", code, errs)
	}
	if code, _, errs := runTools(t, "tools", "test", "end_call", "-c", cfg, "--documents", dir); code != exitUsage || !strings.Contains(errs, "no knowledge_base") {
		t.Errorf("another tool: exit %d: %s", code, errs)
	}
}

func TestToolsList(t *testing.T) {
	cfg := toolConfig(t, "https://x.example", "[]")
	code, out, _ := runTools(t, "tools", "list", "-c", cfg)
	if code != exitOK || !strings.Contains(out, "webhook dariet  assigned to no agent") || !strings.Contains(out, "end_call") {
		t.Errorf("exit %d: %s", code, out)
	}
	code, out, _ = runTools(t, "tools", "list", "-c", toolConfig(t, "https://x.example", "[check_order_status]"), "--json")
	if code != exitOK || !strings.Contains(out, `{"name":"check_order_status","tool_type":"webhook","dialect":"dariet","is_enabled":true,"agents":["support"],"shared":true,`) {
		t.Errorf("exit %d: %s", code, out)
	}
}
