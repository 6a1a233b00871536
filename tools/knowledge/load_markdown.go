package knowledge

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/JohannesKaufmann/html-to-markdown/v2/converter"
	"github.com/JohannesKaufmann/html-to-markdown/v2/plugin/base"
	"github.com/JohannesKaufmann/html-to-markdown/v2/plugin/commonmark"
	"github.com/JohannesKaufmann/html-to-markdown/v2/plugin/table"
	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	extast "github.com/yuin/goldmark/extension/ast"
	"github.com/yuin/goldmark/text"
	"github.com/yuin/goldmark/util"
	"golang.org/x/net/html/charset"
	"golang.org/x/text/encoding/charmap"
)

// maxMarkup bounds what is read as markup, bytes: its readers take longer than
// in proportion to the size of some files.
const maxMarkup = 8 << 20

func fromWindows1252(data []byte) (string, error) {
	b, err := charmap.Windows1252.NewDecoder().Bytes(data)
	if err != nil {
		return "", faulty("the text is in no encoding that is known: save it as UTF-8")
	}
	return string(b), nil
}

// loadMarkdown reads headings and blocks; markup is left out.
func loadMarkdown(data []byte) ([]Block, error) {
	s, err := decodeText(data)
	if err != nil {
		return nil, err
	}
	if len(s) > maxMarkup {
		return nil, faulty("more than %d MB of Markdown: cut the document into parts", maxMarkup>>20)
	}
	src := []byte(frontMatter(s))
	md := goldmark.New(goldmark.WithExtensions(extension.Table, extension.Strikethrough))
	doc := md.Parser().Parse(text.NewReader(src))
	var out []Block
	err = ast.Walk(doc, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		switch n := n.(type) {
		case *ast.Heading:
			out = append(out, Block{Level: n.Level, Text: inline(n, src)})
		case *ast.Paragraph:
			out = append(out, Block{Text: inline(n, src)})
		case *ast.TextBlock:
			t := inline(n, src)
			if n.Parent() != nil && n.Parent().Kind() == ast.KindListItem && n.PreviousSibling() == nil {
				out = listItem(out, n.Parent(), "- "+t)
				break
			}
			out = append(out, Block{Text: t})
		case *ast.CodeBlock, *ast.FencedCodeBlock:
			out = append(out, Block{Text: string(n.Lines().Value(src))})
		case *ast.HTMLBlock, *ast.ThematicBreak:
		case *extast.Table:
			out = append(out, Block{Text: rows(n, src)})
		default:
			return ast.WalkContinue, nil
		}
		return ast.WalkSkipChildren, nil
	})
	if err != nil {
		return nil, fmt.Errorf("knowledge: read Markdown: %w", err)
	}
	return out, nil
}

// listItem keeps short lists in one block: a passage of one word answers nothing.
func listItem(out []Block, item ast.Node, t string) []Block {
	if i := len(out) - 1; i >= 0 && item.PreviousSibling() != nil && out[i].Level == 0 {
		out[i].Text += "\n" + t
		return out
	}
	return append(out, Block{Text: t})
}

// frontMatter takes the settings at the top of some files away.
func frontMatter(s string) string {
	if rest, ok := strings.CutPrefix(s, "---\n"); ok {
		if _, body, ok := strings.Cut(rest, "\n---\n"); ok {
			return body
		}
	}
	return s
}

// inline is the text of a block without its markup.
func inline(n ast.Node, src []byte) string {
	var b strings.Builder
	_ = ast.Walk(n, func(n ast.Node, entering bool) (ast.WalkStatus, error) { // the function below returns none
		if !entering {
			return ast.WalkContinue, nil
		}
		switch n := n.(type) {
		case *ast.Text:
			b.Write(n.Segment.Value(src))
			if n.SoftLineBreak() || n.HardLineBreak() {
				b.WriteByte('\n')
			}
		case *ast.String:
			b.Write(n.Value)
		case *ast.AutoLink:
			b.Write(n.Label(src))
		case *ast.RawHTML:
			return ast.WalkSkipChildren, nil
		}
		return ast.WalkContinue, nil
	})
	t := util.UnescapePunctuations([]byte(b.String()))
	return string(util.ResolveEntityNames(util.ResolveNumericReferences(t)))
}

// rows writes a table as lines, each cell with its column's name, so that a
// row means something by itself.
func rows(t *extast.Table, src []byte) string {
	var head, lines []string
	for row := t.FirstChild(); row != nil; row = row.NextSibling() {
		var cells []string
		for c := row.FirstChild(); c != nil; c = c.NextSibling() {
			cells = append(cells, inline(c, src))
		}
		if row.Kind() == extast.KindTableHeader {
			head = cells
			continue
		}
		for i, c := range cells {
			if i < len(head) && head[i] != "" && c != "" {
				cells[i] = head[i] + ": " + c
			}
		}
		lines = append(lines, strings.Join(cells, ", "))
	}
	if len(lines) == 0 {
		return strings.Join(head, ", ")
	}
	return strings.Join(lines, "\n")
}

// loadHTML reads a page: what is around the text, such as menus, is left out.
func loadHTML(data []byte) ([]Block, error) {
	if len(data) > maxMarkup {
		return nil, faulty("more than %d MB of HTML: cut the document into parts", maxMarkup>>20)
	}
	enc, _, _ := charset.DetermineEncoding(data, "")
	utf8, err := enc.NewDecoder().Bytes(data)
	if err != nil {
		return nil, faulty("the page is in no encoding that is known: save it as UTF-8")
	}
	c := converter.NewConverter(converter.WithPlugins(
		base.NewBasePlugin(), commonmark.NewCommonmarkPlugin(), table.NewTablePlugin(),
	))
	for _, tag := range []string{
		"nav", "aside", "footer", "form", "button", "select", "svg", "canvas", "img", "picture", "video", "audio", "noscript",
		"template", "dialog",
	} {
		c.Register.TagType(tag, converter.TagTypeRemove, converter.PriorityEarly)
	}
	md, err := c.ConvertReader(bytes.NewReader(utf8))
	if err != nil {
		return nil, faulty("the page cannot be read: %v", err)
	}
	return loadMarkdown(md)
}
