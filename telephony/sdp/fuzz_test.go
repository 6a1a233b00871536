package sdp

import (
	"net/netip"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func FuzzParse(f *testing.F) {
	f.Add(plainOffer)
	f.Add(Offer(local6, Capabilities{Mux: true}).Marshal())
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := Parse(b)
		if err != nil {
			return
		}
		out := s.Marshal()
		again, err := Parse(out)
		if len(out) > MaxSize {
			return // a short m-line without formats grows
		}
		if err != nil || !reflect.DeepEqual(s, again) {
			t.Fatalf("%q is read as\n%+v, written and read again as\n%+v, %v", b, s, again, err)
		}
		for _, l := range []Local{local4, local6} {
			if answer, n, err := Answer(s, l, Capabilities{}); err == nil {
				checkAnswer(t, s, answer, n)
			}
		}
		_, _ = Accept(Offer(local4, Capabilities{}), s)
		neg := NewNegotiator(local4, Capabilities{Codecs: []Codec{Opus, PCMU}, ComfortNoise: true})
		if _, _, err := neg.Answer(b); err == nil {
			if s, err := Parse(neg.Offer()); err != nil {
				t.Fatalf("our own offer after %q: %v", b, err)
			} else if len(s.Media) == 0 {
				t.Fatal("an offer without m-line")
			}
		}
		for _, policy := range []SRTP{SRTPOptional, SRTPRequired} {
			neg := NewNegotiator(local4, Capabilities{SRTP: policy})
			_, n, err := neg.Answer(b)
			if err == nil && policy == SRTPRequired && n.SRTP.Suite == "" {
				t.Fatalf("%q is answered in the clear", b) // SEC-14
			}
			neg = NewNegotiator(local4, Capabilities{SRTP: policy})
			neg.Offer()
			if n, err := neg.Accept(b); err == nil && policy == SRTPRequired && n.SRTP.Suite == "" {
				t.Fatalf("%q is accepted in the clear", b)
			}
		}
	})
}

// fataler is what *testing.T and *rapid.T share here.
type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

// checkAnswer holds what RFC 3264 section 6 wants of every answer.
func checkAnswer(t fataler, offer, answer *Session, n Negotiated) {
	t.Helper()
	if len(answer.Media) != len(offer.Media) {
		t.Fatalf("%d m-lines answered to %d", len(answer.Media), len(offer.Media))
	}
	taken := 0
	for i := range answer.Media {
		a, o := &answer.Media[i], &offer.Media[i]
		if a.Type != o.Type || a.Proto != o.Proto || len(a.Formats) == 0 {
			t.Fatalf("m-line %d: %+v answered to %+v", i, a, o)
		}
		if a.Port == 0 {
			continue
		}
		taken++
		theirs, mine := offer.Direction(o), answer.Direction(a)
		if o.Port == 0 || mine.Sends() && !theirs.Receives() || mine.Receives() && !theirs.Sends() {
			t.Fatalf("m-line %d: %s answered to %s, port %d", i, mine, theirs, o.Port)
		}
	}
	if taken != 1 || n.Codec.Name == "" || n.PTime < 10*time.Millisecond || n.PTime > 40*time.Millisecond {
		t.Fatalf("%d streams, %+v", taken, n)
	}
}

var word = rapid.StringMatching(`[A-Za-z0-9._-]{1,12}`)

func genAddr(t *rapid.T) netip.Addr {
	if rapid.Bool().Draw(t, "v6") {
		return netip.AddrFrom16([16]byte(append([]byte{0x20, 1, 0x0d, 0xb8}, rapid.SliceOfN(rapid.Byte(), 12,
			12).Draw(t, "addr")...)))
	}
	return netip.AddrFrom4([4]byte(append([]byte{192, 0, 2}, rapid.Byte().Draw(t, "addr"))))
}

func genAttrs(t *rapid.T) []Attr {
	var list []Attr
	for range rapid.IntRange(0, 4).Draw(t, "attributes") {
		list = append(list, Attr{Key: word.Draw(t, "key"), Value: rapid.OneOf(rapid.Just(""), word).Draw(t, "value")})
	}
	return list
}

func genConn(t *rapid.T) Conn {
	switch rapid.IntRange(0, 2).Draw(t, "conn") {
	case 0:
		return Conn{}
	case 1:
		return Conn{Host: "h" + rapid.StringMatching(`[a-z.]{1,8}`).Draw(t, "host")}
	}
	return Conn{Addr: genAddr(t)}
}

func TestParseReadsWhatMarshalWrites(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := &Session{
			Origin: Origin{
				User: "u" + word.Draw(t, "user"), ID: rapid.StringMatching(`[0-9]{1,40}`).Draw(t, "id"),
				Version: "1", Conn: Conn{Addr: genAddr(t)},
			},
			Name: rapid.OneOf(rapid.Just(""), rapid.Just("a call")).Draw(t, "name"),
			Conn: genConn(t), Attrs: genAttrs(t),
		}
		for range rapid.IntRange(0, MaxMedia).Draw(t, "m-lines") {
			s.Media = append(s.Media, Media{
				Type: word.Draw(t, "type"), Port: rapid.IntRange(0, 65535).Draw(t, "port"), Proto: word.Draw(t, "proto"),
				Formats: rapid.SliceOfN(word, 1, 10).Draw(t, "formats"), Conn: genConn(t), Attrs: genAttrs(t),
			})
		}
		again, err := Parse(s.Marshal())
		if err != nil || !reflect.DeepEqual(s, again) {
			t.Fatalf("written\n%+v\nread\n%+v, %v", s, again, err)
		}
	})
}

func TestEveryAnswerIsAcceptable(t *testing.T) {
	t.Parallel()
	all := []Codec{PCMU, PCMA, G722, Opus, {Name: "L16", PT: 100, ClockRate: 16000}}
	caps := func(t *rapid.T) Capabilities {
		return Capabilities{
			Codecs: rapid.SliceOfNDistinct(rapid.SampledFrom(all), 1, len(all),
				func(c Codec) string { return c.Name }).Draw(t, "codecs"),
			PTime: time.Duration(rapid.SampledFrom([]int{0, 10, 20, 30, 40}).Draw(t, "ptime")) * time.Millisecond,
			Mux:   rapid.Bool().Draw(t, "mux"), ComfortNoise: rapid.Bool().Draw(t, "CN"), NoEvents: rapid.Bool().Draw(t,
				"no events"),
		}
	}
	local := func(t *rapid.T, v6 bool) Local {
		l := local4
		if v6 {
			l = local6
		}
		l.Port = rapid.IntRange(1, 65535).Draw(t, "port")
		l.RTCPPort = rapid.SampledFrom([]int{0, 1234}).Draw(t, "RTCP port")
		l.Direction = rapid.SampledFrom([]Direction{"", SendRecv, SendOnly, RecvOnly, Inactive}).Draw(t, "direction")
		return l
	}
	rapid.Check(t, func(t *rapid.T) {
		v6 := rapid.Bool().Draw(t, "v6")
		offer := Offer(local(t, v6), caps(t))
		ours := local(t, v6)
		answer, theirView, err := Answer(offer, ours, caps(t))
		if err != nil {
			return // no codec in common
		}
		checkAnswer(t, offer, answer, theirView)
		view, err := Accept(offer, answer)
		if err != nil {
			t.Fatalf("%s\nis not acceptable to\n%s\n%v", answer.Marshal(), offer.Marshal(), err)
		}
		if !view.Codec.same(theirView.Codec) || view.Codec.PT != theirView.RecvPT || view.RecvPT != theirView.Codec.PT ||
			view.EventPT != theirView.RecvEvent || view.CNPT != theirView.CNPT || view.PTime != theirView.PTime ||
			view.Send != theirView.Receive || view.Receive != theirView.Send || view.RTCPMux != theirView.RTCPMux {
			t.Fatalf("two views:\n%+v\n%+v", view, theirView)
		}
	})
}
