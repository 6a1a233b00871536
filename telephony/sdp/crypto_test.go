package sdp

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

// What RFC 4568 and telephones write, and what of it can be used.
func TestCryptosAreRead(t *testing.T) {
	t.Parallel()
	decode := func(s string) Key {
		b, err := base64.StdEncoding.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return Key(b)
	}
	const k30 = "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz"
	k46 := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, 46))
	k28 := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{8}, 28))
	k44 := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{9}, 44))
	mki := func(n int) string { return strings.Repeat("\x00", n-1) + "\x01" }
	for _, c := range []struct {
		name, value string
		want        Crypto
		bad         bool
	}{
		{
			name: "RFC 4568 section 9.1, with a lifetime and an MKI", value: "1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj|2^20|1:32",
			want: Crypto{1, AES128SHA80, "AES_CM_128_HMAC_SHA1_80", decode("d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj"), mki(32)},
		},
		{
			name: "RFC 4568 appendix A", value: "1 AES_CM_128_HMAC_SHA1_32 inline:NzB4d1BINUAvLEw6UzF3WSJ+PSdFcGdUJShpX1Zj|2^20|1:32",
			want: Crypto{1, AES128SHA32, "AES_CM_128_HMAC_SHA1_32", decode("NzB4d1BINUAvLEw6UzF3WSJ+PSdFcGdUJShpX1Zj"), mki(32)},
		},
		{
			name: "a short MKI", value: "2 AES_CM_128_HMAC_SHA1_80 inline:PS1uQCVeeCFCanVmcjkpPywjNWhcYD0mXXtxaVBR|2^20|1:4",
			want: Crypto{2, AES128SHA80, "AES_CM_128_HMAC_SHA1_80", decode("PS1uQCVeeCFCanVmcjkpPywjNWhcYD0mXXtxaVBR"), mki(4)},
		},
		{
			name: "an MKI without a lifetime", value: "2 AES_CM_128_HMAC_SHA1_80 inline:" + k30 + "|66051:3",
			want: Crypto{2, AES128SHA80, "AES_CM_128_HMAC_SHA1_80", decode(k30), "\x01\x02\x03"},
		},
		{
			name: "a lifetime in full", value: "7 AES_CM_128_HMAC_SHA1_80 inline:" + k30 + "|1048576",
			want: Crypto{7, AES128SHA80, "AES_CM_128_HMAC_SHA1_80", decode(k30), ""},
		},
		{
			name: "RFC 6188", value: "3 AES_256_CM_HMAC_SHA1_80 inline:" + k46,
			want: Crypto{3, AES256SHA80, "AES_256_CM_HMAC_SHA1_80", decode(k46), ""},
		},
		{
			name: "the same without padding, by the other name", value: "3 AES_CM_256_HMAC_SHA1_32 inline:" + strings.TrimRight(k46, "="),
			want: Crypto{3, AES256SHA32, "AES_CM_256_HMAC_SHA1_32", decode(k46), ""},
		},
		{
			name: "RFC 7714", value: "4 AEAD_AES_128_GCM inline:" + k28,
			want: Crypto{4, AES128GCM, "AEAD_AES_128_GCM", decode(k28), ""},
		},
		{
			name: "RFC 7714, 256 bits", value: "5 AEAD_AES_256_GCM inline:" + k44 + "|2^48",
			want: Crypto{5, AES256GCM, "AEAD_AES_256_GCM", decode(k44), ""},
		},
		{
			name: "hints and what may be passed over", value: "1 AES_CM_128_HMAC_SHA1_80 inline:" + k30 + " WSH=64 -NEW=1 KDR=0",
			want: Crypto{1, AES128SHA80, "AES_CM_128_HMAC_SHA1_80", decode(k30), ""},
		},
		{
			name: "two keys", bad: true, value: "2 AES_CM_128_HMAC_SHA1_80 inline:" + k30 + "|2^20|1:4;inline:" + k30 + "|2^20|2:4 FEC_ORDER=FEC_SRTP",
		},
		{name: "F8", bad: true, value: "2 F8_128_HMAC_SHA1_80 inline:" + k30},
		{name: "no encryption", bad: true, value: "1 AES_CM_128_HMAC_SHA1_80 inline:" + k30 + " UNENCRYPTED_SRTP"},
		{name: "reports without encryption", bad: true, value: "1 AES_CM_128_HMAC_SHA1_80 inline:" + k30 + " UNENCRYPTED_SRTCP"},
		{name: "no authentication", bad: true, value: "1 AES_CM_128_HMAC_SHA1_80 inline:" + k30 + " UNAUTHENTICATED_SRTP"},
		{name: "keys derived anew", bad: true, value: "1 AES_CM_128_HMAC_SHA1_80 inline:" + k30 + " KDR=16"},
		{name: "what nobody knows", bad: true, value: "1 AES_CM_128_HMAC_SHA1_80 inline:" + k30 + " NEW=1"},
		{name: "a key too short", bad: true, value: "1 AEAD_AES_256_GCM inline:" + k30},
		{name: "no base64", bad: true, value: "1 AES_CM_128_HMAC_SHA1_80 inline:%%%"},
		{name: "a key elsewhere", bad: true, value: "1 AES_CM_128_HMAC_SHA1_80 uri:https://x"},
		{name: "an MKI that does not fit its length", bad: true, value: "1 AES_CM_128_HMAC_SHA1_80 inline:" + k30 + "|256:1"},
		{name: "an MKI too long", bad: true, value: "1 AES_CM_128_HMAC_SHA1_80 inline:" + k30 + "|1:129"},
		{name: "no tag", bad: true, value: "x AES_CM_128_HMAC_SHA1_80 inline:" + k30},
		{name: "junk", bad: true, value: "junk"},
	} {
		m := Media{Attrs: []Attr{{"crypto", c.value}}}
		got := m.Cryptos()
		if c.bad && got != nil || !c.bad && !reflect.DeepEqual(got, []Crypto{c.want}) {
			t.Errorf("%s: %#v, want %#v", c.name, got, c.want)
		}
	}
}

// Keys show in no log, whoever prints what holds them (SEC-10).
func TestKeysAreNotShown(t *testing.T) {
	t.Parallel()
	secret := Key("canary-canary-canary-canary-ca")
	n := Negotiated{SRTP: Keys{AES128SHA80, secret, secret, ""}}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		if out := fmt.Sprintf(verb, n); strings.Contains(out, "canary") {
			t.Errorf("%s shows the key: %s", verb, out)
		}
	}
	if _, err := NewNegotiator(local4, Capabilities{SRTP: SRTPRequired}).Accept([]byte("v=0\r\na=crypto:1 X inline:canary\r\n")); err == nil || strings.Contains(err.Error(), "canary") {
		t.Errorf("%v", err)
	}
}

// Who offers and who answers by which policy, and what becomes of it (SEC-14).
func TestSRTPPolicies(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		offers, answers SRTP
		suite           Suite
		fails           bool
	}{
		{SRTPOff, SRTPOff, "", false},
		{SRTPOff, SRTPOptional, "", false},
		{SRTPOff, SRTPRequired, "", true},
		{SRTPOptional, SRTPOff, "", false},
		{SRTPOptional, SRTPOptional, AES128SHA80, false},
		{SRTPOptional, SRTPRequired, AES128SHA80, false},
		{SRTPRequired, SRTPOff, "", true},
		{SRTPRequired, SRTPOptional, AES128SHA80, false},
		{SRTPRequired, SRTPRequired, AES128SHA80, false},
	} {
		name := fmt.Sprintf("%q offered to %q", c.offers, c.answers)
		a, b := NewNegotiator(local4, Capabilities{SRTP: c.offers}), NewNegotiator(local4, Capabilities{SRTP: c.answers})
		offer := a.Offer()
		profile := "RTP/AVP "
		if c.offers == SRTPRequired {
			profile = "RTP/SAVP "
		}
		if !bytes.Contains(offer, []byte(profile)) || bytes.Contains(offer, []byte("a=crypto:")) != (c.offers != SRTPOff) {
			t.Errorf("%s: %s", name, offer)
		}
		body, view, err := b.Answer(offer)
		var bad *Error
		if c.fails {
			if !errors.As(err, &bad) || bad.Code != WarnTransport || (c.answers == SRTPRequired) != bad.Insecure {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		mine, err := a.Accept(body)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if view.SRTP.Suite != c.suite || mine.SRTP.Suite != c.suite ||
			view.SRTP.Send != mine.SRTP.Receive || view.SRTP.Receive != mine.SRTP.Send ||
			c.suite != "" && view.SRTP.Send == view.SRTP.Receive {
			t.Errorf("%s: two views, %s and %s", name, view.SRTP.Suite, mine.SRTP.Suite)
		}
	}
}

// An answer without the key of one of our lines ends what required SRTP, and
// takes nothing from what did not.
func TestAnswersToKeys(t *testing.T) {
	t.Parallel()
	good := "inline:" + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{5}, 30))
	for _, c := range []struct {
		name    string
		policy  SRTP
		profile string
		line    string
		suite   Suite
		fails   bool
	}{
		{"no key to required", SRTPRequired, "RTP/SAVP", "", "", true},
		{"the plain profile to required", SRTPRequired, "RTP/AVP", "", "", true},
		{"a key of a tag we do not have", SRTPRequired, "RTP/SAVP", "9 AES_CM_128_HMAC_SHA1_80 " + good, "", true},
		{"another suite than that of the tag", SRTPRequired, "RTP/SAVP", "2 AES_CM_128_HMAC_SHA1_80 " + good, "", true},
		{"the key", SRTPRequired, "RTP/SAVP", "1 AES_CM_128_HMAC_SHA1_80 " + good, AES128SHA80, false},
		{"the key in the plain profile", SRTPRequired, "RTP/AVP", "5 AES_CM_128_HMAC_SHA1_32 " + good, AES128SHA32, false},
		{"no key to optional", SRTPOptional, "RTP/AVP", "", "", false},
		{"a junk key to optional", SRTPOptional, "RTP/AVP", "1 AES_CM_128_HMAC_SHA1_80 inline:AAAA", "", false},
		{"the key to optional", SRTPOptional, "RTP/AVP", "1 AES_CM_128_HMAC_SHA1_80 " + good, AES128SHA80, false},
		{"the key in the secure profile to optional", SRTPOptional, "RTP/SAVP", "1 AES_CM_128_HMAC_SHA1_80 " + good, AES128SHA80, false},
		{"the secure profile without a key to optional", SRTPOptional, "RTP/SAVP", "", "", true},
	} {
		n := NewNegotiator(local4, Capabilities{SRTP: c.policy})
		n.Offer()
		lines := []string{"v=0", "c=IN IP4 192.0.2.7", "m=audio 6000 " + c.profile + " 0"}
		if c.line != "" {
			lines = append(lines, "a=crypto:"+c.line)
		}
		got, err := n.Accept(body(lines...))
		if (err != nil) != c.fails || got.SRTP.Suite != c.suite {
			t.Errorf("%s: %v, %v", c.name, got.SRTP.Suite, err)
		}
	}
}

// The tag and the name of the suite come back as they were written; the first
// line that can be used counts, and an encrypted stream before one in the clear.
func TestAnswerEchoesTheLine(t *testing.T) {
	t.Parallel()
	k46 := "inline:" + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, 46))
	k30 := "inline:" + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, 30))
	n := NewNegotiator(local4, Capabilities{SRTP: SRTPOptional})
	out, got, err := n.Answer(body("v=0", "c=IN IP4 192.0.2.7", "m=audio 5000 RTP/AVP 0", "m=audio 5002 RTP/SAVP 8 0",
		"a=crypto:3 F8_128_HMAC_SHA1_80 "+k30, "a=crypto:4 AES_CM_256_HMAC_SHA1_80 "+k46+"|2^31|1:1", "a=crypto:5 AES_CM_128_HMAC_SHA1_80 "+k30))
	if err != nil {
		t.Fatal(err)
	}
	s, _ := Parse(out)
	if s.Media[0].Port != 0 || s.Media[1].Port == 0 || s.Media[1].Proto != "RTP/SAVP" || len(s.Media[1].Cryptos()) != 1 {
		t.Fatalf("answer %s", out)
	}
	c := s.Media[1].Cryptos()[0]
	if c.Tag != 4 || c.Name != "AES_CM_256_HMAC_SHA1_80" || c.Suite != AES256SHA80 || c.MKI != "" || c.Key != got.SRTP.Send ||
		got.SRTP.MKI != "\x01" || got.Codec.Name != "PCMA" {
		t.Errorf("%+v, agreed %+v", c, got)
	}
}

// A key stays what it is for as long as nothing changes; another suite is
// another key, and no key comes back.
func TestKeysOverReoffers(t *testing.T) {
	t.Parallel()
	key := func(n byte) string {
		return "inline:" + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{n}, 30))
	}
	offer := func(suite string, n byte) []byte {
		return body("v=0", "c=IN IP4 192.0.2.7", "m=audio 5000 RTP/SAVP 0", "a=crypto:2 "+suite+" "+key(n))
	}
	n := NewNegotiator(local4, Capabilities{SRTP: SRTPRequired})
	const sha80, sha32 = "AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_32"
	first, a, err := n.Answer(offer(sha80, 1))
	if err != nil {
		t.Fatal(err)
	}
	again, b, _ := n.Answer(offer(sha80, 1))
	if !bytes.Equal(first, again) || a.SRTP != b.SRTP {
		t.Errorf("a refresh changes the body or the keys:\n%s\n%s", first, again)
	}
	rekeyed, c, _ := n.Answer(offer(sha80, 2))
	if !bytes.Equal(first, rekeyed) || c.SRTP.Send != a.SRTP.Send || c.SRTP.Receive == a.SRTP.Receive {
		t.Error("a new key of theirs changes ours, or is not taken")
	}
	ours := n.Offer()
	s, _ := Parse(ours)
	if have := s.Media[0].Cryptos(); len(have) != 1 || have[0].Key != a.SRTP.Send || have[0].Tag != 2 {
		t.Errorf("our own offer has not the one key in use:\n%s", ours)
	}
	if !bytes.Equal(ours, n.Offer()) {
		t.Error("our own offer changes though nothing does")
	}
	_, d, _ := n.Answer(offer(sha32, 3))
	_, e, _ := n.Answer(offer(sha80, 4))
	if d.SRTP.Send == a.SRTP.Send || e.SRTP.Send == a.SRTP.Send || e.SRTP.Send == d.SRTP.Send {
		t.Error("a key came back, or is that of another suite")
	}
	if _, _, err := n.Answer(body("v=0", "c=IN IP4 192.0.2.7", "m=audio 5000 RTP/AVP 0")); err == nil {
		t.Error("a re-offer in the clear is taken where SRTP is required")
	}
	if now, _ := n.Current(); now.SRTP != e.SRTP {
		t.Error("a refused offer changed the keys")
	}
	fresh := NewNegotiator(local4, Capabilities{SRTP: SRTPOptional})
	if bytes.Equal(fresh.Offer(), fresh.Offer()) {
		t.Error("two gateways are offered the same keys")
	}
}

func FuzzCrypto(f *testing.F) {
	f.Add("1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj|2^20|1:32")
	f.Add("2 AEAD_AES_128_GCM INLINE:CAgICAgICAgICAgICAgICAgICAgICAgICAgICA KDR=0 -X")
	f.Add("3 AES_CM_256_HMAC_SHA1_32 inline:BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBw|18446744073709551615:128")
	f.Fuzz(func(t *testing.T, value string) {
		c, ok := parseCrypto(value)
		if !ok {
			return
		}
		if master, salt := c.Suite.Split(c.Key); len(master) == 0 || len(salt) == 0 || len(c.MKI) > maxMKI {
			t.Fatalf("%q is read as %#v", value, c)
		}
		again, ok := parseCrypto(c.attr().Value)
		c.MKI = "" // ours have none
		if !ok || again != c {
			t.Fatalf("%q is read as %#v, and written again %#v", value, c, again)
		}
	})
}
