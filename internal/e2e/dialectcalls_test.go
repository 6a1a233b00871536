//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/patchcord/patchcord/tools/wire"
)

// dialect is an agent with tools of one platform's form.
type dialect struct {
	name  string
	agent string     // YAML; URL stands for the endpoint, with the dialect's name
	calls []exchange // in the order in which they come
	said  []string   // answers of the agent, in their order
}

// exchange is one request as it must come, and what is answered.
type exchange struct {
	tool    string
	method  string
	uri     string            // path and query
	headers map[string]string // CANARY stands for the secret
	body    string            // CALL stands for the call's id, ANY for what cannot be known
	signed  func(secret string, a asked) error
	answer  string // "" for none: the platform gives up
}

// asked is a request as it came.
type asked struct {
	at     time.Time
	method string
	host   string
	uri    string // path and query
	header http.Header
	body   string
}

// canary is the secret of a dialect.
func canary(dialect string) string { return "canary-" + dialect + "-4711" }

// dialectPatience is how long the slow tools wait, s.
const dialectPatience = 3

// callIDs finds the ids of the calls in a request of Flireo's form.
var callIDs = regexp.MustCompile(`"id":"([^"]+)","type":"function"`)

// byItself says whether an exchange is that of a pre-call tool.
func (d dialect) byItself(x exchange) bool { return strings.HasSuffix(x.tool, "_caller") }

// differs says in what a request is another than it must be, "" in nothing.
func (x exchange) differs(dialect, call string, a asked) string {
	want := strings.ReplaceAll(x.body, "CALL", call)
	switch {
	case a.method != x.method:
		return "method " + a.method
	case a.uri != strings.ReplaceAll(x.uri, "CALL", call):
		return "URI " + a.uri
	case a.body != want && !same(a.body, want):
		return fmt.Sprintf("body %s\nwant %s", a.body, want)
	case (a.header.Get("Content-Type") == "application/json") != (x.body != ""):
		return "content type " + a.header.Get("Content-Type")
	case x.signed == nil:
	default:
		if err := x.signed(canary(dialect), a); err != nil {
			return err.Error()
		}
	}
	for name, value := range x.headers {
		if got := a.header.Get(name); got != strings.ReplaceAll(value, "CANARY", canary(dialect)) {
			return name + ": " + got
		}
	}
	return ""
}

// same compares JSON with what was wanted, where ANY stands for whatever is there.
func same(body, want string) bool {
	var a, b any
	return json.Unmarshal([]byte(body), &a) == nil && json.Unmarshal([]byte(want), &b) == nil && fits(a, b)
}

func fits(got, want any) bool {
	switch want := want.(type) {
	case map[string]any:
		have, ok := got.(map[string]any)
		return ok && maps.EqualFunc(have, want, fits)
	case []any:
		have, ok := got.([]any)
		return ok && slices.EqualFunc(have, want, fits)
	case string:
		return want == "ANY" && got != "" || got == want
	}
	return got == want
}

func signedByHubSpot(secret string, a asked) error {
	if v := a.header.Get("X-HubSpot-Signature-Version"); v != "v2" {
		return fmt.Errorf("signature version %q", v)
	}
	return wire.VerifyHubSpot(secret, a.method, "https://"+a.host+a.uri, a.header, []byte(a.body), a.at)
}

func signedByFlireo(secret string, a asked) error {
	return wire.VerifyFlireo(secret, a.header, []byte(a.body), a.at)
}

var flireoHeaders = map[string]string{"User-Agent": "HMS-Sovereign/1.0", "X-Webhook-Event": "tool-calls"}

// dialects is the table: each has a lookup that takes its time and a tool that
// never has an answer.
var dialects = []dialect{
	{
		// The slow tool has a sentence for when it fails: it is said before the model
		// knows (C-14).
		name: "callin", said: []string{"Order 4 7 1 1 was shipped.", "I could not do that just now.", "That took too long. Goodbye."},
		agent: `tools:
  - name: callin_lookup
    description: Looks an order up. Call this when the caller names one.
    tool_type: webhook
    dialect: callin
    timeout: 30
    config: {method: POST, url: URL/lookup, headers: [{key: X-Key, value: "{{secret.callin}}"}],
      body_parameters: [{identifier: order_id, type: text, required: true, description: Digits only}]}
    speech: {bridging_sentence: "One moment, I am looking that up."}
  - name: callin_slow
    description: Asks the carrier. Call this when an order was shipped.
    tool_type: webhook
    dialect: callin
    timeout: 3
    config: {method: GET, url: URL/slow, body_parameters: [{identifier: order_id, type: text}]}
    speech: {failure_sentence: I could not do that just now.}
  - {tool_type: end_call}
`,
		calls: []exchange{
			{
				tool: "callin_lookup", method: "POST", uri: "/callin/lookup", headers: map[string]string{"X-Key": "CANARY"},
				body: `{"order_id":"4711"}`, answer: `{"status":"shipped","echo":"CANARY"}`,
			},
			{tool: "callin_slow", method: "GET", uri: "/callin/slow?order_id=4711"},
		},
	},
	{
		name: "hubspot", said: []string{"Order 4 7 1 1 was shipped.", "That took too long. Goodbye."},
		agent: `hubspot: {portal_id: 62515}
tools:
` + hubSpotAction("lookup", 30, ` {bridging_sentence: "One moment, I am looking that up."}`) + hubSpotAction("slow", dialectPatience, " {}") +
			"  - {tool_type: end_call}\n",
		calls: []exchange{
			{
				tool: "hubspot_lookup", method: "POST", uri: "/hubspot/lookup", body: hubSpotSent("lookup"), signed: signedByHubSpot,
				answer: `{"outputFields":{"status":"shipped","echo":"CANARY"}}`,
			},
			{tool: "hubspot_slow", method: "POST", uri: "/hubspot/slow", body: hubSpotSent("slow"), signed: signedByHubSpot},
		},
	},
	{
		name: "talkpilot", said: []string{"Order 4 7 1 1 was shipped.", "That took too long. Goodbye."},
		agent: `tools:
  - name: talkpilot_lookup
    description: Looks an order up. Call this when the caller names one.
    tool_type: webhook
    dialect: talkpilot
    parameters: {properties: {order_id: {type: string}}, required: [order_id]}
    config: {url: URL/lookup, method: GET, timeout: 30, bridging_sentence: "One moment, I am looking that up.",
      headers: [{key: Authorization, value: "Bearer {{secret.talkpilot}}"}], query_params: [{key: phone, value: "{{caller_phone}}"}]}
  - name: talkpilot_slow
    description: Asks the carrier. Call this when an order was shipped.
    tool_type: webhook
    dialect: talkpilot
    parameters: {properties: {order_id: {type: string}}, required: [order_id]}
    config: {url: URL/slow, method: PUT, timeout: 3}
  - {tool_type: end_call}
`,
		calls: []exchange{
			{
				tool: "talkpilot_lookup", method: "GET", uri: "/talkpilot/lookup?phone=%2B491701234567&order_id=4711",
				headers: map[string]string{"Authorization": "Bearer CANARY"}, answer: `{"status":"shipped","echo":"CANARY"}`,
			},
			{tool: "talkpilot_slow", method: "PUT", uri: "/talkpilot/slow", body: `{"order_id":"4711"}`},
		},
	},
	{
		// Both lookups of one answer go in one request, and its results come back in
		// another order (F-06).
		name: "flireo", said: []string{"Order 4 7 1 1 was shipped. There are two tickets.", "That took too long. Goodbye."},
		agent: `webhook_secret: "{{secret.flireo}}"
webhook_url: URL/lookup
tools:
  - name: flireo_lookup
    description: Looks an order up. Call this when the caller names one.
    tool_type: webhook
    dialect: flireo
    timeout: 30
    parameters: {properties: {order_id: {type: string}}, required: [order_id]}
    speech: {bridging_sentence: "One moment, I am looking that up."}
  - name: flireo_tickets
    description: Counts tickets. Call this when the caller names an order.
    tool_type: webhook
    dialect: flireo
    timeout: 30
    speech: {bridging_sentence: "One moment, I am looking that up."}
  - name: flireo_slow
    description: Asks the carrier. Call this when an order was shipped.
    tool_type: webhook
    dialect: flireo
    timeout: 3
    parameters: {properties: {order_id: {type: string}}, required: [order_id]}
    config: {url: URL/slow}
  - {tool_type: end_call}
`,
		calls: []exchange{
			{
				tool: "flireo_lookup", method: "POST", uri: "/flireo/lookup", headers: flireoHeaders, signed: signedByFlireo,
				body: flireoSent(`{"id":"ANY","type":"function","function":{"name":"flireo_lookup","arguments":{"order_id":"4711"}}},` +
					`{"id":"ANY","type":"function","function":{"name":"flireo_tickets","arguments":{}}}`),
				answer: `{"results":[{"tool_call_id":"ID1","result":{"tickets":2}},` +
					`{"tool_call_id":"ID0","result":{"status":"shipped","echo":"CANARY"}}]}`,
			},
			{
				tool: "flireo_slow", method: "POST", uri: "/flireo/slow", headers: flireoHeaders, signed: signedByFlireo,
				body: flireoSent(`{"id":"ANY","type":"function","function":{"name":"flireo_slow","arguments":{"order_id":"4711"}}}`),
			},
		},
	},
	{
		// Who calls is looked up beside the greeting (D-14), and known when the first
		// answer is made (D-15).
		name: "dariet", said: []string{"Order 4 7 1 1 was shipped, Priya.", "That took too long. Goodbye."},
		agent: `pre_call_tool_ids: [dariet_caller]
tools:
  - name: dariet_caller
    description: Looks up who calls. Call this at the start.
    tool_type: webhook
    dialect: dariet
    config: {webhook_url: URL/caller, headers: {Authorization: "Bearer {{secret.dariet}}"}, timeout_secs: 30}
  - name: dariet_lookup
    description: Looks an order up. Call this when the caller names one.
    tool_type: webhook
    dialect: dariet
    parameters: {properties: {order_id: {type: string}}, required: [order_id]}
    config: {webhook_url: URL/lookup, headers: {Authorization: "Bearer {{secret.dariet}}"}, timeout_secs: 30}
    speech: {bridging_sentence: "One moment, I am looking that up."}
  - name: dariet_slow
    description: Asks the carrier. Call this when an order was shipped.
    tool_type: webhook
    dialect: dariet
    parameters: {properties: {order_id: {type: string}}, required: [order_id]}
    config: {webhook_url: URL/slow, webhook_method: GET, timeout_secs: 3}
  - {tool_type: end_call}
`,
		calls: []exchange{
			{
				tool: "dariet_caller", method: "POST", uri: "/dariet/caller", headers: map[string]string{"Authorization": "Bearer CANARY"},
				body:   `{"tool":"dariet_caller","args":{"phone_number":"+491701234567","direction":"inbound"},"call_id":"CALL"}`,
				answer: `{"name":"Priya","echo":"CANARY"}`,
			},
			{
				tool: "dariet_lookup", method: "POST", uri: "/dariet/lookup", headers: map[string]string{"Authorization": "Bearer CANARY"},
				body:   `{"tool":"dariet_lookup","args":{"order_id":"4711"},"call_id":"CALL"}`,
				answer: `{"status":"shipped","echo":"CANARY"}`,
			},
			{tool: "dariet_slow", method: "GET", uri: "/dariet/slow?order_id=4711&call_id=CALL"},
		},
	},
}

// hubSpotAction is a tool whose definition is written out.
func hubSpotAction(name string, timeout int, speech string) string {
	return fmt.Sprintf(`  - tool_type: webhook
    dialect: hubspot
    timeout: %[2]d
    speech:%[3]s
    config:
      client_secret: "{{secret.hubspot}}"
      hsmeta:
        uid: hubspot_%[1]s
        type: workflow-action
        config:
          actionUrl: URL/%[1]s
          toolType: GET_DATA
          llmDescription: Looks an order up. Call this when the caller names one.
          isPublished: true
          supportedClients: [{client: AGENTS}]
          inputFields: [{typeDefinition: {name: order_id, type: string, fieldType: text}, isRequired: true}]
          labels: {en: {actionName: Look up, appDisplayName: App}}
`, name, timeout, speech)
}

// hubSpotSent is the body of its request (H-28).
func hubSpotSent(name string) string {
	return `{"callbackId":"ANY","origin":{"portalId":62515,"actionDefinitionId":"hubspot_` + name + `","actionDefinitionVersion":1},` +
		`"context":{"source":"AGENTS","workflowId":0},"object":{"objectId":"","objectType":"CONTACT"},"inputFields":{"order_id":"4711"},"fields":{"order_id":"4711"}}`
}

// flireoSent is the body of a request with these calls (F-03, F-04).
func flireoSent(calls string) string {
	return `{"message":{"timestamp":"ANY","type":"tool-calls","tool_call_list":[` + calls + `],` +
		`"call":{"id":"CALL","type":"inbound_phone_call","status":"in-progress"},"phone_number":{"number":"ANY","name":"flireo"},` +
		`"customer":{"number":"+491701234567"},"assistant":"ANY"}}`
}
