package stt

import "context"

// Named is a provider with the name it has in the configuration.
type Named struct {
	Name     string
	Provider Provider
}

// Profile is what is known of it.
func (n Named) Profile() Profile {
	if p, ok := n.Provider.(Profiled); ok {
		return p.Profile()
	}
	return Profile{}
}

// Chain is a provider and those that go on in its place when it fails, in the
// order they are asked. It is never empty. A call that knows chains goes from
// one to the next itself, with the sound whose words are not settled; whoever
// knows only providers has the first.
type Chain []Named

var (
	_ Provider = Chain(nil)
	_ Profiled = Chain(nil)
)

// Open implements [Provider].
func (c Chain) Open(ctx context.Context, o Options) (Stream, error) {
	return c[0].Provider.Open(ctx, o)
}

// Profile implements [Profiled].
func (c Chain) Profile() Profile { return c[0].Profile() }

// ChainOf is the chain that a provider is, or the one that it is alone.
func ChainOf(name string, p Provider) Chain {
	if c, ok := p.(Chain); ok && len(c) > 0 {
		return c
	}
	return Chain{{name, p}}
}
