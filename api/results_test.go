package api

import (
	"bufio"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/patchcord/patchcord/store"
	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/telephony/dialer"
)

// called is a campaign with three contacts: one was called twice, one reached,
// one waits.
func (f *fixture) called() {
	f.t.Helper()
	a := f.do("POST", "/v1/campaigns", `{"name":"called","agent_id":"support","concurrency":5,"cps":50,"country":"DE",
		"variables":[{"name":"note"},{"name":"amount","type":"number"}]}`)
	id := answerID(f.t, a.text)
	if _, err := f.store.AddContacts(f.t.Context(), id, []dialer.Contact{
		{Number: "+4930111", Name: "=1+1", Variables: map[string]any{"note": "@SUM(A1)", "amount": -5}},
		{Number: "+4930222", Name: "Bert", Variables: map[string]any{"note": "says \"hi\",\nthen goes", "amount": 7.5}},
		{Number: "+4930333", Name: "Cleo"},
	}); err != nil {
		f.t.Fatal(err)
	}
	f.do("POST", "/v1/campaigns/called/start", "")
	ctx, l := f.t.Context(), f.store.Ledger()
	finish := func(a dialer.Attempt, r dialer.Result) {
		f.t.Helper()
		if err := l.Dialing(ctx, a, telephony.CallID("call-"+a.Contact.ID), "+4989000"); err != nil {
			f.t.Fatal(err)
		}
		if r.Outcome == dialer.OutcomePerson {
			r.Answered = day
		}
		r.Ended = day.Add(time.Minute)
		if err := l.Finish(ctx, a, r); err != nil {
			f.t.Fatal(err)
		}
	}
	for _, a := range f.claim(id, 2) {
		if a.Contact.Number == "+4930111" {
			finish(a, dialer.Result{Outcome: dialer.OutcomeBusy, SIP: 486, Next: dialer.Pending})
			continue
		}
		finish(a, dialer.Result{
			Outcome: dialer.OutcomePerson, SIP: 200, AnsweredBy: "human", Disposition: "-interested", Next: dialer.Reached,
			Data: map[string]any{"email": "bert@example.com"},
		})
	}
	for _, a := range f.claim(id, 1) { // the one that was busy, due at once, is due before who was added later
		finish(a, dialer.Result{Outcome: dialer.OutcomeNoAnswer, SIP: 480, Next: dialer.Failed, Why: "no attempt is left"})
	}
}

// result asks for results.
func (f *fixture) result(query string, header ...string) answer {
	f.t.Helper()
	a := f.do("GET", "/v1/campaigns/called/results"+query, "", header...)
	if a.StatusCode != 200 {
		f.t.Fatalf("%d %s", a.StatusCode, a.text)
	}
	return a
}

func TestResultsPerContactAndPerAttempt(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.called()
	lines := func(a answer) (out []Result) {
		t.Helper()
		for l := range strings.Lines(a.text) {
			var r Result
			if err := json.Unmarshal([]byte(l), &r); err != nil {
				t.Fatalf("%v in %s", err, l)
			}
			out = append(out, r)
		}
		return out
	}
	a := f.result("")
	if a.Header.Get("Content-Type") != "application/x-ndjson" {
		t.Errorf("%v", a.Header)
	}
	each := lines(a)
	if len(each) != 3 || each[0].Attempt == nil || each[0].N != 2 || each[0].Outcome != dialer.OutcomeNoAnswer ||
		each[0].State != dialer.Failed ||
		each[0].StateWhy == "" || each[0].Variables["amount"] != -5.0 ||
		each[1].AnsweredBy != "human" || each[1].Data["email"] != "bert@example.com" || each[1].From != "+4989000" || each[1].AnsweredAt == nil ||
		each[2].Attempt != nil || each[2].State != dialer.Pending || each[2].Number != "+4930333" {
		t.Errorf("%s", a.text)
	}
	a = f.result("?per=attempt", "Accept", "application/x-ndjson")
	var got []string
	for _, r := range lines(a) {
		got = append(got, r.Number+" "+string(r.Outcome))
	}
	if want := []string{"+4930111 busy", "+4930111 no_answer", "+4930222 person"}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

// No cell of the CSV is a formula to a spreadsheet; numbers stay numbers.
func TestResultsAsCSV(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.called()
	a := f.result("", "Accept", "text/csv")
	if ct := a.Header.Get("Content-Type"); !strings.HasPrefix(ct, "text/csv") || !strings.Contains(a.Header.Get("Content-Disposition"), "results.csv") {
		t.Errorf("%v", a.Header)
	}
	all, err := csv.NewReader(strings.NewReader(a.text)).ReadAll()
	if err != nil || len(all) != 4 {
		t.Fatalf("%v: %s", err, a.text)
	}
	cell := func(row int, name string) string {
		t.Helper()
		i := slices.Index(all[0], name)
		if i < 0 {
			t.Fatalf("no column %s in %q", name, all[0])
		}
		return all[row][i]
	}
	for _, c := range []struct {
		row        int
		name, want string
	}{
		{1, "number", "+4930111"},
		{1, "name", "'=1+1"},
		{1, "variables.note", "'@SUM(A1)"},
		{1, "variables.amount", "-5"},
		{1, "sip", "480"},
		{1, "n", "2"},
		{2, "variables.note", "says \"hi\",\nthen goes"},
		{2, "disposition", "'-interested"},
		{2, "data", `{"email":"bert@example.com"}`},
		{2, "opt_out", "false"},
		{3, "outcome", ""},
		{3, "opt_out", ""},
		{3, "claimed_at", ""},
	} {
		if got := cell(c.row, c.name); got != c.want {
			t.Errorf("%s of row %d: %q, want %q", c.name, c.row, got, c.want)
		}
	}
	if a = f.result("?format=ndjson", "Accept", "text/csv"); !strings.HasPrefix(a.text, "{") {
		t.Errorf("the query goes first: %s", a.text)
	}
	if a = f.do("GET", "/v1/campaigns/called/results?format=xls", ""); a.StatusCode != 422 || a.problem(t) != "invalid_request" {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
}

func TestCellsAreNoFormulas(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"": "", "Ada": "Ada", "+4930123456": "+4930123456", "-5": "-5", "-5.25": "-5.25", "12": "12",
		"=1+1": "'=1+1", "+1+1": "'+1+1", "-1+cmd|' /C calc'!A0": "'-1+cmd|' /C calc'!A0", "@SUM(A1)": "'@SUM(A1)",
		"\t=1": "'\t=1", "\r=1": "'\r=1", "\n=1": "'\n=1", "+": "'+", "-": "'-", "a=1": "a=1", "ünïcode": "ünïcode",
	} {
		if got := inertCell(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// campaignsOf is embedded under a name that none of its methods has.
type campaignsOf = Campaigns

// brokenResults end in the middle.
type brokenResults struct{ campaignsOf }

func (b brokenResults) Results(ctx context.Context, id string) iter.Seq2[store.Dialled, error] {
	return func(yield func(store.Dialled, error) bool) {
		for d, err := range b.campaignsOf.Results(ctx, id) {
			if !yield(d, err) {
				return
			}
			yield(store.Dialled{}, errors.New("the disk is gone"))
			return
		}
	}
}

// endless results are made while they are read.
type endlessResults struct {
	campaignsOf
	stopped chan int // how many there were by then; one value
}

func (e endlessResults) Results(context.Context, string) iter.Seq2[store.Dialled, error] {
	return func(yield func(store.Dialled, error) bool) {
		for n := 1; ; n++ {
			if !yield(store.Dialled{Contact: store.Contact{Contact: dialer.Contact{Number: "+4930111", State: dialer.Pending}}}, nil) {
				e.stopped <- n
				return
			}
		}
	}
}

// SEC-12: results are written while they are read, and no further than their
// reader goes.
func TestResultsAreNeverInMemory_SEC12(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"csv", "ndjson"} {
		stopped := make(chan int, 1)
		f := newFixture(t, func(c *Config) { c.Campaigns = endlessResults{c.Campaigns, stopped} })
		f.draft("called", "support")
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.http.URL+"/v1/campaigns/called/results?format="+format, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-API-Key", f.key)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(res.Body)
		for range 5000 {
			if !lines.Scan() {
				t.Fatal(lines.Err())
			}
		}
		_ = res.Body.Close()
		if n := <-stopped; n < 5000 {
			t.Errorf("%s: %d lines were made", format, n)
		}
	}
}

// A stream that breaks off does not look like one that has ended.
func TestResultsThatBreakOffAreNotComplete(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(c *Config) { c.Campaigns = brokenResults{c.Campaigns} })
	f.called()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.http.URL+"/v1/campaigns/called/results", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-API-Key", f.key)
	res, err := http.DefaultClient.Do(req)
	if err == nil {
		defer res.Body.Close() //nolint:errcheck // read only
		_, err = io.Copy(io.Discard, bufio.NewReader(res.Body))
	}
	if err == nil {
		t.Error("it looks complete")
	}
}
