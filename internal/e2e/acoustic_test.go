//go:build e2e

package e2e

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/audio/record"
	"github.com/patchcord/patchcord/audio/tts"
	"github.com/patchcord/patchcord/audio/tts/flite"
	"github.com/patchcord/patchcord/internal/testkit/tracks"
)

// How long the tracks of these tests are: two minutes in CI, ten when the
// figures of the README are taken (make acoustic).
var trackLength = flag.Duration("track", 2*time.Minute, "length of the acoustic tests' tracks")

// The agent of these tests talks on and on, as long as it is asked to.
const (
	talkerAgent = `name: support
greeting: "Hello, this is the line that tells a story about an old house."
prompt: "Talk."
turn: {silence: 60s}
`
	talkerRules = `not_understood: "I did not understand that."
otherwise: "I did not get that."
rules:
  - {when: (go on), say: "%s"}
  - {when: (stop|wait), say: "Yes?"}
  - {when: (name|john|doe|house|blue|garden|order|number), say: "Thank you."}
`
	story = "The old house stands at the end of a long road behind the hill. In the morning the sun comes over the trees and the " +
		"windows shine like water. A man lives there with his dog and his books and a clock that is always late. Every day he walks " +
		"down to the river and looks for boats. Some days there is one and some days there is none, but he does not mind. In the " +
		"evening he lights a fire and reads until the dog falls asleep. Then he closes the book and listens to the wind in the trees."
)

// talker serves the agent with the local voice and recogniser.
func talker(t *testing.T, sentences ...string) *engine {
	t.Helper()
	needsSpeech(t)
	dir := t.TempDir()
	write(t, filepath.Join(dir, "rules.yaml"), fmt.Sprintf(talkerRules, story))
	write(t, filepath.Join(dir, "phrases"), strings.Join(append(sentences, tracks.Request), "\n")+"\n")
	return serve(t, `llm: {default: rules, rules: {type: rules, file: "`+dir+`/rules.yaml"}}
stt: {default: local, local: {type: pocketsphinx, phrases: "`+dir+`/phrases"}}
tts: {default: local, local: {type: flite, voice: slt}}
default_agent: support
`, map[string]string{"support.yaml": talkerAgent})
}

// callers are the voices of those who call.
func callers(t *testing.T) tracks.Voice {
	t.Helper()
	p, err := flite.New(flite.Config{Helper: command(t, "localspeech")}, nil, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return func(text, by string) ([]int16, error) {
		s, err := p.Synthesize(t.Context(), tts.Request{Text: text, Voice: by, Format: audio.Format{Rate: 16000}})
		if err != nil {
			return nil, err
		}
		defer s.Close() //nolint:errcheck // it was read to its end
		var pcm []int16
		rate := tracks.Rate
		for {
			c, err := s.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return nil, err
			}
			pcm, rate = append(pcm, c.PCM...), c.Rate
		}
		if rate == tracks.Rate {
			return pcm, nil
		}
		r := audio.NewResampler(rate, tracks.Rate)
		return r.Flush(r.Append(nil, pcm)), nil
	}
}

// call plays steps to the engine and gives the exit code and the report of
// callprobe. limit is longer than the call.
func (e *engine) call(t *testing.T, limit time.Duration, steps string) (code int, report string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "caller.yaml")
	write(t, file, fmt.Sprintf("name: %q\nvoice: rms\ntimeout: %s\nsteps:\n%s", t.Name(), limit, steps))
	p := start(t, limit+30*time.Second, t.TempDir(), command(t, "callprobe"), file,
		"--to", "sip:4930123456@"+e.sip, "--json", "--record", filepath.Join(e.dir, "call.wav"))
	code, err := p.wait()
	if err != nil {
		t.Fatal(err)
	}
	return code, p.out.String()
}

// play writes a track beside the engine and plays it.
func (e *engine) play(t *testing.T, track *tracks.Track) {
	t.Helper()
	path := filepath.Join(e.dir, "track.wav")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := record.WriteWAV(f, tracks.Rate, 1, track.PCM); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	length := audio.Duration(len(track.PCM), tracks.Rate)
	if code, report := e.call(t, length+time.Minute, "  - play: "+path+"\n  - hangup\n"); code != 0 {
		t.Fatalf("callprobe: exit %d\n%s", code, tail(report, 4000))
	}
}

// tally is what an engine did in a call.
type tally struct{ turns, paused, resumed, cancelled, cut int }

func (e *engine) tally(t *testing.T) (n tally, log string) {
	t.Helper()
	var b strings.Builder
	for _, ev := range e.read(t) {
		switch ev.text("event") {
		case "turn.user":
			n.turns++
		case "speech.paused":
			n.paused++
		case "speech.resumed":
			n.resumed++
		case "speech.interrupted":
			n.cancelled++
		case "turn.agent":
			if ev.text("heard_text") != ev.text("text") {
				n.cut++
			}
		default:
			continue
		}
		line, _ := json.Marshal(ev) //nolint:errchkjson // it was JSON before
		b.Write(line)
		b.WriteByte('\n')
	}
	return n, b.String()
}

// TestDisturbancesCancelNothing: coughs, hums, knocks and signs of listening,
// one every few seconds, into an agent that talks: not one word of it is lost.
func TestDisturbancesCancelNothing(t *testing.T) {
	t.Parallel()
	e := talker(t, tracks.Signs...)
	track, err := tracks.Disturbances(callers(t), *trackLength, 1)
	if err != nil {
		t.Fatal(err)
	}
	e.play(t, track)
	n, log := e.tally(t)
	kinds := map[string]int{}
	for _, m := range track.Marks {
		kinds[m.Kind]++
	}
	t.Logf("%s: %v\n%+v", *trackLength, kinds, n)
	if n.cancelled > 0 || n.cut > 1 || n.paused != n.resumed { // the last answer is cut by the end of the call
		t.Errorf("false cancels, or pauses without an end\n%s", tail(log, 60000))
	}
	if n.paused == 0 || n.turns == 0 {
		t.Errorf("nothing was heard:\n%s", tail(log, 3000))
	}
}

// TestMusicAndTalkAround reports how often an agent is stopped by what other
// people say around the caller: nothing but the words tells them from the
// caller's.
func TestMusicAndTalkAround(t *testing.T) {
	t.Parallel()
	e := talker(t, tracks.Signs...)
	track, err := tracks.Crowd(callers(t), *trackLength, 1, -12)
	if err != nil {
		t.Fatal(err)
	}
	e.play(t, track)
	n, log := e.tally(t)
	t.Logf("%s: %+v, %.2f false barge-ins a minute", *trackLength, n, float64(n.cancelled)/trackLength.Minutes())
	if n.paused > n.resumed+n.cancelled {
		t.Errorf("a pause has no end\n%s", tail(log, 4000))
	}
}

// TestEchoIsNoCaller: the agent's own voice comes back 12 dB down and 200 ms
// late, and is no caller (conv:E1): from the first word of the greeting, and
// when a loudspeaker is turned on in the middle of a call.
func TestEchoIsNoCaller(t *testing.T) {
	t.Parallel()
	for name, echo := range map[string][2]string{
		"from the greeting": {"  - echo: {db: -12, lag: 200ms}\n", ""},
		"in the call":       {"", "  - wait: 5s\n  - echo: {db: -12, lag: 200ms}\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := talker(t, tracks.Signs...)
			const story = 30 * time.Second // with the request, and some quiet
			ask := fmt.Sprintf("  - say: %q\n", tracks.Request)
			times := max(int(*trackLength/story), 2)
			steps := echo[0] + "  - wait_quiet: 1s\n" + ask + echo[1] + "  - wait: 29s\n" +
				strings.Repeat(ask+"  - wait: 29s\n", times-1) + "  - hangup\n"
			code, report := e.call(t, *trackLength+2*time.Minute, steps)
			if code != 0 {
				t.Fatalf("callprobe: exit %d\n%s", code, tail(report, 4000))
			}
			n, log := e.tally(t)
			t.Logf("%s of echo: %+v", time.Duration(times)*story, n)
			if n.cancelled > 0 || n.turns != times {
				t.Errorf("the echo was taken for a caller\n%s", tail(log, 4000))
			}
		})
	}
}

var stoppedAfter = regexp.MustCompile(`stopped after (\d+) ms on the wire`)

// TestOnsetToSilence measures how soon the agent is silent when a caller
// begins to speak, from the first loud packet of a real voice to the agent's
// last, by their times at the caller's socket; and whether the caller was
// understood. It is no figure of the machine's but the promise that is judged
// here: every barge-in stops the agent within 850 ms. The median and the worst
// of 290 and 350 ms are judged where the figures are taken (make acoustic), on
// a machine that does nothing else.
func TestOnsetToSilence(t *testing.T) {
	const times = 8
	p50, worst := 850*time.Millisecond, 850*time.Millisecond
	if figures := *trackLength >= 10*time.Minute; figures {
		p50, worst = 290*time.Millisecond, 350*time.Millisecond
	}
	for _, c := range []struct {
		name     string
		noise    string
		reported bool // and not judged
	}{
		{"clean", "", false},
		{"20 dB", "  - noise: {db: -20}\n", false},
		{"10 dB", "  - noise: {db: -10}\n", true},
		{"5 dB", "  - noise: {db: -5}\n", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.reported {
				t.Parallel()
			}
			e := talker(t, "stop please", "wait please")
			var steps strings.Builder
			steps.WriteString(c.noise + "  - wait_quiet: 1s\n")
			for i := range times {
				fmt.Fprintf(&steps, "  - say: %q\n  - barge_in: {after: %dms, say: \"stop please\", within: 20s}\n  - wait: 4s\n",
					tracks.Request, 2400+70*i)
			}
			code, report := e.call(t, 5*time.Minute, steps.String()+"  - hangup\n")
			var ms []int
			for _, m := range stoppedAfter.FindAllStringSubmatch(report, -1) {
				v, _ := strconv.Atoi(m[1])
				ms = append(ms, v)
			}
			n, log := e.tally(t)
			slices.Sort(ms)
			t.Logf("%s: %d of %d stopped, ms %v; %+v", c.name, len(ms), times, ms, n)
			if c.reported {
				return
			}
			if code != 0 || len(ms) < times || time.Duration(ms[len(ms)/2])*time.Millisecond > p50 ||
				time.Duration(ms[len(ms)-1])*time.Millisecond > worst {
				t.Errorf("too late\n%s\n%s", tail(report, 2000), tail(log, 4000))
			}
		})
	}
}

// TestPausesInsideASentence counts the turns that end too early: each sentence
// has a pause in it, of a length that people make.
func TestPausesInsideASentence(t *testing.T) {
	t.Parallel()
	e := talker(t, "my name is john doe", "my name is", "john doe", "the house is blue and the garden is green",
		"the house is blue and", "the garden is green", "my order number is two three five nine", "my order number is",
		"two three five nine")
	var steps strings.Builder
	steps.WriteString("  - wait_quiet: 1s\n")
	parts := [][2]string{
		{"my name is", "john doe"},
		{"the house is blue and", "the garden is green"},
		{"my order number is", "two three five nine"},
	}
	sentences := 0
	for _, pause := range []string{"400ms", "600ms", "800ms"} {
		for _, p := range parts {
			fmt.Fprintf(&steps, "  - say: %q\n  - wait: %s\n  - say: %q\n  - wait: 5s\n", p[0], pause, p[1])
			sentences++
		}
	}
	if code, report := e.call(t, 5*time.Minute, steps.String()+"  - hangup\n"); code != 0 {
		t.Fatalf("callprobe: exit %d\n%s", code, tail(report, 4000))
	}
	n, log := e.tally(t)
	t.Logf("%d sentences with a pause, %d turns", sentences, n.turns)
	if n.turns > sentences+1 {
		t.Errorf("turns were ended in the middle of a sentence\n%s", tail(log, 4000))
	}
}
