package sdp

import (
	"net/netip"
	"slices"
	"strconv"
	"time"
)

// Local is our end of the media.
type Local struct {
	Addr      netip.Addr // as the peer reaches it
	Port      int        // RTP
	RTCPPort  int        // 0: Port + 1
	Direction Direction  // what we want; "" for sendrecv
	SessionID uint64     // of o=
	Version   uint64     // of o=
	Crypto    []Crypto   // our keys of SRTP, one for each suite; nil: RTP in the clear
}

// Capabilities are what we can do. The zero value works: PCMU, PCMA and G722
// with telephone-event, 20 ms.
type Capabilities struct {
	Codecs       []Codec       // by preference of an offer; nil for PCMU, PCMA, G722
	PTime        time.Duration // of packets to us and, where the peer asks for none, to it; 0: 20 ms
	NoEvents     bool          // no telephone-event (RFC 4733)
	ComfortNoise bool          // offer CN (RFC 3389); where it is offered to us it is always taken
	Mux          bool          // offer rtcp-mux (RFC 5761); where it is offered to us it is always taken
	SRTP         SRTP          // whether media is encrypted, with keys in the description (SDES)
}

func (c Capabilities) withDefaults() Capabilities {
	if len(c.Codecs) == 0 {
		c.Codecs = []Codec{PCMU, PCMA, G722}
	}
	if c.PTime <= 0 {
		c.PTime = DefaultPTime
	}
	return c
}

// Negotiated is what both sides agreed on, as we see it.
type Negotiated struct {
	Codec      Codec // PT is that of the packets we send
	RecvPT     int   // payload type of the codec in the packets we receive
	EventPT    int   // telephone-event in the packets we send, -1: none
	RecvEvent  int   // telephone-event in the packets we receive, -1: none
	EventClock int   // Hz, that of the codec
	CNPT       int   // comfort noise, -1: none
	PTime      time.Duration
	// Remote is the zero AddrPort where the peer wants no packets
	// (c=0.0.0.0); where it was before still holds for keeping NAT open.
	Remote, RemoteRTCP netip.AddrPort
	RTCPMux            bool
	Send, Receive      bool // what we may send, and shall expect
	Held               bool // the peer put us on hold
	SRTP               Keys // zero: in the clear
}

// Offer is an offer of one audio stream.
func Offer(l Local, c Capabilities) *Session {
	c = c.withDefaults()
	s := l.session()
	s.Media = []Media{l.audio(c.profile(), c.payloads(nil), c.PTime, c.Mux)}
	return s
}

// profile is that of an offer: one that is secure or nothing is no offer to a
// peer that cannot, so keys that are optional stand in a plain one.
func (c Capabilities) profile() string {
	if c.SRTP == SRTPRequired {
		return "RTP/SAVP"
	}
	return "RTP/AVP"
}

// session is the part above the m-lines.
func (l Local) session() *Session {
	conn := Conn{Addr: l.Addr.Unmap().WithZone("")}
	if !conn.Addr.IsValid() {
		conn.Addr = netip.IPv4Unspecified()
	}
	id, version := strconv.FormatUint(l.SessionID, 10), strconv.FormatUint(l.Version, 10)
	return &Session{Origin: Origin{ID: id, Version: version, Conn: conn}, Conn: conn}
}

// audio is an m-line of ours.
func (l Local) audio(proto string, codecs []Codec, ptime time.Duration, mux bool) Media {
	m := Media{Type: "audio", Port: l.Port, Proto: proto}
	for _, c := range codecs {
		m.Formats = append(m.Formats, c.format())
		m.Attrs = append(m.Attrs, c.rtpmap())
		if c.Fmtp != "" {
			m.Attrs = append(m.Attrs, Attr{"fmtp", c.format() + " " + c.Fmtp})
		}
	}
	m.Attrs = append(m.Attrs, Attr{"ptime", strconv.FormatInt(ptime.Milliseconds(), 10)})
	if l.RTCPPort != 0 && l.RTCPPort != l.Port+1 && !mux {
		m.Attrs = append(m.Attrs, Attr{"rtcp", strconv.Itoa(l.RTCPPort)})
	}
	if mux {
		m.Attrs = append(m.Attrs, Attr{Key: "rtcp-mux"})
	}
	for _, k := range l.Crypto {
		m.Attrs = append(m.Attrs, k.attr())
	}
	m.Attrs = append(m.Attrs, Attr{Key: string(l.direction())})
	return m
}

func (l Local) direction() Direction {
	if l.Direction == "" {
		return SendRecv
	}
	return l.Direction
}

// payloads are the codecs we offer with their payload types. A codec that the
// dialog already knows keeps its number, and no number gets another meaning
// (RFC 3264 section 8.3.2).
func (c Capabilities) payloads(known []Codec) []Codec {
	list := slices.Clone(c.Codecs)
	if !c.NoEvents {
		for _, codec := range c.Codecs {
			event := event(codec.ClockRate)
			if !slices.ContainsFunc(list, event.same) {
				list = append(list, event)
			}
		}
	}
	if c.ComfortNoise {
		list = append(list, static[noisePT])
	}
	taken := func(pt int, by []Codec) bool {
		return slices.ContainsFunc(by, func(k Codec) bool { return k.PT == pt })
	}
	numbered := make([]Codec, 0, len(list))
	for _, codec := range list {
		if k := slices.IndexFunc(known, codec.same); k >= 0 {
			codec.PT = known[k].PT
		} else {
			for pt := 96; taken(codec.PT, known) || taken(codec.PT, numbered); pt++ {
				codec.PT = pt
			}
		}
		if codec.PT <= 127 { // else the peer has used up all numbers
			numbered = append(numbered, codec)
		}
	}
	return numbered
}

// event is telephone-event by the clock of the audio, with the sixteen keys.
func event(clock int) Codec {
	return Codec{Name: eventName, PT: eventPT, ClockRate: clock, Fmtp: "0-15"}
}
