package webrtc

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/logging"
	"github.com/pion/webrtc/v4"
	"go.uber.org/zap"

	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/telephony/rtp"
)

// Config is how a Gateway behaves. Media, Handler and Listen are needed.
type Config struct {
	// Listen is the UDP address of all calls, "udp://0.0.0.0:8189": of all
	// addresses that the machine has at the start. TCP listens at the same port.
	// Port 0: any.
	Listen string
	// PublicIP is the address that browsers are told; "": those of this machine.
	PublicIP string
	Media    *rtp.Media
	Handler  telephony.Handler
	// Accept is asked before any work is done for a call; false refuses it. Nil:
	// all are taken.
	Accept func(telephony.Info) (telephony.Cause, bool)
	Log    *zap.Logger // nil: none
}

const (
	// connectTime is how long a browser may take from our answer to keys.
	connectTime = 15 * time.Second
	// A browser is gone when it is not heard of for goneTime; lostTime is when
	// ICE says so first.
	lostTime = 5 * time.Second
	goneTime = 15 * time.Second
	aliveGap = 2 * time.Second // between our signs of life

	certificateUse = 7 * 24 * time.Hour // after which calls get another

	receiveBuffer = 1 << 20 // bytes, of the socket that all calls share
	tcpQueue      = 64      // packets of a call that wait to be read
	tcpBuffer     = 64 << 10
	stunTime      = 5 * time.Second // a TCP connection that says nothing is closed
)

// ErrClosed is the answer of a Gateway that does not serve.
var ErrClosed = errors.New("webrtc: not serving")

// Gateway takes calls from browsers.
type Gateway struct {
	cfg    Config
	log    *zap.Logger
	listen netip.AddrPort
	ready  chan struct{} // closed when the ports are open
	calls  sync.WaitGroup

	// mu guards what follows.
	mu          sync.Mutex
	addr        netip.AddrPort // of the UDP port; invalid: not serving
	settings    webrtc.SettingEngine
	certificate *webrtc.Certificate
	made        time.Time // of certificate
	draining    bool
	legs        map[telephony.CallID]*leg
}

// New makes a Gateway; Serve runs it.
func New(cfg Config) (*Gateway, error) {
	if cfg.Media == nil || cfg.Handler == nil {
		return nil, errors.New("webrtc: Media and Handler are needed")
	}
	if cfg.Log == nil {
		cfg.Log = zap.NewNop()
	}
	at, ok := strings.CutPrefix(cfg.Listen, "udp://")
	listen, err := netip.ParseAddrPort(at)
	if !ok || err != nil {
		return nil, fmt.Errorf("webrtc: listen %q: want udp:// with an IP address and a port, such as udp://0.0.0.0:8189",
			cfg.Listen)
	}
	if _, err := netip.ParseAddr(cfg.PublicIP); cfg.PublicIP != "" && err != nil {
		return nil, fmt.Errorf("webrtc: public_ip %q: want an IP address: %w", cfg.PublicIP, err)
	}
	return &Gateway{
		cfg: cfg, log: cfg.Log, listen: listen, ready: make(chan struct{}), legs: map[telephony.CallID]*leg{},
	}, nil
}

// Ready is closed when calls can come in.
func (g *Gateway) Ready() <-chan struct{} { return g.ready }

// Addr is the UDP address calls come in at, once it is ready.
func (g *Gateway) Addr() netip.AddrPort {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.addr
}

// Drain refuses further calls, or takes them again.
func (g *Gateway) Drain(on bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.draining = on
}

// Serve takes calls until ctx ends, hangs up those that are left, and returns
// when nothing of them is left.
func (g *Gateway) Serve(ctx context.Context) error {
	quiet := &logging.DefaultLoggerFactory{Writer: io.Discard, DefaultLogLevel: logging.LogLevelDisabled}
	udp, tcp, err := g.open(quiet.NewLogger("ice"))
	if err != nil {
		return err
	}
	tcpMux := ice.NewTCPMuxDefault(ice.TCPMuxParams{
		Listener: tcp, Logger: quiet.NewLogger("ice"), ReadBufferSize: tcpQueue, WriteBufferSize: tcpBuffer,
		FirstStunBindTimeout: stunTime, AliveDurationForConnFromStun: stunTime,
	})
	settings, err := g.engine(udp, tcpMux, quiet)
	if err == nil {
		g.mu.Lock()
		g.settings, g.addr = settings, netip.AddrPortFrom(g.listen.Addr(), portOf(tcp))
		g.mu.Unlock()
		close(g.ready)
		<-ctx.Done()
		g.mu.Lock()
		g.addr = netip.AddrPort{}
		left := slices.Collect(maps.Values(g.legs))
		g.mu.Unlock()
		for _, l := range left {
			l.end(telephony.Cause{Reason: telephony.ReasonDraining})
		}
		g.calls.Wait()
	}
	return errors.Join(err, tcpMux.Close(), udp.Close())
}

// open binds the TCP port and the UDP port of the same number: of all addresses
// one by one, so that an answer leaves from where its question came to.
func (g *Gateway) open(log logging.LeveledLogger) (ice.UDPMux, net.Listener, error) {
	for try := 0; ; try++ {
		tcp, err := net.Listen("tcp", g.listen.String())
		if err != nil {
			return nil, nil, fmt.Errorf("webrtc: listen: %w", err)
		}
		udp, err := g.openUDP(portOf(tcp), log)
		if err == nil {
			return udp, tcp, nil
		}
		_ = tcp.Close()
		if g.listen.Port() != 0 || try == 8 { // any other port may be free for both
			return nil, nil, fmt.Errorf("webrtc: listen: %w", err)
		}
	}
}

func (g *Gateway) openUDP(port uint16, log logging.LeveledLogger) (ice.UDPMux, error) {
	addr := g.listen.Addr()
	if addr.IsUnspecified() {
		networks := []ice.NetworkType{ice.NetworkTypeUDP4}
		if addr.Is6() {
			networks = append(networks, ice.NetworkTypeUDP6)
		}
		return ice.NewMultiUDPMuxFromPort(int(port), ice.UDPMuxFromPortWithNetworks(networks...),
			ice.UDPMuxFromPortWithReadBufferSize(receiveBuffer), ice.UDPMuxFromPortWithLogger(log))
	}
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(addr, port)))
	if err != nil {
		return nil, err //nolint:wrapcheck // its caller does
	}
	_ = conn.SetReadBuffer(receiveBuffer) // what the kernel allows
	return ice.NewUDPMuxDefault(ice.UDPMuxParams{UDPConn: conn, Logger: log}), nil
}

func portOf(l net.Listener) uint16 {
	a, _ := netip.ParseAddrPort(l.Addr().String()) // of a TCP socket it is one
	return a.Port()
}

// engine is what all peer connections have in common.
func (g *Gateway) engine(udp ice.UDPMux, tcp ice.TCPMux, log logging.LoggerFactory) (webrtc.SettingEngine, error) {
	s := webrtc.SettingEngine{LoggerFactory: log}
	s.SetLite(true)
	s.SetICEUDPMux(udp)
	s.SetICETCPMux(tcp)
	s.SetNetworkTypes([]webrtc.NetworkType{
		webrtc.NetworkTypeUDP4, webrtc.NetworkTypeUDP6, webrtc.NetworkTypeTCP4, webrtc.NetworkTypeTCP6,
	})
	s.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	s.DisableActiveTCP(true) // it would connect to whatever address an offer names
	s.SetICETimeouts(lostTime, goneTime, aliveGap)
	s.SetIncludeLoopbackCandidate(g.listen.Addr().IsLoopback())
	if addr := g.listen.Addr(); !addr.IsUnspecified() {
		s.SetIPFilter(func(ip net.IP) bool { return addr.Unmap() == addrOf(ip) })
	}
	if g.cfg.PublicIP == "" {
		return s, nil
	}
	err := s.SetICEAddressRewriteRules(webrtc.ICEAddressRewriteRule{
		External: []string{g.cfg.PublicIP}, AsCandidateType: webrtc.ICECandidateTypeHost,
		Mode: webrtc.ICEAddressRewriteReplace,
	})
	if err != nil {
		return s, fmt.Errorf("webrtc: public_ip %s: %w", g.cfg.PublicIP, err)
	}
	return s, nil
}

func addrOf(ip net.IP) netip.Addr {
	a, _ := netip.AddrFromSlice(ip) // the zero Addr is nobody's
	return a.Unmap()
}

// configurationLocked has the certificate that calls of this week share: making one
// for each would cost more than the call's first seconds.
func (g *Gateway) configurationLocked() (webrtc.Configuration, error) {
	if g.certificate == nil || time.Since(g.made) > certificateUse {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return webrtc.Configuration{}, fmt.Errorf("webrtc: certificate: %w", err)
		}
		c, err := webrtc.GenerateCertificate(key)
		if err != nil {
			return webrtc.Configuration{}, fmt.Errorf("webrtc: certificate: %w", err)
		}
		g.certificate, g.made = c, time.Now()
	}
	return webrtc.Configuration{Certificates: []webrtc.Certificate{*g.certificate}}, nil
}
