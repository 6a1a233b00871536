package engine

import (
	"slices"
	"strings"
	"testing"

	"github.com/patchcord/patchcord/audio/tts/spoken"
	"github.com/patchcord/patchcord/engine/turn"
)

func testChunker(lang string) *chunker {
	rules := turn.Policy{}.WithDefaults()
	return newChunker(&rules, spoken.NewSpeaker(lang))
}

// cut feeds a text token by token and returns the pieces.
func cut(text string) []string {
	c := testChunker("en")
	var out []string
	for _, w := range strings.SplitAfter(text, " ") {
		out = append(out, raws(c.add(w))...)
	}
	if rest := c.rest(); rest.raw != "" {
		out = append(out, rest.raw)
	}
	return out
}

func raws(ps []piece) (out []string) {
	for _, p := range ps {
		out = append(out, p.raw)
	}
	return out
}

func TestChunks(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, text string
		want       []string
	}{
		{
			"the first clause is enough to begin (conv:S1)", "Thank you for that, I will look it up now.",
			[]string{"Thank you for that,", "I will look it up now."},
		},
		{"a clause that is too short waits", "Yes, I will do that.", []string{"Yes, I will do that."}},
		{"a first sentence of any length", "Yes. I will do that for you.", []string{"Yes.", "I will do that for you."}},
		{
			"forty characters without a mark end at a space",
			"This is a rather long beginning without any mark at all in it to cut at.",
			[]string{"This is a rather long beginning without", "any mark at all in it to cut at."},
		},
		{
			"later sentences are whole (conv:S2)", "Good morning. It arrives tomorrow, as far as I can see. Anything else?",
			[]string{"Good morning.", "It arrives tomorrow, as far as I can see.", "Anything else?"},
		},
		{
			"short sentences join the next", "It was shipped today. Okay. Can I help you with anything else?",
			[]string{"It was shipped today.", "Okay. Can I help you with anything else?"},
		},
		{
			"no boundary in abbreviations, decimals, initials and ordinals (conv:S3)",
			"Dr. Meyer pays 3.14 euros to J. Doe at 10 a.m. on the 3. of May. Thank you.",
			[]string{"Dr. Meyer pays 3.14 euros to J. Doe at", "10 a.m. on the 3. of May.", "Thank you."},
		},
		{"the rest is flushed at the end (conv:S4)", "And that is", []string{"And that is"}},
		{"nothing", "", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := cut(c.text); !slices.Equal(got, c.want) {
				t.Errorf("%q\n got %q\nwant %q", c.text, got, c.want)
			}
		})
	}
}

func TestChunksOfLanguages_convS3(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ lang, text, whole string }{
		{"de", "Ja. Am 3. Mai um 14.30 Uhr bei Dr. Meyer, z. B. in der Hauptstr. 5 für 1.250,50 €. Danke sehr, auf Wiederhören.", "z. B. in der"},
		{"de", "Gut. Es sind 2,5 Mio. Euro bzw. ca. 3 Mio. Euro im Jahr, d. h. mehr als vorher. Und nun?", "d. h. mehr"},
		{"fr", "Oui. M. Dupont et Mme Martin arrivent p. ex. le 3 mai 2024 à 14h30 av. Foch. Merci beaucoup.", "M. Dupont"},
		{"es", "Sí. El Sr. García llega a las 5 p. m. a la av. 5 de mayo con la Dra. Pérez hoy. Muchas gracias a usted.", "Sr. García"},
		{"it", "Sì. Il sig. Rossi e il dott. Bianchi arrivano alle 14.30 del 3 maggio in C. so Italia. Grazie mille.", "dott. Bianchi"},
		{"nl", "Ja. Dhr. Jansen komt bijv. op 3 mei om 14.30 uur bij mevr. De Vries langs. Dank u wel.", "mevr. De Vries"},
		{"pt", "Sim. O Sr. Silva e a Dra. Costa chegam p. ex. no dia 3 de maio às 14h30 na av. Paulista. Muito obrigado.", "Dra. Costa"},
		{"en", "Yes. See www.example.com, J. R. Smith, at 10:30 a.m. in St. Louis for 3.14 or No. 5 today. Thank you very much.", "J. R. Smith"},
	} {
		var c2 []string
		k := testChunker(c.lang)
		for _, w := range strings.SplitAfter(c.text, " ") {
			c2 = append(c2, raws(k.add(w))...)
		}
		c2 = append(c2, k.rest().raw)
		if len(c2) != 3 || !strings.Contains(c2[1], c.whole) {
			t.Errorf("%s: %q", c.lang, c2)
		}
	}
}

func TestChunksByTheAgentsRules_convS1_convS2(t *testing.T) {
	t.Parallel()
	rules := turn.Policy{FirstClause: 4, MinSentence: 60, MaxSentence: 70, FirstLength: 10, FirstWords: 2}.WithDefaults()
	c := newChunker(&rules, spoken.NewSpeaker("en"))
	var got []string
	for _, w := range strings.SplitAfter("Well, one two. Three four. "+strings.Repeat("word ", 30)+"end.", " ") {
		got = append(got, raws(c.add(w))...)
	}
	got = append(got, c.rest().raw)
	if got[0] != "Well," || !strings.HasPrefix(got[1], "one two. Three four. word") {
		t.Errorf("got %q", got)
	}
	for _, p := range got {
		if len(p) > 70 {
			t.Errorf("a piece of %d characters", len(p))
		}
	}
}

func TestPieceEndsAroundWhatBelongsTogether_convS3(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"It will be with you at the very latest by May 3, 2024 in the morning, I think.",
		"The total of everything in your basket is 1,250 dollars as of this moment now.",
		"You can reach all of our colleagues under +49 30 1234567 at any time of day you like.",
	} {
		for i, p := range cut(text) {
			for _, thing := range []string{"May 3, 2024", "1,250 dollars", "+49 30 1234567"} {
				if strings.Contains(text, thing) && strings.Contains(p, thing[:3]) && !strings.Contains(p, thing) {
					t.Errorf("piece %d of %q is %q", i, text, p)
				}
			}
		}
	}
}

func TestPiecesKnowTheirPlace(t *testing.T) {
	t.Parallel()
	text := "  Hello there,\n\n  how are  you? **Fine**, I hope. And so on"
	c := testChunker("en")
	var got []piece
	for _, r := range text {
		got = append(got, c.add(string(r))...)
	}
	for _, p := range append(got, c.rest()) {
		if text[p.at:p.end()] != p.raw {
			t.Errorf("%q is not at %d", p.raw, p.at)
		}
	}
}

func TestDroppedWordsAreGone_INV35_convS4(t *testing.T) {
	t.Parallel()
	c := testChunker("en")
	c.add("Thank you for calling, good")
	c.drop()
	if got := c.rest().raw; got != "" {
		t.Errorf("%q is left", got)
	}
}

func TestNoWordIsLostInChunks(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("one two, three four. Five? six seven eight nine ten eleven; twelve. ", 30)
	if got, want := strings.Fields(strings.Join(cut(text), " ")), strings.Fields(text); !slices.Equal(got, want) {
		t.Errorf("got %d words, want %d", len(got), len(want))
	}
	for _, piece := range cut(strings.Repeat("word ", 300)) {
		if len(piece) > 250 {
			t.Errorf("a piece of %d characters", len(piece))
		}
	}
}

func TestImpatientFirstWords(t *testing.T) {
	t.Parallel()
	c := testChunker("en")
	c.add("Let me ")
	if got := c.impatient().raw; got != "" {
		t.Errorf("two words are spoken: %q", got)
	}
	c.add("see what ")
	if got := c.impatient().raw; got != "Let me see what" {
		t.Errorf("got %q", got)
	}
	if got := c.rest().raw; got != "" {
		t.Errorf("left %q", got)
	}
}

func TestEcho(t *testing.T) {
	t.Parallel()
	var r recent
	now := epoch
	r.said("Your order was shipped on Monday.", now)
	if !r.echo("order was shipped on monday", "", now.Add(300*ms)) { // conv:E2
		t.Error("our own words come back are no echo")
	}
	if r.echo("where is my parcel please", "", now.Add(300*ms)) {
		t.Error("other words are an echo")
	}
	if r.echo("order was shipped on monday", "", now.Add(900*ms)) { // conv:E4
		t.Error("a caller who repeats us later is an echo")
	}
	if r.echo("monday", "", now.Add(300*ms)) {
		t.Error("one word is an echo")
	}
}
