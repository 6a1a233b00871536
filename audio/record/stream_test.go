package record

import (
	"encoding/binary"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/patchcord/patchcord/audio"
)

// pipe keeps what is streamed, or fails.
type pipe struct {
	mu   sync.Mutex // guards what follows
	pcm  []int16
	fail error
	most int // samples of one write
}

func (p *pipe) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fail != nil {
		return 0, p.fail
	}
	p.most = max(p.most, len(b)/4)
	for i := 0; i+1 < len(b); i += 2 {
		p.pcm = append(p.pcm, int16(binary.LittleEndian.Uint16(b[i:]))) //nolint:gosec // a sample
	}
	return len(b), nil
}

func (p *pipe) len() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.pcm) / 2
}

// F-17: a stream has the samples alone, both sides at their time, soon after they
// were told; silence that nobody told of does not come long after it was.
func TestAStreamComesAtOnce_F17(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &pipe{}
		r, err := Stream(p, 8000)
		if err != nil {
			t.Fatal(err)
		}
		at := time.Duration(0)
		say := func(d time.Duration, caller, agent bool) {
			for end := at + d; at < end; at += audio.FrameTime {
				if caller {
					r.Caller(audio.Frame{PCM: constant(7), Rate: 8000, At: at})
				}
				if agent {
					r.Agent(constant(-3), at)
				}
				time.Sleep(audio.FrameTime)
			}
		}
		say(2*time.Second, true, true)
		if late := 2*time.Second - audio.Duration(p.len(), 8000); late > 400*time.Millisecond {
			t.Errorf("%v of 2 s have not come", late)
		}
		say(time.Second, true, false)
		say(time.Minute, false, false)
		say(time.Second, false, true)
		if _, err := r.Close(); err != nil {
			t.Error(err)
		}
		var both, left, right int
		for i := 0; i < len(p.pcm); i += 2 {
			switch [2]int16{p.pcm[i], p.pcm[i+1]} {
			case [2]int16{7, -3}:
				both++
			case [2]int16{7, 0}:
				left++
			case [2]int16{0, -3}:
				right++
			}
		}
		if both != 16000 || left != 8000 || right != 8000 || p.most > Block {
			t.Errorf("%d, %d, %d samples, %d at a time", both, left, right, p.most)
		}
		if all := audio.Duration(len(p.pcm)/2, 8000); all > 6*time.Second {
			t.Errorf("%v for 4 s of sound and a minute of nothing", all)
		}
	})
}

// A reader that fails ends the stream, once.
func TestAStreamThatFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		gone := errors.New("gone")
		r, err := Stream(&pipe{fail: gone}, 8000)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 50 {
			r.Caller(audio.Frame{PCM: constant(7), Rate: 8000, At: time.Duration(i) * audio.FrameTime})
			time.Sleep(audio.FrameTime)
		}
		if err := <-r.Failed(); !errors.Is(err, gone) {
			t.Error(err)
		}
		if _, err := r.Close(); !errors.Is(err, gone) {
			t.Error(err)
		}
	})
}
