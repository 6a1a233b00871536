package testkit

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/patchcord/patchcord/llm"
)

// Realtime is a speech-to-speech model that does as a test tells it, and
// refuses what a real one refuses. It speaks 15 characters a second, ten times
// as fast as they are heard.
type Realtime struct {
	// Answer is what it says to the n-th response it is asked for, from 0. nil:
	// "Hello."
	Answer func(n int, r llm.Respond) RealtimeAnswer
	Open   time.Duration // how long it takes to connect
	// Anonymous responses do not say who asked for them.
	Anonymous bool

	mu       sync.Mutex // guards what follows
	err      error      // of Connect
	sessions []*realtimeSession
	log      []llm.RealtimeCommand
	refused  []string
	options  llm.RealtimeOptions
	asked, n int
}

// RealtimeAnswer is a response.
type RealtimeAnswer struct {
	Text  string
	Calls []llm.ToolCall
	First time.Duration
	Hang  bool // it goes no further than First, until it is cancelled
	Deaf  bool // cancelling does not end it either
	Fail  string
}

// RealtimeItem is an item of its conversation that it spoke or called.
type RealtimeItem struct {
	ID    string
	Sound time.Duration
	Call  string // the call's id
}

type realtimeSession struct {
	r      *Realtime
	ctx    context.Context //nolint:containedctx // the session's own, from Connect
	cancel context.CancelFunc
	events chan llm.RealtimeEvent
	wg     sync.WaitGroup
	once   sync.Once
	err    error // written before events is closed

	mu     sync.Mutex // guards what follows
	active string
	stop   context.CancelFunc
	items  []*RealtimeItem
}

// Fail lets it refuse to connect from now on; nil ends that.
func (r *Realtime) Fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = err
}

// Log is all commands of all sessions.
func (r *Realtime) Log() []llm.RealtimeCommand {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.log)
}

// Refused are the commands it did not take, with why.
func (r *Realtime) Refused() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.refused)
}

// Options are those of the last session, Sessions how many there were.
func (r *Realtime) Options() llm.RealtimeOptions {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.options
}

// Sessions is how many there were.
func (r *Realtime) Sessions() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.sessions)
}

func (r *Realtime) last() *realtimeSession {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sessions[len(r.sessions)-1]
}

// Items are what the last session keeps of what it said.
func (r *Realtime) Items() []RealtimeItem {
	s := r.last()
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]RealtimeItem, 0, len(s.items))
	for _, it := range s.items {
		out = append(out, *it)
	}
	return out
}

// Give lets the last session say something.
func (r *Realtime) Give(evs ...llm.RealtimeEvent) {
	for _, ev := range evs {
		r.last().give(ev)
	}
}

// Turn lets the caller have said something: a voice of d from now on, its turn,
// and its words 300 ms later ("" is not understood).
func (r *Realtime) Turn(words string, d time.Duration) {
	r.mu.Lock()
	r.n++
	item := fmt.Sprintf("user%d", r.n)
	r.mu.Unlock()
	s := r.last()
	s.wg.Go(func() {
		for _, step := range []struct {
			after time.Duration
			evs   []llm.RealtimeEvent
		}{
			{0, []llm.RealtimeEvent{{Kind: llm.VoiceBegan}}},
			{d, []llm.RealtimeEvent{{Kind: llm.VoiceEnded}, {Kind: llm.TurnEnded, Item: item}}},
			{300 * time.Millisecond, []llm.RealtimeEvent{{Kind: llm.TurnWords, Item: item, Text: words}}},
		} {
			if !s.wait(s.ctx, step.after) {
				return
			}
			for _, ev := range step.evs {
				s.give(ev)
			}
		}
	})
}

// Cut ends the last session, as a connection that drops.
func (r *Realtime) Cut(err error) { r.last().end(err) }

// Connect implements [llm.Realtime].
func (r *Realtime) Connect(ctx context.Context, o llm.RealtimeOptions) (llm.RealtimeSession, error) {
	select {
	case <-time.After(r.Open):
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return nil, r.err
	}
	s := &realtimeSession{r: r, events: make(chan llm.RealtimeEvent, 64)} // more than ever wait
	s.ctx, s.cancel = context.WithCancel(ctx)
	r.options, r.sessions = o, append(r.sessions, s)
	return s, nil
}

func (s *realtimeSession) wait(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

func (s *realtimeSession) give(ev llm.RealtimeEvent) {
	if s.ctx.Err() != nil {
		return
	}
	select {
	case <-s.ctx.Done():
	case s.events <- ev:
	}
}

var errSession = errors.New("the session is over")

func (s *realtimeSession) Send([]int16) error {
	if s.ctx.Err() != nil {
		return errSession
	}
	return nil
}

func (s *realtimeSession) Events() <-chan llm.RealtimeEvent { return s.events }
func (s *realtimeSession) Err() error                       { return s.err }

func (s *realtimeSession) Close() error {
	s.end(nil)
	return nil
}

func (s *realtimeSession) end(err error) {
	s.once.Do(func() {
		s.cancel()
		s.wg.Wait()
		s.err = err
		close(s.events)
	})
}

func (s *realtimeSession) refuse(id, code, why string) {
	s.r.mu.Lock()
	s.r.refused = append(s.r.refused, code+": "+why)
	s.r.mu.Unlock()
	s.give(llm.RealtimeEvent{Kind: llm.Refused, ID: id, Code: code, Err: errors.New(why)})
}

// Do implements [llm.RealtimeSession].
func (s *realtimeSession) Do(c llm.RealtimeCommand) error {
	if s.ctx.Err() != nil {
		return errSession
	}
	s.r.mu.Lock()
	s.r.log = append(s.r.log, c)
	s.r.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	find := func(id string) int {
		return slices.IndexFunc(s.items, func(it *RealtimeItem) bool { return it.ID == id })
	}
	switch c := c.(type) {
	case llm.Respond:
		if s.active != "" {
			s.refuse(c.ID, llm.CodeActive, s.active)
			return nil
		}
		s.begin(c)
	case llm.CancelResponse:
		if s.active == "" || c.Response != "" && c.Response != s.active {
			s.refuse(c.ID, llm.CodeNotActive, c.Response)
			return nil
		}
		s.stop()
	case llm.Truncate:
		switch i := find(c.Item); {
		case i < 0:
			s.refuse(c.ID, "item_truncate_invalid_item_id", c.Item)
		case s.items[i].Call != "":
			s.refuse(c.ID, "unsupported_content_type", c.Item)
		case c.End <= 0 || c.End > s.items[i].Sound:
			s.refuse(c.ID, "invalid_value", fmt.Sprintf("%v of %v", c.End, s.items[i].Sound))
		default:
			s.items[i].Sound = c.End
		}
	case llm.DeleteItem:
		i := find(c.Item)
		if i < 0 {
			s.refuse(c.ID, "item_delete_invalid_item_id", c.Item)
			return nil
		}
		s.items = slices.Delete(s.items, i, i+1)
	case llm.AddMessage:
		for _, call := range c.Message.ToolCalls {
			s.items = append(s.items, &RealtimeItem{ID: "added-" + call.ID, Call: call.ID})
		}
		if id := c.Message.ToolCallID; c.Message.Role == llm.ToolRole &&
			!slices.ContainsFunc(s.items, func(it *RealtimeItem) bool { return it.Call == id }) {
			s.refuse(c.ID, "invalid_tool_call_id", id)
		}
	case llm.Instruct:
	}
	return nil
}

// begin starts a response.
func (s *realtimeSession) begin(c llm.Respond) {
	s.r.mu.Lock()
	n, answer := s.r.asked, s.r.Answer
	s.r.asked++
	s.r.mu.Unlock()
	s.active = fmt.Sprintf("resp%d", n)
	ctx, stop := context.WithCancel(s.ctx)
	s.stop = stop
	a := RealtimeAnswer{Text: "Hello."}
	if answer != nil {
		a = answer(n, c)
	}
	if c.Exactly != "" && answer == nil {
		a.Text = c.Exactly
	}
	id := s.active
	s.wg.Go(func() {
		defer stop()
		began := llm.RealtimeEvent{Kind: llm.ResponseBegan, Response: id, ID: c.ID}
		if s.r.Anonymous {
			began.ID = ""
		}
		s.give(began)
		end := s.perform(ctx, id, a)
		s.mu.Lock()
		s.active = ""
		s.mu.Unlock()
		s.give(llm.RealtimeEvent{Kind: llm.ResponseDone, Response: id, Finish: end, Text: a.Fail})
	})
}

func (s *realtimeSession) add(it *RealtimeItem) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.items = append(s.items, it)
}

func (s *realtimeSession) perform(ctx context.Context, id string, a RealtimeAnswer) string {
	if !s.wait(ctx, a.First) {
		return "cancelled"
	}
	if a.Hang {
		if a.Deaf {
			ctx = s.ctx
		}
		<-ctx.Done()
		return "cancelled"
	}
	if a.Text != "" {
		it := &RealtimeItem{ID: "item-" + id}
		s.add(it)
		s.give(llm.RealtimeEvent{Kind: llm.ItemBegan, Response: id, Item: it.ID})
		words, told := strings.SplitAfter(a.Text, " "), 0
		for left := len(a.Text) * 8000 / 15; left > 0; {
			n := min(left, 800)
			left -= n
			s.mu.Lock()
			it.Sound += time.Duration(n) * time.Second / 8000
			said := int(it.Sound.Seconds() * 15)
			s.mu.Unlock()
			for ; told < len(words) && len(strings.Join(words[:told], "")) <= said; told++ {
				s.give(llm.RealtimeEvent{Kind: llm.SpokenWords, Response: id, Item: it.ID, Text: words[told]})
			}
			pcm := make([]int16, n)
			for i := range pcm {
				pcm[i] = int16(8000 * math.Cos(2*math.Pi*400*float64(i)/8000))
			}
			s.give(llm.RealtimeEvent{Kind: llm.Spoken, Response: id, Item: it.ID, PCM: pcm})
			if !s.wait(ctx, 10*time.Millisecond) {
				return "cancelled"
			}
		}
	}
	if a.Fail != "" {
		return "failed"
	}
	for i, call := range a.Calls {
		it := &RealtimeItem{ID: fmt.Sprintf("call%d-%s", i, id), Call: call.ID}
		s.add(it)
		s.give(llm.RealtimeEvent{Kind: llm.ItemBegan, Response: id, Item: it.ID, Call: llm.ToolCall{Name: call.Name}})
		s.give(llm.RealtimeEvent{Kind: llm.CallReady, Response: id, Item: it.ID, Call: call})
	}
	return "completed"
}
