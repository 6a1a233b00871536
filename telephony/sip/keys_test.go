package sip

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/telephony/rtp"
	"github.com/patchcord/patchcord/telephony/trunk"
)

// Keys of ours leave in the way that the trunk wants: by itself by event where
// that was negotiated, as sound where not.
func TestKeysByTrunk(t *testing.T) {
	t.Parallel()
	tone := telephony.Tone{Duration: 40 * time.Millisecond, Gap: 40 * time.Millisecond}
	tests := []struct {
		dtmf    string
		formats string // of the answer
		by      string
		fails   bool
		offered bool // telephone-event
	}{
		{"", "0 101", "rfc4733", false, true},
		{"auto", "0", "inband", false, true},
		{"rfc4733", "0 101", "rfc4733", false, true},
		{"rfc4733", "0", "rfc4733", true, true},
		{"info", "0 101", "info", false, true},
		{"inband", "0", "inband", false, false},
	}
	for _, tt := range tests {
		t.Run(tt.dtmf+" with "+tt.formats, func(t *testing.T) {
			t.Parallel()
			p, media := newUDPPeer(t, ""), newRTPSocket(t)
			s := newServer(t, answerAll, trunkToWith(trunk.Config{DTMF: tt.dtmf}, p))
			leg := s.dial(t.Context(), t)
			invite := p.request("INVITE")
			if got := strings.Contains(invite.body, "telephone-event"); got != tt.offered {
				t.Errorf("telephone-event offered: %v", got)
			}
			answer := strings.Replace(media.sdp(), "0 8 101", tt.formats, 1)
			if !strings.Contains(tt.formats, "101") {
				answer = strings.Replace(answer, "a=rtpmap:101 telephone-event/8000\r\n", "", 1)
			}
			p.reply(invite, 200, "OK", "far", answer)
			p.request("ACK")
			await[telephony.Answered](t, leg)
			if got := leg.Info().Keys; got != tt.by {
				t.Errorf("keys by %q, want %q", got, tt.by)
			}
			done := make(chan error, 1)
			go func() { done <- leg.SendDigits(t.Context(), "5", tone) }()
			if tt.by == "info" {
				info := p.request("INFO")
				if info.body != "Signal=5\r\nDuration=40\r\n" || info.get("Content-Type") != "application/dtmf-relay" {
					t.Errorf("INFO %q %q", info.get("Content-Type"), info.body)
				}
				p.reply(info, 200, "OK", "", "")
			}
			if err := <-done; (err != nil) != tt.fails || tt.fails && !errors.Is(err, rtp.ErrNoTelephoneEvent) {
				t.Errorf("SendDigits: %v", err)
			}
			if !tt.fails && tt.by != "info" {
				media.hearsPayload(t, map[string]byte{"rfc4733": 101, "inband": 0}[tt.by], tt.by == "inband")
			}
			_ = leg.Hangup(t.Context(), telephony.Cause{Reason: telephony.ReasonNormal})
			p.reply(p.request("BYE"), 200, "OK", "", "")
			s.idle(t)
		})
	}
}

// hearsPayload waits for a packet of the type that, where it shall be loud, is
// no silence of mu-law.
func (r *rtpSocket) hearsPayload(t *testing.T, pt byte, loud bool) {
	t.Helper()
	b := make([]byte, 2000)
	for {
		_ = r.SetReadDeadline(time.Now().Add(5 * time.Second))
		n, _, err := r.ReadFrom(b)
		if err != nil {
			t.Fatalf("no packet of type %d came: %v", pt, err)
		}
		if n > 12 && b[1]&0x7f == pt && (!loud || len(bytes.Trim(b[12:n], "\xff\x7f")) > 0) {
			return
		}
	}
}
