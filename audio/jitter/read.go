package jitter

import "time"

// slack is how far the delay may be below its target before a frame is put in.
const slack = 4 * time.Millisecond

// Next gives the next piece of the stream for the frame that is heard at now.
// want is how many ticks the reader still needs to fill that frame of 20 ms;
// an Audio output may be longer (the reader keeps the rest), no other is.
// quiet is whether the sound before was silence.
func (b *Buffer) Next(now time.Duration, want uint32, quiet bool) Output {
	if !b.playing {
		if o, ok := b.begin(now, want); !ok {
			return o
		}
	}
	full := b.ticks(frame)
	fresh := int64(want) == full // nothing of this frame is filled yet
	delay := b.delay(now, full-int64(want))
	target := b.target()
	if delay > target+excess {
		b.skipTo(b.next + b.ticks(delay-target))
	} else if low := target - delay; fresh && !b.silent && (quiet && low > slack || low >= 2*frame) {
		return Output{Kind: Lost, Dur: want} // wait: the timeline stays, the delay grows
	}
	for {
		sl := b.front()
		if sl == nil {
			return b.empty(want, delay, target)
		}
		if sl.kind != Audio {
			b.take(sl)
			b.silent = true
			if sl.kind == Noise {
				return Output{Kind: Noise, Payload: b.payload(sl)}
			}
			continue
		}
		gap := sl.ext - b.next
		if gap > 0 {
			kind := Lost
			if b.silent || sl.seq == b.nextSeq {
				kind = Pause // no packet is missing: the sender paused
			}
			n := uint32(min(gap, int64(want))) //nolint:gosec // at most want
			b.next += int64(n)
			o := Output{Kind: kind, Dur: n}
			if kind == Lost && int64(n) == gap {
				o.Payload = b.payload(sl)
			}
			return o
		}
		b.take(sl)
		b.silent = false
		b.next = sl.ext + int64(sl.dur)
		if gap <= -int64(sl.dur) || sl.dur == 0 {
			b.stats.Late++ // its time passed while it waited behind a jump
			continue
		}
		return Output{Kind: Audio, Payload: b.payload(sl), Dur: sl.dur, At: sl.at}
	}
}

// Spare is how much longer than they have to the packets wait that are read at
// now, a frame having been read: what a reader could come earlier. It is 0
// while nothing is played.
func (b *Buffer) Spare(now time.Duration) time.Duration {
	if !b.playing {
		return 0
	}
	return max(0, b.delay(now, b.ticks(frame))-b.target())
}

// Excess tells whether the frame just filled, to be heard at now, can be
// dropped and the delay still is what the network asks for. The reader drops
// it if it is silence, and fills another.
func (b *Buffer) Excess(now time.Duration) bool {
	return b.playing && b.queued > 0 && b.delay(now, 0) >= b.target()
}

// Skip moves the timeline on by d that nobody will hear.
func (b *Buffer) Skip(d time.Duration) {
	if b.playing {
		b.skipTo(b.next + b.ticks(d))
	}
}

// begin starts the timeline when the first packet has waited long enough;
// until then it gives what is heard instead.
func (b *Buffer) begin(now time.Duration, want uint32) (Output, bool) {
	sl := b.front()
	for sl != nil && sl.kind != Audio {
		b.take(sl)
		b.silent = true
		if sl.kind == Noise {
			return Output{Kind: Noise, Payload: b.payload(sl)}, false
		}
		sl = b.front()
	}
	switch {
	case sl != nil && now >= b.net.fastest()+b.duration(sl.ext)+b.target():
		b.playing, b.silent, b.next, b.nextSeq, b.dryFor = true, false, sl.ext, sl.seq, 0
		return Output{}, true
	case b.silent:
		return Output{Kind: Pause, Dur: want}, false
	}
	return Output{Kind: Idle, Dur: want}, false
}

// empty is the answer of a ring that holds nothing.
func (b *Buffer) empty(want uint32, delay, target time.Duration) Output {
	d := b.duration(int64(want))
	b.dryFor += d
	b.playing = b.dryFor < dry
	if b.silent {
		b.next += int64(want)
		return Output{Kind: Pause, Dur: want}
	}
	if !b.playing {
		return Output{Kind: Idle, Dur: want}
	}
	if delay >= target {
		b.next += int64(want)
	}
	return Output{Kind: Lost, Dur: want}
}

// delay is how long after its fastest arrival the sound heard at now came;
// ahead ticks before the timeline's end.
func (b *Buffer) delay(now time.Duration, ahead int64) time.Duration {
	return now - b.net.fastest() - b.duration(b.next-ahead)
}

// front is the queued packet with the lowest sequence number, nil if none.
func (b *Buffer) front() *slot {
	if b.queued == 0 {
		return nil
	}
	for i := range uint16(slots) {
		seq := b.nextSeq + i
		if sl := &b.ring[seq%slots]; sl.full && sl.seq == seq {
			return sl
		}
	}
	return nil
}

// take removes sl, which front gave.
func (b *Buffer) take(sl *slot) {
	sl.full = false
	b.queued--
	b.nextSeq = sl.seq + 1
}

// skipTo drops what ends before the timestamp pos.
func (b *Buffer) skipTo(pos int64) {
	for sl := b.front(); sl != nil && sl.ext+int64(sl.dur) <= pos; sl = b.front() {
		b.take(sl)
		if sl.kind == Audio {
			b.stats.Skipped++
		}
	}
	b.next = pos
}

func (b *Buffer) payload(sl *slot) []byte {
	return b.at(int(sl.seq%slots), int(sl.n))
}

func (b *Buffer) ticks(d time.Duration) int64 {
	return int64(d) * int64(b.cfg.Clock) / int64(time.Second)
}
