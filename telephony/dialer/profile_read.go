package dialer

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/patchcord/patchcord/internal/yamlfault"
)

// ReadProfile reads a profile from YAML. The error joins every fault found, each
// begins with its line:column.
func ReadProfile(text []byte) (Profile, error) {
	var p Profile
	f, err := parser.ParseBytes(text, 0)
	if err != nil {
		what, line, col := yamlfault.Explain(err)
		return p, fmt.Errorf("%d:%d: %s", line, col, what)
	}
	r := &profileReader{}
	if len(f.Docs) != 1 || f.Docs[0].Body == nil {
		return p, errors.New("1:1: holds no profile; see the built-in ones")
	}
	r.mapping(f.Docs[0].Body, "", fields{
		"consent": func(n ast.Node, at string) { p.Consent = r.yes(n, at) },
		"ring":    func(n ast.Node, at string) { p.Ring = r.duration(n, at) },
		"hours": func(n ast.Node, at string) {
			r.mapping(n, at, fields{
				"windows":  func(n ast.Node, at string) { p.Hours.Windows = r.windows(n, at) },
				"holidays": func(n ast.Node, at string) { p.Hours.Holidays = r.dates(n, at) },
			})
		},
		"abandoned": func(n ast.Node, at string) {
			r.mapping(n, at, fields{
				"share":  func(n ast.Node, at string) { p.Abandoned = r.share(n, at) },
				"window": func(n ast.Node, at string) { p.AbandonedWindow = r.duration(n, at) },
			})
		},
		"attempts": func(n ast.Node, at string) {
			r.mapping(n, at, fields{
				"per_day": func(n ast.Node, at string) { p.PerDay = r.count(n, at) },
				"total":   func(n ast.Node, at string) { p.Total = r.count(n, at) },
			})
		},
	})
	return p, errors.Join(r.faults...)
}

// fields are what reads the keys of a mapping.
type fields map[string]func(n ast.Node, at string)

// profileReader collects faults.
type profileReader struct{ faults []error }

func (r *profileReader) fault(n ast.Node, format string, args ...any) {
	line, col := yamlfault.Place(n)
	r.faults = append(r.faults, fmt.Errorf("%d:%d: %s", line, col, fmt.Sprintf(format, args...)))
}

func (r *profileReader) mapping(n ast.Node, at string, known fields) {
	pairs, ok := yamlfault.Pairs(n)
	if !ok {
		r.fault(n, "%sno mapping; write keys and values", prefix(at))
		return
	}
	var names []string
	for k := range known {
		names = append(names, k)
	}
	slices.Sort(names)
	for _, pair := range pairs {
		key := yamlfault.Key(pair)
		read := known[key]
		if read == nil {
			r.fault(pair.Key, "unknown key %q; %s", key, yamlfault.Suggest(key, names))
			continue
		}
		if at != "" {
			key = at + "." + key
		}
		read(pair.Value, key)
	}
}

func prefix(at string) string {
	if at == "" {
		return ""
	}
	return at + ": "
}

// scalar is a value as text, "" where it is none.
func (r *profileReader) scalar(n ast.Node) string {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value
	case ast.ScalarNode:
		if t := n.GetToken(); t != nil {
			return t.Value
		}
	}
	return ""
}

func (r *profileReader) yes(n ast.Node, at string) bool {
	b, err := strconv.ParseBool(r.scalar(n))
	if err != nil {
		r.fault(n, "%s: neither true nor false", at)
	}
	return b
}

func (r *profileReader) duration(n ast.Node, at string) time.Duration {
	d, err := time.ParseDuration(r.scalar(n))
	if err != nil || d < 0 {
		r.fault(n, "%s: %q is no duration; write it as 15s or 720h", at, r.scalar(n))
	}
	return d
}

func (r *profileReader) count(n ast.Node, at string) int {
	i, err := strconv.Atoi(r.scalar(n))
	if err != nil || i < 0 || i > mostRetries {
		r.fault(n, "%s: %q is no number of attempts; write 1 to %d, or leave it out", at, r.scalar(n), mostRetries)
	}
	return i
}

func (r *profileReader) share(n ast.Node, at string) float64 {
	f, err := strconv.ParseFloat(r.scalar(n), 64)
	if err != nil || !(f >= 0 && f <= 1) { //nolint:staticcheck // not the negation: NaN is neither
		r.fault(n, "%s: %q is no share; write it as 0.03", at, r.scalar(n))
	}
	return f
}

// list is the entries of a sequence.
func (r *profileReader) list(n ast.Node, at string) []ast.Node {
	if s, ok := n.(*ast.SequenceNode); ok {
		return s.Values
	}
	r.fault(n, "%s: no list", at)
	return nil
}

func (r *profileReader) dates(n ast.Node, at string) []string {
	var out []string
	for i, v := range r.list(n, at) {
		d := r.scalar(v)
		if _, err := time.Parse(time.DateOnly, d); err != nil {
			r.fault(v, "%s[%d]: %q is no date; write it as 2026-12-25", at, i, d)
		}
		out = append(out, d)
	}
	return out
}

func (r *profileReader) windows(n ast.Node, at string) []Window {
	var out []Window
	for i, v := range r.list(n, at) {
		var w Window
		at := fmt.Sprintf("%s[%d]", at, i)
		ofDay := func(dst *string) func(ast.Node, string) {
			return func(n ast.Node, at string) {
				*dst = r.scalar(n)
				if _, ok := clock(*dst); !ok {
					r.fault(n, "%s: %q is no time of day; write it as \"08:00\"", at, *dst)
				}
			}
		}
		before := len(r.faults)
		r.mapping(v, at, fields{
			"from": ofDay(&w.From),
			"to":   ofDay(&w.To),
			"days": func(n ast.Node, at string) {
				for j, v := range r.list(n, at) {
					d, err := Weekday(r.scalar(v))
					if err != nil {
						r.fault(v, "%s[%d]: %v", at, j, err)
					}
					w.Days = append(w.Days, d)
				}
			},
		})
		if from, _ := clock(w.From); len(r.faults) == before {
			if to, _ := clock(w.To); from == to || w.From == "" || w.To == "" {
				r.fault(v, "%s: is empty; write from and to, for a whole day \"00:00\" and \"24:00\"", at)
			}
		}
		out = append(out, w)
	}
	return out
}

// weekdays in their order, as they are written.
var weekdays = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// Weekday reads a day of the week: "mon", "monday".
func Weekday(s string) (time.Weekday, error) {
	l := strings.ToLower(s)
	for i, d := range weekdays {
		if l == d || l == strings.ToLower(time.Weekday(i).String()) {
			return time.Weekday(i), nil
		}
	}
	return 0, fmt.Errorf("%q is no day of the week; write one of %s", s, strings.Join(weekdays, ", "))
}
