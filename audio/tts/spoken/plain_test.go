package spoken

import "testing"

func TestMarkupIsNotSaid_convS5(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, raw, want string }{
		{"emphasis", "- **Order** `4711`:  *shipped* __today__ ~~soon~~", "Order 4711: shipped today soon"},
		{"a heading", "## Opening hours\nMonday", "Opening hours Monday"},
		{"a quotation", "> Hello there", "Hello there"},
		{"a rule", "Above\n---\nbelow", "Above below"},
		{"a link's words, not its address", "See [our page](https://example.com/a?b=c) now", "See our page now"},
		{"a picture's words", "![a red lamp](lamp.png) is it", "a red lamp is it"},
		{"a footnote", "It ships today [1]. Really[12].", "It ships today . Really."},
		{"a block of code", "Run this:\n```go\nfmt.Println(1)\n```\nand wait", "Run this: and wait"},
		{"emoji", "Great 🎉👍🏽! Family 👨‍👩‍👧 ❤️ → done ✅", "Great ! Family done"},
		{"speech markup", `<speak>Hello <break time="1s"/>you</speak>`, "Hello you"},
		{"an address in brackets", "at <https://example.com> or <me@example.com>", "at https://example.com or me@example.com"},
		{"names of characters", "Tom &amp; Jerry &quot;here&quot;", `Tom & Jerry "here"`},
		{"a table", "| Day | Hours |\n|---|---|\n| Mon | nine |", "Day , Hours Mon , nine"},
		{"spaces and lines", "  one\r\n\r\n two\u00a0three\t ", "one two three"},
		{"names with underscores", "call get_order, _now_", "call get_order, now"},
		{"no UTF-8", "a\xffb", "ab"},
		{"nothing but signs", "**✅**", ""},
		{"soft hyphens and marks of direction", "Do\u00adnau\u200b\u200fschiff", "Donauschiff"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			code := false
			got, p := strip(c.raw, &code)
			if got != c.want {
				t.Errorf("%q\n got %q\nwant %q", c.raw, got, c.want)
			}
			if n := p.back(len(got)); got != "" && n != len(c.raw) {
				t.Errorf("the end is at %d of %d", n, len(c.raw))
			}
		})
	}
}

func TestCodeGoesOnInTheNextPiece(t *testing.T) {
	t.Parallel()
	s := NewSpeaker("en")
	for i, c := range []struct{ raw, want string }{
		{"Do this: ```sh", "Do this:"},
		{"rm -r x", ""},
		{"``` and wait", "and wait"},
	} {
		if got := s.Speak(c.raw).Text; got != c.want {
			t.Errorf("piece %d is %q", i, got)
		}
	}
}

func TestWayBackThroughMarkup(t *testing.T) {
	t.Parallel()
	s := Speak("See **our [new page](https://x.example)** today", "en")
	if s.Text != "See our new page today" {
		t.Fatalf("got %q", s.Text)
	}
	for said, want := range map[string]string{
		"":                 "",
		"See":              "See",
		"See our":          "See **our",
		"See our new page": "See **our [new page](https://x.example)**",
	} {
		if got := "See **our [new page](https://x.example)** today"[:s.Raw(len(said))]; got != want {
			t.Errorf("%q is said with %q", want, got)
		}
	}
}
