package wsmedia

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"sync"
	"time"

	"github.com/patchcord/patchcord/telephony"
)

// maxTickets is how many calls may be between their webhook and their stream.
const maxTickets = 10000

// ticket is a call whose stream has not begun.
type ticket struct {
	trunk  telephony.TrunkID
	caller caller
	info   telephony.Info
	until  time.Time
	end    *time.Timer // its minute
}

func (k *ticket) seat() seat { return seat{k.trunk, k.caller.call} }

// tokens are the addresses that streams may be opened at, each once. They are
// kept by their hash: nothing of how long a search takes tells of a token.
type tokens struct {
	mu      sync.Mutex // guards tickets
	tickets map[[sha256.Size]byte]ticket
}

// add is a new token, 256 bits. unused is called where a minute goes by without
// a take.
func (t *tokens) add(k ticket, unused func()) (string, error) {
	var raw [32]byte
	_, _ = rand.Read(raw[:]) // never fails
	token := base64.RawURLEncoding.EncodeToString(raw[:])
	now := time.Now()
	k.until = now.Add(tokenLife)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.tickets == nil {
		t.tickets = map[[sha256.Size]byte]ticket{}
	}
	if len(t.tickets) >= maxTickets {
		for key, old := range t.tickets {
			if now.After(old.until) {
				delete(t.tickets, key)
			}
		}
	}
	if len(t.tickets) >= maxTickets {
		return "", errors.New("too many calls wait for their stream: the carrier opens none")
	}
	k.end = time.AfterFunc(tokenLife, unused)
	t.tickets[sha256.Sum256([]byte(token))] = k
	return token, nil
}

// take gives a token's call, once.
func (t *tokens) take(token string) (ticket, error) {
	key := sha256.Sum256([]byte(token))
	t.mu.Lock()
	k, ok := t.tickets[key]
	delete(t.tickets, key)
	t.mu.Unlock()
	switch {
	case !ok:
		return k, errors.New("the address is none that we gave, or it was used before")
	case !k.end.Stop():
		return k, errors.New("the address was given more than a minute ago")
	}
	return k, nil
}
