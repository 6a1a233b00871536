package all

import (
	"io"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

func TestTypes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ typ, text, want string }{
		{"openai", "{api_key: k, model: m}", ""},
		{"openai", "{api_key: k, modell: m}", "modell"},
		{"openai", "{api_key: k, timeout: soon}", "soon"},
		{"openai", "{model: m}", "api_key is empty"},
		{"deepgram", "{api_key: k, voice: aura-2-zeus-en}", ""},
		{"deepgram", "{api_key: k, model: aura-2-zeus-en}", "model"},
		{"elevenlabs", "{api_key: k, voice: v, stability: 0.4}", ""},
		{"elevenlabs", "{api_key: k, voice: v, stabillity: 0.4}", "stabillity"},
		{"cartesia", "{api_key: k, voice: v}", ""},
		{"cartesia", "{api_key: k}", "voice is empty"},
		{"null", "{}", ""},
		{"null", "{frist_byte: 2}", "frist_byte"},
		{"flite", "{voice: rms}", ""},
		{"flite", "{voice: siri}", "slt"},
		{"siri", "{}", "elevenlabs, flite, null, openai"},
		{"siri", "{}", "flite"},
	} {
		decode := func(dst any) error { return yaml.UnmarshalWithOptions([]byte(c.text), dst, yaml.Strict()) }
		p, err := Types().Make(c.typ, decode, Deps{})
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s %s: got %v, want %q in it", c.typ, c.text, err, c.want)
		}
		if c, ok := p.(io.Closer); ok {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}
