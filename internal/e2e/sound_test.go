//go:build e2e

package e2e

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"testing"
	"time"
)

// sine is d of a tone at a quarter of full scale.
func sine(freq float64, rate int, d time.Duration) []int16 {
	pcm := make([]int16, int(d.Seconds()*float64(rate)))
	for i := range pcm {
		pcm[i] = int16(8000 * math.Sin(2*math.Pi*freq*float64(i)/float64(rate)))
	}
	return pcm
}

// share is the part of the energy of pcm that lies at freq, 0 to 1 (Goertzel).
func share(pcm []int16, rate int, freq float64) float64 {
	if len(pcm) == 0 {
		return 0
	}
	w := 2 * math.Pi * freq / float64(rate)
	coeff := 2 * math.Cos(w)
	var s1, s2, energy float64
	for _, v := range pcm {
		s := float64(v) + coeff*s1 - s2
		s2, s1 = s1, s
		energy += float64(v) * float64(v)
	}
	if energy == 0 {
		return 0
	}
	power := s1*s1 + s2*s2 - coeff*s1*s2
	return min(1, 2*power/(energy*float64(len(pcm))))
}

func rms(pcm []int16) float64 {
	var sum float64
	for _, v := range pcm {
		sum += float64(v) * float64(v)
	}
	return math.Sqrt(sum / float64(max(1, len(pcm))))
}

// heard is what a tone looks like in a recording.
type heard struct {
	tone  time.Duration // 100 ms windows that hold little but the tone
	other float64       // the unwanted tone's greatest share in such a window
	gaps  int           // 20 ms windows without sound between the first and the last
}

// listen looks for one tone, and for another that must not be there.
func listen(pcm []int16, rate int, want, unwanted float64) heard {
	const silent = 50 // RMS
	var h heard
	window := rate / 10
	first, last := -1, -1
	for at := 0; at+window <= len(pcm); at += window {
		w := pcm[at : at+window]
		if rms(w) > silent && share(w, rate, want) > 0.85 {
			h.tone += 100 * time.Millisecond
			h.other = max(h.other, share(w, rate, unwanted))
			if first < 0 {
				first = at
			}
			last = at + window
		}
	}
	for at := max(first, 0); at+rate/50 <= last; at += rate / 50 {
		if rms(pcm[at:at+rate/50]) < silent {
			h.gaps++
		}
	}
	return h
}

// wantTone fails unless pcm holds the tone for at least that long, nothing of
// the other, and at most one gap of 20 ms per second.
func wantTone(t *testing.T, who string, pcm []int16, rate int, want, unwanted float64, least time.Duration) {
	t.Helper()
	h := listen(pcm, rate, want, unwanted)
	allowed := 1 + int(h.tone.Seconds())
	if h.tone < least || h.other > 0.01 || h.gaps > allowed {
		t.Errorf("%s heard %.0f Hz for %v of %.1f s, want %v; %.2f %% of %.0f Hz in it; %d gaps of 20 ms, at most %d",
			who, want, h.tone, float64(len(pcm))/float64(rate), least, 100*h.other, unwanted, h.gaps, allowed)
		return
	}
	t.Logf("%s heard %.0f Hz for %v of %.1f s, %d gaps", who, want, h.tone, float64(len(pcm))/float64(rate), h.gaps)
}

// writeWAV writes 16-bit sound, of more channels where there are more.
func writeWAV(t *testing.T, path string, pcm []int16, rate int, more ...[]int16) {
	t.Helper()
	b := []byte("RIFF\x00\x00\x00\x00WAVEfmt ")
	le := binary.LittleEndian
	b = le.AppendUint32(b, 16)
	b = le.AppendUint16(b, 1) // PCM
	channels := uint16(1 + len(more))
	b = le.AppendUint16(b, channels)
	b = le.AppendUint32(b, uint32(rate))
	b = le.AppendUint32(b, uint32(2*rate)*uint32(channels))
	b = le.AppendUint16(b, 2*channels)
	b = le.AppendUint16(b, 16)
	b = append(b, "data"...)
	b = le.AppendUint32(b, uint32(2*len(pcm))*uint32(channels))
	for i, v := range pcm {
		b = le.AppendUint16(b, uint16(v))
		for _, c := range more {
			b = le.AppendUint16(b, uint16(c[i]))
		}
	}
	le.PutUint32(b[4:], uint32(len(b)-8))
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// readWAV reads 16-bit sound, channel by channel. A data chunk that ends with
// the file is taken whole, whatever its header says: recorders that are
// stopped do not always come back to write it.
func readWAV(path string) (channels [][]int16, rate int, err error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, 0, err
	}
	le := binary.LittleEndian
	if len(b) < 12 || string(b[:4]) != "RIFF" || string(b[8:12]) != "WAVE" {
		return nil, 0, fmt.Errorf("%s: no WAV file", path)
	}
	n := 0
	for at := 12; at+8 <= len(b); {
		id, size := string(b[at:at+4]), int(le.Uint32(b[at+4:]))
		body := b[at+8:]
		if id == "data" && (size == 0 || size > len(body)) {
			size = len(body)
		}
		body = body[:min(size, len(body))]
		switch {
		case id == "fmt " && len(body) >= 16:
			n, rate = int(le.Uint16(body[2:])), int(le.Uint32(body[4:]))
			if bits := le.Uint16(body[14:]); bits != 16 || n == 0 {
				return nil, 0, fmt.Errorf("%s: %d channels of %d bits, want 16 bits", path, n, bits)
			}
		case id == "data" && n > 0:
			channels = make([][]int16, n)
			for i := 0; i+2*n <= len(body); i += 2 * n {
				for c := range n {
					channels[c] = append(channels[c], int16(le.Uint16(body[i+2*c:])))
				}
			}
		}
		at += 8 + size + size%2
	}
	if channels == nil {
		return nil, 0, fmt.Errorf("%s: no sound in it", path)
	}
	return channels, rate, nil
}

func TestListenFindsTheTone(t *testing.T) {
	t.Parallel()
	pcm := append(make([]int16, 4000), sine(440, 8000, 2*time.Second)...)
	if h := listen(pcm, 8000, 440, 1000); h.tone < 1900*time.Millisecond || h.other > 0.001 || h.gaps != 0 {
		t.Errorf("a clean tone: %+v", h)
	}
	if h := listen(pcm, 8000, 1000, 440); h.tone != 0 {
		t.Errorf("a tone that is not there: %+v", h)
	}
	mixed := sine(440, 8000, time.Second)
	for i, v := range sine(1000, 8000, time.Second) {
		mixed[i] += v / 4
	}
	if h := listen(mixed, 8000, 440, 1000); h.other < 0.03 {
		t.Errorf("a quarter of another tone is not seen: %+v", h)
	}
	copy(pcm[10080:], make([]int16, 320))
	if h := listen(pcm, 8000, 440, 1000); h.gaps != 2 {
		t.Errorf("40 ms cut out: %+v", h)
	}
	path := t.TempDir() + "/a.wav"
	writeWAV(t, path, pcm, 8000)
	channels, rate, err := readWAV(path)
	if err != nil || rate != 8000 || len(channels) != 1 || len(channels[0]) != len(pcm) || channels[0][5001] != pcm[5001] {
		t.Errorf("what was written is not what was read: %d Hz, %d channels, %v", rate, len(channels), err)
	}
}
