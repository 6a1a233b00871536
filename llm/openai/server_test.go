package openai_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/patchcord/patchcord/llm"
	"github.com/patchcord/patchcord/llm/llmtest"
	"github.com/patchcord/patchcord/llm/openai"
)

// server answers as the chat completions API does; the format is that of
// testdata/stream.txt.
type server struct {
	*httptest.Server
	mu    sync.Mutex // guards asked
	asked []json.RawMessage
}

// serve starts a server whose answers are written by answer.
func serve(t *testing.T, answer http.HandlerFunc) *server {
	t.Helper()
	s := &server{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		s.mu.Lock()
		s.asked = append(s.asked, b)
		s.mu.Unlock()
		if r.URL.Path != "/v1/chat/completions" || r.Header.Get("Authorization") != "Bearer sk-canary" {
			http.Error(w, "no such thing", http.StatusNotFound)
			return
		}
		answer(w, r)
	}))
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s
}

// request is the nth request as the server got it.
func (s *server) request(t *testing.T, n int) map[string]any {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	var out map[string]any
	if len(s.asked) <= n || json.Unmarshal(s.asked[n], &out) != nil {
		t.Fatalf("no request %d", n)
	}
	return out
}

func provider(t *testing.T, s *server, c openai.Config) *openai.Provider {
	t.Helper()
	c.BaseURL, c.APIKey = s.URL+"/v1", "sk-canary"
	p, err := openai.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// chunk is one event of the stream.
func chunk(delta, finish string) string {
	return fmt.Sprintf(`data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1694268190,"model":"m",`+
		`"choices":[{"index":0,"delta":%s,"logprobs":null,"finish_reason":%s}]}`+"\n\n", delta, finish)
}

func quoted(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}

// play writes what a script asks for.
func play(s llmtest.Script) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if s.Status != 0 {
			if s.Retry > 0 {
				w.Header().Set("Retry-After", strconv.Itoa(int(s.Retry.Seconds())))
			}
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(s.Status)
			fmt.Fprint(w, `{"error":{"message":"refused sk-canary","type":"x","param":null,"code":null}}`)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		say := func(text string) {
			_, _ = io.WriteString(w, text)
			w.(http.Flusher).Flush()
		}
		if s.Hang {
			say(": waiting\n\n")
			<-r.Context().Done()
			return
		}
		say(chunk(`{"role":"assistant","content":"","refusal":null}`, "null"))
		if s.Noise {
			say(": keep-alive\n\n")
			say(chunk(`{"role":"assistant","content":null,"reasoning_content":"Let me think."}`, "null"))
			say(chunk(`{}`, "null"))
			say(chunk(`{"content":"<thi"}`, "null") + chunk(`{"content":"nk>The caller wants"}`, "null"))
			say(chunk(`{"content":" to know.</th"}`, "null") + chunk(`{"content":"ink>\n\n"}`, "null"))
		}
		for _, word := range strings.SplitAfter(s.Text, " ") {
			if word != "" {
				say(chunk(`{"content":`+quoted(word)+`}`, "null"))
			}
		}
		abort := func() { panic(http.ErrAbortHandler) }
		if s.Cut == llmtest.AfterText {
			abort()
		}
		for i, c := range s.Calls {
			say(chunk(fmt.Sprintf(`{"tool_calls":[{"index":%d,"id":%q,"type":"function","function":{"name":%q,"arguments":""}}]}`,
				i, c.ID, c.Name), "null"))
			half := len(c.Args) / 2
			for j, part := range []string{string(c.Args[:half]), string(c.Args[half:])} {
				if j == 1 && s.Cut == llmtest.InArguments {
					abort()
				}
				say(chunk(fmt.Sprintf(`{"tool_calls":[{"index":%d,"function":{"arguments":%s}}]}`, i, quoted(part)), "null"))
			}
		}
		finish := `"stop"`
		if len(s.Calls) > 0 {
			finish = `"tool_calls"`
		}
		say(chunk(`{}`, finish))
		if s.Usage != (llm.Usage{}) {
			say(fmt.Sprintf(`data: {"id":"chatcmpl-1","choices":[],"usage":{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":0}}`+"\n\n",
				s.Usage.Prompt, s.Usage.Completion))
		}
		say("data: [DONE]\n\n")
	}
}

func TestConformance(t *testing.T) {
	llmtest.Run(t, llmtest.Subject{
		Start: func(t *testing.T, s llmtest.Script) llm.Provider {
			return provider(t, serve(t, play(s)), openai.Config{})
		},
	})
}

// published are the deltas of testdata/stream.txt.
func TestPublishedStream(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("testdata/stream.txt")
	if err != nil {
		t.Fatal(err)
	}
	_, body, _ := bytes.Cut(raw, []byte("\n\n")) // after the note on where it is from
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = w.Write(body)
	})
	st, err := provider(t, s, openai.Config{}).Stream(t.Context(), llmtest.Ask())
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	var got []string
	for {
		d, err := st.Next()
		if err != nil {
			break
		}
		switch d.Kind {
		case llm.Text:
			got = append(got, "text "+d.Text)
		case llm.ToolBegan:
			got = append(got, "began "+d.ToolCall.Name)
		case llm.ToolReady:
			got = append(got, "ready "+d.ToolCall.ID+" "+string(d.ToolCall.Args))
		case llm.Done:
			got = append(got, fmt.Sprintf("done %s %d %d", d.Finish, d.Usage.Prompt, d.Usage.Completion))
		case llm.Fell:
		}
	}
	want := "text Hello|began get_current_weather|ready call_abc123 {\n\"location\": \"Boston, MA\"\n}|done tool_calls 82 17"
	if g := strings.Join(got, "|"); g != want {
		t.Errorf("got  %s\nwant %s", g, want)
	}
}

// Servers that speak the same API speak it differently.
func TestDialectsOfOtherServers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, body string
		want       string // calls, or the error
	}{
		{
			"no index, each call in one chunk, finish stop (Ollama)",
			chunk(`{"role":"assistant","content":"","tool_calls":[{"id":"call_1","type":"function","function":{"name":"a","arguments":"{}"}}]}`, "null") +
				chunk(`{"tool_calls":[{"id":"call_2","type":"function","function":{"name":"b","arguments":"{\"x\":1}"}}]}`, "null") +
				chunk(`{}`, `"stop"`) + "data: [DONE]\n\n",
			`call_1 a {}; call_2 b {"x":1}; tool_calls`,
		},
		{
			"every call is index 0",
			chunk(`{"tool_calls":[{"index":0,"id":"x","function":{"name":"a","arguments":"{}"}}]}`, "null") +
				chunk(`{"tool_calls":[{"index":0,"id":"y","function":{"name":"b","arguments":"{}"}}]}`, "null") +
				chunk(`{}`, `"tool_calls"`) + "data: [DONE]\n\n",
			"x a {}; y b {}; tool_calls",
		},
		{
			"no ids, no arguments, the name in every chunk",
			chunk(`{"tool_calls":[{"index":0,"function":{"name":"a"}}]}`, "null") +
				chunk(`{"tool_calls":[{"index":0,"function":{"name":"a","arguments":""}}]}`, "null") +
				chunk(`{}`, `"tool_calls"`) + "data: [DONE]\n\n",
			"call_1 a {}; tool_calls",
		},
		{
			"no [DONE] after the reason",
			chunk(`{"tool_calls":[{"index":0,"id":"x","function":{"name":"a","arguments":"{}"}}]}`, "null") + chunk(`{}`, `"tool_calls"`),
			"x a {}; tool_calls",
		},
		{
			"no reason before [DONE]",
			chunk(`{"content":"Hello."}`, "null") + "data: [DONE]\n\n",
			"stop",
		},
		{
			"no space after data:, CRLF, comments between",
			strings.ReplaceAll(": hi\n\n"+strings.ReplaceAll(chunk(`{"content":"Hello."}`, "null")+chunk(`{}`, `"stop"`), "data: ", "data:"), "\n", "\r\n"),
			"stop",
		},
		{
			"the end without a reason (conv:L7)",
			chunk(`{"tool_calls":[{"index":0,"id":"x","function":{"name":"a","arguments":"{}"}}]}`, "null"),
			"llm: openai: stream: completion cut",
		},
		{
			"arguments cut by the limit of tokens (conv:L7)",
			chunk(`{"tool_calls":[{"index":0,"id":"x","function":{"name":"a","arguments":"{\"o"}}]}`, "null") + chunk(`{}`, `"length"`) + "data: [DONE]\n\n",
			"llm: openai: stream: completion cut in a tool call: length",
		},
		{
			"an error after a keep-alive",
			chunk(`{"content":"Hel"}`, "null") + ": ping\n\nevent: error\n" + `data: {"error":{"message":"overloaded, sk-canary","type":"server_error"}}` + "\n\n",
			"llm: openai: stream: overloaded, [redacted]",
		},
		{
			"nonsense",
			"data: {nonsense\n\n",
			"llm: openai: stream: invalid character 'n' looking for beginning of object key string",
		},
		{
			"a web page",
			"<html><body>Login</body></html>",
			"llm: openai: stream: completion cut",
		},
		{
			"an endless line",
			"data: " + strings.Repeat("x", 2<<20),
			"llm: openai: stream: an event larger than 1 MB",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, c.body) })
			st, err := provider(t, s, openai.Config{}).Stream(t.Context(), llmtest.Ask())
			if err != nil {
				t.Fatal(err)
			}
			defer st.Close()
			var got []string
			for {
				d, err := st.Next()
				if err != nil {
					if err != io.EOF {
						got = []string{err.Error()}
					}
					break
				}
				switch d.Kind {
				case llm.ToolReady:
					got = append(got, d.ToolCall.ID+" "+d.ToolCall.Name+" "+string(d.ToolCall.Args))
				case llm.Done:
					got = append(got, d.Finish)
				case llm.Text, llm.ToolBegan, llm.Fell:
				}
			}
			if g := strings.Join(got, "; "); g != c.want {
				t.Errorf("got  %s\nwant %s", g, c.want)
			}
		})
	}
}

func TestRequest(t *testing.T) {
	t.Parallel()
	s := serve(t, play(llmtest.Script{Calls: []llm.ToolCall{{
		ID: "c", Name: "x", Args: json.RawMessage(`{}`),
	}}}))
	zero, warm := 0.0, 0.7
	p := provider(t, s, openai.Config{Model: "m1", Temperature: &warm, MaxTokens: 100})
	long := strings.Repeat("very-", 20) + "long"
	st, err := p.Stream(t.Context(), llm.Request{
		Messages: []llm.Message{
			{Role: llm.User, Content: "Hi"},
			{Role: llm.Assistant, ToolCalls: []llm.ToolCall{{ID: "1", Name: long, Args: json.RawMessage(`{"broken`)}}},
			{Role: llm.ToolRole, ToolCallID: "1", Content: `{"error":"invalid_arguments"}`},
		},
		Tools:       []llm.Tool{{Name: long, Parameters: json.RawMessage(`{"type":"object"}`)}},
		ToolChoice:  "required",
		Temperature: &zero,
	})
	if err != nil {
		t.Fatal(err)
	}
	st.Close()
	r := s.request(t, 0)
	if r["model"] != "m1" || r["stream"] != true || r["max_tokens"] != 100.0 || r["tool_choice"] != "required" {
		t.Errorf("request %v", r)
	}
	if temp, ok := r["temperature"].(float64); !ok || temp > 1e-6 {
		t.Errorf("temperature %v, want as good as 0", r["temperature"])
	}
	if o, _ := r["stream_options"].(map[string]any); o["include_usage"] != true {
		t.Errorf("stream_options %v", r["stream_options"])
	}
	msgs := r["messages"].([]any)
	call := msgs[1].(map[string]any)["tool_calls"].([]any)[0].(map[string]any)["function"].(map[string]any)
	sent := r["tools"].([]any)[0].(map[string]any)["function"].(map[string]any)["name"].(string)
	if len(sent) > 64 || sent == long || call["name"] != sent {
		t.Errorf("the long name was sent as %q and %q", sent, call["name"])
	}
	if call["arguments"] != "{}" {
		t.Errorf("broken arguments were sent back as %q", call["arguments"])
	}
}

func TestModelsThatReason(t *testing.T) {
	t.Parallel()
	s := serve(t, play(llmtest.Script{Text: "Yes."}))
	warm := 0.7
	st, err := provider(t, s, openai.Config{Model: "gpt-5-mini", Temperature: &warm, MaxTokens: 100}).Stream(t.Context(), llmtest.Ask())
	if err != nil {
		t.Fatal(err)
	}
	st.Close()
	if r := s.request(t, 0); r["temperature"] != nil || r["max_tokens"] != nil || r["max_completion_tokens"] != 100.0 {
		t.Errorf("request %v", r)
	}
}

func TestLongNamesComeBack(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 99) + "ü"
	var s *server
	s = serve(t, func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		var q struct {
			Tools []struct{ Function struct{ Name string } }
		}
		_ = json.Unmarshal(s.asked[len(s.asked)-1], &q)
		s.mu.Unlock()
		play(llmtest.Script{Calls: []llm.ToolCall{{ID: "1", Name: q.Tools[0].Function.Name, Args: json.RawMessage(`{}`)}}})(w, r)
	})
	st, err := provider(t, s, openai.Config{}).Stream(t.Context(), llm.Request{Tools: []llm.Tool{{Name: long}}})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	for _, want := range []llm.Kind{llm.ToolBegan, llm.ToolReady} {
		d, err := st.Next()
		if err != nil || d.Kind != want || d.ToolCall.Name != long {
			t.Errorf("got %+v, %v", d, err)
		}
	}
}

// SEC-10: the key is in no error and in no way of printing the configuration.
func TestKeyIsNeverPrinted(t *testing.T) {
	t.Parallel()
	s := serve(t, play(llmtest.Script{Status: 401}))
	_, err := provider(t, s, openai.Config{}).Stream(t.Context(), llmtest.Ask())
	c := openai.Config{APIKey: "sk-canary"}
	j, _ := json.Marshal(c)
	for _, text := range []string{err.Error(), fmt.Sprintf("%v %+v %#v %s %q %x", c, c, c, c.APIKey, c.APIKey, c.APIKey), string(j)} {
		if strings.Contains(text, "canary") || strings.Contains(text, fmt.Sprintf("%x", "sk-canary")) {
			t.Errorf("the key is in %s", text)
		}
	}
}

func TestNobodyIsThere(t *testing.T) {
	t.Parallel()
	p, err := openai.New(openai.Config{BaseURL: "http://127.0.0.1:1/v1"})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	_, err = p.Stream(t.Context(), llmtest.Ask())
	e, ok := err.(*llm.Error)
	if !ok || !e.Temporary || e.Status != 0 {
		t.Errorf("got %v", err)
	}
}

// A completion is over before its reply is: the connection is kept none the less.
func TestWarmKeepsTheConnection(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	from := map[string]bool{}
	over := make(chan struct{}, 1)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		from[r.RemoteAddr] = true
		mu.Unlock()
		if r.URL.Path == "/v1/chat/completions" {
			play(llmtest.Script{Text: "Yes."})(w, r)
			_ = http.NewResponseController(w).Flush()
			<-over
		}
	}))
	defer s.Close()
	p, err := openai.New(openai.Config{BaseURL: s.URL + "/v1"})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	kept := make(chan error, 1)
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{PutIdleConn: func(err error) { kept <- err }})
	idle := func() {
		t.Helper()
		select {
		case err := <-kept:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(10 * time.Second):
			t.Error("the connection is not kept")
		}
	}
	if err := p.Warm(ctx); err != nil {
		t.Fatal(err)
	}
	idle()
	for range 3 {
		st, err := p.Stream(ctx, llmtest.Ask())
		if err != nil {
			t.Fatal(err)
		}
		for err == nil {
			_, err = st.Next()
		}
		st.Close()
		over <- struct{}{}
		idle()
	}
	mu.Lock()
	defer mu.Unlock()
	if len(from) != 1 {
		t.Errorf("%d connections, want one kept warm", len(from))
	}
}

func TestConfigFaults(t *testing.T) {
	t.Parallel()
	hot := 3.0
	for _, c := range []struct {
		cfg  openai.Config
		want string
	}{
		{openai.Config{}, "api_key is empty"},
		{openai.Config{BaseURL: "localhost:1234"}, "base_url is no URL"},
		{openai.Config{APIKey: "x", Temperature: &hot}, "temperature 3"},
		{openai.Config{APIKey: "x", MaxTokens: -1}, "max_tokens -1"},
	} {
		if _, err := openai.New(c.cfg); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %q", err, c.want)
		}
	}
}

func FuzzStream(f *testing.F) {
	raw, err := os.ReadFile("testdata/stream.txt")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(raw))
	f.Add("data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"function\":{\"name\":\"a\"}}]}}]}\n\ndata: [DONE]\n\n")
	f.Add("data: {\"error\":null}\n\n: x\r\n\r\ndata:[DONE]")
	f.Fuzz(func(t *testing.T, body string) {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, body)
		}))
		defer s.Close()
		p, err := openai.New(openai.Config{BaseURL: s.URL})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		st, err := p.Stream(t.Context(), llmtest.Ask())
		if err != nil {
			return
		}
		defer st.Close()
		end := time.Now().Add(10 * time.Second)
		ready, done := 0, false
		for {
			d, err := st.Next()
			if err == io.EOF && !done {
				t.Fatal("the end without Done")
			}
			if err != nil {
				break
			}
			done = d.Kind == llm.Done
			if d.Kind == llm.ToolReady {
				ready++
			}
			if time.Now().After(end) {
				t.Fatal("no end")
			}
		}
		if ready > 0 && !done {
			t.Error("a tool call of a completion that was cut")
		}
	})
}
