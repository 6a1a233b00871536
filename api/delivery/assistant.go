package delivery

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"github.com/patchcord/patchcord/engine"
	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/tools"
)

// assistantRequest asks before an inbound call is answered who shall take it, and
// how (F-13):
//
//	{"message": {"type": "assistant-request", "call": {…, "status": "ringing"}, …}}
//	{}                                          the agent as it is
//	{"assistant": {"first_message": "…", …}}    with these in place of its own
//	{"max_duration_seconds": 300}
//	{"error": "We are closed."}                 said to the caller, and the call ends
const assistantRequest = "assistant-request"

// askTime is how long the caller may wait for the answer.
const askTime = 5 * time.Second

// Asking is a directory that asks about inbound calls: the webhook of the agent,
// or the account's where it has none, if its webhook_events name
// assistant-request; and the account's about a number that is nobody's. Without
// an answer that can be used the agent takes the call as it is, and a call for
// nobody is refused as it was.
func (d *Deliveries) Asking(directory engine.Directory) engine.Directory { return asking{directory, d} }

type asking struct {
	engine.Directory

	d *Deliveries
}

// ForCall is the agent as its webhook wants it for this call.
func (x asking) ForCall(ctx context.Context, info telephony.Info) (*agent.Agent, error) {
	a, err := x.Directory.ForCall(ctx, info)
	if err != nil {
		return x.forNobody(ctx, info, err)
	}
	to := tools.WebhookTo{URL: a.WebhookURL, Secret: a.WebhookSecret}
	if to.URL == "" {
		to = x.d.cfg.Account
	}
	if to.URL == "" || !slices.Contains(a.WebhookEvents, assistantRequest) {
		return a, nil
	}
	own, err := x.asked(ctx, a, to, info)
	var refusal *engine.Refusal
	if err == nil || errors.As(err, &refusal) {
		return own, err
	}
	x.d.cfg.Log.Warn("assistant-request: the agent takes the call as it is", zap.String("call_id", string(info.ID)),
		zap.Error(err))
	return a, nil
}

// forNobody asks the account's webhook who takes a call to a number that has no
// agent (F-02): an assistant, which is an agent of this call alone. With nothing
// said of one the call is refused as before.
func (x asking) forNobody(ctx context.Context, info telephony.Info, nobody error) (*agent.Agent, error) {
	to := x.d.cfg.Account
	if to.URL == "" || info.Agent != "" { // one was asked for by name: it is gone, and no other is meant
		return nil, nobody
	}
	id, err := uuid.NewV7()
	if err != nil {
		return nil, errors.Join(nobody, err)
	}
	a := &agent.Agent{
		ID: agent.ID(id.String()), Name: assistantRequest, WebhookURL: to.URL, WebhookSecret: to.Secret,
		WebhookEvents: []string{"status-update", "tool-calls", "end-of-call-report"},
	}
	a.Normalize()
	own, err := x.asked(ctx, a, to, info)
	var refusal *engine.Refusal
	switch {
	case errors.As(err, &refusal):
		return own, err
	case err != nil:
		return nil, errors.Join(nobody, fmt.Errorf("assistant-request: %w", err))
	case own.Prompt == "" && own.Greeting == "": // {}
		return nil, nobody
	}
	x.d.Remember(own)
	return own, nil
}

// asked is an agent as a webhook wants it for a call.
func (x asking) asked(
	ctx context.Context, a *agent.Agent, to tools.WebhookTo, info telephony.Info,
) (*agent.Agent, error) {
	answer, err := x.d.ask(ctx, a, to, info)
	if err != nil {
		return nil, err
	}
	if answer.Error != "" {
		return a, &engine.Refusal{Say: answer.Error}
	}
	own, err := x.d.adjusted(a, answer)
	if err != nil {
		return nil, err
	}
	if answer.Assistant.Plan != nil {
		x.d.planned(info.ID, answer.Assistant.Plan)
	}
	return own, nil
}

// mostPlans bounds the plans of calls that were never heard of again: they asked,
// and the engine had no room. Beyond it the oldest of those is forgotten.
const mostPlans = 10000

// planned notes what is to be made of a call, nil to forget it.
func (d *Deliveries) planned(id telephony.CallID, p *agent.AnalysisPlan) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, again := d.plans[id]; again {
		d.forgetLocked(slices.Index(d.asked, id))
	}
	if p == nil {
		return
	}
	if len(d.asked) >= mostPlans {
		gone := slices.IndexFunc(d.asked, func(id telephony.CallID) bool { return d.calls[id] == nil })
		d.forgetLocked(max(gone, 0))
	}
	d.plans[id], d.asked = p, append(d.asked, id)
}

// forgetLocked forgets the i-th plan.
func (d *Deliveries) forgetLocked(i int) {
	delete(d.plans, d.asked[i])
	d.asked = slices.Delete(d.asked, i, i+1)
}

// assistantAnswer is what came back.
type assistantAnswer struct {
	Assistant struct {
		FirstMessage *string             `json:"first_message"`
		LLM          *agent.LLMConfig    `json:"llm_config"`
		STT          sttConfig           `json:"stt_config"`
		TTS          ttsConfig           `json:"tts_config"`
		Plan         *agent.AnalysisPlan `json:"analysis_plan"`
		Silence      *bool               `json:"autonomous_silence_handling"`
		Metadata     map[string]any      `json:"metadata"`
		MaxDuration  float64             `json:"max_duration_seconds"`
	} `json:"assistant"`
	MaxDuration float64 `json:"max_duration_seconds"` // s
	Error       string  `json:"error"`
}

// sttConfig and ttsConfig are said of the recogniser and the voice, as requests
// tell of them (F-04).
type (
	sttConfig struct {
		Provider string `json:"provider"`
		Language string `json:"language"`
	}
	ttsConfig struct {
		Provider string `json:"provider"`
		Voice    string `json:"voice"`
		VoiceID  string `json:"voice_id"`
	}
)

// ask sends the request and reads the answer.
func (d *Deliveries) ask(
	ctx context.Context, a *agent.Agent, to tools.WebhookTo, info telephony.Info,
) (out assistantAnswer, err error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	c := &Call{
		Record: engine.Record{ID: info.ID, Direction: info.Direction, From: info.From, To: info.To}, Agent: a.Name,
		At: time.Now(),
	}
	c.Number = d.cfg.NumberName(c.ours())
	m := newFlireo(c, assistantRequest)
	m.Call.Status = "ringing"
	body, err := encode(flireo{m})
	if err != nil {
		return out, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return out, err
	}
	secret, err := d.cfg.Secret(to.Secret)
	if err != nil {
		return out, fmt.Errorf("webhook_secret: %w", err)
	}
	req, err := signed(to.URL, id.String(), assistantRequest, secret, body, true)
	if err != nil {
		return out, err
	}
	reply, err := d.cfg.Client.Do(ctx, req)
	switch {
	case err != nil && ctx.Err() != nil:
		return out, fmt.Errorf("no answer within %v", askTime)
	case err != nil:
		return out, err
	case reply.Status < 200 || reply.Status > 299:
		return out, fmt.Errorf("%d %s", reply.Status, http.StatusText(reply.Status))
	}
	return readAssistant(reply.Body)
}

// readAssistant reads an answer in either casing (F-05); nothing at all is {}.
func readAssistant(body []byte) (out assistantAnswer, err error) {
	if len(strings.TrimSpace(string(body))) == 0 {
		return out, nil
	}
	text, err := snake(body,
		"assistant", "llm_config", "stt_config", "tts_config", "analysis_plan", "structured_data_plan")
	if err != nil {
		return out, errors.New("the answer is no JSON object")
	}
	if err := json.Unmarshal(text, &out); err != nil {
		return out, fmt.Errorf("the answer cannot be used: %w", err)
	}
	return out, nil
}

// snake is an object with its keys in snake_case, and those of the members that
// are named, and of theirs.
func snake(body []byte, within ...string) ([]byte, error) {
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(body, &keys); err != nil || keys == nil {
		return nil, cmp.Or(err, errors.New("no object"))
	}
	out := make(map[string]json.RawMessage, len(keys))
	for k, v := range keys {
		var b strings.Builder
		for _, c := range k {
			if c >= 'A' && c <= 'Z' {
				b.WriteByte('_')
				c += 'a' - 'A'
			}
			b.WriteRune(c)
		}
		k = b.String()
		if slices.Contains(within, k) {
			if inner, err := snake(v, within...); err == nil {
				v = inner
			}
		}
		out[k] = v
	}
	return json.Marshal(out)
}

// adjusted is an agent with what the answer has in place of its own.
func (d *Deliveries) adjusted(a *agent.Agent, answer assistantAnswer) (*agent.Agent, error) {
	own, in := *a, answer.Assistant
	if in.FirstMessage != nil {
		own.Greeting = *in.FirstMessage
	}
	if in.Silence != nil {
		own.AutonomousSilence = *in.Silence
	}
	if in.Metadata != nil {
		own.Metadata = in.Metadata
	}
	if in.LLM != nil {
		d.adjustModel(&own, in.LLM)
	}
	d.adjustSpeech(&own, in.STT, in.TTS)
	if s := cmp.Or(answer.MaxDuration, in.MaxDuration); s > 0 {
		own.MaxCallDuration = agent.Duration(min(s, longestCall.Seconds()) * float64(time.Second))
	}
	own.Normalize()
	return &own, own.Validate()
}

// longestCall is the longest that an agent may have.
const longestCall = 2 * time.Hour

// adjustSpeech takes what is said of the recogniser and the voice. A provider that
// nobody has configured here is not taken, nor is its voice: another has none of
// this name.
func (d *Deliveries) adjustSpeech(own *agent.Agent, ear sttConfig, voice ttsConfig) {
	if ear.Provider != "" && d.cfg.KnowsSTT(ear.Provider) {
		own.STT = ear.Provider
	}
	own.Language = cmp.Or(ear.Language, own.Language)
	name := cmp.Or(voice.Voice, voice.VoiceID)
	switch {
	case voice.Provider == "" || voice.Provider == own.TTS:
		own.Voice = cmp.Or(name, own.Voice)
	case d.cfg.KnowsTTS(voice.Provider):
		own.TTS, own.Voice = voice.Provider, name
	}
}

// adjustModel takes what is said of the model. One of a provider that nobody has
// configured here is not taken: the platform that the answer is made for has
// other names for them.
func (d *Deliveries) adjustModel(own *agent.Agent, in *agent.LLMConfig) {
	switch {
	case in.Provider == "" || in.Provider == own.LLM.Provider:
		own.LLM.Model = cmp.Or(in.Model, own.LLM.Model)
	case d.cfg.KnowsModel(in.Provider):
		own.LLM.Provider, own.LLM.Model = in.Provider, in.Model
	}
	if in.Temperature != nil {
		own.LLM.Temperature = in.Temperature
	}
	own.LLM.MaxTokens = cmp.Or(in.MaxTokens, own.LLM.MaxTokens)
	if len(in.Messages) > 0 {
		own.Prompt, own.LLM.Messages = "", in.Messages
	}
	if in.Tools != nil {
		own.Tools, own.LLM.Tools = nil, in.Tools
	}
}
