package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// file is one Go file of the tree.
type file struct {
	path  string // from the repository's root, with slashes
	pkg   string // its folder: the import path without the module
	test  bool
	lines int
	ast   *ast.File
}

// imports lists the imports of ours, without the module.
func (f file) imports() []string {
	var out []string
	for _, s := range f.ast.Imports {
		if p, ok := strings.CutPrefix(strings.Trim(s.Path.Value, `"`), module); ok {
			out = append(out, p)
		}
	}
	return out
}

// importsPath tells whether the file imports a package by its full path.
func (f file) importsPath(full string) bool {
	for _, s := range f.ast.Imports {
		if strings.Trim(s.Path.Value, `"`) == full {
			return true
		}
	}
	return false
}

// root is the repository's folder as seen from this package's tests.
const root = "../.."

// tree reads every Go file of the repository, all build tags, once.
var tree = sync.OnceValues(func() ([]file, error) {
	var out []file
	err := walk(func(p string) error {
		if !strings.HasSuffix(p, ".go") {
			return nil
		}
		src, err := os.ReadFile(filepath.Join(root, p))
		if err != nil {
			return err
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), p, src, parser.ParseComments)
		if err != nil {
			return err
		}
		out = append(out, file{
			path: p, pkg: path.Dir(p), test: strings.HasSuffix(p, "_test.go"),
			lines: strings.Count(string(src), "\n"), ast: parsed,
		})
		return nil
	})
	return out, err
})

// walk visits every file of the repository but what is built or downloaded.
func walk(visit func(p string) error) error {
	return filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			switch d.Name() {
			case ".git", "bin", "dist", ".cache", "node_modules", "recordings":
				return filepath.SkipDir
			}
			return nil
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		return visit(filepath.ToSlash(rel))
	})
}

func files(t *testing.T) []file {
	t.Helper()
	fs, err := tree()
	if err != nil {
		t.Fatalf("read the tree: %v", err)
	}
	if len(fs) < 10 {
		t.Fatalf("only %d Go files found from %s: the walk is wrong", len(fs), root)
	}
	return fs
}
