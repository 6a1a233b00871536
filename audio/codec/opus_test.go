package codec

import (
	"bytes"
	"encoding/binary"
	"math"
	"os"
	"testing"

	"github.com/pion/opus"
)

// spoken are 50 packets of 20 ms that libopus 1.3.1 made of speech (16 kHz, 24
// kbit/s, complexity 10, copies for 20 % of loss), and what its decoder makes
// of them.
func spoken(t testing.TB) (packets [][]byte, heard []int16) {
	t.Helper()
	b, err := os.ReadFile("testdata/opus-speech.bin")
	if err != nil {
		t.Fatal(err)
	}
	for len(b) > 0 {
		n := int(binary.BigEndian.Uint16(b))
		packets, b = append(packets, b[2:][:n]), b[2+n:]
	}
	if b, err = os.ReadFile("testdata/opus-speech.s16le"); err != nil {
		t.Fatal(err)
	}
	for ; len(b) > 0; b = b[2:] {
		heard = append(heard, int16(binary.LittleEndian.Uint16(b)))
	}
	return packets, heard
}

func newOpusCodec(t testing.TB) Codec {
	t.Helper()
	c, err := New("opus")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestOpusDecodesAsLibopusDoes(t *testing.T) {
	t.Parallel()
	packets, want := spoken(t)
	c := newOpusCodec(t)
	var got []int16
	for i, p := range packets {
		dst := make([]int16, c.Spec().Samples(p))
		if n := c.Decode(dst, p); n != 320 || len(dst) != 320 {
			t.Fatalf("packet %d: %d samples of %d", i, n, len(dst))
		}
		got = append(got, dst...)
	}
	if db := snr(want, got); db < 50 {
		t.Errorf("%.1f dB beside libopus, want 50", db)
	}
}

// TestOpusIsUnderstoodByAnother decodes what we send with a decoder that
// nobody of ours or of the encoder's wrote.
func TestOpusIsUnderstoodByAnother(t *testing.T) {
	t.Parallel()
	enc, dec := newOpusCodec(t), newOpusCodec(t)
	other, err := opus.NewDecoderWithOutput(16000, 1)
	if err != nil {
		t.Fatal(err)
	}
	pcm := voice(16000, 32000)
	var ours, theirs []int16
	total := 0
	for at := 0; at < len(pcm); at += 320 {
		b := make([]byte, enc.Spec().Bytes(320))
		b = b[:enc.Encode(b, pcm[at:at+320])]
		if len(b) == 0 || enc.Spec().Samples(b) != 320 {
			t.Fatalf("frame %d: a packet % x of %d samples", at/320, b, enc.Spec().Samples(b))
		}
		total += len(b)
		mine, yours := make([]int16, 320), make([]int16, 320)
		if n := dec.Decode(mine, b); n != 320 {
			t.Fatalf("frame %d: %d samples", at/320, n)
		}
		if n, err := other.DecodeToInt16(b, yours); err != nil || n != 320 {
			t.Fatalf("frame %d: %d samples, %v", at/320, n, err)
		}
		ours, theirs = append(ours, mine...), append(theirs, yours...)
	}
	if rate := total * 8 / 2; rate < 12000 || rate > 30000 {
		t.Errorf("%d bit/s, want about %d", rate, opusBitrate)
	}
	if db := snr(theirs, ours); db < 30 {
		t.Errorf("the decoders differ: %.1f dB", db)
	}
	if lag, db := aligned(pcm, ours); db < 8 {
		t.Errorf("%.1f dB at %d samples of delay", db, lag)
	}
}

// aligned is the best SNR of got against want over delays of up to 20 ms.
func aligned(want, got []int16) (lag int, db float64) {
	db = math.Inf(-1)
	for d := range 320 {
		if s := snr(want[:len(want)-d], got[d:]); s > db {
			lag, db = d, s
		}
	}
	return lag, db
}

// TestOpusRecovers loses single packets: the copy in the next one sounds more
// like what was lost than what can be made up.
func TestOpusRecovers(t *testing.T) {
	t.Parallel()
	packets, want := spoken(t)
	share := func(copies bool) (db float64) {
		c := newOpusCodec(t)
		var lost, made []int16
		for i, p := range packets {
			dst := make([]int16, 320)
			if i%5 != 4 || i == len(packets)-1 {
				c.Decode(dst, p)
				continue
			}
			var next []byte
			if copies {
				next = packets[i+1]
			}
			if !c.(Recoverer).Recover(dst, next) { //nolint:errcheck // Opus is one
				t.Fatalf("frame %d was not made up", i)
			}
			lost, made = append(lost, want[i*320:][:320]...), append(made, dst...)
		}
		return snr(lost, made)
	}
	blind, copied := share(false), share(true)
	if copied < blind+3 {
		t.Errorf("with copies %.1f dB, without %.1f", copied, blind)
	}
	c, dst := newOpusCodec(t), make([]int16, 320)
	if c.(Recoverer).Recover(dst, nil) { //nolint:errcheck // Opus is one
		t.Error("something was made up before the first packet")
	}
	c.Decode(dst, packets[0])
	if c.(Recoverer).Recover(dst[:33], nil) { //nolint:errcheck // Opus is one
		t.Error("33 samples were made up")
	}
}

func TestOpusSamples(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		payload []byte
		want    int
	}{
		{"nothing", nil, 0},
		{"SILK 20 ms", []byte{9 << 3}, 320},
		{"SILK 60 ms, two", []byte{11<<3 | 1}, 1920},
		{"SILK 60 ms, three", []byte{11<<3 | 3, 3}, 0},
		{"hybrid 10 ms", []byte{14 << 3}, 160},
		{"CELT 2.5 ms", []byte{28 << 3}, 40},
		{"CELT 20 ms, stereo, six", []byte{31<<3 | 4 | 3, 6}, 1920},
		{"CELT 20 ms, seven", []byte{31<<3 | 3, 7}, 0},
		{"a count without frames", []byte{31<<3 | 3, 0}, 0},
		{"no count", []byte{31<<3 | 3}, 0},
	} {
		if got := opusSamples(16000, c.payload); got != c.want {
			t.Errorf("%s: %d samples, want %d", c.name, got, c.want)
		}
	}
}

// FuzzOpus gives a decoder that is at work what no encoder sends.
func FuzzOpus(f *testing.F) {
	packets, _ := spoken(f)
	for i, p := range packets[:8] {
		f.Add(p, packets[i+1])
	}
	for _, toc := range []byte{0, 3, 0x5F, 0x7F, 0x80, 0xFF} {
		f.Add([]byte{toc}, bytes.Repeat([]byte{toc}, 40))
	}
	spec, _ := Lookup("opus")
	f.Fuzz(func(t *testing.T, a, b []byte) {
		c := spec.New()
		dst := make([]int16, spec.MaxSamples())
		c.Decode(dst, packets[0])
		for _, p := range [][]byte{a, b, a} {
			want := spec.Samples(p)
			if want > len(dst) {
				t.Fatalf("% x: %d samples", p, want)
			}
			if n := c.Decode(dst, p); n != 0 && n != want {
				t.Fatalf("% x: %d samples, %d in its header", p, n, want)
			}
			c.(Recoverer).Recover(dst[:320], b) //nolint:errcheck // whether it can is its own business
		}
		if n := c.Decode(dst, packets[1]); n != 320 {
			t.Fatalf("%d samples of a good packet after % x, % x", n, a, b)
		}
	})
}
