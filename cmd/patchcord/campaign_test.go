package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
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
	"github.com/patchcord/patchcord/telephony/dialer"
)

const (
	exampleCampaign = "../../configs/examples/campaign/spring.yaml"
	exampleContacts = "../../configs/examples/campaign/contacts.csv"
)

// campaigns is an engine's API with a store, and its URL.
func campaigns(t *testing.T) (string, *store.Store) {
	t.Helper()
	st, err := store.Open(t.Context(), store.Config{URL: "sqlite:" + filepath.Join(t.TempDir(), "a.db")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := st.CreateAgent(t.Context(), "", agent.Agent{ID: "support", Name: "support"}); err != nil {
		t.Fatal(err)
	}
	cfg, _, err := configs.Load("")
	if err != nil {
		t.Fatal(err)
	}
	profiles, err := dialer.LoadProfiles()
	if err != nil {
		t.Fatal(err)
	}
	srv, err := api.New(api.Config{
		Listen: "127.0.0.1:0", Calls: st, Once: st, Hub: api.NewHub(), Campaigns: st, Profiles: profiles, Version: "test",
		Objects: st, Reader: cfg.Reader(),
	})
	if err != nil {
		t.Fatal(err)
	}
	h := httptest.NewServer(srv.Handler())
	t.Cleanup(func() {
		h.Close()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := st.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return h.URL, st
}

// textFile is a file of a test.
func textFile(t *testing.T, name, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestACampaignFromTheCommandLine(t *testing.T) {
	t.Parallel()
	url, _ := campaigns(t)
	do := func(code int, in string, args ...string) ran {
		t.Helper()
		r := runCommand(t, in, append([]string{"campaign", args[0], "--api", url}, args[1:]...)...)
		if r.code != code {
			t.Fatalf("%q: %+v", args, r)
		}
		return r
	}
	if r := do(0, "", "create", exampleCampaign); !strings.HasSuffix(r.out, "  spring: draft\n") {
		t.Errorf("%+v", r)
	}
	if r := do(1, "", "create", exampleCampaign); !strings.Contains(r.err, "campaign of this name already") {
		t.Errorf("%+v", r)
	}
	r := do(0, "", "import", "spring", exampleContacts)
	if !strings.Contains(r.out, " rows taken, 0 there already, 0 refused\n") || r.err != "" { // no bar on a pipe
		t.Errorf("%+v", r)
	}
	r = do(1, "number,name,order,amount\n+4930123456,Ada,A-1,1\n123,Bert,A-2,1\n+4930999,Cleo,,1\n", "import", "spring", "-", "--format", "csv")
	if !strings.Contains(r.err, "LINE  COLUMN  WHY\n3     number  ") || !strings.Contains(r.err, "\n4     order   is missing") {
		t.Errorf("%+v", r)
	}
	r = do(1, "number,order\n123,A-1\n", "import", "spring", "-", "--format", "csv", "--json")
	var report importReport
	if err := json.Unmarshal([]byte(r.out), &report); err != nil || report.Refused != 1 || report.Faults[0].Line != 2 || r.err != "" {
		t.Errorf("%v %+v", err, r)
	}
	if r = do(0, "", "start", "spring"); !strings.HasSuffix(r.out, "  spring: running\n") {
		t.Errorf("%+v", r)
	}
	do(0, "", "pause", "spring", "--reason", "lunch")
	if r = do(0, "", "status", "spring"); !strings.Contains(r.out, "spring: paused (by local: lunch)\n  people ") || !strings.Contains(r.out, "pending ") {
		t.Errorf("%+v", r)
	}
	do(0, "", "resume", "spring")
	if r = do(0, "", "list", "--status", "running"); !strings.HasPrefix(r.out, "ID ") || !strings.Contains(r.out, "  spring  running") {
		t.Errorf("%+v", r)
	}
	if r = do(0, "", "list", "--status", "draft"); r.out != "" {
		t.Errorf("%+v", r)
	}
	do(0, "", "cancel", "spring")
	if r = do(0, "", "status", "spring", "--watch", "--json"); strings.Count(r.out, "\n") != 1 { // it is over
		t.Errorf("%+v", r)
	}
	if r = do(1, "", "start", "spring"); !strings.Contains(r.err, "it is cancelled") {
		t.Errorf("%+v", r)
	}
	csvOut := do(0, "", "export", "spring").out
	if !strings.HasPrefix(csvOut, "contact_id,number,name,") || !strings.Contains(csvOut, ",expired,") {
		t.Errorf("%s", csvOut)
	}
	file := filepath.Join(t.TempDir(), "out.csv")
	do(0, "", "export", "spring", "-o", file)
	if b, err := os.ReadFile(file); err != nil || string(b) != csvOut {
		t.Errorf("%v: %s", err, b)
	}
	if r = do(0, "", "export", "spring", "--format", "ndjson", "--attempts"); r.out != "" { // nobody was called
		t.Errorf("%+v", r)
	}
	if r = do(1, "", "status", "nothing"); !strings.Contains(r.err, "no such campaign") {
		t.Errorf("%+v", r)
	}
}

// Who was dialled when a node died is listed with the call and decided upon, and a
// campaign is deleted that does not run.
func TestPeopleUpForReview(t *testing.T) {
	t.Parallel()
	url, st := campaigns(t)
	do := func(code int, args ...string) ran {
		t.Helper()
		r := runCommand(t, "", append([]string{"campaign", args[0], "--api", url}, args[1:]...)...)
		if r.code != code {
			t.Fatalf("%q: %+v", args, r)
		}
		return r
	}
	do(0, "create", exampleCampaign)
	do(0, "import", "spring", exampleContacts)
	c, err := st.Campaign(t.Context(), "spring")
	if err != nil {
		t.Fatal(err)
	}
	every := func() []store.Contact {
		all, _, err := st.Contacts(t.Context(), store.ContactFilter{Campaign: c.ID, Page: store.Page{Limit: store.All}})
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	if r := do(0, "review", "spring"); r.out != "" {
		t.Errorf("nobody: %+v", r)
	}
	all := every()
	if len(all) < 3 {
		t.Fatalf("%d contacts", len(all))
	}
	for _, k := range all[:len(all)-1] {
		if _, err := st.MoveContact(t.Context(), k.ID, dialer.Review, time.Time{}, "its node died"); err != nil {
			t.Fatal(err)
		}
	}
	free := all[len(all)-1]
	r := do(0, "review", "spring")
	if strings.Count(r.out, "\n") != len(all) || !strings.HasPrefix(r.out, "CONTACT ") || !strings.Contains(r.out, all[0].Number) ||
		!strings.Contains(r.out, "its node died") || strings.Contains(r.out, free.Number) {
		t.Errorf("%+v", r)
	}
	for _, bad := range [][]string{
		{"review", "spring", "--as", "failed"},
		{"review", "spring", "--all"},
		{"review", "spring", "--as", "failed", "--all", all[0].ID},
		{"review", "spring", "--as", "dialing", "--all"},
	} {
		do(2, bad...)
	}
	if r = do(1, "review", "spring", "--as", "failed", all[0].ID, free.Number); !strings.Contains(r.err, free.Number) {
		t.Errorf("%+v", r)
	}
	if r = do(0, "review", "spring", "--as", "reached", "--why", "she called back", all[0].ID, all[0].Number); r.out != "1 now reached\n" {
		t.Errorf("%+v", r)
	}
	if r = do(1, "review", "spring", "--as", "failed", all[0].ID); !strings.Contains(r.err, "not up for review") {
		t.Errorf("%+v", r)
	}
	r = do(0, "review", "spring", "--as", "pending", "--all", "--json")
	if want := fmt.Sprintf(`{"moved":%d,"state":"pending"}`, len(all)-2); strings.TrimSpace(r.out) != want {
		t.Errorf("%s, want %s", r.out, want)
	}
	states := map[dialer.State]int{}
	for _, k := range every() {
		if states[k.State]++; k.ID == all[0].ID && k.Why != "she called back" {
			t.Errorf("%+v", k)
		}
	}
	if states[dialer.Reached] != 1 || states[dialer.Pending] != len(all)-1 {
		t.Errorf("%v", states)
	}

	do(0, "start", "spring")
	if r = do(1, "delete", "spring"); !strings.Contains(r.err, "it is running") {
		t.Errorf("%+v", r)
	}
	do(0, "cancel", "spring")
	if r = do(0, "delete", "spring"); r.out != "" || r.err != "" {
		t.Errorf("%+v", r)
	}
	if r = do(1, "delete", "spring"); !strings.Contains(r.err, "no such campaign") {
		t.Errorf("%+v", r)
	}
}

// A fault of a file is told where it is.
func TestFaultsOfACampaignHaveTheirPlace(t *testing.T) {
	t.Parallel()
	url, _ := campaigns(t)
	file := textFile(t, "c.yaml", `name: spring
agent_id: nobody
concurrency: 10
cps: 2
hours:
  windows:
    - {days: [mon], from: "8", to: "21:00"}
retries:
  busy: {after: -5, most: 3}
zone: Mars
`)
	r := runCommand(t, "", "campaign", "create", file, "--api", url)
	for _, want := range []string{
		":2:11: agent_id: there is no such agent", `:7:27: hours.windows[0].from: `, `:9:17: retries.busy.after: `, ":10:7: zone: ",
	} {
		if !strings.Contains(r.err, want) {
			t.Errorf("no %q", want)
		}
	}
	if r.code != 1 || r.out != "" || t.Failed() {
		t.Errorf("%+v", r)
	}
	for _, tc := range []struct{ text, says string }{
		{"name: x\nagent_id: support\nconcurrency: 1\n", ":1:1: expected required property cps"},
		{"name: x\nagent_id: support\nconcurrency: 1\ncps: 1\nnmae: y\n", ":5:7: nmae: unexpected property"},
		{"{\"name\": 7}", ":1:10: name: expected string"},
		{"a: [", "neither JSON nor YAML"},
		{"", "the file is empty"},
	} {
		if r := runCommand(t, tc.text, "campaign", "create", "-", "--api", url); r.code != 1 || !strings.Contains(r.err, tc.says) {
			t.Errorf("%q: %+v", tc.text, r)
		}
	}
}

func TestWrongWaysToCallOfCampaigns(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"campaign"},
		{"campaign", "create", "nowhere.yaml"},
		{"campaign", "import", "spring", "nowhere.csv"},
		{"campaign", "import", "spring", textFile(t, "people.xls", "x")},
		{"campaign", "import", "spring", "-"},
		{"campaign", "status", "spring", "--watch", "--every", "1ms"},
		{"campaign", "export", "spring", "--format", "xls"},
		{"campaign", "list", "--status", "gone"},
		{"dnc"},
		{"dnc", "add"},
		{"dnc", "import", "-"},
	} {
		if r := runCommand(t, "", args...); r.code != 2 {
			t.Errorf("%v: %+v", args, r)
		}
	}
}

// Results that break off are told, and no file looks complete.
func TestAnExportThatBreaksOffFails(t *testing.T) {
	t.Parallel()
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("contact_id\n"))
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}))
	t.Cleanup(h.Close)
	r := runCommand(t, "", "campaign", "export", "spring", "--api", h.URL)
	if r.code != 1 || !strings.Contains(r.err, "not complete") {
		t.Errorf("%+v", r)
	}
}

// A terminal is drawn over, and shows a bar on the side of errors.
func TestATerminalSeesTheStatusInItsPlace(t *testing.T) {
	t.Parallel()
	asked := 0
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked++
		status := map[bool]string{true: "running", false: "completed"}[asked == 1]
		_, _ = w.Write([]byte(`{"id":"1","name":"spring","status":"` + status + `","stats":{"contacts":{"pending":2},"total":2,` +
			`"outcomes":{"busy":1,"person":3},"attempts":4,"answer_rate":0.75,"next_due":"2020-01-01T00:00:00Z"}}`))
	}))
	t.Cleanup(h.Close)
	var out, errs bytes.Buffer
	code := run(t.Context(), []string{"campaign", "status", "spring", "--watch", "--api", h.URL}, &output{out: &out, err: &errs, terminal: true})
	want := "1  spring: running\n  people         2  pending 2\n  attempts       4  person 3, busy 1\n" +
		"  calls up       0  0 begun in the last minute, 75.0 % answered, 0.0 % abandoned\n  people are due now\n" +
		"\x1b[5A\x1b[J1  spring: completed\n"
	if code != 0 || !strings.HasPrefix(out.String(), want) {
		t.Errorf("%d %q", code, out.String())
	}
}

func TestDoNotCallFromTheCommandLine(t *testing.T) {
	t.Parallel()
	url, _ := campaigns(t)
	do := func(code int, in string, args ...string) ran {
		t.Helper()
		r := runCommand(t, in, append([]string{"dnc", args[0], "--api", url}, args[1:]...)...)
		if r.code != code {
			t.Fatalf("%q: %+v", args, r)
		}
		return r
	}
	if r := do(0, "", "add", "+49 30 123456", "+4930123457", "--why", "letter"); r.out != "2 added, 0 there already\n" {
		t.Errorf("%+v", r)
	}
	if r := do(1, "", "add", "nobody"); !strings.Contains(r.err, "body.numbers[0]: ") {
		t.Errorf("%+v", r)
	}
	if r := do(0, "number\n030 123456\n030 123458\n", "import", "-", "--format", "csv", "--country", "DE"); r.out != "1 of 2 rows taken, 1 there already, 0 refused\n" {
		t.Errorf("%+v", r)
	}
	if r := do(0, "", "list"); strings.Count(r.out, "\n") != 4 || !strings.Contains(r.out, "+4930123456  20") || !strings.Contains(r.out, "letter") {
		t.Errorf("%+v", r)
	}
	do(0, "", "remove", "+4930123456")
	if r := do(1, "", "remove", "+4930123456"); !strings.Contains(r.err, "not on this list") {
		t.Errorf("%+v", r)
	}
	if r := do(0, "", "list", "--json"); strings.Count(r.out, "\n") != 2 {
		t.Errorf("%+v", r)
	}
	if r := do(1, "", "add", "+4930123456", "--campaign", "none"); !strings.Contains(r.err, "no such campaign") {
		t.Errorf("%+v", r)
	}
}

// Whatever a file and a fault's path are, the place is within the file.
func FuzzMemberPlace(f *testing.F) {
	f.Add([]byte("a:\n  b: [1, {c: 2}]\n"), "a.b[1].c")
	f.Fuzz(func(t *testing.T, text []byte, path string) {
		if line, col := memberPlace(text, path); line < 0 || col < 0 || line > bytes.Count(text, []byte("\n"))+bytes.Count(text, []byte("\r"))+1 {
			t.Errorf("%d:%d of %q", line, col, text)
		}
	})
}
