//go:build e2e

package e2e

import (
	"context"
	"math"
	"sync"
	"time"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/telephony"
)

// toneCall is one call of a toneHandler after its end.
type toneCall struct {
	info      telephony.Info // at the end
	answerErr error
	digits    string
	held      int // times the peer put us on hold
	resumed   int
	codecs    []string // after re-INVITEs
	pcm       []int16  // what was heard
	rate      int
	stats     telephony.Stats
	cause     telephony.Cause
	up        time.Duration // between answer and end
	holding   time.Duration // what our hold took, 0: there was none
	holdErr   error
}

// toneHandler answers every call, says a tone, and keeps what it hears. It is
// the engine's place taken by the least that a call needs.
type toneHandler struct {
	tone        float64       // Hz
	answerAfter time.Duration // of ringing
	noMedia     bool          // the peer sends none: its calls are not ended for that
	holds       bool          // puts the peer on hold as soon as the call is up
	lasts       time.Duration // of a call, until we hang up; 0: until the peer does
	ended       chan toneCall // 4096: more than any test makes, no call waits for its reader
}

func newToneHandler(tone float64) *toneHandler {
	return &toneHandler{tone: tone, ended: make(chan toneCall, 4096)}
}

func (h *toneHandler) ServeCall(ctx context.Context, leg telephony.Leg) {
	call := toneCall{}
	ear := &ear{}
	defer func() {
		call.info, call.stats = leg.Info(), leg.Stats()
		call.pcm, call.rate = ear.heard()
		h.ended <- call
	}()
	if leg.Info().Direction == telephony.Inbound {
		if call.answerErr = h.pickUp(ctx, leg, ear); call.answerErr != nil {
			h.follow(ctx, leg, ear, &call)
			return
		}
		defer h.whileUp(ctx, leg, &call)()
	}
	h.follow(ctx, leg, ear, &call)
}

func (h *toneHandler) pickUp(ctx context.Context, leg telephony.Leg, ear *ear) error {
	if err := leg.Progress(ctx, false); err != nil {
		return err
	}
	if h.answerAfter > 0 {
		select {
		case <-time.After(h.answerAfter):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	leg.Connect(ear, &mouth{tone: h.tone, rate: leg.Info().Format.Rate})
	return leg.Answer(ctx)
}

// follow reads the leg's events to its end.
func (h *toneHandler) follow(ctx context.Context, leg telephony.Leg, ear *ear, call *toneCall) {
	for ev := range leg.Events() {
		switch ev := ev.(type) {
		case telephony.Answered: // a call of ours: the rate is known from here on
			defer h.whileUp(ctx, leg, call)()
			leg.Connect(ear, &mouth{tone: h.tone, rate: leg.Info().Format.Rate})
		case telephony.Digit:
			call.digits += string(rune(ev.Key))
		case telephony.Held:
			call.held++
		case telephony.Resumed:
			call.resumed++
		case telephony.FormatChanged:
			call.codecs = append(call.codecs, ev.Codec)
		case telephony.MediaLost:
			if h.noMedia {
				break
			}
			// The peer is gone; what comes of the BYE is the leg's affair.
			_ = leg.Hangup(ctx, telephony.Cause{Reason: telephony.ReasonMediaTimeout})
		case telephony.Ended:
			call.cause = ev.Cause
		}
	}
}

// whileUp does what the handler is to do with a call that is up. wait is called
// when it is over.
func (h *toneHandler) whileUp(ctx context.Context, leg telephony.Leg, call *toneCall) (wait func()) {
	begun := time.Now()
	ctx, over := context.WithCancel(ctx)
	var wg sync.WaitGroup
	if h.holds {
		wg.Go(func() {
			call.holdErr = leg.Hold(ctx, true)
			call.holding = time.Since(begun)
		})
	}
	if h.lasts > 0 {
		wg.Go(func() {
			select {
			case <-time.After(h.lasts):
				_ = leg.Hangup(ctx, telephony.Cause{Reason: telephony.ReasonNormal})
			case <-ctx.Done():
			}
		})
	}
	return func() {
		call.up = time.Since(begun)
		over()
		wg.Wait()
	}
}

// mouth says a tone.
type mouth struct {
	tone float64
	rate int
	at   int
}

func (m *mouth) Next(dst []int16) bool {
	for i := range dst {
		dst[i] = int16(8000 * math.Sin(2*math.Pi*m.tone*float64(m.at)/float64(m.rate)))
		m.at++
	}
	return true
}

// ear keeps what is heard, two minutes at most.
type ear struct {
	mu   sync.Mutex
	pcm  []int16
	rate int
}

func (e *ear) Hear(f audio.Frame) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.rate = f.Rate
	if len(e.pcm) < 120*f.Rate {
		e.pcm = append(e.pcm, f.PCM...)
	}
}

func (e *ear) heard() (pcm []int16, rate int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.pcm, e.rate
}
