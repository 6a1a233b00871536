package knowledge

import (
	"fmt"
	"math/rand"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// passages makes n chunks of 300 words whose frequencies are those of a
// language (Zipf).
func passages(n int, seed int64) ([]Chunk, func(words int) string) {
	r := rand.New(rand.NewSource(seed)) //nolint:gosec // the same each time
	z := rand.NewZipf(r, 1.1, 4, 30_000)
	words := func(k int) string {
		var b strings.Builder
		for range k {
			fmt.Fprintf(&b, "w%dx ", z.Uint64())
		}
		return b.String()
	}
	out := make([]Chunk, n)
	for i := range out {
		out[i] = Chunk{N: i, Heading: "Chapter", Text: words(300)}
	}
	return out, words
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkSearch prints how long a search over so many passages takes, with
// questions of eight words, common ones too; and what reading them took.
func BenchmarkSearch(b *testing.B) {
	for _, c := range []struct{ chunks, books, dims int }{
		{10_000, 1, 0}, {10_000, 100, 0}, {10_000, 100, 1536}, {50_000, 100, 0}, {100_000, 100, 0},
	} {
		b.Run(fmt.Sprintf("chunks=%d/documents=%d/dims=%d", c.chunks, c.books, c.dims), func(b *testing.B) {
			chunks, words := passages(c.chunks, 1)
			before := heap()
			start := time.Now()
			books := make([]*book, c.books)
			n := c.chunks / c.books
			for i := range books {
				part := slices.Clone(chunks[i*n : (i+1)*n])
				for j := range part {
					part[j].N = j
				}
				books[i] = newBook(Document{ID: fmt.Sprint(i), Language: "en"}, part)
			}
			index := time.Since(start)
			var vector []float32
			if c.dims > 0 {
				vector = make([]float32, c.dims)
				for _, k := range books {
					for j := range k.chunks {
						k.chunks[j].Model, k.chunks[j].Vector = "m", make([]float32, c.dims)
						for d := range k.chunks[j].Vector {
							k.chunks[j].Vector[d] = rand.Float32() //nolint:gosec // noise
						}
					}
				}
			}
			size := heap() - before
			took := make([]time.Duration, 0, b.N)
			b.ReportAllocs()
			for b.Loop() {
				q := words(8)
				start := time.Now()
				rank(books, byWords(books, q), question{topK: 5, threshold: 0.5, vector: vector, model: "m"})
				took = append(took, time.Since(start))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50_ms")
			b.ReportMetric(float64(took[len(took)*95/100].Microseconds())/1000, "p95_ms")
			b.ReportMetric(index.Seconds(), "index_s")
			b.ReportMetric(float64(size)/(1<<20), "heap_MB")
			runtime.KeepAlive(books)
		})
	}
}
