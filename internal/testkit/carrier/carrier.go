// Package carrier is the far end of a WebSocket media stream: a carrier that
// asks for instructions over HTTP, opens the stream it is told of, and plays
// what comes there to a caller, in real time.
//
// It speaks the wire as the carriers' pages have it and shares no code with
// what it tests: a chunk of 20 ms every 20 ms, whether the caller speaks or not;
// marks sent back when what was before them has been played; clear empties the
// buffer and sends the marks in it back at once.
package carrier

import (
	"context"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // the algorithm of Twilio's signature
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/gorilla/websocket"
)

// Kind is whose wire is spoken.
type Kind string

// The kinds.
const (
	Twilio Kind = "twilio"
	Telnyx Kind = "telnyx"
)

// Carrier is an account at a carrier.
type Carrier struct {
	Kind       Kind
	AccountSID string
	AuthToken  string             // Twilio: what it signs with
	Key        ed25519.PrivateKey // Telnyx: the same
	Webhook    string             // where the number's calls are asked for: https://…/v1/trunks/NAME/voice
	Codec      string             // Telnyx: what the call has, "": PCMU
	Chunk      time.Duration      // of sound in a message; 0: 20 ms
	// Dial connects, whatever the address; nil: to the address.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Refused is a call that the instructions refuse.
type Refused struct{ Reason string }

func (r *Refused) Error() string { return "refused: " + r.Reason }

// instructions are the document that a webhook is answered with.
type instructions struct {
	Reject *struct {
		Reason string `xml:"reason,attr"`
	} `xml:"Reject"`
	Connect *struct {
		Stream *struct {
			URL   string `xml:"url,attr"`
			Mode  string `xml:"bidirectionalMode,attr"`
			Codec string `xml:"bidirectionalCodec,attr"`
			Rate  int    `xml:"bidirectionalSamplingRate,attr"`
		} `xml:"Stream"`
	} `xml:"Connect"`
}

// Form is what a webhook tells of a call.
func (c *Carrier) Form(call, from, to string) url.Values {
	f := url.Values{
		"CallSid": {call}, "AccountSid": {c.AccountSID}, "From": {from}, "To": {to}, "CallStatus": {"ringing"},
		"Direction": {"inbound"}, "ApiVersion": {"2010-04-01"},
	}
	if c.Kind == Telnyx {
		f.Set("ConnectionId", "1234567890")
	}
	return f
}

func (c *Carrier) client() *http.Client {
	return &http.Client{Transport: &http.Transport{DialContext: c.Dial, DisableKeepAlives: true}}
}

// Ask posts a webhook and returns where the stream is to be opened, and its
// codec.
func (c *Carrier) Ask(ctx context.Context, form url.Values) (stream, codec string, err error) {
	body := form.Encode()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.Webhook, strings.NewReader(body))
	if err != nil {
		return "", "", err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=UTF-8")
	switch c.Kind {
	case Twilio:
		r.Header.Set("X-Twilio-Signature", Signature(c.AuthToken, c.Webhook, form))
	case Telnyx:
		stamp := strconv.FormatInt(time.Now().Unix(), 10)
		signed := ed25519.Sign(c.Key, []byte(stamp+"|"+body))
		r.Header.Set("Telnyx-Timestamp", stamp)
		r.Header.Set("Telnyx-Signature-Ed25519", base64.StdEncoding.EncodeToString(signed))
	}
	res, err := c.client().Do(r)
	if err != nil {
		return "", "", err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return "", "", err
	}
	if res.StatusCode != http.StatusOK {
		return "", "", fmt.Errorf("the webhook is answered %s: %s", res.Status, text)
	}
	var doc instructions
	if err := xml.Unmarshal(text, &doc); err != nil {
		return "", "", fmt.Errorf("the instructions %s: %w", text, err)
	}
	switch {
	case doc.Reject != nil:
		return "", "", &Refused{doc.Reject.Reason}
	case doc.Connect == nil || doc.Connect.Stream == nil:
		return "", "", fmt.Errorf("no stream in %s", text)
	case c.Kind == Telnyx && doc.Connect.Stream.Mode != "rtp":
		return "", "", fmt.Errorf("a stream whose mode is %q takes no sound", doc.Connect.Stream.Mode)
	}
	s := doc.Connect.Stream
	if u, err := url.Parse(s.URL); err != nil || u.RawQuery != "" {
		return "", "", fmt.Errorf("the address %q: a query is left out by the carrier", s.URL)
	}
	if s.Codec == "" {
		s.Codec = "PCMU"
	}
	return s.URL, s.Codec, nil
}

// Signature is Twilio's, of an address and a form.
func Signature(token, address string, form url.Values) string {
	var keys []string
	for k := range form {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	text := address
	for _, k := range keys {
		text += k + form.Get(k)
	}
	mac := hmac.New(sha1.New, []byte(token))
	mac.Write([]byte(text))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// Open opens a stream and sends nothing yet.
func (c *Carrier) Open(ctx context.Context, stream string) (*websocket.Conn, error) {
	h := http.Header{}
	if c.Kind == Twilio {
		h.Set("X-Twilio-Signature", Signature(c.AuthToken, stream, nil))
	}
	d := websocket.Dialer{NetDialContext: c.Dial, HandshakeTimeout: 10 * time.Second}
	ws, res, err := d.DialContext(ctx, stream, h)
	if res != nil {
		res.Body.Close()
	}
	if errors.Is(err, websocket.ErrBadHandshake) {
		return nil, fmt.Errorf("the stream's handshake is answered %s", res.Status)
	}
	return ws, err
}
