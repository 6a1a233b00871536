//go:build e2e

package e2e

import (
	"context"
	"net"
	"runtime"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"github.com/patchcord/patchcord/telephony/rtp"
	"github.com/patchcord/patchcord/telephony/sip"
	"github.com/patchcord/patchcord/telephony/trunk"
)

// toneLine is our SIP and RTP in this process, with a toneHandler behind it.
type toneLine struct {
	*toneHandler
	ua    *sip.UserAgent
	media *rtp.Media
	addr  string // host:port, UDP and TCP
	host  string
}

// roomy are limits that a load of one SIPp does not reach: the tests here are
// not about them.
var roomy = sip.Limits{Invite: 1000, InviteBurst: 1000, Options: 1000}

// openLine serves until the test ends, then sees that nothing is left of its
// calls.
func openLine(t *testing.T, tone float64, with func(*sip.Config, *rtp.Config)) *toneLine {
	t.Helper()
	host := ourAddr()
	l := &toneLine{toneHandler: newToneHandler(tone), host: host, addr: net.JoinHostPort(host, "5060")}
	table, err := trunk.NewTable([]trunk.Config{{
		Name: "local", Allow: []string{"127.0.0.1", ourNet}, Codecs: []string{"PCMU", "PCMA", "G722", "opus"},
	}}, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	log := zap.NewNop()
	if testing.Verbose() {
		log = zaptest.NewLogger(t, zaptest.Level(zap.WarnLevel))
	}
	mediaCfg := rtp.Config{PortMin: 30000, PortMax: 31998, Log: log}
	cfg := sip.Config{
		Listen: []string{"udp://" + l.addr, "tcp://" + l.addr}, Trunks: table, Handler: l.toneHandler, Log: log,
		Limits: roomy,
	}
	if with != nil {
		with(&cfg, &mediaCfg)
	}
	if l.media, err = rtp.New(mediaCfg); err != nil {
		t.Fatal(err)
	}
	cfg.Media = l.media
	if l.ua, err = sip.New(cfg); err != nil {
		t.Fatal(err)
	}

	ctx, cancel := context.WithCancel(context.Background())
	served, played := make(chan error, 1), make(chan error, 1) // 1: each is sent once
	mediaCtx, stopMedia := context.WithCancel(context.Background())
	go func() { played <- l.media.Serve(mediaCtx) }()
	go func() { served <- l.ua.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		wait(t, served, "telephony/sip")
		stopMedia()
		wait(t, played, "telephony/rtp")
	})
	select {
	case <-l.ua.Ready():
	case err := <-served:
		served <- err
		t.Fatalf("serve: %v", err)
	}
	return l
}

func wait(t *testing.T, done <-chan error, who string) {
	t.Helper()
	select {
	case err := <-done:
		if err != nil {
			t.Errorf("%s: %v", who, err)
		}
	case <-time.After(10 * time.Second):
		buf := make([]byte, 1<<18)
		t.Errorf("%s does not end:\n%s", who, buf[:runtime.Stack(buf, true)])
	}
}

// uri is where phones dial.
func (l *toneLine) uri(transport string) string {
	return "sip:4930123456@" + l.addr + ";transport=" + transport
}

// take waits for n calls to have ended.
func (l *toneLine) take(t *testing.T, n int, within time.Duration) []toneCall {
	t.Helper()
	calls := make([]toneCall, 0, n)
	limit := time.After(within)
	for len(calls) < n {
		select {
		case c := <-l.ended:
			calls = append(calls, c)
		case <-limit:
			t.Fatalf("%d of %d calls ended within %v", len(calls), n, within)
		}
	}
	return calls
}

// quiet sees that the line holds no call and no port any more. Transactions
// may stay for as long as RFC 3261 lets them.
func (l *toneLine) quiet(t *testing.T, within time.Duration) {
	t.Helper()
	eventually(t, within, "every call is gone", func() bool { return l.media.Load().Sessions == 0 })
	if len(l.ended) > 0 {
		t.Errorf("%d calls more than the peer made", len(l.ended))
	}
}
