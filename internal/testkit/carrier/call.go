package carrier

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/audio/codec"
	"github.com/patchcord/patchcord/telephony"
)

// Call is a caller of the carrier's whose call is up: a leg, seen from there.
// Connect joins the caller's ear and mouth.
type Call struct {
	c      *Carrier
	ws     *websocket.Conn
	stream string
	info   telephony.Info
	events chan telephony.Event // 16: more than a test has waiting
	over   chan struct{}
	done   chan struct{} // closed when both goroutines have returned
	enc    codec.Codec
	dec    codec.Codec

	writeMu sync.Mutex // guards ws for writing, and seq
	seq     int

	mu      sync.Mutex // guards what follows
	sink    audio.Sink
	source  audio.Source
	buffer  []item
	tally   Tally
	ended   bool
	mute    bool // nothing is sent
	dropped int  // chunks that are to be left out
}

// item is sound or a mark in the carrier's buffer.
type item struct {
	pcm  []int16
	mark string
}

// Tally is what a carrier saw of a stream.
type Tally struct {
	Media, Marks, Clears int           // messages that came
	Played               time.Duration // sound that the caller heard
	Cleared              time.Duration // sound that a clear took away
	Most                 time.Duration // that was in the buffer at a time
	Unknown              []string      // messages that a carrier does not take
}

var _ telephony.Leg = (*Call)(nil)

// Call asks for instructions, and opens the stream they name.
func (c *Carrier) Call(ctx context.Context, from, to string) (*Call, error) {
	id := name("CA")
	if c.Kind == Telnyx {
		id = name("v3:")
	}
	stream, codec, err := c.Ask(ctx, c.Form(id, from, to))
	if err != nil {
		return nil, err
	}
	ws, err := c.Open(ctx, stream)
	if err != nil {
		return nil, err
	}
	return c.Begin(ws, id, codec, from, to)
}

func name(prefix string) string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return prefix + hex.EncodeToString(b[:])
}

// Begin sends the start of a stream that is open and lets the call run.
func (c *Carrier) Begin(ws *websocket.Conn, id, codecName, from, to string) (*Call, error) {
	spec, ok := codec.Lookup(codecName)
	if !ok {
		return nil, errors.New("the fake carrier has no " + codecName)
	}
	l := &Call{
		c: c, ws: ws, stream: name("MZ"), events: make(chan telephony.Event, 16), over: make(chan struct{}),
		done: make(chan struct{}), enc: spec.New(), dec: spec.New(),
		info: telephony.Info{
			ID: telephony.CallID(id), Direction: telephony.Outbound, From: from, To: to, Transport: string(c.Kind),
			Codec: spec.Name, Format: spec.Format(),
		},
	}
	var err error
	switch c.Kind {
	case Twilio:
		err = errors.Join(
			ws.WriteJSON(object{"event": "connected", "protocol": "Call", "version": "1.0.0"}),
			l.send("start", object{
				"streamSid": l.stream, "accountSid": c.AccountSID, "callSid": id, "tracks": []string{"inbound"},
				"customParameters": object{},
				"mediaFormat":      object{"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
			}))
	case Telnyx:
		err = errors.Join(
			ws.WriteJSON(object{"event": "connected", "version": "1.0.0"}),
			l.send("start", object{
				"user_id": c.AccountSID, "call_control_id": name("v3:"), "from": from, "to": to,
				"media_format": object{"encoding": spec.Name, "sample_rate": spec.ClockRate, "channels": 1},
			}))
	}
	if err != nil {
		ws.Close()
		return nil, err
	}
	var wg sync.WaitGroup
	wg.Go(l.read)
	wg.Go(l.play)
	go func() {
		wg.Wait()
		close(l.done)
	}()
	return l, nil
}

type object map[string]any

// send sends an event with its part.
func (l *Call) send(event string, part object) error {
	l.writeMu.Lock()
	defer l.writeMu.Unlock()
	l.seq++
	o := object{"event": event, event: part}
	if l.c.Kind == Twilio {
		o["sequenceNumber"], o["streamSid"] = strconv.Itoa(l.seq), l.stream
	} else {
		o["sequence_number"], o["stream_id"] = strconv.Itoa(l.seq), l.stream
	}
	return l.ws.WriteJSON(o)
}

// read takes what the other end sends.
func (l *Call) read() {
	defer l.end(telephony.Cause{Reason: telephony.ReasonNormal, Remote: true})
	for {
		_, b, err := l.ws.ReadMessage()
		if err != nil {
			return
		}
		var m struct {
			Event     string `json:"event"`
			StreamSID string `json:"streamSid"`
			Media     struct {
				Payload []byte `json:"payload"`
			} `json:"media"`
			Mark struct {
				Name string `json:"name"`
			} `json:"mark"`
		}
		err = json.Unmarshal(b, &m)
		known := err == nil && (l.c.Kind != Twilio || m.StreamSID == l.stream)
		l.mu.Lock()
		var back []string
		switch {
		case known && m.Event == "media" && len(m.Media.Payload) > 0:
			spec := l.dec.Spec()
			pcm := make([]int16, spec.Samples(m.Media.Payload))
			l.buffer = append(l.buffer, item{pcm: pcm[:l.dec.Decode(pcm, m.Media.Payload)]})
			l.tally.Media++
			l.tally.Most = max(l.tally.Most, l.bufferedLocked())
		case known && m.Event == "mark" && m.Mark.Name != "":
			l.buffer = append(l.buffer, item{mark: m.Mark.Name})
			l.tally.Marks++
		case known && m.Event == "clear":
			l.tally.Clears++
			l.tally.Cleared += l.bufferedLocked()
			for _, it := range l.buffer {
				if it.mark != "" {
					back = append(back, it.mark)
				}
			}
			l.buffer = nil
		default:
			l.tally.Unknown = append(l.tally.Unknown, string(b))
		}
		l.mu.Unlock()
		for _, m := range back {
			_ = l.send("mark", object{"name": m}) // the next read tells
		}
	}
}

func (l *Call) bufferedLocked() time.Duration {
	n := 0
	for _, it := range l.buffer {
		n += len(it.pcm)
	}
	return audio.Duration(n, l.info.Format.Rate)
}

// play is the carrier's clock: it sends what the caller says, and plays to the
// caller what is in the buffer.
func (l *Call) play() {
	rate := l.info.Format.Rate
	out, in := make([]int16, audio.Samples(audio.FrameTime, rate)), make([]int16, audio.Samples(audio.FrameTime, rate))
	wire := make([]byte, l.enc.Spec().Bytes(len(in)))
	begun := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	chunks := max(1, int(l.c.Chunk/audio.FrameTime))
	var waiting []byte
	for n := 1; ; n++ {
		select {
		case <-timer.C:
		case <-l.over:
			return
		}
		l.mu.Lock()
		sink, source, mute := l.sink, l.source, l.mute
		sounds, back := l.playLocked(out)
		l.mu.Unlock()
		for _, m := range back {
			_ = l.send("mark", object{"name": m}) // the next read tells
		}
		at := time.Duration(n-1) * audio.FrameTime
		if sink != nil {
			sink.Hear(audio.Frame{PCM: out, Rate: rate, At: at, Lost: !sounds})
		}
		if source == nil || !source.Next(in) {
			clear(in)
		}
		waiting = append(waiting, wire[:l.enc.Encode(wire, in)]...)
		if n%chunks == 0 {
			l.mu.Lock()
			skip := l.dropped > 0
			l.dropped = max(0, l.dropped-1)
			l.mu.Unlock()
			first := at - time.Duration(chunks-1)*audio.FrameTime
			if !mute && !skip {
				_ = l.send("media", object{ // the next read tells
					"track": "inbound", "chunk": strconv.Itoa(n / chunks), "timestamp": strconv.FormatInt(first.Milliseconds(), 10),
					"payload": base64.StdEncoding.EncodeToString(waiting),
				})
			}
			waiting = waiting[:0]
		}
		timer.Reset(time.Until(begun.Add(time.Duration(n) * audio.FrameTime)))
	}
}

// playLocked plays 20 ms of the buffer, and gives the marks that were reached.
func (l *Call) playLocked(out []int16) (sounds bool, back []string) {
	n := 0
	for len(l.buffer) > 0 {
		it := &l.buffer[0]
		if it.mark != "" {
			back = append(back, it.mark)
			l.buffer = l.buffer[1:]
			continue
		}
		if n == len(out) {
			break
		}
		k := copy(out[n:], it.pcm)
		n += k
		if it.pcm = it.pcm[k:]; len(it.pcm) == 0 {
			l.buffer = l.buffer[1:]
		}
	}
	l.tally.Played += audio.Duration(n, l.info.Format.Rate)
	clear(out[n:])
	return n > 0, back
}

func (l *Call) end(c telephony.Cause) {
	l.mu.Lock()
	first := !l.ended
	l.ended = true
	l.mu.Unlock()
	if !first {
		return
	}
	close(l.over)
	l.ws.Close()
	l.events <- telephony.Ended{Cause: c}
	close(l.events)
}

// Tally is what was seen so far.
func (l *Call) Tally() Tally {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.tally
	t.Unknown = append([]string(nil), t.Unknown...)
	return t
}

// Mute lets nothing be sent any more, as a network that broke; or again.
func (l *Call) Mute(on bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mute = on
}

// Drop leaves out the next n chunks.
func (l *Call) Drop(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dropped = n
}

// Info is what the caller knows of the call.
func (l *Call) Info() telephony.Info { return l.info }

// Progress does nothing.
func (l *Call) Progress(context.Context, bool) error { return nil }

// Answer does nothing: the call is up.
func (l *Call) Answer(context.Context) error { return nil }

// Connect joins the caller's ear and mouth.
func (l *Call) Connect(in audio.Sink, out audio.Source) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sink, l.source = in, out
}

// Events has the end of the call.
func (l *Call) Events() <-chan telephony.Event { return l.events }

// SendDigits presses keys.
func (l *Call) SendDigits(_ context.Context, digits string, _ telephony.Tone) error {
	for _, d := range strings.Split(digits, "") {
		part := object{"digit": d}
		if l.c.Kind == Twilio {
			part["track"] = "inbound_track"
		}
		if err := l.send("dtmf", part); err != nil {
			return err
		}
	}
	return nil
}

// Hold is what no carrier does.
func (l *Call) Hold(context.Context, bool) error {
	return errors.New("a carrier's caller holds no call")
}

// Refer is what no carrier does.
func (l *Call) Refer(context.Context, telephony.ReferTo) error {
	return errors.New("a carrier's caller refers no call")
}

// Stats are those of a line without a fault.
func (l *Call) Stats() telephony.Stats { return telephony.Stats{MOS: 4.4} }

// Hangup is the caller's: the stream stops.
func (l *Call) Hangup(_ context.Context, c telephony.Cause) error {
	part := object{"accountSid": l.c.AccountSID, "callSid": string(l.info.ID)}
	if l.c.Kind == Telnyx {
		part = object{"user_id": l.c.AccountSID}
	}
	_ = l.send("stop", part) // it may be over already
	l.end(c)
	<-l.done
	return nil
}

// Break cuts the connection.
func (l *Call) Break() {
	l.ws.Close()
	<-l.done
}
