//go:build e2e

package e2e

import (
	"flag"
	"strings"
	"sync"
	"testing"
	"time"
)

// How many transfers of each way TestPeerTransfersLeakNothing makes, few in CI, and
// how many of each are under way at once: a bridged one has two legs, and an engine
// with 50 takes no more where the machine is late.
var transfersEach = flag.Int("transfers", 15, "transfers of each kind in the test of leaks")

const transfersAtOnce = 5

// TestPeerTransfersLeakNothing: transfers in every way at once, with 1 % of the SIP
// messages of both their peers lost on each side. Every one is made, and when they
// are over no leg, port, goroutine or descriptor is held (INV32).
func TestPeerTransfersLeakNothing_INV32(t *testing.T) {
	t.Parallel()
	lossy := []string{"-lost", "1", "-max_retrans", "10"}
	desk, _ := desks(t, "desk", lossy)
	accepting, _ := desks(t, "desk_accepts", lossy)
	e := (&frontDesk{
		desks: []string{desk, accepting},
		// Long enough for a key to be sent again before the announcement is over.
		voice: `{default: plain, plain: {type: "null", first_byte: 50ms, tone: 440, word: 600ms, speed: -1}}`,
	}).serve(t)
	ways := []struct{ name, rest, kind, desk, allow string }{
		{"cold by REFER", "transfer_referred", "1", "1", "INVITE, ACK, BYE, CANCEL, INFO, REFER, NOTIFY"},
		{"cold bridged", "transfer_bridged", "1", "1", "INVITE, ACK, BYE, CANCEL, INFO"},
		{"warm", "transfer_bridged", "2", "2", "INVITE, ACK, BYE, CANCEL, INFO"},
		{"monitored", "transfer_bridged", "3", "1", "INVITE, ACK, BYE, CANCEL, INFO"},
	}
	hand := func(each, rate int) {
		var wg sync.WaitGroup
		for _, w := range ways {
			wg.Go(func() {
				e.asks(t, w.rest, sippRun{
					calls: each, rate: rate, most: transfersAtOnce, lost: 1,
					limit: 3*time.Minute + time.Duration(each)*4*time.Second,
				},
					"KIND", w.kind, "DESK", w.desk, "ALLOW", w.allow, "HOLD", "9000", "PATIENCE", "4000")
			})
		}
		wg.Wait()
	}
	ports := e.metric(t, "patchcord_rtp_ports_free")
	hand(1, 1) // what runs from the first call on, and from the store's election on, is no leak
	e.freed(t, 0)
	routines, fds := e.metric(t, "go_goroutines"), e.metric(t, "process_open_fds")
	began := time.Now()
	hand(*transfersEach, 3) // two cores keep up with it, and other tests listen for gaps beside it
	took := time.Since(began)
	all := e.read(t)
	told := 0
	for _, f := range named(all, "transfer.finished") {
		if f.text("result") == "answered" || told == 3 {
			continue
		}
		told++
		for _, ev := range all {
			if ev.text("call_id") == f.text("call_id") {
				t.Log(ev)
			}
		}
	}
	results, made := map[string]int{}, len(ways)*(1+*transfersEach)
	for _, ev := range named(all, "transfer.finished") {
		results[strings.TrimSpace(ev.text("result")+" "+ev.text("reason"))]++
	}
	t.Logf("%d transfers of %d in %v: %v", len(named(all, "transfer.finished")), made, took, results)
	if results["answered"] != made {
		t.Errorf("%v, want %d answered", results, made)
	}
	e.freed(t, ports)
	eventually(t, 40*time.Second, "goroutines and descriptors are as before", func() bool {
		return e.metric(t, "go_goroutines") <= routines+3 && e.metric(t, "process_open_fds") <= fds+3
	})
	t.Logf("ports %v, goroutines %v -> %v, descriptors %v -> %v", ports, routines, e.metric(t, "go_goroutines"), fds,
		e.metric(t, "process_open_fds"))
	e.stop(t)
}
