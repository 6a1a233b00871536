package api

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/patchcord/patchcord/engine"
	"github.com/patchcord/patchcord/store"
	"github.com/patchcord/patchcord/telephony"
)

// Metrics counts what calls, tools, providers, webhooks and requests come to,
// as Prometheus reads it at /metrics. It is a journal of the engine.
//
// Labels have few values each: directions, end reasons, events, statuses,
// configured providers, paths of this API. No call, number, agent or tool is one.
type Metrics struct {
	registry *prometheus.Registry

	started, ended      *prometheus.CounterVec
	answered            *prometheus.CounterVec
	talked, mos         prometheus.Observer
	lost                prometheus.Counter
	stages              *prometheus.HistogramVec
	events              *prometheus.CounterVec
	tools               *prometheus.HistogramVec
	failed, fallen      *prometheus.CounterVec
	deliveries          *prometheus.CounterVec
	requests            *prometheus.CounterVec
	requestTime         *prometheus.HistogramVec
	attempts            *prometheus.CounterVec
	inProgress, ringing prometheus.Gauge

	mu   sync.Mutex // guards live
	live map[telephony.CallID]prometheus.Gauge
}

var _ engine.Journal = (*Metrics)(nil)

// Buckets of the classic histograms, s. Servers that take native histograms
// have finer ones of their own, of one tenth.
var (
	turnBuckets = []float64{0.05, 0.1, 0.2, 0.3, 0.5, 0.8, 1, 1.5, 2, 3, 5, 10}
	toolBuckets = []float64{0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60}
	callBuckets = []float64{5, 15, 30, 60, 120, 300, 600, 900, 1800, 3600}
	httpBuckets = []float64{0.005, 0.025, 0.1, 0.5, 1, 5, 30}
	mosBuckets  = []float64{1, 2, 2.6, 3.1, 3.6, 4, 4.3, 4.5}
)

// NewMetrics makes metrics that nothing has been counted in.
func NewMetrics() *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry(), live: map[telephony.CallID]prometheus.Gauge{}}
	m.started = m.counters("calls_started_total", "Calls that rang, or were dialled.", "direction")
	m.ended = m.counters("calls_ended_total", "Calls that are over.", "direction", "end_reason")
	m.answered = m.counters("calls_answered_total", "Calls that were answered, by the suite of their SRTP.", "srtp")
	m.inProgress = m.gauge("calls_in_progress", "Calls that are answered and not over.")
	m.ringing = m.gauge("calls_ringing", "Calls that ring, or are dialled.")
	m.talked = m.histogram("call_duration_seconds", "From the answer to the end.", callBuckets).WithLabelValues()
	m.mos = m.histogram("call_mos", "Estimated quality of what was heard (ITU-T G.107).", mosBuckets).WithLabelValues()
	m.lost = m.counters("rtp_packets_lost_total", "Packets that did not arrive, of calls that are over.").WithLabelValues()
	m.stages = m.histogram("turn_stage_seconds", "Where the time of a turn goes, from the caller's last sound to ours.",
		turnBuckets, "stage")
	m.events = m.counters("call_events_total", "Events of calls, see docs/events.md.", "event")
	m.tools = m.histogram("tool_duration_seconds", "Calls of tools.", toolBuckets, "status")
	m.failed = m.counters("provider_failures_total", "Failures of recognisers, voices and models.", "kind", "provider")
	m.fallen = m.counters("provider_fallbacks_total", "Another provider that took over.", "kind", "from", "to")
	m.deliveries = m.counters("webhook_attempts_total", "Attempts to deliver a webhook.", "result")
	m.attempts = m.counters("campaign_attempts_total", "Calls of campaigns that are over.", "outcome")
	m.requests = m.counters("http_requests_total", "Requests of this API.", "route", "code")
	m.requestTime = m.histogram("http_request_duration_seconds", "Requests of this API; of streams, until they end.",
		httpBuckets, "route")
	m.registry.MustRegister(collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// namespace is what the names of ours begin with.
const namespace = "patchcord"

func (m *Metrics) counters(name, help string, labels ...string) *prometheus.CounterVec {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
	m.registry.MustRegister(c)
	return c
}

func (m *Metrics) gauge(name, help string) prometheus.Gauge {
	g := prometheus.NewGauge(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help})
	m.registry.MustRegister(g)
	return g
}

func (m *Metrics) histogram(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	h := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: namespace, Name: name, Help: help, Buckets: buckets,
		NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 160, NativeHistogramMinResetDuration: time.Hour,
	}, labels)
	m.registry.MustRegister(h)
	return h
}

// Gauge adds a value that is read whenever somebody asks for the metrics. Its
// name gets the prefix patchcord_ and is used once.
func (m *Metrics) Gauge(name, help string, value func() float64) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(
		prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help}, value))
}

// Started counts a call, and follows what becomes of it.
func (m *Metrics) Started(r engine.Record) {
	m.mu.Lock()
	defer m.mu.Unlock()
	was, known := m.live[r.ID]
	if !known {
		m.started.WithLabelValues(string(r.Direction)).Inc()
	}
	now := m.ringing
	if r.Status == engine.StatusInProgress {
		now = m.inProgress
	}
	m.live[r.ID] = now
	if was != nil {
		was.Dec()
	}
	now.Inc()
}

// Ended counts the end of a call.
func (m *Metrics) Ended(r engine.Record) {
	m.mu.Lock()
	if was := m.live[r.ID]; was != nil {
		was.Dec()
	}
	delete(m.live, r.ID)
	m.mu.Unlock()
	m.ended.WithLabelValues(string(r.Direction), string(r.EndReason)).Inc()
	m.lost.Add(float64(r.Lost))
	if !r.Answered.IsZero() {
		m.talked.Observe(r.Duration().Seconds())
	}
	if r.MOS > 0 {
		m.mos.Observe(r.MOS)
	}
}

// stageFields are the times of turn.metrics, ms, and what their stages are
// called.
var stageFields = map[string]string{
	"endpoint_wait_ms": "endpoint_wait", "stt_final_ms": "stt_final", "llm_first_ms": "llm_first",
	"chunk_wait_ms": "chunk_wait", "tts_first_ms": "tts_first", "first_packet_ms": "first_packet",
	"engine_added_ms": "engine_added", "v2v_ms": "v2v",
}

// Event counts an event of a call.
func (m *Metrics) Event(e engine.Event) {
	if !slices.Contains(engine.EventNames, e.Name) {
		return
	}
	m.events.WithLabelValues(e.Name).Inc()
	text := func(key string) string { s, _ := e.Get(key).(string); return s }
	switch e.Name {
	case engine.EventCallAnswered:
		m.answered.WithLabelValues(cmp.Or(text("srtp"), "none")).Inc()
	case engine.EventTurnMetrics:
		for _, f := range e.Fields {
			if ms, ok := f.Value.(int64); ok && stageFields[f.Key] != "" {
				m.stages.WithLabelValues(stageFields[f.Key]).Observe(float64(ms) / 1000)
			}
		}
	case engine.EventToolFinished:
		if ms, ok := e.Get("ms").(int64); ok {
			m.tools.WithLabelValues(text("status")).Observe(float64(ms) / 1000)
		}
	case engine.EventProviderFailed:
		m.failed.WithLabelValues(text("kind"), text("provider")).Inc()
	case engine.EventProviderFallback:
		m.fallen.WithLabelValues(text("kind"), text("from"), text("to")).Inc()
	}
}

// Attempted counts an attempt to deliver a webhook.
func (m *Metrics) Attempted(a store.Attempt) {
	result := "delivered"
	switch {
	case a.Err != nil && a.Final:
		result = "refused"
	case a.Err != nil:
		result = "failed"
	}
	m.deliveries.WithLabelValues(result).Inc()
}

// noRoute is a path that is none of this API's.
const noRoute = "none"

// asked counts a request.
func (m *Metrics) asked(route string, code int, took time.Duration) {
	if route == "" {
		route = noRoute
	}
	m.requests.WithLabelValues(route, strconv.Itoa(code)).Inc()
	m.requestTime.WithLabelValues(route).Observe(took.Seconds())
}

// counted notes the status of an answer.
type counted struct {
	http.ResponseWriter

	code int // 200 where nothing else is said
}

// Unwrap is for http.ResponseController.
func (c *counted) Unwrap() http.ResponseWriter { return c.ResponseWriter }

func (c *counted) WriteHeader(code int) {
	if code >= http.StatusOK { // 1xx come before the answer
		c.code = code
	}
	c.ResponseWriter.WriteHeader(code)
}

// metrics is the path that they are read from. They are of all agents.
func (s *Server) metrics() {
	if s.cfg.Metrics == nil {
		return
	}
	h := promhttp.HandlerFor(s.cfg.Metrics.registry, promhttp.HandlerOpts{EnableOpenMetrics: true})
	huma.Register(s.api, huma.Operation{
		OperationID: "metrics", Method: http.MethodGet, Path: "/metrics",
		Summary: "Calls, media, tools, providers, webhooks and requests in numbers, for Prometheus",
		Tags:    []string{"health"}, Security: scope("calls:read"),
		Responses: map[string]*huma.Response{"200": {
			Description: "Prometheus' text format, or another that is asked for",
			Content:     map[string]*huma.MediaType{"text/plain": {Schema: &huma.Schema{Type: huma.TypeString}}},
		}},
	}, func(ctx context.Context, _ *struct{}) (*huma.StreamResponse, error) {
		if err := whole(ctx); err != nil {
			return nil, err
		}
		return &huma.StreamResponse{Body: func(hctx huma.Context) {
			r, w := humago.Unwrap(hctx)
			h.ServeHTTP(w, r)
		}}, nil
	})
}
