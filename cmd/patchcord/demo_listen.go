package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/audio/record"
	"github.com/patchcord/patchcord/audio/stt"
	"github.com/patchcord/patchcord/audio/stt/pocketsphinx"
	"github.com/patchcord/patchcord/audio/vad"
	"github.com/patchcord/patchcord/engine/turn"
	"github.com/patchcord/patchcord/internal/testkit/scenario"
)

// listen recognises both channels of the recording and counts the key words:
// the scenario's on the agent's side, those of the caller's own sentences that
// the agent's vocabulary holds on the other.
func (d *demo) listen(ctx context.Context, path string) (int, []string, map[string]float64, error) {
	f, err := os.Open(path) //nolint:gosec // our own recording
	if err != nil {
		return 0, nil, nil, fmt.Errorf("demo: recording: %w", err)
	}
	defer f.Close() //nolint:errcheck // only read
	wav, err := record.ReadWAV(f)
	if err != nil {
		return 0, nil, nil, fmt.Errorf("demo: recording: %w", err)
	}
	known, err := os.ReadFile(d.files + "/agents/demo.phrases")
	if err != nil {
		return 0, nil, nil, fmt.Errorf("demo: %w", err)
	}
	vocabulary := turn.Words(string(known))
	var said []string
	for _, s := range d.scenario.Steps {
		if s.Text != "" && inVocabulary(s.Text, vocabulary) {
			said = append(said, turn.Words(s.Text)...)
		}
	}
	heard, unheard, shares := 0, []string{}, map[string]float64{}
	for i, side := range []struct {
		name, phrases string
		words         []string
	}{
		{"caller", d.files + "/agents/demo.phrases", said},
		{"agent", d.scenario.Phrases, d.scenario.Heard.Words},
	} {
		text, err := transcribe(ctx, side.phrases, wav.Channel(i), wav.Rate)
		if err != nil {
			return 0, nil, nil, err
		}
		n, missing := heardWords(side.words, text)
		heard += n
		unheard = append(unheard, missing...)
		shares[side.name] = 1
		if len(side.words) > 0 {
			shares[side.name] = float64(n) / float64(len(side.words))
		}
	}
	return heard, unheard, shares, nil
}

// inVocabulary says whether all words of a sentence can be understood.
func inVocabulary(text string, vocabulary []string) bool {
	for _, w := range turn.Words(text) {
		if !slices.Contains(vocabulary, w) && digit(w) == "" {
			return false
		}
	}
	return true
}

// heardWords is how many of the words a text holds, each as often as it is wanted,
// and which it does not.
func heardWords(words []string, text string) (int, []string) {
	have := turn.Words(text)
	n := 0
	var missing []string
	for _, w := range words {
		if i := slices.Index(have, strings.ToLower(w)); i >= 0 {
			have = slices.Delete(have, i, i+1)
			n++
		} else {
			missing = append(missing, w)
		}
	}
	return n, missing
}

// transcribe recognises one side of a recording with a vocabulary of its own.
func transcribe(ctx context.Context, phrases string, pcm []int16, rate int) (string, error) {
	p, err := pocketsphinx.New(pocketsphinx.Config{Phrases: phrases}, nil, zap.NewNop())
	if err != nil {
		return "", err
	}
	defer p.Close() //nolint:errcheck // a folder of its own under the temporary one
	st, err := p.Open(ctx, stt.Options{Format: audio.Format{Encoding: audio.PCM16, Rate: rate}})
	if err != nil {
		return "", err
	}
	voices := 0
	words := make(chan string, 64) // more utterances than a call of a minute has
	go func() {
		defer close(words)
		for ev := range st.Events() {
			if ev.Kind == stt.Final {
				words <- ev.Text
			}
		}
	}()
	det, n := vad.New(), audio.Samples(audio.FrameTime, rate)
	pcm = append(slices.Clone(pcm), make([]int16, rate)...) // a second of silence ends the last voice
	for at := 0; at+n <= len(pcm); at += n {
		frame := audio.Frame{PCM: pcm[at : at+n], Rate: rate, At: audio.Duration(at, rate)}
		edge, is := det.Push(frame)
		if err := st.Send(frame.PCM); err != nil {
			return "", err
		}
		if is {
			if err := st.Speech(edge.Kind == vad.Start); err != nil {
				return "", err
			}
			if edge.Kind == vad.End {
				voices++
			}
		}
	}
	var all []string
	for range voices {
		select {
		case w, ok := <-words:
			if ok {
				all = append(all, w)
			}
		case <-time.After(20 * time.Second):
			_ = st.Close()
			return "", fmt.Errorf("demo: the recogniser did not answer to the recording")
		}
	}
	if err := st.Close(); err != nil {
		return "", err
	}
	return strings.Join(all, " "), nil
}

// spokenNumbers are the rows of three and more digits in what the caller says.
func spokenNumbers(s *scenario.Scenario) []string {
	var out []string
	for _, step := range s.Steps {
		row := ""
		for _, w := range append(turn.Words(step.Text), "") {
			if d := digit(w); d != "" {
				row += d
				continue
			}
			if len(row) >= 3 {
				out = append(out, row)
			}
			row = ""
		}
	}
	return out
}

// digit is the digit a word names, "" for none.
func digit(w string) string {
	i := slices.Index([]string{"zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"}, w)
	switch {
	case i >= 0:
		return string(rune('0' + i))
	case w == "oh":
		return "0"
	case w != "" && strings.Trim(w, "0123456789") == "":
		return w
	}
	return ""
}
