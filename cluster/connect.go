package cluster

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"github.com/patchcord/patchcord/internal/certificate"
)

const (
	// A peer that is cut off without a word is noticed after three of these.
	pingEvery = 2 * time.Second
	mostPings = 2
	// reconnect is how long to wait before an existing NATS is tried again.
	reconnect = time.Second
	// maxPayload is of one message, bytes: an event with a tool's whole answer.
	maxPayload = 1 << 20
	// maxPending is what may wait for one connection, bytes, until it is closed
	// as too slow: about a minute of the events of 1,000 calls.
	maxPending = 16 << 20
	// writeTimeout bounds one write to a peer.
	writeTimeout = 2 * time.Second
	// reportEvery is of how many tries in a row to reach a peer one is told, after the
	// first: there is one a second.
	reportEvery = 3600
	// handshake bounds TLS and the password between nodes, s.
	handshake = 5
)

// openServer starts the server in this process. Where there are other nodes it
// must listen for clients (a server that does not, takes no routes either): on
// loopback, at any port, with a password that nobody else has.
func (n *Node) openServer() (*server.Server, error) {
	c := n.cfg
	o := &server.Options{
		ServerName: n.id, Host: "127.0.0.1", Port: server.RANDOM_PORT, DontListen: c.alone(),
		Username: defaultName, Password: rand.Text(),
		NoSigs: true, NoLog: true, NoSystemAccount: true, DisableShortFirstPing: true,
		MaxPayload: maxPayload, MaxPending: maxPending, WriteDeadline: writeTimeout,
		NoFastProducerStall: true, // what is slow loses messages; nobody waits
		ConnectErrorReports: reportEvery, ReconnectErrorReports: reportEvery,
	}
	n.auth = nats.UserInfo(o.Username, o.Password)
	if !c.alone() {
		host, port, err := net.SplitHostPort(c.Listen)
		if err != nil {
			return nil, err
		}
		o.Cluster = server.ClusterOpts{
			Name: c.Name, Host: host, Username: c.User, Password: c.Password.Reveal(), AuthTimeout: handshake,
			TLSTimeout:   handshake,
			PingInterval: pingEvery, MaxPingsOut: mostPings, WriteDeadline: writeTimeout, PoolSize: -1,
			Compression: server.CompressionOpts{Mode: server.CompressionOff},
		}
		if o.Cluster.Port, err = strconv.Atoi(port); err != nil {
			return nil, err
		}
		if o.Cluster.Port == 0 {
			o.Cluster.Port = server.RANDOM_PORT
		}
		if o.Cluster.TLSConfig, err = c.certificates(); err != nil {
			return nil, err
		}
		for _, r := range c.Routes {
			u, err := url.Parse(r)
			if err != nil {
				return nil, err
			}
			u.User = url.UserPassword(c.User, c.Password.Reveal())
			o.Routes = append(o.Routes, u)
		}
	}
	srv, err := server.NewServer(o)
	if err != nil {
		return nil, err
	}
	log := natsLog{n.log, make(chan error, 1)}
	srv.SetLoggerV2(log, false, false, false)
	srv.Start()
	for begun := time.Now(); !srv.ReadyForConnections(openPoll); {
		select {
		case err = <-log.fatal:
		default:
			if time.Since(begun) > openTimeout {
				err = errors.New("the server did not start")
			}
		}
		if err != nil {
			srv.Shutdown()
			return nil, fmt.Errorf("listen %s: %w", c.Listen, err)
		}
	}
	return srv, nil
}

// connect makes this process a client of its server, or of the existing NATS.
func (n *Node) connect() (*nats.Conn, error) {
	c := n.cfg
	opts := []nats.Option{
		nats.Name("patchcord " + c.Node), nats.NoEcho(), nats.MaxReconnects(-1), nats.ReconnectWait(reconnect),
		nats.ReconnectBufSize(-1), // what is said while it is away is lost, not late
		nats.PingInterval(pingEvery), nats.MaxPingsOutstanding(mostPings), nats.FlusherTimeout(writeTimeout),
		nats.IgnoreAuthErrorAbort(), nats.ErrorHandler(n.natsError),
	}
	if n.srv != nil {
		return nats.Connect("", append(opts, n.auth, nats.InProcessServer(n.srv))...)
	}
	if c.User != "" {
		opts = append(opts, nats.UserInfo(c.User, c.Password.Reveal()))
	}
	if c.Token != "" {
		opts = append(opts, nats.Token(c.Token.Reveal()))
	}
	if c.Credentials != "" {
		opts = append(opts, nats.UserCredentials(c.Credentials))
	}
	t, err := c.certificates()
	if err != nil {
		return nil, err
	}
	if t != nil {
		opts = append(opts, nats.Secure(t))
	}
	at := zap.String("nats", c.NATS)
	opts = append(opts, nats.RetryOnFailedConnect(true),
		nats.ConnectHandler(func(*nats.Conn) { n.log.Info("cluster: the NATS is there", at) }),
		nats.DisconnectErrHandler(func(nc *nats.Conn, err error) {
			if !nc.IsClosed() {
				n.log.Warn("cluster: the NATS is away: other nodes are out of reach, calls go on", at, zap.Error(err))
			}
		}),
		nats.ReconnectHandler(func(*nats.Conn) { n.log.Info("cluster: the NATS is back", at) }),
	)
	nc, err := nats.Connect(c.NATS, opts...)
	if err == nil && !nc.IsConnected() {
		n.log.Warn("cluster: the NATS is not there yet: other nodes are out of reach", at)
	}
	return nc, err
}

func (n *Node) natsError(_ *nats.Conn, sub *nats.Subscription, err error) {
	if errors.Is(err, nats.ErrSlowConsumer) {
		n.lost.Add(1)
		return
	}
	subject := ""
	if sub != nil {
		subject = sub.Subject
	}
	n.log.Warn("cluster: the bus", zap.String("subject", subject), zap.Error(err))
}

// certificates are what nodes show each other, or an existing NATS; nil: none. A
// certificate that is renewed is used without a restart.
func (c *Config) certificates() (*tls.Config, error) {
	t := c.TLS
	if t == (TLS{}) || (t.Cert == "") != (t.Key == "") {
		return nil, nil
	}
	out := &tls.Config{MinVersion: tls.VersionTLS12}
	if t.CA != "" {
		pem, err := os.ReadFile(t.CA)
		if err != nil {
			return nil, err
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s has no certificate", t.CA)
		}
		out.RootCAs, out.ClientCAs, out.ClientAuth = pool, pool, tls.RequireAndVerifyClientCert
	}
	if t.Cert == "" {
		return out, nil
	}
	pair, err := certificate.Load(t.Cert, t.Key)
	if err != nil {
		return nil, err
	}
	log := c.Log
	current := func() *tls.Certificate {
		return pair.Current(func(err error) {
			switch {
			case log == nil:
			case err != nil:
				log.Warn("cluster: a renewed certificate cannot be used", zap.Error(err))
			default:
				log.Info("cluster: the certificate was renewed")
			}
		})
	}
	out.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return current(), nil }
	out.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return current(), nil }
	return out, nil
}

// natsLog is the server's log: what it calls a notice is of no interest to those
// who run a node.
type natsLog struct {
	log   *zap.Logger
	fatal chan error // capacity 1: why it does not start
}

var _ server.Logger = natsLog{}

// Noticef is of the server's daily life.
func (l natsLog) Noticef(format string, v ...any) { l.Debugf(format, v...) }

// Warnf is of a peer that is away. That passwords are kept in clear is of no
// interest: they are in this process's memory alone.
func (l natsLog) Warnf(format string, v ...any) {
	text := fmt.Sprintf(format, v...)
	if strings.HasPrefix(text, "Plaintext passwords") {
		return
	}
	l.log.Warn("nats: " + text)
}

// Errorf is the same to a node.
func (l natsLog) Errorf(format string, v ...any) { l.Warnf(format, v...) }

// Fatalf is why the server does not start.
func (l natsLog) Fatalf(format string, v ...any) {
	select {
	case l.fatal <- fmt.Errorf(format, v...):
	default: // the first is the reason
	}
}

// Debugf is for those who look for a fault.
func (l natsLog) Debugf(format string, v ...any) { l.log.Debug("nats: " + fmt.Sprintf(format, v...)) }

// Tracef is never asked for.
func (l natsLog) Tracef(string, ...any) {}
