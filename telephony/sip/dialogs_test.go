package sip

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/patchcord/patchcord/internal/testkit/authority"
	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/telephony/trunk"
)

// openDialogs opens a file of dialogs until the test ends.
func openDialogs(t testing.TB, path string, log *zap.Logger) *Dialogs {
	t.Helper()
	j, err := OpenDialogs(path, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	})
	return j
}

// inFile is what a file of dialogs tells of.
func inFile(t testing.TB, path string) map[string]*standing {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	live, _, bad := readDialogs(text)
	if bad > 0 {
		t.Errorf("%d bad lines in\n%s", bad, text)
	}
	return live
}

// keeping makes a server write its dialogs to a file.
func keeping(t testing.TB, path string) func(*Config) {
	t.Helper()
	j := openDialogs(t, path, nil)
	return func(c *Config) { c.Dialogs = j }
}

// killed is the file that is left where a process with the one file is killed
// as soon as the dialogs of n calls are in it.
func killed(t testing.TB, file string, n int) (left string) {
	t.Helper()
	return killedWhen(t, file, "the dialogs are in the file", func(live map[string]*standing) bool {
		up := 0
		for _, s := range live {
			if s.Branch == "" {
				up++
			}
		}
		return up == n
	})
}

// killedWhen is that as soon as what the file tells of is as wanted.
func killedWhen(t testing.TB, file, what string, wanted func(map[string]*standing) bool) (left string) {
	t.Helper()
	eventually(t, what, func() bool { return wanted(inFile(t, file)) })
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	left = filepath.Join(t.TempDir(), "left")
	if err := os.WriteFile(left, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return left
}

// sip:P15: the process behind one that was killed ends its calls by BYE: with the
// tags and the route of the dialog, a number above every one used, over each
// transport, whoever placed the call.
func TestP15CallsOfAKilledProcess(t *testing.T) {
	t.Parallel()
	ca := authority.New(t)
	caFile, _, _ := ca.Files(t, "unused.example")
	for _, network := range []string{"UDP", "TCP", "TLS"} {
		for _, direction := range []telephony.Direction{telephony.Inbound, telephony.Outbound} {
			t.Run(network+" "+string(direction), func(t *testing.T) {
				t.Parallel()
				// The peer's listener, to which the next process has to connect.
				var p *peer
				var addr string
				next := func() *peer { return p }
				adjust := func(*Config) {}
				connect := func(*server) {}
				switch network {
				case "UDP":
					p = newUDPPeer(t, "")
					addr = p.addr()
					connect = func(s *server) { p = p.facing(s.udp) }
				case "TCP":
					addr, next = gatewayOverTCP(t)
					connect = func(s *server) { p = newTCPPeer(t, s.tcp) }
				case "TLS":
					addr, next = gatewayOverTLS(t, &tls.Config{Certificates: []tls.Certificate{ca.Pair(t, "127.0.0.1")}})
					adjust = overTLS(t, ca)
					connect = func(s *server) {
						p = newTLSPeer(t, s.tcp, &tls.Config{RootCAs: ca.Pool(), ServerName: "127.0.0.1"})
					}
				}
				transport := ";transport=" + strings.ToLower(network)
				trunks := trunksOf(t, trunk.Config{
					Name: "gw", Gateways: []string{"sip:" + addr + transport}, Allow: []string{"127.0.0.0/8"},
					TLS: trunk.Security{CA: caFile},
				})
				contact := "Contact: <sip:far@" + addr + transport + ">"
				route := "sip:" + addr + transport + ";lr"
				file := filepath.Join(t.TempDir(), "dialogs")
				legs := make(chan telephony.Leg, 1)
				s := newServer(t, handOver(legs), adjust, trunks, keeping(t, file))
				var ours, theirs, callID string
				var last int
				if direction == telephony.Inbound {
					connect(s)
					d := p.dialogue()
					d.extra = []string{contact, "Record-Route: <" + route + ">"}
					d.invite(testSDP)
					d.ok()
					d.extra = d.extra[:1]
					d.ack("")
					leg := <-legs
					held := make(chan error, 1)
					go func() { held <- leg.Hold(t.Context(), true) }()
					invite := p.request("INVITE")
					p.reply(invite, 200, "OK", "", testSDP, contact)
					last = p.request("ACK").seq()
					if err := <-held; err != nil {
						t.Error(err)
					}
					ours, theirs, callID = d.toTag, d.tag, d.callID
				} else {
					leg := s.dial(t.Context(), t)
					p = next()
					invite := p.request("INVITE")
					invite.head["Record-Route"] = []string{"<" + route + ">"}
					p.reply(invite, 200, "OK", "far", testSDP, contact)
					last = p.request("ACK").seq()
					await[telephony.Answered](t, leg)
					ours, theirs, callID = tagOf(invite.get("From")), "far", invite.get("Call-Id")
				}
				left := killed(t, file, 1)
				again := newServer(t, answerAll, adjust, trunks, keeping(t, left))
				p = next()
				bye := p.next("BYE of the next process", func(m *wire) bool { return m.method() == "BYE" })
				if bye.get("Call-Id") != callID || tagOf(bye.get("From")) != ours || tagOf(bye.get("To")) != theirs ||
					bye.get("Route") != "<"+route+">" || strings.Fields(bye.start)[1] != strings.Trim(contact[9:], "<>") {
					t.Errorf("%s %v, want Call-ID %s, From %s, To %s", bye.start, bye.head, callID, ours, theirs)
				}
				if bye.seq() <= last+seqAhead/2 {
					t.Errorf("BYE has CSeq %d, the last was %d", bye.seq(), last)
				}
				if network == "UDP" {
					p = p.facing(bye.from)
				}
				p.reply(bye, 200, "OK", "", "")
				eventually(t, "the dialog is struck out", func() bool { return len(inFile(t, left)) == 0 })
				again.idle(t)
			})
		}
	}
}

// gatewayOverTCP is a listener; next is the next connection to it.
func gatewayOverTCP(t testing.TB) (addr string, next func() *peer) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	return ln.Addr().String(), func() *peer {
		c, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		return onConn(t, c)
	}
}

// A gateway that asks for a password is given it; a peer that is not there, or
// not yet, is tried a bounded number of times, and the log says why it ended as it
// did. What the peer sends meanwhile is answered (sip:P15).
func TestP15AnswersToTheBye(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		play func(t *testing.T, p *peer, bye *wire)
		line string // of the log
		has  string // in it
	}{
		{"asks for a password", func(t *testing.T, p *peer, bye *wire) {
			p.reply(bye, 407, "Proxy Authentication Required", "", "", `Proxy-Authenticate: Digest realm="r", nonce="n", qop="auth"`)
			second := p.next("BYE with a password", func(m *wire) bool { return m.method() == "BYE" && m.seq() > bye.seq() })
			if !strings.Contains(second.get("Proxy-Authorization"), `username="ann"`) {
				t.Errorf("%v", second.head)
			}
			p.reply(second, 200, "OK", "", "")
		}, "sip: a call of an earlier process is ended", "status:200"},
		{"knows no such call", func(_ *testing.T, p *peer, bye *wire) {
			p.reply(bye, 481, "Call/Transaction Does Not Exist", "", "")
		}, "sip: a call of an earlier process is ended", "status:481"},
		{"says nothing", func(*testing.T, *peer, *wire) {}, "sip: a call of an earlier process may be open at the peer", "timed out"},
		{"hangs up itself", func(t *testing.T, p *peer, bye *wire) {
			d := &dialogue{
				peer: p, callID: bye.get("Call-Id"), tag: "far", toTag: tagOf(bye.get("From")), seq: 7,
				target: "sip:us@127.0.0.1",
			}
			d.do("INFO", "")
			if m := d.final("INFO"); m.status() != 481 {
				t.Errorf("INFO: %s", m.start)
			}
			d.do("BYE", "")
			d.response("BYE", 200)
			p.reply(bye, 481, "Call/Transaction Does Not Exist", "", "")
		}, "sip: a call of an earlier process is ended", "status:481"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := newUDPPeer(t, "")
			file := filepath.Join(t.TempDir(), "dialogs")
			s := newServer(t, answerAll, trunkTo(p), keeping(t, file))
			leg := s.dial(t.Context(), t)
			p.reply(p.request("INVITE"), 200, "OK", "far", testSDP)
			p.request("ACK")
			await[telephony.Answered](t, leg)
			left := killed(t, file, 1)
			core, logs := observer.New(zapcore.InfoLevel)
			again := newServer(t, answerAll, trunkTo(p), keeping(t, left), func(c *Config) { c.Log = zap.New(core) })
			bye := p.request("BYE")
			tt.play(t, p.facing(bye.from), bye)
			eventually(t, "the dialog is struck out", func() bool { return len(inFile(t, left)) == 0 })
			again.idle(t)
			lines := logs.FilterMessage(tt.line).All()
			if len(lines) != 1 || !strings.Contains(fmt.Sprint(lines[0].ContextMap()), tt.has) ||
				lines[0].ContextMap()["call_id"] != string(leg.Info().ID) {
				t.Errorf("the log says %v, want %q", logs.All(), tt.has)
			}
		})
	}
}

// A peer that cannot be connected to is tried again, three times at most.
func TestP15PeerThatIsNotThereYet(t *testing.T) {
	t.Parallel()
	for _, comes := range []bool{true, false} {
		t.Run(fmt.Sprintf("comes %v", comes), func(t *testing.T) {
			t.Parallel()
			get, gateway := gatewayPeer(t, "tcp")
			file := filepath.Join(t.TempDir(), "dialogs")
			s := newServer(t, answerAll, gateway, keeping(t, file))
			leg := s.dial(t.Context(), t)
			p := get()
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			addr := ln.Addr().String()
			_ = ln.Close() // nobody is there now
			p.reply(p.request("INVITE"), 200, "OK", "far", testSDP, "Contact: <sip:far@"+addr+";transport=tcp>")
			p.request("ACK")
			await[telephony.Answered](t, leg)
			left := killed(t, file, 1)
			core, logs := observer.New(zapcore.InfoLevel)
			again := newServer(t, answerAll, gateway, keeping(t, left), func(c *Config) { c.Log = zap.New(core) })
			if comes {
				if ln, err = net.Listen("tcp", addr); err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = ln.Close() })
				c, err := ln.Accept()
				if err != nil {
					t.Fatal(err)
				}
				far := onConn(t, c)
				far.reply(far.request("BYE"), 200, "OK", "", "")
			}
			eventually(t, "the dialog is struck out", func() bool { return len(inFile(t, left)) == 0 })
			again.idle(t)
			line := "sip: a call of an earlier process may be open at the peer"
			if comes {
				line = "sip: a call of an earlier process is ended"
			}
			if n := logs.FilterMessage(line).Len(); n != 1 {
				t.Errorf("the log says %v", logs.All())
			}
		})
	}
}

// What the file holds is what is up: a call is struck out when it is over, its
// numbers lie ahead of those in use, its peer is where it was heard of last.
func TestDialogsFollowTheCalls(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "dialogs")
	legs := make(chan telephony.Leg, 1)
	s := newServer(t, handOver(legs), keeping(t, file))
	p := newUDPPeer(t, s.udp)
	d := p.call()
	g := (<-legs).(*leg)
	one := func(what string, ok func(*standing) bool) {
		t.Helper()
		eventually(t, what, func() bool {
			s := inFile(t, file)[g.localTag]
			return s != nil && ok(s)
		})
	}
	one("the call is in the file", func(s *standing) bool {
		return s.Seq >= seqAhead && s.CallID == d.callID && s.Trunk == "local" && s.Call == g.Info().ID && !s.Outbound
	})
	for range 3 {
		g.post(func() { g.dialog.localSeq += seqAhead/2 + 1 })
		done := make(chan uint32, 1)
		g.post(func() { done <- g.dialog.localSeq })
		used := <-done
		one("the numbers lie ahead", func(s *standing) bool { return s.Seq > used })
	}
	d.extra = []string{"Contact: <sip:moved@" + p.addr() + ">"}
	d.do("UPDATE", "")
	d.response("UPDATE", 200)
	one("the peer is followed", func(s *standing) bool { return s.Target == "sip:moved@"+p.addr() })
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v, %v", info.Mode(), err)
	}
	d.bye()
	s.idle(t)
	eventually(t, "the call is struck out", func() bool { return len(inFile(t, file)) == 0 })
}

// An end of the process that is none of a killed one leaves nothing to do.
func TestDialogsOfAnOrderlyEnd(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "dialogs")
	s := newServer(t, answerAll, keeping(t, file))
	p := newUDPPeer(t, s.udp)
	p.call()
	killed(t, file, 1)
	s.stop()
	eventually(t, "the call is struck out", func() bool { return len(inFile(t, file)) == 0 })
}

// One process has the file; a line that a kill tore is passed over, those that
// are old or nonsense too.
func TestDialogsAtTheStart(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "dialogs")
	line := func(tag string, at time.Time) string {
		s := exampleStanding()
		s.Tag, s.At = tag, at.Unix()
		s.Local = "<sip:us@192.0.2.1>;tag=" + tag
		return string(s.line())
	}
	now := time.Now()
	whole := line("a", now) + line("b", now) + "nonsense\n" + line("old", now.Add(-2*dialogLife)) +
		`{"tag":"a","over":true}` + "\n" + line("c", now) + line("d", now)[:100]
	if err := os.WriteFile(file, []byte(whole), 0o600); err != nil {
		t.Fatal(err)
	}
	core, logs := observer.New(zapcore.InfoLevel)
	j := openDialogs(t, file, zap.New(core))
	if _, err := OpenDialogs(file, nil); !errors.Is(err, ErrTaken) {
		t.Errorf("a second process: %v", err)
	}
	var tags []string
	for _, s := range j.take() {
		tags = append(tags, s.Tag)
	}
	if strings.Join(tags, " ") != "b c" || len(j.take()) != 0 {
		t.Errorf("left open: %v", tags)
	}
	if logs.Len() != 1 || logs.All()[0].ContextMap()["lines"] != int64(1) {
		t.Errorf("the log says %v", logs.All())
	}
	if live := inFile(t, file); len(live) != 2 {
		t.Errorf("in the file: %v", live)
	}
}

// The file stays small however many calls go through it.
func TestDialogsStaySmall(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "dialogs")
	j, err := OpenDialogs(file, nil)
	if err != nil {
		t.Fatal(err)
	}
	stays := exampleStanding()
	stays.Tag, stays.Local = "stays", "<sip:us@192.0.2.1>;tag=stays"
	j.put(stays, true)
	written := func() {
		t.Helper()
		eventually(t, "it is written", func() bool {
			j.mu.Lock()
			defer j.mu.Unlock()
			return len(j.queue) == 0
		})
	}
	for round := range 60 {
		var tags []string
		for i := range 100 {
			s := exampleStanding()
			s.Tag = fmt.Sprintf("t%d-%d", round, i)
			s.Local = "<sip:us@192.0.2.1>;tag=" + s.Tag
			j.put(s, true)
			tags = append(tags, s.Tag)
		}
		written()
		for _, tag := range tags {
			j.strike(tag)
		}
		written()
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(file)
	if err != nil || info.Size() > 2*dialogsSlack {
		t.Errorf("%d bytes, %v", info.Size(), err)
	}
	if live := inFile(t, file); len(live) != 1 || live["stays"] == nil {
		t.Errorf("in the file: %d", len(live))
	}
}

// A disk that takes nothing is told once, harms no call, and is written to again
// when it is there again.
func TestDialogsOnABadDisk(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "dir")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "dialogs")
	core, logs := observer.New(zapcore.InfoLevel)
	j := openDialogs(t, file, zap.New(core))
	_ = j.file.Close()
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	s := exampleStanding()
	for range 5 {
		j.put(s, true)
		eventually(t, "it was tried", func() bool { return logs.Len() > 0 })
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	other := exampleStanding()
	other.Tag, other.Local = "other", "<sip:us@192.0.2.1>;tag=other"
	j.put(other, true)
	eventually(t, "it is written", func() bool { return logs.FilterLevelExact(zapcore.InfoLevel).Len() > 0 })
	if live := inFile(t, file); len(live) != 2 {
		t.Errorf("in the file: %v", live)
	}
	if logs.FilterLevelExact(zapcore.ErrorLevel).Len() != 1 {
		t.Errorf("the log says %v", logs.All())
	}
}

func exampleStanding() *standing {
	return &standing{
		Tag: "ours", Call: "0190", Trunk: "gw", Outbound: true, CallID: "c@h", Local: "<sip:us@192.0.2.1>;tag=ours",
		Remote: `"A; \"B\"" <sip:them@192.0.2.2>;tag=theirs`, RemoteTag: "theirs", Target: "sip:them@192.0.2.2:5070;transport=tcp",
		Routes: []string{"sip:192.0.2.3;lr"}, Seq: 1001, Transport: "TCP", Host: "gw.example.com", At: time.Now().Unix(),
	}
}

// FuzzDialogs: whatever stands in the file, it is read without a panic, and what
// is taken of it makes a BYE that says one thing only.
func FuzzDialogs(f *testing.F) {
	f.Add(append(exampleStanding().line(), exampleStanding().line()[:40]...))
	ringing := exampleStanding()
	ringing.Branch, ringing.Remote, ringing.RemoteTag = "z9hG4bK1", "<sip:them@192.0.2.2>", ""
	ringing.Source = netip.MustParseAddrPort("192.0.2.3:5060")
	f.Add(ringing.line())
	f.Add([]byte(`{"tag":"a","over":true}` + "\n\n{}\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		live, order, _ := readDialogs(text)
		if len(live) != len(order) {
			t.Fatalf("%d dialogs, %d in order", len(live), len(order))
		}
		for _, tag := range order {
			s := live[tag]
			d, err := s.dialog()
			if err != nil {
				t.Fatal(err)
			}
			again, err := parseStanding(s.line())
			if err != nil || again.Tag != s.Tag || again.Seq != s.Seq || again.Target != s.Target {
				t.Fatalf("%+v became %+v, %v", s, again, err)
			}
			req := d.request("BYE")
			req.SetBody(nil)
			p, bad := split([]byte(req.String()), 100)
			if len(s.Routes) > 50 {
				continue
			}
			if bad != nil || p.count("Call-ID") != 1 || p.count("CSeq") != 1 || p.count("From") != 1 || len(p.body) != 0 {
				t.Fatalf("%v: %q", bad, req.String())
			}
		}
	})
}
