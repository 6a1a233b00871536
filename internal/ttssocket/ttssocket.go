// Package ttssocket is what the voices that speak over WebSockets share: the
// connections, kept open and shared by the sentences of all calls, and the
// stream that one sentence arrives in.
//
// It guarantees that no sentence waits for another's reader; that a connection
// never carries more sentences than its vendor takes, those given up counted
// until the vendor has ended them; that a sentence which met a connection that
// had died unused is asked for once more on a new one; that a peer which is
// gone without a word is noticed after 15 s; and that no error holds the key.
// Close waits for every goroutine.
package ttssocket

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/gorilla/websocket"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/audio/tts"
	"github.com/patchcord/patchcord/internal/dial"
	"github.com/patchcord/patchcord/internal/secret"
)

// Vendor is what only one vendor does.
type Vendor interface {
	// Address is where a sentence is spoken: all that is said in the URL. The
	// sentences of one address share connections. Format is how the sound comes.
	Address(r tts.Request) (string, audio.Format)
	// Ask are the messages that ask for a sentence.
	Ask(id string, r tts.Request) ([][]byte, error)
	// Cancel is the message that gives a sentence up, nil where there is none.
	Cancel(id string) []byte
	// Bye is the message that ends a connection, nil where there is none.
	Bye() []byte
	// Read is what a message of the vendor's means.
	Read(kind int, data []byte) (Message, error)
}

// Message is something a vendor said of a sentence.
type Message struct {
	ID    string // of the sentence; "": of the only one there is, or of all
	Sound []byte // in the format of the address
	Marks []Mark
	End   End
	Err   *tts.Error // of the sentence
	Note  string     // told with the next error
}

// Mark says when a piece of the text has sounded.
type Mark struct {
	Text  string        // as it stands in the request: a word, or a character
	End   time.Duration // since the beginning of the sentence, or of the message's sound
	Local bool          // of the message's sound
}

// End tells whether a sentence is over.
type End uint8

// The ends.
const (
	NotOver   End = iota
	Done          // all of it was said
	Cancelled     // it was given up
)

// Config of the connections to a vendor.
type Config struct {
	Name      string // of the provider, in errors
	Key       secret.Text
	Header    http.Header   // of every connection, the key in it
	Sentences int           // at a time over one connection
	PerMinute int           // … that begin within a minute, 0: any
	Idle      time.Duration // after which an unused connection is closed
	Age       time.Duration // after which one takes no more sentences
	Pause     time.Duration // of a sentence's sound, the wait for the first included, at most
	// Confirms tells that the vendor answers a Cancel, by a Cancelled: a Done
	// that crossed it does not end a sentence that was given up.
	Confirms bool
	// Frees tells that a sentence given up has no end that is told of: its place
	// is free at once.
	Frees bool
	// Fault tells whether a connection that the vendor closed is worth another
	// try; nil: all but those closed for a violation.
	Fault func(code int, text string) (temporary bool)
}

// How a connection is kept.
const (
	connectWait = 3 * time.Second
	pingEvery   = 10 * time.Second // and 5 s for the answer
	deadAfter   = 15 * time.Second // without anything received
	writeWait   = 2 * time.Second
	byeWait     = 250 * time.Millisecond // from the end of a connection to that of its socket
	cancelWait  = 5 * time.Second        // for the end of a sentence that was given up
	maxMessage  = 16 << 20               // bytes: ElevenLabs' own limit, the largest
	maxWaiting  = 8 << 20                // bytes of sound of a sentence that nobody reads
	maxMessages = 64 << 10               // messages of one: ten minutes of them, a hundred in a second
)

// Pool is the connections to one vendor.
type Pool struct {
	config Config
	vendor Vendor
	dialer websocket.Dialer
	wg     sync.WaitGroup // everything of its connections

	mu     sync.Mutex // guards what follows, and the fields of connections that say so
	conns  map[string][]*conn
	last   uint64 // id given
	closed bool
}

// New makes a pool; it connects to nobody.
func New(c Config, v Vendor) *Pool {
	return &Pool{config: c, vendor: v, conns: map[string][]*conn{}, dialer: websocket.Dialer{
		Proxy:            http.ProxyFromEnvironment,
		HandshakeTimeout: connectWait,
		ReadBufferSize:   16 << 10,
		WriteBufferSize:  4 << 10,
	}}
}

// Base checks the address of a vendor and gives it as one of WebSockets.
func Base(text string) (*url.URL, error) {
	u, err := url.Parse(strings.TrimRight(text, "/"))
	if err != nil || u.Host == "" {
		return nil, errors.New("base_url is no URL of the form wss://host")
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("base_url has more than host and path: a key belongs into api_key")
	}
	switch u.Scheme {
	case "http", "https":
		u.Scheme = strings.Replace(u.Scheme, "http", "ws", 1)
	case "ws", "wss":
	default:
		return nil, errors.New("base_url is no URL of the form wss://host")
	}
	return u, nil
}

var errGone = errors.New("the provider is closed")

// Synthesize asks for one sentence.
func (p *Pool) Synthesize(ctx context.Context, r tts.Request) (tts.Stream, error) {
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case strings.IndexFunc(r.Text, spoken) < 0:
		return nil, p.fault("synthesize", false, fmt.Errorf("nothing to say in %q", r.Text))
	}
	s := newStream(ctx, p, r)
	if err := s.begin(); err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

func spoken(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }

// Close ends all connections, and what is spoken over them.
func (p *Pool) Close() error {
	p.mu.Lock()
	p.closed = true
	var all []*conn
	for _, cs := range p.conns {
		all = append(all, cs...)
	}
	p.mu.Unlock()
	for _, c := range all {
		c.over(p.fault("read", false, errGone))
	}
	p.wg.Wait()
	return nil
}

// take finds a connection for a sentence, or makes one.
func (p *Pool) take(s *stream) (*conn, error) {
	address, format := p.vendor.Address(s.request)
	s.format = format
	p.mu.Lock()
	p.last++
	s.id = "s" + strconv.FormatUint(p.last, 10)
	if p.closed {
		p.mu.Unlock()
		return nil, p.fault("synthesize", false, errGone)
	}
	for _, c := range p.conns[address] {
		if c.roomLocked() {
			c.takeLocked(s)
			p.mu.Unlock()
			return c, nil
		}
	}
	p.mu.Unlock()
	ws, err := p.dial(s.ctx, address)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		ws.Close()
		return nil, p.fault("synthesize", false, errGone)
	}
	c := p.openLocked(address, ws)
	s.fresh = true
	c.takeLocked(s)
	return c, nil
}

func (p *Pool) dial(ctx context.Context, address string) (*websocket.Conn, error) {
	dialing, cancel := context.WithTimeout(ctx, connectWait)
	defer cancel()
	ws, res, err := dial.WebSocket(dialing, &p.dialer, address, p.config.Header)
	switch {
	case err == nil:
		return ws, nil
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case res == nil:
		return nil, p.fault("connect", true, err)
	}
	defer res.Body.Close()
	why := res.Header.Get("dg-error") // Deepgram's place for it
	if why == "" {
		text, _ := io.ReadAll(io.LimitReader(res.Body, 1<<10))
		why = strings.Join(strings.Fields(string(text)), " ")
	}
	again := res.StatusCode == http.StatusTooManyRequests || res.StatusCode >= http.StatusInternalServerError
	return nil, p.fault("connect", again, fmt.Errorf("%s: %s", res.Status, why))
}

// fault is an error of the provider's, short and without the key.
func (p *Pool) fault(op string, temporary bool, err error) *tts.Error {
	const most = 300 // bytes
	text := err.Error()
	if k := p.config.Key.Reveal(); len(k) > 3 && strings.Contains(text, k) {
		err = errors.New(strings.ReplaceAll(text, k, p.config.Key.String()))
	}
	if len(text) > most {
		err = errors.New(strings.ToValidUTF8(err.Error()[:min(most, len(err.Error()))], "") + "…")
	}
	return &tts.Error{Provider: p.config.Name, Op: op, Temporary: temporary, Err: err}
}
