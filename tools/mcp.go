package tools

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"golang.org/x/net/http/httpguts"
)

// Times of MCP servers.
const (
	mcpPatience = 1500 * time.Millisecond // of a call's start, for a list that nobody has yet
	mcpList     = 10 * time.Second        // of a list as such
	mcpFresh    = time.Minute             // a list older than that is asked again, beside the call
	mcpAway     = 5 * time.Second         // a server that was down is left alone for so long
	mcpTools    = 128                     // of one server
)

// mcpConfig is what an MCP server is configured with.
type mcpConfig struct {
	URL     string   `yaml:"url"`
	Headers []KV     `yaml:"headers"` // secrets only: the connection is kept between calls
	Include []string `yaml:"include"` // names of its tools, none: all
}

func newMCP(d *Definition, deps Deps) (Tool, Faults) {
	cfg, c := mcpConfig{}, Checks{Definition: d, Deps: deps}
	if fs := d.Config.Decode(&cfg); fs != nil {
		return nil, fs
	}
	c.url("url", cfg.URL)
	if strings.Contains(cfg.URL, "{{") {
		c.Fault("url", "a placeholder", "a server's address is the same for all calls: write it out")
	}
	for _, h := range c.headers("headers", cfg.Headers) {
		for _, n := range h.value.names() {
			if !strings.HasPrefix(n, "secret.") {
				c.Fault("headers", "{{"+n+"}} is no secret",
					"the connection is kept between calls: only {{secret.name}} can stand there")
			}
		}
	}
	return nil, c.Faults
}

// Servers are the MCP servers of all agents: what one offers is asked at the
// start of a call and kept, its connection too. It is safe for concurrent use.
type Servers struct {
	ctx    context.Context //nolint:containedctx // of the connections, ended by Close
	cancel context.CancelFunc
	client *Client

	mu sync.Mutex // guards by
	by map[string]*mcpServer
}

// NewServers makes them; Client makes their requests.
func NewServers(c *Client) *Servers {
	s := &Servers{client: c, by: map[string]*mcpServer{}}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// Close ends every connection.
func (s *Servers) Close() {
	s.cancel()
	s.mu.Lock()
	all := s.by
	s.by = map[string]*mcpServer{}
	s.mu.Unlock()
	for _, one := range all {
		one.hangUp(nil)
	}
}

// mcpServer is one server, as one configuration has it.
type mcpServer struct {
	all     *Servers
	url     string
	headers []KV          // resolved
	dialled chan struct{} // held by who connects; capacity 1: one at a time

	mu      sync.Mutex // guards what follows
	session *mcp.ClientSession
	tools   []*mcp.Tool
	asked   time.Time     // when the list was, or when that failed
	asking  chan struct{} // closed when the list at work has come, nil: none is
	err     error
}

// find is the server of a configuration.
func (s *Servers) find(url string, headers []KV) *mcpServer {
	key, err := json.Marshal([]any{url, headers})
	if err != nil {
		key = []byte(url)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.by[string(key)]
	if one == nil {
		one = &mcpServer{all: s, url: url, headers: headers, dialled: make(chan struct{}, 1)}
		s.by[string(key)] = one
	}
	return one
}

// look asks for what the server offers, where that is not known or old, and
// gives what is known. done is closed when more is, nil: nobody asks.
func (m *mcpServer) look() (known []*mcp.Tool, done chan struct{}, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	old := time.Since(m.asked)
	known, err, done = m.tools, m.err, m.asking
	if done == nil && (known == nil && old > mcpAway || known != nil && old > mcpFresh) {
		done = make(chan struct{})
		m.asking = done
		go m.ask(done) // ends by its own timeout
	}
	return known, done, err
}

// list is what the server offers: what is known, at once; else it is waited
// for, but not long.
func (m *mcpServer) list(until time.Time) ([]*mcp.Tool, error) {
	known, done, err := m.look()
	if known != nil || done == nil {
		return known, err
	}
	select {
	case <-done:
		m.mu.Lock()
		defer m.mu.Unlock()
		return m.tools, m.err
	case <-time.After(time.Until(until)):
		return nil, errors.New("it takes too long to answer")
	}
}

// ask asks for the list.
func (m *mcpServer) ask(done chan struct{}) {
	ctx, cancel := context.WithTimeout(m.all.ctx, mcpList)
	defer cancel()
	var found []*mcp.Tool
	session, err := m.connect(ctx)
	if err == nil {
		for t, e := range session.Tools(ctx, nil) {
			if err = e; e != nil || len(found) == mcpTools {
				break
			}
			found = append(found, t)
		}
	}
	if err != nil {
		m.hangUp(session)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.asked, m.asking, m.err = time.Now(), nil, nil; err != nil {
		m.err = withoutAddress(ctx, err) // an old list goes on being used
	} else {
		m.tools = append([]*mcp.Tool{}, found...)
	}
	close(done)
}

// connect is the connection, made where there is none.
func (m *mcpServer) connect(ctx context.Context) (*mcp.ClientSession, error) {
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

// hangUp forgets a connection, nil for whichever there is.
func (m *mcpServer) hangUp(s *mcp.ClientSession) {
	m.mu.Lock()
	if s == nil || s == m.session {
		s, m.session = m.session, nil
	}
	m.mu.Unlock()
	if s != nil {
		_ = s.Close() // it is given up
	}
}

// mcpGuard makes a server's requests by the guarded client, with its headers.
type mcpGuard struct{ m *mcpServer }

func (g mcpGuard) RoundTrip(r *http.Request) (*http.Response, error) {
	c, err := g.m.all.client.pick(r.URL)
	if err != nil {
		return nil, err
	}
	r = r.Clone(r.Context())
	for _, h := range g.m.headers {
		if !httpguts.ValidHeaderFieldName(h.Key) || !httpguts.ValidHeaderFieldValue(h.Value) {
			return nil, ErrHeader
		}
		r.Header.Set(h.Key, h.Value)
	}
	resp, err := c.Transport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	resp.Body = http.MaxBytesReader(nil, resp.Body, maxReply)
	return resp, nil
}

// mcpTool is a tool of a server.
type mcpTool struct {
	base
	server *mcpServer
	name   string // as the server has it
}

// toolsOf are the tools that definitions bring; all servers are asked at once.
// taken are the names that others of the agent have: a tool of the same name gets
// the definition's in front.
func (s *Servers) toolsOf(defs []Definition, deps Deps, taken map[string]bool) (ts []Tool, fs Faults) {
	until := time.Now().Add(mcpPatience)
	servers := make([]*mcpServer, len(defs))
	for i := range defs {
		defs[i].fill(kinds()[MCP])
		var more Faults
		if servers[i], more = s.configured(&defs[i], deps); servers[i] != nil {
			_, _, _ = servers[i].look()
		}
		fs = append(fs, more...)
	}
	for i, server := range servers {
		if server != nil {
			some, more := server.offered(&defs[i], taken, until)
			ts, fs = append(ts, some...), append(fs, more...)
		}
	}
	return ts, fs
}

// configured is the server of a definition, nil where it cannot be asked.
func (s *Servers) configured(d *Definition, deps Deps) (m *mcpServer, fs Faults) {
	var cfg mcpConfig
	if fs := d.Config.Decode(&cfg); fs != nil {
		return nil, fs
	}
	headers := make([]KV, len(cfg.Headers))
	for i, h := range cfg.Headers {
		e := Expander{&scope{secrets: deps.Secrets}}
		v, err := e.Text(h.Value)
		if err != nil {
			f := fs.add(nil, "config.headers", "a secret is missing", "add it under secrets: in the configuration")
			f.Warning, f.Tool = true, d.Name
			return nil, fs
		}
		headers[i] = KV{h.Key, v}
	}
	return s.find(cfg.URL, headers), nil
}

// offered are the tools that a definition brings.
func (m *mcpServer) offered(d *Definition, taken map[string]bool, until time.Time) (ts []Tool, fs Faults) {
	warn := func(path, what, do string) {
		f := fs.add(nil, path, what, do)
		f.Warning, f.Tool = true, d.Name
	}
	var cfg mcpConfig
	if fs := d.Config.Decode(&cfg); fs != nil {
		return nil, fs
	}
	list, err := m.list(until)
	if err != nil {
		warn("config.url", "the server's tools are not known: "+err.Error(), "the agent works without them")
	}
	for _, name := range cfg.Include {
		if list != nil && !slices.ContainsFunc(list, func(t *mcp.Tool) bool { return t.Name == name }) {
			warn("config.include", "the server has no tool "+name, "")
		}
	}
	for _, t := range list {
		if len(cfg.Include) > 0 && !slices.Contains(cfg.Include, t.Name) {
			continue
		}
		tool, err := m.tool(d, t, taken)
		if err != nil {
			warn("config.url", fmt.Sprintf("its tool %q is left out: %v", t.Name, err), "")
			continue
		}
		taken[tool.def.Name] = true
		ts = append(ts, tool)
	}
	return ts, fs
}

// tool is one of them: the definition's gates, speech and times are its own.
func (m *mcpServer) tool(d *Definition, t *mcp.Tool, taken map[string]bool) (*mcpTool, error) {
	of := *d
	of.ID, of.Name = "", strings.Map(func(r rune) rune {
		if notInName(r) {
			return '_'
		}
		return r
	}, t.Name)
	if taken[of.Name] {
		of.Name = cmp.Or(d.Name, string(MCP)) + "_" + of.Name
	}
	if of.Name == "" || len(of.Name) > 100 || taken[of.Name] {
		return nil, errors.New("no name is free for it")
	}
	of.DisplayName = clip(cmp.Or(t.Title, t.Name), 255)
	of.Description = clip(cmp.Or(t.Description, t.Title, "The tool "+t.Name+" of "+d.Name+"."), 2000)
	if reads := t.Annotations != nil && t.Annotations.ReadOnlyHint; of.Class == "" && reads {
		of.Class = Read
	} else if of.Class == "" {
		of.Class = Effect
	}
	text, err := json.Marshal(t.InputSchema)
	if err != nil {
		return nil, err
	}
	args, err := compileSchema(Schema(text))
	if err != nil {
		return nil, fmt.Errorf("its arguments: %w", err)
	}
	return &mcpTool{base{def: &of, args: args}, m, t.Name}, nil
}

func (t *mcpTool) Run(ctx context.Context, c Call) Result {
	start := time.Now()
	ctx, cancel := context.WithTimeout(ctx, t.def.Timeout())
	defer cancel()
	r := t.call(ctx, c)
	r.Took = time.Since(start)
	return r
}

func (t *mcpTool) call(ctx context.Context, c Call) Result {
	for again := false; ; again = true {
		session, err := t.server.connect(ctx)
		var out *mcp.CallToolResult
		if err == nil {
			out, err = session.CallTool(ctx, &mcp.CallToolParams{Name: t.name, Arguments: c.Args})
		}
		var refused *jsonrpc.Error
		switch {
		case err == nil:
			return t.read(out)
		case errors.Is(ctx.Err(), context.DeadlineExceeded):
			return ErrorResult(TimedOut, "timeout", "")
		case ctx.Err() != nil:
			return ErrorResult(Cancelled, "cancelled", "")
		case errors.As(err, &refused) && slices.Contains(ofTheCall, refused.Code):
			return ErrorResult(Failed, "tool_error", clip(t.masked(refused.Message), 500))
		}
		t.server.hangUp(session)
		// A session that the server has forgotten is opened again, once: of any
		// other failure nobody knows whether the call was carried out.
		if !again && errors.Is(err, mcp.ErrSessionMissing) {
			continue
		}
		why := withoutAddress(ctx, err)
		if errors.Is(why, ErrBlocked) {
			return ErrorResult(Refused, "blocked_url", "")
		}
		r := ErrorResult(Failed, "no_connection", "")
		r.Err = "no_connection: " + why.Error()
		return r
	}
}

// ofTheCall are the errors of one call: the connection, on which others wait for
// their results too, can be used on.
var ofTheCall = []int64{jsonrpc.CodeInvalidParams, jsonrpc.CodeMethodNotFound, jsonrpc.CodeInternalError}

// read makes a result of what the server answered, without its secrets.
func (t *mcpTool) read(out *mcp.CallToolResult) Result {
	var text []string
	for _, c := range out.Content {
		if x, ok := c.(*mcp.TextContent); ok {
			text = append(text, x.Text)
		}
	}
	said := strings.Join(text, "\n")
	if out.IsError {
		return ErrorResult(Failed, "tool_error", clip(t.masked(said), 500))
	}
	body, err := marshal(out.StructuredContent)
	if out.StructuredContent == nil || err != nil {
		if body = []byte(said); !json.Valid(body) {
			if body, err = marshal(strings.ToValidUTF8(said, "\uFFFD")); err != nil {
				return ErrorResult(Failed, "invalid_response", "")
			}
		}
	}
	r := ReadReply(http.StatusOK, []byte(t.masked(string(body))))
	r.HTTP = 0
	return r
}

// masked is text without the values of the headers.
func (t *mcpTool) masked(text string) string {
	for _, h := range t.server.headers {
		for _, v := range append(strings.Fields(h.Value), h.Value) {
			if len(v) >= 6 && v != "Bearer" {
				text = strings.ReplaceAll(text, v, "***")
			}
		}
	}
	return text
}
