//go:build e2e

package e2e

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/audio/tts"
	"github.com/patchcord/patchcord/audio/tts/flite"
	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/telephony/rtp"
	"github.com/patchcord/patchcord/telephony/sip"
)

// What those say who are called; the engine's recogniser knows these sentences.
const (
	helloPerson = "hello"
	asksPerson  = "when are you open"
	mailboxSays = "you have reached the office of john doe. nobody is available to take your call. " +
		"please leave a message after the tone"
	menuSays = "for sales press one. for service press two"
	menuDone = "thank you. goodbye"
)

const beepHz = 1000

// callees answer calls by the name that is dialled: a person, a mailbox, a telephone
// menu, an assistant that screens the call, and who wants no more calls.
type callees struct {
	does   map[string]string  // what a number does, nil: each does what its name says
	sounds map[string][]int16 // at 8 kHz, by what is said
	calls  chan calledCall    // 16: more than there are calls
}

// calledCall is one call after its end.
type calledCall struct {
	name   string
	pcm    []int16 // what was heard, at 8 kHz
	beep   int     // samples that were heard when the beep was over
	spoken int     // the same when others had said their first words
	digits string
	keys   []telephony.Digit
	cause  telephony.Cause
}

// tape plays what it is given, then silence, and tells when it has come to an end.
type tape struct {
	mu   sync.Mutex // guards what follows
	pcm  []int16
	over chan struct{}
}

func (p *tape) say(pcm []int16) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pcm, p.over = pcm, make(chan struct{})
	return p.over
}

func (p *tape) Next(dst []int16) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := copy(dst, p.pcm)
	clear(dst[n:])
	if p.pcm = p.pcm[n:]; len(p.pcm) == 0 && p.over != nil {
		close(p.over)
		p.over = nil
	}
	return true
}

func (c *callees) ServeCall(ctx context.Context, leg telephony.Leg) {
	call := calledCall{name: leg.Info().To}
	ear, mouth := &ear{}, &tape{}
	leg.Connect(ear, mouth)
	defer func() {
		call.pcm, _ = ear.heard()
		c.calls <- call
	}()
	if leg.Answer(ctx) != nil {
		return
	}
	keys := make(chan byte, 16) // more than a menu is sent
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		for ev := range leg.Events() {
			switch ev := ev.(type) {
			case telephony.Digit:
				call.digits += string(rune(ev.Key))
				call.keys = append(call.keys, ev)
				keys <- ev.Key
			case telephony.Ended:
				call.cause = ev.Cause
			}
		}
	}()
	defer func() { <-gone }()
	// says speaks and waits; false: the call is over.
	says := func(pcm ...[]int16) bool {
		select {
		case <-mouth.say(slices.Concat(pcm...)):
			return true
		case <-gone:
			return false
		}
	}
	hangUp := func() { _ = leg.Hangup(ctx, telephony.Cause{Reason: telephony.ReasonNormal}) }
	// begins is the first that somebody says.
	begins := func(pcm ...[]int16) bool {
		ok := says(pcm...)
		heard, _ := ear.heard()
		call.spoken = len(heard)
		return ok
	}
	pause := make([]int16, 4000) // 0.5 s
	does := cmp.Or(c.does[call.name], call.name)
	switch {
	case strings.Contains(does, "person"):
		if begins(pause, c.sounds[helloPerson]) && c.hears(ear, gone, 1500*time.Millisecond) && says(c.sounds[asksPerson]) &&
			c.hears(ear, gone, 1200*time.Millisecond) {
			hangUp()
		}
	case does == "optout":
		if begins(pause, c.sounds[helloPerson]) && c.hears(ear, gone, 1500*time.Millisecond) && says(c.sounds[leavesMe]) {
			<-gone // the agent says goodbye
		}
	case does == "screening":
		if begins(pause, c.sounds[screenSays]) && c.hears(ear, gone, 1200*time.Millisecond) &&
			says(c.sounds[screenStays], pause) {
			hangUp()
		}
	case strings.Contains(does, "mailbox"):
		if says(pause, c.sounds[mailboxSays], pause, sine(beepHz, 8000, 600*time.Millisecond)) {
			pcm, _ := ear.heard()
			call.beep = len(pcm)
			<-gone // it records until whoever called has hung up
		}
	case strings.Contains(does, "menu"):
		if !says(pause, c.sounds[menuSays]) {
			return
		}
		select {
		case <-keys:
			if says(pause, c.sounds[menuDone]) {
				hangUp()
			}
		case <-gone:
		}
	}
}

// hears waits for a sentence of the agent's, a tone of at least d and half a
// second of silence behind it; false: the call is over.
func (c *callees) hears(e *ear, gone <-chan struct{}, d time.Duration) bool {
	from, _ := e.heard()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-gone:
			return false
		case <-tick.C:
		}
		pcm, rate := e.heard()
		pcm = pcm[len(from):]
		if len(pcm) > rate/2 && listen(pcm, rate, 440, beepHz).tone >= d && rms(pcm[len(pcm)-rate/2:]) < 50 {
			return true
		}
	}
}

// spoken are sentences in the local voice, at 8 kHz.
func spoken(t *testing.T, texts ...string) map[string][]int16 {
	t.Helper()
	voice, err := flite.New(flite.Config{Voice: "rms", Helper: command(t, "localspeech")}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = voice.Close() }()
	out := map[string][]int16{}
	for _, text := range texts {
		format := audio.Format{Encoding: audio.PCM16, Rate: 8000}
		s, err := voice.Synthesize(t.Context(), tts.Request{Text: text, Format: format})
		if err != nil {
			t.Fatal(err)
		}
		for {
			chunk, err := s.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			r := audio.NewResampler(chunk.Rate, 8000)
			out[text] = append(out[text], r.Flush(r.Append(nil, chunk.PCM))...)
		}
		_ = s.Close()
	}
	return out
}

// post asks the HTTP API to do something.
func (e *engine) post(t *testing.T, path string, body any) (status int, answer map[string]any) {
	t.Helper()
	b, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	return e.posts(t, path, string(b), 10*time.Second)
}

// posts is that with JSON as it is, and more patience.
func (e *engine) posts(t *testing.T, path, body string, within time.Duration) (status int, answer map[string]any) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.http+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	_ = json.NewDecoder(res.Body).Decode(&answer)
	return res.StatusCode, answer
}

// TestWhoAnswersACall dials a person, a mailbox and a telephone menu over SIP,
// with the local voice at their end and the local recogniser at ours. The person
// gets a conversation (F-22, conv:M3); the mailbox its message once its beep is
// over, in full and nothing else, or a silent end where there is none (conv:M4);
// the menu gets the key that it asks for, as RFC 4733 sends it (T-14).
func TestWhoAnswersACall(t *testing.T) {
	t.Parallel()
	needsSpeech(t)
	c := &callees{calls: make(chan calledCall, 16)}
	c.sounds = spoken(t, helloPerson, asksPerson, mailboxSays, menuSays, menuDone)
	line := openLine(t, 440, func(cfg *sip.Config, _ *rtp.Config) { cfg.Handler = c })
	dir := t.TempDir()
	write(t, filepath.Join(dir, "phrases"), sentences(slices.Collect(maps.Keys(c.sounds))))
	write(t, filepath.Join(dir, "rules.yaml"), `not_understood: "Sorry, what was that?"
otherwise: "I can tell you when we are open."
rules:
  - {when: open, say: "We are open from nine in the morning to six in the evening."}
  - {when: press two, call: {tool: press_key, args: {digits: "2"}}}
  - {when: goodbye, say: "Goodbye.", end: true}
`)
	const message = "Your parcel comes on Friday between nine and ten in the morning." // 12 words of 300 ms
	e := serve(t, `llm: {default: rules, rules: {type: rules, file: "`+dir+`/rules.yaml"}}
stt: {default: local, local: {type: pocketsphinx, phrases: "`+dir+`/phrases"}}
tts: {default: plain, plain: {type: "null", first_byte: 50ms, tone: 440}}
dialing: {allow: ["sip:`+line.host+`"]}
`, map[string]string{
		"herald.yaml": "name: herald\nprompt: p\ngreeting: \"Good day, this is the parcel service, how can I help you?\"\n" +
			"voicemail_detection: true\nvoicemail_message: \"" + message + "\"\n",
		"mute.yaml": "name: mute\nprompt: p\ngreeting: \"Good day, this is the parcel service.\"\nvoicemail_detection: true\n",
		"guide.yaml": "name: guide\nprompt: p\ntools:\n" +
			"  - {name: press_key, description: \"Presses keys. Call this when a menu asks for one.\", tool_type: play_tone, config: {duration: 120}}\n",
	})
	ids := map[string]string{} // of our calls, by who is called
	for _, call := range []struct{ name, agent string }{
		{"person", "herald"}, {"mailbox", "herald"}, {"mailbox-2", "mute"}, {"menu", "guide"},
	} {
		status, made := e.post(t, "/v1/calls", map[string]any{"agent_id": call.agent, "to": "sip:" + call.name + "@" + line.addr})
		if ids[call.name], _ = made["id"].(string); status != http.StatusCreated {
			t.Fatalf("dial %s: %d %v", call.name, status, made)
		}
	}
	called := map[string]calledCall{}
	limit := time.After(45 * time.Second)
	for len(called) < len(ids) {
		select {
		case call := <-c.calls:
			called[call.name] = call
		case <-limit:
			t.Fatalf("%d of %d calls ended in time:\n%s", len(called), len(ids), tail(e.out.String(), 4000))
		}
	}
	records := map[string]map[string]any{}
	for name, id := range ids {
		eventually(t, 10*time.Second, "the call to "+name+" is over", func() bool {
			_, records[name] = e.get(t, "/v1/calls/"+id)
			return records[name]["status"] == "ended"
		})
	}
	for name, want := range map[string]string{
		"person": "human hangup", "mailbox": "machine voicemail", "mailbox-2": "machine voicemail",
	} {
		r := records[name]
		if by, _ := r["answered_by"].(string); by+" "+text(r["end_reason"]) != want {
			t.Errorf("%s: answered by %v (%v), ended by %v, want %s", name, r["answered_by"], r["answered_cause"], r["end_reason"], want)
		}
	}
	if call := called["person"]; listen(call.pcm, 8000, 440, beepHz).tone < 5*time.Second || records["person"]["turns"] == 0.0 {
		t.Errorf("the person heard %+v in %v turns", listen(call.pcm, 8000, 440, beepHz), records["person"]["turns"])
	}
	if call := called["mailbox"]; call.beep == 0 {
		t.Error("the mailbox was hung up on before its beep was over")
	} else {
		before, after := listen(call.pcm[:call.beep], 8000, 440, beepHz), listen(call.pcm[call.beep:], 8000, 440, beepHz)
		if before.tone > 0 || after.tone < 3400*time.Millisecond || after.tone > 3700*time.Millisecond || after.gaps > 3 {
			t.Errorf("before the beep was over the mailbox heard %+v, then %+v of a message of 3.6 s", before, after)
		}
	}
	if h := listen(called["mailbox-2"].pcm, 8000, 440, beepHz); h.tone > 0 {
		t.Errorf("a mailbox that shall get no message heard %+v", h)
	}
	menu := called["menu"]
	if menu.digits != "2" || len(menu.keys) != 1 || menu.keys[0].Source != "rfc4733" {
		t.Errorf("the menu was sent %q: %+v", menu.digits, menu.keys)
	}
	e.stop(t)
}

func text(v any) string { s, _ := v.(string); return s }
