package knowledge

import (
	"math"
	"strings"
	"unicode/utf8"

	"github.com/ledongthuc/pdf"
)

// pdfLine is a line of a page.
type pdfLine struct {
	text string
	size float64 // of its letters, points
	y    float64 // from below, points
	page bool    // a page ends here
}

func joinLines(ls []pdfLine) string {
	var b strings.Builder
	for _, l := range ls {
		b.WriteString(l.text + "\n")
	}
	return b.String()
}

// matrix maps x, y to a*x+c*y+e, b*x+d*y+f (ISO 32000-1 section 8.3.3).
type matrix struct{ a, b, c, d, e, f float64 }

var identity = matrix{a: 1, d: 1}

// then is m followed by n.
func (m matrix) then(n matrix) matrix {
	return matrix{
		m.a*n.a + m.b*n.c, m.a*n.b + m.b*n.d, m.c*n.a + m.d*n.c, m.c*n.b + m.d*n.d,
		m.e*n.a + m.f*n.c + n.e, m.e*n.b + m.f*n.d + n.f,
	}
}

// pdfPage puts the pieces of a page together in the order they were written,
// which is the order of reading in what word processors make.
type pdfPage struct {
	page  pdf.Page
	fonts map[string]*pdfFont
	lines []pdfLine
	cur   strings.Builder
	line  pdfLine // that cur is of
	end   float64 // right edge of the last piece

	font      *pdfFont
	size      float64 // of the font
	leading   float64
	at, begin matrix // text matrix, and where its line began
	space     matrix // of the page
	saved     []matrix
}

type pdfFont struct {
	font pdf.Font
	text pdf.TextEncoding
}

func pageLines(p pdf.Page) []pdfLine {
	w := &pdfPage{page: p, fonts: map[string]*pdfFont{}, at: identity, begin: identity, space: identity}
	if contents := p.V.Key("Contents"); contents.Kind() != pdf.Null {
		pdf.Interpret(contents, func(stack *pdf.Stack, op string) {
			args := make([]pdf.Value, stack.Len())
			for i := range args {
				args[len(args)-1-i] = stack.Pop()
			}
			w.do(op, args)
		})
	}
	w.flush()
	return w.lines
}

// arity is how many operands the operators take that are read.
var arity = map[string]int{
	"Tf": 2, "Td": 2, "TD": 2, "Tm": 6, "TL": 1, "Tj": 1, "TJ": 1, "'": 1, "\"": 3, "cm": 6,
}

// do runs one operator (ISO 32000-1 section 9.4).
func (w *pdfPage) do(op string, args []pdf.Value) {
	if len(args) < arity[op] {
		return // a broken operator does nothing
	}
	number := func(i int) float64 { return args[i].Float64() }
	six := func() matrix { return matrix{number(0), number(1), number(2), number(3), number(4), number(5)} }
	switch op {
	case "q":
		if len(w.saved) < maxDepth {
			w.saved = append(w.saved, w.space)
		}
	case "Q":
		if n := len(w.saved); n > 0 {
			w.space, w.saved = w.saved[n-1], w.saved[:n-1]
		}
	case "cm":
		w.space = six().then(w.space)
	case "BT":
		w.at, w.begin = identity, identity
	case "Tf":
		w.font, w.size = w.named(args[0].Name()), number(1)
	case "TL":
		w.leading = number(0)
	case "Td":
		w.move(number(0), number(1))
	case "TD":
		w.leading = -number(1)
		w.move(number(0), number(1))
	case "Tm":
		w.at = six()
		w.begin = w.at
	case "T*":
		w.move(0, -w.leading)
	case "'":
		w.move(0, -w.leading)
		w.show(args[0].RawString())
	case "\"":
		w.move(0, -w.leading)
		w.show(args[2].RawString())
	case "Tj":
		w.show(args[0].RawString())
	case "TJ":
		for i := range args[0].Len() {
			if v := args[0].Index(i); v.Kind() == pdf.String {
				w.show(v.RawString())
			} else {
				w.advance(-v.Float64() / 1000 * w.size)
			}
		}
	}
}

func (w *pdfPage) named(name string) *pdfFont {
	f := w.fonts[name]
	if f == nil {
		f = &pdfFont{font: w.page.Font(name)}
		f.text = f.font.Encoder()
		w.fonts[name] = f
	}
	return f
}

func (w *pdfPage) move(x, y float64) {
	w.begin = matrix{a: 1, d: 1, e: x, f: y}.then(w.begin)
	w.at = w.begin
}

func (w *pdfPage) advance(x float64) { w.at = matrix{a: 1, d: 1, e: x}.then(w.at) }

// show adds a piece of text: to the line it stands in, behind a space where
// there is a gap.
func (w *pdfPage) show(raw string) {
	if w.font == nil || raw == "" {
		return
	}
	text := ligatures.Replace(w.font.text.Decode(raw))
	here := w.at.then(w.space)
	size := max(math.Abs(w.size)*math.Hypot(here.c, here.d), 1)
	switch {
	case w.cur.Len() == 0:
	case abs(here.f-w.line.y) > 0.5*size || here.e < w.end-20*size:
		w.flush()
	case here.e-w.end > 0.2*size && !strings.HasSuffix(w.cur.String()[w.cur.Len()-1:], " "):
		w.cur.WriteByte(' ')
	}
	if w.cur.Len() == 0 {
		w.line = pdfLine{size: size, y: here.f}
	}
	w.cur.WriteString(text)
	w.advance(w.width(raw, text))
	w.end = w.at.then(w.space).e
}

// ligatures are letters that are drawn as one, and what stands for a sign that
// has no letter.
var ligatures = strings.NewReplacer(
	"ﬀ", "ff", "ﬁ", "fi", "ﬂ", "fl", "ﬃ", "ffi", "ﬄ", "ffl", "ﬅ", "st", "ﬆ", "st", "\ufffd", "",
)

// width is that of a piece of text. Half the size of a letter stands for those
// whose width the font does not tell.
func (w *pdfPage) width(raw, text string) float64 {
	sum := 0.0
	for i := range len(raw) {
		sum += w.font.font.Width(int(raw[i]))
	}
	if sum <= 0 {
		sum = 500 * float64(utf8.RuneCountInString(text))
	}
	return sum / 1000 * w.size
}

func (w *pdfPage) flush() {
	if w.line.text = strings.TrimSpace(w.cur.String()); w.line.text != "" {
		w.lines = append(w.lines, w.line)
	}
	w.cur.Reset()
}
