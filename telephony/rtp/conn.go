package rtp

import (
	"net/netip"
	"time"
)

const (
	batchSize  = 8    // packets read by one system call
	packetSize = 1600 // bytes; longer ones are malformed
)

// conn is a bound UDP port. read and close belong to one goroutine; write may
// be called by two at once. None of them waits.
type conn interface {
	// read fills in with what has come and tells how many packets that are;
	// fewer than batchSize means there is no more for now.
	read(in *batch) int
	write(p []byte, to netip.AddrPort) bool
	local() netip.AddrPort
	close()
}

// batch is what one read brought. now and wall are the same moment on the
// shard's clock and in Unix time, set before read: they turn the kernel's
// time stamps into arrival times.
type batch struct {
	now  time.Duration
	wall int64 // ns

	size [batchSize]int // bytes; 0: cut off
	from [batchSize]netip.AddrPort
	at   [batchSize]time.Duration
	buf  [batchSize][packetSize]byte
	sys  batchSys
}

func (b *batch) data(i int) []byte { return b.buf[i][:b.size[i]] }

// arrival is when a packet stamped at wall time ns came. A clock that was set
// in between must not move packets: then it came just now.
func (b *batch) arrival(stamp int64) time.Duration {
	age := time.Duration(b.wall - stamp)
	if stamp == 0 || age < 0 || age > time.Second {
		return b.now
	}
	return b.now - age
}
