package replay

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/patchcord/patchcord/engine/turn"
)

const ms = time.Millisecond

// disk is a file whose writes can be held up.
type disk struct {
	bytes.Buffer
	mu   sync.Mutex
	fail error
}

func (d *disk) Write(b []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fail != nil {
		return 0, d.fail
	}
	return d.Buffer.Write(b)
}

func (d *disk) Close() error { return nil }

// told is what happens in the call of these tests: a greeting, a question, an
// answer that the caller stops.
var told = []struct {
	at time.Duration
	ev turn.Event
}{
	{0, turn.Answered{Greeting: "Hello."}},
	{40 * ms, turn.Audio{G: 1}},
	{50 * ms, turn.Fed{G: 1, Sound: true}},
	{60 * ms, turn.Started{G: 1}},
	{900 * ms, turn.Played{G: 1}},
	{2000 * ms, turn.VoiceStart{At: 1900 * ms}},
	{3000 * ms, turn.VoiceEnd{At: 2800 * ms}},
	{3010 * ms, turn.Final{Text: "where is my order?", Confidence: 0.9}},
	{3100 * ms, turn.Tick{}},
	{3400 * ms, turn.Useful{G: 2}},
	{3450 * ms, turn.Audio{G: 2}},
	{3470 * ms, turn.Started{G: 2}},
	{3600 * ms, turn.LLMDone{G: 2, Words: true}},
	{4000 * ms, turn.VoiceStart{At: 3900 * ms}},
	{4100 * ms, turn.Voiced{}},
	{4300 * ms, turn.Interim{Text: "stop"}},
	{9000 * ms, turn.Bye{}},
}

// journal is the journal of that call.
func journal(t *testing.T, w *disk, p turn.Policy) {
	t.Helper()
	m := turn.New(p)
	j, err := New(w, Header{CallID: "0190", Agent: "support", Started: time.Unix(1000, 0).UTC()}, m.Policy())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range told {
		j.Step(s.at, s.ev, m.Step(s.ev, s.at))
	}
	if err := j.Close(); err != nil && w.fail == nil {
		t.Fatal(err)
	}
}

func TestACallComesToTheSameDecisions(t *testing.T) {
	t.Parallel()
	var d disk
	p := turn.Policy{WaitComplete: 250 * ms, MaxCall: 10 * time.Minute, SilencePhrases: []string{"Hello?"}}
	journal(t, &d, p)
	shown := 0
	r, err := Run(&d.Buffer, nil, func(s Shown) {
		if shown++; s.At != told[shown-1].at {
			t.Errorf("step %d at %v", shown, s.At)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if !r.OK() || r.Cut || r.Lost != 0 || r.Steps != len(told) || shown != len(told) || r.Effects < 8 {
		t.Errorf("%+v", r)
	}
	if r.Header.CallID != "0190" || r.Header.Agent != "support" || r.Header.Started.Unix() != 1000 {
		t.Errorf("header %+v", r.Header)
	}
}

func TestAnotherConstantShowsWhatItChanges(t *testing.T) {
	t.Parallel()
	var d disk
	journal(t, &d, turn.Policy{})
	r, err := Run(&d.Buffer, func(p *turn.Policy) { p.WaitComplete = 5 * time.Second }, nil)
	if err != nil {
		t.Fatal(err)
	}
	if r.OK() {
		t.Fatal("a turn that ends five seconds later changes nothing")
	}
	first := r.Different[0]
	if first.Event != "Tick" || first.Line != 10 || !strings.Contains(strings.Join(first.Was, ""), "CommitUser") ||
		len(first.Now) != 0 {
		t.Errorf("%+v", first)
	}
}

func TestEveryEventAndEffectIsKeptWhole(t *testing.T) {
	t.Parallel()
	for _, n := range turn.EventNames() {
		ev, err := turn.DecodeEvent(n, none)
		if err != nil {
			t.Fatal(err)
		}
		line, err := encode(time.Second, ev, nil)
		if err != nil {
			t.Errorf("%s: %v", n, err)
		}
		if want := `"event":"` + n + `"`; !bytes.Contains(line, []byte(want)) {
			t.Errorf("%s: %s", n, line)
		}
	}
}

func TestWhatIsNoJournal(t *testing.T) {
	t.Parallel()
	header := `{"journal":1,"call_id":"a","policy":{}}` + "\n"
	for name, c := range map[string]struct{ text, want string }{
		"empty":              {"", "not a journal"},
		"an event log":       {`{"event":"call.started"}`, "not a journal"},
		"text":               {"hello", "not a journal"},
		"another version":    {`{"journal":9}`, "version 9"},
		"another policy":     {`{"journal":1,"policy":{"Nope":1}}`, `no field "Nope"`},
		"a policy's fault":   {`{"journal":1,"policy":{"Tail":"x"}}`, "policy field Tail"},
		"an unknown event":   {header + `{"at":1,"event":"Nope"}`, `line 2: turn: event "Nope"`},
		"an unknown field":   {header + `{"at":1,"event":"Bye","data":{"X":1}}`, "line 2"},
		"a step back":        {header + `{"at":2,"event":"Tick"}` + "\n" + `{"at":1,"event":"Tick"}`, "line 3: at 1 ns"},
		"an endless call":    {header + `{"at":9000000000000000000,"event":"Tick"}`, "line 2: at 9"},
		"an endless policy":  {`{"journal":1,"policy":{"Tail":9000000000000000000}}`, "longer than any call"},
		"a broken line":      {header + `{"at":1,`, "line 2"},
		"a wrong last line":  {header + `{"steps":3}`, "3 steps were written, 0 are here"},
		"no event, no steps": {header + `{"at":1,"event":"Bye"}` + "\n{}", "0 steps were written, 1 are here"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := Run(strings.NewReader(c.text), nil, nil); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

func TestAJournalThatWasCutOff(t *testing.T) {
	t.Parallel()
	var d disk
	journal(t, &d, turn.Policy{})
	lines := strings.SplitAfter(d.String(), "\n")
	r, err := Run(strings.NewReader(strings.Join(lines[:8], "")), nil, nil)
	if err != nil || !r.OK() || !r.Cut || r.Steps != 7 {
		t.Errorf("%+v, %v", r, err)
	}
}

// A call that only rang when its process was killed has a journal all the same.
func TestAJournalBeforeItsFirstStep(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var d disk
		j, err := New(&d, Header{CallID: "0190"}, turn.New(turn.Policy{}).Policy())
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		r, err := Run(strings.NewReader(d.String()), nil, nil)
		if err != nil || !r.OK() || !r.Cut || r.Steps != 0 || r.Header.CallID != "0190" {
			t.Errorf("%+v, %v", r, err)
		}
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestADiskThatFails(t *testing.T) {
	t.Parallel()
	d := disk{fail: errors.New("no space left")}
	j, err := New(&d, Header{}, &turn.Policy{})
	if err != nil {
		t.Fatal(err)
	}
	j.Step(0, turn.Bye{}, nil)
	if err := j.Close(); err == nil || !strings.Contains(err.Error(), "no space left") {
		t.Error(err)
	}
}

func TestADiskThatHangsLosesTheEndAndSaysSo(t *testing.T) {
	t.Parallel()
	var d disk
	d.mu.Lock()
	m := turn.New(turn.Policy{})
	j, err := New(&d, Header{}, m.Policy())
	if err != nil {
		t.Fatal(err)
	}
	long := turn.SayText{Text: strings.Repeat("x", 1<<20)}
	for range 12 {
		j.Step(0, long, m.Step(long, 0))
	}
	d.mu.Unlock()
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := Run(&d.Buffer, nil, nil)
	if err != nil || !r.OK() || r.Lost == 0 || r.Steps+r.Lost != 12 {
		t.Errorf("%+v, %v", r, err)
	}
}

// FuzzRun reads what is no journal and what was one.
func FuzzRun(f *testing.F) {
	b, err := os.ReadFile("testdata/call.jsonl")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"journal":1,"policy":{"MaxCall":1}}` + "\n" + `{"at":-5,"event":"LLMDone","data":{"Calls":[{"ID":"a"}]}}`))
	f.Fuzz(func(_ *testing.T, b []byte) {
		_, _ = Run(bytes.NewReader(b), nil, func(Shown) {})
	})
}

func BenchmarkStep(b *testing.B) {
	var d disk
	m := turn.New(turn.Policy{})
	j, err := New(&d, Header{}, m.Policy())
	if err != nil {
		b.Fatal(err)
	}
	ev := turn.Final{Text: "where is my order?", Confidence: 0.9}
	fx := []turn.Effect{turn.CommitUser{Turn: 1, Text: ev.Text}, turn.StartReply{G: 2, Turn: 1}}
	b.ReportAllocs()
	for b.Loop() {
		j.Step(time.Second, ev, fx)
		if j.lost > 0 {
			b.Fatal("lost")
		}
		d.mu.Lock()
		d.Reset()
		d.mu.Unlock()
	}
}
