package wire_test

import (
	"errors"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/patchcord/patchcord/tools/wire"
)

const (
	hubSpotSecret = "yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy"
	v1Body        = `[{"eventId":1,"subscriptionId":12345,"portalId":62515,"occurredAt":1564113600000,` +
		`"subscriptionType":"contact.creation","attemptNumber":0,"objectId":123,"changeSource":"CRM","changeFlag":"NEW","appId":54321}]`
)

// H-27: the vendor's published hashes, and one of our own for v3 (H-24, H-25, H-26).
func TestHubSpotVectors_H27(t *testing.T) {
	t.Parallel()
	const uri, at = "https://www.example.com/webhook_uri", "1702479600000"
	for _, c := range []struct {
		name, version, method, body, want string
	}{
		{"H-25 v2 GET", "v2", "GET", "", "eee2dddcc73c94d699f5e395f4b9d454a069a6855fbfa152e91e88823087200e"},
		{"H-25 v2 POST", "v2", "POST", `{"example_field":"example_value"}`, "9569219f8ba981ffa6f6f16aa0f48637d35d728c7e4d93d0d52efaa512af7900"},
		{"H-24 v1", "v1", "POST", v1Body, "232db2615f3d666fe21a8ec971ac7b5402d33b9a925784df3ca654d05f4817de"},
		{"H-26 v3", "v3", "POST", `{"example_field":"example_value"}`, "yT+jF2Sqqc8bHeQ9F3z5HEiAMGh2VrHxHFs22XSp6mA="},
	} {
		got, err := wire.HubSpotSignature(c.version, hubSpotSecret, c.method, uri, []byte(c.body), at)
		if err != nil || got != c.want {
			t.Errorf("%s: %s, %v", c.name, got, err)
		}
		// The verifier takes what the vector is of, and nothing else.
		h := http.Header{}
		h.Set("X-HubSpot-Signature", c.want)
		h.Set("X-HubSpot-Signature-Version", c.version)
		if c.version == "v3" {
			h = http.Header{}
			h.Set("X-HubSpot-Signature-v3", c.want)
			h.Set("X-HubSpot-Request-Timestamp", at)
		}
		now := time.UnixMilli(1702479600000).Add(4 * time.Minute)
		if err := wire.VerifyHubSpot(hubSpotSecret, c.method, uri, h, []byte(c.body), now); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if err := wire.VerifyHubSpot(hubSpotSecret, c.method, uri, h, []byte(c.body+" "), now); !errors.Is(err, wire.ErrSignature) {
			t.Errorf("%s: another body: %v", c.name, err)
		}
		if err := wire.VerifyHubSpot("x", c.method, uri, h, []byte(c.body), now); !errors.Is(err, wire.ErrSignature) {
			t.Errorf("%s: another secret: %v", c.name, err)
		}
		if err := wire.VerifyHubSpot(hubSpotSecret, c.method, uri+"?a", h, []byte(c.body), now); c.version != "v1" && !errors.Is(err, wire.ErrSignature) {
			t.Errorf("%s: another URI: %v", c.name, err)
		}
		late := wire.VerifyHubSpot(hubSpotSecret, c.method, uri, h, []byte(c.body), now.Add(2*time.Minute))
		if errors.Is(late, wire.ErrStale) != (c.version == "v3") {
			t.Errorf("%s: six minutes later: %v", c.name, late)
		}
	}
	if err := wire.VerifyHubSpot("", "POST", "https://x", http.Header{}, nil, time.Now()); !errors.Is(err, wire.ErrUnsigned) {
		t.Errorf("unsigned: %v", err)
	}
	if _, err := wire.HubSpotSignature("v4", "s", "POST", "https://x", nil, ""); err == nil {
		t.Error("v4 is signed")
	}
}

// H-26: escaped characters of the URI count as themselves, the query's ? as it
// is.
func TestHubSpotDecodesTheURI_H26(t *testing.T) {
	t.Parallel()
	a, errA := wire.HubSpotSignature("v3", "s", "POST", "https://x/a%3Ab%2fc?d=%40e%20", []byte("{}"), "1")
	b, errB := wire.HubSpotSignature("v3", "s", "POST", "https://x/a:b/c?d=@e%20", []byte("{}"), "1")
	c, errC := wire.HubSpotSignature("v3", "s", "POST", "https://x/a:b/c?d=@e ", []byte("{}"), "1")
	if errA != nil || errB != nil || errC != nil || a != b || a == c {
		t.Errorf("%s %s %s", a, b, c)
	}
}

// F-12: the signature, bare and with its prefix, five minutes long.
func TestFlireoVector_F12(t *testing.T) {
	t.Parallel()
	const at, want = "1702479600", "eabac6bba2375d485a332834d0b690d4c23fc10cb590bc9c6f4d2f3a1fb7acd3"
	body := []byte(`{"message":{"type":"tool-calls"}}`)
	if got := wire.FlireoSignature("secret123", at, body); got != want {
		t.Errorf("got %s", got)
	}
	n, err := strconv.ParseInt(at, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(n, 0)
	for _, c := range []struct {
		name, at, signature, secret, body string
		now                               time.Time
		want                              error
	}{
		{"with its prefix", at, "sha256=" + want, "secret123", string(body), now, nil},
		{"bare", at, want, "secret123", string(body), now.Add(5 * time.Minute), nil},
		{"a clock that runs ahead", at, want, "secret123", string(body), now.Add(-4 * time.Minute), nil},
		{"old", at, want, "secret123", string(body), now.Add(5*time.Minute + time.Second), wire.ErrStale},
		{"another secret", at, want, "secret124", string(body), now, wire.ErrSignature},
		{"another body", at, want, "secret123", "{}", now, wire.ErrSignature},
		{"another time", "1702479601", want, "secret123", string(body), now, wire.ErrSignature},
		{"none", at, "", "secret123", string(body), now, wire.ErrUnsigned},
		{"no time", "", wire.FlireoSignature("secret123", "", body), "secret123", string(body), now, wire.ErrStale},
		{"a time beyond time", "9223372036854775807", wire.FlireoSignature("secret123", "9223372036854775807", body), "secret123", string(body), now, wire.ErrStale},
	} {
		h := http.Header{}
		h.Set("X-Webhook-Timestamp", c.at)
		h.Set("X-Webhook-Signature", c.signature)
		err := wire.VerifyFlireo(c.secret, h, []byte(c.body), c.now)
		if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}
