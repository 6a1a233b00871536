package load

import (
	"math"
	"slices"
)

// Packet is one RTP packet as it came in.
type Packet struct {
	At   int64 // Unix time, ns, by the kernel
	TS   uint32
	Seq  uint16
	Loud bool // it holds speech
}

const (
	speechPackets = 3    // 60 ms of sound is speech (conversation.md 4.1)
	holeTime      = 60e6 // of silence within an answer, ns
)

// Turn is one utterance and what came of it, in Unix time, ns.
type Turn struct {
	First int64 `json:"first"` // the caller's first packet with speech left
	Last  int64 `json:"last"`  // the caller's last packet with speech left
	// Reply is the first packet of the answer: 60 ms of speech begin with it.
	// 0: none came.
	Reply int64 `json:"reply"`
	Barge bool  `json:"barge,omitempty"` // it was spoken into an answer
	// Old is the last packet of the answer that was interrupted; 0: it was not
	// stopped.
	Old int64 `json:"old,omitempty"`
}

// Stream is what a call's incoming packets were like.
type Stream struct {
	Packets int
	Lost    int // sequence numbers that never came
	Order   int // packets that came twice or after a later one
	Jumps   int // timestamps that do not follow their sequence numbers
	Holes   int // silences of 60 ms and more inside an answer
	Gaps    []int64
}

// turns finds the answer to every utterance. An answer belongs to the
// utterance before it; the sound of an interrupted one ends before that.
func turns(packets []Packet, said []Said) []Turn {
	out := make([]Turn, 0, len(said))
	for i, s := range said {
		t := Turn{First: s.First, Last: s.Last, Barge: s.Barge}
		until := int64(math.MaxInt64)
		if i+1 < len(said) {
			until = said[i+1].First
		}
		settled := s.Last
		if s.Barge {
			t.Old = lastOld(packets, s)
			if t.Old == 0 {
				settled = until // the old answer goes on: what is heard answers nothing
			}
		}
		t.Reply = speech(packets, settled, until)
		out = append(out, t)
	}
	return out
}

// speech is when speech begins between two moments; 0: it does not.
func speech(packets []Packet, from, until int64) int64 {
	run := 0
	for i, p := range packets {
		if p.At <= from || !p.Loud {
			run = 0
			continue
		}
		if p.At >= until {
			break
		}
		if run++; run == speechPackets {
			return packets[i-speechPackets+1].At
		}
	}
	return 0
}

// lastOld is the last packet with sound of the answer that s was spoken into;
// 0: it still sounded when the caller had finished.
func lastOld(packets []Packet, s Said) int64 {
	last := int64(0)
	for _, p := range packets {
		if p.At >= s.Last {
			break
		}
		if p.Loud {
			last = p.At
		}
	}
	if s.Last-last < holeTime {
		return 0
	}
	return last
}

// judge looks at the packets between two moments. A silence in which an
// utterance ends lies between two answers and is no hole.
func judge(packets []Packet, said []Said, from, to int64) Stream {
	var s Stream
	var prev, sound Packet
	first, highest, ext := 0, 0, 0 // sequence numbers, unwrapped
	seen := map[int]bool{}
	for _, p := range packets {
		if p.At < from || p.At > to {
			continue
		}
		s.Packets++
		if s.Packets == 1 {
			first, highest, ext = int(p.Seq), int(p.Seq), int(p.Seq)
		} else {
			step := int(int16(p.Seq - prev.Seq))
			ext += step
			s.Gaps = append(s.Gaps, p.At-prev.At)
			if ext <= highest {
				s.Order++
			}
			if p.TS-prev.TS != uint32(step*frameSamples) {
				s.Jumps++
			}
			highest = max(highest, ext)
		}
		seen[ext] = true
		if p.Loud {
			if sound.At != 0 && p.At-sound.At-frameTime >= holeTime && !endsBetween(said, sound.At, p.At) {
				s.Holes++
			}
			sound = p
		}
		prev = p
	}
	if s.Packets > 0 {
		s.Lost = max(0, highest-first+1-len(seen))
	}
	return s
}

// ends are a call's first packet, its first speech, and the last packet of it.
func ends(packets []Packet) (first, speaks, last int64) {
	if len(packets) == 0 {
		return 0, 0, 0
	}
	for _, p := range packets {
		if p.Loud {
			last = p.At
		}
	}
	return packets[0].At, speech(packets, 0, math.MaxInt64), last
}

func endsBetween(said []Said, from, to int64) bool {
	return slices.ContainsFunc(said, func(s Said) bool { return s.Last > from && s.Last < to })
}
