package store

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/uuid"

	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/tools/knowledge"
)

func document(agent, name string) knowledge.Document {
	return knowledge.Document{
		ID: uuid.Must(uuid.NewV7()).String(), Agent: agent, Name: name, Title: "Title", Type: knowledge.Markdown,
		Language: "de", Bytes: 10, Hash: "abc", Chunks: 2, Created: day,
	}
}

func TestDocuments(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		d := document("support", "a.md")
		chunks := []knowledge.Chunk{
			{N: 0, Heading: "Lieferung > Schweiz", Text: "Wir liefern."},
			{N: 1, Text: "Zwei.", Vector: []float32{0.6, -0.8}, Model: "m"},
		}
		if err := s.PutDocument(ctx, d, chunks); err != nil {
			t.Fatal(err)
		}
		d.Vectors = 1
		got, err := s.Documents(ctx, "support")
		if err != nil {
			t.Fatal(err)
		}
		same(t, "documents", got, []knowledge.Document{d})
		passages, err := s.Passages(ctx, d.ID)
		if err != nil {
			t.Fatal(err)
		}
		same(t, "passages", passages, chunks)

		if err := s.SetVectors(ctx, d.ID, "m2", map[int][]float32{0: {1, 0}}); err != nil {
			t.Fatal(err)
		}
		chunks[0].Vector, chunks[0].Model = []float32{1, 0}, "m2"
		if passages, err = s.Passages(ctx, d.ID); err != nil {
			t.Fatal(err)
		}
		same(t, "passages with vectors", passages, chunks)

		// The same name again takes the old one's place, with its passages.
		second := document("support", "a.md")
		if err := s.PutDocument(ctx, second, chunks[:1]); err != nil {
			t.Fatal(err)
		}
		if old, err := s.Passages(ctx, d.ID); err != nil || len(old) != 0 {
			t.Errorf("passages of what was replaced: %v, %v", old, err)
		}
		other := document("sales", "a.md")
		if err := s.PutDocument(ctx, other, nil); err != nil {
			t.Fatal(err)
		}
		if all, err := s.Documents(ctx, ""); err != nil || len(all) != 2 {
			t.Errorf("all documents: %v, %v", all, err)
		}
		if err := s.DeleteDocument(ctx, "support", other.ID); !errors.Is(err, knowledge.ErrNotFound) {
			t.Errorf("delete what another agent has: %v", err)
		}
		if err := s.DeleteDocument(ctx, "sales", other.ID); err != nil {
			t.Error(err)
		}
	})
}

func TestManyPassagesAreKeptWhole(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *Store) {
		d := document("support", "big.txt")
		chunks := make([]knowledge.Chunk, 3*passagesAtOnce+1)
		for i := range chunks {
			chunks[i] = knowledge.Chunk{N: i, Text: fmt.Sprint("passage ", i)}
		}
		if err := s.PutDocument(t.Context(), d, chunks); err != nil {
			t.Fatal(err)
		}
		got, err := s.Passages(t.Context(), d.ID)
		if err != nil || len(got) != len(chunks) || got[len(got)-1].Text != chunks[len(chunks)-1].Text {
			t.Errorf("%d passages of %d, %v", len(got), len(chunks), err)
		}
	})
}

// An agent that is deleted leaves no documents, and whoever has them in memory
// is told.
func TestADeletedAgentLeavesNoDocuments(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		var gone []agent.ID
		must(OpenDirectory(ctx, s, DirectoryConfig{Gone: func(id agent.ID) { gone = append(gone, id) }}))(t)
		a := must(s.CreateAgent(ctx, "", agent.Agent{Name: "support"}))(t)
		d, other := document(string(a.ID), "a.md"), document("other", "a.md")
		for _, d := range []knowledge.Document{d, other} {
			if err := s.PutDocument(ctx, d, []knowledge.Chunk{{Text: "Wir liefern."}}); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.DeleteAgent(ctx, "", a.ID); err != nil {
			t.Fatal(err)
		}
		if all, err := s.Documents(ctx, ""); err != nil || len(all) != 1 || all[0].ID != other.ID {
			t.Errorf("documents: %+v, %v", all, err)
		}
		if left, err := s.Passages(ctx, d.ID); err != nil || len(left) != 0 {
			t.Errorf("passages: %+v, %v", left, err)
		}
		if len(gone) != 1 || gone[0] != a.ID {
			t.Errorf("told: %v", gone)
		}
	})
}
