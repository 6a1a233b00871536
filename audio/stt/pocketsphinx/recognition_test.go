package pocketsphinx

import (
	"bufio"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/audio/codec"
	"github.com/patchcord/patchcord/audio/stt"
	"github.com/patchcord/patchcord/internal/localspeech/localspeechtest"
)

// TestRecognition speaks every third of the held-out sentences of
// testdata/heard.txt; all of them, and those that tuned the verdict, take a
// minute or two and are BenchmarkRecognition:
//
//	go test -v -run none -bench Recognition ./audio/stt/pocketsphinx
func TestRecognition(t *testing.T) {
	rows, helper := sentences(t)
	var held []row
	for _, r := range rows {
		if demanded := r.worst >= 0 || r.least >= 0; demanded && !r.tuned {
			r.list = third(r.list)
			held = append(held, r)
		}
	}
	recognise(t, helper, held)
}

// BenchmarkRecognition is the whole table, each row held to its limit on each
// path.
func BenchmarkRecognition(b *testing.B) {
	rows, helper := sentences(b)
	for b.Loop() {
		recognise(b, helper, rows)
	}
}

func third(list []string) (out []string) {
	for i := 0; i < len(list); i += 3 {
		out = append(out, list[i])
	}
	return out
}

// sentences are the rows of testdata/heard.txt, and the helper that speaks them.
func sentences(t testing.TB) ([]row, *Helper) {
	caller, helper := start(t, "shop.phrases")
	agent, err := New(Config{Phrases: "agent.phrases", Dir: "testdata"}, helper, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = agent.Close() })
	speller, err := New(Config{Phrases: "spelled.phrases", Dir: "testdata"}, helper, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = speller.Close() })
	lines := readHeard(t)
	halves := func(l []string) (tuned, held []string) {
		for i, s := range l {
			if i%2 == 0 {
				tuned = append(tuned, s)
			} else {
				held = append(held, s)
			}
		}
		return tuned, held
	}
	callerTuned, callerHeld := halves(lines["caller"])
	strangerTuned, strangerHeld := halves(lines["stranger"])
	_, halfway := halves(lines["halfway"])
	return []row{
		{caller, "rms", "caller, tuned", true, callerTuned, 12, -1},
		{caller, "rms", "caller, held out", false, callerHeld, 12, -1},
		{caller, "slt", "caller, tuned", true, callerTuned, 30, -1},
		{caller, "slt", "caller, held out", false, callerHeld, 30, -1},
		{agent, "slt", "agent", false, lines["agent"], 20, -1},
		{speller, "rms", "spelled", false, lines["spelled"], 12, -1},
		{speller, "slt", "spelled", false, lines["spelled"], 30, -1},
		{caller, "rms", "out of vocabulary, tuned", true, strangerTuned, -1, 0.8},
		{caller, "rms", "out of vocabulary, held", false, strangerHeld, -1, 0.8},
		{caller, "slt", "out of vocabulary, tuned", true, strangerTuned, -1, 0.8},
		{caller, "slt", "out of vocabulary, held", false, strangerHeld, -1, 0.8},
		{caller, "rms", "half of each, held", false, halfway, -1, -1},
	}, helper
}

// recognise sends rows of sentences over a telephone (300 to 3400 Hz, µ-law at
// 8 kHz) and over G.722, prints what is understood, and holds it to the limits.
// All speech is synthetic: the figures say nothing of people. flite breathes at
// random, so they move by a sentence or two from run to run; what is demanded
// leaves room for that. Rows of a few sentences have that room over both paths
// together only.
func recognise(t testing.TB, helper *Helper, rows []row) {
	t.Helper()
	var table strings.Builder
	fmt.Fprintf(&table, "%-9s %-5s %-26s %6s %14s\n", "path", "voice", "sentences", "WER %", "not understood")
	both := make([]score, len(rows))
	for _, path := range []path{{"telephone", 8000, phone}, {"G.722", 16000, wide}} {
		scores := make([]score, len(rows))
		var wg sync.WaitGroup
		for half := range 2 { // two streams at a time
			wg.Go(func() {
				for i := half; i < len(rows); i += 2 {
					scores[i] = rows[i].play(t, helper, path)
				}
			})
		}
		wg.Wait()
		for i, r := range rows {
			s := scores[i]
			fmt.Fprintf(&table, "%-9s %-5s %-26s %6s %8d of %2d\n", path.name, r.voice, r.name, s.wer(), s.refused, s.all)
			if s.log != "" {
				t.Logf("%s %s %s:\n%s", path.name, r.voice, r.name, s.log)
			}
			if len(r.list) >= 10 {
				s.judge(t, path.name, r)
			}
			both[i].words, both[i].wrong = both[i].words+s.words, both[i].wrong+s.wrong
			both[i].refused, both[i].all = both[i].refused+s.refused, both[i].all+s.all
		}
	}
	for i, r := range rows {
		both[i].judge(t, "both paths", r)
	}
	t.Logf("\n%s", table.String())
}

// path is a line that speech comes over.
type path struct {
	name string
	rate int // Hz
	via  func([]int16) []int16
}

// row is a kind of sentences in a voice, with what is demanded of it.
type row struct {
	p            *Provider
	voice, name  string
	tuned        bool // the weights of the verdict were fitted on them
	list         []string
	worst, least float64 // word error at most in %, share refused at least; negative: not demanded
}

func (r row) play(t testing.TB, helper *Helper, via path) (s score) {
	st, err := r.p.Open(t.Context(), stt.Options{Format: audio.Format{Rate: via.rate}})
	if err != nil {
		t.Error(err)
		return s
	}
	defer st.Close()
	for _, text := range r.list {
		ev := hear(t, st, via.rate, via.via(localspeechtest.Say(t, helper, r.voice, text)))
		s.add(t, text, ev, r.worst >= 0)
	}
	return s
}

func (s *score) judge(t testing.TB, via string, r row) {
	t.Helper()
	if wer := 100 * float64(s.wrong) / float64(max(1, s.words)); r.worst >= 0 && wer > r.worst {
		t.Errorf("%s %s %s: %.1f %% of the words are wrong, at most %v", via, r.voice, r.name, wer, r.worst)
	}
	if share := float64(s.refused) / float64(max(1, s.all)); share < r.least {
		t.Errorf("%s %s %s: %.2f refused, at least %v", via, r.voice, r.name, share, r.least)
	}
}

// score is one row. An utterance that was not understood counts as refused; its
// words are all wrong.
type score struct {
	words, wrong, refused, all int
	log                        string
}

func (s *score) add(t testing.TB, said string, ev heardEvent, known bool) {
	t.Helper()
	want, err := split(said)
	if err != nil {
		t.Error(err)
		return
	}
	s.all++
	if ev.Text == "" {
		s.refused++
	}
	d := distance(want, strings.Fields(ev.Text))
	if known {
		s.words += len(want)
		s.wrong += d
	}
	if known && d > 0 || !known && ev.Text != "" {
		s.log += fmt.Sprintf("  %-50s → %q %.2f\n", said, ev.Text, ev.Confidence)
	}
}

func (s *score) wer() string {
	if s.words == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f", 100*float64(s.wrong)/float64(s.words))
}

// heardEvent is a Final, and how long after the end of its utterance it came.
type heardEvent struct {
	stt.Event
	after    time.Duration
	interims []string
}

// hear sends an utterance with 400 ms of silence before and 200 ms after it, at
// once.
func hear(t testing.TB, st stt.Stream, rate int, voice []int16) heardEvent {
	t.Helper()
	return paced(t, st, rate, voice, nil)
}

// paced is hear at the pace of a clock, where there is one.
func paced(t testing.TB, st stt.Stream, rate int, voice []int16, clock <-chan time.Time) heardEvent {
	t.Helper()
	must := func(err error) {
		if err != nil {
			t.Error(err)
		}
	}
	pcm := append(make([]int16, rate*400/1000), voice...)
	pcm = append(pcm, make([]int16, rate*200/1000)...)
	for i := 0; i < len(pcm); i += rate / 50 {
		if clock != nil {
			<-clock
		}
		if i == rate/2 {
			must(st.Speech(true))
		}
		must(st.Send(pcm[i:min(len(pcm), i+rate/50)]))
	}
	must(st.Speech(false))
	ended := time.Now()
	var got heardEvent
	for {
		select {
		case ev, ok := <-st.Events():
			if !ok {
				t.Errorf("the stream is over: %v", st.Err())
				return got
			}
			if ev.Kind == stt.Final {
				got.Event, got.after = ev, time.Since(ended)
				return got
			}
			got.interims = append(got.interims, ev.Text)
		case <-time.After(20 * time.Second):
			t.Error("no Final comes")
			return got
		}
	}
}

// TestInterims: the words of a caller are known while he speaks, about every
// 200 ms, and the first of them stay as they are.
func TestInterims(t *testing.T) {
	t.Parallel()
	p, helper := start(t, "shop.phrases")
	st, err := p.Open(t.Context(), stt.Options{Format: audio.Format{Rate: 8000}})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	got := hear(t, st, 8000, phone(localspeechtest.Say(t, helper, "rms", "could you deliver it on monday")))
	if got.Text != "could you deliver it on monday" || len(got.interims) < 3 {
		t.Errorf("got %q after %q", got.Text, got.interims)
	}
	for _, text := range got.interims[len(got.interims)/2:] {
		if !strings.HasPrefix(text, "could you") {
			t.Errorf("interims %q", got.interims)
			break
		}
	}
	if got.Start < 400*time.Millisecond || got.End > 3*time.Second || got.Confidence < 0.5 {
		t.Errorf("%+v", got.Event)
	}
}

// BenchmarkFinal is the wait for the Final after the end of an utterance that
// is spoken at the pace of a call.
func BenchmarkFinal(b *testing.B) {
	p, helper := start(b, "shop.phrases")
	st, err := p.Open(b.Context(), stt.Options{Format: audio.Format{Rate: 8000}})
	if err != nil {
		b.Fatal(err)
	}
	defer st.Close()
	voice := phone(localspeechtest.Say(b, helper, "rms", "my order number is four seven one one"))
	clock := time.NewTicker(audio.FrameTime)
	defer clock.Stop()
	var waits []time.Duration
	for b.Loop() {
		waits = append(waits, paced(b, st, 8000, voice, clock.C).after)
	}
	slices.Sort(waits)
	b.ReportMetric(float64(waits[len(waits)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(waits[len(waits)-1].Microseconds())/1000, "max-ms")
}

// BenchmarkDecode is an utterance of about 3 s at once; RTF is its time over
// the time that it lasts.
func BenchmarkDecode(b *testing.B) {
	p, helper := start(b, "shop.phrases")
	st, err := p.Open(b.Context(), stt.Options{Format: audio.Format{Rate: 8000}})
	if err != nil {
		b.Fatal(err)
	}
	defer st.Close()
	voice := phone(localspeechtest.Say(b, helper, "rms", "my order number is four seven one one"))
	b.ReportAllocs()
	begun, n := time.Now(), 0
	for b.Loop() {
		hear(b, st, 8000, voice)
		n++
	}
	b.ReportMetric(time.Since(begun).Seconds()/float64(n)/audio.Duration(len(voice), 8000).Seconds(), "RTF")
}

func readHeard(t testing.TB) map[string][]string {
	t.Helper()
	f, err := os.Open("testdata/heard.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lists, section := map[string][]string{}, ""
	for s := bufio.NewScanner(f); s.Scan(); {
		switch line := strings.TrimSpace(s.Text()); {
		case line == "" || line[0] == '#':
		case line[0] == '[':
			section = strings.Trim(line, "[]")
		default:
			lists[section] = append(lists[section], line)
		}
	}
	return lists
}

// distance is how many words must be changed, added or left out.
func distance(a, b []string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range a {
		diagonal := row[0]
		row[0] = i + 1
		for j := range b {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}

// bandpass is 300 to 3400 Hz at 16 kHz, 129 taps, Hamming.
var bandpass = sync.OnceValue(func() (h [129]float64) {
	for i := range h {
		x := float64(i - len(h)/2)
		low := func(f float64) float64 {
			if x == 0 {
				return 2 * f
			}
			return math.Sin(2*math.Pi*f*x) / (math.Pi * x)
		}
		h[i] = (low(3400.0/16000) - low(300.0/16000)) * (0.54 - 0.46*math.Cos(2*math.Pi*float64(i)/float64(len(h)-1)))
	}
	return h
})

// phone is what is left of 16 kHz speech at the end of a telephone line.
func phone(pcm []int16) []int16 {
	h := bandpass()
	out := make([]int16, 0, len(pcm)/2)
	for i := 0; i < len(pcm); i += 2 {
		var sum float64
		for k, c := range h {
			if j := i + len(h)/2 - k; j >= 0 && j < len(pcm) {
				sum += c * float64(pcm[j])
			}
		}
		out = append(out, int16(max(math.MinInt16, min(math.MaxInt16, sum))))
	}
	coded := make([]byte, len(out))
	codec.DecodeMuLaw(out, coded[:codec.EncodeMuLaw(coded, out)])
	return out
}

// wide is 16 kHz speech after G.722.
func wide(pcm []int16) []int16 {
	c, err := codec.New("G722")
	if err != nil {
		panic(err)
	}
	out := make([]int16, 0, len(pcm))
	coded, back := make([]byte, 160), make([]int16, 320)
	for i := 0; i+320 <= len(pcm); i += 320 {
		out = append(out, back[:c.Decode(back, coded[:c.Encode(coded, pcm[i:i+320])])]...)
	}
	return out
}
