package webrtc

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/rtcp"
	pionrtp "github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"github.com/patchcord/patchcord/telephony/rtp"
)

const (
	packetSize = 1500 // bytes; longer ones do not come in one datagram
	ringSize   = 32   // packets: more than come in the 20 ms between reads, unless it is a flood
)

// wire is a peer connection as the wire of an [rtp.Session]: the goroutines
// that read of it leave packets in a ring that the shard empties.
type wire struct {
	pc  *webrtc.PeerConnection
	out *out

	mu   sync.Mutex // guards the ring
	ring [ringSize]arrived
	head int // the oldest
	n    int
}

type arrived struct {
	size int
	at   time.Time
	buf  [packetSize]byte
}

var _ rtp.Wire = (*wire)(nil)

// put takes a packet of the browser. What is more than the ring holds is lost.
func (w *wire) put(b []byte) {
	if len(b) > packetSize {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.n == ringSize {
		return
	}
	a := &w.ring[(w.head+w.n)%ringSize]
	a.size, a.at = copy(a.buf[:], b), time.Now()
	w.n++
}

func (w *wire) Read(b []byte) (int, time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.n == 0 {
		return 0, time.Time{}
	}
	a := &w.ring[w.head]
	w.head = (w.head + 1) % ringSize
	w.n--
	return copy(b, a.buf[:a.size]), a.at
}

// Write encrypts a packet and gives it to the socket, which does not wait, or
// to the buffer of a TCP connection.
func (w *wire) Write(b []byte) bool {
	if len(b) > 1 && b[1] >= 192 && b[1] <= 223 { // RFC 5761 section 4
		packets, err := rtcp.Unmarshal(b)
		return err == nil && w.pc.WriteRTCP(packets) == nil
	}
	return w.out.send(b)
}

// Close is for the leg to do, which closes the peer connection.
func (w *wire) Close() {}

// out is the track that we send. pion's own would write the payload type of
// the sound over that of telephone-events.
type out struct {
	codec  webrtc.RTPCodecCapability
	stream atomic.Pointer[stream]
	header pionrtp.Header // of the shard
}

type stream struct{ webrtc.TrackLocalWriter }

var _ webrtc.TrackLocal = (*out)(nil)

var errOtherCodec = errors.New("webrtc: the answer lacks our codec")

// Bind is pion's: the track has a peer.
func (o *out) Bind(c webrtc.TrackLocalContext) (webrtc.RTPCodecParameters, error) {
	for _, p := range c.CodecParameters() {
		if strings.EqualFold(p.MimeType, o.codec.MimeType) {
			o.stream.Store(&stream{c.WriteStream()})
			return p, nil
		}
	}
	return webrtc.RTPCodecParameters{}, errOtherCodec
}

// Unbind is pion's: it has none any more.
func (o *out) Unbind(webrtc.TrackLocalContext) error {
	o.stream.Store(nil)
	return nil
}

// ID names the track in the answer.
func (*out) ID() string { return "agent" }

// RID is for simulcast.
func (*out) RID() string { return "" }

// StreamID names what belongs together in the answer.
func (*out) StreamID() string { return "call" }

// Kind is sound.
func (*out) Kind() webrtc.RTPCodecType { return webrtc.RTPCodecTypeAudio }

func (o *out) send(b []byte) bool {
	s := o.stream.Load()
	if s == nil {
		return false
	}
	n, err := o.header.Unmarshal(b)
	if err != nil {
		return false
	}
	_, err = s.WriteRTP(&o.header, b[n:])
	return err == nil
}
