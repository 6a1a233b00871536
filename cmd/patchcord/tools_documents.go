package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"go.uber.org/zap"

	"github.com/patchcord/patchcord/configs"
	"github.com/patchcord/patchcord/store"
	"github.com/patchcord/patchcord/tools/knowledge"
)

// trialPatience is how long a trial waits for a search: nobody is on the line.
const trialPatience = 5 * time.Second

// documents are what a trial of knowledge_base looks into: the files that are
// named, by their words alone, else those of the agent in the configuration's
// store, which is only read. done closes them.
func (c *toolsTestCmd) documents(
	ctx context.Context, cfg *configs.Config, agent string,
) (lib *knowledge.Library, done func(), err error) {
	if len(c.Documents) == 0 {
		return c.kept(ctx, cfg)
	}
	files, err := documentFiles(c.Documents)
	if err != nil {
		return nil, nil, err
	}
	dir, err := os.MkdirTemp("", "patchcord-documents-")
	if err != nil {
		return nil, nil, err
	}
	remove := func() { _ = os.RemoveAll(dir) } // the system's folder, which it empties
	st, err := store.Open(ctx, store.Config{URL: "sqlite:" + filepath.Join(dir, "documents.db"), Log: zap.NewNop()})
	if err != nil {
		remove()
		return nil, nil, err
	}
	lib, err = knowledge.New(knowledge.Config{Store: st, Limit: trialPatience})
	if err != nil {
		err = errors.Join(err, st.Close(ctx))
		remove()
		return nil, nil, err
	}
	done = func() {
		lib.Close()
		_ = st.Close(context.WithoutCancel(ctx)) // nothing of it is kept
		remove()
	}
	for _, file := range files {
		data, err := readDocument(file)
		if err == nil {
			_, err = lib.Add(ctx, agent, filepath.Base(file), "", data)
		}
		if err != nil {
			done()
			return nil, nil, fmt.Errorf("--documents %s: %w", file, err)
		}
	}
	return lib, done, nil
}

// kept are the documents of the configuration's store.
func (c *toolsTestCmd) kept(ctx context.Context, cfg *configs.Config) (*knowledge.Library, func(), error) {
	st, err := store.View(ctx, storeConfig(cfg, zap.NewNop()))
	if err != nil {
		return nil, nil, fmt.Errorf("the documents that %s looks into: %w; or name files with --documents", c.Name, err)
	}
	closeStore := func() error { return st.Close(context.WithoutCancel(ctx)) }
	e, err := knowledge.NewEmbedder(cfg.Knowledge.Embeddings)
	if err != nil {
		return nil, nil, errors.Join(err, closeStore())
	}
	lib, err := knowledge.New(knowledge.Config{Store: st, Embedder: e, Limit: trialPatience})
	if err != nil {
		return nil, nil, errors.Join(err, closeStore())
	}
	return lib, func() {
		lib.Close()
		_ = closeStore() // it was only read
	}, nil
}
