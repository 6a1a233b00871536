//go:build e2e

package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// phone is a baresip with one account, one codec, a sound file for a
// microphone and its recordings, driven over its control socket.
type phone struct {
	*process
	t      *testing.T
	dir    string
	aor    string // sip:phone@127.0.0.1:port
	ctrl   net.Conn
	events chan phoneEvent // 64: all that one call makes, nobody blocks on it
}

// phoneEvent is one line of the control socket: an event or a reply.
type phoneEvent struct {
	Event    bool   `json:"event"`
	Type     string `json:"type"`
	Class    string `json:"class"`
	Param    string `json:"param"`
	Response bool   `json:"response"`
	OK       bool   `json:"ok"`
	Data     string `json:"data"`
}

// codecs of baresip: the name in its account line, its module, and the rate
// that its sound file must have.
var phoneCodecs = map[string]struct {
	account, module string
	rate            int
}{
	"PCMU": {"PCMU/8000/1", "g711.so", 8000},
	"PCMA": {"PCMA/8000/1", "g711.so", 8000},
	"G722": {"G722/16000/1", "g722.so", 16000},
	"opus": {"opus/48000/2", "opus.so", 48000}, // its file is stereo
}

// phoneKeys are what a phone has besides: lines of its config, parameters of its
// account, an address sip:user@host that it registers by the password s3cret, and how
// long it says nothing before its tone.
type phoneKeys struct {
	config, account, registers string
	quiet                      time.Duration
}

// startPhone starts a baresip that says a tone and answers by itself.
func startPhone(t *testing.T, codec string, tone float64, keys ...phoneKeys) *phone {
	t.Helper()
	program := needs(t, "baresip", "baresip-core")
	c := phoneCodecs[codec]
	dir := t.TempDir()
	const host = "127.0.0.1"          // the only loopback address it takes
	sipPort := freePorts(t, host, 32) // and the next for TLS, one to control it, the rest for RTP
	ctrlPort, rtpPort := sipPort+2, sipPort+4
	voice := filepath.Join(dir, "voice.wav")
	var quiet time.Duration
	for _, k := range keys {
		quiet += k.quiet
	}
	said := append(make([]int16, int(quiet.Seconds()*float64(c.rate))), sine(tone, c.rate, 30*time.Second)...)
	if strings.HasSuffix(c.account, "/2") {
		writeWAV(t, voice, said, c.rate, said)
	} else {
		writeWAV(t, voice, said, c.rate)
	}

	config := fmt.Sprintf(`sip_listen %[1]s:%[2]d
net_interface %[1]s
audio_source aufile,%[3]s
audio_player aubridge,nil
audio_alert aubridge,alert
ausrc_format s16
auplay_format s16
auenc_format s16
audec_format s16
rtp_ports %[4]d-%[5]d
rtp_timeout 10
jitter_buffer_delay 5-10
module_path /usr/lib/baresip/modules
module %[6]s
module aufile.so
module aubridge.so
module sndfile.so
module_tmp uuid.so
module_tmp account.so
module_app auloop.so
module_app menu.so
module_app ctrl_tcp.so
module_app debug_cmd.so
ctrl_tcp_listen %[1]s:%[7]d
snd_path %[8]s
`, host, sipPort, voice, rtpPort, rtpPort+26, c.module, ctrlPort, dir)
	aor := fmt.Sprintf("sip:phone@%s:%d", host, sipPort)
	registering := "regint=0"
	for _, k := range keys {
		if user, host, ok := strings.Cut(strings.TrimPrefix(k.registers, "sip:"), "@"); ok {
			aor = k.registers
			registering = fmt.Sprintf("regint=60;auth_user=%s;auth_pass=s3cret;outbound=\"sip:%s\"", user, host)
		}
	}
	account := fmt.Sprintf("<%s>;%s;answermode=auto;audio_codecs=%s", aor, registering, c.account)
	for _, k := range keys {
		config += k.config
		account += k.account
	}
	account += "\n"
	for name, text := range map[string]string{"config": config, "accounts": account, "contacts": ""} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}

	p := &phone{t: t, dir: dir, aor: aor, events: make(chan phoneEvent, 64)}
	p.process = start(t, time.Minute, dir, program, "-f", dir)
	eventually(t, 10*time.Second, "baresip opens its control socket", func() bool {
		var err error
		p.ctrl, err = net.Dial("tcp", net.JoinHostPort(host, strconv.Itoa(ctrlPort)))
		return err == nil
	})
	read := make(chan struct{})
	go func() {
		defer close(read)
		p.read()
	}()
	t.Cleanup(func() {
		p.ctrl.Close()
		<-read
	})
	return p
}

// read takes netstrings of JSON from the control socket: 12:{"event":…},
func (p *phone) read() {
	r := bufio.NewReader(p.ctrl)
	for {
		length, err := r.ReadString(':')
		if err != nil {
			return
		}
		n, err := strconv.Atoi(strings.TrimSuffix(length, ":"))
		if err != nil {
			return
		}
		body := make([]byte, n+1) // and the comma
		if _, err := io.ReadFull(r, body); err != nil {
			return
		}
		var ev phoneEvent
		if json.Unmarshal(body[:n], &ev) == nil {
			select {
			case p.events <- ev:
			default:
			}
		}
	}
}

// do gives a command: dial, hangup, hold, resume, sndcode, quit.
func (p *phone) do(command, params string) {
	p.t.Helper()
	b, err := json.Marshal(map[string]string{"command": command, "params": params, "token": command})
	if err != nil {
		p.t.Fatal(err)
	}
	if _, err := fmt.Fprintf(p.ctrl, "%d:%s,", len(b), b); err != nil {
		p.t.Fatalf("baresip %s: %v", command, err)
	}
}

// await waits for an event: CALL_ESTABLISHED, CALL_CLOSED.
func (p *phone) await(within time.Duration, kind string) phoneEvent {
	p.t.Helper()
	limit := time.After(within)
	for {
		select {
		case ev := <-p.events:
			if ev.Type == kind {
				return ev
			}
		case <-limit:
			p.t.Fatalf("baresip: no %s within %v", kind, within)
		case <-p.done:
			p.t.Fatalf("baresip ended before %s", kind)
		}
	}
}

// quit ends the program and returns what it heard.
func (p *phone) quit() (pcm []int16, rate int) {
	p.t.Helper()
	p.do("quit", "")
	select {
	case <-p.done:
	case <-time.After(10 * time.Second):
		p.t.Fatal("baresip does not quit")
	}
	files, err := filepath.Glob(filepath.Join(p.dir, "dump-*-dec.wav"))
	if err != nil || len(files) == 0 {
		p.t.Fatalf("baresip recorded nothing: %v", err)
	}
	channels, rate, err := readWAV(files[len(files)-1])
	if err != nil {
		p.t.Fatal(err)
	}
	return channels[0], rate
}

// TestPeerPhonesUnderstandEachOther makes sure of the measuring device: what two
// of the foreign phones hear of each other is what the other tests expect of
// ours.
func TestPeerPhonesUnderstandEachOther(t *testing.T) {
	t.Parallel()
	a, b := startPhone(t, "G722", 700), startPhone(t, "G722", 5500)
	a.do("dial", b.aor)
	a.await(5*time.Second, "CALL_ESTABLISHED")
	talk(3 * time.Second)
	a.do("hangup", "")
	b.await(5*time.Second, "CALL_CLOSED")
	pcm, rate := a.quit()
	wantTone(t, "the first phone", pcm, rate, 5500, 700, 2*time.Second)
	pcm, rate = b.quit()
	wantTone(t, "the second phone", pcm, rate, 700, 5500, 2*time.Second)
}
