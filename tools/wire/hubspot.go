package wire

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/patchcord/patchcord/tools"
)

// HubSpot is the form of seed 001, a custom action of a workflow that agents
// may use:
//
//	POST actionUrl
//	{"callbackId": "ap-…", "origin": {"portalId": …, "actionDefinitionId": "…", "actionDefinitionVersion": 1},
//	 "context": {"source": "AGENTS", "workflowId": …}, "object": {"objectId": "…", "objectType": "CONTACT"},
//	 "inputFields": {…}, "fields": {…}}
//	{"outputFields": {…}}
//
// It is signed with the app's client secret (H-22). Outputs become variables of
// the call. A reply of "hs_execution_state": "BLOCK" makes the result a later
// one: it is brought to /automation/v4/actions/callbacks/{callbackId}/complete.
type HubSpot struct{}

var _ tools.Dialect = HubSpot{}

// hubSpotConfig is a definition of ours around a file of HubSpot's.
type hubSpotConfig struct {
	File      string   `yaml:"file"`   // *-hsmeta.json, relative to the definition's file
	Meta      ast.Node `yaml:"hsmeta"` // … or what stands in it
	Secret    string   `yaml:"client_secret"`
	Signature string   `yaml:"signature"` // v1, v2, v3; default v2 (H-23)
	Version   int      `yaml:"version"`   // of the definition; default 1 (H-19)
}

// pendingJSON is what the model is told of a result that comes later.
var pendingJSON = json.RawMessage(
	`{"status":"pending","message":"the result comes later by itself: go on, do not call this again"}`)

// Deferred results.
const (
	blockedFor  = 10 * time.Minute // without an hs_expiration_duration
	longestWait = 24 * time.Hour   // a call ends sooner
)

// Open reads config: of a webhook with dialect: hubspot.
func (HubSpot) Open(d *tools.Definition, deps tools.Deps) (tools.Wire, tools.Faults) {
	var cfg hubSpotConfig
	if fs := d.Config.Decode(&cfg); fs != nil {
		return nil, fs
	}
	check := tools.Checks{Definition: d, Deps: deps}
	w := &hubSpotWire{cfg: cfg, agent: deps.Agent, callbacks: deps.Callbacks}
	if w.callbacks == nil {
		w.callbacks = tools.NewCallbacks("") // none that can be completed
	}
	if cfg.Meta == nil {
		check.Fault("hsmeta", "missing", "name the action's file in file:, or write what stands in it under hsmeta:")
		return nil, check.Faults
	}
	b, err := tools.Config{Node: cfg.Meta}.MarshalJSON()
	if err != nil {
		check.Fault("hsmeta", err.Error(), "")
		return nil, check.Faults
	}
	var remarks []remark
	w.meta, remarks = readHSMeta(b)
	for _, r := range remarks {
		note := check.Fault
		if r.warning {
			note = check.Warn
		}
		note(strings.TrimSuffix("hsmeta."+r.path, "."), r.what, r.do)
	}
	if w.meta.Config.ActionURL != "" {
		check.URL("hsmeta.config.actionUrl", w.meta.Config.ActionURL)
	}
	if w.cfg.Signature == "" {
		w.cfg.Signature = hubSpotV2
	}
	if known := []string{hubSpotV1, hubSpotV2, hubSpotV3}; !slices.Contains(known, w.cfg.Signature) {
		check.Fault("signature", fmt.Sprintf("version %q", cfg.Signature), "v1, v2 or v3; v2 is that of custom actions")
	}
	check.Text("client_secret", cfg.Secret)
	if cfg.Secret == "" {
		check.Warn("client_secret", "missing: requests are not signed", "write the app's client secret, {{secret.NAME}}")
	}
	w.cfg.Version = max(1, cfg.Version)
	w.fill(d, &check)
	return w, check.Faults
}

// fill makes a definition of the action.
func (w *hubSpotWire) fill(d *tools.Definition, check *tools.Checks) {
	c := &w.meta.Config
	en := c.Labels["en"]
	if d.Name == "" {
		d.Name = w.meta.UID
	}
	if d.DisplayName == "" {
		d.DisplayName = en.ActionName
	}
	if d.Description == "" && c.LLMDescription != "" {
		d.Description = c.LLMDescription
		if en.ActionName != "" {
			d.Description = en.ActionName + ": " + d.Description // the model sees both (H-20)
		}
	}
	if len(d.Parameters) > 0 {
		check.Fault("hsmeta.config.inputFields", "both parameters and inputFields", "leave parameters out")
	}
	var err error
	if d.Parameters, err = w.meta.schema(); err != nil {
		check.Fault("hsmeta.config.inputFields", err.Error(), "")
	}
	if d.Class == "" {
		d.Class = tools.Read // GET_DATA and GENERATE change nothing (H-05)
		if c.ToolType == "TAKE_ACTION" {
			d.Class = tools.Effect
		}
	}
	off := false
	switch {
	case len(c.Clients) > 0 && !slices.Contains(c.Clients, hsClient{"AGENTS"}):
		d.Enabled = &off
		check.Warn("hsmeta.config.supportedClients", "AGENTS is not among them: the tool is not offered",
			`add {"client": "AGENTS"}`)
	case !c.IsPublished && d.Enabled == nil:
		d.Enabled = &off
		check.Warn("hsmeta.config.isPublished", "not published: the tool is not offered",
			"publish it, or write is_enabled: true to use it all the same")
	case !w.takesObject():
		d.Enabled = &off
		check.Warn("hsmeta.config.objectTypes", "not for "+w.objectType()+": the tool is not offered",
			"write hubspot: {object_type: "+c.ObjectTypes[0]+"} in the agent")
	}
}

type hubSpotWire struct {
	cfg       hubSpotConfig
	meta      hsmeta
	agent     *tools.Agent
	callbacks *tools.Callbacks
}

var _ tools.Ender = (*hubSpotWire)(nil)

// takesObject says whether the action is for the agent's objects (H-15).
func (w *hubSpotWire) takesObject() bool {
	types := w.meta.Config.ObjectTypes
	return len(types) == 0 || w.agent == nil || slices.Contains(types, w.objectType())
}

func (w *hubSpotWire) objectType() string {
	if w.agent != nil && w.agent.HubSpot.ObjectType != "" {
		return w.agent.HubSpot.ObjectType
	}
	return "CONTACT"
}

// hubSpotBody is what a request carries (H-28).
type hubSpotBody struct {
	CallbackID string          `json:"callbackId"`
	Origin     hubSpotOrigin   `json:"origin"`
	Context    hubSpotContext  `json:"context"`
	Object     hubSpotObject   `json:"object"`
	Inputs     json.RawMessage `json:"inputFields"`
	Fields     json.RawMessage `json:"fields"`
}

type hubSpotOrigin struct {
	PortalID   int64  `json:"portalId"`
	Definition string `json:"actionDefinitionId"`
	Version    int    `json:"actionDefinitionVersion"`
}

type hubSpotContext struct {
	Source     string `json:"source"`
	WorkflowID int64  `json:"workflowId"`
}

type hubSpotObject struct {
	ID   string `json:"objectId"`
	Type string `json:"objectType"`
}

// Request forms the request of one call and takes a result for it from now on.
func (w *hubSpotWire) Request(c tools.Call, e *tools.Expander) (tools.Request, error) {
	r, err := target(http.MethodPost, w.meta.Config.ActionURL, nil, e)
	if err != nil {
		return r, err
	}
	b := hubSpotBody{
		CallbackID: w.callbacks.ID(c), Origin: hubSpotOrigin{Definition: w.meta.UID, Version: w.cfg.Version},
		Context: hubSpotContext{Source: "AGENTS"}, Object: hubSpotObject{Type: w.objectType()},
	}
	if w.agent != nil {
		h := w.agent.HubSpot
		b.Origin.PortalID, b.Context.WorkflowID = h.PortalID, h.WorkflowID
		if id, err := e.Text(h.ObjectID); err == nil { // of a caller who is nobody's contact there is none
			b.Object.ID = id
		}
	}
	b.Inputs = tools.Declared(w.declared(), c.Args)
	b.Fields = b.Inputs
	if r, err = withJSON(r, b); err != nil {
		return r, err
	}
	if err := w.sign(&r, e); err != nil {
		return r, err
	}
	w.callbacks.Expect(b.CallbackID)
	return r, nil
}

func (w *hubSpotWire) declared() tools.Schema {
	s, err := w.meta.schema()
	if err != nil { // it was made once already
		return nil
	}
	return s
}

// sign puts the signature in (H-22 to H-26).
func (w *hubSpotWire) sign(r *tools.Request, e *tools.Expander) error {
	secret, err := e.Secret(w.cfg.Secret)
	if err != nil || secret == "" {
		return err
	}
	now := strconv.FormatInt(time.Now().UnixMilli(), 10)
	sum, err := HubSpotSignature(w.cfg.Signature, secret, r.Method, asSent(r.URL), r.Body, now)
	if err != nil {
		return err
	}
	if w.cfg.Signature == hubSpotV3 {
		r.Header = append(r.Header, tools.KV{Key: "X-HubSpot-Signature-v3", Value: sum},
			tools.KV{Key: "X-HubSpot-Request-Timestamp", Value: now})
		return nil
	}
	r.Header = append(r.Header, tools.KV{Key: "X-HubSpot-Signature", Value: sum},
		tools.KV{Key: "X-HubSpot-Signature-Version", Value: w.cfg.Signature})
	return nil
}

// End forgets a callback that was not asked for.
func (w *hubSpotWire) End(c tools.Call, r tools.Result) {
	if r.Later == nil {
		w.callbacks.Forget(w.callbacks.ID(c))
	}
}

// Reply reads the endpoint's answer: its outputs, or that they come later.
func (w *hubSpotWire) Reply(c tools.Call, r tools.Reply) tools.Result {
	whole := tools.ReadReply(r.Status, r.Body)
	var in struct {
		Outputs map[string]json.RawMessage `json:"outputFields"`
	}
	if whole.Status != tools.OK || json.Unmarshal(whole.JSON, &in) != nil || in.Outputs == nil {
		return whole
	}
	if text(in.Outputs["hs_execution_state"]) != "BLOCK" {
		return w.outcome(r.Status, in.Outputs)
	}
	wait := duration(text(in.Outputs["hs_expiration_duration"]), blockedFor)
	id := w.callbacks.ID(c)
	return tools.Result{
		JSON:   pendingJSON,
		Status: tools.OK, HTTP: r.Status,
		Later: func(ctx context.Context) tools.Result {
			b, err := w.callbacks.Wait(ctx, id, wait)
			if ctx.Err() != nil {
				return tools.ErrorResult(tools.Cancelled, "cancelled", "")
			}
			if err != nil {
				t := tools.ErrorResult(tools.TimedOut, "timeout", "")
				t.Err = "timeout: no callback within " + wait.String()
				return t
			}
			var in map[string]json.RawMessage
			if json.Unmarshal(b, &in) != nil {
				return tools.ErrorResult(tools.Failed, "invalid_response", "")
			}
			return w.outcome(http.StatusOK, in)
		},
	}
}

// outcome is the result of an action's outputs: those that it declares become
// variables of the call (H-16).
func (w *hubSpotWire) outcome(status int, outputs map[string]json.RawMessage) tools.Result {
	state, message := text(outputs["hs_execution_state"]), w.meta.rule(outputs)
	told := map[string]json.RawMessage{}
	for k, v := range outputs {
		if !strings.HasPrefix(k, "hs_execution_") && k != "hs_expiration_duration" {
			told[k] = v
		}
	}
	if strings.HasPrefix(state, "FAIL") {
		code := text(outputs["errorCode"])
		if code == "" {
			code = "failed"
		}
		r := tools.ErrorResult(tools.Failed, code, message)
		r.HTTP = status
		return r
	}
	b, err := compact(told)
	if err != nil {
		return tools.ErrorResult(tools.Failed, "invalid_response", "")
	}
	r := tools.ReadReply(status, b)
	r.Err = message // for people (H-17)
	for _, o := range w.meta.Config.Outputs {
		var v any
		if raw, ok := told[o.Def.Name]; ok && json.Unmarshal(raw, &v) == nil && v != nil {
			if r.Vars == nil {
				r.Vars = map[string]any{}
			}
			r.Vars[o.Def.Name] = v
		}
	}
	return r
}

func text(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return s
}

var isoDuration = regexp.MustCompile(
	`^P(?:(\d{1,4})W)?(?:(\d{1,4})D)?(?:T(?:(\d{1,5})H)?(?:(\d{1,6})M)?(?:(\d{1,8})S)?)?$`)

// duration reads an ISO 8601 duration, such as P1WT1H; otherwise where it is
// none.
func duration(s string, otherwise time.Duration) time.Duration {
	m := isoDuration.FindStringSubmatch(s)
	if m == nil {
		return otherwise
	}
	var d time.Duration
	for i, unit := range []time.Duration{7 * 24 * time.Hour, 24 * time.Hour, time.Hour, time.Minute, time.Second} {
		if n, err := strconv.Atoi(m[i+1]); err == nil {
			d += time.Duration(n) * unit
		}
	}
	if d <= 0 {
		return otherwise
	}
	return min(d, longestWait)
}

// Resolve puts what a definition names by file into the definition: it can then
// be kept and sent anywhere. A tool without a name gets that of its action.
func Resolve(d *tools.Definition, read func(name string) ([]byte, error)) error {
	if d.Dialect != "hubspot" {
		return nil
	}
	var cfg hubSpotConfig
	if d.Config.Decode(&cfg) != nil {
		return nil // Validate tells
	}
	meta := tools.Config{Node: cfg.Meta}
	b, err := meta.MarshalJSON()
	if err != nil {
		return err
	}
	if cfg.File != "" {
		if cfg.Meta != nil {
			return errors.New("both file and hsmeta")
		}
		if b, err = read(cfg.File); err != nil {
			return fmt.Errorf("config.file: %w", err)
		}
		if d.Config, err = d.Config.With("file", "hsmeta", b); err != nil {
			return fmt.Errorf("config.file: %s: %w", cfg.File, err)
		}
	}
	var m hsmeta
	if d.Name == "" && json.Unmarshal(b, &m) == nil {
		d.Name = m.UID
	}
	return nil
}

// HubSpotCompatible says whether a definition may take the place of another:
// required fields of a published action can be neither removed nor changed,
// since who uses it relies on them (H-19).
func HubSpotCompatible(old, next *tools.Definition) error {
	before, errBefore := metaOf(old)
	after, errAfter := metaOf(next)
	if errBefore != nil || errAfter != nil || !before.Config.IsPublished {
		return nil //nolint:nilerr // what cannot be read was used by nobody
	}
	for _, in := range before.Config.Inputs {
		if !in.Required {
			continue
		}
		i := slices.IndexFunc(after.Config.Inputs, func(o hsInput) bool { return o.Def.Name == in.Def.Name })
		switch {
		case i < 0:
			return fmt.Errorf("the required field %q was published and is gone: keep it, or make another action", in.Def.Name)
		case after.Config.Inputs[i].Def.Type != in.Def.Type, !after.Config.Inputs[i].Required:
			return fmt.Errorf("the required field %q was published and is changed: keep it, or make another action", in.Def.Name)
		}
	}
	return nil
}

func metaOf(d *tools.Definition) (m hsmeta, err error) {
	b, err := tools.Config{Node: metaNode(d)}.MarshalJSON()
	if err != nil {
		return m, err
	}
	return m, json.Unmarshal(b, &m)
}

// HubSpotNext gives a definition the version that follows another's, and what
// that one says beside the action: secret and signature (H-19).
func HubSpotNext(old, next *tools.Definition) error {
	var before hubSpotConfig
	if fs := old.Config.Decode(&before); fs != nil {
		return fs.Err()
	}
	b, err := tools.Config{Node: metaNode(next)}.MarshalJSON()
	if err != nil {
		return err
	}
	next.Config, err = tools.NewConfig(struct {
		Meta      json.RawMessage `json:"hsmeta"`
		Secret    string          `json:"client_secret,omitempty"`
		Signature string          `json:"signature,omitempty"`
		Version   int             `json:"version"`
	}{b, before.Secret, before.Signature, max(1, before.Version) + 1})
	next.Enabled = old.Enabled
	return err
}

// HubSpotVersion gives a definition the version that follows another's, and
// leaves the rest of it as it is (H-19).
func HubSpotVersion(old, next *tools.Definition) error {
	var before hubSpotConfig
	if fs := old.Config.Decode(&before); fs != nil {
		return fs.Err()
	}
	config, err := next.Config.With("version", "version", strconv.AppendInt(nil, int64(max(1, before.Version)+1), 10))
	if err != nil {
		return err
	}
	next.Config = config
	return nil
}

func metaNode(d *tools.Definition) ast.Node {
	var cfg hubSpotConfig
	if d.Config.Decode(&cfg) != nil {
		return nil
	}
	return cfg.Meta
}
