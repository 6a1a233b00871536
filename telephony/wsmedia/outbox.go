package wsmedia

// maxOut is how many messages wait for the network: when it takes none, no more
// sound is pulled until it does.
const maxOut = 16

// outbox is what waits to be written to a carrier. It is guarded by its leg's
// mutex; wake is not.
type outbox struct {
	wake   chan struct{} // capacity 1: one token says that there is something
	queue  [][]byte
	spare  [][]byte // used up, to be filled again
	closed bool
}

// put appends a message that fill makes.
func (o *outbox) put(fill func(dst []byte) []byte) {
	if o.closed {
		return
	}
	var b []byte
	if n := len(o.spare); n > 0 {
		b, o.spare = o.spare[n-1][:0], o.spare[:n-1]
	}
	o.queue = append(o.queue, fill(b))
	select {
	case o.wake <- struct{}{}:
	default: // a token is there already
	}
}

// replace drops what waits: the message of fill is the next one written.
func (o *outbox) replace(fill func(dst []byte) []byte) {
	for _, b := range o.queue {
		o.used(b)
	}
	o.queue = o.queue[:0]
	o.put(fill)
}

// take is the next message, nil for none. Once written it goes to used.
func (o *outbox) take() []byte {
	if len(o.queue) == 0 {
		return nil
	}
	b := o.queue[0]
	o.queue = append(o.queue[:0], o.queue[1:]...)
	return b
}

func (o *outbox) used(b []byte) {
	if !o.closed && len(o.spare) < maxOut {
		o.spare = append(o.spare, b)
	}
}
