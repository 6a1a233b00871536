package dialer

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"
)

// separators of columns; where none is in the header, there is one column.
const separators = ",;\t|"

// csv reads a header row and a contact a row.
func (im *importer) csv(text *bufio.Reader, give func(Row, *Refusal) bool) {
	comma, skipped, err := separator(text)
	if err != nil {
		give(Row{}, broken(1, err))
		return
	}
	r := csv.NewReader(text)
	r.Comma, r.FieldsPerRecord, r.ReuseRecord = comma, -1, true
	header, err := r.Read()
	if err != nil {
		give(Row{}, im.unread(err, skipped, true))
		return
	}
	columns, no := im.header(header)
	if no != nil {
		line, col := r.FieldPos(no.Column)
		no.Line, no.Column = line+skipped, col
		give(Row{}, no)
		return
	}
	cells := make([]cell, 0, len(columns))
	for {
		record, err := r.Read()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			if !give(Row{}, im.unread(err, skipped, false)) {
				return
			}
			continue
		}
		line, _ := r.FieldPos(0)
		line += skipped
		if len(record) > len(columns) {
			_, col := r.FieldPos(len(columns))
			why := fmt.Sprintf("has %d values for %d columns: a value with the separator in it needs quotes", len(record),
				len(columns))
			if !give(Row{}, &Refusal{Line: line, Column: col, Why: why}) {
				return
			}
			continue
		}
		cells = cells[:0]
		for i, v := range record {
			if k := columns[i]; k.part != partNone || k.takes != nil {
				_, col := r.FieldPos(i)
				cells = append(cells, cell{column: k, value: v, at: col})
			}
		}
		if !give(im.row(line, cells)) {
			return
		}
	}
}

// header is what the columns are for. A refusal counts columns from 0.
func (im *importer) header(names []string) ([]column, *Refusal) {
	if len(names) > mostColumns {
		return nil, &Refusal{Column: mostColumns, Why: fmt.Sprintf("there are %d columns, at most %d", len(names),
			mostColumns), Final: true}
	}
	columns := make([]column, len(names))
	has := map[string]int{}
	numbers := 0
	for i, name := range names {
		name = strings.TrimSpace(strings.Clone(name))
		refuse := func(why string) ([]column, *Refusal) {
			return nil, &Refusal{Column: i, Field: name, Why: why, Final: true}
		}
		if why := unreadable(name); why != "" {
			return refuse(why)
		}
		if name == "" { // of columns that a spreadsheet adds
			continue
		}
		k, err := im.columnOf(name)
		if err != nil && i == 0 && len(strings.Trim(name, "+0123456789 ()-./")) == 0 {
			return refuse("there is no header: the first row has to name the columns, such as number,name,zone")
		}
		if err != nil {
			return refuse(err.Error())
		}
		if k.part == partNumber {
			numbers++
		}
		key := fmt.Sprint(k.part)
		if k.part == partNone {
			key = "variable " + k.takes.Name
		}
		if before, twice := has[key]; twice {
			return refuse(fmt.Sprintf("is for the same as column %d, %s: leave one of them out", before+1, names[before]))
		}
		has[key], columns[i] = i, k
	}
	if numbers == 0 {
		return nil, &Refusal{Why: "no column is named number or phone: the first row has to name the columns, " +
			"such as number,name,zone", Final: true}
	}
	return columns, nil
}

// unread is the refusal of what is no CSV. The reader goes on with the next line
// where it is a row's fault.
func (im *importer) unread(err error, skipped int, header bool) *Refusal {
	var pe *csv.ParseError
	if errors.As(err, &pe) {
		why := "a quote stands inside a value: write the whole value in quotes, and a quote in it twice"
		if errors.Is(err, csv.ErrQuote) {
			why = "a value in quotes does not end with one"
		}
		return &Refusal{Line: pe.Line + skipped, Column: pe.Column, Why: why, Final: header}
	}
	if errors.Is(err, io.EOF) {
		return &Refusal{Line: 1, Why: "the file is empty", Final: true}
	}
	return broken(0, err)
}

// separator looks at the first line, and skips one that only names it: "sep=;".
func separator(text *bufio.Reader) (comma rune, skipped int, err error) {
	line, err := text.Peek(text.Size())
	if len(line) == 0 {
		if errors.Is(err, io.EOF) {
			err = errors.New("the file is empty")
		}
		return 0, 0, err
	}
	first, _, _ := strings.Cut(string(line), "\n")
	if rest, ok := strings.CutPrefix(strings.TrimRight(first, "\r"), "sep="); ok && len(rest) == 1 &&
		strings.Contains(separators, rest) {
		_, err = text.Discard(min(len(first)+1, len(line)))
		return rune(rest[0]), 1, err
	}
	best := 0
	quoted := false
	count := map[rune]int{}
	comma = ','
	for _, c := range first {
		if c == '"' {
			quoted = !quoted
		}
		if quoted || !strings.ContainsRune(separators, c) {
			continue
		}
		if count[c]++; count[c] > best {
			best, comma = count[c], c
		}
	}
	return comma, 0, nil
}
