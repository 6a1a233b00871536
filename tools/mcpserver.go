package tools

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"golang.org/x/net/http/httpguts"
)

// Times of MCP servers.
const (
	mcpPatience = 1500 * time.Millisecond // of a call's start, for the first list of a server; once for each server
	mcpConnect  = 3 * time.Second         // of a tool's call, for a connection
	mcpList     = 10 * time.Second        // of a list as such, its connection included
	mcpFresh    = time.Minute             // a list older than that is asked again, beside the calls
	mcpAway     = 5 * time.Second         // a server that failed is left alone for so long, then twice …
	mcpAwayMost = time.Minute             // … and no longer
	mcpIdle     = 10 * time.Minute        // a connection that no call used for so long is closed, its list not asked again
	mcpForget   = time.Hour               // and its server forgotten, with its list and its secrets
	mcpClose    = time.Second             // for all goodbyes when the process ends
)

// errAway is a server that failed a moment ago and is left alone.
var errAway = errors.New("it failed a moment ago")

// Servers are the MCP servers of all agents: what one offers is kept, and asked
// again beside the calls as long as there are any; so is its connection. No call
// waits for a server that hangs: one that failed is known to, and left alone for
// a while. It is safe for concurrent use.
type Servers struct {
	work   context.Context //nolint:containedctx // of what is under way, ended by Close
	stop   context.CancelFunc
	wire   context.Context //nolint:containedctx // of the requests, ended when the goodbyes have had their time
	cut    context.CancelFunc
	client *Client
	wg     sync.WaitGroup // the sweep, lists and goodbyes

	mu     sync.Mutex // guards what follows
	by     map[string]*mcpServer
	closed bool
}

// NewServers makes them; Client makes their requests. Close ends them.
func NewServers(c *Client) *Servers {
	s := &Servers{client: c, by: map[string]*mcpServer{}}
	s.work, s.stop = context.WithCancel(context.Background())
	s.wire, s.cut = context.WithCancel(context.Background())
	s.wg.Go(s.sweep)
	return s
}

// Close ends every connection, all at once, and gives their servers a second to
// take leave.
func (s *Servers) Close() {
	s.mu.Lock()
	all := s.by
	s.by, s.closed = map[string]*mcpServer{}, true
	s.mu.Unlock()
	s.stop()
	late := time.AfterFunc(mcpClose, s.cut)
	defer late.Stop()
	var byes sync.WaitGroup
	for _, m := range all {
		if session := m.part(nil); session != nil {
			byes.Go(func() { _ = session.Close() }) // it is given up
		}
	}
	byes.Wait()
	s.wg.Wait()
	s.cut()
	for _, m := range all { // what a list at work has opened meanwhile
		m.hangUp(nil)
	}
}

// begin runs f beside the calls, not after Close.
func (s *Servers) begin(f func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.wg.Go(f)
	return true
}

// sweep asks the servers that are in use again, closes the connections of those
// that are not, and forgets those that were not for long.
func (s *Servers) sweep() {
	t := time.NewTicker(mcpFresh)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-s.work.Done():
			return
		}
		s.mu.Lock()
		all := make([]*mcpServer, 0, len(s.by))
		for key, m := range s.by {
			all = append(all, m)
			if m.idle() >= mcpForget {
				delete(s.by, key)
			}
		}
		s.mu.Unlock()
		for _, m := range all {
			if m.idle() < mcpIdle {
				m.look()
			} else {
				m.rest()
			}
		}
	}
}

// find is the server of a configuration, which is in use from now on.
func (s *Servers) find(url string, headers []KV) *mcpServer {
	key, err := json.Marshal([]any{url, headers})
	if err != nil {
		key = []byte(url)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.by[string(key)]
	if m == nil {
		m = &mcpServer{all: s, url: url, headers: headers, dialled: make(chan struct{}, 1)}
		s.by[string(key)] = m
	}
	m.used.Store(time.Now().UnixNano())
	return m
}

// mcpServer is one server, as one configuration has it.
type mcpServer struct {
	all     *Servers
	url     string
	headers []KV          // resolved
	dialled chan struct{} // held by who connects; capacity 1: one at a time
	mute    atomic.Bool   // it did not answer: it is sent no goodbye, which nobody would wait for
	used    atomic.Int64  // when a call last asked for it, Unix ns

	mu      sync.Mutex // guards what follows
	session *mcp.ClientSession
	calls   int           // of tools, under way
	tools   []*mcp.Tool   // nil until it has answered
	asked   time.Time     // when the list came
	began   time.Time     // when it was asked for the first time
	asking  chan struct{} // closed when the list at work has come, nil: none is
	err     error         // why it did not answer last, nil: it did
	away    pause         // in which it is left alone
	quiet   pause         // in which its list is: the server itself is there
}

// pause follows a failure, and is longer after each.
type pause struct {
	until  time.Time
	failed int // times in a row
}

func (p *pause) begin() {
	p.until = time.Now().Add(min(mcpAway<<min(p.failed, 10), mcpAwayMost))
	p.failed++
}

func (p *pause) on() bool { return time.Now().Before(p.until) }

func (m *mcpServer) idle() time.Duration { return time.Since(time.Unix(0, m.used.Load())) }

// look asks for what the server offers, where that is not known or old and it is
// not left alone.
func (m *mcpServer) look() {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	if m.asking != nil || m.away.on() || m.quiet.on() || m.tools != nil && m.err == nil && now.Sub(m.asked) < mcpFresh {
		return
	}
	done := make(chan struct{})
	m.asking = done
	if m.began.IsZero() {
		m.began = now
	}
	m.mu.Unlock()
	begun := m.all.begin(func() { m.ask(done) })
	m.mu.Lock()
	if !begun {
		m.asking = nil
		close(done)
	}
}

// enter counts a call of a tool, until what it gives is called: its connection is
// not closed meanwhile.
func (m *mcpServer) enter() (leave func()) {
	count := func(n int) {
		m.mu.Lock()
		m.calls += n
		m.mu.Unlock()
	}
	count(1)
	return func() { count(-1) }
}

// rest closes the connection of a server that no call uses.
func (m *mcpServer) rest() {
	m.mu.Lock()
	s := m.session
	if m.calls > 0 || m.idle() < mcpIdle {
		s = nil
	} else {
		m.session = nil
	}
	m.mu.Unlock()
	m.bye(s)
}

// doubt asks a server again that let a call wait in vain: whether it is slow, or
// hangs.
func (m *mcpServer) doubt() {
	m.mu.Lock()
	m.asked = time.Time{}
	m.mu.Unlock()
	m.look()
}

// list is what the server offers, as far as that is known. Only the first list of
// all is waited for, and that only once.
func (m *mcpServer) list() ([]*mcp.Tool, error) {
	m.mu.Lock()
	known, err, done, began := m.tools, m.err, m.asking, m.began
	m.mu.Unlock()
	if known != nil || err != nil || done == nil {
		return known, err
	}
	t := time.NewTimer(time.Until(began.Add(mcpPatience)))
	defer t.Stop()
	select {
	case <-done:
		m.mu.Lock()
		defer m.mu.Unlock()
		return m.tools, m.err
	case <-t.C:
		return nil, errors.New("it takes too long to answer")
	}
}

// ask asks for the list.
func (m *mcpServer) ask(done chan struct{}) {
	ctx, cancel := context.WithTimeout(m.all.work, mcpList)
	defer cancel()
	var found []*mcp.Tool
	session, err := m.dial(ctx)
	if err == nil {
		for t, e := range session.Tools(ctx, nil) {
			if err = e; e != nil || len(found) == mcpTools {
				break
			}
			found = append(found, t)
		}
	}
	there := err == nil || session != nil && answered(ctx, err)
	m.mute.Store(!there)
	var refused *jsonrpc.Error
	if err != nil && session != nil && !(there && errors.As(err, &refused)) { // a refusal is the list's alone
		m.hangUp(session)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asking = nil
	switch {
	case err == nil:
		m.tools, m.asked, m.err, m.away, m.quiet = append([]*mcp.Tool{}, found...), time.Now(), nil, pause{}, pause{}
	case there && m.tools != nil:
		m.quiet.begin() // the old list goes on being used, and so do its tools
	default:
		m.failLocked(withoutAddress(ctx, err))
	}
	close(done)
}

// answered says of a request's failure that it is the server's answer, and not
// that none came.
func answered(ctx context.Context, err error) bool {
	var lost *url.Error
	return ctx.Err() == nil && !errors.As(err, &lost)
}

// failLocked notes that the server did not answer, and leaves it alone.
func (m *mcpServer) failLocked(err error) {
	m.err = err
	m.away.begin()
}

// connect is the connection for a tool's call. A server that failed a moment ago
// is not tried, and none is waited for long.
func (m *mcpServer) connect(ctx context.Context) (*mcp.ClientSession, error) {
	m.mu.Lock()
	away := m.away.on()
	m.mu.Unlock()
	if away {
		return nil, errAway
	}
	within, cancel := context.WithTimeout(ctx, mcpConnect)
	defer cancel()
	session, err := m.wait(within)
	if err != nil && ctx.Err() == nil {
		m.mu.Lock()
		defer m.mu.Unlock()
		if !m.away.on() { // else another has told it
			m.failLocked(withoutAddress(within, err))
		}
	}
	return session, err
}

// wait is dial for one who goes when ctx ends: the library tells a server that it
// is given up, and waits for that.
func (m *mcpServer) wait(ctx context.Context) (*mcp.ClientSession, error) {
	var session *mcp.ClientSession
	var err error
	done := make(chan struct{}) // closed when both are set
	if !m.all.begin(func() {
		session, err = m.dial(ctx)
		close(done)
	}) {
		return nil, errAway
	}
	select {
	case <-done:
		return session, err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// dial is the connection, made where there is none.
func (m *mcpServer) dial(ctx context.Context) (*mcp.ClientSession, error) {
	select {
	case m.dialled <- struct{}{}:
		defer func() { <-m.dialled }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	m.mu.Lock()
	s := m.session
	m.mu.Unlock()
	if s != nil {
		return s, nil
	}
	c := mcp.NewClient(&mcp.Implementation{Name: userAgent, Version: "1"}, nil)
	s, err := c.Connect(ctx, &mcp.StreamableClientTransport{
		Endpoint: m.url, HTTPClient: &http.Client{Transport: mcpGuard{m}, CheckRedirect: m.all.client.open.CheckRedirect},
		MaxRetries: -1, DisableStandaloneSSE: true, MaxEventSize: maxReply,
	}, nil)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	m.session = s
	m.mu.Unlock()
	return s, nil
}

// part forgets a connection, nil for whichever there is, and gives it.
func (m *mcpServer) part(s *mcp.ClientSession) *mcp.ClientSession {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s == nil || s == m.session {
		s, m.session = m.session, nil
	}
	return s
}

// hangUp forgets a connection, nil for whichever there is. Nobody waits for its
// goodbye, which a server that hangs does not answer.
func (m *mcpServer) hangUp(s *mcp.ClientSession) { m.bye(m.part(s)) }

func (m *mcpServer) bye(s *mcp.ClientSession) {
	if s == nil {
		return
	}
	if !m.all.begin(func() { _ = s.Close() }) {
		_ = s.Close() // at once: its requests are cut
	}
}

// mcpGuard makes a server's requests by the guarded client, with its headers.
type mcpGuard struct{ m *mcpServer }

func (g mcpGuard) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodDelete && g.m.mute.Load() {
		return nil, errAway // the library holds a lock meanwhile, on which calls wait
	}
	c, err := g.m.all.client.pick(r.URL)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(r.Context())
	release := context.AfterFunc(g.m.all.wire, cancel)
	end := func() {
		release()
		cancel()
	}
	r = r.Clone(ctx)
	for _, h := range g.m.headers {
		if !httpguts.ValidHeaderFieldName(h.Key) || !httpguts.ValidHeaderFieldValue(h.Value) {
			end()
			return nil, ErrHeader
		}
		r.Header.Set(h.Key, h.Value)
	}
	resp, err := c.Transport.RoundTrip(r)
	if err != nil {
		end()
		return nil, err
	}
	resp.Body = mcpBody{http.MaxBytesReader(nil, resp.Body, maxReply), end}
	return resp, nil
}

// mcpBody is a reply that ends its request when it is closed.
type mcpBody struct {
	io.ReadCloser
	end func()
}

func (b mcpBody) Close() error {
	defer b.end()
	return b.ReadCloser.Close()
}
