package knowledge

import (
	"bytes"
	"context"
	"errors"
	"io"
	"regexp"
	"strconv"
	"strings"

	"github.com/ledongthuc/pdf"
)

// Bounds of a PDF.
const (
	maxPages   = 2000
	maxObjects = 1 << 20
)

// sizeEntry is where a PDF says how many objects it has: its reader makes room
// for as many without a look at the file.
var sizeEntry = regexp.MustCompile(`/Size\s+(\d+)`)

// pages is a file that ends when the time for it is up: whatever the reader
// does, it reads.
type pages struct {
	ctx  context.Context
	data *bytes.Reader
}

func (p *pages) ReadAt(b []byte, off int64) (int, error) {
	if err := p.ctx.Err(); err != nil {
		panic(errSlow) // the reader takes an error for the end of a stream, and goes on
	}
	if off < 0 {
		return 0, io.EOF
	}
	return p.data.ReadAt(b, off)
}

var errSlow = errors.New("it takes too long to read")

// loadPDF reads the text of a PDF, page by page. Lines larger than the rest
// of the text are headings.
func loadPDF(ctx context.Context, data []byte) ([]Block, error) {
	data, err := pdfBody(data)
	if err != nil {
		return nil, err
	}
	for _, m := range sizeEntry.FindAllSubmatch(data, -1) {
		if n, err := strconv.Atoi(string(m[1])); err != nil || n > maxObjects {
			return nil, faulty("the PDF is broken: it says that it has %s objects", m[1])
		}
	}
	r, err := pdf.NewReader(&pages{ctx, bytes.NewReader(data)}, int64(len(data)))
	switch {
	case errors.Is(err, pdf.ErrInvalidPassword), err != nil && strings.Contains(err.Error(), "encrypt"):
		return nil, faulty("the PDF is encrypted: save it without a password")
	case err != nil:
		return nil, faulty("the PDF cannot be read: %v", err)
	}
	n := r.NumPage()
	switch {
	case n > maxPages:
		return nil, faulty("the PDF has %d pages, %d are the most: cut it into parts", n, maxPages)
	case n <= 0:
		return nil, faulty("the PDF has no pages")
	}
	var lines []pdfLine
	size := 0
	for i := 1; i <= n; i++ {
		if ctx.Err() != nil {
			return nil, faulty("the PDF takes too long to read")
		}
		p := r.Page(i)
		if p.V.IsNull() {
			continue
		}
		more := pageLines(p)
		for _, l := range more {
			size += len(l.text)
		}
		if size > maxText {
			return nil, faulty("more than %d MB of text: cut the document into parts", maxText>>20)
		}
		lines = append(append(lines, more...), pdfLine{page: true})
	}
	if size == 0 || !hasWords(joinLines(lines)) {
		return nil, faulty("the PDF has no text in its %d pages: a scan, it seems. Make its text readable (OCR) first", n)
	}
	return pdfBlocks(lines), nil
}

// pdfBody is a file as its reader wants it: from its header, with a version
// that it knows, to its end mark.
func pdfBody(data []byte) ([]byte, error) {
	start := bytes.Index(data[:min(len(data), 1024)], []byte("%PDF-"))
	if start < 0 {
		return nil, faulty("the file is no PDF")
	}
	data = data[start:]
	end := bytes.LastIndex(data, []byte("%%EOF"))
	if end < 0 {
		return nil, faulty("the PDF is broken: its end is missing")
	}
	const header = "%PDF-1.7\n"
	data = bytes.Clone(data[:end+len("%%EOF")])
	if len(data) > len(header) {
		copy(data, header)
	}
	return data, nil
}

// pdfBlocks tells headings by the size of their letters, and paragraphs by the
// space between lines.
func pdfBlocks(lines []pdfLine) []Block {
	letters := map[float64]int{}
	for _, l := range lines {
		letters[round(l.size)] += len(l.text)
	}
	body, most := 0.0, 0
	for s, n := range letters {
		if n > most || n == most && s < body {
			body, most = s, n
		}
	}
	var out []Block
	var last pdfLine
	for _, l := range lines {
		if l.page {
			last = pdfLine{}
			continue
		}
		level := 0
		if words := len(strings.Fields(l.text)); words <= 15 {
			switch size := round(l.size); {
			case size >= body*1.5:
				level = 1
			case size >= body*1.15:
				level = 2
			}
		}
		i := len(out) - 1
		gap := last.y - l.y
		switch {
		case i >= 0 && level == 0 && out[i].Level == 0 && last.text != "" && gap > 0 && gap < 1.8*l.size:
			out[i].Text = joinWrapped(out[i].Text, l.text)
		case i >= 0 && level > 0 && out[i].Level == level && last.text != "" && gap > 0 && gap < 1.8*l.size:
			out[i].Text += " " + l.text
		default:
			out = append(out, Block{Level: level, Text: l.text})
		}
		last = l
	}
	return out
}

// joinWrapped puts a line behind another; a word that was parted is whole again.
func joinWrapped(a, b string) string {
	if head, ok := strings.CutSuffix(a, "-"); ok && b != "" && b[0] >= 'a' && b[0] <= 'z' {
		return head + b
	}
	return a + "\n" + b
}

func round(f float64) float64 { return float64(int(f*2+0.5)) / 2 }

func abs(f float64) float64 { return max(f, -f) }
