package sip

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/emiago/sipgo/sip"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/telephony/rtp"
	"github.com/patchcord/patchcord/telephony/trunk"
)

// testT1 makes every timer of SIP run twenty times as fast.
const testT1 = 25 * time.Millisecond

func TestMain(m *testing.M) {
	sip.SetTimers(testT1, 8*testT1, 10*testT1)
	sip.Timer_D = 64 * testT1
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

// answerAll answers and stays until the call ends.
var answerAll = handler(func(ctx context.Context, leg telephony.Leg) {
	if leg.Answer(ctx) == nil {
		<-ctx.Done()
	}
})

// answerOnce answers and hangs up.
var answerOnce = handler(func(ctx context.Context, leg telephony.Leg) { _ = leg.Answer(ctx) })

// server is a UserAgent on loopback, UDP and TCP.
type server struct {
	*UserAgent
	udp, tcp string
	media    *rtp.Media
	stop     func()
}

// newServer starts one that calls h for each call. gateways are where the
// trunk named "local" sends calls to.
func newServer(t testing.TB, h telephony.Handler, adjust ...func(*Config)) *server {
	t.Helper()
	table, err := trunk.NewTable([]trunk.Config{{
		Name: "local", Allow: []string{"127.0.0.0/8"}, AcceptHeaders: []string{"X-*"},
	}}, nil, "agent")
	if err != nil {
		t.Fatal(err)
	}
	lo, hi := portRange()
	media, err := rtp.New(rtp.Config{PortMin: lo, PortMax: hi, Shards: 1})
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{
		Listen: []string{"udp://127.0.0.1:0", "tcp://127.0.0.1:0"}, Trunks: table, Media: media, Handler: h,
		Log: testLog(), t1: testT1, Probe: -1,
		Limits: Limits{Invite: 10000, InviteBurst: 10000, Options: 10000, Register: 10000},
	}
	for _, f := range adjust {
		f(&cfg)
	}
	media = cfg.Media
	u, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	mctx, mcancel := context.WithCancel(context.Background())
	var wg, mwg sync.WaitGroup
	mwg.Go(func() { _ = media.Serve(mctx) })
	served := make(chan error, 1)
	wg.Go(func() { served <- u.Serve(ctx) })
	select {
	case <-u.Ready():
	case err := <-served:
		t.Fatalf("Serve: %v", err)
	case <-time.After(5 * time.Second):
		t.Fatal("not ready")
	}
	s := &server{UserAgent: u, media: media}
	for _, a := range u.Addrs() {
		switch a.Network() {
		case "udp":
			s.udp = a.String()
		case "tcp":
			s.tcp = a.String()
		}
	}
	var once sync.Once
	s.stop = func() {
		once.Do(func() {
			cancel()
			wg.Wait()
			mcancel()
			mwg.Wait()
		})
	}
	t.Cleanup(s.stop)
	return s
}

// testLog shows the log where SIP_TEST_LOG is set.
func testLog() *zap.Logger {
	if os.Getenv("SIP_TEST_LOG") == "" {
		return zap.NewNop()
	}
	log, _ := zap.NewDevelopment()
	return log
}

var ports struct {
	sync.Mutex
	next int
}

// portRange is a range of media ports that no other server of this run uses.
func portRange() (lo, hi int) {
	ports.Lock()
	defer ports.Unlock()
	if ports.next == 0 {
		ports.next = 30000
	}
	lo = ports.next
	ports.next += 200
	if ports.next > 60000 {
		ports.next = 30000
	}
	return lo, lo + 198
}

// eventually waits until ok holds.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(10 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("never: %s", what)
		}
	}
}

// idle waits until the server holds nothing of any call.
func (s *server) idle(t testing.TB) {
	t.Helper()
	eventually(t, "no legs left", func() bool { return s.Stats().Legs == 0 })
}
