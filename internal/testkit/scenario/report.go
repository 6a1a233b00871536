package scenario

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
)

// Report is how a scenario went.
type Report struct {
	Name         string
	File         string
	OK           bool
	Fault        string // of the end: key words; "" where a step tells it
	Steps        []Result
	Skipped      int // steps that were not played
	Heard        []Utterance
	Words        string // all of them
	KeyWords     int    // of the scenario's heard
	Unheard      []string
	Needed       float64 // share of the key words
	Took         time.Duration
	EndReason    string
	EndedByAgent bool
}

// Result is how a step went. Times count from the answer of the call.
type Result struct {
	Step     string
	Line     int
	OK       bool
	At, Took time.Duration
	Answer   time.Duration // from what the caller said here to the agent's voice; 0: none
	Note     string        // a figure seen
	Heard    string        // what was heard while it waited for words
	Fault    string        // what was expected and not so
}

// Utterance is something the agent was heard to say.
type Utterance struct {
	At   time.Duration
	Text string
}

// Share of the key words that was heard.
func (r *Report) Share() float64 {
	if r.KeyWords == 0 {
		return 1
	}
	return float64(r.KeyWords-len(r.Unheard)) / float64(r.KeyWords)
}

// WriteTo writes the report for people.
func (r *Report) WriteTo(w io.Writer) (int64, error) {
	var b strings.Builder
	for _, s := range r.Steps {
		sign := "ok  "
		if !s.OK {
			sign = "FAIL"
		}
		fmt.Fprintf(&b, "%s %7s  %s", sign, clock(s.At), s.Step)
		if s.Note != "" {
			fmt.Fprintf(&b, " (%s)", s.Note)
		}
		if s.Answer > 0 {
			fmt.Fprintf(&b, " (answered after %s)", millis(s.Answer))
		}
		b.WriteByte('\n')
		if !s.OK {
			if s.Line == 0 { // before the script began
				fmt.Fprintf(&b, "              %s\n", s.Fault)
				continue
			}
			fmt.Fprintf(&b, "              %s:%d: %s\n", r.File, s.Line, s.Fault)
			fmt.Fprintf(&b, "              heard since: %q\n", s.Heard)
		}
	}
	if r.Skipped > 0 {
		fmt.Fprintf(&b, "     %d more steps were not played\n", r.Skipped)
	}
	for _, u := range r.Heard {
		fmt.Fprintf(&b, "     %7s  agent: %s\n", clock(u.At), u.Text)
	}
	if r.Fault != "" {
		fmt.Fprintf(&b, "FAIL          %s\n", r.Fault)
	} else if r.KeyWords > 0 {
		fmt.Fprintf(&b, "     %d of %d key words heard\n", r.KeyWords-len(r.Unheard), r.KeyWords)
	}
	if r.Took > 0 {
		fmt.Fprintf(&b, "     %7s  call ended by the %s: %s\n", clock(r.Took), r.by(), r.EndReason)
	}
	n, err := io.WriteString(w, b.String())
	return int64(n), err
}

// MarshalJSON is the report for programs; times in ms.
func (r *Report) MarshalJSON() ([]byte, error) {
	type step struct {
		Step  string `json:"step"`
		Line  int    `json:"line"`
		OK    bool   `json:"ok"`
		At    int64  `json:"at_ms"`
		Took  int64  `json:"took_ms"`
		Ans   int64  `json:"answer_ms,omitempty"`
		Note  string `json:"note,omitempty"`
		Heard string `json:"heard,omitempty"`
		Fault string `json:"fault,omitempty"`
	}
	type said struct {
		At   int64  `json:"at_ms"`
		Text string `json:"text"`
	}
	out := struct {
		Scenario string   `json:"scenario"`
		OK       bool     `json:"ok"`
		Fault    string   `json:"fault,omitempty"`
		Steps    []step   `json:"steps"`
		Skipped  int      `json:"skipped_steps"`
		Heard    []said   `json:"heard"`
		Share    float64  `json:"key_words_share"`
		Unheard  []string `json:"unheard_words"`
		Took     int64    `json:"duration_ms"`
		Reason   string   `json:"end_reason"`
		By       string   `json:"ended_by"`
	}{
		Scenario: r.Name, OK: r.OK, Fault: r.Fault, Skipped: r.Skipped, Share: r.Share(),
		Unheard: append([]string{}, r.Unheard...), // [] where all were heard
		Took:    r.Took.Milliseconds(), Reason: r.EndReason, By: r.by(), Steps: []step{}, Heard: []said{},
	}
	for _, s := range r.Steps {
		out.Steps = append(out.Steps, step{
			s.Step, s.Line, s.OK, s.At.Milliseconds(), s.Took.Milliseconds(),
			s.Answer.Milliseconds(), s.Note, s.Heard, s.Fault,
		})
	}
	for _, u := range r.Heard {
		out.Heard = append(out.Heard, said{u.At.Milliseconds(), u.Text})
	}
	return json.Marshal(out)
}

func (r *Report) by() string {
	if r.EndedByAgent {
		return "agent"
	}
	return "caller"
}

func clock(d time.Duration) string { return fmt.Sprintf("%.1fs", d.Seconds()) }

func millis(d time.Duration) string { return fmt.Sprintf("%d ms", d.Milliseconds()) }
