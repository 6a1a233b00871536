package sdp

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
)

func version(t *testing.T, b []byte) string {
	t.Helper()
	s, err := Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	return s.Origin.Version
}

func TestNegotiatorRaisesTheVersionOnlyForAChange(t *testing.T) {
	t.Parallel()
	n := NewNegotiator(local4, Capabilities{})
	first, _, err := n.Answer(plainOffer)
	if err != nil {
		t.Fatal(err)
	}
	again, _, err := n.Answer(plainOffer)
	if err != nil || !bytes.Equal(first, again) || !bytes.Equal(n.Body(), again) {
		t.Errorf("a refresh is answered with another body:\n%s\n%s", first, again)
	}
	hold, agreed, err := n.Answer(bytes.Replace(plainOffer, []byte("sendrecv"), []byte("sendonly"), 1))
	if err != nil || version(t, hold) != "2" || !agreed.Held || !strings.Contains(string(hold), "a=recvonly") {
		t.Errorf("hold: %s, %+v, %v", hold, agreed, err)
	}
	back, _, err := n.Answer(plainOffer)
	if err != nil || version(t, back) != "3" || !strings.Contains(string(back), "a=sendrecv") {
		t.Errorf("resume: %s, %v", back, err)
	}
	n.SetAddr(netip.MustParseAddr("198.51.100.2"), 20002, 0)
	moved := n.Offer()
	if version(t, moved) != "4" || version(t, n.Offer()) != "4" {
		t.Errorf("moved: %s", moved)
	}
}

func TestNegotiatorKeepsItsSessionWhenAnOfferCannotBeTaken(t *testing.T) {
	t.Parallel()
	n := NewNegotiator(local4, Capabilities{})
	first, agreed, err := n.Answer(plainOffer)
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"", "v=0\r\nm=video 1 RTP/AVP 31\r\n", "m=audio x"} {
		if _, _, err := n.Answer([]byte(bad)); err == nil {
			t.Errorf("%q is answered", bad)
		}
	}
	if now, ok := n.Current(); !ok || now != agreed || !bytes.Equal(n.Body(), first) {
		t.Errorf("changed to %+v, %s", now, n.Body())
	}
}

// An offerless re-INVITE gets a full offer, in which the codec in use comes
// first and no payload type changes its meaning (RFC 3264 section 8.3.2).
func TestNegotiatorOffersAgain(t *testing.T) {
	t.Parallel()
	n := NewNegotiator(local4, Capabilities{Codecs: []Codec{PCMU, Opus, PCMA}})
	_, _, err := n.Answer(body("v=0", "o=- 1 1 IN IP4 192.0.2.7", "s=-", "c=IN IP4 192.0.2.7", "t=0 0",
		"m=video 4000 RTP/AVP 111", "a=rtpmap:111 H264/90000",
		"m=audio 5000 RTP/AVP 8 96 101", "a=rtpmap:96 telephone-event/8000", "a=rtpmap:101 iLBC/8000"))
	if err != nil {
		t.Fatal(err)
	}
	want := "m=video 0 RTP/AVP 111\r\nm=audio 20000 RTP/AVP 8 0 97 96 98\r\n" +
		"a=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:97 opus/48000/2\r\n" +
		"a=fmtp:97 maxplaybackrate=16000;maxaveragebitrate=24000;useinbandfec=1\r\n" +
		"a=rtpmap:96 telephone-event/8000\r\na=fmtp:96 0-15\r\na=rtpmap:98 telephone-event/48000\r\na=fmtp:98 0-15\r\n"
	if got := string(n.Offer()); !strings.Contains(got, want) {
		t.Errorf("got\n%s\nwant in it\n%s", got, want)
	}
	agreed, err := n.Accept(body("v=0", "o=- 1 2 IN IP4 192.0.2.7", "s=-", "c=IN IP4 192.0.2.7", "t=0 0",
		"m=video 0 RTP/AVP 111", "m=audio 5000 RTP/AVP 8 96", "a=rtpmap:96 telephone-event/8000"))
	if err != nil || agreed.Codec.Name != "PCMA" || agreed.EventPT != 96 {
		t.Errorf("%+v, %v", agreed, err)
	}
}

func TestNegotiatorHoldsThePeer(t *testing.T) {
	t.Parallel()
	us, them := NewNegotiator(local4, Capabilities{}), NewNegotiator(Local{
		Addr: netip.MustParseAddr("192.0.2.7"),
		Port: 6000,
	}, Capabilities{})
	exchange := func() (Negotiated, Negotiated) {
		t.Helper()
		answer, theirs, err := them.Answer(us.Offer())
		if err != nil {
			t.Fatal(err)
		}
		ours, err := us.Accept(answer)
		if err != nil {
			t.Fatal(err)
		}
		return ours, theirs
	}
	exchange()
	us.SetDirection(SendOnly)
	if ours,
		theirs := exchange(); !ours.Send || ours.Receive || ours.Held || !theirs.Held || theirs.Send || !theirs.Receive {
		t.Errorf("hold: %+v, %+v", ours, theirs)
	}
	us.SetDirection(SendRecv)
	if ours, theirs := exchange(); !ours.Send || !ours.Receive || theirs.Held || !theirs.Send {
		t.Errorf("resume: %+v, %+v", ours, theirs)
	}
}

// A session refresh offers what there is, by the identical bytes, and neither
// begins nor ends a hold (RFC 4028 section 7.4).
func TestNegotiatorRefreshes(t *testing.T) {
	t.Parallel()
	us := NewNegotiator(local4, Capabilities{})
	them := NewNegotiator(Local{Addr: local4.Addr, Port: 6000}, Capabilities{})
	for _, d := range []Direction{SendRecv, SendOnly, Inactive} {
		them.SetDirection(d)
		body, before, err := us.Answer(them.Offer())
		if err != nil {
			t.Fatal(err)
		}
		again := us.Again()
		if !bytes.Equal(again, body) {
			t.Errorf("%s: %q, then %q", d, body, again)
		}
		answer, _, err := them.Answer(again)
		if err != nil {
			t.Fatal(err)
		}
		if now, err := us.Accept(answer); err != nil || now.Held != before.Held || now.Send != before.Send ||
			now.Receive != before.Receive || now.Codec.Name != before.Codec.Name {
			t.Errorf("%s: %+v, then %+v, %v", d, before, now, err)
		}
	}
}

func TestNegotiatorWithoutAnOffer(t *testing.T) {
	t.Parallel()
	n := NewNegotiator(local4, Capabilities{})
	if _, err := n.Accept(plainOffer); err == nil {
		t.Error("an answer without an offer is taken")
	}
	n.Offer()
	n.Withdraw()
	if _, err := n.Accept(plainOffer); err == nil {
		t.Error("an answer to a withdrawn offer is taken")
	}
	if n.local.SessionID != 7 || NewNegotiator(Local{}, Capabilities{}).local.SessionID == 0 {
		t.Error("session id")
	}
}
