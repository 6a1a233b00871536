package tools

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"go.uber.org/zap"
)

// Deps is what tools need of the outside.
type Deps struct {
	// Secrets finds the value of {{secret.name}}, nil for none. It is asked
	// only while a request is made.
	Secrets func(name string) (string, bool)
	// SecretHosts are the hosts that a secret may be sent to, none: any. Nil: no
	// secret has such a list.
	SecretHosts func(name string) []string
	// Vars are the names of variables that a call of this agent may have,
	// besides those that every call has. A name that is a secret's too is a fault.
	Vars []string
	// Client makes the requests; nil for one that reaches public https only.
	Client *Client
	// Dialects are the webhook forms by name: wire.Dialects().
	Dialects map[string]Dialect
	// Agent is whose tools are built; nil where that is not known, of a tool of
	// the library.
	Agent *Agent
	// Account is the webhook of agents that have none (F-02).
	Account WebhookTo
	// Callbacks are where endpoints bring results later (H-28); nil for none.
	Callbacks *Callbacks
	// Knowledge searches the documents of agents, nil for none.
	Knowledge Knowledge
	// Servers are the MCP servers, nil where none is to be asked.
	Servers *Servers
	// MayDial is nil for a number or SIP URI that may be dialled, else why not
	// (SEC-5). Without it nothing is judged beforehand, and nothing is dialled.
	MayDial func(to string) error
	// Watch is told what was sent and what came back, secrets masked; nil in
	// calls: it is for Try.
	Watch func(Sent, *Answer)
	// Log is for the debug level, nil for none.
	Log *zap.Logger
}

// WebhookTo is where webhooks go. The secret signs them, "" for none; it may be
// a placeholder.
type WebhookTo struct{ URL, Secret string }

// Agent is what webhooks need of the agent, or tell of it.
type Agent struct {
	Name    string
	Webhook WebhookTo
	// Assistant is how the agent is set up, a JSON object without secrets (F-04).
	Assistant json.RawMessage
	HubSpot   HubSpot
}

// HubSpot is what an agent's calls are in HubSpot's words (H-28).
type HubSpot struct {
	PortalID   int64  `yaml:"portal_id" json:"portal_id,omitempty"`     // of the account
	ObjectID   string `yaml:"object_id" json:"object_id,omitempty"`     // of the record; may be {{a variable}}
	ObjectType string `yaml:"object_type" json:"object_type,omitempty"` // default CONTACT
	WorkflowID int64  `yaml:"workflow_id" json:"workflow_id,omitempty"`
}

// kind is one tool type: how it is made and what holds where its definition
// is silent.
type kind struct {
	build       func(*Definition, Deps) (Tool, Faults) // nil: recognised, but not built yet
	class       func(*Definition) Class
	builtin     bool   // may go without a name and a description
	description string // of a built-in
}

func always(c Class) func(*Definition) Class { return func(*Definition) Class { return c } }

// kinds is the table of tool types: to add one, write its file and its line.
func kinds() map[Type]kind {
	return map[Type]kind{
		HTTPRequest: {build: newHTTPRequest, class: classByMethod("method", "GET")},
		Webhook:     {build: newWebhook, class: classOfWebhook},
		EndCall: {build: newEndCall, class: always(Terminal), builtin: true, description: "Ends the call. " +
			"Call this when the caller says goodbye or has nothing more to ask, after saying goodbye yourself."},
		TransferCall: {
			build: newTransferCall, class: always(Terminal), builtin: true,
			description: "Transfers the call to a human. Call this when the caller asks for a person.",
		},
		MonitoredTransfer: {
			build: newMonitoredTransfer, class: always(Async), builtin: true,
			description: "Calls a human while you stay with the caller, and connects the two when somebody answers. Call this " +
				"when the caller asks for a person; go on talking with the caller meanwhile.",
		},
		ExtractVariable: {
			build: newExtraction, class: always(Read), builtin: true, description: "Notes what the caller said.",
		},
		PlayTone: {
			build: newPlayTone, class: always(Effect), builtin: true, description: "Presses a key for a phone menu.",
		},
		KnowledgeBase: {build: newKnowledgeBase, class: always(Read), builtin: true, description: "Searches the documents " +
			"of this agent. Call this when the answer may be in them."},
		DoNotCall:        {build: newDoNotCall, class: always(Effect), builtin: true, description: doNotCallText},
		ScheduleCallback: {build: newScheduleCallback, class: always(Effect), builtin: true, description: callbackText},
		MCP:              {build: newMCP, class: always(Effect), builtin: true, description: "Tools of an MCP server."},
	}
}

// Types are the names of all tool types.
func Types() []string {
	var out []string
	for t := range kinds() {
		out = append(out, string(t))
	}
	slices.Sort(out)
	return out
}

// Dialect is one platform's form of a webhook: the keys of its definition, the
// request it sends and the reply it reads. Dialects live in tools/wire.
type Dialect interface {
	// Open decodes d.Config strictly and gives the form of its calls. It may
	// fill in what d leaves open: timeout, class, speech.
	Open(d *Definition, deps Deps) (Wire, Faults)
}

// Wire forms the requests of one webhook tool.
type Wire interface {
	// Request is the request for one call. Text that may hold placeholders
	// goes through e; the model's arguments do not.
	Request(c Call, e *Expander) (Request, error)
	// Reply reads what came back.
	Reply(c Call, r Reply) Result
}

// Batcher is a Wire whose endpoint takes several calls in one request (F-06).
type Batcher interface {
	Wire
	// Endpoint is where the calls go; those of one reply with the same one go
	// together. "" is for a call that goes alone.
	Endpoint() string
	// RequestAll is the request for all of them, ReplyAll reads what came back:
	// one result per call, in their order.
	RequestAll(cs []Call, e *Expander) (Request, error)
	ReplyAll(cs []Call, r Reply) []Result
}

// Acknowledger is a Wire whose tool may answer at once, its outcome nobody's
// (F-08).
type Acknowledger interface {
	// Acknowledge is what the model is told at once, nil: the tool is waited for.
	Acknowledge() json.RawMessage
}

// Ender is a Wire that keeps something while a request is under way: End is
// told when it is over, however it ended.
type Ender interface{ End(c Call, r Result) }

// Expander resolves the placeholders of one call.
type Expander struct{ s *scope }

// Secret resolves the placeholders in something that is a secret as a whole: it
// is kept out of results.
func (e *Expander) Secret(text string) (string, error) {
	v, err := e.Text(text)
	if err == nil && v != "" {
		e.s.used = append(e.s.used, v)
	}
	return v, err
}

// Text resolves the placeholders in text, as they are.
func (e *Expander) Text(text string) (string, error) {
	t, err := parseTemplate(text)
	if err != nil {
		return "", err
	}
	return t.expand(e.s, plain)
}

// URL resolves the placeholders in a URL, each escaped for its place.
func (e *Expander) URL(raw string) (string, error) {
	t, err := parseURL(raw)
	if err != nil {
		return "", err
	}
	return t.expand(e.s)
}

// base is what every tool has.
type base struct {
	def  *Definition
	args *schema
}

func (b *base) Definition() *Definition { return b.def }
func (b *base) Schema() json.RawMessage { return b.args.text }
func (b *base) schema() *schema         { return b.args }

// fill puts in what holds where a definition is silent.
func (d *Definition) fill(k kind) {
	if k.builtin {
		if d.Name == "" {
			d.Name = string(d.Type)
		}
		if d.Description == "" {
			d.Description = k.description
		}
	}
}

// classByMethod is read for GET and effect for the rest.
func classByMethod(key, otherwise string) func(*Definition) Class {
	return func(d *Definition) Class {
		m := otherwise
		c := d.Config.parsed()
		if n := c.at(key); n != nil && n != c.Node {
			m = n.GetToken().Value
		}
		if strings.EqualFold(m, "GET") {
			return Read
		}
		return Effect
	}
}

// ClassByMethod is read where config's key says GET, and effect else; otherwise
// is the method where it says none.
func ClassByMethod(d *Definition, key, otherwise string) Class {
	return classByMethod(key, otherwise)(d)
}

// classOfWebhook is of a form that leaves it open.
func classOfWebhook(d *Definition) Class { return classByMethod("method", "POST")(d) }

// notYet is the fault of something that is recognised and not built yet.
func notYet(path, what string) *Fault {
	return &Fault{
		Path: path, What: what + " is not built yet", Do: "the definition is kept, this part of it does nothing",
		Warning: true, NotYet: true,
	}
}

func names[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
