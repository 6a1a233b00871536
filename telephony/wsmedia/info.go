package wsmedia

import (
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/patchcord/patchcord/audio/codec"
	"github.com/patchcord/patchcord/telephony"
)

const (
	maxHeaders     = 32
	maxHeaderBytes = 1024
)

// timeNow is the clock of signatures.
func timeNow() time.Time { return time.Now() }

// info is what a webhook tells of a call.
func (s *Server) info(a *Account, d *dialect, c caller, h map[string]string) telephony.Info {
	id, err := uuid.NewV7()
	if err != nil {
		id = uuid.New()
	}
	spec, _ := codecNamed(a.codec(d), 0)
	return telephony.Info{
		FromURI: clean(c.from), ToURI: clean(c.to),
		ID: telephony.CallID(id.String()), Direction: telephony.Inbound, Trunk: a.Trunk, Transport: "ws/" + d.name,
		From: s.cfg.Number(a.Trunk, clean(c.from)), To: s.cfg.Number(a.Trunk, clean(c.to)), FromName: clean(c.name),
		Codec: spec.Name, Format: spec.Format(), Headers: h, Received: time.Now(),
	}
}

// headers are the fields among a webhook's parameters that the trunk lets in:
// those of its address, and those of a SIP caller, which carriers name
// SipHeader_X-….
func (a *Account) headers(of ...url.Values) map[string]string {
	out := map[string]string{}
	for _, form := range of {
		for _, key := range sortedKeys(form) {
			a.add(out, strings.TrimPrefix(key, "SipHeader_"), form.Get(key))
		}
	}
	return out
}

// add adds a field to headers, if it is one that is let in.
func (a *Account) add(out map[string]string, name, value string) {
	if a.Accepts != nil && a.Accepts(name) && len(out) < maxHeaders {
		out[clean(name)] = clean(value)
	}
}

// clean is text of a carrier without control characters, and not too long.
func clean(s string) string {
	s = strings.ToValidUTF8(s, "")
	if len(s) > maxHeaderBytes {
		s = strings.ToValidUTF8(s[:maxHeaderBytes], "")
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, s)
}

// streamed is what the start of a stream adds to what its webhook told.
func (a *Account) streamed(info telephony.Info, st *start) (telephony.Info, codec.Spec) {
	h := map[string]string{}
	for k, v := range info.Headers {
		h[k] = v
	}
	names := make([]string, 0, len(st.parameters))
	for k := range st.parameters {
		names = append(names, k)
	}
	slices.Sort(names)
	for _, k := range names {
		a.add(h, k, st.parameters[k])
	}
	info.Headers = h
	spec, _ := codecNamed(st.codec, st.rate)
	return info, spec
}
