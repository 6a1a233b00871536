package playout

import (
	"slices"
	"testing"
)

// conv:H10: the sound of waiting comes and goes within 50 ms, makes way before
// a reply begins and comes back after it; no sample of the reply is mixed with
// it, lost or counted wrongly.
func TestHoldMakesWayForSpeech_convH10(t *testing.T) {
	t.Parallel()
	var edges []Edge
	p := exact(func(e Edge) { edges = append(edges, e) })
	p.SetBed(&tone{left: 1 << 30}, 0.1) // 100
	p.SetHold(&tone{left: 1 << 30}, 1)  // 1000
	for range 3 {
		next(t, p, true)
	}
	if got := next(t, p, true); got[0] != 1000 || p.Sounding() != 0 {
		t.Fatalf("the sound of waiting is %d, of reply %d", got[0], p.Sounding())
	}
	speech := ramp(5000, 2*frame+frame/2)
	p.Push(1, 0, slices.Clone(speech))
	p.EndReply(1)
	p.Play(1)
	for i := range 3 {
		if got := next(t, p, true); p.Sounding() != 0 || i == 2 && got[159] != 0 {
			t.Fatalf("frame %d after Play has speech over the sound of waiting, or ends at %d", i, got[159])
		}
	}
	var said []int16
	for range 3 {
		said = append(said, next(t, p, true)...)
	}
	for i, v := range speech { // the bed under it fades in
		if d := said[i] - v; d < 0 || d > 100 {
			t.Fatalf("sample %d is %d over the speech, more than the bed", i, d)
		}
	}
	if kinds := kinds(edges); !slices.Equal(kinds, []Kind{Started, SegPlayed, Played}) {
		t.Fatalf("edges %v", kinds)
	}
	if s := p.Stats(); s.Speech != int64(len(speech)) || s.Underruns != 0 {
		t.Fatalf("stats %+v", s)
	}
	for range 6 { // the bed goes, the sound of waiting comes
		next(t, p, true)
	}
	if got := next(t, p, true); got[0] != 1000 {
		t.Fatalf("after the reply the sound of waiting is %d", got[0])
	}
	p.SetHold(nil, 0)
	for range 6 {
		next(t, p, true)
	}
	if got := next(t, p, true); got[0] != 100 {
		t.Fatalf("at the end the bed is %d", got[0])
	}
}
