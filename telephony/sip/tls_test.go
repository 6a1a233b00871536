package sip

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/patchcord/patchcord/internal/testkit/authority"
	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/telephony/trunk"
)

// overTLS makes a server listen over TLS, with a certificate of ca for
// 127.0.0.1.
func overTLS(t testing.TB, ca *authority.Authority) func(*Config) {
	t.Helper()
	_, cert, key := ca.Files(t, "127.0.0.1")
	return func(c *Config) {
		c.Listen, c.Cert, c.Key = []string{"udp://127.0.0.1:0", "tls://127.0.0.1:0"}, cert, key
	}
}

func trunksOf(t testing.TB, list ...trunk.Config) func(*Config) {
	t.Helper()
	table, err := trunk.NewTable(list, nil, "agent")
	if err != nil {
		t.Fatal(err)
	}
	return func(c *Config) { c.Trunks = table }
}

func newTLSPeer(t testing.TB, to string, config *tls.Config) *peer {
	t.Helper()
	c, err := tls.Dial("tcp", to, config)
	if err != nil {
		t.Fatal(err)
	}
	return onConn(t, c)
}

// A call that comes over TLS; our requests in it leave over the connection that
// it came on (sip:P12).
func TestInboundCallOverTLS(t *testing.T) {
	t.Parallel()
	ca := authority.New(t)
	legs := make(chan telephony.Leg, 1)
	h := handler(func(ctx context.Context, leg telephony.Leg) {
		legs <- leg
		if leg.Answer(ctx) == nil {
			<-ctx.Done()
		}
	})
	s := newServer(t, h, overTLS(t, ca))
	p := newTLSPeer(t, s.tcp, &tls.Config{RootCAs: ca.Pool(), ServerName: "127.0.0.1"})
	d := p.dialogue()
	d.extra = []string{"Contact: <sip:peer@127.0.0.1:9;transport=tls>"} // nobody is there
	d.invite(testSDP)
	ok := d.ok()
	if c := ok.get("Contact"); !strings.HasSuffix(c, s.tcp+";transport=tls>") {
		t.Errorf("Contact %s, want the port of TLS and transport=tls", c)
	}
	d.ack("")
	leg := <-legs
	if i := leg.Info(); i.Transport != "sip/tls" {
		t.Errorf("transport %s", i.Transport)
	}
	d.do("OPTIONS", "")
	d.response("OPTIONS", 200) // behind the ACK
	_ = leg.Hangup(t.Context(), telephony.Cause{Reason: telephony.ReasonNormal})
	bye := p.request("BYE")
	if via := bye.get("Via"); !strings.HasPrefix(via, "SIP/2.0/TLS 127.0.0.1:") {
		t.Errorf("Via %s", via)
	}
	p.reply(bye, 200, "OK", "", "")
	s.idle(t)
}

// A call to a sips URI is one of sips from end to end.
func TestSipsCall(t *testing.T) {
	t.Parallel()
	ca := authority.New(t)
	s := newServer(t, answerAll, overTLS(t, ca))
	p := newTLSPeer(t, s.tcp, &tls.Config{RootCAs: ca.Pool(), ServerName: "127.0.0.1"})
	d := p.dialogue()
	d.target = "sips:+4930123456@127.0.0.1"
	d.extra = []string{"Contact: <sips:peer@" + p.addr() + ">"}
	d.invite(testSDP)
	if c := d.ok().get("Contact"); !strings.HasPrefix(c, "<sips:") || strings.Contains(c, "transport") {
		t.Errorf("Contact %s, want a sips URI", c)
	}
	d.ack("")
	d.bye()
	s.idle(t)
}

// gatewayOverTLS listens with a configuration and gives the connections that
// come, after their handshake.
func gatewayOverTLS(t testing.TB, config *tls.Config) (addr string, next func() *peer) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	conns := make(chan *tls.Conn, 16) // more than any test opens
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			secured := tls.Server(c, config)
			_ = c.SetDeadline(time.Now().Add(5 * time.Second))
			if secured.Handshake() != nil {
				_ = c.Close()
				continue
			}
			_ = c.SetDeadline(time.Time{})
			conns <- secured
		}
	}()
	t.Cleanup(func() {
		_ = ln.Close()
		<-done
		for len(conns) > 0 {
			_ = (<-conns).Close()
		}
	})
	return ln.Addr().String(), func() *peer {
		t.Helper()
		select {
		case c := <-conns:
			return onConn(t, c)
		case <-time.After(5 * time.Second):
			t.Fatal("nobody connected")
			return nil
		}
	}
}

// A call placed over TLS, and again to a connection that was cut: the dialog
// lives, its BYE opens the next.
func TestOutboundCallOverTLS(t *testing.T) {
	t.Parallel()
	ca := authority.New(t)
	caFile, cert, key := ca.Files(t, "patchcord.example")
	seen := make(chan tls.ConnectionState, 4) // one for each handshake
	addr, next := gatewayOverTLS(t, &tls.Config{
		Certificates: []tls.Certificate{ca.Pair(t, "127.0.0.1")}, ClientAuth: tls.RequireAnyClientCert,
		VerifyConnection: func(s tls.ConnectionState) error { seen <- s; return nil },
	})
	own, _ := tls.LoadX509KeyPair(cert, key)
	s := newServer(t, answerAll, trunksOf(t, trunk.Config{
		Name: "gw", Gateways: []string{"sip:" + addr + ";transport=tls"},
		TLS: trunk.Security{CA: caFile, Cert: cert, Key: key},
	}))
	leg, err := s.Dial(t.Context(), telephony.Destination{To: "+4930987654", Trunk: "gw"})
	if err != nil {
		t.Fatal(err)
	}
	far := next()
	if got := (<-seen).PeerCertificates[0]; !got.Equal(own.Leaf) {
		t.Errorf("showed the certificate of %v", got.DNSNames)
	}
	invite := far.request("INVITE")
	if via := invite.get("Via"); !strings.HasPrefix(via, "SIP/2.0/TLS ") {
		t.Errorf("Via %s", via)
	}
	if c := invite.get("Contact"); !strings.Contains(c, far.tcp.RemoteAddr().String()+";transport=tls") {
		t.Errorf("Contact %s, want the connection's own end: no listener is there", c)
	}
	far.reply(invite, 200, "OK", "far", sdpOf("8 101"), "Contact: <sip:far@"+addr+">")
	far.request("ACK")
	await[telephony.Answered](t, leg)
	if i := leg.Info(); i.Transport != "sip/tls" {
		t.Errorf("transport %s", i.Transport)
	}
	_ = far.tcp.Close()
	eventually(t, "the cut is seen", func() bool { return s.Stats().Connections == 0 })
	_ = leg.Hangup(t.Context(), telephony.Cause{Reason: telephony.ReasonNormal})
	far = next()
	far.reply(far.request("BYE"), 200, "OK", "", "")
	s.idle(t)
}

// The peer's connection is cut and it comes back from another port: ours leave
// over that one (sip:P12), and where it is cut too, to its Contact.
func TestDialogOverCutConnections(t *testing.T) {
	t.Parallel()
	ca := authority.New(t)
	for _, network := range []string{"TCP", "TLS"} {
		t.Run(network, func(t *testing.T) {
			t.Parallel()
			caFile, _, _ := ca.Files(t, "unused.example")
			var addr string
			var next func() *peer
			connect := func(s *server) *peer { return newTCPPeer(t, s.tcp) }
			adjust := func(*Config) {}
			if network == "TLS" {
				addr, next = gatewayOverTLS(t, &tls.Config{Certificates: []tls.Certificate{ca.Pair(t, "127.0.0.1")}})
				adjust = overTLS(t, ca)
				connect = func(s *server) *peer {
					return newTLSPeer(t, s.tcp, &tls.Config{RootCAs: ca.Pool(), ServerName: "127.0.0.1"})
				}
			} else {
				ln, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = ln.Close() })
				addr, next = ln.Addr().String(), func() *peer {
					c, err := ln.Accept()
					if err != nil {
						t.Fatal(err)
					}
					return onConn(t, c)
				}
			}
			legs := make(chan telephony.Leg, 1)
			s := newServer(t, handler(func(ctx context.Context, leg telephony.Leg) {
				legs <- leg
				if leg.Answer(ctx) == nil {
					<-ctx.Done()
				}
			}), adjust, trunksOf(t, trunk.Config{
				Name: "local", Allow: []string{"127.0.0.0/8"}, TLS: trunk.Security{CA: caFile},
			}))
			p := connect(s)
			d := p.dialogue()
			d.extra = []string{"Contact: <sip:peer@" + addr + ";transport=" + strings.ToLower(network) + ">"}
			d.invite(testSDP)
			d.ok()
			d.ack("")
			leg := <-legs
			_ = p.tcp.Close()
			eventually(t, "the cut is seen", func() bool { return s.Stats().Connections == 0 })
			again := connect(s)
			d.peer = again
			d.do("OPTIONS", "")
			d.response("OPTIONS", 200)
			held := make(chan error, 1)
			go func() { held <- leg.Hold(t.Context(), true) }()
			again.reply(again.request("INVITE"), 200, "OK", "", testSDP, d.extra[0])
			again.request("ACK")
			if err := <-held; err != nil {
				t.Errorf("hold: %v", err)
			}
			_ = again.tcp.Close()
			eventually(t, "the second cut is seen", func() bool { return s.Stats().Connections == 0 })
			_ = leg.Hangup(t.Context(), telephony.Cause{Reason: telephony.ReasonNormal})
			last := next()
			last.reply(last.request("BYE"), 200, "OK", "", "")
			s.idle(t)
		})
	}
}

// SEC-14: a gateway whose certificate does not prove that it is the trunk's is
// not spoken to, and the cause says why.
func TestCertificateOfAGateway(t *testing.T) {
	t.Parallel()
	ca, other := authority.New(t), authority.New(t)
	caFile, cert, key := ca.Files(t, "patchcord.example")
	good := ca.Pair(t, "127.0.0.1")
	named := ca.Pair(t, "sip.example.com")
	expired := ca.Pair(t, "127.0.0.1", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
	byURI := ca.Pair(t, "nobody.example", func(c *x509.Certificate) { c.URIs = append(c.URIs, sipURI("127.0.0.1")) })
	pin := func(c tls.Certificate) string { return "sha256/" + authority.Pin(c) }
	for _, c := range []struct {
		name   string
		shown  tls.Certificate
		server func(*tls.Config)
		tls    trunk.Security
		why    string // "": the call goes out
	}{
		{name: "of the trunk's authority", shown: good, tls: trunk.Security{CA: caFile}},
		{name: "of an authority that the system does not know", shown: good, why: "unknown authority"},
		{name: "of another authority", shown: other.Pair(t, "127.0.0.1"), tls: trunk.Security{CA: caFile}, why: "unknown authority"},
		{name: "for somebody else", shown: named, tls: trunk.Security{CA: caFile}, why: "is for sip.example.com, not for 127.0.0.1"},
		{name: "for the name that the trunk has", shown: named, tls: trunk.Security{CA: caFile, Name: "sip.example.com"}},
		{name: "for a SIP URI", shown: byURI, tls: trunk.Security{CA: caFile}},
		{name: "that has ended", shown: expired, tls: trunk.Security{CA: caFile}, why: "expired"},
		{name: "of the pinned key", shown: other.Pair(t, "x.example"), tls: trunk.Security{Pin: pin(good)}, why: "its key is sha256/"},
		{name: "of one of the pinned keys", shown: named, tls: trunk.Security{Pin: pin(good) + " " + pin(named)}},
		{name: "of the pinned key, of another authority", shown: other.Pair(t, "127.0.0.1"), tls: trunk.Security{CA: caFile, Pin: pin(good)}, why: "its key is"},
		{name: "of anybody, where that is wanted", shown: other.Pair(t, "x.example"), tls: trunk.Security{Insecure: true}},
		{
			name: "over TLS 1.1", shown: good, tls: trunk.Security{CA: caFile}, why: "protocol version",
			server: func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 },
		},
		{
			name: "with one of ours wanted that is not there", shown: good, tls: trunk.Security{CA: caFile}, why: "handshake failure",
			server: func(c *tls.Config) { c.ClientAuth, c.MaxVersion = tls.RequireAnyClientCert, tls.VersionTLS12 },
		},
		{ // told only when all seemed well
			name: "with one of ours wanted, by TLS 1.3", shown: good, tls: trunk.Security{CA: caFile}, why: "certificate required",
			server: func(c *tls.Config) { c.ClientAuth = tls.RequireAnyClientCert },
		},
		{
			name: "with one of ours", shown: good, tls: trunk.Security{CA: caFile, Cert: cert, Key: key},
			server: func(c *tls.Config) { c.ClientAuth = tls.RequireAnyClientCert },
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			config := &tls.Config{Certificates: []tls.Certificate{c.shown}}
			if c.server != nil {
				c.server(config)
			}
			addr, next := gatewayOverTLS(t, config)
			s := newServer(t, answerAll, trunksOf(t, trunk.Config{
				Name: "gw", Gateways: []string{"sip:" + addr + ";transport=tls"}, TLS: c.tls,
			}))
			leg, err := s.Dial(t.Context(), telephony.Destination{To: "+4930987654", Trunk: "gw"})
			if err != nil {
				t.Fatal(err)
			}
			if c.why == "" {
				far := next()
				far.reply(far.request("INVITE"), 486, "Busy Here", "far", "")
				far.request("ACK")
			}
			cause := await[telephony.Ended](t, leg).Cause
			switch {
			case c.why == "" && cause.Reason != telephony.ReasonBusy:
				t.Errorf("ended %v, want the gateway's busy", cause)
			case c.why != "" && (cause.Reason != telephony.ReasonCongestion || !strings.Contains(cause.Text, c.why)):
				t.Errorf("ended %v, want it to say %q", cause, c.why)
			}
			s.idle(t)
		})
	}
}

// A trunk may have to show a certificate: without one its calls are refused,
// over TLS and in every other way (SEC-3, SEC-14).
func TestCertificateOfACaller(t *testing.T) {
	t.Parallel()
	ca, other := authority.New(t), authority.New(t)
	caFile, _, _ := ca.Files(t, "unused.example")
	placed := make(chan telephony.TrunkID, 1)
	s := newServer(t, handler(func(ctx context.Context, leg telephony.Leg) {
		placed <- leg.Info().Trunk
		_ = leg.Answer(ctx)
	}), overTLS(t, ca), trunksOf(t, trunk.Config{
		Name: "sbc", Allow: []string{"127.0.0.0/8"},
		TLS: trunk.Security{CA: caFile, Name: "sbc.example.com", ClientCert: true},
	}, trunk.Config{
		Name: "desk", Allow: []string{"127.0.0.0/8"},
		TLS: trunk.Security{CA: caFile, Name: "desk.example.com", ClientCert: true},
	}))
	for _, c := range []struct {
		name  string
		shown []tls.Certificate
		trunk telephony.TrunkID // "": refused
	}{
		{"no certificate", nil, ""},
		{"one of another authority", []tls.Certificate{other.Pair(t, "sbc.example.com")}, ""},
		{"one for another name", []tls.Certificate{ca.Pair(t, "other.example.com")}, ""},
		{"the trunk's", []tls.Certificate{ca.Pair(t, "sbc.example.com")}, "sbc"},
		{"that of another trunk at the same address", []tls.Certificate{ca.Pair(t, "desk.example.com")}, "desk"},
	} {
		t.Run(c.name, func(t *testing.T) {
			config := &tls.Config{RootCAs: ca.Pool(), ServerName: "127.0.0.1", Certificates: c.shown}
			if c.shown != nil { // whatever authority was asked for
				config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
					return &c.shown[0], nil
				}
			}
			conn, err := tls.Dial("tcp", s.tcp, config)
			if err == nil && c.trunk == "" { // in TLS 1.3 the refusal comes with the first read
				_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
				if _, err = conn.Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) {
					err = nil
				}
				_ = conn.Close()
			}
			if (err == nil) != (c.trunk != "") {
				t.Fatalf("handshake: %v", err)
			}
			if c.trunk != "" {
				d := onConn(t, conn).dialogue()
				d.invite(testSDP)
				d.ok()
				if got := <-placed; got != c.trunk {
					t.Errorf("the call is of trunk %s, want %s", got, c.trunk)
				}
				d.ack("")
				d.reply(d.request("BYE"), 200, "OK", "", "")
			}
		})
	}
	eventually(t, "three failed handshakes are counted", func() bool { return s.Stats().FailedTLS == 3 })
	d := newUDPPeer(t, s.udp).dialogue()
	d.invite(testSDP)
	d.response("INVITE", 403)
	s.idle(t)
}

// A handshake that does not come to its end, or to no good one, is ended and
// counted; TLS 1.1 is not spoken (SEC-12, SEC-14).
func TestBadHandshakes(t *testing.T) {
	t.Parallel()
	ca := authority.New(t)
	s := newServer(t, answerAll, overTLS(t, ca), func(c *Config) { c.Limits.Partial = 200 * time.Millisecond })
	for _, c := range []struct{ name, sent string }{
		{"silent", ""},
		{"half a hello", "\x16\x03\x01\x02\x00\x01\x00"},
		{"no TLS at all", "OPTIONS sip:127.0.0.1 SIP/2.0\r\n\r\n"},
	} {
		before := s.Stats().FailedTLS
		conn, err := net.Dial("tcp", s.tcp)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(conn, c.sent)
		_, _ = io.Copy(io.Discard, conn) // until it is closed
		_ = conn.Close()
		eventually(t, c.name+" is counted", func() bool { return s.Stats().FailedTLS == before+1 })
	}
	old := &tls.Config{RootCAs: ca.Pool(), ServerName: "127.0.0.1", MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
	if conn, err := tls.Dial("tcp", s.tcp, old); err == nil {
		t.Error("TLS 1.1 was spoken")
		_ = conn.Close()
	}
	eventually(t, "nothing is left", func() bool { return s.Stats().Connections == 0 })
}

// A renewed certificate is shown without a restart.
func TestRenewedCertificateIsShown(t *testing.T) {
	t.Parallel()
	ca := authority.New(t)
	var files Config
	listen := overTLS(t, ca)
	s := newServer(t, answerAll, listen)
	listen(&files)
	certPEM, keyPEM := ca.Issue(t, "renewed.example")
	for file, text := range map[string][]byte{files.Cert: certPEM, files.Key: keyPEM} {
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the new certificate is shown", func() bool {
		conn, err := tls.Dial("tcp", s.tcp, &tls.Config{RootCAs: ca.Pool(), ServerName: "renewed.example"})
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
}

// What is wrong with the files is told at start.
func TestListenOverTLSNeedsACertificate(t *testing.T) {
	t.Parallel()
	ca := authority.New(t)
	_, cert, key := ca.Files(t, "127.0.0.1")
	for _, c := range []struct{ cert, key, want string }{
		{"", "", "Config.Cert and Config.Key"},
		{cert, "", "Config.Key"},
		{"/none/cert.pem", key, "/none/cert.pem"},
		{key, key, key},
	} {
		s := newServer(t, answerAll)
		_, err := New(Config{Listen: []string{"tls://127.0.0.1:0"}, Media: s.media, Cert: c.cert, Key: c.key})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s, %s: %v, want %q", c.cert, c.key, err, c.want)
		}
	}
}

func sipURI(host string) *url.URL { return &url.URL{Scheme: "sip", Opaque: host} }
