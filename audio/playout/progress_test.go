package playout

import (
	"slices"
	"testing"
	"time"

	"github.com/patchcord/patchcord/audio"
)

func TestProgress(t *testing.T) {
	t.Parallel()
	p := exact(nil)
	check := func(begun, queued, ready int) {
		t.Helper()
		want := Progress{begun, audio.Duration(queued, 8000), audio.Duration(ready, 8000)}
		if g := p.Progress(1); g != want {
			t.Fatalf("%+v, want %+v", g, want)
		}
	}
	check(0, 0, 0)
	p.Push(1, 0, ramp(1, 200))
	p.Push(1, 1, ramp(1, 200))
	check(0, 400, 200)
	p.Play(1)
	next(t, p, true)
	check(1, 240, 40)
	next(t, p, true)
	check(1, 200, 0)
	p.EndSegment(1, 0)
	next(t, p, true)
	check(2, 40, 40)
	next(t, p, true)
	check(2, 0, 0)
	p.Push(1, 2, ramp(1, 10))
	p.EndSegment(1, 1)
	next(t, p, true)
	check(3, 0, 0)
}

// What was not said yet can be taken back, to the sample; what was stays said.
func TestWithdraw(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		said, keep, want int // frames said, samples to keep, samples there are then
	}{
		{0, 0, 0},
		{0, 100, 100},
		{0, 300, 300},
		{1, 0, frame},
		{1, 200, 200},
		{1, 300, 300},
		{2, 100, 2 * frame},
		{1, 5000, 500},
	} {
		p := exact(nil)
		pcm := ramp(1, 500)
		for piece := range slices.Chunk(pcm, 100) {
			p.Push(1, 0, piece)
		}
		p.Play(1)
		for range c.said {
			next(t, p, true)
		}
		if n := p.Withdraw(1, 0, c.keep); n != c.want {
			t.Fatalf("%+v: %d samples left", c, n)
		}
		p.Push(1, 0, ramp(1001, 400))
		p.EndReply(1)
		var said []int16
		for p.Foreground() == 1 {
			said = append(said, next(t, p, true)...)
		}
		want := append(slices.Clone(pcm[c.said*frame:max(c.want, c.said*frame)]), ramp(1001, 400)...)
		if !slices.Equal(said[:len(want)], want) {
			t.Fatalf("%+v: said %v\nwant %v", c, said, want)
		}
		if h := p.Position(1); h.Samples != c.want+400 || h.Dropped != 0 || !slices.Equal(pcm, ramp(1, 500)) {
			t.Fatalf("%+v: heard %+v", c, h)
		}
	}
	p := New(8000, nil)
	p.Push(1, 0, slices.Repeat([]int16{8000}, 500))
	p.Withdraw(1, 0, 300)
	p.Push(1, 0, make([]int16, 100))
	p.Play(1)
	last := int16(8000)
	for _, v := range append(next(t, p, true), next(t, p, true)...)[100:] {
		if d := last - v; d > 400 {
			t.Fatalf("a step of %d where sound was taken back", d)
		}
		last = v
	}
	p.EndSegment(1, 0)
	if p.Withdraw(1, 0, 0) != 400 || p.Withdraw(1, 7, 0) != 0 || p.Withdraw(2, 0, 0) != 0 {
		t.Error("an ended segment, or none, gave something back")
	}
	if g := p.Progress(2); g != (Progress{}) || p.Now() > time.Second {
		t.Errorf("%+v of no reply", g)
	}
}

// A reply may be told to end with the segment that sounds; what comes of it
// later is refused.
func TestShorten(t *testing.T) {
	t.Parallel()
	p := exact(nil)
	if p.Shorten(1) {
		t.Fatal("shortened what there is not")
	}
	for seg := range 3 {
		p.Push(1, seg, ramp(1, 200))
	}
	if p.Shorten(1) {
		t.Fatal("shortened what does not sound")
	}
	p.Play(1)
	next(t, p, true)
	if !p.Shorten(1) || p.Shorten(1) {
		t.Fatal("it is shortened, and once")
	}
	if p.Push(1, 1, ramp(1, 10)) || !p.Push(1, 0, ramp(1, 100)) {
		t.Fatal("more of another segment was taken, or of this one was not")
	}
	next(t, p, true)
	if p.Position(1).Ended {
		t.Fatal("ended before its segment")
	}
	p.EndSegment(1, 0)
	if h := p.Position(1); h.Samples != 300 || len(h.Segments) != 1 || !h.Segments[0].Complete() || !h.Complete() {
		t.Fatalf("heard %+v", h)
	}

	whole := exact(nil)
	whole.Push(2, 0, ramp(1, 200))
	whole.EndReply(2)
	whole.Play(2)
	next(t, whole, true)
	if whole.Shorten(2) {
		t.Fatal("there is nothing to leave out")
	}
}

// What was heard of a reply is kept when it is shortened behind a rewind.
func TestShortenBehindARewind(t *testing.T) {
	t.Parallel()
	p := exact(nil)
	p.Push(1, 0, make([]int16, 320)) // quiet: the second one is said again from its start
	p.EndSegment(1, 0)
	p.Push(1, 1, ramp(1000, 320))
	p.EndSegment(1, 1)
	p.Push(1, 2, ramp(1000, 320))
	p.EndReply(1)
	p.Play(1)
	for range 3 {
		next(t, p, true)
	}
	p.Pause()
	if p.Resume(Keep) < 20*time.Millisecond {
		t.Fatal("not back at the end of the first segment")
	}
	if !p.Shorten(1) {
		t.Fatal("not shortened")
	}
	for range 4 {
		p.Next(make([]int16, frame))
	}
	if h := p.Position(1); h.Samples != 640 || len(h.Segments) != 2 || !h.Complete() {
		t.Errorf("heard %+v", h)
	}
}
