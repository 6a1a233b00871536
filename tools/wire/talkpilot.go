package wire

import (
	"github.com/patchcord/patchcord/tools"
)

// TalkPilot is the form of seed 002: config holds the keys of its http_request
// (T-05), and calls are made as those of that tool type are.
type TalkPilot struct{}

var _ tools.Dialect = TalkPilot{}

// Open reads config: of a webhook with dialect: talkpilot.
func (TalkPilot) Open(d *tools.Definition, deps tools.Deps) (tools.Wire, tools.Faults) {
	w, fs := tools.HTTPWire(d, deps)
	if d.Class == "" {
		d.Class = tools.ClassByMethod(d, "method", "GET")
	}
	return w, fs
}
