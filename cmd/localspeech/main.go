// Command localspeech holds the C libraries of the local voice (flite) and
// recogniser (PocketSphinx) in a process of their own. The engine starts it
// and speaks the frames of internal/localspeech over its standard input and
// output; nobody else has a use for it.
//
// The libraries are opened at run time, each when it is first asked for: a
// missing one is an error of that stream, which names the package to install.
// The process ends when its standard input does. It ignores SIGINT and SIGTERM,
// which reach a whole process group: the engine drains its calls first.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/patchcord/patchcord/internal/localspeech"
)

func main() {
	if len(os.Args) > 1 {
		fmt.Fprintln(os.Stderr, "localspeech is started by patchcord and takes no arguments")
		os.Exit(2)
	}
	signal.Ignore(os.Interrupt, syscall.SIGTERM)
	if err := localspeech.Serve(os.Stdin, os.Stdout, &backend{}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// backend is both libraries.
type backend struct {
	flite  flite
	sphinx sphinx
}

var _ localspeech.Backend = (*backend)(nil)

func (b *backend) Speak(voice, text string, emit func(rate int, pcm []int16) bool) error {
	return b.flite.speak(voice, text, emit)
}

func (b *backend) Recogniser(args []string) (localspeech.Decoder, error) {
	return b.sphinx.decoder(args)
}
