package wire

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// signedAge is how old a signed request may be.
const signedAge = 5 * time.Minute

// Why a request is not what it says it is.
var (
	ErrUnsigned  = errors.New("wire: the request has no signature")
	ErrSignature = errors.New("wire: the signature is not of this request and this secret")
	ErrStale     = errors.New("wire: the request is not of the last five minutes")
)

// FlireoSignature is the HMAC-SHA256, in hex, of the time and the body (F-12).
func FlireoSignature(secret, timestamp string, body []byte) string {
	m := hmac.New(sha256.New, []byte(secret))
	m.Write([]byte(timestamp + "."))
	m.Write(body)
	return hex.EncodeToString(m.Sum(nil))
}

// VerifyFlireo says whether a request was signed with the secret, with or
// without the prefix sha256=, in the five minutes before now.
func VerifyFlireo(secret string, h http.Header, body []byte, now time.Time) error {
	at, given := h.Get("X-Webhook-Timestamp"), strings.TrimPrefix(h.Get("X-Webhook-Signature"), "sha256=")
	if given == "" {
		return ErrUnsigned
	}
	if !same(given, FlireoSignature(secret, at, body)) {
		return ErrSignature
	}
	return fresh(at, time.Second, now)
}

// same compares in constant time.
func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// fresh says whether a time, in units since 1970, is near enough to now.
func fresh(text string, unit time.Duration, now time.Time) error {
	n, err := strconv.ParseInt(text, 10, 64)
	const far = int64(1) << 53
	if err != nil || n < -far || n > far {
		return ErrStale
	}
	at := time.Unix(n, 0)
	if unit == time.Millisecond {
		at = time.UnixMilli(n)
	}
	if d := now.Sub(at); d > signedAge || d < -signedAge {
		return ErrStale
	}
	return nil
}

// The versions of HubSpot's signature. v2 is that of custom actions (H-23).
const (
	hubSpotV1 = "v1"
	hubSpotV2 = "v2"
	hubSpotV3 = "v3"
)

// HubSpotSignature is the signature of a request in one of HubSpot's versions;
// uri is the whole of it as it was asked, timestamp (ms) is of v3 alone.
//
//	v1  hex(SHA-256(secret + body))                             H-24
//	v2  hex(SHA-256(secret + method + uri + body))              H-25, no HMAC
//	v3  base64(HMAC-SHA-256(secret, method + uri + body + ts))  H-26
func HubSpotSignature(version, secret, method, uri string, body []byte, timestamp string) (string, error) {
	switch version {
	case hubSpotV1:
		return sha(secret, string(body)), nil
	case hubSpotV2:
		return sha(secret, method, uri, string(body)), nil
	case hubSpotV3:
		m := hmac.New(sha256.New, []byte(secret))
		m.Write([]byte(method + decodeURI(uri)))
		m.Write(body)
		m.Write([]byte(timestamp))
		return base64.StdEncoding.EncodeToString(m.Sum(nil)), nil
	}
	return "", fmt.Errorf("wire: no signature version %q", version)
}

func sha(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		h.Write([]byte(p))
	}
	return hex.EncodeToString(h.Sum(nil))
}

// uriCodes are the characters that v3 reads in a URI as themselves.
var uriCodes = strings.NewReplacer(
	"%3A", ":", "%2F", "/", "%3F", "?", "%40", "@", "%21", "!", "%24", "$", "%27", "'", "%28", "(", "%29", ")",
	"%2A", "*", "%2C", ",", "%3B", ";",
	"%3a", ":", "%2f", "/", "%3f", "?", "%2a", "*", "%2c", ",", "%3b", ";",
)

func decodeURI(uri string) string { return uriCodes.Replace(uri) }

// VerifyHubSpot says whether a request was signed with the client secret, in
// whichever version it says: that of v3 holds five minutes. uri is the whole of
// it, as the sender asked it: https://host/path?query.
func VerifyHubSpot(secret, method, uri string, h http.Header, body []byte, now time.Time) error {
	if given := h.Get("X-HubSpot-Signature-v3"); given != "" {
		at := h.Get("X-HubSpot-Request-Timestamp")
		want, err := HubSpotSignature(hubSpotV3, secret, method, uri, body, at)
		if err != nil || !same(given, want) {
			return ErrSignature
		}
		return fresh(at, time.Millisecond, now)
	}
	given := h.Get("X-HubSpot-Signature")
	if given == "" {
		return ErrUnsigned
	}
	version := h.Get("X-HubSpot-Signature-Version")
	if version != hubSpotV2 {
		version = hubSpotV1 // that of requests that name none
	}
	want, err := HubSpotSignature(version, secret, method, uri, body, "")
	if err != nil || !same(given, want) {
		return ErrSignature
	}
	return nil
}
