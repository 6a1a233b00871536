package realtime

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/internal/testkit/realtimeserver"
	"github.com/patchcord/patchcord/llm"
)

// connect is a session with a handler, inside of a bubble.
func connect(t *testing.T, h http.Handler) (llm.RealtimeSession, error) {
	t.Helper()
	pipe := realtimeserver.NewPipe()
	web := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	go func() { _ = web.Serve(pipe) }() // ends with the pipe
	t.Cleanup(func() { _ = web.Close() })
	p, err := New(Server{BaseURL: "ws://realtime.test/v1/realtime", Model: "m"}, Dialect{
		Name: "test", PCMRate: func(int) int { return 24000 },
		Session: func(llm.RealtimeOptions, string, int) any { return map[string]any{"type": "realtime"} },
		Respond: func(llm.Respond) map[string]any { return map[string]any{"type": "response.create"} },
	})
	if err != nil {
		t.Fatal(err)
	}
	p.Dialer.Proxy = nil
	p.Dialer.NetDialContext = func(context.Context, string, string) (net.Conn, error) { return pipe.Dial() }
	return p.Connect(t.Context(), llm.RealtimeOptions{Format: audio.Format{Encoding: audio.MuLaw, Rate: 8000}})
}

// TestDeadConnectionIsNoticed: a peer that is gone without a FIN is noticed
// after 15 s (half-open sockets).
func TestDeadConnectionIsNoticed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		over := make(chan struct{})
		s, err := connect(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			conn, err := (&websocket.Upgrader{}).Upgrade(w, r, nil)
			if err != nil {
				return
			}
			defer conn.Close()
			conn.SetPingHandler(func(string) error { return nil })
			_ = conn.WriteMessage(websocket.TextMessage, []byte(`{"type":"session.updated"}`))
			go func() { // takes what comes, and says nothing: no answer to pings either
				for {
					if _, _, err := conn.ReadMessage(); err != nil {
						return
					}
				}
			}()
			<-over
		}))
		if err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		for range s.Events() { //nolint:revive // until they end
		}
		if took := time.Since(begun); took != deadAfter {
			t.Errorf("noticed after %v, want %v", took, deadAfter)
		}
		var e *llm.Error
		if err := s.Err(); !errors.As(err, &e) || !e.Temporary || !strings.Contains(err.Error(), "dead") {
			t.Errorf("got %v", err)
		}
		_ = s.Close()
		close(over)
	})
}

// TestQuietSessionIsKept: pings and their answers are enough.
func TestQuietSessionIsKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, err := connect(t, &realtimeserver.Server{})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Minute)
		if err := s.Send(make([]int16, 160)); err != nil {
			t.Error(err)
		}
		_ = s.Close()
	})
}

// TestServerThatNeverTakesTheSettings is given up.
func TestServerThatNeverTakesTheSettings(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		over := make(chan struct{})
		begun := time.Now()
		_, err := connect(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			conn, err := (&websocket.Upgrader{}).Upgrade(w, r, nil)
			if err != nil {
				return
			}
			defer conn.Close()
			_, _, _ = conn.ReadMessage()
			<-over
		}))
		var e *llm.Error
		if took := time.Since(begun); !errors.As(err, &e) || !errors.Is(err, errSetting) || !e.Temporary ||
			took > settingWait+byeWait {
			t.Errorf("got %v after %v", err, took)
		}
		close(over)
	})
}
