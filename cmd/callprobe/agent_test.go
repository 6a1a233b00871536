package main

import (
	"context"
	"net/netip"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/audio/vad"
	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/telephony/rtp"
	"github.com/patchcord/patchcord/telephony/sip"
	"github.com/patchcord/patchcord/telephony/trunk"
)

// agent answers calls like an engine would: it says the first of its turns,
// and the next each time the caller has said or pressed something. A caller
// who speaks into a turn stops it.
type agent struct {
	turns  [][]int16
	rate   int  // of the turns, Hz; 0: 8000
	hangup bool // behind the last turn
	busy   bool // refuses every call

	mu     sync.Mutex // guards the fields below
	digits string
	info   telephony.Info
}

func (a *agent) ServeCall(ctx context.Context, leg telephony.Leg) {
	if a.busy {
		_ = leg.Hangup(ctx, telephony.Cause{Reason: telephony.ReasonBusy})
		return
	}
	if leg.Answer(ctx) != nil {
		return
	}
	a.mu.Lock()
	a.info = leg.Info()
	a.mu.Unlock()
	// 16: room for all of a test, the media plane never waits.
	line := &agentLine{vad: vad.New(), spoke: make(chan struct{}, 16), said: make(chan struct{}, 16)}
	leg.Connect(line, line)
	turn := 0
	next := func() {
		if turn < len(a.turns) {
			r := audio.NewResampler(max(a.rate, 8000), leg.Info().Format.Rate)
			line.say(r.Flush(r.Append(nil, a.turns[turn])))
			turn++
		}
	}
	next()
	for {
		select {
		case <-line.spoke:
			next()
		case <-line.said:
			if turn == len(a.turns) && a.hangup {
				_ = leg.Hangup(ctx, telephony.Cause{Reason: telephony.ReasonNormal})
				return
			}
		case ev := <-leg.Events():
			if d, ok := ev.(telephony.Digit); ok {
				a.mu.Lock()
				a.digits += string(d.Key)
				last := d.Key == '#'
				a.mu.Unlock()
				if last {
					next()
				}
			}
		case <-ctx.Done():
			return
		}
	}
}

// agentLine is the agent's ear and mouth on the media plane.
type agentLine struct {
	vad         *vad.Detector
	spoke, said chan struct{}

	mu  sync.Mutex // guards pcm
	pcm []int16
}

func (l *agentLine) say(pcm []int16) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pcm = pcm
}

func (l *agentLine) Hear(f audio.Frame) {
	edge, ok := l.vad.Push(f)
	if l.vad.Voiced() > 200*time.Millisecond {
		l.say(nil)
	}
	if ok && edge.Kind == vad.End {
		l.spoke <- struct{}{}
	}
}

func (l *agentLine) Next(dst []int16) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.pcm) == 0 {
		return false
	}
	n := copy(dst, l.pcm)
	clear(dst[n:])
	if l.pcm = l.pcm[n:]; len(l.pcm) == 0 {
		l.said <- struct{}{}
	}
	return true
}

// serve puts the agent on a line of its own and tells where to call it.
func (a *agent) serve(t *testing.T) (uri string) {
	t.Helper()
	media, err := rtp.New(rtp.Config{PortMin: 28000, PortMax: 28998})
	if err != nil {
		t.Fatal(err)
	}
	tb, err := trunk.NewTable([]trunk.Config{{Name: "local", Allow: []string{"127.0.0.0/8"}}}, nil, "x")
	if err != nil {
		t.Fatal(err)
	}
	ua, err := sip.New(sip.Config{
		Listen: []string{"udp://127.0.0.1:0"}, Trunks: tb, Media: media, Handler: a, Log: zap.NewNop(),
	})
	if err != nil {
		t.Fatal(err)
	}
	mediaCtx, stopMedia := context.WithCancel(context.Background())
	uaCtx, stopUA := context.WithCancel(context.Background())
	var mediaRun, uaRun sync.WaitGroup
	mediaRun.Go(func() { _ = media.Serve(mediaCtx) })
	uaRun.Go(func() {
		if err := ua.Serve(uaCtx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		stopUA()
		uaRun.Wait()
		stopMedia()
		mediaRun.Wait()
	})
	select {
	case <-ua.Ready():
	case <-time.After(5 * time.Second):
		t.Fatal("the agent's line is not ready")
	}
	return "sip:agent@" + netip.MustParseAddrPort(ua.Addrs()[0].String()).String()
}
