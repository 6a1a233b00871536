package dialer

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// mostValue is how long a variable may be, bytes.
const mostValue = 4096

// Read is the value of a variable as its type has it, from a text of a file or a
// scalar of JSON; nil for nothing. A date is a string, "2026-12-25".
func (v Variable) Read(value any) (any, error) {
	text := strings.TrimSpace(textOf(value))
	if text == "" {
		return nil, nil //nolint:nilnil // an empty cell is no value
	}
	if len(text) > mostValue {
		return nil, fmt.Errorf("is longer than %d bytes", mostValue)
	}
	switch v.Type {
	case "number":
		f, err := strconv.ParseFloat(text, 64)
		if err != nil || math.IsInf(f, 0) || math.IsNaN(f) || strings.ContainsAny(text, "xXpP_") {
			return nil, fmt.Errorf("%q is no number: write it as 1234.5", cut(text))
		}
		return f, nil
	case "integer":
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%q is no whole number: write it as 1234", cut(text))
		}
		return n, nil
	case "boolean":
		return boolean(text)
	case "date":
		d, err := time.Parse(time.DateOnly, text)
		if err != nil {
			return nil, fmt.Errorf("%q is no date: write it as 2026-12-25", cut(text))
		}
		return d.Format(time.DateOnly), nil
	}
	return text, nil
}

// boolean reads what people write for yes and no.
func boolean(text string) (bool, error) {
	switch strings.ToLower(text) {
	case "true", "yes", "y", "1":
		return true, nil
	case "false", "no", "n", "0":
		return false, nil
	}
	return false, fmt.Errorf("%q is neither true nor false", cut(text))
}

// textOf is a scalar as text.
func textOf(value any) string {
	switch v := value.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	case bool:
		return strconv.FormatBool(v)
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return ""
}

// cut is a value for a message.
func cut(s string) string {
	if len(s) > 40 {
		return strings.ToValidUTF8(s[:40], "") + "…"
	}
	return s
}
