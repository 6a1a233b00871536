package dial

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
)

var (
	v6 = netip.MustParseAddr("2001:db8::1")
	v4 = netip.MustParseAddr("192.0.2.1")
)

func pipe(t *testing.T) net.Conn {
	t.Helper()
	here, there := net.Pipe()
	t.Cleanup(func() { _, _ = here.Close(), there.Close() })
	return here
}

// TestLookup: a lookup takes a second at most, and a name that was found is
// reached for a day without another answer.
func TestLookup(t *testing.T) {
	t.Parallel()
	faults := map[string]func(context.Context) error{
		"no answer": func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
		"SERVFAIL":  func(context.Context) error { return &net.DNSError{Err: "server misbehaving", IsTemporary: true} },
		"NXDOMAIN":  func(context.Context) error { return &net.DNSError{Err: "no such host", IsNotFound: true} },
		"empty":     func(context.Context) error { return nil },
	}
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				good := false
				d := Dialer{
					Lookup: func(ctx context.Context, _ string) ([]netip.Addr, error) {
						if good {
							return []netip.Addr{v4}, nil
						}
						return nil, fault(ctx)
					},
					Connect: func(context.Context, string, string) (net.Conn, error) { return pipe(t), nil },
				}
				ask := func() error {
					begun := time.Now()
					_, err := d.DialContext(t.Context(), "tcp", "api.example:443")
					if took := time.Since(begun); took > lookupWait {
						t.Errorf("took %v", took)
					}
					return err
				}
				if ask() == nil {
					t.Error("connected to a name that was never found")
				}
				good = true
				if err := ask(); err != nil {
					t.Fatal(err)
				}
				good = false
				time.Sleep(lookupKept - time.Minute)
				if err := ask(); err != nil {
					t.Errorf("the last good address was not taken: %v", err)
				}
				time.Sleep(2 * time.Minute)
				if ask() == nil {
					t.Error("an address was kept for more than a day")
				}
			})
		})
	}
}

// TestLookupsDoNotWaitForEachOther: a name that is not told holds up no other.
func TestLookupsDoNotWaitForEachOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := Dialer{
			Lookup: func(ctx context.Context, host string) ([]netip.Addr, error) {
				if host == "slow.example" {
					<-ctx.Done()
					return nil, ctx.Err()
				}
				return []netip.Addr{v4}, nil
			},
			Connect: func(context.Context, string, string) (net.Conn, error) { return pipe(t), nil },
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := d.DialContext(t.Context(), "tcp", "slow.example:443"); err == nil {
				t.Error("connected to nowhere")
			}
		})
		synctest.Wait()
		begun := time.Now()
		if _, err := d.DialContext(t.Context(), "tcp", "quick.example:443"); err != nil || time.Since(begun) != 0 {
			t.Errorf("%v after %v", err, time.Since(begun))
		}
		wg.Wait()
	})
}

// TestAddressesTakeTurns: an address that does not answer costs 250 ms, one
// that refuses nothing, and none of the attempts is left.
func TestAddressesTakeTurns(t *testing.T) {
	t.Parallel()
	refuses := errors.New("refused")
	for name, fault := range map[string]func(context.Context) error{
		"silent":  func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
		"refuses": func(context.Context) error { return refuses },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { // fails where a goroutine is left
				d := Dialer{
					Lookup: func(context.Context, string) ([]netip.Addr, error) {
						return []netip.Addr{v6, v6.Next(), v4}, nil
					},
					Connect: func(ctx context.Context, _, address string) (net.Conn, error) {
						if address == net.JoinHostPort(v4.String(), "443") {
							return pipe(t), nil
						}
						return nil, fault(ctx)
					},
				}
				begun := time.Now()
				_, err := d.DialContext(t.Context(), "tcp", "api.example:443")
				want := time.Duration(0)
				if name == "silent" {
					want = stagger
				}
				if err != nil || time.Since(begun) != want {
					t.Errorf("%v after %v, want %v", err, time.Since(begun), want)
				}
			})
		})
	}
	if got := alternate([]netip.Addr{v6, v6.Next(), v4}); !slices.Equal(got, []netip.Addr{v6, v4, v6.Next()}) {
		t.Errorf("order %v", got)
	}
}

// TestNoAddressAnswers ends when the connection's time is over.
func TestNoAddressAnswers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := Dialer{
			Lookup:  func(context.Context, string) ([]netip.Addr, error) { return []netip.Addr{v6, v4}, nil },
			Connect: func(ctx context.Context, _, _ string) (net.Conn, error) { <-ctx.Done(); return nil, ctx.Err() },
		}
		begun := time.Now()
		_, err := d.DialContext(t.Context(), "tcp", "api.example:443")
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) != connectWait {
			t.Errorf("%v after %v", err, time.Since(begun))
		}
	})
}

// TestHandshakeIsGivenUp: who gives up while a server that took the connection
// says nothing, is free at once, and the connection is closed.
func TestHandshakeIsGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		closed := make(chan struct{})
		go func() {
			_, _ = io.Copy(io.Discard, there)
			close(closed)
		}()
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(100*time.Millisecond, cancel)
		begun := time.Now()
		_, _, err := WebSocket(ctx, &websocket.Dialer{
			HandshakeTimeout: time.Minute,
			NetDialContext:   func(context.Context, string, string) (net.Conn, error) { return here, nil },
		}, "ws://api.example/v1", nil)
		if took := time.Since(begun); !errors.Is(err, context.Canceled) || took != 100*time.Millisecond {
			t.Errorf("%v after %v, want to be free after 100ms", err, took)
		}
		<-closed
	})
}
