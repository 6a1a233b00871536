//go:build linux && !race && !portable

package rtp

import (
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/audio/vad"
	"github.com/patchcord/patchcord/telephony/sdp"
)

// cpuTime is what a thread of this process has used.
func cpuTime(tid int) time.Duration {
	var ts unix.Timespec
	// The clock of a thread (pthread_getcpuclockid): its complement, per
	// thread, scheduler's count.
	_ = unix.ClockGettime(int32(^tid<<3|6), &ts)
	return time.Duration(ts.Nano())
}

// waiting is how long a thread has waited for a processor (the second field of
// schedstat); 0 where the kernel does not tell.
func waiting(tid int) time.Duration {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/schedstat", tid))
	var ran, waited, slices int64
	_, _ = fmt.Sscan(string(text), &ran, &waited, &slices)
	return time.Duration(waited)
}

// crowd is the far side of many sessions, in one thread: it sends each 50
// packets a second by sendmmsg and notes when theirs come by the kernel's time
// stamps.
type crowd struct {
	fd    int
	to    []netip.AddrPort
	conn  *rawConn
	last  map[uint32]int64
	gaps  []time.Duration
	count int
	seal  *sealer // nil: in the clear
	note  atomic.Bool
	stop  atomic.Bool
}

func newCrowd(b *testing.B) *crowd {
	c, err := listen(netip.MustParseAddrPort("127.0.0.1:0"), 0xB8, 4<<20)
	if err != nil {
		b.Fatal(err)
	}
	raw := c.(*rawConn)
	_ = unix.SetsockoptInt(raw.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 16<<20)
	sa, err := unix.Getsockname(raw.fd)
	if err != nil {
		b.Fatal(err)
	}
	raw.addr = netip.AddrPortFrom(loopback, uint16(sa.(*unix.SockaddrInet4).Port))
	return &crowd{fd: raw.fd, conn: raw, last: map[uint32]int64{}, gaps: make([]time.Duration, 0, 1<<20)}
}

func (c *crowd) run() {
	runtime.LockOSThread()
	urgent()
	clk := newClock()
	n := len(c.to)
	msgs := make([]mmsghdr, n)
	iovs := make([]unix.Iovec, n)
	names := make([]unix.RawSockaddrInet4, n)
	bufs := make([][headerSize + 160 + 16]byte, n) // and what authenticates
	for i, to := range c.to {
		port := [2]byte{byte(to.Port() >> 8), byte(to.Port())}
		names[i] = unix.RawSockaddrInet4{Family: unix.AF_INET, Port: *(*uint16)(unsafe.Pointer(&port)), Addr: to.Addr().As4()}
		iovs[i].Base = &bufs[i][0]
		iovs[i].SetLen(headerSize + 160)
		h := &msgs[i].hdr
		h.Name, h.Namelen = (*byte)(unsafe.Pointer(&names[i])), unix.SizeofSockaddrInet4
		h.Iov = &iovs[i]
		h.SetIovlen(1)
	}
	in := newBatch()
	for tick := 0; !c.stop.Load(); tick++ {
		clk.sleepUntil(time.Duration(tick) * time.Millisecond)
		from, to := tick%20*n/20, (tick%20+1)*n/20
		for i := from; i < to; i++ {
			header{seq: uint16(tick / 20), ts: uint32(tick / 20 * 160), ssrc: uint32(i) + 1}.put(bufs[i][:])
			for k := range 160 { // a voice of a kind, with pauses
				bufs[i][headerSize+k] = byte(0xff - k%64*((tick/400)%2))
			}
			if c.seal != nil {
				out, _ := c.seal.packet(bufs[i][:headerSize+160])
				iovs[i].SetLen(len(out))
			}
		}
		for sent := from; sent < to; {
			k, _, e := unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(c.fd), uintptr(unsafe.Pointer(&msgs[sent])),
				uintptr(to-sent), 0, 0, 0)
			if e != 0 {
				break
			}
			sent += int(k)
		}
		c.listen(in)
	}
}

func (c *crowd) listen(in *batch) {
	for {
		in.now, in.wall = time.Hour, time.Now().UnixNano()
		n := c.conn.read(in)
		for i := range n {
			h, _, ok := parseHeader(in.data(i))
			if !ok || isRTCP(in.data(i)) {
				continue
			}
			at := in.wall - int64(in.now-in.at[i])
			if c.note.Load() {
				c.count++
				if last := c.last[h.ssrc]; last != 0 && len(c.gaps) < cap(c.gaps) {
					c.gaps = append(c.gaps, time.Duration(at-last))
				}
			}
			c.last[h.ssrc] = at
		}
		if n < batchSize {
			return
		}
	}
}

// floor is what the bare system calls cost, core-ms per call-second: as many
// sockets as there are calls, each received from and sent from every 20 ms by a
// thread like a shard's, nothing done in between.
func floor(b *testing.B, calls int) float64 {
	c := newCrowd(b)
	conns := make([]*rawConn, calls)
	for i := range conns {
		l, err := listen(netip.AddrPortFrom(loopback, uint16(30000+i)), 0xB8, 128<<10)
		if err != nil {
			b.Fatal(err)
		}
		conns[i] = l.(*rawConn)
		c.to = append(c.to, l.local())
	}
	var wg sync.WaitGroup
	wg.Go(c.run)
	var used time.Duration
	const warm, ticks = 500, 2500 // ms
	wg.Go(func() {
		runtime.LockOSThread()
		urgent()
		clk := newClock()
		var packet [headerSize + 160]byte
		for tick := range warm + ticks {
			clk.sleepUntil(time.Duration(tick) * time.Millisecond)
			if tick == warm {
				used = -cpuTime(unix.Gettid())
			}
			for i := tick % 20 * calls / 20; i < (tick%20+1)*calls/20; i++ {
				_, _, _ = unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(conns[i].fd), uintptr(unsafe.Pointer(&packet[0])),
					uintptr(len(packet)), unix.MSG_DONTWAIT, 0, 0)
				conns[i].write(packet[:], c.conn.addr)
			}
		}
		used += cpuTime(unix.Gettid())
		c.stop.Store(true)
	})
	wg.Wait()
	c.conn.close()
	for _, l := range conns {
		l.close()
	}
	return used.Seconds() * 1000 / (ticks / 1000.) / float64(calls)
}

type vadSink struct{ d vad.Detector }

func (v *vadSink) Hear(f audio.Frame) { v.d.Push(f) }

// plane is 500 legs on one shard for 4 s: what its thread used for each, and
// what else was seen.
type plane struct {
	cost, allocs, packets float64 // core-ms per call-second, allocations per packet, packets per call-second
	waiting               float64 // of the time, for a processor
	load                  Load
	gaps                  []time.Duration // between packets, in order of length
}

func (p *plane) gap(share float64) float64 {
	return p.gaps[int(share*float64(len(p.gaps)-1))].Seconds() * 1000
}

const benchLegs = 500

func runPlane(b *testing.B, connect func([]*Session), keys ...sdp.Keys) plane {
	b.Helper()
	const seconds = 4
	m := running(b, Config{Shards: 1, PortMin: 30000, PortMax: 39998})
	c := newCrowd(b)
	var sessions []*Session
	for range benchLegs {
		s := open(b, m, loopback)
		sessions = append(sessions, s)
		c.to = append(c.to, s.Local())
	}
	connect(sessions)
	p := Params{Remote: c.conn.addr, Codec: "PCMU", EventPT: 101, Send: true, Receive: true, RTCPMux: true}
	for _, k := range keys {
		p.SRTP = k
		var err error
		if c.seal, err = newSealer(reversed(k)); err != nil {
			b.Fatal(err)
		}
	}
	for _, s := range sessions {
		if err := s.Apply(p); err != nil {
			b.Fatal(err)
		}
	}
	var wg sync.WaitGroup
	wg.Go(c.run)
	warm := time.NewTimer(time.Second)
	<-warm.C
	tid := int(m.shards[0].tid.Load())
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	cpu, waited, start := cpuTime(tid), waiting(tid), time.Now()
	c.note.Store(true)
	warm.Reset(seconds * time.Second)
	<-warm.C
	c.note.Store(false)
	used, took := cpuTime(tid)-cpu, time.Since(start)
	waited = waiting(tid) - waited
	runtime.ReadMemStats(&after)
	out := plane{
		cost:    used.Seconds() * 1000 / took.Seconds() / benchLegs,
		waiting: waited.Seconds() / took.Seconds(),
		load:    m.Load(),
	}
	c.stop.Store(true)
	for _, s := range sessions {
		wg.Go(s.Close)
	}
	wg.Wait()
	c.conn.close()
	out.allocs = float64(after.Mallocs-before.Mallocs) / float64(2*c.count)
	out.packets = float64(c.count) / took.Seconds() / benchLegs
	out.gaps = c.gaps
	slices.Sort(out.gaps)
	return out
}

// plainLegs gives each leg a voice detector and a Source that talks.
func plainLegs(sessions []*Session) {
	for _, s := range sessions {
		s.Connect(&vadSink{}, &talk{})
	}
}

// The media plane at work: 500 calls, each with jitter buffer, voice detector,
// a Source that talks, RTCP. core-ms/call-s is the shard thread's time, floor
// that of the bare send and receive a moment before.
func BenchmarkMediaPlane500(b *testing.B) {
	for range b.N {
		bare := floor(b, benchLegs)
		p := runPlane(b, plainLegs)
		b.ReportMetric(p.cost, "core-ms/call-s")
		b.ReportMetric(bare, "floor-core-ms/call-s")
		b.ReportMetric(p.cost/bare, "×floor")
		b.ReportMetric(p.gap(.5), "p50-ms")
		b.ReportMetric(p.gap(.99), "p99-ms")
		b.ReportMetric(p.gap(1), "max-ms")
		b.ReportMetric(p.waiting*100, "%waiting-for-cpu")
		b.ReportMetric(p.load.OverrunP99.Seconds()*1000, "tick-late-p99-ms")
		b.ReportMetric(p.allocs, "allocs/packet")
		b.ReportMetric(p.packets, "packets/call-s")
	}
}

// What encryption costs the media plane: the same 500 calls, in the clear and
// with the suite that every peer has.
func BenchmarkMediaPlaneSRTP(b *testing.B) {
	for range b.N {
		bare := runPlane(b, plainLegs)
		p := runPlane(b, plainLegs, keyed(sdp.AES128SHA80, "our key ", "their key "))
		b.ReportMetric(bare.cost, "clear-core-ms/call-s")
		b.ReportMetric(p.cost, "srtp-core-ms/call-s")
		b.ReportMetric(p.cost-bare.cost, "added-core-ms/call-s")
		b.ReportMetric(p.allocs, "allocs/packet")
		b.ReportMetric(p.packets, "packets/call-s")
		b.ReportMetric(p.gap(.99), "p99-ms")
	}
}
