package vad

import "math/bits"

// The echo of what is sent: a phone that hears itself gives our own speech back,
// quieter and a little later.
const (
	echoWindow = 30   // frames that are compared: 600 ms
	echoLags   = 30   // frames that it may come later: up to 580 ms
	echoAlike  = 0.6  // correlation of both envelopes from which on it is taken for one
	echoMuch   = 0.9  // … from which on a frame counts three times against doubt
	echoVery   = 0.95 // … and four times
	echoStable = 8    // frames at the same lag before an echo is known: 160 ms
	echoDoubt  = 2    // more for each frame in which there was none
	echoSure   = 100  // … and at most: 2 s
	echoGone   = 25   // frames without one, and it is known no more
	echoHold   = 30   // frames that it counts on after it was last seen
	echoMost   = 0.5  // of the loudness sent: louder than -6 dB is somebody else
	echoLeast  = 100  // loudness of what is sent and comes back, of 32768
	echoInner  = 4    // frames between its edges that a sound must have to be told by them
	echoRises  = 0.01 // of its power it must rise and fall by
	echoLeft   = 0.05 // of how it rises and falls may be something else
	envelopes  = 256  // frames kept: a power of two over the longest doubt and echoLags
	kept       = envelopes - 1
	sums       = 32 // of which sums are kept: a power of two over echoLags
	keptSums   = sums - 1
	alike2     = echoAlike * echoAlike
	very2      = echoVery * echoVery
	much2      = echoMuch * echoMuch
	scale      = 1 << 15
	noLag      = -100
)

// echo finds the echo of what is sent in what is heard, by the loudness of
// their frames, and tells how loud it will be. Its sums are of integers and
// exact, so they are kept up from frame to frame: a frame costs one pass over
// the lags.
type echo struct {
	sent, heard [envelopes]uint16 // RMS of each frame, by its number
	sum, square [sums]int64       // of the echoWindow frames sent up to each
	hsum, hsq   int64             // of those heard up to now
	product     [echoLags]int64   // of heard and sent, by lag
	at          int               // the newest frame's number

	lag    int     // where the envelopes are most alike, noLag: nowhere
	steady int     // the same, as it was before a silence
	stable int     // frames that it has been there, silence not counted
	proof  int     // of them, more for those that are very much alike
	likely bool    // it is all that was loud, but a line that had no echo is doubted to have one
	known  int     // where an echo was found in this call, noLag: none was
	gain   float64 // of it
	hold   int     // frames that it still counts
	absent int     // frames in which it should have come, and nothing did
}

func newEcho() echo { return echo{lag: noLag, steady: noLag, known: noLag} }

// push takes the loudness of the next frame sent and heard; floor is the mean
// square of the background, and voice for how many frames there has been what
// may be a voice.
func (e *echo) push(sent, heard, floor float64, voice int) {
	y, x := int64(min(max(sent, 0), scale)), int64(min(max(heard, 0), scale))
	e.at++
	t := e.at
	old := int64(e.heard[(t-echoWindow)&kept])
	for lag := range e.product {
		was := int64(e.sent[(t-echoWindow-lag)&kept])
		if lag == 0 {
			e.product[lag] += x*y - old*was
			continue
		}
		e.product[lag] += x*int64(e.sent[(t-lag)&kept]) - old*was
	}
	gone := int64(e.sent[(t-echoWindow)&kept])
	e.sum[t&keptSums] = e.sum[(t-1)&keptSums] + y - gone
	e.square[t&keptSums] = e.square[(t-1)&keptSums] + y*y - gone*gone
	e.hsum += x - old
	e.hsq += x*x - old*old
	e.sent[t&kept], e.heard[t&kept] = uint16(y), uint16(x) //nolint:gosec // at most scale
	e.look(floor, voice)
}

// look finds the lag at which both are most alike. A lag that is the same
// before and after a silence is the same all the more: two sounds agree on it.
func (e *echo) look(floor float64, voice int) {
	e.likely = false
	if e.hold > 0 {
		e.hold--
	}
	n := int64(echoWindow)
	// What rises and falls by less, as noise does, could not be taken for a voice.
	if float64(n*e.hsq-e.hsum*e.hsum) < float64(n*n)*max(quietest, floor)/4 {
		e.lag = noLag
		e.miss()
		return
	}
	best, most := noLag, alike2
	for lag := range e.product {
		if r := e.alike(lag); r >= most {
			best, most = lag, r
		}
	}
	if e.known != noLag && !near(best, e.known) { // what was found once is looked for where it was
		for lag := max(e.known-1, 0); lag <= min(e.known+1, echoLags-1); lag++ {
			if e.alike(lag) >= alike2 {
				best = lag
			}
		}
	}
	if best == noLag || !near(best, e.steady) {
		e.stable, e.proof = 0, 0
	}
	e.lag, e.steady = best, best
	if best == noLag {
		return
	}
	e.stable++
	r, gain := e.alike(best), float64(e.product[best])/float64(max(e.square[(e.at-best)&keptSums], 1))
	switch {
	case r >= very2:
		e.proof += 4
	case r >= much2:
		e.proof += 3
	default:
		e.proof++
	}
	switch doubted := e.stable < echoStable || e.absent > 0 && e.proof < min(echoStable+echoDoubt*e.absent, echoSure); {
	case gain > echoMost:
		return
	case doubted && !near(best, e.known):
		e.likely = e.stable >= echoStable && r >= very2 && e.explains(voice, best, gain)
		return
	}
	e.known, e.gain, e.hold, e.absent = best, gain, echoHold, 0
}

// miss notes that nothing was heard for a whole window: when something was sent
// at every lag, the line has no echo, and what is like one later is doubted.
func (e *echo) miss() {
	for _, lag := range [...]int{0, echoLags / 2, echoLags - 1} {
		if e.square[(e.at-lag)&keptSums] < echoWindow*echoLeast*echoLeast {
			return
		}
	}
	if e.absent++; e.absent >= echoGone {
		e.known, e.hold = noLag, 0
	}
}

func near(a, b int) bool { return a != noLag && b != noLag && a-b <= 1 && b-a <= 1 }

// alike is the square of the correlation at a lag, 0 when it is negative or
// nothing was sent.
func (e *echo) alike(lag int) float64 {
	t := (e.at - lag) & keptSums
	if e.square[t] < echoLeast*echoLeast*echoWindow/4 {
		return 0
	}
	n := int64(echoWindow)
	both := float64(n*e.product[lag] - e.hsum*e.sum[t])
	spread := float64(n*e.square[t]-e.sum[t]*e.sum[t]) * float64(n*e.hsq-e.hsum*e.hsum)
	if both <= 0 || spread <= 0 {
		return 0
	}
	return both * both / spread
}

// Echo is what the detector makes of the sound of the last frames.
type Echo int32

// The kinds of sound.
const (
	NoEcho Echo = iota
	Alike       // it is like what was sent: an echo that is not sure yet, or chance
	Likely      // nothing else was heard but what is like it, on a line that had no echo: half a second will tell
	Known       // an echo of what was sent, and a voice only where it is louder
)

// Echo is what the sound heard now is, next to what was sent.
func (d *Detector) Echo() Echo {
	switch {
	case d.echo.hold > 0:
		return Known
	case d.echo.likely:
		return Likely
	case d.echo.lag != noLag:
		return Alike
	}
	return NoEcho
}

// power is the mean square that the echo has in the newest frame at most, 0
// where there is none.
func (e *echo) power() float64 {
	if e.hold == 0 {
		return 0
	}
	_, most := e.around(e.at, e.known)
	return e.gain * e.gain * most * most
}

// around is the least and the most that was sent a lag before a frame, or one
// frame off it.
func (e *echo) around(t, lag int) (least, most float64) {
	a, b, c := e.sent[(t-max(lag-1, 0))&kept], e.sent[(t-lag)&kept], e.sent[(t-lag-1)&kept]
	return float64(min(a, b, c)), float64(max(a, b, c))
}

// explains says whether an echo is all that was loud in the last n frames: no
// three of four are louder than it, and they rise and fall with what was sent.
// That a sound begins and ends tells nothing, so its edges do not count, and
// neither does one that is as loud all the time.
func (e *echo) explains(n, lag int, gain float64) bool {
	if n < echoStable || n > envelopes-echoLags {
		return false
	}
	loud, louder := uint8(0), uint8(0) // the last frames, the newest in bit 0
	var left, sum, square, inner float64
	for t := e.at - n + 1; t <= e.at; t++ {
		heard := float64(e.heard[t&kept])
		_, most := e.around(t, lag)
		loud, louder = loud<<1&7, louder<<1&(1<<onsetOf-1)
		if power := heard * heard; power >= quietest {
			loud |= 1
			if power >= margin*gain*gain*most*most {
				louder |= 1
			}
		}
		if bits.OnesCount8(louder) >= onset {
			return false
		}
		if loud < 7 {
			continue
		}
		heard = float64(e.heard[(t-1)&kept])
		least, most := e.around(t-1, lag)
		miss := max(gain*least-heard, heard-gain*most, 0) // a sound that began between two frames is in both
		left += miss * miss
		sum += heard
		square += heard * heard
		inner++
	}
	spread := square - sum*sum/max(inner, 1)
	return inner >= echoInner && spread >= echoRises*square && left <= echoLeft*spread
}
