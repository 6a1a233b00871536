package engine

import (
	"slices"
	"sync"
)

// mailbox is where workers leave what the session is to know. Putting never
// blocks; the session takes all there is at once.
type mailbox struct {
	mu    sync.Mutex // guards items and head
	items []any
	head  int           // the oldest; those before it are taken
	limit int           // 0: none
	wake  chan struct{} // capacity 1: one signal stands for all that wait
}

func newMailbox(limit int) *mailbox {
	return &mailbox{limit: limit, wake: make(chan struct{}, 1)}
}

// put leaves an item, and reports false when the mailbox is full.
func (m *mailbox) put(item any) bool {
	m.mu.Lock()
	full := m.limit > 0 && len(m.items)-m.head >= m.limit
	if !full {
		m.items = append(m.items, item)
	}
	m.mu.Unlock()
	m.poke()
	return !full
}

// must leaves an item however full the mailbox is: what ends a call.
func (m *mailbox) must(item any) {
	m.mu.Lock()
	m.items = append(m.items, item)
	m.mu.Unlock()
	m.poke()
}

// poke wakes the session to look around.
func (m *mailbox) poke() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// take is the oldest item.
func (m *mailbox) take() (any, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.head == len(m.items) {
		return nil, false
	}
	item := m.items[m.head]
	m.items[m.head] = nil
	if m.head++; m.head == len(m.items) {
		m.head, m.items = 0, m.items[:0]
	}
	return item, true
}

// unread puts items back, before all others.
func (m *mailbox) unread(items []any) {
	if len(items) == 0 {
		return
	}
	m.mu.Lock()
	m.items, m.head = append(slices.Clone(items), m.items[m.head:]...), 0
	m.mu.Unlock()
	m.poke()
}

// takeIf is the oldest item that is wanted; the others stay where they are.
func (m *mailbox) takeIf(want func(any) bool) (any, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, item := range m.items[m.head:] {
		if want(item) {
			m.items = slices.Delete(m.items, m.head+i, m.head+i+1)
			return item, true
		}
	}
	return nil, false
}
