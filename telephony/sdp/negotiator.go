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
	if c.SRTP != SRTPOff {
		l.Crypto = newCryptos()
	}
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

// Offer makes an offer of all that we can do, the codec in use first. While
// nothing is agreed on each has new keys: who was offered others before may know
// them still.
func (n *Negotiator) Offer() []byte {
	c := n.caps
	if !n.agreed && n.sent != nil && c.SRTP != SRTPOff {
		n.local.Crypto = newCryptos()
	}
	l := n.local
	if n.agreed {
		l.Crypto = n.inUse()
		c.Codecs = slices.Clone(c.Codecs)
		if i := slices.IndexFunc(c.Codecs, n.current.Codec.same); i > 0 {
			first := c.Codecs[i]
			c.Codecs = slices.Insert(slices.Delete(c.Codecs, i, i+1), 0, first)
		}
		c.PTime = n.current.PTime
		c.Mux = c.Mux || n.current.RTCPMux
	}
	s := l.session()
	audio := l.audio(c.profile(), c.payloads(n.known), c.PTime, c.Mux)
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

// Again offers our last description once more, the identical body, and so
// changes nothing (RFC 4028 section 7.4).
func (n *Negotiator) Again() []byte {
	n.offer = n.sent
	return n.body
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
	n.settle(agreed, s)
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
	if n.caps.SRTP == SRTPRequired && agreed.SRTP.Suite == "" {
		return Negotiated{}, insecure("SRTP is required, the answer has no key (a=crypto)")
	}
	if !n.offer.sends() && n.local.direction().Sends() {
		agreed.Held = n.current.Held // we offered what the peer had asked for
	}
	n.settle(agreed, n.offer)
	return agreed, nil
}

// settle takes what was agreed on. The key in use stays what it is for as long
// as its suite does: a description that changes nothing has the same keys. All
// others are made anew, since none may encrypt twice.
func (n *Negotiator) settle(agreed Negotiated, ours *Session) {
	if n.caps.SRTP != SRTPOff {
		if !n.agreed || n.current.SRTP.Suite != agreed.SRTP.Suite {
			n.local.Crypto = newCryptos()
		}
		for i := range ours.Media {
			for _, c := range ours.Media[i].Cryptos() {
				if k := slices.IndexFunc(n.local.Crypto, c.is); k >= 0 && c.Suite == agreed.SRTP.Suite {
					n.local.Crypto[k] = c
				}
			}
		}
	}
	n.current, n.agreed = agreed, true
}

// inUse is the key that encrypts what we send.
func (n *Negotiator) inUse() []Crypto {
	return slices.DeleteFunc(slices.Clone(n.local.Crypto), func(c Crypto) bool { return c.Suite != n.current.SRTP.Suite })
}

// Withdraw forgets an offer that the peer refused (488, 491): what was agreed
// before goes on.
func (n *Negotiator) Withdraw() { n.offer = nil }

// sends reports whether s says that we send anything.
func (s *Session) sends() bool {
	return slices.ContainsFunc(s.Media, func(m Media) bool { return m.Port != 0 && s.Direction(&m).Sends() })
}

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
