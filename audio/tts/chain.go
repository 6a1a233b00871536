package tts

import "context"

// Named is a provider with the name it has in the configuration.
type Named struct {
	Name     string
	Provider Provider
}

// Chain is a voice and those that speak in its place when it fails, in the
// order they are asked. It is never empty. A call that knows chains goes from
// one to the next itself, in the middle of a sentence too; whoever knows only
// providers has the first.
type Chain []Named

var _ Provider = Chain(nil)

// Synthesize implements [Provider].
func (c Chain) Synthesize(ctx context.Context, r Request) (Stream, error) {
	return c[0].Provider.Synthesize(ctx, r)
}

// ChainOf is the chain that a provider is, or the one that it is alone.
func ChainOf(name string, p Provider) Chain {
	if c, ok := p.(Chain); ok && len(c) > 0 {
		return c
	}
	return Chain{{name, p}}
}
