package dialer

import (
	"cmp"
	"fmt"
	"time"
)

// Since is from when on the two breakers count: that of failures and that of
// abandoned calls.
func (b Breakers) Since(p Profile, now time.Time) (failed, abandoned time.Time) {
	return now.Add(-cmp.Or(b.Window, time.Hour)), now.Add(-cmp.Or(p.AbandonedWindow, 30*24*time.Hour))
}

// Trip judges how a campaign goes, by the attempts within the two times of
// Since. Where it has to be paused, why is the sentence that says so.
func (b Breakers) Trip(p Profile, failed, abandoned Tally) (why string, trip bool) {
	least := cmp.Or(b.Least, 20)
	limit := cmp.Or(b.Abandoned, 0.03)
	if p.Abandoned > 0 {
		limit = min(limit, p.Abandoned)
	}
	if n, of := abandoned.Abandoned, abandoned.People; n > 0 && of >= least && reached(n, of, limit) {
		return fmt.Sprintf("%d of %d calls that people answered had no word of ours within 2 s, %.1f %%; at %s %% it is "+
			"paused: look for a slow voice, or for more calls at once than the node can serve",
			n, of, share(n, of), percent(limit)), true
	}
	limit = cmp.Or(b.Failed, 0.5)
	if n, of := failed.Failed, failed.Attempts; n > 0 && of >= least && reached(n, of, limit) {
		return fmt.Sprintf("%d of %d attempts failed, %.1f %%; at %s %% it is paused: look at the trunk and its gateways",
			n, of, share(n, of), percent(limit)), true
	}
	return "", false
}

// reached tells whether n of of is at the limit, without the last bit of a
// float deciding it.
func reached(n, of int, limit float64) bool { return float64(n) >= limit*float64(of)-1e-9 }

func share(n, of int) float64 { return 100 * float64(n) / float64(of) }

func percent(limit float64) string { return fmt.Sprintf("%.4g", 100*limit) }
