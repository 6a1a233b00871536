package sdp

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"net/netip"
	"slices"
)

// Negotiator is one dialog's side of offer and answer: it keeps the o= id,
// raises the version only when the body changes (RFC 3264 section 8), repeats
// the identical body otherwise, and keeps the m-lines and payload types that
// the dialog began with. It belongs to one goroutine. An offer or answer that
// cannot be taken leaves everything as it was.
type Negotiator struct {
	local   Local
	caps    Capabilities
	sent    *Session // our last description
	body    []byte   // the same, as written
	offer   *Session // ours, open or answered last; nil after an offer of theirs
	known   []Codec  // payload types that have a meaning in this dialog
	current Negotiated
	agreed  bool
}

// NewNegotiator begins a dialog. A zero SessionID is replaced by a random one.
func NewNegotiator(l Local, c Capabilities) *Negotiator {
	if l.SessionID == 0 {
		var b [8]byte
		_, _ = rand.Read(b[:]) // never fails
		l.SessionID = binary.BigEndian.Uint64(b[:])>>2 | 1
	}
	l.Version = max(l.Version, 1)
	return &Negotiator{local: l, caps: c.withDefaults()}
}

// SetDirection is what we want from the next body on: SendOnly to hold the
// peer with music, SendRecv to resume.
func (n *Negotiator) SetDirection(d Direction) { n.local.Direction = d }

// SetAddr is where we receive from the next body on.
func (n *Negotiator) SetAddr(addr netip.Addr, port, rtcpPort int) {
	n.local.Addr, n.local.Port, n.local.RTCPPort = addr, port, rtcpPort
}

// Body is the last body we made: what a session refresh sends again. Nil
// before the first.
func (n *Negotiator) Body() []byte { return n.body }

// Current is what was last agreed on.
func (n *Negotiator) Current() (Negotiated, bool) { return n.current, n.agreed }

// Offer makes an offer of all that we can do, the codec in use first.
func (n *Negotiator) Offer() []byte {
	c := n.caps
	if n.agreed {
		c.Codecs = slices.Clone(c.Codecs)
		if i := slices.IndexFunc(c.Codecs, n.current.Codec.same); i > 0 {
			first := c.Codecs[i]
			c.Codecs = slices.Insert(slices.Delete(c.Codecs, i, i+1), 0, first)
		}
		c.PTime = n.current.PTime
		c.Mux = c.Mux || n.current.RTCPMux
	}
	s := n.local.session()
	audio := n.local.audio("RTP/AVP", c.payloads(n.known), c.PTime, c.Mux)
	if n.sent == nil {
		s.Media = []Media{audio}
	} else {
		// Every m-line there ever was stays, in its place (section 8).
		for i := range n.sent.Media {
			m := &n.sent.Media[i]
			if m.Port == 0 {
				s.Media = append(s.Media, refused(m))
				continue
			}
			audio.Proto = m.Proto
			s.Media = append(s.Media, audio)
		}
	}
	n.offer = s
	n.learn(s)
	return n.send(s)
}

// Answer answers an offer of the peer.
func (n *Negotiator) Answer(offer []byte) ([]byte, Negotiated, error) {
	theirs, err := Parse(offer)
	if err != nil {
		return nil, Negotiated{}, err
	}
	s, agreed, err := Answer(theirs, n.local, n.caps)
	if err != nil {
		return nil, Negotiated{}, err
	}
	n.offer = nil
	n.learn(theirs)
	n.current, n.agreed = agreed, true
	return n.send(s), agreed, nil
}

// Accept takes the answer to our last offer. It may come more than once: in a
// 183 and in the 200, or of several early dialogs.
func (n *Negotiator) Accept(answer []byte) (Negotiated, error) {
	if n.offer == nil {
		return Negotiated{}, refuse(WarnParameter, "an answer without an offer")
	}
	theirs, err := Parse(answer)
	if err != nil {
		return Negotiated{}, err
	}
	agreed, err := Accept(n.offer, theirs)
	if err != nil {
		return Negotiated{}, err
	}
	n.current, n.agreed = agreed, true
	return agreed, nil
}

// Withdraw forgets an offer that the peer refused (488, 491): what was agreed
// before goes on.
func (n *Negotiator) Withdraw() { n.offer = nil }

// send gives s its version and writes it.
func (n *Negotiator) send(s *Session) []byte {
	s.Origin.Version = n.local.session().Origin.Version
	body := s.Marshal()
	if n.sent != nil && !bytes.Equal(body, n.body) {
		n.local.Version++
		s.Origin.Version = n.local.session().Origin.Version
		body = s.Marshal()
	}
	n.sent, n.body = s, body
	return body
}

// learn keeps what the payload types of s mean.
func (n *Negotiator) learn(s *Session) {
	for i := range s.Media {
		for _, c := range s.Media[i].Codecs() {
			if !slices.ContainsFunc(n.known, c.same) && len(n.known) < MaxFormats {
				n.known = append(n.known, Codec{Name: c.Name, PT: c.PT, ClockRate: c.ClockRate, Channels: c.Channels})
			}
		}
	}
}
