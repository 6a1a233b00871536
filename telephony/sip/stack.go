package sip

import (
	"context"
	"errors"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/emiago/sipgo/sip"
	"go.uber.org/zap"
)

// stack is what the dialogs need of the layers below them. The only
// implementation is sipgo's; a repaired copy of it comes in here.
type stack interface {
	// serveUDP, serveTCP and serveTLS read until the socket ends. What the
	// listener of serveTLS accepts is in the clear already.
	serveUDP(net.PacketConn) error
	serveTCP(net.Listener) error
	serveTLS(net.Listener) error
	// request starts a client transaction. again is called with every 2xx
	// behind the first: retransmitted, or of another branch of a fork.
	request(req *sip.Request, again func(*sip.Response)) (transaction, error)
	// send sends without a transaction: the ACK of a 2xx.
	send(*sip.Request) error
	close()
}

// transaction is a client transaction.
type transaction interface {
	Responses() <-chan *sip.Response
	Done() <-chan struct{}
	Err() error
	Terminate()
}

// sipgo is a stack.
type sipgo struct {
	transport *sip.TransportLayer
	txs       *sip.TransactionLayer
}

var global sync.Once

// The transport would look up and call back the host that a Via names when the
// connection of a request is gone. It may do neither: where we send to, we have
// found and opened ourselves (UserAgent.address).
var (
	errNotOurs = errors.New("sip: the transport opens no connection")
	noNames    = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		return nil, errNotOurs
	}}
	noDialer = func(net.Addr) net.Dialer {
		return net.Dialer{Control: func(string, string, syscall.RawConn) error { return errNotOurs }}
	}
)

// newSipgo makes the layers. Requests that passed ingress come to u.deliver,
// each in its own goroutine (sip:P6), responses without a transaction to
// u.unmatched.
func newSipgo(u *UserAgent) *sipgo {
	global.Do(func() {
		// A response must leave over UDP however long it is (sip:P3): RFC 3261
		// section 18.2.2 knows no other transport for it. 65507 is what UDP
		// carries; the transport takes 200 off.
		sip.UDPMTUSize = 65507 + 200
		sip.SetDefaultLogger(silent)
	})
	log := newSlog(u.log)
	s := &sipgo{transport: sip.NewTransportLayer(noNames, sip.NewParser(), nil,
		sip.WithTransportLayerLogger(log),
		sip.WithTransportLayerTransports(sip.TransportsConfig{
			TCP: &sip.TransportTCP{DialerCreate: noDialer},
			TLS: &sip.TransportTLS{TransportTCP: &sip.TransportTCP{DialerCreate: noDialer}},
		}),
		sip.WithTransportLayerReadFilter(func(p sip.TransportReadProps, data []byte) ([]byte, error) {
			if p.Transport == "UDP" && !u.listensAt(addrPort(p.LocalAddr)) {
				return nil, nil // a socket of its own making, which ingress does not guard
			}
			return data, nil
		}))}
	s.txs = sip.NewTransactionLayer(s.transport,
		sip.WithTransactionLayerLogger(log),
		sip.WithTransactionLayerUnhandledResponseHandler(u.unmatched))
	s.txs.OnRequest(func(req *sip.Request, tx *sip.ServerTx) {
		defer func() {
			if r := recover(); r != nil {
				u.count.panics.Add(1)
				u.log.Error("sip: request dropped", zap.Any("panic", r), zap.Stack("stack"))
				tx.Terminate()
			}
		}()
		u.deliver(req, tx)
	})
	return s
}

func (s *sipgo) serveUDP(c net.PacketConn) error { return s.transport.ServeUDP(c) }
func (s *sipgo) serveTCP(l net.Listener) error   { return s.transport.ServeTCP(l) }
func (s *sipgo) serveTLS(l net.Listener) error   { return s.transport.ServeTLS(l) }

func (s *sipgo) request(req *sip.Request, again func(*sip.Response)) (transaction, error) {
	tx, err := s.txs.NewClientTransaction(context.Background(), req)
	if errors.Is(err, syscall.EADDRINUSE) {
		// The transport is between two loops on our socket: see datagrams.fresh.
		time.Sleep(30 * time.Millisecond)
		tx, err = s.txs.NewClientTransaction(context.Background(), req)
	}
	if err != nil {
		return nil, err
	}
	if again != nil {
		tx.OnRetransmission(again)
	}
	if err := tx.Init(); err != nil {
		tx.Terminate()
		return nil, err
	}
	return tx, nil
}

func (s *sipgo) send(req *sip.Request) error {
	err := s.transport.WriteMsg(req)
	if errors.Is(err, syscall.EADDRINUSE) {
		time.Sleep(30 * time.Millisecond)
		err = s.transport.WriteMsg(req)
	}
	return err
}

func (s *sipgo) close() {
	s.txs.Close()
	_ = s.transport.Close()
	if s.transport.Pool("udp").Size() > 0 { // a straggler opened a socket meanwhile
		_ = s.transport.Close()
	}
}
