package pocketsphinx

import (
	"bytes"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/patchcord/patchcord/internal/localspeech"
)

func read(t testing.TB, text string) *phrases {
	t.Helper()
	p, err := readPhrases(strings.NewReader(text), "x.phrases")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPhrasesAreRead(t *testing.T) {
	t.Parallel()
	p := read(t, "\ufeff# shop\n\nHello, what’s the time? (now)\n  my number – is <digits>.\nTwenty-one\nPatchcord = p ae ch\npatchcord = P AE\n...\n")
	var got []string
	for _, s := range p.sentences {
		got = append(got, strings.Join(s.words, " "))
	}
	if want := []string{"hello what's the time now", "my number is <digits>", "twenty one"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if p.sentences[1].line != 4 || len(p.extra["patchcord"]) != 2 || strings.Join(p.extra["patchcord"][0], " ") != "P AE CH" {
		t.Errorf("line %d, extra %v", p.sentences[1].line, p.extra)
	}
}

func TestPhrasesAreRefused(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                               "x.phrases: no sentence",
		"# only\n":                       "x.phrases: no sentence",
		"yes\nroom 42\n":                 `x.phrases:2: "42": write numbers as they are spoken`,
		"<name>":                         `x.phrases:1: "<name>" is no class`,
		strings.Repeat("<digits> a ", 4): "x.phrases:1: 4 times <digits> or <codewords>",
		"größe":                          "is not an English word",
		"a b = AH":                       `"a b" before = is not one plain word`,
		"x = \n":                         "x has no phones",
		"x = QQ":                         `"QQ" is no phone`,
		"yes\n\n4\n5":                    "x.phrases:4:",
		strings.Repeat("ab ", 40000):     "x.phrases:1:",
	} {
		if _, err := readPhrases(strings.NewReader(text), "x.phrases"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.30q: got %v, want %q in it", text, err, want)
		}
	}
}

const cmudict = "a AH\na(2) EY\nis IH Z\nlive L AY V\nlive(2) L IH V\nmy M AY\nnumber N AH M B ER\nzero Z IY R OW\noh OW\n" +
	"one W AH N\ntwo T UW\nthree TH R IY\nfour F AO R\nfive F AY V\nsix S IH K S\nseven S EH V AH N\neight EY T\nnine N AY N\n"

func TestDictionaryIsPruned(t *testing.T) {
	t.Parallel()
	p := read(t, "my live number is\nis = IH S\nblorp = B L AO R P\nblorp")
	dict, err := p.pronounceAll(strings.NewReader(cmudict))
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := writeDictionary(&b, dict); err != nil {
		t.Fatal(err)
	}
	const want = "blorp B L AO R P\nis IH S\nlive L AY V\nlive(2) L IH V\nmy M AY\nnumber N AH M B ER\n"
	if b.String() != want {
		t.Errorf("got %s, want %s", b.String(), want)
	}
}

// The words of a spelling alphabet are a class like the digits; the one that the
// dictionary writes with a hyphen has its sounds all the same.
func TestCodewordsAreAClass(t *testing.T) {
	t.Parallel()
	p := read(t, "is\nmy <codewords>")
	_, err := p.pronounceAll(strings.NewReader(cmudict + "alpha AE L F AH\nx-ray EH K S R EY\n"))
	if err == nil || !strings.Contains(err.Error(), `x.phrases:2: no pronunciation is known of "bravo"`) ||
		strings.Contains(err.Error(), "alpha") || strings.Contains(err.Error(), "xray") {
		t.Errorf("got %v", err)
	}
	m := p.count().wittenBell()
	if a, z := m.of("alpha", "my"), m.of("zulu", "my"); a < 0.01 || a != z {
		t.Errorf("alpha %v, zulu %v", a, z)
	}
	if next, end := m.of("xray", "oscar", "echo"), m.of("</s>", "oscar", "echo"); next < 0.005 || end < 0.01 {
		t.Errorf("a name goes on with %v, ends with %v", next, end)
	}
}

func TestDigitsNeedPronunciations(t *testing.T) {
	t.Parallel()
	p := read(t, "my <digit>\nblip my\nblorp blip")
	_, err := p.pronounceAll(strings.NewReader(strings.Replace(cmudict, "oh OW\n", "", 1)))
	if err == nil {
		t.Fatal("it is taken")
	}
	for _, want := range []string{`x.phrases:2: no pronunciation is known of "blip"`, `x.phrases:3: no pronunciation is known of "blorp"`, `"oh"`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q in it", err, want)
		}
	}
}

// after sums the probabilities of every word after a history.
func (m model) after(words []string, history ...string) float64 {
	var sum float64
	for _, w := range words {
		sum += m.of(w, history...)
	}
	return sum
}

// of is the probability of a word after a history, as a reader of the ARPA
// file computes it.
func (m model) of(w string, history ...string) float64 {
	for len(history) > 2 {
		history = history[1:]
	}
	var g, h gram
	copy(g[:], append(slices.Clone(history), w))
	copy(h[:], history)
	if p, ok := m.p[g]; ok {
		return p
	}
	if len(history) == 0 {
		return 0
	}
	back := 1.0
	if b, ok := m.back[h]; ok {
		back = b
	}
	return back * m.of(w, history[1:]...)
}

func TestProbabilitiesSumToOne(t *testing.T) {
	t.Parallel()
	p := read(t, "my number is <digits>\nis my number one\nmy number\nis <digit> my number\none moment\n"+
		"<codewords> is my <codeword>\nmy <codewords> <digit>")
	m := p.count().wittenBell()
	var words []string
	for g := range m.p {
		if g.order() == 1 && g[0] != "<s>" {
			words = append(words, g[0])
		}
	}
	for _, h := range [][]string{{}, {"<s>"}, {"<s>", "my"}, {"is"}, {"number", "is"}, {"is", "four"}, {"four", "seven"}, {"zero", "oh"}, {"moment", "nine"}, {"my"}, {"alpha"}, {"oscar", "echo"}, {"echo", "four"}} {
		if sum := m.after(words, h...); math.Abs(sum-1) > 1e-6 {
			t.Errorf("after %q the probabilities sum to %v", h, sum)
		}
	}
	if four, moment := m.of("four", "number", "is"), m.of("moment", "number", "is"); four < 5*moment {
		t.Errorf("after \"number is\": four %v, moment %v", four, moment)
	}
	if a, b := m.of("two", "number", "is"), m.of("nine", "number", "is"); math.Abs(a-b) > 1e-12 {
		t.Errorf("two digits differ: %v, %v", a, b)
	}
	if d, e := m.of("three", "one", "two"), m.of("</s>", "one", "two"); d < 0.01 || e < 0.01 {
		t.Errorf("a number goes on with %v, ends with %v", d, e)
	}
}

func TestARPA(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	if err := read(t, "yes\nyes please").count().wittenBell().writeARPA(&b); err != nil {
		t.Fatal(err)
	}
	// By hand: P(yes) = (2 + 3·1/3) / (5 + 3) = 0.375, P(yes after <s>) = (2 + 1·0.375) / (2 + 1).
	const want = `\data\
ngram 1=4
ngram 2=4
ngram 3=3

\1-grams:
-0.42597	</s>
-99.00000	<s>	-0.47712
-0.60206	please	-0.30103
-0.42597	yes	-0.30103

\2-grams:
-0.10146	<s> yes	-0.30103
-0.16273	please </s>
-0.35902	yes </s>
-0.42597	yes please	-0.30103

\3-grams:
-0.32906	<s> yes </s>
-0.35902	<s> yes please
-0.07379	yes please </s>

\end\
`
	if b.String() != want {
		t.Errorf("got\n%s", b.String())
	}
}

func TestVerdict(t *testing.T) {
	t.Parallel()
	j := judge{pairs: read(t, "where is my order\nmy number is <digits>").count().wittenBell().pairs(), least: 0.5}
	say := func(acoustic float32, words ...string) localspeech.Hypothesis {
		h := localspeech.Hypothesis{Final: true}
		at := 0
		for _, w := range append(append([]string{"<s>", "<sil>"}, words...), "[NOISE]", "++GARBAGE++", "</s>") {
			h.Words = append(h.Words, localspeech.Word{Text: w, Start: at, End: at + 19, Acoustic: 20 * acoustic})
			at += 20
		}
		return h
	}
	for _, c := range []struct {
		name string
		h    localspeech.Hypothesis
		want string
	}{
		{"a sentence of the file", say(-2.5, "where", "is(2)", "my", "order"), "where is my order"},
		{"any digits", say(-3, "my", "number", "is", "four", "seven", "one", "one"), "my number is four seven one one"},
		{"words in no order", say(-3.5, "order", "where", "four", "is", "order", "my"), ""},
		{"sounds that do not fit", say(-8, "where", "is", "my", "order"), ""},
		{"silence", say(-1), ""},
		{"nothing", localspeech.Hypothesis{Final: true}, ""},
	} {
		v := j.hear(c.h)
		if v.text != c.want || v.confidence < 0 || v.confidence > 1 || (v.text != "") != (v.confidence >= 0.5) {
			t.Errorf("%s: got %+v, want %q", c.name, v, c.want)
		}
	}
	if v := j.hear(say(-2.5, "where", "is")); v.start.Milliseconds() != 400 || v.end.Milliseconds() != 800 {
		t.Errorf("it lies at %v to %v", v.start, v.end)
	}
}

func FuzzPhrases(f *testing.F) {
	f.Add("# x\nmy order number is <digits>\nword = W ER D\n")
	f.Add("<digit> <digits> <digits>\na = \n=\n")
	f.Add("it is <codewords> <codeword>\nxray = EH K S\n")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := readPhrases(strings.NewReader(text), "x")
		if err != nil || len(p.sentences) > 50 || len(text) > 500 {
			return
		}
		_, _ = p.pronounceAll(strings.NewReader(cmudict))
		var b bytes.Buffer
		if err := p.count().wittenBell().writeARPA(&b); err != nil || strings.Contains(b.String(), "NaN") || strings.Contains(b.String(), "Inf") {
			t.Fatalf("%q: %v\n%s", text, err, b.String())
		}
	})
}

func BenchmarkModel(b *testing.B) {
	p := read(b, strings.Repeat("my order number is <digits>\nwhere is my order\n", 50))
	b.ReportAllocs()
	for b.Loop() {
		p.count().wittenBell()
	}
}
