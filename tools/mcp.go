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
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// mcpTools is how many tools of one server are taken.
const mcpTools = 128

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

// mcpTool is a tool of a server.
type mcpTool struct {
	base
	all     *Servers
	url     string
	headers []KV   // resolved
	name    string // as the server has it
}

// toolsOf are the tools that definitions bring; all servers are asked at once.
// taken are the names that others of the agent have: a tool of the same name gets
// the definition's in front.
func (s *Servers) toolsOf(defs []Definition, deps Deps, taken map[string]bool) (ts []Tool, fs Faults) {
	servers := make([]*mcpServer, len(defs))
	for i := range defs {
		defs[i].fill(kinds()[MCP])
		var more Faults
		if servers[i], more = s.configured(&defs[i], deps); servers[i] != nil {
			servers[i].look()
		}
		fs = append(fs, more...)
	}
	for i, server := range servers {
		if server != nil {
			some, more := server.offered(&defs[i], taken)
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
		in := &scope{secrets: deps.Secrets}
		v, err := (&Expander{in}).Text(h.Value)
		if refused := deps.mayCarry(d.Name, cfg.URL, in.named); refused != nil {
			f := fs.add(nil, "config.headers", refused.Error(), "mend the URL, or add its host to the secret's hosts")
			f.Warning, f.Tool = true, d.Name
			return nil, fs
		}
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
func (m *mcpServer) offered(d *Definition, taken map[string]bool) (ts []Tool, fs Faults) {
	warn := func(path, what, do string) {
		f := fs.add(nil, path, what, do)
		f.Warning, f.Tool = true, d.Name
	}
	var cfg mcpConfig
	if fs := d.Config.Decode(&cfg); fs != nil {
		return nil, fs
	}
	list, err := m.list()
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
	return &mcpTool{base{def: &of, args: args}, m.all, m.url, m.headers, t.Name}, nil
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
	server := t.all.find(t.url, t.headers)
	defer server.enter()()
	for again := false; ; again = true {
		session, err := server.connect(ctx)
		var out *mcp.CallToolResult
		if err == nil {
			out, err = session.CallTool(ctx, &mcp.CallToolParams{Name: t.name, Arguments: c.Args})
		}
		var refused *jsonrpc.Error
		switch {
		case err == nil:
			return t.read(out)
		case errors.Is(ctx.Err(), context.DeadlineExceeded):
			server.doubt()
			return ErrorResult(TimedOut, "timeout", "")
		case ctx.Err() != nil:
			return ErrorResult(Cancelled, "cancelled", "")
		case errors.As(err, &refused) && slices.Contains(ofTheCall, refused.Code):
			return ErrorResult(Failed, "tool_error", clip(t.masked(refused.Message), 500))
		}
		if session != nil {
			server.hangUp(session)
		}
		// A session that the server has forgotten is opened again, once: of any
		// other failure nobody knows whether the call was carried out.
		if !again && errors.Is(err, mcp.ErrSessionMissing) {
			continue
		}
		why := err
		if !errors.Is(err, errAway) {
			why = withoutAddress(ctx, err)
		}
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
	for _, h := range t.headers {
		for _, v := range append(strings.Fields(h.Value), h.Value) {
			if len(v) >= 6 && v != "Bearer" {
				text = strings.ReplaceAll(text, v, "***")
			}
		}
	}
	return text
}
