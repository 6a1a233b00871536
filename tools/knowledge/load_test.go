package knowledge

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// TestMain lets the test binary be the reader of files, as the program is.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "read-document" {
		if os.Args[2] == "html" { // a reader that hangs, or eats memory
			misbehave()
		}
		if err := ReadFile(context.Background(), Type(os.Args[2]), os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func misbehave() {
	if err := limitMemory(256 << 20); err != nil {
		os.Exit(3)
	}
	var held [][]byte
	for {
		b := make([]byte, 16<<20)
		for i := range b {
			b[i] = 1
		}
		held = append(held, b)
		if len(held) > 200 {
			os.Exit(0) // it was not held back
		}
	}
}

// docx is a Word file of a body and styles.
func docx(t testing.TB, parts map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for name, text := range parts {
		w, err := z.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

const (
	wordStyles = `<w:styles xmlns:w="w"><w:style w:styleId="berschrift1"><w:name w:val="heading 1"/></w:style>` +
		`<w:style w:styleId="Kapitel"><w:name w:val="Kapitel"/><w:pPr><w:outlineLvl w:val="1"/></w:pPr></w:style></w:styles>`
	wordBody = `<w:document xmlns:w="w"><w:body>` +
		`<w:p><w:pPr><w:pStyle w:val="berschrift1"/></w:pPr><w:r><w:t>Preise</w:t></w:r></w:p>` +
		`<w:p><w:pPr><w:pStyle w:val="Kapitel"/></w:pPr><w:r><w:t>Reparatur</w:t></w:r></w:p>` +
		`<w:p><w:r><w:t xml:space="preserve">Eine Stunde </w:t></w:r><w:del><w:r><w:delText>90</w:delText><w:t>90</w:t></w:r></w:del>` +
		`<w:r><w:t>80 Euro &amp; mehr</w:t><w:br/><w:t>ohne Teile</w:t></w:r></w:p>` +
		`<w:tbl><w:tr><w:tc><w:p><w:r><w:t>Schlauch</w:t></w:r></w:p></w:tc><w:tc><w:p><w:r><w:t>15</w:t></w:r></w:p></w:tc></w:tr>` +
		`</w:tbl></w:body></w:document>`
)

// pdfOf writes a PDF of one page whose objects are given, with a right table.
func pdfOf(trailer string, objects ...string) []byte {
	var b bytes.Buffer
	b.WriteString("%PDF-1.4\n")
	var at []int
	for i, o := range objects {
		at = append(at, b.Len())
		fmt.Fprintf(&b, "%d 0 obj\n%s\nendobj\n", i+1, o)
	}
	x := b.Len()
	fmt.Fprintf(&b, "xref\n0 %d\n0000000000 65535 f \n", len(objects)+1)
	for _, a := range at {
		fmt.Fprintf(&b, "%010d 00000 n \n", a)
	}
	fmt.Fprintf(&b, "trailer\n<< /Size %d /Root 1 0 R %s >>\nstartxref\n%d\n%%%%EOF\n", len(objects)+1, trailer, x)
	return b.Bytes()
}

func stream(s string) string {
	return fmt.Sprintf("<< /Length %d >>\nstream\n%s\nendstream", len(s), s)
}

func page(content string) []string {
	return []string{
		"<< /Type /Catalog /Pages 2 0 R >>",
		"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
		"<< /Type /Page /Parent 2 0 R /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>",
		stream(content),
		"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
	}
}

func TestFilesBecomeTextWithHeadings(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		t    Type
		data string
		want string
	}{
		{"paragraphs of a text", Text, "One line\r\nand more.\r\n\r\nTwo.", "0 One line/and more. | 0 Two."},
		{"UTF-16 with its mark", Text, "\xff\xfeG\x00r\x00\xfc\x00n\x00", "0 Grün"},
		{"Windows-1252", Text, "Gr\xfcn", "0 Grün"},
		{
			"Markdown", Markdown, "---\ntitle: x\n---\n# Price *list*\n\nPaid by [card](http://x) &amp; `cash`\\.\n\n- one\n- two\n\n" +
				"| Size | Price |\n|---|---|\n| big | 3 |\n\n## More\n\n```\ncode\n```\n<div>hidden</div>\n",
			"1 Price list | 0 Paid by card & cash. | 0 - one/- two | 0 Size: big, Price: 3 | 2 More | 0 code",
		},
		{
			"a page", HTML, "<html><head><title>x</title><style>p{}</style></head><body><nav>Menu</nav><h1>Hours</h1><p>Open&nbsp;<b>daily</b>" +
				"<script>evil()</script></p><h2>Sunday</h2><ul><li>closed</ul><footer>(c)</footer></body></html>",
			"1 Hours | 0 Open daily | 2 Sunday | 0 - closed",
		},
		{"a page in Latin-1", HTML, "<meta charset=iso-8859-1><p>Gr\xfcn</p>", "0 Grün"},
		{
			"Word", DOCX, string(docx(t, map[string]string{"word/document.xml": wordBody, "word/styles.xml": wordStyles})),
			"1 Preise | 2 Reparatur | 0 Eine Stunde 80 Euro & mehr/ohne Teile | 0 Schlauch, 15",
		},
		{
			"a PDF", PDF, string(pdfOf("", page("BT /F1 24 Tf 72 700 Td (Hours) Tj /F1 12 Tf 0 -40 Td (Open from nine) Tj 0 -14 Td (to five.) Tj ET")...)),
			"1 Hours | 0 Open from nine/to five.",
		},
		{
			"a PDF with letters set one by one", PDF, string(pdfOf("", page("q 2 0 0 2 0 0 cm BT /F1 6 Tf 1 0 0 1 36 350 Tm "+
				"[(Op) 20 (en) -400 (daily)] TJ 14 TL T* (from nine.) Tj (x) ' Q ET Tj")...)),
			"0 Open daily | 0 from nine. | 0 x",
		},
	} {
		blocks, err := Load(t.Context(), c.t, []byte(c.data))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		var parts []string
		for _, b := range blocks {
			parts = append(parts, fmt.Sprintf("%d %s", b.Level, strings.ReplaceAll(b.Text, "\n", "/")))
		}
		got := strings.Join(parts, " | ")
		if got != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", c.name, got, c.want)
		}
	}
}

// SEC-12: a file from outside is read within bounds, or refused with a reason.
func TestFilesThatCannotBeReadSayWhy(t *testing.T) {
	t.Parallel()
	bomb := docx(t, map[string]string{"word/document.xml": "<a>" + strings.Repeat("<b/>", maxPart/4)})
	for _, c := range []struct {
		name string
		t    Type
		data []byte
		want string
	}{
		{"empty text", Text, []byte(" \n\n"), "no text"},
		{"a program", Text, []byte("ELF\x00\x00"), "zero bytes"},
		{"a page of scripts", HTML, []byte("<script>x</script>"), "no text"},
		{"no zip", DOCX, []byte("hello"), "no docx"},
		{"an old Word file", DOCX, []byte("\xd0\xcf\x11\xe0xxxx"), "save it as .docx"},
		{"a zip of something else", DOCX, docx(t, map[string]string{"a": "b"}), "word/document.xml"},
		{"a zip bomb", DOCX, bomb, "unfolds to more than"},
		{"broken XML", DOCX, docx(t, map[string]string{"word/document.xml": "<a><b"}), "broken"},
		{"XML without an end", DOCX, docx(t, map[string]string{"word/document.xml": strings.Repeat("<w:p>", 1000)}), "in each other"},
		{"no PDF", PDF, []byte("hello"), "no PDF"},
		{"half a PDF", PDF, pdfOf("", page("BT ET")...)[:200], "end is missing"},
		{"a scan", PDF, pdfOf("", page("q 600 0 0 800 0 0 cm /Im1 Do Q")...), "OCR"},
		{
			"an encrypted PDF", PDF, pdfOf("/ID [<00112233445566778899aabbccddeeff><00112233445566778899aabbccddeeff>] /Encrypt << /Filter "+
				"/Standard /V 1 /R 2 /P -4 /O <"+strings.Repeat("ab", 32)+"> /U <"+strings.Repeat("cd", 32)+"> >>", page("BT ET")...),
			"encrypted",
		},
		{
			"a PDF that claims a billion objects", PDF,
			bytes.Replace(pdfOf("", page("BT ET")...), []byte("/Size 6"), []byte("/Size 1000000000"), 1), "objects",
		},
		{"a PDF whose pages are in a ring", PDF, pdfOf("", "<< /Type /Catalog /Pages 2 0 R >>", "<< /Type /Pages /Kids [2 0 R] /Count 9 >>"), ""},
		{"a form that is not read", TypeOf("a.xls", "application/vnd.ms-excel"), []byte("x"), "send txt, md, html, pdf or docx"},
		{"too large", Text, make([]byte, MaxFile+1), "the most"},
		{"too much text", Text, bytes.Repeat([]byte("word "), maxText/4), "cut the document"},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		err := checkFile("x", c.t, c.data)
		var blocks []Block
		if err == nil {
			blocks, err = Load(ctx, c.t, c.data)
		}
		cancel()
		var f *FileError
		switch {
		case err == nil:
			t.Errorf("%s: was read: %v", c.name, blocks)
		case !errors.As(err, &f):
			t.Errorf("%s: %v is no fault of a file", c.name, err)
		case !strings.Contains(err.Error(), c.want):
			t.Errorf("%s: %q does not say %q", c.name, err, c.want)
		}
	}
}

// A page that unfolds without end ends with the time that it has.
func TestAPDFBombEndsInTime(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := Load(ctx, PDF, pdfOf("", page("BT (x) Tj ET")...))
	if err == nil || !strings.Contains(err.Error(), "too long") {
		t.Errorf("got %v", err)
	}
}

// A reader of its own gives the same, and what it does to itself stays there.
func TestFilesAreReadInAProcessOfTheirOwn(t *testing.T) {
	t.Parallel()
	l, err := New(Config{Store: newMemory(), Reader: []string{os.Args[0], "read-document"}})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	data := pdfOf("", page("BT /F1 12 Tf 72 700 Td (Open from nine) Tj ET")...)
	here, err := Load(t.Context(), PDF, data)
	if err != nil {
		t.Fatal(err)
	}
	there, err := l.read(t.Context(), PDF, data)
	if err != nil || fmt.Sprint(there) != fmt.Sprint(here) {
		t.Errorf("got %v, %v; want %v", there, err, here)
	}
	var f *FileError
	_, err = l.Add(t.Context(), "a", "x.docx", "", []byte("hello"))
	if !errors.As(err, &f) || !strings.HasPrefix(err.Error(), "x.docx: the file is no docx") {
		t.Errorf("a broken file: %v", err)
	}
	_, err = l.Add(t.Context(), "a", "x.html", "", []byte("<p>eats memory</p>"))
	if !errors.As(err, &f) || !strings.Contains(err.Error(), "its reader broke") {
		t.Errorf("a reader that eats memory: %v", err)
	}
}

func fuzzLoad(f *testing.F, t Type) {
	f.Fuzz(func(test *testing.T, data []byte) {
		if len(data) > 64<<10 {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		blocks, err := Load(ctx, t, data)
		if err != nil {
			return
		}
		for _, c := range Split(blocks) {
			if c.Text == "" || tokens(c.Text) > 2*maxTokens {
				test.Errorf("a passage of %d tokens", tokens(c.Text))
			}
		}
	})
}

func FuzzLoadText(f *testing.F) {
	f.Add([]byte("One.\n\nTwo."))
	f.Add([]byte("\xfe\xff\x00a"))
	fuzzLoad(f, Text)
}

func FuzzLoadMarkdown(f *testing.F) {
	f.Add([]byte("# A\n\nb *c*\n\n- d\n\n|a|b|\n|-|-|\n|1|2|\n"))
	fuzzLoad(f, Markdown)
}

func FuzzLoadHTML(f *testing.F) {
	f.Add([]byte("<h1>A</h1><p>b<table><tr><td>1</table>"))
	fuzzLoad(f, HTML)
}

func FuzzLoadDOCX(f *testing.F) {
	f.Add(docx(f, map[string]string{"word/document.xml": wordBody, "word/styles.xml": wordStyles}))
	fuzzLoad(f, DOCX)
}

func FuzzLoadPDF(f *testing.F) {
	f.Add(pdfOf("", page("BT /F1 24 Tf 72 700 Td (Hours) Tj ET")...))
	fuzzLoad(f, PDF)
}
