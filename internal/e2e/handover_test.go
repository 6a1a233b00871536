//go:build e2e

package e2e

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/audio/codec"
	"github.com/patchcord/patchcord/audio/stt"
	"github.com/patchcord/patchcord/audio/stt/pocketsphinx"
	"github.com/patchcord/patchcord/audio/vad"
	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/telephony/rtp"
	"github.com/patchcord/patchcord/telephony/sip"
)

// The frequencies of what is heard around a transfer, Hz; agentTone is the voice
// of an agent that speaks none.
const (
	agentTone  = 440
	musicTone  = 620
	callerTone = 1000
	targetTone = 2500
)

// handOvers are the tools that hand a caller over, by the first of the two keys that
// ask for them; the second is that of the desk, from 1.
var handOvers = []string{"cold", "warm", "monitored"}

// frontDesk is an agent that hands callers over.
type frontDesk struct {
	desks []string // SIP URIs
	voice string   // YAML of tts
	warm  string   // YAML of the tool of warm transfers, "": they are taken by a key
	more  string   // YAML of the tool of monitored transfers
	hears string   // a sentence a line, "": it understands nobody
	rules string   // YAML of further rules of its model
}

// Voices of a frontDesk.
const (
	toneVoice  = `{default: plain, plain: {type: "null", first_byte: 50ms, tone: 440, word: 150ms, speed: -1}}`
	localVoice = `{default: local, local: {type: flite, voice: slt}}`
)

// about is what the model writes of the call for whoever is to take it.
const about = "The caller wants to buy a red boat."

// serve starts it, and its desks may be dialled.
func (d *frontDesk) serve(t *testing.T) *engine {
	t.Helper()
	var rules, tools, allow strings.Builder
	var destinations []string
	for i, uri := range d.desks {
		destinations = append(destinations, fmt.Sprintf(`{type: sip, name: desk%d, number: "%s"}`, i+1, uri))
		_, host, _ := strings.Cut(uri, "@")
		host, _, _ = strings.Cut(host, ":")
		fmt.Fprintf(&allow, `"sip:%s",`, host)
		for k, tool := range handOvers {
			fmt.Fprintf(&rules, "  - {when: dtmf %d%d, call: {tool: %s, args: {destination: desk%d}}}\n", k+1, i+1, tool, i+1)
		}
	}
	for _, tool := range handOvers {
		kind, config := "transfer_call", `message: "One moment.", timeout_seconds: 5`
		switch tool {
		case "warm":
			config += `, transfer_mode: warm, play_hold_music: true` + cmp.Or(d.warm, ", accept: key")
		case "monitored":
			kind, config = "monitored_transfer", `message: "Here they are.", timeout_seconds: 5`+d.more
		}
		fmt.Fprintf(&tools, "  - {name: %s, tool_type: %s, description: \"Hands over.\", config: {%s, destinations: [%s]}}\n",
			tool, kind, config, strings.Join(destinations, ", "))
	}
	dir := t.TempDir()
	write(t, filepath.Join(dir, "rules.yaml"), `start: "`+about+`"
not_understood: "Pardon?"
otherwise: "Pardon?"
rules:
`+d.rules+rules.String()+`  - {after: monitored, if: 'result.error == "busy"', say: "Sales are busy."}
  - {after: monitored, if: 'result.error == "no_answer"', say: "Sales did not answer."}
  - {after: monitored, if: 'result.error == "declined"', say: "Sales turned you down."}
  - {after: monitored, if: 'result.error == "bad_number"', say: "There is no such number."}
  - {after: monitored, if: 'result.error == "congestion"', say: "There is no free line."}
  - {after: monitored, if: result.error != nil, say: "That did not work."}
  - {after: monitored, say: "I am calling them."}
`)
	hears := `{default: plain, plain: {type: "null", threshold: -0.1}}`
	if d.hears != "" {
		write(t, filepath.Join(dir, "phrases"), d.hears)
		hears = `{default: local, local: {type: pocketsphinx, phrases: "` + dir + `/phrases"}}`
	}
	music := filepath.Join(dir, "music.wav")
	writeWAV(t, music, sine(musicTone, 8000, 10*time.Second), 8000)
	sound, err := os.ReadFile(music)
	if err != nil {
		t.Fatal(err)
	}
	e := serve(t, `llm: {default: rules, rules: {type: rules, file: "`+dir+`/rules.yaml"}}
stt: `+hears+`
tts: `+cmp.Or(d.voice, toneVoice)+`
dialing: {allow: [`+allow.String()+`], per_call: 5}
limits: {max_calls: 3000}
default_agent: support
`, map[string]string{"music.wav": string(sound), "support.yaml": `name: support
greeting: "Hello."
prompt: "Hand the caller over."
turn: {silence: 120s, keys: {max: 2}}
hold_sound: {file: music.wav}
tools:
` + tools.String()})
	if d.voice == localVoice { // which takes its time; a call that came earlier would wait for it
		eventually(t, 60*time.Second, "sentences are spoken", func() bool { return e.logged("fixed sentences are spoken") })
	}
	return e
}

// heardOf is what whoever takes part in these calls may be told, a sentence a line.
const heardOf = `hello
one moment
here they are
i am calling them
the line is busy just now
nobody is answering there just now
they cannot take your call just now
that number cannot be reached
i cannot get a line just now
i could not put you through
how else can i help
sales are busy
sales did not answer
sales turned you down
there is no such number
there is no free line
that did not work
welcome back
you have a call from <digits>
you have a call from plus <digits>
the caller wants to buy a red boat
the caller wants to sell a blue car
press one to take it or two to decline
you have a call from <digits> the caller wants to buy a red boat press one to take it or two to decline
you have a call from plus <digits> the caller wants to buy a red boat press one to take it or two to decline
you have a call from <digits> the caller wants to sell a blue car press one to take it or two to decline
one moment i am connecting you
one moment please
just a second
`

// words are those that are understood in what was heard.
func words(t *testing.T, pcm []int16, rate int) string {
	t.Helper()
	phrases := filepath.Join(t.TempDir(), "phrases")
	write(t, phrases, heardOf)
	return understood(t, phrases, pcm, rate)
}

// understood are the words of those that a file of phrases has.
func understood(t *testing.T, phrases string, pcm []int16, rate int) string {
	t.Helper()
	p, err := pocketsphinx.New(pocketsphinx.Config{Phrases: phrases, Helper: command(t, "localspeech")}, nil, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close() //nolint:errcheck // a folder of its own under the temporary one
	st, err := p.Open(t.Context(), stt.Options{Format: audio.Format{Encoding: audio.PCM16, Rate: rate}})
	if err != nil {
		t.Fatal(err)
	}
	finals := make(chan string, 64) // more utterances than a call of a minute has
	go func() {
		defer close(finals)
		for ev := range st.Events() {
			if ev.Kind == stt.Final {
				finals <- ev.Text
			}
		}
	}()
	det, n, voices := vad.New(), rate/50, 0
	pcm = append(append([]int16(nil), pcm...), make([]int16, rate)...) // a second of silence ends the last voice
	for at := 0; at+n <= len(pcm); at += n {
		edge, is := det.Push(audio.Frame{PCM: pcm[at : at+n], Rate: rate, At: audio.Duration(at, rate)})
		if err := st.Send(pcm[at : at+n]); err != nil {
			t.Fatal(err)
		}
		if !is {
			continue
		}
		if err := st.Speech(edge.Kind == vad.Start); err != nil {
			t.Fatal(err)
		}
		if edge.Kind == vad.End {
			voices++
		}
	}
	var all []string
	for range voices {
		select {
		case w := <-finals:
			all = append(all, w)
		case <-time.After(20 * time.Second):
			t.Fatal("the recogniser does not answer")
		}
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	return strings.Join(strings.Fields(strings.Join(all, " ")), " ")
}

// party is one of those who are on a call with the engine, on our own SIP and RTP,
// and says a tone, or what is on its tape, when it is told to.
type party struct {
	leg   telephony.Leg
	tone  float64
	says  atomic.Bool
	talks atomic.Bool // it has a voice: silence is sent between its words
	voice tape
	ear   *ear
	keys  atomic.Value         // string: those that it was sent
	up    chan struct{}        // closed when the call is answered
	over  chan telephony.Cause // 1: the end
	at    int                  // of the tone
}

func newParty(leg telephony.Leg, tone float64) *party {
	p := &party{leg: leg, tone: tone, ear: &ear{}, up: make(chan struct{}), over: make(chan telephony.Cause, 1)}
	p.keys.Store("")
	return p
}

// Next implements audio.Source.
func (p *party) Next(dst []int16) bool {
	if !p.says.Load() {
		return p.talks.Load() && p.voice.Next(dst)
	}
	rate := float64(50 * len(dst))
	for i := range dst {
		dst[i] = int16(8000 * math.Sin(2*math.Pi*p.tone*float64(p.at)/rate))
		p.at++
	}
	return true
}

// follow reads the leg's events to its end.
func (p *party) follow() {
	for ev := range p.leg.Events() {
		switch ev := ev.(type) {
		case telephony.Answered:
			p.leg.Connect(p.ear, p)
			close(p.up)
		case telephony.Digit:
			p.keys.Store(p.keys.Load().(string) + string(rune(ev.Key))) //nolint:forcetypeassert // it always is
		case telephony.Ended:
			p.over <- ev.Cause
		}
	}
}

// since is what was heard from a mark of mark's on.
func (p *party) since(mark int) (pcm []int16, rate int) {
	all, rate := p.ear.heard()
	return all[min(mark, len(all)):], rate
}

func (p *party) mark() int {
	all, _ := p.ear.heard()
	return len(all)
}

// press sends keys, one after the other.
func (p *party) press(t *testing.T, keys string) {
	t.Helper()
	if err := p.leg.SendDigits(t.Context(), keys, telephony.Tone{}); err != nil {
		t.Errorf("keys %s: %v", keys, err)
	}
}

func (p *party) hangUp(t *testing.T) {
	t.Helper()
	if err := p.leg.Hangup(t.Context(), telephony.Cause{Reason: telephony.ReasonNormal}); err != nil {
		t.Errorf("hang up: %v", err)
	}
}

// ended waits for the end of the call.
func (p *party) ended(t *testing.T, who string, within time.Duration) telephony.Cause {
	t.Helper()
	select {
	case c := <-p.over:
		p.over <- c
		return c
	case <-time.After(within):
		t.Errorf("%s is on the line %v later", who, within)
		return telephony.Cause{}
	}
}

// calls dials the engine from a number.
func (l *toneLine) calls(t *testing.T, e *engine, from string) *party {
	t.Helper()
	leg, err := l.ua.Dial(t.Context(), telephony.Destination{To: "sip:4930123456@" + e.sip, From: from})
	if err != nil {
		t.Fatal(err)
	}
	p := newParty(leg, callerTone)
	go p.follow()
	select {
	case <-p.up:
	case c := <-p.over:
		t.Fatalf("the engine does not answer: %v", c)
	case <-time.After(10 * time.Second):
		t.Fatal("the engine does not answer")
	}
	return p
}

// clerk sits at a desk on our own SIP and RTP and answers every call.
type clerk struct {
	rings   time.Duration
	talks   time.Duration // after the answer; negative: never
	accepts time.Duration // a key says so after the answer; 0: none does
	taken   chan *party   // 64: more calls than a test makes
}

// ServeCall implements telephony.Handler.
func (c *clerk) ServeCall(ctx context.Context, leg telephony.Leg) {
	p := newParty(leg, targetTone)
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.follow()
	}()
	defer func() { <-done }()
	c.taken <- p
	if leg.Progress(ctx, false) != nil {
		return
	}
	select {
	case <-time.After(c.rings):
	case <-done:
		return
	}
	leg.Connect(p.ear, p)
	if leg.Answer(ctx) != nil {
		return
	}
	if c.talks >= 0 {
		time.AfterFunc(c.talks, func() { p.says.Store(true) })
	}
	if c.accepts > 0 {
		select {
		case <-time.After(c.accepts):
			_ = leg.SendDigits(ctx, "1", telephony.Tone{}) // of a call that is over it says so
		case <-done:
		}
	}
}

// take waits for the next call.
func (c *clerk) take(t *testing.T, within time.Duration) *party {
	t.Helper()
	select {
	case p := <-c.taken:
		return p
	case <-time.After(within):
		t.Fatalf("nobody calls the desk within %v", within)
		return nil
	}
}

// openDesk is a desk with a clerk.
func openDesk(t *testing.T, rings, talks time.Duration) (uri string, c *clerk) {
	t.Helper()
	c = &clerk{rings: rings, talks: talks, taken: make(chan *party, 64)}
	l := openLine(t, 0, func(cfg *sip.Config, _ *rtp.Config) { cfg.Handler = c })
	return "sip:desk@" + l.addr, c
}

// awaits waits for an event that has these fields, "key=value".
func (e *engine) awaits(t *testing.T, within time.Duration, name string, fields ...string) event {
	t.Helper()
	var found event
	eventually(t, within, name+" "+strings.Join(fields, " "), func() bool {
	events:
		for _, ev := range named(e.read(t), name) {
			for _, f := range fields {
				key, value, _ := strings.Cut(f, "=")
				if fmt.Sprint(ev[key]) != value {
					continue events
				}
			}
			found = ev
			return true
		}
		return false
	})
	return found
}

// callOf is the id of the call from a number.
func (e *engine) callOf(t *testing.T, from string) string {
	t.Helper()
	return e.awaits(t, 5*time.Second, "call.started", "from="+from).text("call_id")
}

// when is the time of an event.
func (ev event) when(t *testing.T) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, ev.text("ts"))
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// metric is the sum of a gauge or counter over its labels.
func (e *engine) metric(t *testing.T, name string) float64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, e.http+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	sum, found := 0.0, false
	for line := range strings.Lines(string(text)) {
		rest, is := strings.CutPrefix(line, name)
		if !is || rest == "" || rest[0] != ' ' && rest[0] != '{' {
			continue
		}
		v, err := strconv.ParseFloat(strings.TrimSpace(rest[strings.LastIndexByte(rest, ' ')+1:]), 64)
		if err != nil {
			t.Fatalf("metric %q: %v", line, err)
		}
		sum, found = sum+v, true
	}
	if !found {
		t.Fatalf("no metric %s", name)
	}
	return sum
}

// freed sees that no call, no leg, no media session and, when those are over that
// quarantine keeps, no port is held any more.
func (e *engine) freed(t *testing.T, ports float64) {
	t.Helper()
	for _, name := range []string{
		"patchcord_rtp_sessions", "patchcord_trunk_calls", "patchcord_calls_in_progress", "patchcord_calls_ringing",
	} {
		eventually(t, 10*time.Second, name+" is 0", func() bool { return e.metric(t, name) == 0 })
	}
	if ports > 0 {
		eventually(t, 15*time.Second, "every port is free", func() bool {
			return e.metric(t, "patchcord_rtp_ports_free") == ports
		})
	}
}

// socket is the media of a peer that only signals: µ-law to and from a socket, a tone
// said to whoever spoke there last, what comes kept.
type socket struct {
	host string
	port int
	ear  ear
}

func openSocket(t *testing.T, host string, tone float64) *socket {
	t.Helper()
	spec, _ := codec.Lookup("PCMU")
	port := freePorts(t, host, 2)
	conn, err := net.ListenPacket("udp", net.JoinHostPort(host, strconv.Itoa(port)))
	if err != nil {
		t.Fatal(err)
	}
	w := &socket{host: host, port: port}
	var far atomic.Value // net.Addr
	var wg sync.WaitGroup
	stop := make(chan struct{})
	t.Cleanup(func() {
		close(stop)
		conn.Close()
		wg.Wait()
	})
	wg.Go(func() {
		buf, decoder := make([]byte, 2048), spec.New()
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			far.Store(from)
			if n != 172 || buf[1]&0x7f != 0 { // 20 ms of PCMU
				continue
			}
			pcm := make([]int16, 160)
			decoder.Decode(pcm, buf[12:n])
			w.ear.Hear(audio.Frame{PCM: pcm, Rate: 8000})
		}
	})
	wg.Go(func() {
		said, coder := sine(tone, 8000, 10*time.Second), spec.New()
		tick := time.NewTicker(audio.FrameTime)
		defer tick.Stop()
		packet := make([]byte, 172)
		packet[0], packet[11] = 0x80, 7
		for i := 0; ; i++ {
			select {
			case <-tick.C:
			case <-stop:
				return
			}
			binary.BigEndian.PutUint16(packet[2:], uint16(i))
			binary.BigEndian.PutUint32(packet[4:], uint32(160*i))
			at := 160 * i % len(said)
			coder.Encode(packet[12:], said[at:at+160])
			if to, is := far.Load().(net.Addr); is {
				_, _ = conn.WriteTo(packet, to) // lost, if it cannot
			}
		}
	})
	return w
}
