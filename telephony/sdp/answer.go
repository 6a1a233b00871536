package sdp

import (
	"slices"
	"strings"
)

// Answer answers an offer: the first audio stream that we can take, in the
// first codec of its list that we have, every other m-line refused. An error
// is a *Error.
//
// One codec is answered, not all in common: a peer may change among the
// answered ones at any packet.
func Answer(offer *Session, l Local, c Capabilities) (*Session, Negotiated, error) {
	c = c.withDefaults()
	index, chosen, err := choose(offer, l, c)
	if err != nil {
		return nil, Negotiated{}, err
	}
	m := &offer.Media[index]
	n := Negotiated{EventPT: noNumber, RecvEvent: noNumber, CNPT: noNumber, RTCPMux: m.Mux()}
	key, keys, secured := usable(m.Cryptos(), l.Crypto)
	l.Crypto = nil
	if secured {
		n.SRTP, l.Crypto = keys, []Crypto{key}
	}
	n.Remote, n.RemoteRTCP, err = offer.remote(m, n.RTCPMux)
	if err != nil {
		return nil, Negotiated{}, err
	}
	if err := sameFamily(l, n); err != nil {
		return nil, Negotiated{}, err
	}
	n.Codec, n.RecvPT, n.PTime = chosen, chosen.PT, m.packetTime(c.PTime)

	answered := chosen
	if own := slices.IndexFunc(c.Codecs, chosen.same); own >= 0 {
		answered.Fmtp = c.Codecs[own].Fmtp // ours, for what comes to us
	}
	codecs := []Codec{answered}
	for _, aux := range m.Codecs() {
		switch {
		case n.EventPT < 0 && !c.NoEvents && aux.same(event(chosen.ClockRate)):
			n.EventPT, n.RecvEvent, n.EventClock = aux.PT, aux.PT, aux.ClockRate
			aux.Fmtp = event(0).Fmtp
			codecs = append(codecs, aux)
		case n.CNPT < 0 && aux.auxiliary() && strings.EqualFold(aux.Name, noiseName) && aux.ClockRate == chosen.ClockRate:
			n.CNPT = aux.PT
			codecs = append(codecs, aux)
		}
	}
	if aux := anyEvent(m.Codecs()); n.EventPT < 0 && !c.NoEvents && aux.Name != "" {
		n.EventPT, n.RecvEvent, n.EventClock = aux.PT, aux.PT, aux.ClockRate
		aux.Fmtp = event(0).Fmtp
		codecs = append(codecs, aux)
	}
	theirs, want := offer.held(m), l.direction()
	n.Send, n.Receive = want.Sends() && theirs.Receives(), want.Receives() && theirs.Sends()
	n.Held = !theirs.Receives()
	l.Direction = direction(n.Send, n.Receive)

	s := l.session()
	for i := range offer.Media {
		if i == index {
			audio := l.audio(m.Proto, codecs, n.PTime, n.RTCPMux)
			audio.Type = m.Type
			s.Media = append(s.Media, audio)
		} else {
			s.Media = append(s.Media, refused(&offer.Media[i]))
		}
	}
	return s, n, nil
}

// anyEvent is the first telephone-event: of whatever clock it is, keys are
// better than none. Some telephones offer that of 8000 Hz alone beside Opus.
func anyEvent(of []Codec) Codec {
	if i := slices.IndexFunc(of, func(c Codec) bool { return strings.EqualFold(c.Name, eventName) }); i >= 0 {
		return of[i]
	}
	return Codec{}
}

// choose finds the stream and the codec to answer: an encrypted stream before
// one in the clear, whatever their order.
func choose(offer *Session, l Local, c Capabilities) (int, Codec, error) {
	none, found, chosen := refuse(WarnMedia, "no audio is offered"), -1, Codec{}
	for i := range offer.Media {
		m := &offer.Media[i]
		if !strings.EqualFold(m.Type, "audio") || m.Port == 0 {
			continue
		}
		secured, why := l.takes(m, c.SRTP)
		if why != nil {
			if none.Code != WarnFormat {
				none = why
			}
			continue
		}
		k := slices.IndexFunc(m.Codecs(), func(o Codec) bool { return slices.ContainsFunc(c.Codecs, o.same) })
		switch {
		case k < 0:
			none = refuse(WarnFormat, "no codec in common, we speak %s", names(c.Codecs))
		case secured:
			return i, m.Codecs()[k], nil
		case found < 0:
			found, chosen = i, m.Codecs()[k]
		}
	}
	if found >= 0 {
		return found, chosen, nil
	}
	return 0, Codec{}, none
}

// takes tells whether the profile and the keys of an m-line are such that we can
// answer it, and then encrypted or not. Required never falls back (SEC-14).
func (l Local) takes(m *Media, policy SRTP) (secured bool, why *Error) {
	_, _, usable := usable(m.Cryptos(), l.Crypto)
	switch {
	case policy == SRTPOff && secure(m.Proto):
		return false, refuse(WarnTransport, "only SRTP is offered (%s), we speak RTP/AVP", m.Proto)
	case policy == SRTPOff && !plain(m.Proto):
		return false, refuse(WarnTransport, "profile %s is offered, we speak RTP/AVP", m.Proto)
	case policy == SRTPOff:
		return false, nil
	case !plain(m.Proto) && !sdes(m.Proto):
		return false, refuse(WarnTransport, "profile %s is offered, we speak RTP/AVP and RTP/SAVP", m.Proto)
	case usable:
		return true, nil
	case sdes(m.Proto):
		return false, insecure("SRTP is offered without a key that we can use (a=crypto)")
	case policy == SRTPRequired:
		return false, insecure("SRTP is required and not offered (a=crypto)")
	}
	return false, nil
}

// refused answers an m-line that we do not take (RFC 3264 section 6).
func refused(m *Media) Media {
	return Media{Type: m.Type, Proto: m.Proto, Formats: slices.Clone(m.Formats)}
}

func sameFamily(l Local, n Negotiated) error {
	a, b := l.Addr.Unmap(), n.Remote.Addr()
	if a.IsValid() && b.IsValid() && a.Is4() != b.Is4() {
		return refuse(WarnNetwork, "their address is of another family than ours (IPv4, IPv6)")
	}
	return nil
}

func names(codecs []Codec) string {
	list := make([]string, len(codecs))
	for i, c := range codecs {
		list[i] = c.Name
	}
	return strings.Join(list, ", ")
}

// Accept takes the answer to an offer of ours. An error is a *Error; the
// offered stream is then refused or not usable.
func Accept(offer, answer *Session) (Negotiated, error) {
	index := slices.IndexFunc(offer.Media, func(m Media) bool {
		return strings.EqualFold(m.Type, "audio") && m.Port != 0
	})
	if index < 0 || index >= len(answer.Media) {
		return Negotiated{}, refuse(WarnMedia, "the answer has no m-line for the audio we offered")
	}
	ours, theirs := &offer.Media[index], &answer.Media[index]
	switch {
	case !strings.EqualFold(theirs.Type, "audio") || theirs.Port == 0:
		return Negotiated{}, refuse(WarnMedia, "the answer refuses our audio")
	}
	keys, secured := answered(theirs.Cryptos(), ours.Cryptos())
	switch {
	case secured && (plain(theirs.Proto) || sdes(theirs.Proto)):
		// Some answer keys in a plain profile with the secure one.
	case !strings.EqualFold(theirs.Proto, ours.Proto):
		return Negotiated{}, refuse(WarnTransport, "the answer is %s, we offered %s", theirs.Proto, ours.Proto)
	case secure(ours.Proto):
		return Negotiated{}, insecure("SRTP is required, the answer has no key that goes with the offer (a=crypto)")
	}
	n := Negotiated{
		EventPT: noNumber, RecvEvent: noNumber, CNPT: noNumber, RTCPMux: ours.Mux() && theirs.Mux(), SRTP: keys,
	}
	var err error
	if n.Remote, n.RemoteRTCP, err = answer.remote(theirs, n.RTCPMux); err != nil {
		return Negotiated{}, err
	}
	if err := sameFamily(Local{Addr: offer.conn(ours).Addr}, n); err != nil {
		return Negotiated{}, err
	}
	if !n.agree(ours.Codecs(), theirs.answered(ours)) {
		return Negotiated{}, refuse(WarnFormat, "the answer has no codec that we offered, %s", names(ours.Codecs()))
	}
	n.PTime = theirs.packetTime(ours.packetTime(DefaultPTime))
	want, may := offer.Direction(ours), answer.held(theirs)
	n.Send, n.Receive = want.Sends() && may.Receives(), want.Receives() && may.Sends()
	n.Held = want.Sends() && !may.Receives()
	return n, nil
}

// agree takes the first codec of theirs that is in ours, and what goes with
// it. The numbers may differ (RFC 3264 section 6.1): we send theirs and
// receive ours.
func (n *Negotiated) agree(ours, theirs []Codec) bool {
	for _, c := range theirs {
		if i := slices.IndexFunc(ours, c.same); i >= 0 && !c.auxiliary() {
			n.Codec, n.RecvPT = c, ours[i].PT
			break
		}
	}
	if n.Codec.Name == "" {
		return false
	}
	for _, c := range theirs {
		i := slices.IndexFunc(ours, c.same)
		switch {
		case i < 0 || c.ClockRate != n.Codec.ClockRate:
		case n.EventPT < 0 && strings.EqualFold(c.Name, eventName):
			n.EventPT, n.RecvEvent, n.EventClock = c.PT, ours[i].PT, c.ClockRate
		case n.CNPT < 0 && strings.EqualFold(c.Name, noiseName):
			n.CNPT = c.PT
		}
	}
	if c := anyEvent(theirs); n.EventPT < 0 {
		if i := slices.IndexFunc(ours, c.same); i >= 0 && c.Name != "" {
			n.EventPT, n.RecvEvent, n.EventClock = c.PT, ours[i].PT, c.ClockRate
		}
	}
	return true
}

// answered are the codecs of an answer. A payload type without an rtpmap
// means what we offered under it.
func (m *Media) answered(offered *Media) []Codec {
	full := Media{Formats: m.Formats, Attrs: slices.Clone(m.Attrs)}
	for _, c := range offered.Codecs() {
		if f := c.format(); m.mapped("rtpmap", f) == "" {
			full.Attrs = append(full.Attrs, c.rtpmap())
		}
	}
	return full.Codecs()
}
