package openaihttp

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"
)

const key = "sk-canary"

func TestPost(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, header, body string
		status             int
		want               string // the error
		temporary          bool
		wait               time.Duration
	}{
		{"an answer", "", "yes", 200, "", false, 0},
		{"no content", "", "", 204, "204 No Content: ", false, -1},
		{"busy", "1", "", 429, "429 Too Many Requests: ", true, time.Second},
		{"busy for a minute", "60", "", 429, "429 Too Many Requests: ", true, -1},
		{"down", "", "up\nstream", 503, "503 Service Unavailable: up stream", true, firstRetry},
		{"not built", "", "", 501, "501 Not Implemented: ", false, -1},
		{
			"SEC-10: a server that repeats the key", "", `{"error":{"message":"no such key: sk-canary"}}`, 401,
			"401 Unauthorized: no such key: [redacted]", false, -1,
		},
		{"a long story", "", strings.Repeat("ä", 9000), 400, "400 Bad Request: " + strings.Repeat("ä", 150) + "…", false, -1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/v1/x" || r.Header.Get("Authorization") != "Bearer "+key || r.Header.Get("Content-Type") != "a/b" {
					t.Errorf("asked for %s with %v", r.URL.Path, r.Header)
				}
				if c.header != "" {
					w.Header().Set("Retry-After", c.header)
				}
				w.WriteHeader(c.status)
				fmt.Fprint(w, c.body)
			}))
			t.Cleanup(web.Close)
			cl, err := New(web.URL+"/v1/", key)
			if err != nil {
				t.Fatal(err)
			}
			defer cl.Close()
			res, err := cl.Post(t.Context(), "/x", "a/b", []byte("hello"))
			if c.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				res.Body.Close()
				return
			}
			var e *Error
			if !errors.As(err, &e) || e.Error() != c.want || e.Temporary != c.temporary || e.Wait != c.wait {
				t.Errorf("got %v %+v", err, e)
			}
		})
	}
}

func TestNobodyIsThere(t *testing.T) {
	t.Parallel()
	cl, err := New("http://127.0.0.1:1", key)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for ctx, wait := range map[context.Context]time.Duration{t.Context(): firstRetry, ended: -1} {
		_, err := cl.Post(ctx, "/x", "a/b", nil) //nolint:bodyclose // there is none
		var e *Error
		if !errors.As(err, &e) || !e.Temporary || e.Wait != wait || strings.Contains(err.Error(), key) {
			t.Errorf("got %v, %+v", err, e)
		}
	}
}

func TestTwice(t *testing.T) {
	t.Parallel()
	busy, refused := &Error{Temporary: true, Wait: time.Second, Err: errors.New("busy")}, &Error{Wait: -1, Err: errors.New("no")}
	for _, c := range []struct {
		errs  []error
		asked int
		want  error
	}{
		{[]error{nil}, 1, nil},
		{[]error{busy, nil}, 2, nil},
		{[]error{fmt.Errorf("stt: %w", busy), refused}, 2, refused},
		{[]error{busy, busy, nil}, 2, busy},
		{[]error{refused, nil}, 1, refused},
		{[]error{errors.New("cut"), nil}, 1, nil},
	} {
		synctest.Test(t, func(t *testing.T) {
			asked, begun := 0, time.Now()
			n, err := Twice(t.Context(), func() (int, error) { asked++; return asked, c.errs[asked-1] })
			if asked != c.asked || n != asked || c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("%v: asked %d times, got %d, %v", c.errs, asked, n, err)
			}
			if took := time.Since(begun); took != time.Duration(asked-1)*time.Second {
				t.Errorf("%v: waited %v", c.errs, took)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		asked, begun := 0, time.Now()
		_, err := Twice(ctx, func() (int, error) { asked++; return 0, busy })
		if asked != 1 || !errors.Is(err, busy) || time.Since(begun) != 100*time.Millisecond {
			t.Errorf("asked %d times in %v: %v", asked, time.Since(begun), err)
		}
	})
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]time.Duration{
		"": firstRetry, "1": time.Second, "0.5": 500 * time.Millisecond, "2": 2 * time.Second, "3": -1, "-1": 0, "soon": firstRetry,
		"NaN": firstRetry, "Wed, 21 Oct 2015 07:28:00 GMT": 0, "Wed, 21 Oct 2115 07:28:00 GMT": -1, "1e300": -1,
	} {
		if got := retryAfter(header); got != want {
			t.Errorf("%q: got %v, want %v", header, got, want)
		}
	}
}

func FuzzMessage(f *testing.F) {
	f.Add([]byte(`{"error":{"message":"bad key sk-canary"}}`))
	f.Add([]byte("<html>\n" + strings.Repeat("é", 400)))
	f.Fuzz(func(t *testing.T, body []byte) {
		got := Clean(message(body), key)
		if len(got) > 310 || strings.Contains(got, "\n") || utf8.Valid(body) && !utf8.ValidString(got) {
			t.Fatalf("%q", got)
		}
	})
}
