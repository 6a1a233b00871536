package written

import "testing"

// TestWhatWasReadBack: a value counts as read back in whatever form it was
// heard, and not when it was not (T-13, C-12).
func TestWhatWasReadBack(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		tag        string
		kind       Kind
		text       string
		heard, not string
	}{
		{"fr-FR", Email, "laura.martin@exemple.com", "Parfait. J'ai compris : laura point martin arobase exemple point com. Est-ce correct ?", "J'ai compris laura point martin."},
		{"fr-FR", Email, "laura.martin@exemple.com", "Alors l, a, u, r, a, point, m a r t i n arobase exemple point com ?", "laura tiret martin arobase exemple point com"},
		{"en-US", Email, "laura-martin@example.com", "Is it laura hyphen martin at example dot com?", "Is it laura.martin@example.com?"},
		{"de-DE", Email, "laura@beispiel.de", "Also laura@beispiel.de, richtig?", "Also lara@beispiel.de, richtig?"},
		{"fr-FR", Phone, "+33665123456", "Je confirme le téléphone : 665 123 456. Est-ce correct ?", "Je confirme : 665 123 465."},
		{"fr-FR", Phone, "+33665123456", "Donc zéro six, soixante-cinq, douze, trente-quatre, cinquante-six ?", "Donc zéro six, soixante-cinq, douze ?"},
		{"en-US", Phone, "+12025550123", "That's area code 202, then 555, 0123, right?", "That's 202, right?"},
		{"en-US", Number, "412", "So four hundred and twelve?", "So four hundred?"},
		{"de-DE", Number, "12.5", "Also 12,5?", "Also 125?"},
		{"en-US", Date, "2026-03-21", "Saturday, March 21st, is that right?", "Saturday, March 22nd?"},
		{"en-US", Date, "1985-12-05", "So December fifth, nineteen eighty-five?", "So December fifth?"},
		{"de-DE", Date, "2026-10-03", "Also am dritten Oktober?", "Also am vierten Oktober?"},
		{"en-US", Name, "Laura Martyn", "Laura Martyn, M A R T Y N, correct?", "Laura Martin, correct?"},
		{"en-US", Name, "Laura Martyn", "So that is L-A-U-R-A, M-A-R-T-Y-N?", "So that is L-A-U-R-A?"},
		{"en-US", Custom, "I want a quote for the roof of my house", "You want a quote for the roof of your house, right?", "You want a quote, right?"},
	} {
		v := Value{Kind: c.kind, Text: c.text}
		if !Mentions(v, c.heard, options(c.tag)) {
			t.Errorf("%s %q is in %q", c.kind, c.text, c.heard)
		}
		if Mentions(v, c.not, options(c.tag)) {
			t.Errorf("%s %q is not in %q", c.kind, c.text, c.not)
		}
	}
}

func TestAnswersToAReadBack(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		tag, said string
		yes, no   bool
	}{
		{"en", "Yes.", true, false},
		{"en", "yeah that's right", true, false},
		{"en", "No, it's with a y", false, true},
		{"en", "that's not right", true, true},
		{"en", "my brother's name", false, false},
		{"fr", "Oui.", true, false},
		{"fr", "c'est bien ça", true, false},
		{"fr", "non, pas tout à fait", true, true},
		{"fr", "pas de problème, oui", true, false},
		{"de", "Ja, stimmt", true, false},
		{"de", "Nein, mit e i", false, true},
	} {
		if yes, no := Answer(c.said, c.tag); yes != c.yes || no != c.no {
			t.Errorf("%q: yes %v, no %v", c.said, yes, no)
		}
	}
}

func FuzzMentions(f *testing.F) {
	f.Add("Parfait : laura point martin arobase exemple point com ?", "laura.martin@exemple.com", 0, "fr")
	f.Add("So four hundred and twelve?", "412", 3, "en")
	f.Add("am dritten zehnten", "2026-10-03", 4, "de")
	f.Fuzz(func(_ *testing.T, heard, text string, kind int, tag string) {
		Mentions(Value{Kind: Kinds()[(kind%6+6)%6], Text: text}, heard, options(tag))
		Answer(heard, tag)
		Of(text)
	})
}
