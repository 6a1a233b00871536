package api

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/patchcord/patchcord/telephony/trunk"
)

// lines are the metrics of trunks, read whenever somebody asks. Their labels
// are what the configuration and the API name, and the addresses that names of
// gateways stand for at the moment.
type lines struct {
	list func() []trunk.Status

	registered, failures, up, roundTrip, calls, started, refused *prometheus.Desc
}

// Trunks adds the metrics of trunks. It is called once.
func (m *Metrics) Trunks(list func() []trunk.Status) { m.registry.MustRegister(newLines(list)) }

func newLines(list func() []trunk.Status) *lines {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(namespace+"_trunk_"+name, help, append([]string{"trunk"}, labels...), nil)
	}
	return &lines{
		list:       list,
		registered: desc("registered", "1 where the registrar knows where we are."),
		failures:   desc("registration_failures_total", "REGISTERs that failed."),
		up: desc("gateway_up", "1 where an address of a gateway is not known to be down.", "gateway", "address",
			"transport"),
		roundTrip: desc("gateway_round_trip_seconds", "Of the OPTIONS that was answered last.", "gateway", "address",
			"transport"),
		calls:   desc("calls", "Calls that ring or are up.", "direction"),
		started: desc("calls_started_total", "Calls that came, or were placed.", "direction"),
		refused: desc("calls_refused_total", "Calls that a limit of the trunk refused.", "direction", "limit"),
	}
}

// Describe is for prometheus.
func (l *lines) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{l.registered, l.failures, l.up, l.roundTrip, l.calls, l.started, l.refused} {
		out <- d
	}
}

// Collect is for prometheus.
func (l *lines) Collect(out chan<- prometheus.Metric) {
	tell := func(d *prometheus.Desc, kind prometheus.ValueType, value float64, labels ...string) {
		if m, err := prometheus.NewConstMetric(d, kind, value, labels...); err == nil {
			out <- m
		}
	}
	for _, s := range l.list() {
		id := string(s.ID)
		if r := s.Registration; r != nil {
			tell(l.registered, prometheus.GaugeValue, oneIf(r.Registered), id)
			tell(l.failures, prometheus.CounterValue, float64(r.Failures), id)
		}
		for _, p := range s.Places {
			labels := []string{id, p.Gateway, p.Addr.String(), string(p.Transport)}
			tell(l.up, prometheus.GaugeValue, oneIf(p.Up), labels...)
			if !p.Answered.IsZero() {
				tell(l.roundTrip, prometheus.GaugeValue, p.RoundTrip.Seconds(), labels...)
			}
		}
		tell(l.calls, prometheus.GaugeValue, float64(s.Load.In), id, "inbound")
		tell(l.calls, prometheus.GaugeValue, float64(s.Load.Out), id, "outbound")
		tell(l.started, prometheus.CounterValue, float64(s.Load.StartedIn), id, "inbound")
		tell(l.started, prometheus.CounterValue, float64(s.Load.Started), id, "outbound")
		tell(l.refused, prometheus.CounterValue, float64(s.Load.FullIn), id, "inbound", "max_calls")
		tell(l.refused, prometheus.CounterValue, float64(s.Load.FullOut), id, "outbound", "max_calls")
		tell(l.refused, prometheus.CounterValue, float64(s.Load.TooFast), id, "outbound", "max_cps")
	}
}

func oneIf(on bool) float64 {
	if on {
		return 1
	}
	return 0
}
