package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/audio/stt"
	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/internal/testkit"
)

// spell is a recogniser that understands numbered words: 200 ms of a level of
// its own each, 100 ms of quiet between them. A word is understood when all of
// it was heard in one stream, and settled two words later.
type spell struct {
	mu   sync.Mutex // guards what follows
	open *spelling
	opens,
	frames int
	refuse error
}

type spelling struct {
	*stt.Feed
	s     *spell
	pos   int // frames
	word  int // that is being heard, 0 for none
	size  int // frames of it
	known []stt.Event
}

func (s *spell) Open(ctx context.Context, _ stt.Options) (stt.Stream, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refuse != nil {
		return nil, s.refuse
	}
	st := &spelling{Feed: stt.NewFeed(ctx, "spell", 64), s: s}
	st.Run(func() error { <-st.Context().Done(); return nil })
	s.open = st
	s.opens++
	return st, nil
}

func (s *spell) opened() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.opens
}

// cut breaks the stream and refuses others until it is told err is nil.
func (s *spell) cut(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse = err
	if s.open != nil && err != nil {
		_ = s.open.Fail(&stt.Error{Provider: "spell", Op: "read", Temporary: true, Err: err})
	}
}

func (st *spelling) Speech(bool) error { return st.Over() }

func (st *spelling) Send(pcm []int16) error {
	if err := st.Over(); err != nil {
		return err
	}
	st.s.mu.Lock()
	st.s.frames++
	st.s.mu.Unlock()
	word := int(pcm[0]) / 100
	st.pos++
	switch {
	case word == 0 && st.word != 0:
		if st.size == 10 { // else its beginning was in the stream before, or it is noise
			end := time.Duration(st.pos-1) * audio.FrameTime
			ev := stt.Event{Kind: stt.Final, Text: fmt.Sprint(st.word), Confidence: 0.9, End: end}
			st.known = append(st.known, ev)
			st.Deliver(stt.Event{Kind: stt.Interim, Text: ev.Text})
		}
		st.word, st.size = 0, 0
	case word != 0:
		st.word, st.size = word, st.size+1
	}
	for len(st.known) > 0 && time.Duration(st.pos)*audio.FrameTime-st.known[0].End > 600*ms {
		st.Deliver(st.known[0])
		st.known = st.known[1:]
	}
	return nil
}

// speaker says numbered words to a listener, frame by frame, on its clock.
func speaker(ctx context.Context, l *listener, words int) {
	t := time.NewTicker(audio.FrameTime)
	defer t.Stop()
	pcm := make([]int16, 160)
	for n := 0; ; n++ {
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
		word := n/15 + 1
		level := int16(0)
		if n%15 < 10 && word <= words {
			level = int16(word * 100) //nolint:gosec // small
		}
		for i := range pcm {
			pcm[i] = level
		}
		l.Hear(audio.Frame{PCM: pcm, Rate: 8000, At: time.Duration(n) * audio.FrameTime})
	}
}

// listenTo plays a listener with these recognisers for a while and returns the
// words that were settled, and the names that failed.
func listenTo(t *testing.T, chain stt.Chain, words int, during func(*listener)) (said, failed []string, l *listener) {
	t.Helper()
	edges, work := newMailbox(0), newMailbox(0)
	l = newListener(audio.Format{Encoding: audio.PCM16, Rate: 8000}, time.Second, edges, nil)
	r := newRecogniser(l.ring, work, ears{chain: chain})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { r.run(ctx) })
	wg.Go(func() { speaker(ctx, l, words) })
	wg.Go(func() { // the session's part: room when it is asked for
		for {
			select {
			case <-edges.wake:
			case <-ctx.Done():
				return
			}
			for item, ok := edges.take(); ok; item, ok = edges.take() {
				if item.(voiceEdge).kind == ringLow {
					l.grow()
				}
			}
		}
	})
	during(l)
	time.Sleep(time.Duration(words)*300*ms + 10*time.Second)
	cancel()
	wg.Wait()
	for item, ok := work.take(); ok; item, ok = work.take() {
		switch e := item.(sttEvent); {
		case e.err != nil:
			failed = append(failed, e.name)
		case e.up == nil && e.ev.Kind == stt.Final:
			said = append(said, e.ev.Text)
		}
	}
	return said, failed, l
}

func numbers(n int) []string {
	var out []string
	for i := range n {
		out = append(out, fmt.Sprint(i+1))
	}
	return out
}

// Whenever a recogniser is lost and for however long, up to 5 s, each word is
// understood once.
func TestOutagesLoseAndDoubleNoWord_convB7(t *testing.T) {
	for _, after := range []time.Duration{30 * ms, 310 * ms, 1790 * ms, 2500 * ms, 5010 * ms, 9990 * ms} {
		for _, outage := range []time.Duration{10 * ms, 400 * ms, 2 * time.Second, 5 * time.Second} {
			t.Run(fmt.Sprint(after, " for ", outage), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := &spell{}
					said, failed, l := listenTo(t, stt.Chain{{Name: "a", Provider: s}}, 60, func(*listener) {
						time.Sleep(after)
						s.cut(io.ErrUnexpectedEOF)
						time.Sleep(outage)
						s.cut(nil)
					})
					if want := numbers(60); !slices.Equal(said, want) {
						t.Errorf("understood %v", said)
					}
					if len(failed) == 0 || l.lost != 0 {
						t.Errorf("failed %v, %d frames lost", failed, l.lost)
					}
				})
			})
		}
	}
}

// The next in the chain goes on with the sound of the one that failed: after a
// refusal for good at once, otherwise after one more try.
func TestRecogniserFallsBack(t *testing.T) {
	lasting := &stt.Error{Provider: "spell", Op: "open", Err: errors.New("wrong key")}
	for _, c := range []struct {
		name string
		err  error
		want []string
		took time.Duration // at most
	}{
		{"refused for good", lasting, []string{"a"}, 100 * ms},
		{"refused for now", errDown, []string{"a", "a"}, 400 * ms},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b := &spell{refuse: c.err}, &spell{}
				said, failed, _ := listenTo(t, stt.Chain{{Name: "a", Provider: a}, {Name: "b", Provider: b}}, 20, func(*listener) {
					time.Sleep(c.took)
					if b.opened() != 1 {
						t.Errorf("b is not asked after %v", c.took)
					}
				})
				if !slices.Equal(said, numbers(20)) || !slices.Equal(failed, c.want) {
					t.Errorf("understood %v, failed %v", said, failed)
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		a, b := &spell{refuse: errDown}, &spell{refuse: lasting}
		_, failed, _ := listenTo(t, stt.Chain{{Name: "a", Provider: a}, {Name: "b", Provider: b}}, 1, func(*listener) {})
		if n := len(failed); n < 8 || n > 16 {
			t.Errorf("with none that works, %d attempts in 10 s: %v", n, failed)
		}
	})
}

// deafened is a recogniser that hears and says nothing.
type deafened struct{ spell }

func (d *deafened) Open(ctx context.Context, _ stt.Options) (stt.Stream, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.opens++
	st := &mute{stt.NewFeed(ctx, "deafened", 1)}
	st.Run(func() error { <-st.Context().Done(); return nil })
	return st, nil
}

type mute struct{ *stt.Feed }

func (m *mute) Send([]int16) error { return m.Over() }
func (m *mute) Speech(bool) error  { return m.Over() }

// A recogniser that says nothing for 5 s after a voice is given up; a second
// one that has nothing to say to it either is not: it was a noise.
func TestHungRecogniserIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := &deafened{}, &spell{}
		said, failed, _ := listenTo(t, stt.Chain{{Name: "a", Provider: a}, {Name: "b", Provider: b}}, 8, func(*listener) {})
		if !slices.Equal(said, numbers(8)) || !slices.Equal(failed, []string{"a"}) {
			t.Errorf("understood %v, failed %v", said, failed)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		a, b := &deafened{}, &deafened{}
		_, failed, _ := listenTo(t, stt.Chain{{Name: "a", Provider: a}, {Name: "b", Provider: b}}, 10, func(*listener) {})
		if !slices.Equal(failed, []string{"a"}) || b.opened() != 1 {
			t.Errorf("failed %v", failed)
		}
	})
}

// The sound of a call takes 900 ms of memory while nobody speaks, however long
// and whatever was said before, and 10.5 s at most where nothing is settled.
func TestRingStaysSmall_SEC12(t *testing.T) {
	const each = blockFrames * 324 // bytes; linear: twice the size of µ-law
	const quiet = 3 * each
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct {
			name       string
			words      int
			deaf       bool
			least, max int // while it is said
		}{
			{"quiet", 0, false, quiet, quiet},
			{"words", 60, false, quiet + each, 6 * each},                        // settled 0.6 s after each
			{"nothing settled", 60, true, mostBlocks * each, mostBlocks * each}, // 18 s of voice
			{"a word too faint for a voice", 1, true, quiet, quiet},
			{"three, no answer", 3, true, 20 * each, 26 * each}, // 6 s later they count as none
		} {
			var p stt.Provider = &spell{}
			if c.deaf {
				p = &deafened{}
			}
			most := 0
			_, _, l := listenTo(t, stt.Chain{{Name: "a", Provider: p}}, c.words, func(l *listener) {
				for range c.words*3 + 80 {
					time.Sleep(100 * ms)
					most = max(most, l.bytes())
				}
			})
			if got := l.bytes(); got != quiet || most < c.least || most > c.max {
				t.Errorf("%s: %d blocks, then %d, want %d to %d, then 3", c.name, most/each, got/each, c.least/each, c.max/each)
			} else {
				t.Logf("%s: %d blocks, then %d", c.name, most/each, got/each)
			}
		}
	})
}

// A turn that was taken by a guess is not heard again once its words can not
// change any more, though the recogniser never settled them.
func TestTakenTurnIsNotHeardAgain(t *testing.T) {
	t.Parallel()
	r := newRing(audio.Format{Encoding: audio.MuLaw, Rate: 8000})
	now := time.Now()
	pcm := make([]int16, 160)
	buf := make([]int16, 160)
	hear := func(n int, voice bool) {
		for range n {
			now = now.Add(audio.FrameTime)
			r.keep(pcm, voice, voice, now)
			r.take(buf)
		}
	}
	hear(20, true)
	end := now
	hear(10, false)
	r.turn(end, now)
	if i := r.rewind(now); i != 0 {
		t.Errorf("at once: replayed from frame %d", i)
	}
	r.next = r.end
	if i := r.rewind(now.Add(mayChange + ms)); i < 20 {
		t.Errorf("later: replayed from frame %d", i)
	}
}

func TestFallbackIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := prepare(t, &agent.Agent{Name: "a"}, says("Hello."))
		k.cfg.STT[""] = stt.Chain{
			{Name: "first", Provider: testkit.Recogniser(func(context.Context, stt.Options) (stt.Stream, error) { return nil, errDown })},
			{Name: "second", Provider: k.stt},
		}
		k.start().wait(time.Second).say("where is my order?", time.Second).wait(4 * time.Second)
		k.hangUp().want(`"event":"provider.failed"`, `"kind":"stt","provider":"first"`,
			`"event":"provider.fallback"`, `"kind":"stt","from":"first","to":"second"`, `"text":"where is my order?"`)
	})
}

// A call that nobody hears, though two recognisers are configured, apologises
// and ends after 15 s; until then a long voice stops the agent (BP3).
func TestAllRecognisersDown_BP3(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := prepare(t, &agent.Agent{Name: "a", Greeting: longGreeting}, says("Hello."))
		down := testkit.Recogniser(func(context.Context, stt.Options) (stt.Stream, error) { return nil, errDown })
		k.cfg.STT[""] = stt.Chain{{Name: "first", Provider: down}, {Name: "second", Provider: down}}
		k.start().wait(2 * time.Second)
		k.leg.Speak(900 * ms)
		k.wait(700 * ms).not(`"proof":"force"`)
		k.wait(150 * ms).want(`"proof":"force"`).wait(12 * time.Second).not(`"kind":"goodbye"`)
		k.over().want(`"kind":"goodbye"`, `"end_reason":"vendor_failed"`)
		if at := k.log.last.Duration(); at < 15*time.Second || at > 25*time.Second {
			t.Errorf("ended after %v", at)
		}
	})
}

// longGreeting lasts for some twenty seconds.
const longGreeting = "This call may be recorded. We are open from nine to five on every day of the week but Sunday. " +
	"You can ask for the state of an order, for the address of a shop, or for somebody who knows more than I do. " +
	"Whatever you want to know, say it now, in your own words, and take the time you need for it."

// A connection that drops in the middle of words, and comes back within 5 s,
// changes nothing of what the caller is understood to have said.
func TestDroppedRecogniserInACall_convB7(t *testing.T) {
	for _, outage := range []int{0, 2, 4} { // attempts that fail: until 250 ms, 1.75 s, 3.75 s
		synctest.Test(t, func(t *testing.T) {
			k := prepare(t, &agent.Agent{Name: "a"}, says("Hello."))
			opens := 0
			k.cfg.STT[""] = testkit.Recogniser(func(ctx context.Context, o stt.Options) (stt.Stream, error) {
				if opens++; opens > 1 && opens <= 1+outage {
					return nil, errDown
				}
				return k.stt.Open(ctx, o)
			})
			k.start().wait(time.Second).say("where is my order?", 2*time.Second).wait(time.Second)
			k.stt.Cut(io.ErrUnexpectedEOF)
			k.wait(9 * time.Second).want(`"text":"where is my order?","turn":1`).not(`"turn":2`).hangUp()
		})
	}
}
