package realtime

import (
	"bytes"
	"os"
	"testing"
	"time"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/llm"
)

func newReader(e audio.Encoding) *reader {
	return &reader{
		encoding: e, from: 24000, to: 8000, padding: 300 * time.Millisecond, silence: 500 * time.Millisecond,
		names: map[string]string{}, sent: func() time.Duration { return 10 * time.Second },
	}
}

// published is a whole conversation as the reference describes it.
func published(t testing.TB) [][]byte {
	t.Helper()
	data, err := os.ReadFile("testdata/session.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.Split(bytes.TrimSpace(data), []byte("\n"))
	if !bytes.Contains(lines[0], []byte("written from the published reference, not recorded")) {
		t.Fatal("the session does not say where it comes from")
	}
	return lines[1:]
}

func TestPublishedSessionIsRead(t *testing.T) {
	t.Parallel()
	r := newReader(audio.PCM16)
	var got []llm.RealtimeEvent
	taken := 0
	for _, line := range published(t) {
		evs, settled, err := r.read(line)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if settled {
			taken++
		}
		got = append(got, evs...)
	}
	want := []llm.RealtimeEvent{
		{Kind: llm.VoiceBegan, Item: "item_u", Ago: 8700 * time.Millisecond},
		{Kind: llm.VoiceEnded, Item: "item_u", Ago: 7500 * time.Millisecond},
		{Kind: llm.TurnEnded, Item: "item_u"},
		{Kind: llm.ResponseBegan, ID: "g1", Response: "resp_1"},
		{Kind: llm.ItemBegan, Response: "resp_1", Item: "item_a"},
		{Kind: llm.SpokenWords, Response: "resp_1", Item: "item_a", Text: "Hello"},
		{Kind: llm.Spoken, Response: "resp_1", Item: "item_a"},
		{Kind: llm.TurnWords, Item: "item_u", Text: "Where is my order?"},
		{Kind: llm.Spoken, Response: "resp_1", Item: "item_a"}, // what the resampler held
		{Kind: llm.ItemBegan, Response: "resp_1", Item: "item_f", Call: llm.ToolCall{ID: "call_1", Name: "check_order_status"}},
		{Kind: llm.CallReady, Response: "resp_1", Item: "item_f", Call: llm.ToolCall{
			ID: "call_1", Name: "check_order_status", Args: []byte(`{"order_id":"4711"}`),
		}},
		{Kind: llm.ResponseDone, Response: "resp_1", Finish: "completed", Usage: llm.Usage{Prompt: 119, Completion: 56}},
		{Kind: llm.Refused, ID: "t1", Code: "invalid_value"},
		{Kind: llm.ResponseBegan, Response: "resp_2"},
		{Kind: llm.SpokenWords, Response: "resp_2", Item: "item_b", Text: "Bye"}, // a beta name
		{Kind: llm.ResponseDone, Response: "resp_2", Finish: "failed", Code: "rate_limit_exceeded", Text: "rate_limit_exceeded: slow down"},
	}
	if taken != 1 || len(got) != len(want) {
		t.Fatalf("taken %d times, got %d events: %+v", taken, len(got), got)
	}
	for i, w := range want {
		g := got[i]
		if (g.Kind == llm.Spoken) != (len(g.PCM) > 0) || (g.Kind == llm.Refused) != (g.Err != nil) {
			t.Errorf("event %d: %+v", i, g)
		}
		args := string(g.Call.Args) == string(w.Call.Args)
		if g.PCM, g.Err, g.Call.Args, w.Call.Args = nil, nil, nil, nil; !args || !same(g, w) {
			t.Errorf("event %d: got %+v\nwant %+v", i, g, w)
		}
	}
}

func same(a, b llm.RealtimeEvent) bool {
	return a.Kind == b.Kind && a.ID == b.ID && a.Response == b.Response && a.Item == b.Item && a.Text == b.Text &&
		a.Call.ID == b.Call.ID && a.Call.Name == b.Call.Name && a.Ago == b.Ago && a.Finish == b.Finish &&
		a.Usage == b.Usage && a.Code == b.Code
}

// TestHalfASample: a piece of sound may end anywhere.
func TestHalfASample(t *testing.T) {
	t.Parallel()
	r := newReader(audio.PCM16)
	r.from = 8000
	var pcm []int16
	for _, delta := range []string{"AQ==", "AAI=", "AAMA"} { // 01 | 00 02 | 00 03 00
		evs, _, err := r.read([]byte(`{"type":"response.output_audio.delta","item_id":"a","delta":"` + delta + `"}`))
		if err != nil {
			t.Fatal(err)
		}
		for _, ev := range evs {
			pcm = append(pcm, ev.PCM...)
		}
	}
	if len(pcm) != 3 || pcm[0] != 1 || pcm[1] != 2 || pcm[2] != 3 {
		t.Errorf("got %v", pcm)
	}
}

// FuzzRead: nothing that a server says ends more than its session.
func FuzzRead(f *testing.F) {
	for _, line := range published(f) {
		f.Add(line, true)
	}
	f.Add([]byte(`{"type":"response.output_audio.delta","delta":"AAAA"}`), false)
	f.Fuzz(func(t *testing.T, data []byte, pcm bool) {
		e := audio.MuLaw
		if pcm {
			e = audio.PCM16
		}
		r := newReader(e)
		for range 2 { // the second finds what the first left
			evs, _, err := r.read(data)
			if err != nil && len(evs) > 0 {
				t.Errorf("both %+v and %v", evs, err)
			}
			for _, ev := range evs {
				if ev.Ago < 0 || ev.Kind == llm.Spoken && len(ev.PCM) == 0 || ev.Kind == llm.Refused && ev.Err == nil {
					t.Errorf("%+v", ev)
				}
			}
		}
	})
}

func BenchmarkReadSound(b *testing.B) {
	r := newReader(audio.MuLaw)
	line := append([]byte(`{"type":"response.output_audio.delta","response_id":"r","item_id":"a","delta":"`),
		bytes.Repeat([]byte("AAAA"), 66)...) // 200 ms come in one; this is 25 ms
	line = append(line, `"}`...)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := r.read(line); err != nil {
			b.Fatal(err)
		}
	}
}
