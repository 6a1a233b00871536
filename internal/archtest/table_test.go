package archtest

import "strings"

// module is the prefix of every import path of ours.
const module = "github.com/patchcord/patchcord/"

// may is the import table: for each package the packages of ours that it may
// import, left may import right, never the other way. Paths are relative to
// the module. "x/*" stands for every folder below x that has no line of its
// own; "..." as the only entry means any package that is not a command.
var may = map[string][]string{
	"audio":            {},
	"engine/turn":      {},
	"telephony/sdp":    {},
	"telephony/locate": {},
	"console":          {}, // its built files, embedded

	"audio/codec":          {"audio"},
	"audio/jitter":         {"audio"},
	"audio/vad":            {"audio"},
	"audio/playout":        {"audio"},
	"audio/record":         {"audio"},
	"audio/record/archive": {},
	"audio/stt":            {"audio"},
	"audio/tts":            {"audio"},
	"telephony":            {"audio"},
	"llm":                  {"audio"},

	"tools":           {"llm", "tools/written"},
	"tools/written":   {"audio/tts/spoken"},
	"tools/wire":      {"llm", "tools"},
	"tools/knowledge": {"llm", "tools", "internal/openaihttp"},
	"engine/replay":   {"engine/turn"},
	"engine/agent":    {"engine/turn", "llm", "tools", "tools/wire"},

	"telephony/trunk":   {"telephony", "audio"},
	"telephony/bridge":  {"telephony", "audio"},
	"telephony/rtp":     mediaLeg,
	"telephony/webrtc":  {"telephony", "telephony/sdp", "telephony/rtp", "audio", "audio/codec"}, // a wire of rtp's
	"telephony/wsmedia": mediaLeg,
	"telephony/sip":     {"telephony", "telephony/locate", "telephony/sdp", "telephony/trunk", "telephony/rtp", "audio"},
	"telephony/dialer":  {"telephony", "telephony/trunk"},

	// Providers know their contract and sound, never each other. The two that
	// run C libraries reach them through the helper process.
	"audio/stt/*":            {"audio/stt", "audio", "audio/codec"},
	"audio/tts/*":            {"audio/tts", "audio", "audio/codec"},
	"llm/*":                  {"llm", "audio", "audio/codec"},
	"audio/stt/pocketsphinx": {"audio/stt", "audio", "audio/codec", "internal/localspeech"},
	"audio/tts/spoken":       {}, // words into words
	"audio/tts/flite":        {"audio/tts", "audio", "audio/codec", "internal/localspeech"},
	"audio/stt/openai":       {"audio/stt", "audio", "internal/openaihttp"},
	"audio/tts/openai":       {"audio/tts", "audio", "internal/openaihttp"},
	"llm/openai":             {"llm", "internal/openaihttp"},
	"llm/openairealtime":     {"llm", "llm/realtime"},
	"llm/xai":                {"llm", "llm/realtime"},
	"audio/tts/deepgram":     socketVoice,
	"audio/tts/elevenlabs":   socketVoice,
	"audio/tts/cartesia":     socketVoice,

	// What recognisers behind a WebSocket have in common.
	"audio/stt/socket":            {"audio/stt", "audio", "audio/codec"},
	"audio/stt/socket/sockettest": testOnly,
	"audio/stt/deepgram":          {"audio/stt", "audio", "audio/stt/socket"},
	"audio/stt/flux":              {"audio/stt", "audio", "audio/stt/socket"},
	"audio/stt/assemblyai":        {"audio/stt", "audio", "audio/stt/socket"},

	// The tables: name to factory, handed over by the command.
	"audio/stt/all": {"audio/stt", "audio/stt/*", "internal/factory"},
	"audio/tts/all": {"audio/tts", "audio/tts/*", "internal/factory"},
	"llm/all":       {"llm", "llm/*", "internal/factory"},
	"telephony/all": {"telephony", "telephony/trunk", "telephony/sip", "telephony/rtp", "telephony/webrtc", "telephony/wsmedia", "audio"},

	"engine": {
		"engine/turn", "engine/agent", "engine/replay", "telephony", "telephony/bridge", "tools", "tools/wire", "tools/written",
		"llm",
		"audio", "audio/codec", "audio/vad", "audio/playout", "audio/record", "audio/stt", "audio/tts", "audio/tts/spoken",
	},
	"store": {
		"engine/agent", "engine", "tools", "tools/knowledge", "telephony", "telephony/trunk", "telephony/dialer",
	},
	"cluster": {"engine", "engine/agent", "telephony", "tools"}, // what a call is told, and by whom
	"api": {
		"engine/agent", "engine", "tools", "tools/wire", "tools/knowledge", "store", "cluster", "telephony",
		"telephony/dialer", "telephony/trunk", "console",
	},
	"api/webhook":  {}, // receivers import it alone
	"api/delivery": {"engine/agent", "engine", "store", "telephony", "tools", "llm", "api/webhook"},
	"configs":      {"..."},

	"internal/secret":      {}, // of leaves, below
	"internal/yamlfault":   {}, // the same
	"internal/dial":        {}, // the same
	"internal/certificate": {}, // the same
	"internal/lockfile":    {}, // the same
	"internal/factory":     {}, // what the tables of providers share
	"internal/openaihttp":  {}, // what the three providers named openai share
	// What the voices that speak over WebSockets share, and their vendors' side in tests.
	"internal/ttssocket":                   {"audio/tts", "audio", "audio/codec"},
	"internal/ttssocket/ttssockettest":     {"audio", "audio/codec"},
	"internal/load":                        {}, // shares no code with what it measures
	"internal/localspeech":                 {"audio"},
	"internal/localspeech/localspeechtest": {"internal/localspeech"},

	// What tests are made with: the contracts, and sound to fake.
	"internal/testkit":   testOnly,
	"internal/testkit/*": testOnly,
	// The scripted caller on a leg and its telephone line: it hears voices and records.
	// A scripted world around a call: a caller, and a model that goes by rules.
	"internal/testkit/virtual": {
		"audio", "audio/stt", "audio/tts", "telephony", "llm", "llm/rules", "internal/testkit/scenario",
	},
	"internal/testkit/phone": {
		"audio", "audio/vad", "audio/record", "audio/stt", "audio/tts", "telephony", "telephony/sip", "telephony/rtp",
		"internal/testkit", "internal/testkit/scenario", "internal/testkit/tracks",
	},
	"audio/stt/stttest": testOnly,
	"audio/tts/ttstest": testOnly,
	"llm/llmtest":       testOnly,
	"telephony/legtest": testOnly,

	"internal/e2e":      {"..."},
	"internal/archtest": {},
	"cmd/*":             {"..."},
}

var (
	socketVoice = []string{"audio/tts", "audio", "audio/codec", "internal/ttssocket", "internal/ttssocket/ttssockettest"}
	mediaLeg    = []string{"telephony", "telephony/sdp", "audio", "audio/codec", "audio/jitter"}
	testOnly    = []string{
		"audio", "audio/codec", "audio/stt", "audio/tts", "telephony", "llm", "tools", "engine", "engine/turn",
		"engine/agent", "internal/testkit",
	}
)

// leaves are what every package may import.
var leaves = []string{"internal/secret", "internal/yamlfault", "internal/dial", "internal/certificate", "internal/lockfile"}

// engineNever is what the engine reaches neither in its code nor in its
// tests: whoever carries the call or answers for the model is handed to it.
var engineNever = []string{
	"telephony/sip", "telephony/rtp", "telephony/webrtc", "telephony/wsmedia", "telephony/all", "telephony/trunk",
	"telephony/dialer", "audio/stt/*", "audio/tts/*", "llm/*", "store", "api", "configs", "cluster",
	"internal/testkit/phone",
}

// rule is the line of the table for a package: its own, or that of the
// nearest folder above written with a star.
func rule(pkg string) (allowed []string, ok bool) {
	if allowed, ok = may[pkg]; ok {
		return allowed, true
	}
	for at := pkg; ; {
		i := strings.LastIndexByte(at, '/')
		if i < 0 {
			return nil, false
		}
		at = at[:i]
		if allowed, ok = may[at+"/*"]; ok {
			return allowed, true
		}
	}
}

// matches tells whether a package is meant by an entry of the table.
func matches(entry, pkg string) bool {
	if entry == "..." {
		return !strings.HasPrefix(pkg, "cmd/")
	}
	if folder, ok := strings.CutSuffix(entry, "*"); ok {
		return strings.HasPrefix(pkg, folder)
	}
	return entry == pkg
}

func matchesAny(entries []string, pkg string) bool {
	for _, e := range entries {
		if matches(e, pkg) {
			return true
		}
	}
	return false
}
