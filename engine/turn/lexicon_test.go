package turn

import (
	"testing"
	"time"
)

func TestEachLanguageHasItsWords(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		language, listening, stop, unfinished, short, digits string
	}{
		{"en-US", "uh-huh, I see", "hold on", "my order and", "no thanks", "four oh"},
		{"de", "ach so, alles klar", "einen Moment", "ich hätte gern ein", "nein danke", "vier zwo"},
		{"fr-CA", "d'accord, je vois", "attendez une seconde", "je voudrais un", "non merci", "quatre cinq"},
		{"es", "muy bien, claro", "un momento", "quiero una", "no sé", "cuatro cinco"},
		{"it", "va bene, ho capito", "un attimo", "vorrei il", "non lo so", "quattro cinque"},
		{"nl", "heel goed", "wacht even", "ik wil een", "weet ik niet", "vier vijf"},
		{"pt_BR", "tá certo, entendi", "um momento", "eu quero uma", "não sei", "quatro meia"},
		{"xx", "d'accord", "warte", "my order and", "sim", "vier cinco"}, // unknown: all of them
	} {
		l := LexiconOf(c.language)
		if !l.Backchannel(Words(c.listening)) || l.Backchannel(Words(c.stop)) {
			t.Errorf("%s: %q listens, %q does not", c.language, c.listening, c.stop)
		}
		if !l.Stop(Words(c.stop)) || !l.Stop(Words("okay "+c.stop)) || l.Stop(Words(c.listening)) {
			t.Errorf("%s: %q stops, %q does not", c.language, c.stop, c.listening)
		}
		for text, want := range map[string]Content{
			c.unfinished: Unfinished, c.short: Finished, c.digits: Enumerating, c.unfinished + " lampa verda": Plain,
		} {
			if got := l.Content(text, false); got != want {
				t.Errorf("%s: content of %q is %d, want %d", c.language, text, got, want)
			}
		}
		p := Policy{Language: c.language}.WithDefaults()
		for _, text := range append(p.SilencePhrases, p.FillerPhrase,
			p.ApologyPhrase, p.GoodbyePhrase, p.RepeatPhrase, p.TooLongPhrase) {
			if text == "" {
				t.Errorf("%s lacks a sentence of its own", c.language)
			}
		}
		if !Asks(p.SilencePhrases[0]) {
			t.Errorf("%s: %q is no question", c.language, p.SilencePhrases[0])
		}
	}
	// What is a word to listen in one language is none in another.
	if LexiconOf("en").Backchannel([]string{"genau"}) || LexiconOf("de").Backchannel([]string{"claro"}) {
		t.Error("a language knows another's signs of listening")
	}
}

func TestQuestionsAreKnown(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"Is that right?": true, `He asked "why?" `: true, "Shall I? 🙂": true, "¿Sigue ahí?": true, "Toujours là ?": true,
		"Is it? Fine.": false, "": false, "Yes": false,
	} {
		if got := Asks(text); got != want {
			t.Errorf("Asks(%q) is %v", text, got)
		}
	}
}

func TestOwnSentencesAreInTheCallsLanguage_INV37(t *testing.T) {
	s := start(t, Policy{Language: "de", GoodbyePhrase: "Servus."}, "").wait(time.Second).speak(time.Second)
	s.on(Final{Text: "hallo."}).wait(3 * time.Second).want("Text:Einen Moment, bitte.")
	s.m.setLanguage("fr")
	s.on(LLMErr{G: 1}).want("Text:Je suis désolé,").forget().on(End{Reason: EndAPI}).want("Text:Servus.")
}

func TestOnlyWordsThatTellSomethingAreCounted(t *testing.T) {
	// min_words counts what is no sign of listening (BP1).
	s := start(t, Policy{MinWords: 2}, "").wait(time.Second).speak(time.Second).on(Final{Text: "tell me more."})
	s.wait(time.Second).answer().wait(2 * time.Second).forget()
	s.on(Interim{Text: "yeah okay lamp"}).not("Cancel").on(Interim{Text: "yeah okay lamp order"}).want("Proof:words")
}
