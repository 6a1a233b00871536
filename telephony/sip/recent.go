package sip

import "container/list"

// recent is a map of the max keys that were used last.
type recent[K comparable, V any] struct {
	max   int
	by    map[K]*list.Element // of *kept[K, V]
	order *list.List          // front: used last
}

type kept[K comparable, V any] struct {
	key   K
	value V
}

func newRecent[K comparable, V any](most int) recent[K, V] {
	return recent[K, V]{max: most, by: map[K]*list.Element{}, order: list.New()}
}

// get is what is kept under the key, nil for nothing.
func (r *recent[K, V]) get(key K) *V {
	e, ok := r.by[key]
	if !ok {
		return nil
	}
	r.order.MoveToFront(e)
	return &e.Value.(*kept[K, V]).value
}

// put keeps a value under a key that has none. The one that had to go for it is
// returned, nil where there was room.
func (r *recent[K, V]) put(key K, value V) (gone *V) {
	if r.order.Len() >= r.max {
		last := r.order.Remove(r.order.Back()).(*kept[K, V])
		delete(r.by, last.key)
		gone = &last.value
	}
	r.by[key] = r.order.PushFront(&kept[K, V]{key, value})
	return gone
}
