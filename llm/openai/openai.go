// Package openai asks any model behind the chat completions API: OpenAI's own,
// and the servers that speak the same (vLLM, Ollama, llama.cpp and others).
//
// The answer is read as it comes. Tool calls are put together from their
// fragments and given whole, never of a completion that was cut. Role-only,
// keep-alive and reasoning chunks are not passed on. A refusal is an
// *llm.Error with its status; no error holds the key.
package openai

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strings"
	"time"

	api "github.com/sashabaranov/go-openai"

	"github.com/patchcord/patchcord/internal/openaihttp"
	"github.com/patchcord/patchcord/internal/secret"
	"github.com/patchcord/patchcord/llm"
)

// Config is one model behind the API.
type Config struct {
	BaseURL     string      `yaml:"base_url"` // default https://api.openai.com/v1
	APIKey      secret.Text `yaml:"api_key"`  // local servers take any, or none
	Model       string      `yaml:"model"`    // default gpt-4.1-mini
	Temperature *float64    `yaml:"temperature"`
	MaxTokens   int         `yaml:"max_tokens"` // 0: the model's own limit
	// ReasoningEffort is sent to models that reason: none, minimal, low, …
	ReasoningEffort string `yaml:"reasoning_effort"`
	// ChatTemplate holds what self-hosted servers hand to the prompt's
	// template, such as enable_thinking: false.
	ChatTemplate map[string]any `yaml:"chat_template_kwargs"`
}

const defaultModel = "gpt-4.1-mini"

// Provider asks one model. It is safe for concurrent use and keeps its
// connections between completions.
type Provider struct {
	cfg    Config
	client *api.Client
	http   *http.Client
	limit  bool // the server wants max_completion_tokens
}

var (
	_ llm.Provider = (*Provider)(nil)
	_ llm.Warmer   = (*Provider)(nil)
)

// New checks the configuration; it asks nobody.
func New(cfg Config) (*Provider, error) {
	if cfg.BaseURL == "" {
		cfg.BaseURL = openaihttp.DefaultURL
	}
	if cfg.Model == "" {
		cfg.Model = defaultModel
	}
	u, err := openaihttp.Check(cfg.BaseURL, cfg.APIKey)
	if err != nil {
		return nil, fmt.Errorf("llm: openai: %w", err)
	}
	if t := cfg.Temperature; t != nil && (*t < 0 || *t > 2) {
		return nil, fmt.Errorf("llm: openai: temperature %v: it is between 0 and 2", *t)
	}
	if cfg.MaxTokens < 0 {
		return nil, fmt.Errorf("llm: openai: max_tokens %d: 0 for no limit, or a number of tokens", cfg.MaxTokens)
	}
	client := &http.Client{Transport: &roundTripper{openaihttp.NewTransport()}}
	p := &Provider{cfg: cfg, http: client, limit: u.Hostname() == "api.openai.com"}
	ac := api.DefaultConfig(cfg.APIKey.Reveal())
	ac.BaseURL = cfg.BaseURL
	ac.HTTPClient = p.http
	ac.EmptyMessagesLimit = math.MaxInt32 // blank lines are counted by our own reader
	p.client = api.NewClientWithConfig(ac)
	return p, nil
}

// Warm opens a connection by asking for the list of models, which costs
// nothing.
func (p *Provider) Warm(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimRight(p.cfg.BaseURL, "/")+"/models", nil)
	if err != nil {
		return &llm.Error{Provider: "openai", Op: "warm", Err: err}
	}
	if p.cfg.APIKey != "" {
		req.Header.Set("Authorization", "Bearer "+p.cfg.APIKey.Reveal())
	}
	resp, err := p.http.Do(req)
	if err != nil {
		return p.failure("warm", err, nil)
	}
	_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, maxErrorBody))
	_ = resp.Body.Close() // read to its end: the connection is kept
	if err != nil {
		return p.failure("warm", err, nil)
	}
	return nil
}

// Close closes the connections that are idle.
func (p *Provider) Close() { p.http.CloseIdleConnections() }

// Stream asks for one completion.
func (p *Provider) Stream(ctx context.Context, r llm.Request) (llm.Stream, error) {
	names := newAliases(r.Tools)
	seen := &headers{}
	ctx, cancel := context.WithCancel(context.WithValue(ctx, headersKey{}, seen))
	s, err := p.client.CreateChatCompletionStream(ctx, p.request(r, names))
	if err != nil {
		err = p.failure("request", reason(ctx, err), seen)
		cancel()
		return nil, err
	}
	return &stream{p: p, ctx: ctx, cancel: cancel, in: s, seen: seen, names: names}, nil
}

// request writes a request the way the API takes it.
func (p *Provider) request(r llm.Request, names *aliases) api.ChatCompletionRequest {
	q := api.ChatCompletionRequest{
		Model:              p.cfg.Model,
		Stream:             true,
		StreamOptions:      &api.StreamOptions{IncludeUsage: true},
		ReasoningEffort:    p.cfg.ReasoningEffort,
		ChatTemplateKwargs: p.cfg.ChatTemplate,
	}
	if r.Model != "" {
		q.Model = r.Model
	}
	temperature := p.cfg.Temperature
	if r.Temperature != nil {
		temperature = r.Temperature
	}
	if temperature != nil && !reasons(q.Model) {
		q.Temperature = float32(*temperature)
		if q.Temperature == 0 {
			q.Temperature = math.SmallestNonzeroFloat32 // a plain 0 is left out of the request
		}
	}
	tokens := p.cfg.MaxTokens
	if r.MaxTokens > 0 {
		tokens = r.MaxTokens
	}
	if p.limit || reasons(q.Model) {
		q.MaxCompletionTokens = tokens
	} else {
		q.MaxTokens = tokens //nolint:staticcheck // SA1019: the only name that other servers know
	}
	for _, m := range r.Messages {
		q.Messages = append(q.Messages, message(m, names))
	}
	for _, t := range r.Tools {
		q.Tools = append(q.Tools, api.Tool{Type: api.ToolTypeFunction, Function: &api.FunctionDefinition{
			Name: names.alias(t.Name), Description: t.Description, Parameters: t.Parameters,
		}})
	}
	if len(q.Tools) > 0 && r.ToolChoice != "" {
		q.ToolChoice = r.ToolChoice
	}
	return q
}

// reasons says whether a model takes no temperature and knows only the newer
// name of the limit.
func reasons(model string) bool {
	probe := api.ChatCompletionRequest{Model: model, MaxTokens: 1} //nolint:staticcheck // SA1019: what is asked for
	return api.NewReasoningValidator().Validate(probe) != nil
}

func message(m llm.Message, names *aliases) api.ChatCompletionMessage {
	out := api.ChatCompletionMessage{Role: string(m.Role), Content: m.Content, ToolCallID: m.ToolCallID}
	for _, c := range m.ToolCalls {
		out.ToolCalls = append(out.ToolCalls, api.ToolCall{
			ID: c.ID, Type: api.ToolTypeFunction,
			Function: api.FunctionCall{Name: names.alias(c.Name), Arguments: arguments(c.Args)},
		})
	}
	return out
}

// reason is why a request of a context ended: our own cause where there is one.
func reason(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// failure is an error of the API in our own type: without the key, with what
// tells whether another try is worth it.
func (p *Provider) failure(op string, err error, seen *headers) *llm.Error {
	e := &llm.Error{Provider: "openai", Op: op, Err: err}
	var ae *api.APIError
	var re *api.RequestError
	switch {
	case errors.As(err, &ae):
		e.Status = ae.HTTPStatusCode
		e.Err = errors.New(p.clean(ae.Message))
		if ae.HTTPStatusCode == 0 { // an error in the middle of the stream
			e.Temporary = true
		}
	case errors.As(err, &re):
		e.Status = re.HTTPStatusCode
		e.Err = errors.New(p.clean(strings.TrimSpace(re.HTTPStatus + " " + string(re.Body))))
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
	default:
		e.Temporary = true // the connection
		e.Err = errors.New(p.clean(err.Error()))
		if errors.Is(err, io.ErrUnexpectedEOF) {
			e.Err = llm.ErrCut
		}
	}
	if e.Status == http.StatusRequestTimeout || e.Status == http.StatusTooManyRequests || e.Status >= 500 {
		e.Temporary = true
	}
	if seen != nil {
		e.RetryAfter = seen.retryAfter(time.Now())
	}
	return e
}

func (p *Provider) clean(s string) string { return openaihttp.Clean(s, p.cfg.APIKey) }
