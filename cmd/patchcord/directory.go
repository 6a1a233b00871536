package main

import (
	"context"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/patchcord/patchcord/configs"
	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/store"
	"github.com/patchcord/patchcord/telephony/trunk"
)

// openDirectory takes the files into the store, and its content into memory.
func (n *node) openDirectory(ctx context.Context) error {
	begun := time.Now()
	seeded, err := n.store.Seed(ctx, filesOf(n.cfg))
	if err != nil {
		return err
	}
	for _, w := range seeded.Warnings {
		n.log.Warn("configuration", zap.String("warning", w))
	}
	n.directory, err = store.OpenDirectory(ctx, n.store, store.DirectoryConfig{
		DefaultAgent: n.cfg.DefaultAgent,
		Trunks: func(t *trunk.Table) {
			if n.sip != nil { // else it is opened with it
				n.sip.SetTrunks(t)
			}
		},
		Agent: n.changed.add,
		Gone:  func(id agent.ID) { n.books.Forget(string(id)) },
	})
	if err != nil {
		return err
	}
	n.log.Debug("agents and tools are read", zap.Int("created", seeded.Created), zap.Int("updated", seeded.Updated),
		zap.Int("deleted", seeded.Deleted), zap.Int64("dur_ms", time.Since(begun).Milliseconds()))
	return nil
}

// filesOf is what the configuration's files hold for the store.
func filesOf(c *configs.Config) store.Files {
	f := store.Files{Trunks: c.Trunks, Numbers: c.Numbers, Config: "patchcord.yaml"}
	if c.File != "" {
		f.Config = c.File
	}
	for i, a := range c.Agents {
		f.Agents = append(f.Agents, store.FileAgent{Agent: a, File: c.AgentPaths[i]})
	}
	for i, t := range c.Library {
		f.Tools = append(f.Tools, store.FileTool{Definition: t, File: c.LibraryPaths[i]})
	}
	return f
}

// changed are the agents whose fixed sentences are to be spoken again.
type changed struct {
	mu     sync.Mutex // guards agents
	agents map[agent.ID]agent.Agent
	wake   chan struct{} // capacity 1: one token says that there is something
}

func newChanged() *changed { return &changed{wake: make(chan struct{}, 1)} }

func (c *changed) add(a agent.Agent) {
	c.mu.Lock()
	if c.agents == nil {
		c.agents = map[agent.ID]agent.Agent{}
	}
	c.agents[a.ID] = a
	c.mu.Unlock()
	select {
	case c.wake <- struct{}{}:
	default: // a token is there already
	}
}

func (c *changed) take() (out []agent.Agent) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, a := range c.agents {
		out = append(out, a)
	}
	c.agents = nil
	return out
}
