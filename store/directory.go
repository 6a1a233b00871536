package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/patchcord/patchcord/engine"
	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/telephony/trunk"
	"github.com/patchcord/patchcord/tools"
)

// followTimeout bounds the reading of what was changed.
const followTimeout = 10 * time.Second

// Directory is the store's agents, tools, trunks and numbers in memory, as
// calls are made with them. It follows every change of the store by this
// process before the change's method returns, and those of other processes
// while Serve runs; a call keeps what it began with.
type Directory struct {
	s   *Store
	cfg DirectoryConfig

	mu    sync.Mutex // one change at a time
	stale bool       // a change could not be read: all is read with the next
	now   atomic.Pointer[snapshot]
}

// DirectoryConfig is how a directory behaves.
type DirectoryConfig struct {
	DefaultAgent agent.ID // who answers a number that is nobody's, "" for nobody; id or name
	// Trunks is told the table whenever trunks or numbers changed; may be nil.
	Trunks func(*trunk.Table)
	// Agent is told each agent that was made or changed; may be nil. It
	// returns at once.
	Agent func(agent.Agent)
	// Gone is told each agent that was deleted; may be nil. It returns at once.
	Gone func(agent.ID)
	// Poll is how often Serve looks for changes that it was not told of,
	// default 30 s.
	Poll time.Duration
}

var _ engine.Directory = (*Directory)(nil)

// snapshot never changes.
type snapshot struct {
	agents  map[agent.ID]*agent.Agent
	names   map[string]*agent.Agent
	tools   map[string]*tools.Definition // the library by id
	known   map[string]*tools.Definition // and by name
	numbers map[string]trunk.Number      // by id
	table   *trunk.Table
	list    func() []agent.Agent // all by name
}

// OpenDirectory reads everything. A store has one directory.
func OpenDirectory(ctx context.Context, s *Store, cfg DirectoryConfig) (*Directory, error) {
	d := &Directory{s: s, cfg: cfg, stale: true}
	d.mu.Lock()
	defer d.mu.Unlock()
	s.directory.Store(d) // changes from now on wait for the first reading
	if err := d.readAll(ctx); err != nil {
		s.directory.Store(nil)
		return nil, err
	}
	return d, nil
}

func (d *Directory) readAll(ctx context.Context) error {
	agents, _, err := d.s.Agents(ctx, AgentFilter{Page: Page{Limit: All}})
	if err != nil {
		return err
	}
	library, _, err := d.s.Tools(ctx, "", Page{Limit: All})
	if err != nil {
		return err
	}
	n := &snapshot{
		agents: make(map[agent.ID]*agent.Agent, len(agents)), names: make(map[string]*agent.Agent, len(agents)),
		tools: map[string]*tools.Definition{}, known: map[string]*tools.Definition{},
	}
	for i := range agents {
		n.put(&agents[i].Agent)
	}
	for i := range library {
		n.putTool(&library[i].Definition)
	}
	if err := d.readTrunks(ctx, n); err != nil {
		return err
	}
	d.swap(n, true)
	d.stale = false
	return nil
}

// readTrunks makes the table. What is kept and cannot be used, such as by a
// later version's rules, is left out and told.
func (d *Directory) readTrunks(ctx context.Context, n *snapshot) error {
	trunks, _, err := d.s.Trunks(ctx, Page{Limit: All})
	if err != nil {
		return err
	}
	numbers, _, err := d.s.Numbers(ctx, NumberFilter{Page: Page{Limit: All}})
	if err != nil {
		return err
	}
	var configs []trunk.Config
	for _, t := range trunks {
		configs = append(configs, t.Config)
	}
	n.numbers = make(map[string]trunk.Number, len(numbers))
	var list []trunk.Number
	for _, v := range numbers {
		n.numbers[v.ID] = v.Number
		list = append(list, v.Number)
	}
	for {
		n.table, err = trunk.NewTable(configs, list, string(d.cfg.DefaultAgent))
		if err == nil {
			return nil
		}
		d.s.log.Error("store: trunks or numbers that cannot be used are left out", zap.Error(err))
		if !dropFaulty(err, &configs, &list) {
			return err
		}
	}
}

// dropFaulty takes out what the faults of a table name.
func dropFaulty(err error, trunks *[]trunk.Config, numbers *[]trunk.Number) bool {
	joined, ok := err.(interface{ Unwrap() []error }) //nolint:errorlint // the joined error itself
	if !ok {
		return false
	}
	badTrunks, badNumbers := map[int]bool{}, map[int]bool{}
	for _, e := range joined.Unwrap() {
		var f *trunk.Fault
		var i int
		if !errors.As(e, &f) {
			continue
		}
		if _, err := fmt.Sscanf(f.Path, "trunks[%d]", &i); err == nil {
			badTrunks[i] = true
		} else if _, err := fmt.Sscanf(f.Path, "numbers[%d]", &i); err == nil {
			badNumbers[i] = true
		}
	}
	*trunks, *numbers = without(*trunks, badTrunks), without(*numbers, badNumbers)
	return len(badTrunks)+len(badNumbers) > 0
}

func without[T any](list []T, bad map[int]bool) (out []T) {
	for i, v := range list {
		if !bad[i] {
			out = append(out, v)
		}
	}
	return out
}

// swap puts a snapshot into use.
func (d *Directory) swap(n *snapshot, trunks bool) {
	agents := n.agents
	n.list = sync.OnceValue(func() []agent.Agent {
		out := make([]agent.Agent, 0, len(agents))
		for _, a := range agents {
			out = append(out, *a)
		}
		slices.SortFunc(out, func(a, b agent.Agent) int { return strings.Compare(a.Name, b.Name) })
		return out
	})
	d.now.Store(n)
	if trunks && d.cfg.Trunks != nil {
		d.cfg.Trunks(n.table)
	}
}

// follow reads what a change touched. What cannot be read is as it was; the
// next change reads everything, and so does Serve.
func (d *Directory) follow(ctx context.Context, touched []ref) error {
	if len(touched) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, followTimeout)
	defer cancel()
	d.mu.Lock()
	defer d.mu.Unlock()
	was := d.now.Load().agents
	if err := d.read(ctx, touched); err != nil {
		d.stale = true
		return fmt.Errorf("calls are made with what was there before a change: %w", err)
	}
	d.tellLocked(was)
	return nil
}

// tellLocked tells which agents are other than they were: a change that was
// read already is not told again.
func (d *Directory) tellLocked(was map[agent.ID]*agent.Agent) {
	now := d.now.Load().agents
	for id, a := range now {
		if d.cfg.Agent != nil && !reflect.DeepEqual(a, was[id]) {
			d.cfg.Agent(*a)
		}
	}
	for id := range was {
		if d.cfg.Gone != nil && now[id] == nil {
			d.cfg.Gone(id)
		}
	}
}

func (d *Directory) read(ctx context.Context, touched []ref) error {
	has := func(k Kind) bool { return slices.ContainsFunc(touched, func(r ref) bool { return r.kind == k }) }
	if d.stale {
		return d.readAll(ctx)
	}
	n := *d.now.Load()
	if has(KindAgent) {
		n.agents, n.names = maps.Clone(n.agents), maps.Clone(n.names)
	}
	if has(KindTool) {
		n.tools, n.known = maps.Clone(n.tools), maps.Clone(n.known)
	}
	for _, r := range touched {
		var err error
		switch r.kind {
		case KindAgent:
			err = d.readAgent(ctx, &n, agent.ID(r.id))
		case KindTool:
			err = d.readTool(ctx, &n, r.id)
		case KindTrunk, KindNumber:
		}
		if err != nil {
			return err
		}
	}
	switch {
	case has(KindTrunk):
		if err := d.readTrunks(ctx, &n); err != nil {
			return err
		}
	case has(KindNumber):
		if err := d.readNumbers(ctx, &n, touched); err != nil {
			return err
		}
	}
	d.swap(&n, has(KindTrunk) || has(KindNumber))
	return nil
}

func (d *Directory) readAgent(ctx context.Context, n *snapshot, id agent.ID) error {
	list, _, err := d.s.Agents(ctx, AgentFilter{IDs: []agent.ID{id}})
	if err != nil {
		return err
	}
	if old := n.agents[id]; old != nil && n.names[old.Name] == old {
		delete(n.names, old.Name)
	}
	delete(n.agents, id)
	for i := range list {
		n.put(&list[i].Agent)
	}
	return nil
}

func (d *Directory) readTool(ctx context.Context, n *snapshot, id string) error {
	t, err := d.s.Tool(ctx, id)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	if old := n.tools[id]; old != nil && n.known[old.Name] == old {
		delete(n.known, old.Name)
	}
	delete(n.tools, id)
	if err == nil && t.ID == id && t.Agent == "" {
		n.putTool(&t.Definition)
	}
	return nil
}

func (d *Directory) readNumbers(ctx context.Context, n *snapshot, touched []ref) error {
	n.numbers = maps.Clone(n.numbers)
	var drop, add []trunk.Number
	for _, r := range touched {
		if r.kind != KindNumber {
			continue
		}
		if old, ok := n.numbers[r.id]; ok {
			drop = append(drop, old)
			delete(n.numbers, r.id)
		}
		v, err := d.s.Number(ctx, r.id)
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		n.numbers[r.id] = v.Number
		add = append(add, v.Number)
	}
	n.table = n.table.With(drop, add)
	return nil
}

func (n *snapshot) put(a *agent.Agent) { n.agents[a.ID], n.names[a.Name] = a, a }

func (n *snapshot) putTool(t *tools.Definition) { n.tools[t.ID], n.known[t.Name] = t, t }

// ForCall is the agent that the call asks for, else that of the dialled number.
func (d *Directory) ForCall(ctx context.Context, info telephony.Info) (*agent.Agent, error) {
	if info.Agent != "" {
		return d.Agent(ctx, agent.ID(info.Agent))
	}
	id, _, ok := d.Table().Route(info.Trunk, info.To)
	if !ok {
		return nil, fmt.Errorf("number %q of trunk %q is nobody's: name it under numbers, or set default_agent",
			info.To, info.Trunk)
	}
	return d.Agent(ctx, agent.ID(id))
}

// Agent finds by id or name.
func (d *Directory) Agent(_ context.Context, id agent.ID) (*agent.Agent, error) {
	n := d.now.Load()
	if a := n.agents[id]; a != nil {
		return a, nil
	}
	if a := n.names[string(id)]; a != nil {
		return a, nil
	}
	return nil, fmt.Errorf("there is no agent %q", id)
}

// Agents are all of them, by name. The slice belongs to the directory.
func (d *Directory) Agents(context.Context) ([]agent.Agent, error) { return d.now.Load().list(), nil }

// Tool finds a tool of the library by id or name.
func (d *Directory) Tool(_ context.Context, id string) (*tools.Definition, error) {
	n := d.now.Load()
	if t := n.tools[id]; t != nil {
		return t, nil
	}
	if t := n.known[id]; t != nil {
		return t, nil
	}
	return nil, fmt.Errorf("there is no tool %q in the library", id)
}

// Table is the trunks and numbers in use.
func (d *Directory) Table() *trunk.Table { return d.now.Load().table }
