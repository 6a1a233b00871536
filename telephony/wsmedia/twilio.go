package wsmedia

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // the algorithm of Twilio's signature
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// twilio is Twilio Media Streams, bidirectional:
// https://www.twilio.com/docs/voice/media-streams/websocket-messages,
// https://www.twilio.com/docs/voice/twiml/stream. A stream's address has no
// query: https://www.twilio.com/docs/api/errors/31920.
var twilio = dialect{
	name:   "twilio",
	codecs: []string{"PCMU"}, // "always audio/x-mulaw", 8000 Hz
	need: func(a *Account) string {
		if a.AuthToken == "" {
			return "auth_token"
		}
		return ""
	},
	signed: func(a *Account, at string, r *http.Request, body []byte, _ time.Time) error {
		form, err := url.ParseQuery(string(body))
		if err != nil {
			return errors.New("the body is no form")
		}
		return a.twilioSigned(r.Header, form, at, withPort(at))
	},
	upgrade: func(a *Account, at string, h http.Header) error {
		// The address is signed as it was given, wss:; some of Twilio's edges sign it as https:,
		// and a slash behind it.
		rest := at[strings.Index(at, ":")+1:]
		return a.twilioSigned(h, nil, at, "https:"+rest, "http:"+rest, at+"/", "https:"+rest+"/", withPort(at))
	},
	caller: func(f url.Values) caller {
		return caller{f.Get("AccountSid"), f.Get("CallSid"), f.Get("From"), f.Get("To"), f.Get("CallerName")}
	},
	stream: func(address, _ string) string { return `<Stream url="` + escaped(address) + `"/>` },
	parse:  parseTwilio,
	media: func(dst []byte, id string, payload []byte) []byte {
		dst = quoted(append(dst, `{"event":"media","streamSid":`...), id)
		dst = encoded(append(dst, `,"media":{"payload":"`...), payload)
		return append(dst, `"}}`...)
	},
	mark: func(dst []byte, id, name string) []byte {
		dst = quoted(append(dst, `{"event":"mark","streamSid":`...), id)
		dst = quoted(append(dst, `,"mark":{"name":`...), name)
		return append(dst, `}}`...)
	},
	clear: func(dst []byte, id string) []byte {
		return append(quoted(append(dst, `{"event":"clear","streamSid":`...), id), '}')
	},
	// https://www.twilio.com/docs/voice/api/call-resource#update-a-call-resource
	order: func(a *Account, call string, o order) (*http.Request, error) {
		if a.AccountSID == "" {
			return nil, errors.New("set the trunk's account_sid")
		}
		at := a.api("https://api.twilio.com") + "/2010-04-01/Accounts/" + url.PathEscape(a.AccountSID) + "/Calls/" +
			url.PathEscape(call) + ".json"
		r, err := o.request(at, "Twiml")
		if err == nil {
			r.SetBasicAuth(a.AccountSID, a.AuthToken.Reveal())
		}
		return r, err
	},
}

// twilioSigned checks X-Twilio-Signature: HMAC-SHA1 by the account's token over
// the address and the form's parameters, sorted, name and value after name and
// value: https://www.twilio.com/docs/usage/security#validating-requests. The
// signature is of one of the ways to write the address.
func (a *Account) twilioSigned(h http.Header, form url.Values, addresses ...string) error {
	got, err := base64.StdEncoding.DecodeString(h.Get("X-Twilio-Signature"))
	switch {
	case len(got) == 0 && err == nil:
		return errors.New("there is no X-Twilio-Signature")
	case err != nil:
		return errors.New("X-Twilio-Signature is no base64")
	}
	var rest strings.Builder
	for _, key := range sortedKeys(form) {
		values := slices.Clone(form[key])
		slices.Sort(values)
		for _, v := range slices.Compact(values) {
			rest.WriteString(key + v)
		}
	}
	right := false
	for _, at := range addresses {
		mac := hmac.New(sha1.New, []byte(a.AuthToken.Reveal()))
		mac.Write([]byte(at + rest.String()))
		right = hmac.Equal(mac.Sum(nil), got) || right
	}
	if !right {
		return fmt.Errorf("X-Twilio-Signature is of another address than %s, or by another auth_token", addresses[0])
	}
	return nil
}

func sortedKeys(form url.Values) []string {
	keys := make([]string, 0, len(form))
	for k := range form {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// withPort is an address with the port that goes without saying; some of
// Twilio's signatures are over that.
func withPort(at string) string {
	u, err := url.Parse(at)
	if err != nil || u.Port() != "" {
		return at
	}
	port := ":443"
	if u.Scheme == "http" || u.Scheme == "ws" {
		port = ":80"
	}
	return strings.Replace(at, u.Host, u.Host+port, 1)
}

type twilioMessage struct {
	Event string `json:"event"`
	Start *struct {
		StreamSid        string `json:"streamSid"`
		AccountSid       string `json:"accountSid"`
		CallSid          string `json:"callSid"`
		CustomParameters texts  `json:"customParameters"`
		MediaFormat      struct {
			Encoding   string `json:"encoding"`
			SampleRate number `json:"sampleRate"`
			Channels   number `json:"channels"`
		} `json:"mediaFormat"`
	} `json:"start"`
	Media *chunk `json:"media"`
	DTMF  *struct {
		Digit string `json:"digit"`
	} `json:"dtmf"`
	Mark *struct {
		Name string `json:"name"`
	} `json:"mark"`
}

func parseTwilio(b []byte, m *message) error {
	*m = message{}
	var t twilioMessage
	if err := json.Unmarshal(b, &t); err != nil {
		return fmt.Errorf("a message that is none of Twilio's: %w", err)
	}
	switch {
	case t.Event == "start" && t.Start != nil:
		f := t.Start.MediaFormat
		if f.Encoding != "audio/x-mulaw" || f.SampleRate != 8000 || f.Channels > 1 {
			return fmt.Errorf("a stream of %q at %d Hz with %d channels, want audio/x-mulaw at 8000 Hz with one",
				f.Encoding, f.SampleRate, f.Channels)
		}
		m.kind = kindStart
		m.start = start{
			id: t.Start.StreamSid, account: t.Start.AccountSid, call: t.Start.CallSid, codec: "PCMU",
			parameters: t.Start.CustomParameters,
		}
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
	}
	return nil
}
