package turn

import (
	"strings"
	"time"
)

// LanguagePolicy is when a call changes to another of its languages.
type LanguagePolicy struct {
	// 2 finals in a row that agree
	Agree int `yaml:"agree" json:"agree,omitempty"`
	// 700ms of words in one are enough, where the recogniser is sure
	Span time.Duration `yaml:"span" json:"span,omitempty"`
	// 0.8 of confidence is sure
	Confidence float64 `yaml:"confidence" json:"confidence,omitempty"`
	// 1.5s for the new language's recogniser to open, otherwise the old one stays
	Wait time.Duration `yaml:"wait" json:"wait,omitempty"`
}

func (p *LanguagePolicy) fill() {
	if p.Agree <= 0 {
		p.Agree = 2
	}
	if p.Span <= 0 {
		p.Span = 700 * time.Millisecond
	}
	if !(p.Confidence > 0) { // nor NaN
		p.Confidence = 0.8
	}
	if p.Wait <= 0 {
		p.Wait = 1500 * time.Millisecond
	}
}

// tongue is the call's language as it is heard, and what it may become.
type tongue struct {
	allowed []string // tags, the agent's own first
	maybe   string   // what the last final was in, "" for the call's own
	agreed  int      // finals in a row that were
}

// hearLanguage takes the language of settled words: the call changes to it when
// two finals agree, or one that is long and sure (conv:N1).
func (m *Machine) hearLanguage(e Final) {
	tag := m.tongue.match(e.Language)
	p := &m.policy.LanguageSwitch
	switch {
	case tag == "" || e.Echo || len(Words(e.Text)) == 0 || !m.listening():
		return // nobody said, or one that we do not speak
	case sameLanguage(tag, m.policy.Language):
		m.tongue.maybe, m.tongue.agreed = "", 0
		return
	case tag != m.tongue.maybe:
		m.tongue.maybe, m.tongue.agreed = tag, 0
	}
	m.tongue.agreed++
	if m.tongue.agreed >= p.Agree || e.Span >= p.Span && e.Confidence >= p.Confidence {
		m.emit(SwitchLanguage{From: m.policy.Language, To: tag})
		m.speakIn(tag)
		return
	}
	m.emit(ExpectLanguage{tag})
}

// speakIn makes a language the call's: what speaks already goes on in its own
// (conv:N2), what is prepared is of no use any more.
func (m *Machine) speakIn(tag string) {
	m.tongue.maybe, m.tongue.agreed = "", 0
	m.setLanguage(tag)
	m.discard("language")
}

// match is the language of the call's that a tag means, "" for none: the very
// same one, or else the first of the same family (de for de-AT).
func (t *tongue) match(tag string) string {
	if tag == "" {
		return ""
	}
	for _, a := range t.allowed {
		if strings.EqualFold(a, tag) {
			return a
		}
	}
	for _, a := range t.allowed {
		if sameLanguage(a, tag) {
			return a
		}
	}
	return ""
}

// sameLanguage compares what stands before the region.
func sameLanguage(a, b string) bool {
	a, _, _ = strings.Cut(a, "-")
	b, _, _ = strings.Cut(b, "-")
	return strings.EqualFold(a, b)
}

// setLanguage makes the machine know another language's words. Sentences of the
// engine's own, those that the agent did not set, are said in it from now on.
func (m *Machine) setLanguage(language string) {
	m.policy.forgetPhrases()
	m.policy.Language = language
	m.policy.fillPhrases()
	m.lexicon = LexiconOf(language)
}
