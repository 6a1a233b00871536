package turn

import (
	"math"
	"testing"
	"time"
)

func TestLanguageChanges_convN1(t *testing.T) {
	t.Parallel()
	german := Final{Text: "guten Tag", Language: "de", Confidence: 0.9, Span: 500 * ms}
	for _, c := range []struct {
		name   string
		finals []Final
		want   bool
	}{
		{"one short final is not enough", []Final{german}, false},
		{"two that agree are", []Final{german, german}, true},
		{"one that is long and sure is", []Final{{Text: "ich habe eine Frage", Language: "de", Confidence: 0.8, Span: 700 * ms}}, true},
		{"one that is long and unsure is not", []Final{{Text: "ich habe", Language: "de", Confidence: 0.79, Span: time.Second}}, false},
		{"one that is sure and short is not", []Final{{Text: "ich", Language: "de", Confidence: 1, Span: 699 * ms}}, false},
		{"one in the call's own between them", []Final{german, {Text: "yes", Language: "en-GB"}, german}, false},
		{"two that do not agree", []Final{german, {Text: "bonjour", Language: "fr"}}, false},
		{"one that says nothing of its language between them", []Final{german, {Text: "hm ja"}, german}, true},
		{"a language that the agent does not speak", []Final{{Text: "hola", Language: "es"}, {Text: "buenas", Language: "es"}}, false},
		{"our own words come back", []Final{{Text: "guten Tag", Language: "de", Echo: true, Span: time.Second, Confidence: 1}}, false},
		{"no words", []Final{{Language: "de", Span: time.Second, Confidence: 1}, {Text: "…", Language: "de"}}, false},
		{"a region", []Final{{Text: "servus", Language: "de-AT"}, {Text: "servus", Language: "DE"}}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := start(t, Policy{Language: "en-US", Languages: []string{"en-US", "de", "fr"}}, "")
			for _, f := range c.finals {
				s.on(VoiceStart{At: s.now}).wait(500*ms).on(VoiceEnd{At: s.now}, f).wait(2 * time.Second)
			}
			_, changed := s.saw("SwitchLanguage{From:en-US To:de}")
			if changed != c.want || changed != (s.m.Policy().Language == "de") {
				t.Errorf("changed: %v, language %q, in\n%v", changed, s.m.Policy().Language, s.did)
			}
		})
	}
}

// The change comes before the turn is taken, so that its answer is in the new
// language already; the sentences of the engine's own follow, and so does a
// change from outside.
func TestLanguageComesBeforeTheAnswer_convN2(t *testing.T) {
	t.Parallel()
	s := start(t, Policy{Language: "en", Languages: []string{"en", "de"}}, "")
	english := s.m.Policy().FillerPhrase
	s.speak(time.Second).on(Final{Text: "wo ist meine Bestellung?", Language: "de", Confidence: 0.9, Span: time.Second})
	s.wait(3 * time.Second)
	changed, _ := s.saw("SwitchLanguage")
	if taken, ok := s.saw("CommitUser"); !ok || changed > taken {
		t.Errorf("changed at %v, taken at %v", changed, taken)
	}
	german := s.m.Policy().FillerPhrase
	if german == english {
		t.Errorf("the engine still says %q", german)
	}
	s.want("Text:" + german)
	s.on(SetLanguage{Tag: "en-GB"})
	if got := s.m.Policy(); got.FillerPhrase != english || got.Language != "en" {
		t.Errorf("set back: %q says %q", got.Language, got.FillerPhrase)
	}
}

// A recogniser that judges turns itself is the one authority: no local wait
// ends a turn, its word does at once, and the hard stop where it never comes.
func TestRecogniserDecides_INV15(t *testing.T) {
	t.Parallel()
	begin := func() *script {
		return start(t, Policy{}, "").on(Recogniser{Turns: true, Wait: 350 * ms}).wait(time.Second)
	}
	s := begin().speak(time.Second) // the voice ended at 2 s, told 200 ms later
	s.on(Interim{Text: "where is my order?"}).wait(3 * time.Second).not("CommitUser")
	s.on(Final{Text: "Where is my order?", Endpointed: true}).want("CommitUser")

	s = begin().on(VoiceStart{At: s.now}).wait(time.Second)
	s.on(Final{Text: "Where is my order?", Endpointed: true}).not("CommitUser") // INV14: the voice is on
	s.wait(100 * ms).on(VoiceEnd{At: s.now - 100*ms})
	if at, ok := s.saw("CommitUser"); !ok || at != s.now {
		t.Errorf("taken at %v, want %v", at, s.now)
	}

	s = begin().speak(time.Second).on(Interim{Text: "where is"})
	words := s.now
	s.wait(10 * time.Second)
	if at, _ := s.saw("CommitUser"); at != words+5*time.Second {
		t.Errorf("without its word: taken %v after the last words, want 5 s", at-words)
	}

	s = begin().speak(time.Second).on(Interim{Text: "where is my order?"}, STTDown{Down: true})
	s.wait(time.Second).want("CommitUser") // who is away decides nothing
}

// The wait for words that are owed is the one that was measured.
func TestOwedWordsAreWaitedFor_INV15(t *testing.T) {
	t.Parallel()
	for _, wait := range []time.Duration{900 * ms, 1200 * ms} {
		s := start(t, Policy{}, "").on(Recogniser{Wait: wait}).wait(time.Second)
		s.speak(time.Second).on(Interim{Text: "my order is late."}).wait(3 * time.Second)
		if at, _ := s.saw("CommitUser"); at != 2*time.Second+wait {
			t.Errorf("taken at %v, want %v after the end of speech", at, wait)
		}
	}
}

// A call that nobody hears for 15 s ends with an apology; one that is heard
// again in time goes on.
func TestDeafCallEnds_BP3(t *testing.T) {
	t.Parallel()
	s := start(t, Policy{}, "").on(STTDown{Down: true}).wait(10 * time.Second).on(STTDown{Down: true}).wait(4900 * ms)
	s.not("Kind:goodbye").wait(200 * ms).want("Kind:goodbye").sound().on(Played{s.gen}).wait(time.Second)
	s.want("HangUp{Reason:vendor_failed}")
	s = start(t, Policy{Silence: time.Minute}, "").on(STTDown{Down: true}).wait(14 * time.Second).on(STTDown{})
	s.wait(10 * time.Second).not("Kind:goodbye")
}

// What is no number is no number of a policy either: each has its default.
func TestAPolicyHasNoNaN(t *testing.T) {
	t.Parallel()
	var p Policy
	p.EOTThreshold, p.Speculation.DiscardLimit, p.LanguageSwitch.Confidence = math.NaN(), math.NaN(), math.NaN()
	p, want := p.WithDefaults(), Policy{}.WithDefaults()
	if p.EOTThreshold != want.EOTThreshold || p.Speculation.DiscardLimit != want.Speculation.DiscardLimit ||
		p.LanguageSwitch.Confidence != want.LanguageSwitch.Confidence {
		t.Errorf("got %g, %g and %g", p.EOTThreshold, p.Speculation.DiscardLimit, p.LanguageSwitch.Confidence)
	}
}
