package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/telephony/trunk"
	"github.com/patchcord/patchcord/tools"
)

// FileBy is who changed an object that was taken from a file.
const FileBy = "file"

// Files is what the configuration's files hold.
type Files struct {
	Agents  []FileAgent
	Tools   []FileTool // of the library
	Trunks  []trunk.Config
	Numbers []trunk.Number
	Config  string // the file of trunks and numbers
}

// FileAgent is an agent and its file.
type FileAgent struct {
	agent.Agent
	File string
}

// FileTool is a tool and its file.
type FileTool struct {
	tools.Definition
	File string
}

// Seeded is what came of it.
type Seeded struct {
	Created, Updated, Deleted int
	Warnings                  []string // where the store is not what the files say
}

type seedRow struct {
	bun.BaseModel `bun:"table:seeds"`

	Kind     Kind   `bun:",pk"`
	Name     string `bun:",pk"`
	ObjectID string
	Revision int64
	Hash     string
}

// Seed brings what stands in files into the store. What is new is made, what
// changed in its file is changed, what is not there any more is deleted: all
// unless the API changed or deleted it since; then the store's stays, and a
// warning says so where the file says something new.
func (s *Store) Seed(ctx context.Context, f Files) (Seeded, error) {
	var out Seeded
	err := s.change(ctx, func(ctx context.Context, tx Tx) error {
		out = Seeded{}
		if err := tx.lockTable(ctx, "seeds"); err != nil { // nodes that start together
			return err
		}
		// It changes objects of all kinds in an order of its own.
		if err := tx.lockAll(ctx, "trunks", "agents", "tools", "numbers"); err != nil {
			return err
		}
		var rows []seedRow
		if err := tx.NewSelect().Model(&rows).Scan(ctx); err != nil {
			return err
		}
		sd := seeder{tx: tx, out: &out, was: make(map[seedKey]seedRow, len(rows)), seen: map[seedKey]bool{}}
		for _, r := range rows {
			sd.was[seedKey{r.Kind, r.Name}] = r
		}
		return sd.run(ctx, f)
	}, "take the files' agents, tools, trunks and numbers")
	return out, err
}

type seedKey struct {
	kind Kind
	name string
}

func (k seedKey) String() string { return string(k.kind) + " " + k.name }

type seeder struct {
	tx   Tx
	out  *Seeded
	was  map[seedKey]seedRow
	seen map[seedKey]bool
}

// seed is one object of a file: how it is told from others, what it is, and
// what to do with it.
type seed struct {
	key  seedKey
	file string
	hash string
	find func(ctx context.Context) (held, error)           // ErrNotFound where there is none
	save func(ctx context.Context, old held) (held, error) // in the place of old, or new where that is zero
}

// held is an object of the store.
type held struct {
	id       string
	revision int64
	secret   bool // its secret is that of the file
}

func (sd *seeder) run(ctx context.Context, f Files) error {
	var seeds []seed
	for _, c := range f.Trunks {
		seeds = append(seeds, sd.trunk(c, f.Config))
	}
	for _, t := range f.Tools {
		seeds = append(seeds, sd.tool(t))
	}
	for _, a := range f.Agents {
		seeds = append(seeds, sd.agent(a))
	}
	for _, n := range f.Numbers {
		seeds = append(seeds, sd.number(n, f.Config, f.Trunks))
	}
	for _, o := range seeds {
		if err := sd.one(ctx, o); err != nil {
			return fmt.Errorf("%s of %s: %w", o.key, o.file, err)
		}
	}
	return sd.gone(ctx)
}

func (sd *seeder) warn(format string, args ...any) {
	sd.out.Warnings = append(sd.out.Warnings, fmt.Sprintf(format, args...))
}

// one applies the rule to one object.
func (sd *seeder) one(ctx context.Context, o seed) error {
	sd.seen[o.key] = true
	was, seeded := sd.was[o.key]
	have, err := o.find(ctx)
	gone := errors.Is(err, ErrNotFound)
	if err != nil && !gone {
		return err
	}
	switch {
	case !seeded && !gone:
		sd.warn("%s of %s: the API made one of this name; the store's stays", o.key, o.file)
		return nil
	case seeded && (gone || have.id != was.ObjectID || have.revision != was.Revision):
		if was.Hash != o.hash {
			what := "changed"
			if gone {
				what = "deleted"
			}
			sd.warn("%s of %s: the file changed, and the API %s it before; the store's stays", o.key, o.file, what)
		}
		return nil
	case seeded && was.Hash == o.hash && have.secret:
		return nil
	}
	var now held
	err = sd.tx.try(ctx, func() (err error) {
		now, err = o.save(ctx, have)
		return err
	})
	switch {
	case errors.Is(err, ErrExists), errors.Is(err, ErrMissing), errors.Is(err, ErrInvalid):
		sd.warn("%s of %s is left out: %v", o.key, o.file, err)
		return nil
	case err != nil:
		return err
	}
	if gone {
		sd.out.Created++
	} else {
		sd.out.Updated++
	}
	row := seedRow{Kind: o.key.kind, Name: o.key.name, ObjectID: now.id, Revision: now.revision, Hash: o.hash}
	_, err = sd.tx.NewInsert().Model(&row).On("CONFLICT (kind, name) DO UPDATE").
		Set("object_id = EXCLUDED.object_id").Set("revision = EXCLUDED.revision").Set("hash = EXCLUDED.hash").Exec(ctx)
	return err
}

// gone deletes what its file does not have any more, numbers first, for they
// need the rest.
func (sd *seeder) gone(ctx context.Context) error {
	order := []Kind{KindNumber, KindAgent, KindTrunk, KindTool}
	var rows []seedRow
	for k, r := range sd.was {
		if !sd.seen[k] {
			rows = append(rows, r)
		}
	}
	slices.SortFunc(rows, func(a, b seedRow) int { return slices.Index(order, a.Kind) - slices.Index(order, b.Kind) })
	for _, r := range rows {
		key := seedKey{r.Kind, r.Name}
		deleted := false
		err := sd.tx.try(ctx, func() (err error) {
			deleted, err = sd.drop(ctx, r)
			return err
		})
		switch {
		case errors.Is(err, ErrNotFound): // the API deleted it before
		case errors.Is(err, ErrInUse):
			sd.warn("%s is in no file any more, and stays: %v", key, err)
			continue // until it can go
		case err != nil:
			return err
		case deleted:
			sd.out.Deleted++
		default:
			sd.warn("%s is in no file any more, and the API changed it before; the store's stays", key)
		}
		if _, err := sd.tx.NewDelete().Model(&r).WherePK().Exec(ctx); err != nil {
			return err
		}
	}
	return nil
}

// drop deletes what a file does not have any more, unless it was changed.
func (sd *seeder) drop(ctx context.Context, r seedRow) (deleted bool, err error) {
	switch r.Kind {
	case KindAgent:
		row, e := lockAgent(ctx, sd.tx, agent.ID(r.ObjectID))
		if err = e; err == nil && row.Revision == r.Revision {
			return true, dropAgent(ctx, sd.tx, FileBy, row)
		}
	case KindTool:
		row, owner, e := lockTool(ctx, sd.tx, r.ObjectID)
		if err = e; err == nil && row.Revision == r.Revision && owner == nil {
			return true, dropTool(ctx, sd.tx, FileBy, row, time.Now())
		}
	case KindTrunk:
		row, e := lockTrunk(ctx, sd.tx, r.ObjectID)
		if err = e; err == nil && row.Revision == r.Revision {
			return true, dropTrunk(ctx, sd.tx, row)
		}
	case KindNumber:
		row, e := lockNumber(ctx, sd.tx, r.ObjectID)
		if err = e; err == nil && row.Revision == r.Revision {
			return true, dropNumber(ctx, sd.tx, row)
		}
	}
	if err == nil {
		err = sd.disown(ctx, r)
	}
	return false, err
}

// disown makes an object the API's alone.
func (sd *seeder) disown(ctx context.Context, r seedRow) error {
	table := map[Kind]string{KindAgent: "agents", KindTool: "tools", KindTrunk: "trunks", KindNumber: "numbers"}[r.Kind]
	_, err := sd.tx.NewRaw("UPDATE ? SET source = '' WHERE id = ?", bun.Ident(table), r.ObjectID).Exec(ctx)
	return err
}

func (sd *seeder) agent(a FileAgent) seed {
	a.Normalize() // gives it its id
	key := string(a.ID)
	find := func(ctx context.Context) (held, error) {
		var row agentRow
		err := sd.tx.NewSelect().Model(&row).Where("id = ? OR name = ?", a.ID, a.Name).
			OrderExpr("CASE WHEN id = ? THEN 0 ELSE 1 END", a.ID).Limit(1).Scan(ctx)
		if err != nil {
			return held{}, none(err)
		}
		was, err := sd.tx.vault.open(KindAgent, string(row.ID), row.Secret)
		return held{string(row.ID), row.Revision, was == a.WebhookSecret}, err
	}
	save := func(ctx context.Context, old held) (held, error) {
		var row agentRow
		var err error
		if old.id == "" {
			row.ID, row.Source = a.ID, a.File
			if err = freeName(ctx, sd.tx, a.ID, a.Name); err == nil {
				row.Revision, err = lastRevision(ctx, sd.tx, KindAgent, string(a.ID))
			}
		} else if row, err = lockAgent(ctx, sd.tx, agent.ID(old.id)); err == nil {
			row.Source = a.File
			err = freeName(ctx, sd.tx, row.ID, a.Name)
		}
		if err != nil {
			return held{}, err
		}
		out, err := saveAgent(ctx, sd.tx, FileBy, row, a.Agent, opSeed)
		return held{id: string(out.ID), revision: out.Revision}, err
	}
	return seed{seedKey{KindAgent, key}, a.File, hashOf(a.Agent), find, save}
}

func (sd *seeder) tool(t FileTool) seed {
	find := func(ctx context.Context) (held, error) {
		var row toolRow
		err := sd.tx.NewSelect().Model(&row).Where("agent_id = '' AND (id = ? OR name = ?)", t.ID, t.Name).
			OrderExpr("CASE WHEN name = ? THEN 0 ELSE 1 END", t.Name).Limit(1).Scan(ctx)
		return held{row.ID, row.Revision, true}, none(err)
	}
	save := func(ctx context.Context, old held) (held, error) {
		row := toolRow{ID: t.ID}
		if old.id != "" {
			var err error
			if row, _, err = lockTool(ctx, sd.tx, old.id); err != nil {
				return held{}, err
			}
		}
		row.Source = t.File
		out, err := saveTool(ctx, sd.tx, FileBy, row, t.Definition, opSeed, time.Now())
		return held{id: out.ID, revision: out.Revision}, err
	}
	return seed{seedKey{KindTool, t.Name}, t.File, hashOf(t.Definition), find, save}
}

func (sd *seeder) trunk(c trunk.Config, file string) seed {
	find := func(ctx context.Context) (held, error) {
		var row trunkRow
		err := sd.tx.NewSelect().Model(&row).Where("name = ?", c.Name).Scan(ctx)
		if err != nil {
			return held{}, none(err)
		}
		was, err := sd.tx.vault.open(KindTrunk, row.ID, row.Secret)
		return held{row.ID, row.Revision, was == c.Credential().Reveal()}, err
	}
	save := func(ctx context.Context, old held) (held, error) {
		row, err := trunkRow{}, sd.tx.lockTable(ctx, "trunks")
		if err == nil && old.id != "" {
			row, err = lockTrunk(ctx, sd.tx, old.id)
		}
		if err != nil {
			return held{}, err
		}
		row.Source = file
		owned, err := sd.ownNumbers(ctx, row.Name)
		if err != nil {
			return held{}, err
		}
		out, err := saveTrunk(ctx, sd.tx, FileBy, row, c)
		if err == nil {
			err = sd.follow(ctx, owned)
		}
		return held{id: out.ID, revision: out.Revision}, err
	}
	return seed{seedKey{KindTrunk, c.Name}, file, hashOf(c), find, save}
}

// ownNumbers are the numbers of a trunk that are the file's alone: seeded, and
// not changed since.
func (sd *seeder) ownNumbers(ctx context.Context, trunkName string) ([]seedRow, error) {
	var rows []numberRow
	if err := sd.tx.NewSelect().Model(&rows).Where("trunk = ?", trunkName).Scan(ctx); err != nil {
		return nil, err
	}
	revisions := make(map[string]int64, len(rows))
	for _, r := range rows {
		revisions[r.ID] = r.Revision
	}
	var own []seedRow
	for _, r := range sd.was {
		if rev, ok := revisions[r.ObjectID]; ok && r.Kind == KindNumber && rev == r.Revision {
			own = append(own, r)
		}
	}
	return own, nil
}

// follow keeps numbers the file's, which its change of their trunk has moved: a
// country makes another number of what is written in the file.
func (sd *seeder) follow(ctx context.Context, own []seedRow) error {
	for _, was := range own {
		row, err := lockNumber(ctx, sd.tx, was.ObjectID)
		if err != nil {
			return err
		}
		if row.Revision == was.Revision {
			continue
		}
		now := was
		now.Name, now.Revision = numberKey(row.Number, row.Trunk), row.Revision
		if _, err := sd.tx.NewDelete().Model(&was).WherePK().Exec(ctx); err != nil {
			return err
		}
		if _, err := sd.tx.NewInsert().Model(&now).Exec(ctx); err != nil {
			return err
		}
		delete(sd.was, seedKey{KindNumber, was.Name})
		sd.was[seedKey{KindNumber, now.Name}] = now
	}
	return nil
}

// numberKey tells a number of the files from others: it may be that of two
// trunks.
func numberKey(number, trunkName string) string { return number + "@" + trunkName }

func (sd *seeder) number(n trunk.Number, file string, trunks []trunk.Config) seed {
	country := ""
	for _, c := range trunks {
		if c.Name == n.Trunk {
			country = c.Country
		}
	}
	number := trunk.Normalize(n.Number, country)
	find := func(ctx context.Context) (held, error) {
		var row numberRow
		err := sd.tx.NewSelect().Model(&row).Where("number = ? AND trunk = ?", number, n.Trunk).Scan(ctx)
		return held{row.ID, row.Revision, true}, none(err)
	}
	save := func(ctx context.Context, old held) (held, error) {
		to, err := lockTargets(ctx, sd.tx, n)
		if err != nil {
			return held{}, err
		}
		var row numberRow
		if old.id != "" {
			if row, err = lockNumber(ctx, sd.tx, old.id); err != nil {
				return held{}, err
			}
		}
		row.Source = file
		out, err := saveNumber(ctx, sd.tx, FileBy, row, to)
		return held{id: out.ID, revision: out.Revision}, err
	}
	return seed{seedKey{KindNumber, numberKey(number, n.Trunk)}, file, hashOf(n), find, save}
}

// hashOf is what a file says of an object. Secrets have no part in it: they
// are compared by themselves, and could be guessed from a hash.
func hashOf(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		b = fmt.Append(nil, err) // saving it tells the fault
	}
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}
