//go:build e2e

package e2e

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/patchcord/patchcord/store"
	"github.com/patchcord/patchcord/telephony/dialer"
)

// becomes is what testdata/sipp/campaign.xml does with a number, by its last two
// digits.
func becomes(n int) dialer.Outcome {
	switch n %= 100; {
	case n < 40:
		return dialer.OutcomeBusy
	case n < 60:
		return dialer.OutcomeNoAnswer
	case n < 75:
		return dialer.OutcomeInvalid
	case n < 85:
		return dialer.OutcomeRejected
	case n < 90:
		return dialer.OutcomeBusy // of the second gateway: the first has congestion
	}
	return dialer.OutcomePerson
}

// gatewayOf is SIPp as a carrier's gateway; invites are its calls by the number
// that was dialled.
func gatewayOf(t *testing.T, script, addr string) (invites func() map[string]int) {
	t.Helper()
	dir := t.TempDir()
	p := start(t, 4*time.Minute, dir, needs(t, "sipp", "sip-tester"), "-sf", script, "-i", addr, "-p", "5060", "-mi", addr,
		"-mp", "6000", "-nostdin", "-trace_msg", "-message_file", "messages", "-trace_err", "-error_file", "errors",
		"-watchdog_minor_threshold", "30000", "-watchdog_major_threshold", "60000") // a busy machine is no fault of the script
	p.listens(t, addr)
	first := regexp.MustCompile(`(?s)\nINVITE sip:(\+?[0-9]+)@.*?\nCall-ID: ([^\r]+)\r`)
	return func() map[string]int {
		b, err := os.ReadFile(filepath.Join(dir, "messages"))
		if err != nil {
			t.Fatal(err)
		}
		seen, out := map[string]bool{}, map[string]int{}
		for _, m := range first.FindAllStringSubmatch(string(b), -1) {
			if !seen[m[2]] { // else it came again, on the way that UDP is
				seen[m[2]] = true
				out[m[1]]++
			}
		}
		return out
	}
}

// listed makes a campaign of a stopped engine's store run.
func (e *engine) listed(t *testing.T, contacts int, cps float64) (id string) {
	t.Helper()
	s := e.opened(t)
	defer e.shut(t, s)
	return listedIn(t, s, contacts, cps)
}

// listedIn makes a campaign of a store run.
func listedIn(t *testing.T, s *store.Store, contacts int, cps float64) (id string) {
	t.Helper()
	c, err := s.CreateCampaign(t.Context(), "test", dialer.Campaign{
		Name: "spring", Agent: "support", Trunk: "carrier", Concurrency: 100, CPS: cps, Zone: "Europe/Berlin",
		Retries:  dialer.Retries{By: map[dialer.Outcome]dialer.Retry{dialer.OutcomeCongestion: {}}},
		Breakers: dialer.Breakers{Failed: 1, Abandoned: 1},
	})
	if err != nil {
		t.Fatal(err)
	}
	list := make([]dialer.Contact, contacts)
	for i := range list {
		list[i].Number = fmt.Sprintf("+4930%07d", i)
	}
	if _, err := s.AddContacts(t.Context(), c.ID, list); err != nil {
		t.Fatal(err)
	}
	if _, err := s.StartCampaign(t.Context(), "test", c.ID); err != nil {
		t.Fatal(err)
	}
	return c.ID
}

func (e *engine) opened(t *testing.T) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), store.Config{URL: "sqlite:" + filepath.Join(e.dir, "calls.db")})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (e *engine) shut(t *testing.T, s *store.Store) {
	t.Helper()
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// again starts a stopped or killed engine.
func (e *engine) again(t *testing.T) {
	t.Helper()
	e.process = start(t, 4*time.Minute, e.dir, command(t, "patchcord"), "serve", "-c", filepath.Join(e.dir, "patchcord.yaml"))
	eventually(t, 30*time.Second, "the engine is ready", func() bool { return e.logged("ready") })
}

// campaignOf runs a campaign against two gateways of SIPp to its end. meanwhile is
// done while it runs.
func campaignOf(t *testing.T, contacts int, cps float64, meanwhile func(*engine)) (
	tried map[string]int, all []store.Contact, dials map[string][]store.Dial,
) {
	t.Helper()
	script, err := filepath.Abs("testdata/sipp/campaign.xml")
	if err != nil {
		t.Fatal(err)
	}
	refuses, err := os.ReadFile("testdata/sipp/refuses.xml")
	if err != nil {
		t.Fatal(err)
	}
	busy := filepath.Join(t.TempDir(), "busy.xml")
	write(t, busy, strings.ReplaceAll(string(refuses), "STATUS", "486 Busy Here"))
	one, two := ourAddr(), ourAddr()
	invites, second := gatewayOf(t, script, one), gatewayOf(t, busy, two)
	e := serve(t, silent+"dialing: {allow: [\"+4930\"]}\n", map[string]string{"support.yaml": silentAgent + "max_call_duration: 4s\n"})
	e.wants(t, "/v1/trunks", fmt.Sprintf(`{"name":"carrier","gateways":["sip:%s","sip:%s"],"probe":"off"}`, one, two))
	e.stop(t)
	id := e.listed(t, contacts, cps)
	e.again(t)
	if meanwhile != nil {
		meanwhile(e)
	}
	eventually(t, 3*time.Minute, "the campaign is completed", func() bool { return e.logged("campaign completed") })
	e.stop(t)
	s := e.opened(t)
	defer e.shut(t, s)
	every := store.ContactFilter{Campaign: id, Page: store.Page{Limit: store.All}}
	if all, _, err = s.Contacts(t.Context(), every); err != nil {
		t.Fatal(err)
	}
	dials = map[string][]store.Dial{}
	for _, k := range all {
		if dials[k.ID], err = s.Dials(t.Context(), k.ID); err != nil {
			t.Fatal(err)
		}
	}
	tried = invites()
	for number, n := range second() {
		if n > tried[number] {
			t.Errorf("%s was dialled %d times at the second gateway, and %d times at the first", number, n, tried[number])
		}
	}
	return tried, all, dials
}

// TestPeerSIPpCampaign: a list is dialled against SIPp as the carrier, which does
// with each number what the script says; each contact's outcome is that, and no
// attempt had two INVITEs. Congestion goes to the next gateway within the attempt.
func TestPeerSIPpCampaign(t *testing.T) {
	const contacts = 2000
	tried, all, dials := campaignOf(t, contacts, 50, nil)
	table := map[string]int{}
	for i, k := range all {
		got := dials[k.ID]
		if len(got) != 1 || tried[k.Number] != 1 {
			t.Errorf("%s: %d attempts and %d INVITEs, want one of each", k.Number, len(got), tried[k.Number])
			continue
		}
		var n int
		if _, err := fmt.Sscanf(k.Number, "+4930%d", &n); err != nil {
			t.Fatal(i, err)
		}
		want := becomes(n)
		table[fmt.Sprintf("%s as %s %d", want, got[0].Outcome, got[0].SIP)]++
		if got[0].Outcome != want {
			t.Errorf("%s: %s (%d, %s), want %s", k.Number, got[0].Outcome, got[0].SIP, got[0].Why, want)
		}
	}
	for _, line := range slices.Sorted(maps.Keys(table)) {
		t.Logf("%4d %s", table[line], line)
	}
	if len(all) != contacts {
		t.Errorf("%d contacts, want %d", len(all), contacts)
	}
}
