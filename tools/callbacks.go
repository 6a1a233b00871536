package tools

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"sync"
	"time"
)

// Callbacks are the results that endpoints bring later, each under an id that
// nobody can guess (H-28). They are kept in memory: a promise ends with the
// process, as its phone call does. Safe for concurrent use.
type Callbacks struct {
	process string   // begins the ids
	key     [32]byte // of the ids

	mu      sync.Mutex // guards waiting
	waiting map[string]chan json.RawMessage
}

// CallbackPrefix begins every id.
const CallbackPrefix = "ap-"

// NewCallbacks is where no result is waited for yet. process are 12 hex digits
// that begin the ids, so that other processes find this one; "" for any.
func NewCallbacks(process string) *Callbacks {
	c := &Callbacks{process: process, waiting: map[string]chan json.RawMessage{}}
	_, _ = rand.Read(c.key[:]) // never fails
	return c
}

// ErrNoCallback tells that nothing was brought in time.
var ErrNoCallback = errors.New("the result was not brought in time")

// ID is the id of one call of a tool.
func (c *Callbacks) ID(call Call) string {
	m := hmac.New(sha256.New, c.key[:])
	for _, part := range []string{call.Env.CallID, call.ID, call.Name} {
		m.Write([]byte(part + "\x00"))
	}
	id := hex.EncodeToString(m.Sum(nil)[:20])
	return CallbackPrefix + c.process + id[len(c.process):]
}

// Expect takes a result from now on: before the request, since it may be
// brought before the reply is read.
func (c *Callbacks) Expect(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiting[id] == nil {
		c.waiting[id] = make(chan json.RawMessage, 1) // the one result
	}
}

// Forget takes none any more.
func (c *Callbacks) Forget(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.waiting, id)
}

// Complete brings a result, a JSON object, and says whether it was waited for.
// The first one counts.
func (c *Callbacks) Complete(id string, result json.RawMessage) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case c.waiting[id] <- bytes.Clone(result): // of an unknown id: never
		return true
	default:
		return false
	}
}

// Wait is the result that is brought within d, which ends the waiting.
func (c *Callbacks) Wait(ctx context.Context, id string, d time.Duration) (json.RawMessage, error) {
	c.mu.Lock()
	ch := c.waiting[id]
	c.mu.Unlock()
	defer c.Forget(id)
	if ch == nil {
		return nil, ErrNoCallback
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case r := <-ch:
		return r, nil
	case <-t.C:
		return nil, ErrNoCallback
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}
