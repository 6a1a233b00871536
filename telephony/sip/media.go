package sip

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/telephony/rtp"
	"github.com/patchcord/patchcord/telephony/sdp"
	"github.com/patchcord/patchcord/telephony/trunk"
)

// media is the sound of one leg: what was negotiated and what carries it.
type media struct {
	session *rtp.Session
	neg     *sdp.Negotiator
	params  rtp.Params // the part that does not come from SDP
	current sdp.Negotiated
	agreed  bool
	applied bool
	closed  bool
}

// openMedia binds the ports for a peer whose signalling comes from peer.
func (g *leg) openMedia(peer netip.Addr, bound netip.Addr, codecs []string) error {
	local := g.u.localAddr(peer, bound)
	if !local.IsValid() {
		return fmt.Errorf("sip: no local address faces %s", peer)
	}
	caps, err := capabilities(codecs)
	caps.NoEvents = g.trunk != nil && g.trunk.DTMF == keysByTone // what is sent as sound is heard as sound
	if err != nil {
		return err
	}
	s, err := g.u.cfg.Media.Open(local)
	if err != nil {
		return fmt.Errorf("sip: open media: %w", err)
	}
	if g.trunk != nil {
		caps.SRTP = sdp.SRTP(g.trunk.SRTP)
	}
	told := g.u.advertised(peer, bound)
	m := &media{session: s, neg: sdp.NewNegotiator(sdp.Local{Addr: told, Port: int(s.Local().Port())}, caps)}
	if g.trunk != nil {
		m.params = mediaParams(g.trunk, peer)
	}
	s.Notify(func(e telephony.Event) {
		if _, key := e.(telephony.Digit); key {
			g.postMessage(func() { g.onMedia(e) })
			return
		}
		g.post(func() { g.onMedia(e) })
	})
	g.mu.Lock()
	g.media = m
	in, out := g.sink, g.source
	g.mu.Unlock()
	if in != nil || out != nil { // connected before there was anything to connect
		s.Connect(in, out)
	}
	return nil
}

// mediaParams are where the media of a call with peer may come from. Who is
// known by a password may call from anywhere: its own address counts.
func mediaParams(t *trunk.Trunk, peer netip.Addr) rtp.Params {
	p := rtp.Params{NATAny: t.NATAny, Allow: t.Allow}
	if t.Caller != nil {
		p.Allow = []netip.Prefix{netip.PrefixFrom(peer, peer.BitLen())}
	}
	return p
}

func capabilities(names []string) (sdp.Capabilities, error) {
	var c sdp.Capabilities
	for _, name := range names {
		codec, ok := sdp.CodecNamed(name)
		if !ok {
			return c, fmt.Errorf("sip: codec %q: unknown, want PCMU, PCMA, G722 or opus", name)
		}
		c.Codecs = append(c.Codecs, codec)
	}
	return c, nil
}

// agree takes what offer and answer settled; it reaches the wire with apply.
func (g *leg) agree(n sdp.Negotiated) {
	m := g.media
	changed := m.agreed && m.current.Codec.Name != n.Codec.Name
	m.current, m.agreed = n, true
	g.mu.Lock()
	g.info.Codec, g.info.Keys, g.info.SRTP = n.Codec.Name, g.keysBy(n), string(n.SRTP.Suite)
	if g.info.Format.Rate == 0 {
		g.info.Format = format(n.Codec)
	}
	g.mu.Unlock()
	if changed && m.applied {
		g.emit(telephony.FormatChanged{Codec: n.Codec.Name})
	}
}

// apply starts the sound, or changes it.
func (g *leg) apply() error {
	m := g.media
	if !m.agreed || m.closed {
		return nil
	}
	n, p := m.current, m.params
	p.Remote, p.RemoteRTCP, p.RTCPMux = n.Remote, n.RemoteRTCP, n.RTCPMux
	p.Codec, p.PT = n.Codec.Name, uint8(n.Codec.PT) //nolint:gosec // 0 to 127
	p.EventPT, p.EventClock, p.CNPT, p.PTime = n.EventPT, n.EventClock, n.CNPT, n.PTime
	p.Send, p.Receive, p.Others, p.SRTP = n.Send, n.Receive, g.others(), n.SRTP
	g.mu.Lock()
	p.Rate = g.info.Format.Rate
	g.mu.Unlock()
	if err := m.session.Apply(p); err != nil {
		return fmt.Errorf("sip: apply media: %w", err)
	}
	m.applied = true
	return nil
}

// hear tells of hold and its end.
func (g *leg) hear() {
	if held := g.media.current.Held; held != g.held && g.state == stateUp {
		if g.held = held; held {
			g.emit(telephony.Held{})
		} else {
			g.emit(telephony.Resumed{})
		}
	}
}

// mute neither sends nor hears any more; the clock of the call goes on.
func (g *leg) mute() {
	g.media.current.Send, g.media.current.Receive = false, false
	if err := g.apply(); err != nil {
		g.log.Warn(err.Error())
	}
}

// dismiss ends the sound of a leg, from outside, and returns when it is no more.
func (g *leg) dismiss() {
	g.mu.Lock()
	m := g.media
	g.mu.Unlock()
	if m != nil {
		g.post(func() { m.closed = true })
		m.session.Close()
	}
}

func (m *media) stats() telephony.Stats { return m.session.Stats() }

func (m *media) close() {
	if !m.closed {
		m.closed = true
		m.session.Close()
	}
}

// format is how a codec's sound is carried and at what rate its frames are.
func format(c sdp.Codec) audio.Format {
	switch strings.ToUpper(c.Name) {
	case "PCMU":
		return audio.Format{Encoding: audio.MuLaw, Rate: 8000}
	case "PCMA":
		return audio.Format{Encoding: audio.ALaw, Rate: 8000}
	}
	return audio.Format{Encoding: audio.PCM16, Rate: 16000} // G722, and of Opus as much of its band as the engine takes
}

// onMedia is a digit or lost media.
func (g *leg) onMedia(e telephony.Event) {
	switch e := e.(type) {
	case telephony.Digit:
		g.digit(e)
	default:
		g.emit(e)
	}
}

// mediaCause is why a call ends whose description cannot be taken.
func mediaCause(err error) telephony.Cause {
	c := telephony.Cause{Reason: telephony.ReasonNoCodec, Text: err.Error()}
	var bad *sdp.Error
	if errors.As(err, &bad) && bad.Insecure {
		c.Reason = telephony.ReasonNotSecure
	}
	return c
}

// warning is the Warning field of a refused description.
func (g *leg) warning(err error) (field, bool) {
	var bad *sdp.Error
	if !errors.As(err, &bad) {
		return field{}, false
	}
	return field{"Warning", bad.Warning(strings.ToLower(g.u.cfg.Name))}, true
}
