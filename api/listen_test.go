package api

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/gorilla/websocket"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/audio/stt"
	"github.com/patchcord/patchcord/audio/tts"
	"github.com/patchcord/patchcord/engine"
	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/internal/testkit"
	"github.com/patchcord/patchcord/llm"
	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/tools"
)

// talking is a live call of sales: the caller buzzes at 500 Hz, the agent hums at
// 400 Hz, both without an end.
type talking struct {
	id    telephony.CallID
	leg   *testkit.Leg
	ended chan struct{}
}

type oneAgent struct{ a *agent.Agent }

func (o oneAgent) ForCall(context.Context, telephony.Info) (*agent.Agent, error) { return o.a, nil }
func (o oneAgent) Agent(context.Context, agent.ID) (*agent.Agent, error)         { return o.a, nil }
func (o oneAgent) Tool(context.Context, string) (*tools.Definition, error) {
	return nil, errors.New("no such tool")
}

func talk(t *testing.T, f *fixture) *talking {
	t.Helper()
	off := false
	a := &agent.Agent{ID: "sales", Name: "sales", Prompt: "p", Greeting: strings.Repeat("On and on. ", 60), AllowGreetingInterruption: &off}
	e, err := engine.New(engine.Config{
		Directory: oneAgent{a}, Journal: f.store, STT: map[string]stt.Provider{"": &testkit.STT{}},
		TTS: map[string]tts.Provider{"": &testkit.TTS{}},
		LLM: map[string]llm.Provider{"": &testkit.LLM{Answer: func(llm.Request) (string, []llm.ToolCall, error) {
			return "Yes.", nil, nil
		}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	id := telephony.CallID(uuid.Must(uuid.NewV7()).String())
	c := &talking{id: id, leg: testkit.NewLeg(id), ended: make(chan struct{})}
	f.engine.calls = e
	c.leg.Speak(time.Hour)
	go func() {
		defer close(c.ended)
		e.ServeCall(context.WithoutCancel(t.Context()), c.leg)
	}()
	t.Cleanup(func() { c.hangUp() })
	for len(c.leg.Spoken()) == 0 { // it is answered, and the agent speaks
		select {
		case <-c.ended:
			t.Fatal("the call is over")
		case <-time.After(5 * time.Millisecond):
		}
	}
	return c
}

func (c *talking) hangUp() {
	c.leg.Close(telephony.Cause{Reason: telephony.ReasonNormal, Remote: true})
	<-c.ended
}

// connect opens a WebSocket of the API.
func connect(t *testing.T, f *fixture, path string, header http.Header) (*websocket.Conn, *http.Response) {
	t.Helper()
	conn, answer, err := websocket.DefaultDialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(f.http.URL, "http")+path, header)
	if answer == nil {
		t.Fatal(err)
	}
	if err != nil {
		why, _ := io.ReadAll(answer.Body)
		t.Logf("%s: %d %s", path, answer.StatusCode, why)
		return nil, answer
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	return conn, answer
}

// listenedTo reads the beginning of a stream and some of its sound, a slice for
// each channel.
func listenedTo(t *testing.T, conn *websocket.Conn, want time.Duration) (Heard, [][]int16) {
	t.Helper()
	var first Heard
	if err := conn.ReadJSON(&first); err != nil {
		t.Fatal(err)
	}
	sides := make([][]int16, first.Channels)
	for audio.Duration(len(sides[0]), first.Rate) < want {
		kind, b, err := conn.ReadMessage()
		if err != nil || kind != websocket.BinaryMessage {
			t.Fatalf("%d %s, %v", kind, b, err)
		}
		for i := 0; i+1 < len(b); i += 2 {
			side := i / 2 % first.Channels
			sides[side] = append(sides[side], int16(binary.LittleEndian.Uint16(b[i:])))
		}
	}
	return first, sides
}

// F-17: a call is listened to over a WebSocket, at the address that the command
// gives or with a key: both sides, each in a channel or both in one, to the end.
func TestACallIsListenedTo_F17(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	c := talk(t, f)
	path := "/v1/calls/" + string(c.id)
	var done Done
	f.do("POST", path+"/control", `{"type":"listen"}`, "X-API-Key", salesKey).into(t, &done)
	stereo, _ := connect(t, f, done.URL, nil)
	mono, _ := connect(t, f, path+"/listen?channels=1", http.Header{"Authorization": {"Bearer " + opsKey}})
	if stereo == nil || mono == nil {
		t.Fatalf("%+v", done)
	}
	const caller, ours, loud = 500, 400, 0.002
	first, sides := listenedTo(t, stereo, time.Second)
	if first != (Heard{"start", c.id, "pcm_s16le", 8000, 2}) {
		t.Errorf("%+v", first)
	}
	for i, side := range sides {
		theirs, agents := audio.Power(side, 8000, caller), audio.Power(side, 8000, ours)
		if i == 0 && (theirs < loud || agents > theirs/100) || i == 1 && (agents < loud || theirs > agents/100) {
			t.Errorf("channel %d: the caller %g, the agent %g", i, theirs, agents)
		}
	}
	first, sides = listenedTo(t, mono, time.Second)
	if theirs, agents := audio.Power(sides[0], 8000, caller), audio.Power(sides[0], 8000, ours); first.Channels != 1 ||
		theirs < loud || agents < loud {
		t.Errorf("both in one: %+v, the caller %g, the agent %g", first, theirs, agents)
	}
	c.hangUp()
	for name, conn := range map[string]*websocket.Conn{"stereo": stereo, "mono": mono} {
		var last heardAll
		for {
			kind, b, err := conn.ReadMessage()
			if err != nil {
				if !websocket.IsCloseError(err, websocket.CloseNormalClosure) {
					t.Errorf("%s: %v", name, err)
				}
				break
			}
			if kind == websocket.TextMessage && json.Unmarshal(b, &last) != nil {
				t.Errorf("%s: %s", name, b)
			}
		}
		if last != (heardAll{"stop", "call_ended"}) {
			t.Errorf("%s: %+v", name, last)
		}
	}
}

// F-17, T-22: who may control a call may listen to it, and nobody else; an
// address is for one call, once, and so many may listen.
func TestWhoMayListen_F17_T22(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	c := talk(t, f)
	path := "/v1/calls/" + string(c.id)
	give := func() string {
		var done Done
		f.do("POST", path+"/control", `{"type":"listen"}`).into(t, &done)
		return done.URL
	}
	used, other := give(), give()
	if conn, a := connect(t, f, used, nil); conn == nil {
		t.Fatal(a.Status)
	}
	_, token, _ := strings.Cut(other, "?")
	for _, tc := range []struct {
		name, path string
		key        string
		status     int
	}{
		{"no key", path + "/listen", "", 401},
		{"no key of ours", path + "/listen", "nope", 401},
		{"a key that reads", path + "/listen", readKey, 403},
		{"an address used before", used, "", 401},
		{"an address that is none", path + "/listen?token=pcl_none", "", 401},
		{"the address of another call", "/v1/calls/" + uuid.Must(uuid.NewV7()).String() + "/listen?" + token, "", 401},
		{"an address at another path", path + "?" + token, "", 401},
		{"a call that is none", "/v1/calls/" + uuid.Must(uuid.NewV7()).String() + "/listen", opsKey, 404},
		{"three channels", path + "/listen?channels=3", opsKey, 422},
	} {
		conn, a := connect(t, f, tc.path, http.Header{"X-Api-Key": {tc.key}})
		if conn != nil || a.StatusCode != tc.status {
			t.Errorf("%s: %d, not %d", tc.name, a.StatusCode, tc.status)
		}
	}
	if a := f.do("GET", path+"/listen", ""); a.StatusCode != http.StatusUpgradeRequired {
		t.Errorf("no WebSocket: %d %s", a.StatusCode, a.text)
	}
	for i := range engine.MostListeners {
		conn, a := connect(t, f, path+"/listen", http.Header{"X-Api-Key": {opsKey}})
		if want := i < engine.MostListeners-1; (conn != nil) != want || !want && a.StatusCode != 503 { // one listens already
			t.Errorf("the %d. listener: %d", i+2, a.StatusCode)
		}
	}
	c.hangUp()
	if a := f.do("POST", path+"/control", `{"type":"listen"}`); a.StatusCode != 409 {
		t.Errorf("after the end: %d %s", a.StatusCode, a.text)
	}
	if conn, a := connect(t, f, path+"/listen", http.Header{"X-Api-Key": {opsKey}}); conn != nil || a.StatusCode != 409 {
		t.Errorf("after the end: %d", a.StatusCode)
	}
}
