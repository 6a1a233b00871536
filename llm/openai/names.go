package openai

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"

	"github.com/patchcord/patchcord/llm"
)

// maxName is the longest name of a function that the API takes; letters,
// digits, _ and - (the reference's tools.function.name).
const maxName = 64

// aliases maps names of tools that the API does not take to ones that it does,
// and back. The same name has the same alias in every request.
type aliases struct {
	back map[string]string
}

func newAliases(tools []llm.Tool) *aliases {
	a := &aliases{back: map[string]string{}}
	for _, t := range tools {
		if s := a.alias(t.Name); s != t.Name {
			a.back[s] = t.Name
		}
	}
	return a
}

// alias is the name to send.
func (a *aliases) alias(name string) string {
	if name != "" && len(name) <= maxName && strings.IndexFunc(name, odd) < 0 {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	short := strings.Map(func(r rune) rune {
		if odd(r) {
			return '_'
		}
		return r
	}, name)
	const tail = 8 // hex digits, enough to tell the tools of one agent apart
	return short[:min(len(short), maxName-tail-1)] + "_" + hex.EncodeToString(sum[:])[:tail]
}

// name is the tool that an alias stands for.
func (a *aliases) name(alias string) string {
	if n, ok := a.back[alias]; ok {
		return n
	}
	return alias
}

func odd(r rune) bool {
	return r != '_' && r != '-' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
}

// arguments are those of an earlier call as servers take them back: some
// refuse a whole conversation for one text in it that is not JSON.
func arguments(args json.RawMessage) string {
	if !json.Valid(args) {
		return "{}"
	}
	return string(args)
}
