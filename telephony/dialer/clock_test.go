package dialer

import (
	"testing"
	"testing/synctest"
	"time"
)

// The clock on the wall is set while a campaign dials. Nobody is called outside the
// hours as it tells them from then on, or twice; where it is within them the calls
// go on at their rate, without a burst or a halt.
func TestTheClockIsSet(t *testing.T) {
	t.Parallel()
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	const cps, before, after = 10, 20 * time.Second, 30 * time.Second
	for _, c := range []struct {
		name  string
		at    string // on the wall
		by    time.Duration
		goes  bool          // on
		again time.Duration // when the hours begin, after it was set
	}{
		{name: "back", at: "14:00:00", by: -2 * time.Hour, goes: true},
		{name: "ahead", at: "14:00:00", by: 2 * time.Hour, goes: true},
		{name: "back a little", at: "14:00:00", by: -300 * time.Millisecond, goes: true},
		{name: "ahead a little", at: "14:00:00", by: 300 * time.Millisecond, goes: true},
		{name: "back, to before the hours", at: "10:30:00", by: -2 * time.Hour, again: 30 * time.Minute},
		{name: "ahead, to behind them", at: "20:00:00", by: 2 * time.Hour, again: 30 * time.Minute},
		{name: "ahead into them", at: "08:30:00", by: 2 * time.Hour, goes: true},
	} {
		for _, slow := range []time.Duration{0, 20 * time.Millisecond} {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					set, err := time.ParseInLocation("2006-01-02 15:04:05", "2026-06-10 "+c.at, berlin)
					if err != nil {
						t.Fatal(err)
					}
					time.Sleep(time.Until(set.Add(-before)))
					camp := calling("c", 500, cps)
					camp.Hours = Hours{Windows: []Window{{From: "09:00", To: "21:00"}, {From: "22:30", To: "23:00"}}}
					b := newBooks(camp)
					if slow > 0 {
						b.slow = jitter(slow)
					}
					b.add(camp, 700)
					for _, k := range b.contacts["c"] {
						k.Due = time.Time{}
					}
					far := &carrier{b: b, becomes: always(5*time.Second, OutcomePerson)}
					o := b.opens(t, "node", 500, far, nil)
					time.Sleep(before)
					b.ahead.Store(int64(c.by))
					time.Sleep(after)
					left := far.times()
					n := 0
					for _, at := range left {
						if at.Sub(set) > fenceAhead+slow { // what was behind the fence leaves
							n++
						}
					}
					switch want := int(cps * after.Seconds()); {
					case !c.goes && n > 0:
						t.Errorf("%d calls left outside the hours", n)
					case c.goes && (n < want*95/100 || n > want*105/100):
						t.Errorf("%d calls left within %v, want %d", n, after, want)
					}
					if most := worst(left); most > cps+1 {
						t.Errorf("%d calls in one second", most)
					}
					if c.again > 0 {
						time.Sleep(c.again - after - time.Second)
						if got := far.placed(); got != len(left) {
							t.Errorf("%d calls left before the hours began", got-len(left))
						}
						time.Sleep(10 * time.Second)
						if got := far.placed(); got == len(left) {
							t.Error("no calls left when the hours had begun")
						}
					}
					o.stop()
					if twice := far.again(); len(twice) > 0 {
						t.Errorf("called twice: %v", twice)
					}
				})
			})
		}
	}
}

// The clock of a node and that of the ledger differ by hours: nobody is called whom
// one of them alone allows to be called, and nobody is called again before the time.
func TestTwoClocks(t *testing.T) {
	t.Parallel()
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		at    string // by the ledger
		ahead time.Duration
		calls int // within 9 minutes
	}{
		{"behind, by day", "14:00:00", -2 * time.Hour, 1},
		{"ahead, by day", "14:00:00", 2 * time.Hour, 1},
		{"behind, and it is night", "21:30:00", -2 * time.Hour, 0},
		{"ahead, and it is not yet day", "07:30:00", 2 * time.Hour, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				at, err := time.ParseInLocation("2006-01-02 15:04:05", "2026-06-10 "+c.at, berlin)
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Until(at))
				camp := calling("c", 5, 5)
				camp.Hours = Hours{Windows: []Window{{From: "09:00", To: "21:00"}}}
				b := newBooks(camp)
				b.add(camp, 1)
				far := &carrier{b: b, becomes: always(time.Second, OutcomeBusy)} // again after ten minutes
				o := b.opens(t, "node", 5, far, func(cfg *RunnerConfig) {
					cfg.Now = func() time.Time { return b.wall().Add(c.ahead) }
				})
				time.Sleep(9 * time.Minute)
				if n := far.placed(); n != c.calls {
					t.Errorf("%d calls, want %d", n, c.calls)
				}
				time.Sleep(3 * time.Hour)
				o.stop()
				if n := far.placed(); c.calls > 0 && n < 2 {
					t.Errorf("%d calls within hours", n)
				}
			})
		})
	}
}
