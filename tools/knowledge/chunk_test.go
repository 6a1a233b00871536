package knowledge

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPassagesHaveTheirSizeAndLoseNothing(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/quality/*.[mht]*")
	if err != nil || len(files) < 3 {
		t.Fatal(files, err)
	}
	docs, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range append(files, docs...) {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		blocks, err := Load(t.Context(), TypeOf(f, ""), data)
		if err != nil {
			t.Fatal(err)
		}
		chunks := Split(blocks)
		short := 0
		for i, c := range chunks {
			n := tokens(c.Text)
			if n > maxTokens {
				t.Errorf("%s: passage %d has %d tokens", f, i, n)
			}
			if n < minTokens {
				short++
			}
			if c.N != i {
				t.Errorf("%s: passage %d has number %d", f, i, c.N)
			}
		}
		t.Logf("%s: %d passages, %d short", f, len(chunks), short)
		all := &strings.Builder{}
		for _, c := range chunks {
			fmt.Fprintf(all, "%s\n%s\n", c.Heading, c.Text)
		}
		text := strings.Join(strings.Fields(all.String()), " ")
		for _, b := range blocks {
			for _, s := range sentences(b.Text) {
				if !strings.Contains(text, strings.Join(strings.Fields(clip(s, 100)[:min(len(s), 60)]), " ")) {
					t.Errorf("%s: lost %q", f, s)
				}
			}
		}
	}
}
