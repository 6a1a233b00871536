package ttstest

import (
	"testing"

	"github.com/patchcord/patchcord/audio/tts"
)

// Say is a whole sentence: all its samples, their rate in Hz, the marks of its
// words, and the error that ended it, io.EOF where it was spoken to its end.
func Say(t *testing.T, p tts.Provider, r tts.Request) (pcm []int16, rate int, words []tts.WordMark, err error) {
	t.Helper()
	st, err := p.Synthesize(t.Context(), r)
	if err != nil {
		return nil, 0, nil, err
	}
	defer st.Close()
	for {
		c, err := st.Next()
		if err != nil {
			return pcm, rate, words, err
		}
		pcm, rate, words = append(pcm, c.PCM...), c.Rate, append(words, c.Words...)
	}
}
