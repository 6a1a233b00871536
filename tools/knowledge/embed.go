package knowledge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/viterin/vek/vek32"

	"github.com/patchcord/patchcord/internal/openaihttp"
	"github.com/patchcord/patchcord/internal/secret"
)

// Embedder turns texts into vectors whose angle is the distance of their
// meanings.
type Embedder interface {
	// Model is the name of what makes the vectors: those of two do not compare.
	Model() string
	// Embed gives a vector for each text, of any length but 0.
	Embed(ctx context.Context, texts []string) ([][]float32, error)
}

// EmbeddingsConfig names a server of OpenAI's form.
type EmbeddingsConfig struct {
	BaseURL    string      `yaml:"base_url"` // default https://api.openai.com/v1
	APIKey     secret.Text `yaml:"api_key"`
	Model      string      `yaml:"model"`      // "": no embeddings
	Dimensions int         `yaml:"dimensions"` // of the vectors; 0: the model's own
}

const (
	maxDimensions = 8192
	maxReply      = 64 << 20 // bytes of a reply: a batch of the longest vectors in JSON
)

// NewEmbedder checks the address and the key; it asks nobody. Without a model
// there is none.
func NewEmbedder(c EmbeddingsConfig) (Embedder, error) {
	if c.Model == "" {
		return nil, nil //nolint:nilnil // no embeddings are a way to run
	}
	if c.BaseURL == "" {
		c.BaseURL = openaihttp.DefaultURL
	}
	if c.Dimensions < 0 || c.Dimensions > maxDimensions {
		return nil, fmt.Errorf("knowledge: embeddings: %d dimensions, write 0 to %d", c.Dimensions, maxDimensions)
	}
	h, err := openaihttp.New(c.BaseURL, c.APIKey)
	if err != nil {
		return nil, fmt.Errorf("knowledge: embeddings: %w", err)
	}
	return &embedder{c, h}, nil
}

type embedder struct {
	cfg  EmbeddingsConfig
	http *openaihttp.Client
}

func (e *embedder) Model() string {
	if e.cfg.Dimensions > 0 {
		return fmt.Sprintf("%s/%d", e.cfg.Model, e.cfg.Dimensions)
	}
	return e.cfg.Model
}

func (e *embedder) Embed(ctx context.Context, texts []string) ([][]float32, error) {
	body, err := json.Marshal(struct {
		Model      string   `json:"model"`
		Input      []string `json:"input"`
		Dimensions int      `json:"dimensions,omitempty"`
		Format     string   `json:"encoding_format"`
	}{e.cfg.Model, texts, e.cfg.Dimensions, "float"})
	if err != nil {
		return nil, fmt.Errorf("knowledge: embed: %w", err)
	}
	res, err := e.http.Post(ctx, "/embeddings", "application/json", body)
	if err != nil {
		return nil, fmt.Errorf("knowledge: embed: %w", err)
	}
	defer res.Body.Close() //nolint:errcheck // read only
	reply := io.LimitReader(res.Body, maxReply)
	out, err := readVectors(reply, len(texts))
	_, _ = io.Copy(io.Discard, reply) // read to its end: the connection is kept
	return out, err
}

// readVectors reads a reply for n texts.
func readVectors(r io.Reader, n int) ([][]float32, error) {
	var reply struct {
		Data []struct {
			Index     *int      `json:"index"`
			Embedding []float32 `json:"embedding"`
		} `json:"data"`
	}
	if err := json.NewDecoder(r).Decode(&reply); err != nil {
		return nil, fmt.Errorf("knowledge: embed: the reply is no JSON of embeddings: %w", err)
	}
	if len(reply.Data) != n {
		return nil, fmt.Errorf("knowledge: embed: %d vectors for %d texts", len(reply.Data), n)
	}
	out := make([][]float32, n)
	for i, d := range reply.Data {
		at := i
		if d.Index != nil {
			at = *d.Index
		}
		if at < 0 || at >= n || out[at] != nil {
			return nil, fmt.Errorf("knowledge: embed: a vector for text %d of %d", at, n)
		}
		out[at] = d.Embedding
	}
	return out, checkVectors(out)
}

// checkVectors brings vectors to length 1, so that their product is the cosine.
func checkVectors(vs [][]float32) error {
	for _, v := range vs {
		if len(v) == 0 || len(v) > maxDimensions || len(v) != len(vs[0]) {
			return fmt.Errorf("knowledge: embed: a vector of %d dimensions", len(v))
		}
		n := vek32.Norm(v)
		if n == 0 || math.IsNaN(float64(n)) || math.IsInf(float64(n), 0) {
			return errors.New("knowledge: embed: a vector without a direction")
		}
		vek32.DivNumber_Inplace(v, n)
	}
	return nil
}
