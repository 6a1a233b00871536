package engine

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"os"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/audio/record"
	"github.com/patchcord/patchcord/engine/agent"
)

// defaultHold is the sound of waiting of an agent that names none.
const defaultHold = "music"

// bed is a sound without words of a call, ready to play.
type bed struct {
	pcm  []int16 // one round; nil: none. Never written again
	gain float32
}

// source is the bed from its start, nil for none.
func (b bed) source() audio.Source {
	if len(b.pcm) == 0 {
		return nil
	}
	return audio.NewClip(b.pcm, true)
}

// openSounds makes the call's ambience and its sound of waiting ready. A file
// that cannot be read leaves the call without.
func (s *session) openSounds() {
	s.hold = s.bed("hold_sound", holdOf(s.agent))
	ambience := s.bed("ambience", s.agent.Ambience)
	s.out.SetBed(ambience.source(), ambience.gain)
}

// holdOf is the sound of waiting of an agent.
func holdOf(a *agent.Agent) agent.Sound {
	hold := a.HoldSound
	if hold.File == "" {
		hold.Sound = cmp.Or(hold.Sound, defaultHold)
	}
	return hold
}

func (s *session) bed(what string, a agent.Sound) bed {
	b, err := s.e.sounds.bed(a, s.rate)
	if err != nil {
		s.log.Warn("a sound is missing", zap.String("sound", what), zap.Error(err))
	}
	return b
}

// holdSound begins or ends the sound of waiting (conv:H10).
func (s *session) holdSound(on bool) {
	if on == s.holding {
		return
	}
	s.holding = on
	hold := s.hold
	if s.moving.id != "" && !s.moving.to.Music {
		hold = bed{pcm: s.ringback().PCM(s.rate), gain: 1}
	}
	if len(hold.pcm) == 0 {
		return
	}
	s.event(EventSpeechHold, F("on", on))
	if on {
		s.out.SetHold(hold.source(), hold.gain)
	} else {
		s.out.SetHold(nil, 0)
	}
}

// ringback is the tone of a telephone that rings elsewhere, as the caller knows it.
func (s *session) ringback() audio.Tone {
	if s.region == "US" || s.region == "CA" {
		return audio.RingbackUS
	}
	return audio.RingbackEU
}

// sounds keeps the sounds without words, one copy for all calls.
type sounds struct {
	mu sync.Mutex // guards by
	by map[soundKey]keptSound
}

// soundKey names a sound, as a rate has it.
type soundKey struct {
	sound, file string
	rate        int
}

type keptSound struct {
	pcm     []int16
	changed time.Time // of the file
}

// keptSounds is how many are kept: agents share theirs, mostly.
const keptSounds = 32

// A sound's file may have as many bytes and, at a call's rate, be as long.
const (
	soundFileBytes = 64 << 20
	soundLength    = 5 * time.Minute
)

func newSounds() *sounds { return &sounds{by: map[soundKey]keptSound{}} }

// bed is an agent's sound at a rate. A file that has changed is read again.
func (k *sounds) bed(a agent.Sound, rate int) (bed, error) {
	b := bed{gain: float32(math.Pow(10, a.Gain/20))}
	if a.File == "" && (a.Sound == "" || a.Sound == agent.NoSound) {
		return bed{}, nil
	}
	key := soundKey{a.Sound, a.File, rate}
	var changed time.Time
	if a.File != "" {
		info, err := os.Stat(a.File)
		if err != nil {
			return bed{}, fmt.Errorf("engine: sound: %w", err)
		}
		changed = info.ModTime()
	}
	k.mu.Lock()
	kept, ok := k.by[key]
	k.mu.Unlock()
	if ok && kept.changed.Equal(changed) {
		b.pcm = kept.pcm
		return b, nil
	}
	var err error
	if b.pcm, err = loadSound(a, rate); err != nil {
		return bed{}, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.by) >= keptSounds {
		clear(k.by) // they are made again as they are asked for
	}
	k.by[key] = keptSound{b.pcm, changed}
	return b, nil
}

func loadSound(a agent.Sound, rate int) ([]int16, error) {
	if a.File == "" {
		if pcm := audio.Loop(a.Sound, rate); pcm != nil {
			return pcm, nil
		}
		return nil, fmt.Errorf("engine: there is no built-in sound %q", a.Sound)
	}
	w, err := ReadSound(a.File)
	if err != nil {
		return nil, err
	}
	pcm := w.Channel(0)
	if w.Rate != rate {
		rs := audio.NewResampler(w.Rate, rate)
		pcm = rs.Flush(rs.Append(nil, pcm))
	}
	return pcm, nil
}

// ReadSound reads the file of a sound, and says what is wrong with it.
func ReadSound(file string) (*record.WAV, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("engine: sound: %w", err)
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() > soundFileBytes {
		return nil, fmt.Errorf("engine: sound %s: a file of more than %d MB", file, soundFileBytes>>20)
	}
	w, err := record.ReadWAV(f)
	if err != nil {
		return nil, fmt.Errorf("engine: sound %s: %w", file, err)
	}
	switch length := audio.Duration(len(w.Channel(0)), w.Rate); {
	case length < audio.FrameTime:
		return nil, errors.New("engine: sound " + file + ": there is no sound in it")
	case length > soundLength:
		return nil, fmt.Errorf("engine: sound %s: it lasts %v, more than %v", file, length.Round(time.Second), soundLength)
	}
	return w, nil
}
