package archtest

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The ids by which tests name what they check, and the forms they take in the
// name of a test function, punctuation left out.
var (
	idForm   = regexp.MustCompile(`(?:^|[^\w:-])((?:sip:P|SEC-|conv:[A-Z]|INV)\d{1,2}|[CHTFD]-\d\d)\b`)
	nameForm = regexp.MustCompile(`func (?:Test|Fuzz|Benchmark)\w*?_((?:sipP|SEC|conv[A-Z]|INV)\d{1,2}|[CHTFD]\d\d)\b`)
	lineForm = regexp.MustCompile("(?m)^- `([^`]+)` — \\S.* — \\S")
)

// idsIn lists the ids that a test file or a fixture names.
func idsIn(text string) []string {
	var out []string
	for _, m := range idForm.FindAllStringSubmatchIndex(text, -1) {
		if end := m[3]; end < len(text) && text[end] == '-' {
			continue // part of a longer word
		}
		out = append(out, text[m[2]:m[3]])
	}
	for _, m := range nameForm.FindAllStringSubmatch(text, -1) {
		out = append(out, spelled(m[1]))
	}
	return out
}

// spelled is the id of a test function's suffix: sipP3 is sip:P3.
func spelled(suffix string) string {
	switch {
	case strings.HasPrefix(suffix, "sip"):
		return "sip:" + suffix[3:]
	case strings.HasPrefix(suffix, "conv"):
		return "conv:" + suffix[4:]
	case strings.HasPrefix(suffix, "SEC"):
		return "SEC-" + suffix[3:]
	case strings.HasPrefix(suffix, "INV"):
		return suffix
	}
	return suffix[:1] + "-" + suffix[1:]
}

// TestEveryIdIsExplained: an id in a test means nothing to a reader without
// its line in docs/conformance.md.
func TestEveryIdIsExplained(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile(filepath.Join(root, "docs/conformance.md"))
	if err != nil {
		t.Fatal(err)
	}
	explained := map[string]bool{}
	for _, m := range lineForm.FindAllStringSubmatch(string(doc), -1) {
		if explained[m[1]] {
			t.Errorf("docs/conformance.md: %s has two lines", m[1])
		}
		explained[m[1]] = true
	}
	missing := map[string]string{}
	err = walk(func(p string) error {
		if !namesBehaviours(p) {
			return nil
		}
		src, err := os.ReadFile(filepath.Join(root, p))
		if err != nil {
			return err
		}
		for _, id := range idsIn(string(src)) {
			if !explained[id] {
				missing[id] = p
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	ids := make([]string, 0, len(missing))
	for id := range missing {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		t.Errorf("%s names %s: add a line to docs/conformance.md: - `%s` — what it means — source", missing[id], id, id)
	}
}

// namesBehaviours tells whether a file's ids count: tests, and the scenarios
// and fixtures that they run.
func namesBehaviours(p string) bool {
	if strings.HasPrefix(p, "internal/archtest/") {
		return false
	}
	for _, suffix := range []string{"_test.go", ".spec.ts", ".test.ts", ".spec.js", ".test.tsx"} {
		if strings.HasSuffix(p, suffix) {
			return true
		}
	}
	if !strings.HasPrefix(p, "testdata/") && !strings.Contains(p, "/testdata/") {
		return false
	}
	return slices.Contains([]string{".yaml", ".yml", ".json", ".jsonl", ".xml", ".txt"}, filepath.Ext(p))
}

func TestIdsAreRead(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, text, want string }{
		{"in a comment", "// sip:P4, SEC-7", "sip:P4 SEC-7"},
		{"in a row's name", `{name: "conv:B3 a cough"}`, "conv:B3"},
		{"in a function's name", "func TestPatchTool_T19(t", "T-19"},
		{"in a function's name with a space of its own", "func FuzzSDP_sipP3(f", "sip:P3"},
		{"an order number is none", "ORD-12345 ABD-12 D-123", ""},
		{"part of a longer word", "T-01-x", ""},
	} {
		if got := strings.Join(idsIn(c.text), " "); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}
