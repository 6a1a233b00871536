package store

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/telephony/dialer"
	"github.com/patchcord/patchcord/telephony/trunk"
)

// draft makes an agent and a campaign of it with contacts.
func draft(t *testing.T, s *Store, c dialer.Campaign, contacts int) Campaign {
	t.Helper()
	if _, err := s.CreateAgent(t.Context(), "", agent.Agent{Name: "caller"}); err != nil && !errors.Is(err, ErrExists) {
		t.Fatal(err)
	}
	if c.Name == "" {
		c.Name = "spring"
	}
	c.Agent = "caller"
	if c.Concurrency == 0 {
		c.Concurrency = 1000
	}
	out := must(s.CreateCampaign(t.Context(), "ops", c))(t)
	for part := range slices.Chunk(people(contacts), 1000) {
		must(s.AddContacts(t.Context(), out.ID, part))(t)
	}
	return out
}

// people are contacts with numbers in a row.
func people(n int) []dialer.Contact {
	out := make([]dialer.Contact, 0, n)
	for i := range n {
		out = append(out, dialer.Contact{Number: fmt.Sprintf("+4930%07d", i)})
	}
	return out
}

func TestCampaignsAreKept(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		a := must(s.CreateAgent(ctx, "", agent.Agent{Name: "caller"}))(t)
		must(s.CreateTrunk(ctx, "", trunk.Config{Name: "out", Allow: []string{"203.0.113.0/24"}}))(t)
		yes, text := true, "Please call us back."
		c := dialer.Campaign{
			Name: "spring", Agent: "caller", Trunk: "out", Concurrency: 10, CPS: 2.5, Priority: 3,
			Starts: day, Ends: day.Add(time.Hour), Zone: "Europe/Berlin", Country: "DE", Profile: "eu",
			CallerIDs: []dialer.CallerID{{Number: "+4930100", Areas: []string{"+4930"}, PerDay: 5}},
			Hours: dialer.Hours{
				Windows:  []dialer.Window{{Days: []time.Weekday{time.Monday}, From: "08:00", To: "21:00"}},
				Holidays: []string{"2026-12-25"},
			},
			Retries: dialer.Retries{
				By:     map[dialer.Outcome]dialer.Retry{dialer.OutcomeBusy: {After: 10 * time.Minute, OtherDaypart: true, Most: 3}},
				PerDay: 2, Total: 6,
			},
			RingTimeout: 30 * time.Second, AMD: &yes, Voicemail: &text,
			Variables: []dialer.Variable{{Name: "amount", Type: "number", Required: true}},
			Breakers:  dialer.Breakers{Abandoned: 0.03, Failed: 0.5, Least: 20, Window: time.Hour},
		}
		made := must(s.CreateCampaign(ctx, "ops", c))(t)
		got := must(s.Campaign(ctx, "spring"))(t)
		if !reflect.DeepEqual(got, made) {
			t.Errorf("%+v, want %+v", got, made)
		}
		c.ID, c.Status, c.Agent = made.ID, dialer.Draft, string(a.ID)
		if !reflect.DeepEqual(got.Campaign, c) || got.Revision != 1 || got.By != "ops" {
			t.Errorf("%+v, want %+v", got.Campaign, c)
		}
		got.Name, got.Priority = "summer", 1
		changed := must(s.UpdateCampaign(ctx, "ops", got))(t)
		if changed.Revision != 2 || changed.Name != "summer" || changed.Status != dialer.Draft {
			t.Errorf("%+v", changed)
		}
		if _, err := s.UpdateCampaign(ctx, "ops", got); !errors.Is(err, ErrStale) {
			t.Errorf("a change of what was read before: %v", err)
		}
		for _, bad := range []struct {
			c    dialer.Campaign
			want error
		}{
			{dialer.Campaign{Agent: "caller"}, ErrInvalid},
			{dialer.Campaign{Name: "summer", Agent: "caller"}, ErrExists},
			{dialer.Campaign{Name: "x", Agent: "nobody"}, ErrMissing},
			{dialer.Campaign{Name: "x", Agent: "caller", Trunk: "none"}, ErrMissing},
		} {
			if _, err := s.CreateCampaign(ctx, "", bad.c); !errors.Is(err, bad.want) {
				t.Errorf("%+v: %v, want %v", bad.c, err, bad.want)
			}
		}
		if err := s.DeleteCampaign(ctx, "", made.ID); err != nil {
			t.Error(err)
		}
		if _, err := s.Campaign(ctx, made.ID); !errors.Is(err, ErrNotFound) {
			t.Errorf("deleted: %v", err)
		}
	})
}

func TestCampaignsAreListed(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		for _, name := range []string{"a", "b", "c"} {
			draft(t, s, dialer.Campaign{Name: name}, 0)
		}
		b := must(s.Campaign(ctx, "b"))(t)
		must(s.StartCampaign(ctx, "ops", b.ID))(t)
		page, next := must2(s.Campaigns(ctx, CampaignFilter{Page: Page{Limit: 2}}))(t)
		rest, end := must2(s.Campaigns(ctx, CampaignFilter{Page: Page{Limit: 2, Cursor: next}}))(t)
		if len(page) != 2 || page[0].Name != "a" || len(rest) != 1 || rest[0].Name != "c" || end != "" {
			t.Errorf("%v, %v %q", page, rest, end)
		}
		running, _ := must2(s.Campaigns(ctx, CampaignFilter{Statuses: []dialer.Status{dialer.Running}}))(t)
		if len(running) != 1 || running[0].Name != "b" {
			t.Errorf("%v", running)
		}
		for id, want := range map[agent.ID]int{agent.ID(b.Agent): 3, "another": 0} {
			if theirs, _ := must2(s.Campaigns(ctx, CampaignFilter{Agents: []agent.ID{id}}))(t); len(theirs) != want {
				t.Errorf("%d campaigns of %s, want %d", len(theirs), id, want)
			}
		}
	})
}

func TestTheStatusOfACampaign(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		turns := map[string]func(id string) (Campaign, error){
			"start":  func(id string) (Campaign, error) { return s.StartCampaign(ctx, "ops", id) },
			"pause":  func(id string) (Campaign, error) { return s.PauseCampaign(ctx, "ops", id, "why") },
			"resume": func(id string) (Campaign, error) { return s.ResumeCampaign(ctx, "ops", id) },
			"cancel": func(id string) (Campaign, error) { return s.CancelCampaign(ctx, "ops", id, "why") },
			"update": func(id string) (Campaign, error) {
				c, err := s.Campaign(ctx, id)
				if err != nil {
					return c, err
				}
				return s.UpdateCampaign(ctx, "ops", c)
			},
		}
		for i, tt := range []struct {
			before  string // turns that lead to the status
			status  dialer.Status
			allowed string
		}{
			{"", dialer.Draft, "start cancel update"},
			{"start", dialer.Running, "pause cancel"},
			{"start pause", dialer.Paused, "resume cancel update"},
			{"start pause resume", dialer.Running, "pause cancel"},
			{"start pause resume pause update", dialer.Paused, "resume cancel update"},
			{"start cancel", dialer.Cancelled, ""},
		} {
			for name, f := range turns {
				c := draft(t, s, dialer.Campaign{Name: fmt.Sprint(i, name)}, 2)
				for _, b := range strings.Fields(tt.before) {
					c = must(turns[b](c.ID))(t)
				}
				if c.Status != tt.status || c.Resumed.IsZero() == strings.Contains(tt.before, "resume") {
					t.Fatalf("after %q: %s, resumed at %v", tt.before, c.Status, c.Resumed)
				}
				_, err := f(c.ID)
				if ok := strings.Contains(tt.allowed, name); ok != (err == nil) || !ok && !errors.Is(err, ErrStatus) {
					t.Errorf("%s: %s: %v", tt.status, name, err)
				}
			}
		}
	})
}

func TestWhoIsNotCalledByACancelledCampaignIsExpired(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		c := draft(t, s, dialer.Campaign{}, 3)
		c = must(s.CancelCampaign(ctx, "ops", c.ID, "wrong list"))(t)
		if c.Status != dialer.Cancelled || c.Reason != "wrong list" || c.By != "ops" {
			t.Errorf("%+v", c)
		}
		if n := must(s.CampaignStats(ctx, c.ID))(t); n.Contacts[dialer.Expired] != 3 || len(n.Contacts) != 1 {
			t.Errorf("%+v", n)
		}
		if _, err := s.AddContacts(ctx, c.ID, people(1)); !errors.Is(err, ErrStatus) {
			t.Errorf("a contact of what has ended: %v", err)
		}
	})
}

func TestContactsAreKept(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		c := draft(t, s, dialer.Campaign{}, 0)
		anna := dialer.Contact{
			Number: "+493012345", Name: "Anna\x00", Zone: "Europe/Berlin", Consent: "form, 2026-01-02", Record: true,
			Variables: map[string]any{"amount": 4500.0, "name": "Anna", "vip": true}, Due: day,
		}
		list := []dialer.Contact{anna, {Number: "+493012346"}, {Number: "+493012345"}}
		if twice := must(s.AddContacts(ctx, c.ID, list))(t); !slices.Equal(twice, []int{2}) {
			t.Errorf("duplicates %v", twice)
		}
		if twice := must(s.AddContacts(ctx, c.ID, list[:1]))(t); !slices.Equal(twice, []int{0}) {
			t.Errorf("duplicates %v", twice)
		}
		all, next := must2(s.Contacts(ctx, ContactFilter{Campaign: c.ID, Page: Page{Limit: 1}}))(t)
		rest, end := must2(s.Contacts(ctx, ContactFilter{Campaign: c.ID, Page: Page{Cursor: next}}))(t)
		if len(all) != 1 || len(rest) != 1 || end != "" {
			t.Fatalf("%v, %v", all, rest)
		}
		anna.ID, anna.Campaign, anna.State, anna.Name = all[0].ID, c.ID, dialer.Pending, "Anna"
		if !reflect.DeepEqual(all[0].Contact, anna) {
			t.Errorf("%+v, want %+v", all[0].Contact, anna)
		}
		if got := must(s.Contact(ctx, anna.ID))(t); !reflect.DeepEqual(got, all[0]) {
			t.Errorf("%+v", got)
		}
		for _, f := range []ContactFilter{
			{Campaign: c.ID, Number: "+493012346"},
			{Campaign: c.ID, States: []dialer.State{dialer.Pending, dialer.Review}, Number: "+493012346"},
		} {
			if got, _ := must2(s.Contacts(ctx, f))(t); len(got) != 1 || got[0].ID != rest[0].ID {
				t.Errorf("%+v: %v", f, got)
			}
		}
		if _, err := s.AddContacts(ctx, c.ID, []dialer.Contact{{Number: "030 1"}}); !errors.Is(err, ErrInvalid) {
			t.Errorf("no number: %v", err)
		}
		if _, err := s.AddContacts(ctx, "none", list); !errors.Is(err, ErrNotFound) {
			t.Errorf("no campaign: %v", err)
		}
		moved := must(s.MoveContact(ctx, anna.ID, dialer.Failed, time.Time{}, "moved away"))(t)
		if moved.State != dialer.Failed || moved.Why != "moved away" {
			t.Errorf("%+v", moved)
		}
		is, err := s.MoveContact(ctx, anna.ID, dialer.Reached, time.Time{}, "", dialer.Review, dialer.Pending)
		if !errors.Is(err, ErrState) || is.State != dialer.Failed || is.Why != "moved away" {
			t.Errorf("from another state: %+v, %v", is, err)
		}
		moved = must(s.MoveContact(ctx, anna.ID, dialer.Failed, time.Time{}, "moved away", dialer.Review, dialer.Failed))(t)
		if moved.State != dialer.Failed {
			t.Errorf("%+v", moved)
		}
		if n := must(s.CampaignStats(ctx, c.ID))(t); n.Contacts[dialer.Failed] != 1 || n.Contacts[dialer.Pending] != 1 {
			t.Errorf("%+v", n)
		}
	})
}

func TestWhoIsNotToBeCalled(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		a, b := draft(t, s, dialer.Campaign{Name: "a"}, 3), draft(t, s, dialer.Campaign{Name: "b"}, 3)
		list := []DNC{{Number: "+49300000000", Why: "asked"}, {Number: "+49300000001"}, {Number: "+49300000000"}}
		if n := must(s.AddDNC(ctx, "ops", "", list))(t); n != 2 {
			t.Errorf("%d added", n)
		}
		if n := must(s.AddDNC(ctx, "ops", a.ID, []DNC{{Number: "+49300000002"}}))(t); n != 1 {
			t.Errorf("%d added", n)
		}
		for id, want := range map[string]int{a.ID: 3, b.ID: 2} {
			if n := must(s.CampaignStats(ctx, id))(t); n.Contacts[dialer.Blocked] != want {
				t.Errorf("%+v, want %d blocked", n, want)
			}
		}
		everyone, _ := must2(s.DNCs(ctx, DNCFilter{}))(t)
		if len(everyone) != 2 || everyone[0].By != "ops" {
			t.Errorf("%+v", everyone)
		}
		if of, _ := must2(s.DNCs(ctx, DNCFilter{Campaign: a.ID}))(t); len(of) != 1 || of[0].Number != "+49300000002" {
			t.Errorf("%+v", of)
		}
		if all, _ := must2(s.DNCs(ctx, DNCFilter{Every: true, Page: Page{Limit: All}}))(t); len(all) != 3 {
			t.Errorf("%+v", all)
		}
		if err := s.RemoveDNC(ctx, "", "+49300000001"); err != nil {
			t.Error(err)
		}
		if err := s.RemoveDNC(ctx, "", "+49300000001"); !errors.Is(err, ErrNotFound) {
			t.Errorf("twice: %v", err)
		}
		if _, err := s.AddDNC(ctx, "", "", []DNC{{Number: "110"}}); !errors.Is(err, ErrInvalid) {
			t.Errorf("%v", err)
		}
		if _, err := s.AddDNC(ctx, "", "none", list); !errors.Is(err, ErrNotFound) {
			t.Errorf("%v", err)
		}
	})
}

func TestWhatACampaignCallsWith(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		tr := must(s.CreateTrunk(ctx, "", trunk.Config{Name: "out", Allow: []string{"203.0.113.0/24"}}))(t)
		c := draft(t, s, dialer.Campaign{Trunk: "out"}, 0)
		tr.Name = "new"
		tr = must(s.UpdateTrunk(ctx, "ops", tr))(t)
		if got := must(s.Campaign(ctx, c.ID))(t); got.Trunk != "new" || got.Revision != 2 || got.By != "ops" {
			t.Errorf("%+v", got)
		}
		gone := func() [2]error {
			return [2]error{s.DeleteTrunk(ctx, "", tr.ID), s.DeleteAgent(ctx, "", agent.ID(c.Agent))}
		}
		for _, err := range gone() {
			if !errors.Is(err, ErrInUse) {
				t.Errorf("%v", err)
			}
		}
		must(s.CancelCampaign(ctx, "", c.ID, ""))(t)
		for _, err := range gone() {
			if err != nil {
				t.Error(err)
			}
		}
	})
}
