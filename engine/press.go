package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/tools"
)

// keyGap is between two keys that are played as tones.
const keyGap = 50 * time.Millisecond

// keysSent tells the session of keys of ours.
type keysSent struct{ keys, as string }

// presser sends keys, from a tool's goroutine: into the sound that the call has
// now.
func (s *session) presser() func(context.Context, tools.Press) error {
	t, rate := s.tones, s.rate
	return func(ctx context.Context, p tools.Press) error { return s.press(ctx, p, t, rate) }
}

// press sends keys: as telephone-events, or as tones in the call's sound where
// the peer takes none (T-14).
func (s *session) press(ctx context.Context, p tools.Press, t *tones, rate int) error {
	as := "rfc4733"
	var err error
	if info := s.leg.Info(); info.Events || !strings.HasPrefix(info.Transport, "sip") {
		err = s.leg.SendDigits(ctx, p.Keys, telephony.Tone{Duration: p.Duration, Volume: p.Volume})
	} else {
		as = "inband"
		err = t.play(ctx, p, rate)
	}
	if err == nil {
		s.work.put(keysSent{p.Keys, as})
	}
	return err
}

// tones is a source whose sound gives way to keys. It is pulled by the leg,
// which never waits.
type tones struct {
	audio.Source
	job atomic.Pointer[keyJob]
}

// keyJob is keys on their way: done is closed with their last sample.
type keyJob struct {
	pcm  []int16
	at   int // of the leg's goroutine
	done chan struct{}
}

// play plays keys to their end.
func (t *tones) play(ctx context.Context, p tools.Press, rate int) error {
	if t == nil {
		return errors.New("engine: press keys: no sound yet")
	}
	j := &keyJob{done: make(chan struct{})}
	for i := range len(p.Keys) {
		tone, ok := audio.DTMF(p.Keys[i], p.Duration, keyGap)
		if !ok {
			return fmt.Errorf("engine: press keys: %q is no key", p.Keys[i])
		}
		tone.Level = -50 * (1 - p.Volume) // as telephone-events have it: 0.8 is -10 dBm0
		j.pcm = append(j.pcm, tone.PCM(rate)...)
	}
	if !t.job.CompareAndSwap(nil, j) {
		return errors.New("engine: press keys: others are being pressed")
	}
	select {
	case <-j.done:
		return nil
	case <-ctx.Done():
		t.job.CompareAndSwap(j, nil)
		return fmt.Errorf("engine: press keys: %w", context.Cause(ctx))
	}
}

// Next is the sound of the call, or of keys.
func (t *tones) Next(dst []int16) bool {
	j := t.job.Load()
	if j == nil {
		return t.Source.Next(dst)
	}
	n := copy(dst, j.pcm[j.at:])
	clear(dst[n:])
	if j.at += n; j.at >= len(j.pcm) && t.job.CompareAndSwap(j, nil) {
		close(j.done)
	}
	return true
}
