// Package openaihttp is what the clients of servers that speak OpenAI's HTTP
// interface share: the address and the key, connections that are kept, and
// what a refusal says of itself.
//
// It guarantees that no error holds the key, even where the server repeats it,
// and that no refusal is longer than 300 bytes and a line.
package openaihttp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/patchcord/patchcord/internal/dial"
	"github.com/patchcord/patchcord/internal/secret"
)

// DefaultURL is OpenAI's own server.
const DefaultURL = "https://api.openai.com/v1"

// maxRefusal is how much of a refusal's body is read, bytes.
const maxRefusal = 4 << 10

// Check checks an address and its key. Servers of one's own need no key.
func Check(base string, key secret.Text) (*url.URL, error) {
	u, err := url.Parse(base)
	switch {
	case err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "":
		return nil, errors.New("base_url is no URL of the form https://host/v1")
	case base == DefaultURL && key == "":
		return nil, errors.New("api_key is empty: set OPENAI_API_KEY, or base_url to a server without keys")
	}
	return u, nil
}

// NewTransport keeps its connections between requests: the next finds one warm.
func NewTransport() *http.Transport {
	const connect = 3 * time.Second
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           dial.Providers.DialContext,
		TLSHandshakeTimeout:   connect,
		ForceAttemptHTTP2:     true,
		MaxIdleConnsPerHost:   100, // one per call
		IdleConnTimeout:       5 * time.Minute,
		ExpectContinueTimeout: time.Second,
		// A connection that is half open is found within 15 s.
		HTTP2: &http.HTTP2Config{SendPingTimeout: 10 * time.Second, PingTimeout: 5 * time.Second},
	}
}

// Client asks one server.
type Client struct {
	base string
	key  secret.Text
	http *http.Client
}

// New checks the address and the key; it asks nobody.
func New(base string, key secret.Text) (*Client, error) {
	if _, err := Check(base, key); err != nil {
		return nil, err
	}
	return &Client{strings.TrimRight(base, "/"), key, &http.Client{Transport: NewTransport()}}, nil
}

// Close ends the idle connections.
func (c *Client) Close() error {
	c.http.CloseIdleConnections()
	return nil
}

// Post asks once, at a path below the address. Only a 200 is an answer, whose
// body the caller closes; everything else is an *Error. One that comes after
// the end of ctx is not worth another try.
func (c *Client) Post(ctx context.Context, path, contentType string, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, &Error{Wait: -1, Err: err}
	}
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("User-Agent", "patchcord")
	if c.key != "" {
		req.Header.Set("Authorization", "Bearer "+c.key.Reveal())
	}
	res, err := c.http.Do(req)
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, &Error{Temporary: true, Wait: -1, Err: err}
	case err != nil:
		return nil, &Error{Temporary: true, Wait: firstRetry, Err: err}
	case res.StatusCode == http.StatusOK:
		return res, nil
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(res.Body, maxRefusal))
	e := &Error{Wait: -1, Err: fmt.Errorf("%s: %s", res.Status, Clean(message(text), c.key))}
	if passes(res.StatusCode) {
		e.Temporary, e.Wait = true, retryAfter(res.Header.Get("Retry-After"))
	}
	return nil, e
}
