package sip

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/telephony/trunk"
)

// keepers look after the trunks that have gateways, a keeper each.
type keepers struct {
	u *UserAgent

	mu      sync.Mutex   // guards what follows; taken before that of a keeper, never while one is held
	table   *trunk.Table // as it was set, without what look-ups found
	by      map[telephony.TrunkID]*keeper
	leaving map[telephony.TrunkID]<-chan struct{} // closed when the last keeper that a trunk had has ended
	ctx     context.Context                       // of all keepers; nil: not serving
	running sync.WaitGroup
}

// keeper looks after one trunk: it has the names of its gateways looked up,
// asks them whether they are there, and keeps us registered.
type keeper struct {
	u      *UserAgent
	log    *zap.Logger
	reg    *registration // nil: the trunk does not register
	cancel context.CancelFunc
	done   chan struct{} // closed when its goroutines have ended

	mu      sync.Mutex // guards what follows, and the second part of reg
	of      *trunk.Trunk
	places  []placed
	error   string
	errorAt time.Time
}

// placed is one address of a gateway with what OPTIONS told of it.
type placed struct {
	gateway

	down       bool
	lost, good int // answers in a row that did not come, that came
	answered   time.Time
	roundTrip  time.Duration
	error      string
}

// note takes the outcome of one OPTIONS, or of a call: two that are lost make
// an address down, two good ones up again.
func (p *placed) note(err string) (changed bool) {
	if p.error = err; err != "" {
		p.good = 0
		if p.lost++; !p.down && p.lost >= 2 {
			p.down = true
			return true
		}
		return false
	}
	p.lost = 0
	if p.good++; p.down && p.good >= 2 {
		p.down = false
		return true
	}
	return false
}

// set puts a table into use: trunks that are new or changed get a keeper, those
// that are gone lose theirs.
func (ks *keepers) set(t *trunk.Table) {
	ks.mu.Lock()
	defer ks.mu.Unlock()
	ks.table = t
	ks.matchLocked()
	ks.publishLocked()
}

// start begins to keep the trunks; ctx ends it.
func (ks *keepers) start(ctx context.Context) {
	ks.mu.Lock()
	defer ks.mu.Unlock()
	ks.ctx = ctx
	ks.matchLocked()
}

func (ks *keepers) matchLocked() {
	if ks.ctx == nil || ks.ctx.Err() != nil {
		return
	}
	maps.DeleteFunc(ks.leaving, func(_ telephony.TrunkID, done <-chan struct{}) bool {
		select {
		case <-done:
			return true
		default:
			return false
		}
	})
	for id, k := range ks.by {
		t, ok := ks.table.Trunk(id)
		if ok && k.trunk().SameLine(t) {
			k.mu.Lock()
			k.of = t
			k.mu.Unlock()
			continue
		}
		k.cancel()
		ks.leaving[id] = k.done
		delete(ks.by, id)
	}
	for _, t := range ks.table.Trunks() {
		if ks.by[t.ID] == nil && len(t.Gateways) > 0 {
			ks.by[t.ID] = ks.keepLocked(t, ks.leaving[t.ID])
		}
	}
}

// keepLocked starts a keeper, behind the one that had the trunk before: what
// that unregisters must not be what this one has registered.
func (ks *keepers) keepLocked(t *trunk.Trunk, before <-chan struct{}) *keeper {
	k := &keeper{
		u: ks.u, of: t, done: make(chan struct{}), log: ks.u.log.With(zap.String("trunk", string(t.ID))),
	}
	if t.Register {
		k.reg = &registration{
			k: k, callID: newCallID(), tag: newTag(), expires: registerFor, login: login{}, now: make(chan struct{}, 1),
		}
	}
	ctx, cancel := context.WithCancel(ks.ctx)
	k.cancel = cancel
	ks.running.Go(func() {
		defer cancel()
		defer close(k.done)
		if before != nil {
			<-before
		}
		k.run(ctx)
	})
	return k
}

// publishLocked puts the table into use with the addresses that were found.
func (ks *keepers) publishLocked() {
	found := map[telephony.TrunkID][]netip.Addr{}
	for id, k := range ks.by {
		found[id] = k.addrs()
	}
	ks.u.trunks.Store(ks.table.Found(found))
}

func (ks *keepers) publish() {
	ks.mu.Lock()
	defer ks.mu.Unlock()
	ks.publishLocked()
}

// all are the keepers at this moment.
func (ks *keepers) all() []*keeper {
	ks.mu.Lock()
	defer ks.mu.Unlock()
	var out []*keeper
	for _, k := range ks.by {
		out = append(out, k)
	}
	return out
}

// of is the keeper of a trunk, nil where it has none.
func (ks *keepers) of(t *trunk.Trunk) *keeper {
	if t == nil {
		return nil
	}
	return ks.named(t.ID)
}

func (ks *keepers) named(id telephony.TrunkID) *keeper {
	ks.mu.Lock()
	defer ks.mu.Unlock()
	return ks.by[id]
}

// up reports whether an address is not known to be down.
func (ks *keepers) up(t *trunk.Trunk, gw *gateway) bool {
	k := ks.of(t)
	if k == nil {
		return true
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	i := k.findLocked(gw)
	return i < 0 || !k.places[i].down
}

// tried takes what a call learned of an address: err is "" where it answered.
func (ks *keepers) tried(t *trunk.Trunk, gw *gateway, err string) {
	if k := ks.of(t); k != nil && k.asks() {
		k.note(gw, err, time.Time{}, 0)
	}
}

// renew has all registrations made again, or ended where we drain.
func (ks *keepers) renew() {
	for _, k := range ks.all() {
		if k.reg != nil {
			k.reg.renew()
		}
	}
}

// cut is the end of a connection: what was registered over it is registered
// again.
func (ks *keepers) cut(from netip.AddrPort) {
	for _, k := range ks.all() {
		if k.reg == nil {
			continue
		}
		k.mu.Lock()
		ours := k.reg.source == from && k.reg.state.Registered
		k.mu.Unlock()
		if ours {
			k.reg.renew()
		}
	}
}

// on reports whether a connection to that address is wanted though no call is
// on it: calls come over it.
func (ks *keepers) on(to netip.AddrPort) bool {
	for _, k := range ks.all() {
		k.mu.Lock()
		wanted := k.reg != nil && k.reg.source == to
		k.mu.Unlock()
		if wanted {
			return true
		}
	}
	return false
}

// publicOf is where a registrar sees us, zero where that is no news.
func (ks *keepers) publicOf(t *trunk.Trunk, transport string) netip.AddrPort {
	k := ks.of(t)
	if k == nil || k.reg == nil {
		return netip.AddrPort{}
	}
	return k.reg.seenBy(transport)
}

func (k *keeper) trunk() *trunk.Trunk {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.of
}

// asks reports whether the trunk's gateways are asked by OPTIONS.
func (k *keeper) asks() bool { return k.trunk().Probe && k.u.cfg.Probe > 0 }

// run keeps the trunk until ctx ends.
func (k *keeper) run(ctx context.Context) {
	var wg sync.WaitGroup
	if k.reg != nil {
		wg.Go(func() { k.reg.run(ctx) })
	}
	half := k.u.cfg.Probe / 2
	if half <= 0 {
		half = probeEvery / 2
	}
	for again := true; again; {
		k.look(ctx)
		if again = sleep(ctx, k.u.scaled(half*9/10+spread(half/5))); again {
			k.ping()
			again = sleep(ctx, k.u.scaled(half*9/10+spread(half/5)))
		}
	}
	wg.Wait()
}

// sleep waits; false where ctx ends before.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// gateways are those of the trunk as requests to them are addressed.
func (k *keeper) gateways() []gateway {
	t := k.trunk()
	var out []gateway
	for _, g := range t.Gateways {
		gw := gatewayOf(g)
		uri, err := parseURI("sip:" + hostPort(g.Host, g.Port))
		if err != nil {
			continue // cannot be: it was read as a gateway
		}
		gw.uri = uri
		out = append(out, gw)
	}
	return out
}

// look has the names looked up and every address asked.
func (k *keeper) look(ctx context.Context) {
	t := k.trunk()
	list, err := k.u.reach(ctx, t, k.gateways())
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		k.mu.Lock()
		news := k.blameLocked(err.Error())
		k.mu.Unlock()
		if news {
			k.log.Warn("sip: gateway not found", zap.Error(err))
		}
		return
	}
	if k.take(list) {
		k.u.keepers.publish()
	}
	if !k.asks() {
		return
	}
	var wg sync.WaitGroup
	for i := range list {
		wg.Go(func() { k.probe(ctx, t, &list[i]) })
	}
	wg.Wait()
}

// take keeps the addresses found, and tells whether they are others than before.
func (k *keeper) take(list []gateway) (changed bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	var now []placed
	for i := range list {
		if at := k.findLocked(&list[i]); at >= 0 {
			now = append(now, k.places[at])
			continue
		}
		changed = true
		now = append(now, placed{gateway: list[i]})
	}
	changed = changed || len(now) != len(k.places)
	slices.SortStableFunc(now, func(a, b placed) int { return a.index - b.index }) // as configured
	k.places = now
	return changed
}

func (k *keeper) findLocked(gw *gateway) int {
	return slices.IndexFunc(k.places, func(p placed) bool {
		return p.at == gw.at && p.transport == gw.transport && p.configured == gw.configured
	})
}

func (k *keeper) addrs() []netip.Addr {
	k.mu.Lock()
	defer k.mu.Unlock()
	var out []netip.Addr
	for _, p := range k.places {
		out = append(out, p.at.Addr())
	}
	return out
}

// note takes what was learned of an address.
func (k *keeper) note(gw *gateway, err string, answered time.Time, took time.Duration) {
	k.mu.Lock()
	i := k.findLocked(gw)
	if i < 0 { // it is none of the trunk's any more
		k.mu.Unlock()
		return
	}
	p := &k.places[i]
	changed := p.note(err)
	if !answered.IsZero() {
		p.answered, p.roundTrip = answered, took
	}
	down := p.down
	if err != "" {
		k.blameLocked(err)
	}
	k.mu.Unlock()
	if !changed {
		return
	}
	fields := []zap.Field{
		zap.String("gateway", gw.configured), zap.Stringer("address", gw.at),
		zap.String("transport", lower(gw.transport)),
	}
	if down {
		k.log.Warn("sip: gateway down", append(fields, zap.String("error", err))...)
		return
	}
	k.log.Info("sip: gateway up", fields...)
	if k.reg != nil {
		k.reg.renew() // it may have forgotten us
	}
}

// blameLocked keeps what went wrong last, and tells whether that is news.
func (k *keeper) blameLocked(text string) bool {
	news := k.error != text
	k.error, k.errorAt = text, time.Now()
	return news
}
