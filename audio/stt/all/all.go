// Package all is the table of speech recognisers: the types that a
// configuration can name.
//
// Each decodes its own part of the configuration, strictly. A provider that
// holds something beyond its calls (a helper process, connections) is an
// io.Closer.
package all

import (
	"go.uber.org/zap"

	"github.com/patchcord/patchcord/audio/stt"
	"github.com/patchcord/patchcord/audio/stt/assemblyai"
	"github.com/patchcord/patchcord/audio/stt/deepgram"
	"github.com/patchcord/patchcord/audio/stt/flux"
	"github.com/patchcord/patchcord/audio/stt/null"
	"github.com/patchcord/patchcord/audio/stt/openai"
	"github.com/patchcord/patchcord/audio/stt/pocketsphinx"
	"github.com/patchcord/patchcord/internal/factory"
)

// Deps is what recognisers need of the outside.
type Deps struct {
	Dir string // what files are relative to
	// Helper is the running helper process of the local speech, shared with the
	// voices. nil: a recogniser that needs one starts its own.
	Helper *pocketsphinx.Helper
	Log    *zap.Logger // nil: nobody is told
}

// Types is the table: to add a recogniser, write its folder and its line here.
func Types() factory.Table[stt.Provider, Deps] {
	return factory.Table[stt.Provider, Deps]{
		assemblyai.Name: factory.Of(func(c assemblyai.Config, _ Deps) (stt.Provider, error) { return assemblyai.New(c) }),
		deepgram.Name:   factory.Of(func(c deepgram.Config, _ Deps) (stt.Provider, error) { return deepgram.New(c) }),
		flux.Name:       factory.Of(func(c flux.Config, _ Deps) (stt.Provider, error) { return flux.New(c) }),
		null.Name:       factory.Of(func(c null.Config, _ Deps) (stt.Provider, error) { return null.New(c) }),
		openai.Name:     factory.Of(func(c openai.Config, _ Deps) (stt.Provider, error) { return openai.New(c) }),
		pocketsphinx.Name: factory.Of(func(c pocketsphinx.Config, d Deps) (stt.Provider, error) {
			c.Dir = d.Dir
			return pocketsphinx.New(c, d.Helper, d.Log)
		}),
	}
}
