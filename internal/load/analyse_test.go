package load

import (
	"math"
	"testing"
)

const ms = int64(1e6)

// sound is packets of 20 ms from a moment on, in ms, one letter each: S holds
// speech, . silence, x was lost on the way, anything else is a space.
func sound(from int64, text string) []Packet {
	var out []Packet
	for i, r := range text {
		if r != 'x' {
			out = append(out, Packet{
				At: (from + 20*int64(i)) * ms, Seq: uint16(65530 + i), TS: uint32(160 * i), Loud: r == 'S',
			})
		}
	}
	return out
}

func TestTurns(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		in   string // from 0 ms
		said []Said // in ms
		want []Turn // Reply and Old, in ms
	}{
		{
			name: "the answer begins with 60 ms of speech, not with a click",
			in:   ".....S....SS...SSSSS",
			said: []Said{{First: 0, Last: 90}},
			want: []Turn{{Reply: 300}},
		},
		{
			name: "an answer that never comes",
			in:   "......SS....",
			said: []Said{{First: 0, Last: 90}},
			want: []Turn{{}},
		},
		{
			name: "what comes after the next utterance began answers that one",
			in:   "..........SSSS......",
			said: []Said{{First: 0, Last: 90}, {First: 150, Last: 170}},
			want: []Turn{{}, {Reply: 200}},
		},
		{
			name: "an interrupted answer ends before the next begins",
			in:   "SSSSSSSSS..........SSSSS",
			said: []Said{{First: 50, Last: 250, Barge: true}},
			want: []Turn{{Old: 160, Reply: 380}},
		},
		{
			name: "an answer that goes on was not interrupted, and is no answer",
			in:   "SSSSSSSSSSSSSSSSSSSSSSSS",
			said: []Said{{First: 50, Last: 250, Barge: true}},
			want: []Turn{{}},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for i := range c.said {
				c.said[i].First *= ms
				c.said[i].Last *= ms
			}
			got := turns(sound(0, c.in), c.said)
			for i, w := range c.want {
				if got[i].Reply != w.Reply*ms || got[i].Old != w.Old*ms {
					t.Errorf("turn %d: reply at %d ms, old until %d ms; want %d and %d",
						i, got[i].Reply/ms, got[i].Old/ms, w.Reply, w.Old)
				}
			}
		})
	}
}

func TestJudge(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name              string
		in                []Packet
		said              []Said
		lost, order, hole int
		jumps             int
	}{
		{name: "a clean stream over the wrap of the sequence", in: sound(0, "..SSSSSSSSSS..")},
		{name: "two packets lost", in: sound(0, "SSxSSxSS"), lost: 2},
		{name: "40 ms of silence are a breath", in: sound(0, "SSSS..SSSS")},
		{name: "60 ms of silence are a hole", in: sound(0, "SSSS...SSSS"), hole: 1},
		{name: "the silence around an utterance is none", in: sound(0, "SS....SS"), said: []Said{{First: 50 * ms, Last: 90 * ms}}},
		{name: "late packets are a hole too", in: append(sound(0, "SSSS"), later(sound(80, "SSSS"), 80, 4)...), hole: 1},
		{name: "a packet twice", in: append(sound(0, "SSSS"), sound(0, "SSSS")[3]), order: 1, jumps: 0},
		{name: "a timestamp that jumps", in: append(sound(0, "SS"), jump(sound(0, "SSSS")[2:])...), jumps: 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := judge(c.in, c.said, 0, math.MaxInt64)
			if got.Lost != c.lost || got.Order != c.order || got.Holes != c.hole || got.Jumps != c.jumps {
				t.Errorf("lost %d, out of order %d, holes %d, jumps %d; want %d, %d, %d, %d",
					got.Lost, got.Order, got.Holes, got.Jumps, c.lost, c.order, c.hole, c.jumps)
			}
			if want := max(0, len(c.in)-1); len(got.Gaps) != want {
				t.Errorf("%d gaps, want %d", len(got.Gaps), want)
			}
		})
	}
	if got := judge(sound(0, "SSSSSSSS"), nil, 50*ms, 110*ms); got.Packets != 3 || got.Lost != 0 {
		t.Errorf("of the window %d packets and %d lost, want 3 and 0", got.Packets, got.Lost)
	}
}

// later makes packets follow n others and come by ms late.
func later(ps []Packet, by int64, n uint16) []Packet {
	for i := range ps {
		ps[i].At += by * ms
		ps[i].Seq += n
		ps[i].TS += uint32(n) * frameSamples
	}
	return ps
}

func jump(ps []Packet) []Packet {
	for i := range ps {
		ps[i].TS += 80
	}
	return ps
}

func TestPercentile(t *testing.T) {
	t.Parallel()
	xs := []float64{9, 1, 8, 2, 7, 3, 6, 4, 5, 10}
	for q, want := range map[float64]float64{0: 1, 0.1: 1, 0.5: 5, 0.95: 10, 0.99: 10, 1: 10} {
		if got := Percentile(xs, q); got != want {
			t.Errorf("the %v percentile is %v, want %v", q, got, want)
		}
	}
	if got := Percentile(nil, 0.5); got != 0 {
		t.Errorf("of nothing: %v", got)
	}
}

func TestTalkerTakesTurns(t *testing.T) {
	t.Parallel()
	tk := newTalker(Talk{Say: 100e6, Wait: 200e6, Reply: 1e9, Barge: 2, BargeAfter: 300e6}, 0)
	var heard, spoke []int64 // ms
	answer := int64(100)     // when the agent speaks, ms
	for at := int64(0); at < 4000; at += 20 {
		sounds := at >= answer && at < answer+600
		tk.hear(at*ms, sounds)
		if sounds {
			heard = append(heard, at)
		}
		if n, speaks := tk.next(at * ms); speaks {
			if n == 0 {
				spoke = append(spoke, at)
			}
			answer = at + 100 // what is sounding ends
			if len(spoke) == 3 {
				answer = 10_000 // no answer to the third
			}
		}
	}
	// The greeting is heard from 100 to 680, the next after 200 ms of quiet; the
	// second into the answer that sounds from 1060; the third after its answer,
	// the fourth when none came for 1 s.
	if want := []int64{880, 1360, 2320, 3400}; len(spoke) < 4 || spoke[0] != want[0] || !tk.said[1].Barge {
		t.Errorf("spoke at %v (heard %d packets), want about %v", spoke, len(heard), want)
	}
	if tk.dead != 1 {
		t.Errorf("%d utterances without an answer, want 1", tk.dead)
	}
}

func TestUtteranceIsLoudInEveryFrame(t *testing.T) {
	t.Parallel()
	for i, f := range utterance(100) {
		if !loud(f[:]) {
			t.Errorf("frame %d is silent", i)
		}
	}
	if loud(silence[:]) {
		t.Error("silence is loud")
	}
}

func TestMuLaw(t *testing.T) {
	t.Parallel()
	// ITU-T G.711 table 2a: the ends of the scale and a few steps, at 16 bits.
	for x, want := range map[int16]byte{0: 0xFF, 8: 0xFE, -8: 0x7E, 32767: 0x80, -32768: 0x00, 1000: 0xCE} {
		if got := muLaw(x); got != want {
			t.Errorf("%d becomes %#x, want %#x", x, got, want)
		}
	}
	for code := range 256 {
		a := amplitude[code]
		if got := amplitude[muLaw(int16(a))]; got != a {
			t.Errorf("code %#x: amplitude %d becomes %d", code, a, got)
		}
	}
}

func TestEndsOfACall(t *testing.T) {
	t.Parallel()
	var ps []Packet
	for i := range 10 {
		ps = append(ps, Packet{At: int64(i+1) * frameTime, Loud: i == 1 || i >= 3 && i < 8})
	}
	first, speaks, last := ends(ps)
	if first != frameTime || speaks != 4*frameTime || last != 8*frameTime {
		t.Errorf("%d, %d, %d", first/frameTime, speaks/frameTime, last/frameTime)
	}
	if a, b, c := ends(nil); a+b+c != 0 {
		t.Error("no packets have ends")
	}
}

func TestHushedTalkerForgetsWhatItWasSaying(t *testing.T) {
	t.Parallel()
	k := newTalker(Talk{Reply: 1}, 0)
	if _, speaks := k.next(2); !speaks || len(k.said) != 1 {
		t.Fatal("it says nothing")
	}
	k.hush()
	if k.hush(); len(k.whole()) != 0 || k.at != 0 {
		t.Errorf("it said %+v", k.said)
	}
}
