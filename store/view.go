package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/jackc/pgx/v5"
)

// View opens a store to read agents, tools, trunks and numbers, while another
// process may have it. Nothing can be written.
func View(ctx context.Context, cfg Config) (*Store, error) {
	cfg = cfg.withDefaults()
	s := &Store{cfg: cfg, log: cfg.Log, done: make(chan struct{}), kill: func() {}}
	s.queue.init(0, 0, 0)
	s.queue.close()
	close(s.done)
	err := s.view(ctx)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("store: %w", err), s.closeFiles())
	}
	return s, nil
}

func (s *Store) view(ctx context.Context) (err error) {
	if s.vault, err = newVault(s.cfg.Key, s.log); err != nil {
		return err
	}
	path, sqlite := strings.CutPrefix(s.cfg.URL, "sqlite:")
	if !sqlite {
		cfg, err := pgx.ParseConfig(s.cfg.URL)
		if err != nil {
			return fmt.Errorf("the URL of PostgreSQL: %w", err)
		}
		s.postgres, s.read = true, connectPostgres(readOnly(cfg))
	} else {
		path = strings.TrimPrefix(path, "//")
		if _, err := os.Stat(path); err != nil {
			return fmt.Errorf("there is no store yet, serve makes one: %w", err)
		}
		if s.read, err = connectSQLite(path, "&_pragma=query_only(1)", 1); err != nil {
			return err
		}
	}
	s.write = s.read
	if _, err := s.read.NewSelect().Model((*agentRow)(nil)).Count(ctx); err != nil {
		return fmt.Errorf("read the store, which serve of this version brings up to date: %w", err)
	}
	return nil
}
