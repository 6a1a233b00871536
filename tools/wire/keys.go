package wire

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strconv"
	"strings"
)

// unknownKeys are the keys of a JSON document that a value read from it has no
// place for, with the way to each.
func unknownKeys(b []byte, v any) []string {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var doc any
	if d.Decode(&doc) != nil {
		return nil
	}
	return strange(doc, reflect.TypeOf(v), "")
}

func strange(doc any, t reflect.Type, path string) (out []string) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if reflect.PointerTo(t).Implements(reflect.TypeFor[json.Unmarshaler]()) {
		return nil // it reads its own
	}
	switch doc := doc.(type) {
	case map[string]any:
		for _, k := range sortedKeys(doc) {
			at := strings.TrimPrefix(path+"."+k, ".")
			switch t.Kind() {
			case reflect.Map:
				out = append(out, strange(doc[k], t.Elem(), at)...)
			case reflect.Struct:
				f, ok := field(t, k)
				if !ok {
					out = append(out, at)
					continue
				}
				out = append(out, strange(doc[k], f, at)...)
			default:
			}
		}
	case []any:
		if t.Kind() == reflect.Slice && t.Elem().Kind() != reflect.Uint8 {
			for i, e := range doc {
				out = append(out, strange(e, t.Elem(), path+"["+strconv.Itoa(i)+"]")...)
			}
		}
	}
	return out
}

// field is the type of what a key is read into; of an embedded struct's too,
// unless the outer one has it.
func field(t reflect.Type, key string) (reflect.Type, bool) {
	for i := range t.NumField() {
		if name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ","); name == key {
			return t.Field(i).Type, true
		}
	}
	for i := range t.NumField() {
		if t.Field(i).Anonymous {
			return field(t.Field(i).Type, key)
		}
	}
	return nil, false
}
