//go:build linux && !race && !portable

package rtp

import (
	"testing"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/telephony/bridge"
)

// wired is as much of a leg as a bridge needs.
type wired struct {
	telephony.Leg
	s *Session
}

func (w wired) Connect(in audio.Sink, out audio.Source) { w.s.Connect(in, out) }

// BenchmarkBridge250 is 250 bridged calls, keys sent on both ways, beside 500
// plain legs a moment before: what a bridged call costs, and how many times a
// plain leg that is. listening has the agent hear both sides as well.
func BenchmarkBridge250(b *testing.B) {
	for range b.N {
		plain := runPlane(b, plainLegs)
		b.ReportMetric(plain.cost, "plain-core-ms/leg-s")
		for name, tap := range map[string]func() bridge.Taps{
			"bridged":   func() bridge.Taps { return bridge.Taps{} },
			"listening": func() bridge.Taps { return bridge.Taps{Heard: &vadSink{}} },
		} {
			var bridges []*bridge.Bridge
			p := runPlane(b, func(sessions []*Session) {
				for i := 0; i < len(sessions); i += 2 {
					br := bridge.New(bridge.Config{})
					a, z := br.Join(wired{s: sessions[i]}, tap()), br.Join(wired{s: sessions[i+1]}, tap())
					a.SpeakTo(z)
					z.SpeakTo(a)
					a.KeysTo(z)
					z.KeysTo(a)
					bridges = append(bridges, br)
				}
			})
			for _, br := range bridges {
				br.Close()
			}
			b.ReportMetric(2*p.cost, name+"-core-ms/call-s")
			b.ReportMetric(2*p.cost/plain.cost, name+"-×plain")
			b.ReportMetric(p.allocs, name+"-allocs/packet")
			b.ReportMetric(p.gap(.99), name+"-p99-ms")
		}
	}
}
