package engine

import (
	"context"
	"encoding/json"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/llm"
	"github.com/patchcord/patchcord/tools"
	"github.com/patchcord/patchcord/tools/knowledge"
)

// shelf keeps no more than the library itself has in memory.
type shelf struct{}

func (shelf) PutDocument(context.Context, knowledge.Document, []knowledge.Chunk) error { return nil }

func (shelf) Documents(context.Context, string) ([]knowledge.Document, error) { return nil, nil }

func (shelf) Passages(context.Context, string) ([]knowledge.Chunk, error) { return nil, nil }

func (shelf) SetVectors(context.Context, string, string, map[int][]float32) error { return nil }

func (shelf) DeleteDocument(context.Context, string, string) error { return nil }

// silentServer embeds documents, and then answers nobody.
type silentServer struct{ silent atomic.Bool }

func (*silentServer) Model() string { return "m" }

func (s *silentServer) Embed(ctx context.Context, texts []string) ([][]float32, error) {
	if s.silent.Load() {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	out := make([][]float32, len(texts))
	for i := range out {
		out[i] = []float32{1}
	}
	return out, nil
}

// asksDocuments looks for what the caller said, and reads what it found.
func asksDocuments(r llm.Request) (string, []llm.ToolCall, error) {
	last := r.Messages[len(r.Messages)-1]
	if last.Role != llm.ToolRole {
		args, err := json.Marshal(map[string]string{"query": last.Content})
		return "", []llm.ToolCall{{ID: "k1", Name: "knowledge_base", Args: args}}, err
	}
	var found struct {
		Found    bool
		Passages []struct{ Text string }
	}
	if err := json.Unmarshal([]byte(last.Content), &found); err != nil || !found.Found {
		return "I did not find that in our documents.", nil, err
	}
	return found.Passages[0].Text, nil, nil
}

// T-15: in a call the caller hears the bridging sentence while the documents are
// searched, its first clause at least (conv:W7), then what stands in them, or
// that nothing was found. A server of embeddings that is silent holds the turn up
// for no more than 120 ms.
func TestDocumentsAreSearchedInACall_T15(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &silentServer{}
		l, err := knowledge.New(knowledge.Config{Store: shelf{}, Embedder: e})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1) // one value: Serve returns once
		go func() { done <- l.Serve(ctx) }()
		if _, err := l.Add(t.Context(), "a", "house.md", "", []byte("# Parking\n\nCars park behind the house.\n")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		e.silent.Store(true)

		c := prepare(t, &agent.Agent{ID: "a", Name: "a", Greeting: "Hello."}, asksDocuments).engine()
		c.e.build = tools.Build
		c.e.cfg.Tools.Knowledge = l
		var d tools.Definition
		text := `{"tool_type":"knowledge_base","config":{"bridging_sentence":"One moment, I am looking."}}`
		if err := json.Unmarshal([]byte(text), &d); err != nil {
			t.Fatal(err)
		}
		a, err := c.cfg.Directory.Agent(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		a.Tools = []tools.Definition{d}
		c.ring().wait(2*time.Second).say("Cars park where?", time.Second).wait(6 * time.Second)
		c.want(`"event":"speech.bridge"`, `"heard_text":"One moment,"`, `"heard_text":"Cars park behind the house."`)
		c.say("Helicopter insurance?", time.Second).wait(6 * time.Second)
		c.want(`"heard_text":"I did not find that in our documents."`)
		searches := 0
		c.log.mu.Lock()
		for _, e := range c.log.events {
			if e.Name != EventToolFinished {
				continue
			}
			searches++
			b, err := json.Marshal(e)
			if err != nil {
				t.Error(err)
			}
			var f struct {
				MS     int64  `json:"ms"`
				Status string `json:"status"`
			}
			if err := json.Unmarshal(b, &f); err != nil || f.MS > 120 || f.Status != "ok" {
				t.Errorf("a search held the turn up: %s", b)
			}
		}
		c.log.mu.Unlock()
		if searches != 2 {
			t.Errorf("%d searches, want 2", searches)
		}
		if n := strings.Count(c.lines(), `"One moment, I am looking."`); n == 0 {
			t.Error("the bridging sentence was not said")
		}
		c.hangUp()
		stop()
		<-done
		l.Close()
	})
}
