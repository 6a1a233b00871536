// Package vad finds where a voice begins and ends on a telephone line, by its
// energy over the background.
//
// A frame is loud when it is 6 dB over the noise floor, the 10th percentile of
// the last 3 s. A voice begins with 3 loud frames of 4 and more than 96 ms of
// sound, so that a click or a burst below that is no voice; it ends when no
// frame was loud for 200 ms, longer in noise. Both edges are dated back to the
// first and the last loud frame. A frame takes constant time and no memory.
//
// Our own speech comes back from some phones. A detector that is told how loud
// what we send is ([Detector.Sent]) finds it again in what it hears, by the
// correlation of both over 600 ms at a lag that stays, and takes for loud what
// is 6 dB over that echo: a caller who speaks over us is heard all the same.
// The first echo of a call is loud before it can be known: the voice that it was
// taken for ends as soon as it is ([Edge].Echo).
//
// A frame that was lost is never loud and never counts as background: what is
// made up for it can not begin a voice, and 200 ms of loss end one.
package vad

import (
	"math"
	"math/bits"
	"time"

	"github.com/patchcord/patchcord/audio"
)

const (
	margin      = 3.98 // loud over the floor, in power: 6 dB
	quietest    = 3395 // mean square of -55 dB of full scale: below it nothing is loud
	onset       = 3    // loud frames of the last onsetOf begin a voice
	onsetOf     = 4    //
	minVoice    = 96 * time.Millisecond
	lostEnds    = 200 * time.Millisecond // of loss end a voice
	quarters    = 4                      // of a frame, in which the ends of a sound are looked for
	quarter     = audio.FrameTime / quarters
	powerFrames = 8 // loud frames over which a voice's power is averaged
)

// The hang is how long nothing is loud before the end of a voice is told. The
// energy of a voice in noise passes the threshold only now and then, so it
// grows as the signal to noise ratio falls.
const (
	hangClean = 200 * time.Millisecond
	hangNoisy = 300 * time.Millisecond // below 15 dB
	hangBad   = 450 * time.Millisecond // below 10 dB
	snrNoisy  = 31.6                   // 15 dB, in power
	snrBad    = 10                     // 10 dB
)

// Kind is what an [Edge] is.
type Kind uint8

// The kinds of edges.
const (
	Start Kind = iota + 1
	End
)

// String is the kind's name in logs.
func (k Kind) String() string { return [...]string{"", "start", "end"}[k] }

// Edge is the beginning or the end of a voice.
type Edge struct {
	Kind Kind
	At   time.Duration // Frame.At of the first, or of the last, loud frame, which was there audio.FrameTime later
	SNR  float64       // dB of the voice over the background, so far; at least 0
	Echo bool          // of an End: it was no voice but the echo of what was sent, which is known only now
}

// Detector listens to one call. It is used by one goroutine, the media plane.
// It is made by New.
type Detector struct {
	class    Classifier // nil: energy decides alone
	floor    floor
	speaking bool
	maybe    bool          // a voice may have begun: 3 frames of 4 were loud
	told     bool          // the last one's Start was told
	loud     uint8         // the last frames, the newest in bit 0
	recent   [onsetOf]span // of the last frames, the newest first; those not loud are stale

	now   time.Duration // stream time: 20 ms for each frame pushed
	voice span          // of the voice, or of what may be one
	lost  time.Duration // of frames lost in a row
	level float64       // mean square of the last frame received
	power float64       // mean square of the voice, over its loud frames
	sent  float64       // RMS of what we sent in the frame's time, 0 to 1
	echo  echo
}

// span is a stretch of loud sound.
type span struct {
	first, last time.Duration // Frame.At of the first and the last frame
	from, to    time.Duration // stream time, to a quarter of a frame
}

// New makes the detector of one call.
func New() *Detector { return &Detector{echo: newEcho()} }

// Sent tells, before a Push, how loud what we sent last is: its RMS, 0 to 1.
func (d *Detector) Sent(rms float32) { d.sent = float64(rms) }

// Push takes the next 20 ms. It reports an edge when there is one.
func (d *Detector) Push(f audio.Frame) (Edge, bool) {
	var sound span
	loud := false
	if f.Lost || len(f.PCM) == 0 {
		d.lost += audio.FrameTime
		d.echo.push(d.sent*scale, 0, d.floor.power(), d.since())
	} else {
		d.lost = 0
		sound, loud = d.measure(f)
		loud = loud && (d.class == nil || d.class.Voice(f) >= voiceAt)
	}
	copy(d.recent[1:], d.recent[:])
	d.recent[0] = sound
	n := d.since()
	d.now += audio.FrameTime
	d.loud = d.loud << 1 & (1<<onsetOf - 1)
	if d.echo.hold > 0 && d.unmask(n) {
		return Edge{Kind: End, At: d.voice.last, SNR: d.snr(), Echo: true}, true
	}
	if loud {
		d.loud |= 1
		return d.sound(sound)
	}
	return d.silence()
}

// sound goes on with a loud frame.
func (d *Detector) sound(s span) (Edge, bool) {
	d.voice.last, d.voice.to = s.last, s.to
	if d.speaking || d.maybe {
		d.power += (d.level - d.power) / powerFrames
	} else if bits.OnesCount8(d.loud) >= onset {
		oldest := d.recent[bits.Len8(d.loud)-1]
		d.voice.first, d.voice.from = oldest.first, oldest.from
		d.maybe, d.told, d.power = true, false, d.level
	}
	// A burst that touches k quarters is sure to last longer than k-2.
	if d.speaking || !d.maybe || d.voice.to-d.voice.from-2*quarter < minVoice {
		return Edge{}, false
	}
	d.speaking, d.told = true, true
	return Edge{Kind: Start, At: d.voice.first, SNR: d.snr()}, true
}

// silence goes on with a frame that is not loud.
func (d *Detector) silence() (Edge, bool) {
	if !d.speaking {
		d.maybe = d.maybe && d.loud != 0
		return Edge{}, false
	}
	if d.lost < lostEnds && d.Quiet() < d.hang() {
		return Edge{}, false
	}
	d.speaking, d.maybe = false, false
	return Edge{Kind: End, At: d.voice.last, SNR: d.snr()}, true
}

// since is for how many frames there has been what is or may be a voice, or was
// one, the present frame included; 0 when there was none.
func (d *Detector) since() int {
	if !d.told && !d.maybe {
		return 0
	}
	return int((d.now-d.voice.from-1)/audio.FrameTime) + 2
}

// unmask ends what is an echo that was not known before, and says whether it
// was told to be a voice, one that has ended perhaps.
func (d *Detector) unmask(n int) bool {
	if !d.echo.explains(n, d.echo.known, d.echo.gain) {
		return false
	}
	told := d.told
	d.speaking, d.maybe, d.told, d.loud = false, false, false, 0
	return told
}

// settled is how long nothing was loud when a voice may be ended on the word of
// somebody else (INV14).
const settled = 100 * time.Millisecond

// Settle ends the voice before the hang is over, because a recogniser knows that
// the caller has finished. It does nothing while something is loud: pending then
// tells that it is to be asked again, once nothing has been for 100 ms.
func (d *Detector) Settle() (e Edge, ended, pending bool) {
	switch quiet := d.Quiet(); {
	case !d.speaking || quiet < audio.FrameTime:
		return Edge{}, false, false
	case quiet < settled:
		return Edge{}, false, true
	}
	d.speaking, d.maybe = false, false
	return Edge{Kind: End, At: d.voice.last, SNR: d.snr()}, true, false
}

// measure takes the energy of a frame, tells where it is loud, and adds it to
// the background.
func (d *Detector) measure(f audio.Frame) (span, bool) {
	threshold := d.threshold()
	var sums [quarters]float64
	total, n := 0.0, len(f.PCM)/quarters
	for i := range sums {
		part := f.PCM[i*n : (i+1)*n]
		if i == quarters-1 {
			part = f.PCM[i*n:]
		}
		e := energy(part)
		total += e
		sums[i] = e / float64(max(len(part), 1))
	}
	d.level = total / float64(len(f.PCM))
	d.echo.push(d.sent*scale, math.Sqrt(d.level), d.floor.power(), d.since())
	threshold = max(threshold, margin*d.echo.power())
	d.floor.add(d.level)
	if d.level < threshold {
		return span{}, false
	}
	s := span{first: f.At, last: f.At, from: d.now + audio.FrameTime, to: d.now}
	for i, e := range sums {
		if e >= threshold {
			at := d.now + time.Duration(i)*quarter
			s.from, s.to = min(s.from, at), at+quarter
		}
	}
	return s, true
}

// energy is the sum of squares.
func energy(pcm []int16) float64 {
	var a, b, c, e int64
	for ; len(pcm) >= 4; pcm = pcm[4:] {
		a += int64(pcm[0]) * int64(pcm[0])
		b += int64(pcm[1]) * int64(pcm[1])
		c += int64(pcm[2]) * int64(pcm[2])
		e += int64(pcm[3]) * int64(pcm[3])
	}
	for _, v := range pcm {
		a += int64(v) * int64(v)
	}
	return float64(a + b + c + e)
}

// threshold is the mean square from which on a frame is loud.
func (d *Detector) threshold() float64 { return max(margin*d.floor.power(), quietest) }

// hang is how long the present voice may be silent.
func (d *Detector) hang() time.Duration {
	switch ratio := d.ratio(); {
	case ratio < snrBad:
		return hangBad
	case ratio < snrNoisy:
		return hangNoisy
	}
	return hangClean
}

// ratio is the power of the voice, without the noise in it, over the noise.
func (d *Detector) ratio() float64 { return max(d.power/d.floor.power()-1, 0) }

func (d *Detector) snr() float64 { return decibel(max(d.ratio(), 1)) }

// Speaking reports that a voice has begun and not ended.
func (d *Detector) Speaking() bool { return d.speaking }

// Voiced is how long the present voice lasts, from its first to its last loud
// sound: silence after it does not count. It is 0 while nobody speaks.
func (d *Detector) Voiced() time.Duration {
	if !d.speaking {
		return 0
	}
	return d.voice.to - d.voice.from - quarter // either end is half a quarter too far out
}

// Quiet is how long ago the last loud sound ended.
func (d *Detector) Quiet() time.Duration { return d.now - d.voice.to }

// Lost is for how long nothing has been received.
func (d *Detector) Lost() time.Duration { return d.lost }

// Level is the loudness of the last frame received, in dB of full scale; a
// sine that reaches full scale has -3.
func (d *Detector) Level() float64 { return decibel(d.level / fullScale) }

// Floor is the loudness of the background, in dB of full scale.
func (d *Detector) Floor() float64 { return decibel(d.floor.power() / fullScale) }

func decibel(power float64) float64 { return 10 * math.Log10(max(power, 1e-12)) }
