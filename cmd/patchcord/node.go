package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/patchcord/patchcord/api"
	"github.com/patchcord/patchcord/api/delivery"
	"github.com/patchcord/patchcord/configs"
	"github.com/patchcord/patchcord/engine"
	"github.com/patchcord/patchcord/store"
	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/telephony/rtp"
	"github.com/patchcord/patchcord/telephony/sip"
	"github.com/patchcord/patchcord/tools"
	"github.com/patchcord/patchcord/tools/knowledge"
	"github.com/patchcord/patchcord/tools/wire"
)

// node is a whole Patchcord in one process: this file is its wiring.
type node struct {
	cfg       *configs.Config
	log       *zap.Logger
	store     *store.Store
	books     *knowledge.Library
	directory *store.Directory
	changed   *changed
	events    *eventLog
	speech    *providers
	engine    *engine.Engine
	media     *rtp.Media
	sip       *sip.UserAgent
	api       *api.Server
	metrics   *api.Metrics
	hooks     *delivery.Deliveries
	http      net.Listener
	stop      []func() // in the order of opening

	callbacks *tools.Callbacks // results that endpoints bring later
}

// nodeOptions are what a command adds to the configuration.
type nodeOptions struct {
	journal engine.Journal // hears of every call; may be nil
	version string
	// reader is a program with arguments that reads documents in a process of
	// its own, nil: in this one.
	reader []string
}

// collectEarly collects garbage at a quarter of what is in use, not at all of it.
// With 200 calls, kB resident per call and ms of processor per call-second: 237
// and 1.84 at 50 percent, 201 and 1.88 at 25, with the same latencies. GOGC in the
// environment overrides it.
func collectEarly() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(25)
	}
}

// openNode makes everything and starts nothing: the first fault ends it.
func openNode(ctx context.Context, cfg *configs.Config, log *zap.Logger, o nodeOptions) (_ *node, err error) {
	n := &node{cfg: cfg, log: log, changed: newChanged(), callbacks: tools.NewCallbacks(), metrics: api.NewMetrics()}
	collectEarly()
	defer func() {
		if err != nil {
			n.close()
		}
	}()
	if n.store, err = store.Open(ctx, storeConfig(cfg, log)); err != nil {
		return nil, err
	}
	n.onClose(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
		defer cancel()
		if err := n.store.Close(ctx); err != nil {
			log.Warn("store: close", zap.Error(err))
		}
	})
	if err = n.openKnowledge(o.reader); err != nil {
		return nil, err
	}
	if err = n.openDirectory(ctx); err != nil {
		return nil, err
	}
	client, err := cfg.ToolClient()
	if err != nil {
		return nil, err
	}
	n.hooks = n.webhooks(client) // early: the calls that were left open are ended in the store already
	if n.events, err = openEventLog(cfg.Log.Events); err != nil {
		return nil, err
	}
	n.onClose(func() { _ = n.events.Close() })
	agents, err := n.directory.Agents(ctx)
	if err != nil {
		return nil, err
	}
	if n.speech, err = openProviders(cfg, agents, log); err != nil {
		return nil, err
	}
	n.onClose(n.speech.close)

	hub := api.NewHub()
	dial := &dialling{}
	js := journals{n.store, n.events, hub, n.hooks, n.metrics}
	if o.journal != nil {
		js = append(js, o.journal)
	}
	servers := tools.NewServers(client)
	n.onClose(servers.Close)
	ec := engine.Config{
		Directory: n.hooks.Asking(n.directory), Journal: js, Dialer: dial,
		STT: n.speech.stt, TTS: n.speech.tts, LLM: n.speech.llm,
		Realtime: n.speech.realtime,
		Tools: tools.Deps{
			Secrets: cfg.Secret, SecretHosts: cfg.SecretHosts, Client: client, Dialects: wire.Dialects(), Account: cfg.Account(),
			Knowledge: n.books,
			MayDial:   cfg.Gate().Check, Servers: servers, Log: log,
			Callbacks: n.callbacks,
		},
		TransfersPerCall: cfg.Dialing.PerCall,
		MaxCalls:         cfg.Limits.MaxCalls, JournalDir: cfg.Log.Journal, Log: log,
	}
	if cfg.Recording.Enabled {
		ec.RecordingDir = cfg.Recording.Dir
	}
	if n.engine, err = engine.New(ec); err != nil {
		return nil, err
	}
	if err = n.openTelephony(); err != nil {
		return nil, err
	}
	dial.Dialer = n.sip
	n.gauges()
	if err = n.openAPI(hub, ec.Tools, o.version); err != nil {
		return nil, err
	}
	return n, nil
}

// How long what one process changes may take to count in the others of a store.
const (
	shareWait = 30 * time.Second // documents
	keysWait  = 5 * time.Second  // keys of the API: one that was ended opens nothing then
)

// shared is how often to look for what other processes of the store changed, 0
// where it has none.
func (n *node) shared(wait time.Duration) time.Duration {
	if strings.HasPrefix(n.cfg.Store.URL, "postgres") {
		return wait
	}
	return 0
}

// openKnowledge makes the library of documents.
func (n *node) openKnowledge(reader []string) error {
	e, err := knowledge.NewEmbedder(n.cfg.Knowledge.Embeddings)
	if err != nil {
		return err
	}
	kc := knowledge.Config{Store: n.store, Embedder: e, Reader: reader, Refresh: n.shared(shareWait), Log: n.log}
	if n.books, err = knowledge.New(kc); err != nil {
		return err
	}
	n.onClose(n.books.Close)
	return nil
}

func storeConfig(cfg *configs.Config, log *zap.Logger) store.Config {
	return store.Config{URL: cfg.Store.URL, Node: cfg.Cluster.Node, Key: cfg.Store.Key, Log: log}
}

// dialling is the engine's way out, set once telephony is there.
type dialling struct{ telephony.Dialer }

func (n *node) openTelephony() error {
	first, last, err := n.cfg.RTP.Range()
	if err != nil {
		return err
	}
	if n.media, err = rtp.New(rtp.Config{PortMin: first, PortMax: last, Log: n.log}); err != nil {
		return err
	}
	unknown := sip.DropUnknown
	if n.cfg.SIP.UnknownSource == "refuse" {
		unknown = sip.RefuseUnknown
	}
	n.sip, err = sip.New(sip.Config{
		Listen: n.cfg.SIP.Listen, PublicIP: n.cfg.SIP.PublicIP, Trunks: n.directory.Table(), Media: n.media,
		Handler: n.engine,
		Log:     n.log, UnknownSource: unknown, Accept: n.accept(),
	})
	return err
}

// Bounds beyond which no further call is taken.
const (
	lateTicks = 10 * time.Millisecond // of the media plane, 99th percentile over 2 s
	lateLong  = 4 * time.Second       // that long above it: two windows, one stall is none
	lateCalls = 50                    // calls below which lateness is the machine's, not ours
	spareRTP  = 16                    // ports kept for calls that are being set up
)

// lateness tells a media plane that has no time any more from one that was
// held up once.
type lateness struct {
	mu          sync.Mutex // guards what follows
	since, last time.Time  // above lateTicks since, and seen so last
}

// busy takes what is seen now and says whether calls are to be refused.
func (l *lateness) busy(load rtp.Load, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if load.Sessions < lateCalls || load.OverrunP99 <= lateTicks {
		l.since = time.Time{}
		return false
	}
	if l.since.IsZero() || now.Sub(l.last) > lateLong {
		l.since = now
	}
	l.last = now
	return now.Sub(l.since) >= lateLong
}

// accept is asked before any work is done for a call.
func (n *node) accept() func(telephony.Info) (telephony.Cause, bool) {
	late := &lateness{}
	return func(info telephony.Info) (telephony.Cause, bool) {
		load := n.media.Load()
		switch {
		case !n.engine.Room():
			return telephony.Cause{Reason: telephony.ReasonOverload, Text: "limits.max_calls are up"}, false
		case load.FreePorts < spareRTP:
			return telephony.Cause{Reason: telephony.ReasonOverload, Text: "rtp.ports are used up"}, false
		case late.busy(load, time.Now()):
			return telephony.Cause{Reason: telephony.ReasonOverload, Text: "the machine is busy"}, false
		}
		if _, _, ok := n.directory.Table().Route(info.Trunk, info.To); !ok {
			return telephony.Cause{Reason: telephony.ReasonBadNumber, Text: "the number is nobody's"}, false
		}
		return telephony.Cause{}, true
	}
}

// gauges are the metrics that are read when they are asked for.
func (n *node) gauges() {
	n.metrics.Gauge("rtp_sessions", "Media sessions that are open.", func() float64 {
		return float64(n.media.Load().Sessions)
	})
	n.metrics.Gauge("rtp_ports_free", "Ports of rtp.ports that a call may have.", func() float64 {
		return float64(n.media.Load().FreePorts)
	})
	n.metrics.Gauge("rtp_tick_late_seconds", "How late the media plane began its ticks, 99th percentile of the last 2 s.",
		func() float64 { return n.media.Load().OverrunP99.Seconds() })
	n.metrics.Gauge("ready", "1 where calls can be taken.", func() float64 {
		if n.ready() != nil {
			return 0
		}
		return 1
	})
	const pending = "Webhooks that have not arrived yet; NaN where the store does not tell."
	n.metrics.Gauge("webhooks_pending", pending, func() float64 {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		waiting, err := n.store.PendingDeliveries(ctx)
		if err != nil {
			return math.NaN()
		}
		return float64(waiting)
	})
	queue := func(name, help string, of func(store.Queued) float64) {
		n.metrics.Gauge(name, help, func() float64 { return of(n.store.Queued()) })
	}
	queue("store_queued", "Records, events and webhooks of calls that wait for the disk.",
		func(q store.Queued) float64 { return float64(q.Records + q.Events + q.Webhooks) })
	queue("store_queued_webhook_bytes", "Memory of the webhooks among them.",
		func(q store.Queued) float64 { return float64(q.WebhookBytes) })
	queue("store_events_dropped", "Events that were too many to wait for the disk.",
		func(q store.Queued) float64 { return float64(q.EventsDropped) })
	queue("store_webhooks_dropped", "Webhooks that were too many to wait for the disk: they are never sent.",
		func(q store.Queued) float64 { return float64(q.WebhooksDropped) })
	queue("store_refused", "Records, events and webhooks that the database takes at no time.",
		func(q store.Queued) float64 { return float64(q.Refused) })
}

func (n *node) openAPI(hub *api.Hub, deps tools.Deps, version string) error {
	keys, err := apiKeys(n.cfg.API.Keys)
	if err != nil {
		return err
	}
	n.api, err = api.New(api.Config{
		Listen: n.cfg.HTTP.Listen, Keys: keys, Limits: rateLimits(n.cfg.API.Limits), Version: version,
		Engine: n.engine,
		Gate:   n.cfg.Gate(),
		Calls:  n.store, Once: n.store, Deliveries: n.store, Hub: hub, Metrics: n.metrics, Ready: n.ready,
		Callbacks: n.callbacks, Knowledge: n.books, Log: n.log,
		Objects: n.store, Reader: n.cfg.Reader(),
		Tools: deps, KeyStore: n.store, KeysRefresh: n.shared(keysWait), Scopes: configs.Scopes,
	})
	if err != nil {
		return err
	}
	if n.http, err = net.Listen("tcp", n.cfg.HTTP.Listen); err != nil {
		return fmt.Errorf("http: %w", err)
	}
	return nil
}

var errNotReady = errors.New("starting or draining")

func (n *node) ready() error {
	select {
	case <-n.sip.Ready():
	default:
		return errNotReady
	}
	if !n.engine.Room() {
		return errNotReady
	}
	return nil
}

// serve runs until ctx ends; then running calls end in their own time, as long
// as the context that drain makes.
func (n *node) serve(ctx context.Context, drain func() (context.Context, context.CancelFunc), ready func()) error {
	defer n.close()
	run, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	defer stop(nil)
	var wg sync.WaitGroup
	start := func(name string, f func(context.Context) error) {
		wg.Go(func() {
			if err := f(run); err != nil && run.Err() == nil {
				stop(fmt.Errorf("%s: %w", name, err))
			}
		})
	}
	start("rtp", n.media.Serve)
	start("sip", n.sip.Serve)
	start("warm", n.warm)
	start("webhooks", func(ctx context.Context) error { return n.hooks.Work(ctx, hooksWait) })
	start("knowledge", n.books.Serve)
	start("directory", n.directory.Serve)
	start("http", func(ctx context.Context) error { return n.api.Serve(ctx, n.http) })
	select {
	case <-n.sip.Ready():
		ready()
	case <-run.Done():
	case <-ctx.Done():
	}
	select {
	case <-ctx.Done():
	case <-run.Done():
		wg.Wait()
		return context.Cause(run)
	}
	n.sip.Drain(true)
	limit, cancel := drain()
	n.engine.Drain(limit)
	cancel()
	stop(nil)
	wg.Wait()
	return nil
}

func (n *node) onClose(f func()) { n.stop = append(n.stop, f) }

// close frees what was opened, last first.
func (n *node) close() {
	if n.http != nil {
		_ = n.http.Close() // closed already where it was served
	}
	for i := len(n.stop) - 1; i >= 0; i-- {
		n.stop[i]()
	}
	n.stop = nil
}
