package sdp

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// Codec is what a payload type means.
type Codec struct {
	Name      string // as registered: "PCMU"
	PT        int    // payload type; of a dynamic one in [Capabilities] the number we offer it under
	ClockRate int    // Hz, of the RTP timestamps: 8000 for G722 too (RFC 3551 section 4.5.2)
	Channels  int    // 0 and 1 are the same
	Fmtp      string // parameters, "" for none
}

// The codecs that telephones speak.
var (
	PCMU = Codec{Name: "PCMU", PT: 0, ClockRate: 8000}
	PCMA = Codec{Name: "PCMA", PT: 8, ClockRate: 8000}
	G722 = Codec{Name: "G722", PT: 9, ClockRate: 8000}
	// Opus is offered and answered for wideband speech: no more is decoded (RFC
	// 7587 section 6.1).
	Opus = Codec{
		Name: "opus", PT: 111, ClockRate: 48000, Channels: 2,
		Fmtp: "maxplaybackrate=16000;maxaveragebitrate=24000;useinbandfec=1",
	}
)

const (
	eventName = "telephone-event" // RFC 4733
	noiseName = "CN"              // RFC 3389
	eventPT   = 101               // what most telephones use
	noisePT   = 13
	noNumber  = -1
)

// CodecNamed is the codec of that name, in any case of letters.
func CodecNamed(name string) (Codec, bool) {
	for _, c := range []Codec{PCMU, PCMA, G722, Opus} {
		if strings.EqualFold(c.Name, name) {
			return c, true
		}
	}
	return Codec{}, false
}

// static are the payload types that need no rtpmap (RFC 3551 table 4).
var static = map[int]Codec{
	0: PCMU, 8: PCMA, 9: G722, noisePT: {Name: noiseName, PT: noisePT, ClockRate: 8000},
}

func (c Codec) same(d Codec) bool {
	return strings.EqualFold(c.Name, d.Name) && c.ClockRate == d.ClockRate && max(c.Channels, 1) == max(d.Channels, 1)
}

// auxiliary tells that c carries no speech of its own.
func (c Codec) auxiliary() bool {
	return strings.EqualFold(c.Name, eventName) || strings.EqualFold(c.Name, noiseName)
}

func (c Codec) rtpmap() Attr {
	v := c.format() + " " + c.Name + "/" + strconv.Itoa(c.ClockRate)
	if c.Channels > 1 {
		v += "/" + strconv.Itoa(c.Channels)
	}
	return Attr{Key: "rtpmap", Value: v}
}

// Codecs are the formats of the m-line that have a meaning, in their order.
func (m *Media) Codecs() []Codec {
	var list []Codec
	for _, f := range m.Formats {
		pt, err := strconv.Atoi(f)
		if err != nil || pt < 0 || pt > 127 || strconv.Itoa(pt) != f {
			continue
		}
		c, ok := m.rtpmap(f)
		if s, fixed := static[pt]; fixed && (!ok || strings.EqualFold(c.Name, s.Name)) {
			// Some telephones write G722/16000, its true sampling rate.
			c, ok = s, true
		}
		if !ok || slices.ContainsFunc(list, func(d Codec) bool { return d.PT == pt }) {
			continue
		}
		c.PT = pt
		c.Fmtp = m.mapped("fmtp", f)
		list = append(list, c)
	}
	return list
}

// rtpmap reads "PCMU/8000/1" of the format.
func (m *Media) rtpmap(format string) (Codec, bool) {
	parts := strings.Split(m.mapped("rtpmap", format), "/")
	if len(parts) < 2 {
		return Codec{}, false
	}
	c := Codec{Name: strings.TrimSpace(parts[0])}
	var err error
	if c.ClockRate, err = strconv.Atoi(strings.TrimSpace(parts[1])); err != nil || c.ClockRate <= 0 || c.Name == "" {
		return Codec{}, false
	}
	if len(parts) > 2 {
		if n, err := strconv.Atoi(strings.TrimSpace(parts[2])); err == nil && n > 1 && n < 256 {
			c.Channels = n
		}
	}
	return c, true
}

// mapped is the rest of "a=key:format rest".
func (m *Media) mapped(key, format string) string {
	for _, a := range m.Attrs {
		if !strings.EqualFold(a.Key, key) {
			continue
		}
		if f, rest, ok := strings.Cut(a.Value, " "); ok && f == format {
			return strings.TrimSpace(rest)
		}
	}
	return ""
}

// millis is an attribute in milliseconds, 0 where it is absent or junk.
func (m *Media) millis(key string) time.Duration {
	v, _ := m.Attr(key)
	f, err := strconv.ParseFloat(v, 64)
	if err != nil || !(f > 0 && f < 10_000) {
		return 0
	}
	return time.Duration(f * float64(time.Millisecond))
}

// DefaultPTime is the packet time where none is asked for.
const DefaultPTime = 20 * time.Millisecond

// packetTime is how long the packets to the writer of m shall be: what it
// asks for where we can do that, and never more than it takes.
func (m *Media) packetTime(otherwise time.Duration) time.Duration {
	p := m.millis("ptime")
	switch p {
	case 10 * time.Millisecond, 20 * time.Millisecond, 30 * time.Millisecond, 40 * time.Millisecond:
	default:
		p = otherwise
	}
	if most := m.millis("maxptime"); most > 0 && most < p {
		p = max(most.Truncate(10*time.Millisecond), 10*time.Millisecond)
	}
	return p
}

// format is the payload type as an m-line writes it.
func (c Codec) format() string { return strconv.Itoa(c.PT) }
