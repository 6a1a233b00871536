// Package factory is what the tables of recognisers, voices and models share:
// from a type that a configuration names, and its part of it, to a provider.
//
// It guarantees that a provider is made only of a configuration that its own
// Config could take, and that an error comes without a provider.
package factory

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Func makes a provider P of its part of a configuration. decode fills the
// provider's own Config, strictly; nil leaves it as it is. D is what providers
// need of the outside.
type Func[P, D any] func(decode func(any) error, deps D) (P, error)

// Table holds the factory of each type.
type Table[P, D any] map[string]Func[P, D]

// Of is the factory of what from makes of its Config C.
func Of[C, D, P any](from func(C, D) (P, error)) Func[P, D] {
	return func(decode func(any) error, deps D) (none P, _ error) {
		var c C
		if decode != nil {
			if err := decode(&c); err != nil {
				return none, err
			}
		}
		p, err := from(c, deps)
		if err != nil {
			return none, err // not p: a nil pointer in an interface is something
		}
		return p, nil
	}
}

// Make makes a provider of a type. Nobody is connected to yet.
func (t Table[P, D]) Make(typ string, decode func(any) error, deps D) (P, error) {
	f, ok := t[typ]
	if !ok {
		var none P
		return none, fmt.Errorf("unknown type %q; known: %s", typ, strings.Join(t.Types(), ", "))
	}
	return f(decode, deps)
}

// Types are the types, sorted.
func (t Table[P, D]) Types() []string { return slices.Sorted(maps.Keys(t)) }
