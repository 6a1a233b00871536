package vad

import (
	"math"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/patchcord/patchcord/audio"
)

const (
	rate  = 8000
	frame = 160
	ms    = time.Millisecond
)

// line pushes sound into a detector, frame by frame, and keeps what it tells.
type line struct {
	d     *Detector
	at    time.Duration
	edges []Edge
	told  []time.Duration // when each edge was told: the end of the frame
}

func (l *line) push(pcm []int16, lost bool) {
	for ; len(pcm) >= frame; pcm = pcm[frame:] {
		e, ok := l.d.Push(audio.Frame{PCM: pcm[:frame], Rate: rate, At: l.at, Lost: lost})
		l.at += audio.FrameTime
		if ok {
			l.edges, l.told = append(l.edges, e), append(l.told, l.at)
		}
	}
}

func listen(pcm []int16) *line {
	l := &line{d: New()}
	l.push(pcm, false)
	return l
}

func silence(d time.Duration) []int16 { return make([]int16, audio.Samples(d, rate)) }

// tone is a burst of a loudness in dB of full scale.
func tone(d time.Duration, db float64) []int16 {
	pcm := silence(d)
	a := math.Sqrt2 * 32768 * math.Pow(10, db/20)
	for i := range pcm {
		pcm[i] = int16(a * math.Sin(2*math.Pi*300*float64(i)/rate))
	}
	return pcm
}

// white is noise of a loudness; pink falls by 3 dB an octave above 300 Hz, as
// on a telephone.
func white(d time.Duration, db float64, seed uint64) []int16 {
	r := rand.New(rand.NewPCG(seed, 1))
	pcm := silence(d)
	a := 32768 * math.Pow(10, db/20)
	for i := range pcm {
		pcm[i] = clip(a * r.NormFloat64())
	}
	return pcm
}

func pink(d time.Duration, db float64, seed uint64) []int16 {
	r := rand.New(rand.NewPCG(seed, 2))
	pcm := silence(d)
	raw := make([]float64, len(pcm))
	var b0, b1, b2, low, lower, sum float64
	for i := range raw { // Paul Kellet's economy filter, then two high passes
		w := r.NormFloat64()
		b0, b1, b2 = 0.99765*b0+w*0.0990460, 0.96300*b1+w*0.2965164, 0.57000*b2+w*1.0526913
		v := b0 + b1 + b2 + w*0.1848
		for _, p := range []*float64{&low, &lower} {
			*p += 0.21 * (v - *p)
			v -= *p
		}
		raw[i] = v
		sum += v * v
	}
	a := 32768 * math.Pow(10, db/20) / math.Sqrt(sum/float64(len(raw)))
	for i := range pcm {
		pcm[i] = clip(a * raw[i])
	}
	return pcm
}

func clip(v float64) int16 { return int16(min(max(v, math.MinInt16), math.MaxInt16)) }

func join(parts ...[]int16) (pcm []int16) {
	for _, p := range parts {
		pcm = append(pcm, p...)
	}
	return pcm
}

func add(a, b []int16) []int16 {
	sum := append([]int16(nil), a...)
	audio.Mix(sum, b)
	return sum
}

// speech is testdata/speech.ulaw: "What is the status of my order?", "Yes.",
// "No, wait. Four two seven one.", "Goodbye." by the flite voices rms and slt,
// 300 to 3400 Hz.
func speech(t testing.TB) []int16 {
	t.Helper()
	b, err := os.ReadFile("testdata/speech.ulaw")
	if err != nil {
		t.Fatal(err)
	}
	pcm := make([]int16, len(b))
	for i, c := range b {
		c = ^c
		v := (int(c&15)<<1+33)<<(c>>4&7) - 33
		if c&0x80 != 0 {
			v = -v
		}
		pcm[i] = int16(v << 2)
	}
	return pcm[:len(pcm)/frame*frame]
}

// segments are the stretches of frames louder than -50 dB, gaps of 240 ms
// filled: what there is to be found in clean speech.
func segments(pcm []int16) (segs [][2]time.Duration) {
	for i := 0; i+frame <= len(pcm); i += frame {
		if audio.DB(audio.RMS(pcm[i:i+frame])) < -50 {
			continue
		}
		at := audio.Duration(i, rate)
		if n := len(segs); n > 0 && at-segs[n-1][1] <= 260*ms {
			segs[n-1][1] = at
		} else {
			segs = append(segs, [2]time.Duration{at, at})
		}
	}
	return segs
}

func TestCleanVoiceIsDatedExactly(t *testing.T) {
	t.Parallel()
	l := listen(join(silence(time.Second), tone(500*ms, -20), silence(time.Second)))
	if len(l.edges) != 2 {
		t.Fatalf("edges %v", l.edges)
	}
	start, end := l.edges[0], l.edges[1]
	if start.Kind != Start || start.At != time.Second || end.Kind != End || end.At != 1480*ms {
		t.Errorf("edges %v", l.edges)
	}
	if got := l.told[0] - start.At; got > 120*ms {
		t.Errorf("the start is told after %v", got)
	}
	if got := l.told[1] - 1500*ms; got != hangClean {
		t.Errorf("the end is told after %v, want %v", got, hangClean)
	}
	if end.SNR < 40 {
		t.Errorf("SNR %.0f dB", end.SNR)
	}
}

// conv:B1: a burst under 96 ms is no event, wherever in a frame it begins and
// however loud it is.
func TestShortBurstIsNoVoice(t *testing.T) {
	t.Parallel()
	for lead := range 160 {
		pcm := join(silence(time.Second), make([]int16, lead), tone(95900*time.Microsecond, -6), silence(500*ms))
		if l := listen(pcm); len(l.edges) != 0 {
			t.Fatalf("%d samples into a frame: %v", lead, l.edges)
		}
	}
}

// conv:B2: of a burst up to 200 ms no more than that counts as voice, however
// long the hang after it lasts, so it does not pause a reply.
func TestBurstIsNotStretchedByTheHang(t *testing.T) {
	t.Parallel()
	for _, d := range []time.Duration{100 * ms, 140 * ms, 190 * ms} {
		for lead := range 160 {
			l := &line{d: New()}
			pcm := join(silence(time.Second), make([]int16, lead), tone(d, -12), silence(500*ms))
			for ; len(pcm) >= frame; pcm = pcm[frame:] {
				l.push(pcm[:frame], false)
				if v := l.d.Voiced(); v >= 200*ms {
					t.Fatalf("a burst of %v, %d samples into a frame: voiced for %v", d, lead, v)
				}
			}
			if l.d.Speaking() {
				t.Fatalf("a burst of %v never ends", d)
			}
		}
	}
}

// Speech that lasts 200 ms is known to do so within a frame or two.
func TestVoicedIsInTime(t *testing.T) {
	t.Parallel()
	for lead := range 160 {
		l := &line{d: New()}
		pcm := join(silence(time.Second), make([]int16, lead), tone(600*ms, -20))
		from := time.Second + audio.Duration(lead, rate)
		for l.d.Voiced() < 200*ms {
			l.push(pcm[:frame], false)
			pcm = pcm[frame:]
		}
		if got := l.at - from; got > 225*ms {
			t.Fatalf("%d samples into a frame: 200 ms of voice are known after %v", lead, got)
		}
	}
}

func TestHangGrowsWithNoise(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		snr  float64
		hang time.Duration
	}{{25, 200 * ms}, {17, 200 * ms}, {13, 300 * ms}, {11, 300 * ms}, {8, 450 * ms}} {
		l := listen(white(2*time.Second, -60, 6)) // a line that begins noisy is taken for a voice at first
		l.push(white(4*time.Second, -20-c.snr, 7), false)
		for ; l.d.Speaking(); l.push(white(20*ms, -20-c.snr, 7), false) {
		}
		l.edges, l.told = nil, nil
		voice := join(tone(800*ms, -20), silence(time.Second))
		l.push(add(voice, white(1800*ms, -20-c.snr, 8)), false)
		if len(l.edges) != 2 {
			t.Errorf("%.0f dB: %v", c.snr, l.edges)
			continue
		}
		if got := l.told[1] - l.edges[1].At - audio.FrameTime; got.Round(50*ms) != c.hang { // 450 ms end within a frame
			t.Errorf("%.0f dB: hang %v, want %v", c.snr, got, c.hang)
		}
		if got := l.edges[1].SNR; math.Abs(got-c.snr) > 1.5 {
			t.Errorf("%.0f dB: measured as %.1f", c.snr, got)
		}
	}
}

// Real speech: every segment is found, in noise down to 10 dB, and nothing
// else is.
func TestFindsSpeech(t *testing.T) {
	t.Parallel()
	clean := speech(t)
	all := join(clean, clean, clean, clean, clean, clean) // some 45 s
	segs := segments(all)
	length := audio.Duration(len(all), rate)
	level := -23.0 // of the speech, where it is
	for _, c := range []struct {
		name  string
		noise []int16
		late  time.Duration // the worst start
	}{
		{"clean", nil, 60 * ms},
		{"white 20 dB", white(length, level-20, 1), 140 * ms},
		{"white 10 dB", white(length, level-10, 2), 240 * ms},
		{"pink 20 dB", pink(length, level-20, 3), 140 * ms},
		{"pink 10 dB", pink(length, level-10, 4), 240 * ms},
	} {
		l := listen(add(all, c.noise))
		found, falseStarts, worst := 0, 0, time.Duration(0)
		hit := make([]bool, len(segs))
		for i, e := range l.edges {
			if e.Kind != Start {
				continue
			}
			end := l.at
			if i+1 < len(l.edges) {
				end = l.edges[i+1].At
			}
			right := false
			for k, s := range segs {
				if e.At > s[1]+40*ms || end < s[0]-40*ms {
					continue
				}
				right = true
				if !hit[k] {
					hit[k] = true
					found++
					worst = max(worst, e.At-s[0])
				}
			}
			if !right {
				falseStarts++
			}
		}
		t.Logf("%s: %d of %d segments, %d false starts, worst start %v late, %d edges",
			c.name, found, len(segs), falseStarts, worst, len(l.edges))
		if found != len(segs) || falseStarts != 0 || worst > c.late {
			t.Errorf("%s: %d of %d segments, %d false starts, worst start %v late", c.name, found, len(segs), falseStarts, worst)
		}
	}
}

func TestNoiseIsNoVoice(t *testing.T) {
	t.Parallel()
	for _, db := range []float64{-70, -50, -40, -30, -20} {
		for name, pcm := range map[string][]int16{
			"white": white(20*time.Second, db, 5), "pink": pink(20*time.Second, db, 6),
			"after silence": join(silence(4*time.Second), white(20*time.Second, min(db, -57), 8)),
		} {
			l := listen(pcm)
			// A line louder than the floor allowed at the start may be taken for a voice once.
			allowed := 0
			if db > -36 && name != "after silence" {
				allowed = 2
			}
			if len(l.edges) > allowed || l.d.Speaking() {
				t.Errorf("%s at %.0f dB: %v", name, db, l.edges)
			}
		}
	}
}

func TestCallThatBeginsWithAVoice(t *testing.T) {
	t.Parallel()
	l := listen(join(tone(600*ms, -20), silence(time.Second)))
	if len(l.edges) != 2 || l.edges[0].At != 0 {
		t.Errorf("edges %v", l.edges)
	}
}

// conv:B8: when nothing arrives for 200 ms the voice is over, in any noise, and
// what is made up for it begins none.
func TestLossEndsAVoiceAndBeginsNone(t *testing.T) {
	t.Parallel()
	l := &line{d: New()}
	l.push(white(3*time.Second, -36, 9), false)
	l.push(add(tone(600*ms, -28), white(600*ms, -36, 10)), false)
	if !l.d.Speaking() {
		t.Fatal("not heard")
	}
	l.push(tone(200*ms, -20), true)
	if l.d.Speaking() || l.d.Lost() != 200*ms {
		t.Fatalf("speaking %v, lost %v", l.d.Speaking(), l.d.Lost())
	}
	if e := l.edges[1]; e.At != 3580*ms || l.told[1] != 3800*ms {
		t.Fatalf("edge %+v, told at %v", e, l.told[1])
	}
	l.push(tone(time.Second, -20), true)
	if len(l.edges) != 2 {
		t.Fatalf("edges %v", l.edges)
	}
}

func TestFigures(t *testing.T) {
	t.Parallel()
	l := listen(join(white(3*time.Second, -50, 1), tone(300*ms, -20)))
	if got := l.d.Level(); math.Abs(got+20) > 0.2 {
		t.Errorf("level %.1f", got)
	}
	if got := l.d.Floor(); math.Abs(got+50) > 1.5 {
		t.Errorf("floor %.1f", got)
	}
	if l.d.Quiet() != 0 {
		t.Errorf("quiet for %v", l.d.Quiet())
	}
	l.push(silence(100*ms), false)
	if l.d.Quiet() != 100*ms {
		t.Errorf("quiet for %v", l.d.Quiet())
	}
	var d Detector
	if _, ok := d.Push(audio.Frame{}); ok || d.Lost() != audio.FrameTime {
		t.Error("a frame without samples is not lost")
	}
}

// The histogram gives what sorting the window would.
func TestFloorIsThePercentile(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 1))
	var f floor
	var all []int
	for range 5000 {
		p := math.Pow(10, 9*r.Float64()*r.Float64())
		f.add(p)
		all = append(all, int(binsPerBel*math.Log10(p)))
		last := append([]int(nil), all[max(0, len(all)-window):]...)
		lower := 0
		for _, b := range last {
			if b < f.bin {
				lower++
			}
		}
		upTo := lower
		for _, b := range last {
			if b == f.bin {
				upTo++
			}
		}
		if rank := len(last) * percentile / 100; lower > rank || upTo <= rank {
			t.Fatalf("%d of %d frames lie under bin %d, %d up to it", lower, len(last), f.bin, upTo)
		}
	}
}

func BenchmarkPush(b *testing.B) {
	for _, c := range []struct {
		name string
		n    int
	}{{"8kHz", 160}, {"16kHz", 320}} {
		b.Run(c.name, func(b *testing.B) {
			pcm := join(speech(b), white(time.Second, -40, 1))
			d := New()
			b.ReportAllocs()
			for i := 0; b.Loop(); i = (i + c.n) % (len(pcm) - c.n) {
				d.Push(audio.Frame{PCM: pcm[i : i+c.n], Rate: c.n * 50})
			}
		})
	}
}

// INV14: the word of a recogniser ends a voice once nothing was loud for
// 100 ms, and no sooner; what is loud after it is another voice.
func TestSettleEndsTheHang_INV14(t *testing.T) {
	t.Parallel()
	l := listen(join(silence(time.Second), tone(500*ms, -20)))
	settle := func(ended, pending bool) {
		t.Helper()
		e, gotEnded, gotPending := l.d.Settle()
		if gotEnded != ended || gotPending != pending {
			t.Errorf("after %v: ended %v, pending %v", l.d.Quiet(), gotEnded, gotPending)
		}
		if ended && (e.Kind != End || e.At != 1480*ms) {
			t.Errorf("%+v", e)
		}
	}
	settle(false, false) // it is loud: the recogniser is wrong, or late
	l.push(silence(80*ms), false)
	settle(false, true)
	l.push(silence(20*ms), false)
	settle(true, false)
	settle(false, false)
	l.push(join(silence(20*ms), tone(300*ms, -20)), false)
	if n := len(l.edges); n != 2 || l.edges[1].Kind != Start || l.edges[1].At != 1620*ms {
		t.Errorf("%+v", l.edges)
	}
}

// music is a classifier that takes everything for music while it is told to.
type music bool

func (m *music) Voice(audio.Frame) float64 {
	if *m {
		return 0.1
	}
	return 0.9
}

func TestClassifierIsAskedWhatIsLoud(t *testing.T) {
	t.Parallel()
	m := music(true)
	l := &line{d: Behind(&m)}
	l.push(join(silence(time.Second), tone(time.Second, -20)), false)
	if len(l.edges) != 0 {
		t.Errorf("music is a voice: %+v", l.edges)
	}
	m = false
	l.push(tone(500*ms, -20), false)
	m = true
	l.push(tone(500*ms, -20), false)
	if len(l.edges) != 2 || l.edges[0].Kind != Start || l.edges[1].Kind != End || l.edges[1].At != 2480*ms {
		t.Errorf("%+v", l.edges)
	}
}
