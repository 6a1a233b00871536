package sdp

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"
)

var (
	local4 = Local{Addr: netip.MustParseAddr("198.51.100.1"), Port: 20000, SessionID: 7, Version: 1}
	local6 = Local{Addr: netip.MustParseAddr("2001:db8::1"), Port: 20000, SessionID: 7, Version: 1}
)

// offered is a session with these lines from the c= line on.
func offered(t *testing.T, lines ...string) *Session {
	t.Helper()
	s, err := Parse(body(append([]string{"v=0", "o=- 1 1 IN IP4 192.0.2.7", "s=-"}, lines...)...))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestAnswer(t *testing.T) {
	t.Parallel()
	const addr, head = "c=IN IP4 192.0.2.7",
		"v=0\r\no=- 7 1 IN IP4 198.51.100.1\r\ns=-\r\nc=IN IP4 198.51.100.1\r\nt=0 0\r\n"
	for _, tt := range []struct {
		name  string
		caps  Capabilities
		offer []string
		want  []string // from the first m-line on
	}{
		{
			name: "the first codec of theirs that we have, with their payload types",
			offer: []string{
				addr, "m=audio 5000 RTP/AVP 18 97 0 96 98", "a=rtpmap:97 PCMA/8000",
				"a=rtpmap:96 telephone-event/8000", "a=rtpmap:98 CN/8000",
			},
			want: []string{
				"m=audio 20000 RTP/AVP 97 96 98", "a=rtpmap:97 PCMA/8000",
				"a=rtpmap:96 telephone-event/8000", "a=fmtp:96 0-15", "a=rtpmap:98 CN/8000", "a=ptime:20", "a=sendrecv",
			},
		},
		{
			name: "every other m-line is refused in its place",
			offer: []string{
				addr, "m=video 4000 RTP/AVP 31 96", "a=rtpmap:96 H264/90000", "m=audio 0 RTP/AVP 0", "m=audio 5000 RTP/AVP 0",
				"m=image 5004 udptl t38", "m=audio 5006 RTP/AVP 8", "m=application 9 DTLS/SCTP 5000",
			},
			want: []string{
				"m=video 0 RTP/AVP 31 96", "m=audio 0 RTP/AVP 0", "m=audio 20000 RTP/AVP 0", "a=rtpmap:0 PCMU/8000", "a=ptime:20",
				"a=sendrecv", "m=image 0 udptl t38", "m=audio 0 RTP/AVP 8", "m=application 0 DTLS/SCTP 5000",
			},
		},
		{
			name:  "30 ms packets",
			offer: []string{addr, "m=audio 5000 RTP/AVP 8", "a=ptime:30"},
			want:  []string{"m=audio 20000 RTP/AVP 8", "a=rtpmap:8 PCMA/8000", "a=ptime:30", "a=sendrecv"},
		},
		{
			name: "telephone-event by the clock of the audio",
			caps: Capabilities{Codecs: []Codec{Opus}},
			offer: []string{
				addr, "m=audio 5000 RTP/AVP 0 96 101 110", "a=rtpmap:96 OPUS/48000/2",
				"a=rtpmap:101 telephone-event/8000", "a=rtpmap:110 telephone-event/48000", "a=fmtp:96 useinbandfec=0",
			},
			want: []string{
				"m=audio 20000 RTP/AVP 96 110", "a=rtpmap:96 OPUS/48000/2",
				"a=fmtp:96 maxplaybackrate=16000;maxaveragebitrate=24000;useinbandfec=1",
				"a=rtpmap:110 telephone-event/48000", "a=fmtp:110 0-15", "a=ptime:20", "a=sendrecv",
			},
		},
		{
			name: "telephone-event of another clock than the only codec's",
			caps: Capabilities{Codecs: []Codec{Opus}},
			offer: []string{
				addr, "m=audio 5000 RTP/AVP 96 101", "a=rtpmap:96 opus/48000/2", "a=rtpmap:101 telephone-event/8000",
			},
			want: []string{
				"m=audio 20000 RTP/AVP 96 101", "a=rtpmap:96 opus/48000/2",
				"a=fmtp:96 maxplaybackrate=16000;maxaveragebitrate=24000;useinbandfec=1",
				"a=rtpmap:101 telephone-event/8000", "a=fmtp:101 0-15", "a=ptime:20", "a=sendrecv",
			},
		},
		{
			name: "telephone-event at 16 kHz",
			caps: Capabilities{Codecs: []Codec{{Name: "L16", PT: 96, ClockRate: 16000}}},
			offer: []string{
				addr, "m=audio 5000 RTP/AVP 96 97 98", "a=rtpmap:96 L16/16000",
				"a=rtpmap:97 telephone-event/8000", "a=rtpmap:98 telephone-event/16000",
			},
			want: []string{
				"m=audio 20000 RTP/AVP 96 98", "a=rtpmap:96 L16/16000", "a=rtpmap:98 telephone-event/16000",
				"a=fmtp:98 0-15", "a=ptime:20", "a=sendrecv",
			},
		},
		{
			name:  "no telephone-event where we have none",
			caps:  Capabilities{NoEvents: true},
			offer: []string{addr, "m=audio 5000 RTP/AVP 0 101", "a=rtpmap:101 telephone-event/8000"},
			want:  []string{"m=audio 20000 RTP/AVP 0", "a=rtpmap:0 PCMU/8000", "a=ptime:20", "a=sendrecv"},
		},
		{
			name:  "rtcp-mux where it is offered",
			offer: []string{addr, "m=audio 5000 RTP/AVP 0", "a=rtcp-mux"},
			want:  []string{"m=audio 20000 RTP/AVP 0", "a=rtpmap:0 PCMU/8000", "a=ptime:20", "a=rtcp-mux", "a=sendrecv"},
		},
		{
			name:  "the profile of the offer",
			offer: []string{addr, "m=audio 5000 RTP/AVPF 0", "a=rtcp-fb:* nack"},
			want:  []string{"m=audio 20000 RTP/AVPF 0", "a=rtpmap:0 PCMU/8000", "a=ptime:20", "a=sendrecv"},
		},
		{
			name:  "keys in a plain profile are passed over",
			offer: []string{addr, "m=audio 5000 RTP/AVP 0", "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:AAAA"},
			want:  []string{"m=audio 20000 RTP/AVP 0", "a=rtpmap:0 PCMU/8000", "a=ptime:20", "a=sendrecv"},
		},
		{
			name:  "a secure stream and a plain one",
			offer: []string{addr, "m=audio 5000 RTP/SAVP 0", "m=audio 5002 RTP/AVP 0"},
			want: []string{
				"m=audio 0 RTP/SAVP 0", "m=audio 20000 RTP/AVP 0", "a=rtpmap:0 PCMU/8000", "a=ptime:20",
				"a=sendrecv",
			},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, _, err := Answer(offered(t, tt.offer...), local4, tt.caps)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := string(s.Marshal()), head+string(body(tt.want...)); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func TestAnswerHold(t *testing.T) {
	t.Parallel()
	const v4, zero = "c=IN IP4 192.0.2.7", "c=IN IP4 0.0.0.0"
	for _, tt := range []struct {
		name                string
		session, media      []string // lines above and below the m-line
		ours                Direction
		want                Direction
		send, receive, held bool
	}{
		{"nothing said", []string{v4}, nil, "", SendRecv, true, true, false},
		{"sendonly holds", []string{v4}, []string{"a=sendonly"}, "", RecvOnly, false, true, true},
		{"recvonly", []string{v4}, []string{"a=recvonly"}, "", SendOnly, true, false, false},
		{"inactive holds", []string{v4}, []string{"a=inactive"}, "", Inactive, false, false, true},
		{"said for the session", []string{v4, "a=sendonly"}, nil, "", RecvOnly, false, true, true},
		{
			"the m-line wins over the session",
			[]string{v4, "a=inactive"},
			[]string{"a=sendrecv"},
			"", SendRecv, true,
			true, false,
		},
		{"an address of nothing holds", []string{zero}, []string{"a=sendrecv"}, "", Inactive, false, false, true},
		{"an address of nothing below the m-line", []string{v4}, []string{zero}, "", Inactive, false, false, true},
		{"an IPv6 address of nothing", []string{"c=IN IP6 ::"}, nil, "", Inactive, false, false, true},
		{"we hold them", []string{v4}, nil, SendOnly, SendOnly, true, false, false},
		{"both hold", []string{v4}, []string{"a=sendonly"}, SendOnly, Inactive, false, false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l := local4
			l.Direction = tt.ours
			s, n, err := Answer(offered(t, append(append(tt.session, "m=audio 5000 RTP/AVP 0"), tt.media...)...), l,
				Capabilities{})
			if err != nil {
				t.Fatal(err)
			}
			if got := s.Direction(&s.Media[0]); got != tt.want {
				t.Errorf("answered %s, want %s", got, tt.want)
			}
			if n.Send != tt.send || n.Receive != tt.receive || n.Held != tt.held {
				t.Errorf("send %v receive %v held %v", n.Send, n.Receive, n.Held)
			}
		})
	}
}

func TestAnswerRemote(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name      string
		local     Local
		offer     []string
		rtp, rtcp string
		mux       bool
	}{
		{
			"the session's address and the next port", local4,
			[]string{"c=IN IP4 192.0.2.7", "m=audio 5000 RTP/AVP 0"},
			"192.0.2.7:5000", "192.0.2.7:5001", false,
		},
		{"the m-line's address wins", local4, []string{
			"c=IN IP4 192.0.2.7", "m=audio 5000 RTP/AVP 0",
			"c=IN IP4 192.0.2.8",
		}, "192.0.2.8:5000", "192.0.2.8:5001", false},
		{
			"a port for RTCP", local4,
			[]string{"c=IN IP4 192.0.2.7", "m=audio 5000 RTP/AVP 0", "a=rtcp:5100"},
			"192.0.2.7:5000", "192.0.2.7:5100", false,
		},
		{"a port and address for RTCP", local4, []string{
			"c=IN IP4 192.0.2.7", "m=audio 5000 RTP/AVP 0",
			"a=rtcp:5100 IN IP4 192.0.2.9",
		}, "192.0.2.7:5000", "192.0.2.9:5100", false},
		{"one port for both", local4, []string{
			"c=IN IP4 192.0.2.7", "m=audio 5000 RTP/AVP 0", "a=rtcp:5100",
			"a=rtcp-mux",
		}, "192.0.2.7:5000", "192.0.2.7:5000", true},
		{
			"junk for RTCP", local4,
			[]string{"c=IN IP4 192.0.2.7", "m=audio 5000 RTP/AVP 0", "a=rtcp:70000"},
			"192.0.2.7:5000", "192.0.2.7:5001", false,
		},
		{
			"the last port", local4,
			[]string{"c=IN IP4 192.0.2.7", "m=audio 65535 RTP/AVP 0"},
			"192.0.2.7:65535",
			"192.0.2.7:65535", false,
		},
		{
			"IPv6", local6,
			[]string{"c=IN IP6 2001:db8::7", "m=audio 5000 RTP/AVP 0"},
			"[2001:db8::7]:5000",
			"[2001:db8::7]:5001", false,
		},
		{
			"IPv6 with a zone", local6,
			[]string{"c=IN IP6 fe80::1%eth0", "m=audio 5000 RTP/AVP 0"},
			"[fe80::1]:5000",
			"[fe80::1]:5001", false,
		},
		{
			"IPv4 written as IPv6", local4,
			[]string{"c=IN IP6 ::ffff:192.0.2.7", "m=audio 5000 RTP/AVP 0"},
			"192.0.2.7:5000", "192.0.2.7:5001", false,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, n, err := Answer(offered(t, tt.offer...), tt.local, Capabilities{})
			if err != nil {
				t.Fatal(err)
			}
			if n.Remote.String() != tt.rtp || n.RemoteRTCP.String() != tt.rtcp || n.RTCPMux != tt.mux {
				t.Errorf("got %s %s mux %v", n.Remote, n.RemoteRTCP, n.RTCPMux)
			}
		})
	}
	t.Run("c=0.0.0.0 leaves no address", func(t *testing.T) {
		t.Parallel()
		_, n, err := Answer(offered(t, "c=IN IP4 0.0.0.0", "m=audio 5000 RTP/AVP 0"), local4, Capabilities{})
		if err != nil || n.Remote.IsValid() || n.RemoteRTCP.IsValid() {
			t.Errorf("got %+v, %v", n, err)
		}
	})
}

func TestAnswerRefuses(t *testing.T) {
	t.Parallel()
	const addr = "c=IN IP4 192.0.2.7"
	for _, tt := range []struct {
		name  string
		offer []string
		code  int
		want  string
	}{
		{"no m-line", []string{addr}, WarnMedia, "no audio"},
		{"video only", []string{addr, "m=video 5000 RTP/AVP 31"}, WarnMedia, "no audio"},
		{"audio that is switched off", []string{addr, "m=audio 0 RTP/AVP 0"}, WarnMedia, "no audio"},
		{"no codec in common", []string{addr, "m=audio 5000 RTP/AVP 18 4"}, WarnFormat, "PCMU, PCMA, G722"},
		{
			"events alone are no audio",
			[]string{addr, "m=audio 5000 RTP/AVP 101", "a=rtpmap:101 telephone-event/8000"},
			WarnFormat, "no codec",
		},
		{"SRTP only", []string{addr, "m=audio 5000 RTP/SAVP 0"}, WarnTransport, "SRTP"},
		{"SRTP with feedback", []string{addr, "m=audio 5000 RTP/SAVPF 0"}, WarnTransport, "SRTP"},
		{"DTLS-SRTP", []string{addr, "m=audio 5000 UDP/TLS/RTP/SAVPF 0"}, WarnTransport, "SRTP"},
		{
			"a codec only in SRTP",
			[]string{addr, "m=audio 5000 RTP/SAVP 0", "m=audio 5002 RTP/AVP 18"},
			WarnFormat,
			"no codec",
		},
		{"TCP", []string{addr, "m=audio 5000 TCP/RTP/AVP 0"}, WarnTransport, "TCP/RTP/AVP"},
		{"no address", []string{"m=audio 5000 RTP/AVP 0"}, WarnAddress, "no c= line"},
		{"a name", []string{"c=IN IP4 pbx.example", "m=audio 5000 RTP/AVP 0"}, WarnAddress, "a name"},
		{"another network", []string{"c=ATM NSAP 47.0091", "m=audio 5000 RTP/AVP 0"}, WarnAddress, "no c= line"},
		{"multicast", []string{"c=IN IP4 224.2.1.1/127", "m=audio 5000 RTP/AVP 0"}, WarnMulticast, "multicast"},
		{"IPv6 to our IPv4", []string{"c=IN IP6 2001:db8::7", "m=audio 5000 RTP/AVP 0"}, WarnNetwork, "family"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, _, err := Answer(offered(t, tt.offer...), local4, Capabilities{})
			var e *Error
			if !errors.As(err, &e) || e.Code != tt.code || !strings.Contains(e.Text, tt.want) {
				t.Fatalf("got %v", err)
			}
			if w := e.Warning("192.0.2.1"); strings.ContainsAny(w, "\r\n") || strings.Count(w, `"`) != 2 {
				t.Errorf("Warning: %s", w)
			}
		})
	}
}

func TestAccept(t *testing.T) {
	t.Parallel()
	offer := Offer(local4, Capabilities{})
	const addr = "c=IN IP4 192.0.2.7"
	for _, tt := range []struct {
		name   string
		answer []string
		want   Negotiated
		code   int
	}{
		{
			name:   "one codec",
			answer: []string{addr, "m=audio 6000 RTP/AVP 8 101", "a=rtpmap:101 telephone-event/8000", "a=ptime:30"},
			want: Negotiated{
				Codec: PCMA, RecvPT: 8, EventPT: 101, RecvEvent: 101, EventClock: 8000,
				PTime: 30 * time.Millisecond,
			},
		},
		{
			name:   "other numbers than ours",
			answer: []string{addr, "m=audio 6000 RTP/AVP 97 98", "a=rtpmap:97 G722/8000", "a=rtpmap:98 telephone-event/8000"},
			want: Negotiated{
				Codec: Codec{Name: "G722", PT: 97, ClockRate: 8000}, RecvPT: 9,
				EventPT: 98, RecvEvent: 101, EventClock: 8000, PTime: DefaultPTime,
			},
		},
		{
			name:   "a dynamic type without an rtpmap",
			answer: []string{addr, "m=audio 6000 RTP/AVP 0 101"},
			want: Negotiated{
				Codec: PCMU, RecvPT: 0, EventPT: 101, RecvEvent: 101, EventClock: 8000, PTime: DefaultPTime,
			},
		},
		{name: "our audio refused", answer: []string{addr, "m=audio 0 RTP/AVP 0"}, code: WarnMedia},
		{name: "no m-line", answer: []string{addr}, code: WarnMedia},
		{name: "another profile", answer: []string{addr, "m=audio 6000 RTP/SAVP 0"}, code: WarnTransport},
		{name: "a codec we did not offer", answer: []string{addr, "m=audio 6000 RTP/AVP 18"}, code: WarnFormat},
		{name: "no address", answer: []string{"m=audio 6000 RTP/AVP 0"}, code: WarnAddress},
		{name: "another family", answer: []string{"c=IN IP6 2001:db8::7", "m=audio 6000 RTP/AVP 0"}, code: WarnNetwork},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			n, err := Accept(offer, offered(t, tt.answer...))
			if tt.code != 0 {
				var e *Error
				if !errors.As(err, &e) || e.Code != tt.code {
					t.Fatalf("got %v", err)
				}
				return
			}
			tt.want.Remote, tt.want.RemoteRTCP = netip.MustParseAddrPort("192.0.2.7:6000"),
				netip.MustParseAddrPort("192.0.2.7:6001")
			tt.want.Send, tt.want.Receive, tt.want.CNPT = true, true, noNumber
			n.Codec.Fmtp = ""
			if err != nil || n != tt.want {
				t.Errorf("got %+v, %v", n, err)
			}
		})
	}
}

func TestAcceptHold(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		ours                Direction
		theirs              string
		send, receive, held bool
	}{
		{SendRecv, "a=sendrecv", true, true, false},
		{SendRecv, "a=sendonly", false, true, true},
		{SendRecv, "a=recvonly", true, false, false},
		{SendRecv, "a=inactive", false, false, true},
		{SendRecv, "c=IN IP4 0.0.0.0", false, false, true},
		{SendOnly, "a=recvonly", true, false, false},
		{SendOnly, "a=sendrecv", true, false, false}, // wrong of them, harmless
		{Inactive, "a=inactive", false, false, false},
	} {
		l := local4
		l.Direction = tt.ours
		n, err := Accept(Offer(l, Capabilities{}), offered(t, "c=IN IP4 192.0.2.7", "m=audio 6000 RTP/AVP 0", tt.theirs))
		if err != nil || n.Send != tt.send || n.Receive != tt.receive || n.Held != tt.held {
			t.Errorf("%s and %s: %+v, %v", tt.ours, tt.theirs, n, err)
		}
	}
}

func TestOffer(t *testing.T) {
	t.Parallel()
	l := local6
	l.RTCPPort = 20010
	got := string(Offer(l, Capabilities{
		Codecs: []Codec{Opus, G722, PCMA}, ComfortNoise: true,
		PTime: 40 * time.Millisecond,
	}).Marshal())
	want := string(body(
		"v=0", "o=- 7 1 IN IP6 2001:db8::1", "s=-", "c=IN IP6 2001:db8::1", "t=0 0",
		"m=audio 20000 RTP/AVP 111 9 8 101 96 13", "a=rtpmap:111 opus/48000/2",
		"a=fmtp:111 maxplaybackrate=16000;maxaveragebitrate=24000;useinbandfec=1",
		"a=rtpmap:9 G722/8000", "a=rtpmap:8 PCMA/8000",
		"a=rtpmap:101 telephone-event/48000", "a=fmtp:101 0-15", "a=rtpmap:96 telephone-event/8000", "a=fmtp:96 0-15",
		"a=rtpmap:13 CN/8000", "a=ptime:40", "a=rtcp:20010", "a=sendrecv",
	))
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
