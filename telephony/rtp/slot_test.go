package rtp

import (
	"testing"
	"time"

	"github.com/patchcord/patchcord/audio"
)

// A session that hears its packets long after they came is moved to an earlier
// slot, once: from then on they wait as long as the jitter buffer wants and a
// little more. One packet of ours leaves earlier for it, none is lost.
func TestSlotFollowsThePackets(t *testing.T) {
	t.Parallel()
	for _, arrives := range []int{1, 5, 9, 13, 17, 19} { // ms after the slot
		r := newRig(t, negotiated())
		r.pass(arrives, 60)
		moved := r.slot
		var gaps []time.Duration
		for i := 1; i < len(r.left); i++ {
			gaps = append(gaps, r.left[i]-r.left[i-1])
		}
		odd := 0
		for _, g := range gaps {
			if g == audio.FrameTime {
				continue
			}
			if odd++; g < 6*time.Millisecond || g > audio.FrameTime {
				t.Errorf("arrival at %d ms: %v between two packets", arrives, g)
			}
		}
		wait := ((moved-arrives)%20 + 20) % 20
		if odd > 1 || wait > 6 {
			t.Errorf("arrival at %d ms: slot %d, a wait of %d ms, %d odd gaps", arrives, moved, wait, odd)
		}
		for i, f := range r.heard[30:] {
			if f.Lost || !r.loud[30+i] {
				t.Errorf("arrival at %d ms: frame %d is missing", arrives, 30+i)
			}
		}
		if r.sh.placed[moved] != 1 || len(r.sh.sessions[moved]) != 1 {
			t.Errorf("arrival at %d ms: slots %v", arrives, r.sh.placed)
		}
	}
}

// Calls whose packets all come at the same moment are not all served in the
// same millisecond.
func TestSlotsAreNotCrowded(t *testing.T) {
	t.Parallel()
	r := newRig(t, negotiated())
	r.pass(2, 19)
	for k := range r.sh.placed { // three sessions in each slot
		r.sh.placed[k] += 3
		r.sh.count += 3
	}
	r.sh.placed[3] = 40
	r.pass(2, 10)
	if r.slot == 3 || r.slot == 0 {
		t.Errorf("it went to slot %d of %v", r.slot, r.sh.placed)
	}
}

// pass serves the shard for some frames, every ms, with a voice whose packets
// arrive at a ms of each frame's time. The session starts in slot 0.
func (r *rig) pass(arrives, frames int) {
	if r.caller == nil {
		r.caller = &voice{src: peer, ssrc: 7}
		r.sh.sessions[0] = []*Session{r.Session}
		r.sh.placed[0], r.sh.count, r.sh.live = 1, 1, 1
	}
	for range 20 * frames {
		if int(r.now/time.Millisecond)%20 == arrives {
			r.caller.send(r)
			r.rtp.in[len(r.rtp.in)-1].at = r.now
		}
		n := len(r.rtp.out)
		r.sh.serve(int64(r.now/time.Millisecond)%slots, r.now)
		for range r.rtp.out[n:] {
			r.left = append(r.left, r.now)
		}
		r.now += time.Millisecond
	}
}
