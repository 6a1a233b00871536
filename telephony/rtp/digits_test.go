package rtp

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/patchcord/patchcord/telephony"
)

// press sends digits and ticks until they are sent.
func (r *rig) press(digits string, tone telephony.Tone) error {
	r.t.Helper()
	done := make(chan error, 1)
	go func() { done <- r.SendDigits(context.Background(), digits, tone) }()
	for {
		select {
		case err := <-done:
			return err
		default:
			r.step()
		}
	}
}

// What we send is what RFC 4733 asks for, and what our own reader reads.
func TestSendDigits(t *testing.T) {
	t.Parallel()
	r := newRig(t, negotiated())
	source := &talk{}
	r.Connect(nil, source)
	r.steps(5)
	before := source.n
	if err := r.press("1#d", telephony.Tone{}); err != nil {
		t.Fatal(err)
	}
	r.steps(5)
	hs, payloads, _ := r.sent()
	k := keyReader{clock: 8000, stamps: 8000}
	keys, events, starts, ends := "", 0, 0, 0
	for i, h := range hs {
		if i > 0 && h.seq != hs[i-1].seq+1 {
			t.Fatalf("sequence %d after %d", h.seq, hs[i-1].seq)
		}
		if h.pt != 101 {
			continue
		}
		events++
		e, ok := parseKeyEvent(payloads[i])
		if !ok || e.volume != 10 {
			t.Fatalf("event % x", payloads[i])
		}
		if e.duration == 160 {
			starts++
			if h.marker != (starts%repeats == 1) {
				t.Errorf("marker %v on start packet %d", h.marker, starts)
			}
		}
		if e.end {
			ends++
			if e.duration != 800 {
				t.Errorf("ends after %d ticks, want 800", e.duration)
			}
		}
		done, n := k.packet(h.seq, h.ts, h.marker, e, time.Duration(i)*20*time.Millisecond)
		keys += keysOf(done[:n])
	}
	if keys != "1#D" || starts != 9 || ends != 9 || events != 3*9 {
		t.Errorf("keys %q, %d starts, %d ends, %d packets", keys, starts, ends, events)
	}
	// The timestamps of the sound go on as if nothing had been: 8 frames a key.
	last, first := hs[len(hs)-1], hs[0]
	if ticks := last.ts - first.ts; ticks%160 != 0 || int(ticks/160) != int(r.ticks)-1 {
		t.Errorf("the sound's timestamp moved by %d over %d ticks", ticks, r.ticks)
	}
	if pulled := (source.n - before) / 160; pulled > int(r.ticks)-5-3*8 {
		t.Errorf("the Source was pulled %d times while keys were sent", pulled)
	}
}

func TestSendDigitsLongAndShort(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		tone     telephony.Tone
		duration uint16
		volume   uint8
		frames   uint64
	}{
		{telephony.Tone{Duration: 40 * time.Millisecond, Gap: 40 * time.Millisecond, Volume: 1}, 320, 0, 4},
		{telephony.Tone{Duration: 200 * time.Millisecond, Gap: 100 * time.Millisecond, Volume: 0.5}, 1600, 25, 15},
		{telephony.Tone{Duration: 10 * time.Millisecond}, 320, 10, 5},
	} {
		r := newRig(t, negotiated())
		r.steps(2)
		job, err := newDigitJob("5", c.tone)
		if err != nil {
			t.Fatal(err)
		}
		r.digits.Store(job)
		before := r.ticks
		for r.digits.Load() != nil {
			r.step()
		}
		hs, payloads, _ := r.sent()
		var last keyEvent
		for i, h := range hs {
			if h.pt == 101 {
				last, _ = parseKeyEvent(payloads[i])
			}
		}
		if !last.end || last.duration != c.duration || last.volume != c.volume {
			t.Errorf("%+v: the last packet is %+v", c.tone, last)
		}
		if got := r.ticks - before - 1; got != c.frames {
			t.Errorf("%+v: took %d frames, want %d", c.tone, got, c.frames)
		}
	}
}

func TestSendDigitsRefusals(t *testing.T) {
	t.Parallel()
	r := newRig(t, negotiated())
	if err := r.press("12x", telephony.Tone{}); err == nil {
		t.Error("x is a key")
	}
	if err := r.press("1", telephony.Tone{Volume: 3}); err == nil {
		t.Error("a volume of 3 was taken")
	}
	hold := negotiated()
	hold.Send = false
	r.apply(hold)
	if err := r.press("1", telephony.Tone{}); err == nil {
		t.Error("digits were sent on hold")
	}
	none := negotiated()
	none.EventPT = -1
	r.apply(none)
	if err := r.press("1", telephony.Tone{}); !errors.Is(err, ErrNoTelephoneEvent) {
		t.Errorf("error %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r.apply(negotiated())
	done := make(chan error, 1)
	go func() { done <- r.SendDigits(ctx, "123456", telephony.Tone{}) }()
	for waiting := true; waiting; {
		select {
		case err := <-done:
			if !errors.Is(err, context.Canceled) {
				t.Errorf("error %v", err)
			}
			waiting = false
		default:
			r.step()
		}
	}
}
