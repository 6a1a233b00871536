// Package api is the HTTP face of the engine: calls placed, listed, watched
// and controlled over REST and server-sent events, described by the OpenAPI
// 3.1 document at /openapi.json that is made from the code.
//
// Every request but the health checks needs a key whose scopes cover it; while
// there is none at all the API serves this machine only. Errors are problems of RFC
// 9457 with a stable code beside, and never repeat what was submitted. A slow
// reader of events is cut off; it never slows a call.
package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"go.uber.org/zap"

	"github.com/patchcord/patchcord/engine"
	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/store"
	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/telephony/dialer"
	"github.com/patchcord/patchcord/telephony/trunk"
	"github.com/patchcord/patchcord/tools"
)

// Engine places and controls calls: *engine.Engine.
type Engine interface {
	Call(ctx context.Context, o engine.Outbound) (telephony.CallID, error)
	Say(id telephony.CallID, text string) error
	End(id telephony.CallID, goodbye string) error
	Mute(id telephony.CallID, on bool) error
	Inject(id telephony.CallID, text string, respond bool) error
	Press(id telephony.CallID, keys string) error
	Transfer(id telephony.CallID, to tools.Transfer) error
	Whisper(id telephony.CallID, text string, toCaller bool) error
	Listen(id telephony.CallID) (*engine.Listening, error)
}

// Gate decides whether a number may be dialled. The error says why not.
type Gate interface{ Check(to string) error }

// Calls is what is kept of calls: *store.Store.
type Calls interface {
	Call(ctx context.Context, id telephony.CallID) (engine.Record, error)
	Calls(ctx context.Context, f store.Filter) ([]engine.Record, string, error)
	CountCalls(ctx context.Context, f store.Filter) (int, error)
	Tally(ctx context.Context, by store.Group, f store.Filter) (map[string]store.Tally, error)
	Transcript(ctx context.Context, id telephony.CallID) ([]engine.Item, error)
	Events(ctx context.Context, id telephony.CallID, after, limit int) ([]store.Event, error)
}

// Once remembers requests that must not happen twice: *store.Store.
type Once interface {
	Once(ctx context.Context, owner, key, hash string) (*store.Answer, error)
	Answered(ctx context.Context, owner, key string, a store.Answer) error
	Forget(ctx context.Context, owner, key string) error
}

var (
	_ Engine = (*engine.Engine)(nil)
	_ Calls  = (*store.Store)(nil)
	_ Once   = (*store.Store)(nil)
)

// Config is what the API works with.
type Config struct {
	Listen  string // host:port; it decides whether keys are needed
	Keys    []Key
	Limits  Limits // of keys that set none
	Version string // of the program

	Engine Engine // may be nil: nothing can be dialled or controlled
	Gate   Gate   // nil: nothing may be dialled
	Calls  Calls
	Once   Once
	// Transients is told of agents of one call alone, before it is placed; may be nil.
	Transients interface{ Remember(a *agent.Agent) }
	// Deliveries are the webhooks of calls; nil: their paths are not there.
	Deliveries Deliveries
	Hub        *Hub
	// Line tells what is known of a trunk now; nil: nothing.
	Line    func(telephony.TrunkID) trunk.Status
	Metrics *Metrics // nil: nothing is counted, and /metrics is not there
	// Callbacks are results that come later; nil: none are waited for.
	Callbacks Callbacks
	Browsers  Browsers     // nil: no calls come from browsers, and their paths are not there
	Origins   []string     // of other sites' pages that may call: "https://shop.example.com", or "*"
	Ready     func() error // nil: always
	Nodes     Nodes        // nil: this is the only process, and /v1/nodes is not there
	// Recording opens a recording by the path in its call's record; nil: it is a file.
	// The error is fs.ErrNotExist where there is none.
	Recording func(ctx context.Context, path string) (io.ReadSeekCloser, error)
	// Away are parts that are away and that calls go on without; nil: none ever is.
	Away func() []string

	Campaigns Campaigns       // nil: nobody is called from lists, and their paths are not there
	Profiles  dialer.Profiles // by the names that campaigns have
	// News tells those who watch what is asked of a campaign here; nil: the hub alone.
	News func(dialer.News)

	Knowledge Knowledge // nil: no documents are kept
	Objects   Objects   // agents, tools, numbers, trunks; a change of them counts for the next call
	Reader    Reader    // checks what is sent of them
	Tools     tools.Deps
	KeyStore  KeyStore // keys that are made over the API; may be nil
	Scopes    []string // that a key may have
	// KeysRefresh is how often Serve looks for keys that other processes of the
	// same store have made, changed or ended; 0: there are none.
	KeysRefresh time.Duration

	Log *zap.Logger
}

const (
	maxBody      = 1 << 20          // bytes of a request (SEC-12)
	maxHeader    = 32 << 10         // bytes
	readTimeout  = 30 * time.Second // of a whole request
	writeTimeout = 30 * time.Second // of an answer; streams set their own
	idleTimeout  = 2 * time.Minute
	shutdownWait = 10 * time.Second // for answers that are on their way
)

// Server is the API.
type Server struct {
	cfg     Config
	log     *zap.Logger
	mux     *http.ServeMux
	api     huma.API
	handler http.Handler
	mounted []string // patterns of Mount
	limiter *limiter
	tickets *tickets
	passes  *passes
	ears    sync.WaitGroup        // those who listen in to calls
	uploads chan struct{}         // mostUploads places
	imports chan struct{}         // mostImports places
	writes  sync.Mutex            // one change at a time reads what it changes, and writes it
	known   atomic.Pointer[[]Key] // those of the configuration and those made since
	keyed   atomic.Bool           // there is a key, or was one since the start
	// lookAtKeys holds a token where another node changed keys; capacity 1.
	lookAtKeys chan struct{}

	closeOnce sync.Once
	closing   chan struct{} // closed when streams must end
}

// New makes the API. It refuses an address that others can reach when there is
// no key (SEC-13).
func New(cfg Config) (*Server, error) {
	if cfg.Calls == nil || cfg.Once == nil || cfg.Hub == nil || cfg.Objects == nil || cfg.Reader == nil {
		return nil, errors.New("api: Calls, Once, Hub, Objects and Reader are needed")
	}
	if cfg.Log == nil {
		cfg.Log = zap.NewNop()
	}
	host, _, err := net.SplitHostPort(cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("api: listen on %q: write host:port, such as 127.0.0.1:8080", cfg.Listen)
	}
	if len(cfg.Keys) == 0 && !isLoopback(host) {
		return nil, fmt.Errorf("api: others can reach %s, and there is no key: "+
			"add one under api.keys, or listen on 127.0.0.1", cfg.Listen)
	}
	for _, k := range cfg.Keys {
		if k.Name == "" || k.Hash == emptyHash {
			return nil, errors.New("api: a key without a name, or an empty key")
		}
	}
	s := &Server{
		cfg: cfg, log: cfg.Log, mux: http.NewServeMux(), limiter: newLimiter(), closing: make(chan struct{}),
		uploads: make(chan struct{}, mostUploads), imports: make(chan struct{}, mostImports),
		lookAtKeys: make(chan struct{}, 1),
	}
	s.tickets, s.passes = newTickets(s.process()), newPasses(s.process())
	if err := s.answerOthers(); err != nil {
		return nil, err
	}
	if err := s.loadKeys(context.Background()); err != nil {
		return nil, err
	}
	s.tellKeys()
	s.hearOfKeys()
	s.api = humago.New(s.mux, s.huma())
	describe(s.api.OpenAPI().Components.Schemas)
	s.api.UseMiddleware(s.audit, s.authorize, s.limit, s.text, s.idempotent)
	s.routes()
	clean(s.api.OpenAPI())
	s.handler = s.wrap(s.mux)
	return s, nil
}

// huma is its configuration: no page that loads scripts from elsewhere, no
// schema links in answers, and our own shape of errors.
func (s *Server) huma() huma.Config {
	c := huma.DefaultConfig("Patchcord", s.cfg.Version)
	c.DocsPath, c.SchemasPath = "", ""
	c.CreateHooks = nil
	c.Transformers = []huma.Transformer{s.problem}
	c.Info.Description = "Real-time voice calls: who answers them and with which tools; place them, follow them, " +
		"control them. A change counts for the next call."
	for _, t := range []struct{ name, what string }{
		{"agents", "Who answers: prompt, voice, model, flow, and the tools of their own"},
		{"tools", "Tools that agents share"},
		{"calls", "Calls placed, listed, watched, controlled and counted"},
		{"campaigns", "Lists of people who are called"},
		{"dnc", "Who is not to be called"},
		{"numbers", "Who answers which number"},
		{"trunks", "Carriers and telephone systems"},
		{"api-keys", "Who may use this"},
		{"webhooks", "What calls told the outside, and whether it has arrived"},
		{dariet, "Paths in Dariet's shapes"},
		{"flireo", "Paths in Flireo's shapes"},
		{"health", "Whether the process runs and takes calls"},
	} {
		c.Tags = append(c.Tags, &huma.Tag{Name: t.name, Description: t.what})
	}
	c.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"key":    {Type: "apiKey", In: "header", Name: "X-API-Key"},
		"bearer": {Type: "http", Scheme: "bearer"},
	}
	return c
}

func (s *Server) routes() {
	s.health()
	s.nodes()
	s.metrics()
	s.calls()
	s.web()
	s.control()
	s.listening()
	s.events()
	s.agents()
	s.deliveries()
	s.knowledge()
	s.agentTools()
	s.flow()
	s.libraryTools()
	s.toolImport()
	s.numbers()
	s.trunks()
	s.campaigns()
	s.versions()
	s.stats()
	s.keys()
	s.dariet()
	s.flireo()
	s.callbacks()
	s.docs()
	s.talk()
}

// Mount adds a handler of another package, such as that of carriers' streams. It
// checks its own callers, and those may be elsewhere where the API has no key.
// It is called before Serve.
func (s *Server) Mount(pattern string, h http.Handler) {
	s.mux.Handle(pattern, h)
	s.mounted = append(s.mounted, pattern)
}

// Handler is the whole API.
func (s *Server) Handler() http.Handler { return s.handler }

// OpenAPI is the document that describes the API.
func (s *Server) OpenAPI() ([]byte, error) { return json.MarshalIndent(s.api.OpenAPI(), "", "  ") }

// Serve answers requests until ctx ends, then lets those that run finish.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	srv := &http.Server{
		Handler: s.handler, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: readTimeout, WriteTimeout: writeTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader, ErrorLog: zap.NewStdLog(s.log),
	}
	follow, end := context.WithCancel(ctx)
	var following sync.WaitGroup
	following.Go(func() { s.followKeys(follow) })
	defer following.Wait()
	defer end()
	ended := make(chan error, 1) // one value: Serve returns once
	go func() { ended <- srv.Serve(l) }()
	select {
	case err := <-ended:
		return fmt.Errorf("api: serve %s: %w", l.Addr(), err)
	case <-ctx.Done():
	}
	s.endStreams()
	wait, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownWait)
	defer cancel()
	err := srv.Shutdown(wait)
	if err != nil {
		err = errors.Join(fmt.Errorf("api: shut down: %w", err), srv.Close())
	}
	if e := <-ended; !errors.Is(e, http.ErrServerClosed) {
		err = errors.Join(err, e)
	}
	s.ears.Wait() // Shutdown knows nothing of their connections
	return err
}

func (s *Server) endStreams() { s.closeOnce.Do(func() { close(s.closing) }) }
