package sdp

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// body is lines joined as RFC 8866 wants them.
func body(lines ...string) []byte { return []byte(strings.Join(lines, "\r\n") + "\r\n") }

var plainOffer = body(
	"v=0", "o=alice 2890844526 2890844526 IN IP4 192.0.2.7", "s=-", "c=IN IP4 192.0.2.7", "t=0 0",
	"m=audio 49170 RTP/AVP 8 0 101", "a=rtpmap:8 PCMA/8000", "a=rtpmap:0 PCMU/8000",
	"a=rtpmap:101 telephone-event/8000", "a=fmtp:101 0-16", "a=ptime:20", "a=sendrecv",
)

func TestParseIsTolerant(t *testing.T) {
	t.Parallel()
	want := netip.MustParseAddrPort("192.0.2.7:49170")
	for _, tt := range []struct{ name, body string }{
		{"as the standard says", string(plainOffer)},
		{"no newline after the last line", strings.TrimRight(string(plainOffer), "\r\n")},
		{"bare line feeds", strings.ReplaceAll(string(plainOffer), "\r", "")},
		{"a user name with spaces", strings.Replace(string(plainOffer), "o=alice", "o=My Old PBX", 1)},
		{"the address after the time", strings.Replace(string(plainOffer), "c=IN IP4 192.0.2.7\r\nt=0 0",
			"t=0 0\r\nc=IN IP4 192.0.2.7", 1)},
		{"the address below the m-line", strings.Replace(string(plainOffer), "c=IN IP4 192.0.2.7\r\n", "", 1) +
			"c=IN IP4 192.0.2.7\r\n"},
		{"a session id of 2^64-1", strings.Replace(string(plainOffer), "2890844526", "18446744073709551615", 1)},
		{"a session id no integer holds", strings.Replace(string(plainOffer), "2890844526", strings.Repeat("9", 60), 1)},
		{"unknown and junk lines", strings.Replace(string(plainOffer), "s=-",
			"s=-\r\nx=what\r\n???\r\ni=\r\nq\r\n=\r\nz=0", 1)},
		{"junk attributes", string(plainOffer) + "a=\r\na=:\r\na=rtpmap:\r\na=rtpmap:zz/8\r\na=rtpmap:300 X/Y\r\na=fmtp\r\na=ptime:x\r\na=crypto:1\r\n"},
		{"no session name and no time", strings.NewReplacer("s=-\r\n", "", "t=0 0\r\n", "").Replace(string(plainOffer))},
		{"an empty session name", strings.Replace(string(plainOffer), "s=-", "s=", 1)},
		{"no origin", strings.Replace(string(plainOffer), "o=alice 2890844526 2890844526 IN IP4 192.0.2.7\r\n", "", 1)},
		{"a short origin", strings.Replace(string(plainOffer), "o=alice 2890844526 2890844526 IN IP4 192.0.2.7", "o=- 1", 1)},
		{"a name in the origin", strings.Replace(string(plainOffer), "IN IP4 192.0.2.7\r\ns", "IN IP4 pbx.example\r\ns", 1)},
		{"spaces around", strings.ReplaceAll(string(plainOffer), "\r\n", "  \r\n ")},
		{"many spaces in the m-line", strings.Replace(string(plainOffer), "m=audio 49170 RTP/AVP 8",
			"m=audio   49170 RTP/AVP  8", 1)},
		{"a number of ports", strings.Replace(string(plainOffer), "49170 RTP", "49170/1 RTP", 1)},
		{"a time to live behind the address", strings.Replace(string(plainOffer), "c=IN IP4 192.0.2.7",
			"c=IN IP4 192.0.2.7/127", 1)},
		{"lower case", strings.NewReplacer("PCMA", "pcma", "RTP/AVP", "rtp/avp", "audio",
			"AUDIO").Replace(string(plainOffer))},
		{"control characters", strings.Replace(string(plainOffer), "a=sendrecv", "a=send\x00recv", 1)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, err := Parse([]byte(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			_, n, err := Answer(s, local4, Capabilities{})
			if err != nil {
				t.Fatal(err)
			}
			if n.Remote != want || n.Codec.Name == "" || n.Codec.PT != 8 || n.EventPT != 101 || !n.Send || !n.Receive {
				t.Errorf("got %+v", n)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, body string
		line       int
		want       string
	}{
		{"nothing", "", 0, "no session description"},
		{"something else", "hello\r\nworld\r\n", 0, "no session description"},
		{"a port that is no number", "v=0\r\nm=audio x RTP/AVP 0\r\n", 2, "port"},
		{"a port that is too large", "v=0\r\nm=audio 65536 RTP/AVP 0\r\n", 2, "port"},
		{"a negative port", "v=0\r\nm=audio -1 RTP/AVP 0\r\n", 2, "port"},
		{"a cut m-line", "v=0\r\ns=-\r\nm=audio 5000\r\n", 3, "2 words"},
		{"SEC-12: more than 16 KB", "v=0\r\n" + strings.Repeat("a=x\r\n", 4000), 0, "at most 16384"},
		{
			"SEC-12: more than 8 m-lines", "v=0\r\n" + strings.Repeat("m=audio 5000 RTP/AVP 0\r\n", 9), 10,
			"more than 8 m-lines",
		},
		{
			"SEC-12: more than 64 formats", "v=0\r\nm=audio 5000 RTP/AVP" + strings.Repeat(" 0", 65) + "\r\n", 2,
			"more than 64 formats",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := Parse([]byte(tt.body))
			var e *Error
			if !errors.As(err, &e) || e.Line != tt.line || !strings.Contains(err.Error(), tt.want) || e.Code != WarnParameter {
				t.Fatalf("got %v", err)
			}
		})
	}
}

func TestBoundsAreTakenFull(t *testing.T) {
	t.Parallel()
	b := "v=0\r\nc=IN IP4 192.0.2.7\r\n" + strings.Repeat("m=audio 5000 RTP/AVP"+strings.Repeat(" 0",
		MaxFormats)+"\r\n", MaxMedia)
	b += strings.Repeat("a", MaxSize-len(b))
	if _, err := Parse([]byte(b)); err != nil {
		t.Fatal(err)
	}
}

func TestMarshalIsStrict(t *testing.T) {
	t.Parallel()
	s,
		err := Parse([]byte("m=audio 5000 RTP/AVP 0 \na=sendonly \na= ptime : 30\nt=1 2\nc=IN IP6 2001:db8::1\no=a b 1 2 IN IP4 h\nx=y"))
	if err != nil {
		t.Fatal(err)
	}
	want := "v=0\r\no=a_b 1 2 IN IP4 h\r\ns=-\r\nt=0 0\r\nm=audio 5000 RTP/AVP 0\r\nc=IN IP6 2001:db8::1\r\na=sendonly\r\na=ptime:30\r\n"
	if got := string(s.Marshal()); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestMarshalCannotStartALine(t *testing.T) {
	t.Parallel()
	s := Offer(Local{Addr: local4.Addr, Port: 5000}, Capabilities{Codecs: []Codec{{
		Name: "X\r\na=evil", PT: 96,
		ClockRate: 8000, Fmtp: "y\r\nm=video 1 RTP/AVP 1",
	}}})
	for line := range strings.SplitSeq(string(s.Marshal()), "\r\n") {
		if strings.HasPrefix(line, "a=evil") || strings.HasPrefix(line, "m=video") || strings.ContainsAny(line, "\r\n") {
			t.Errorf("line %q", line)
		}
	}
}

func TestCodecs(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, media string
		want        string
	}{
		{"static types without an rtpmap", "0 8 9 13", "PCMU/8000@0 PCMA/8000@8 G722/8000@9 CN/8000@13"},
		{"a dynamic type without an rtpmap has no meaning", "0 96", "PCMU/8000@0"},
		{"a dynamic type for a static codec", "97\r\na=rtpmap:97 PCMA/8000", "PCMA/8000@97"},
		{"the true rate of G.722", "9\r\na=rtpmap:9 G722/16000", "G722/8000@9"},
		{"two channels", "111\r\na=rtpmap:111 opus/48000/2", "opus/48000/2@111"},
		{"a format twice", "0 0 8", "PCMU/8000@0 PCMA/8000@8"},
		{"formats that are no payload types", "* t38 -1 128 999999999999999999999 8", "PCMA/8000@8"},
		{"an rtpmap with a rate of nothing", "96 8\r\na=rtpmap:96 X/0", "PCMA/8000@8"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, err := Parse([]byte("v=0\r\nm=audio 1 RTP/AVP " + tt.media + "\r\n"))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, c := range s.Media[0].Codecs() {
				_, name, _ := strings.Cut(c.rtpmap().Value, " ")
				got = append(got, fmt.Sprintf("%s@%d", name, c.PT))
			}
			if g := strings.Join(got, " "); g != tt.want {
				t.Errorf("got %s, want %s", g, tt.want)
			}
		})
	}
}

func TestPacketTime(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	for _, tt := range []struct {
		attrs string
		want  time.Duration
	}{
		{"", 20 * ms},
		{"a=ptime:10", 10 * ms},
		{"a=ptime:20", 20 * ms},
		{"a=ptime: 30", 30 * ms},
		{"a=ptime:40.0", 40 * ms},
		{"a=ptime:60", 20 * ms},
		{"a=ptime:0", 20 * ms},
		{"a=ptime:NaN", 20 * ms},
		{"a=ptime:-20", 20 * ms},
		{"a=ptime:1e300", 20 * ms},
		{"a=maxptime:10", 10 * ms},
		{"a=maxptime:5", 10 * ms},
		{"a=maxptime:150", 20 * ms},
		{"a=ptime:40\r\na=maxptime:30", 30 * ms},
	} {
		s, err := Parse([]byte("v=0\r\nm=audio 1 RTP/AVP 0\r\n" + tt.attrs))
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Media[0].packetTime(DefaultPTime); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.attrs, got, tt.want)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(plainOffer); err != nil {
			b.Fatal(err)
		}
	}
}
