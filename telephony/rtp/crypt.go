package rtp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/srtp/v3"

	"github.com/patchcord/patchcord/telephony/sdp"
)

// profiles are the suites as the cipher knows them.
var profiles = map[sdp.Suite]srtp.ProtectionProfile{
	sdp.AES128SHA80: srtp.ProtectionProfileAes128CmHmacSha1_80,
	sdp.AES128SHA32: srtp.ProtectionProfileAes128CmHmacSha1_32,
	sdp.AES256SHA80: srtp.ProtectionProfileAes256CmHmacSha1_80,
	sdp.AES256SHA32: srtp.ProtectionProfileAes256CmHmacSha1_32,
	sdp.AES128GCM:   srtp.ProtectionProfileAeadAes128Gcm,
	sdp.AES256GCM:   srtp.ProtectionProfileAeadAes256Gcm,
}

// Packets that come late or again are known among the last so many: more than a
// jitter buffer would still take.
const (
	replayRTP  = 128
	replayRTCP = 64
)

// sealer encrypts what a session sends. It lives as long as its key: the
// counters of both streams go on over every Apply.
type sealer struct {
	rtp    *srtp.Context // the shard's
	header rtp.Header    // the shard's: spares an allocation for each packet
	rtcp   *srtp.Context // guarded by Session.wireMu
}

func newSealer(k sdp.Keys) (*sealer, error) {
	s := &sealer{}
	for _, c := range []**srtp.Context{&s.rtp, &s.rtcp} {
		var err error
		if *c, err = newContext(k.Suite, k.Send); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func newContext(suite sdp.Suite, k sdp.Key, options ...srtp.ContextOption) (*srtp.Context, error) {
	key, salt := suite.Split(k)
	if key == nil {
		return nil, fmt.Errorf("rtp: no key of the suite %q", suite)
	}
	c, err := srtp.CreateContext(key, salt, profiles[suite], options...)
	if err != nil {
		return nil, fmt.Errorf("rtp: SRTP: %w", err)
	}
	return c, nil
}

// packet encrypts a packet in its own buffer, which has room for more.
func (s *sealer) packet(b []byte) ([]byte, bool) {
	out, err := s.rtp.EncryptRTP(b, b, &s.header)
	return out, err == nil
}

// opener authenticates and decrypts what a session receives. It belongs to the
// shard.
type opener struct {
	context *srtp.Context
	header  rtp.Header
	reports rtcp.Header
	proven  bool // a packet was the peer's
}

func newOpener(k sdp.Keys) (*opener, error) {
	c, err := newContext(k.Suite, k.Receive, srtp.SRTPReplayProtection(replayRTP), srtp.SRTCPReplayProtection(replayRTCP),
		srtp.MasterKeyIndicator([]byte(k.MKI)))
	return &opener{context: c}, err
}

// packet decrypts b to dst.
func (o *opener) packet(dst, b []byte) ([]byte, error) {
	out, err := o.context.DecryptRTP(dst, b, &o.header)
	o.proven = o.proven || err == nil
	return out, err
}

// packetAfter is packet of an opener whose key has taken the place of another's.
// The rollover counter of a stream goes on over a new key (RFC 3711 section
// 3.3.1), but many begin anew.
func (o *opener) packetAfter(before *opener, dst, b []byte) ([]byte, error) {
	out, err := o.packet(dst, b)
	if err == nil || o.proven || before == nil || len(b) < headerSize {
		return out, err
	}
	ssrc := binary.BigEndian.Uint32(b[8:])
	if roc, ok := before.context.ROC(ssrc); ok && roc > 0 {
		o.context.SetROC(ssrc, roc)
		if out, err = o.packet(dst, b); err != nil {
			o.context.SetROC(ssrc, 0)
		}
	}
	return out, err
}

// secure makes what encrypts and decrypts, where keys were agreed on.
func (s *settings) secure() (err error) {
	if s.SRTP.Suite == "" {
		return nil
	}
	if s.seal, err = newSealer(s.SRTP); err != nil {
		return err
	}
	s.open, err = newOpener(s.SRTP)
	return err
}

// keep takes over from old what has the same key, and for a while the old key
// of the peer: packets that it encrypted are still on the way.
func (s *settings) keep(old *settings, now time.Duration) {
	a, b := old.SRTP, s.SRTP
	if a.Suite == b.Suite && a.Send == b.Send {
		s.seal = old.seal
	}
	switch {
	case a.Suite == b.Suite && a.Receive == b.Receive && a.MKI == b.MKI:
		s.open, s.before, s.beforeEnds = old.open, old.before, old.beforeEnds
	case s.open != nil && old.open != nil:
		s.before, s.beforeEnds = old.open, now+oldAccepted
	}
}

// unseal gives a packet of the peer in the clear. What does not authenticate is
// counted and dropped, and ends nothing.
func (s *Session) unseal(b []byte, now time.Duration) ([]byte, bool) {
	set := s.set
	dst := s.shard.clear[:0]
	out, err := set.open.packetAfter(set.before, dst, b)
	if err != nil && set.before != nil && now < set.beforeEnds {
		out, err = set.before.packet(dst, b)
	}
	s.in.judge(err)
	return out, err == nil
}

// unsealReport is unseal for RTCP.
func (s *Session) unsealReport(b []byte, now time.Duration) ([]byte, bool) {
	set := s.set
	dst := s.shard.clear[:0]
	out, err := set.open.context.DecryptRTCP(dst, b, &set.open.reports)
	if err != nil && set.before != nil && now < set.beforeEnds {
		out, err = set.before.context.DecryptRTCP(dst, b, &set.before.reports)
	}
	s.in.judge(err)
	return out, err == nil
}

// judge counts what could not be opened: forged, or else come before.
func (r *receiver) judge(err error) {
	switch {
	case err == nil:
	case errors.Is(err, srtp.ErrFailedToVerifyAuthTag), errors.Is(err, srtp.ErrMKINotFound):
		r.forged++
	default:
		r.doubles++
	}
}
