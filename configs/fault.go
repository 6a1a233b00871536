package configs

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/patchcord/patchcord/internal/yamlfault"
)

// Pos is a place in a file. Line and Col count from 1; 0 means the file as a
// whole.
type Pos struct {
	File      string
	Line, Col int
}

func (p Pos) String() string {
	switch {
	case p.Line == 0:
		return p.File
	case p.Col == 0:
		return fmt.Sprintf("%s:%d", p.File, p.Line)
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Col)
}

// Fault is one thing wrong in a file: where, what, and what to do.
type Fault struct {
	Pos
	Path string // where in the value: "tools[0].config.url", "" where only the place is known
	What string
	Do   string // "" where What says it all
}

func (f *Fault) Error() string {
	s := f.Pos.String() + ": " + f.What
	if f.Do != "" {
		s += "; " + f.Do
	}
	return s
}

// Warning is something that works, but not as its writer may expect.
type Warning Fault

func (w Warning) Error() string { return (*Fault)(&w).Error() }

// Faults are the parts of an error of this package, one per fault.
func Faults(err error) []*Fault {
	var out []*Fault
	var walk func(error)
	walk = func(err error) {
		var f *Fault
		if joined, ok := err.(interface{ Unwrap() []error }); ok {
			for _, e := range joined.Unwrap() {
				walk(e)
			}
		} else if errors.As(err, &f) {
			out = append(out, f)
		}
	}
	walk(err)
	return out
}

// located turns an error of the YAML library, or of a type that decodes
// itself, into a fault: the position its token has, its message without the
// excerpt. Any other error is placed where its value begins.
func located(at Pos, err error) *Fault {
	var f *Fault
	if errors.As(err, &f) {
		if f.Line == 0 {
			f.Line, f.Col = at.Line, at.Col
		}
		f.File = at.File
		return f
	}
	what, line, col := yamlfault.Explain(err)
	if line != 0 {
		at.Line, at.Col = line, col
	}
	return &Fault{Pos: at, What: what}
}

// joined is one error of all faults, in the order of their places; nil for
// none.
func joined(faults []error) error {
	slices.SortStableFunc(faults, func(a, b error) int {
		var x, y *Fault
		if !errors.As(a, &x) || !errors.As(b, &y) {
			return 0
		}
		return cmp.Or(strings.Compare(x.File, y.File), cmp.Compare(x.Line, y.Line), cmp.Compare(x.Col, y.Col))
	})
	return errors.Join(faults...)
}
