package wsmedia

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/telephony"
)

const (
	keyTime = 100 * time.Millisecond
	keyGap  = 50 * time.Millisecond
	maxKeys = 64
	// maxTone bounds how long one key may sound.
	maxTone = 5 * time.Second
)

// keys are being played to the caller as tones: no carrier takes them in
// another way.
type keys struct {
	pcm  []int16
	at   int           // of the clock
	done chan struct{} // closed behind the last sample
}

func (k *keys) next(dst []int16) bool {
	n := copy(dst, k.pcm[k.at:])
	k.at += n
	return n > 0
}

func (k *keys) over() bool { return k.at >= len(k.pcm) }

// SendDigits plays keys as tones, in the place of what the source has.
func (l *leg) SendDigits(ctx context.Context, digits string, tone telephony.Tone) error {
	pcm, err := tones(digits, tone, l.Info().Format.Rate)
	if err != nil || len(pcm) == 0 {
		return err
	}
	k := &keys{pcm: pcm, done: make(chan struct{})}
	l.mu.Lock()
	up, busy := l.answered, l.keys != nil
	if up && !busy {
		l.keys = k
	}
	l.mu.Unlock()
	switch {
	case !up:
		return errors.New("wsmedia: send digits: the call is not answered")
	case busy:
		return errors.New("wsmedia: send digits: others are being sent")
	}
	select {
	case <-k.done:
		return nil
	case <-l.over:
		return &telephony.HangupError{Cause: *l.cause()}
	case <-ctx.Done():
		l.mu.Lock()
		if l.keys == k {
			l.keys = nil
		}
		l.mu.Unlock()
		return context.Cause(ctx)
	}
}

// tones are keys as they sound.
func tones(digits string, tone telephony.Tone, rate int) ([]int16, error) {
	on, off, volume := tone.Duration, tone.Gap, tone.Volume
	if on <= 0 {
		on = keyTime
	}
	if off <= 0 {
		off = keyGap
	}
	if volume <= 0 {
		volume = 0.8
	}
	if len(digits) > maxKeys || on > maxTone || off > maxTone {
		return nil, fmt.Errorf("wsmedia: send digits: more than %d, or longer than %s each", maxKeys, maxTone)
	}
	var pcm []int16
	for i := range len(digits) {
		t, ok := audio.DTMF(digits[i], on, off)
		if !ok {
			return nil, fmt.Errorf("wsmedia: send digits: %q is no key", digits[i])
		}
		t.Level += 20 * math.Log10(min(volume, 1)/0.8) // 0.8 is the level of audio.DTMF
		pcm = append(pcm, t.PCM(rate)...)
	}
	return pcm, nil
}
