// Package sdp reads, writes and negotiates session descriptions (RFC 8866,
// RFC 3264): what two telephones say about where and how they want their
// sound.
//
// Reading is tolerant: bare LF, a missing last newline, spaces in the user
// name of o=, c= after t=, session ids of any size, unknown lines and junk
// attributes are all sent by carriers and are all read. Writing is strict.
// What is read is bounded ([MaxSize], [MaxMedia], [MaxFormats]), and nothing
// that is read makes this package panic.
//
//	v=0
//	o=- 4611686018427387904 1 IN IP4 192.0.2.1     whose session, which version
//	s=-
//	c=IN IP4 192.0.2.1                             where to send
//	t=0 0
//	m=audio 20000 RTP/AVP 0 8 101                  port, profile, payload types by preference
//	a=rtpmap:0 PCMU/8000                           what a payload type means
//	a=rtpmap:8 PCMA/8000
//	a=rtpmap:101 telephone-event/8000
//	a=fmtp:101 0-15
//	a=ptime:20                                     ms of sound per packet
//	a=sendrecv
//
// A dialog keeps one [Negotiator], which holds the o= version and the last
// body over re-INVITEs; [Offer], [Answer] and [Accept] are the pure steps
// below it.
package sdp

import (
	"net/netip"
	"strings"
)

// Bounds of what [Parse] takes (SEC-12).
const (
	MaxSize    = 16 << 10 // bytes
	MaxMedia   = 8        // m-lines
	MaxFormats = 64       // payload types of one m-line
)

// Session is a session description.
type Session struct {
	Origin Origin
	Name   string // s=, "" for "-"
	Conn   Conn   // c= above the first m-line
	Attrs  []Attr // a= above the first m-line, in order
	Media  []Media
}

// Origin is the o= line. ID and Version are decimal, of any length.
type Origin struct {
	User        string // "" for "-"
	ID, Version string
	Conn        Conn
}

// Conn is an address: of o= or of a c= line.
type Conn struct {
	Addr netip.Addr
	Host string // where a name stands instead of an address
}

// IsZero tells that there was no such line.
func (c Conn) IsZero() bool { return !c.Addr.IsValid() && c.Host == "" }

// Attr is one a= line: a=Key or a=Key:Value.
type Attr struct{ Key, Value string }

// Media is one m-line and the lines below it.
type Media struct {
	Type    string   // "audio"
	Port    int      // 0: refused or disabled
	Proto   string   // "RTP/AVP"
	Formats []string // payload types, most wanted first
	Conn    Conn     // c= of this m-line; zero: the session's
	Attrs   []Attr
}

// Direction says which way the sound goes, seen by the one who writes it.
type Direction string

// The directions of RFC 8866 section 6.7.
const (
	SendRecv Direction = "sendrecv"
	SendOnly Direction = "sendonly"
	RecvOnly Direction = "recvonly"
	Inactive Direction = "inactive"
)

// Sends tells that the writer wants to send.
func (d Direction) Sends() bool { return d != RecvOnly && d != Inactive }

// Receives tells that the writer wants to receive.
func (d Direction) Receives() bool { return d != SendOnly && d != Inactive }

// Reverse is the direction as the other side sees it.
func (d Direction) Reverse() Direction { return direction(d.Receives(), d.Sends()) }

func direction(sends, receives bool) Direction {
	switch {
	case sends && receives:
		return SendRecv
	case sends:
		return SendOnly
	case receives:
		return RecvOnly
	}
	return Inactive
}

// Attr is the value of the first such attribute.
func (m *Media) Attr(key string) (value string, ok bool) { return find(m.Attrs, key) }

// Attr is the value of the first such attribute above the m-lines.
func (s *Session) Attr(key string) (value string, ok bool) { return find(s.Attrs, key) }

func find(attrs []Attr, key string) (string, bool) {
	for _, a := range attrs {
		if strings.EqualFold(a.Key, key) {
			return a.Value, true
		}
	}
	return "", false
}
