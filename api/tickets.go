package api

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"sync"
	"time"

	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/telephony"
)

const (
	ticketPrefix = "pcw_"
	mostTickets  = 10000
	// ticketEnd is how long after a ticket's expiry its call may still be ended
	// and followed with it: longer than calls last.
	ticketEnd = 12 * time.Hour
)

// ticket lets a page make one call, and end and follow that one. It lives in the
// process that made it, whose id begins the token: the others ask that one. Of the
// token its hash is kept.
type ticket struct {
	of      string // the process that made it, where that is another
	hash    [sha256.Size]byte
	agent   agent.ID
	from    string
	by      string // name of the key it was made with
	expires time.Time
	begun   bool             // guarded by tickets.mu
	call    telephony.CallID // the same; "" while there is none
}

// key is what a ticket may: as much as a key of the one agent, at a page's pace.
func (t *ticket) key() *Key {
	return &Key{
		ID: "ticket " + base64.RawURLEncoding.EncodeToString(t.hash[:8]), Name: t.by + " (page)",
		Agents: []agent.ID{t.agent}, Limits: Limits{PerMinute: 20, PerHour: 100},
	}
}

// tickets are those that may still be used.
type tickets struct {
	process string // begins every token

	mu  sync.Mutex
	all map[[sha256.Size]byte]*ticket
}

func newTickets(process string) *tickets {
	return &tickets{process: process, all: map[[sha256.Size]byte]*ticket{}}
}

// make makes a ticket; false: there are too many.
func (ts *tickets) make(t ticket, life time.Duration) (token string, made *ticket, ok bool) {
	var b [24]byte
	_, _ = rand.Read(b[:]) // never fails
	token = ticketPrefix + ts.process + base64.RawURLEncoding.EncodeToString(b[:])
	now := time.Now()
	t.hash, t.expires = HashKey(token), now.Add(life)
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if len(ts.all) >= mostTickets {
		for h, old := range ts.all {
			if old.over(now) {
				delete(ts.all, h)
			}
		}
	}
	if len(ts.all) >= mostTickets {
		return "", nil, false
	}
	ts.all[t.hash] = &t
	return token, &t, true
}

// over tells whether a ticket opens nothing any more.
func (t *ticket) over(now time.Time) bool {
	end := t.expires
	if t.begun {
		end = end.Add(ticketEnd)
	}
	return !now.Before(end)
}

// find is the ticket of a token, nil where it opens nothing. The token is a
// random number: that the search is not of constant time tells nothing of it.
func (ts *tickets) find(token string) *ticket {
	if !strings.HasPrefix(token, ticketPrefix) {
		return nil
	}
	return ts.findHash(HashKey(token))
}

func (ts *tickets) findHash(h [sha256.Size]byte) *ticket {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	t := ts.all[h]
	if t != nil && t.over(time.Now()) {
		delete(ts.all, t.hash)
		return nil
	}
	return t
}

// use begins the one call; false: it was begun before, or the time is over.
func (ts *tickets) use(t *ticket) bool {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if t.begun || !time.Now().Before(t.expires) {
		return false
	}
	t.begun = true
	return true
}

// used tells which call it became; none: it may be tried again.
func (ts *tickets) used(t *ticket, call telephony.CallID) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	t.begun, t.call = call != "", call
}

// owns tells whether a call is the ticket's.
func (ts *tickets) owns(t *ticket, call telephony.CallID) bool {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	return t.call != "" && t.call == call
}
