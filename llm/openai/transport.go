package openai

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// Bounds of one exchange.
const (
	maxErrorBody = 64 << 10 // bytes of a refusal that are read
	maxLine      = 1 << 20  // bytes of one event of the stream
)

// headers are those of one reply. The library tells nobody of them.
type headers struct {
	mu sync.Mutex // guards the field below: the transport writes, the stream reads
	h  http.Header
}

type headersKey struct{}

// retryAfter is how long the server asks to be left alone.
func (s *headers) retryAfter(now time.Time) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ms, err := strconv.ParseFloat(s.h.Get("Retry-After-Ms"), 64); err == nil && ms > 0 && ms < 1e9 {
		return time.Duration(ms * float64(time.Millisecond))
	}
	v := s.h.Get("Retry-After") // seconds or a date (RFC 9110 section 10.2.3)
	if sec, err := strconv.ParseFloat(v, 64); err == nil && sec > 0 && sec < 1e6 {
		return time.Duration(sec * float64(time.Second))
	}
	if at, err := http.ParseTime(v); err == nil && at.After(now) {
		return at.Sub(now)
	}
	return 0
}

// roundTripper keeps a reply's headers, and lets the library see of its body
// no more than it can read.
type roundTripper struct{ next http.RoundTripper }

func (t *roundTripper) CloseIdleConnections() {
	if c, ok := t.next.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// RoundTrip makes one request.
func (t *roundTripper) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := t.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	seen, ok := r.Context().Value(headersKey{}).(*headers)
	if !ok {
		return resp, nil
	}
	seen.mu.Lock()
	seen.h = resp.Header
	seen.mu.Unlock()
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(resp.Body, maxErrorBody), resp.Body}
		if resp.StatusCode < 400 { // the library would take a redirect for an answer
			resp.StatusCode = http.StatusMisdirectedRequest
		}
		return resp, nil
	}
	resp.Body = &events{in: bufio.NewReader(resp.Body), body: resp.Body}
	return resp, nil
}

var errLine = errors.New("an event larger than 1 MB")

// events passes on the data lines of a stream of server-sent events, each with
// a blank line behind it, and drops the rest: comments that keep the connection
// alive, names and numbers of events, on which the library stumbles when an
// error follows. It notes the [DONE] that the library does not tell from a
// stream that was cut.
type events struct {
	in   *bufio.Reader
	body io.Closer
	out  bytes.Buffer
	err  error
}

// Read gives the next bytes.
func (e *events) Read(p []byte) (int, error) {
	for e.out.Len() == 0 {
		if e.err != nil {
			return 0, e.err
		}
		e.line()
	}
	return e.out.Read(p)
}

// line takes one line of the stream.
func (e *events) line() {
	var whole []byte
	for {
		part, more, err := e.in.ReadLine()
		if err != nil {
			e.err = err
			if errors.Is(err, io.EOF) {
				e.err = io.ErrUnexpectedEOF // [DONE] did not come
			}
			return
		}
		whole = append(whole, part...)
		if len(whole) > maxLine {
			e.err = errLine
			return
		}
		if !more {
			break
		}
	}
	data, ok := bytes.CutPrefix(whole, []byte("data:"))
	if !ok {
		return
	}
	data = bytes.TrimSpace(data)
	if len(data) == 0 {
		return
	}
	e.out.WriteString("data: ")
	e.out.Write(data)
	e.out.WriteString("\n\n")
	if string(data) == "[DONE]" {
		e.err = io.EOF
	}
}

// Close closes the reply, behind [DONE] at its end.
func (e *events) Close() error {
	if errors.Is(e.err, io.EOF) {
		_, _ = io.Copy(io.Discard, io.LimitReader(e.in, maxErrorBody)) // what fails is closed
	}
	return e.body.Close()
}
