package codec

import (
	"bytes"
	"flag"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/patchcord/patchcord/audio"
)

var update = flag.Bool("update", false, "write the golden files anew")

// voice is a vowel: a 125 Hz pulse train through two formants, swelling.
func voice(rate, n int) []int16 {
	pcm := make([]int16, n)
	for i := range pcm {
		t := float64(i) / float64(rate)
		v := 0.0
		for k := 1; k <= 24; k++ {
			f := 125 * float64(k)
			a := 1/(1+math.Pow((f-600)/200, 2)) + 0.5/(1+math.Pow((f-1700)/300, 2))
			v += a * math.Sin(2*math.Pi*f*t+float64(k*k))
		}
		pcm[i] = int16(4000 * v * (0.6 + 0.4*math.Sin(2*math.Pi*3*t)))
	}
	return pcm
}

// snr of got against want, in dB.
func snr(want, got []int16) float64 {
	var signal, noise float64
	for i := range want {
		d := float64(want[i]) - float64(got[i])
		signal += float64(want[i]) * float64(want[i])
		noise += d * d
	}
	return 10 * math.Log10(signal/max(noise, 1e-9))
}

func TestTable(t *testing.T) {
	t.Parallel()
	for _, s := range All() {
		c, err := New(s.Name)
		if err != nil || c.Spec().Name != s.Name {
			t.Fatalf("New(%q) = %v, %v", s.Name, c, err)
		}
		if s.Name == "opus" {
			continue // see opus_test.go
		}
		if got, ok := ByPayloadType(s.PayloadType); !ok || got.Name != s.Name {
			t.Fatalf("payload type %d is %q", s.PayloadType, got.Name)
		}
		n, b := s.Rate/50, make([]byte, 160)
		if s.Bytes(n) != 160 || s.Samples(b) != n || s.Ticks(n) != 160 {
			t.Fatalf("%s: 20 ms are %d bytes, %d samples, %d ticks", s.Name, s.Bytes(n), s.Samples(b), s.Ticks(n))
		}
	}
	if s, ok := Lookup("pcma"); !ok || s.PayloadType != 8 {
		t.Fatal("names are not matched in small letters")
	}
	if _, err := New("G729"); err == nil {
		t.Fatal("G729 was made")
	}
}

// The encoders of ITU-T G.191 (alaw_compress, ulaw_compress), written out.
func referenceMuLaw(lin int) byte {
	abs := lin >> 2
	if lin < 0 {
		abs = ^lin >> 2
	}
	abs = min(abs+33, 0x1FFF)
	seg := 1
	for i := abs >> 6; i != 0; i >>= 1 {
		seg++
	}
	code := byte(8-seg)<<4 | byte(0xF-abs>>seg&0xF)
	if lin >= 0 {
		code |= 0x80
	}
	return code
}

func referenceALaw(lin int) byte {
	ix := lin >> 4
	if lin < 0 {
		ix = ^lin >> 4
	}
	if ix > 15 {
		exp := 1
		for ix > 31 {
			ix >>= 1
			exp++
		}
		ix += exp<<4 - 16
	}
	if lin >= 0 {
		ix |= 0x80
	}
	return byte(ix) ^ 0x55
}

func TestG711IsBitExact(t *testing.T) {
	t.Parallel()
	var b [1]byte
	for v := math.MinInt16; v <= math.MaxInt16; v++ {
		pcm := []int16{int16(v)}
		if EncodeMuLaw(b[:], pcm); b[0] != referenceMuLaw(v) {
			t.Fatalf("µ-law of %d is %#x, want %#x", v, b[0], referenceMuLaw(v))
		}
		if EncodeALaw(b[:], pcm); b[0] != referenceALaw(v) {
			t.Fatalf("A-law of %d is %#x, want %#x", v, b[0], referenceALaw(v))
		}
	}
	// Decoder output values: ITU-T G.711 tables 2a and 1a, scaled to 16 bits.
	for code, want := range map[byte]int16{0x00: -32124, 0x80: 32124, 0xFF: 0, 0x7F: 0, 0xEF: 132, 0x8F: 16764} {
		if muLawDecode[code] != want {
			t.Errorf("µ-law %#x is %d, want %d", code, muLawDecode[code], want)
		}
	}
	for code, want := range map[byte]int16{0xD5: 8, 0x55: -8, 0xAA: 32256, 0x2A: -32256, 0xC5: 264} {
		if aLawDecode[code] != want {
			t.Errorf("A-law %#x is %d, want %d", code, aLawDecode[code], want)
		}
	}
}

func TestG711PassesThrough(t *testing.T) {
	t.Parallel()
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	for _, name := range []string{"PCMU", "PCMA"} {
		c, err := New(name)
		if err != nil {
			t.Fatal(err)
		}
		pcm, again := make([]int16, 256), make([]byte, 256)
		c.Decode(pcm, all)
		c.Encode(again, pcm)
		want := bytes.Clone(all)
		if name == "PCMU" {
			want[0x7F] = 0xFF // the second zero
		}
		if !bytes.Equal(again, want) {
			t.Fatalf("%s: % x became % x", name, all, again)
		}
	}
}

// golden compares with a committed file.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("%s: %d bytes differ from the %d committed ones", name, len(got), len(want))
	}
}

func TestGolden(t *testing.T) {
	t.Parallel()
	for _, s := range All() {
		if s.Name == "opus" {
			continue // its bytes depend on the processor's arithmetic: see TestOpusSpeech
		}
		enc, dec := s.New(), s.New()
		pcm := voice(s.Rate, s.Rate*2/5)
		n := s.Rate / 50
		var payload []byte
		var heard []int16
		for at := 0; at < len(pcm); at += n { // frame by frame: the state must carry over
			b, out := make([]byte, s.Bytes(n)), make([]int16, n)
			if got := enc.Encode(b, pcm[at:at+n]); got != len(b) {
				t.Fatalf("%s: %d bytes, want %d", s.Name, got, len(b))
			}
			if got := dec.Decode(out, b); got != n {
				t.Fatalf("%s: %d samples, want %d", s.Name, got, n)
			}
			payload, heard = append(payload, b...), append(heard, out...)
		}
		golden(t, s.Name+".bin", payload)
		delay := 0
		if s.Name == "G722" {
			delay = 22 // of its two filters, in samples
		}
		if got := snr(pcm[:len(pcm)-delay], heard[delay:]); got < 20 {
			t.Errorf("%s: %.1f dB", s.Name, got)
		}
	}
}

func TestCodecsTakeWhatFits(t *testing.T) {
	t.Parallel()
	for _, s := range All() {
		if s.Name == "opus" {
			continue // it knows whole frames only
		}
		c := s.New()
		if n := c.Encode(make([]byte, 3), make([]int16, 400)); n != 3 {
			t.Errorf("%s: coded %d bytes into 3", s.Name, n)
		}
		if n := s.New().Decode(make([]int16, 6), make([]byte, 400)); n != 6 {
			t.Errorf("%s: decoded %d samples into 6", s.Name, n)
		}
		if n := s.New().Decode(nil, nil) + c.Encode(nil, nil); n != 0 {
			t.Errorf("%s: made %d of nothing", s.Name, n)
		}
	}
}

func TestBytes(t *testing.T) {
	t.Parallel()
	pcm := []int16{0, 1000, -1000, 32767}
	for _, e := range []audio.Encoding{audio.MuLaw, audio.ALaw, audio.PCM16} {
		b, err := AppendBytes([]byte("x"), e, pcm)
		if err != nil {
			t.Fatal(err)
		}
		got, err := AppendSamples(nil, e, b[1:])
		if err != nil || len(got) != len(pcm) || snr(pcm, got) < 30 {
			t.Fatalf("%s: %v became %v, %v", e, pcm, got, err)
		}
	}
	if got, _ := AppendSamples(nil, audio.PCM16, []byte{1, 0, 7}); len(got) != 1 {
		t.Fatalf("an odd byte made %v", got)
	}
	if _, err := AppendBytes(nil, "opus", pcm); err == nil {
		t.Fatal("opus was coded")
	}
	if _, err := AppendSamples(nil, "opus", nil); err == nil {
		t.Fatal("opus was decoded")
	}
}

func TestNoAllocations(t *testing.T) {
	for _, s := range All() {
		enc, dec := s.New(), s.New()
		pcm, b := voice(s.Rate, s.Rate/50), make([]byte, s.Bytes(s.Rate/50))
		dec.Decode(make([]int16, len(pcm)), b[:enc.Encode(b, pcm)])
		if n := testing.AllocsPerRun(100, func() { dec.Decode(pcm, b[:enc.Encode(b, pcm)]) }); n != 0 {
			t.Errorf("%s: %v allocations a frame", s.Name, n)
		}
	}
	c, pcm := NewConcealer(8000), voice(8000, 160)
	if n := testing.AllocsPerRun(100, func() { c.Good(pcm); c.Conceal(pcm) }); n != 0 {
		t.Errorf("concealer: %v allocations a frame", n)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0x80, 0x00, 0xFF, 0x7F, 0xD5})
	f.Add(bytes.Repeat([]byte{0xFA}, 160))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, s := range All() {
			dst := make([]int16, s.Samples(b))
			if n := s.New().Decode(dst, b); n != len(dst) && s.Name != "opus" {
				t.Fatalf("%s: %d of %d samples", s.Name, n, len(dst))
			}
		}
		var n Noise
		n.Set(b)
		n.Fill(make([]int16, 16))
	})
}

func BenchmarkCodec(b *testing.B) {
	for _, s := range All() {
		const frames = 50 // a second: what differs from frame to frame counts as well
		pcm := voice(s.Rate, s.Rate)
		n := s.Rate / frames
		c, payloads := s.New(), make([][]byte, frames)
		for i := range payloads {
			payloads[i] = make([]byte, s.Bytes(n))
			payloads[i] = payloads[i][:c.Encode(payloads[i], pcm[i*n:][:n])]
		}
		each := func(name string, f func(frame int)) {
			b.Run(s.Name+"/"+name, func(b *testing.B) {
				b.ReportAllocs()
				i := 0
				for ; b.Loop(); i++ {
					f(i % frames)
				}
				b.ReportMetric(frames*b.Elapsed().Seconds()*1000/float64(i), "core-ms/call-s")
			})
		}
		room, heard := make([]byte, s.Bytes(n)), make([]int16, n)
		each("encode", func(i int) { c.Encode(room, pcm[i*n:][:n]) })
		each("decode", func(i int) { c.Decode(heard, payloads[i]) })
	}
}
