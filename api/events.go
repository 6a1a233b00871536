package api

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/patchcord/patchcord/engine"
	"github.com/patchcord/patchcord/telephony"
)

const (
	// watchBuffer is how many events wait for one reader: about a minute of a
	// call, or a second of sixty.
	watchBuffer = 256
	// pageOfEvents is how many events one read of the history takes.
	pageOfEvents = 500
	// keepAlive keeps proxies from closing a quiet stream.
	keepAlive = 15 * time.Second
	// lookAgain is when who watches a call looks for events that were told before
	// the other nodes knew of the watcher.
	lookAgain = time.Second
	// patience is how long one write may wait for its reader.
	patience = 10 * time.Second
)

type callEventsInput struct {
	ID     string `path:"id" maxLength:"64" doc:"Id of the call"`
	LastID string `header:"Last-Event-ID" maxLength:"20" doc:"seq of the last event seen; the stream goes on after it"`
}

type eventsInput struct {
	CallID  string `query:"call_id" maxLength:"64"`
	AgentID string `query:"agent_id" maxLength:"255"`
	Event   string `query:"event" maxLength:"500" doc:"Names or their beginnings, with commas" example:"call,turn.user"`
}

// streamed describes a stream of events; every operation has its own.
func streamed() map[string]*huma.Response {
	return map[string]*huma.Response{"200": {
		Description: "Server-sent events: event is the name, id the seq, data the JSON object of docs/events.md",
		Content:     map[string]*huma.MediaType{"text/event-stream": {Schema: &huma.Schema{Type: "string"}}},
	}}
}

func (s *Server) events() {
	huma.Register(s.api, huma.Operation{
		OperationID: "watch-call", Method: http.MethodGet, Path: "/v1/calls/{id}/events",
		Summary: "The events of a call from its first on, live until it ends", Tags: []string{"calls"},
		Security: scope("calls:read"), Responses: streamed(),
	}, s.watchCall)
	huma.Register(s.api, huma.Operation{
		OperationID: "watch", Method: http.MethodGet, Path: "/v1/events", Summary: "The events of all calls, live",
		Tags: []string{"calls"}, Security: scope("calls:read"), Responses: streamed(),
	}, s.watch)
}

func (s *Server) watchCall(ctx context.Context, in *callEventsInput) (*huma.StreamResponse, error) {
	last := 0
	if in.LastID != "" {
		n, err := strconv.Atoi(in.LastID)
		if err != nil || n < 0 {
			return nil, fail(http.StatusUnprocessableEntity, "", "header.Last-Event-ID",
				"Last-Event-ID is the seq of an event.")
		}
		last = n
	}
	r, err := s.record(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return s.eventsOf(r, last, nil), nil
}

// eventsOf streams the events of a call after last; only makes of each what its
// reader may know, nil: nothing. Without it all is told.
func (s *Server) eventsOf(r engine.Record, last int, only func(name string, data []byte) []byte) *huma.StreamResponse {
	return &huma.StreamResponse{Body: func(hctx huma.Context) {
		// Watch first, then read what was before: nothing falls between.
		sub := s.cfg.Hub.Subscribe(r.ID, watchBuffer, func(Message) bool { return true })
		defer sub.Close()
		st := s.stream(hctx)
		st.only = only
		if r.Status == engine.StatusEnded {
			if events, err := s.cfg.Calls.Events(st.ctx, r.ID, last, 1); err == nil && len(events) == 0 {
				st.w.WriteHeader(http.StatusNoContent) // a browser's EventSource stops asking
				return
			}
		}
		st.begin()
		if last = s.history(st, r.ID, last); last < 0 {
			return
		}
		s.follow(st, sub, r.ID, last)
	}}
}

// history writes the kept events after last and gives the seq of the last
// written, -1 when the stream is over.
func (s *Server) history(st *stream, id telephony.CallID, last int) int {
	for {
		events, err := s.cfg.Calls.Events(st.ctx, id, last, pageOfEvents)
		if err != nil {
			st.end("error", "the events could not be read")
			return -1
		}
		for _, e := range events {
			if !st.event(strconv.Itoa(e.Seq), e.Name, e.Body) {
				return -1
			}
			last = e.Seq
			if e.Name == engine.EventCallEnded {
				return -1
			}
		}
		if len(events) < pageOfEvents {
			return last
		}
	}
}

// follow writes what happens, until the call ends. What another node's call told
// in vain is read from the store: when the next event shows that some are
// missing, and where none comes.
func (s *Server) follow(st *stream, sub *Subscription, id telephony.CallID, last int) {
	wait := keepAlive
	if s.cfg.Hub.elsewhere != nil {
		wait = lookAgain
	}
	for {
		m, ok := s.next(st, sub, wait)
		wait = keepAlive
		switch {
		case !ok:
			return
		case m.Name == "" && s.cfg.Hub.elsewhere != nil:
			if last = s.history(st, id, last); last < 0 {
				return
			}
			continue
		case m.Seq <= last:
			continue
		case m.Seq > last+1: // some came between the reading and the watching
			if last = s.missed(st, id, last, m.Seq); last < 0 {
				return
			}
			if m.Seq <= last {
				continue
			}
		}
		if !st.event(strconv.Itoa(m.Seq), m.Name, m.Body) || m.Name == engine.EventCallEnded {
			return
		}
		last = m.Seq
	}
}

// missed writes the kept events between last and next, as history does. Those of
// another node's call may not be kept yet.
func (s *Server) missed(st *stream, id telephony.CallID, last, next int) int {
	for tries := 0; ; tries++ {
		last = s.history(st, id, last)
		if last < 0 || last >= next-1 || s.cfg.Hub.elsewhere == nil || tries == missedTries {
			return last
		}
		select {
		case <-time.After(missedEvery):
		case <-s.closing:
		case <-st.ctx.Done():
			return -1
		}
	}
}

// How long missed waits for events that are not kept yet: 2 s.
const missedEvery, missedTries = 100 * time.Millisecond, 20

// next waits for a message; one without a name tells that there was none for so
// long, false that the stream is over.
func (s *Server) next(st *stream, sub *Subscription, wait time.Duration) (Message, bool) {
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case m, ok := <-sub.C:
		if !ok && sub.Cut() {
			st.end("stream.cut", "this reader did not keep up; ask again with Last-Event-ID")
		}
		return m, ok
	case <-t.C:
		return Message{}, st.write(": \n\n")
	case <-s.closing:
		st.end("stream.closed", "the server is shutting down")
		return Message{}, false
	case <-st.ctx.Done():
		return Message{}, false
	}
}

func (s *Server) watch(ctx context.Context, in *eventsInput) (*huma.StreamResponse, error) {
	who := caller(ctx)
	var names []string
	if in.Event != "" {
		names = strings.Split(in.Event, ",")
	}
	want := func(m Message) bool {
		return who.sees(m.Agent) &&
			(in.AgentID == "" || string(m.Agent) == in.AgentID) &&
			(names == nil || slices.ContainsFunc(names, func(n string) bool { return n != "" && strings.HasPrefix(m.Name, n) }))
	}
	return &huma.StreamResponse{Body: func(hctx huma.Context) {
		sub := s.cfg.Hub.Subscribe(telephony.CallID(in.CallID), watchBuffer, want)
		defer sub.Close()
		st := s.stream(hctx)
		st.begin()
		for {
			m, ok := s.next(st, sub, keepAlive)
			if !ok || m.Name != "" && !st.event("", m.Name, m.Body) {
				return
			}
		}
	}}, nil
}

// stream writes server-sent events to one reader.
type stream struct {
	ctx context.Context //nolint:containedctx // lives as long as the request
	w   http.ResponseWriter
	ctl *http.ResponseController
	// only is what its reader may know of an event, nil of one: nothing; nil: all.
	only func(name string, data []byte) []byte
}

func (s *Server) stream(hctx huma.Context) *stream {
	_, w := humago.Unwrap(hctx)
	st := &stream{ctx: hctx.Context(), w: w, ctl: http.NewResponseController(w)}
	_ = st.ctl.SetReadDeadline(time.Time{}) // the server's would end the request
	return st
}

func (st *stream) begin() {
	h := st.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no") // nginx
	st.w.WriteHeader(http.StatusOK)
	st.write(": \n\n") // headers reach the reader before the first event
}

// event writes one event and tells whether the reader is still there.
func (st *stream) event(id, name string, data []byte) bool {
	if st.only != nil && id != "" {
		if data = st.only(name, data); data == nil {
			return true
		}
	}
	if id != "" {
		id = "id: " + id + "\n"
	}
	return st.write(fmt.Sprintf("event: %s\n%sdata: %s\n\n", name, id, data))
}

// end tells why no more will come.
func (st *stream) end(name, why string) {
	st.event("", name, []byte(`{"event":`+strconv.Quote(name)+`,"message":`+strconv.Quote(why)+`}`))
}

func (st *stream) write(text string) bool {
	if err := st.ctl.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		return false
	}
	if _, err := io.WriteString(st.w, text); err != nil {
		return false
	}
	return st.ctl.Flush() == nil
}
