package store

import (
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/telephony/dialer"
)

// eachBench is each for a benchmark.
func eachBench(b *testing.B, f func(b *testing.B, url string)) {
	b.Helper()
	b.Run("sqlite", func(b *testing.B) { f(b, "sqlite:"+filepath.Join(b.TempDir(), "x.db")) })
	b.Run("postgres", func(b *testing.B) { f(b, schema(b)) })
}

// imported makes a campaign that is not started, with contacts.
func imported(b *testing.B, s *Store, c dialer.Campaign, contacts int) Campaign {
	b.Helper()
	_, err := s.CreateAgent(b.Context(), "", agent.Agent{Name: "caller"})
	c.Name, c.Agent = "spring", "caller"
	var out Campaign
	if err == nil {
		out, err = s.CreateCampaign(b.Context(), "", c)
	}
	for part := range slices.Chunk(people(contacts), 1000) {
		if err == nil {
			_, err = s.AddContacts(b.Context(), out.ID, part)
		}
	}
	if err != nil {
		b.Fatal(err)
	}
	return out
}

// Attempts through the ledger, of one process on SQLite and three on PostgreSQL:
// go test -bench LedgerDials -benchtime 20000x.
func BenchmarkLedgerDials(b *testing.B) {
	const atOnce = 100
	b.Run("sqlite", func(b *testing.B) {
		s := open(b, "sqlite:"+filepath.Join(b.TempDir(), "x.db"))
		defer closed(b, s)
		c := imported(b, s, dialer.Campaign{Concurrency: atOnce}, b.N)
		if _, err := s.StartCampaign(b.Context(), "", c.ID); err != nil {
			b.Fatal(err)
		}
		var mu sync.Mutex
		n := 0
		b.ResetTimer()
		err := dialAll(b.Context(), s, c.ID, atOnce, 0, func(dialer.Attempt) error {
			mu.Lock()
			defer mu.Unlock()
			n++
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "attempts/s")
	})
	b.Run("postgres", func(b *testing.B) {
		url := schema(b)
		s := open(b, url)
		defer closed(b, s)
		const processes = 3
		c := imported(b, s, dialer.Campaign{Concurrency: processes * atOnce}, b.N)
		d := &dialers{
			t: b, invites: filepath.Join(b.TempDir(), "invites"), kids: make([]*exec.Cmd, processes), done: make([]chan error, processes),
		}
		d.env = []string{
			childDials + "=" + url, childCampaign + "=" + c.ID, childInvites + "=" + d.invites,
			childAtOnce + "=" + strconv.Itoa(atOnce), childTalk + "=0s",
		}
		for i := range processes {
			d.start(i)
			defer d.kill(i)
		}
		if _, err := s.StartCampaign(b.Context(), "", c.ID); err != nil {
			b.Fatal(err)
		}
		b.ResetTimer()
		for i := range processes {
			if err := <-d.done[i]; err != nil {
				b.Fatal(err)
			}
			d.kids[i] = nil
		}
		b.StopTimer()
		const line = len("INVITE 01a22d3b-0952-7caf-bf8e-ffa7bca9bcc2 1\n")
		b.ReportMetric(float64(d.size())/float64(line)/b.Elapsed().Seconds(), "attempts/s")
	})
}

// An import of 100,000 contacts, in parts of 1,000.
func BenchmarkImport(b *testing.B) {
	eachBench(b, func(b *testing.B, url string) {
		s := open(b, url)
		defer closed(b, s)
		c := imported(b, s, dialer.Campaign{Concurrency: 1}, 0)
		list := people(100_000)
		for i := range list {
			list[i].Name, list[i].Consent = "Anna Beispiel", "form, 2026-01-02"
			list[i].Variables = map[string]any{"amount": 4500, "customer_name": "Anna Beispiel"}
		}
		for b.Loop() {
			for part := range slices.Chunk(list, 1000) {
				if _, err := s.AddContacts(b.Context(), c.ID, part); err != nil {
					b.Fatal(err)
				}
			}
			b.StopTimer()
			if _, err := s.write.ExecContext(b.Context(), "DELETE FROM contacts"); err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
		}
	})
}

// A claim of ten among 100,000 contacts, half of which have been called.
func BenchmarkClaim(b *testing.B) {
	eachBench(b, func(b *testing.B, url string) {
		s := open(b, url)
		defer closed(b, s)
		c := imported(b, s, dialer.Campaign{Concurrency: 1 << 30}, 100_000)
		_, err := s.write.ExecContext(b.Context(), "UPDATE contacts SET state = 'reached', tries = 1 WHERE number < '+49300050000'")
		if err == nil {
			_, err = s.StartCampaign(b.Context(), "", c.ID)
		}
		if err != nil {
			b.Fatal(err)
		}
		l := s.Ledger()
		var took []time.Duration
		for b.Loop() {
			began := time.Now()
			got, err := l.Claim(b.Context(), c.ID, 10, nil)
			if took = append(took, time.Since(began)); err != nil || len(got) != 10 {
				b.Fatal(len(got), err)
			}
			b.StopTimer()
			if _, err := s.write.ExecContext(b.Context(), "DELETE FROM attempts"); err != nil { // as calls that are over
				b.Fatal(err)
			}
			b.StartTimer()
		}
		slices.Sort(took)
		b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-us")
	})
}
