package engine

import (
	"testing"

	"github.com/patchcord/patchcord/audio/playout"
	"github.com/patchcord/patchcord/audio/tts/spoken"
)

// segmentsOf are pieces of a text on their way to the ear.
func segmentsOf(raws ...string) (text string, out []*segment) {
	for i, raw := range raws {
		if i > 0 {
			text += " "
		}
		out = append(out, &segment{at: len(text), raw: raw, said: spoken.Speak(raw, "en")})
		text += raw
	}
	return text, out
}

func seeded(string) float64 { return seedCPS }

func TestHeardText(t *testing.T) {
	t.Parallel()
	const rate = 8000
	text, segs := segmentsOf("Hello there.", "Your order was shipped on Monday.")
	seg := func(i, heard, pushed int, ended bool) playout.SegmentHeard {
		return playout.SegmentHeard{Seg: i, Samples: heard, Pushed: pushed, Ended: ended}
	}
	for _, c := range []struct {
		name string
		h    playout.Heard
		want string
	}{
		{"nothing heard leaves nothing (conv:T5)", playout.Heard{Segments: []playout.SegmentHeard{seg(0, 0, 8000, true)}}, ""},
		{
			"half of a segment, cut back to a whole word (conv:T2)",
			playout.Heard{Samples: 12000, Segments: []playout.SegmentHeard{seg(0, 4000, 4000, true), seg(1, 8480, 16000, true)}},
			"Hello there. Your order was",
		},
		{
			"a segment that is still being made, by the voice's speed",
			playout.Heard{Samples: 12480, Segments: []playout.SegmentHeard{seg(0, 4000, 4000, true), seg(1, 8480, 9000, false)}},
			"Hello there. Your order",
		},
		{
			"the end of the first while the second has not begun (conv:T4)",
			playout.Heard{Samples: 8000, Segments: []playout.SegmentHeard{seg(0, 8000, 8000, true)}},
			"Hello",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := heardOf(text, segs, c.h, rate, seeded).text; got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
	one, marked := segmentsOf("One two three.")
	marked[0].words = []wordMark{{3, 2000}, {7, 4000}, {14, 6000}}
	h := playout.Heard{Samples: 4500, Segments: []playout.SegmentHeard{seg(0, 4500, 8000, true)}}
	if got := heardOf(one, marked, h, rate, seeded).text; got != "One two" { // conv:T1
		t.Errorf("by word marks got %q", got)
	}
}

// A piece that is not over in the playout still counts whole when the next one
// sounds, and what was made ahead of the ear counts not at all, however much of
// it there is.
func TestPiecesBeforeAndBehindTheCut_convT3(t *testing.T) {
	t.Parallel()
	const rate = 8000
	text, segs := segmentsOf("First of all, hello.", "Second comes **this**.", "Third comes that.")
	h := playout.Heard{Segments: []playout.SegmentHeard{
		{Seg: 0, Samples: 10000, Pushed: 10000, Ended: true},
		{Seg: 1, Samples: 480 + 6000, Pushed: 12000, Ended: true},
		{Seg: 2, Samples: 0, Pushed: 11000, Ended: true},
	}}
	if got := heardOf(text, segs, h, rate, seeded); got.text != "First of all, hello. Second" || got.all {
		t.Errorf("got %+v", got)
	}
	h.Segments[1].Samples, h.Segments[2].Samples = 12000, 480+4
	if got := heardOf(text, segs, h, rate, seeded).text; got != "First of all, hello. Second comes **this**." {
		t.Errorf("got %q", got)
	}
	h.Segments[2].Samples = 200 // conv:T4: so little of it left that the end of the one before is not heard
	if got := heardOf(text, segs, h, rate, seeded).text; got != "First of all, hello. Second comes" {
		t.Errorf("got %q", got)
	}
	h.Segments[2].Samples, h.Ended = 11000, true
	if got := heardOf(text, segs, h, rate, seeded); got.text != text || !got.all {
		t.Errorf("got %+v", got)
	}
}
