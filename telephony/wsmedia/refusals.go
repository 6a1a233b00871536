package wsmedia

import (
	"net/http"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/patchcord/patchcord/telephony"
)

// refusalEvery is how often refusals of one kind are told.
const refusalEvery = 10 * time.Second

// refusals keeps those who have no business here from filling the log.
type refusals struct {
	mu     sync.Mutex // guards what follows
	last   map[string]time.Time
	quiet  int // since the last line
	faults map[telephony.TrunkID]fault
}

// fault is what went wrong last.
type fault struct {
	text string
	at   time.Time
}

// Fault is what went wrong last with a trunk, and when: a request that was not
// its carrier's, or an order that the carrier did not take. "": nothing did.
func (s *Server) Fault(id telephony.TrunkID) (text string, at time.Time) {
	q := &s.refusals
	q.mu.Lock()
	defer q.mu.Unlock()
	f := q.faults[id]
	return f.text, f.at
}

// failed keeps a fault of a trunk that there is.
func (s *Server) failed(id telephony.TrunkID, text string) {
	if _, ok := s.cfg.Account(id); !ok {
		return // whoever asks can name any
	}
	q := &s.refusals
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.faults == nil {
		q.faults = map[telephony.TrunkID]fault{}
	}
	q.faults[id] = fault{clean(text), time.Now()}
}

// refused tells why a request was refused: one line in ten seconds for a trunk
// and kind of request.
func (s *Server) refused(r *http.Request, what string, err error) {
	s.failed(telephony.TrunkID(r.PathValue("trunk")), what+" refused: "+err.Error())
	q := &s.refusals
	key, now := what+" "+r.PathValue("trunk"), time.Now()
	q.mu.Lock()
	if q.last == nil || len(q.last) > 256 {
		q.last = map[string]time.Time{}
	}
	if now.Sub(q.last[key]) < refusalEvery {
		q.quiet++
		q.mu.Unlock()
		return
	}
	q.last[key] = now
	quiet := q.quiet
	q.quiet = 0
	q.mu.Unlock()
	s.log.Warn("wsmedia: "+what+" refused", zap.String("trunk", clean(r.PathValue("trunk"))),
		zap.String("source", r.RemoteAddr), zap.Error(err), zap.Int("others_refused", quiet))
}
