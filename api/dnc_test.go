package api

import (
	"errors"
	"strings"
	"testing"

	"github.com/patchcord/patchcord/telephony/dialer"
)

// D-24: a number that is marked is not dialled from then on, though its contact
// was claimed already.
func TestANumberThatIsMarkedIsNotDialled_D24(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	c := f.draft("c", "support")
	f.contacts(c.ID, 2)
	f.do("POST", "/v1/campaigns/c/start", "")
	all := f.claim(c.ID, 2)
	a := f.do("POST", "/v1/dnc", `{"numbers":["`+all[0].Contact.Number+`"],"why":"asked in a letter"}`)
	var added DNCAdded
	if a.into(t, &added); a.StatusCode != 201 || added != (DNCAdded{Added: 1}) {
		t.Fatalf("%d %s", a.StatusCode, a.text)
	}
	l := f.store.Ledger()
	if err := l.Dialing(t.Context(), all[0], "call-1", ""); !errors.Is(err, dialer.ErrNotClaimed) {
		t.Errorf("it leaves: %v", err)
	}
	if err := l.Dialing(t.Context(), all[1], "call-2", ""); err != nil {
		t.Errorf("the other does not: %v", err)
	}
	var page Page[Contact]
	f.do("GET", "/v1/campaigns/c/contacts?state=blocked", "").into(t, &page)
	if len(page.Data) != 1 || page.Data[0].Number != all[0].Contact.Number || page.Data[0].Why != "do not call: asked in a letter" {
		t.Errorf("%+v", page)
	}
}

func TestDoNotCall(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	c := f.draft("c", "support")
	for _, tc := range []struct {
		name, method, path, body, kind string
		status                         int
		says                           string
	}{
		{"of all", "POST", "/v1/dnc", `{"numbers":["+49 30 123456","+4930123457"],"why":"letter"}`, "", 201, `{"added":2,"duplicates":0}`},
		{"again", "POST", "/v1/dnc", `{"numbers":["+4930123456"]}`, "", 201, `{"added":0,"duplicates":1}`},
		{"as the campaign's country writes it", "POST", "/v1/dnc?campaign=c", `{"numbers":["030 123458"]}`, "", 201, `{"added":1,`},
		{"one that is none", "POST", "/v1/dnc", `{"numbers":["+4930123459","nobody"]}`, "", 422, `body.numbers[1]`},
		{"none", "POST", "/v1/dnc", `{"numbers":[]}`, "", 422, `body.numbers`},
		{"no campaign", "POST", "/v1/dnc?campaign=x", `{"numbers":["+4930123459"]}`, "", 404, `campaign`},
		{"is on it", "GET", "/v1/dnc/+4930123456", "", "", 200, `"listed":true`},
		{"is not", "GET", "/v1/dnc/+4930123459", "", "", 200, `"listed":false,"entries":[]`},
		{"is on the campaign's alone", "GET", "/v1/dnc/+4930123458", "", "", 200, `"listed":false`},
		{"is for the campaign", "GET", "/v1/dnc/+4930123458?campaign=" + c.ID, "", "", 200, `"campaign_id":"` + c.ID},
		{"is on that of all", "GET", "/v1/dnc/+4930123457?campaign=c", "", "", 200, `"why":"letter"`},
		{"no number", "GET", "/v1/dnc/nobody", "", "", 422, `path.number`},
		{
			"a CSV", "POST", "/v1/dnc/import?country=DE", "phone;why\n030123460;by mail\n1;x\n030123456;again\n", "text/csv", 200,
			`{"rows":3,"accepted":1,"duplicates":1,"refused":1,"faults":[{"line":3,`,
		},
		{"a reason of its own", "GET", "/v1/dnc/+4930123460", "", "", 200, `"why":"by mail"`},
		{"the list", "GET", "/v1/dnc?limit=2", "", "", 200, `"next_cursor"`},
		{"taken off", "DELETE", "/v1/dnc/+4930123456", "", "", 204, ""},
		{"taken off again", "DELETE", "/v1/dnc/+4930123456", "", "", 404, "not on this list"},
		{"of a campaign's list", "DELETE", "/v1/dnc/030123458?campaign=c", "", "", 204, ""},
	} {
		var header []string
		if tc.kind != "" {
			header = []string{"Content-Type", tc.kind}
		}
		a := f.do(tc.method, tc.path, tc.body, header...)
		if a.StatusCode != tc.status || !strings.Contains(a.text, tc.says) {
			t.Errorf("%s: %d %s", tc.name, a.StatusCode, a.text)
		}
	}
}
