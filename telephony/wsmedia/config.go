package wsmedia

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/patchcord/patchcord/internal/secret"
	"github.com/patchcord/patchcord/telephony"
)

// Config is what a Server works with. Account and Handler are needed.
type Config struct {
	// PublicURL is how carriers reach us: the address of streams begins with it,
	// and what is signed. Empty: every call is refused, and the log says why.
	PublicURL string
	// Account is the trunk of that name as it is now; false: there is none, or
	// it is of another kind.
	Account func(telephony.TrunkID) (Account, bool)
	Handler telephony.Handler
	// Accept is asked about each call before it is answered, and once more when
	// its stream begins: admission and number routing. False refuses it for the
	// cause. Nil: all are taken.
	Accept func(telephony.Info) (telephony.Cause, bool)
	// Enter takes room for a call of a trunk until Leave; false where max_calls
	// are up. A call has it from its webhook on. Nil: there is no limit.
	Enter func(telephony.TrunkID) bool
	Leave func(telephony.TrunkID)
	// Number writes a number of a trunk in E.164; nil: as it came.
	Number func(trunk telephony.TrunkID, dialled string) string
	// Client is for the carriers' APIs; nil: one of 5 s.
	Client *http.Client
	Log    *zap.Logger // nil: none
}

func (c Config) withDefaults() Config {
	if c.Log == nil {
		c.Log = zap.NewNop()
	}
	if c.Accept == nil {
		c.Accept = func(telephony.Info) (telephony.Cause, bool) { return telephony.Cause{}, true }
	}
	if c.Enter == nil || c.Leave == nil {
		c.Enter, c.Leave = func(telephony.TrunkID) bool { return true }, func(telephony.TrunkID) {}
	}
	if c.Number == nil {
		c.Number = func(_ telephony.TrunkID, dialled string) string { return dialled }
	}
	if c.Client == nil {
		c.Client = &http.Client{
			Timeout: orderTimeout,
			// A redirect would carry the account's token elsewhere.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	}
	c.PublicURL = strings.TrimRight(c.PublicURL, "/")
	return c
}

// Account is a trunk of a carrier.
type Account struct {
	Trunk      telephony.TrunkID
	Type       string      // "twilio", "telnyx"
	AccountSID string      // with it calls are ended and handed on over the carrier's API; "": they are not
	AuthToken  secret.Text // Twilio: signs requests. Telnyx: the key of the API
	PublicKey  string      // Telnyx: of its signatures, base64
	APIURL     string      // of the carrier's API; "": its own
	Codecs     []string    // by preference; nil: the carrier's default
	NoRefer    bool        // calls are not handed on over the API, a transfer is bridged
	// Accepts tells which fields of a call reach Info.Headers; nil: none.
	Accepts func(header string) bool
}

// api is the carrier's API.
func (a *Account) api(own string) string {
	if a.APIURL != "" {
		return strings.TrimRight(a.APIURL, "/")
	}
	return own
}

// codec is the one that streams are asked for.
func (a *Account) codec(d *dialect) string {
	if len(a.Codecs) > 0 {
		return a.Codecs[0]
	}
	return d.codecs[0]
}

// Bounds of what a carrier may send (SEC-12), and how long it may take.
const (
	maxBody    = 64 << 10 // bytes of a webhook
	maxMessage = 64 << 10 // bytes of a WebSocket message

	tokenLife   = time.Minute      // from the webhook to its stream
	startWait   = 10 * time.Second // from the handshake to the start message
	pingEvery   = 15 * time.Second
	idleTimeout = 45 * time.Second // without any message, not even the answer to a ping
	writeWait   = 10 * time.Second // for the network to take one message

	orderTimeout = 5 * time.Second // of a request to a carrier's API
)

// checkURL refuses what streams cannot be reached at.
func checkURL(public string) error {
	if public == "" {
		return nil
	}
	u, err := url.Parse(public)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return fmt.Errorf("wsmedia: public URL %q: write one such as https://voice.example.com", public)
	}
	return nil
}

// webSocket is an address of HTTP as that of a WebSocket.
func webSocket(address string) string { return "ws" + strings.TrimPrefix(address, "http") }
