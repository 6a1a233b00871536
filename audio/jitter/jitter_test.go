package jitter

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

const ms = time.Millisecond

// stream is a sender of numbered packets and the network between.
type stream struct {
	ptime time.Duration
	seq   uint16
	ts    uint32
	ssrc  uint32
}

// packet is number n of the stream, arriving at at.
func (s stream) packet(n int, at time.Duration) Packet {
	dur := uint32(s.ptime / ms * 8)
	payload := binary.BigEndian.AppendUint32(nil, uint32(n))
	return Packet{
		Seq: s.seq + uint16(n), TS: s.ts + uint32(n)*dur, SSRC: s.ssrc, Dur: dur,
		At: at, Payload: payload,
	}
}

// heard is what a reader got.
type heard struct {
	packets []int
	delay   map[int]time.Duration // from sending to being heard
	gaps    map[Kind]int          // before the last packet, ms
	frames  int
	misread int // packets whose time of arrival was another's
}

// play runs packets, in the order of arrival, through b: a frame every 20 ms
// until end, drained at the tick as a shard does.
func play(b *Buffer, in []Packet, phase, end time.Duration, ptime time.Duration, quiet bool) heard {
	slices.SortStableFunc(in, func(x, y Packet) int { return int(x.At - y.At) })
	h := heard{delay: map[int]time.Duration{}, gaps: map[Kind]int{}}
	since := map[Kind]int{} // the last packet
	have := uint32(0)       // ticks in the reader's hand
	came := map[int]time.Duration{}
	for now := phase; now < end; now += frame {
		for len(in) > 0 && in[0].At <= now {
			if p := in[0]; b.Put(p) == Queued && p.Kind == Audio {
				came[int(binary.BigEndian.Uint32(p.Payload))] = p.At
			}
			in = in[1:]
		}
		for again := true; again; {
			for have < 160 {
				o := b.Next(now, 160-have, quiet)
				have += o.Dur
				if o.Kind != Audio {
					since[o.Kind] += int(o.Dur / 8)
					continue
				}
				for k, n := range since {
					h.gaps[k] += n
				}
				clear(since)
				n := int(binary.BigEndian.Uint32(o.Payload))
				h.packets = append(h.packets, n)
				if o.At != came[n] {
					h.misread++
				}
				h.delay[n] = now + b.duration(int64(have-o.Dur)) - time.Duration(n)*ptime
			}
			have -= 160
			again = quiet && b.Excess(now)
		}
		h.frames++
	}
	return h
}

func TestOrderedStreamIsPlayedWhole(t *testing.T) {
	t.Parallel()
	for _, ptime := range []time.Duration{10 * ms, 20 * ms, 30 * ms, 40 * ms, 60 * ms} {
		s := stream{ptime: ptime, seq: 65530, ts: 0xffffff00, ssrc: 7}
		var in []Packet
		for n := range 200 {
			in = append(in, s.packet(n, time.Duration(n)*ptime))
		}
		h := play(New(Config{}), in, 3*ms, 200*ptime+300*ms, ptime, false)
		if len(h.packets) != 200 || !slices.IsSorted(h.packets) || h.gaps[Lost] > 220 {
			t.Errorf("ptime %v: %d packets, gaps %v ms", ptime, len(h.packets), h.gaps)
		}
	}
}

// Jitter, loss, reorder, duplicates.
func TestNetwork(t *testing.T) {
	t.Parallel()
	uniform := func(most time.Duration) func(*rand.Rand) time.Duration {
		return func(r *rand.Rand) time.Duration { return time.Duration(r.Int64N(int64(most) + 1)) }
	}
	for _, c := range []struct {
		name      string
		delay     func(*rand.Rand) time.Duration
		loss, dup float64
		reorder   float64 // held back by 60 ms
		late      float64 // at most
		added     time.Duration
	}{
		{name: "clean", delay: uniform(0), late: 0, added: 40 * ms},
		{name: "jitter 30 ms", delay: uniform(30 * ms), late: 0.005, added: 60 * ms},
		{name: "jitter 60 ms", delay: uniform(60 * ms), late: 0.01, added: 100 * ms},
		{name: "jitter 100 ms", delay: uniform(100 * ms), late: 0.02, added: 160 * ms},
		{name: "loss 20 %", delay: uniform(5 * ms), loss: 0.2, late: 0, added: 45 * ms},
		{name: "reorder 5 % by up to 60 ms", delay: uniform(2 * ms), reorder: 0.05, late: 0.004, added: 100 * ms},
		{name: "duplicates 5 %", delay: uniform(2 * ms), dup: 0.05, late: 0, added: 45 * ms},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(20) {
				r := rand.New(rand.NewPCG(seed, 1))
				s := stream{ptime: 20 * ms, ssrc: 1, seq: uint16(r.Uint32()), ts: r.Uint32()}
				const count = 3000
				var in []Packet
				sent, doubled := 0, 0
				for n := range count {
					if r.Float64() < c.loss {
						continue
					}
					sent++
					at := time.Duration(n)*20*ms + c.delay(r)
					if r.Float64() < c.reorder {
						at += time.Duration(r.Int64N(int64(60 * ms)))
					}
					in = append(in, s.packet(n, at))
					if r.Float64() < c.dup {
						doubled++
						in = append(in, s.packet(n, at+time.Duration(r.Int64N(int64(50*ms)))))
					}
				}
				b := New(Config{})
				h := play(b, in, time.Duration(r.Int64N(int64(20*ms))), count*20*ms+400*ms, 20*ms, true)
				if !slices.IsSorted(h.packets) || len(slices.Compact(slices.Clone(h.packets))) != len(h.packets) {
					t.Fatalf("seed %d: out of order or twice", seed)
				}
				st := b.Stats()
				if got := float64(st.Late+st.Skipped) / float64(sent); got > c.late {
					t.Errorf("seed %d: %.2f %% late, want at most %.2f %%", seed, 100*got, 100*c.late)
				}
				if h.misread > 0 {
					t.Errorf("seed %d: %d packets came at another time than is told", seed, h.misread)
				}
				if st.Duplicates != uint64(doubled) {
					t.Errorf("seed %d: %d duplicates counted of %d", seed, st.Duplicates, doubled)
				}
				if len(h.packets)+int(st.Late+st.Skipped) != sent {
					t.Errorf("seed %d: %d played + %d late, %d sent", seed, len(h.packets), st.Late, sent)
				}
				var sum time.Duration
				settled := 0
				for n, d := range h.delay {
					if n > 500 {
						sum += d
						settled++
					}
				}
				if mean := sum / time.Duration(max(settled, 1)); mean > c.added {
					t.Errorf("seed %d: delay %v, want at most %v; target %v", seed, mean, c.added, st.Target)
				}
			}
		})
	}
}

func TestDelayShrinksWhenCalm(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(4, 2))
	s := stream{ptime: 20 * ms}
	var in []Packet
	for n := range 1500 {
		at := time.Duration(n) * 20 * ms
		if n < 500 {
			at += time.Duration(r.Int64N(int64(100 * ms)))
		}
		in = append(in, s.packet(n, at))
	}
	// Silence only: shrinks within 10 s of the calm at packet 500.
	h := play(New(Config{}), slices.Clone(in), 7*ms, 30*time.Second, 20*ms, true)
	for n := 1000; n < 1500; n++ {
		if d, ok := h.delay[n]; ok && d > 40*ms {
			t.Fatalf("packet %d is heard after %v", n, d)
		}
	}
	// Speech only: nothing is dropped, whatever the delay.
	b := New(Config{})
	play(b, in, 7*ms, 30*time.Second, 20*ms, false)
	if st := b.Stats(); st.Skipped != 0 {
		t.Errorf("%d packets of speech dropped", st.Skipped)
	}
}

func TestBurstLossRecovers(t *testing.T) {
	t.Parallel()
	for _, hole := range []int{10, 100} { // 200 ms, 2 s
		s := stream{ptime: 20 * ms, ts: 99}
		var in []Packet
		for n := range 300 {
			if n < 100 || n >= 100+hole {
				in = append(in, s.packet(n, time.Duration(n)*20*ms))
			}
		}
		h := play(New(Config{}), in, 11*ms, 7*time.Second, 20*ms, true)
		if i := slices.Index(h.packets, 100+hole); i < 0 || h.delay[100+hole] > 40*ms {
			t.Errorf("hole of %d: first packet after it heard after %v", hole, h.delay[100+hole])
		}
		if len(h.packets) < 300-hole-2 {
			t.Errorf("hole of %d: %d packets heard", hole, len(h.packets))
		}
	}
}

// SSRC, sequence and timestamp jumps are heard right at
// most 60 ms later.
func TestJumps(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Packet){
		"ssrc":               func(p *Packet) { p.SSRC++ },
		"ssrc and all":       func(p *Packet) { p.SSRC++; p.Seq += 31000; p.TS -= 123456789 },
		"timestamp +10 s":    func(p *Packet) { p.TS += 80000 },
		"timestamp -10 s":    func(p *Packet) { p.TS -= 80000 },
		"timestamp +400 ms":  func(p *Packet) { p.TS += 3200 },
		"timestamp -400 ms":  func(p *Packet) { p.TS -= 3200 },
		"sequence +10000":    func(p *Packet) { p.Seq += 10000 },
		"sequence -10000":    func(p *Packet) { p.Seq -= 10000 },
		"sequence -200":      func(p *Packet) { p.Seq -= 200 },
		"sequence +500":      func(p *Packet) { p.Seq += 500 },
		"sequence and stamp": func(p *Packet) { p.Seq += 20000; p.TS += 1 << 31 },
	} {
		s := stream{ptime: 20 * ms, ssrc: 5, ts: 1000}
		var in []Packet
		for n := range 400 {
			p := s.packet(n, time.Duration(n)*20*ms)
			if n >= 200 {
				change(&p)
			}
			in = append(in, p)
		}
		b := New(Config{})
		h := play(b, in, 5*ms, 9*time.Second, 20*ms, true)
		i := slices.IndexFunc(h.packets, func(n int) bool { return n >= 200 })
		if i < 0 {
			t.Errorf("%s: nothing heard after it", name)
			continue
		}
		if first := h.packets[i]; first > 202 || h.delay[first] > 60*ms {
			t.Errorf("%s: packet %d is the first heard, after %v", name, first, h.delay[first])
		}
		if len(h.packets) < 394 {
			t.Errorf("%s: %d of 400 packets heard; %+v", name, len(h.packets), b.Stats())
		}
	}
}

// Comfort noise, then nothing, then speech again.
func TestSenderPauses(t *testing.T) {
	t.Parallel()
	s := stream{ptime: 20 * ms}
	var in []Packet
	for n := range 300 {
		p := s.packet(n, time.Duration(n)*20*ms)
		switch {
		case n == 100:
			p.Kind, p.Dur = Noise, 0
		case n > 100 && n < 200:
			continue
		case n >= 200:
			p.Seq -= 99
		}
		in = append(in, p)
	}
	b := New(Config{})
	h := play(b, in, 5*ms, 7*time.Second, 20*ms, false)
	if h.gaps[Lost] > 0 || h.gaps[Pause] < 1900 || len(h.packets) != 200 {
		t.Errorf("%d packets, gaps %v", len(h.packets), h.gaps)
	}
	if h.delay[200] > 60*ms {
		t.Errorf("speech after the pause heard after %v", h.delay[200])
	}
}

// A key press takes sequence numbers and no sound.
func TestKeyPressIsNoLoss(t *testing.T) {
	t.Parallel()
	s := stream{ptime: 20 * ms}
	var in []Packet
	for n := range 200 {
		p := s.packet(n, time.Duration(n)*20*ms)
		if n >= 100 && n < 108 {
			p.TS, p.Kind, p.Dur, p.Payload = 100*160, Other, 0, nil
		}
		in = append(in, p)
	}
	h := play(New(Config{}), in, 5*ms, 4*time.Second+60*ms, 20*ms, false)
	if h.gaps[Lost] != 0 || h.gaps[Pause] != 160 || len(h.packets) != 192 {
		t.Errorf("%d packets, gaps %v", len(h.packets), h.gaps)
	}
}

func TestClockDrift(t *testing.T) {
	t.Parallel()
	for _, ppm := range []int{-200, 200} {
		s := stream{ptime: 20 * ms}
		var in []Packet
		const count = 30000 // 10 min
		for n := range count {
			in = append(in, s.packet(n, time.Duration(n)*(20*ms+20*time.Duration(ppm))))
		}
		b := New(Config{})
		h := play(b, in, 5*ms, 10*time.Minute, 20*ms, true)
		if st := b.Stats(); st.Late+st.Skipped > 20 || len(h.packets) < count-50 {
			t.Errorf("%d ppm: %d heard, %+v", ppm, len(h.packets), st)
		}
	}
}

// Whatever comes, the reader gets every frame whole, packets in order and
// none twice, and the counters add up.
func TestProperties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		b := New(Config{MaxPayload: 16})
		s := stream{ptime: 20 * ms, seq: rapid.Uint16().Draw(t, "seq"), ts: rapid.Uint32().Draw(t, "ts")}
		var now time.Duration
		puts, played, sent := 0, 0, 0
		last := -1
		for range rapid.IntRange(1, 300).Draw(t, "steps") {
			for range rapid.IntRange(0, 4).Draw(t, "packets") {
				n := sent + rapid.IntRange(-5, 3).Draw(t, "number")
				if n < 0 {
					continue
				}
				sent = max(sent, n+1)
				b.Put(s.packet(n, now-time.Duration(rapid.IntRange(0, 19).Draw(t, "age"))*ms))
				puts++
			}
			for want := uint32(160); want > 0; {
				o := b.Next(now, want, rapid.Bool().Draw(t, "quiet"))
				if o.Kind != Audio {
					if o.Dur > want || o.Dur == 0 && o.Kind != Noise {
						t.Fatalf("gap of %d ticks, %d wanted", o.Dur, want)
					}
					want -= o.Dur
					continue
				}
				n := int(binary.BigEndian.Uint32(o.Payload))
				if n <= last && b.Stats().Restarts == 0 {
					t.Fatalf("packet %d after %d", n, last)
				}
				last = n
				played++
				want -= min(want, o.Dur)
			}
			now += frame
		}
		st := b.Stats()
		if uint64(puts) > st.Queued+st.Duplicates+st.Late || st.Queued+st.Duplicates > uint64(puts) {
			t.Fatalf("%d put, %+v", puts, st)
		}
		if uint64(played) > st.Queued {
			t.Fatalf("%d played of %d queued", played, st.Queued)
		}
		if b.queued < 0 || b.queued > slots {
			t.Fatalf("%d queued", b.queued)
		}
	})
}

func FuzzPut(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 0, 1, 0, 1, 0, 160, 0, 2})
	f.Add([]byte{255, 255, 255, 255, 255, 0, 0, 0, 0, 0, 9, 1})
	f.Fuzz(func(t *testing.T, in []byte) {
		b := New(Config{MaxPayload: 8})
		var now time.Duration
		for ; len(in) >= 6; in = in[6:] {
			b.Put(Packet{
				Seq: binary.BigEndian.Uint16(in), TS: uint32(binary.BigEndian.Uint16(in[2:])) << (in[4] % 17),
				SSRC: uint32(in[4] >> 6), Kind: Kind(in[5] % 3), Dur: uint32(in[5]), At: now, Payload: in[:in[5]%10%6],
			})
			for want, turns := uint32(160), 0; want > 0; turns++ {
				o := b.Next(now, want, in[4]&1 == 0)
				want -= min(want, o.Dur)
				if turns > 4*slots {
					t.Fatal("Next does not get on")
				}
			}
			if b.Excess(now) {
				b.Skip(frame)
			}
			now += time.Duration(in[4]) * ms
		}
	})
}

func BenchmarkPacket(b *testing.B) {
	buf := New(Config{})
	payload := make([]byte, 160)
	b.ReportAllocs()
	for n := range b.N {
		now := time.Duration(n) * frame
		buf.Put(Packet{Seq: uint16(n), TS: uint32(n) * 160, Dur: 160, At: now, Payload: payload})
		buf.Next(now+10*ms, 160, false)
	}
}

func TestNoAllocation(t *testing.T) {
	for _, size := range []int{160, 480} { // the run before the first that counts makes room for long ones
		buf := New(Config{})
		payload := make([]byte, size)
		n := 0
		if got := testing.AllocsPerRun(1000, func() {
			buf.Put(Packet{Seq: uint16(n), TS: uint32(n) * 160, Dur: 160, At: time.Duration(n) * frame, Payload: payload})
			buf.Next(time.Duration(n)*frame, 160, true)
			n++
		}); got != 0 {
			t.Errorf("%v allocations per packet of %d bytes", got, size)
		}
	}
}

// Packets of different lengths in one stream come out as they went in.
func TestPayloadsOfAnyLength(t *testing.T) {
	t.Parallel()
	b := New(Config{})
	sizes := []int{160, 500, 1, 161, 480, 0, 80, 500}
	var got []int
	for n := range 20 {
		if n < len(sizes) {
			p := stream{ptime: 20 * ms}.packet(n, time.Duration(n)*frame)
			p.Payload = bytes.Repeat([]byte{byte(n + 1)}, sizes[n])
			if v := b.Put(p); v != Queued {
				t.Fatalf("a payload of %d bytes: verdict %d", sizes[n], v)
			}
		}
		if o := b.Next(time.Duration(n)*frame, 160, false); o.Kind == Audio {
			if !bytes.Equal(o.Payload, bytes.Repeat([]byte{byte(len(got) + 1)}, len(o.Payload))) {
				t.Errorf("packet %d came out as % x", len(got), o.Payload)
			}
			got = append(got, len(o.Payload))
		}
	}
	if !slices.Equal(got, sizes) {
		t.Errorf("payloads of %v bytes came out, want %v", got, sizes)
	}
}

// Many short packets that wait at once, some of them long, come out as they went
// in, and the room they need is made once.
func TestManyPacketsWait(t *testing.T) {
	t.Parallel()
	b := New(Config{})
	const packets = 40
	size := func(n int) int { return 20 + n%3*200 }
	for n := range packets {
		p := stream{ptime: 5 * ms}.packet(n, time.Duration(n)*5*ms)
		p.Payload = bytes.Repeat([]byte{byte(n + 1)}, size(n))
		if v := b.Put(p); v != Queued {
			t.Fatalf("packet %d: verdict %d", n, v)
		}
		if waits := n + 1; (b.room > few) != (waits > few) {
			t.Errorf("room for %d where %d wait", b.room, waits)
		}
	}
	now, got := time.Duration(packets)*5*ms, 0
	for want := uint32(160); got < packets; {
		o := b.Next(now, want, false)
		if o.Kind != Audio {
			t.Fatalf("%+v after %d packets", o, got)
		}
		if !bytes.Equal(o.Payload, bytes.Repeat([]byte{byte(got + 1)}, size(got))) {
			t.Errorf("packet %d came out as %d bytes % x", got, len(o.Payload), o.Payload[:1])
		}
		got++
		if want -= o.Dur; want == 0 {
			want, now = 160, now+frame
		}
	}
}
