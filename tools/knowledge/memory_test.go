package knowledge

import (
	"context"
	"slices"
	"sync"
)

// memory is a store without a disk.
type memory struct {
	mu     sync.Mutex
	docs   []Document
	chunks map[string][]Chunk
	fail   error
	block  chan struct{} // documents are given when it is closed
}

func newMemory() *memory { return &memory{chunks: map[string][]Chunk{}} }

func (m *memory) PutDocument(_ context.Context, d Document, chunks []Chunk) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return m.fail
	}
	m.docs = slices.DeleteFunc(m.docs, func(o Document) bool { return o.Agent == d.Agent && o.Name == d.Name })
	m.docs = append(m.docs, d)
	m.chunks[d.ID] = slices.Clone(chunks)
	return nil
}

func (m *memory) Documents(ctx context.Context, agent string) ([]Document, error) {
	if m.block != nil {
		select {
		case <-m.block:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []Document
	for _, d := range m.docs {
		if agent == "" || d.Agent == agent {
			d.Vectors = 0
			for _, c := range m.chunks[d.ID] {
				if c.Model != "" {
					d.Vectors++
				}
			}
			out = append(out, d)
		}
	}
	return out, m.fail
}

func (m *memory) Passages(_ context.Context, id string) ([]Chunk, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.chunks[id]), m.fail
}

func (m *memory) SetVectors(_ context.Context, id, model string, vs map[int][]float32) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for n, v := range vs {
		m.chunks[id][n].Vector, m.chunks[id][n].Model = v, model
	}
	return m.fail
}

func (m *memory) DeleteDocument(_ context.Context, agent, id string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := len(m.docs)
	m.docs = slices.DeleteFunc(m.docs, func(d Document) bool { return d.Agent == agent && d.ID == id })
	if len(m.docs) == n {
		return ErrNotFound
	}
	return m.fail
}
