// Package rtp carries the sound of calls over RTP (RFC 3550): sockets and
// ports, the clock that paces them, source lock, jitter buffer, telephone-event
// (RFC 4733), RTCP and the quality figures.
//
// A [Media] owns a few shards. A shard is one locked thread that wakes every
// millisecond; each session sits in one of its 20 slots, so it is served every
// 20 ms: its socket is drained and one frame is pushed to the Sink, and 4 ms
// later one is pulled from the Source, encoded and sent: what is decided of the
// one can still be heard in the other. Once a session has been heard for 400 ms
// it moves to the slot closest behind its packets' arrival that is not crowded.
// The shard never waits and, per packet, never allocates. What is late is caught
// up by two frames at most; what is later is skipped, the timestamps counting on.
//
// It guarantees:
//   - the outgoing stream runs on through silence, its timestamps from the
//     count of ticks, until the direction forbids it or the session closes;
//   - no sample of a stranger reaches the Sink, and no packet is sent to one;
//   - a malformed packet is counted and dropped, whatever is in it;
//   - a panic in a Sink or Source ends that session and no other.
//
// A packet (RFC 3550 section 5.1):
//
//	 0                   1                   2                   3
//	 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//	+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//	|V=2|P|X|  CC   |M|     PT      |       sequence number         |
//	+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//	|                           timestamp                           |
//	+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//	|           synchronization source (SSRC) identifier            |
//	+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+
//	|    contributing sources, extension, payload, padding          |
//	+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
package rtp
