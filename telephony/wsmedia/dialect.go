package wsmedia

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// dialect is what one carrier does in its own way.
type dialect struct {
	name   string   // the type of its trunks, and "ws/name" as the transport
	codecs []string // that its streams carry, the default first

	// need tells what of an account is missing, "" nothing.
	need func(a *Account) string
	// signed checks the signature of a webhook; at is its address as the carrier knows it.
	signed func(a *Account, at string, r *http.Request, body []byte, now time.Time) error
	// upgrade checks that of a WebSocket's handshake; nil: the carrier signs none.
	upgrade func(a *Account, at string, h http.Header) error
	// caller reads who calls whom from a webhook.
	caller func(form url.Values) caller
	// stream is the element that opens a stream.
	stream func(address, codec string) string

	// parse reads one message. What it does not know is kindOther.
	parse func(b []byte, m *message) error
	// media, mark and clear append a message of ours; id is the stream's.
	media func(dst []byte, id string, payload []byte) []byte
	mark  func(dst []byte, id, name string) []byte
	clear func(dst []byte, id string) []byte

	// order makes the request that changes a call that is up; nil: there is none.
	order func(a *Account, call string, o order) (*http.Request, error)
}

// dialects are all of them.
var dialects = []*dialect{&twilio, &telnyx}

func dialectNamed(name string) *dialect {
	for _, d := range dialects {
		if d.name == name {
			return d
		}
	}
	return nil
}

// Types are the types of trunk that this package takes calls of, and the
// codecs of each, the default first.
func Types() map[string][]string {
	out := map[string][]string{}
	for _, d := range dialects {
		out[d.name] = d.codecs
	}
	return out
}

// caller is what a webhook tells of a call.
type caller struct {
	account        string // "" where the carrier tells none
	call           string // the carrier's name of the call
	from, to, name string
}

// order is a change of a call over the carrier's API: it ends, or goes on with
// other instructions.
type order struct {
	document string // "": the call ends
}

// kind is what a message of a carrier says.
type kind uint8

const (
	kindOther kind = iota
	kindStart
	kindMedia
	kindDigit
	kindMark // what we sent before it was played, or cleared
	kindStop
	kindError // our messages are refused
)

// message is one message of a carrier.
type message struct {
	kind    kind
	start   start
	seq     uint64        // of a chunk of sound, counted from 1; 0: not told
	at      time.Duration // of its first sample, since the stream began
	payload []byte
	key     byte
	mark    string
	text    string // of an error
}

// start is how a stream begins.
type start struct {
	id         string // of the stream
	account    string // "" where the carrier tells none
	call       string // the same as the webhook's, else ""
	codec      string // as it is called in SDP
	rate       int    // Hz of its samples; 0: the codec's own
	parameters map[string]string
}

// number is a JSON number that carriers write as a string too.
type number int64

// UnmarshalJSON takes 5 and "5".
func (n *number) UnmarshalJSON(b []byte) error {
	v, err := strconv.ParseInt(strings.Trim(string(b), `"`), 10, 64)
	if err == nil {
		*n = number(v)
	}
	return err
}

// texts are the values of a JSON object that are strings.
type texts map[string]string

// maxTexts bounds them.
const maxTexts = 32

// UnmarshalJSON leaves out what is no string.
func (t *texts) UnmarshalJSON(b []byte) error {
	var all map[string]any
	if err := json.Unmarshal(b, &all); err != nil {
		return err
	}
	*t = texts{}
	for k, v := range all {
		if s, ok := v.(string); ok && len(*t) < maxTexts {
			(*t)[k] = s
		}
	}
	return nil
}

// chunk is the part of a message that holds sound; both carriers write it alike.
type chunk struct {
	Track     string `json:"track"` // inbound is what the caller says
	Chunk     number `json:"chunk"`
	Timestamp number `json:"timestamp"` // ms since the stream began
	Payload   []byte `json:"payload"`
}

func (c *chunk) into(m *message) {
	if c.Track == "outbound" || c.Track == "outbound_track" {
		return // what we say ourselves
	}
	m.kind, m.payload = kindMedia, c.Payload
	m.seq = uint64(max(c.Chunk, 0))
	m.at = time.Duration(min(max(c.Timestamp, 0), maxStamp)) * time.Millisecond
}

// maxStamp is a day, ms: no call is longer, and no sum of it overflows.
const maxStamp = 24 * 60 * 60 * 1000

// keyOf is the key that a carrier names, 0 where it is none.
func keyOf(s string) byte {
	if len(s) != 1 || !strings.Contains("0123456789*#ABCD", strings.ToUpper(s)) {
		return 0
	}
	return strings.ToUpper(s)[0]
}

// quoted appends a JSON string.
func quoted(dst []byte, s string) []byte {
	b, err := json.Marshal(s)
	if err != nil { // no string fails
		return append(dst, `""`...)
	}
	return append(dst, b...)
}

// encoded appends base64 of the standard alphabet.
func encoded(dst, payload []byte) []byte { return base64.StdEncoding.AppendEncode(dst, payload) }
