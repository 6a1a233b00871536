package engine

import (
	"context"
	"encoding/json"
	"math"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/internal/testkit"
	"github.com/patchcord/patchcord/llm"
	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/tools"
)

// built are tools as their maker writes them.
func built(t *testing.T, deps tools.Deps, defs ...string) []tools.Tool {
	t.Helper()
	ds := make([]tools.Definition, len(defs))
	for i, text := range defs {
		if err := yaml.UnmarshalWithOptions([]byte(text), &ds[i], yaml.Strict()); err != nil {
			t.Fatal(err)
		}
	}
	set, faults := tools.Build(ds, deps)
	if err := faults.Err(); err != nil {
		t.Fatal(err)
	}
	return set.Tools()
}

// once calls a tool when the caller speaks, and says something of its result.
func once(tool, args string) answers {
	return func(r llm.Request) (string, []llm.ToolCall, error) {
		switch last := r.Messages[len(r.Messages)-1]; {
		case last.Role == llm.ToolRole:
			return "That was it: " + last.Content, nil, nil
		case last.Data:
			return "I am still here.", nil, nil
		}
		return "", []llm.ToolCall{{ID: "t", Name: tool, Args: json.RawMessage(args)}}, nil
	}
}

// sipLeg is a leg that takes telephone-events, or does not.
type sipLeg struct {
	*testkit.Leg
	events bool

	mu   sync.Mutex // guards sent
	sent []telephony.Tone
	keys string
}

func (l *sipLeg) Info() telephony.Info {
	i := l.Leg.Info()
	i.Transport, i.Events = "sip/udp", l.events
	return i
}

func (l *sipLeg) SendDigits(_ context.Context, keys string, tone telephony.Tone) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent, l.keys = append(l.sent, tone), l.keys+keys
	return nil
}

// TestPlayTone_T14: one event of the length and volume that were asked for, or
// the tone itself where the peer takes no events.
func TestPlayTone_T14(t *testing.T) {
	for _, c := range []struct {
		name, tool, args, as string
		events               bool
		want                 telephony.Tone
	}{
		{
			"by event", `{tool_type: play_tone, config: {tone_type: dtmf, dtmf_digit: "1", duration: 500, volume: 0.8}}`, `{}`,
			"rfc4733", true,
			telephony.Tone{Duration: 500 * ms, Volume: 0.8},
		},
		{
			"keys of the model's choice", `{tool_type: play_tone, config: {duration: 200, volume: 0.5}}`, `{"digits":"12#"}`,
			"rfc4733", true,
			telephony.Tone{Duration: 200 * ms, Volume: 0.5},
		},
		{"as sound", `{tool_type: play_tone, config: {dtmf_digit: "1"}}`, `{}`, "inband", false, telephony.Tone{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				x := prepare(t, &agent.Agent{Name: "a", Greeting: "Hello."}, once("play_tone", c.args), built(t, tools.Deps{}, c.tool)...)
				leg := &sipLeg{Leg: x.leg, events: c.events}
				x.engine()
				go func() {
					x.e.ServeCall(t.Context(), leg)
					close(x.ended)
				}()
				x.wait(2*time.Second).say("press one", time.Second).wait(4 * time.Second).hangUp()
				x.want(`"event":"dtmf.sent"`, `"as":"`+c.as+`"`, `"status":"ok"`)
				if c.events != (len(leg.sent) == 1 && leg.sent[0] == c.want) || !c.events && len(leg.sent) > 0 {
					t.Errorf("sent %q as %+v, want %+v", leg.keys, leg.sent, c.want)
				}
			})
		})
	}
}

// TestTonesAreHeard: keys in the sound of the call have their frequencies,
// length and level, and the speech goes on behind them.
func TestTonesAreHeard_T14(t *testing.T) {
	const rate = 8000
	synctest.Test(t, func(t *testing.T) {
		speech := audio.Tone{Hz: [2]float64{300}, Level: -20}.Source(rate, 0)
		x := &tones{Source: speech}
		played := make(chan error, 1)
		go func() { played <- x.play(t.Context(), tools.Press{Keys: "1#", Duration: 100 * ms, Volume: 0.8}, rate) }()
		synctest.Wait()
		var heard []int16
		frame := make([]int16, rate/50)
		for range 20 { // 400 ms, the keys take 300
			if !x.Next(frame) {
				t.Fatal("no sound")
			}
			heard = append(heard, frame...)
		}
		if err := <-played; err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			name     string
			from, to int // ms
			hz       float64
			loud     bool
		}{
			{"697 of 1", 0, 100, 697, true},
			{"1209 of 1", 0, 100, 1209, true},
			{"the gap", 105, 145, 697, false},
			{"941 of #", 150, 250, 941, true},
			{"1477 of #", 150, 250, 1477, true},
			{"no speech meanwhile", 0, 250, 300, false},
			{"the speech behind", 320, 400, 300, true},
		} {
			if level := levelAt(heard[c.from*rate/1000:c.to*rate/1000], c.hz, rate); (level > -25) != c.loud {
				t.Errorf("%s: %.1f dB", c.name, level)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := x.play(ctx, tools.Press{Keys: "1", Duration: time.Second, Volume: 1}, rate); err == nil || x.job.Load() != nil {
			t.Error("keys that were given up are played")
		}
	})
}

// levelAt is the level of one frequency, dB of full scale.
func levelAt(pcm []int16, hz float64, rate int) float64 {
	var re, im float64
	for i, s := range pcm {
		sin, cos := math.Sincos(2 * math.Pi * hz * float64(i) / float64(rate))
		re, im = re+float64(s)*cos, im+float64(s)*sin
	}
	return 20 * math.Log10(2*math.Hypot(re, im)/float64(len(pcm))/math.MaxInt16+1e-9)
}

// Keys that are pressed while the call is being set up find no sound to be in.
func TestKeysBeforeTheAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := prepare(t, &agent.Agent{Name: "a", Greeting: "Hello.", PreCallTools: []string{"play_tone"}}, says("Yes."),
			built(t, tools.Deps{}, `{tool_type: play_tone, config: {dtmf_digit: "1"}}`)...)
		x.engine()
		leg := &sipLeg{Leg: x.leg}
		go func() {
			x.e.ServeCall(t.Context(), leg)
			close(x.ended)
		}()
		x.wait(3 * time.Second).hangUp().want(`"tool_call_id":"pre-play_tone","status":"error"`)
	})
}
