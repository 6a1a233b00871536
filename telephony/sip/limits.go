package sip

import "time"

// Limits bound what peers can make us hold or do (SEC-12). A zero field takes
// the default that stands beside it.
type Limits struct {
	Message int // bytes of a message; 32 KB
	Fields  int // header fields of a message; 128
	Body    int // bytes of a body; 16 KB
	Vias    int // 10
	URI     int // bytes; 1 KB

	ConnsPerSource int           // TCP and TLS connections from one address; 64
	Conns          int           // TCP and TLS connections altogether; 2000
	Idle           time.Duration // a connection without traffic and without a call on it is closed; 120 s
	Partial        time.Duration // time from a message's first byte to its last, and of a TLS handshake; 10 s
	Write          time.Duration // time a write to a connection may take; 10 s

	Transactions int // INVITE transactions and dialogs open at once; 20 000
	Unconfirmed  int // calls of one trunk at once whose answer has no ACK yet; 200: ten seconds of 20 a second
	Sources      int // sources whose rate is kept in mind; 4096

	// Requests per second that one source may send, and how many at once.
	Invite, InviteBurst float64 // 20, 50
	Options             float64 // 10
	Register            float64 // 5
}

func (l Limits) withDefaults() Limits {
	set(&l.Message, 32<<10)
	set(&l.Fields, 128)
	set(&l.Body, 16<<10)
	set(&l.Vias, 10)
	set(&l.URI, 1<<10)
	set(&l.ConnsPerSource, 64)
	set(&l.Conns, 2000)
	set(&l.Idle, 120*time.Second)
	set(&l.Partial, 10*time.Second)
	set(&l.Write, 10*time.Second)
	set(&l.Transactions, 20000)
	set(&l.Unconfirmed, 200)
	set(&l.Sources, 4096)
	set(&l.Invite, 20)
	set(&l.InviteBurst, 50)
	set(&l.Options, 10)
	set(&l.Register, 5)
	return l
}

func set[T int | float64 | time.Duration](v *T, def T) {
	if *v <= 0 {
		*v = def
	}
}
