package bridge_test

import (
	"context"
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/telephony"
)

// line is a leg with a clock of its own: every period it is given a frame of
// what its party says, and asked for what the party hears.
type line struct {
	telephony.Leg // what a bridge has no use for

	rate   int
	period time.Duration // 20 ms by its own clock
	late   time.Duration // how much a frame may be
	away   func(at time.Duration) bool
	say    func(pcm []int16) // fills a frame

	after  time.Duration // its first frame
	sink   audio.Sink
	source audio.Source
	chance *rand.Rand
	due    time.Time // the next frame, if none is late
	at     time.Time // … as late as it is
	heard  []int16
	frames int

	mu   sync.Mutex // guards keys
	keys []press
	busy error // of SendDigits
}

type press struct {
	keys string
	tone telephony.Tone
}

func newLine(rate int, say func([]int16)) *line {
	return &line{rate: rate, period: audio.FrameTime, say: say, chance: rand.New(rand.NewPCG(5, uint64(rate)))}
}

func (l *line) Connect(in audio.Sink, out audio.Source) { l.sink, l.source = in, out }

func (l *line) SendDigits(ctx context.Context, digits string, tone telephony.Tone) error {
	l.mu.Lock()
	l.keys = append(l.keys, press{digits, tone})
	err := l.busy
	l.mu.Unlock()
	select {
	case <-time.After(tone.Duration + 50*time.Millisecond):
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (l *line) pressed() []press {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]press(nil), l.keys...)
}

// tick is one frame each way.
func (l *line) tick() {
	pcm := make([]int16, l.rate/50)
	if l.say != nil {
		l.say(pcm)
	}
	l.sink.Hear(audio.Frame{PCM: pcm, Rate: l.rate, At: time.Duration(l.frames) * audio.FrameTime})
	clear(pcm)
	if !l.source.Next(pcm) {
		clear(pcm)
	}
	l.heard = append(l.heard, pcm...)
	l.frames++
}

// tone is a sine of whole Hz that goes on from frame to frame; on and off, in
// seconds, make it speech of a kind.
func tone(hz, level float64, rate int, on, off float64) func([]int16) {
	round := make([]int16, int(max(1, on+off)*float64(rate)))
	for i := range round {
		at := float64(i) / float64(rate)
		if off == 0 || at < on {
			round[i] = int16(math.Round(math.MaxInt16 * math.Pow(10, level/20) * math.Sin(2*math.Pi*hz*at)))
		}
	}
	clip := audio.NewClip(round, true)
	return func(pcm []int16) { clip.Next(pcm) }
}

// level is how loud a frequency is in pcm, dB of a sine at full scale.
func level(pcm []int16, rate int, hz float64) float64 {
	return 10 * math.Log10(max(2*audio.Power(pcm, rate, hz), 1e-12))
}

// gaps counts the frames of pcm in which a steady tone is 3 dB softer than it
// should be.
func gaps(pcm []int16, rate int, hz, want float64) int {
	n := 0
	for frame := rate / 50; len(pcm) >= frame; pcm = pcm[frame:] {
		if level(pcm[:frame], rate, hz) < want-3 {
			n++
		}
	}
	return n
}

func near(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if math.Abs(got-want) > tolerance {
		t.Errorf("%s: %.2f, want %.2f ± %.2f", what, got, want, tolerance)
	}
}
