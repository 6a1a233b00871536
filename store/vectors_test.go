package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/patchcord/patchcord/tools/knowledge"
)

// comparing is a store on a server that has pgvector: TEST_PGVECTOR_DSN, whose
// database is this test's alone while it runs.
func comparing(t *testing.T) (s *Store, url string) {
	t.Helper()
	dsn := os.Getenv("TEST_PGVECTOR_DSN")
	if dsn == "" {
		t.Skip("TEST_PGVECTOR_DSN is not set: a PostgreSQL with pgvector, as .ci/pgvector has it")
	}
	statement(t, dsn, "DROP SCHEMA public CASCADE")
	statement(t, dsn, "CREATE SCHEMA public")
	s = open(t, dsn)
	if !s.Compares() {
		t.Fatal("the extension is there and is not used")
	}
	return s, dsn
}

// direction is a vector of length 1.
func direction(rng *rand.Rand, dims int) []float32 {
	v, sum := make([]float32, dims), 0.0
	for i := range v {
		v[i] = float32(rng.NormFloat64())
		sum += float64(v[i]) * float64(v[i])
	}
	for i := range v {
		v[i] /= float32(math.Sqrt(sum))
	}
	return v
}

func cosine(a, b []float32) (sum float64) {
	for i := range a {
		sum += float64(a[i]) * float64(b[i])
	}
	return sum
}

// What pgvector finds is what is nearest, of one agent and one model, whatever
// the length of the vectors; what it is asked for beside is compared too.
func TestNearestByPgvector(t *testing.T) {
	s, url := comparing(t)
	ctx := t.Context()
	rng := rand.New(rand.NewPCG(1, 1)) //nolint:gosec // a test
	for _, dims := range []int{3, 1536, 3072, 5000} {
		model := fmt.Sprintf("it's %d", dims)
		question, all := direction(rng, dims), map[knowledge.Place]float64{}
		for _, agent := range []string{"support", "sales"} {
			for i := range 3 {
				d := document(agent, fmt.Sprintf("%d-%d.md", dims, i))
				chunks, vectors := make([]knowledge.Chunk, 20), map[int][]float32{}
				for n := range chunks {
					chunks[n] = knowledge.Chunk{N: n, Text: "Text."}
					vectors[n] = direction(rng, dims)
					if agent == "support" {
						all[knowledge.Place{Document: d.ID, Chunk: n}] = cosine(question, vectors[n])
					}
				}
				if err := s.PutDocument(ctx, d, chunks); err != nil {
					t.Fatal(err)
				}
				if err := s.SetVectors(ctx, d.ID, model, vectors); err != nil {
					t.Fatal(err)
				}
			}
		}
		var order []knowledge.Place
		for p := range all {
			order = append(order, p)
		}
		slices.SortFunc(order, func(a, b knowledge.Place) int { return cmp.Compare(all[b], all[a]) })
		last := order[len(order)-1]
		got, err := s.Nearest(ctx, "support", model, question, 5, []knowledge.Place{last, order[0], {Document: "none", Chunk: 1}})
		if err != nil {
			t.Fatal(err)
		}
		want := append(slices.Clone(order[:5]), last)
		if len(got) != len(want) {
			t.Errorf("%d dimensions: %d passages, want %d: %+v", dims, len(got), len(want), got)
		}
		for _, n := range got {
			p := knowledge.Place{Document: n.Document, Chunk: n.Chunk}
			if !slices.Contains(want, p) || math.Abs(n.Cosine-all[p]) > 0.002 { // a halfvec has 11 bits
				t.Errorf("%d dimensions: %+v, its cosine is %.4f", dims, n, all[p])
			}
		}
		if got, err := s.Nearest(ctx, "support", "another", question, 5, nil); err != nil || len(got) > 0 {
			t.Errorf("%+v of a model that made none, %v", got, err)
		}
	}
	closed(t, s)

	// What was embedded before the extension came is brought over.
	var before, after int
	statement(t, url, "DELETE FROM knowledge_vectors WHERE n > 10")
	s = open(t, url)
	defer closed(t, s)
	for n, query := range map[*int]string{
		&before: "SELECT count(*) FROM knowledge_passages WHERE model <> ''", &after: "SELECT count(*) FROM knowledge_vectors",
	} {
		if err := s.read.NewRaw(query).Scan(ctx, n); err != nil {
			t.Fatal(err)
		}
	}
	if before != 4*6*20 || after != before {
		t.Errorf("%d passages, %d with a vector that is compared", before, after)
	}
	docs, err := s.Documents(ctx, "support")
	if err != nil || docs[0].Vectors != 20 {
		t.Fatalf("%+v, %v", docs, err)
	}
	chunks, err := s.Passages(ctx, docs[0].ID)
	if err != nil || chunks[0].Vector != nil || chunks[0].Model == "" {
		t.Errorf("%v has a vector in memory, or no model: %v", chunks[0], err)
	}
	if err := s.DeleteDocument(ctx, "support", docs[0].ID); err != nil {
		t.Fatal(err)
	}
	if err := s.read.NewRaw("SELECT count(*) FROM knowledge_vectors").Scan(ctx, &after); err != nil || after != before-20 {
		t.Errorf("%d vectors behind the deletion of 20, %v", after, err)
	}
}

// colours is an embedder: what a text says of colours is its direction.
type colours struct{}

var colour = strings.Fields("red green blue yellow black white brown grey orange violet")

func (colours) Model() string { return "colours" }

func (colours) Embed(_ context.Context, texts []string) ([][]float32, error) {
	out := make([][]float32, len(texts))
	for i, text := range texts {
		out[i] = make([]float32, len(colour)+1)
		out[i][len(colour)] = 0.1
		for k, c := range colour {
			out[i][k] = float32(strings.Count(text, c)) + 0.01*float32(len(text)%(k+7))
		}
	}
	return out, nil
}

// The database finds what is found in memory.
func TestKnowledgeByPgvectorAndInMemory(t *testing.T) {
	byVector, _ := comparing(t)
	defer closed(t, byVector)
	inMemory := open(t, "sqlite:"+t.TempDir()+"/k.db")
	defer closed(t, inMemory)
	var text strings.Builder
	rng := rand.New(rand.NewPCG(2, 2)) //nolint:gosec // a test
	for i := range 60 {
		fmt.Fprintf(&text, "# Part %d\n\n", i)
		for range 8 {
			fmt.Fprintf(&text, "The house number %d is %s and the garden is %s. ", i, colour[rng.IntN(10)], colour[rng.IntN(10)])
		}
		text.WriteString("\n\n")
	}
	var found [2]string
	for i, s := range []*Store{byVector, inMemory} {
		l, err := knowledge.New(knowledge.Config{Store: s, Embedder: colours{}, Limit: 20 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		served := make(chan error, 1)
		go func() { served <- l.Serve(ctx) }()
		d, err := l.Add(ctx, "support", "houses.md", "", []byte(text.String()))
		if err != nil {
			t.Fatal(err)
		}
		look := time.NewTicker(5 * time.Millisecond)
		defer look.Stop()
		for ; ; <-look.C { // until all is embedded
			if d, err = l.Document(ctx, "support", d.ID); err != nil {
				t.Fatal(err)
			}
			if d.Vectors == d.Chunks {
				break
			}
		}
		// Whoever changes the documents waits for the change before.
		if err := l.Delete(ctx, "support", "none"); !errors.Is(err, knowledge.ErrNotFound) {
			t.Fatal(err)
		}
		for _, q := range []knowledge.Query{
			{Agent: "support", Text: "which house is red with a violet garden", TopK: 8},
			{Agent: "support", Text: "blue blue grey", TopK: 8, Threshold: 0.6},
			{Agent: "support", Text: "orange", TopK: 3, Threshold: 0.99},
		} {
			a, err := l.Search(ctx, q)
			if err != nil || a.Late {
				t.Errorf("%s: %v, late %v", q.Text, err, a.Late)
			}
			for _, h := range a.Hits {
				found[i] += fmt.Sprintf("%s %s %.3f\n", q.Text, h.Heading, h.Score)
			}
		}
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
		l.Close()
	}
	if found[0] != found[1] || len(found[0]) < 200 {
		t.Errorf("by pgvector:\n%s\nin memory:\n%s", found[0], found[1])
	}
}
