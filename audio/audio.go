// Package audio is mono 16-bit PCM sound on its way through a call: the frames
// a leg hears and speaks, the two contracts that carry them, and the resampler,
// gain and tones that work on them.
//
// A frame is always 20 ms long, whatever the packets of the leg hold: a leg
// whose peer sends 30 ms packets cuts and joins them. The rate is 8000 or
// 16000 Hz and stays the same for the life of a leg. Nothing in this package
// starts a goroutine, logs, or allocates per frame.
package audio

import "time"

// FrameTime is the length of every [Frame].
const FrameTime = 20 * time.Millisecond

// MaxFrameSamples is the size of the largest frame: 20 ms at 48 kHz.
const MaxFrameSamples = 960

// Frame is 20 ms of sound. PCM is borrowed: valid until the call returns.
type Frame struct {
	PCM  []int16
	Rate int           // Hz: 8000 or 16000
	At   time.Duration // media time since the leg's first frame
	Lost bool          // concealed or filled in, not received
	Age  time.Duration // since its packet came; 0 where nobody tells
}

// Sink takes the sound of a leg. Hear runs on the media plane: it never
// blocks and never allocates.
type Sink interface{ Hear(Frame) }

// Source gives a leg what it is to say.
type Source interface {
	// Next fills dst, 20 ms of samples. False means nothing to say: the leg
	// sends silence. Next runs on the media plane: it never blocks and never
	// allocates.
	Next(dst []int16) bool
}

// Encoding is how samples are laid out in bytes.
type Encoding string

// The encodings that providers are fed or answer with.
const (
	PCM16 Encoding = "pcm16" // signed 16-bit little endian
	MuLaw Encoding = "mulaw" // ITU-T G.711 µ-law
	ALaw  Encoding = "alaw"  // ITU-T G.711 A-law
)

// Format names a stream of samples.
type Format struct {
	Encoding Encoding
	Rate     int // Hz
}

// Samples is how many samples d lasts at rate Hz.
func Samples(d time.Duration, rate int) int {
	return int(int64(d) * int64(rate) / int64(time.Second))
}

// Duration is how long n samples last at rate Hz.
func Duration(n, rate int) time.Duration {
	if rate <= 0 {
		return 0
	}
	return time.Duration(int64(n) * int64(time.Second) / int64(rate))
}
