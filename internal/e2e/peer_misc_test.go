//go:build e2e

package e2e

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/patchcord/patchcord/telephony/rtp"
	"github.com/patchcord/patchcord/telephony/sip"
)

// TestPeerSipsakOptions: a ping from a known address is answered, over UDP and
// TCP, and tells no version.
func TestPeerSipsakOptions(t *testing.T) {
	t.Parallel()
	program := needs(t, "sipsak", "sipsak")
	line := openLine(t, 440, nil)
	for _, transport := range []string{"udp", "tcp"} {
		p := start(t, 10*time.Second, t.TempDir(), program, "-vvv", "-E", transport, "-s", "sip:ping@"+line.addr)
		code, err := p.wait()
		if err != nil {
			t.Fatal(err)
		}
		if said := p.out.String(); code != 0 || !strings.Contains(said, "SIP/2.0 200") {
			t.Errorf("sipsak over %s: exit %d", transport, code)
		} else if strings.Contains(said, "Server: Patchcord/") {
			t.Errorf("the answer tells a version:\n%s", said)
		}
	}
}

// scan is what svmap sends.
const scan = "OPTIONS sip:100@%[1]s SIP/2.0\r\n" +
	"Via: SIP/2.0/UDP %[2]s;branch=z9hG4bK-2731487023;rport\r\n" +
	"Max-Forwards: 70\r\n" +
	"To: \"sipvicious\"<sip:100@1.1.1.1>\r\n" +
	"From: \"sipvicious\"<sip:100@1.1.1.1>;tag=6339303030303034\r\n" +
	"User-Agent: friendly-scanner\r\n" +
	"Call-ID: 4721390471239487\r\n" +
	"Contact: <sip:100@%[2]s>\r\n" +
	"CSeq: 1 OPTIONS\r\n" +
	"Accept: application/sdp\r\n" +
	"Content-Length: 0\r\n\r\n"

// TestStrangersFindNothing: a scanner's ping and a call from an address that
// no trunk names get silence, or at most as many bytes as they sent when the
// configuration says so (SEC-3, SEC-11).
func TestStrangersFindNothing(t *testing.T) {
	t.Parallel()
	for _, policy := range []sip.UnknownPolicy{sip.DropUnknown, sip.RefuseUnknown} {
		t.Run(map[sip.UnknownPolicy]string{sip.DropUnknown: "silence", sip.RefuseUnknown: "refusal"}[policy], func(t *testing.T) {
			t.Parallel()
			line := openLine(t, 440, func(c *sip.Config, _ *rtp.Config) { c.UnknownSource = policy })
			conn, err := net.ListenPacket("udp", stranger+":0")
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			to, err := net.ResolveUDPAddr("udp", line.addr)
			if err != nil {
				t.Fatal(err)
			}
			options := fmt.Sprintf(scan, line.addr, conn.LocalAddr())
			invite := strings.ReplaceAll(options, "OPTIONS", "INVITE")
			sent, got := 0, 0
			for _, m := range []string{options, invite, "garbage", "\x00\x01\x02"} {
				if _, err := conn.WriteTo([]byte(m), to); err != nil {
					t.Fatal(err)
				}
				sent += len(m)
			}
			buf := make([]byte, 65536)
			conn.SetReadDeadline(time.Now().Add(2 * time.Second))
			for answers := 0; ; answers++ {
				n, _, err := conn.ReadFrom(buf)
				if err != nil {
					break
				}
				got += n
				if policy == sip.DropUnknown || !strings.HasPrefix(string(buf[:n]), "SIP/2.0 403 ") {
					t.Errorf("a stranger is answered: %q", buf[:n])
				}
			}
			if got > sent {
				t.Errorf("%d bytes sent, %d came back", sent, got)
			}
			if policy == sip.RefuseUnknown && got == 0 {
				t.Error("no refusal at all")
			}
			if s := line.ua.Stats(); s.DroppedUnknown < 2 || s.Legs != 0 || s.Transactions != 0 {
				t.Errorf("%+v: want the messages counted and no transaction made", s)
			}
		})
	}
}
