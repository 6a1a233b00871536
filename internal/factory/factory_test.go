package factory

import (
	"errors"
	"fmt"
	"testing"
)

type voice interface{ speak() string }

type config struct{ Name string }

type parrot struct{ says string }

func (p *parrot) speak() string { return p.says }

func newParrot(c config, loud bool) (*parrot, error) {
	if c.Name == "" {
		return nil, errors.New("no name")
	}
	return &parrot{fmt.Sprint(c.Name, loud)}, nil
}

func TestMake(t *testing.T) {
	t.Parallel()
	table := Table[voice, bool]{
		"parrot": Of(func(c config, loud bool) (voice, error) { return newParrot(c, loud) }),
		"budgie": Of(func(config, bool) (voice, error) { return &parrot{"tweet"}, nil }),
	}
	named := func(dst any) error { dst.(*config).Name = "polly"; return nil }
	for _, c := range []struct {
		typ    string
		decode func(any) error
		want   string
	}{
		{"parrot", named, "pollytrue <nil>"},
		{"budgie", nil, "tweet <nil>"},
		{"parrot", nil, "none no name"},
		{"parrot", func(any) error { return errors.New("wrong key") }, "none wrong key"},
		{"crow", named, `none unknown type "crow"; known: budgie, parrot`},
	} {
		p, err := table.Make(c.typ, c.decode, true)
		said := "none"
		if p != nil {
			said = p.speak()
		}
		if got := fmt.Sprint(said, " ", err); got != c.want {
			t.Errorf("%s: got %s, want %s", c.typ, got, c.want)
		}
	}
}
