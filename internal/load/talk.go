package load

import "time"

// Talk is how a caller talks.
type Talk struct {
	Say   time.Duration // how long an utterance is, default 1 s
	Wait  time.Duration // of quiet after an answer, before the next, default 700 ms
	Reply time.Duration // how long an answer is waited for, default 8 s
	// Barge makes every Barge-th utterance one into the answer before, once
	// that has sounded for BargeAfter (default 1 s). 0: none.
	Barge      int
	BargeAfter time.Duration
}

func (t Talk) withDefaults() Talk {
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&t.Say, time.Second},
		{&t.Wait, 700 * time.Millisecond},
		{&t.Reply, 8 * time.Second},
		{&t.BargeAfter, time.Second},
	} {
		if *d.field <= 0 {
			*d.field = d.value
		}
	}
	return t
}

// Said is one utterance: when its first and its last packet left.
type Said struct {
	First, Last int64
	Barge       bool // into an answer
}

// talker decides, frame by frame, whether the caller speaks.
type talker struct {
	talk   Talk
	frames int // of an utterance
	at     int // the frame of it that comes next; 0: silent
	said   []Said

	run       int   // loud packets in a row
	began     int64 // first sound of the answer that is heard; 0: none yet
	lastLoud  int64
	waitsFrom int64
	dead      int // utterances without an answer
}

func newTalker(t Talk, now int64) *talker {
	t = t.withDefaults()
	return &talker{talk: t, frames: int(t.Say / frameTime), waitsFrom: now}
}

// hear takes a packet of the agent's.
func (t *talker) hear(at int64, isLoud bool) {
	if !isLoud {
		t.run = 0
		return
	}
	t.lastLoud = at
	if t.run++; t.run == speechPackets && t.began == 0 {
		t.began = at
	}
}

// next says which frame of an utterance is sent now; false: none.
func (t *talker) next(now int64) (frame int, speaks bool) {
	if t.at == 0 && !t.begins(now) {
		return 0, false
	}
	s := &t.said[len(t.said)-1]
	frame = t.at
	s.Last = now
	if t.at++; t.at == t.frames {
		t.at, t.began, t.waitsFrom = 0, 0, now
	}
	return frame, true
}

// hush breaks off what is being said.
func (t *talker) hush() {
	if t.at != 0 {
		t.at, t.said = 0, t.said[:len(t.said)-1]
	}
}

// whole are the utterances that were said to their end.
func (t *talker) whole() []Said {
	if t.at != 0 {
		return t.said[:len(t.said)-1]
	}
	return t.said
}

// begins starts an utterance when it is time for one.
func (t *talker) begins(now int64) bool {
	barge := t.talk.Barge > 0 && (len(t.said)+1)%t.talk.Barge == 0
	switch {
	case t.began == 0: // nothing heard yet
		if now-t.waitsFrom < int64(t.talk.Reply) {
			return false
		}
		barge = false
		t.dead++
	case barge:
		if now-t.began < int64(t.talk.BargeAfter) {
			return false
		}
		barge = now-t.lastLoud < 100e6 // else the answer was shorter
	case now-t.lastLoud < int64(t.talk.Wait):
		return false
	}
	t.said = append(t.said, Said{First: now, Barge: barge})
	return true
}
