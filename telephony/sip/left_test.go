package sip

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/patchcord/patchcord/telephony"
)

// sip:P15: the process behind one that was killed while the far end rang cancels
// the INVITE by its own branch and number, and takes what is answered to it: a
// refusal is acknowledged, a 2xx too, and what it began ended by BYE, however often
// either comes.
func TestP15InvitesOfAKilledProcess(t *testing.T) {
	t.Parallel()
	const contact = "Contact: <sip:far@%s;transport=%s>"
	tests := []struct {
		name string
		play func(t *testing.T, p *peer, invite, cancel *wire)
		line string // of the log
		has  string // in it
	}{
		{"it is cancelled", func(t *testing.T, p *peer, invite, cancel *wire) {
			p.reply(cancel, 200, "OK", "far", "")
			for range 2 { // an ACK may be lost
				p.reply(invite, 487, "Request Terminated", "far", "")
				ack := p.request("ACK")
				if ack.get("Via") != cancel.get("Via") || ack.seq() != invite.seq() || tagOf(ack.get("To")) != "far" {
					t.Errorf("ACK %v, want the branch of the INVITE", ack.head)
				}
			}
		}, "sip: a call of an earlier process is cancelled", "status:487"},
		{"it was answered", func(t *testing.T, p *peer, invite, cancel *wire) {
			p.reply(cancel, 200, "OK", "far", "")
			for try := range 2 {
				p.reply(invite, 200, "OK", "far", testSDP, fmt.Sprintf(contact, p.addr(), strings.ToLower(p.transport())))
				ack := p.request("ACK")
				if ack.seq() != invite.seq() || tagOf(ack.get("To")) != "far" || ack.get("Via") == cancel.get("Via") {
					t.Errorf("ACK %v", ack.head)
				}
				if try > 0 {
					continue
				}
				bye := p.request("BYE")
				if bye.seq() <= invite.seq()+seqAhead/2 || tagOf(bye.get("To")) != "far" ||
					tagOf(bye.get("From")) != tagOf(invite.get("From")) {
					t.Errorf("BYE %v", bye.head)
				}
				p.reply(bye, 200, "OK", "", "")
			}
		}, "sip: a call of an earlier process is ended", "status:200"},
		{"nobody knows of it", func(_ *testing.T, p *peer, _, cancel *wire) {
			p.reply(cancel, 481, "Call/Transaction Does Not Exist", "far", "")
		}, "sip: a call of an earlier process is cancelled", "status:481"},
		{
			"nobody is there", func(*testing.T, *peer, *wire, *wire) {},
			"sip: a call of an earlier process may be open at the peer", "error",
		},
	}
	for _, network := range []string{"UDP", "TCP"} {
		for _, tt := range tests {
			t.Run(network+" "+tt.name, func(t *testing.T) {
				t.Parallel()
				var p *peer
				var gateway func(*Config)
				next := func() *peer { return p }
				if network == "UDP" {
					p = newUDPPeer(t, "")
					gateway = trunkTo(p)
				} else {
					next, gateway = gatewayPeer(t, "tcp")
				}
				file := filepath.Join(t.TempDir(), "dialogs")
				s := newServer(t, answerAll, gateway, keeping(t, file))
				leg := s.dial(t.Context(), t)
				p = next()
				invite := p.request("INVITE")
				if network == "UDP" {
					p.reply(invite, 407, "Proxy Authentication Required", "gw", "", `Proxy-Authenticate: Digest realm="r", nonce="n"`)
					first := invite.seq()
					invite = p.next("INVITE with a password", func(m *wire) bool {
						return m.method() == "INVITE" && m.seq() > first
					})
				}
				p.reply(invite, 180, "Ringing", "far", "")
				await[telephony.Ringing](t, leg)
				left := killedWhen(t, file, "the file has the INVITE", func(live map[string]*standing) bool {
					for _, s := range live {
						return s.Branch == branchOf(invite.get("Via"))
					}
					return false
				})
				core, logs := observer.New(zapcore.InfoLevel)
				again := newServer(t, answerAll, gateway, keeping(t, left), func(c *Config) { c.Log = zap.New(core) })
				p = next()
				cancel := p.next("CANCEL of the next process", func(m *wire) bool { return m.method() == "CANCEL" })
				if branchOf(cancel.get("Via")) != branchOf(invite.get("Via")) || cancel.seq() != invite.seq() ||
					strings.Fields(cancel.start)[1] != strings.Fields(invite.start)[1] || cancel.get("To") != invite.get("To") ||
					cancel.get("From") != invite.get("From") || cancel.get("Call-Id") != invite.get("Call-Id") {
					t.Errorf("%s %v, want it as the INVITE: %s %v", cancel.start, cancel.head, invite.start, invite.head)
				}
				if network == "UDP" {
					p = p.facing(cancel.from)
				}
				tt.play(t, p, invite, cancel)
				eventually(t, "the INVITE is struck out", func() bool { return len(inFile(t, left)) == 0 })
				again.idle(t)
				lines := logs.FilterMessage(tt.line).All()
				if len(lines) != 1 || !strings.Contains(fmt.Sprint(lines[0].ContextMap()), tt.has) ||
					lines[0].ContextMap()["call_id"] != string(leg.Info().ID) {
					t.Errorf("the log says %v, want %q", logs.All(), tt.has)
				}
			})
		}
	}
}

// What the file has of a call of ours follows it from its INVITE to the dialog.
func TestDialogsFollowAnInvite(t *testing.T) {
	t.Parallel()
	p := newUDPPeer(t, "")
	file := filepath.Join(t.TempDir(), "dialogs")
	s := newServer(t, answerAll, trunkTo(p), keeping(t, file))
	leg := s.dial(t.Context(), t)
	one := func(what string, ok func(*standing) bool) {
		t.Helper()
		eventually(t, what, func() bool {
			for _, s := range inFile(t, file) {
				return ok(s)
			}
			return false
		})
	}
	invite := p.request("INVITE")
	one("the INVITE is in the file", func(s *standing) bool {
		return s.Branch == branchOf(invite.get("Via")) && int(s.Seq) == invite.seq() && s.RemoteTag == ""
	})
	p.reply(invite, 200, "OK", "far", testSDP)
	p.request("ACK")
	await[telephony.Answered](t, leg)
	one("the dialog is in its place", func(s *standing) bool { return s.Branch == "" && s.RemoteTag == "far" && s.Seq > seqAhead })
	_ = leg.Hangup(t.Context(), telephony.Cause{Reason: telephony.ReasonNormal})
	bye := p.request("BYE")
	p.reply(bye, 200, "OK", "", "")
	eventually(t, "the call is struck out", func() bool { return len(inFile(t, file)) == 0 })
	s.idle(t)

	leg = s.dial(t.Context(), t)
	invite = p.request("INVITE")
	one("the second is in the file", func(s *standing) bool { return s.Branch == branchOf(invite.get("Via")) })
	p.reply(invite, 486, "Busy Here", "far", "")
	p.request("ACK")
	await[telephony.Ended](t, leg)
	eventually(t, "the second is struck out", func() bool { return len(inFile(t, file)) == 0 })
	s.idle(t)
}

func branchOf(via string) string {
	_, rest, _ := strings.Cut(via, ";branch=")
	branch, _, _ := strings.Cut(rest, ";")
	return branch
}
