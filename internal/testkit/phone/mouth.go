package phone

import (
	"sync"
	"time"
)

// mouth is what the phone says, one piece at a time.
type mouth struct {
	mu   sync.Mutex // guards the fields below
	pcm  []int16
	said chan struct{} // closed when pcm is said; nil: nothing is

	onset time.Time // when the first loud frame of it left; zero: none yet
}

func newMouth() *mouth { return &mouth{} }

// say begins to say pcm in place of what is being said. The channel is closed
// when the last of it was handed to the leg.
func (m *mouth) say(pcm []int16) <-chan struct{} {
	done := make(chan struct{})
	m.mu.Lock()
	defer m.mu.Unlock()
	m.end()
	m.pcm, m.said, m.onset = pcm, done, time.Time{}
	if len(pcm) == 0 {
		m.end()
	}
	return done
}

// end needs mu held.
func (m *mouth) end() {
	if m.said != nil {
		close(m.said)
		m.said = nil
	}
}

func (m *mouth) next(dst []int16) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.said == nil {
		return false
	}
	if len(m.pcm) == 0 { // the frame before was the last one
		m.end()
		return false
	}
	n := copy(dst, m.pcm)
	clear(dst[n:])
	if m.onset.IsZero() && loud(dst) {
		m.onset = time.Now() // its packet leaves in the same tick
	}
	m.pcm = m.pcm[n:]
	return true
}

func (m *mouth) began() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.onset
}

// loudEnough is the mean absolute sample of speech, about -40 dB of full scale;
// patchcord bench takes the same for speech.
const loudEnough = 250

func loud(pcm []int16) bool {
	sum := 0
	for _, x := range pcm {
		sum += max(int(x), -int(x))
	}
	return len(pcm) > 0 && sum >= loudEnough*len(pcm)
}
