package sip

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/patchcord/patchcord/telephony"
)

// eachTransport runs f with a peer over UDP and one over TCP.
func eachTransport(t *testing.T, f func(*testing.T, *server, *peer), h telephony.Handler, adjust ...func(*Config)) {
	t.Helper()
	t.Run("udp", func(t *testing.T) {
		t.Parallel()
		s := newServer(t, h, adjust...)
		f(t, s, newUDPPeer(t, s.udp))
	})
	t.Run("tcp", func(t *testing.T) {
		t.Parallel()
		s := newServer(t, h, adjust...)
		f(t, s, newTCPPeer(t, s.tcp))
	})
}

func TestInboundCall(t *testing.T) {
	t.Parallel()
	infos := map[string]chan telephony.Info{"sip/udp": make(chan telephony.Info, 1), "sip/tcp": make(chan telephony.Info, 1)}
	causes := make(chan error, 2)
	h := handler(func(ctx context.Context, leg telephony.Leg) {
		infos[leg.Info().Transport] <- leg.Info()
		if err := leg.Progress(ctx, false); err != nil {
			t.Error(err)
		}
		if err := leg.Answer(ctx); err != nil {
			t.Error(err)
		}
		<-ctx.Done()
		causes <- context.Cause(ctx)
	})
	eachTransport(t, func(t *testing.T, s *server, p *peer) {
		d := p.dialogue()
		d.extra = []string{"X-Order: 4711", "Y-Not: seen"}
		d.invite(testSDP)
		d.response("INVITE", 100)
		ringing := d.response("INVITE", 180)
		ok := d.ok()
		if a, b := tagOf(ringing.get("To")), tagOf(ok.get("To")); a != b || a == "" {
			t.Errorf("To tags differ: %q in the 180, %q in the 200", a, b)
		}
		if !strings.Contains(ok.body, "m=audio") || ok.get("Content-Type") != "application/sdp" {
			t.Errorf("200 without a description: %q", ok.body)
		}
		if got := ok.get("Allow"); got != allow {
			t.Errorf("Allow: %q", got)
		}
		if got := ok.get("Server"); got != "Patchcord" {
			t.Errorf("Server: %q", got)
		}
		d.ack("")
		info := <-infos["sip/"+strings.ToLower(p.transport())]
		if info.From != "+4915112345678" || info.To != "+4930123456" || info.FromName != "Ann" || info.Trunk != "local" ||
			info.SIPCallID != d.callID || info.Codec != "PCMU" || info.Format.Rate != 8000 || info.ID == "" ||
			len(info.Headers) != 1 || info.Headers["X-Order"] != "4711" {
			t.Errorf("Info: %+v", info)
		}
		d.bye()
		var hangup *telephony.HangupError
		if err := <-causes; !errors.As(err, &hangup) || !hangup.Cause.Remote ||
			hangup.Cause.Reason != telephony.ReasonNormal {
			t.Errorf("cause: %v", err)
		}
		s.idle(t)
	}, h)
}
