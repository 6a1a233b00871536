package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"github.com/patchcord/patchcord/engine/agent"
)

// Key is a user of the API. Only the hash of the key itself is kept (SEC-13).
type Key struct {
	ID      string
	Name    string
	Prefix  string // the first characters, to know it by
	Hash    [sha256.Size]byte
	Scopes  []string
	Agents  []agent.ID // empty: all
	Created time.Time
	By      string    // who made it: the name of another key
	Expires time.Time // zero: never
	Revoked time.Time // zero: it opens what its scopes say

	// Requests in a minute and an hour, commands to one call in a minute; 0:
	// the default, -1: no limit.
	PerMinute, PerHour, Control int
}

type keyRow struct {
	bun.BaseModel `bun:"table:api_keys"`

	ID        string `bun:",pk"`
	Name      string
	Prefix    string
	Hash      string
	Scopes    []string   `bun:"type:text"`
	Agents    []agent.ID `bun:"type:text"`
	CreatedAt int64
	CreatedBy string
	ExpiresAt int64
	RevokedAt int64
	PerMinute int
	PerHour   int
	Control   int
}

func rowOfKey(k Key) keyRow {
	return keyRow{
		ID: k.ID, Name: k.Name, Prefix: k.Prefix, Hash: hex.EncodeToString(k.Hash[:]), Scopes: k.Scopes, Agents: k.Agents,
		CreatedAt: ms(k.Created), CreatedBy: k.By, ExpiresAt: ms(k.Expires), RevokedAt: ms(k.Revoked),
		PerMinute: k.PerMinute, PerHour: k.PerHour, Control: k.Control,
	}
}

func (r *keyRow) key() (Key, error) {
	k := Key{
		ID: r.ID, Name: r.Name, Prefix: r.Prefix, Scopes: r.Scopes, Agents: r.Agents, Created: at(r.CreatedAt),
		By: r.CreatedBy, Expires: at(r.ExpiresAt), Revoked: at(r.RevokedAt), PerMinute: r.PerMinute, PerHour: r.PerHour,
		Control: r.Control,
	}
	raw, err := hex.DecodeString(r.Hash)
	if err != nil || len(raw) != sha256.Size {
		return k, fmt.Errorf("the hash of key %s is none", r.Name)
	}
	copy(k.Hash[:], raw)
	return k, nil
}

// Full tells whether a key opens everything for good: who has it can make and
// change keys.
func (k Key) Full() bool {
	return slices.Contains(k.Scopes, "*") && len(k.Agents) == 0 && k.Revoked.IsZero() && k.Expires.IsZero()
}

// AddKey keeps a key by its hash; a name is used once. Where ruled, one key must
// be full after it, else it is ErrLastKey.
func (s *Store) AddKey(ctx context.Context, k Key, ruled bool) (Key, error) {
	id, err := newUUID()
	if err != nil {
		return k, fmt.Errorf("store: add a key: %w", err)
	}
	k.ID, k.Created = id, time.Now().UTC().Truncate(time.Millisecond)
	row := rowOfKey(k)
	err = s.changeKeys(ctx, ruled, func(ctx context.Context, tx Tx) error {
		_, err := tx.NewInsert().Model(&row).Exec(ctx)
		return taken(err)
	})
	if err != nil {
		return k, fmt.Errorf("store: add key %s: %w", k.Name, err)
	}
	return k, nil
}

// ChangeKey changes the key of an id as it is at this moment, whoever else
// changed it since it was read. What it is known by, its hash and its maker
// stay. Where ruled, one key must be full after it, else it is ErrLastKey.
func (s *Store) ChangeKey(ctx context.Context, id string, ruled bool, change func(*Key)) (Key, error) {
	var k Key
	err := s.changeKeys(ctx, ruled, func(ctx context.Context, tx Tx) error {
		var row keyRow
		err := tx.NewSelect().Model(&row).Where("id = ?", id).Scan(ctx)
		if err != nil {
			return none(err)
		}
		if k, err = row.key(); err != nil {
			return err
		}
		change(&k)
		row = rowOfKey(k)
		_, err = tx.NewUpdate().Model(&row).Where("id = ?", id).
			Column("name", "scopes", "agents", "expires_at", "revoked_at", "per_minute", "per_hour", "control").Exec(ctx)
		return taken(err)
	})
	if err != nil {
		return k, fmt.Errorf("store: change key %s: %w", id, err)
	}
	return k, nil
}

// DeleteKey forgets a key: what it was is not known any more. Where ruled, one
// key must be full after it, else it is ErrLastKey.
func (s *Store) DeleteKey(ctx context.Context, id string, ruled bool) error {
	err := s.changeKeys(ctx, ruled, func(ctx context.Context, tx Tx) error {
		res, err := tx.NewDelete().Model((*keyRow)(nil)).Where("id = ?", id).Exec(ctx)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n > 0 {
			return err
		}
		return ErrNotFound
	})
	if err != nil {
		return fmt.Errorf("store: delete key %s: %w", id, err)
	}
	return nil
}

// changeKeys changes keys one process after the other: of two that each leave
// the other's full key, the second finds none.
func (s *Store) changeKeys(ctx context.Context, ruled bool, f func(context.Context, Tx) error) error {
	return s.InTx(ctx, func(ctx context.Context, tx Tx) error {
		if err := tx.lockTable(ctx, "api_keys"); err != nil {
			return err
		}
		if err := f(ctx, tx); err != nil || !ruled {
			return err
		}
		keys, err := keysOf(ctx, tx)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(keys, Key.Full) {
			return ErrLastKey
		}
		return nil
	})
}

// Keys are all keys, those that were revoked or have expired too.
func (s *Store) Keys(ctx context.Context) ([]Key, error) {
	out, err := keysOf(ctx, s.read)
	if err != nil {
		return nil, fmt.Errorf("store: list keys: %w", err)
	}
	return out, nil
}

func keysOf(ctx context.Context, db bun.IDB) ([]Key, error) {
	var rows []keyRow
	if err := db.NewSelect().Model(&rows).Order("name").Scan(ctx); err != nil {
		return nil, err
	}
	out := make([]Key, 0, len(rows))
	for _, r := range rows {
		k, err := r.key()
		if err != nil {
			return nil, err
		}
		out = append(out, k)
	}
	return out, nil
}
