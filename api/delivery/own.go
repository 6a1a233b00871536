package delivery

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/patchcord/patchcord/engine"
)

// withRecord is our own webhook of a call's end: the event as it stands in the
// event log, then the whole record, then the report.
//
//	{"ts": …, "event": "call.ended", "call_id": …, "end_reason": …, "call": {…, "transcript": […]}, "summary": …}
func withRecord(event json.RawMessage, c *Call) (json.RawMessage, error) {
	event = bytes.TrimSpace(event)
	if len(event) < 2 || event[len(event)-1] != '}' {
		return nil, fmt.Errorf("%w: the event is no object", errSource)
	}
	rest, err := encode(struct {
		Record *engine.Record `json:"call"`
		Report
	}{&c.Record, c.Report})
	if err != nil {
		return nil, err
	}
	out := append(bytes.Clone(event[:len(event)-1]), ',')
	return append(out, rest[1:]...), nil
}
