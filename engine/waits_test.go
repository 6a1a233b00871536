package engine

import (
	"testing"
	"time"
)

func TestWaitIsMeasured(t *testing.T) {
	t.Parallel()
	w := &waits{}
	if got := w.wait("a", 0); got != time.Second {
		t.Errorf("of nobody known: %v", got)
	}
	if got := w.wait("a", 420*ms); got != 420*ms {
		t.Errorf("a seed: %v", got)
	}
	for range waitLess - 1 {
		w.add("a", 210*ms)
	}
	if got := w.wait("a", 420*ms); got != 420*ms {
		t.Errorf("too little is measured: %v", got)
	}
	w.add("a", 210*ms)
	if got := w.wait("a", 420*ms); got != 250*ms {
		t.Errorf("measured: %v, want the end of the 50 ms that 210 ms lie in", got)
	}
	for range 2 {
		w.add("a", 1210*ms)
	}
	if got := w.wait("a", 0); got != 1250*ms {
		t.Errorf("two of 52 are slow: %v", got)
	}
	w.add("a", -ms)
	w.add("a", time.Hour) // of no voice
	for range 5000 {
		w.add("a", 110*ms)
	}
	if got := w.wait("a", 0); got != 150*ms {
		t.Errorf("what was long ago is forgotten: %v", got)
	}
	for range 5000 {
		w.add("b", 10*ms)
		w.add("c", 5*time.Second)
	}
	if b, c := w.wait("b", 0), w.wait("c", 0); b != 100*ms || c != 3*time.Second {
		t.Errorf("bounds: %v, %v", b, c)
	}
}

func TestLastWords(t *testing.T) {
	t.Parallel()
	l := &lastWords{}
	l.voice(true, time.Second)
	l.words(1500 * ms) // a part, while the caller goes on
	l.voice(false, 2*time.Second)
	l.words(2200 * ms)
	l.words(2350 * ms)
	if took, ok := l.voice(true, 4*time.Second); !ok || took != 350*ms {
		t.Errorf("%v, %v", took, ok)
	}
	l.words(5100 * ms) // before the detector tells the end
	l.voice(false, 5*time.Second)
	if took, ok := l.voice(true, 7*time.Second); !ok || took != 100*ms {
		t.Errorf("%v, %v", took, ok)
	}
	l.voice(false, 8*time.Second)
	l.away()
	l.words(11 * time.Second) // of the replay
	if took, ok := l.voice(true, 12*time.Second); ok {
		t.Errorf("an outage is measured: %v", took)
	}
	l.voice(false, 13*time.Second) // a cough
	if _, ok := l.voice(true, 14*time.Second); ok {
		t.Error("a voice without words is measured")
	}
}
