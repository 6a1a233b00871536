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
		{"null", "{}", ""},
		{"null", "{delai: 2ms}", "delai"},
		{"null", "{delay: 2ms}", ""},
		{"deepgram", "{api_key: k, endpointing: 200ms, keyterms: [a]}", ""},
		{"deepgram", "{api_key: k, key_terms: [a]}", "key_terms"},
		{"flux", "{api_key: k, eot_threshold: 0.8, eager_eot_threshold: 0.5, language_hints: [en], model: flux-general-multi}", ""},
		{"flux", "{api_key: k, eot_treshold: 0.8}", "eot_treshold"},
		{"assemblyai", "{api_key: k, max_turn_silence: 1s}", ""},
		{"assemblyai", "{api_key: k, format_turns: true}", "format_turns"},
		{"pocketsphinx", "{}", "phrases is empty"},
		{"pocketsphinx", "{phrases: none.phrases}", "dir/none.phrases"},
		{"siri", "{}", "null, openai"},
		{"siri", "{}", "pocketsphinx"},
	} {
		decode := func(dst any) error { return yaml.UnmarshalWithOptions([]byte(c.text), dst, yaml.Strict()) }
		p, err := Types().Make(c.typ, decode, Deps{Dir: "dir"})
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
