package archtest

import (
	"go/ast"
	"path"
	"strings"
	"testing"
)

// TestEveryPackageSaysWhatItIsFor wants one package comment of at least a
// sentence per package, in Go's form.
func TestEveryPackageSaysWhatItIsFor(t *testing.T) {
	t.Parallel()
	comment := map[string]string{} // folder to package comment
	name := map[string]string{}
	for _, f := range files(t) {
		if f.test || strings.Contains(f.path, "testdata/") {
			continue
		}
		name[f.pkg] = f.ast.Name.Name
		if f.ast.Doc != nil {
			if comment[f.pkg] != "" {
				t.Errorf("%s: a second package comment of %s", f.path, f.pkg)
			}
			comment[f.pkg] = f.ast.Doc.Text()
		}
	}
	for pkg, n := range name {
		text := comment[pkg]
		want := "Package " + n + " "
		if n == "main" {
			want = "" // a command begins with its own name, or with Command
		}
		switch {
		case strings.TrimSpace(text) == "":
			t.Errorf("%s: no package comment", pkg)
		case !strings.HasPrefix(text, want):
			t.Errorf("%s: the package comment shall begin with %q, has %.40q", pkg, want, text)
		case len(strings.Fields(text)) < 8:
			t.Errorf("%s: the package comment says too little: %q", pkg, text)
		}
	}
}

// TestNoPackageIsADrawer refuses names that say nothing of what is inside.
func TestNoPackageIsADrawer(t *testing.T) {
	t.Parallel()
	for _, f := range files(t) {
		switch n := f.ast.Name.Name; n {
		case "util", "utils", "common", "types", "models", "helpers", "misc", "shared", "base":
			t.Errorf("%s: a package named %s: name it for what it holds", f.path, n)
		}
	}
}

// maxLines is where a file holds a second noun for certain.
const maxLines = 600

// TestNoFileIsTooLong keeps files readable in one sitting.
func TestNoFileIsTooLong(t *testing.T) {
	t.Parallel()
	for _, f := range files(t) {
		if f.lines > maxLines && !ast.IsGenerated(f.ast) {
			t.Errorf("%s: %d lines, at most %d: look for the second noun", f.path, f.lines, maxLines)
		}
	}
}

// TestTestsDoNotSleep: outside a synctest bubble a sleep is either too short
// for a loaded machine or too long for everybody.
func TestTestsDoNotSleep(t *testing.T) {
	t.Parallel()
	for _, f := range files(t) {
		if !f.test || f.importsPath("testing/synctest") {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok && sel.Sel.Name == "Sleep" {
				if x, ok := sel.X.(*ast.Ident); ok && x.Name == "time" {
					t.Errorf("%s: time.Sleep in a test outside testing/synctest", f.path)
				}
			}
			return true
		})
	}
}

// TestNoInitRegisters: tables are explicit and handed over by the commands.
func TestNoInitRegisters(t *testing.T) {
	t.Parallel()
	for _, f := range files(t) {
		if f.test {
			continue
		}
		for _, d := range f.ast.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				t.Errorf("%s: func init: nothing registers itself here, put it into a table", f.path)
			}
		}
		for _, s := range f.ast.Imports {
			p := strings.Trim(s.Path.Value, `"`)
			if s.Name != nil && s.Name.Name == "_" && strings.HasPrefix(p, module) {
				t.Errorf("%s: blank import of %s: nothing registers itself here", f.path, path.Base(p))
			}
		}
	}
}
