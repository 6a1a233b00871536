package tools_test

import (
	"encoding/json"
	"testing"

	"github.com/patchcord/patchcord/tools"
)

// C-16: exact sentences after a tool, by its result.
func TestSuccessSentences(t *testing.T) {
	t.Parallel()
	d := define(t, `
name: lookup
description: d
tool_type: http_request
config: {url: "https://x.example"}
speech: {success: [{when: "result.found == true", say: "Welcome back, {{result.contact.name}}."}, {when: result.found == false, say: You are new.}, {say: "Thank you, {{city}} {{nobody}}."}]}
`)
	for _, c := range []struct {
		json, want string
		status     tools.Status
	}{
		{`{"found":true,"contact":{"name":"Anna"}}`, "Welcome back, Anna.", tools.OK},
		{`{"found":false}`, "You are new.", tools.OK},
		{`{}`, "Thank you, Köln & Bonn.", tools.OK},
		{`{"error":"down"}`, "", tools.OK},
		{`{"found":true}`, "", tools.Failed},
		{`nonsense`, "", tools.OK},
	} {
		r := tools.Result{JSON: json.RawMessage(c.json), Status: c.status}
		if got := d.Speech.Success.Pick(r, inbound()); got != c.want {
			t.Errorf("%s: %q, want %q", c.json, got, c.want)
		}
	}
}

func TestEndCall(t *testing.T) {
	t.Parallel()
	tool := make1(t, deps(t), `{tool_type: end_call, config: {goodbye_message: "Vielen Dank aus {{city}}. {{secret.crm_key}}"}}`)
	d := tool.Definition()
	if d.Name != "end_call" || d.Description == "" || d.Class != tools.Terminal || string(tool.Schema()) != `{"type":"object","properties":{}}` {
		t.Errorf("got %+v %s", d, tool.Schema())
	}
	if got := tools.Goodbye(tool, inbound()); got != "Vielen Dank aus Köln & Bonn." {
		t.Errorf("goodbye %q", got)
	}
	if r := tool.Run(t.Context(), tools.Call{}); r.Status != tools.OK {
		t.Errorf("run: %+v", r)
	}
}
