package engine

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/audio/playout"
	"github.com/patchcord/patchcord/audio/stt"
	"github.com/patchcord/patchcord/audio/vad"
	"github.com/patchcord/patchcord/engine/agent"
)

// heardEdges feeds a listener frames and tells its edges with their frame.
func heardEdges(t *testing.T, frames int, frame func(i int) audio.Frame) map[edgeKind][]int {
	t.Helper()
	box := newMailbox(edgeItems)
	l := newListener(audio.Format{Encoding: audio.MuLaw, Rate: 8000}, 200*ms, box, nil)
	got := map[edgeKind][]int{}
	for i := range frames {
		f := frame(i)
		f.Rate, f.At = 8000, time.Duration(i)*audio.FrameTime
		l.Hear(f)
		for {
			item, ok := box.take()
			if !ok {
				break
			}
			if e, is := item.(voiceEdge); is {
				got[e.kind] = append(got[e.kind], i)
			}
		}
	}
	return got
}

// loudFrame is a frame of a voice, quietFrame one of the background.
func loudFrame() audio.Frame {
	pcm := make([]int16, 160)
	for i := range pcm {
		pcm[i] = int16(8000 * (1 - 2*(i/8%2))) //nolint:gosec // a square wave
	}
	return audio.Frame{PCM: pcm}
}

func quietFrame() audio.Frame { return audio.Frame{PCM: make([]int16, 160)} }

// A line that delivers nothing closes the voice after 200 ms and ends the turn
// after a second, told once.
func TestLineWithoutPackets_convB8(t *testing.T) {
	got := heardEdges(t, 300, func(i int) audio.Frame {
		switch {
		case i < 50:
			return quietFrame()
		case i < 100:
			return loudFrame()
		}
		f := quietFrame()
		f.Lost = true
		return f
	})
	if off := got[voiceOff]; len(off) != 1 || off[0] < 109 || off[0] > 110 {
		t.Errorf("the voice ended at frames %v, the last packet was frame 99", off)
	}
	if idle := got[lineIdle]; len(idle) != 1 || idle[0] != 149 {
		t.Errorf("the line was idle at frames %v, the last packet was frame 99", idle)
	}
}

// What the playout sends and the phone gives back is known by the listener: our
// own speech does not pause itself, and misheard words of its first sound, which
// nobody could know yet, are of an echo.
func TestListenerKnowsOurEcho_convE1(t *testing.T) {
	out := playout.New(8000, nil)
	rng := rand.New(rand.NewPCG(7, 7)) //nolint:gosec // a test
	var speech []int16
	for range 40 { // sentences of syllables
		for range 12 {
			loud := 800 + 4000*rng.Float64()
			for range 1000 + rng.IntN(800) {
				speech = append(speech, int16(rng.NormFloat64()*loud)) //nolint:gosec // far below the limit
			}
			speech = append(speech, make([]int16, 500)...)
		}
		speech = append(speech, make([]int16, 6000)...)
	}
	out.Push(1, 0, speech)
	out.Play(1)
	box := newMailbox(edgeItems)
	l := newListener(audio.Format{Encoding: audio.MuLaw, Rate: 8000}, 200*ms, box, nil)
	l.out = out
	var sent [][]int16
	paused, voices, taken := 0, 0, 0
	for i := range len(speech) / 160 {
		frame := make([]int16, 160)
		out.Next(frame)
		sent = append(sent, frame)
		back := make([]int16, 160)
		if i >= 10 {
			for j, x := range sent[i-10] {
				back[j] = x / 4
			}
		}
		l.Hear(audio.Frame{PCM: back, Rate: 8000, At: time.Duration(i) * audio.FrameTime})
		for {
			item, ok := box.take()
			if !ok {
				break
			}
			e, is := item.(voiceEdge)
			switch {
			case !is:
			case e.kind == voiceLong:
				paused++
			case e.kind == voiceOn:
				voices++
			case e.kind == voiceOff && e.echo:
				taken++
				at := time.Duration(i) * audio.FrameTime
				if !l.sound.echoed(at-200*ms, at-50*ms) || !l.sound.echoed(0, 0) {
					t.Error("words of our echo are the caller's")
				}
			}
		}
	}
	if paused > 0 || voices != taken || voices == 0 {
		t.Fatalf("our own echo would have paused us %d times in %d s; %d voices, %d of them taken back",
			paused, len(speech)/8000, voices, taken)
	}
}

// Words are of an echo where there was one and no voice, by their place or, where
// a recogniser does not tell it, by the time that they come.
func TestWordsOfAnEcho_convE1(t *testing.T) {
	const frame = audio.FrameTime
	var l sound
	push := func(n int, voice bool, echo vad.Echo) {
		for range n {
			l.push(voice, echo)
		}
	}
	push(100, false, vad.NoEcho)
	push(50, true, vad.NoEcho) // a caller, frames 100 to 149
	push(100, false, vad.NoEcho)
	if l.echoed(110*frame, 140*frame) || l.echoed(0, 0) {
		t.Error("a caller on a line without echo is one")
	}
	push(10, true, vad.Alike) // 250 to 259: our echo, not known yet
	if !l.alike() || l.likely() || l.echoed(250*frame, 255*frame) {
		t.Error("an echo is known too early")
	}
	push(1, true, vad.Likely)
	if !l.alike() || !l.likely() || l.echoed(250*frame, 255*frame) {
		t.Error("an echo in doubt is not")
	}
	l.unmask()
	push(199, false, vad.Known)
	for _, c := range []struct {
		from, to int
		want     bool
	}{
		{250, 259, true}, {300, 330, true}, {110, 140, false}, {140, 155, false}, {0, 90, false}, {0, 0, true},
	} {
		if l.echoed(time.Duration(c.from)*frame, time.Duration(c.to)*frame) != c.want {
			t.Errorf("words of frames %d to %d: echo is not %v", c.from, c.to, c.want)
		}
	}
	push(20, true, vad.Known) // a caller over it, 460 to 479
	push(30, false, vad.Known)
	if l.echoed(462*frame, 478*frame) || l.echoed(0, 0) || !l.echoed(400*frame, 430*frame) {
		t.Error("a caller over our echo is not told from it")
	}
	push(200, false, vad.NoEcho)
	if l.echoed(560*frame, 600*frame) || l.echoed(0, 0) {
		t.Error("there is an echo without one")
	}
}

// INV14: a recogniser's word ends a voice at once where it has been quiet for
// 100 ms, and is kept while it has not. A voice that is loud is not ended, nor is
// the next one.
func TestEndpointEndsTheVoiceBetweenFrames_INV14(t *testing.T) {
	for _, c := range []struct {
		name  string
		quiet int // frames after the voice when the word comes
		more  int // loud frames, from the fourth quiet one on
		off   int // the frame after which the voice has ended
	}{
		{"quiet for 120 ms", 6, 0, 105},
		{"quiet for 100 ms", 5, 0, 104},
		{"quiet for 40 ms", 2, 0, 104},
		{"with the last sound", 0, 0, 104},
		{"before the last sound", -1, 0, 109}, // by the detector's own hang
		{"the voice goes on", 2, 20, 132},     // by that of what it is then
	} {
		t.Run(c.name, func(t *testing.T) {
			box := newMailbox(edgeItems)
			l := newListener(audio.Format{Encoding: audio.MuLaw, Rate: 8000}, 200*ms, box, nil)
			var offs []int
			for i := range 200 {
				f := quietFrame()
				if i >= 50 && i < 100 || i >= 103 && i < 103+c.more {
					f = loudFrame()
				}
				f.Rate, f.At = 8000, time.Duration(i)*audio.FrameTime
				l.Hear(f)
				if i == 99+c.quiet {
					l.finish()
				}
				for {
					item, ok := box.take()
					if !ok {
						break
					}
					if e, is := item.(voiceEdge); is && e.kind == voiceOff {
						offs = append(offs, i)
					}
				}
			}
			if len(offs) != 1 || offs[0] != c.off {
				t.Errorf("the voice ended with frames %v, want %d", offs, c.off)
			}
		})
	}
}

// Last words wait while it is not known whether they are our echo, and no longer.
func TestLikelyEchoIsPutOff_convE1(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &session{work: newMailbox(0), listen: &listener{}}
		s.listen.sound.push(true, vad.Likely)
		e := sttEvent{ev: stt.Event{Kind: stt.Final, Text: "huh"}}
		for n := range doubtMost {
			s.recognised(e)
			if _, early := s.work.take(); early {
				t.Fatal("judged at once")
			}
			time.Sleep(doubtEvery)
			synctest.Wait()
			item, _ := s.work.take()
			var ok bool
			if e, ok = item.(sttEvent); !ok || e.ev.Text != "huh" || e.doubted != n+1 {
				t.Fatalf("%d: %+v", n, item)
			}
		}
		if d := doubtMost * doubtEvery; d > 500*time.Millisecond {
			t.Errorf("words wait for %v", d)
		}
	})
}

// Words that come behind those which are put off are not heard before them: they
// would have no order, and the first ones would be taken for told twice.
func TestWordsKeepTheirOrder_convE1(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := dial(t, &agent.Agent{Name: "a"}, says("All right."))
		k.wait(500 * ms)
		s := k.session()
		final := func(text string, end time.Duration) {
			s.work.put(sttEvent{ev: stt.Event{Kind: stt.Final, Text: text, Start: end - 100*ms, End: end}})
			synctest.Wait()
		}
		s.listen.sound.kind.Store(int32(vad.Likely))
		final("one two", 200*ms)
		k.wait(50 * ms)
		s.listen.sound.kind.Store(int32(vad.NoEcho))
		final("three four", 400*ms)
		k.wait(3 * time.Second).hangUp()
		k.want(`"text":"one two three four"`)
	})
}
