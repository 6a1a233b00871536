package tools

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// What a good definition keeps to.
const (
	fewWords  = 5  // a description of fewer says too little
	manyInput = 26 // arguments that a model can still handle in one tool
)

// secretName is an argument that looks like a credential.
var secretName = regexp.MustCompile(
	`(?i)(^|[_-])(api[_-]?key|apikey|secret|password|passwd|token|access[_-]?key|private[_-]?key)($|[_-])`)

// Advice is what a maker should look at though the definition can be used: a
// description that does not tell the model what the tool does and when to call
// it, arguments that hold credentials, too many of them (F-26, H-18, H-21,
// D-24). d is taken with what its form has filled in.
func (d *Definition) Advice() Faults {
	var fs Faults
	warn := func(path, what, do string) { fs.add(nil, path, what, do).Warning = true }
	if kinds()[d.Type].builtin {
		return nil // these explain themselves
	}
	switch words := len(strings.Fields(d.Description)); {
	case words == 0:
	case words < fewWords && utf8.RuneCountInString(d.Description) < 60:
		warn("description", fmt.Sprintf("%q is vague", clip(d.Description, 60)),
			"say what it does, what it returns and when to use it: \"Use only when …\"")
	case !hasTrigger(d.Description):
		warn("description", "does not say when to call the tool", "state the trigger: \"Call this when …\"")
	}
	ms, err := members([]byte(d.Parameters))
	if err != nil {
		return fs
	}
	i := slices.IndexFunc(ms, func(m member) bool { return m.Key == "properties" })
	if i < 0 {
		return fs
	}
	props, err := members(ms[i].Value)
	if err != nil {
		return fs
	}
	if len(props) > manyInput {
		warn("parameters", fmt.Sprintf("%d arguments", len(props)),
			"26 at most are handled well: several tools for one task each are more reliable")
	}
	for _, p := range props {
		if secretName.MatchString(p.Key) {
			warn("parameters.properties."+p.Key, "looks like a secret, and the model would see it",
				"put it into a header as {{secret.NAME}}")
		}
	}
	return fs
}
