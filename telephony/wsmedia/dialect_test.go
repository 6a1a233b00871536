package wsmedia

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/patchcord/patchcord/internal/secret"
	"github.com/patchcord/patchcord/internal/testkit/carrier"
)

// published are the messages of a carrier's pages: testdata/NAME/README.md.
func published(t testing.TB, d *dialect) [][]byte {
	t.Helper()
	b, err := os.ReadFile("testdata/" + d.name + "/published.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Split(bytes.TrimSpace(b), []byte("\n"))
}

func TestPublishedMessagesAreRead(t *testing.T) {
	t.Parallel()
	want := map[string]string{
		"twilio": "other, start MZXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX PCMU, other, media 2 at 5ms of 9, key 1, mark my label, stop",
		"telnyx": "other, start 32DE0DEA-53CB-4B21-89A4-9E1819C043BC PCMU, media 2 at 5ms of 9, key 1, mark my label, " +
			"error 100002 unknown_error: An unknown error occurred., stop",
	}
	for _, d := range dialects {
		var got []string
		for _, b := range published(t, d) {
			var m message
			if err := d.parse(b, &m); err != nil {
				t.Errorf("%s: %s: %v", d.name, b, err)
			}
			got = append(got, told(&m))
		}
		if s := strings.Join(got, ", "); s != want[d.name] {
			t.Errorf("%s: %s", d.name, s)
		}
	}
	var m message
	if err := parseTwilio(published(t, &twilio)[1], &m); err != nil || m.start.parameters["FirstName"] != "Jane" ||
		m.start.call != "CAXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX" {
		t.Errorf("%+v, %v", m.start, err)
	}
}

func told(m *message) string {
	switch m.kind {
	case kindStart:
		return "start " + m.start.id + " " + m.start.codec
	case kindMedia:
		return fmt.Sprintf("media %d at %s of %d", m.seq, m.at, len(m.payload))
	case kindDigit:
		return "key " + string(m.key)
	case kindMark:
		return "mark " + m.mark
	case kindStop:
		return "stop"
	case kindError:
		return "error " + m.text
	case kindOther:
	}
	return "other"
}

// What is sent is as the pages show it, but for spaces.
func TestMessagesOfOursAreAsPublished(t *testing.T) {
	t.Parallel()
	const id = "MZXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX"
	payload, _ := base64.StdEncoding.DecodeString("a3242sa=")
	for _, c := range []struct{ name, got, want string }{
		{"Twilio's media", string(twilio.media(nil, id, payload)), `{"event":"media","streamSid":"` + id + `","media":{"payload":"a3242sY="}}`},
		{"Twilio's mark", string(twilio.mark(nil, id, "my label")), `{"event":"mark","streamSid":"` + id + `","mark":{"name":"my label"}}`},
		{"Twilio's clear", string(twilio.clear(nil, id)), `{"event":"clear","streamSid":"` + id + `"}`},
		{"Telnyx' media", string(telnyx.media(nil, id, payload)), `{"event":"media","media":{"payload":"a3242sY="}}`},
		{"Telnyx' mark", string(telnyx.mark(nil, id, "my label")), `{"event":"mark","mark":{"name":"my label"}}`},
		{"Telnyx' clear", string(telnyx.clear(nil, id)), `{"event":"clear"}`},
	} {
		if c.got != c.want {
			t.Errorf("%s: %s", c.name, c.got)
		}
	}
	if b := twilio.clear(nil, "a\"b\n<"); !json.Valid(b) {
		t.Errorf("a name that has to be escaped: %s", b)
	}
	if got := telnyx.stream("wss://x/y&z", "L16"); got != `<Stream url="wss://x/y&amp;z" track="inbound_track" codec="L16" `+
		`bidirectionalMode="rtp" bidirectionalCodec="L16" bidirectionalSamplingRate="16000"/>` {
		t.Error(got)
	}
}

// The example of https://www.twilio.com/docs/usage/security#validating-requests.
func TestTwiliosSignature(t *testing.T) {
	t.Parallel()
	form := url.Values{
		"CallSid": {"CA1234567890ABCDE"}, "Caller": {"+12349013030"}, "Digits": {"1234"}, "From": {"+12349013030"}, "To": {"+18005551212"},
	}
	const at, right = "https://mycompany.com/myapp.php?foo=1&bar=2", "0/KCTR6DLpKmkAf8muzZqo1nDgQ="
	for _, c := range []struct{ name, token, at, signature, want string }{
		{"as published", "12345", at, right, ""},
		{"another token", "12346", at, right, "by another auth_token"},
		{"another address", "12345", at + "3", right, "of another address"},
		{"none", "12345", at, "", "there is no X-Twilio-Signature"},
		{"no base64", "12345", at, "!!", "is no base64"},
		{"cut", "12345", at, "0/KCTR6DLpKmkAf8muzZqo1nDg==", "of another address"},
	} {
		a := Account{AuthToken: secret.Text(c.token)}
		r := &http.Request{Header: http.Header{}}
		r.Header.Set("X-Twilio-Signature", c.signature)
		err := twilio.signed(&a, c.at, r, []byte(form.Encode()), time.Time{})
		if got := fmt.Sprint(err); c.want == "" && err != nil || c.want != "" && !strings.Contains(got, c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	a := Account{AuthToken: token}
	for _, signed := range []string{
		"wss://voice.example.com/x", "https://voice.example.com/x", "wss://voice.example.com/x/", "wss://voice.example.com:443/x",
	} {
		h := http.Header{}
		h.Set("X-Twilio-Signature", carrier.Signature(token, signed, nil))
		if err := twilio.upgrade(&a, "wss://voice.example.com/x", h); err != nil {
			t.Errorf("%s: %v", signed, err)
		}
	}
	h := http.Header{}
	h.Set("X-Twilio-Signature", carrier.Signature(token, "wss://voice.example.com/y", nil))
	if err := twilio.upgrade(&a, "wss://voice.example.com/x", h); err == nil {
		t.Error("the signature of another stream")
	}
}

func TestTelnyxsSignature(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	body := []byte("CallSid=v3%3Ax&From=%2B4930111")
	public, _ := telnyxKey.Public().(ed25519.PublicKey)
	a := Account{PublicKey: base64.StdEncoding.EncodeToString(public)}
	signed := func(at time.Time, text []byte) http.Header {
		h, stamp := http.Header{}, strconv.FormatInt(at.Unix(), 10)
		h.Set("telnyx-timestamp", stamp)
		h.Set("telnyx-signature-ed25519", base64.StdEncoding.EncodeToString(ed25519.Sign(telnyxKey, append([]byte(stamp+"|"), text...))))
		return h
	}
	other := signed(now, body)
	other.Set("telnyx-timestamp", strconv.FormatInt(now.Unix()+1, 10))
	for _, c := range []struct {
		name string
		h    http.Header
		want string
	}{
		{"right", signed(now, body), ""},
		{"a little late", signed(now.Add(-4*time.Minute), body), ""},
		{"of another body", signed(now, []byte("CallSid=other")), "of another body"},
		{"of another time", other, "of another body"},
		{"sent again", signed(now.Add(-6*time.Minute), body), "6m0s off our clock"},
		{"none", http.Header{}, "there is no telnyx-signature-ed25519"},
		{"no time", http.Header{"Telnyx-Signature-Ed25519": signed(now, body)["Telnyx-Signature-Ed25519"]}, "is no time"},
	} {
		err := telnyx.signed(&a, "", &http.Request{Header: c.h}, body, now)
		if got := fmt.Sprint(err); c.want == "" && err != nil || c.want != "" && !strings.Contains(got, c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if err := telnyx.signed(&Account{PublicKey: "short"}, "", &http.Request{Header: http.Header{}}, body, now); err == nil ||
		!strings.Contains(err.Error(), "public_key") {
		t.Errorf("without a key: %v", err)
	}
}

func TestL16IsInNetworkOrder(t *testing.T) {
	t.Parallel()
	spec, ok := codecNamed("l16", 0)
	if !ok || spec.Rate != 16000 || bytesOf(spec, 320) != 640 || samplesOf(spec, 640) != 320 {
		t.Fatalf("%+v", spec)
	}
	wire := make([]byte, 4)
	if n := coder(spec).Encode(wire, []int16{0x1234, -2}); n != 4 || !bytes.Equal(wire, []byte{0x12, 0x34, 0xff, 0xfe}) {
		t.Errorf("%x", wire[:n])
	}
	pcm := make([]int16, 3)
	if n := coder(spec).Decode(pcm, append(wire, 9)); n != 2 || pcm[0] != 0x1234 || pcm[1] != -2 {
		t.Errorf("%v", pcm[:n])
	}
	for _, bad := range []int{1, 44100, -8000} {
		if _, ok := codecNamed("L16", bad); ok {
			t.Errorf("L16 at %d Hz", bad)
		}
	}
}

func fuzzDialect(f *testing.F, d *dialect) {
	f.Helper()
	for _, b := range published(f, d) {
		f.Add(b)
	}
	for _, s := range []string{
		"", "{}", "[]", "null", `{"event":"start"}`, `{"event":"media","media":{"chunk":-1,"timestamp":"99999999999999999999"}}`,
		`{"event":"media","media":{"payload":"!"}}`, `{"event":"dtmf","dtmf":{"digit":"12"}}`, `{"event":"mark","mark":{}}`,
		`{"event":"media","media":{"chunk":"18446744073709551615","timestamp":9223372036854775807,"payload":"AA=="}}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var m message
		if err := d.parse(b, &m); err != nil {
			return
		}
		switch m.kind {
		case kindDigit:
			if !strings.Contains("0123456789*#ABCD", string(m.key)) {
				t.Errorf("the key %q", m.key)
			}
		case kindStart:
			if _, ok := codecNamed(m.start.codec, m.start.rate); !ok {
				t.Errorf("the codec %q", m.start.codec)
			}
			if !json.Valid(d.clear(nil, m.start.id)) || !json.Valid(d.media(nil, m.start.id, b)) {
				t.Errorf("what is sent to the stream %q is no JSON", m.start.id)
			}
		case kindMedia: // any chunk is some sound, and harms nothing after it
			spec, _ := codecNamed("PCMU", 0)
			r := newReceiver(spec, 8000)
			for i := range 8 {
				r.chunk(&m, time.Duration(i)*20*time.Millisecond)
				r.next(time.Duration(i) * 20 * time.Millisecond)
			}
		case kindOther, kindMark, kindStop, kindError:
		}
	})
}

func FuzzTwilio(f *testing.F) { fuzzDialect(f, &twilio) }

func FuzzTelnyx(f *testing.F) { fuzzDialect(f, &telnyx) }
