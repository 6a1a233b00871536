//go:build !race

// The race detector makes pools forget what they hold, now and then.

package rtp

import (
	"testing"
	"time"
)

// Neither encryption nor decryption allocates, nor does a tick with both.
func TestSecuredTickDoesNotAllocate(t *testing.T) {
	for suite := range suiteKeys {
		k := keyed(suite, "our key ", "their key ")
		r := newRig(t, secured(k))
		r.Connect(&ear{}, &talk{})
		far := newSecret(t, peer, reversed(k))
		out := r.rtp
		r.Session.rtp = &silentWire{wire: out}
		packets := make([]datagram, 1)
		var buf [packetSize]byte
		if got := testing.AllocsPerRun(500, func() {
			header{seq: far.seq, ts: far.ts, ssrc: 1}.put(buf[:])
			copy(buf[headerSize:], loudFrame)
			far.seq++
			far.ts += 160
			b, _ := far.sealer.packet(buf[:headerSize+160])
			packets[0] = datagram{b: b, peer: peer, at: r.now}
			out.in = packets
			r.reports.next = r.now + time.Hour
			r.step()
		}); got != 0 {
			t.Errorf("%s: %v allocations per tick", suite, got)
		}
		if r.in.forged != 0 || r.in.packets < 500 {
			t.Errorf("%s: %d packets, %d forged", suite, r.in.packets, r.in.forged)
		}
	}
}
