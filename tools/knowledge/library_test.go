package knowledge

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// meaning embeds texts by the words that they hold, one dimension each.
type meaning struct {
	mu    sync.Mutex
	model string
	words []string
	delay time.Duration // of an answer; it ends with ctx before
	err   error
	bad   string // texts with it are refused
	asked int
}

func (m *meaning) Model() string { return m.model }

func (m *meaning) Embed(ctx context.Context, texts []string) ([][]float32, error) {
	m.mu.Lock()
	m.asked++
	delay, err := m.delay, m.err
	m.mu.Unlock()
	if delay > 0 {
		select {
		case <-time.After(delay):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if err != nil {
		return nil, err
	}
	out := make([][]float32, len(texts))
	for i, t := range texts {
		if m.bad != "" && strings.Contains(t, m.bad) {
			return nil, errors.New("400")
		}
		out[i] = make([]float32, len(m.words)+1)
		out[i][len(m.words)] = 0.1
		for j, w := range m.words {
			if strings.Contains(strings.ToLower(t), w) {
				out[i][j%2]++ // pairs of words mean the same
			}
		}
	}
	return out, nil
}

func (m *meaning) set(f func(*meaning)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f(m)
}

func (m *meaning) times() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.asked
}

const shop = "# Delivery\n\nParcels to Switzerland take six days.\n\n# Hours\n\nThe shop is open from nine to five.\n"

func library(t *testing.T, cfg Config) *Library {
	t.Helper()
	if cfg.Store == nil {
		cfg.Store = newMemory()
	}
	l, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func add(t *testing.T, l *Library, agent, name, text string) Document {
	t.Helper()
	d, err := l.Add(t.Context(), agent, name, "", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func find(t *testing.T, l *Library, q Query) Answer {
	t.Helper()
	if q.Agent == "" {
		q.Agent = "a"
	}
	a, err := l.Search(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestADocumentIsFoundAtOnceAndGoneAtOnce(t *testing.T) {
	t.Parallel()
	store := newMemory()
	l := library(t, Config{Store: store})
	defer l.Close()
	if a := find(t, l, Query{Text: "Switzerland"}); a.Documents != 0 || a.Hits != nil {
		t.Errorf("before: %+v", a)
	}
	d := add(t, l, "a", "shop.md", shop)
	a := find(t, l, Query{Text: "How long does delivery to Switzerland take?"})
	if len(a.Hits) != 1 || a.Hits[0].Heading != "Delivery" || a.Hits[0].Document != "shop.md" || a.Hits[0].Score != 1 {
		t.Errorf("got %+v", a)
	}
	if a := find(t, l, Query{Agent: "b", Text: "Switzerland"}); len(a.Hits) != 0 {
		t.Errorf("another agent's: %+v", a)
	}
	second := add(t, l, "a", "shop.md", strings.ReplaceAll(shop, "Switzerland", "Norway"))
	if a := find(t, l, Query{Text: "Switzerland"}); len(a.Hits) != 0 {
		t.Errorf("after it was replaced: %+v", a)
	}
	if a := find(t, l, Query{Text: "Norway"}); len(a.Hits) != 1 {
		t.Errorf("the new one: %+v", a)
	}
	// A new process reads the same.
	again := library(t, Config{Store: store})
	defer again.Close()
	if a := find(t, again, Query{Text: "Norway"}); len(a.Hits) != 1 {
		t.Errorf("after a restart: %+v", a)
	}
	if err := l.Delete(t.Context(), "a", d.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("delete what was replaced: %v", err)
	}
	if err := l.Delete(t.Context(), "a", second.ID); err != nil {
		t.Error(err)
	}
	if a := find(t, l, Query{Text: "Norway"}); a.Documents != 0 {
		t.Errorf("after it was deleted: %+v", a)
	}
}

// T-15: passages below the threshold are dropped: by words, the share of the
// question's words that they hold, rare ones counting more.
func TestPassagesBelowTheThresholdAreDropped_T15(t *testing.T) {
	t.Parallel()
	l := library(t, Config{})
	defer l.Close()
	for i := range 30 {
		add(t, l, "a", fmt.Sprintf("%d.md", i), "# Parcels\n\nParcels of this kind are sent.\n")
	}
	add(t, l, "a", "x.md", "# Parcels\n\nParcels with batteries are refused.\n")
	a := find(t, l, Query{Text: "parcels batteries", TopK: 20})
	if len(a.Hits) != 20 || a.Hits[0].Document != "x.md" || a.Hits[0].Score != 1 {
		t.Fatalf("got %+v", a)
	}
	common := a.Hits[1].Score
	if common <= 0 || common >= 0.5 {
		t.Errorf("the frequent of two words weighs %.2f", common)
	}
	if a = find(t, l, Query{Text: "parcels batteries", TopK: 20, Threshold: 0.7}); len(a.Hits) != 1 {
		t.Errorf("above 0.7: %d passages", len(a.Hits))
	}
	if a = find(t, l, Query{Text: "parcels batteries", TopK: 3, Threshold: common}); len(a.Hits) != 3 {
		t.Errorf("top_k 3: %d passages", len(a.Hits))
	}
	if a = find(t, l, Query{Text: "helicopter", Threshold: 0.7}); len(a.Hits) != 0 || a.Documents != 31 {
		t.Errorf("nothing to find: %+v", a)
	}
}

// T-15: with embeddings the threshold is one of the cosine, and both rankings
// count.
func TestPassagesAreRankedByMeaningToo_T15(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &meaning{model: "m1", words: []string{"parcel", "shop", "shipment", "store"}}
		l := library(t, Config{Embedder: m})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- l.Serve(ctx) }()
		add(t, l, "a", "d.md", "# Sending\n\nA parcel takes six days.\n")
		add(t, l, "a", "h.md", "# Hours\n\nThe shop opens at nine.\n")
		synctest.Wait()
		if a := find(t, l, Query{Text: "shipment", Threshold: 0.9}); len(a.Hits) != 1 || a.Hits[0].Document != "d.md" || a.Late {
			t.Errorf("another word of the same meaning: %+v", a)
		}
		// The words fit, the meaning does not: the threshold is the cosine's.
		if a := find(t, l, Query{Text: "opens store six days parcel shipment", Threshold: 0.99}); len(a.Hits) != 0 {
			t.Errorf("words alone: %+v", a)
		}
		before := m.times()
		find(t, l, Query{Text: "shipment"})
		if m.times() != before {
			t.Error("the question was embedded twice")
		}
		if ds, err := l.Documents(t.Context(), "a"); err != nil || ds[0].Vectors != 1 {
			t.Errorf("documents: %+v, %v", ds, err)
		}
		// Another model's vectors do not compare: they are made again.
		stop()
		<-done
		m2 := &meaning{model: "m2", words: []string{"parcel", "shop", "shipment", "store"}}
		l2 := library(t, Config{Store: l.cfg.Store, Embedder: m2})
		if a := find(t, l2, Query{Text: "parcel", Threshold: 0.9}); len(a.Hits) != 1 || a.Hits[0].Score != 1 {
			t.Errorf("before they are made, words decide: %+v", a)
		}
		ctx, stop = context.WithCancel(t.Context())
		go func() { done <- l2.Serve(ctx) }()
		synctest.Wait()
		if a := find(t, l2, Query{Text: "shipment", Threshold: 0.9}); len(a.Hits) != 1 {
			t.Errorf("after: %+v", a)
		}
		stop()
		<-done
		l.Close()
		l2.Close()
	})
}

func TestASearchDoesNotWaitForASilentServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &meaning{model: "m", words: []string{"parcel", "shop"}}
		l := library(t, Config{Embedder: m})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- l.Serve(ctx) }()
		add(t, l, "a", "d.md", "# Sending\n\nA parcel takes six days.\n")
		synctest.Wait()
		m.set(func(m *meaning) { m.delay = time.Hour })
		start := time.Now()
		a := find(t, l, Query{Text: "parcel", Threshold: 0.7})
		if took := time.Since(start); took > defaultLimit || len(a.Hits) != 1 || !a.Late {
			t.Errorf("after %s: %+v", took, a)
		}
		for range 150 { // it is left alone when it has failed
			time.Sleep(100 * time.Millisecond)
			start := time.Now()
			if find(t, l, Query{Text: "parcel"}); time.Since(start) > defaultLimit {
				t.Errorf("took %s", time.Since(start))
			}
		}
		if m.times() > 60 {
			t.Errorf("the silent server was asked %d times", m.times())
		}
		// A late answer is there for the next search.
		time.Sleep(time.Minute)
		m.set(func(m *meaning) { m.delay = time.Second })
		if a = find(t, l, Query{Text: "the parcel"}); !a.Late {
			t.Error("an answer of a second was waited for")
		}
		time.Sleep(2 * time.Second)
		if a = find(t, l, Query{Text: "the parcel"}); a.Late {
			t.Error("the late answer was lost")
		}
		// One that refuses is left out at once.
		m.set(func(m *meaning) { m.delay, m.err = 0, errors.New("refused") })
		start = time.Now()
		if a = find(t, l, Query{Text: "parcel days"}); !a.Late || len(a.Hits) != 1 || time.Since(start) > 0 {
			t.Errorf("a server that refuses: %+v after %s", a, time.Since(start))
		}
		stop()
		<-done
		l.Close()
	})
}

func TestASearchDoesNotWaitForDocuments(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		store.block = make(chan struct{})
		l := library(t, Config{Store: store})
		start := time.Now()
		if _, err := l.Search(t.Context(), Query{Agent: "a", Text: "x"}); !errors.Is(err, ErrNotReady) {
			t.Errorf("got %v", err)
		}
		if took := time.Since(start); took > defaultLimit {
			t.Errorf("took %s", took)
		}
		close(store.block)
		synctest.Wait()
		find(t, l, Query{Text: "x"})
		l.Close()
	})
}

func TestEmbeddingGoesOnAfterAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &meaning{model: "m", words: []string{"parcel"}, err: errors.New("busy")}
		l := library(t, Config{Embedder: m})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- l.Serve(ctx) }()
		add(t, l, "a", "d.md", strings.Repeat("# Parcels\n\n"+strings.Repeat("Words without end. ", 200)+"\n\n", 30))
		time.Sleep(10 * time.Second)
		m.set(func(m *meaning) { m.err = nil })
		time.Sleep(time.Minute)
		ds, err := l.Documents(t.Context(), "a")
		if err != nil || ds[0].Vectors != ds[0].Chunks || ds[0].Chunks <= batch {
			t.Errorf("documents: %+v, %v", ds, err)
		}
		stop()
		<-done
		l.Close()
	})
}

// A document that the server refuses keeps no other back, and a server that
// refuses everything is not asked for every document.
func TestOneRefusedDocumentKeepsNoneBack(t *testing.T) {
	t.Parallel()
	m := &meaning{model: "m", words: []string{"parcel"}, bad: "poison"}
	l := library(t, Config{Embedder: m})
	defer l.Close()
	for i := range 2 * mostRefused {
		add(t, l, "a", fmt.Sprintf("bad%d.md", i), "A poison.")
	}
	good := add(t, l, "a", "good.md", shop)
	for range 3 {
		before := m.times()
		if err := l.embedAll(t.Context()); err == nil {
			t.Error("nothing is told of what was refused")
		}
		if n := m.times() - before; n > mostRefused+1 {
			t.Errorf("asked %d times", n)
		}
	}
	d, err := l.Document(t.Context(), "a", good.ID)
	if err != nil || d.Vectors != d.Chunks {
		t.Errorf("%+v, %v", d, err)
	}
}

func TestAStoreThatFailsChangesNothing(t *testing.T) {
	t.Parallel()
	store := newMemory()
	l := library(t, Config{Store: store})
	defer l.Close()
	d := add(t, l, "a", "shop.md", shop)
	store.mu.Lock()
	store.fail = errors.New("disk full")
	store.mu.Unlock()
	if _, err := l.Add(t.Context(), "a", "shop.md", "", []byte("# x\n\nNorway")); err == nil {
		t.Error("kept on a full disk")
	}
	if err := l.Delete(t.Context(), "a", d.ID); err == nil {
		t.Error("deleted on a full disk")
	}
	if a := find(t, l, Query{Text: "Switzerland"}); len(a.Hits) != 1 {
		t.Errorf("got %+v", a)
	}
}

func TestManyAddAndSearchTogether(t *testing.T) {
	t.Parallel()
	l := library(t, Config{})
	defer l.Close()
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			name := fmt.Sprintf("%d.md", i)
			d, err := l.Add(t.Context(), "a", name, "", []byte(shop))
			if err != nil {
				t.Error(err)
			}
			if i%2 == 0 {
				if err := l.Delete(t.Context(), "a", d.ID); err != nil {
					t.Error(err)
				}
			}
		})
		wg.Go(func() {
			if _, err := l.Search(t.Context(), Query{Agent: "a", Text: "Switzerland"}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if a := find(t, l, Query{Text: "Switzerland", TopK: 20}); len(a.Hits) != 4 {
		t.Errorf("%d passages, want 4", len(a.Hits))
	}
}

// A question of any size finds or does not; it is never slower for it.
func TestOddQuestions(t *testing.T) {
	t.Parallel()
	l := library(t, Config{})
	defer l.Close()
	add(t, l, "a", "shop.md", shop)
	for _, q := range []string{"", " ", "?!", "the of and", strings.Repeat("parcel ", 100_000), "\xff\xfe", "日本語の荷物"} {
		if a := find(t, l, Query{Text: q, TopK: 1000, Threshold: 0.7}); len(a.Hits) > 1 {
			t.Errorf("%.20q: %+v", q, a)
		}
	}
	add(t, l, "a", "ja.txt", "荷物は六日で届きます。")
	if a := find(t, l, Query{Text: "荷物"}); len(a.Hits) != 1 {
		t.Errorf("Japanese: %+v", a)
	}
}

// Two processes have one store: what one adds, embeds or deletes reaches the
// other.
func TestWhatAnotherProcessChangesIsTakenOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		m := &meaning{model: "m", words: []string{"parcel", "shop"}}
		one := library(t, Config{Store: store, Embedder: m})
		two := library(t, Config{Store: store, Embedder: m, Refresh: 10 * time.Second})
		ctx, stop := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for _, l := range []*Library{one, two} {
			wg.Go(func() {
				if err := l.Serve(ctx); err != nil {
					t.Error(err)
				}
			})
		}
		find(t, two, Query{Text: "Switzerland"})
		d := add(t, one, "a", "shop.md", shop)
		time.Sleep(21 * time.Second)
		if a := find(t, two, Query{Text: "Switzerland", TopK: 1}); len(a.Hits) != 1 || a.Late {
			t.Errorf("added there: %+v", a)
		}
		if b := (*two.open("a").books.Load())[0]; b.doc.Vectors != 2 || b.chunks[1].Model != "m" {
			t.Errorf("embedded there: %+v", b.doc)
		}
		if err := one.Delete(t.Context(), "a", d.ID); err != nil {
			t.Fatal(err)
		}
		time.Sleep(11 * time.Second)
		if a := find(t, two, Query{Text: "Switzerland"}); a.Documents != 0 {
			t.Errorf("deleted there: %+v", a)
		}
		one.cfg.Changed = two.Look // it is told: nobody waits
		add(t, one, "a", "shop.md", shop)
		synctest.Wait()
		if a := find(t, two, Query{Text: "Switzerland", TopK: 1}); len(a.Hits) != 1 {
			t.Errorf("told: %+v", a)
		}
		stop()
		wg.Wait()
		one.Close()
		two.Close()
	})
}

func TestNamesThatAreNoText(t *testing.T) {
	t.Parallel()
	l := library(t, Config{})
	defer l.Close()
	for _, name := range []string{"", "a\x00.md", "a\xff.md"} {
		var f *FileError
		if _, err := l.Add(t.Context(), "a", name, "text/markdown", []byte(shop)); !errors.As(err, &f) {
			t.Errorf("%q: %v", name, err)
		}
	}
}
