//go:build e2e

package e2e

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/patchcord/patchcord/telephony"
)

// TestAgentOfAMonitoredTransfer: it says something to the target alone, and steps in
// when one of the two presses the key for that, whoever it is (T-11).
func TestAgentOfAMonitoredTransfer_T11(t *testing.T) {
	t.Parallel()
	for _, by := range []string{"caller", "target"} {
		t.Run("called back by the "+by, func(t *testing.T) {
			t.Parallel()
			desk, clerk := openDesk(t, 200*time.Millisecond, 6*time.Second)
			e := (&frontDesk{desks: []string{desk}, more: `, return_key: "*"`}).serve(t)
			line := openLine(t, 0, nil)
			caller := line.calls(t, e, "4930111222")
			id := e.callOf(t, "4930111222")
			talk(time.Second)
			caller.press(t, "31")
			target := clerk.take(t, 5*time.Second)
			e.awaits(t, 10*time.Second, "transfer.progress", "status=joined")
			caller.says.Store(true)
			talk(time.Second)
			told, beside := target.mark(), caller.mark()
			e.wants(t, "/v1/calls/"+id+"/control", `{"type":"whisper","content":"This is for your ears alone and for nobody else."}`)
			talk(2500 * time.Millisecond)
			pcm, rate := target.since(told)
			if d := loudTone(pcm, rate, agentTone); d < 500*time.Millisecond {
				t.Errorf("the target heard the agent for %v", d)
			}
			pcm, rate = caller.since(beside)
			if d := loudTone(pcm, rate, agentTone); d > 0 {
				t.Errorf("the caller heard the agent for %v", d)
			}
			caller.says.Store(false)
			back := caller.mark()
			if by == "caller" {
				caller.press(t, "*")
			} else {
				_ = target.leg.SendDigits(t.Context(), "*", telephony.Tone{}) // which ends the leg under it
			}
			e.awaits(t, 3*time.Second, "transfer.returned", "reason=asked", "ends=false")
			target.ended(t, "the target", 3*time.Second)
			talk(1500 * time.Millisecond)
			pcm, rate = caller.since(back)
			if d := loudTone(pcm, rate, agentTone); d < 200*time.Millisecond {
				t.Errorf("the caller heard the agent for %v when it was back", d)
			}
			caller.hangUp(t)
			e.freed(t, 0)
			e.stop(t)
		})
	}
}

// TestCallerGoesAtEachStage: when a caller hangs up during a transfer, nobody is left
// on a line, and the outcome tells why (INV32).
func TestCallerGoesAtEachStage_INV32(t *testing.T) {
	t.Parallel()
	desk, clerk := openDesk(t, 1500*time.Millisecond, -1)
	clerk.accepts = 2500 * time.Millisecond
	e := (&frontDesk{desks: []string{desk}}).serve(t)
	ports := e.metric(t, "patchcord_rtp_ports_free")
	line := openLine(t, 0, nil)
	type cell struct {
		*party
		kind      int
		stage, id string
		gone      bool
	}
	var cells []*cell
	for k, stages := range [][]string{
		{"", "dialing", "ringing", "joined"},
		{"", "dialing", "ringing", "answered", "briefing", "joined"},
		{"", "dialing", "ringing", "answered", "joined"},
	} {
		for _, stage := range stages {
			from := fmt.Sprintf("4930200%02d", len(cells))
			c := &cell{party: line.calls(t, e, from), kind: k, stage: stage}
			c.id = e.callOf(t, from)
			cells = append(cells, c)
		}
	}
	talk(time.Second)
	var wg sync.WaitGroup
	for _, c := range cells {
		wg.Go(func() { c.press(t, fmt.Sprintf("%d1", c.kind+1)) })
	}
	wg.Wait()
	eventually(t, 20*time.Second, "every stage was reached", func() bool {
		left := 0
		all := e.read(t)
		for _, c := range cells {
			c.gone = c.gone || slices.ContainsFunc(all, func(ev event) bool {
				at := ev.text("event") == "transfer.started" && c.stage == "" ||
					ev.text("event") == "transfer.progress" && ev.text("status") == c.stage
				if !at || c.gone || ev.text("call_id") != c.id {
					return false
				}
				c.hangUp(t)
				return true
			})
			if !c.gone {
				left++
			}
		}
		return left == 0
	})
	for _, c := range cells {
		what := fmt.Sprintf("%s at %q", handOvers[c.kind], c.stage)
		want := "caller_hung_up"
		if c.stage == "joined" {
			want = "answered"
		}
		if got := e.awaits(t, 5*time.Second, "transfer.finished", "call_id="+c.id).text("result"); got != want {
			t.Errorf("%s: it came to %s, want %s", what, got, want)
		}
		e.awaits(t, 5*time.Second, "call.ended", "call_id="+c.id)
	}
	for len(clerk.taken) > 0 {
		(<-clerk.taken).ended(t, "a target", 5*time.Second)
	}
	e.freed(t, ports)
	e.stop(t)
}

// loudTone is how long a tone is in a mixture: 100 ms for each window of it that has
// at least 2 % of its energy there.
func loudTone(pcm []int16, rate int, hz float64) (d time.Duration) {
	for window := rate / 10; len(pcm) >= window; pcm = pcm[window:] {
		if rms(pcm[:window]) > 50 && share(pcm[:window], rate, hz) > 0.02 {
			d += 100 * time.Millisecond
		}
	}
	return d
}
