package api

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/patchcord/patchcord/telephony/dialer"
)

func TestContactsAreImported(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.do("POST", "/v1/campaigns", strings.Replace(spring, `"profile":"eu",`, "", 1))
	const path = "/v1/campaigns/spring/contacts"
	for _, tc := range []struct {
		name, kind, list string
		want             Imported
	}{
		{"a CSV", "text/csv; charset=utf-8", "number,name,order,amount,consent\n" +
			"030 123456,Ada,A-1,12.50,form 2026-01-02\n" +
			"+4930 123457,Bert,A-2,9,\n" +
			"+33140000000,Chloé,A-3,1,\n" + // the gate knows +49 only
			"12,Dora,A-4,1,\n" +
			"+49301234567,Emil,,1,\n" +
			"+49301234568,Fritz,A-5,much,\n", Imported{Rows: 6, Accepted: 2, Refused: 4, Faults: []RefusedRow{
			{4, 0, "number", "no prefix of dialing.allow fits"},
			{5, 1, "number", ""},
			{6, 0, "order", "is missing: every contact of this campaign has to bring it"},
			{7, 24, "amount", ""},
		}}},
		{
			"the same numbers as JSON", "application/json", `[{"phone":"+4930123456","order":"B-1"},{"number":"+4930123458","variables":{"order":"B-2"}}]`,
			Imported{Rows: 2, Accepted: 1, Duplicates: 1},
		},
		{
			"an object a line", "application/x-ndjson", `{"number":"+4930123459","order":"C-1"}` + "\n\n" + `{"number":"+4930123459","order":"C-2"}` + "\n",
			Imported{Rows: 2, Accepted: 1, Refused: 1, Faults: []RefusedRow{{3, 0, "number", "is the number of line 1 again"}}},
		},
	} {
		a := f.do("POST", path, tc.list, "Content-Type", tc.kind)
		var got Imported
		a.into(t, &got)
		if a.StatusCode != 200 || got.Rows != tc.want.Rows || got.Accepted != tc.want.Accepted ||
			got.Duplicates != tc.want.Duplicates ||
			got.Refused != tc.want.Refused || len(got.Faults) != len(tc.want.Faults) {
			t.Fatalf("%s: %d %s", tc.name, a.StatusCode, a.text)
		}
		for i, w := range tc.want.Faults {
			g := got.Faults[i]
			if g.Line != w.Line || g.Field != w.Field || w.Why != "" && g.Why != w.Why || g.Why == "" || w.Column != 0 && g.Column != w.Column {
				t.Errorf("%s: %+v, want %+v", tc.name, g, w)
			}
		}
	}
	var page Page[Contact]
	f.do("GET", path+"?limit=3", "").into(t, &page)
	if len(page.Data) != 3 || page.NextCursor == "" || page.Data[0].Number != "+4930123456" || page.Data[0].Name != "Ada" ||
		page.Data[0].Variables["amount"] != 12.5 || page.Data[0].Consent != "form 2026-01-02" || page.Data[0].State != dialer.Pending {
		t.Errorf("%+v", page)
	}
	next := page.NextCursor
	page = Page[Contact]{}
	f.do("GET", path+"?cursor="+next, "").into(t, &page)
	if len(page.Data) != 1 || page.NextCursor != "" {
		t.Errorf("%+v", page)
	}
	page = Page[Contact]{}
	if f.do("GET", path+"?state=reached", "").into(t, &page); len(page.Data) != 0 {
		t.Errorf("%+v", page)
	}
	if f.do("GET", path+"?number=%2B4930123458", "").into(t, &page); len(page.Data) != 1 || page.Data[0].Variables["order"] != "B-2" {
		t.Errorf("%+v", page)
	}
	id := page.Data[0].ID
	var one Contact
	if f.do("GET", path+"/"+id, "").into(t, &one); one.ID != id || len(one.Attempts) != 0 {
		t.Errorf("%+v", one)
	}
	if a := f.do("GET", "/v1/campaigns/"+f.draft("other", "sales").ID+"/contacts/"+id, ""); a.StatusCode != 404 {
		t.Errorf("of another campaign: %d", a.StatusCode)
	}
}

func TestListsThatCannotBeRead(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.draft("c", "support")
	for _, tc := range []struct {
		name, kind, list string
		status           int
		code, says       string
	}{
		{"no form", "application/octet-stream", "number\n", 422, "invalid_request", "text/csv, application/json or application/x-ndjson"},
		{"nothing", "text/csv", "", 422, "unreadable_list", "the file is empty"},
		{"no head", "text/csv", "+4930123456\n", 422, "unreadable_list", "the first row has to name the columns"},
		{"no number", "text/csv", "name\nAda\n", 422, "unreadable_list", "no column is named number or phone"},
		{"no JSON", "application/json", "[{", 422, "unreadable_list", "the array does not end"},
		{"JSON that ends", "application/json", `[{"number":"+4930123456"},`, 422, "unreadable_list", "Of 1 rows before, 1 were taken"},
	} {
		a := f.do("POST", "/v1/campaigns/c/contacts", tc.list, "Content-Type", tc.kind)
		if a.StatusCode != tc.status || a.problem(t) != tc.code || !strings.Contains(a.text, tc.says) {
			t.Errorf("%s: %d %s", tc.name, a.StatusCode, a.text)
		}
	}
}

// A list of any length is told in an answer that has an end.
func TestRefusedRowsAreToldUpToABound_SEC12(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.draft("c", "support")
	a := f.do("POST", "/v1/campaigns/c/contacts", "number\n"+strings.Repeat("nobody\n", mostRefused+500), "Content-Type", "text/csv")
	var got Imported
	a.into(t, &got)
	if got.Refused != mostRefused+500 || len(got.Faults) != mostRefused || got.Rows != got.Refused {
		t.Errorf("%d refused, %d told", got.Refused, len(got.Faults))
	}
}

// rows is a CSV of n contacts that is made while it is read.
func rows(n int) io.Reader {
	r, w := io.Pipe()
	go func() {
		b := bufio.NewWriterSize(w, 64<<10)
		_, _ = b.WriteString("number,name,consent,order\n")
		for i := range n {
			_, _ = fmt.Fprintf(b, "%s,\"Person, the %dth\",form 2026-01-02,A-%d\n", number(i), i, i)
		}
		_ = w.CloseWithError(b.Flush())
	}()
	return r
}

// send sends a list of any length.
func (f *fixture) send(path string, list io.Reader, header ...string) Imported {
	f.t.Helper()
	req, err := http.NewRequestWithContext(f.t.Context(), http.MethodPost, f.http.URL+path, list)
	if err != nil {
		f.t.Fatal(err)
	}
	req.Header.Set("X-API-Key", f.key)
	req.Header.Set("Content-Type", "text/csv")
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		f.t.Fatal(err)
	}
	defer res.Body.Close() //nolint:errcheck // read only
	text, err := io.ReadAll(res.Body)
	var got Imported
	if err = errors.Join(err, json.Unmarshal(text, &got)); err != nil || res.StatusCode != 200 {
		f.t.Fatalf("%d %v %s", res.StatusCode, err, text)
	}
	return got
}

// counting tells of each part of a list that is kept.
type counting struct {
	campaignsOf
	parts chan int // sizes; room for all
}

func (c counting) AddContacts(_ context.Context, _ string, list []dialer.Contact) ([]int, error) {
	c.parts <- len(list)
	return nil, nil
}

// SEC-12: a list is kept part by part while it comes: the rest of it is sent
// when the first parts are kept.
func TestAListIsNeverInMemory_SEC12(t *testing.T) {
	t.Parallel()
	parts := make(chan int, 100)
	f := newFixture(t, func(c *Config) { c.Campaigns = counting{c.Campaigns, parts} })
	f.draft("c", "support")
	r, w := io.Pipe()
	var got Imported
	done := make(chan struct{})
	go func() {
		defer close(done)
		got = f.send("/v1/campaigns/c/contacts", r)
	}()
	n := 0
	write := func(more int) {
		for range more {
			if _, err := io.WriteString(w, number(n)+"\n"); err != nil {
				t.Error(err)
				return
			}
			n++
		}
	}
	if _, err := io.WriteString(w, "number\n"); err != nil {
		t.Fatal(err)
	}
	const ahead = 10_000 // rows that buffers on the way may hold back
	for range 3 {
		write(partOfList + ahead)
		if size := <-parts; size != partOfList {
			t.Errorf("a part of %d", size)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	<-done
	if got.Accepted != n {
		t.Errorf("%+v, want %d", got, n)
	}
}

// SEC-13: a list that is sent again under its Idempotency-Key is answered as
// the first time, however long it is.
func TestAListIsImportedOnce(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.draft("c", "support")
	const path = "/v1/campaigns/c/contacts"
	n := 30_000 // more than 1 MB
	first := f.send(path, rows(n), "Idempotency-Key", "k")
	if again := f.send(path, rows(n), "Idempotency-Key", "k"); first.Accepted != n || again.Accepted != n {
		t.Errorf("%+v, %+v", first, again)
	}
	if again := f.send(path, rows(n), "Idempotency-Key", "k2"); again.Accepted != 0 || again.Duplicates != n {
		t.Errorf("%+v", again)
	}
	if a := f.do("POST", path, "number\n+4930\n", "Idempotency-Key", "k", "Content-Type", "text/csv"); a.problem(t) != "idempotency_key_reused" {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
}

func TestOnlyAFewListsAreReadAtATime_SEC12(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.draft("c", "support")
	for range mostImports {
		f.srv.imports <- struct{}{}
	}
	a := f.do("POST", "/v1/campaigns/c/contacts", "number\n", "Content-Type", "text/csv")
	if a.StatusCode != 503 || a.Header.Get("Retry-After") == "" {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
}
