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
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/patchcord/patchcord/api"
	"github.com/patchcord/patchcord/api/delivery"
	"github.com/patchcord/patchcord/audio/record/archive"
	"github.com/patchcord/patchcord/cluster"
	"github.com/patchcord/patchcord/configs"
	"github.com/patchcord/patchcord/engine"
	"github.com/patchcord/patchcord/store"
	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/telephony/dialer"
	"github.com/patchcord/patchcord/telephony/rtp"
	"github.com/patchcord/patchcord/telephony/sip"
	"github.com/patchcord/patchcord/telephony/trunk"
	"github.com/patchcord/patchcord/telephony/webrtc"
	"github.com/patchcord/patchcord/telephony/wsmedia"
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
	admission *admission
	sip       *sip.UserAgent
	web       *webrtc.Gateway // nil: no calls come from browsers
	streams   *wsmedia.Server // calls of carriers that bring them over WebSockets
	streamed  trunk.Capacity  // of their trunks
	api       *api.Server
	metrics   *api.Metrics
	hooks     *delivery.Deliveries
	archive   *archive.Archive // nil: recordings stay where they are made
	http      net.Listener
	stop      []func() // in the order of opening

	callbacks *tools.Callbacks // results that endpoints bring later
	campaigns *dialer.Runner   // nil: this process calls no lists
	cluster   *cluster.Node
	calls     *cluster.Calls // of all nodes
	news      func(dialer.News)
	draining  atomic.Bool
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
	n := &node{cfg: cfg, log: log, changed: newChanged(), metrics: api.NewMetrics()}
	collectEarly()
	limitMemory(log)
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
	if err = n.openCluster(o.version); err != nil {
		return nil, err
	}
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
	day := dialer.NewDay(cfg.Dialing.PerDay, func(ctx context.Context, since time.Time) (int, error) {
		return n.store.CountCalls(ctx, store.Filter{Direction: telephony.Outbound, Since: since})
	})
	recordings, err := n.openRecordings(ctx)
	if err != nil {
		return nil, err
	}
	js := journals{n.store, n.events, hub, n.hooks, n.metrics, n.cluster}
	if n.archive != nil {
		js = append(js, archived{n.archive})
	}
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
		TransfersPerCall: cfg.Dialing.PerCall, Claim: day.Take, Unclaim: day.Return, DoNotCall: n.doNotCall,
		MaxCalls: maxCalls(cfg.Limits.MaxCalls, log), Reserved: cfg.Limits.Reserved,
		JournalDir: cfg.Log.Journal, RecordingDir: recordings, Log: log,
	}
	if n.engine, err = engine.New(ec); err != nil {
		return nil, err
	}
	if err = n.openTelephony(day); err != nil {
		return nil, err
	}
	dial.Dialer = n.sip
	n.news = func(what dialer.News) {
		hub.News(what)
		n.metrics.News(what)
		n.events.Event(api.EventOf(what))
	}
	if err = n.openCampaigns(day); err != nil {
		return nil, err
	}
	n.gauges()
	if err = n.joinCalls(hub); err != nil {
		return nil, err
	}
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
	kc := knowledge.Config{
		Store: n.store, Embedder: e, Reader: reader, Refresh: n.shared(shareWait), Log: n.log,
		Changed: func() { n.cluster.Changed(changedDocuments) },
	}
	if n.books, err = knowledge.New(kc); err != nil {
		return err
	}
	n.onClose(n.books.Close)
	return nil
}

func storeConfig(cfg *configs.Config, log *zap.Logger) store.Config {
	return store.Config{
		URL: cfg.Store.URL, Node: cfg.Cluster.Node, Key: cfg.Store.Key, Log: log,
		Spool: ownFile(cfg, cfg.Store.Spool, ".spool"), SpoolMay: cfg.Store.Spool == "",
	}
}

// dialling is the engine's way out, set once telephony is there.
type dialling struct{ telephony.Dialer }

func (n *node) openTelephony(day *dialer.Day) error {
	first, last, err := n.cfg.RTP.Range()
	if err != nil {
		return err
	}
	if n.media, err = rtp.New(rtp.Config{PortMin: first, PortMax: last, Log: n.log}); err != nil {
		return err
	}
	n.admission = newAdmission(n.engine, n.media, n.cfg.Limits, n.log)
	dialogs, err := n.openDialogs()
	if err != nil {
		return err
	}
	unknown := sip.DropUnknown
	if n.cfg.SIP.UnknownSource == "refuse" {
		unknown = sip.RefuseUnknown
	}
	n.sip, err = sip.New(sip.Config{
		Listen: n.cfg.SIP.Listen, PublicIP: n.cfg.SIP.PublicIP, Trunks: n.directory.Table(), Media: n.media,
		Handler: n.engine, Cert: n.cfg.Path(n.cfg.SIP.TLS.Cert), Key: n.cfg.Path(n.cfg.SIP.TLS.Key),
		Log: n.log, UnknownSource: unknown, Admit: n.admission.admit, Leave: n.engine.Leave, Accept: n.accept,
		MayDial: n.cfg.Gate().Check,
		Dialogs: dialogs, Claim: day.Take, Unclaim: day.Return, PerCall: n.cfg.Dialing.PerCall,
	})
	if err != nil {
		return err
	}
	if err = n.openStreams(); err != nil || n.cfg.WebRTC.Listen == "" {
		return err
	}
	n.web, err = webrtc.New(webrtc.Config{
		Listen: n.cfg.WebRTC.Listen, PublicIP: n.cfg.WebRTC.PublicIP, Media: n.media, Handler: n.engine, Log: n.log,
		Accept: n.admission.room,
	})
	return err
}

// accept is asked about a call that there is room for.
func (n *node) accept(info telephony.Info) (telephony.Cause, bool) {
	if _, _, ok := n.directory.Table().Route(info.Trunk, info.To); !ok {
		return telephony.Cause{Reason: telephony.ReasonBadNumber, Text: "the number is nobody's"}, false
	}
	return telephony.Cause{}, true
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
	n.metrics.Gauge("sip_wrong_passwords", "Wrong passwords of callers, since the start.", func() float64 {
		return float64(n.sip.Stats().Unproven)
	})
	n.metrics.Gauge("ready", "1 where calls can be taken.", func() float64 {
		if n.ready() != nil {
			return 0
		}
		return 1
	})
	n.metrics.Trunks(func() []trunk.Status {
		var list []trunk.Status
		for _, t := range n.directory.Table().Trunks() {
			list = append(list, n.line(t.ID))
		}
		return list
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
	queue("store_records_dropped", "Records of calls that were too many to wait for the disk: they are lost.",
		func(q store.Queued) float64 { return float64(q.RecordsDropped) })
	queue("store_refused", "Records, events and webhooks that the database takes at no time.",
		func(q store.Queued) float64 { return float64(q.Refused) })
	queue("store_queued_record_bytes", "Memory of the records that wait for the disk.",
		func(q store.Queued) float64 { return float64(q.RecordBytes) })
	queue("store_spooled_bytes", "Records and webhooks that wait in the spool.",
		func(q store.Queued) float64 { return float64(q.Spooled) })
}

func (n *node) openAPI(hub *api.Hub, deps tools.Deps, version string) error {
	keys, err := apiKeys(n.cfg.API.Keys)
	if err != nil {
		return err
	}
	n.api, err = api.New(api.Config{
		Listen: n.cfg.HTTP.Listen, Keys: keys, Limits: rateLimits(n.cfg.API.Limits), Version: version,
		Engine: n.calls, Nodes: n.cluster,
		Gate:  n.cfg.Gate(),
		Line:  n.line,
		Calls: n.store, Once: n.store, Deliveries: n.store, Hub: hub, Metrics: n.metrics, Ready: n.ready,
		Away: n.away, Recording: n.recording,
		Callbacks: n.callbacks, Knowledge: n.books, Transients: n.hooks, Log: n.log,
		Browsers: n.browsers(), Origins: n.cfg.WebRTC.Origins,
		Objects: n.store, Reader: n.cfg.Reader(),
		Campaigns: n.store, Profiles: n.cfg.Profiles, News: n.news,
		Tools: deps, KeyStore: n.store, KeysRefresh: n.shared(keysWait), Scopes: configs.Scopes,
	})
	if err != nil {
		return err
	}
	n.streams.Mount(n.api.Mount)
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
	if n.web != nil && !n.web.Addr().IsValid() || n.draining.Load() || !n.engine.Room() {
		return errNotReady
	}
	return nil
}

// away are the parts that calls go on without.
func (n *node) away() []string {
	if n.store.Away() {
		return []string{"store"}
	}
	return nil
}

// serve runs until ctx ends; then running calls end in their own time, as long
// as the context that drain makes.
func (n *node) serve(ctx context.Context, drain func() (context.Context, context.CancelFunc), ready func()) error {
	defer n.close()
	run, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	defer stop(nil)
	lines, hangUp := context.WithCancel(run) // by which calls come: these end first
	defer hangUp()
	var wg sync.WaitGroup
	startIn := func(ctx context.Context, name string, f func(context.Context) error) {
		wg.Go(func() {
			if err := f(ctx); err != nil && ctx.Err() == nil {
				stop(fmt.Errorf("%s: %w", name, err))
			}
		})
	}
	start := func(name string, f func(context.Context) error) { startIn(run, name, f) }
	start("cluster", n.serveCluster)
	start("rtp", n.media.Serve)
	startIn(lines, "sip", n.sip.Serve)
	if n.web != nil {
		startIn(lines, "webrtc", n.web.Serve)
	}
	startIn(lines, "streams", n.streams.Serve)
	start("warm", n.warm)
	start("webhooks", func(ctx context.Context) error { return n.hooks.Work(ctx, hooksWait) })
	if n.archive != nil {
		start("recordings", func(ctx context.Context) error { return n.archive.Serve(ctx, recordingsWait) })
	}
	start("knowledge", n.books.Serve)
	start("directory", n.directory.Serve)
	start("http", func(ctx context.Context) error { return n.api.Serve(ctx, n.http) })
	if n.waitReady(ctx, run) {
		if n.campaigns != nil {
			start("campaigns", n.campaigns.Serve)
		}
		ready()
	}
	select {
	case <-ctx.Done():
	case <-run.Done():
		wg.Wait()
		return context.Cause(run)
	}
	n.draining.Store(true)
	limit, cancel := drain()
	n.drain(limit, hangUp)
	cancel()
	stop(nil)
	wg.Wait()
	return nil
}

// waitReady waits until calls can come in; false: something has ended before.
func (n *node) waitReady(ctx, run context.Context) bool {
	doors := []<-chan struct{}{n.sip.Ready()}
	if n.web != nil {
		doors = append(doors, n.web.Ready())
	}
	for _, open := range doors {
		select {
		case <-open:
		case <-run.Done():
			return false
		case <-ctx.Done():
			return false
		}
	}
	return true
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
