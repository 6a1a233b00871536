package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/audio/tts"
	"github.com/patchcord/patchcord/audio/tts/spoken"
	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/engine/turn"
	"github.com/patchcord/patchcord/tools"
)

// warmRates are those of calls, Hz, the highest first: the others are made of
// its sound.
var warmRates = []int{16000, 8000}

// warmers are how many sentences are asked for at a time.
const warmers = 4

// Warm speaks the fixed sentences of agents, those that name no variable, once
// for each voice, language and rate, so that a call finds them at once; what is
// there already is not asked for again. The apology and the fillers of an agent
// stay for as long as it is not warmed anew: they can be said when the voice is
// away (INV38). Call it at the start and when an agent has changed. The error
// joins, for each agent, why some of its sentences are not there: calls are
// served all the same.
func (e *Engine) Warm(ctx context.Context, agents ...agent.Agent) error {
	errs := make([]error, len(agents))
	var wg sync.WaitGroup
	next := make(chan int) // the workers take them as they can
	for range min(warmers, len(agents)) {
		wg.Go(func() {
			for i := range next {
				if err := e.warmAgent(ctx, &agents[i]); err != nil {
					errs[i] = fmt.Errorf("agent %s: %w", cmp.Or(string(agents[i].ID), agents[i].Name), err)
				}
			}
		})
	}
	for i := range agents {
		next <- i
	}
	close(next)
	wg.Wait()
	return errors.Join(errs...)
}

func (e *Engine) warmAgent(ctx context.Context, a *agent.Agent) error {
	for _, rate := range warmRates {
		for _, s := range []agent.Sound{a.Ambience, holdOf(a)} {
			_, _ = e.sounds.bed(s, rate) // what is wrong with it is told by the call
		}
	}
	defs := e.toolsOf(ctx, a)
	transfers := slices.ContainsFunc(defs, func(d tools.Definition) bool { return d.Announcements() != nil })
	own := agent.Tongue{Language: a.Language, Voice: a.Voice, Greeting: cmp.Or(a.Greeting, a.FirstMessage)}
	var keys []phraseKey
	var ask []func() error
	for i, t := range append([]agent.Tongue{own}, a.Languages...) {
		t.TTS = cmp.Or(t.TTS, a.TTS)
		voices, err := e.voicesOf(t, i == 0)
		if err != nil {
			return err
		}
		policy := a.Turn
		policy.Language = t.Language
		p := turn.New(policy).Policy()
		always, others := fixed(p, t.Greeting)
		if i == 0 {
			others = append(others, toolSentences(defs)...)
		}
		if transfers {
			others = append(others, texts(false, p.TransferLines()...)...)
		}
		req := tts.Request{Language: t.Language, Format: audio.Format{Encoding: audio.PCM16, Rate: warmRates[0]}}
		for n, f := range slices.Concat(always, others) {
			if strings.TrimSpace(f.text) == "" || strings.Contains(f.text, "{{") { // it is another one in each call
				continue
			}
			for _, piece := range spokenPieces(p, speakerOf(a, t.Language), f) {
				for _, rate := range warmRates {
					if n < len(always) {
						keys = append(keys, phraseKey{voices[0].name, voices[0].voice, t.Language, piece, rate})
					}
				}
				ask = append(ask, func() error { return e.warm(ctx, voices[0], req, piece, warmRates) })
			}
		}
	}
	e.phrases.pin(cmp.Or(string(a.ID), a.Name), keys)
	for _, f := range ask {
		if err := f(); err != nil {
			return err // a voice that is away is not asked for the rest
		}
	}
	return nil
}

// fixed are the engine's own sentences and the greeting: those that are to be
// there always, and the others.
func fixed(p *turn.Policy, greeting string) (always, others []fixedText) {
	always = slices.Concat(texts(false, p.ApologyPhrase, p.RepeatPhrase, p.GoodbyePhrase), texts(true, p.FillerPhrase),
		texts(true, p.WaitPhrases...))
	return always, slices.Concat(texts(false, append([]string{greeting}, p.SilencePhrases...)...),
		texts(true, p.BridgePhrases...))
}

// fixedText is a sentence that is known before a call; fills tells that it
// bridges a wait.
type fixedText struct {
	text  string
	fills bool
}

func texts(fills bool, all ...string) []fixedText {
	out := make([]fixedText, len(all))
	for i, t := range all {
		out[i] = fixedText{t, fills}
	}
	return out
}

// toolsOf are an agent's own tools and the shared ones that it names.
func (e *Engine) toolsOf(ctx context.Context, a *agent.Agent) []tools.Definition {
	out := slices.Clone(a.Tools)
	for _, id := range a.ToolIDs {
		if d, err := e.cfg.Directory.Tool(ctx, id); err == nil {
			out = append(out, *d)
		}
	}
	return out
}

// toolSentences are what is said around tools.
func toolSentences(defs []tools.Definition) (out []fixedText) {
	for _, d := range defs {
		out = append(out, texts(true, d.Speech.Bridging, d.Speech.Second)...)
		out = append(out, texts(false, d.Speech.Failure)...)
		out = append(out, texts(false, d.Announcements()...)...)
		for _, s := range d.Speech.Success {
			out = append(out, texts(false, s.Say)...)
		}
	}
	return out
}

// spokenPieces are the pieces of a fixed text as the voice gets them.
func spokenPieces(p *turn.Policy, speaker *spoken.Speaker, f fixedText) []string {
	var out []string
	for _, piece := range fixedPieces(p, f.text, speaker, f.fills) {
		if said := speaker.Speak(piece.raw); said.Text != "" {
			out = append(out, said.Text)
		}
	}
	return out
}

// warm speaks one sentence into the cache, for the rates at which it is not
// there yet.
func (e *Engine) warm(ctx context.Context, nv namedVoice, req tts.Request, text string, rates []int) error {
	key := func(rate int) phraseKey { return phraseKey{nv.name, nv.voice, req.Language, text, rate} }
	missing := slices.DeleteFunc(slices.Clone(rates), func(rate int) bool {
		pcm, _ := e.phrases.get(key(rate))
		return pcm != nil
	})
	if len(missing) == 0 || ctx.Err() != nil {
		return context.Cause(ctx)
	}
	v := &voice{rate: rates[0], req: req}
	var pcm []int16
	var words []wordMark
	most := audio.Samples(time.Minute, v.rate)
	err := guarded(func() error {
		return v.sound(ctx, nv, text, func(more []int16, marks []wordMark) error {
			pcm, words = append(pcm, more...), append(words, marks...)
			if len(pcm) > most {
				return errTooLong
			}
			return nil
		})
	})
	if err != nil {
		return fmt.Errorf("voice %s: %w", nv.name, err)
	}
	for _, rate := range missing {
		at, marks := pcm, words
		if rate != v.rate {
			rs := audio.NewResampler(v.rate, rate)
			at = rs.Flush(rs.Append(nil, pcm))
			marks = slices.Clone(words)
			for i := range marks {
				marks[i].samples = marks[i].samples * rate / v.rate
			}
		}
		e.phrases.put(key(rate), at, marks)
	}
	return nil
}
