package engine

import (
	"bytes"
	"encoding/json"
	"time"

	"github.com/patchcord/patchcord/telephony"
)

// The events of a call: one JSON object each, the same in the log, on SSE and
// in tail. docs/events.md lists their fields.
const (
	EventCallStarted      = "call.started"
	EventCallAnswered     = "call.answered"
	EventCallHeld         = "call.held"
	EventCallResumed      = "call.resumed"
	EventCallPassedOn     = "call.passed_on"
	EventCallEnded        = "call.ended"
	EventSIPMessage       = "sip.message"
	EventTurnUser         = "turn.user"
	EventTurnAgent        = "turn.agent"
	EventTurnMetrics      = "turn.metrics"
	EventTurnSummary      = "turn.summary"
	EventTurnDropped      = "turn.dropped"
	EventTurnOverheard    = "turn.overheard"
	EventSpeechInterupted = "speech.interrupted"
	EventSpeechPaused     = "speech.paused"
	EventSpeechResumed    = "speech.resumed"
	EventSpeechBridge     = "speech.bridge"
	EventSpeechHold       = "speech.hold"
	EventSpeechUnderrun   = "speech.underrun"
	EventToolStarted      = "tool.started"
	EventToolFinished     = "tool.finished"
	EventToolRefused      = "tool.refused"
	EventFlowEntered      = "flow.entered"
	EventVariableSet      = "variable.set"
	EventDTMFReceived     = "dtmf.received"
	EventDTMFCollected    = "dtmf.collected"
	EventDTMFSent         = "dtmf.sent"
	EventSilencePrompted  = "silence.prompted"
	EventProviderFailed   = "provider.failed"
	EventProviderFallback = "provider.fallback"
	EventLanguageChanged  = "language.changed"
	EventContextCut       = "context.cut"
	EventContextInjected  = "context.injected"
	EventDeadAir          = "dead_air"
	EventRTPStats         = "rtp.stats"
	EventVoicemail        = "voicemail.detected"
	EventOptedOut         = "call.opted_out"
	EventTransferStarted  = "transfer.started"
	EventTransferProgress = "transfer.progress"
	EventTransferFinished = "transfer.finished"
	EventTransferReturned = "transfer.returned"
	EventRecordingFailed  = "recording.failed"
)

// EventNames are all events a call can write.
var EventNames = []string{
	EventCallStarted, EventCallAnswered, EventCallHeld, EventCallResumed, EventCallPassedOn,
	EventCallEnded, EventSIPMessage,
	EventTurnUser, EventTurnAgent, EventTurnMetrics, EventTurnSummary, EventTurnDropped, EventTurnOverheard,
	EventSpeechInterupted, EventSpeechPaused, EventSpeechResumed, EventSpeechBridge, EventSpeechHold, EventSpeechUnderrun,
	EventToolStarted, EventToolFinished, EventToolRefused, EventFlowEntered, EventVariableSet, EventDTMFReceived,
	EventDTMFCollected, EventDTMFSent, EventSilencePrompted, EventProviderFailed, EventProviderFallback,
	EventLanguageChanged,
	EventContextCut, EventContextInjected, EventDeadAir, EventRTPStats, EventVoicemail, EventTransferStarted,
	EventTransferProgress, EventTransferFinished, EventTransferReturned, EventRecordingFailed, EventOptedOut,
}

// Event is one thing that happened in a call. Within a call Seq counts from 1
// without a gap.
type Event struct {
	Time   time.Time
	Level  string // "info" or "warn"
	Name   string
	CallID telephony.CallID
	Seq    int
	At     time.Duration // media time
	Fields []Field
}

// Field is one of an event's own fields.
type Field struct {
	Key   string
	Value any
}

// F makes a field. Durations become whole milliseconds: give their key the
// suffix _ms.
func F(key string, value any) Field {
	if d, ok := value.(time.Duration); ok {
		value = d.Milliseconds()
	}
	return Field{key, value}
}

// Get is a field's value, nil when there is none of that name.
func (e Event) Get(key string) any {
	for _, f := range e.Fields {
		if f.Key == key {
			return f.Value
		}
	}
	return nil
}

// MarshalJSON writes the common fields first, then the event's own, in the
// order they were given.
func (e Event) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	all := append([]Field{
		{"ts", e.Time.UTC().Format("2006-01-02T15:04:05.000Z07:00")},
		{"level", e.Level},
		{"event", e.Name},
		{"call_id", e.CallID},
		{"seq", e.Seq},
		{"at_ms", e.At.Milliseconds()},
	}, e.Fields...)
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	for i, f := range all {
		if i > 0 {
			b.WriteByte(',')
		}
		if err := enc.Encode(f.Key); err != nil {
			return nil, err
		}
		b.Truncate(b.Len() - 1)
		b.WriteByte(':')
		if err := enc.Encode(f.Value); err != nil {
			return nil, err
		}
		b.Truncate(b.Len() - 1)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}
