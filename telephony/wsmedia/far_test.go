package wsmedia

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/patchcord/patchcord/audio"
)

const ms = time.Millisecond

// INV2, INV44: what is heard is the last mark that came back and the time since,
// never beyond a mark that is still out.
func TestWhatTheCarrierHasNotPlayed(t *testing.T) {
	t.Parallel()
	f := far{rate: 8000}
	expect := func(now, unheard time.Duration) {
		t.Helper()
		if got := f.unheard(now); got != unheard {
			t.Errorf("at %s %s are not heard, want %s", now, got, unheard)
		}
	}
	give := func(now, d time.Duration) { f.give(audio.Samples(d, 8000), now) }
	give(time.Second, 60*ms)
	expect(time.Second, 60*ms)
	expect(1020*ms, 40*ms)
	expect(1100*ms, 0) // no mark is out: time tells
	give(1200*ms, 200*ms)
	if !f.due(false) {
		t.Fatal("no mark after 260 ms")
	}
	name := f.next(1200 * ms)
	expect(1300*ms, 100*ms)
	expect(1500*ms, audio.Duration(1, 8000)) // it should be over, but the mark is not back
	give(1500*ms, 100*ms)
	expect(1600*ms, 100*ms+audio.Duration(1, 8000))
	f.back(name, 1700*ms)
	expect(1700*ms, 100*ms) // heard up to the mark, at 1700
	expect(1740*ms, 60*ms)
	if got := f.flush(1740 * ms); got != 60*ms {
		t.Errorf("%s were dropped", got)
	}
	expect(1740*ms, 0)
	f.back(name, 1800*ms) // cleared ones come back too
	f.back("never sent", 1800*ms)
	expect(1800*ms, 0)
	give(2*time.Second, 20*ms)
	if f.due(false) || !f.due(true) {
		t.Error("the end of speech wants a mark, the middle none yet")
	}
	f.next(2 * time.Second)
	if f.due(true) {
		t.Error("a second mark at one place")
	}
	expect(11*time.Second, audio.Duration(1, 8000))
	expect(13*time.Second, 0) // a mark that is lost keeps nobody waiting for ever
}

// Whatever happens: what is not heard is between nothing and all that is given,
// a flush leaves nothing, and marks are few.
func TestFarHoldsWhateverHappens(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		f := far{rate: 16000}
		now := time.Duration(0)
		var names []string
		last := int64(0)
		for range 200 {
			now += time.Duration(rapid.IntRange(0, 300).Draw(t, "wait")) * ms
			switch rapid.IntRange(0, 4).Draw(t, "what") {
			case 0, 1:
				f.give(320, now)
			case 2:
				if f.due(rapid.Bool().Draw(t, "end")) {
					names = append(names, f.next(now))
				}
			case 3:
				if len(names) > 0 {
					f.back(rapid.SampledFrom(names).Draw(t, "mark"), now)
				}
			case 4:
				if rapid.IntRange(0, 9).Draw(t, "flush") == 0 {
					f.flush(now)
					last = 0
					if f.unheard(now) != 0 || f.ahead(now) != 0 {
						t.Fatal("something is left behind a flush")
					}
				}
			}
			p := f.position(now)
			if p < 0 || p > f.given || len(f.marks) > maxMarks {
				t.Fatalf("at %s %d of %d are heard, %d marks are out", now, p, f.given, len(f.marks))
			}
			if p < last-1 { // a mark that goes out takes its one sample back
				t.Fatalf("at %s %d are heard, and %d were before", now, p, last)
			}
			last = p
		}
	})
}
