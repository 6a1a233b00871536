package load

import (
	"strings"
	"testing"
)

const ok = "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bK1\r\nv: SIP/2.0/UDP 127.0.0.2:9\r\n" +
	"f: <sip:a@b>;tag=1\r\nTo: <sip:c@d>;tag=2\r\ni: id@host\r\nCSeq: 1 INVITE\r\n" +
	"Contact: \"x\" <sip:agent@127.0.0.1:5060;transport=udp>;expires=1\r\n\r\n" +
	"v=0\r\nc=IN IP4 127.0.0.1\r\nm=audio 4000 RTP/AVP 0 101\r\n"

func TestParse(t *testing.T) {
	t.Parallel()
	m, err := parse([]byte(ok))
	if err != nil {
		t.Fatal(err)
	}
	if m.status != 200 || m.method != "INVITE" || m.callID != "id@host" || m.to != "<sip:c@d>;tag=2" ||
		m.contact != "sip:agent@127.0.0.1:5060;transport=udp" {
		t.Errorf("read as %+v", m)
	}
	if at, err := m.media(); err != nil || at.String() != "127.0.0.1:4000" {
		t.Errorf("media at %v, %v", at, err)
	}
	if got := string(m.answer()); strings.Count(got, "SIP/2.0/UDP") != 2 || strings.Contains(got, "Contact") {
		t.Errorf("answered with %q", got)
	}
	for _, bad := range []string{
		"", "\r\n\r\n", "SIP/2.0 20 OK\r\n\r\n", "BYE sip:x SIP/2.0\r\n\r\n", "GET / HTTP/1.1\r\nCall-ID: 1\r\n\r\n",
	} {
		if m, err := parse([]byte(bad)); err == nil {
			t.Errorf("%q is read as %+v", bad, m)
		}
	}
	for _, bad := range []string{
		"", "c=IN IP4 127.0.0.1\r\nm=audio 0 RTP/AVP 0\r\n", "m=audio 4000 RTP/AVP 0\r\n",
		"c=IN IP4 127.0.0.1\r\nm=audio 70000 RTP/AVP 0\r\n", "c=IN IP4 127.0.0.1\r\nm=audio 4000 RTP/AVP 8\r\n",
	} {
		if at, err := (message{body: bad}).media(); err == nil {
			t.Errorf("%q has media at %v", bad, at)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(ok))
	f.Add([]byte("BYE sip:caller@127.0.0.1 SIP/2.0\r\nCall-ID: x\r\nCSeq: 2 BYE\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parse(b)
		if err != nil {
			return
		}
		if m.callID == "" || m.method == "" {
			t.Errorf("%q is a message of no call: %+v", b, m)
		}
		_, _ = m.media()
		_ = m.answer()
	})
}
