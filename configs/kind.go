package configs

import "os"

// FileKind is what a YAML file of the project holds.
type FileKind string

// The kinds.
const (
	KindConfig  FileKind = "config"
	KindAgent   FileKind = "agent"
	KindTools   FileKind = "tools"
	KindRules   FileKind = "rules" // of the rules model
	KindUnknown FileKind = "unknown"
)

// Kind guesses from a file's first keys what it holds.
func Kind(text []byte) FileKind {
	keys := rootKeys(text)
	has := func(names ...string) bool {
		for _, n := range names {
			if _, ok := keys[n]; ok {
				return true
			}
		}
		return false
	}
	switch {
	case has("tool_type", "tools") && !has("name", "prompt", "greeting", "llm", "api"), has("tool_type"):
		return KindTools
	case has("rules", "patterns"):
		return KindRules
	case has("prompt", "greeting", "first_message", "llm_config", "tool_ids", "voice"):
		return KindAgent
	case has("http", "sip", "rtp", "store", "llm", "stt", "tts", "trunks", "numbers", "agents", "api", "dialing",
		"limits"):
		return KindConfig
	case has("name"):
		return KindAgent
	case isList(text):
		return KindTools
	}
	return KindUnknown
}

func isList(text []byte) bool {
	root, err := parse("", text)
	return err == nil && root != nil && kindOf(root) == "a list"
}

// Find is the configuration of a command that was given none: patchcord.yaml
// here, then configs/patchcord.yaml, "" for the built-in one.
func Find() string {
	for _, p := range []string{"patchcord.yaml", "configs/patchcord.yaml"} {
		if st, err := os.Stat(p); err == nil && st.Mode().IsRegular() {
			return p
		}
	}
	return ""
}
