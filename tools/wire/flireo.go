package wire

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strconv"
	"time"

	"github.com/patchcord/patchcord/tools"
)

// Flireo is the form of seed 003:
//
//	POST url
//	{"message": {"timestamp": "…", "type": "tool-calls",
//	  "tool_call_list": [{"id": "…", "type": "function",
//	    "function": {"name": "lookup_customer", "arguments": {"phone": "…"}}}],
//	  "call": {…}, "phone_number": {…}, "customer": {…}, "assistant": {…}}}
//	{"results": [{"tool_call_id": "…", "result": {…}}]}
//
// arguments is an object, not text (F-03). Calls of one reply to one endpoint go
// in one request, their results are matched by id (F-06). It is signed where
// there is a secret (F-12).
type Flireo struct{}

var _ tools.Dialect = Flireo{}

// flireoConfig are the keys of a definition (F-01), in both casings (F-05).
type flireoConfig struct {
	URL            string `yaml:"url" json:"url,omitempty"` // default: the agent's webhook_url, then the account's (F-02)
	Async          bool   `yaml:"async" json:"async,omitempty"`
	AsyncResponse  string `yaml:"async_response" json:"async_response,omitempty"`
	AsyncResponse2 string `yaml:"asyncResponse" json:"asyncResponse,omitempty"`
	Secret         string `yaml:"webhook_secret" json:"webhook_secret,omitempty"` // default: the agent's or the account's
	Legacy         bool   `yaml:"legacy" json:"legacy,omitempty"`                 // send the older casing, toolCallList
}

// Open reads config: of a webhook with dialect: flireo.
func (Flireo) Open(d *tools.Definition, deps tools.Deps) (tools.Wire, tools.Faults) {
	var cfg flireoConfig
	if fs := d.Config.Decode(&cfg); fs != nil {
		return nil, fs
	}
	check := tools.Checks{Definition: d, Deps: deps}
	w := &flireoWire{to: tools.WebhookTo{URL: cfg.URL, Secret: cfg.Secret}, legacy: cfg.Legacy, agent: deps.Agent}
	if a := deps.Agent; a != nil { // F-02
		if w.to.Secret == "" {
			w.to.Secret = a.Webhook.Secret
		}
		if w.to.URL == "" {
			w.to.URL = a.Webhook.URL
		}
	}
	if w.to.URL == "" {
		w.to.URL = deps.Account.URL
		if w.to.Secret == "" {
			w.to.Secret = deps.Account.Secret
		}
	}
	switch {
	case w.to.URL != "":
		check.URL("url", w.to.URL)
	case deps.Agent != nil:
		check.Fault("url", "neither the tool nor its agent nor the account has a webhook",
			"write url: here, webhook_url: in the agent, or tools.webhook_url in the configuration")
	}
	check.Text("webhook_secret", w.to.Secret)
	if cfg.Async {
		w.ack = flireoAck(cfg.AsyncResponse, cfg.AsyncResponse2)
		if d.Class != "" && d.Class != tools.Async {
			check.Fault("async", "async, and class: "+string(d.Class), "leave class out")
		}
		d.Class = tools.Async
	}
	if d.Class == "" {
		d.Class = tools.Effect
	}
	return w, check.Faults
}

// flireoAck is what the model is told at once of an asynchronous tool (F-08).
func flireoAck(texts ...string) json.RawMessage {
	for _, t := range texts {
		if t == "" {
			continue
		}
		if b, err := compact(map[string]string{"result": t}); err == nil {
			return b
		}
	}
	return json.RawMessage(`{"status":"started"}`)
}

type flireoWire struct {
	to     tools.WebhookTo
	ack    json.RawMessage // nil: the tool is waited for
	legacy bool
	agent  *tools.Agent
}

var (
	_ tools.Batcher      = (*flireoWire)(nil)
	_ tools.Acknowledger = (*flireoWire)(nil)
)

// Acknowledge is what the model is told at once.
func (w *flireoWire) Acknowledge() json.RawMessage { return w.ack }

// Endpoint is by what calls go together: where they go, and whose signature
// they bear. One whose arguments say where it goes, goes alone.
func (w *flireoWire) Endpoint() string {
	if ofArguments.MatchString(w.to.URL) {
		return ""
	}
	return "flireo " + strconv.FormatBool(w.legacy) + " " + w.to.URL + " " + w.to.Secret
}

var ofArguments = regexp.MustCompile(`\{\{\s*args\.`)

// flireoCall is one call of a tool.
type flireoCall struct {
	ID       string         `json:"id"`
	Type     string         `json:"type"`
	Function flireoFunction `json:"function"`
}

type flireoFunction struct {
	Name      string          `json:"name"`
	Arguments json.RawMessage `json:"arguments"`
}

// Request forms the request of one call.
func (w *flireoWire) Request(c tools.Call, e *tools.Expander) (tools.Request, error) {
	return w.RequestAll([]tools.Call{c}, e)
}

// RequestAll forms the request of all calls of a reply.
func (w *flireoWire) RequestAll(cs []tools.Call, e *tools.Expander) (tools.Request, error) {
	r, err := target(http.MethodPost, w.to.URL, nil, e)
	if err != nil {
		return r, err
	}
	now := time.Now()
	r.Header = []tools.KV{
		{Key: "User-Agent", Value: "HMS-Sovereign/1.0"},
		{Key: "X-Webhook-Event", Value: "tool-calls"},
		{Key: "X-Webhook-Timestamp", Value: strconv.FormatInt(now.Unix(), 10)},
	}
	list := make([]flireoCall, len(cs))
	for i, c := range cs {
		list[i] = flireoCall{c.ID, "function", flireoFunction{c.Name, c.Args}}
	}
	if r, err = withJSON(r, map[string]any{"message": w.message(cs[0].Env, list, now)}); err != nil {
		return r, err
	}
	secret, err := e.Secret(w.to.Secret)
	if err != nil {
		return r, err
	}
	if secret != "" {
		r.Header = append(r.Header, tools.KV{
			Key: "X-Webhook-Signature", Value: "sha256=" + FlireoSignature(secret, r.Header[2].Value, r.Body),
		})
	}
	return r, nil
}

// flireoMessage is the body in the present casing, flireoLegacy in the older.
type flireoMessage struct {
	Timestamp string          `json:"timestamp"` // ISO 8601, ms
	Type      string          `json:"type"`
	Calls     []flireoCall    `json:"tool_call_list"`
	Call      flireoPhoneCall `json:"call"`
	Number    flireoNumber    `json:"phone_number"`
	Customer  flireoCustomer  `json:"customer"`
	Assistant json.RawMessage `json:"assistant,omitempty"`
}

type flireoLegacy struct {
	Timestamp string          `json:"timestamp"`
	Type      string          `json:"type"`
	Calls     []flireoCall    `json:"toolCallList"`
	Call      flireoPhoneCall `json:"call"`
	Number    flireoNumber    `json:"phoneNumber"`
	Customer  flireoCustomer  `json:"customer"`
	Assistant json.RawMessage `json:"assistant,omitempty"`
}

type flireoPhoneCall struct {
	ID     string `json:"id"`
	Type   string `json:"type"`
	Status string `json:"status"`
}

type flireoNumber struct {
	Number string `json:"number"`
	Name   string `json:"name"`
}

type flireoCustomer struct {
	Number string `json:"number"`
}

// message is what is told of the call (F-04).
func (w *flireoWire) message(env tools.Env, calls []flireoCall, now time.Time) any {
	m := flireoMessage{
		Timestamp: now.UTC().Format("2006-01-02T15:04:05.000Z"), Type: "tool-calls", Calls: calls,
		Call:   flireoPhoneCall{env.CallID, "inbound_phone_call", "in-progress"},
		Number: flireoNumber{env.Number, env.AgentID}, Customer: flireoCustomer{env.Phone},
	}
	if env.Direction == "outbound" {
		m.Call.Type = "outbound_phone_call"
	}
	if w.agent != nil {
		m.Number.Name, m.Assistant = w.agent.Name, w.agent.Assistant
	}
	if !w.legacy {
		return m
	}
	m.Call.Type = map[bool]string{false: "inboundPhoneCall", true: "outboundPhoneCall"}[env.Direction == "outbound"]
	return flireoLegacy(m)
}

// Reply reads the endpoint's answer to one call.
func (w *flireoWire) Reply(c tools.Call, r tools.Reply) tools.Result {
	return w.ReplyAll([]tools.Call{c}, r)[0]
}

// flireoReply is {"results": […]}, in both casings.
type flireoReply struct {
	Results []struct {
		ID     string          `json:"tool_call_id"`
		ID2    string          `json:"toolCallId"`
		Result json.RawMessage `json:"result"`
		Error  json.RawMessage `json:"error"`
	} `json:"results"`
	Result json.RawMessage `json:"result"`
	Error  json.RawMessage `json:"error"`
}

// ReplyAll gives each call its result, by its id and in whatever order they
// came (F-06). The short forms, {"result": …} and an object of one's own, answer
// a call that went alone; {"error": "…"} answers all.
func (*flireoWire) ReplyAll(cs []tools.Call, r tools.Reply) []tools.Result {
	out := make([]tools.Result, len(cs))
	whole := tools.ReadReply(r.Status, r.Body)
	var in flireoReply
	if whole.Status != tools.OK || json.Unmarshal(whole.JSON, &in) != nil {
		in = flireoReply{}
	}
	for i, c := range cs {
		switch {
		case whole.Status != tools.OK, given(in.Error) && in.Results == nil:
			out[i] = whole
		case in.Results != nil:
			out[i] = nothingFor(r.Status)
			for _, one := range in.Results {
				nameless := one.ID == "" && one.ID2 == ""
				if one.ID != c.ID && one.ID2 != c.ID && (!nameless || len(cs) > 1 || len(in.Results) > 1) {
					continue
				}
				if !given(one.Result) && given(one.Error) {
					out[i] = tools.ReadReply(r.Status, append(append([]byte(`{"error":`), one.Error...), '}'))
				} else if len(one.Result) > 0 {
					out[i] = tools.ReadReply(r.Status, one.Result)
				}
			}
		case len(cs) > 1:
			out[i] = nothingFor(r.Status)
		case len(in.Result) > 0:
			out[i] = tools.ReadReply(r.Status, in.Result)
		default:
			out[i] = whole
		}
	}
	return out
}

// given says whether a member of a reply has a value: many write null for those
// that they have not.
func given(raw json.RawMessage) bool { return len(raw) > 0 && string(raw) != "null" }

// nothingFor is the result of a call that the reply does not speak of.
func nothingFor(status int) tools.Result {
	r := tools.ErrorResult(tools.Failed, "invalid_response", "")
	r.Err, r.HTTP = "invalid_response: the reply has no result for this call", status
	return r
}
