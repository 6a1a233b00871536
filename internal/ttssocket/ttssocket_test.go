package ttssocket

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/audio/tts"
)

// pipes is a network of two ends in memory, which a bubble's clock can wait for.
type pipes struct {
	conns chan net.Conn // none waits: the server accepts at once
	done  chan struct{}
	once  sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error { p.once.Do(func() { close(p.done) }); return nil }

func (p *pipes) Addr() net.Addr { return &net.IPAddr{} }

// vendor asks by one message and is answered by one of each kind.
type vendor struct{}

type line struct {
	Ask, Cancel, ID, End string
	Sound                []byte
	Fault                string
}

func (vendor) Address(tts.Request) (string, audio.Format) {
	return "ws://voice.test/", audio.Format{Encoding: audio.MuLaw, Rate: 8000}
}

func (vendor) Ask(id string, r tts.Request) ([][]byte, error) {
	if r.Text == "refused" {
		return nil, errors.New("too long")
	}
	b, err := json.Marshal(line{Ask: r.Text, ID: id})
	return [][]byte{b}, err
}

func (vendor) Cancel(id string) []byte {
	b, _ := json.Marshal(line{Cancel: "yes", ID: id})
	return b
}

func (vendor) Bye() []byte { return []byte(`{"End":"bye"}`) }

func (vendor) Read(_ int, data []byte) (m Message, err error) {
	var l line
	if err := json.Unmarshal(data, &l); err != nil {
		return m, err
	}
	m.ID, m.Sound = l.ID, l.Sound
	switch l.End {
	case "done":
		m.End = Done
	case "cancelled":
		m.End = Cancelled
	}
	if l.Fault != "" {
		m.Err = &tts.Error{Op: "read", Err: errors.New(l.Fault)}
	}
	return m, nil
}

// peer is a vendor's server: answer gets each message, with the number of its
// connection.
type peer struct {
	answer func(n int, l line, say func(line)) bool // false: hang up
	dials  atomic.Int32
	byes   atomic.Int32
}

func (p *peer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ws, err := (&websocket.Upgrader{}).Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer ws.Close()
	n := int(p.dials.Add(1))
	for {
		var l line
		if ws.ReadJSON(&l) != nil {
			return
		}
		if l.End == "bye" {
			p.byes.Add(1)
			continue
		}
		if !p.answer(n, l, func(l line) { _ = ws.WriteJSON(l) }) {
			return
		}
	}
}

var config = Config{
	Name: "test", Key: "a-secret", Sentences: 2, Idle: time.Minute, Age: time.Hour, Pause: 10 * time.Second,
}

func open(t *testing.T, c Config, h http.Handler) *Pool {
	t.Helper()
	network := &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
	web := &http.Server{Handler: h}
	go func() { _ = web.Serve(network) }() // ends with network
	p := New(c, vendor{})
	p.dialer.Proxy = nil
	p.dialer.NetDialContext = func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		network.conns <- theirs
		return ours, nil
	}
	t.Cleanup(func() {
		_ = p.Close()
		_ = web.Close()
	})
	return p
}

// say speaks a sentence and reports how many samples there were.
func say(t *testing.T, p *Pool, text string) (int, error) {
	t.Helper()
	st, err := p.Synthesize(t.Context(), tts.Request{Text: text})
	if err != nil {
		return 0, err
	}
	defer st.Close()
	n := 0
	for {
		c, err := st.Next()
		if err != nil {
			return n, err
		}
		n += len(c.PCM)
	}
}

// speaks answers every sentence at once.
func speaks(_ int, l line, say func(line)) bool {
	if l.Ask != "" {
		say(line{ID: l.ID, Sound: make([]byte, 80)})
		say(line{ID: l.ID, Sound: make([]byte, 80)})
		say(line{ID: l.ID, End: "done"})
	}
	return true
}

func TestConnectionsAreKeptAndGivenUpIdle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := &peer{answer: speaks}
		p := open(t, config, srv)
		for range 5 {
			if n, err := say(t, p, "hello"); n != 160 || !errors.Is(err, io.EOF) {
				t.Fatalf("%d samples, %v", n, err)
			}
			time.Sleep(50 * time.Second)
		}
		if n := srv.dials.Load(); n != 1 {
			t.Errorf("%d connections for sentences 50 s apart", n)
		}
		time.Sleep(15 * time.Second)
		if n := srv.byes.Load(); n != 1 {
			t.Errorf("%d goodbyes after an idle minute", n)
		}
		if n, err := say(t, p, "hello"); n != 160 || !errors.Is(err, io.EOF) {
			t.Errorf("after it: %d samples, %v", n, err)
		}
	})
}

// A connection that died unused costs no sentence: it is asked for again.
func TestStaleConnectionCostsNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := &peer{}
		srv.answer = func(n int, l line, say func(line)) bool {
			return (n != 1 || l.Ask != "second") && speaks(n, l, say)
		}
		p := open(t, config, srv)
		for _, text := range []string{"first", "second", "third"} {
			if n, err := say(t, p, text); n != 160 || !errors.Is(err, io.EOF) {
				t.Fatalf("%s: %d samples, %v", text, n, err)
			}
		}
		srv.answer = func(int, line, func(line)) bool { return false }
		var e *tts.Error
		if _, err := say(t, p, "fourth"); !errors.As(err, &e) || !e.Temporary {
			t.Errorf("a vendor that always hangs up: %v", err)
		}
		if n := srv.dials.Load(); n != 3 {
			t.Errorf("%d connections", n)
		}
	})
}

// A peer that is gone without a word is noticed after 15 s.
func TestDeadConnectionIsNoticed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		over := make(chan struct{})
		c := config
		c.Pause = time.Minute
		p := open(t, c, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ws, err := (&websocket.Upgrader{}).Upgrade(w, r, nil)
			if err != nil {
				return
			}
			defer ws.Close()
			go func() { // takes what comes, and says nothing: no answer to pings either
				ws.SetPingHandler(func(string) error { return nil })
				for {
					if _, _, err := ws.ReadMessage(); err != nil {
						return
					}
				}
			}()
			<-over
		}))
		begun := time.Now()
		var e *tts.Error
		if _, err := say(t, p, "hello"); !errors.As(err, &e) || !e.Temporary || !strings.Contains(err.Error(), "dead") {
			t.Errorf("got %v", err)
		}
		if took := time.Since(begun); took != deadAfter {
			t.Errorf("noticed after %v, want %v", took, deadAfter)
		}
		close(over)
	})
}

func TestSentencesHaveTheirPlaces(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var asked, cancelled atomic.Int32
		srv := &peer{answer: func(_ int, l line, say func(line)) bool {
			if l.Ask != "" {
				asked.Add(1)
				say(line{ID: l.ID, Sound: make([]byte, 80)}) // and no end
			}
			if l.Cancel != "" {
				cancelled.Add(1)
			}
			return true
		}}
		p := open(t, config, srv)
		var streams []tts.Stream
		for range 3 {
			st, err := p.Synthesize(t.Context(), tts.Request{Text: "hello"})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := st.Next(); err != nil {
				t.Fatal(err)
			}
			streams = append(streams, st)
		}
		if n := srv.dials.Load(); n != 2 {
			t.Errorf("%d connections for three sentences, two each", n)
		}
		_ = streams[0].Close()
		st, err := p.Synthesize(t.Context(), tts.Request{Text: "hello"}) // beside the third
		if err != nil {
			t.Fatal(err)
		}
		defer st.Close()
		if n := srv.dials.Load(); n != 2 {
			t.Errorf("%d connections: the place of a sentence given up was taken, or none looked for", n)
		}
		_ = streams[1].Close()
		time.Sleep(cancelWait + 2*time.Second) // the first connection's two are given up and do not end
		if n := cancelled.Load(); n != 2 {
			t.Errorf("%d cancelled", n)
		}
		if n := srv.byes.Load(); n != 1 {
			t.Errorf("%d goodbyes: a connection whose sentences do not end is closed", n)
		}
		_ = streams[2].Close()
	})
}

// What the vendor says too late, of nobody, or of what it refuses.
func TestOddAnswers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := &peer{answer: func(_ int, l line, say func(line)) bool {
			switch l.Ask {
			case "silent":
				say(line{ID: l.ID, End: "done"})
			case "fault":
				say(line{ID: "nobody", Sound: make([]byte, 80)})
				say(line{ID: l.ID, Fault: "no such voice a-secret " + strings.Repeat("x", 1000)})
			case "all":
				say(line{Fault: "the account is closed"})
			}
			return true
		}}
		p := open(t, config, srv)
		for text, want := range map[string]string{
			"silent": "no sound came", "fault": "no such voice [redacted]", "slow": "no sound came in time: 10s",
			"all": "the account is closed", "refused": "too long", "…": "nothing to say",
		} {
			_, err := say(t, p, text)
			var e *tts.Error
			if !errors.As(err, &e) || !strings.Contains(err.Error(), want) || len(err.Error()) > 400 {
				t.Errorf("%s: %v", text, err)
			}
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		st, err := p.Synthesize(ctx, tts.Request{Text: "slow"})
		if err != nil {
			t.Fatal(err)
		}
		over := errors.New("the caller interrupts")
		cancel(over)
		if _, err := st.Next(); !errors.Is(err, over) {
			t.Errorf("after the end of the context: %v", err)
		}
		st, err = p.Synthesize(t.Context(), tts.Request{Text: "slow"})
		if err != nil {
			t.Fatal(err)
		}
		_ = p.Close()
		if _, err := st.Next(); !errors.Is(err, errGone) {
			t.Errorf("after the end of the provider: %v", err)
		}
		if _, err := p.Synthesize(t.Context(), tts.Request{Text: "slow"}); !errors.Is(err, errGone) {
			t.Errorf("a new sentence: %v", err)
		}
	})
}

// A word's mark lies behind it and its punctuation, whatever the vendor leaves
// out or says otherwise.
func TestMarks(t *testing.T) {
	t.Parallel()
	const text = "Well, it's 3.14 — okay?"
	for _, c := range []struct {
		pieces []string
		want   []string
	}{
		{[]string{"Well", "it's", "3.14", "okay"}, []string{"Well,", "it's", "3.14", "okay?"}},
		{[]string{"Well,", "its", "3.14", "okay?"}, []string{"Well,", "3.14", "okay?"}},
		{[]string{"W", "e", "l", "l", ",", " ", "i", "t"}, []string{"Well,"}},
		{[]string{"okay", "Well"}, []string{"okay?"}},
	} {
		s := &stream{request: tts.Request{Text: text}}
		var got []string
		for _, p := range c.pieces {
			if s.mark(p) {
				words := strings.Fields(text[:s.at])
				got = append(got, words[len(words)-1])
			}
		}
		if strings.Join(got, "|") != strings.Join(c.want, "|") {
			t.Errorf("%q: %q, want %q", c.pieces, got, c.want)
		}
	}
}

// TestFullSentenceIsBounded: what comes for a reader that is elsewhere ends at
// a bound, by sound and by number, and tells so when he is back.
func TestFullSentenceIsBounded(t *testing.T) {
	t.Parallel()
	for name, sound := range map[string]int{"much": 1 << 20, "many": 1} {
		p := New(config, vendor{})
		s := newStream(t.Context(), p, tts.Request{Text: "hello"})
		for range 2 * maxMessages {
			s.put(Message{Sound: make([]byte, sound)})
			if sound > 1 && s.waiting > 4*maxWaiting {
				break
			}
		}
		bytes := 0
		for _, m := range s.queue {
			bytes += len(m.Sound)
		}
		if n := len(s.queue); n > maxMessages+1 || bytes > maxWaiting || !errors.Is(s.queue[n-1].Err, errFull) {
			t.Errorf("%s: %d messages of %d bytes wait", name, n, bytes)
		}
		if sound > 1 && len(s.queue) != maxWaiting/sound+1 {
			t.Errorf("%s: %d messages wait", name, len(s.queue))
		}
		s.stop()
	}
}
