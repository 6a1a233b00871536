package tools

import (
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/patchcord/patchcord/internal/yamlfault"
)

// Fault is one thing wrong in a definition: where, what, and what to do. Line
// and Col count from 1 and are 0 when the definition came from no file; Path
// names the place in either case.
type Fault struct {
	Tool    string // the tool's name
	Path    string // "config.headers[0].key"
	Line    int
	Col     int
	What    string
	Do      string // "" where What says it all
	Warning bool   // the definition is taken all the same
	NotYet  bool   // a warning: this part of Patchcord is not built yet
}

func (f *Fault) Error() string {
	var b strings.Builder
	if f.Line > 0 {
		fmt.Fprintf(&b, "%d:%d: ", f.Line, f.Col)
	}
	if f.Tool != "" {
		fmt.Fprintf(&b, "tool %s: ", f.Tool)
	}
	if f.Path != "" {
		b.WriteString(f.Path + ": ")
	}
	b.WriteString(f.What)
	if f.Do != "" {
		b.WriteString("; " + f.Do)
	}
	return b.String()
}

// Faults are all that was found.
type Faults []*Fault

// Err joins the faults that are more than warnings; nil when there are none.
func (fs Faults) Err() error {
	var errs []error
	for _, f := range fs {
		if !f.Warning {
			errs = append(errs, f)
		}
	}
	return errors.Join(errs...)
}

// Warnings are those that leave the definition usable.
func (fs Faults) Warnings() Faults {
	var out Faults
	for _, f := range fs {
		if f.Warning {
			out = append(out, f)
		}
	}
	return out
}

// add notes a fault at a node, which may be nil.
func (fs *Faults) add(n ast.Node, path, what, do string) *Fault {
	f := &Fault{Path: path, What: what, Do: do}
	f.Line, f.Col = yamlfault.Place(n)
	*fs = append(*fs, f)
	return f
}

// located turns an error of the YAML library into a fault.
func located(n ast.Node, path string, err error) *Fault {
	what, line, col := yamlfault.Explain(err)
	if line == 0 {
		line, col = yamlfault.Place(n)
	}
	return &Fault{Path: path, What: what, Line: line, Col: col}
}
