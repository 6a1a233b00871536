// Package webhook signs Patchcord's webhooks and verifies them where they
// arrive. A receiver imports it alone: it needs nothing else of Patchcord.
//
//	POST /hooks/patchcord
//	webhook-id: 0198c5f2-…                         the same when it is sent again
//	webhook-timestamp: 1702479600                  s since 1970
//	webhook-signature: v1,<base64> v1,<base64>     over id.timestamp.body, one for each secret
//	X-Webhook-Event: end-of-call-report
//	X-Webhook-Timestamp: 1702479600
//	X-Webhook-Signature: sha256=<hex>              over timestamp.body, with the first secret
//
// Both signatures are HMAC-SHA256 over the bytes as they were sent: verify
// before you parse. The first is that of Standard Webhooks, the second that of
// Flireo (seed 003); a request has both, either is enough. While a secret is
// replaced two are in use, the new one first.
package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	standard "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// The headers of Flireo's form; those of Standard Webhooks are named above.
const (
	HeaderEvent     = "X-Webhook-Event"
	HeaderTimestamp = "X-Webhook-Timestamp"
	HeaderSignature = "X-Webhook-Signature"
)

// DefaultTolerance is how far the clocks of sender and receiver may differ, and
// how old a request may be. Standard Webhooks and Flireo have the same.
const DefaultTolerance = 5 * time.Minute

// MaxBody is the size of a body that Read takes, bytes.
const MaxBody = 8 << 20

// Why a request is not taken.
var (
	ErrUnsigned  = errors.New("webhook: no signature")
	ErrSignature = errors.New("webhook: the signature is none of these secrets'")
	ErrTime      = errors.New("webhook: sent too long ago, or in the future")
	ErrSeen      = errors.New("webhook: came before")
	ErrTooLarge  = errors.New("webhook: body larger than 8 MB")
)

// prefix marks a secret of Standard Webhooks: base64 of the key follows.
const prefix = "whsec_"

// CheckSecret says what is wrong with a secret.
func CheckSecret(secret string) error {
	_, err := key(secret)
	return err
}

// key is what Standard Webhooks signs with: what is encoded in a secret of its
// own form, any other secret as it is.
func key(secret string) ([]byte, error) {
	encoded, ok := strings.CutPrefix(secret, prefix)
	if !ok {
		if secret == "" {
			return nil, errors.New("webhook: the secret is empty")
		}
		return []byte(secret), nil
	}
	k, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil || len(k) == 0 {
		return nil, errors.New("webhook: a secret that begins with whsec_ goes on with base64")
	}
	return k, nil
}

// Sign sets the headers of one request. at is the time of sending: a request
// that is sent again is signed again, under the same id. The first secret is
// the one in use, another the one before it; none makes no signature.
func Sign(h http.Header, id, event string, at time.Time, body []byte, secrets ...string) error {
	stamp := strconv.FormatInt(at.Unix(), 10)
	h.Set(standard.HeaderWebhookID, id)
	h.Set(standard.HeaderWebhookTimestamp, stamp)
	h.Set(HeaderEvent, event)
	h.Set(HeaderTimestamp, stamp)
	var signatures []string
	for _, s := range secrets {
		k, err := key(s)
		if err != nil {
			return err
		}
		w, err := standard.NewWebhookRaw(k)
		if err != nil {
			return fmt.Errorf("webhook: sign: %w", err)
		}
		signature, err := w.Sign(id, at, body)
		if err != nil {
			return fmt.Errorf("webhook: sign: %w", err)
		}
		signatures = append(signatures, signature)
	}
	if len(signatures) > 0 {
		h.Set(standard.HeaderWebhookSignature, strings.Join(signatures, " "))
		h.Set(HeaderSignature, "sha256="+hex.EncodeToString(sum(secrets[0], stamp, body)))
	}
	return nil
}

// sum is Flireo's signature: HMAC-SHA256 over timestamp.body (F-12).
// tools/wire has it too: who receives imports this package alone.
func sum(secret, stamp string, body []byte) []byte {
	m := hmac.New(sha256.New, []byte(secret))
	m.Write([]byte(stamp + "."))
	m.Write(body)
	return m.Sum(nil)
}

// Verifier tells requests of Patchcord's from others. Its zero value with
// Secrets set is ready; it is safe for concurrent use if Seen is.
type Verifier struct {
	// Secrets are those in use, in any order: one, or two while it is replaced.
	Secrets []string
	// Tolerance is how old a request may be, 0 for DefaultTolerance.
	Tolerance time.Duration
	// Seen tells whether an id came before, and keeps it for twice Tolerance;
	// nil takes a request again that came before. It is asked for each name that
	// a request has: webhook-id, and what its other signature is, so that no
	// header that is left out makes an old request new.
	Seen func(id string) bool
	// Now is the time, nil for time.Now.
	Now func() time.Time
}

// Verify checks the headers and the raw body of a request.
func (v Verifier) Verify(h http.Header, body []byte) error {
	ids, at, err := v.signed(h, body)
	if err != nil {
		return err
	}
	now, tolerance := time.Now, v.Tolerance
	if v.Now != nil {
		now = v.Now
	}
	if tolerance <= 0 {
		tolerance = DefaultTolerance
	}
	if d := now().Sub(at); d > tolerance || d < -tolerance {
		return ErrTime
	}
	seen := false
	for _, id := range ids {
		if v.Seen != nil && v.Seen(id) {
			seen = true
		}
	}
	if seen {
		return ErrSeen
	}
	return nil
}

// signed checks the signature: names and time of the request are true when err
// is nil.
func (v Verifier) signed(h http.Header, body []byte) (ids []string, at time.Time, err error) {
	own, other := h.Get(standard.HeaderWebhookSignature), h.Get(HeaderSignature)
	stamp := h.Get(HeaderTimestamp)
	if own != "" {
		stamp = h.Get(standard.HeaderWebhookTimestamp)
	}
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	switch {
	case own == "" && other == "":
		return nil, at, ErrUnsigned
	case err != nil:
		return nil, at, fmt.Errorf("%w: the timestamp is no number", ErrSignature)
	case own != "" && h.Get(standard.HeaderWebhookID) == "":
		return nil, at, fmt.Errorf("%w: webhook-id is missing", ErrSignature)
	}
	given, err := hex.DecodeString(strings.TrimPrefix(other, "sha256="))
	if own == "" && err != nil {
		return nil, at, fmt.Errorf("%w: it is not hexadecimal", ErrSignature)
	}
	ok := false
	for _, s := range v.Secrets {
		k, err := key(s)
		if err != nil {
			return nil, at, err
		}
		want := sum(s, stamp, body)
		ids = append(ids, hex.EncodeToString(want))
		if own == "" {
			ok = ok || hmac.Equal(given, want)
			continue
		}
		w, err := standard.NewWebhookRaw(k)
		ok = ok || err == nil && w.VerifyIgnoringTimestamp(body, h) == nil
	}
	if !ok {
		return nil, at, ErrSignature
	}
	if own != "" {
		ids = append(ids, h.Get(standard.HeaderWebhookID))
	}
	return ids, time.Unix(seconds, 0), nil
}

// Read reads the body of a request and verifies it. What it returns is to be
// parsed; answer an error with 400 or 401, so that the request comes again, but
// ErrSeen with 200: it was taken before, its acknowledgement was lost, and the
// call's next webhooks wait for one.
func (v Verifier) Read(r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, MaxBody+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("webhook: read the body: %w", err)
	case len(body) > MaxBody:
		return nil, ErrTooLarge
	}
	if err := v.Verify(r.Header, body); err != nil {
		return nil, err
	}
	return body, nil
}
