//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// needs skips the test, by name, when a program is not installed.
func needs(t *testing.T, program, debianPackage string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Skipf("%s is not installed (apt-get install %s)", program, debianPackage)
	}
	return path
}

// ourNet holds the addresses of ourAddr; stranger is a loopback address that
// no trunk of these tests matches.
const (
	ourNet   = "127.128.0.0/10"
	stranger = "127.66.6.6"
)

// lastAddr numbers the addresses of ourAddr.
var lastAddr atomic.Uint32

// ourAddr is a loopback address that no other test uses, and no other run of
// this package that goes on at the same time.
func ourAddr() string {
	n := lastAddr.Add(1)
	pid := uint32(os.Getpid())
	return fmt.Sprintf("127.%d.%d.%d", 128+pid>>8&0x3f, pid&0xff, 1+n%250)
}

// freePorts is the first of n UDP and TCP ports in a row, below the range that
// the system itself hands out, that nobody has at the moment.
func freePorts(t *testing.T, addr string, n int) int {
	t.Helper()
	given.Lock()
	defer given.Unlock()
	for range 100 {
		if given.next == 0 || given.next+n > 19000 {
			given.next = 10000 + 2*rand.IntN(500) // other runs on this machine have theirs
		}
		first := given.next
		given.next += n + n%2
		if portsFree(addr, first, n) {
			return first
		}
	}
	t.Fatalf("no %d free ports in a row", n)
	return 0
}

// given is where the ports begin that no test has been given yet: to look whether
// one is free takes it, for a moment, from whoever was told that it is.
var given struct {
	sync.Mutex
	next int
}

func portsFree(addr string, first, n int) bool {
	for port := first; port < first+n; port++ {
		at := net.JoinHostPort(addr, strconv.Itoa(port))
		l, err := net.Listen("tcp", at)
		if err != nil {
			return false
		}
		l.Close()
		c, err := net.ListenPacket("udp", at)
		if err != nil {
			return false
		}
		c.Close()
	}
	return true
}

// eventually polls until done holds.
func eventually(t *testing.T, within time.Duration, what string, done func() bool) {
	t.Helper()
	limit, tick := time.NewTimer(within), time.NewTicker(20*time.Millisecond)
	defer limit.Stop()
	defer tick.Stop()
	for !done() {
		select {
		case <-limit.C:
			t.Fatalf("%s: not within %v", what, within)
		case <-tick.C:
		}
	}
}

// talk lets a call go on: real phones live in real time.
func talk(d time.Duration) { <-time.After(d) }

// output collects what a process prints.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// process is a peer that runs beside the test.
type process struct {
	name string
	cmd  *exec.Cmd
	out  *output
	done chan struct{} // closed when it has ended
	err  error         // of Wait, after done
}

// start runs a program until it ends by itself, the test ends, or limit.
func start(t *testing.T, limit time.Duration, dir string, argv ...string) *process {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	p := &process{name: argv[0], out: &output{}, done: make(chan struct{})}
	p.cmd = exec.CommandContext(ctx, argv[0], argv[1:]...)
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = dir, p.out, p.out
	// What a program starts ends with it: a browser is many processes, behind a script.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.cmd.Cancel = func() error { return syscall.Kill(-p.cmd.Process.Pid, syscall.SIGTERM) }
	p.cmd.WaitDelay = 5 * time.Second
	if err := p.cmd.Start(); err != nil {
		cancel()
		t.Fatalf("start %s: %v", argv[0], err)
	}
	go func() {
		defer close(p.done)
		p.err = p.cmd.Wait()
		cancel()
	}()
	t.Cleanup(func() {
		cancel()
		<-p.done
		if t.Failed() {
			t.Logf("%s said:\n%s", argv[0], tail(p.out.String(), 6000))
		}
	})
	return p
}

// wait returns the exit status.
func (p *process) wait() (int, error) {
	<-p.done
	var exit *exec.ExitError
	if errors.As(p.err, &exit) {
		return exit.ExitCode(), nil
	}
	return 0, p.err
}

// listens waits until the process has UDP port 5060 of a loopback address; who tried
// to bind it to find out would be in the way.
func (p *process) listens(t *testing.T, addr string) {
	t.Helper()
	a, err := netip.ParseAddr(addr)
	if err != nil {
		t.Fatal(err)
	}
	b := a.As4()
	at := fmt.Sprintf(" %08X:%04X ", binary.NativeEndian.Uint32(b[:]), 5060)
	eventually(t, 10*time.Second, p.name+" listens", func() bool {
		sockets, err := os.ReadFile("/proc/net/udp")
		if err != nil {
			t.Fatal(err)
		}
		return strings.Contains(string(sockets), at)
	})
}

// tail is the end of a text.
func tail(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return "…" + s[len(s)-n:]
}
