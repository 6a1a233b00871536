package webrtc

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pion/interceptor"
	"github.com/pion/interceptor/pkg/nack"
	"github.com/pion/webrtc/v4"

	"github.com/patchcord/patchcord/audio/codec"
	"github.com/patchcord/patchcord/telephony/sdp"
)

// preferred are the codecs of a browser's leg: wideband first, Opus before
// G.722 because it is made for networks that lose packets.
var preferred = []sdp.Codec{sdp.Opus, sdp.G722, sdp.PCMU, sdp.PCMA}

// agreed is what of an offer we speak.
type agreed struct {
	spec  codec.Spec
	codec sdp.Codec // its payload type is the offer's
	event sdp.Codec // telephone-event; no Name: none
}

// choose finds our codec in an offer.
func choose(offer string) (agreed, error) {
	s, err := sdp.Parse([]byte(offer))
	if err != nil {
		return agreed{}, fmt.Errorf("webrtc: offer: %w", err)
	}
	if slices.ContainsFunc(s.Attrs, lite) {
		return agreed{}, errLite
	}
	for i := range s.Media {
		switch m := &s.Media[i]; {
		case slices.ContainsFunc(m.Attrs, lite):
			return agreed{}, errLite
		case strings.EqualFold(m.Type, "application"):
			return agreed{}, errData
		}
	}
	for i := range s.Media {
		m := &s.Media[i]
		if !strings.EqualFold(m.Type, "audio") || m.Port == 0 {
			continue
		}
		offered := m.Codecs()
		for _, want := range preferred {
			if c, ok := among(offered, want.Name, want.ClockRate); ok {
				spec, _ := codec.Lookup(want.Name) // there is one for each of preferred
				c.Name, c.Channels, c.Fmtp = want.Name, want.Channels, want.Fmtp
				a := agreed{spec: spec, codec: c}
				if a.event, ok = among(offered, eventName, want.ClockRate); !ok {
					a.event, _ = among(offered, eventName, 0)
				}
				return a, nil
			}
		}
		return agreed{}, errNoCodec
	}
	return agreed{}, errNoAudio
}

const eventName = "telephone-event" // RFC 4733

var (
	errNoCodec = errors.New("webrtc: offer: no codec in common, we speak opus, G722, PCMU, PCMA")
	errNoAudio = errors.New("webrtc: offer: no audio is offered")
	errData    = errors.New("webrtc: offer: a data channel, we take sound alone; create none")
	errLite    = errors.New("webrtc: offer: ice-lite, which no browser is: nobody would see whose the candidates are")
)

// lite is the attribute of a peer that makes no checks (RFC 8445 section 2.5). We
// make none either: to one that is lite too DTLS would go wherever it says.
func lite(a sdp.Attr) bool { return strings.EqualFold(strings.TrimSpace(a.Key), "ice-lite") }

// among finds a codec by its name and clock, 0: any.
func among(list []sdp.Codec, name string, clock int) (sdp.Codec, bool) {
	for _, c := range list {
		if strings.EqualFold(c.Name, name) && (clock == 0 || c.ClockRate == clock) {
			return c, true
		}
	}
	return sdp.Codec{}, false
}

// api is a factory of peer connections that speak what was agreed and nothing
// else: what we answer is what the browser sends.
func (a agreed) api(settings webrtc.SettingEngine) (*webrtc.API, error) {
	media, chain := &webrtc.MediaEngine{}, &interceptor.Registry{}
	for _, c := range []sdp.Codec{a.codec, a.event} {
		if c.Name == "" {
			continue
		}
		p := webrtc.RTPCodecParameters{
			RTPCodecCapability: capability(c), PayloadType: webrtc.PayloadType(c.PT), //nolint:gosec // 0 to 127
		}
		if c.Name == a.codec.Name {
			p.RTCPFeedback = []webrtc.RTCPFeedback{{Type: "nack"}}
		}
		if err := media.RegisterCodec(p, webrtc.RTPCodecTypeAudio); err != nil {
			return nil, fmt.Errorf("webrtc: codec %s: %w", c.Name, err)
		}
	}
	ask, err := nack.NewGeneratorInterceptor()
	if err != nil {
		return nil, fmt.Errorf("webrtc: nack: %w", err)
	}
	again, err := nack.NewResponderInterceptor()
	if err != nil {
		return nil, fmt.Errorf("webrtc: nack: %w", err)
	}
	chain.Add(ask)
	chain.Add(again)
	return webrtc.NewAPI(
		webrtc.WithMediaEngine(media), webrtc.WithSettingEngine(settings), webrtc.WithInterceptorRegistry(chain),
	), nil
}

// capability is a codec in pion's terms.
func capability(c sdp.Codec) webrtc.RTPCodecCapability {
	return webrtc.RTPCodecCapability{
		MimeType: "audio/" + c.Name, ClockRate: uint32(c.ClockRate), //nolint:gosec // Hz
		Channels: uint16(c.Channels), SDPFmtpLine: c.Fmtp, //nolint:gosec // at most 255
	}
}
