package openaihttp

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/patchcord/patchcord/internal/secret"
)

// A refusal that passes is tried again after firstRetry, or after what its
// Retry-After says where that is at most longestRetry: a caller is waiting.
const (
	firstRetry   = 250 * time.Millisecond
	longestRetry = 2 * time.Second
)

// Error is a refusal, or a request that came to nobody.
type Error struct {
	Temporary bool          // it passes
	Wait      time.Duration // before one more try; negative: none
	Err       error
}

func (e *Error) Error() string { return e.Err.Error() }

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Temporary tells whether an error holds an *Error that passes.
func Temporary(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Temporary
}

// Twice asks, and once more after an *Error that says when.
func Twice[T any](ctx context.Context, ask func() (T, error)) (T, error) {
	t, err := ask()
	var e *Error
	if !errors.As(err, &e) || e.Wait < 0 {
		return t, err
	}
	select {
	case <-time.After(e.Wait):
		return ask()
	case <-ctx.Done():
		return t, err
	}
}

// passes tells whether a status may be another one in a moment.
func passes(status int) bool {
	return status == http.StatusTooManyRequests || status == http.StatusRequestTimeout ||
		status >= 500 && status != http.StatusNotImplemented
}

// retryAfter is how long a header asks to wait (RFC 9110 section 10.2.3),
// negative where that is too long.
func retryAfter(header string) time.Duration {
	if header == "" {
		return firstRetry
	}
	wait := firstRetry
	if seconds, err := strconv.ParseFloat(header, 64); err == nil && !math.IsNaN(seconds) {
		wait = time.Duration(min(max(seconds, 0), 3600) * float64(time.Second))
	} else if at, err := http.ParseTime(header); err == nil {
		wait = max(0, time.Until(at))
	}
	if wait > longestRetry {
		return -1
	}
	return wait
}

// message is what an error's body says, in one line.
func message(body []byte) string {
	var m struct {
		Error struct {
			Message string `json:"message"`
		} `json:"error"`
	}
	text := string(body)
	if json.Unmarshal(body, &m) == nil && m.Error.Message != "" {
		text = m.Error.Message
	}
	return strings.Join(strings.Fields(text), " ")
}

// Clean keeps a text short and without the key.
func Clean(text string, key secret.Text) string {
	if k := key.Reveal(); len(k) > 3 {
		text = strings.ReplaceAll(text, k, key.String())
	}
	const most = 300 // bytes
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}
