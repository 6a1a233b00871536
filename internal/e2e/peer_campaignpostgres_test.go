//go:build e2e

package e2e

import (
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/patchcord/patchcord/store"
	"github.com/patchcord/patchcord/telephony/dialer"
)

// TestPeerSIPpCampaignWithoutPostgres: the database of two nodes that dial one
// campaign is shut as by a power cut, and opened again on the same files. The
// campaign goes on by itself; no attempt had two INVITEs, nobody is lost, and who
// was answered has a record (reliability.md 5.2).
func TestPeerSIPpCampaignWithoutPostgres(t *testing.T) {
	t.Parallel()
	const contacts, cps, outage = 240, 15, 6 * time.Second
	db := openPostgres(t)
	script, err := filepath.Abs("testdata/sipp/campaign.xml")
	if err != nil {
		t.Fatal(err)
	}
	gateway := ourAddr()
	invites := gatewayOf(t, script, gateway, nil)
	nodes := make([]*engine, 2)
	buses := []string{net.JoinHostPort(ourAddr(), "6222"), net.JoinHostPort(ourAddr(), "6222")}
	for i := range nodes {
		more := fmt.Sprintf("store: {url: %q, spool: %q}\n", db.url(), filepath.Join(t.TempDir(), "spool")) +
			fmt.Sprintf("cluster: {node: node-%d, listen: %q, routes: [\"nats://%s\"], user: nodes, password: s3cret}\n", i, buses[i],
				buses[1-i]) + silent + "dialing: {allow: [\"+4930\"]}\n"
		nodes[i] = serve(t, more, map[string]string{"support.yaml": silentAgent + "max_call_duration: 4s\n"})
	}
	nodes[0].wants(t, "/v1/trunks", fmt.Sprintf(`{"name":"carrier","gateways":["sip:%s"],"probe":"off"}`, gateway))
	opened := func() *store.Store {
		s, err := store.Open(t.Context(), store.Config{URL: db.url()})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := opened()
	id := listedIn(t, s, contacts, cps)
	nodes[0].shut(t, s)
	dialled := func(e *engine) int { return strings.Count(e.out.String(), "contact is dialled") }
	eventually(t, time.Minute, "both nodes dial", func() bool { return dialled(nodes[0]) > 15 && dialled(nodes[1]) > 15 })

	db.shut()
	begun := time.Now()
	eventually(t, time.Minute, "the nodes wait for the store", func() bool {
		return nodes[0].logged("campaigns wait for the store") && nodes[1].logged("campaigns wait for the store")
	})
	eventually(t, time.Minute, "the outage has lasted", func() bool { return time.Since(begun) >= outage })
	before := []int{dialled(nodes[0]), dialled(nodes[1])}
	if sum := before[0] + before[1]; sum >= contacts {
		t.Fatalf("%d contacts were dialled before the database was back: there was no outage", sum)
	}
	db.open()
	back := time.Now()
	eventually(t, time.Minute, "both nodes dial again", func() bool {
		return dialled(nodes[0]) > before[0] && dialled(nodes[1]) > before[1]
	})
	t.Logf("dialled before %v; both dial again after %v", before, time.Since(back).Round(10*time.Millisecond))
	eventually(t, 2*time.Minute, "the campaign is completed", func() bool {
		return nodes[0].logged("campaign completed") || nodes[1].logged("campaign completed")
	})
	for _, e := range nodes {
		e.stop(t)
	}

	s = opened()
	defer nodes[0].shut(t, s)
	all, _, err := s.Contacts(t.Context(), store.ContactFilter{Campaign: id, Page: store.Page{Limit: store.All}})
	if err != nil {
		t.Fatal(err)
	}
	tried, states := invites(), map[dialer.State]int{}
	for _, k := range all {
		states[k.State]++
		dials, err := s.Dials(t.Context(), k.ID)
		if err != nil {
			t.Fatal(err)
		}
		if n := tried[k.Number]; n > len(dials) || n == 0 && k.State != dialer.Review {
			t.Errorf("%s is %s: %d INVITEs in %d attempts", k.Number, k.State, n, len(dials))
		}
		for _, d := range dials {
			if d.Outcome == "" && k.State != dialer.Review {
				t.Errorf("%s is %s: the attempt of %v has no outcome", k.Number, k.State, d.Claimed)
			}
		}
	}
	t.Logf("%d contacts: %v", len(all), states)
	if states[dialer.Reached]+states[dialer.Failed]+states[dialer.Review] != contacts || len(all) != contacts {
		t.Errorf("the states add up to %v of %d contacts", states, contacts)
	}
	if n := db.count("SELECT count(*) FROM calls WHERE status <> 'ended'"); n != 0 {
		t.Errorf("%d calls have no end", n)
	}
}
