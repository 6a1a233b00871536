package realtimeserver_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/patchcord/patchcord/engine"
	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/internal/testkit"
	"github.com/patchcord/patchcord/internal/testkit/realtimeserver"
	"github.com/patchcord/patchcord/llm"
	"github.com/patchcord/patchcord/llm/openairealtime"
	"github.com/patchcord/patchcord/llm/realtime"
	"github.com/patchcord/patchcord/llm/xai"
	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/tools"
)

const ms = time.Millisecond

// call is a whole call with a speech-to-speech model, on a virtual clock: the
// leg, the engine, the provider, its connection and the server are all real
// but for the network.
type call struct {
	t      *testing.T
	leg    *testkit.Leg
	server *realtimeserver.Server
	pipe   *realtimeserver.Pipe
	agent  *agent.Agent
	cfg    engine.Config
	e      *engine.Engine
	log    *journal
	ended  chan struct{}
	// refused are refusals that the call is to have.
	refused []string
}

type journal struct {
	mu     sync.Mutex
	events []engine.Event
	last   engine.Record
}

func (j *journal) Started(engine.Record) {}

func (j *journal) Event(e engine.Event) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.events = append(j.events, e)
}

func (j *journal) Ended(r engine.Record) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.last = r
}

type directory struct{ a *agent.Agent }

func (d directory) ForCall(context.Context, telephony.Info) (*agent.Agent, error) { return d.a, nil }

func (d directory) Agent(context.Context, agent.ID) (*agent.Agent, error) { return d.a, nil }

func (directory) Tool(context.Context, string) (*tools.Definition, error) {
	return nil, errors.New("no library")
}

// prepare makes a call, inside of a bubble.
func prepare(t *testing.T, answer func(realtimeserver.Ask) realtimeserver.Response) *call {
	t.Helper()
	c := &call{
		t: t, leg: testkit.NewLeg("0190"), server: &realtimeserver.Server{Answer: answer},
		pipe: realtimeserver.NewPipe(), log: &journal{}, ended: make(chan struct{}),
		agent: &agent.Agent{Name: "a", Realtime: "voice", Prompt: "You answer the phone."},
	}
	c.cfg = engine.Config{Directory: directory{c.agent}, Journal: c.log}
	return c
}

// start serves the model and lets the call ring.
func (c *call) start() *call {
	c.t.Helper()
	web := &http.Server{Handler: c.server, ReadHeaderTimeout: time.Minute}
	go func() { _ = web.Serve(c.pipe) }() // ends with the pipe
	c.t.Cleanup(func() { _ = web.Close() })
	var p *realtime.Provider
	var err error
	if c.server.XAI {
		p, err = xai.New(xai.Config{BaseURL: "ws://realtime.test/v1/realtime"})
	} else {
		p, err = openairealtime.New(openairealtime.Config{BaseURL: "ws://realtime.test/v1/realtime"})
	}
	if err != nil {
		c.t.Fatal(err)
	}
	p.Dialer.Proxy = nil
	p.Dialer.NetDialContext = func(context.Context, string, string) (net.Conn, error) { return c.pipe.Dial() }
	c.cfg.Realtime = map[string]llm.Realtime{"voice": p}
	if c.e, err = engine.New(c.cfg); err != nil {
		c.t.Fatal(err)
	}
	go func() {
		c.e.ServeCall(c.t.Context(), c.leg)
		close(c.ended)
	}()
	return c.wait(500 * ms)
}

func (c *call) wait(d time.Duration) *call {
	time.Sleep(d)
	synctest.Wait()
	return c
}

// say lets the caller speak for d, and be heard by the server.
func (c *call) say(text string, d time.Duration) *call {
	c.server.Hear(text)
	c.leg.Speak(d)
	return c.wait(d)
}

// hangUp ends the call and looks at what no call may leave behind.
func (c *call) hangUp() *call {
	c.leg.Close(telephony.Cause{Reason: telephony.ReasonNormal, Remote: true})
	return c.over()
}

func (c *call) over() *call {
	c.t.Helper()
	select {
	case <-c.ended:
	case <-time.After(2 * time.Minute):
		c.t.Fatalf("the call did not end:\n%s", c.lines())
	}
	c.e.Drain(c.t.Context())
	c.wait(time.Second)
	if got := c.server.Refusals(); !slices.Equal(got, c.refused) {
		c.t.Errorf("the server refused %q\n%s", got, c.lines())
	}
	return c
}

func (c *call) lines() string {
	c.log.mu.Lock()
	defer c.log.mu.Unlock()
	var b strings.Builder
	for _, e := range c.log.events {
		j, err := json.Marshal(e)
		if err != nil {
			c.t.Fatal(err)
		}
		b.Write(j)
		b.WriteByte('\n')
	}
	return b.String()
}

func (c *call) want(parts ...string) *call {
	c.t.Helper()
	all := c.lines()
	for _, p := range parts {
		if !strings.Contains(all, p) {
			c.t.Fatalf("no %q in:\n%s\nitems %+v\nevents %v", p, all, c.server.Items(), c.server.Events())
		}
	}
	return c
}

// find is all events of a name.
func (c *call) find(name string) (out []engine.Event) {
	c.log.mu.Lock()
	defer c.log.mu.Unlock()
	for _, e := range c.log.events {
		if e.Name == name {
			out = append(out, e)
		}
	}
	return out
}

// count is how often the client sent an event.
func (c *call) count(event string) int {
	n := 0
	for _, e := range c.server.Events() {
		if e == event {
			n++
		}
	}
	return n
}

// said are the assistant's items, as the server keeps them.
func (c *call) said() (out []realtimeserver.Item) {
	for _, it := range c.server.Items() {
		if it.Role == "assistant" {
			out = append(out, it)
		}
	}
	return out
}

func says(texts ...string) func(realtimeserver.Ask) realtimeserver.Response {
	return func(a realtimeserver.Ask) realtimeserver.Response {
		return realtimeserver.Response{Text: texts[min(a.N, len(texts)-1)]}
	}
}

const story = "Once upon a time there was a small shop that sold lamps of every kind to people from all over the " +
	"country, and its owner knew each of them by name."

func TestCallWithASpeechToSpeechModel_convR1(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := prepare(t, says("It was shipped yesterday.", "You are welcome."))
		c.start().say("Where is my order?", time.Second).wait(5 * time.Second)
		c.say("Thank you.", time.Second).wait(5 * time.Second).hangUp()
		c.want(`"event":"turn.user"`, `"text":"Where is my order?","turn":1`, `"text":"Thank you.","turn":2`,
			`"heard_text":"It was shipped yesterday."`, `"heard_text":"You are welcome."`, `"end_reason":"hangup"`,
			`"event":"turn.metrics"`)
		if n := c.count("response.create"); n != 2 {
			t.Errorf("%d responses were asked for", n)
		}
		// conv:R4: what was heard whole is left alone.
		if c.count("conversation.item.truncate") != 0 || c.count("conversation.item.delete") != 0 {
			t.Errorf("sent %v", c.server.Events())
		}
		// conv:R6: the transcript is ours.
		tr := c.log.last.Transcript
		if len(tr) != 4 || tr[0].Text != "Where is my order?" || tr[1].Text != "It was shipped yesterday." ||
			tr[2].Text != "Thank you." || tr[3].Text != "You are welcome." {
			t.Errorf("transcript %+v", tr)
		}
		// conv:R10: the server's word alone ends a turn.
		if c.count("input_audio_buffer.commit") != 0 || c.log.last.Turns != 2 {
			t.Errorf("%d turns, sent %v", c.log.last.Turns, c.server.Events())
		}
	})
}

func TestBargeInCutsTheServersItem_convR2_INV39(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := prepare(t, says(story, "Alright."))
		c.start().say("Tell me a story.", time.Second).wait(4 * time.Second)
		c.say("No, another one.", time.Second).wait(4 * time.Second)
		c.want(`"event":"speech.interrupted"`, `"proof":"server"`, `"interrupted":true`)
		items := c.said()
		heardMS, _ := c.find(engine.EventSpeechInterupted)[0].Get("heard_ms").(int64)
		heard := time.Duration(heardMS) * time.Millisecond
		if len(items) != 2 || !items[0].Cut || items[0].Sound <= 0 || items[0].Sound > heard ||
			items[0].Sound < heard-100*ms {
			t.Fatalf("heard %v, the server has %+v", heard, items)
		}
		if c.log.last.BargeIns == 0 && c.count("conversation.item.truncate") != 1 {
			t.Errorf("sent %v", c.server.Events())
		}
		c.hangUp()
		var words string
		for _, it := range c.log.last.Transcript { // conv:R6
			if it.Interrupted {
				words = it.HeardText
			}
		}
		if words == "" || !strings.HasPrefix(story, words) || len(words) > int(heard.Seconds()*15)+8 {
			t.Errorf("%q is kept of %v", words, heard)
		}
		for _, b := range c.leg.Spoken() {
			at := c.find(engine.EventSpeechInterupted)[0].At
			if b.From < at && b.To > at+40*ms {
				t.Errorf("heard until %v, cancelled at %v (INV1)", b.To, at)
			}
		}
	})
}

// kinds of servers that a call must live with.
var servers = map[string]func(*realtimeserver.Server){
	"OpenAI":                           func(*realtimeserver.Server) {},
	"the names of the beta":            func(s *realtimeserver.Server) { s.Beta = true },
	"xAI":                              func(s *realtimeserver.Server) { s.XAI = true },
	"responses that are nobody's":      func(s *realtimeserver.Server) { s.NoMetadata = true },
	"words that never come":            func(s *realtimeserver.Server) { s.WordsAfter = -1 },
	"words that come after the answer": func(s *realtimeserver.Server) { s.WordsAfter = 4 * time.Second },
}

// TestEveryServerServesACall: greeted, interrupted, answered, ended by the
// model; nothing that any of them refuses is sent.
func TestEveryServerServesACall_INV40(t *testing.T) {
	for name, set := range servers {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := prepare(t, func(a realtimeserver.Ask) realtimeserver.Response {
					switch a.N {
					case 0:
						return realtimeserver.Response{Text: "Good morning."}
					case 1:
						return realtimeserver.Response{Text: story, First: 200 * ms}
					case 2:
						return realtimeserver.Response{Text: "As you like."}
					}
					return realtimeserver.Response{
						Text: "Goodbye then.", Calls: []realtimeserver.Call{{ID: "c1", Name: "end_call", Args: "{}"}},
					}
				})
				set(c.server)
				c.agent.Greeting = "Good morning."
				c.agent.Tools = []tools.Definition{{Name: "end_call", Type: tools.EndCall}}
				c.start().wait(2 * time.Second)
				c.say("Tell me a story.", time.Second).wait(4 * time.Second)
				c.say("No, stop it.", time.Second).wait(4 * time.Second)
				c.say("That is all.", time.Second).over()
				c.want(`"heard_text":"Good morning."`, `"proof":"server"`, `"heard_text":"As you like."`,
					`"heard_text":"Goodbye then."`, `"end_reason":"agent_done"`)
				items := c.said()
				if len(items) != 4 || !items[1].Cut || items[0].Cut || items[2].Cut || items[3].Cut {
					t.Errorf("the server keeps %+v", items)
				}
				heard := 0
				for _, e := range c.find(engine.EventTurnUser) {
					if e.Get("text") != "" {
						heard++
					}
				}
				want := map[time.Duration]int{0: 3, 4 * time.Second: 2, -1: 0}[c.server.WordsAfter] // the last come too late
				if heard != want || c.log.last.Turns != 3 {
					t.Errorf("%d turns, the words of %d:\n%s", c.log.last.Turns, heard, c.lines())
				}
			})
		})
	}
}

// TestAServerThatAnswersByItself, whatever it was told: its response is taken
// for ours, and none is asked for twice (conv:R8).
func TestAServerThatAnswersByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := prepare(t, says("It was shipped yesterday.", "Again."))
		c.server.Auto = true
		c.start().say("Where is my order?", time.Second).wait(6 * time.Second)
		c.want(`"heard_text":"It was shipped yesterday."`)
		if got := c.server.Refusals(); len(got) != 1 || !strings.HasPrefix(got[0], llm.CodeActive) {
			t.Errorf("refused %q", got) // ours, which came behind its own
		}
		c.refused = c.server.Refusals()
		if n := len(c.said()); n != 1 {
			t.Errorf("%d answers are kept", n)
		}
		c.hangUp()
	})
}

// TestACutConnection in the middle of an answer: the session is opened again,
// with what was heard, and the caller is answered there.
func TestACutConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		c := prepare(t, func(realtimeserver.Ask) realtimeserver.Response {
			if asked++; asked > 1 {
				return realtimeserver.Response{Text: "Here I am again."}
			}
			return realtimeserver.Response{Text: story, First: 400 * ms, Cut: true}
		})
		c.start().say("Tell me a story.", time.Second).wait(9 * time.Second)
		c.say("Are you there?", time.Second).wait(5 * time.Second)
		c.want(`"event":"provider.failed"`, `"kind":"realtime"`, `"heard_text":"Here I am again."`).hangUp()
		if n := c.server.Connections(); n != 2 {
			t.Errorf("%d connections", n)
		}
		items := c.server.Items()
		if len(items) < 3 || items[0].Text != "Tell me a story." || items[0].Role != "user" {
			t.Errorf("the second session has %+v", items)
		}
		for _, it := range items {
			if it.Role == "assistant" && !it.Sounding && !strings.HasPrefix(story, strings.TrimSuffix(it.Text, "…")) &&
				!strings.Contains(it.Text, "sorry") {
				t.Errorf("it was told %q", it.Text)
			}
		}
	})
}

// TestSoundOfACallIsContinuous: every sample of the caller reaches the server,
// bit for bit (INV8).
func TestSoundOfACallIsContinuous_INV8(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := prepare(t, says(story))
		c.start().say("Tell me a story.", time.Second).wait(3 * time.Second)
		c.say("No.", time.Second).wait(3 * time.Second)
		got := len(c.server.Heard())
		if want := c.leg.Frames() * 160; got < want-2*160 || got > want {
			t.Errorf("the server has %d samples of %d", got, want)
		}
		c.hangUp()
	})
}

// OpenAI ends a session after an hour, whatever it is at. The call goes on in
// the next one: it is told what was said and heard, the caller's words and ours
// are there once, and what the limit cut is said to its end.
func TestASessionHasAnEnd_INV12_INV17(t *testing.T) {
	const lasts = 2 * time.Minute                   // as the limit is, so is an hour
	for name, at := range map[string]time.Duration{ // of the caller's turn, from the limit
		"in silence":                -30 * time.Second,
		"in the caller's sentence":  -700 * ms,
		"before the turn has ended": -1600 * ms,
		"before its words":          -2200 * ms,
		"in our answer":             -4 * time.Second,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { playToTheEnd(t, lasts, at) })
		})
	}
}

// TestASessionOfAnHourHasAnEnd is the same at its real length, once.
func TestASessionOfAnHourHasAnEnd(t *testing.T) {
	if testing.Short() {
		t.Skip("an hour of sound takes a while")
	}
	synctest.Test(t, func(t *testing.T) { playToTheEnd(t, time.Hour, -4*time.Second) })
}

func playToTheEnd(t *testing.T, lasts, at time.Duration) {
	t.Helper()
	c := prepare(t, func(a realtimeserver.Ask) realtimeserver.Response {
		turns, begun := 0, false // the words of the last one are not there yet
		for _, it := range a.Items {
			if it.Role == "user" && !strings.Contains(it.Text, "broke off") {
				turns++
			}
			begun = begun || it.Role == "assistant" && strings.Contains(it.Text, "Once")
		}
		switch {
		case turns == 1:
			return realtimeserver.Response{Text: "Thank you, I have got your number."}
		case turns == 2 && !begun:
			return realtimeserver.Response{Text: "Once there was a king. He had three sons. The first was tall.", First: 400 * ms}
		case turns == 2:
			return realtimeserver.Response{Text: "And they all lived happily."}
		}
		return realtimeserver.Response{Text: "Yes, it is the same one."}
	})
	c.server.Lasts = lasts
	c.agent.MaxCallDuration = agent.Duration(2 * time.Hour)
	c.agent.Turn.Silence = 3 * time.Hour // nobody is asked whether they are there
	began := time.Now()
	until := func(at time.Duration) { c.wait(at - time.Since(began)) }
	c.start().say("My number is four five one.", 2*time.Second)
	until(lasts + at)
	c.say("Tell me a story.", 1500*ms)
	until(lasts + 20*time.Second)
	c.say("Do you have the same number still?", 2*time.Second).wait(6 * time.Second).hangUp()
	if n := c.server.Connections(); n != 2 {
		t.Errorf("%d connections", n)
	}
	user, ours := "", ""
	for _, it := range c.log.last.Transcript {
		switch text := cmp.Or(it.HeardText, it.Text); it.Role {
		case "user":
			user += text + " "
		case "agent":
			ours += strings.TrimSuffix(text, "…") + " "
		}
	}
	if want := "My number is four five one. Tell me a story. Do you have the same number still? "; user != want {
		t.Errorf("the caller said %q\n%s", user, c.lines())
	}
	for _, once := range []string{"I have got your number", "Once there was a king", "the same one"} {
		if n := strings.Count(ours, once); n != 1 {
			t.Errorf("%q is there %d times in %q\n%s", once, n, ours, c.lines())
		}
	}
	if strings.Contains(ours, "sorry") {
		t.Errorf("we apologised: %q\n%s", ours, c.lines())
	}
	kept := ""
	for _, it := range c.server.Items() {
		kept += it.Text + " "
	}
	for _, once := range []string{"four five one", "I have got your number", "Tell me a story", "the same number still"} {
		if n := strings.Count(kept, once); n != 1 {
			t.Errorf("the second session has %q %d times: %q", once, n, kept)
		}
	}
}
