package realtimeserver

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/audio/codec"
)

// respond is response.create.
func (c *conn) respond(id string, raw json.RawMessage) {
	var o object
	if raw != nil {
		if err := json.Unmarshal(raw, &o); err != nil {
			c.refuse(id, "invalid_value", "Invalid 'response'.", "response")
			return
		}
	}
	if bad := unknown(o, "", responsePaths); bad != "" || c.s.XAI && o["tool_choice"] != nil {
		c.refuse(id, "unknown_parameter", fmt.Sprintf("Unknown parameter: 'response.%s'.", bad), "response."+bad)
		return
	}
	if c.active != "" {
		c.refuse(id, "conversation_already_has_active_response", fmt.Sprintf(
			"Conversation already has an active response in progress: %s. Wait until the response is finished before "+
				"creating a new one.", c.active), "")
		return
	}
	ask := Ask{NoTools: o["tool_choice"] == "none"}
	ask.Instructions, _ = o["instructions"].(string)
	metadata, _ := json.Marshal(o["metadata"])
	c.begin(string(metadata), ask)
}

// begin starts a response.
func (c *conn) begin(metadata string, ask Ask) {
	ask.Items, ask.Session, ask.N = c.clone(), c.session, c.count
	c.count++
	c.active, c.stop = c.id("resp"), make(chan struct{})
	response := object{"id": c.active, "status": "in_progress", "output": []any{}}
	if metadata != "" && metadata != "null" && !c.s.NoMetadata && !c.s.XAI {
		response["metadata"] = json.RawMessage(metadata)
	}
	c.send(object{"type": "response.created", "response": response})
	r := Response{Text: "Hello."}
	answer := c.s.Answer
	p := &performance{c: c, id: c.active, stop: c.stop}
	c.wg.Go(func() {
		if answer != nil {
			r = answer(ask)
		}
		status, code := p.run(r)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.active, c.stop = "", nil
		details := object{"type": status}
		if status == "cancelled" {
			details["reason"] = "client_cancelled"
		}
		if code != "" {
			details["error"] = object{"type": "server_error", "code": code}
		}
		c.send(object{"type": "response.done", "response": object{
			"id": p.id, "status": status, "status_details": details, "metadata": response["metadata"],
			"usage": object{"input_tokens": 10, "output_tokens": 20},
		}})
	})
}

// performance is a response at work.
type performance struct {
	c    *conn
	id   string
	stop chan struct{}
}

// wait reports that the response goes on.
func (p *performance) wait(d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-p.stop:
	case <-p.c.over:
	}
	return false
}

func (p *performance) run(r Response) (status, code string) {
	if r.Hang {
		stop := p.stop
		if r.Deaf {
			stop = nil
		}
		select {
		case <-stop:
		case <-p.c.over:
		}
		return "cancelled", ""
	}
	if !p.wait(max(r.First, time.Millisecond)) {
		return "cancelled", ""
	}
	if r.Text != "" && !p.speak(r) {
		return "cancelled", ""
	}
	if r.Fail != "" {
		return "failed", r.Fail
	}
	for _, call := range r.Calls {
		p.call(call)
	}
	return "completed", ""
}

// item adds an item to the conversation.
func (p *performance) item(it *Item) {
	it.ID = p.c.id("item")
	p.c.items = append(p.c.items, it)
	p.send("response.output_item.added", it, object{"item": object{
		"id": it.ID, "type": it.Type, "role": it.Role, "name": it.Name, "call_id": it.CallID,
	}})
	p.c.added(it)
}

func (p *performance) send(kind string, it *Item, more object) {
	ev := object{"type": kind, "response_id": p.id, "item_id": it.ID, "output_index": 0, "content_index": 0}
	for k, v := range more {
		ev[k] = v
	}
	p.c.send(ev)
}

// speak says a text, its words a little before their sound.
func (p *performance) speak(r Response) bool {
	c := p.c
	const piece = 100 * time.Millisecond
	pace := r.Pace
	if pace == 0 {
		pace = 10 * time.Millisecond
	}
	it := &Item{Type: "message", Role: "assistant", Sounding: true}
	total := time.Duration(len(r.Text)) * time.Second / 15
	words := strings.SplitAfter(r.Text, " ")
	c.mu.Lock()
	p.item(it)
	c.spoke = true
	f := c.out
	c.mu.Unlock()
	for said, told := time.Duration(0), 0; said < total; said += piece {
		d := min(piece, total-said)
		c.mu.Lock()
		for ; told < len(words) && len(strings.Join(words[:told], "")) <= int((said+d).Seconds()*15); told++ {
			it.Text += words[told]
			p.send("response.output_audio_transcript.delta", it, object{"delta": words[told]})
		}
		raw := hum(f, said, d)
		it.Sound += d
		p.send("response.output_audio.delta", it, object{"delta": base64.StdEncoding.EncodeToString(raw)})
		cut := r.Cut && said >= time.Second
		c.mu.Unlock()
		if cut {
			_ = c.ws.NetConn().Close()
			return false
		}
		if !p.wait(pace) {
			return false
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	p.send("response.output_audio.done", it, nil)
	p.send("response.output_audio_transcript.done", it, object{"transcript": r.Text})
	p.send("response.output_item.done", it, object{"item": object{"id": it.ID}})
	return true
}

// hum is the sound of d at a place.
func hum(f sound, at, d time.Duration) []byte {
	pcm := make([]int16, audio.Samples(d, f.rate))
	from := audio.Samples(at, f.rate)
	for i := range pcm {
		pcm[i] = int16(8000 * math.Cos(2*math.Pi*400*float64(from+i)/float64(f.rate)))
	}
	raw, err := codec.AppendBytes(nil, f.encoding, pcm)
	if err != nil {
		panic(err)
	}
	return raw
}

// call is a function that the model calls.
func (p *performance) call(call Call) {
	c := p.c
	c.mu.Lock()
	defer c.mu.Unlock()
	it := &Item{Type: "function_call", CallID: call.ID, Name: call.Name, Text: call.Args}
	p.item(it)
	p.send("response.function_call_arguments.delta", it, object{"call_id": call.ID, "delta": call.Args})
	done := object{"call_id": call.ID, "arguments": call.Args}
	if !c.s.Beta { // the beta tells the name in the item alone
		done["name"] = call.Name
	}
	p.send("response.function_call_arguments.done", it, done)
	p.send("response.output_item.done", it, object{"item": object{"id": it.ID}})
}
