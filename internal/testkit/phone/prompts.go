package phone

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/audio/record"
	"github.com/patchcord/patchcord/audio/tts"
	"github.com/patchcord/patchcord/internal/testkit/scenario"
	"github.com/patchcord/patchcord/internal/testkit/tracks"
)

// Prompts are the sounds of a scenario, made before the call. They may be used
// by many calls at once.
type Prompts struct {
	clips map[prompt]clip
	voice string // of a say that names none
}

type prompt struct{ text, voice, file string }

type clip struct {
	pcm  []int16
	rate int // Hz
}

// Prepare makes the sounds of all steps. voice speaks; it may be nil for a
// scenario that only plays files.
func Prepare(ctx context.Context, s *scenario.Scenario, voice tts.Provider) (*Prompts, error) {
	p := &Prompts{clips: map[prompt]clip{}, voice: s.Voice}
	for _, step := range s.Steps {
		key := p.key(step.Text, step.Voice)
		if step.File != "" {
			key = prompt{file: step.File}
		}
		if _, have := p.clips[key]; have || key.text == "" && key.file == "" {
			continue
		}
		c, err := makeClip(ctx, key, voice)
		if err != nil {
			return nil, fmt.Errorf("%s:%d:%d: %s: %w", s.File, step.Line, step.Col, step.Verb, err)
		}
		p.clips[key] = c
	}
	return p, nil
}

func (p *Prompts) key(text, voice string) prompt {
	if voice == "" && text != "" {
		voice = p.voice
	}
	return prompt{text: text, voice: voice}
}

func makeClip(ctx context.Context, key prompt, voice tts.Provider) (clip, error) {
	if key.file != "" {
		return readClip(key.file)
	}
	if voice == nil {
		return clip{}, errors.New("no voice to speak with")
	}
	wideband := audio.Format{Encoding: audio.PCM16, Rate: 16000}
	s, err := voice.Synthesize(ctx, tts.Request{Text: key.text, Voice: key.voice, Format: wideband})
	if err != nil {
		return clip{}, err
	}
	defer func() { _ = s.Close() }()
	var c clip
	for {
		chunk, err := s.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return clip{}, err
		}
		c.pcm, c.rate = append(c.pcm, chunk.PCM...), chunk.Rate
	}
	c.pcm = trim(c.pcm)
	return c, nil
}

func readClip(file string) (clip, error) {
	f, err := os.Open(file) //nolint:gosec // the scenario names it
	if err != nil {
		return clip{}, err
	}
	defer func() { _ = f.Close() }()
	w, err := record.ReadWAV(f)
	if err != nil {
		return clip{}, fmt.Errorf("%s: %w", file, err)
	}
	return clip{w.Channel(0), w.Rate}, nil
}

// quiet is the greatest sample of a silence: -50 dB of full scale.
const quiet = 104

// trim takes the silence off both ends, so that speech begins and ends when
// the step does.
func trim(pcm []int16) []int16 {
	loud := func(v int16) bool { return v > quiet || v < -quiet }
	for len(pcm) > 0 && !loud(pcm[0]) {
		pcm = pcm[1:]
	}
	for len(pcm) > 0 && !loud(pcm[len(pcm)-1]) {
		pcm = pcm[:len(pcm)-1]
	}
	return pcm
}

// level is that of what is said, RMS.
func (p *Prompts) level() float64 {
	sum, n := 0.0, 0
	for _, c := range p.clips {
		if rms := tracks.RMS(c.pcm); rms > 0 {
			sum += rms
			n++
		}
	}
	if n == 0 {
		return tracks.Level
	}
	return sum / float64(n)
}

func (p *Prompts) text(text, voice string, rate int) ([]int16, error) {
	return p.at(p.key(text, voice), rate)
}

func (p *Prompts) file(file string, rate int) ([]int16, error) { return p.at(prompt{file: file}, rate) }

// at is a sound at the rate of a leg.
func (p *Prompts) at(key prompt, rate int) ([]int16, error) {
	c, ok := p.clips[key]
	if !ok {
		return nil, fmt.Errorf("phone: %q was not prepared", key.text+key.file)
	}
	if c.rate == rate {
		return c.pcm, nil
	}
	r := audio.NewResampler(c.rate, rate)
	return r.Flush(r.Append(nil, c.pcm)), nil
}
