//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// demo runs patchcord demo in a folder of its own and returns its exit code,
// all it said, and its last line.
func demo(t *testing.T, args ...string) (code int, said string, result map[string]any) {
	t.Helper()
	needsSpeech(t)
	argv := append([]string{command(t, "patchcord"), "demo"}, args...)
	dir := t.TempDir()
	p := start(t, 3*time.Minute, dir, argv...)
	code, err := p.wait()
	if err != nil {
		t.Fatal(err)
	}
	replayAll(t, filepath.Join(dir, "*", "journal", "*.jsonl"))
	said = strings.TrimSpace(p.out.String())
	last := said[strings.LastIndexByte(said, '\n')+1:]
	if err := json.Unmarshal([]byte(last), &result); err != nil {
		t.Fatalf("the last line is no JSON: %v\n%s", err, tail(said, 4000))
	}
	return code, said, result
}

// TestDemoTakesAnotherOrder: nothing of the demo is canned. Another order number
// reaches the shop, and an expectation that does not hold fails it.
func TestDemoTakesAnotherOrder(t *testing.T) {
	const steps = `name: another order
voice: rms
codec: G722
steps:
  - wait_quiet: 1s
  - say: "my order number is two three five nine"
  - expect_words: {words: [shipped], not: [friday], within: 15s}
  - say: "that is all thank you goodbye"
  - expect_hangup: {within: 15s}
`
	file := filepath.Join(t.TempDir(), "caller.yaml")
	write(t, file, steps)
	code, said, result := demo(t, "--scenario", file)
	if code != 0 || !strings.Contains(said, `{"order_id":"2359"}`) || result["end_reason"] != "agent_done" {
		t.Errorf("exit %d\n%s", code, tail(said, 4000))
	}
	write(t, file, strings.Replace(steps, "[shipped], not: [friday]", "[cancelled]", 1))
	if code, said, _ := demo(t, "--scenario", file); code != 1 || !strings.Contains(said, "The demo failed") {
		t.Errorf("a word that never comes: exit %d\n%s", code, tail(said, 4000))
	}
}

// TestDemoWithAModel: the same call with a server of OpenAI's form in place of
// the rules.
func TestDemoWithAModel(t *testing.T) {
	model := &chatServer{}
	srv := httptest.NewServer(model)
	defer srv.Close()
	code, said, result := demo(t, "--llm-url", srv.URL+"/v1", "--llm-model", "test")
	if code != 0 {
		t.Fatalf("exit %d\n%s", code, tail(said, 4000))
	}
	if result["tool_calls"] != 3.0 || result["barge_ins"] != 1.0 {
		t.Errorf("result %v", result)
	}
	model.mu.Lock()
	defer model.mu.Unlock()
	if !strings.Contains(model.last, "We are open from Monday") || strings.Contains(model.last, "we are closed") {
		t.Errorf("the model was told what nobody heard: %s", model.last)
	}
}

// chatServer answers chat completions as a model would that follows the demo's
// prompt.
type chatServer struct {
	mu   sync.Mutex
	last string // request
}

func (c *chatServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var q struct {
		Messages []struct {
			Role    string `json:"role"`
			Content string `json:"content"`
		} `json:"messages"`
	}
	if err := json.NewDecoder(r.Body).Decode(&q); err != nil || len(q.Messages) == 0 {
		http.Error(w, `{"error":{"message":"no messages"}}`, http.StatusBadRequest)
		return
	}
	all, err := json.Marshal(q)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	c.mu.Lock()
	c.last = string(all)
	c.mu.Unlock()
	last := q.Messages[len(q.Messages)-1]
	text, tool, args := answer(last.Role, last.Content)
	w.Header().Set("Content-Type", "text/event-stream")
	delta := func(d map[string]any, finish any) {
		b, err := json.Marshal(map[string]any{
			"id": "x", "object": "chat.completion.chunk",
			"choices": []any{map[string]any{"index": 0, "delta": d, "finish_reason": finish}},
		})
		if err == nil {
			fmt.Fprintf(w, "data: %s\n\n", b)
		}
		w.(http.Flusher).Flush()
	}
	delta(map[string]any{"role": "assistant", "content": ""}, nil)
	for _, word := range strings.SplitAfter(text, " ") {
		delta(map[string]any{"content": word}, nil)
	}
	finish := "stop"
	if tool != "" {
		finish = "tool_calls"
		call := func(function map[string]any) {
			delta(map[string]any{"tool_calls": []any{map[string]any{
				"index": 0, "id": "call_" + tool, "type": "function", "function": function,
			}}}, nil)
		}
		call(map[string]any{"name": tool, "arguments": args[:len(args)/2]})
		call(map[string]any{"arguments": args[len(args)/2:]})
	}
	delta(map[string]any{}, finish)
	fmt.Fprint(w, "data: [DONE]\n\n")
}

func answer(role, content string) (text, tool, args string) {
	switch {
	case role == "tool":
		var status struct{ Status, Day string }
		_ = json.Unmarshal([]byte(content), &status) // an error is told as such
		return fmt.Sprintf("Your order was %s. It will arrive on %s.", status.Status, status.Day), "", ""
	case strings.Contains(content, "four seven one one"):
		return "", "check_order_status", `{"order_id":"4711"}`
	case strings.Contains(content, "goodbye"):
		return "Thank you for calling, Priya. Goodbye.", "end_call", `{}`
	case strings.Contains(content, "shop"):
		return "The shop is at twelve Market Street.", "", ""
	case strings.Contains(content, "open"):
		return "We are open from Monday to Friday, from nine in the morning to six in the evening, " +
			"on Saturday from ten to four, and on Sunday we are closed.", "", ""
	}
	return "Hello Priya. What is your order number?", "", ""
}
