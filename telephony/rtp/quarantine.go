package rtp

import "time"

const (
	quietFor     = 5 * time.Second // without packets, before a port is used again
	longestQuiet = 60 * time.Second
)

// leaver is a pair of ports that a session has left. It stays bound while a
// peer still sends there, so that a later call cannot hear it (SEC-15).
type leaver struct {
	rtp, rtcp conn
	port      int
	left      time.Duration
	heard     time.Duration // last packet, or left
}

// over empties the sockets and tells whether the ports are free again at now.
func (l *leaver) over(now time.Duration, in *batch) bool {
	for _, c := range [...]conn{l.rtp, l.rtcp} {
		for total := 0; total < floodLimit; {
			n := c.read(in)
			if n > 0 {
				l.heard = now
			}
			total += n
			if n < batchSize {
				break
			}
		}
	}
	return now-l.heard >= quietFor || now-l.left >= longestQuiet
}

func (l *leaver) close() {
	l.rtp.close()
	l.rtcp.close()
}
