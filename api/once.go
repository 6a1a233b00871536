package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"hash"
	"io"
	"net/http"
	"os"
	"slices"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"go.uber.org/zap"

	"github.com/patchcord/patchcord/store"
)

// once marks operations that an Idempotency-Key keeps from happening twice.
var once = onceWithout("")

// onceWithout is once, and keeps a member of the answer from being kept.
func onceWithout(member string) map[string]any { return map[string]any{onceKey: member} }

const onceKey = "once"

const idempotencyHeader = "Idempotency-Key"

// keptHeaders are those of an answer that tell of what was made.
var keptHeaders = []string{"Location", "ETag"}

// idempotent answers a request that comes again under its Idempotency-Key
// with what it was answered the first time.
func (s *Server) idempotent(ctx huma.Context, next func(huma.Context)) {
	hide, is := ctx.Operation().Metadata[onceKey].(string)
	key := ctx.Header(idempotencyHeader)
	if !is || key == "" {
		next(ctx)
		return
	}
	if len(key) > 255 || !utf8.ValidString(key) {
		s.refuse(ctx, fail(http.StatusUnprocessableEntity, "", "header."+idempotencyHeader,
			"An Idempotency-Key has 255 characters at most, in UTF-8."))
		return
	}
	r, _ := humago.Unwrap(ctx)
	sum := sha256.New()
	done, ok := s.digest(ctx, sum)
	if !ok {
		return
	}
	defer done()
	if q := r.URL.RawQuery; q != "" { // a trial run is another request
		sum.Write(slices.Concat([]byte{0}, []byte(q)))
	}
	owner := ctx.Operation().Method + " " + r.URL.Path + " " + caller(ctx.Context()).id()
	before, err := s.cfg.Once.Once(ctx.Context(), owner, key, hex.EncodeToString(sum.Sum(nil)))
	switch {
	case errors.Is(err, store.ErrKeyReused):
		s.refuse(ctx, fail(http.StatusUnprocessableEntity, "idempotency_key_reused", "header."+idempotencyHeader,
			"This Idempotency-Key was used with another request."))
		return
	case errors.Is(err, store.ErrKeyRunning):
		s.refuse(ctx, fail(http.StatusConflict, "request_in_progress", "header."+idempotencyHeader,
			"The first request with this Idempotency-Key has not been answered; look whether it was carried out."))
		return
	case err != nil:
		s.refuse(ctx, internal(err))
		return
	case before != nil:
		ctx.SetHeader("Idempotency-Replayed", "true")
		ctx.SetHeader("Content-Type", "application/json")
		for _, name := range keptHeaders {
			if v := before.Header[name]; v != "" {
				ctx.SetHeader(name, v)
			}
		}
		ctx.SetStatus(before.Status)
		_, _ = ctx.BodyWriter().Write(append(before.Body, '\n')) // the reader may be gone
		return
	}
	keep := context.WithoutCancel(ctx.Context()) // the answer is kept though the client is gone
	seen := &recorder{inner: ctx, header: map[string]string{}}
	answered := false
	defer func() {
		if !answered { // a panic: it may be sent again
			s.forget(keep, owner, key)
		}
	}()
	next(seen)
	answered = true
	if seen.status < 200 || seen.status > 299 {
		s.forget(keep, owner, key)
		return
	}
	answer := store.Answer{
		Status: seen.status, Header: seen.header, Body: withoutMember(bytes.TrimSpace(seen.body.Bytes()), hide),
	}
	if err := s.cfg.Once.Answered(keep, owner, key, answer); err != nil {
		s.log.Error("idempotency key", zap.Error(err))
	}
}

// digest hashes the body of a request, which the operation reads once more, and
// gives what to do after that. A list, which has no place in memory, waits in a
// file.
func (s *Server) digest(ctx huma.Context, h hash.Hash) (done func(), ok bool) {
	done = func() {}
	if ctx.Operation().MaxBodyBytes <= maxBody {
		b, ok := s.sent(ctx)
		h.Write(b)
		return done, ok
	}
	r, w := humago.Unwrap(ctx)
	file, err := os.CreateTemp("", "patchcord-list-*")
	if err != nil {
		s.refuse(ctx, internal(err))
		return done, false
	}
	done = func() { _ = errors.Join(file.Close(), os.Remove(file.Name())) } // of no use any more
	from := &arriving{r: http.MaxBytesReader(w, r.Body, ctx.Operation().MaxBodyBytes), ctl: http.NewResponseController(w)}
	_, err = io.Copy(io.MultiWriter(h, file), from)
	var long *http.MaxBytesError
	switch {
	case errors.As(err, &long):
		s.refuse(ctx, fail(http.StatusRequestEntityTooLarge, "", "body", "The body is too long."))
	case err != nil:
		s.refuse(ctx, fail(http.StatusBadRequest, "", "body", "The body did not arrive.").because(err))
	default:
		if _, err = file.Seek(0, io.SeekStart); err == nil {
			r.Body = file
			return done, true
		}
		s.refuse(ctx, internal(err))
	}
	done()
	return func() {}, false
}

// sent is the body of a request, which the operation reads once more; it
// refuses one that is too long.
func (s *Server) sent(ctx huma.Context) ([]byte, bool) {
	r, _ := humago.Unwrap(ctx)
	b, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil {
		s.refuse(ctx, fail(http.StatusBadRequest, "", "body", "The body did not arrive."))
		return nil, false
	}
	r.Body = io.NopCloser(bytes.NewReader(b))
	return b, true
}

// text refuses JSON with zero bytes in its texts: no store keeps them.
func (s *Server) text(ctx huma.Context, next func(huma.Context)) {
	if op := ctx.Operation(); op.RequestBody == nil || op.MaxBodyBytes != maxBody { // a file is no JSON
		next(ctx)
		return
	}
	b, ok := s.sent(ctx)
	switch {
	case !ok:
	case hasZero(b):
		s.refuse(ctx, fail(http.StatusUnprocessableEntity, "", "body", "The body has zero bytes (\\u0000) in its texts."))
	default:
		next(ctx)
	}
}

// hasZero tells whether a text of a JSON value has a zero byte: its escape,
// whose backslash is not escaped itself.
func hasZero(sent []byte) bool {
	const zero = `\u0000`
	for at := 0; ; {
		i := bytes.Index(sent[at:], []byte(zero))
		if i < 0 {
			return false
		}
		i += at
		before := len(sent[:i]) - len(bytes.TrimRight(sent[:i], `\`))
		if before%2 == 0 {
			return true
		}
		at = i + 1
	}
}

func (s *Server) forget(ctx context.Context, owner, key string) {
	if err := s.cfg.Once.Forget(ctx, owner, key); err != nil {
		s.log.Error("idempotency key", zap.Error(err))
	}
}

// recorder notes what an operation answers.
type recorder struct {
	inner

	status int
	header map[string]string // of keptHeaders
	body   bytes.Buffer
}

func (r *recorder) Unwrap() huma.Context { return r.inner }

func (r *recorder) SetStatus(code int) {
	r.status = code
	r.inner.SetStatus(code)
}

func (r *recorder) SetHeader(name, value string) {
	if slices.Contains(keptHeaders, name) {
		r.header[name] = value
	}
	r.inner.SetHeader(name, value)
}

func (r *recorder) BodyWriter() io.Writer { return io.MultiWriter(r.inner.BodyWriter(), &r.body) }

// withoutMember is an answer without what is told once.
func withoutMember(answer []byte, name string) json.RawMessage {
	if name == "" {
		return answer
	}
	all, err := fields(answer)
	if err != nil {
		return json.RawMessage(`{}`)
	}
	delete(all, name)
	b, err := json.Marshal(all)
	if err != nil {
		return json.RawMessage(`{}`)
	}
	return b
}
