package api

import (
	"io"
	"net/http"
	"time"
)

// arriving is a body of any length: each read has its own time, and so has the
// answer after it.
type arriving struct {
	r   io.Reader
	ctl *http.ResponseController
}

// Read waits for a sender that is slow, and not for one that stopped.
func (a *arriving) Read(b []byte) (int, error) {
	_ = a.ctl.SetReadDeadline(time.Now().Add(readTimeout)) // a recorder has none
	_ = a.ctl.SetWriteDeadline(time.Now().Add(readTimeout + writeTimeout))
	return a.r.Read(b)
}
