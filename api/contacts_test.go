package api

import (
	"fmt"
	"strings"
	"testing"

	"github.com/patchcord/patchcord/telephony/dialer"
)

// number is the nth of a country's.
func number(n int) string { return fmt.Sprintf("+49301%06d", n) }

// contacts adds n contacts to a campaign.
func (f *fixture) contacts(campaign string, n int) {
	f.t.Helper()
	list := make([]dialer.Contact, 0, n)
	for i := range n {
		list = append(list, dialer.Contact{Number: number(i)})
	}
	if _, err := f.store.AddContacts(f.t.Context(), campaign, list); err != nil {
		f.t.Fatal(err)
	}
}

// What was dialled when a node died is called again when somebody says so, and
// not before.
func TestAContactIsMoved(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	c := f.draft("c", "support")
	f.contacts(c.ID, 2)
	path := "/v1/campaigns/c/contacts"
	f.do("POST", "/v1/campaigns/c/start", "")
	f.claim(c.ID, 1)
	var all Page[Contact]
	f.do("GET", path+"?state=claimed", "").into(t, &all)
	if a := f.do("PATCH", path+"/"+all.Data[0].ID, `{"state":"failed"}`); a.StatusCode != 409 || a.problem(t) != "in_use" {
		t.Errorf("one that is being called: %d %s", a.StatusCode, a.text)
	}
	f.do("GET", path+"?state=pending", "").into(t, &all)
	id := all.Data[0].ID
	a := f.do("PATCH", path+"/"+id, `{"state":"failed","why":"moved away"}`)
	var now Contact
	if a.into(t, &now); a.StatusCode != 200 || now.State != dialer.Failed || now.Why != "moved away" || now.DueAt != nil {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
	a = f.do("PATCH", path+"/"+id, `{"state":"pending","from":"review"}`)
	if a.StatusCode != 409 || a.problem(t) != "wrong_state" || !strings.Contains(a.text, "it is failed") {
		t.Errorf("from another state: %d %s", a.StatusCode, a.text)
	}
	a = f.do("PATCH", path+"/"+id, `{"state":"pending","from":"failed","due_at":"2027-01-02T10:00:00Z"}`)
	if a.into(t, &now); now.State != dialer.Pending || now.DueAt == nil || now.DueAt.Year() != 2027 {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
	if a = f.do("PATCH", path+"/"+id, `{"state":"dialing"}`); a.StatusCode != 422 {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
	f.do("POST", "/v1/campaigns/c/cancel", "")
	if a = f.do("PATCH", path+"/"+id, `{"state":"pending"}`); a.StatusCode != 409 || a.problem(t) != "wrong_status" {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
	if a = f.do("PATCH", path+"/nobody", `{"state":"failed"}`); a.StatusCode != 404 {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
}
