package wsmedia

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// telnyx is Telnyx media streaming in its mode rtp, opened by TeXML:
// https://developers.telnyx.com/api-reference/websockets/stream-call-media-over-websocket,
// https://developers.telnyx.com/docs/voice/programmable-voice/texml-verbs/stream.
// Its payloads are those of RTP, so L16 is in network byte order (RFC 3551
// section 4.5.11). The handshake of the WebSocket is not signed: the token of
// its address is what lets it in.
var telnyx = dialect{
	name:   "telnyx",
	codecs: []string{"PCMU", "PCMA", "G722", "L16"},
	need: func(a *Account) string {
		if a.PublicKey == "" {
			return "public_key"
		}
		return ""
	},
	signed: telnyxSigned,
	caller: func(f url.Values) caller {
		return caller{f.Get("AccountSid"), f.Get("CallSid"), f.Get("From"), f.Get("To"), f.Get("CallerId")}
	},
	stream: func(address, codec string) string {
		rate := 8000
		if c, ok := codecNamed(codec, 0); ok {
			rate = c.Rate
		}
		return fmt.Sprintf(`<Stream url="%s" track="inbound_track" codec="%s" bidirectionalMode="rtp" `+
			`bidirectionalCodec="%[2]s" bidirectionalSamplingRate="%d"/>`, escaped(address), codec, rate)
	},
	parse: parseTelnyx,
	media: func(dst []byte, _ string, payload []byte) []byte {
		return append(encoded(append(dst, `{"event":"media","media":{"payload":"`...), payload), `"}}`...)
	},
	mark: func(dst []byte, _, name string) []byte {
		return append(quoted(append(dst, `{"event":"mark","mark":{"name":`...), name), `}}`...)
	},
	clear: func(dst []byte, _ string) []byte { return append(dst, `{"event":"clear"}`...) },
	// https://developers.telnyx.com/api-reference/texml-rest-commands/update-call
	order: func(a *Account, call string, o order) (*http.Request, error) {
		if a.AccountSID == "" || a.AuthToken == "" {
			return nil, errors.New("set the trunk's account_sid, and its auth_token to an API key")
		}
		at := a.api("https://api.telnyx.com") + "/v2/texml/Accounts/" + url.PathEscape(a.AccountSID) + "/Calls/" +
			url.PathEscape(call)
		r, err := o.request(at, "Texml")
		if err == nil {
			r.Header.Set("Authorization", "Bearer "+a.AuthToken.Reveal())
		}
		return r, err
	},
}

// telnyxTolerance is how far the time of a signature may be from ours.
const telnyxTolerance = 5 * time.Minute

// telnyxSigned checks telnyx-signature-ed25519, which is over the time, a bar
// and the body:
// https://developers.telnyx.com/api-reference/callbacks/texml-call-initiated.
func telnyxSigned(a *Account, _ string, r *http.Request, body []byte, now time.Time) error {
	key, err := base64.StdEncoding.DecodeString(a.PublicKey)
	if err != nil || len(key) != ed25519.PublicKeySize {
		return errors.New("the trunk's public_key is no ed25519 key in base64")
	}
	stamp := r.Header.Get("Telnyx-Timestamp")
	signature, err := base64.StdEncoding.DecodeString(r.Header.Get("Telnyx-Signature-Ed25519"))
	if err != nil || len(signature) != ed25519.SignatureSize {
		return errors.New("there is no telnyx-signature-ed25519, or it is no signature")
	}
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil {
		return fmt.Errorf("telnyx-timestamp %.32q is no time", stamp)
	}
	if !ed25519.Verify(key, append([]byte(stamp+"|"), body...), signature) {
		return errors.New("telnyx-signature-ed25519 is of another body, or by another key than public_key")
	}
	if off := now.Sub(time.Unix(seconds, 0)).Abs(); off > telnyxTolerance {
		return fmt.Errorf("the signature is %s off our clock: it was sent again, or a clock is wrong", off.Round(time.Second))
	}
	return nil
}

type telnyxMessage struct {
	Event    string `json:"event"`
	StreamID string `json:"stream_id"`
	Start    *struct {
		CustomParameters texts `json:"custom_parameters"`
		MediaFormat      struct {
			Encoding   string `json:"encoding"`
			SampleRate number `json:"sample_rate"`
			Channels   number `json:"channels"`
		} `json:"media_format"`
	} `json:"start"`
	Media *chunk `json:"media"`
	DTMF  *struct {
		Digit string `json:"digit"`
	} `json:"dtmf"`
	Mark *struct {
		Name string `json:"name"`
	} `json:"mark"`
	Payload *struct {
		Code   number `json:"code"`
		Title  string `json:"title"`
		Detail string `json:"detail"`
	} `json:"payload"`
}

func parseTelnyx(b []byte, m *message) error {
	*m = message{}
	var t telnyxMessage
	if err := json.Unmarshal(b, &t); err != nil {
		return fmt.Errorf("a message that is none of Telnyx': %w", err)
	}
	switch {
	case t.Event == "start" && t.Start != nil:
		f := t.Start.MediaFormat
		c, ok := codecNamed(f.Encoding, int(f.SampleRate))
		if !ok || f.Channels > 1 {
			return fmt.Errorf("a stream of %q at %d Hz with %d channels, want PCMU, PCMA, G722 or L16 with one",
				f.Encoding, f.SampleRate, f.Channels)
		}
		m.kind = kindStart
		// The call's name here is that of call control, not the webhook's CallSid.
		m.start = start{id: t.StreamID, codec: c.Name, rate: c.Rate, parameters: t.Start.CustomParameters}
	case t.Event == "media" && t.Media != nil:
		t.Media.into(m)
	case t.Event == "dtmf" && t.DTMF != nil:
		if m.key = keyOf(t.DTMF.Digit); m.key != 0 {
			m.kind = kindDigit
		}
	case t.Event == "mark" && t.Mark != nil:
		m.kind, m.mark = kindMark, t.Mark.Name
	case t.Event == "stop":
		m.kind = kindStop
	case t.Event == "error":
		m.kind = kindError
		if t.Payload != nil {
			m.text = fmt.Sprintf("%d %s: %s", t.Payload.Code, t.Payload.Title, t.Payload.Detail)
		}
	}
	return nil
}
