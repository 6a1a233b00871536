package dialer

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"iter"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	textunicode "golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// Bounds of a file of contacts.
const (
	mostRow      = 64 << 10  // bytes
	mostContacts = 1_000_000 // their numbers are kept to find those that come twice
	mostColumns  = 200
	mostPerson   = 200 // bytes of a name
	mostConsent  = 1000
)

// Format is how a file of contacts is written.
type Format string

// The formats.
const (
	FormatCSV  Format = "csv"  // a header row, then a row each; separated by comma, semicolon, tab or bar
	FormatJSON Format = "json" // an array of objects, or an object a line
)

// Row is a contact as a file has it: without id and state, which the ledger gives.
type Row struct {
	Line    int
	Contact Contact
}

// Refusal is a row that was not taken, and why.
type Refusal struct {
	Line   int
	Column int    // in bytes from 1, 0: the row as a whole
	Field  string // as the file names it, "" for the row as a whole
	Why    string
	Final  bool  // what comes after it is not read
	Err    error // of the reader, nil: the file itself is wrong
}

func (r *Refusal) Error() string {
	s := "line " + strconv.Itoa(r.Line)
	if r.Column > 0 {
		s += ", column " + strconv.Itoa(r.Column)
	}
	if r.Field != "" {
		s += " (" + r.Field + ")"
	}
	return s + ": " + r.Why
}

func (r *Refusal) Unwrap() error { return r.Err }

// ReadContacts reads the contacts of a campaign, one after the other: a row, or a
// refusal in its place. The first of a number is taken, what comes later is
// refused. A contact is number (or phone), name, zone, consent and record; every
// other column is a variable, of the type the campaign gives it, else a string.
// "" looks at the first byte for the format. Little more than a row, and the
// numbers that were read, is held in memory.
func ReadContacts(r io.Reader, f Format, c Campaign) iter.Seq2[Row, *Refusal] {
	return func(yield func(Row, *Refusal) bool) {
		limit := &limited{r: r}
		limit.row()
		text := bufio.NewReaderSize(transform.NewReader(limit, textunicode.BOMOverride(transform.Nop)), 4096)
		if f == "" {
			f = FormatCSV
			if b, _ := firstByte(text); b == '[' || b == '{' {
				f = FormatJSON
			}
		}
		im := &importer{c: c, seen: map[uint64]int{}, keys: map[string]column{}}
		give := func(row Row, no *Refusal) bool {
			limit.row()
			return yield(row, no) && (no == nil || !no.Final)
		}
		switch f {
		case FormatCSV:
			im.csv(text, give)
		case FormatJSON:
			im.json(text, give)
		default:
			give(Row{}, &Refusal{Line: 1, Why: fmt.Sprintf("%q is no format: write csv or json", f), Final: true})
		}
	}
}

// limited ends a reader with an error where no row ends.
type limited struct {
	r    io.Reader
	left int
}

// row allows for another row, and for what the readers above read ahead.
func (l *limited) row() { l.left = 4 * mostRow }

// errLong tells of a row that does not end.
var errLong = fmt.Errorf("no row ends within %d KiB: look for a quote that is not closed", 4*mostRow>>10)

func (l *limited) Read(b []byte) (int, error) {
	if l.left <= 0 {
		return 0, errLong
	}
	n, err := l.r.Read(b[:min(len(b), l.left)])
	l.left -= n
	return n, err
}

// firstByte is the first that is no space. It is not consumed.
func firstByte(r *bufio.Reader) (byte, error) {
	for n := 1; ; n++ {
		b, err := r.Peek(n)
		if len(b) < n {
			return 0, err
		}
		if !strings.ContainsRune(" \t\r\n", rune(b[n-1])) {
			return b[n-1], nil
		}
	}
}

// broken is the refusal of what cannot be read on.
func broken(line int, err error) *Refusal {
	return &Refusal{Line: line, Why: err.Error(), Final: true, Err: err}
}

// importer makes contacts of rows.
type importer struct {
	c     Campaign
	seen  map[uint64]int    // line of a number
	keys  map[string]column // of JSON objects
	taken int
}

// cell is a value of a row. It is nil, a bool, a string, or a number as text.
type cell struct {
	column
	value any
	at    int // column of the file
}

// column is what the values of a name are for.
type column struct {
	name  string // as the file has it
	part  part
	takes *Variable // the variable it fills, nil: none
}

// part is what a column tells of a contact.
type part int

const (
	partNone part = iota
	partNumber
	partName
	partZone
	partConsent
	partRecord
)

// parts are the names of columns that are no variables, without case and
// separators.
var parts = map[string]part{
	"number": partNumber, "phone": partNumber, "phonenumber": partNumber, "telephone": partNumber, "mobile": partNumber,
	"tel": partNumber, "name": partName, "fullname": partName, "zone": partZone, "timezone": partZone, "tz": partZone,
	"consent": partConsent, "record": partRecord, "recording": partRecord, "recordconsent": partRecord,
}

// fold is a name of a column as names are compared.
func fold(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '_' || r == '-' || unicode.IsSpace(r) {
			return -1
		}
		return unicode.ToLower(r)
	}, s)
}

// columnOf is what a column is for. One that is named like a variable of the
// campaign fills it as well.
func (im *importer) columnOf(name string) (column, error) {
	k := column{name: name, part: parts[fold(name)]}
	for i, v := range im.c.Variables {
		if v.Name == name || k.takes == nil && fold(v.Name) == fold(name) {
			k.takes = &im.c.Variables[i]
		}
	}
	if k.part == partNone && k.takes == nil {
		plain := variableName(name)
		if !isName(plain) {
			return k, fmt.Errorf("%q cannot be the name of a variable: write letters, digits and _, a letter first", name)
		}
		k.takes = &Variable{Name: plain, Type: "string"}
	}
	return k, nil
}

// variableName is how prompts and tools name a column.
func variableName(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '-' || unicode.IsSpace(r) {
			return '_'
		}
		return unicode.ToLower(r)
	}, strings.TrimSpace(s))
}

// row makes a contact of the cells of a row.
func (im *importer) row(line int, cells []cell) (Row, *Refusal) {
	k := Contact{Variables: map[string]any{}}
	refuse := func(c cell, why string) (Row, *Refusal) {
		return Row{}, &Refusal{Line: line, Column: c.at, Field: c.name, Why: why}
	}
	var num cell
	for _, c := range cells {
		if s, ok := c.value.(string); ok {
			if why := unreadable(s); why != "" {
				return refuse(c, why)
			}
		}
		if err := k.take(c); err != nil {
			return refuse(c, err.Error())
		}
		if c.part == partNumber {
			num = c
		}
		if c.takes == nil {
			continue
		}
		v, err := c.takes.Read(c.value)
		if err != nil {
			return refuse(c, err.Error())
		}
		if v != nil {
			k.Variables[c.takes.Name] = v
		}
	}
	e164, err := Number(k.Number, im.c.Country)
	if err != nil {
		return refuse(num, err.Error())
	}
	k.Number = e164
	for _, v := range im.c.Variables {
		if _, there := k.Variables[v.Name]; v.Required && !there {
			return Row{}, &Refusal{Line: line, Field: v.Name, Why: "is missing: every contact of this campaign has to bring it"}
		}
	}
	digits, err := strconv.ParseUint(e164[1:], 10, 64)
	if err != nil { // E.164 has 15 digits at most
		return refuse(num, "it is longer than any number")
	}
	if before, twice := im.seen[digits]; twice {
		return refuse(num, fmt.Sprintf("is the number of line %d again", before))
	}
	if len(im.seen) >= mostContacts {
		return Row{}, &Refusal{
			Line: line, Why: fmt.Sprintf("a file may have %d contacts: split it", mostContacts),
			Final: true,
		}
	}
	im.seen[digits] = line
	return Row{Line: line, Contact: k}, nil
}

// take fills what a column tells of a contact.
func (k *Contact) take(c cell) error {
	text := strings.TrimSpace(textOf(c.value))
	switch c.part {
	case partNumber:
		k.Number = strings.TrimPrefix(text, "'") // as spreadsheets mark text
		if whole, rest, ok := strings.Cut(text, "."); ok && len(rest) <= 2 && strings.Trim(whole+rest, "0123456789") == "" {
			return errors.New("a spreadsheet has made a decimal of it: give its column the format text and export it again")
		}
	case partName:
		if k.Name = text; len(text) > mostPerson {
			return fmt.Errorf("is longer than %d bytes", mostPerson)
		}
	case partZone:
		if text == "" {
			return nil
		}
		if _, err := Zone(text); err != nil {
			return err
		}
		k.Zone = text
	case partConsent:
		if k.Consent = text; refuses[strings.ToLower(text)] {
			k.Consent = ""
		}
		if len(text) > mostConsent {
			return fmt.Errorf("is longer than %d bytes", mostConsent)
		}
	case partRecord:
		if text == "" {
			return nil
		}
		yes, err := boolean(text)
		if err != nil {
			return err
		}
		k.Record = yes
	}
	return nil
}

// refuses are words that tell of no consent.
var refuses = map[string]bool{
	"0": true, "no": true, "n": true, "false": true, "none": true, "null": true, "n/a": true, "na": true, "-": true,
	"nein": true, "non": true, "nee": true, "não": true, "nao": true, "keine": true, "denied": true, "refused": true,
	"revoked":   true,
	"withdrawn": true, "opt-out": true, "optout": true, "opted out": true,
}

// unreadable says what is wrong with a text, "" for nothing.
func unreadable(s string) string {
	switch {
	case !utf8.ValidString(s), strings.ContainsRune(s, utf8.RuneError):
		return "is not UTF-8: save the file as CSV UTF-8"
	case strings.ContainsFunc(s, func(r rune) bool { return r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0x7f }):
		return "holds a control character"
	}
	return ""
}
