//go:build e2e

package e2e

import (
	"errors"
	"testing"
	"time"

	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/telephony/rtp"
	"github.com/patchcord/patchcord/telephony/sip"
	"github.com/patchcord/patchcord/telephony/trunk"
)

// TestPeerBaresipTransfers: the caller sends us to another telephone and leaves;
// the call goes on with that one, of another codec (SEC-6: the trunk allows it,
// and the gate of dialling lets calls go there).
func TestPeerBaresipTransfers(t *testing.T) {
	t.Parallel()
	const ours, first, second = 440, 1000, 2500
	caller, target := startPhone(t, "PCMU", first), startPhone(t, "G722", second)
	line := openLine(t, ours, func(c *sip.Config, _ *rtp.Config) {
		table, err := trunk.NewTable([]trunk.Config{{Name: "phones", Allow: []string{"127.0.0.1"}, Transfers: "on"}}, nil, "")
		if err != nil {
			t.Fatal(err)
		}
		c.Trunks = table
		c.MayDial = func(to string) error {
			if to != target.aor {
				return errors.New("not in dialing.allow")
			}
			return nil
		}
	})
	caller.do("dial", line.uri("udp"))
	caller.await(5*time.Second, "CALL_ESTABLISHED")
	talk(1500 * time.Millisecond)
	caller.do("transfer", target.aor)
	target.await(5*time.Second, "CALL_ESTABLISHED")
	caller.await(5*time.Second, "CALL_CLOSED")
	talk(3 * time.Second)
	target.do("hangup", "")
	call := line.take(t, 1, 5*time.Second)[0]
	if call.cause.Reason != telephony.ReasonNormal || !call.cause.Remote {
		t.Errorf("the call ended %v, want the second phone's BYE", call.cause)
	}
	pcm, rate := target.quit()
	wantTone(t, "the second phone", pcm, rate, ours, second, 2500*time.Millisecond)
	pcm, rate = caller.quit()
	wantTone(t, "the first phone", pcm, rate, ours, first, time.Second)
	late := call.pcm[max(0, len(call.pcm)-3*call.rate):]
	wantTone(t, "patchcord, at the end", late, call.rate, second, ours, 2500*time.Millisecond)
	line.quiet(t, 10*time.Second)
}
