package knowledge

import (
	"bytes"
	"context"
	"fmt"
	"mime"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Type is the form of a file.
type Type string

// The forms that are read.
const (
	Text     Type = "txt"
	Markdown Type = "md"
	HTML     Type = "html"
	PDF      Type = "pdf"
	DOCX     Type = "docx"
)

// Bounds of a file.
const (
	MaxFile = 20 << 20 // bytes of a file
	maxText = 4 << 20  // bytes of its text: about 1,000 pages
	maxName = 255      // characters of its name
)

// Block is a paragraph, a list, a table: text that is not cut in two if it can
// be helped. One with a Level is a heading, 1 to 6.
type Block struct {
	Level int    `json:"level,omitempty"`
	Text  string `json:"text"`
}

// FileError tells what is wrong with a file, for its owner.
type FileError struct {
	Name string
	What string
}

func (e *FileError) Error() string {
	if e.Name == "" {
		return e.What
	}
	return e.Name + ": " + e.What
}

func faulty(format string, args ...any) error { return &FileError{What: fmt.Sprintf(format, args...)} }

var (
	endings = map[string]Type{
		".txt": Text, ".text": Text, ".md": Markdown, ".markdown": Markdown, ".html": HTML, ".htm": HTML,
		".xhtml": HTML, ".pdf": PDF, ".docx": DOCX,
	}
	mediaTypes = map[string]Type{
		"text/plain": Text, "text/markdown": Markdown, "text/html": HTML, "application/xhtml+xml": HTML,
		"application/pdf": PDF,
		"application/vnd.openxmlformats-officedocument.wordprocessingml.document": DOCX,
	}
)

// Endings are those of the files that are read.
func Endings() []string {
	var out []string
	for e := range endings {
		out = append(out, e)
	}
	slices.Sort(out)
	return out
}

// TypeOf is the form of a file by its name, else by its media type, "" for one
// that is not read.
func TypeOf(name, mediaType string) Type {
	if t, ok := endings[strings.ToLower(filepath.Ext(name))]; ok {
		return t
	}
	if m, _, err := mime.ParseMediaType(mediaType); err == nil {
		return mediaTypes[m]
	}
	return ""
}

// checkFile says what is wrong with a file before it is read.
func checkFile(name string, t Type, data []byte) error {
	switch {
	case name == "" || utf8.RuneCountInString(name) > maxName || !utf8.ValidString(name) ||
		strings.ContainsFunc(name, isControl):
		return faulty("a document needs a name of 1 to %d characters", maxName)
	case t == "":
		return faulty("this form is not read: send txt, md, html, pdf or docx")
	case len(data) == 0:
		return faulty("the file is empty")
	case len(data) > MaxFile:
		return faulty("the file has %d MB, %d are the most: cut it into parts", len(data)>>20, MaxFile>>20)
	}
	return nil
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

// Load reads a file in this process: its text in blocks. The error is a
// *FileError where the file is at fault.
func Load(ctx context.Context, t Type, data []byte) (blocks []Block, err error) {
	defer func() { // the readers of forms were not all made for files of strangers
		if v := recover(); v != nil {
			blocks, err = nil, faulty("the file is broken: %v", v)
		}
	}()
	if err := checkFile("file", t, data); err != nil {
		return nil, err
	}
	switch t {
	case Text:
		blocks, err = loadText(data)
	case Markdown:
		blocks, err = loadMarkdown(data)
	case HTML:
		blocks, err = loadHTML(data)
	case PDF:
		blocks, err = loadPDF(ctx, data)
	case DOCX:
		blocks, err = loadDOCX(data)
	default:
		err = faulty("this form is not read: %s", t)
	}
	if err != nil {
		return nil, err
	}
	return tidy(blocks)
}

// tidy takes out what is no text: control characters, runs of spaces, empty
// blocks.
func tidy(blocks []Block) ([]Block, error) {
	out, size := blocks[:0], 0
	for _, b := range blocks {
		lines := strings.Split(strings.ToValidUTF8(b.Text, ""), "\n")
		keep := lines[:0]
		for _, l := range lines {
			l = strings.Join(strings.FieldsFunc(l, func(r rune) bool {
				return r <= ' ' || r == 0x7f || r == 0xa0 || r == 0xad || r == 0xfeff || r == 0x200b
			}), " ")
			if l != "" {
				keep = append(keep, l)
			}
		}
		if b.Text = strings.Join(keep, "\n"); b.Text == "" {
			continue
		}
		if b.Level > 0 {
			b.Text = strings.ReplaceAll(b.Text, "\n", " ")
		}
		if size += len(b.Text); size > maxText {
			return nil, faulty("more than %d MB of text: cut the document into parts", maxText>>20)
		}
		out = append(out, b)
	}
	if !slices.ContainsFunc(out, func(b Block) bool { return hasWords(b.Text) }) {
		return nil, errNoText
	}
	return out, nil
}

var errNoText = &FileError{What: "there is no text in the file"}

// loadText reads paragraphs, parted by empty lines.
func loadText(data []byte) ([]Block, error) {
	s, err := decodeText(data)
	if err != nil {
		return nil, err
	}
	var out []Block
	for p := range strings.SplitSeq(strings.ReplaceAll(s, "\r", ""), "\n\n") {
		out = append(out, Block{Text: p})
	}
	return out, nil
}

// decodeText takes UTF-8, UTF-16 with its mark, and Windows-1252, which is
// what older programs write.
func decodeText(data []byte) (string, error) {
	switch {
	case bytes.HasPrefix(data, []byte{0xff, 0xfe}), bytes.HasPrefix(data, []byte{0xfe, 0xff}):
		big := data[0] == 0xfe
		var u []uint16
		for i := 2; i+1 < len(data); i += 2 {
			if big {
				u = append(u, uint16(data[i])<<8|uint16(data[i+1]))
			} else {
				u = append(u, uint16(data[i+1])<<8|uint16(data[i]))
			}
		}
		return string(utf16.Decode(u)), nil
	case bytes.IndexByte(data, 0) >= 0:
		return "", faulty("the file is no text: it has zero bytes")
	case utf8.Valid(data):
		return strings.TrimPrefix(string(data), "\ufeff"), nil
	}
	return fromWindows1252(data)
}
