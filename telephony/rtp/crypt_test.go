package rtp

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	pionrtcp "github.com/pion/rtcp"
	"github.com/pion/srtp/v3"

	"github.com/patchcord/patchcord/telephony/sdp"
)

// lengths of a key with its salt, bytes.
var suiteKeys = map[sdp.Suite]int{
	sdp.AES128SHA80: 30, sdp.AES128SHA32: 30, sdp.AES256SHA80: 46, sdp.AES256SHA32: 46,
	sdp.AES128GCM: 28, sdp.AES256GCM: 44,
}

// keyed are the keys of a call as we see them; the seeds make each side's.
func keyed(suite sdp.Suite, ours, theirs string) sdp.Keys {
	n := suiteKeys[suite]
	key := func(s string) sdp.Key { return sdp.Key(strings.Repeat(s, n)[:n]) }
	return sdp.Keys{Suite: suite, Send: key(ours), Receive: key(theirs)}
}

// reversed are the same keys as the peer sees them.
func reversed(k sdp.Keys) sdp.Keys { return sdp.Keys{Suite: k.Suite, Send: k.Receive, Receive: k.Send} }

func secured(k sdp.Keys) Params {
	p := negotiated()
	p.SRTP = k
	return p
}

// secret is a peer that sends loud G.711 encrypted, and reads what it is sent.
type secret struct {
	voice
	*sealer
	*opener
}

func newSecret(t testing.TB, src netip.AddrPort, k sdp.Keys) *secret {
	t.Helper()
	s := &secret{voice: voice{src: src, ssrc: 1, seq: 65530, ts: 1000}}
	var err error
	if s.sealer, err = newSealer(k); err != nil {
		t.Fatal(err)
	}
	if s.opener, err = newOpener(k); err != nil {
		t.Fatal(err)
	}
	return s
}

// sealed is the next packet.
func (s *secret) sealed(t testing.TB) []byte {
	t.Helper()
	b := make([]byte, headerSize, packetSize)
	header{seq: s.seq, ts: s.ts, ssrc: s.ssrc}.put(b)
	s.seq++
	s.ts += 160
	out, ok := s.sealer.packet(append(b, loudFrame...))
	if !ok {
		t.Fatal("not encrypted")
	}
	return out
}

func (s *secret) speak(r *rig) {
	r.rtp.in = append(r.rtp.in, datagram{b: s.sealed(r.t), peer: s.src, at: r.now - 3*time.Millisecond})
}

// reads decrypts what the session sent and tells how many packets that were.
func (s *secret) reads(r *rig) (n int) {
	r.t.Helper()
	for _, d := range r.rtp.out {
		if isRTCP(d.b) {
			continue
		}
		plain, err := s.opener.packet(nil, d.b)
		if err != nil {
			r.t.Fatalf("packet %d cannot be read: %v", n, err)
		}
		h, payload, ok := parseHeader(plain)
		if !ok || h.ssrc != r.out.ssrc || len(payload) != 160 || bytes.Contains(d.b, payload) {
			r.t.Fatalf("packet %d is not what was said, or in the clear", n)
		}
		n++
	}
	r.rtp.out = nil
	return n
}

// Both ways, by every suite, over the end of the sequence numbers: heard, and
// said so that the peer can read it and nobody else.
func TestEachSuiteIsHeardAndSaid(t *testing.T) {
	t.Parallel()
	for suite := range suiteKeys {
		t.Run(string(suite), func(t *testing.T) {
			t.Parallel()
			k := keyed(suite, "our key ", "their key ")
			r := newRig(t, secured(k))
			r.Connect(r.ends.Load().sink, &talk{})
			r.out.seq = 65500
			far := newSecret(t, peer, reversed(k))
			for range 60 {
				far.speak(r)
				r.step()
			}
			if n := far.reads(r); n != 60 {
				t.Errorf("%d packets were sent, want 60", n)
			}
			if st := r.Session; r.loudFrames() < 50 || st.in.packets != 60 || st.in.forged+st.in.malformed+st.in.doubles != 0 {
				t.Errorf("%d loud frames of %d packets, %d forged", r.loudFrames(), r.in.packets, r.in.forged)
			}
		})
	}
}

// SEC-14, SEC-2: what does not authenticate is not heard, not answered, counted,
// and ends nothing: another key, RTP in the clear, packets that were changed.
func TestForgedPacketsAreNotHeard(t *testing.T) {
	t.Parallel()
	for suite := range suiteKeys {
		k := keyed(suite, "our key ", "their key ")
		for name, forge := range map[string]func(r *rig, far *secret) []byte{
			"another key": func(r *rig, _ *secret) []byte {
				liar := newSecret(t, peer, reversed(keyed(suite, "our key ", "a wrong key ")))
				liar.seq = uint16(r.now / time.Millisecond) //nolint:gosec // small
				return liar.sealed(t)
			},
			"in the clear": func(r *rig, far *secret) []byte {
				b := make([]byte, headerSize)
				header{seq: far.seq, ts: far.ts, ssrc: 1}.put(b)
				far.seq++
				return append(b, loudFrame...)
			},
			"changed": func(_ *rig, far *secret) []byte {
				b := far.sealed(t)
				b[20] ^= 1
				return b
			},
		} {
			r := newRig(t, secured(k))
			far := newSecret(t, peer, reversed(k))
			far.seq = 100
			for range 20 {
				b := forge(r, far)
				r.rtp.in = append(r.rtp.in, datagram{b: b, peer: attacker, at: r.now}, datagram{b: b, peer: peer, at: r.now})
				r.step()
			}
			r.publishNow()
			st := r.Stats()
			if r.loudFrames() != 0 || st.PacketsReceived != 0 || st.PacketsForged != 40 || st.PacketsDiscarded < 40 {
				t.Errorf("%s, %s: %d loud frames, %+v", suite, name, r.loudFrames(), st)
			}
			for _, d := range r.rtp.out {
				if d.peer != peer {
					t.Fatalf("%s, %s: sent to %v", suite, name, d.peer)
				}
			}
			for range 10 { // and the peer is heard as if nothing had been
				far.speak(r)
				r.step()
			}
			if r.loudFrames() < 5 {
				t.Errorf("%s, %s: the peer is not heard any more", suite, name)
			}
		}
	}
}

// A packet that comes twice is heard once, however long after.
func TestReplayedPacketsAreDropped(t *testing.T) {
	t.Parallel()
	k := keyed(sdp.AES128SHA80, "our key ", "their key ")
	r := newRig(t, secured(k))
	far := newSecret(t, peer, reversed(k))
	var sent [][]byte
	for range 200 {
		far.speak(r)
		sent = append(sent, append([]byte(nil), r.rtp.in[0].b...))
		r.step()
	}
	heard := r.in.packets
	for _, b := range sent {
		r.rtp.in = append(r.rtp.in, datagram{b: b, peer: peer, at: r.now})
		r.step()
	}
	if r.in.packets != heard || r.in.doubles != 200 {
		t.Errorf("%d packets of %d once more, %d counted as doubles", r.in.packets-heard, heard, r.in.doubles)
	}
}

// A key that stays goes on where it was, whatever else changes: hold, codec.
func TestTheSameKeyGoesOn(t *testing.T) {
	t.Parallel()
	k := keyed(sdp.AES128GCM, "our key ", "their key ")
	r := newRig(t, secured(k))
	r.Connect(r.ends.Load().sink, &talk{})
	r.out.seq = 65530 // wraps: a new context would begin the rollover counter anew
	far := newSecret(t, peer, reversed(k))
	for i := range 40 {
		if i == 15 || i == 25 {
			p := secured(k)
			p.Codec, p.PT = "PCMA", 8
			r.apply(p)
		}
		if i == 30 {
			r.apply(secured(k))
		}
		if i < 15 || i >= 31 {
			far.speak(r)
		}
		r.step()
		far.reads(r)
	}
	if r.in.forged+r.in.doubles != 0 {
		t.Errorf("%d forged, %d doubles", r.in.forged, r.in.doubles)
	}
}

// A new key of the peer counts at once, whether its rollover counter goes on or
// begins anew; packets of the old one are still taken for two seconds.
func TestNewKeyOfThePeer(t *testing.T) {
	t.Parallel()
	for _, goesOn := range []bool{true, false} {
		t.Run(fmt.Sprintf("counter goes on: %v", goesOn), func(t *testing.T) {
			t.Parallel()
			k := keyed(sdp.AES256SHA80, "our key ", "their key ")
			r := newRig(t, secured(k))
			far := newSecret(t, peer, reversed(k))
			for range 20 { // over the wrap
				far.speak(r)
				r.step()
			}
			late := far.sealed(t)
			tooLate := far.sealed(t)
			k2 := keyed(sdp.AES256SHA80, "our key ", "another key ")
			again := newSecret(t, peer, reversed(k2))
			again.voice = far.voice
			if roc, ok := far.sealer.rtp.ROC(1); ok && goesOn {
				again.sealer.rtp.SetROC(1, roc)
			}
			r.apply(secured(k2))
			before := r.in.packets
			again.speak(r)
			r.rtp.in = append(r.rtp.in, datagram{b: late, peer: peer, at: r.now})
			r.step()
			if got := r.in.packets - before; got != 2 {
				t.Errorf("%d packets taken, want the new key's and the late one", got)
			}
			for range 120 {
				again.speak(r)
				r.step()
			}
			r.rtp.in = append(r.rtp.in, datagram{b: tooLate, peer: peer, at: r.now})
			before, forged := r.in.packets, r.in.forged
			r.step()
			if r.in.packets != before || r.in.forged != forged+1 {
				t.Error("a packet of the old key was taken after two seconds")
			}
		})
	}
}

// Who can authenticate is the peer, wherever it is; a copy of its packets moves
// nothing while it is heard itself.
func TestAuthenticationIsTheLatch(t *testing.T) {
	t.Parallel()
	k := keyed(sdp.AES128SHA80, "our key ", "their key ")
	elsewhere := netip.MustParseAddrPort("203.0.113.200:7000")
	r := newRig(t, secured(k))
	far := newSecret(t, elsewhere, reversed(k))
	to := func() netip.AddrPort {
		r.rtp.out = nil
		r.step()
		return r.rtp.out[len(r.rtp.out)-1].peer
	}
	if to() != peer {
		t.Fatal("nothing is sent to the address of the description")
	}
	far.speak(r)
	if got := to(); got != elsewhere {
		t.Errorf("sent to %v after one packet that authenticates, want %v", got, elsewhere)
	}
	for range 20 { // somebody on the way is faster with a copy of each
		far.speak(r)
		r.rtp.in = append([]datagram{{b: append([]byte(nil), r.rtp.in[0].b...), peer: attacker, at: r.now}}, r.rtp.in...)
		far.speak(r)
		if got := to(); got != elsewhere {
			t.Fatalf("sent to %v", got)
		}
	}
	far.src = trunkPeer // its NAT gave it another address
	for range 60 {
		far.speak(r)
		to()
	}
	if got := to(); got != trunkPeer {
		t.Errorf("sent to %v, want %v: the old address is silent for a second", got, trunkPeer)
	}
}

// Reports are encrypted both ways; forged ones are dropped.
func TestReportsAreEncrypted(t *testing.T) {
	t.Parallel()
	for suite := range suiteKeys {
		k := keyed(suite, "our key ", "their key ")
		r := newRig(t, secured(k))
		far := newSecret(t, peer, reversed(k))
		for range 5 {
			far.speak(r)
			r.step()
		}
		r.media.sendReport(r.makeReport(r.now), false)
		sent := r.rtcp.out[len(r.rtcp.out)-1].b
		if _, err := pionrtcp.Unmarshal(sent); err == nil && bytes.Contains(sent, []byte(r.media.cfg.CNAME)) {
			t.Errorf("%s: a report is in the clear", suite)
		}
		plain, err := far.opener.context.DecryptRTCP(nil, sent, nil)
		if err != nil {
			t.Fatalf("%s: %v", suite, err)
		}
		if packets, err := pionrtcp.Unmarshal(plain); err != nil || len(packets) < 2 {
			t.Errorf("%s: %v, %v", suite, packets, err)
		}
		report, _ := pionrtcp.Marshal([]pionrtcp.Packet{&pionrtcp.ReceiverReport{SSRC: 1}})
		good, err := far.sealer.rtcp.EncryptRTCP(nil, report, nil)
		if err != nil {
			t.Fatal(err)
		}
		forged := r.in.forged
		r.rtcpPacket(good, peer, r.now, r.now)
		r.rtcpPacket(report, peer, r.now, r.now)
		good[len(good)-1] ^= 1
		r.rtcpPacket(good, peer, r.now, r.now)
		if len(r.media.arrived) != 1 || r.in.forged+r.in.doubles < forged+2 {
			t.Errorf("%s: %d reports passed on, want the peer's", suite, len(r.media.arrived))
		}
	}
}

// An identifier of the key stands in the packets of those who announced one.
func TestMasterKeyIdentifier(t *testing.T) {
	t.Parallel()
	for suite := range suiteKeys {
		k := keyed(suite, "our key ", "their key ")
		k.MKI = "\x00\x00\x00\x01"
		o, err := newOpener(k)
		if err != nil {
			t.Fatal(err)
		}
		back := reversed(k)
		far, err := newSealer(back)
		if err != nil {
			t.Fatal(err)
		}
		b := make([]byte, headerSize, packetSize)
		header{seq: 1, ssrc: 1}.put(b)
		plain, _ := far.packet(append(b, loudFrame...))
		if _, err := o.packet(nil, plain); err == nil {
			t.Errorf("%s: a packet without the identifier is taken", suite)
		}
		if far.rtp, err = newContext(suite, back.Send, srtp.MasterKeyIndicator([]byte(k.MKI))); err != nil {
			t.Fatal(err)
		}
		b = make([]byte, headerSize, packetSize)
		header{seq: 2, ssrc: 1}.put(b)
		marked, _ := far.packet(append(b, loudFrame...))
		if out, err := o.packet(nil, marked); err != nil || !bytes.HasSuffix(out, loudFrame) {
			t.Errorf("%s: a packet with the identifier: %v", suite, err)
		}
	}
}

// What another implementation (libsrtp's own test vectors) makes of keys and a
// packet.
func TestVectorsOfOthers(t *testing.T) {
	t.Parallel()
	const plain = "800f1234decafbadcafebabe" + "abababababababababababababababab"
	for _, c := range []struct {
		suite       sdp.Suite
		key, sealed string
	}{
		{
			sdp.AES128SHA80, "e1f97a0d3e018be0d64fa32c06de4139" + "0ec675ad498afeebb6960b3aabe6",
			"800f1234decafbadcafebabe" + "4e55dc4ce79978d88ca4d215949d2402" + "b78d6acc99ea179b8dbb",
		},
		{
			sdp.AES256SHA80, "f0f04914b513f2763a1b1fa130f10e2998f6f6e43e4309d1e622a0e332b9f1b6" + "3b04803de51ee7c96423ab5b78d2",
			"800f1234decafbadcafebabe" + "f1d9de17ff251ff1aa007774b0b4b40d" + "a08d9d9a5b3a55d8873b",
		},
		{
			sdp.AES128GCM, "000102030405060708090a0b0c0d0e0f" + "a0a1a2a3a4a5a6a7a8a9aaab",
			"800f1234decafbadcafebabe" + "c5002ede04cfdd2eb91159e0880aa06e" + "d2976826f796b201df3131a127e8a392",
		},
	} {
		raw, _ := hex.DecodeString(c.key)
		keys := sdp.Keys{Suite: c.suite, Send: sdp.Key(raw), Receive: sdp.Key(raw)}
		s, err := newSealer(keys)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := hex.DecodeString(plain)
		out, ok := s.packet(append(make([]byte, 0, packetSize), b...))
		if got := hex.EncodeToString(out); !ok || got != c.sealed {
			t.Errorf("%s: %s, want %s", c.suite, got, c.sealed)
		}
		o, err := newOpener(keys)
		if err != nil {
			t.Fatal(err)
		}
		want, _ := hex.DecodeString(c.sealed)
		if got, err := o.packet(nil, want); err != nil || hex.EncodeToString(got) != plain {
			t.Errorf("%s: opened %x, %v", c.suite, got, err)
		}
	}
}

// Keys that are none of their suite are refused by Apply.
func TestBadKeysAreRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t, negotiated())
	short := keyed(sdp.AES128SHA80, "a", "b")
	short.Receive = "short"
	for _, k := range []sdp.Keys{{Suite: "X"}, {Suite: sdp.AES128GCM}, short} {
		if err := r.Apply(secured(k)); err == nil {
			t.Errorf("%v was applied", k.Suite)
		}
	}
}

// What encryption adds: a packet of 20 ms each way, 50 times a second.
func BenchmarkSRTP(b *testing.B) {
	for suite := range suiteKeys {
		b.Run(string(suite), func(b *testing.B) {
			b.ReportAllocs()
			k := keyed(suite, "our key ", "their key ")
			far := newSecret(b, peer, k)
			o, err := newOpener(reversed(k))
			if err != nil {
				b.Fatal(err)
			}
			var buf, dst [packetSize]byte
			for b.Loop() {
				header{seq: far.seq, ts: far.ts, ssrc: 1}.put(buf[:])
				copy(buf[headerSize:], loudFrame)
				far.seq++
				sealed, _ := far.sealer.packet(buf[:headerSize+160])
				if _, err := o.packet(dst[:0], sealed); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(b.Elapsed().Seconds()*1000/float64(b.N)*50, "core-ms/call-s")
		})
	}
}
