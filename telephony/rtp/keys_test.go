package rtp

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/patchcord/patchcord/telephony"
)

// keyPacket is one telephone-event packet of a press.
type keyPacket struct {
	ts     uint32
	marker bool
	e      keyEvent
	at     time.Duration
	seq    uint16
}

// pressOf is a press as RFC 4733 has it: an update every 20 ms, three ends.
func pressOf(key byte, ts uint32, at time.Duration, long int) (ps []keyPacket) {
	event := uint8(slices.Index([]byte(keyNames), key))
	for i := 1; i <= long; i++ {
		e := keyEvent{event: event, duration: uint16(i * 160), end: i == long}
		ps = append(ps, keyPacket{ts, i == 1, e, at, uint16(at / (20 * time.Millisecond))})
		at += 20 * time.Millisecond
	}
	last := ps[len(ps)-1]
	for range 2 {
		last.at += 20 * time.Millisecond
		last.seq++
		ps = append(ps, last)
	}
	return ps
}

// renumbered is a press whose sequence numbers lie elsewhere.
func renumbered(ps []keyPacket, by int) []keyPacket {
	for i := range ps {
		ps[i].seq += uint16(by)
	}
	return ps
}

// read gives the keys a reader tells, the late ones too.
func read(ps []keyPacket) (ds []telephony.Digit) {
	k := keyReader{clock: 8000, stamps: 8000}
	now := time.Duration(0)
	for _, p := range ps {
		for ; now < p.at; now += 20 * time.Millisecond {
			if d, ok := k.over(now); ok {
				ds = append(ds, d)
			}
		}
		done, n := k.packet(p.seq, p.ts, p.marker, p.e, p.at)
		ds = append(ds, done[:n]...)
	}
	if d, ok := k.over(now + time.Second); ok {
		ds = append(ds, d)
	}
	return ds
}

func keysOf(ds []telephony.Digit) (s string) {
	for _, d := range ds {
		s += string(d.Key)
	}
	return s
}

func TestKeyReader(t *testing.T) {
	t.Parallel()
	ms := time.Millisecond
	one := pressOf('1', 1000, 0, 5)
	again := append(slices.Clone(one), pressOf('1', 1000+1200, 150*ms, 5)...)
	unmarked := slices.Clone(one)
	for i := range unmarked {
		unmarked[i].marker = false
	}
	drifting := slices.Clone(one) // a sender that counts the timestamp on in one press
	for i := range drifting {
		drifting[i].ts += uint32(i * 160)
		drifting[i].marker = false
	}
	long := []keyPacket{}
	for i := range 1000 { // 20 s: two whole segments and a rest
		ticks := (i + 1) * 160
		seg := (ticks - 1) / segment
		long = append(long, keyPacket{
			ts: 500 + uint32(seg*segment), marker: i == 0, at: time.Duration(i) * 20 * ms, seq: uint16(i),
			e: keyEvent{event: 5, duration: uint16(ticks - seg*segment), end: i == 999},
		})
	}
	for _, c := range []struct {
		name string
		in   []keyPacket
		want string
		long time.Duration
	}{
		{name: "a press is one key", in: one, want: "1", long: 100 * ms},
		{name: "twice the same key", in: again, want: "11", long: 100 * ms},
		{name: "the start is lost", in: one[3:], want: "1", long: 100 * ms},
		{name: "only the last end arrives", in: one[6:], want: "1", long: 100 * ms},
		{name: "all ends are lost", in: one[:4], want: "1", long: 80 * ms},
		{name: "all ends of the first of two are lost", in: append(slices.Clone(one[:4]), pressOf('2', 2200, 150*ms, 5)...), want: "12"},
		{name: "no marker", in: unmarked, want: "1", long: 100 * ms},
		{name: "the timestamp moves within the press", in: drifting, want: "1", long: 100 * ms},
		{name: "20 s is one key", in: long, want: "5", long: 20 * time.Second},
		{name: "out of order", in: []keyPacket{one[4], one[1], one[0], one[5], one[2]}, want: "1", long: 100 * ms},
		{
			name: "a key from a file whose timestamps lie before", want: "10", long: 100 * ms,
			in: append(slices.Clone(one), pressOf('0', 1000-640, 300*ms, 5)...),
		},
		{
			name: "and whose sequence numbers do", want: "10", long: 100 * ms,
			in: append(slices.Clone(one), renumbered(pressOf('0', 1000-640, 300*ms, 5), -5000)...),
		},
		{
			name: "the same key from such a file", want: "11", long: 100 * ms,
			in: append(slices.Clone(one), pressOf('1', 1000-640, 300*ms, 5)...),
		},
		{
			name: "a late packet of the press before", want: "12",
			in: append(append(slices.Clone(one[:6]), pressOf('2', 2200, 150*ms, 5)...), one[6]),
		},
		{name: "conv:D6 a repeat under another timestamp", in: append(slices.Clone(one), keyPacket{1100, false, one[6].e, 150 * ms, 7}), want: "1"},
		{name: "flash and fax tones are no keys", in: []keyPacket{{1, true, keyEvent{event: 16, end: true}, 0, 1}, {9, true, keyEvent{event: 200, end: true}, 0, 2}}, want: ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := read(c.in)
			if keysOf(got) != c.want {
				t.Fatalf("keys %q, want %q: %v", keysOf(got), c.want, got)
			}
			if c.long != 0 && got[0].Duration != c.long {
				t.Errorf("pressed for %v, want %v", got[0].Duration, c.long)
			}
			for _, d := range got {
				if d.Source != "rfc4733" {
					t.Errorf("source %q", d.Source)
				}
			}
		})
	}
}

// Any keys, any loss that leaves one packet of each press: each key once, in
// order.
func TestKeysSurviveLoss(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		keys := rapid.StringMatching(`[0-9*#A-D]{1,12}`).Draw(t, "keys")
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		ts := rapid.Uint32().Draw(t, "timestamp")
		var in []keyPacket
		for i := range len(keys) {
			long := 3 + r.IntN(10)
			ps := pressOf(keys[i], ts, time.Duration(i)*400*time.Millisecond, long)
			keep := r.IntN(len(ps))
			for k, p := range ps {
				if k == keep || r.Float64() > 0.5 {
					in = append(in, p)
				}
			}
			ts += 3200
		}
		if got := keysOf(read(in)); got != keys {
			t.Fatalf("keys %q, want %q", got, keys)
		}
	})
}

func FuzzKeyEvent(f *testing.F) {
	f.Add([]byte{1, 0x8a, 3, 0x20}, uint32(160), true)
	f.Add([]byte{255, 255, 255, 255, 255}, uint32(1<<31), false)
	f.Fuzz(func(t *testing.T, b []byte, step uint32, marker bool) {
		k := keyReader{clock: 8000, stamps: 8000}
		ts, told, starts := uint32(0), 0, 0
		for now := time.Duration(0); len(b) > 0; now += 20 * time.Millisecond {
			e, ok := parseKeyEvent(b)
			if ok != (len(b) >= 4) {
				t.Fatal("length")
			}
			if ok {
				var back [4]byte
				e.put(back[:])
				if again, _ := parseKeyEvent(back[:]); again != e {
					t.Fatalf("%+v became %+v", e, again)
				}
				_, n := k.packet(uint16(starts), ts, marker, e, now)
				told += n
				starts++
			}
			if _, ok := k.over(now); ok {
				told++
			}
			ts += step
			b = b[min(len(b), 4):]
		}
		if told > starts {
			t.Fatalf("%d keys of %d packets", told, starts)
		}
	})
}
