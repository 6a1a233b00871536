package rtp

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// SEC-15: even ports of the range, none twice, all of them.
func TestPorts(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		lo := rapid.IntRange(1024, 65000).Draw(t, "lowest")
		hi := min(lo+rapid.IntRange(1, 60).Draw(t, "more"), 65534)
		p, err := newPorts(lo, hi)
		if err != nil {
			t.Fatal(err)
		}
		total := p.free
		var held []int
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			if len(held) > 0 && rapid.Bool().Draw(t, "release") {
				i := rapid.IntRange(0, len(held)-1).Draw(t, "which")
				p.release(held[i])
				held = slices.Delete(held, i, i+1)
				continue
			}
			port, err := p.take()
			if (err != nil) != (len(held) == total) {
				t.Fatalf("%d of %d held: %v", len(held), total, err)
			}
			if err != nil {
				continue
			}
			if port%2 != 0 || port < lo || port > hi || slices.Contains(held, port) {
				t.Fatalf("port %d of %d to %d, held %v", port, lo, hi, held)
			}
			held = append(held, port)
		}
		if p.free != total-len(held) {
			t.Fatalf("%d free", p.free)
		}
	})
	for _, r := range [][2]int{{0, 10}, {5001, 5001}, {30000, 20000}, {60000, 70000}} {
		if _, err := newPorts(r[0], r[1]); err == nil {
			t.Errorf("ports %v were taken", r)
		}
	}
}

// SEC-15: closed until 5 s without packets, 60 s at most.
func TestQuarantine(t *testing.T) {
	t.Parallel()
	in := newBatch()
	second := func(n int) time.Duration { return time.Duration(n) * time.Second }
	quiet := &leaver{rtp: &wire{}, rtcp: &wire{}}
	if quiet.over(second(4), in) || !quiet.over(second(5), in) {
		t.Error("a quiet port is free after 5 s")
	}
	rtp := &wire{}
	busy := &leaver{rtp: rtp, rtcp: &wire{}}
	for n := 1; n < 60; n++ {
		for range 30 {
			rtp.in = append(rtp.in, datagram{b: []byte{1}, peer: peer})
		}
		if busy.over(second(n), in) {
			t.Fatalf("free after %d s, packets still come", n)
		}
	}
	rtp.in = append(rtp.in, datagram{b: []byte{1}, peer: peer})
	if !busy.over(second(60), in) {
		t.Error("not free after 60 s")
	}
	if len(rtp.out) != 0 {
		t.Error("quarantine answers")
	}
}

// A port in quarantine stays bound and cannot be opened.
func TestClosedPortIsNotReused(t *testing.T) {
	t.Parallel()
	m := running(t, Config{Shards: 1, PortMin: 19000, PortMax: 19000})
	s, err := m.Open(loopback)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Apply(Params{Remote: peer, Codec: "PCMU"}); err != nil {
		t.Fatal(err)
	}
	addr := s.Local()
	s.Close()
	s.Close() // again does nothing
	if _, err := m.Open(loopback); !errors.Is(err, errNoPorts) {
		t.Errorf("open: %v, want no free port", err)
	}
	if c, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(addr)); err == nil {
		_ = c.Close()
		t.Error("the port is not bound any more")
	}
	if l := m.Load(); l.Sessions != 0 || l.FreePorts != 0 {
		t.Errorf("load %+v", l)
	}
}

func TestOpenStepsAroundTakenPorts(t *testing.T) {
	t.Parallel()
	taken, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 19103})
	if err != nil {
		t.Skip(err)
	}
	defer func() { _ = taken.Close() }()
	m := running(t, Config{Shards: 1, PortMin: 19100, PortMax: 19104})
	for range 2 {
		if s := open(t, m, loopback); s.Local().Port() == 19102 {
			t.Error("opened a port whose neighbour is taken")
		}
	}
	if _, err := m.Open(loopback); err == nil {
		t.Error("a third pair was opened")
	}
}

// SEC-2 on real sockets: a flood to every port of the range during a call.
func TestFloodOfEveryPort(t *testing.T) {
	t.Parallel()
	m := running(t, Config{Shards: 1, PortMin: 19200, PortMax: 19240})
	a, b := open(t, m, loopback), open(t, m, loopback)
	ears := [2]*ear{{}, {}}
	for i, s := range []*Session{a, b} {
		s.Connect(ears[i], nil) // both are silent: what is loud is the attacker
		if err := s.Apply(params([]*Session{b, a}[i], "PCMU", 0)); err != nil {
			t.Fatal(err)
		}
	}
	bad, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 66)})
	if err != nil {
		t.Skip(err)
	}
	defer func() { _ = bad.Close() }()
	packet := make([]byte, headerSize, headerSize+160)
	packet = append(packet, loudFrame...)
	for n := range uint16(500) {
		header{seq: n, ts: uint32(n) * 160, ssrc: 666}.put(packet)
		for port := 19200; port <= 19241; port++ {
			_, _ = bad.WriteToUDPAddrPort(packet, netip.AddrPortFrom(loopback, uint16(port)))
		}
	}
	eventually(t, "the flood is seen", func() bool { return a.Stats().PacketsDiscarded > 50 })
	before := ears[0].frames.Load()
	eventually(t, "the call goes on", func() bool { return ears[0].frames.Load() > before+10 })
	if n := ears[0].loud.Load() + ears[1].loud.Load(); n != 0 {
		t.Errorf("%d frames of the attacker were heard", n)
	}
	_ = bad.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if n, _, err := bad.ReadFromUDP(packet[:cap(packet)]); err == nil {
		t.Errorf("the attacker got %d bytes", n)
	}
}

func TestServeWaitsForSessions(t *testing.T) {
	t.Parallel()
	m, err := New(Config{Shards: 2, PortMin: 19300, PortMax: 19320})
	if err != nil {
		t.Fatal(err)
	}
	s, err := m.Open(loopback)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Apply(Params{Remote: peer, Codec: "PCMA", PT: 8, Receive: true}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		_ = m.Serve(ctx)
		close(done)
	})
	cancel()
	e := &ear{}
	s.Connect(e, nil)
	eventually(t, "the session is served after ctx has ended", func() bool { return e.frames.Load() > 5 })
	select {
	case <-done:
		t.Error("Serve returned before the session was closed")
	default:
	}
	s.Close()
	wg.Wait()
	if _, err := m.Open(loopback); !errors.Is(err, ErrClosed) {
		t.Errorf("open after the end: %v", err)
	}
	if err := s.Apply(Params{Codec: "PCMA", PT: 8}); !errors.Is(err, ErrClosed) {
		t.Errorf("apply after the end: %v", err)
	}
}

// Without Serve nothing hangs.
func TestCloseBeforeServe(t *testing.T) {
	t.Parallel()
	m, err := New(Config{PortMin: 19400, PortMax: 19420})
	if err != nil {
		t.Fatal(err)
	}
	for _, apply := range []bool{false, true} {
		s, err := m.Open(loopback)
		if err != nil {
			t.Fatal(err)
		}
		if apply {
			if err := s.Apply(Params{Codec: "PCMU", Send: true, Remote: peer}); err != nil {
				t.Fatal(err)
			}
		}
		s.Close()
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := m.Serve(ctx); err != nil {
		t.Fatal(err)
	}
	if err := m.Serve(ctx); err == nil {
		t.Error("Serve twice")
	}
}

func TestParamsAreChecked(t *testing.T) {
	t.Parallel()
	m, err := New(Config{PortMin: 19500, PortMax: 19500})
	if err != nil {
		t.Fatal(err)
	}
	s, err := m.Open(loopback)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []Params{
		{Codec: "L16"},
		{Codec: "PCMU", PT: 200},
		{Codec: "PCMU", EventPT: 300},
		{Codec: "PCMA", PT: 8, EventPT: 8},
		{Codec: "PCMU", PTime: 25 * time.Millisecond},
		{Codec: "PCMU", Rate: 11025},
	} {
		if err := s.Apply(p); err == nil {
			t.Errorf("%+v was taken", p)
		}
	}
	s.Close()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := m.Serve(ctx); err != nil { // closes the ports
		t.Fatal(err)
	}
}
