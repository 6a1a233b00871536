//go:build !race

// One goroutine drives these sessions: there is nothing to race, and Opus under
// the detector takes minutes.

package rtp

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/telephony/bridge"
	"github.com/patchcord/patchcord/telephony/sdp"
)

// conditions are what a network does to packets.
type conditions struct {
	loss, double, behind float64       // shares; those behind come up to 60 ms late
	jitter               time.Duration // each packet is up to so late
	gap, every           time.Duration // nothing gets through for gap, each time every has passed
	calm                 time.Duration // from then on nothing is wrong any more
}

// path carries what one session sends to another, the same each time it is run.
type path struct {
	conditions
	to     *rig
	chance *rand.Rand
	queue  []datagram // on their way, by arrival

	sent, lost, doubled int
	ended               time.Duration // the last gap
}

// transit is how long a packet is on its way at best.
const transit = 2 * time.Millisecond

// take takes what a session has sent in its last tick.
func (p *path) take(from *rig) {
	now, c := from.now-audio.FrameTime, p.conditions
	if c.calm > 0 && now >= c.calm {
		c = conditions{}
	}
	for _, d := range from.rtp.out {
		if isRTCP(d.b) {
			continue
		}
		p.sent++
		hole := c.every > 0 && now%c.every >= c.every-c.gap
		if hole {
			p.ended = now + audio.FrameTime
		}
		if hole || p.chance.Float64() < c.loss {
			p.lost++
			continue
		}
		at := now + transit + time.Duration(p.chance.Int64N(int64(c.jitter)+1))
		if p.chance.Float64() < c.behind {
			at += time.Duration(p.chance.Int64N(int64(60 * time.Millisecond)))
		}
		p.send(d.b, at)
		if p.chance.Float64() < c.double {
			p.doubled++
			p.send(d.b, at+time.Duration(p.chance.Int64N(int64(40*time.Millisecond))))
		}
	}
	from.rtp.out = nil
}

func (p *path) send(b []byte, at time.Duration) {
	i, _ := slices.BinarySearchFunc(p.queue, at, func(d datagram, at time.Duration) int {
		if d.at <= at {
			return -1
		}
		return 1
	})
	p.queue = slices.Insert(p.queue, i, datagram{b: b, peer: peer, at: at})
}

// deliver puts into the socket what has arrived.
func (p *path) deliver() {
	for len(p.queue) > 0 && p.queue[0].at <= p.to.now {
		p.to.rtp.in = append(p.to.rtp.in, p.queue[0])
		p.queue = p.queue[1:]
	}
}

// speech is a tone that comes and goes as if by chance, so that what is heard
// tells when it was said.
type speech struct {
	rate, n int
	pattern []bool // each 100 ms
}

func newSpeech(rate int) *speech {
	s := &speech{rate: rate, pattern: make([]bool, 600)}
	r := rand.New(rand.NewPCG(9, 9))
	for i := range s.pattern {
		s.pattern[i] = r.Float64() < 0.6
	}
	return s
}

func (s *speech) Next(dst []int16) bool {
	for i := range dst {
		dst[i] = 0
		if s.pattern[s.n*10/s.rate%len(s.pattern)] {
			dst[i] = int16(8000 * math.Sin(2*math.Pi*400*float64(s.n)/float64(s.rate)))
		}
		s.n++
	}
	return true
}

// way is how a call is carried in these tests.
type way struct {
	name    string
	codec   string
	pt      uint8
	clock   int // Hz, of RTP
	suite   sdp.Suite
	look    time.Duration // how far the codec looks ahead: its own delay
	click   float64       // the greatest step of a tone that is whole, or concealed at a loss of 5 %
	heavy   float64       // … at a loss of 20 %, where two or three packets in a row are made up
	bridged bool          // heard by somebody on G.711 on the other side of a bridge
}

var ways = []way{
	{name: "PCMU", codec: "PCMU", clock: 8000, click: 1.1, heavy: 1.1},
	{name: "G.722 by AES-CM", codec: "G722", pt: 9, clock: 8000, click: 2.3, heavy: 3.5, suite: sdp.AES128SHA80},
	{
		name: "Opus by AES-GCM", codec: "opus", pt: 111, clock: 48000, look: opusLook, click: 1.3, heavy: 1.8,
		suite: sdp.AES256GCM,
	},
	{
		name: "Opus by AES-CM, bridged to PCMU", codec: "opus", pt: 111, clock: 48000, look: opusLook, click: 1.3, heavy: 1.8,
		suite: sdp.AES256SHA80, bridged: true,
	},
}

// opusLook is the delay of Opus itself (RFC 6716 section 2.1.2, 6.5 ms), in whole
// windows.
const opusLook = 2 * window

// lane is a speaker, the network, and who hears: over a bridge or at its end.
type lane struct {
	way
	from, to *rig
	net      *path
	far      *rig // who hears over the bridge, nil: nobody
	last     *path
	heard    []int16 // at the far end
	rate     int     // Hz, of it
	frames   int     // heard at to
	lossy    []bool  // of each frame at to: made up
}

func (w way) open(t *testing.T, c conditions, seed uint64) *lane {
	t.Helper()
	params := func(k sdp.Keys) Params {
		p := negotiated()
		p.Codec, p.PT, p.EventClock, p.SRTP = w.codec, w.pt, w.clock, k
		return p
	}
	var k sdp.Keys
	if w.suite != "" {
		k = keyed(w.suite, "the speaker's ", "the listener's ")
	}
	l := &lane{way: w, from: newRig(t, params(k)), to: newRig(t, params(reversed(k)))}
	l.from.Connect(nil, newSpeech(l.from.rate))
	l.net = &path{conditions: c, to: l.to, chance: rand.New(rand.NewPCG(seed, 53))}
	hear := audio.Sink(sinkFunc(func(f audio.Frame) { l.hear(f) }))
	tally := func(f audio.Frame) {
		l.frames++
		l.lossy = append(l.lossy, f.Lost)
	}
	if !w.bridged {
		l.to.Connect(sinkFunc(func(f audio.Frame) {
			tally(f)
			hear.Hear(f)
		}), nil)
		return l
	}
	l.far = newRig(t, negotiated()) // our leg to them
	them := newRig(t, negotiated())
	l.last = &path{to: them, chance: rand.New(rand.NewPCG(seed, 54))}
	b := bridge.New(bridge.Config{})
	t.Cleanup(b.Close)
	speaker := b.Join(bridgeable{r: l.to}, bridge.Taps{Heard: sinkFunc(tally)})
	listener := b.Join(bridgeable{r: l.far}, bridge.Taps{})
	speaker.SpeakTo(listener)
	them.Connect(hear, nil)
	return l
}

// bridgeable is a session as the leg that a bridge wants.
type bridgeable struct {
	telephony.Leg // what a bridge has no use for

	r *rig
}

func (b bridgeable) Connect(in audio.Sink, out audio.Source) { b.r.Connect(in, out) }

func (l *lane) hear(f audio.Frame) {
	l.rate = f.Rate
	l.heard = append(l.heard, f.PCM...)
}

// step lets 20 ms pass.
func (l *lane) step() {
	time.Sleep(audio.FrameTime) // of the bubble: a bridge has a clock
	l.from.step()
	l.net.take(l.from)
	l.net.deliver()
	l.to.rtp.out = nil
	l.to.step()
	if l.far == nil {
		return
	}
	l.far.step()
	l.last.take(l.far)
	l.last.deliver()
	l.last.to.step()
	l.last.to.rtp.out = nil
}

func (l *lane) run(d time.Duration) telephony.Stats {
	for range d / audio.FrameTime {
		l.step()
	}
	l.to.publishNow()
	return l.to.Stats()
}

// window is what energy is measured over.
const window = 5 * time.Millisecond

// delay is how long what was said in the last d is on its way to the ear, by how
// well the coming and going of the tone agrees.
func (l *lane) delay(d time.Duration) time.Duration {
	n := audio.Samples(window, l.rate)
	var env []float64
	for pcm := l.heard; len(pcm) >= n; pcm = pcm[n:] {
		env = append(env, math.Sqrt(audio.Power(pcm[:n], l.rate, 400)))
	}
	pattern := newSpeech(l.rate).pattern
	first := max(0, len(env)-int(d/window))
	best, at := math.Inf(-1), 0
	for lag := range int(500 * time.Millisecond / window) {
		sum := 0.0
		for i := first; i < len(env); i++ {
			if i < lag {
				continue
			}
			if pattern[(i-lag)/int(100*time.Millisecond/window)%len(pattern)] {
				sum += env[i]
			} else {
				sum -= env[i]
			}
		}
		if sum > best {
			best, at = sum, lag
		}
	}
	return time.Duration(at) * window
}

// follows is how much of the last d is heard as it was said: the share of the
// stretches of 100 ms in which there is a tone where one was said and none where
// none was. loudest is the level of the loudest, as a share of the tone's.
func (l *lane) follows(d time.Duration) (share, loudest float64) {
	const stretch = 100 * time.Millisecond
	n, late := audio.Samples(stretch, l.rate), audio.Samples(l.delay(d), l.rate)
	pattern := newSpeech(l.rate).pattern
	from := max(0, len(l.heard)-audio.Samples(d, l.rate)-late) / n
	right, all := 0, 0
	for i := from; (i+1)*n+late <= len(l.heard); i++ {
		level := math.Sqrt(audio.Power(l.heard[i*n+late:(i+1)*n+late], l.rate, 400)) / toneLevel(n, l.rate)
		loudest = max(loudest, level)
		if all++; level > 0.5 == pattern[i%len(pattern)] {
			right++
		}
	}
	return float64(right) / float64(max(1, all)), loudest
}

// toneLevel is the level of n samples of the tone.
func toneLevel(n, rate int) float64 {
	pcm := make([]int16, n)
	(&speech{rate: rate, pattern: []bool{true}}).Next(pcm)
	return math.Sqrt(audio.Power(pcm, rate, 400))
}

// steepest is the greatest step between two samples, as a share of that of the tone
// at its full level.
func (l *lane) steepest() float64 {
	most := 0.0
	for i := 1; i < len(l.heard); i++ {
		most = max(most, math.Abs(float64(l.heard[i])-float64(l.heard[i-1])))
	}
	return most / (8000 * 2 * math.Sin(math.Pi*400/float64(l.rate)))
}

// The rows of the table of faults: what a network does, and what is promised of
// a call on it, however its sound is carried. Seeds make every run the same.
func TestNetworkFaults(t *testing.T) {
	t.Parallel()
	for _, w := range ways {
		for _, row := range []struct {
			name  string
			c     conditions
			check func(t *testing.T, l *lane, st telephony.Stats, took time.Duration)
		}{
			{"nothing", conditions{}, lossOf(0)},
			{"loss 1 %", conditions{loss: 0.01}, lossOf(0.01)},
			{"loss 3 %", conditions{loss: 0.03}, lossOf(0.03)},
			{"loss 5 %", conditions{loss: 0.05}, lossOf(0.05)},
			{"loss 10 %", conditions{loss: 0.1}, lossOf(0.1)},
			{"loss 20 %", conditions{loss: 0.2}, lossOf(0.2)},
			{"gaps of 200 ms", conditions{gap: 200 * time.Millisecond, every: 3 * time.Second}, recovers},
			{"gaps of 2 s", conditions{gap: 2 * time.Second, every: 4 * time.Second}, recovers},
			{"jitter 30 ms", conditions{jitter: 30 * time.Millisecond, calm: 10 * time.Second}, lateAtMost(0.005, 60*time.Millisecond)},
			{"jitter 60 ms", conditions{jitter: 60 * time.Millisecond, calm: 10 * time.Second}, lateAtMost(0.01, 100*time.Millisecond)},
			{"jitter 100 ms", conditions{jitter: 100 * time.Millisecond, calm: 10 * time.Second}, lateAtMost(0.02, 160*time.Millisecond)},
			{"5 % behind others by up to 60 ms", conditions{behind: 0.05}, noneLost},
			{"5 % twice", conditions{double: 0.05}, onceEach},
		} {
			t.Run(w.name+"/"+row.name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					const took = 10 * time.Second
					l := w.open(t, row.c, 1)
					st := l.run(took)
					row.check(t, l, st, took)
				})
			})
		}
	}
}

// whole wants as much sound as time has passed.
func (l *lane) whole(t *testing.T, took time.Duration) {
	t.Helper()
	if got := time.Duration(l.frames) * audio.FrameTime; (got - took).Abs() > audio.FrameTime {
		t.Errorf("%s of sound in %s", got, took)
	}
	if got := audio.Duration(len(l.heard), l.rate); (got - took).Abs() > audio.FrameTime {
		t.Errorf("%s are heard in %s", got, took)
	}
}

func lossOf(share float64) func(*testing.T, *lane, telephony.Stats, time.Duration) {
	return func(t *testing.T, l *lane, st telephony.Stats, took time.Duration) {
		t.Helper()
		l.whole(t, took)
		truth := float64(l.net.lost) / float64(l.net.sent)
		if math.Abs(st.Loss-truth) > 0.01 || math.Abs(truth-share) > share/2+0.001 {
			t.Errorf("%.2f %% are lost, %.2f %% are told", 100*truth, 100*st.Loss)
		}
		if limit := float64(l.net.lost) + 0.01*float64(l.net.sent); float64(st.Concealed) > limit+2 {
			t.Errorf("%d frames are made up for %d packets", st.Concealed, l.net.lost)
		}
		click, least := l.click, 0.99-share // silence in the place of what is lost would do as well
		if share > 0.05 {
			click = l.heavy
		}
		if c := l.steepest(); c > click {
			t.Errorf("a click: a step of %.2f times the tone's", c)
		}
		heard, loudest := l.follows(took)
		if heard < least || loudest > math.Sqrt2 {
			t.Errorf("%.1f %% is heard as it was said, want %.1f; the loudest at %.2f of the tone's level", 100*heard,
				100*least, loudest)
		}
		t.Logf("lost %.2f %%, told %.2f %%, made up %d, delay %s, greatest step %.2f of the tone's, %.1f %% as it was said",
			100*truth, 100*st.Loss, st.Concealed, l.delay(took), l.steepest(), 100*heard)
	}
}

func recovers(t *testing.T, l *lane, st telephony.Stats, took time.Duration) {
	t.Helper()
	l.whole(t, took)
	again := int(l.net.ended / audio.FrameTime)
	for i := again; i < len(l.lossy); i++ {
		if l.lossy[i] {
			continue
		}
		after := time.Duration(i-again) * audio.FrameTime
		t.Logf("heard again %s after the gap, %d frames made up", after, st.Concealed)
		if after > 40*time.Millisecond {
			t.Errorf("heard again %s after the gap", after)
		}
		return
	}
	t.Error("never heard again")
}

func lateAtMost(share float64, added time.Duration) func(*testing.T, *lane, telephony.Stats, time.Duration) {
	return func(t *testing.T, l *lane, st telephony.Stats, took time.Duration) {
		t.Helper()
		l.whole(t, took)
		late, delay := float64(st.PacketsLate)/float64(l.net.sent), l.delay(5*time.Second)
		l.run(10 * time.Second) // it is calm now
		calm := l.delay(2 * time.Second)
		t.Logf("%.2f %% late, delay %s, %s when it is calm", 100*late, delay, calm)
		if late > share || st.PacketsLost > 0 {
			t.Errorf("%.2f %% are late, %d lost; want at most %.2f %% and none", 100*late, st.PacketsLost, 100*share)
		}
		most, rest := added+l.look, 40*time.Millisecond+l.look
		if l.far != nil { // over the bridge, and the buffer of who is behind it
			most, rest = most+100*time.Millisecond, rest+100*time.Millisecond
		}
		if delay > most || calm > rest {
			t.Errorf("a delay of %s, of %s when it is calm; want at most %s and %s", delay, calm, most, rest)
		}
	}
}

func noneLost(t *testing.T, l *lane, st telephony.Stats, took time.Duration) {
	t.Helper()
	l.whole(t, took)
	if st.PacketsLost > 0 || float64(st.PacketsLate) > 0.004*float64(l.net.sent)+1 {
		t.Errorf("%d lost, %d late", st.PacketsLost, st.PacketsLate)
	}
	t.Logf("%d late, delay %s", st.PacketsLate, l.delay(5*time.Second))
}

func onceEach(t *testing.T, l *lane, st telephony.Stats, took time.Duration) {
	t.Helper()
	l.whole(t, took)
	if st.PacketsLost > 0 || st.PacketsDiscarded != uint64(l.net.doubled) || l.net.doubled == 0 {
		t.Errorf("%d lost, %d of %d doubled ones counted", st.PacketsLost, st.PacketsDiscarded, l.net.doubled)
	}
	if c := l.steepest(); c > l.click {
		t.Errorf("a click: a step of %.2f times the tone's", c)
	}
}

// Keys come through, each once and in order: all of them at a loss of 10 %, 99 of
// 100 at 20 %.
func TestKeysOnALossyNetwork(t *testing.T) {
	t.Parallel()
	for _, w := range ways[:3] {
		for _, c := range []struct{ loss, least float64 }{{0.1, 1}, {0.2, 0.99}} {
			t.Run(fmt.Sprintf("%s/loss %.0f %%", w.name, 100*c.loss), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					l := w.open(t, conditions{loss: c.loss}, 2)
					l.run(time.Second)
					const keys = "159*0#2468ABCD73" // no key twice in a row
					pressed := strings.Repeat(keys, 8)
					done := make(chan error, 1)
					go func() { done <- l.from.SendDigits(context.Background(), pressed, telephony.Tone{}) }()
					for len(done) == 0 {
						l.step()
					}
					if err := <-done; err != nil {
						t.Fatal(err)
					}
					l.run(time.Second)
					var got []byte
					for _, e := range l.to.events {
						if d, ok := e.(telephony.Digit); ok {
							got = append(got, d.Key)
						}
					}
					if float64(len(got)) < c.least*float64(len(pressed)) || !within(string(got), pressed) {
						t.Errorf("%d of %d keys came: %s", len(got), len(pressed), got)
					}
				})
			})
		}
	}
}

// within reports whether s is all with letters left out.
func within(s, all string) bool {
	for i := 0; i < len(all) && s != ""; i++ {
		if s[0] == all[i] {
			s = s[1:]
		}
	}
	return s == ""
}
