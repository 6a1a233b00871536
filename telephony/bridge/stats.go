package bridge

import (
	"sync/atomic"
	"time"
)

// Stats is how sound fared on its way to a party.
type Stats struct {
	Frames   uint64        // of 20 ms, handed over
	Delay    time.Duration // that every frame of the last second waited at least
	MaxDelay time.Duration // the longest a frame has waited
	Dropped  uint64        // left out in silence: the speaker's clock is the faster one
	Blended  uint64        // two made one or one two, no silence having come
	Inserted uint64        // heard twice in silence: the listener's clock is the faster one
	Starved  uint64        // times that a frame was not there when it was due
	Lost     uint64        // too old, or not come for at all
}

// counts are a link's figures, written by its reader.
type counts struct {
	least, most                               atomic.Int64 // ns
	dropped, blended, inserted, starved, late atomic.Uint64
}

func (l *link) stats() Stats {
	return Stats{
		Frames: l.tail.Load(),
		Delay:  time.Duration(l.count.least.Load()), MaxDelay: time.Duration(l.count.most.Load()),
		Dropped: l.count.dropped.Load(), Blended: l.count.blended.Load(), Inserted: l.count.inserted.Load(),
		Starved: l.count.starved.Load(), Lost: l.count.late.Load() + l.full.Load(),
	}
}

func (s *Stats) add(o Stats) {
	s.Frames += o.Frames
	s.Delay, s.MaxDelay = max(s.Delay, o.Delay), max(s.MaxDelay, o.MaxDelay)
	s.Dropped += o.Dropped
	s.Blended += o.Blended
	s.Inserted += o.Inserted
	s.Starved += o.Starved
	s.Lost += o.Lost
}
