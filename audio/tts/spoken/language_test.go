package spoken

import (
	"bufio"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestWordsAreSaid reads testdata/LANGUAGE.txt: a written text, " = ", what is
// said of it (conv:S5).
func TestWordsAreSaid(t *testing.T) {
	t.Parallel()
	names, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(names) < 7 {
		t.Fatalf("%d languages, %v", len(names), err)
	}
	for _, name := range names {
		lang := strings.TrimSuffix(filepath.Base(name), ".txt")
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(f)
		for lines.Scan() {
			raw, want, ok := strings.Cut(lines.Text(), " = ")
			if !ok {
				continue
			}
			raw, want = strings.TrimSpace(raw), strings.TrimSpace(want)
			s := Speak(raw, lang)
			if s.Text != want {
				t.Errorf("%s: %q\n got %q\nwant %q", lang, raw, s.Text, want)
			}
			if n := s.Raw(len(s.Text)); n != len(raw) {
				t.Errorf("%s: %q: its end is at %d of %d", lang, raw, n, len(raw))
			}
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestCutNumberIsNotSaid_convS5(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ lang, raw, said, want string }{
		{"en", "It costs $1,250 today", "It costs one thousand two", "It costs "},
		{"en", "It costs $1,250 today", "It costs one thousand two hundred fifty dollars", "It costs $1,250"},
		{"en", "call 555-1234 now", "call five five", "call 55"},
		{"en", "by May 3, 2024 please", "by May third,", "by May 3,"},
		{"en", "at 5 p.m. sharp", "at five", "at 5"},
		{"en", "**Call** [us](https://x.example) at 9", "Call us at", "**Call** [us](https://x.example) at"},
		{"de", "am 3. Mai um 14:30 Uhr", "am dritten Mai", "am 3. Mai"},
		{"de", "am 3. Mai um 14:30 Uhr", "am dritten Mai um vierzehn Uhr", "am 3. Mai um "},
		{"fr", "à jean@exemple.fr demain", "à jean arobase exemple", "à jean@exemple"},
	} {
		s := Speak(c.raw, c.lang)
		if !strings.HasPrefix(s.Text, c.said) {
			t.Errorf("%q is said %q", c.raw, s.Text)
			continue
		}
		if got := c.raw[:s.Raw(len(c.said))]; got != c.want {
			t.Errorf("%q stands for %q, want %q", c.said, got, c.want)
		}
	}
}

func TestPronunciationList(t *testing.T) {
	t.Parallel()
	s := NewSpeaker("en-US",
		Pronunciation{Word: "nginx", Say: "engine x"}, Pronunciation{Word: "SQL", Say: "sequel"},
		Pronunciation{Word: "euros", Say: "yuros"}, Pronunciation{Word: "Dr.", Say: "Drive"},
		Pronunciation{Word: "9-1-1", Say: "nine eleven"}, Pronunciation{Word: "Reading", Say: "redding", Language: "en"},
		Pronunciation{Word: "chat", Say: "sha", Language: "fr"}, Pronunciation{Word: "x", Say: "<b>&"},
		Pronunciation{Word: "SQL Server", Say: "sequel server"})
	for raw, want := range map[string]string{
		"Nginx and NGINX, not nginxes": "engine x and engine x, not nginxes", // no capitals: any case
		"SQL but not sql":              "sequel but not sql",                 // capitals: as written
		"SQL Server":                   "sequel server",                      // the longest first
		"5 €":                          "five yuros",                         // in words of a rule as well
		"Sunset Dr. 5":                 "Sunset Drive five",                  // before the short forms
		"dial 9-1-1 now":               "dial nine eleven now",
		"I like reading in Reading":    "I like reading in redding",
		"a chat":                       "a chat", // another language's
		"x":                            "b",      // no markup either
	} {
		got := s.Speak(raw)
		if got.Text != want {
			t.Errorf("%q is said %q, want %q", raw, got.Text, want)
		}
		if got.Raw(len(got.Text)) != len(raw) {
			t.Errorf("%q: its end is at %d", raw, got.Raw(len(got.Text)))
		}
	}
}

func TestHeldBackUntilItIsSettled_convS5(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		lang   string
		tokens []string
		want   []string // what is passed on by each
	}{
		{"en", []string{"It is $1", ",250", " now", " please"}, []string{"It is ", "", "$1,250 ", "now "}},
		{"en", []string{"at 5", " p", ".m. ", "sharp", " ok"}, []string{"at ", "", "", "", "5 p.m. sharp "}},
		{"en", []string{"May ", "3, ", "2024", " it"}, []string{"", "", "", "May 3, 2024 "}},
		{"en", []string{"call +49 ", "30 ", "123 ", "now "}, []string{"call ", "", "", "+49 30 123 now "}},
		{"en", []string{"Dr. ", "Smith ", "is"}, []string{"", "Dr. Smith ", ""}},
		{"de", []string{"am 3. ", "Mai ", "um"}, []string{"am ", "", "3. Mai "}},
		{"de", []string{"kostet 2,5 ", "Mio. ", "Euro ", "heute "}, []string{"kostet ", "", "", "2,5 Mio. Euro heute "}},
		{"en", []string{"1 2 3 4 5 6 7 8 9 10 11 12 13 14 "}, []string{"1 2 3 4 5 "}},
		{"en", []string{strings.Repeat("a", 60)}, []string{strings.Repeat("a", 36)}},
	} {
		h := NewSpeaker(c.lang).Hold()
		var all, got string
		for i, token := range c.tokens {
			all += token
			out := h.Add(token)
			if got += out; out != c.want[i] {
				t.Errorf("%q passed on %q with %q, want %q", all, out, token, c.want[i])
			}
			if n := len([]rune(h.held)); n > holdMost {
				t.Errorf("%d characters are held", n)
			}
		}
		if got += h.Rest(); got != all {
			t.Errorf("%q became %q", all, got)
		}
	}
}

func FuzzSpeak(f *testing.F) {
	names, err := filepath.Glob("testdata/*.txt")
	if err != nil {
		f.Fatal(err)
	}
	for i, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		for j, line := range strings.Split(string(text), "\n") {
			if raw, _, ok := strings.Cut(line, " = "); ok && j%8 == 0 {
				f.Add(raw, uint8(i), uint8(j))
			}
		}
	}
	langs := []string{"en-US", "en-GB", "de", "fr", "es", "it", "nl", "pt-BR", "de-CH", "fr-CH", "es-MX", "pt-PT", "xx"}
	f.Fuzz(func(t *testing.T, raw string, lang, at uint8) {
		s := NewSpeaker(langs[int(lang)%len(langs)], Pronunciation{Word: "a", Say: "ay"})
		out := s.Speak(raw)
		last := 0
		for i := range len(out.Text) + 1 { // the way back is monotone and stays inside
			n := out.Raw(i)
			if n < last || n > len(raw) {
				t.Fatalf("%q: place %d of %q is %d, after %d", raw, i, out.Text, n, last)
			}
			last = n
		}
		if strings.ContainsAny(out.Text, "<>&") {
			t.Errorf("%q is said %q: it may be markup", raw, out.Text)
		}
		h, got := s.Hold(), ""
		cut := int(at) % (len(raw) + 1)
		for _, part := range []string{raw[:cut], raw[cut:]} {
			got += h.Add(part)
			if len([]rune(h.held)) > holdMost {
				t.Errorf("%d characters are held of %q", len([]rune(h.held)), raw)
			}
		}
		if got += h.Rest(); got != raw {
			t.Errorf("%q became %q", raw, got)
		}
		s.Joined(raw, cut)
	})
}

func BenchmarkSpeak(b *testing.B) {
	for _, c := range []struct{ name, text string }{
		{"words", "Thank you for calling, I will have a look at your order and tell you when it will arrive at your door."},
		{"figures", "Your order 4711 of May 3, 2024 for $1,250.50 ships at 5 p.m. to Dr. Smith, call +1 555 123 4567 or write to a@b.com."},
	} {
		b.Run(c.name, func(b *testing.B) {
			s := NewSpeaker("en-US")
			b.ReportAllocs()
			b.SetBytes(int64(len(c.text)))
			for b.Loop() {
				s.Speak(c.text)
			}
		})
	}
}

func BenchmarkNewSpeaker(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		NewSpeaker("en-GB")
	}
}

func BenchmarkHold(b *testing.B) {
	words := strings.SplitAfter("Your order 4711 of May 3, 2024 for $1,250.50 ships at 5 p.m. to Dr. Smith and nobody else but him.", " ")
	b.ReportAllocs()
	for b.Loop() {
		h := NewSpeaker("en-US").Hold()
		for _, w := range words {
			h.Add(w)
		}
	}
}
