package engine

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/audio/tts"
	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/engine/turn"
	"github.com/patchcord/patchcord/internal/testkit"
	"github.com/patchcord/patchcord/tools"
)

func warmed(t *testing.T) (*call, *agent.Agent) {
	t.Helper()
	a := &agent.Agent{
		ID: "a", Name: "a", Greeting: "Hello, this is the shop.", Voice: "anna",
		Tools: []tools.Definition{
			{Name: "check", Speech: tools.Speech{Bridging: "I am looking that up.", Failure: "That did not work, {{name}}."}},
		},
	}
	return prepare(t, a, says("Your order was shipped yesterday.")).engine(), a
}

// INV38: the apology and the greeting are there before the first call, so that
// a voice that is away leaves nobody in silence; an answer without sound is
// apologised for.
func TestWhatIsKeptIsSaidWhenTheVoiceIsAway_INV38(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, a := warmed(t)
		if err := k.e.Warm(t.Context(), *a); err != nil {
			t.Fatal(err)
		}
		k.tts.Fail(errDown)
		k.ring().wait(4*time.Second).say("where is my order?", time.Second).wait(10 * time.Second)
		k.want(`"kind":"greeting","text":"Hello, this is the shop."`, `"event":"provider.failed"`, `"kind":"apology"`)
		if s := k.leg.Spoken(); len(s) < 2 || s[0].From > 60*ms {
			t.Errorf("heard %v", s)
		}
		k.hangUp().want(`"end_reason":"hangup"`)
	})
}

// The sentences are spoken once for all calls, in the voice and language of
// the agent and at the rates of calls; those that name variables are not.
func TestWarmSpeaksOnce(t *testing.T) {
	t.Parallel()
	k, a := warmed(t)
	for range 2 {
		if err := k.e.Warm(t.Context(), *a); err != nil {
			t.Fatal(err)
		}
	}
	said := map[string]int{}
	for _, text := range k.tts.Said() {
		if said[text]++; said[text] > 1 {
			t.Errorf("%q was asked for again", text)
		}
	}
	for _, f := range append(texts(false, "Hello, this is the shop."), texts(true, "I am looking that up.", "One moment, please.")...) {
		for _, p := range spokenPieces(turn.New(a.Turn).Policy(), speakerOf(a, ""), f) {
			for _, rate := range []int{8000, 16000} {
				pcm, _ := k.e.phrases.get(phraseKey{"default", "anna", "", p, rate})
				if d := audio.Duration(len(pcm), rate) - time.Duration(len(p))*time.Second/15; d < -20*ms || d > 20*ms {
					t.Errorf("%q at %d Hz lasts %v more than it should", p, rate, d)
				}
			}
		}
	}
	if strings.Contains(fmt.Sprint(k.tts.Said()), "name") {
		t.Error("a sentence with a variable was spoken")
	}
	before := len(k.tts.Said())
	a.Greeting = "Good evening."
	if err := k.e.Warm(t.Context(), *a); err != nil || len(k.tts.Said()) != before+1 {
		t.Errorf("a new greeting cost %d sentences, %v", len(k.tts.Said())-before, err)
	}
}

// What is said before a transfer and when it has failed is there as well, where a
// tool may hand the caller over: it is due within a second (conv:H9).
func TestWarmSpeaksOfTransfers_convH9(t *testing.T) {
	t.Parallel()
	k, a := warmed(t)
	before := []string{"I put you through to sales.", "The line is busy just now.", "Welcome back."}
	for _, transfers := range []bool{false, true} {
		if transfers {
			a.Tools = append(a.Tools, *built(t, germany, sales)[0].Definition())
		}
		if err := k.e.Warm(t.Context(), *a); err != nil {
			t.Fatal(err)
		}
		said := strings.Join(k.tts.Said(), " ")
		for _, text := range before {
			if strings.Contains(said, text) != transfers {
				t.Errorf("transfers %v: %q among what was spoken beforehand: %q", transfers, text, said)
			}
		}
	}
}

// A voice that is away is told of, and is asked no more of the same agent.
func TestWarmWithoutAVoice(t *testing.T) {
	t.Parallel()
	k, a := warmed(t)
	k.tts.Fail(errDown)
	b := *a
	b.ID, b.TTS = "b", "missing"
	err := k.e.Warm(t.Context(), *a, b)
	if !errors.Is(err, errDown) || !errors.Is(err, errNoProvider) || !strings.Contains(err.Error(), "agent a: voice default") {
		t.Errorf("got %v", err)
	}
	if n := len(k.tts.Said()); n != 1 {
		t.Errorf("%d sentences were asked for", n)
	}
	k.tts.Fail(nil)
	if err := k.e.Warm(t.Context(), *a); err != nil {
		t.Error(err)
	}
}

// What is pinned stays, until its owner pins other phrases.
func TestPinnedPhrasesStay(t *testing.T) {
	t.Parallel()
	p := newPhrases(1000)
	key := func(text string) phraseKey { return phraseKey{text: text} }
	fill := func(from int) {
		for i := range 20 {
			p.put(key(fmt.Sprint("filling", from+i)), make([]int16, 50), nil)
		}
	}
	for _, owner := range []string{"a", "b"} {
		p.pin(owner, []phraseKey{key("sorry")})
	}
	p.put(key("sorry"), make([]int16, 50), []wordMark{{5, 40}})
	fill(0)
	pcm, words := p.get(key("sorry"))
	if len(pcm) != 50 || len(words) != 1 || p.bytes > 1000 {
		t.Errorf("%d samples, %v; %d bytes in all", len(pcm), words, p.bytes)
	}
	p.pin("a", nil)
	fill(20)
	if pcm, _ := p.get(key("sorry")); pcm == nil {
		t.Error("a phrase went that another agent needs")
	}
	p.pin("b", []phraseKey{key("oh")})
	fill(40)
	if pcm, _ := p.get(key("sorry")); pcm != nil || len(p.pinned) != 1 || len(p.pins) != 1 {
		t.Errorf("a phrase stays that nobody pins: %v", p.pinned)
	}
}

// The voices of an agent: its own, what stands behind it, and the default's,
// each once; only its own is asked for the voice it names.
func TestVoicesOfAnAgent(t *testing.T) {
	t.Parallel()
	k, _ := warmed(t)
	named := func(names ...string) (c tts.Chain) {
		for _, n := range names {
			c = append(c, tts.Named{Name: n, Provider: &testkit.TTS{}})
		}
		return c
	}
	k.e.cfg.TTS = map[string]tts.Provider{"": named("local"), "first": named("first", "second"), "third": named("third", "local")}
	for name, want := range map[string]string{
		"": "[local/anna]", "first": "[first/anna second/ local/]", "third": "[third/anna local/]",
	} {
		voices, err := k.e.voicesOf(agent.Tongue{TTS: name, Voice: "anna"}, true)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, v := range voices {
			got = append(got, v.name+"/"+v.voice)
		}
		if fmt.Sprint(got) != want {
			t.Errorf("%q: %v, want %s", name, got, want)
		}
	}
}
