//go:build e2e

package e2e

import (
	"context"
	"crypto/x509"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/patchcord/patchcord/internal/secret"
	"github.com/patchcord/patchcord/internal/testkit/authority"
	"github.com/patchcord/patchcord/telephony/rtp"
	"github.com/patchcord/patchcord/telephony/sip"
	"github.com/patchcord/patchcord/telephony/trunk"
)

// registrar is a Kamailio by testdata/kamailio/carrier.cfg.
type registrar struct {
	*process
	t    *testing.T
	argv []string
	host string // where it is: UDP and TCP 5060
	one  string // where its two telephones would be
	two  string
}

// registrarKeys are what a registrar does beside its duty.
type registrarKeys struct {
	relay string               // address of an rtpengine that media goes through; "": none
	tls   *authority.Authority // it speaks TLS at port 5061, with us alone; nil: it does not
}

// openRegistrar starts one for a line at us.
func openRegistrar(t *testing.T, us string, keys registrarKeys) *registrar {
	t.Helper()
	program := needs(t, "kamailio", "kamailio")
	c := &registrar{t: t, host: ourAddr(), one: ourAddr(), two: ourAddr()}
	text, err := os.ReadFile("testdata/kamailio/carrier.cfg")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "carrier.cfg")
	var ca, cert, key string
	if keys.tls != nil {
		if found, _ := filepath.Glob("/usr/lib/*/kamailio/modules/tls.so"); found == nil {
			t.Skip("kamailio has no TLS (apt-get install kamailio-tls-modules)")
		}
		ca, cert, key = keys.tls.Files(t, c.host, eitherEnd)
	}
	filled := strings.NewReplacer("@HERE@", c.host, "@ONE@", c.one, "@TWO@", c.two, "@US@", us, "@RELAY@", keys.relay,
		"@CA@", ca, "@CERT@", cert, "@KEY@", key).Replace(string(text))
	if err := os.WriteFile(file, []byte(filled), 0o600); err != nil {
		t.Fatal(err)
	}
	c.argv = []string{
		program, "-f", file, "-DD", "-E", "-m", "32", "-M", "4", "-w", dir, "-Y", dir, "-P", filepath.Join(dir, "pid"),
	}
	if keys.relay != "" {
		c.argv = append(c.argv, "-A", "RTPENGINE")
	}
	if keys.tls != nil {
		c.argv = append(c.argv, "-A", "TLS")
	}
	c.open()
	return c
}

// open starts the program and waits until it listens.
func (c *registrar) open() {
	c.t.Helper()
	c.process = start(c.t, time.Minute, filepath.Dir(c.argv[2]), c.argv...)
	eventually(c.t, 15*time.Second, "kamailio listens", func() bool {
		select {
		case <-c.done:
			c.t.Fatalf("kamailio ended:\n%s", tail(c.out.String(), 3000))
		default:
		}
		conn, err := net.DialTimeout("tcp", net.JoinHostPort(c.host, "5060"), time.Second)
		if err != nil {
			return false
		}
		conn.Close()
		return true
	})
}

// restart ends the program, which forgets all that registered, and starts it
// again.
func (c *registrar) restart() {
	c.t.Helper()
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		c.t.Fatal(err)
	}
	<-c.done
	c.open()
}

// openRegistered is a line that registers at a carrier of its own, which calls
// of the carrier come to as those of the trunk "carrier". Over TLS each shows
// the other a certificate, and what goes through a relay is encrypted.
func openRegistered(t *testing.T, tone float64, transport string, keys registrarKeys) (*toneLine, *registrar) {
	t.Helper()
	var c *registrar
	line := openLine(t, tone, func(cfg *sip.Config, _ *rtp.Config) {
		host, _, _ := strings.Cut(strings.TrimPrefix(cfg.Listen[0], "udp://"), ":")
		c = openRegistrar(t, host, keys)
		carrier := trunk.Config{
			Name: "carrier", Gateways: []string{"sip:" + c.host + ":5060;transport=" + transport}, Username: "alice",
			Password: secret.Text("s3cret"), Register: true,
		}
		if keys.tls != nil {
			ca, cert, key := keys.tls.Files(t, host, eitherEnd)
			cfg.Listen, cfg.Cert, cfg.Key = append(cfg.Listen, "tls://"+net.JoinHostPort(host, sipOverTLS)), cert, key
			carrier.Gateways = []string{"sip:" + net.JoinHostPort(c.host, sipOverTLS) + ";transport=tls"}
			carrier.TLS = trunk.Security{CA: ca, Cert: cert, Key: key, ClientCert: true}
			if keys.relay != "" {
				carrier.SRTP = "required"
			}
		}
		var err error
		if cfg.Trunks, err = trunk.NewTable([]trunk.Config{carrier}, nil, ""); err != nil {
			t.Fatal(err)
		}
	})
	eventually(t, 10*time.Second, "registered", line.registered)
	return line, c
}

// eitherEnd lets a certificate be shown by who connects as well.
func eitherEnd(c *x509.Certificate) {
	c.ExtKeyUsage = append(c.ExtKeyUsage, x509.ExtKeyUsageClientAuth)
}

func (l *toneLine) registered() bool {
	r := l.ua.TrunkStatus("carrier").Registration
	return r != nil && r.Registered
}

// openRelay starts an rtpengine and returns its address.
func openRelay(t *testing.T) string {
	t.Helper()
	program := needs(t, "rtpengine", "rtpengine-daemon")
	addr := ourAddr()
	p := start(t, time.Minute, t.TempDir(), program, "--table=-1", "--interface="+addr, "--listen-ng="+addr+":22222",
		"--config-file=none",
		"--port-min=30000", "--port-max=30098", "--foreground", "--log-stderr", "--log-level=5")
	eventually(t, 10*time.Second, "rtpengine answers", func() bool {
		select {
		case <-p.done:
			t.Fatalf("rtpengine ended:\n%s", tail(p.out.String(), 3000))
		default:
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var d net.Dialer
		conn, err := d.DialContext(ctx, "udp", addr+":22222")
		if err != nil {
			return false
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(200 * time.Millisecond))
		if _, err := conn.Write([]byte("1 d7:command4:pinge")); err != nil {
			return false
		}
		n, err := conn.Read(make([]byte, 100))
		return err == nil && n > 0
	})
	return addr
}

// telephone is a SIPp at an address that takes one call by a scenario, or as extra
// says; verdict waits for its end.
func telephone(t *testing.T, scenario, addr string, extra ...string) (verdict func()) {
	t.Helper()
	program := needs(t, "sipp", "sip-tester")
	script, err := filepath.Abs(filepath.Join("testdata/sipp", scenario+".xml"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	p := start(t, time.Minute, dir, append([]string{
		program, "-sf", script, "-i", addr, "-p", "5060", "-mi", addr, "-mp", "6000", "-m", "1", "-nostdin",
		"-timeout", "50", "-timeout_error", "-trace_err", "-error_file", "errors", "-trace_msg", "-message_file", "messages",
	}, extra...)...)
	p.listens(t, addr)
	return func() {
		t.Helper()
		code, err := p.wait()
		if err != nil || code != 0 {
			why, _ := os.ReadFile(filepath.Join(dir, "errors"))
			messages, _ := os.ReadFile(filepath.Join(dir, "messages"))
			t.Errorf("sipp %s: exit %d, %v: the call did not go by the script\n%s\n%s", scenario, code, err,
				tail(string(why), 1500), tail(string(messages), 4000))
		}
	}
}
