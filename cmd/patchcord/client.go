package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// apiFlags say which engine a command speaks to.
type apiFlags struct {
	API string `name:"api" help:"The engine." env:"PATCHCORD_API" default:"http://127.0.0.1:8080" placeholder:"URL"`
	Key string `name:"key" help:"An API key with the scopes that this needs." env:"PATCHCORD_API_KEY" placeholder:"KEY"`
}

// client speaks to a running engine.
type client struct {
	base *url.URL
	key  string
}

func (f apiFlags) client() (*client, error) {
	u, err := url.Parse(f.API)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, usagef("--api=%s: no URL: write one such as http://127.0.0.1:8080", f.API)
	}
	return &client{base: u, key: f.Key}, nil
}

// apiError is an answer that is an error.
type apiError struct {
	status  int
	code    string
	message string
	faults  []apiFault // each thing wrong with what was sent
}

// apiFault is one thing wrong, and where: "body.hours".
type apiFault struct{ Param, Message string }

func (e *apiError) Error() string {
	if e.message == "" {
		return fmt.Sprintf("the engine answered %d %s", e.status, http.StatusText(e.status))
	}
	return e.message
}

// raw is a body that is sent as it is.
type raw []byte

// streamed is a body that is read while it is sent.
type streamed struct {
	io.Reader
	kind string // media type
}

// send makes a request; an answer that is an error is an *apiError.
func (c *client) send(ctx context.Context, method, path string, body any, header http.Header) (*http.Response, error) {
	var r io.Reader
	kind := "application/json"
	switch b := body.(type) {
	case nil:
	case raw:
		r, kind = bytes.NewReader(b), "application/octet-stream"
	case streamed:
		r, kind = b.Reader, b.kind
	default:
		text, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		r = bytes.NewReader(text)
	}
	ref, err := c.base.Parse(strings.TrimSuffix(c.base.Path, "/") + path)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, method, ref.String(), r)
	if err != nil {
		return nil, err
	}
	if header != nil {
		req.Header = header.Clone()
	}
	if body != nil {
		req.Header.Set("Content-Type", kind)
	}
	if c.key != "" {
		req.Header.Set("X-API-Key", c.key)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("no engine at %s: %w; is `patchcord serve` running there? --api says where",
			c.base.Redacted(), errors.Unwrap(err))
	}
	if res.StatusCode < http.StatusBadRequest {
		return res, nil
	}
	defer res.Body.Close() //nolint:errcheck // read only
	e := &apiError{status: res.StatusCode}
	var p struct {
		Error  struct{ Code, Message string } `json:"error"`
		Errors []apiFault                     `json:"errors"`
	}
	if text, err := io.ReadAll(io.LimitReader(res.Body, 1<<20)); err == nil && json.Unmarshal(text, &p) == nil {
		e.code, e.message, e.faults = p.Error.Code, p.Error.Message, p.Errors
	}
	return nil, e
}

// get asks and reads the answer into dst.
func (c *client) get(ctx context.Context, path string, dst any) error {
	res, err := c.send(ctx, http.MethodGet, path, nil, nil)
	if err != nil {
		return err
	}
	defer res.Body.Close() //nolint:errcheck // read only
	if err := json.NewDecoder(res.Body).Decode(dst); err != nil {
		return fmt.Errorf("read the engine's answer: %w", err)
	}
	return nil
}

// post sends a request and reads its answer into dst, if any.
func (c *client) post(ctx context.Context, path string, body, dst any, header http.Header) error {
	res, err := c.send(ctx, http.MethodPost, path, body, header)
	if err != nil {
		return err
	}
	defer res.Body.Close() //nolint:errcheck // read only
	if dst == nil {
		return nil
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, 1<<20)).Decode(dst); err != nil {
		return fmt.Errorf("read the engine's answer: %w", err)
	}
	return nil
}

// errStop ends a stream from inside.
var errStop = errors.New("stop")

// attempts is how often a stream that broke is taken up again.
const attempts = 5

// events follows a stream of events until handle answers errStop or the stream
// is over. With resume a stream that breaks goes on after the last event seen.
func (c *client) events(ctx context.Context, path string, resume bool, handle func(line []byte) error) error {
	last := ""
	for failed := 0; ; {
		seen, err := c.stream(ctx, path, last, handle)
		var refused *apiError
		switch {
		case errors.Is(err, errStop), err == nil:
			return nil
		case errors.As(err, &refused), ctx.Err() != nil, !resume:
			return err
		}
		if seen != "" && seen != last {
			last, failed = seen, 0
		}
		if failed++; failed > attempts {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Duration(failed) * 200 * time.Millisecond):
		}
	}
}

// stream reads one stream; the id of its last event is given back.
func (c *client) stream(ctx context.Context, path, last string, handle func([]byte) error) (string, error) {
	h := http.Header{"Accept": {"text/event-stream"}}
	if last != "" {
		h.Set("Last-Event-ID", last)
	}
	res, err := c.send(ctx, http.MethodGet, path, nil, h)
	if err != nil {
		return last, err
	}
	defer res.Body.Close() //nolint:errcheck // read only
	sc := bufio.NewScanner(res.Body)
	sc.Buffer(make([]byte, 64<<10), maxLine)
	name := ""
	for sc.Scan() {
		key, value, _ := strings.Cut(sc.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch key {
		case "event":
			name = value
		case "id":
			last = value
		case "data":
			if strings.HasPrefix(name, "stream.") {
				return last, fmt.Errorf("the engine ended the stream: %s", value)
			}
			if err := handle([]byte(value)); err != nil {
				return last, err
			}
		case "":
			name = ""
		}
	}
	if err := sc.Err(); err != nil {
		return last, fmt.Errorf("read events: %w", err)
	}
	return last, nil
}

// maxLine is the longest line of an event that is read.
const maxLine = 4 << 20
