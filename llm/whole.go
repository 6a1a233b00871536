package llm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Whole is all the text of a completion: for what is read, not spoken. A
// completion without text is ErrEmpty; tool calls in it are left out.
func Whole(ctx context.Context, p Provider, r Request) (string, error) {
	st, err := p.Stream(ctx, r)
	if err != nil {
		return "", err
	}
	defer st.Close() //nolint:errcheck // what failed is known already
	var b strings.Builder
	for {
		d, err := st.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return "", fmt.Errorf("llm: read a completion: %w", errors.Join(err, context.Cause(ctx)))
		}
		if d.Kind == Text {
			b.WriteString(d.Text)
		}
	}
	if text := strings.TrimSpace(b.String()); text != "" {
		return text, nil
	}
	return "", ErrEmpty
}
