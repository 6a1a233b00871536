package main

import (
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"time"

	"go.uber.org/zap"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/audio/codec"
	"github.com/patchcord/patchcord/audio/vad"
)

// How many calls a machine is taken to carry, where limits.max_calls does not say.
const (
	// costOfCall is what a call costs of a processor for each frame that frameCost
	// takes again and again, with all of it in the caches: every call's frames come
	// 20 ms apart, and turns, streams, events and the recording with them. On idle
	// machines patchcord bench has had 1.8 ms per call-second of 200 calls where a
	// frame takes 1.6 µs (22 times as much), 6.8 ms of 40 and 3.6 ms of 130 calls where
	// it takes 8 (17 and 9 times). A busy one needs up to three times that: there
	// lateness refuses.
	costOfCall = 22
	// busyShare is how much of the processors calls may take: at more, ticks of
	// 20 ms come late where several calls have something to do at once.
	busyShare = 0.6

	// The best run counts, and each is over sooner than a processor is given to
	// somebody else: others may be at work at the start.
	measureRuns   = 50
	measureFrames = 20 // of a run: 0.4 s of a call
	leastCalls    = 10
	mostCalls     = 4000 // what a process was tried with
)

// maxCalls is how many calls may be up: what is configured, or what this
// machine is measured to carry.
func maxCalls(configured int, log *zap.Logger) int {
	if configured > 0 {
		return configured
	}
	cost, err := frameCost()
	if err != nil {
		log.Warn("limits.max_calls cannot be measured: lateness, memory and ports bound the calls", zap.Error(err))
		return 0
	}
	n := carries(cost, runtime.GOMAXPROCS(0))
	log.Info("limits.max_calls is measured", zap.Int("max_calls", n), zap.Int64("frame_us", cost.Microseconds()))
	return n
}

// carries is how many calls so many processors carry where one frame of sound
// takes that long.
func carries(cost time.Duration, processors int) int {
	second := cost * time.Duration(costOfCall*int(time.Second/audio.FrameTime)) // of a processor, per call
	n := int(busyShare * float64(processors) * float64(time.Second) / float64(max(second, 1)))
	return min(max(n, leastCalls), mostCalls)
}

// frameCost is how long one frame takes here, both ways: through a socket,
// decoded, listened to, encoded.
func frameCost() (time.Duration, error) {
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
	if err != nil {
		return 0, fmt.Errorf("open a socket: %w", err)
	}
	defer conn.Close() //nolint:errcheck // nothing is in it
	_ = conn.SetDeadline(time.Now().Add(2 * time.Second))
	self := conn.LocalAddr().(*net.UDPAddr).AddrPort()
	const samples = 160 // of 20 ms at 8 kHz
	pcm, packet := make([]int16, samples), make([]byte, 12+samples)
	ears := vad.New()
	var best time.Duration
	for run := range measureRuns {
		begun := time.Now()
		for i := range measureFrames {
			if _, err := conn.WriteToUDPAddrPort(packet, self); err != nil {
				return 0, fmt.Errorf("send: %w", err)
			}
			n, _, err := conn.ReadFromUDPAddrPort(packet)
			if err != nil {
				return 0, fmt.Errorf("receive: %w", err)
			}
			codec.DecodeMuLaw(pcm, packet[12:n])
			ears.Push(audio.Frame{PCM: pcm, Rate: 8000, At: time.Duration(run*measureFrames+i) * audio.FrameTime})
			codec.EncodeMuLaw(packet[12:], pcm)
		}
		if took := time.Since(begun) / measureFrames; best == 0 || took < best {
			best = took
		}
	}
	return best, nil
}
