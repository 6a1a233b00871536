package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"slices"

	"go.uber.org/zap"

	"github.com/patchcord/patchcord/api"
	"github.com/patchcord/patchcord/audio/stt"
	sttall "github.com/patchcord/patchcord/audio/stt/all"
	"github.com/patchcord/patchcord/audio/tts"
	ttsall "github.com/patchcord/patchcord/audio/tts/all"
	"github.com/patchcord/patchcord/configs"
	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/internal/factory"
	"github.com/patchcord/patchcord/internal/localspeech"
	"github.com/patchcord/patchcord/llm"
	llmall "github.com/patchcord/patchcord/llm/all"
)

// providers are the recognisers, voices and models of a configuration, by
// name; "" is the default.
type providers struct {
	stt      map[string]stt.Provider
	tts      map[string]tts.Provider
	llm      map[string]llm.Provider
	realtime map[string]llm.Realtime
	helper   *localspeech.Process // of the local ones
	stop     []func() error
	log      *zap.Logger
}

// openProviders makes every provider that an agent of the files uses, and of
// the others those that can be made: the API may have made agents with them,
// or make some later. A local one runs a helper, and only where one is needed.
func openProviders(cfg *configs.Config, agents []agent.Agent, log *zap.Logger) (_ *providers, err error) {
	stored := *cfg
	stored.Agents = agents
	p := &providers{
		stt: map[string]stt.Provider{}, tts: map[string]tts.Provider{}, llm: map[string]llm.Provider{}, log: log,
		realtime: map[string]llm.Realtime{},
		helper:   localspeech.New(localspeech.Config{Log: log}),
	}
	p.stop = append(p.stop, p.helper.Close)
	defer func() {
		if err != nil {
			p.close()
		}
	}()
	single := map[string]stt.Provider{}
	for _, pr := range cfg.UsedSTT() {
		r, err := open(sttall.Types(), "stt", pr, sttall.Deps{Dir: cfg.Dir, Helper: p.helper, Log: log})
		if err != nil {
			return nil, err
		}
		p.stt[pr.Name], single[pr.Name] = r, r
		p.onClose(r)
	}
	openMore(sttall.Types(), "stt", cfg.STT, stored.UsedSTT(), single,
		sttall.Deps{Dir: cfg.Dir, Helper: p.helper, Log: log},
		func(name string, r stt.Provider) { p.stt[name] = r; p.onClose(r) }, log)
	for name := range p.stt {
		var chain stt.Chain
		for _, pr := range cfg.STT.Chain(name) {
			if single[pr.Name] == nil {
				continue // a fallback that cannot be made
			}
			chain = append(chain, stt.Named{Name: pr.Name, Provider: single[pr.Name]})
		}
		p.stt[name] = chain
	}
	voices := map[string]tts.Provider{}
	for _, pr := range cfg.UsedTTS() {
		v, err := open(ttsall.Types(), "tts", pr, ttsall.Deps{Helper: p.helper, Log: log})
		if err != nil {
			return nil, err
		}
		p.tts[pr.Name], voices[pr.Name] = v, v
		p.onClose(v)
	}
	openMore(ttsall.Types(), "tts", cfg.TTS, stored.UsedTTS(), voices, ttsall.Deps{Helper: p.helper, Log: log},
		func(name string, v tts.Provider) { p.tts[name] = v; p.onClose(v) }, log)
	for name := range p.tts {
		var chain tts.Chain
		for _, pr := range cfg.TTS.Chain(name) {
			if voices[pr.Name] == nil {
				continue // a fallback that cannot be made
			}
			chain = append(chain, tts.Named{Name: pr.Name, Provider: voices[pr.Name]})
		}
		p.tts[name] = chain
	}
	for _, pr := range cfg.UsedRealtime() {
		m, err := open(llmall.RealtimeTypes(), "realtime", pr, llmall.Deps{Dir: cfg.Dir})
		if err != nil {
			return nil, err
		}
		p.realtime[pr.Name] = m
	}
	openMore(llmall.RealtimeTypes(), "realtime", cfg.Realtime, nil, p.realtime, llmall.Deps{Dir: cfg.Dir},
		func(string, llm.Realtime) {}, log)
	if err := p.openModels(cfg); err != nil {
		return nil, err
	}
	alias(p.stt, cfg.STT)
	alias(p.tts, cfg.TTS)
	alias(p.llm, cfg.LLM)
	alias(p.realtime, cfg.Realtime)
	return p, nil
}

// open makes one provider from its table.
func open[P, D any](table factory.Table[P, D], kind string, pr configs.Provider, d D) (P, error) {
	p, err := table.Make(pr.Type, pr.Decode, d)
	if err != nil {
		return p, fmt.Errorf("%s: %s: %w", kind, pr.Name, err)
	}
	return p, nil
}

// localTypes run on this machine.
var localTypes = []string{"pocketsphinx", "flite"}

// openMore makes those that are not in have yet, and can be made. Of the local
// ones only those that are used.
func openMore[P, D any](table factory.Table[P, D], kind string, all configs.Providers, used []configs.Provider,
	have map[string]P, d D, opened func(string, P), log *zap.Logger,
) {
	for _, name := range all.Names() {
		pr := all.Named[name]
		isUsed := slices.ContainsFunc(used, func(u configs.Provider) bool { return u.Name == name })
		if _, ok := have[name]; ok || slices.Contains(localTypes, pr.Type) && !isUsed {
			continue
		}
		p, err := open(table, kind, pr, d)
		if err != nil {
			log.Debug("a provider is not there for agents of the API", zap.Error(err))
			continue
		}
		have[name] = p
		opened(name, p)
	}
}

// alias lets providers be found by what agents call them: by their type, where
// there is one of it, and the default by nothing.
func alias[P any](by map[string]P, all configs.Providers) {
	for _, name := range append([]string{""}, all.Names()...) {
		called := []string{name}
		if name != "" {
			called = append(called, all.Named[name].Type)
		}
		for _, c := range called {
			if pr, ok := all.Find(c); ok {
				if p, ok := by[pr.Name]; ok {
					by[c] = p
				}
			}
		}
	}
}

// onClose closes what holds something beyond its calls.
func (p *providers) onClose(v any) {
	if c, ok := v.(io.Closer); ok {
		p.stop = append(p.stop, c.Close)
	}
}

func (p *providers) openModels(cfg *configs.Config) error {
	used, there := cfg.UsedLLM(), map[string]llm.Provider{}
	for _, pr := range used {
		there[pr.Name] = nil // made below, with what stands behind it
	}
	openMore(llmall.Types(), "llm", cfg.LLM, nil, there, llmall.Deps{Dir: cfg.Dir}, func(name string, _ llm.Provider) {
		used = append(used, cfg.LLM.Named[name])
	}, p.log)
	var models []llmall.Model
	for _, pr := range used {
		behind := slices.DeleteFunc(slices.Clone(pr.Fallback), func(name string) bool { _, ok := there[name]; return !ok })
		models = append(models, llmall.Model{
			Name: pr.Name, Type: pr.Type, Fallback: behind, Hedge: pr.Hedge && len(behind) > 0, Decode: pr.Decode,
		})
	}
	all, err := llmall.New(models, llmall.Deps{Dir: cfg.Dir})
	if err != nil {
		return err
	}
	for _, m := range models {
		p.llm[m.Name], _ = all.Get(m.Name)
	}
	return nil
}

// close ends them, last first.
func (p *providers) close() {
	for i := len(p.stop) - 1; i >= 0; i-- {
		if err := p.stop[i](); err != nil {
			p.log.Warn("provider: close", zap.Error(err))
		}
	}
}

// apiKeys are the keys of the configuration, by their hashes.
func apiKeys(keys []configs.APIKey) ([]api.Key, error) {
	out := make([]api.Key, 0, len(keys))
	for _, k := range keys {
		key := api.Key{
			Name: k.Name, Scopes: k.Scopes, Agents: k.AllowedAgentIDs, Hash: api.HashKey(k.Key.Reveal()),
			Limits: rateLimits(k.Limits),
		}
		if k.SHA256 != "" {
			b, err := hex.DecodeString(k.SHA256)
			if err != nil || len(b) != sha256.Size {
				return nil, fmt.Errorf("api.keys: %s: sha256 is 64 hex digits", k.Name)
			}
			copy(key.Hash[:], b)
		}
		out = append(out, key)
	}
	return out, nil
}

func rateLimits(r configs.RateLimits) api.Limits {
	return api.Limits{PerMinute: r.PerMinute, PerHour: r.PerHour, Control: r.ControlPerMinute}
}
