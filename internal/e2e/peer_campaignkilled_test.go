//go:build e2e

package e2e

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/patchcord/patchcord/telephony/dialer"
)

// TestPeerSIPpCampaignKilled: the engine is killed at random moments of a campaign
// and goes on each time; no attempt has two INVITEs, nobody is lost, and what was
// dialled when it died is up for review.
func TestPeerSIPpCampaignKilled(t *testing.T) {
	const contacts = 400
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	draw := rand.New(rand.NewPCG(seed, 0))
	kills := 0
	killed := func(e *engine) {
		for range 3 {
			wait := time.After(time.Second + time.Duration(draw.Int64N(int64(3*time.Second))))
			<-wait
			if err := e.cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			<-e.done
			kills++
			// A journal that was cut off in a step is not decided again.
			if err := os.RemoveAll(filepath.Join(e.dir, "journal")); err != nil {
				t.Fatal(err)
			}
			e.again(t)
		}
	}
	_, tried, all, dials := campaignOf(t, campaignRun{
		contacts: contacts, cps: 20, config: silent, agent: silentAgent + "max_call_duration: 4s\n", meanwhile: killed,
	})
	states, doubled := map[dialer.State]int{}, 0
	for _, k := range all {
		states[k.State]++
		if n := tried[k.Number]; n > 1 || n > len(dials[k.ID]) {
			doubled++
			t.Errorf("%s: %d INVITEs in %d attempts", k.Number, n, len(dials[k.ID]))
		}
	}
	t.Logf("%d kills, %d doubled, %v", kills, doubled, states)
	if states[dialer.Reached]+states[dialer.Failed]+states[dialer.Review] != contacts || len(all) != contacts {
		t.Errorf("the states add up to %v of %d contacts", states, contacts)
	}
}
