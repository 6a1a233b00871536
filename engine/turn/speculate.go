package turn

import "time"

// Speculation is when a reply is prepared before the caller's turn has ended,
// so that it is there when it has. What is prepared is paid for and may be
// thrown away; nothing of it is heard, run or kept before the turn is taken.
type Speculation struct {
	// true: most turns are answered as they were when the caller fell silent
	Enabled *bool `yaml:"enabled" json:"enabled,omitempty"`
	// false: let the voice speak the first clause of it as well
	TTSFirstClause bool `yaml:"tts_first_clause" json:"tts_first_clause,omitempty"`
	// 200ms that interim words stand unchanged
	Stable time.Duration `yaml:"stable" json:"stable,omitempty"`
	// 3 in a turn
	MaxTries int `yaml:"max_tries" json:"max_tries,omitempty"`
	// 10s of speech in a turn, after which none is begun
	MaxSpeech time.Duration `yaml:"max_speech" json:"max_speech,omitempty"`
	// 0.4 of those of the last turns thrown away: no more are begun
	DiscardLimit float64 `yaml:"discard_limit" json:"discard_limit,omitempty"`
	// 20 turns
	DiscardTurns int `yaml:"discard_turns" json:"discard_turns,omitempty"`
}

// fewTries are too few to judge a rate by.
const fewTries = 5

func (s *Speculation) fill() {
	if s.Enabled == nil {
		on := true
		s.Enabled = &on
	}
	if s.Stable <= 0 {
		s.Stable = 200 * time.Millisecond
	}
	if s.MaxTries <= 0 {
		s.MaxTries = 3
	}
	if s.MaxSpeech <= 0 {
		s.MaxSpeech = 10 * time.Second
	}
	if !(s.DiscardLimit > 0) { // nor NaN
		s.DiscardLimit = 0.4
	}
	if s.DiscardTurns <= 0 {
		s.DiscardTurns = 20
	}
}

// prepared is the reply to a turn that is not taken yet. It is in no line, so
// the agent's floor does not know of it.
type prepared struct {
	r     *reply // nil: none is prepared
	text  string // what it answers, as it is compared (conv:G5)
	begun time.Duration
	tried map[string]bool // texts of this turn that were answered already
	seen  string          // the transcript as it was last looked at

	turn    attempts   // this turn's
	history []attempts // of the last turns
}

// attempts count what was prepared, and what of it was thrown away.
type attempts struct{ begun, discarded int }

// lookAhead keeps what is prepared in step with the caller's words (conv:G1).
func (m *Machine) lookAhead() {
	p := &m.prepared
	text := m.transcript()
	if text != p.seen {
		p.seen = text
		m.clear(tStable)
		if m.interim != "" {
			m.set(tStable, m.now+m.policy.Speculation.Stable)
		}
		if p.r != nil && Normal(text) != p.text {
			m.discard("other_words")
		}
	}
	if m.user == Pausing && m.interim == "" && text != "" {
		m.prepare()
	}
}

// stableDue is an interim that has stood for a while: when it is complete by
// its content the turn is as likely over as not.
func (m *Machine) stableDue() {
	if m.interim != "" && m.waitFor(m.transcript()) <= m.policy.WaitComplete {
		m.prepare()
	}
}

// prepare asks the model before the turn has ended, where that may be done
// (conv:G2).
func (m *Machine) prepare() {
	p, s := &m.prepared, &m.policy.Speculation
	text := m.transcript()
	key := Normal(text)
	spoken := m.voiced
	if m.voice {
		spoken += m.now - m.onset
	}
	switch {
	case !*s.Enabled || p.r != nil || key == "" || p.tried[key] || p.turn.begun >= s.MaxTries || spoken > s.MaxSpeech:
		return
	case m.call != Live || m.Agent() != Idle || m.preCall || m.allKeys() != "" || m.unknown():
		return
	case m.working() || m.wasteful():
		return
	}
	if p.tried == nil {
		p.tried = map[string]bool{}
	}
	p.tried[key] = true
	p.turn.begun++
	m.gen++
	p.r = &reply{g: m.gen, kind: Answer, answers: true}
	p.text, p.begun = key, m.now
	turn := m.turn
	if !m.amending {
		turn++
	}
	m.emit(StartReply{G: m.gen, Turn: turn, Speculative: true, Text: text, Amend: m.amending})
}

// working says whether a tool runs or is armed: its result would be missing in
// a reply that is prepared now.
func (m *Machine) working() bool {
	if m.closing != nil {
		return true
	}
	for _, w := range m.works {
		if !w.settled {
			return true
		}
	}
	return false
}

// wasteful says whether too much of what was prepared in the last turns was
// thrown away (conv:G6).
func (m *Machine) wasteful() bool {
	sum := m.prepared.turn
	for _, a := range m.prepared.history {
		sum.begun += a.begun
		sum.discarded += a.discarded
	}
	return sum.begun >= fewTries && float64(sum.discarded) > m.policy.Speculation.DiscardLimit*float64(sum.begun)
}

// discard throws the prepared reply away (conv:G4).
func (m *Machine) discard(reason string) {
	p := &m.prepared
	if p.r == nil {
		return
	}
	m.emit(Cancel{G: p.r.g, Reason: reason})
	p.r = nil
	p.turn.discarded++
}

// matchPrepared throws away what does not answer the words of a turn that is
// taken now.
func (m *Machine) matchPrepared(text string) {
	if m.prepared.r != nil && (Normal(text) != m.prepared.text || m.preCall || m.unknown() || m.allKeys() != "") {
		m.discard("other_words")
	}
}

// answer replies to the turn that was just taken: with what is prepared, or by
// asking now.
func (m *Machine) answer() {
	p := &m.prepared
	r, lead := p.r, m.now-p.begun
	p.history = append(p.history, p.turn)
	if extra := len(p.history) - m.policy.Speculation.DiscardTurns; extra > 0 {
		p.history = append(p.history[:0], p.history[extra:]...)
	}
	p.r, p.turn, p.tried, p.seen = nil, attempts{}, nil, ""
	m.clear(tStable)
	if r == nil {
		m.startReply(0)
		return
	}
	r.turn = m.turn
	m.line = append(m.line, r)
	m.carry(r)
	m.emit(Adopt{G: r.g, Turn: m.turn, Lead: lead})
}
