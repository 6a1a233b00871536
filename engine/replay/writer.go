package replay

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/patchcord/patchcord/engine/turn"
)

// waiting is how many bytes may wait for the disk: more than the whole journal
// of most calls.
const waiting = 4 << 20

// Writer writes one call's journal. Step never waits for the disk: a goroutine
// of the writer's own does.
type Writer struct {
	w io.WriteCloser

	mu    sync.Mutex // guards what follows
	buf   []byte
	steps int
	lost  int
	over  bool
	err   error

	wake chan struct{} // capacity 1: one signal stands for all lines that wait
	done sync.WaitGroup
}

// New begins a journal. The header's policy is p.
func New(w io.WriteCloser, h Header, p *turn.Policy) (*Writer, error) {
	var err error
	h.Journal = version
	if h.Policy, err = encodePolicy(p); err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	line, err := json.Marshal(h)
	if err != nil {
		return nil, fmt.Errorf("journal: header: %w", err)
	}
	j := &Writer{w: w, buf: append(line, '\n'), wake: make(chan struct{}, 1)}
	j.poke() // a call that only rang when its process was killed has a journal too
	j.done.Go(j.run)
	return j, nil
}

// Step keeps one step. A journal that lost one keeps no more: what follows
// could not be run again.
func (j *Writer) Step(at time.Duration, ev turn.Event, effects []turn.Effect) {
	line, err := encode(at, ev, effects)
	j.mu.Lock()
	switch {
	case j.over:
	case err != nil || j.lost > 0 || len(j.buf)+len(line) > waiting:
		j.lost++
	default:
		j.buf = append(append(j.buf, line...), '\n')
		j.steps++
	}
	j.mu.Unlock()
	j.poke()
}

// Close writes what waits and the last line, and waits for both.
func (j *Writer) Close() error {
	j.mu.Lock()
	j.over = true
	j.mu.Unlock()
	j.poke()
	j.done.Wait()
	return j.err
}

func (j *Writer) poke() {
	select {
	case j.wake <- struct{}{}:
	default:
	}
}

func (j *Writer) run() {
	w := bufio.NewWriter(j.w)
	for over := false; !over; {
		<-j.wake
		var lines []byte
		j.mu.Lock()
		lines, j.buf, over = j.buf, nil, j.over
		last := trailer{Steps: j.steps, Lost: j.lost}
		j.mu.Unlock()
		_, _ = w.Write(lines) // the error stays in w
		if over {
			b, _ := json.Marshal(last) // two numbers
			_, _ = w.Write(append(b, '\n'))
		}
		if err := w.Flush(); err != nil && j.err == nil {
			j.err = fmt.Errorf("journal: write: %w", err)
		}
	}
	if err := j.w.Close(); err != nil && j.err == nil {
		j.err = fmt.Errorf("journal: close: %w", err)
	}
}
