package rtp

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/telephony"
)

// ErrNoTelephoneEvent means that the peer takes no digits in RTP.
var ErrNoTelephoneEvent = errors.New("rtp: telephone-event was not negotiated")

const (
	repeats = 3 // of the first and the last packet of a press

	// What a digit string may hold beside keys.
	shortPause, longPause = 500 * time.Millisecond, 2 * time.Second // 'w' and ','
)

// digitJob is a string of keys being sent. The shard owns it until done.
type digitJob struct {
	keys      string
	long, gap int // frames; gap is what follows a press, its last packets included
	volume    uint8
	pcm       []int16     // the keys as tones, where they are not sent as events
	cancel    atomic.Bool // stop after the key being sent
	done      chan error  // capacity 1: the shard never waits for the caller

	at    int // key being sent
	frame int // since it began
	start uint32
}

// newDigitJob checks digits and tone.
func newDigitJob(digits string, tone telephony.Tone) (*digitJob, error) {
	if i := strings.IndexFunc(digits, func(r rune) bool {
		return !strings.ContainsRune(keyNames+"abcdw,", r)
	}); i >= 0 {
		return nil, fmt.Errorf("rtp: send digits: %q at %d: must be 0-9 * # A-D, w or a comma to pause", digits[i:i+1], i)
	}
	if tone.Duration == 0 {
		tone.Duration = 100 * time.Millisecond
	}
	if tone.Gap == 0 {
		tone.Gap = 50 * time.Millisecond
	}
	if tone.Volume == 0 {
		tone.Volume = 0.8
	}
	if tone.Duration < 0 || tone.Duration > 8*time.Second || tone.Gap < 0 || tone.Volume < 0 || tone.Volume > 1 {
		return nil, errors.New("rtp: send digits: tone: duration must be up to 8 s, gap not negative, volume 0 to 1")
	}
	frames := func(d time.Duration) int { return int((d + audio.FrameTime - 1) / audio.FrameTime) }
	return &digitJob{
		keys:   strings.NewReplacer("a", "A", "b", "B", "c", "C", "d", "D").Replace(digits),
		long:   max(frames(tone.Duration), 2),
		gap:    max(frames(tone.Gap), repeats-1), // the repeated last packet needs as many
		volume: uint8(50*(1-tone.Volume) + 0.5),  // 0.8 is -10 dBm0
		done:   make(chan error, 1),
	}, nil
}

// next is what the frame that begins at ts sends: count packets of e; with
// none there is silence on the line. over tells that all is sent.
//
// A press of n frames sends its first packet three times, an update in each
// frame, the last one with the end bit, and that twice more (RFC 4733 sections
// 2.5.1.2 to 2.5.1.4).
func (j *digitJob) next(ts uint32, ticksPerFrame int) (e keyEvent, start uint32, marker bool, count int, over bool) {
	if j.at == len(j.keys) || j.frame == 0 && j.cancel.Load() {
		return e, 0, false, 0, true
	}
	pause := 0
	switch j.keys[j.at] {
	case 'w':
		pause = int(shortPause / audio.FrameTime)
	case ',':
		pause = int(longPause / audio.FrameTime)
	}
	if j.frame == 0 {
		j.start = ts
	}
	at, f := j.at, j.frame
	j.frame++
	if pause > 0 {
		if j.frame == pause || j.cancel.Load() {
			j.at, j.frame = j.at+1, 0
		}
		return e, 0, false, 0, false
	}
	if j.frame == j.long+j.gap {
		j.at, j.frame = j.at+1, 0
	}
	last := min(f+1, j.long) * ticksPerFrame
	// What is longer than the field of its duration goes on in a segment that
	// begins where it was full (section 2.5.1.3): at 48 kHz after 1.4 s.
	past := (last - 1) / segment * segment
	from := j.start + uint32(past) //nolint:gosec // wraps on purpose
	e = keyEvent{
		event:    uint8(strings.IndexByte(keyNames, j.keys[at])), //nolint:gosec // newDigitJob checked
		end:      f+1 >= j.long,
		volume:   j.volume,
		duration: uint16(last - past), //nolint:gosec // at most segment
	}
	switch {
	case f == 0:
		return e, from, true, repeats, false
	case f+1 < j.long+repeats:
		return e, from, false, 1, false
	}
	return keyEvent{}, 0, false, 0, false
}

// loudestTone keeps the sum of a key's two tones within full scale, dB.
const loudestTone = -6.5

// render makes the keys the tones of Q.23, at the rate of the session's frames.
func (j *digitJob) render(rate int) {
	j.pcm = []int16{}
	silence := func(d time.Duration) { j.pcm = append(j.pcm, make([]int16, audio.Samples(d, rate))...) }
	for i := range len(j.keys) {
		switch j.keys[i] {
		case 'w':
			silence(shortPause)
		case ',':
			silence(longPause)
		default:
			tone, _ := audio.DTMF(j.keys[i], time.Duration(j.long)*audio.FrameTime, time.Duration(j.gap)*audio.FrameTime)
			tone.Level = min(-float64(j.volume), loudestTone)
			j.pcm = append(j.pcm, tone.PCM(rate)...)
		}
	}
}

// play fills a frame with the keys' tones; false when all have been played.
func (j *digitJob) play(frame []int16) bool {
	n := copy(frame, j.pcm[j.frame:])
	clear(frame[n:])
	j.frame += n
	return j.frame < len(j.pcm) && !j.cancel.Load()
}

// SendDigits sends digits as telephone-events and returns when they are sent;
// the Source is not pulled meanwhile. 'w' pauses for 0.5 s, ',' for 2 s. When
// ctx ends, what is left is not sent.
func (s *Session) SendDigits(ctx context.Context, digits string, tone telephony.Tone) error {
	return s.sendDigits(ctx, digits, tone, false)
}

// SendTones is SendDigits for a peer that takes no telephone-events: the keys
// are sound, in the place of the Source's.
func (s *Session) SendTones(ctx context.Context, digits string, tone telephony.Tone) error {
	return s.sendDigits(ctx, digits, tone, true)
}

func (s *Session) sendDigits(ctx context.Context, digits string, tone telephony.Tone, tones bool) error {
	job, err := newDigitJob(digits, tone)
	if err != nil || digits == "" {
		return err
	}
	s.mu.Lock()
	started, rate := s.shard != nil, s.rate
	s.mu.Unlock()
	if !started {
		return errNotSending
	}
	if tones {
		job.render(rate)
	}
	select {
	case s.digitTurn <- struct{}{}: // capacity 1: one string at a time
		defer func() { <-s.digitTurn }()
	case <-ctx.Done():
		return fmt.Errorf("rtp: send digits: %w", context.Cause(ctx))
	case <-s.gone:
		return ErrClosed
	}
	s.digits.Store(job)
	select {
	case err = <-job.done:
		return err
	case <-s.gone:
		return ErrClosed
	case <-ctx.Done():
		job.cancel.Store(true)
		select {
		case <-job.done: //nolint:errcheck // sent or not: the caller has stopped waiting
		case <-s.gone:
		}
		return fmt.Errorf("rtp: send digits: %w", context.Cause(ctx))
	}
}
