package virtual

import "time"

// Faults are how the providers of a call behave. The zero value is a
// deployment without a fault: fast and reliable.
type Faults struct {
	Name string
	STT  STTFaults
	LLM  LLMFaults
	TTS  TTSFaults
}

// STTFaults are those of a recogniser.
type STTFaults struct {
	Final     time.Duration // from the end of a voice to its words, 100 ms where 0
	Interim   time.Duration // from a word to its interim, 100 ms where 0; negative: no interims
	Duplicate bool          // every final comes a second time, 400 ms later
	Empty     int           // every nth final has no words
	Cut       time.Duration // the stream dies after that much sound
}

// LLMFaults are those of a model.
type LLMFaults struct {
	First time.Duration // to the first token, 120 ms where 0
	Token time.Duration // between words, 15 ms where 0
	Fail  int           // every nth request is refused
	Empty int           // every nth completion is empty
	Break int           // every nth completion breaks off in its middle
	Stall int           // every nth request is accepted, and nothing comes
}

// TTSFaults are those of a voice.
type TTSFaults struct {
	First  time.Duration // to the first sound, 60 ms where 0
	Pace   float64       // seconds of sound a second, 8 where 0
	Lead   time.Duration // silence before the first word
	Words  bool          // word timestamps are given
	Fail   int           // every nth sentence is refused
	Silent int           // every nth sentence has no sound at all
	Break  int           // every nth sentence breaks off in its middle
	Stall  int           // every nth sentence stops in its middle for good
}

// Profiles are the deployments that every scenario is played in.
var Profiles = []Faults{
	{Name: "fair", TTS: TTSFaults{Words: true}},
	{Name: "late ears", STT: STTFaults{Final: 900 * time.Millisecond, Interim: -1, Duplicate: true}},
	{Name: "torn ears", STT: STTFaults{Cut: 7 * time.Second, Empty: 4}, TTS: TTSFaults{Words: true}},
	{Name: "slow model", LLM: LLMFaults{First: 2600 * time.Millisecond, Token: 90 * time.Millisecond, Stall: 4}},
	{Name: "torn model", LLM: LLMFaults{Fail: 3, Empty: 4, Break: 5}, TTS: TTSFaults{Words: true}},
	{Name: "slow voice", TTS: TTSFaults{First: 900 * time.Millisecond, Pace: 0.9, Lead: 250 * time.Millisecond}},
	{Name: "torn voice", TTS: TTSFaults{Fail: 5, Silent: 4, Break: 3, Stall: 7}},
}

// nth says whether it is the turn of a fault that comes every nth time.
func nth(n, every int) bool { return every > 0 && n%every == 0 }

func or[T int | float64 | time.Duration](v, otherwise T) T {
	if v == 0 {
		return otherwise
	}
	return v
}
