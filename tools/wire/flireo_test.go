package wire_test

import (
	"net/http"
	"testing"

	"github.com/patchcord/patchcord/tools"
	"github.com/patchcord/patchcord/tools/wire"
)

// Replies of servers that write null for what they have not, or both casings.
func TestFlireoReplies_F06(t *testing.T) {
	t.Parallel()
	d := define(t, `{name: a, description: d, tool_type: webhook, dialect: flireo, config: {url: "https://x.example/y"}}`)
	w, fs := wire.Flireo{}.Open(&d, tools.Deps{})
	if fs.Err() != nil {
		t.Fatal(fs)
	}
	for body, want := range map[string]string{
		`{"results":[{"tool_call_id":"1","result":null,"error":"no such customer"}]}`:                        `{"error":"no such customer"}`,
		`{"results":[{"tool_call_id":"1","result":{"x":1},"error":null}]}`:                                   `{"x":1}`,
		`{"results":[{"tool_call_id":"1","result":null,"error":null}]}`:                                      `{"result":null}`,
		`{"results":[{"tool_call_id":"1","toolCallId":"1","result":{"x":1}},{"toolCallId":"2","result":2}]}`: `{"x":1}`,
		`{"error":null,"result":{"x":1}}`:                                                                    `{"x":1}`,
		`{"error":"down","result":null}`:                                                                     `{"error":"down","result":null}`,
	} {
		r := w.Reply(tools.Call{ID: "1"}, tools.Reply{Status: http.StatusOK, Body: []byte(body)})
		if string(r.JSON) != want || r.Status != tools.OK {
			t.Errorf("%s: got %s %s, want %s", body, r.Status, r.JSON, want)
		}
	}
}

// Calls whose arguments say where they go do not go together.
func TestFlireoCallsGoWhereTheirArgumentsSay_F06(t *testing.T) {
	t.Parallel()
	for url, together := range map[string]bool{
		"https://x.example/y": true, "https://x.example/{{call_id}}": true,
		"https://x.example/{{args.order}}": false, "https://x.example/y?o={{ args.order }}": false,
	} {
		d := define(t, `{name: a, description: d, tool_type: webhook, dialect: flireo, config: {url: "`+url+`"}}`)
		tool, faults := tools.Build([]tools.Definition{d}, tools.Deps{Dialects: wire.Dialects()})
		if faults.Err() != nil {
			t.Fatal(faults)
		}
		if got := tools.Endpoint(tool.Tools()[0]) != ""; got != together {
			t.Errorf("%s: together is %v", url, got)
		}
	}
}
