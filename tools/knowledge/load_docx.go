package knowledge

import (
	"archive/zip"
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strconv"
	"strings"
)

// maxPart is how far one part of a docx may unfold, bytes: a few bytes of zip
// can stand for gigabytes.
const maxPart = 32 << 20

// maxDepth is how deep elements of a docx may be nested.
const maxDepth = 200

var errTooFar = errors.New("too far")

// loadDOCX reads the paragraphs, headings and tables of a Word file: the zip
// part word/document.xml (ECMA-376), with the heading styles of
// word/styles.xml.
func loadDOCX(data []byte) ([]Block, error) {
	if bytes.HasPrefix(data, []byte{0xd0, 0xcf, 0x11, 0xe0}) { // how Word keeps older and encrypted files
		return nil, faulty("an old .doc file, or one with a password: save it as .docx without a password")
	}
	z, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return nil, faulty("the file is no docx: %v", err)
	}
	levels := map[string]int{}
	if styles, err := part(z, "word/styles.xml"); err == nil {
		levels = headingStyles(styles)
	} else if errors.Is(err, errTooFar) {
		return nil, faulty("the file unfolds to more than %d MB", maxPart>>20)
	}
	body, err := part(z, "word/document.xml")
	switch {
	case errors.Is(err, errTooFar):
		return nil, faulty("the file unfolds to more than %d MB", maxPart>>20)
	case err != nil:
		return nil, faulty("the file is no docx: it has no readable word/document.xml")
	}
	return docxBlocks(body, levels)
}

// part is one file of the zip.
func part(z *zip.Reader, name string) ([]byte, error) {
	f, err := z.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // read only
	b, err := io.ReadAll(io.LimitReader(f, maxPart+1))
	if err == nil && len(b) > maxPart {
		err = errTooFar
	}
	return b, err
}

// headingStyles are the levels of styles by id. The names of built-in styles
// are English in every language: "heading 1"; others have an outline level.
func headingStyles(text []byte) map[string]int {
	var doc struct {
		Styles []struct {
			ID   string `xml:"styleId,attr"`
			Name struct {
				Val string `xml:"val,attr"`
			} `xml:"name"`
			Outline *struct {
				Val int `xml:"val,attr"`
			} `xml:"pPr>outlineLvl"`
		} `xml:"style"`
	}
	out := map[string]int{}
	if xml.Unmarshal(text, &doc) != nil {
		return out // headings are then paragraphs
	}
	for _, s := range doc.Styles {
		name := strings.ToLower(s.Name.Val)
		n, err := strconv.Atoi(strings.TrimPrefix(name, "heading "))
		switch {
		case name == "title":
			out[s.ID] = 1
		case err == nil && n >= 1 && n <= 6:
			out[s.ID] = n
		case s.Outline != nil && s.Outline.Val >= 0 && s.Outline.Val < 6:
			out[s.ID] = s.Outline.Val + 1
		}
	}
	return out
}

// docxBlocks walks the document: a paragraph is a block, the row of a table a
// line of one.
func docxBlocks(text []byte, levels map[string]int) ([]Block, error) {
	var (
		out    []Block
		para   strings.Builder
		cells  []string
		lines  []string
		level  int
		tables int // how deep in tables
		depth  int
		skip   int // depth of an element that is left out
		size   int
	)
	attr := func(e xml.StartElement, name string) string {
		for _, a := range e.Attr {
			if a.Name.Local == name {
				return a.Value
			}
		}
		return ""
	}
	d := xml.NewDecoder(bytes.NewReader(text))
	for {
		tok, err := d.RawToken()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, faulty("the file is broken: %v", err)
		}
		switch e := tok.(type) {
		case xml.StartElement:
			if depth++; depth > maxDepth {
				return nil, faulty("the file is broken: more than %d elements in each other", maxDepth)
			}
			if skip > 0 {
				break
			}
			switch e.Name.Local {
			case "p":
				if tables == 0 {
					para.Reset()
					level = 0
				}
			case "pStyle":
				level = levels[attr(e, "val")]
			case "outlineLvl":
				if n, err := strconv.Atoi(attr(e, "val")); err == nil && n >= 0 && n < 6 {
					level = n + 1
				}
			case "tab":
				para.WriteByte(' ')
			case "br", "cr":
				para.WriteByte('\n')
			case "tbl":
				if tables++; tables == 1 {
					lines = nil
				}
			case "tr":
				cells = nil
			case "tc":
				para.Reset()
			case "del", "instrText", "delText", "Fallback":
				skip = depth
			}
		case xml.EndElement:
			if depth == skip {
				skip = 0
			}
			depth--
			if skip > 0 {
				break
			}
			switch e.Name.Local {
			case "p":
				if tables > 0 {
					para.WriteByte(' ')
					break
				}
				out = append(out, Block{Level: level, Text: para.String()})
				para.Reset()
			case "tc":
				if s := strings.TrimSpace(para.String()); s != "" {
					cells = append(cells, strings.ReplaceAll(s, "\n", " "))
				}
				para.Reset()
			case "tr":
				if len(cells) > 0 {
					lines = append(lines, strings.Join(cells, ", "))
				}
				cells = nil
			case "tbl":
				if tables--; tables == 0 {
					out = append(out, Block{Text: strings.Join(lines, "\n")})
				}
			}
		case xml.CharData:
			if skip == 0 {
				if size += len(e); size > maxText {
					return nil, faulty("more than %d MB of text: cut the document into parts", maxText>>20)
				}
				para.Write(e)
			}
		}
	}
	return out, nil
}
