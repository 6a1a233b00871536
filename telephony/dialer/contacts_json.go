package dialer

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// json reads an array of objects, or an object a line.
func (im *importer) json(text *bufio.Reader, give func(Row, *Refusal) bool) {
	first, err := firstByte(text)
	switch {
	case errors.Is(err, io.EOF):
		give(Row{}, &Refusal{Line: 1, Why: "the file is empty", Final: true})
	case err != nil:
		give(Row{}, broken(1, err))
	case first == '[':
		im.array(text, give)
	default:
		im.lines(text, give)
	}
}

// array reads an array of objects.
func (im *importer) array(text io.Reader, give func(Row, *Refusal) bool) {
	lines := &places{r: text}
	d := json.NewDecoder(lines)
	fail := func(err error) {
		line, col := lines.at(d.InputOffset())
		var syntax *json.SyntaxError
		switch {
		case errors.As(err, &syntax):
			line, col = lines.at(wrong(syntax, d))
			give(Row{}, &Refusal{Line: line, Column: col, Why: "is no JSON: " + err.Error(), Final: true})
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			give(Row{}, &Refusal{Line: line, Column: col, Why: "the array does not end", Final: true})
		default:
			give(Row{}, broken(line, err))
		}
	}
	if _, err := d.Token(); err != nil {
		fail(err)
		return
	}
	for d.More() {
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			fail(err)
			return
		}
		line, col := lines.at(d.InputOffset() - int64(len(raw)))
		if !give(im.object(raw, line, col)) {
			return
		}
	}
	if _, err := d.Token(); err != nil {
		fail(err)
		return
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		line, _ := lines.at(d.InputOffset())
		give(Row{}, &Refusal{Line: line, Why: "there is more after the end of the array", Final: true})
	}
}

// wrong is the offset of the byte that is no JSON. The decoder counts it in
// where it scans a value, and not where it looks for a token.
func wrong(err *json.SyntaxError, d *json.Decoder) int64 {
	if err.Offset == d.InputOffset() {
		return err.Offset
	}
	return err.Offset - 1
}

// lines reads an object a line.
func (im *importer) lines(text *bufio.Reader, give func(Row, *Refusal) bool) {
	var long []byte
	for n := 1; ; n++ {
		long = long[:0]
		var err error
		for {
			var part []byte
			part, err = text.ReadSlice('\n')
			long = append(long, part...)
			if !errors.Is(err, bufio.ErrBufferFull) {
				break
			}
		}
		if err != nil && !errors.Is(err, io.EOF) {
			give(Row{}, broken(n, err))
			return
		}
		line := bytes.TrimRight(long, " \t\r\n")
		if from := len(line) - len(bytes.TrimLeft(line, " \t")); from < len(line) {
			row, no := im.object(line[from:], n, from+1)
			if no != nil && im.taken == 0 && !json.Valid(line) {
				no.Why, no.Final = "is no whole object: write an object a line, or an array of them", true
			}
			im.taken++
			if !give(row, no) {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// object reads a contact from an object that begins at a place.
func (im *importer) object(raw []byte, line, col int) (Row, *Refusal) {
	place := func(offset int64) (l, c int) {
		before := raw[:max(0, min(offset, int64(len(raw))))]
		if last := bytes.LastIndexByte(before, '\n'); last >= 0 {
			return line + bytes.Count(before, []byte{'\n'}), len(before) - last
		}
		return line, col + len(before)
	}
	if len(raw) > mostRow {
		return Row{}, &Refusal{Line: line, Column: col, Why: fmt.Sprintf("is longer than %d KiB", mostRow>>10)}
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	cells, err := im.cells(d, nil, "")
	if err == nil {
		if _, more := d.Token(); !errors.Is(more, io.EOF) {
			err = &Refusal{Why: "there is more after the object", Column: int(d.InputOffset())}
		}
	}
	if err != nil {
		var no *Refusal
		if errors.As(err, &no) {
			no.Line, no.Column = place(int64(no.Column))
			return Row{}, no
		}
		var syntax *json.SyntaxError
		offset := d.InputOffset()
		if errors.As(err, &syntax) {
			offset = wrong(syntax, d)
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			err = errors.New("it does not end")
		}
		l, c := place(offset)
		return Row{}, &Refusal{Line: l, Column: c, Why: "is no JSON: " + err.Error()}
	}
	row, no := im.row(line, cells)
	if no != nil && no.Column > 0 {
		no.Line, no.Column = place(int64(no.Column - 1))
	}
	return row, no
}

// cells reads the pairs of an object. of is the key it stands behind, "" for the
// contact itself. A *Refusal counts bytes of the object.
func (im *importer) cells(d *json.Decoder, cells []cell, of string) ([]cell, error) {
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	if t != json.Delim('{') {
		at := 0
		if of != "" {
			at = int(d.InputOffset()) - 1
		}
		return nil, &Refusal{Column: at, Field: of, Why: "is no object"}
	}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, err
		}
		key, _ := t.(string)
		at := max(0, int(d.InputOffset())-len(key)-2) // of the key, as far as it is written plainly
		refuse := func(why string) ([]cell, error) {
			return nil, &Refusal{Column: at, Field: key, Why: why}
		}
		if fold(key) == "variables" && of == "" {
			if cells, err = im.cells(d, cells, key); err != nil {
				return nil, err
			}
			continue
		}
		k, err := im.key(key, of != "")
		if err != nil {
			return refuse(err.Error())
		}
		v, err := d.Token()
		if err != nil {
			return nil, err
		}
		if _, nested := v.(json.Delim); nested {
			return refuse("is no plain value: write a text, a number, true or false")
		}
		for _, c := range cells {
			if c.part != partNone && c.part == k.part || c.takes != nil && k.takes != nil && c.takes.Name == k.takes.Name {
				return refuse("is there twice, as " + c.name)
			}
		}
		if len(cells) >= mostColumns {
			return refuse(fmt.Sprintf("there are more than %d values", mostColumns))
		}
		cells = append(cells, cell{column: k, value: v, at: at + 1})
	}
	_, err = d.Token()
	return cells, err
}

// key is what a key of an object is for. One of its variables is nothing else.
func (im *importer) key(name string, variable bool) (column, error) {
	if k, ok := im.keys[name]; ok && !variable {
		return k, nil
	}
	k, err := im.columnOf(name)
	if err == nil && variable && k.part != partNone {
		k.part = partNone
		if k.takes == nil {
			k.takes = &Variable{Name: variableName(name), Type: "string"}
		}
	}
	if err == nil && !variable && len(im.keys) < mostColumns {
		im.keys[name] = k
	}
	return k, err
}

// places finds lines and columns of what a reader has read, in its order.
type places struct {
	r     io.Reader
	read  int64   // bytes
	ends  []int64 // offsets behind newlines that were not asked for yet
	line  int     // newlines before those
	start int64   // offset where that line begins
}

func (p *places) Read(b []byte) (int, error) {
	n, err := p.r.Read(b)
	for i, c := range b[:n] {
		if c == '\n' {
			p.ends = append(p.ends, p.read+int64(i)+1)
		}
	}
	p.read += int64(n)
	return n, err
}

// at is where an offset is. Offsets are asked for in their order.
func (p *places) at(offset int64) (line, col int) {
	n := 0
	for n < len(p.ends) && p.ends[n] <= offset {
		n++
	}
	if n > 0 {
		p.line, p.start = p.line+n, p.ends[n-1]
		p.ends = append(p.ends[:0], p.ends[n:]...)
	}
	return p.line + 1, int(offset-p.start) + 1
}
