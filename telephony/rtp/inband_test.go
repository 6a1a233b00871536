package rtp

import (
	"math"
	"os"
	"testing"
	"time"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/audio/codec"
	"github.com/patchcord/patchcord/telephony"
)

func ulaw() codec.Codec {
	spec, _ := codec.Lookup("PCMU")
	return spec.New()
}

// Speech has no keys, however loud it is (issue 5: none on the voices of the tree).
func TestNoKeysInSpeech(t *testing.T) {
	t.Parallel()
	speech, err := os.ReadFile("../../audio/vad/testdata/speech.ulaw")
	if err != nil {
		t.Fatal(err)
	}
	dec := ulaw()
	pcm := make([]int16, 160)
	for _, gain := range []float64{0.5, 1, 2, 4} {
		k := audio.NewKeyDetector(8000)
		for at := 0; at+160 <= len(speech); at += 160 {
			dec.Decode(pcm, speech[at:at+160])
			for i, v := range pcm {
				pcm[i] = int16(max(math.MinInt16, min(math.MaxInt16, gain*float64(v))))
			}
			if key, long, ok := k.Push(pcm); ok {
				t.Errorf("gain %v: %q for %v at %v", gain, key, long, time.Duration(at)*time.Second/8000)
			}
		}
	}
	t.Logf("%.0f s of speech", float64(len(speech))/8000)
}

// Keys in the sound are told where telephone-event was not negotiated, each
// once, and nowhere else; telling one allocates no more than the event.
func TestKeysInBand(t *testing.T) {
	t.Parallel()
	for _, events := range []bool{false, true} {
		p := negotiated()
		if !events {
			p.EventPT = -1
		}
		r := newRig(t, p)
		v := &voice{src: peer, ssrc: 9}
		for _, key := range []byte("19#") {
			tone, _ := audio.DTMF(key, 80*time.Millisecond, 80*time.Millisecond)
			pcm, enc := tone.PCM(8000), ulaw()
			for ; len(pcm) >= 160; pcm = pcm[160:] {
				payload := make([]byte, 160)
				enc.Encode(payload, pcm[:160])
				r.from(v.src, header{seq: v.seq, ts: v.ts, ssrc: v.ssrc}, payload)
				v.seq, v.ts = v.seq+1, v.ts+160
				r.step()
			}
		}
		r.steps(20)
		got := ""
		for _, e := range r.events {
			if d, ok := e.(telephony.Digit); ok {
				got += string(d.Key)
				if d.Source != "inband" || d.Duration < 50*time.Millisecond || d.Duration > 110*time.Millisecond {
					t.Errorf("%+v", d)
				}
			}
		}
		if want := map[bool]string{false: "19#"}[events]; got != want {
			t.Errorf("telephone-events %v: heard %q, want %q", events, got, want)
		}
	}
}

// Keys as sound (T-14): their two frequencies, as long and as loud as asked,
// nothing of the Source meanwhile, and the Source behind them.
func TestSendTones(t *testing.T) {
	t.Parallel()
	p := negotiated()
	p.EventPT = -1
	r := newRig(t, p)
	r.Connect(nil, audio.Tone{Hz: [2]float64{300}, Level: -20}.Source(8000, 0))
	done := make(chan error, 1)
	go func() {
		done <- r.SendTones(t.Context(), "1#", telephony.Tone{Duration: 100 * time.Millisecond, Volume: 0.8})
	}()
	for r.digits.Load() == nil {
		<-time.After(time.Millisecond) // until they are there
	}
	r.steps(20)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	_, payloads, _ := r.sent()
	var heard []int16
	dec, pcm := ulaw(), make([]int16, 160)
	for _, b := range payloads {
		dec.Decode(pcm, b)
		heard = append(heard, pcm...)
	}
	for _, c := range []struct {
		name     string
		from, to int // ms
		hz       float64
		loud     bool
	}{
		{"697 of 1", 0, 100, 697, true},
		{"1209 of 1", 0, 100, 1209, true},
		{"the gap", 105, 145, 697, false},
		{"941 of #", 160, 260, 941, true},
		{"1477 of #", 160, 260, 1477, true},
		{"no speech meanwhile", 0, 260, 300, false},
		{"the speech behind", 340, 400, 300, true},
	} {
		level := 10 * math.Log10(2*audio.Power(heard[c.from*8:c.to*8], 8000, c.hz)+1e-9)
		if (level > -25) != c.loud || c.loud && c.hz > 300 && math.Abs(level+10) > 1 {
			t.Errorf("%s: %.1f dB", c.name, level)
		}
	}
	if got, _ := keysHeard(heard); got != "1#" {
		t.Errorf("heard %q", got)
	}
}

// keysHeard is what a detector makes of the sound.
func keysHeard(pcm []int16) (string, time.Duration) {
	k := audio.NewKeyDetector(8000)
	keys, last := "", time.Duration(0)
	for ; len(pcm) >= 160; pcm = pcm[160:] {
		if key, long, ok := k.Push(pcm[:160]); ok {
			keys, last = keys+string(key), long
		}
	}
	return keys, last
}
