package turn

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// declared are the types of this package with a method of that name.
func declared(t *testing.T, method string) []string {
	t.Helper()
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".go") || strings.HasSuffix(f.Name(), "_test.go") {
			continue
		}
		tree, err := parser.ParseFile(token.NewFileSet(), f.Name(), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range tree.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Recv == nil || fn.Name.Name != method {
				continue
			}
			if id, ok := fn.Recv.List[0].Type.(*ast.Ident); ok {
				out = append(out, id.Name)
			}
		}
	}
	slices.Sort(out)
	return out
}

// A type of event or effect that is not in its list fails here: the journal
// could not read it back, and the transition table would not have it.
func TestKindsAreComplete(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		method, list string
		names        []string
	}{
		{"event", "events", EventNames()},
		{"effect", "effects", EffectNames()},
	} {
		slices.Sort(c.names)
		if got := declared(t, c.method); !slices.Equal(got, c.names) {
			t.Errorf("%s in kinds.go is %v, the package has %v", c.list, c.names, got)
		}
	}
}

// fill gives every field of a struct a value that is not its zero.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i))
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0))
	case reflect.String:
		v.SetString("x")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Float64:
		v.SetFloat(0.5)
	case reflect.Int, reflect.Int64:
		v.SetInt(3)
	case reflect.Uint8, reflect.Uint64:
		v.SetUint(2)
	default:
		panic("a kind of field that fill does not know: " + v.Kind().String())
	}
}

// What is written to a journal is read back as it was, every field of it.
func TestKindsSurviveJSON(t *testing.T) {
	t.Parallel()
	check := func(zero any, decode func(string, []byte) (any, error)) {
		v := reflect.New(reflect.TypeOf(zero)).Elem()
		fill(v)
		data, err := json.Marshal(v.Interface())
		if err != nil {
			t.Fatal(err)
		}
		back, err := decode(NameOf(zero), data)
		if err != nil || !reflect.DeepEqual(back, v.Interface()) {
			t.Errorf("%T came back as %+v (%v), was %+v", zero, back, err, v.Interface())
		}
	}
	for _, e := range events {
		check(e, func(n string, b []byte) (any, error) { return DecodeEvent(n, b) })
	}
	for _, e := range effects {
		check(e, func(n string, b []byte) (any, error) { return DecodeEffect(n, b) })
	}
	if _, err := DecodeEvent("Nothing", nil); err == nil {
		t.Error("an unknown kind was decoded")
	}
}
