package turn

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
)

// events are all kinds of events, by their zero values: the one list that the
// journal, the transition table and the counts of what was ignored go by. A
// new type of event gets its line here, and TestKindsAreComplete asks for it.
var events = []Event{
	VoiceStart{},
	VoiceEnd{},
	Voiced{},
	AudioIdle{},
	EOT{},
	SlowInput{},
	Digit{},
	CollectKeys{},
	StopKeys{},
	Started{},
	Played{},
	Interim{},
	Final{},
	Endpoint{},
	STTDown{},
	Recogniser{},
	SetLanguage{},
	ServerVoice{},
	ServerTurn{},
	Heard{},
	Useful{},
	LLMDone{},
	LLMErr{},
	Audio{},
	Fed{},
	Void{},
	Dry{},
	ToolDone{},
	AsyncDone{},
	PreCallDone{},
	Answered{},
	Hold{},
	MediaLost{},
	Bye{},
	SayText{},
	Inject{},
	End{},
	FarPlayed{},
	Verdict{},
	Beep{},
	Mute{},
	TransferStarted{},
	TransferJoined{},
	TransferResult{},
	Tick{},
}

// effects are all kinds of effects, in the same way.
var effects = []Effect{
	CommitUser{},
	HeardUser{},
	Drop{},
	StartReply{},
	Adopt{},
	StopModel{},
	Say{},
	Play{},
	Pause{},
	Resume{},
	Shorten{},
	Cancel{},
	Finish{},
	RunTool{},
	SettleTool{},
	HoldSound{},
	EnterNode{},
	News{},
	KeysDone{},
	Brief{},
	HandOver{},
	Note{},
	ExpectLanguage{},
	SwitchLanguage{},
	HangUp{},
}

// kinds finds a type by its name.
type kinds map[string]reflect.Type

var (
	eventKinds  = kindsOf(events)
	effectKinds = kindsOf(effects)
)

func kindsOf[T any](zeros []T) kinds {
	k := kinds{}
	for _, z := range zeros {
		k[reflect.TypeOf(z).Name()] = reflect.TypeOf(z)
	}
	return k
}

// EventNames are the names of all kinds of events, in the order of the list.
func EventNames() []string { return namesOf(events) }

// EffectNames are the names of all kinds of effects, in the order of the list.
func EffectNames() []string { return namesOf(effects) }

func namesOf[T any](zeros []T) []string {
	out := make([]string, len(zeros))
	for i, z := range zeros {
		out[i] = reflect.TypeOf(z).Name()
	}
	return out
}

// NameOf is the name of an event's or an effect's kind: that of its type.
func NameOf(v any) string { return reflect.TypeOf(v).Name() }

// DecodeEvent is an event of a kind from its JSON.
func DecodeEvent(name string, data []byte) (Event, error) {
	v, err := eventKinds.decode(name, data)
	if err != nil {
		return nil, fmt.Errorf("turn: event %q: %w", name, err)
	}
	return v.(Event), nil //nolint:forcetypeassert // the list holds nothing else
}

// DecodeEffect is an effect of a kind from its JSON.
func DecodeEffect(name string, data []byte) (Effect, error) {
	v, err := effectKinds.decode(name, data)
	if err != nil {
		return nil, fmt.Errorf("turn: effect %q: %w", name, err)
	}
	return v.(Effect), nil //nolint:forcetypeassert // the list holds nothing else
}

func (k kinds) decode(name string, data []byte) (any, error) {
	t, ok := k[name]
	if !ok {
		return nil, fmt.Errorf("unknown kind")
	}
	v := reflect.New(t)
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(v.Interface()); err != nil {
		return nil, err
	}
	return v.Elem().Interface(), nil
}
