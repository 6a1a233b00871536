package knowledge

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/patchcord/patchcord/tools"
)

// embedded is a library with one document whose passage has a vector, and a
// server that takes 300 ms for a question: more than a search waits.
func embedded(t *testing.T, f func(*testing.T, *Library, *meaning)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		m := &meaning{model: "m", words: []string{"parcel", "shop", "shipment", "store"}}
		l := library(t, Config{Embedder: m})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1) // Serve's
		go func() { done <- l.Serve(ctx) }()
		add(t, l, "a", "d.md", "# Sending\n\nA parcel takes six days.\n")
		synctest.Wait()
		m.set(func(m *meaning) { m.delay, m.asked = 300*time.Millisecond, 0 })
		f(t, l, m)
		stop()
		<-done
		l.Close()
	})
}

func TestAPreparedSearchHasItsVectorInTime(t *testing.T) {
	embedded(t, func(t *testing.T, l *Library, m *meaning) {
		q := tools.Question{Agent: "a", Text: " shipment  "}
		if a := find(t, l, Query{Text: "shipment by air"}); !a.Late || a.Hits != nil {
			t.Errorf("unprepared: %+v", a)
		}
		l.Prepare(q)
		l.Prepare(q)
		time.Sleep(250 * time.Millisecond)
		start := time.Now()
		a := find(t, l, Query{Text: "shipment", Threshold: 0.9})
		if took := time.Since(start); took != 50*time.Millisecond || a.Late || len(a.Hits) != 1 {
			t.Errorf("after %s: %+v", took, a)
		}
		if n := m.times(); n != 2 {
			t.Errorf("the server was asked %d times for two questions", n)
		}
	})
}

func TestWhatWasPreparedIsDropped(t *testing.T) {
	embedded(t, func(t *testing.T, l *Library, m *meaning) {
		q := tools.Question{Agent: "a", Text: "shipment"}
		asking := func() int {
			l.askMu.Lock()
			defer l.askMu.Unlock()
			return len(l.asking)
		}
		first, second := l.Prepare(q), l.Prepare(q)
		first()
		first()
		if asking() != 1 {
			t.Error("dropped while another wants it")
		}
		start := time.Now()
		second()
		l.wg.Wait()
		if asking() != 0 || time.Since(start) != 0 {
			t.Errorf("%d questions are asked on after they were dropped, %s", asking(), time.Since(start))
		}
		// That is no fault of the server's: it is asked for the next.
		drop := l.Prepare(q)
		time.Sleep(250 * time.Millisecond)
		got := make(chan Answer, 1) // the search's
		go func() { got <- find(t, l, Query{Text: "shipment", Threshold: 0.9}) }()
		synctest.Wait()
		drop() // a search waits for it
		if a := <-got; a.Late || len(a.Hits) != 1 || m.times() != 2 {
			t.Errorf("asked %d times: %+v", m.times(), a)
		}
		l.Prepare(tools.Question{Agent: "a"})()
		l.Prepare(tools.Question{Agent: "b", Text: "shipment"})()
		if asking() != 0 {
			t.Error("asked for nothing")
		}
	})
}
