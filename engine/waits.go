package engine

import (
	"sync"
	"time"
)

const (
	waitBin  = 50 * time.Millisecond
	waitBins = 60                 // up to 3 s
	waitSeed = time.Second        // of a provider of which nothing is known
	waitLess = 50                 // measurements before they count
	waitMany = 1000               // of them, the older half weighs half
	waitLow  = 2 * waitBin        // no measurement promises less
	waitHigh = waitBins * waitBin // nobody waits for longer
	share    = 99                 // per cent of the last words that are waited for
	waitLong = 2 * waitHigh       // what takes longer belongs to another voice
)

// waits measure how long after the end of speech the last words of each
// recogniser come in this deployment: what a turn is to wait for words that are
// owed. Calls share it; a provider has its own seed until enough was measured.
type waits struct {
	mu sync.Mutex // guards what follows
	by map[string]*delays
}

// delays is a histogram of one recogniser's.
type delays struct {
	n    int
	bins [waitBins]int
}

// add takes one measurement.
func (w *waits) add(name string, d time.Duration) {
	if d < 0 || d > waitLong {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.by == nil {
		w.by = map[string]*delays{}
	}
	h := w.by[name]
	if h == nil {
		h = &delays{}
		w.by[name] = h
	}
	if h.n >= waitMany {
		h.n = 0
		for i := range h.bins {
			h.bins[i] /= 2
			h.n += h.bins[i]
		}
	}
	h.bins[min(int(d/waitBin), waitBins-1)]++
	h.n++
}

// wait is how long the last words of a recogniser are waited for: 99 of 100
// come by then.
func (w *waits) wait(name string, seed time.Duration) time.Duration {
	if seed <= 0 {
		seed = waitSeed
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	h := w.by[name]
	if h == nil || h.n < waitLess {
		return seed
	}
	below := 0
	for i, n := range h.bins {
		if below += n; below*100 >= h.n*share {
			return min(max(time.Duration(i+1)*waitBin, waitLow), waitHigh)
		}
	}
	return waitHigh
}

// lastWords finds the delays in one call: from the end of a voice to the last
// Final before the next one. An outage spoils the voice it falls on.
type lastWords struct {
	end     time.Duration // of the last voice, call time
	final   time.Duration // the last Final
	on      bool          // a voice sounds
	spoiled bool          // the recogniser was away
	open    bool          // a voice has ended and its words are measured
	took    time.Duration // so far
}

// voice is an edge of the caller's voice. It returns the delay of the voice
// before, once it is known that no more words of it come.
func (l *lastWords) voice(on bool, at time.Duration) (took time.Duration, ok bool) {
	if on {
		took, ok = l.took, l.open && !l.spoiled && l.took > 0
		l.on, l.open, l.spoiled = true, false, false
		return took, ok
	}
	l.on, l.open, l.end, l.took = false, true, at, 0
	if l.final > at { // it came while the detector was still waiting
		l.took = l.final - at
	}
	return 0, false
}

// words is a Final with words in it.
func (l *lastWords) words(now time.Duration) {
	l.final = now
	if !l.on && l.open {
		l.took = now - l.end
	}
}

// away tells that the recogniser was lost.
func (l *lastWords) away() { l.spoiled = true }
