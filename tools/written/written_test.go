package written

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var tuesday = time.Date(2026, 3, 10, 15, 0, 0, 0, time.UTC)

func options(tag string) Options { return Options{Language: tag, Now: tuesday} }

// TestWhatIsSaid_T13 reads the tables of testdata, one a language.
func TestWhatIsSaid_T13(t *testing.T) {
	t.Parallel()
	for _, tag := range []string{"en-US", "fr-FR", "de-DE"} {
		b, err := os.ReadFile("testdata/" + tag + ".txt")
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for line := range strings.Lines(string(b)) {
			kind, rest, ok := strings.Cut(strings.TrimSpace(line), ": ")
			if !ok || strings.HasPrefix(line, "#") {
				continue
			}
			n++
			said, want, _ := strings.Cut(rest, " -> ")
			v, err := Parse(Kind(kind), said, options(tag))
			got := v.Text
			if err != nil {
				got = "!"
			}
			if got != want {
				t.Errorf("%s, %s %q: got %q, want %q (%v)", tag, kind, said, got, want, err)
			}
			if err != nil {
				continue
			}
			again, err := Parse(Kind(kind), v.ReadBack, options(tag))
			if err != nil || again.Text != v.Text {
				t.Errorf("%s, %s %q is read back %q, which is %q (%v)", tag, kind, v.Text, v.ReadBack, again.Text, err)
			}
		}
		if n < 60 {
			t.Errorf("%s: %d lines", tag, n)
		}
	}
}

// TestReadBackIsTheValue: whatever the value, its read-back is it again.
func TestReadBackIsTheValue(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		tag := rapid.SampledFrom([]string{"en-US", "en-GB", "fr-FR", "fr-BE", "de-DE", "de-CH"}).Draw(t, "language")
		kind := rapid.SampledFrom([]Kind{Email, Phone, Number, Date}).Draw(t, "kind")
		var value string
		switch kind {
		case Email:
			// Shorter ones may be words: what is said before an address, or a sign of it.
			part := rapid.StringMatching(`[a-z]{5,9}`)
			value = part.Draw(t, "first") + rapid.SampledFrom([]string{".", "_", "-", ""}).Draw(t, "sign") +
				rapid.StringMatching(`([b-z][a-z]{4,8})?[0-9]{0,3}`).Draw(t, "second") + "@" + rapid.StringMatching(`[b-z]{5,9}`).Draw(t, "domain") +
				rapid.SampledFrom([]string{".com", ".fr", ".de", ".co.uk", ".org"}).Draw(t, "tld")
			if strings.Contains(value, ".@") || strings.Contains(value, "-@") || strings.Contains(value, "_@") {
				t.Skip("the sign stands at the end")
			}
		case Phone:
			value = "+3366" + rapid.StringMatching(`[0-9]{7}`).Draw(t, "number")
		case Number:
			value = fmt.Sprint(rapid.IntRange(-99999, 9999999).Draw(t, "number"))
			if rapid.Bool().Draw(t, "decimals") {
				value += rapid.StringMatching(`\.[0-9]{0,2}[1-9]`).Draw(t, "decimals")
			}
			if strings.HasPrefix(value, "-0") || value == "0" {
				t.Skip("no sign of zero")
			}
		case Date:
			value = tuesday.AddDate(0, 0, rapid.IntRange(-30000, 9000).Draw(t, "day")).Format(time.DateOnly)
		case Name, Custom:
		}
		in := value
		if kind == Number && (strings.HasPrefix(tag, "fr") || tag == "de-DE") {
			in = strings.Replace(in, ".", ",", 1)
		}
		v, err := Parse(kind, in, options(tag))
		if err != nil || v.Text != value {
			t.Fatalf("%s %q is %q (%v)", tag, value, v.Text, err)
		}
		again, err := Parse(kind, v.ReadBack, options(tag))
		if err != nil || again.Text != value {
			t.Fatalf("%s: %q is read back %q, which is %q (%v)", tag, value, v.ReadBack, again.Text, err)
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, tag := range []string{"en-US", "fr-FR", "de-DE"} {
		b, err := os.ReadFile("testdata/" + tag + ".txt")
		if err != nil {
			f.Fatal(err)
		}
		for i, line := range strings.Split(string(b), "\n") {
			if _, rest, ok := strings.Cut(line, ": "); ok && i%4 == 0 {
				said, _, _ := strings.Cut(rest, " -> ")
				f.Add(said, i%6, tag)
			}
		}
	}
	f.Add("double double double l", 0, "en")
	f.Add("quatre-vingt-quatre-vingt et et et", 3, "fr")
	f.Add("hunderthunderttausend undund", 3, "de")
	f.Fuzz(func(t *testing.T, said string, kind int, tag string) {
		k := Kinds()[(kind%6+6)%6]
		v, err := Parse(k, said, options(tag))
		if err != nil {
			return
		}
		if v.Text == "" || v.Typed == nil {
			t.Fatalf("%s %q: nothing without an error", k, said)
		}
		if k == Email || k == Phone {
			again, err := Parse(k, v.Text, options(tag))
			if err != nil || again.Text != v.Text {
				t.Fatalf("%s %q is %q, which is %q (%v)", k, said, v.Text, again.Text, err)
			}
		}
	})
}
