package replay

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/patchcord/patchcord/engine/turn"
)

// maxLine bounds a line of a journal: a turn's words and a model's calls are
// far below it.
const maxLine = 4 << 20

// Result is what came of running a journal again.
type Result struct {
	Header    Header
	Steps     int
	Effects   int
	Cut       bool // the journal has no last line: the process died with the call up
	Lost      int  // steps that were not written
	Different []Difference
	End       turn.EndReason // of the replayed call, "" while it is up
	at        time.Duration  // of the last step
}

// OK says whether every decision was the same.
func (r *Result) OK() bool { return len(r.Different) == 0 }

// Difference is a step that had other effects than it had in the call.
type Difference struct {
	Line  int           `json:"line"`
	At    time.Duration `json:"at_ns"`
	Event string        `json:"event"`
	Was   []string      `json:"was"` // effects in the journal, as JSON
	Now   []string      `json:"now"`
}

// Shown is one step as it was run again.
type Shown struct {
	At      time.Duration
	Event   turn.Event
	Effects []turn.Effect // valid during the call
	Call    turn.CallState
	User    turn.UserState
	Agent   turn.AgentState
}

// ErrNoJournal is a file that is none.
var ErrNoJournal = errors.New("not a journal: the first line must be its header, as log.journal writes it")

// Run tells a journal's events to a new machine and compares its effects. show
// is called after every step and may be nil; change may set other constants
// and may be nil. An error is a journal that cannot be read, and names its
// line.
func Run(r io.Reader, change func(*turn.Policy), show func(Shown)) (*Result, error) {
	sc := bufio.NewScanner(r)
	sc.Buffer(make([]byte, 64<<10), maxLine)
	if !sc.Scan() {
		if err := sc.Err(); err != nil {
			return nil, fmt.Errorf("journal: %w", err)
		}
		return nil, ErrNoJournal
	}
	res := &Result{Cut: true}
	if err := json.Unmarshal(sc.Bytes(), &res.Header); err != nil || res.Header.Journal == 0 {
		return nil, ErrNoJournal
	}
	if v := res.Header.Journal; v != version {
		return nil, fmt.Errorf("journal of version %d: this program reads version %d", v, version)
	}
	p, err := res.Header.policy()
	if err != nil {
		return nil, fmt.Errorf("journal: line 1: %w", err)
	}
	if change != nil {
		change(&p)
	}
	m := turn.New(p)
	for line := 2; sc.Scan(); line++ {
		over, err := res.line(m, line, sc.Bytes(), show)
		if err != nil {
			return nil, fmt.Errorf("journal: line %d: %w", line, err)
		}
		if over {
			res.Cut = false
			break
		}
	}
	if err := sc.Err(); err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	return res, nil
}

// line runs one line; it reports whether that was the last one.
func (r *Result) line(m *turn.Machine, n int, b []byte, show func(Shown)) (over bool, err error) {
	var s struct {
		step
		trailer
	}
	if err := json.Unmarshal(b, &s); err != nil {
		return false, err
	}
	if s.Event == "" {
		r.Lost = s.Lost
		if s.Steps != r.Steps {
			return true, fmt.Errorf("%d steps were written, %d are here", s.Steps, r.Steps)
		}
		return true, nil
	}
	if s.At < r.at || s.At > longest {
		return true, fmt.Errorf("at %d ns: steps go forward, and for %v at most", s.At, longest)
	}
	r.at = s.At
	ev, err := s.decode()
	if err != nil {
		return false, err
	}
	effects := m.Step(ev, s.At)
	r.Steps++
	r.Effects += len(effects)
	for _, e := range effects {
		if h, is := e.(turn.HangUp); is {
			r.End = h.Reason
		}
	}
	now, err := encodeEffects(effects)
	if err != nil {
		return false, err
	}
	if !same(s.Effects, now) {
		r.Different = append(r.Different, Difference{
			Line: n, At: s.At, Event: s.Event, Was: texts(s.Effects), Now: texts(now),
		})
	}
	if show != nil {
		show(Shown{s.At, ev, effects, m.Call(), m.User(), m.Agent()})
	}
	return false, nil
}

func same(a, b []json.RawMessage) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !bytes.Equal(a[i], b[i]) {
			return false
		}
	}
	return true
}

func texts(raw []json.RawMessage) []string {
	out := make([]string, len(raw))
	for i, b := range raw {
		out[i] = string(b)
	}
	return out
}
