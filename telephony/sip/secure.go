package sip

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"go.uber.org/zap"

	"github.com/patchcord/patchcord/internal/certificate"
	"github.com/patchcord/patchcord/telephony/trunk"
)

// serverTLS makes what connections over TLS that come to us are spoken to with.
func (u *UserAgent) serverTLS() error {
	wanted := false
	for _, l := range u.listens {
		wanted = wanted || l.network == "tls"
	}
	if !wanted {
		return nil
	}
	if u.cfg.Cert == "" || u.cfg.Key == "" {
		return errors.New("sip: listen on tls: Config.Cert and Config.Key are needed")
	}
	pair, err := certificate.Load(u.cfg.Cert, u.cfg.Key)
	if err != nil {
		return fmt.Errorf("sip: listen on tls: %w", err)
	}
	if pair.Ends().Before(time.Now()) {
		u.log.Warn("sip: the certificate has ended: peers will refuse it", zap.String("file", u.cfg.Cert),
			zap.Time("ended", pair.Ends()))
	}
	u.server = &tls.Config{
		MinVersion: tls.VersionTLS12, // SEC-14
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return pair.Current(u.renewed(u.cfg.Cert)), nil
		},
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			return trunk.ServerTLS(u.server, u.trunks.Load().Callers(addrPort(hello.Conn.RemoteAddr()).Addr())), nil
		},
	}
	return nil
}

// renewed tells of another certificate in a file.
func (u *UserAgent) renewed(file string) func(error) {
	return func(err error) {
		if err != nil {
			u.log.Warn("sip: a certificate that was renewed cannot be used, the one before goes on",
				zap.String("file", file), zap.Error(err))
			return
		}
		u.log.Info("sip: certificate renewed", zap.String("file", file))
	}
}

// greet does the handshake of a connection over TLS that came to us. Whoever is
// not done with it within Limits.Partial is gone (SEC-12).
func (s *stream) greet() error {
	c, ok := s.Conn.(*tls.Conn)
	if !ok || s.dialled {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.u.limits.Partial)
	defer cancel()
	err := c.HandshakeContext(ctx)
	if err == nil {
		return nil
	}
	s.u.count.tls.Add(1)
	if muted, ok := s.u.known.mayLog(s.from.Addr()); ok {
		s.u.log.Warn("sip: TLS with "+s.from.Addr().String(), zap.Error(err), zap.Int("more_failed", muted))
	}
	return err
}

// secure makes sure that a connection over TLS to that address is open, and that
// it is one to host.
func (u *UserAgent) secure(to netip.AddrPort, host string, trust *trunk.Trust) error {
	if s := u.connection("TLS", to); s != nil {
		return s.reaches(host, trust)
	}
	err := u.dial(to, "TLS", func(ctx context.Context, plain net.Conn) (net.Conn, error) {
		conn := tls.Client(plain, trust.Client(host, u.renewed("of a trunk")))
		return conn, conn.HandshakeContext(ctx)
	}, trust)
	if err != nil {
		return err
	}
	if s := u.connection("TLS", to); s != nil {
		return s.reaches(host, trust) // it may be another call's
	}
	why := u.lost("TLS", to) // a gateway may say only now that it wants a certificate
	if why == nil {
		why = net.ErrClosed
	}
	return fmt.Errorf("sip: connect to %s: %w", to, why)
}

// reaches says why a connection that is open does not do for a host.
func (s *stream) reaches(host string, trust *trunk.Trust) error {
	c, ok := s.Conn.(*tls.Conn)
	if !ok {
		return nil
	}
	if err := trust.Reaches(c.ConnectionState(), s.trust, host); err != nil {
		return fmt.Errorf("sip: connect to %s: %w", s.from, err)
	}
	return nil
}

// proven tells whether a call comes with the certificate that its trunk has to
// show: over a connection on which it was verified, its or ours.
func (u *UserAgent) proven(m *message, t *trunk.Trunk) bool {
	if !t.Trust.NeedsClient() {
		return true
	}
	s := u.connection(m.transport, m.from)
	if s == nil || m.transport != "TLS" {
		return false
	}
	c, ok := s.Conn.(*tls.Conn)
	return ok && (s.dialled && t.Trust == s.trust || t.Trust.VerifyClient(c.ConnectionState().PeerCertificates) == nil)
}
