package secret

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

const canary = "canary-7f3a"

// SEC-10: no way of printing shows a secret, alone or inside of something.
func TestNothingPrintsIt(t *testing.T) {
	t.Parallel()
	type config struct {
		Key  Text            `yaml:"key"`
		More map[string]Text `yaml:"more"`
	}
	c := config{canary, map[string]Text{"a": canary}}
	for _, v := range []any{Text(canary), c, &c, []Text{canary}, map[string]any{"k": Text(canary)}} {
		printed := []string{fmt.Sprint(v), fmt.Errorf("refused: %v", v).Error()}
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "% x", "%d", "%t", "%10.3s"} {
			printed = append(printed, fmt.Sprintf(verb, v))
		}
		for _, marshal := range []func(any) ([]byte, error){json.Marshal, yaml.Marshal} {
			b, err := marshal(v)
			if err != nil {
				t.Fatalf("%T: %v", v, err)
			}
			printed = append(printed, string(b))
		}
		for _, s := range printed {
			if strings.Contains(s, "canary") || strings.Contains(strings.ToLower(strings.ReplaceAll(s, " ", "")), fmt.Sprintf("%x", canary)) {
				t.Errorf("%T prints %s", v, s)
			}
		}
		if s := printed[0]; !strings.Contains(s, redacted) && !strings.HasPrefix(s, "0x") {
			t.Errorf("%T prints %s: a reader shall see that there is something", v, s)
		}
	}
}

func TestReveal(t *testing.T) {
	t.Parallel()
	var c struct {
		Key Text `yaml:"key" json:"key"`
	}
	fromYAML := func(b []byte, v any) error { return yaml.Unmarshal(b, v) }
	for _, unmarshal := range []func([]byte, any) error{json.Unmarshal, fromYAML} {
		c.Key = ""
		if err := unmarshal([]byte(`{"key": "canary-7f3a"}`), &c); err != nil || c.Key.Reveal() != canary {
			t.Errorf("got %q, %v", c.Key.Reveal(), err)
		}
	}
	if s := fmt.Sprint(Text("")); s != "" {
		t.Errorf("nothing prints as %q", s)
	}
}
