// Package all is the table of voices: the types that a configuration can name.
//
// Each decodes its own part of the configuration, strictly. A provider that
// holds something beyond its calls (a helper process, connections) is an
// io.Closer.
package all

import (
	"go.uber.org/zap"

	"github.com/patchcord/patchcord/audio/tts"
	"github.com/patchcord/patchcord/audio/tts/cartesia"
	"github.com/patchcord/patchcord/audio/tts/deepgram"
	"github.com/patchcord/patchcord/audio/tts/elevenlabs"
	"github.com/patchcord/patchcord/audio/tts/flite"
	"github.com/patchcord/patchcord/audio/tts/null"
	"github.com/patchcord/patchcord/audio/tts/openai"
	"github.com/patchcord/patchcord/internal/factory"
)

// Deps is what voices need of the outside.
type Deps struct {
	// Helper is the running helper process of the local speech, shared with the
	// recognisers. nil: a voice that needs one starts its own.
	Helper *flite.Helper
	Log    *zap.Logger // nil: nobody is told
}

// Types is the table: to add a voice, write its folder and its line here.
func Types() factory.Table[tts.Provider, Deps] {
	return factory.Table[tts.Provider, Deps]{
		cartesia.Name:   factory.Of(func(c cartesia.Config, _ Deps) (tts.Provider, error) { return cartesia.New(c) }),
		deepgram.Name:   factory.Of(func(c deepgram.Config, _ Deps) (tts.Provider, error) { return deepgram.New(c) }),
		elevenlabs.Name: factory.Of(func(c elevenlabs.Config, _ Deps) (tts.Provider, error) { return elevenlabs.New(c) }),
		null.Name:       factory.Of(func(c null.Config, _ Deps) (tts.Provider, error) { return null.New(c) }),
		openai.Name:     factory.Of(func(c openai.Config, _ Deps) (tts.Provider, error) { return openai.New(c) }),
		flite.Name: factory.Of(func(c flite.Config, d Deps) (tts.Provider, error) {
			return flite.New(c, d.Helper, d.Log)
		}),
	}
}
