// Package knowledge is the documents that an agent may look into during a
// call: files become text with headings, text becomes passages of 300 to 500
// tokens, and a question finds the passages that answer it.
//
// By default passages are ranked by BM25, with nothing installed and no
// network. With an embeddings server configured they are ranked by meaning as
// well, and the two rankings are fused.
//
// It guarantees that a search takes no longer than its limit, 120 ms: a server
// that is late is left out, and that a file from outside, whatever it holds,
// is read within bounds of time, size and memory or refused with a reason.
// Searches take no lock: documents are immutable, and a base is a list of them
// that is replaced as a whole.
package knowledge

import (
	"context"
	"errors"
	"time"
)

// Document is a file of an agent, read.
type Document struct {
	ID       string // UUID version 7
	Agent    string
	Name     string // the file's
	Title    string // what the document calls itself, "" where it does not
	Type     Type
	Language string // of its words: "en"; "" where none of ours fits
	Bytes    int    // of the file
	Hash     string // SHA-256 of the file, hex
	Chunks   int
	Vectors  int // passages that have been embedded
	Created  time.Time
}

// Chunk is one passage of a document.
type Chunk struct {
	N       int    // 0, 1, 2, … in the document
	Heading string // path of headings: "Delivery > Abroad"
	Text    string
	Vector  []float32 // nil: not embedded; of length 1
	Model   string    // that made Vector
}

// Hit is a passage that was found.
type Hit struct {
	Document string // name
	ID       string // of the document
	Chunk    int
	Heading  string
	Text     string
	Score    float64 // similarity, 0 to 1
}

// Query is what is looked for.
type Query struct {
	Agent     string
	Text      string
	TopK      int     // 0: 5
	Threshold float64 // 0 to 1: passages less similar are dropped
}

// Answer is what was found, the best first.
type Answer struct {
	Hits []Hit
	// Documents are how many there were to look into, Languages theirs.
	Documents int
	Languages []string
	// Late says that the embeddings server did not answer in time: words alone
	// decided.
	Late bool
	Took time.Duration
}

// The errors that callers tell apart.
var (
	ErrNotFound = errors.New("no such document")
	ErrExists   = errors.New("this agent has a document of that name and content")
	ErrTooMany  = errors.New("too many documents or passages")
	ErrNotReady = errors.New("the documents are being read")
)

// Store keeps documents. Chunks come back in the order of their documents and
// numbers.
type Store interface {
	// PutDocument keeps a document and its passages, and removes one of the
	// same agent and name.
	PutDocument(ctx context.Context, d Document, chunks []Chunk) error
	// Documents of an agent, oldest first; of all agents for "".
	Documents(ctx context.Context, agent string) ([]Document, error)
	// Passages of a document.
	Passages(ctx context.Context, document string) ([]Chunk, error)
	// SetVectors keeps what a model made of passages, by their numbers.
	SetVectors(ctx context.Context, document, model string, vectors map[int][]float32) error
	// DeleteDocument gives ErrNotFound when the agent has none of that id.
	DeleteDocument(ctx context.Context, agent, id string) error
}

// Comparer is a store that can compare vectors itself: they are not read into
// memory then.
type Comparer interface {
	// Compares says whether it does; Passages have no vectors then.
	Compares() bool
	// Nearest gives the cosines of the passages of an agent that are nearest to
	// a vector of a model's, limit of them, and of those of also.
	Nearest(ctx context.Context, agent, model string, v []float32, limit int, also []Place) ([]Near, error)
}

// Place is a passage: its document's id and its number there.
type Place struct {
	Document string
	Chunk    int
}

// Near is how near a passage is to a question.
type Near struct {
	Document string
	Chunk    int
	Cosine   float64
}
