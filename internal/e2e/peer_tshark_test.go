//go:build e2e

package e2e

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// rtpPacket is what tshark read of one packet of ours.
type rtpPacket struct {
	seq, ts, pt int
	ssrc        string
	marker      bool
	at          float64 // s
}

// TestPeerTsharkReadsOurStream: a dissector that nobody here wrote finds one
// source, a sequence without holes and a timestamp that keeps time, from the
// answer to the end, through hold and resume.
func TestPeerTsharkReadsOurStream(t *testing.T) {
	t.Parallel()
	program := needs(t, "tshark", "tshark")
	phone := startPhone(t, "PCMU", 1000)
	line := openLine(t, 440, nil)
	capture := filepath.Join(t.TempDir(), "ours.pcap")
	filter := fmt.Sprintf("udp and src host %s and src portrange 30000-31999", line.host)
	shark := start(t, 30*time.Second, t.TempDir(), program, "-i", "lo", "-w", capture, "-f", filter, "-a", "duration:7")
	ready := false
	eventually(t, 10*time.Second, "tshark captures", func() bool {
		select {
		case <-shark.done:
			t.Skipf("tshark may not capture here: %s", tail(shark.out.String(), 300))
		default:
		}
		ready = ready || strings.Contains(shark.out.String(), "Capturing on")
		return ready
	})
	talk(500 * time.Millisecond) // it says so a little before it does
	phone.do("dial", line.uri("udp"))
	phone.await(5*time.Second, "CALL_ESTABLISHED")
	talk(time.Second)
	phone.do("hold", "")
	talk(time.Second)
	phone.do("resume", "")
	talk(time.Second)
	phone.do("hangup", "")
	call := line.take(t, 1, 5*time.Second)[0]
	<-shark.done

	reader := start(t, 20*time.Second, t.TempDir(), program, "-r", capture, "-d", "udp.port==30000-31998,rtp",
		"-Y", "rtp", "-T", "fields", "-e", "rtp.seq", "-e", "rtp.timestamp", "-e", "rtp.p_type", "-e", "rtp.ssrc",
		"-e", "rtp.marker", "-e", "frame.time_epoch")
	<-reader.done
	packets := readPackets(reader.out.String())
	if n := uint64(len(packets)); n < 90 || n != call.stats.PacketsSent {
		t.Errorf("tshark read %d packets of RTP, %d were sent, want about 100 around the hold", n, call.stats.PacketsSent)
	}
	widest := 0.0
	for i := 1; i < len(packets); i++ {
		p, q := packets[i-1], packets[i]
		step := (q.ts - p.ts) & 0xffffffff
		late := q.at - p.at - float64(step)/8000 // s; where nothing is sent, on hold, the clock runs on
		next := q.ssrc == p.ssrc && q.seq == (p.seq+1)&0xffff && q.pt == 0
		if !next || step == 0 || step%160 != 0 || late > 0.1 || late < -0.1 {
			t.Errorf("packet %d: %+v follows %+v", i, q, p)
		}
		widest = max(widest, late)
	}
	t.Logf("%d packets, at most %.1f ms behind the one before", len(packets), 1000*widest)
}

// readPackets parses tshark's columns, leaving out what is none.
func readPackets(text string) []rtpPacket {
	var out []rtpPacket
	for line := range strings.Lines(text) {
		f := strings.Split(strings.TrimSpace(line), "\t")
		if len(f) != 6 {
			continue
		}
		var p rtpPacket
		var err [4]error
		p.seq, err[0] = strconv.Atoi(f[0])
		p.ts, err[1] = strconv.Atoi(f[1])
		p.pt, err[2] = strconv.Atoi(f[2])
		p.at, err[3] = strconv.ParseFloat(f[5], 64)
		p.ssrc, p.marker = f[3], f[4] == "1" || f[4] == "True"
		if err == [4]error{} {
			out = append(out, p)
		}
	}
	return out
}
