package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/patchcord/patchcord/engine"
	"github.com/patchcord/patchcord/telephony"
)

// The environment of a process that a test kills.
const (
	childStore    = "PATCHCORD_TEST_STORE"
	childReceiver = "PATCHCORD_TEST_RECEIVER"
	childCalls    = "PATCHCORD_TEST_CALLS" // to begin, none: only what is there is delivered
)

const eventsOfACall = 3

// deliveringChild is a process that delivers until it is killed.
func deliveringChild() {
	ctx := context.Background()
	s, err := Open(ctx, Config{URL: os.Getenv(childStore), Node: "child"})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	for _, call := range strings.Fields(os.Getenv(childCalls)) {
		s.Started(engine.Record{ID: telephony.CallID(call), Started: time.Now()})
		for n := range eventsOfACall {
			s.Deliver(Delivery{Call: telephony.CallID(call), Event: fmt.Sprint("e", n+1), URL: os.Getenv(childReceiver)})
		}
	}
	if err := s.Flush(ctx); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("queued")
	err = s.Work(ctx, time.Second, func(ctx context.Context, d Delivery) Attempt {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.URL, strings.NewReader(d.Event))
		if err != nil {
			return Attempt{Err: err, Final: true}
		}
		req.Header.Set("webhook-id", d.ID)
		req.Header.Set("call", string(d.Call))
		reply, err := http.DefaultClient.Do(req)
		if err != nil {
			return Attempt{Err: err}
		}
		defer func() { _ = reply.Body.Close() }()
		return Attempt{Status: reply.StatusCode}
	})
	fmt.Println(err)
	os.Exit(1)
}

// killed counts what arrives, and holds an answer so that the sender dies
// without it.
type killed struct {
	mu      sync.Mutex // guards what follows
	ids     map[string]int
	order   map[string][]string // by call, each event once
	hold    bool
	held    chan struct{} // a request is there whose answer is held; capacity 64
	arrived chan struct{} // capacity 1: something has arrived
}

func (k *killed) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	k.mu.Lock()
	k.ids[r.Header.Get("webhook-id")]++
	if call := r.Header.Get("call"); !slices.Contains(k.order[call], string(body)) {
		k.order[call] = append(k.order[call], string(body))
	}
	hold := k.hold
	k.mu.Unlock()
	if hold {
		k.held <- struct{}{}
		<-r.Context().Done() // until the sender is dead
		return
	}
	select {
	case k.arrived <- struct{}{}:
	default:
	}
	w.WriteHeader(http.StatusNoContent)
}

func (k *killed) events() (n int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, o := range k.order {
		n += len(o)
	}
	return n
}

func (k *killed) set(hold bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.hold = hold
}

// A process that is killed between a delivery and its acknowledgement loses no
// event: the next one delivers it again, under the same id, and all of a call
// in their order.
func TestKilledBeforeTheAcknowledgement(t *testing.T) {
	t.Parallel()
	eachURL(t, func(t *testing.T, url string) {
		t.Helper()
		k := &killed{
			ids: map[string]int{}, order: map[string][]string{},
			held: make(chan struct{}, 64), arrived: make(chan struct{}, 1),
		}
		web := httptest.NewServer(k)
		t.Cleanup(web.Close)
		const calls = 8
		names := ""
		for i := range calls {
			names += fmt.Sprintf("c%d ", i)
		}
		k.set(true)
		for range 3 { // three times it dies with requests out
			child := startChild(t, url, web.URL, names)
			names = ""
			for range calls {
				select {
				case <-k.held:
				case <-time.After(time.Minute):
					t.Fatal("no request came")
				}
			}
			if err := child.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = child.Wait()
		}
		k.set(false)
		child := startChild(t, url, web.URL, "")
		patience := time.After(2 * time.Minute)
		for k.events() < calls*eventsOfACall {
			select {
			case <-k.arrived:
			case <-patience:
				t.Fatalf("%d events arrived", k.events())
			}
		}
		_ = child.Process.Kill()
		_ = child.Wait()
		k.mu.Lock()
		defer k.mu.Unlock()
		if len(k.ids) != calls*eventsOfACall {
			t.Errorf("%d ids for %d events", len(k.ids), calls*eventsOfACall)
		}
		for call, order := range k.order {
			if fmt.Sprint(order) != "[e1 e2 e3]" {
				t.Errorf("%s: %v", call, order)
			}
		}
	})
}

func startChild(t *testing.T, url, receiver, calls string) *exec.Cmd {
	t.Helper()
	c := exec.Command(os.Args[0]) //nolint:gosec // this test itself
	c.Env = append(os.Environ(), childStore+"="+url, childReceiver+"="+receiver, childCalls+"="+calls)
	out, err := c.StdoutPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Process.Kill() })
	var line [256]byte
	n, err := out.Read(line[:])
	if err != nil && !errors.Is(err, io.EOF) || !strings.HasPrefix(string(line[:n]), "queued") {
		t.Fatalf("%s %v", line[:n], err)
	}
	return c
}
