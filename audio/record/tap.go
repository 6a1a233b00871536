package record

import "sync/atomic"

// tap is a ring of frames from the media plane, its one writer, to the
// recorder's goroutine, its one reader. Neither ever waits for the other: what
// finds the ring full is dropped and counted.
type tap struct {
	frame   int     // samples a slot holds
	pcm     []int16 // of all slots
	at      []int64 // sample position of each slot's first sample
	n       []int32 // samples in each slot
	head    atomic.Uint64
	tail    atomic.Uint64
	dropped atomic.Int64 // samples
	taken   int          // samples of the oldest piece that are written; the reader's
}

func newTap(slots, frame int) *tap {
	return &tap{frame: frame, pcm: make([]int16, slots*frame), at: make([]int64, slots), n: make([]int32, slots)}
}

// put takes sound that begins at a sample position.
func (t *tap) put(at int64, pcm []int16) {
	for len(pcm) > 0 {
		n := min(len(pcm), t.frame)
		head := t.head.Load()
		if head-t.tail.Load() == uint64(len(t.at)) {
			t.dropped.Add(int64(len(pcm)))
			return
		}
		slot := int(head % uint64(len(t.at)))
		copy(t.pcm[slot*t.frame:], pcm[:n])
		t.at[slot], t.n[slot] = at, int32(n)
		t.head.Store(head + 1)
		at, pcm = at+int64(n), pcm[n:]
	}
}

// oldest is what is left of the first piece in the ring. It is the reader's
// until it takes it.
func (t *tap) oldest() (at int64, pcm []int16, ok bool) {
	tail := t.tail.Load()
	if tail == t.head.Load() {
		return 0, nil, false
	}
	slot := int(tail % uint64(len(t.at)))
	return t.at[slot] + int64(t.taken), t.pcm[slot*t.frame:][t.taken:t.n[slot]], true
}

// take gives up n samples of the oldest piece.
func (t *tap) take(n int) {
	tail := t.tail.Load()
	if t.taken += n; t.taken >= int(t.n[tail%uint64(len(t.at))]) {
		t.taken = 0
		t.tail.Store(tail + 1)
	}
}

// end is the position after the newest piece, for the reader.
func (t *tap) end() (at int64, ok bool) {
	head := t.head.Load()
	if head == t.tail.Load() {
		return 0, false
	}
	slot := int((head - 1) % uint64(len(t.at)))
	return t.at[slot] + int64(t.n[slot]), true
}
