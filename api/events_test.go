package api

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/patchcord/patchcord/engine"
	"github.com/patchcord/patchcord/telephony"
)

// watcher reads a stream of events.
type watcher struct {
	t   testing.TB
	res *http.Response
	r   *bufio.Reader
}

func (f *fixture) watch(path string, header ...string) *watcher {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), 20*time.Second)
	f.t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.http.URL+path, nil)
	if err != nil {
		f.t.Fatal(err)
	}
	req.Header.Set("X-API-Key", f.key)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = res.Body.Close() })
	return &watcher{f.t, res, bufio.NewReader(res.Body)}
}

// next is the next event as "name id data", "" at the end.
func (w *watcher) next() string {
	w.t.Helper()
	name, id, data := "", "", ""
	for {
		line, err := w.r.ReadString('\n')
		if err != nil {
			return ""
		}
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch key {
		case "event":
			name = value
		case "id":
			id = value
		case "data":
			data = value
		case "":
			if name != "" {
				var e struct {
					Event string `json:"event"`
				}
				if err := json.Unmarshal([]byte(data), &e); err != nil || e.Event != name {
					w.t.Errorf("event %s with data %s", name, data)
				}
				return strings.TrimSpace(name + " " + id)
			}
		}
	}
}

func TestACallIsWatchedFromItsFirstEventToItsLast(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	id, other := f.started("support"), f.started("support")
	f.event(id, 1, "call.started")
	f.event(id, 2, "call.answered")
	w := f.watch("/v1/calls/" + string(id) + "/events")
	if ct := w.res.Header.Get("Content-Type"); ct != "text/event-stream" {
		t.Errorf("content type %s", ct)
	}
	want := []string{"call.started 1", "call.answered 2"}
	for seq := 3; seq <= 40; seq++ {
		f.event(id, seq, "rtp.stats")
		f.event(other, seq, "rtp.stats")
		want = append(want, fmt.Sprintf("rtp.stats %d", seq))
	}
	f.event(id, 41, "call.ended")
	want = append(want, "call.ended 41", "")
	for _, ev := range want {
		if got := w.next(); got != ev {
			t.Fatalf("got %q, want %q", got, ev)
		}
	}
	f.ended(id, "support", "")
	again := f.watch("/v1/calls/"+string(id)+"/events", "Last-Event-ID", "39")
	for _, ev := range []string{"rtp.stats 40", "call.ended 41", ""} {
		if got := again.next(); got != ev {
			t.Fatalf("after 39: got %q, want %q", got, ev)
		}
	}
	if w := f.watch("/v1/calls/"+string(id)+"/events", "Last-Event-ID", "41"); w.res.StatusCode != 204 {
		t.Errorf("after the last: %d", w.res.StatusCode)
	}
	if w := f.watch("/v1/calls/"+string(id)+"/events", "Last-Event-ID", "x"); w.res.StatusCode != 422 {
		t.Errorf("%d", w.res.StatusCode)
	}
}

func TestAllCallsAreWatchedByFilter(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	a, b := f.started("support"), f.started("sales")
	all := f.watch("/v1/events?event=turn.,call.ended")
	one := f.watch("/v1/events?call_id=" + string(b))
	f.key = salesKey
	sales := f.watch("/v1/events")
	for _, id := range []telephony.CallID{a, b} {
		f.event(id, 1, "call.started")
		f.event(id, 2, "turn.user", engine.F("text", "Hi"))
		f.event(id, 3, "call.ended")
	}
	for name, tc := range map[string]struct {
		w    *watcher
		want []string
	}{
		"by name":    {all, []string{"turn.user", "call.ended", "turn.user", "call.ended"}},
		"by call":    {one, []string{"call.started", "turn.user", "call.ended"}},
		"by the key": {sales, []string{"call.started", "turn.user", "call.ended"}},
	} {
		for _, want := range tc.want {
			if got := tc.w.next(); got != want {
				t.Fatalf("%s: got %q, want %q", name, got, want)
			}
		}
	}
	f.srv.endStreams()
	if got := all.next(); got != "stream.closed" {
		t.Errorf("at the end: %q", got)
	}
}

func TestAReaderThatDoesNotKeepUpIsCut(t *testing.T) {
	t.Parallel()
	h := NewHub()
	slow := h.Subscribe("", 2, func(Message) bool { return true })
	fast := h.Subscribe("", 10, func(Message) bool { return true })
	for seq := range 5 {
		h.Event(engine.Event{CallID: "a", Seq: seq, Name: "x"}) // must not block
	}
	n := 0
	for range slow.C {
		n++
	}
	if n != 2 || !slow.Cut() || fast.Cut() || len(fast.C) != 5 {
		t.Errorf("%d messages, cut %v; the fast one has %d", n, slow.Cut(), len(fast.C))
	}
	slow.Close()
	fast.Close()
}
