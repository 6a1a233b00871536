package realtimeserver

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/audio/codec"
)

// conn is one connection and its conversation.
type conn struct {
	s  *Server
	ws *websocket.Conn
	wg sync.WaitGroup // responses and words on their way

	writing sync.Mutex // guards writes to ws

	mu       sync.Mutex // guards what follows
	session  map[string]any
	in, out  sound
	spoke    bool // the voice cannot be changed any more
	items    []*Item
	got      []string
	heard    []byte
	samples  int // heard
	fresh    int // of them, since the last commit
	loud     int // ms of a voice in a row
	quiet    int // ms of none
	voice    bool
	item     string // that the voice will be
	padding  int    // ms
	silence  int    // ms
	detects  bool
	creates  bool
	active   string // the response
	stop     chan struct{}
	n, count int // ids, responses
	over     chan struct{}
}

// sound is a format.
type sound struct {
	encoding audio.Encoding
	rate     int // Hz
}

func (f sound) size() int {
	if f.encoding == audio.PCM16 {
		return 2
	}
	return 1
}

type object = map[string]any

func newConn(s *Server, ws *websocket.Conn) *conn {
	pcm := sound{audio.PCM16, 24000}
	return &conn{
		s: s, ws: ws, in: pcm, out: pcm, detects: true, creates: true, padding: 300, silence: 500,
		session: object{}, over: make(chan struct{}),
	}
}

func (c *conn) serve() {
	defer c.wg.Wait()
	defer close(c.over)
	defer c.ws.Close()
	if c.s.XAI {
		c.send(object{"type": "conversation.created", "conversation": object{"id": "conv_1"}})
		c.send(object{"type": "ping", "timestamp": 1})
	} else {
		c.send(object{"type": "session.created", "session": object{"type": "realtime", "id": "sess_1"}})
	}
	if c.s.Lasts > 0 {
		end := time.AfterFunc(c.s.Lasts, c.expire)
		defer end.Stop()
	}
	for {
		kind, data, err := c.ws.ReadMessage()
		if err != nil {
			return
		}
		if kind != websocket.TextMessage {
			c.refuse("", "invalid_message", "Expected a text message.", "")
			continue
		}
		var e map[string]json.RawMessage
		if err := json.Unmarshal(data, &e); err != nil {
			c.refuse("", "invalid_json", "We could not parse the JSON of your message.", "")
			continue
		}
		c.take(e)
	}
}

// expire ends a session that has lasted too long.
func (c *conn) expire() {
	c.send(object{"type": "error", "error": object{
		"type": "invalid_request_error", "code": "session_expired",
		"message": fmt.Sprintf("Your session hit the maximum duration of %d minutes.", int(c.s.Lasts.Minutes())),
	}})
	end := websocket.FormatCloseMessage(websocket.CloseGoingAway, "")
	_ = c.ws.WriteControl(websocket.CloseMessage, end, time.Now().Add(time.Second))
	_ = c.ws.Close()
}

func (c *conn) send(ev object) {
	if c.s.Beta {
		if name, ok := betaNames[ev["type"].(string)]; ok {
			ev["type"] = name
		}
	}
	data, err := json.Marshal(ev)
	if err != nil {
		panic(err)
	}
	c.writing.Lock()
	defer c.writing.Unlock()
	_ = c.ws.SetWriteDeadline(time.Now().Add(10 * time.Second))
	_ = c.ws.WriteMessage(websocket.TextMessage, data) // the reader sees what ended it
}

var betaNames = map[string]string{
	"response.output_audio.delta":            "response.audio.delta",
	"response.output_audio.done":             "response.audio.done",
	"response.output_audio_transcript.delta": "response.audio_transcript.delta",
	"response.output_audio_transcript.done":  "response.audio_transcript.done",
	"conversation.item.added":                "conversation.item.created",
}

// refuse sends an error and keeps it.
func (c *conn) refuse(event, code, text, param string) {
	c.s.mu.Lock()
	c.s.refusals = append(c.s.refusals, code+": "+text)
	c.s.mu.Unlock()
	e := object{"type": "invalid_request_error", "code": code, "message": text}
	if param != "" {
		e["param"] = param
	}
	if event != "" {
		e["event_id"] = event
	}
	c.send(object{"type": "error", "error": e})
}

func text(raw json.RawMessage) string {
	var s string
	_ = json.Unmarshal(raw, &s) // "" then, which is refused as such
	return s
}

// known are the fields of the events, beside type and event_id.
var known = map[string][]string{
	"session.update":             {"session"},
	"input_audio_buffer.append":  {"audio"},
	"input_audio_buffer.commit":  {},
	"input_audio_buffer.clear":   {},
	"conversation.item.create":   {"previous_item_id", "item"},
	"conversation.item.truncate": {"item_id", "content_index", "audio_end_ms"},
	"conversation.item.delete":   {"item_id"},
	"conversation.item.retrieve": {"item_id"},
	"response.create":            {"response"},
	"response.cancel":            {"response_id"},
}

// take takes one event of the client.
func (c *conn) take(e map[string]json.RawMessage) {
	kind, id := text(e["type"]), text(e["event_id"])
	fields, ok := known[kind]
	if !ok {
		c.refuse(id, "invalid_value", fmt.Sprintf("Invalid value: '%s'.", kind), "type")
		return
	}
	for f := range e {
		if f != "type" && f != "event_id" && !slices.Contains(fields, f) {
			c.refuse(id, "unknown_parameter", fmt.Sprintf("Unknown parameter: '%s'.", f), f)
			return
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if kind != "input_audio_buffer.append" {
		c.got = append(c.got, kind)
	}
	switch kind {
	case "session.update":
		c.update(id, e["session"])
	case "input_audio_buffer.append":
		c.append(id, text(e["audio"]))
	case "input_audio_buffer.commit":
		c.commit(id)
	case "input_audio_buffer.clear":
		c.fresh = 0
		c.send(object{"type": "input_audio_buffer.cleared"})
	case "conversation.item.create":
		c.create(id, e["item"])
	case "conversation.item.truncate":
		c.truncate(id, e)
	case "conversation.item.delete", "conversation.item.retrieve":
		c.remove(id, text(e["item_id"]), kind)
	case "response.create":
		c.respond(id, e["response"])
	case "response.cancel":
		if c.active == "" || e["response_id"] != nil && text(e["response_id"]) != c.active {
			c.refuse(id, "response_cancel_not_active", "Cancellation failed: no active response found.", "")
			return
		}
		if c.stop != nil {
			close(c.stop)
			c.stop = nil
		}
	}
}

// append is the caller's sound; its detector goes by loudness, 20 ms at a time.
func (c *conn) append(id, audio64 string) {
	raw, err := base64.StdEncoding.DecodeString(audio64)
	if err != nil || len(raw) == 0 || len(raw)%c.in.size() != 0 {
		c.refuse(id, "invalid_value", "Invalid 'audio'. Expected base64-encoded audio bytes.", "audio")
		return
	}
	c.heard = append(c.heard, raw...)
	pcm, _ := codec.AppendSamples(nil, c.in.encoding, raw) // the format is one of ours
	c.samples += len(pcm)
	c.fresh += len(pcm)
	if !c.detects {
		return
	}
	ms := len(pcm) * 1000 / c.in.rate
	if loud(pcm) {
		c.loud, c.quiet = c.loud+ms, 0
	} else {
		c.loud, c.quiet = 0, c.quiet+ms
	}
	switch {
	case !c.voice && c.loud >= 60:
		c.edge(true)
	case c.voice && c.quiet >= c.silence:
		c.edge(false)
	}
}

func loud(pcm []int16) bool {
	sum := 0
	for _, x := range pcm {
		sum += int(max(x, -x))
	}
	return len(pcm) > 0 && sum/len(pcm) > 500
}

// edge is where a voice begins or a turn ends.
func (c *conn) edge(on bool) {
	c.voice = on
	at := c.samples * 1000 / c.in.rate
	if on {
		c.item = c.id("item")
		c.send(object{
			"type": "input_audio_buffer.speech_started", "item_id": c.item, "audio_start_ms": max(0, at-c.loud-c.padding),
		})
		return
	}
	c.send(object{"type": "input_audio_buffer.speech_stopped", "item_id": c.item, "audio_end_ms": at})
	c.turn()
}

// turn makes an item of what the caller said.
func (c *conn) turn() {
	it := &Item{ID: c.item, Type: "message", Role: "user", Sounding: true}
	c.item, c.fresh = "", 0
	c.items = append(c.items, it)
	c.send(object{"type": "input_audio_buffer.committed", "item_id": it.ID})
	c.added(it)
	words, wait := c.s.next(), c.s.WordsAfter
	if wait == 0 {
		wait = 300 * time.Millisecond
	}
	if wait > 0 {
		c.wg.Go(func() {
			select {
			case <-time.After(wait):
			case <-c.over:
				c.s.unheard(words)
				return
			}
			c.mu.Lock()
			defer c.mu.Unlock()
			it.Text = words
			c.transcribed(it.ID, words)
		})
	}
	if (c.creates || c.s.Auto) && c.active == "" {
		c.begin("", Ask{})
	}
}

func (c *conn) transcribed(id, words string) {
	const prefix = "conversation.item.input_audio_transcription."
	if words == "" {
		c.send(object{"type": prefix + "failed", "item_id": id, "content_index": 0, "error": object{"message": "no speech"}})
		return
	}
	if c.s.XAI {
		c.send(object{"type": prefix + "updated", "item_id": id, "transcript": words[:1]})
	}
	c.send(object{"type": prefix + "completed", "item_id": id, "content_index": 0, "transcript": words})
}

func (c *conn) commit(id string) {
	if c.fresh*1000/c.in.rate < 100 {
		c.refuse(id, "input_audio_buffer_commit_empty", fmt.Sprintf(
			"Error committing input audio buffer: buffer too small. Expected at least 100ms of audio, but buffer only has %dms.",
			c.fresh*1000/c.in.rate), "")
		return
	}
	c.voice, c.item = false, c.id("item")
	c.turn()
}

func (c *conn) id(kind string) string {
	c.n++
	return fmt.Sprintf("%s_%d", kind, c.n)
}

func (c *conn) clone() []Item {
	out := make([]Item, 0, len(c.items))
	for _, it := range c.items {
		out = append(out, *it)
	}
	return out
}

func (c *conn) find(id string) *Item {
	for _, it := range c.items {
		if it.ID == id {
			return it
		}
	}
	return nil
}

func (c *conn) added(it *Item) {
	ev := object{"type": "conversation.item.added", "item": object{"id": it.ID, "type": it.Type, "role": it.Role}}
	c.send(ev)
	if !c.s.Beta && !c.s.XAI && it.Role == "user" {
		c.send(object{"type": "conversation.item.done", "item": ev["item"]})
	}
}
