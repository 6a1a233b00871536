package knowledge

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/maypok86/otter/v2"
	"go.uber.org/zap"
)

// Config is what a library works with.
type Config struct {
	Store    Store
	Embedder Embedder      // nil: by words only
	Limit    time.Duration // of a search, default 120 ms
	// Refresh is how often Serve looks for what other processes with the same
	// store have added or deleted; 0: there are none.
	Refresh time.Duration
	// Changed is called when documents were added or deleted here; may be nil.
	Changed func()
	// Reader is a program with its arguments that reads files (ReadFile) in a
	// process of its own; the type of a file is added. nil: in this process.
	Reader []string
	Log    *zap.Logger
}

const (
	defaultLimit = 120 * time.Millisecond
	rankTime     = 20 * time.Millisecond // of the limit, kept for the ranking
	readers      = 2                     // files that are read at a time
	maxDocuments = 5_000                 // of an agent
	queryCache   = 4096                  // questions whose vectors are remembered
	askTimeout   = 5 * time.Second       // of a question's vector: late ones are for the next time
	maxAsking    = 64                    // questions that are being embedded at a time
	askPause     = 10 * time.Second      // in which a server that failed is not asked
)

// Library is the documents of all agents. Its methods may be called by any
// goroutine.
type Library struct {
	cfg     Config
	log     *zap.Logger
	near    Comparer // nil: vectors are compared in memory
	queries *otter.Cache[string, []float32]
	reading chan struct{} // readers places
	wake    chan struct{} // one place: there is something to embed
	look    chan struct{} // one place: another process changed something

	reached string // id of the document that embedding stopped at; Serve's

	paused atomic.Int64 // no question is embedded before: Unix time, ns

	life context.Context //nolint:containedctx // of what goes on behind a search
	end  context.CancelFunc
	wg   sync.WaitGroup

	askMu  sync.Mutex         // guards asking
	asking map[string]*asking // by the question

	mu      sync.Mutex // guards shelves
	shelves map[string]*shelf
}

// New makes a library; nothing is read yet.
func New(cfg Config) (*Library, error) {
	if cfg.Store == nil {
		return nil, errors.New("knowledge: a store is needed")
	}
	if cfg.Limit <= 0 {
		cfg.Limit = defaultLimit
	}
	if cfg.Log == nil {
		cfg.Log = zap.NewNop()
	}
	cache, err := otter.New(&otter.Options[string, []float32]{MaximumSize: queryCache})
	if err != nil {
		return nil, fmt.Errorf("knowledge: %w", err)
	}
	l := &Library{
		cfg: cfg, log: cfg.Log, queries: cache, reading: make(chan struct{}, readers),
		wake: make(chan struct{}, 1), look: make(chan struct{}, 1), asking: map[string]*asking{},
		shelves: map[string]*shelf{},
	}
	if c, ok := cfg.Store.(Comparer); ok && c.Compares() {
		l.near = c
	}
	l.life, l.end = context.WithCancel(context.Background())
	return l, nil
}

// Close ends what goes on behind searches.
func (l *Library) Close() {
	l.end()
	l.wg.Wait()
}

// Add reads a file and keeps it; a document of the same name is replaced. It
// can be found when Add returns; vectors come later, by Serve. The error is a
// *FileError where the file is at fault.
func (l *Library) Add(ctx context.Context, agent, name, mediaType string, data []byte) (Document, error) {
	d, err := l.add(ctx, agent, name, mediaType, data)
	var f *FileError
	if errors.As(err, &f) {
		return d, &FileError{Name: name, What: f.What}
	}
	return d, err
}

func (l *Library) add(ctx context.Context, agent, name, mediaType string, data []byte) (Document, error) {
	t := TypeOf(name, mediaType)
	if err := checkFile(name, t, data); err != nil {
		return Document{}, err
	}
	select {
	case l.reading <- struct{}{}:
		defer func() { <-l.reading }()
	case <-ctx.Done():
		return Document{}, ctx.Err()
	}
	blocks, err := l.read(ctx, t, data)
	if err != nil {
		return Document{}, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return Document{}, fmt.Errorf("knowledge: add %s: %w", name, err)
	}
	hash := sha256.Sum256(data)
	chunks := Split(blocks)
	d := Document{
		ID: id.String(), Agent: agent, Name: name, Title: titleOf(blocks), Type: t, Bytes: len(data),
		Hash: hex.EncodeToString(hash[:]), Chunks: len(chunks), Created: time.Now().UTC().Truncate(time.Millisecond),
	}
	d.Language = guess(sample(chunks))
	b, err := l.shelf(ctx, agent)
	if err != nil {
		return d, err
	}
	err = b.change(ctx, func(books []*book) ([]*book, error) {
		total := len(chunks)
		out := make([]*book, 0, len(books)+1)
		for _, o := range books {
			if o.doc.Name != name {
				out = append(out, o)
				total += len(o.chunks)
			}
		}
		if len(out) >= maxDocuments || total > MaxChunks {
			return nil, fmt.Errorf("%w: an agent may have %d documents of %d passages", ErrTooMany, maxDocuments, MaxChunks)
		}
		if err := l.cfg.Store.PutDocument(ctx, d, chunks); err != nil {
			return nil, err
		}
		return append(out, newBook(d, chunks)), nil
	})
	l.nudge()
	l.tell(err)
	return d, err
}

// titleOf is the heading that a document begins with, if it is over all others.
func titleOf(blocks []Block) string {
	title := ""
	for i, b := range blocks {
		switch {
		case b.Level == 1 && i > 0:
			return ""
		case b.Level == 1:
			title = clip(b.Text, 200)
		}
	}
	return title
}

// sample is the beginning of a document's text.
func sample(chunks []Chunk) string {
	var b strings.Builder
	for i := range chunks {
		if b.WriteString(chunks[i].Text + "\n"); b.Len() > 20_000 {
			break
		}
	}
	return b.String()
}

// Documents are those of an agent, oldest first.
func (l *Library) Documents(ctx context.Context, agent string) ([]Document, error) {
	return l.cfg.Store.Documents(ctx, agent)
}

// Document is one of them, or ErrNotFound.
func (l *Library) Document(ctx context.Context, agent, id string) (Document, error) {
	all, err := l.Documents(ctx, agent)
	if err != nil {
		return Document{}, err
	}
	for _, d := range all {
		if d.ID == id {
			return d, nil
		}
	}
	return Document{}, ErrNotFound
}

// Delete removes a document; it is not found any more when Delete returns.
func (l *Library) Delete(ctx context.Context, agent, id string) error {
	b, err := l.shelf(ctx, agent)
	if err != nil {
		return err
	}
	err = b.change(ctx, func(books []*book) ([]*book, error) {
		if err := l.cfg.Store.DeleteDocument(ctx, agent, id); err != nil {
			return nil, err
		}
		out := make([]*book, 0, len(books))
		for _, o := range books {
			if o.doc.ID != id {
				out = append(out, o)
			}
		}
		return out, nil
	})
	l.tell(err)
	return err
}

// tell tells of a change that was made.
func (l *Library) tell(err error) {
	if err == nil && l.cfg.Changed != nil {
		l.cfg.Changed()
	}
}

// Look has Serve take over at once what another process changed.
func (l *Library) Look() {
	select {
	case l.look <- struct{}{}:
	default: // it will look
	}
}

// Forget drops the documents of an agent from memory: it was deleted, and the
// store has them no more.
func (l *Library) Forget(agent string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.shelves, agent)
}

func (l *Library) nudge() {
	select {
	case l.wake <- struct{}{}:
	default: // it was told already
	}
}
