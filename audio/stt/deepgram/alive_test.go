package deepgram

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/audio/stt"
	"github.com/patchcord/patchcord/audio/stt/socket/sockettest"
)

// What audio/stt/socket promises.
const (
	keepAlive = 3 * time.Second
	deadAfter = 15 * time.Second
	byeWait   = 250 * time.Millisecond
)

// open is a stream to a handler, inside of a bubble.
func open(t *testing.T, h http.Handler) stt.Stream {
	t.Helper()
	network := sockettest.NewPipes(t, h)
	p, err := New(Config{BaseURL: "ws://deepgram.test", APIKey: key})
	if err != nil {
		t.Fatal(err)
	}
	p.dialer.Proxy = nil
	p.dialer.NetDialContext = network.Dial
	st, err := p.Open(t.Context(), stt.Options{Format: audio.Format{Encoding: audio.MuLaw, Rate: 8000}})
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// TestSilentCallIsKept: Deepgram hangs up after 10 s without anything.
func TestSilentCallIsKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newServer(nil)
		st := open(t, s)
		time.Sleep(time.Minute)
		if err := st.Send(make([]int16, 160)); err != nil {
			t.Errorf("after a silent minute: %v", err)
		}
		if n := s.Heard("KeepAlive"); n < 12 || n > 45 {
			t.Errorf("%d KeepAlive in a minute", n)
		}
		_ = st.Close()
		synctest.Wait()
		if s.Heard("CloseStream") != 1 {
			t.Error("CloseStream was not sent")
		}
	})
}

// TestDeadConnectionIsNoticed: a peer that is gone without a FIN is noticed
// after 15 s (half-open sockets).
func TestDeadConnectionIsNoticed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		over := make(chan struct{})
		st := open(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			conn, err := (&websocket.Upgrader{}).Upgrade(w, r, nil)
			if err != nil {
				return
			}
			defer conn.Close()
			go func() { // takes what comes, and says nothing: no answer to pings either
				conn.SetPingHandler(func(string) error { return nil })
				for {
					if _, _, err := conn.ReadMessage(); err != nil {
						return
					}
				}
			}()
			<-over
		}))
		begun := time.Now()
		for range st.Events() { //nolint:revive // until they end
		}
		if took := time.Since(begun); took != deadAfter {
			t.Errorf("noticed after %v, want %v", took, deadAfter)
		}
		var e *stt.Error
		if err := st.Err(); !errors.As(err, &e) || !e.Temporary || !strings.Contains(err.Error(), "dead") {
			t.Errorf("got %v", err)
		}
		_ = st.Close()
		close(over)
	})
}

// TestCloseDoesNotWaitForADeadPeer: a peer that takes nothing holds up what is
// just being written, for 2 s; Close ends it sooner.
func TestCloseDoesNotWaitForADeadPeer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		over := make(chan struct{})
		st := open(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			conn, err := (&websocket.Upgrader{}).Upgrade(w, r, nil)
			if err != nil {
				return
			}
			defer conn.Close()
			<-over // and never reads
		}))
		time.Sleep(keepAlive/2 + 100*time.Millisecond) // KeepAlive is being written
		begun := time.Now()
		_ = st.Close()
		if took := time.Since(begun); took > byeWait {
			t.Errorf("Close took %v, want at most %v", took, byeWait)
		}
		close(over)
	})
}
