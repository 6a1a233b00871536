package webhook

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"
)

// vector is one request, with what its receiver says of it.
type vector struct {
	Name      string            `json:"name"`
	Secrets   []string          `json:"secrets"`
	Now       int64             `json:"now"`
	Headers   map[string]string `json:"headers"`
	Body      string            `json:"body"`
	Valid     bool              `json:"valid"`
	Source    string            `json:"source"`
	WantError string            `json:"error"`
}

func vectors(t testing.TB) []vector {
	t.Helper()
	data, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var out []vector
	if err := json.Unmarshal(data, &out); err != nil || len(out) == 0 {
		t.Fatalf("%d vectors: %v", len(out), err)
	}
	return out
}

func (v vector) header() http.Header {
	h := http.Header{}
	for k, s := range v.Headers {
		h.Set(k, s)
	}
	return h
}

// The vectors are for receivers in other languages too (F-12, SEC-8).
func TestVectors_SEC8(t *testing.T) {
	t.Parallel()
	for _, v := range vectors(t) {
		t.Run(v.Name, func(t *testing.T) {
			t.Parallel()
			got := Verifier{Secrets: v.Secrets, Now: func() time.Time { return time.Unix(v.Now, 0) }}
			err := got.Verify(v.header(), []byte(v.Body))
			switch {
			case v.Valid && err != nil:
				t.Error(err)
			case !v.Valid && (err == nil || !strings.Contains(err.Error(), v.WantError)):
				t.Errorf("got %v, want %q", err, v.WantError)
			}
		})
	}
}

var sent = time.Unix(1702479600, 0)

func signed(t testing.TB, body string, secrets ...string) http.Header {
	t.Helper()
	h := http.Header{}
	if err := Sign(h, "msg_1", "status-update", sent, []byte(body), secrets...); err != nil {
		t.Fatal(err)
	}
	return h
}

func at(d time.Duration) func() time.Time { return func() time.Time { return sent.Add(d) } }

func TestWhatIsSignedIsTaken(t *testing.T) {
	t.Parallel()
	coded := "whsec_" + base64.StdEncoding.EncodeToString([]byte("a key of its own"))
	const body = `{"event":"call.ended"}`
	for _, c := range []struct {
		name   string
		signs  []string
		checks []string
		now    time.Duration
		change func(http.Header)
		body   string
		want   error
	}{
		{name: "as it was sent", signs: []string{"s1"}, checks: []string{"s1"}},
		{name: "with a secret in base64", signs: []string{coded}, checks: []string{coded}},
		{name: "the receiver has the old secret still", signs: []string{"new", "old"}, checks: []string{"old"}},
		{name: "the receiver has the new one already", signs: []string{"new", "old"}, checks: []string{"other", "new"}},
		{name: "4 min late", signs: []string{"s1"}, checks: []string{"s1"}, now: 4 * time.Minute},
		{name: "by Flireo's headers alone", signs: []string{"s1"}, checks: []string{"s1"}, change: func(h http.Header) {
			h.Del("webhook-signature")
		}},
		{name: "6 min late", signs: []string{"s1"}, checks: []string{"s1"}, now: 6 * time.Minute, want: ErrTime},
		{name: "6 min early", signs: []string{"s1"}, checks: []string{"s1"}, now: -6 * time.Minute, want: ErrTime},
		{name: "with another secret", signs: []string{"s1"}, checks: []string{"s2"}, want: ErrSignature},
		{name: "with no secret to check by", signs: []string{"s1"}, want: ErrSignature},
		{name: "not signed", checks: []string{"s1"}, want: ErrUnsigned},
		{name: "another body", signs: []string{"s1"}, checks: []string{"s1"}, body: body + " ", want: ErrSignature},
		{name: "another id", signs: []string{"s1"}, checks: []string{"s1"}, want: ErrSignature, change: func(h http.Header) {
			h.Set("webhook-id", "msg_2")
		}},
		{name: "another time", signs: []string{"s1"}, checks: []string{"s1"}, want: ErrSignature, change: func(h http.Header) {
			h.Set("webhook-timestamp", "1702479601")
		}},
		{name: "another time in Flireo's form", signs: []string{"s1"}, checks: []string{"s1"}, want: ErrSignature, change: func(h http.Header) {
			h.Del("webhook-signature")
			h.Set(HeaderTimestamp, "1702479601")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := signed(t, body, c.signs...)
			if c.change != nil {
				c.change(h)
			}
			arrives := body
			if c.body != "" {
				arrives = c.body
			}
			err := Verifier{Secrets: c.checks, Now: at(c.now)}.Verify(h, []byte(arrives))
			if !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

// A request that somebody kept is not taken again, whichever of its headers are
// left out (SEC-8).
func TestReplays_SEC8(t *testing.T) {
	t.Parallel()
	const body = "{}"
	whole := func(http.Header) {}
	ours := func(h http.Header) { h.Del(HeaderSignature); h.Del(HeaderTimestamp) }
	flireo := func(h http.Header) { h.Del("webhook-signature"); h.Del("webhook-id"); h.Del("webhook-timestamp") }
	louder := func(h http.Header) {
		flireo(h)
		h.Set(HeaderSignature, strings.ToUpper(strings.TrimPrefix(h.Get(HeaderSignature), "sha256=")))
	}
	for _, order := range [][]func(http.Header){
		{whole, whole}, {whole, flireo}, {whole, ours}, {ours, flireo}, {flireo, whole}, {flireo, louder},
	} {
		ids := map[string]bool{}
		v := Verifier{Secrets: []string{"old", "new"}, Now: at(time.Minute), Seen: func(id string) bool {
			was := ids[id]
			ids[id] = true
			return was
		}}
		for i, change := range order {
			h := signed(t, body, "new", "old")
			change(h)
			if err := v.Verify(h, []byte(body)); (i > 0) != errors.Is(err, ErrSeen) || i == 0 && err != nil {
				t.Errorf("time %d: %v", i, err)
			}
		}
	}
}

func TestSecrets(t *testing.T) {
	t.Parallel()
	for secret, ok := range map[string]bool{"": false, "whsec_": false, "whsec_!": false, "whsec_bWU=": true, "plain": true} {
		if err := CheckSecret(secret); (err == nil) != ok {
			t.Errorf("%q: %v", secret, err)
		}
		h := http.Header{}
		if err := Sign(h, "1", "e", sent, nil, secret); (err == nil) != ok {
			t.Errorf("sign with %q: %v", secret, err)
		}
	}
}

func TestRead(t *testing.T) {
	t.Parallel()
	v := Verifier{Secrets: []string{"s1"}, Now: at(0)}
	for name, c := range map[string]struct {
		body string
		want error
	}{
		"a body":             {body: `{"a":1}`},
		"one that is larger": {body: strings.Repeat(" ", MaxBody+1), want: ErrTooLarge},
	} {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(c.body))
		r.Header = signed(t, c.body, "s1")
		body, err := v.Read(r)
		if !errors.Is(err, c.want) || err == nil && !bytes.Equal(body, []byte(c.body)) {
			t.Errorf("%s: %d bytes, %v", name, len(body), err)
		}
	}
}

func FuzzVerify(f *testing.F) {
	for _, v := range vectors(f) {
		h := v.header()
		f.Add(h.Get("webhook-id"), h.Get("webhook-timestamp"), h.Get("webhook-signature"), h.Get(HeaderTimestamp),
			h.Get(HeaderSignature), []byte(v.Body))
	}
	f.Fuzz(func(t *testing.T, id, stamp, signature, stamp2, signature2 string, body []byte) {
		h := http.Header{}
		for k, v := range map[string]string{
			"webhook-id": id, "webhook-timestamp": stamp, "webhook-signature": signature,
			HeaderTimestamp: stamp2, HeaderSignature: signature2,
		} {
			if v != "" {
				h.Set(k, v)
			}
		}
		// Nobody who does not know the secret makes one that is taken.
		v := Verifier{Secrets: []string{"a secret that no input holds"}, Now: at(0)}
		if v.Verify(h, body) == nil {
			t.Error("taken")
		}
	})
}
