package configs

import (
	"bytes"
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
)

// asYAML writes a value as the file that it is read from again: what is not
// set is left out, and a ${ stays what it is.
func asYAML(v any) ([]byte, error) {
	t, err := tree(reflect.ValueOf(v))
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	writeYAML(&b, t, "", false)
	return b.Bytes(), nil
}

// tree is a value as mappings (yaml.MapSlice), lists ([]any) and scalars.
func tree(v reflect.Value) (any, error) {
	if !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
		return nil, nil //nolint:nilnil // null
	}
	switch x := v.Interface().(type) {
	case time.Duration:
		return x.String(), nil
	case json.Marshaler:
		b, err := x.MarshalJSON()
		if err != nil {
			return nil, err
		}
		d := json.NewDecoder(bytes.NewReader(b))
		d.UseNumber()
		return ordered(d)
	case encoding.TextMarshaler:
		b, err := x.MarshalText()
		return string(b), err
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		return tree(v.Elem())
	case reflect.Struct:
		return fields(v)
	case reflect.Map:
		keys := v.MapKeys()
		slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
		m := yaml.MapSlice{}
		for _, k := range keys {
			t, err := tree(v.MapIndex(k))
			if err != nil {
				return nil, err
			}
			m = append(m, yaml.MapItem{Key: k.String(), Value: t})
		}
		return m, nil
	case reflect.Slice, reflect.Array:
		list := []any{}
		for i := range v.Len() {
			t, err := tree(v.Index(i))
			if err != nil {
				return nil, err
			}
			list = append(list, t)
		}
		return list, nil
	case reflect.String:
		return v.String(), nil
	}
	return v.Interface(), nil
}

// fields are those of a struct that are set.
func fields(v reflect.Value) (yaml.MapSlice, error) {
	m := yaml.MapSlice{}
	for i := range v.NumField() {
		key, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("yaml"), ",")
		f := v.Field(i)
		if v.Type().Field(i).Anonymous {
			in, err := fields(f)
			if err != nil {
				return nil, err
			}
			m = append(m, in...)
			continue
		}
		if key == "" || key == "-" || f.IsZero() || (f.Kind() == reflect.Slice || f.Kind() == reflect.Map) && f.Len() == 0 {
			continue
		}
		t, err := tree(f)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
		m = append(m, yaml.MapItem{Key: key, Value: t})
	}
	return m, nil
}

// ordered reads JSON with its keys in their order.
func ordered(d *json.Decoder) (any, error) {
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch t {
	case json.Delim('['):
		list := []any{}
		for d.More() {
			v, err := ordered(d)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err := d.Token()
		return list, err
	case json.Delim('{'):
		m := yaml.MapSlice{}
		for d.More() {
			k, err := d.Token()
			if err != nil {
				return nil, err
			}
			v, err := ordered(d)
			if err != nil {
				return nil, err
			}
			m = append(m, yaml.MapItem{Key: k, Value: v})
		}
		_, err := d.Token()
		return m, err
	}
	return t, nil
}

// writeYAML writes a tree in block style; inList stands behind the dash of a
// list, where the first key needs no line of its own.
func writeYAML(b *bytes.Buffer, t any, indent string, inList bool) {
	switch t := t.(type) {
	case yaml.MapSlice:
		if len(t) == 0 {
			b.WriteString("{}\n")
			return
		}
		for i, kv := range t {
			if i > 0 || !inList {
				b.WriteString(indent)
			}
			b.WriteString(yamlKey(fmt.Sprint(kv.Key)) + ":")
			writeValue(b, kv.Value, indent)
		}
	case []any:
		if len(t) == 0 {
			b.WriteString("[]\n")
			return
		}
		for i, v := range t {
			if i > 0 || !inList {
				b.WriteString(indent)
			}
			b.WriteString("- ")
			writeYAML(b, v, indent+"  ", true)
		}
	case string:
		writeText(b, t, indent)
	case nil:
		b.WriteString("null\n")
	default:
		fmt.Fprintln(b, t)
	}
}

// writeValue writes what stands behind a key.
func writeValue(b *bytes.Buffer, t any, indent string) {
	block := false
	switch t := t.(type) {
	case yaml.MapSlice:
		block = len(t) > 0
	case []any:
		block = len(t) > 0
	}
	if !block {
		b.WriteByte(' ')
		writeYAML(b, t, indent+"  ", true)
		return
	}
	b.WriteByte('\n')
	writeYAML(b, t, indent+"  ", false)
}

var (
	plainKey  = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]*$`)
	plainText = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_./-]*( [A-Za-z0-9_./-]+)*$`)
)

// yamlWords are plain scalars that are no text.
var yamlWords = []string{"true", "false", "null", "yes", "no", "on", "off", "y", "n", "inf", "nan", "infinity"}

func isWord(s string) bool { return slices.Contains(yamlWords, strings.ToLower(s)) }

func yamlKey(s string) string {
	if plainKey.MatchString(s) && !isWord(s) {
		return s
	}
	return quoted(s)
}

// writeText writes a string so that it is read as it is: no ${ is a variable.
func writeText(b *bytes.Buffer, s, indent string) {
	s = strings.ReplaceAll(s, "${", "$${")
	if plainText.MatchString(s) && !isWord(s) {
		b.WriteString(s + "\n")
		return
	}
	body, ended := strings.CutSuffix(s, "\n")
	if !strings.Contains(body, "\n") || !literal(body) {
		b.WriteString(quoted(s) + "\n")
		return
	}
	b.WriteString("|")
	if !ended {
		b.WriteString("-")
	}
	b.WriteByte('\n')
	for line := range strings.SplitSeq(body, "\n") {
		if line != "" {
			b.WriteString(indent + line)
		}
		b.WriteByte('\n')
	}
}

// literal tells whether a literal block keeps a text.
func literal(s string) bool {
	if s == "" || s[0] == ' ' || s[0] == '\n' || s[len(s)-1] == '\n' {
		return false
	}
	for line := range strings.SplitSeq(s, "\n") {
		if strings.HasSuffix(line, " ") {
			return false
		}
	}
	return !strings.ContainsFunc(s, func(r rune) bool {
		return r != '\n' && r < ' ' || r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0x2029 || r == 0xfeff || r == 0xfffd
	})
}

func quoted(s string) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil { // a buffer and a string cannot fail
		return strconv.Quote(s)
	}
	return strings.TrimSuffix(b.String(), "\n")
}
