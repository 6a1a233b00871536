package bridge_test

import (
	"errors"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/audio/codec"
	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/telephony/bridge"
)

// TestKeysAreSentOnAndNotHeard: a key arrives by SendDigits, as long as it was
// held, and none of its tone does.
func TestKeysAreSentOnAndNotHeard(t *testing.T) {
	t.Parallel()
	for _, rate := range []int{8000, 16000} {
		for _, key := range "123A456B789C*0#D" {
			synctest.Test(t, func(t *testing.T) {
				dtmf, _ := audio.DTMF(byte(key), 100*time.Millisecond, 60*time.Millisecond)
				src := dtmf.Source(rate, 3)
				a := newLine(rate, func(pcm []int16) { src.Next(pcm) })
				z := newLine(8000, nil)
				z.after = 8 * time.Millisecond
				var told []byte
				b := bridge.New(bridge.Config{Pressed: func(_ *bridge.Party, key byte, err error) {
					if err == nil {
						told = append(told, key)
					}
				}})
				p := join(b, a, z)
				p[0].KeysTo(p[1])
				run(time.Second, a, z)
				if err := p[0].Press(telephony.Digit{Key: byte(key), Duration: 240 * time.Millisecond}); err != nil {
					t.Error(err)
				}
				run(time.Second, a, z)
				b.Close()
				want := []press{{string(key), telephony.Tone{Duration: 240 * time.Millisecond}}}
				if got := z.pressed(); !slices.Equal(got, want) || string(told) != string(key) {
					t.Errorf("%c: sent %v, told of %q", key, got, told)
				}
				// The edges of a press are less than a frame each: too little for a key (ITU-T Q.24).
				loud := 0
				for pcm := z.heard; len(pcm) >= 80; pcm = pcm[80:] {
					if audio.RMS(pcm[:80]) > 0.01 {
						loud++
					}
				}
				if loud > 3*4 {
					t.Errorf("%c at %d Hz: %d pieces of 10 ms of the tones of three presses passed", key, rate, loud)
				}
			})
		}
	}
}

// TestVoicesAreNotTakenForKeys plays speech to the gate.
func TestVoicesAreNotTakenForKeys(t *testing.T) {
	t.Parallel()
	coded, err := os.ReadFile("../../audio/vad/testdata/speech.ulaw")
	if err != nil {
		t.Fatal(err)
	}
	spec, _ := codec.Lookup("PCMU")
	speech := make([]int16, len(coded)+160)
	spec.New().Decode(speech, coded)
	synctest.Test(t, func(t *testing.T) {
		at := 0
		a := newLine(8000, func(pcm []int16) { at += copy(pcm, speech[at:]) })
		z := newLine(8000, nil)
		z.after = 8 * time.Millisecond
		b := bridge.New(bridge.Config{})
		p := join(b, a, z)
		p[0].KeysTo(p[1])
		run(audio.Duration(len(coded), 8000), a, z)
		b.Close()
		n := min(len(z.heard), len(coded)) / 160 * 160
		cut := 0
		for i := 0; i < n; i += 160 {
			if !slices.Equal(z.heard[i:i+160], speech[i:i+160]) {
				cut++
			}
		}
		t.Logf("%d of %d frames were taken for a key", cut, n/160)
		if cut > n/160/1000 {
			t.Errorf("%d of %d frames of speech were taken for a key", cut, n/160)
		}
	})
}

// TestKeysKeepTheirOrder also when they come faster than they can be sent, and
// a party who leaves holds nobody up.
func TestKeysKeepTheirOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, z := newLine(8000, nil), newLine(8000, nil)
		refused := errors.New("no telephone-event")
		z.busy = refused
		var mu sync.Mutex
		var failed []byte
		b := bridge.New(bridge.Config{Pressed: func(_ *bridge.Party, key byte, err error) {
			mu.Lock()
			defer mu.Unlock()
			if errors.Is(err, refused) {
				failed = append(failed, key)
			}
		}})
		p := join(b, a, z)
		if err := p[0].Press(telephony.Digit{Key: '9'}); err != nil {
			t.Error(err)
		}
		p[0].KeysTo(p[1])
		for _, key := range []byte("12345678") {
			if err := p[0].Press(telephony.Digit{Key: key, Duration: time.Minute}); err != nil {
				t.Error(err)
			}
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		mu.Lock()
		got := string(failed)
		mu.Unlock()
		if got != "1234" {
			t.Errorf("after 5 s of keys of 1 s and 50 ms: %q", got)
		}
		var err error
		for range 40 {
			err = errors.Join(err, p[0].Press(telephony.Digit{Key: '0'}))
		}
		if !errors.Is(err, bridge.ErrKeysWait) {
			t.Errorf("40 keys ahead: %v", err)
		}
		began := time.Now()
		b.Close()
		if d := time.Since(began); d > 0 {
			t.Errorf("Close waited %v for keys", d)
		}
	})
}
