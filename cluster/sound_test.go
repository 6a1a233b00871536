package cluster

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"

	"github.com/patchcord/patchcord/engine"
)

// speaking is a call of p that can be listened to from o.
func speaking(t *testing.T, p, o *peer) (*fakeEar, *engine.Listening) {
	t.Helper()
	id := p.begin(t, o)
	ear := &fakeEar{sound: make(chan []byte, 100), closed: make(chan struct{})}
	p.engine.mu.Lock()
	p.engine.ears[id] = ear
	p.engine.mu.Unlock()
	l, err := o.calls.Listen(id)
	if err != nil {
		t.Fatal(err)
	}
	if l.Rate != 8000 {
		t.Errorf("rate %d", l.Rate)
	}
	return ear, l
}

// The sound of a call is heard at a node that does not have it, to its end.
func TestSoundReachesAnotherNode(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	ear, l := speaking(t, a, b)
	defer l.Close()
	for i := range 20 {
		ear.sound <- bytes.Repeat([]byte{byte(i)}, 2048)
	}
	for i := range 20 {
		if got := <-l.Sound; len(got) != 2048 || got[0] != byte(i) {
			t.Fatalf("block %d: %d bytes of %d", i, len(got), got[0])
		}
	}
	close(ear.sound)
	if _, ok := <-l.Sound; ok || l.Cut() || l.Lost() {
		t.Errorf("open %v, cut %v, lost %v; want the end of the call", ok, l.Cut(), l.Lost())
	}
	<-ear.closed
}

// One who stops listening is not sent any more.
func TestListenerThatLeaves(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	ear, l := speaking(t, a, b)
	ear.sound <- make([]byte, 4)
	<-l.Sound
	l.Close()
	l.Close() // again does nothing
	eventually(t, "the call's node stops", func() bool {
		select {
		case ear.sound <- make([]byte, 4):
		default:
		}
		select {
		case <-ear.closed:
			return true
		default:
			return false
		}
	})
}

// One who does not keep up is cut; the call's node does not wait.
func TestListenerThatIsSlow(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	ear, l := speaking(t, a, b)
	defer l.Close()
	for range soundWaits + 10 {
		ear.sound <- make([]byte, 4)
	}
	eventually(t, "it is cut", l.Cut)
	for range l.Sound { // what had room
	}
	<-ear.closed
}

// A node that ends tells who listens.
func TestListeningToANodeThatEnds(t *testing.T) {
	t.Parallel()
	a, leave := open(t, meshed("a"))
	b, _ := open(t, meshed("b", a.route()))
	see(t, a, b)
	ear, l := speaking(t, a, b)
	defer l.Close()
	leave()
	if _, ok := <-l.Sound; ok || l.Cut() || l.Lost() {
		t.Errorf("open %v, cut %v, lost %v", ok, l.Cut(), l.Lost())
	}
	<-ear.closed
}

func TestEar(t *testing.T) {
	t.Parallel()
	sound := func(seq uint32) []byte { return block{soundBlock, seq, []byte{1, 2, 3, 4}}.bytes() }
	for _, c := range []struct {
		name  string
		sent  [][]byte
		wait  time.Duration // after the last
		heard int
		over  bool
		as    ended
	}{
		{name: "blocks in order are heard", sent: [][]byte{sound(0), sound(1)}, heard: 2},
		{name: "a block that is missing cuts", sent: [][]byte{sound(0), sound(2)}, heard: 1, over: true, as: ended{cut: true}},
		{name: "a block twice cuts", sent: [][]byte{sound(0), sound(0)}, heard: 1, over: true, as: ended{cut: true}},
		{name: "an idle call is there", sent: [][]byte{block{soundIdle, 0, nil}.bytes(), sound(1)}, wait: soundLost - 1, heard: 1},
		{name: "its end", sent: [][]byte{sound(0), block{soundOver, 1, nil}.bytes(), sound(2)}, heard: 1, over: true},
		{name: "cut over there", sent: [][]byte{block{soundCut, 0, nil}.bytes()}, over: true, as: ended{cut: true}},
		{name: "a node that says nothing is lost", sent: [][]byte{sound(0)}, wait: soundLost, heard: 1, over: true, as: ended{lost: true}},
		{name: "one that never says anything too", wait: soundLost, over: true, as: ended{lost: true}},
		{name: "what is no block is nothing", sent: [][]byte{{}, {'s', 0, 0}, {'?', 0, 0, 0, 0}, {'s', 0, 0, 0, 0, 1}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				e := newEar()
				gone := 0
				e.begin(func() { gone++ })
				for _, b := range c.sent {
					e.take(b)
				}
				time.Sleep(c.wait)
				synctest.Wait()
				e.mu.Lock()
				over, as := e.over, e.as
				e.mu.Unlock()
				if over != c.over || as != c.as || len(e.sound) != c.heard {
					t.Errorf("over %v as %+v, %d blocks; want %v, %+v, %d", over, as, len(e.sound), c.over, c.as, c.heard)
				}
				e.end(ended{})
				if gone != 1 {
					t.Errorf("ended %d times", gone)
				}
			})
		})
	}
}
