package engine

import (
	"container/list"
	"sync"
)

// phraseBytes bounds the sound kept for all calls.
const phraseBytes = 16 << 20

// phraseKey names a phrase as one voice says it.
type phraseKey struct {
	tts, voice, language, text string
	rate                       int
}

// phrases keeps the sound of greetings, bridging sentences and apologies, so
// that they are there at once and something can be said when a voice is away.
// What is used least goes first, but nothing that is pinned.
type phrases struct {
	mu     sync.Mutex // guards what follows
	max    int
	bytes  int
	order  *list.List
	by     map[phraseKey]*list.Element
	pins   map[string][]phraseKey // by who pinned them
	pinned map[phraseKey]int      // how often each is
}

type phrase struct {
	key   phraseKey
	pcm   []int16    // never written again
	words []wordMark // of a voice that tells them
}

func newPhrases(maxBytes int) *phrases {
	return &phrases{
		max: maxBytes, order: list.New(), by: map[phraseKey]*list.Element{},
		pins: map[string][]phraseKey{}, pinned: map[phraseKey]int{},
	}
}

// get is a phrase's sound, and where its words end in it; nil: it is not there.
func (p *phrases) get(k phraseKey) ([]int16, []wordMark) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.by[k]
	if e == nil {
		return nil, nil
	}
	p.order.MoveToFront(e)
	ph := e.Value.(*phrase) //nolint:forcetypeassert // the list holds nothing else
	return ph.pcm, ph.words
}

// put keeps a phrase, unless it is too long to be one.
func (p *phrases) put(k phraseKey, pcm []int16, words []wordMark) {
	p.mu.Lock()
	defer p.mu.Unlock()
	size := 2 * len(pcm)
	if p.by[k] != nil || size > p.max/4 {
		return
	}
	p.by[k] = p.order.PushFront(&phrase{k, pcm, words})
	p.bytes += size
	for e := p.order.Back(); p.bytes > p.max && e != nil; {
		old := e.Value.(*phrase) //nolint:forcetypeassert // the list holds nothing else
		before := e.Prev()
		if p.pinned[old.key] == 0 && old.key != k {
			p.order.Remove(e)
			delete(p.by, old.key)
			p.bytes -= 2 * len(old.pcm)
		}
		e = before
	}
}

// pin lets phrases stay, in place of those that the same owner pinned before.
func (p *phrases) pin(owner string, keys []phraseKey) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, k := range keys {
		p.pinned[k]++
	}
	for _, k := range p.pins[owner] {
		if p.pinned[k]--; p.pinned[k] == 0 {
			delete(p.pinned, k)
		}
	}
	if p.pins[owner] = keys; len(keys) == 0 {
		delete(p.pins, owner)
	}
}
