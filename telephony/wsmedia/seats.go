package wsmedia

import (
	"sync"

	"github.com/patchcord/patchcord/telephony"
)

// seats are the room that calls have at their trunks. A call has its seat from
// the webhook on: once its carrier was told where to stream to, the caller is
// answered, and nobody else may have taken the room meanwhile.
type seats struct {
	mu   sync.Mutex // guards held
	held map[seat]int
}

// seat is of one call, however often its carrier asks what to do with it. It is
// held by each address that the call's stream may be opened at, and by the
// stream.
type seat struct {
	trunk telephony.TrunkID
	call  string
}

// sit takes a seat, until rise; false where the trunk has none left.
func (s *Server) sit(at seat) bool {
	q := &s.seats
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.held[at] == 0 && !s.cfg.Enter(at.trunk) {
		return false
	}
	if q.held == nil {
		q.held = map[seat]int{}
	}
	q.held[at]++
	return true
}

// rise gives up what sit took.
func (s *Server) rise(at seat) {
	q := &s.seats
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.held[at]--; q.held[at] <= 0 {
		delete(q.held, at)
		s.cfg.Leave(at.trunk)
	}
}
