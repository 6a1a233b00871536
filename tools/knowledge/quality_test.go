package knowledge

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

type labelled struct{ Lang, Q, Want string }

func readQuestions(t *testing.T, name string) (out []labelled) {
	t.Helper()
	b, err := os.ReadFile("testdata/quality/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestQuality asks what callers ask, in three languages, of documents among
// others that do not answer it.
func TestQuality(t *testing.T) {
	t.Parallel()
	l, err := New(Config{Store: newMemory()})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	files := []string{"testdata/quality/hotel.md", "testdata/quality/boutique.html", "testdata/quality/werkstatt.txt"}
	others, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(others) == 0 {
		t.Fatal("no other documents", err)
	}
	for _, f := range append(files, others...) {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		d, err := l.Add(t.Context(), "a", filepath.Base(f), "", data)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %s, %d passages, %q", d.Name, d.Language, d.Chunks, d.Title)
	}
	asked, hit1, hit3, kept := map[string]int{}, map[string]int{}, map[string]int{}, map[string]int{}
	for _, q := range readQuestions(t, "questions.json") {
		asked[q.Lang]++
		a, err := l.Search(t.Context(), Query{Agent: "a", Text: q.Q, TopK: 3})
		if err != nil {
			t.Fatal(err)
		}
		at := -1
		for i, h := range a.Hits {
			if strings.Contains(h.Text, q.Want) {
				at = i
				break
			}
		}
		if at == 0 {
			hit1[q.Lang]++
		}
		if at >= 0 {
			hit3[q.Lang]++
			if a.Hits[at].Score >= 0.7 {
				kept[q.Lang]++
			}
			if a.Hits[at].Score < 0.7 {
				t.Logf("below 0.7: %s: %.2f", q.Q, a.Hits[at].Score)
			}
		} else {
			t.Logf("missed: %s", q.Q)
		}
	}
	for _, lang := range []string{"en", "fr", "de"} {
		n := float64(asked[lang])
		t.Logf("%s: %d questions, recall@1 %.2f, recall@3 %.2f, of these above 0.7: %.2f", lang, asked[lang],
			float64(hit1[lang])/n, float64(hit3[lang])/n, float64(kept[lang])/float64(hit3[lang]))
		if float64(hit3[lang])/n < 0.9 {
			t.Errorf("%s: recall@3 is %.2f, want 0.9", lang, float64(hit3[lang])/n)
		}
	}
	for _, q := range readQuestions(t, "absent.json") {
		a, err := l.Search(t.Context(), Query{Agent: "a", Text: q.Q, TopK: 3, Threshold: 0.7})
		if err != nil {
			t.Fatal(err)
		}
		if len(a.Hits) > 0 {
			t.Errorf("%s: found %q at %.2f", q.Q, a.Hits[0].Text, a.Hits[0].Score)
		}
	}
}
