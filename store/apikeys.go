package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
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

// AddKey keeps a key by its hash; a name is used once.
func (s *Store) AddKey(ctx context.Context, k Key) (Key, error) {
	id, err := newUUID()
	if err != nil {
		return k, fmt.Errorf("store: add a key: %w", err)
	}
	k.ID, k.Created = id, time.Now().UTC().Truncate(time.Millisecond)
	row := rowOfKey(k)
	if _, err := s.write.NewInsert().Model(&row).Exec(ctx); err != nil {
		return k, fmt.Errorf("store: add key %s: %w", k.Name, taken(err))
	}
	return k, nil
}

// ChangeKey puts k in the place of the key of its id. What it is known by, its
// hash and its maker stay.
func (s *Store) ChangeKey(ctx context.Context, k Key) error {
	row := rowOfKey(k)
	res, err := s.write.NewUpdate().Model(&row).WherePK().
		Column("name", "scopes", "agents", "expires_at", "revoked_at", "per_minute", "per_hour", "control").Exec(ctx)
	return one(res, taken(err), "change key %s", k.ID)
}

// DeleteKey forgets a key: what it was is not known any more.
func (s *Store) DeleteKey(ctx context.Context, id string) error {
	res, err := s.write.NewDelete().Model((*keyRow)(nil)).Where("id = ?", id).Exec(ctx)
	return one(res, err, "delete key %s", id)
}

// one is ErrNotFound where a statement changed no row.
func one(res interface{ RowsAffected() (int64, error) }, err error, what string, args ...any) error {
	if err == nil {
		var n int64
		if n, err = res.RowsAffected(); err == nil && n == 0 {
			err = ErrNotFound
		}
	}
	if err != nil {
		return fmt.Errorf("store: "+what+": %w", append(args, err)...)
	}
	return nil
}

// Keys are all keys, those that were revoked or have expired too.
func (s *Store) Keys(ctx context.Context) ([]Key, error) {
	var rows []keyRow
	if err := s.read.NewSelect().Model(&rows).Order("name").Scan(ctx); err != nil {
		return nil, fmt.Errorf("store: list keys: %w", err)
	}
	out := make([]Key, 0, len(rows))
	for _, r := range rows {
		k, err := r.key()
		if err != nil {
			return nil, fmt.Errorf("store: list keys: %w", err)
		}
		out = append(out, k)
	}
	return out, nil
}
