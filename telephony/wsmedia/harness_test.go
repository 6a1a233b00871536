package wsmedia

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"testing"

	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/patchcord/patchcord/internal/testkit/carrier"
	"github.com/patchcord/patchcord/telephony"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// handler is a telephony.Handler of one function.
type handler func(ctx context.Context, leg telephony.Leg)

func (f handler) ServeCall(ctx context.Context, leg telephony.Leg) { f(ctx, leg) }

const (
	publicURL = "http://voice.example.com"
	account   = "AC00000000000000000000000000000001"
	token     = "5d1f0c3f6a4f4f9f8f1c2b3a4d5e6f70"
)

var telnyxKey = ed25519.NewKeyFromSeed([]byte("an ed25519 seed of 32 bytes, ok?"))

// accounts are one trunk of each carrier, named by it.
func accounts() map[telephony.TrunkID]Account {
	public, _ := telnyxKey.Public().(ed25519.PublicKey)
	return map[telephony.TrunkID]Account{
		"twilio": {Trunk: "twilio", Type: "twilio", AuthToken: token},
		"telnyx": {Trunk: "telnyx", Type: "telnyx", PublicKey: base64.StdEncoding.EncodeToString(public)},
	}
}

// server is a Server behind connections in memory, so that it runs on the clock
// of a bubble.
type server struct {
	*Server
	t     *testing.T
	conns chan net.Conn
	logs  *observer.ObservedLogs
}

// serve starts a server that calls h for each call; it ends with the test.
func serve(t *testing.T, h telephony.Handler, adjust ...func(*Config, map[telephony.TrunkID]Account)) *server {
	t.Helper()
	core, logs := observer.New(zapcore.DebugLevel)
	all := accounts()
	cfg := Config{
		PublicURL: publicURL, Handler: h, Log: zap.New(core),
		Account: func(id telephony.TrunkID) (Account, bool) { a, ok := all[id]; return a, ok },
	}
	for _, f := range adjust {
		f(&cfg, all)
	}
	srv, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	s := &server{Server: srv, t: t, conns: make(chan net.Conn), logs: logs}
	mux := http.NewServeMux()
	srv.Mount(mux.Handle)
	l := &listener{conns: s.conns, closed: make(chan struct{})}
	hs := &http.Server{Handler: mux} //nolint:gosec // in memory
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = hs.Serve(l) })
	wg.Go(func() { _ = srv.Serve(ctx) })
	t.Cleanup(func() {
		cancel()
		hs.Close()
		wg.Wait()
	})
	return s
}

// listener hands out the ends of pipes.
type listener struct {
	conns  chan net.Conn
	once   sync.Once
	closed chan struct{}
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *listener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80} }

func (s *server) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case s.conns <- theirs:
		return ours, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// carrier is an account at a carrier that calls the server.
func (s *server) carrier(kind carrier.Kind) *carrier.Carrier {
	return &carrier.Carrier{
		Kind: kind, AccountSID: account, AuthToken: token, Key: telnyxKey, Dial: s.dial,
		Webhook: publicURL + "/v1/trunks/" + string(kind) + "/voice",
	}
}

// call is a call of a carrier's, which ends with the test.
func (s *server) call(kind carrier.Kind) *carrier.Call {
	s.t.Helper()
	c, err := s.carrier(kind).Call(s.t.Context(), "+4930111", "+4930123456")
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = c.Hangup(context.Background(), telephony.Cause{}) })
	return c
}
