package sdp

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"slices"
	"strconv"
	"strings"
)

// Suite is what SRTP encrypts and authenticates with, as registered for SDES
// (RFC 4568 section 6.2, RFC 6188, RFC 7714).
type Suite string

// The suites, in the order we offer them: first the one that every peer has.
const (
	AES128SHA80 Suite = "AES_CM_128_HMAC_SHA1_80"
	AES128GCM   Suite = "AEAD_AES_128_GCM"
	AES256SHA80 Suite = "AES_256_CM_HMAC_SHA1_80"
	AES256GCM   Suite = "AEAD_AES_256_GCM"
	AES128SHA32 Suite = "AES_CM_128_HMAC_SHA1_32"
	AES256SHA32 Suite = "AES_256_CM_HMAC_SHA1_32"
)

// suites have the length of each suite's master key and of its salt, bytes.
var suites = []struct {
	name      Suite
	key, salt int
}{
	{AES128SHA80, 16, 14},
	{AES128GCM, 16, 12},
	{AES256SHA80, 32, 14},
	{AES256GCM, 32, 12},
	{AES128SHA32, 16, 14},
	{AES256SHA32, 32, 14},
}

// otherNames are how some telephones write a suite.
var otherNames = map[string]Suite{
	"AES_CM_256_HMAC_SHA1_80": AES256SHA80, "AES_CM_256_HMAC_SHA1_32": AES256SHA32,
}

// Split cuts a key of the suite into master key and salt; empty where it is
// none of ours, or no key of it.
func (s Suite) Split(k Key) (key, salt []byte) {
	for _, o := range suites {
		if o.name == s && len(k) == o.key+o.salt {
			return []byte(k[:o.key]), []byte(k[o.key:])
		}
	}
	return nil, nil
}

// Key is a master key and its salt, as bytes. It is shown to nobody (SEC-10).
type Key string

// String hides the key from every log.
func (k Key) String() string {
	if k == "" {
		return ""
	}
	return "[redacted]"
}

// GoString is what %#v prints.
func (k Key) GoString() string { return strconv.Quote(k.String()) }

// newKey is a fresh key of the suite.
func (s Suite) newKey() Key {
	for _, o := range suites {
		if o.name == s {
			b := make([]byte, o.key+o.salt)
			_, _ = rand.Read(b) // never fails
			return Key(b)
		}
	}
	return ""
}

// Crypto is one key of SDES, a=crypto (RFC 4568 section 9.1): with it the one
// who writes it will encrypt.
type Crypto struct {
	Tag   int
	Suite Suite
	Name  string // of the suite, as written; "": Suite
	Key   Key
	MKI   string // master key identifier, bytes that stand in every packet; "": none
}

// attr writes the key. A lifetime is not given: it is that of the suite.
func (c Crypto) attr() Attr {
	name := c.Name
	if name == "" {
		name = string(c.Suite)
	}
	return Attr{"crypto", strconv.Itoa(c.Tag) + " " + name + " inline:" + base64.StdEncoding.EncodeToString([]byte(c.Key))}
}

// Cryptos are the SDES keys of the m-line that can be used.
func (m *Media) Cryptos() []Crypto {
	var list []Crypto
	for _, a := range m.Attrs {
		if !strings.EqualFold(a.Key, "crypto") {
			continue
		}
		if c, ok := parseCrypto(a.Value); ok {
			list = append(list, c)
		}
	}
	return list
}

// parseCrypto reads "1 AES_CM_128_HMAC_SHA1_80 inline:KEY|2^20|1:4 WSH=64". A
// lifetime is read over: no call lasts as long as the shortest that makes sense.
func parseCrypto(value string) (Crypto, bool) {
	f := strings.Fields(value)
	if len(f) < 3 {
		return Crypto{}, false
	}
	tag, err := strconv.ParseUint(f[0], 10, 30)
	if err != nil || len(f[0]) > 9 {
		return Crypto{}, false
	}
	c := Crypto{Tag: int(tag), Name: f[1], Suite: Suite(strings.ToUpper(f[1]))} //nolint:gosec // 30 bits
	if s, ok := otherNames[string(c.Suite)]; ok {
		c.Suite = s
	}
	inline, ok := cutFold(f[2], "inline:")
	if !ok || strings.Contains(inline, ";") { // several keys, told by MKI: nobody sends them
		return Crypto{}, false
	}
	parts := strings.Split(inline, "|")
	key, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(parts[0], "=")) // some leave the = out
	if err != nil {
		return Crypto{}, false
	}
	c.Key = Key(key)
	if master, _ := c.Suite.Split(c.Key); master == nil {
		return Crypto{}, false
	}
	for _, p := range parts[1:] {
		value, length, isMKI := strings.Cut(p, ":")
		if !isMKI {
			continue
		}
		if c.MKI, ok = parseMKI(value, length); !ok {
			return Crypto{}, false
		}
	}
	return c, !slices.ContainsFunc(f[3:], demanding)
}

// maxMKI bounds the identifier (RFC 4568 section 6.1), bytes.
const maxMKI = 128

// parseMKI reads the identifier and its length in bytes.
func parseMKI(value, length string) (string, bool) {
	v, err := strconv.ParseUint(value, 10, 64)
	n, err2 := strconv.ParseUint(length, 10, 8)
	if err != nil || err2 != nil || n == 0 || n > maxMKI || n < 8 && v>>(8*n) != 0 {
		return "", false
	}
	b := make([]byte, max(n, 8))
	binary.BigEndian.PutUint64(b[len(b)-8:], v)
	return string(b[uint64(len(b))-n:]), true
}

// demanding tells a session parameter that we would have to follow and do not
// (RFC 4568 section 6.3): another key derivation rate, no encryption, no
// authentication, forward error correction, and what nobody knows, unless its
// dash says that it may be passed over. WSH is only a hint.
func demanding(param string) bool {
	name, value, _ := strings.Cut(strings.ToUpper(param), "=")
	return !strings.HasPrefix(name, "-") && name != "WSH" && (name != "KDR" || value != "0")
}

func cutFold(s, prefix string) (string, bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return s, false
	}
	return s[len(prefix):], true
}

// SRTP is whether media is encrypted.
type SRTP string

// The policies: nothing, as the peer can, or not without.
const (
	SRTPOff      SRTP = ""
	SRTPOptional SRTP = "optional"
	SRTPRequired SRTP = "required"
)

// Keys are what SDES has agreed on. The zero Keys mean RTP in the clear.
type Keys struct {
	Suite         Suite
	Send, Receive Key
	MKI           string // in the packets we receive
}

// is tells whether two keys are of one suite.
func (c Crypto) is(o Crypto) bool { return c.Suite == o.Suite }

// usable is the peer's key that we can take, of those that are offered the
// first, with the key of ours that answers it.
func usable(theirs []Crypto, ours []Crypto) (answer Crypto, k Keys, ok bool) {
	for _, c := range theirs {
		i := slices.IndexFunc(ours, c.is)
		if i >= 0 {
			answer = Crypto{Tag: c.Tag, Suite: c.Suite, Name: c.Name, Key: ours[i].Key}
			return answer, Keys{c.Suite, ours[i].Key, c.Key, c.MKI}, true
		}
	}
	return answer, k, false
}

// answered is the key that answers one of ours: of its tag and suite.
func answered(theirs []Crypto, ours []Crypto) (Keys, bool) {
	for _, c := range theirs {
		for _, o := range ours {
			if o.Tag == c.Tag && o.Suite == c.Suite {
				return Keys{c.Suite, o.Key, c.Key, c.MKI}, true
			}
		}
	}
	return Keys{}, false
}

// newCryptos are fresh keys of every suite.
func newCryptos() []Crypto {
	list := make([]Crypto, 0, len(suites))
	for i, s := range suites {
		list = append(list, Crypto{Tag: i + 1, Suite: s.name, Key: s.name.newKey()})
	}
	return list
}
