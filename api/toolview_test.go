package api

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/tools"
	"github.com/patchcord/patchcord/tools/wire"
)

// T-07, H-06: a tool is shown in the keys it was written in, and beside them as
// calls go by it.
func TestToolsAreShownInBothForms(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(c *Config) { c.Tools = tools.Deps{Dialects: wire.Dialects()} })
	for _, tc := range []struct {
		name, path, body string
		written          string // in the answer as it was sent
		check            func(*ResolvedTool) bool
	}{
		{
			"TalkPilot's", "/v1/tools",
			`{"name":"find","description":"Finds. Call this first.","tool_type":"http_request","config":{"url":"https://crm.example.com","method":"GET",` +
				`"timeout":30,"speak_during_execution":false,"speak_after_execution":true}}`,
			`"speak_during_execution":false`,
			func(r *ResolvedTool) bool {
				return r.Class == tools.Read && r.Timeout == 30 && r.Speech.During != nil && !*r.Speech.During && r.MaxFailures == 1
			},
		},
		{
			"Dariet's", "/v1/agents/sales/tools",
			`{"name":"order","description":"Tells what became of an order.","tool_type":"webhook","dialect":"dariet",` +
				`"parameters":{"properties":{"id":{"type":"string"}},"required":["id"]},"config":{"webhook_url":"https://x.example","timeout_secs":8}}`,
			`"timeout_secs":8`,
			func(r *ResolvedTool) bool {
				return r.Class == tools.Effect && r.Timeout == 8 && strings.Contains(string(r.Parameters), `"type":"object"`)
			},
		},
		{
			"HubSpot's", "/v1/tools",
			`{"name":"","description":"","tool_type":"webhook","dialect":"hubspot","config":{"client_secret":"{{secret.crm}}","hsmeta":` +
				recordedTool(t, "hubspot/book-slot-hsmeta.json") + `}}`,
			`"llmDescription"`,
			func(r *ResolvedTool) bool {
				return r.Name == "book_slot" && strings.Contains(r.Description, "Books a slot.") && strings.Contains(string(r.Parameters), `"guests"`)
			},
		},
		{
			"a built-in", "/v1/agents/sales/tools",
			`{"name":"end_call","description":"Ends the call.","tool_type":"end_call","config":{"goodbye_message":"Bye."}}`,
			`"goodbye_message":"Bye."`,
			func(r *ResolvedTool) bool { return r.Class == tools.Terminal && r.Timeout == 10 },
		},
	} {
		made := f.do("POST", tc.path, tc.body)
		var tool Tool
		made.into(t, &tool)
		path := tc.path + "/" + tool.ID
		got := f.do("GET", path, "")
		got.into(t, &tool)
		if made.StatusCode != 201 || tool.Resolved == nil || !tc.check(tool.Resolved) ||
			!strings.Contains(got.text, tc.written) {
			t.Errorf("%s: %d %s", tc.name, made.StatusCode, got.text)
		}
		// What an answer has may be sent again as it is.
		if a := f.do("PATCH", path, got.text); a.StatusCode != 200 {
			t.Errorf("%s: %d %s", tc.name, a.StatusCode, a.text)
		}
	}
}

// SEC-10: who may not change a tool sees no credential that stands in it; who
// may, can send it where they like, and gets what they wrote.
func TestCredentialsAreShownToWhoMayChangeThem(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(c *Config) {
		c.Keys[1].Scopes = []string{"tools:read", "agents:read", "agents:write"}
		c.Keys[2].Scopes, c.Keys[2].Agents = []string{"tools:write", "agents:read"}, []agent.ID{"sales"}
	})
	if a := f.do("PATCH", "/v1/agents/sales", `{"webhook_url":"https://crm.example.com/hook?token=canary-3"}`); a.StatusCode != 200 {
		t.Fatal(a.text)
	}
	tool := strings.Replace(toolText("find"), `"method":"GET"`,
		`"method":"GET","headers":[{"key":"Authorization","value":"Bearer canary-1"},{"key":"X-Team","value":"voice"}]`, 1)
	shared := answerID(t, f.do("POST", "/v1/tools", tool).text)
	f.do("PATCH", "/v1/agents/sales", `{"tool_ids":["`+shared+`"]}`)
	own := answerID(t, f.do("POST", "/v1/agents/sales/tools", strings.Replace(tool, `"find"`, `"own"`, 1)).text)
	theirs := answerID(t, f.do("POST", "/api/tools",
		`{"name":"order","description":"d","parameters":{},"webhook_url":"https://x.example","headers":{"Authorization":"canary-2"}}`).text)
	for _, tc := range []struct {
		path         string
		reader, sale bool // whether the key that reads, and the one of sales, sees it
	}{
		{"/v1/tools", false, false},
		{"/v1/tools/" + shared, false, false},
		{"/v1/tools/" + shared + "/versions", false, false},
		{"/v1/tools/" + own, false, true},
		{"/v1/agents/sales/tools", false, true},
		{"/v1/agents/sales/tools/" + own, false, true},
		{"/v1/agents/sales", true, false},
		{"/v1/agents", true, false},
		{"/v1/agents/sales/versions", true, false},
		{"/api/tools", false, false},
		{"/api/tools/" + theirs, false, false},
	} {
		for key, sees := range map[string]bool{opsKey: true, readKey: tc.reader, salesKey: tc.sale} {
			a := f.do("GET", tc.path, "", "X-API-Key", key)
			if a.StatusCode == 404 && !sees {
				continue
			}
			if a.StatusCode != 200 || strings.Contains(a.text, "canary") != sees {
				t.Errorf("%s with %s: %d %s", tc.path, key, a.StatusCode, a.text)
			}
		}
	}
	// Who writes gets it back as it was.
	a := f.do("GET", "/v1/tools/"+shared, "")
	if b := f.do("PATCH", "/v1/tools/"+shared, a.text); b.StatusCode != 200 {
		t.Errorf("%d %s", b.StatusCode, b.text)
	}
	if kept, err := f.store.Tool(t.Context(), shared); err != nil {
		t.Error(err)
	} else if text, err := kept.Config.MarshalJSON(); err != nil || !strings.Contains(string(text), "Bearer canary-1") {
		t.Errorf("%s, %v", text, err)
	}
	if a := f.do("POST", "/v1/tools/"+shared+"/test", `{}`); strings.Contains(a.text, "canary") {
		t.Errorf("a trial tells it: %s", a.text)
	}
}

// found are documents that have one passage; what else a call does with them is not tried.
type found struct {
	tools.Knowledge

	asked tools.Question
}

func (f *found) Find(_ context.Context, q tools.Question) (tools.Findings, error) {
	f.asked = q
	return tools.Findings{Passages: []tools.Passage{{Document: "prices.md", Text: "Delivery costs 4 euros.", Score: 0.9}}}, nil
}

// T-15: a trial looks into the documents of the agent whose tool it is.
func TestATrialOfKnowledge(t *testing.T) {
	t.Parallel()
	docs := &found{}
	f := newFixture(t, func(c *Config) { c.Tools = tools.Deps{Knowledge: docs} })
	id := answerID(t, f.do("POST", "/v1/agents/sales/tools",
		`{"name":"docs","description":"Searches the documents.","tool_type":"knowledge_base","config":{"top_k":3,"similarity_threshold":0.5}}`).text)
	a := f.do("POST", "/v1/tools/"+id+"/test", `{"args":{"query":"what does delivery cost"}}`)
	if a.StatusCode != http.StatusOK || !strings.Contains(a.text, "Delivery costs 4 euros.") ||
		docs.asked.Agent != "sales" || docs.asked.TopK != 3 || docs.asked.Threshold != 0.5 || docs.asked.Text != "what does delivery cost" {
		t.Errorf("%d %s, asked %+v", a.StatusCode, a.text, docs.asked)
	}
}
