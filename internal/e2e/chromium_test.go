//go:build e2e

package e2e

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/internal/testkit/tracks"
)

// chromium is a browser without a screen, with a sound file for a microphone,
// on one page that a test drives over the DevTools protocol.
type chromium struct {
	*process
	t    *testing.T
	page *websocket.Conn
	id   int
}

// startChromium opens a page; the sound begins when the page asks for the
// microphone, and is played once.
func startChromium(t *testing.T, page string, pcm []int16, rate int) *chromium {
	t.Helper()
	program := ""
	for _, name := range []string{"chromium-headless-shell", "chromium"} {
		if path, err := exec.LookPath(name); err == nil && program == "" {
			program = path
		}
	}
	if program == "" {
		t.Skip("chromium-headless-shell is not installed (apt-get install chromium-headless-shell)")
	}
	dir := t.TempDir()
	voice := filepath.Join(dir, "voice.wav")
	writeWAV(t, voice, pcm, rate)
	c := &chromium{t: t}
	c.process = start(t, 2*time.Minute, dir, program, "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
		"--user-data-dir="+filepath.Join(dir, "profile"), "--use-fake-ui-for-media-stream",
		"--use-fake-device-for-media-stream", "--use-file-for-fake-audio-capture="+voice+"%noloop",
		"--allow-loopback-in-peer-connection", "--autoplay-policy=no-user-gesture-required",
		"--remote-debugging-port=0", page)
	listening := regexp.MustCompile(`DevTools listening on ws://(\S+?)/`)
	var host string
	eventually(t, 30*time.Second, "the browser is there", func() bool {
		if m := listening.FindStringSubmatch(c.out.String()); m != nil {
			host = m[1]
		}
		return host != ""
	})
	var tabs []struct {
		Type, URL string
		Socket    string `json:"webSocketDebuggerUrl"`
	}
	at := -1
	eventually(t, 20*time.Second, "the page is open", func() bool {
		res, err := http.Get("http://" + host + "/json/list")
		if err != nil {
			return false
		}
		defer res.Body.Close()
		if json.NewDecoder(res.Body).Decode(&tabs) != nil {
			return false
		}
		for i := range tabs {
			if tabs[i].Type == "page" && tabs[i].URL == page {
				at = i
			}
		}
		return at >= 0
	})
	var err error
	if c.page, _, err = websocket.DefaultDialer.Dial(tabs[at].Socket, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.page.Close() })
	eventually(t, 20*time.Second, "the page is loaded", func() bool {
		var state string
		c.do("location.href === 'about:blank' ? '' : document.readyState", &state)
		return state == "complete"
	})
	return c
}

// do runs JavaScript on the page and gives what it makes.
func (c *chromium) do(script string, into any) {
	c.t.Helper()
	c.id++
	err := c.page.WriteJSON(map[string]any{"id": c.id, "method": "Runtime.evaluate", "params": map[string]any{
		"expression": script, "awaitPromise": true, "returnByValue": true, "userGesture": true,
	}})
	if err != nil {
		c.t.Fatal(err)
	}
	for {
		var answer struct {
			ID     int
			Result struct {
				Result           struct{ Value json.RawMessage }
				ExceptionDetails json.RawMessage
			}
		}
		if err := c.page.ReadJSON(&answer); err != nil {
			c.t.Fatal(err)
		}
		if answer.ID != c.id {
			continue
		}
		if answer.Result.ExceptionDetails != nil {
			c.t.Fatalf("%s: %s", script, answer.Result.ExceptionDetails)
		}
		if into != nil && answer.Result.Result.Value != nil {
			if err := json.Unmarshal(answer.Result.Result.Value, into); err != nil {
				c.t.Fatalf("%s: %v in %s", script, err, answer.Result.Result.Value)
			}
		}
		return
	}
}

// text is what an element shows.
func (c *chromium) text(id string) string {
	var s string
	c.do(fmt.Sprintf("document.getElementById(%q).innerText", id), &s)
	return s
}

// recordScript keeps what the page hears, as 16-bit samples at 16 kHz, and lets
// the microphone be what its file is: gain control makes a clear voice overdriven.
const recordScript = `
const microphone = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
navigator.mediaDevices.getUserMedia = () => microphone({
  audio: {echoCancellation: false, noiseSuppression: false, autoGainControl: false},
});
window.heard = [];
document.addEventListener('agent-sound', e => {
  const sound = window.ears = new AudioContext({sampleRate: 16000});
  const ear = sound.createScriptProcessor(4096, 1, 1);
  ear.onaudioprocess = p => window.heard.push(Int16Array.from(p.inputBuffer.getChannelData(0), v => 32767 * v));
  sound.createMediaStreamSource(e.detail).connect(ear);
  ear.connect(sound.destination);
});`

// heardScript gives that as base64 of little endian.
const heardScript = `(() => {
  let s = '';
  for (const part of window.heard)
    for (const b of new Uint8Array(part.buffer)) s += String.fromCharCode(b);
  return btoa(s);
})()`

func (c *chromium) heard() []int16 {
	c.t.Helper()
	var text string
	c.do(heardScript, &text)
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		c.t.Fatal(err)
	}
	var pcm []int16
	for ; len(b) > 1; b = b[2:] {
		pcm = append(pcm, int16(binary.LittleEndian.Uint16(b)))
	}
	return pcm
}

// TestPeerChromiumTalks: the demo's browser phone in a real browser. A voice
// asks for an order, the agent understands it and looks it up, and the page
// shows and hears the answer.
func TestPeerChromiumTalks(t *testing.T) {
	t.Parallel()
	needsSpeech(t)
	const rate = 48000
	say := callers(t)
	asks, err := say("my order number is four seven one one", "rms")
	if err != nil {
		t.Fatal(err)
	}
	// After the greeting, and then silence.
	said := slices.Concat(make([]int16, 5*tracks.Rate), asks, make([]int16, 30*tracks.Rate))
	up := audio.NewResampler(tracks.Rate, rate)
	said = up.Flush(up.Append(nil, said))

	phone := start(t, 2*time.Minute, t.TempDir(), command(t, "patchcord"), "demo", "--talk")
	link := regexp.MustCompile(`http://\S+/talk\S*`)
	eventually(t, 30*time.Second, "the demo tells its page", func() bool { return link.MatchString(phone.out.String()) })
	b := startChromium(t, link.FindString(phone.out.String()), said, rate)
	b.do(recordScript, nil)
	b.do("document.getElementById('call').click()", nil)
	eventually(t, 20*time.Second, "the page is connected", func() bool { return b.text("state") == "Connected" })
	eventually(t, 30*time.Second, "the answer stands on the page", func() bool {
		return strings.Contains(strings.ToLower(b.text("words")), "shipped")
	})
	b.do("document.getElementById('pad').click(); document.querySelector('#keys button').click()", nil)
	eventually(t, 15*time.Second, "the key stands on the page", func() bool {
		return strings.Contains(b.text("words"), "Key 1")
	})
	pcm := b.heard()
	b.do("document.getElementById('call').click()", nil)
	if state := b.text("state"); state != "The call has ended" {
		t.Errorf("the page says %q", state)
	}
	eventually(t, 10*time.Second, "the engine has ended the call", func() bool {
		return strings.Contains(phone.out.String(), "ended")
	})
	words := understood(t, "../../cmd/patchcord/demo/caller.phrases", pcm, 16000)
	t.Logf("the page heard %.1f s: %s", float64(len(pcm))/16000, words)
	for _, w := range []string{"welcome", "order", "shipped"} {
		if !strings.Contains(words, w) {
			t.Errorf("the page did not hear %q", w)
		}
	}
}
