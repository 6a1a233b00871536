package playout

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/patchcord/patchcord/audio"
)

const frame = 160 // samples at 8 kHz

// ramp is n samples counting up from first: every sample tells its place.
func ramp(first, n int) []int16 {
	pcm := make([]int16, n)
	for i := range pcm {
		pcm[i] = int16(first + i)
	}
	return pcm
}

// exact is a playout whose seams are not mended: what comes out is what was
// pushed, sample for sample.
func exact(notify func(Edge)) *Playout {
	p := New(8000, notify)
	p.seam.length = 0
	return p
}

// next pulls one frame, which must hold something or must not.
func next(t *testing.T, p *Playout, want bool) []int16 {
	t.Helper()
	dst := make([]int16, frame)
	if got := p.Next(dst); got != want {
		t.Fatalf("Next = %v, want %v", got, want)
	}
	return dst
}

func kinds(edges []Edge) []Kind {
	var k []Kind
	for _, e := range edges {
		k = append(k, e.Kind)
	}
	return k
}

func TestReplyIsSaidAndCounted(t *testing.T) {
	t.Parallel()
	var edges []Edge
	p := exact(func(e Edge) { edges = append(edges, e) })
	p.Push(1, 0, ramp(1, 200))
	next(t, p, false) // not yet the foreground
	p.EndSegment(1, 0)
	p.Push(1, 1, ramp(201, 100))
	p.EndReply(1)
	if !p.Play(1) {
		t.Fatal("Play refused")
	}
	if got := next(t, p, true); got[0] != 1 || got[159] != 160 {
		t.Fatalf("first frame is %d to %d", got[0], got[159])
	}
	if got := next(t, p, true); got[0] != 161 || got[139] != 300 || got[140] != 0 {
		t.Fatalf("second frame is %d to %d, then %d", got[0], got[139], got[140])
	}
	next(t, p, false)
	want := []Edge{
		{Started, 1, 0, 20 * time.Millisecond},
		{SegPlayed, 1, 0, 45 * time.Millisecond},
		{SegPlayed, 1, 1, 57500 * time.Microsecond},
		{Played, 1, 1, 57500 * time.Microsecond},
	}
	if !slices.Equal(edges, want) {
		t.Fatalf("edges are %v, want %v", edges, want)
	}
	h := p.Position(1)
	if h.Samples != 300 || h.Dropped != 0 || !h.Complete() || !h.Segments[1].Complete() {
		t.Fatalf("heard %+v", h)
	}
	if s := p.Stats(); s.Speech != 300 || s.Silence != 4*frame-300 {
		t.Fatalf("stats %+v", s)
	}
	if p.Foreground() != 0 || p.Play(1) || p.Push(1, 2, ramp(0, 1)) {
		t.Fatal("a reply played to its end came back")
	}
}

// A sentence whose sound comes in early waits for the one before it.
func TestSegmentsSoundInOrder(t *testing.T) {
	t.Parallel()
	var edges []Edge
	p := exact(func(e Edge) { edges = append(edges, e) })
	p.Play(3)
	p.Push(3, 1, ramp(1000, frame))
	next(t, p, false)
	p.Push(3, 0, ramp(0, frame))
	if got := next(t, p, true); got[5] != 5 {
		t.Fatalf("sample 5 is %d", got[5])
	}
	next(t, p, false) // segment 0 might go on
	p.EndSegment(3, 0)
	if got := next(t, p, true); got[5] != 1005 {
		t.Fatalf("sample 5 is %d", got[5])
	}
	if got := kinds(edges); !slices.Equal(got, []Kind{Started, Underrun, Recovered, SegPlayed}) {
		t.Fatalf("edges are %v", edges)
	}
}

// INV1: after Cancel no sample of the reply comes out, nor what is pushed later.
func TestCancelIsFinal(t *testing.T) {
	t.Parallel()
	p := exact(nil)
	p.Push(5, 0, ramp(0, 4*frame))
	p.Push(6, 0, ramp(5000, frame))
	p.Play(5)
	next(t, p, true)
	h := p.Cancel(5)
	if h.Samples != frame || h.Dropped != 3*frame || h.Segments[0].Complete() || h.Ended {
		t.Fatalf("heard %+v", h)
	}
	next(t, p, false)
	if p.Push(5, 0, ramp(0, 1)) || p.Play(5) {
		t.Fatal("a cancelled reply came back")
	}
	if again := p.Cancel(5); again.Samples != 0 || again.Segments != nil {
		t.Fatalf("cancelled twice: %+v", again)
	}
	p.Play(6)
	if got := next(t, p, true); got[0] != 5000 {
		t.Fatalf("next reply begins with %d", got[0])
	}
}

// INV9: what is not the foreground does not sound.
func TestOneReplySoundsAtATime(t *testing.T) {
	t.Parallel()
	p := exact(nil)
	p.Push(1, 0, ramp(0, 2*frame))
	p.Push(2, 0, ramp(5000, 2*frame))
	p.Play(1)
	next(t, p, true)
	p.Play(2)
	if got := next(t, p, true); got[0] != 5000 || p.Sounding() != 2 {
		t.Fatalf("reply 2 begins with %d, sounding %d", got[0], p.Sounding())
	}
	p.Play(1)
	if got := next(t, p, true); got[0] != frame {
		t.Fatalf("reply 1 goes on with %d", got[0])
	}
}

// conv:T9, INV5: a resume goes back to the start of the word and says each
// sample again at most once, and none is counted twice.
func TestResumeRewindsToTheWord(t *testing.T) {
	t.Parallel()
	p := exact(nil)
	speech := ramp(9000, 8000)
	clear(speech[2000:2400]) // a pause of 50 ms between two words
	for piece := range slices.Chunk(speech, 100) {
		p.Push(1, 0, slices.Clone(piece))
	}
	p.EndReply(1)
	p.Play(1)
	for range 20 { // 3200 samples
		next(t, p, true)
	}
	if !p.Pause() || !p.Paused() {
		t.Fatal("not paused")
	}
	next(t, p, false)
	next(t, p, false)
	if back := p.Resume(Keep); back != 100*time.Millisecond {
		t.Fatalf("went back %v, want 100ms to the word at 2400", back)
	}
	if h := p.Position(1); h.Samples != 3200 {
		t.Fatalf("heard %d, want 3200", h.Samples)
	}
	if got := next(t, p, true); got[0] != speech[2400] {
		t.Fatalf("goes on with %d, want %d", got[0], speech[2400])
	}
	if h := p.Position(1); h.Samples != 3200 {
		t.Fatalf("heard %d after 160 samples said again, want 3200", h.Samples)
	}
	if q := p.Queued(1); q != audio.Duration(8000-2560, 8000) {
		t.Fatalf("queued %v", q)
	}
}

func TestResumeWithoutAQuietSpotTakesTheQuietest(t *testing.T) {
	t.Parallel()
	p := New(8000, nil)
	loud := make([]int16, 4000)
	for i := range loud {
		loud[i] = 10000
	}
	for i := range 80 {
		loud[1600+i] = 5000
	}
	p.Push(1, 0, loud)
	p.Play(1)
	for range 15 { // 2400 samples
		next(t, p, true)
	}
	p.Pause()
	if back := p.Resume(Keep); back != 90*time.Millisecond {
		t.Fatalf("went back %v, want 90ms", back)
	}
	p.Pause()
	if back := p.Resume(5 * time.Millisecond); back != 0 {
		t.Fatalf("went back %v with 5ms allowed", back)
	}
}

func TestPauseNeedsSomethingToPause(t *testing.T) {
	t.Parallel()
	p := New(8000, nil)
	if p.Pause() {
		t.Fatal("paused nothing")
	}
	p.Push(1, 0, ramp(1, frame))
	p.Play(1)
	next(t, p, true)
	p.Pause()
	p.Cancel(1)
	p.Push(2, 0, ramp(1, frame))
	p.Play(2)
	next(t, p, true)
	if p.Resume(Keep) != 0 {
		t.Fatal("resumed what was not paused")
	}
}

// A reply of many empty segments tells of all of them, some in later frames.
func TestManyEmptySegments(t *testing.T) {
	t.Parallel()
	var edges []Edge
	p := New(8000, func(e Edge) { edges = append(edges, e) })
	for seg := range 20 {
		p.EndSegment(1, seg)
	}
	p.Push(1, 20, ramp(1, 10))
	p.EndReply(1)
	p.Play(1)
	next(t, p, true)
	for range 5 {
		next(t, p, false)
	}
	got := kinds(edges)
	if len(got) != 23 || got[0] != Started || got[22] != Played {
		t.Fatalf("edges are %v", got)
	}
}

// The figures of a reply outlive it for a while, not for ever.
func TestPlayedRepliesAreForgotten(t *testing.T) {
	t.Parallel()
	p := New(8000, nil)
	for id := uint64(1); id <= 300; id++ {
		p.Push(id, 0, ramp(1, 10))
		p.EndReply(id)
		p.Play(id)
		next(t, p, true)
		if p.Position(id).Samples != 10 {
			t.Fatalf("reply %d has no position", id)
		}
	}
	if len(p.replies) > keptPlayed {
		t.Fatalf("%d replies kept", len(p.replies))
	}
	if p.Push(1, 0, ramp(1, 10)) || p.Push(296, 1, ramp(1, 10)) {
		t.Fatal("an old reply came back")
	}
	if !p.Push(301, 0, ramp(1, 10)) {
		t.Fatal("a new reply was refused")
	}
}

type tone struct{ left int }

func (s *tone) Next(dst []int16) bool {
	for i := range dst {
		dst[i] = 1000
	}
	s.left--
	return s.left >= 0
}

// conv:S13, conv:H10: a bed fades within 50 ms and is no speech.
func TestBedFadesAndIsNoSpeech(t *testing.T) {
	t.Parallel()
	p := exact(nil)
	p.SetBed(&tone{left: 1000}, 0.5)
	got := next(t, p, true)
	if got[0] > 5 || got[159] < 190 || got[159] > 210 {
		t.Fatalf("fade begins with %d and has %d after 20 ms", got[0], got[159])
	}
	next(t, p, true)
	if got = next(t, p, true); got[159] != 500 {
		t.Fatalf("bed is %d, want 500", got[159])
	}
	p.Push(1, 0, ramp(32600, 160)[:160])
	p.EndReply(1)
	p.Play(1)
	if got = next(t, p, true); got[0] != 32767 {
		t.Fatalf("mix is %d, want it limited to 32767", got[0])
	}
	if s := p.Stats(); s.Speech != 160 || s.Silence != 3*160 {
		t.Fatalf("stats %+v", s)
	}
	p.SetBed(nil, 0)
	next(t, p, true)
	next(t, p, true)
	if got = next(t, p, true); got[80] != 0 {
		t.Fatalf("bed is %d after 50 ms", got[80])
	}
	next(t, p, false)
	p.SetBed(&tone{left: 1}, 1)
	next(t, p, true)
	next(t, p, false) // a bed that has ended is nothing to say
}

func TestEnvelope(t *testing.T) {
	t.Parallel()
	p := exact(nil)
	square := make([]int16, 2*frame)
	for i := range square {
		square[i] = 16384
	}
	p.Push(1, 0, square)
	p.EndReply(1)
	p.Play(1)
	for range 3 {
		p.Next(make([]int16, frame))
	}
	env := make([]float32, 40)
	if n := p.Envelope(env); n != 3 || env[0] != 0.5 || env[1] != 0.5 || env[2] != 0 {
		t.Fatalf("envelope of %d: %v", n, env[:n])
	}
	for range 50 {
		p.Next(make([]int16, frame))
	}
	if n := p.Envelope(env); n != 30 || env[29] != 0 {
		t.Fatalf("envelope of %d: %v", n, env[:n])
	}
}

// The session pushes and cancels while the media plane pulls: run with -race.
// INV1: no sample of a reply follows its Cancel.
func TestTwoPlanes(t *testing.T) {
	t.Parallel()
	var heard [100]atomic.Int64 // samples of each reply that came out
	p := exact(nil)
	var wg sync.WaitGroup
	done := make(chan struct{})
	wg.Go(func() {
		dst := make([]int16, frame)
		for {
			select {
			case <-done:
				return
			default:
			}
			p.Next(dst)
			for _, v := range dst {
				if v != 0 {
					heard[v].Add(1)
				}
			}
		}
	})
	for id := range uint64(99) {
		id++
		for range 20 {
			pcm := make([]int16, 100)
			for i := range pcm {
				pcm[i] = int16(id)
			}
			p.Push(id, 0, pcm)
			p.Play(id)
			if id%3 == 0 {
				p.Pause()
				p.Resume(0)
			}
			p.Envelope(make([]float32, 30))
			runtime.Gosched()
		}
		h := p.Cancel(id)
		if h.Samples+h.Dropped != 2000 {
			t.Errorf("reply %d: heard %+v", id, h)
		}
		p.Push(id, 1, make([]int16, 100))
		heard[id].Add(-int64(h.Samples))
	}
	close(done)
	wg.Wait()
	for id := range heard {
		if n := heard[id].Load(); n != 0 && id > 0 {
			t.Errorf("reply %d: %d samples more came out than Cancel told", id, n)
		}
	}
}

func TestNextDoesNotAllocate(t *testing.T) {
	var edges int
	p := New(8000, func(Edge) { edges++ })
	p.SetBed(&tone{left: 1 << 30}, 0.1)
	for id := range uint64(8) {
		p.Push(id+1, 0, ramp(0, 60*frame))
		p.Push(id+1, 1, ramp(0, 60*frame))
		p.EndReply(id + 1)
	}
	id := uint64(1)
	p.Play(id)
	dst := make([]int16, frame)
	hold := audio.NewClip(ramp(0, 8000), true)
	if n := testing.AllocsPerRun(800, func() {
		p.Next(dst)
		if p.Stats().Speech%3 == 0 { // a seam, now and then
			p.Pause()
			p.Next(dst)
			p.Resume(0)
		}
		if p.Foreground() == 0 {
			p.hold = bed{src: hold, gain: 1, buf: p.bed.buf, turn: uint64(edges), hold: true}
			p.Next(dst)
			id++
			p.Play(id % 9)
		}
	}); n != 0 {
		t.Fatalf("%v allocations per frame", n)
	}
}

func BenchmarkNext(b *testing.B) {
	p := New(8000, nil)
	pcm := ramp(0, 2000*frame)
	dst := make([]int16, frame)
	p.Play(1)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if i%2000 == 0 {
			b.StopTimer()
			p.Push(1, 0, pcm)
			b.StartTimer()
		}
		p.Next(dst)
	}
}

func BenchmarkNextSilence(b *testing.B) {
	p := New(8000, nil)
	dst := make([]int16, frame)
	b.ReportAllocs()
	for b.Loop() {
		p.Next(dst)
	}
}

func BenchmarkNextWithBed(b *testing.B) {
	p := New(8000, nil)
	p.SetBed(&tone{left: 1 << 40}, 0.3)
	dst := make([]int16, frame)
	b.ReportAllocs()
	for b.Loop() {
		p.Next(dst)
	}
}

// Speech that is paused and goes on every 60 ms, over a bed.
func BenchmarkNextWithBedAndSeams(b *testing.B) {
	p := New(8000, nil)
	p.SetBed(&tone{left: 1 << 40}, 0.3)
	pcm := ramp(1, 2000*frame)
	dst := make([]int16, frame)
	p.Play(1)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if i%2000 == 0 {
			b.StopTimer()
			p.Push(1, 0, pcm)
			b.StartTimer()
		}
		switch i % 3 {
		case 1:
			p.Pause()
		case 2:
			p.Resume(0)
		}
		p.Next(dst)
	}
}

func BenchmarkPushCancel(b *testing.B) {
	p := New(8000, nil)
	pcm := ramp(0, frame)
	b.ReportAllocs()
	for id := uint64(1); b.Loop(); id++ {
		for range 50 {
			p.Push(id, 0, pcm)
		}
		p.Play(id)
		p.Cancel(id)
	}
}
