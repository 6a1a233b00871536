package engine

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/patchcord/patchcord/audio/tts/spoken"
	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/engine/turn"
	"github.com/patchcord/patchcord/llm"
	"github.com/patchcord/patchcord/telephony"
)

const priced = "That is **$1,250.50** in total, and it ships on May 3, 2024. Your order number is 4711, and we are open until 5 p.m. today."

// playedWords are the words of priced that were said in a time, by a voice of
// 15 characters a second.
func playedWords(heardMS int64) int {
	ms := float64(heardMS) - float64(lag.Milliseconds())
	at, left := 0, ms/1000*seedCPS
	for _, s := range piecesOf(priced) {
		n := len(s.said.Text)
		if left < float64(n) {
			return len(strings.Fields(wholeWords(priced, s.at+s.said.Raw(lastWholeWord(s.said, int(max(0, left)))))))
		}
		at, left = s.at+len(s.raw), left-float64(n)
	}
	return len(strings.Fields(priced[:at]))
}

func lastWholeWord(s spoken.Spoken, chars int) int {
	if chars < len(s.Text) && s.Text[chars] != ' ' {
		return strings.LastIndexByte(s.Text[:chars], ' ') + 1
	}
	return chars
}

// cutPriced lets an agent say priced and does something to it after a while.
func cutPriced(t *testing.T, a *agent.Agent, after time.Duration, do func(*call)) *call {
	n := 0
	k := dial(t, a, func(llm.Request) (string, []llm.ToolCall, error) {
		if n++; n == 1 {
			return priced, nil, nil
		}
		return "Alright.", nil, nil
	})
	k.wait(500*ms).say("how much is it.", time.Second).wait(1900*ms + after)
	do(k)
	k.wait(6 * time.Second).hangUp()
	return k
}

func interrupt(k *call) {
	k.stt.Hear("stop, please")
	k.leg.Speak(500 * ms)
	k.wait(250 * ms)
	k.stt.Interim("stop")
}

// checkHeard holds what a call kept of priced against what was played of it.
func checkHeard(t *testing.T, k *call, after time.Duration) (heard string) {
	t.Helper()
	seen := map[int64]int{}
	for _, e := range k.find(EventTurnAgent) { // INV22: each in the log, heard or not, with its reason
		seen[int64(e.Get("turn").(int))]++ //nolint:forcetypeassert // F makes it so
		if e.Get("reason") == nil || e.Get("text") == "" {
			t.Errorf("cut at %v: %+v says too little (INV22)", after, e)
		}
	}
	for n, times := range seen {
		if times > 1 { // INV21
			t.Errorf("cut at %v: turn %d has %d replies in the log (INV21)", after, n, times)
		}
	}
	e := k.find(EventTurnAgent)[0]
	heard, played := e.Get("heard_text").(string), e.Get("heard_ms").(int64) //nolint:forcetypeassert // F makes it so
	got := len(strings.Fields(heard))
	want := playedWords(played)
	if e.Get("interrupted") != true {
		want = len(strings.Fields(priced))
	}
	if got > want+1 {
		t.Errorf("cut at %v: %d words are kept of %d heard: %q (INV19)", after, got, want, heard)
	}
	if got < want-3 {
		t.Errorf("cut at %v: %d words are kept of %d heard: %q (INV20)", after, got, want, heard)
	}
	if !strings.HasPrefix(priced, heard) {
		t.Errorf("cut at %v: %q is not how it begins (conv:S6)", after, heard)
	}
	kept := 0
	asked := k.llm.Asked()
	for _, m := range asked[len(asked)-1].Messages {
		if text, cut := strings.CutSuffix(m.Content, cutMark); m.Role == llm.Assistant && strings.HasPrefix(priced, text) {
			kept++
			if text != heard || !cut {
				t.Errorf("cut at %v: the model is told %q, heard was %q (conv:T6)", after, m.Content, heard)
			}
		}
	}
	if len(asked) > 1 && kept != min(1, got) { // conv:T5: nothing heard, no item
		t.Errorf("cut at %v: %d items of one reply that was heard as %q (INV21, conv:T5)", after, kept, heard)
	}
	return heard
}

// TestCutsAtEveryPlace_INV19 interrupts a call at every 100 ms of a reply with
// figures in it: what is kept is what was played (INV20, INV21, INV22).
func TestCutsAtEveryPlace_INV19(t *testing.T) {
	heard := map[string]bool{}
	for after := time.Duration(0); after <= 10*time.Second; after += 100 * ms {
		synctest.Test(t, func(t *testing.T) {
			k := cutPriced(t, &agent.Agent{Name: "a"}, after, interrupt)
			heard[checkHeard(t, k, after)] = true
		})
	}
	if len(heard) < 12 {
		t.Errorf("only %d different cuts", len(heard))
	}
}

func TestWordsAfterAResumeCountOnce_convT9(t *testing.T) {
	for after := 500 * ms; after < 4*time.Second; after += 500 * ms {
		synctest.Test(t, func(t *testing.T) {
			k := cutPriced(t, &agent.Agent{Name: "a"}, 300*ms, func(k *call) {
				k.leg.Speak(350 * ms) // a cough
				k.wait(1500 * ms)
				k.want(`"event":"speech.resumed"`)
				k.wait(after)
				interrupt(k)
			})
			checkHeard(t, k, after)
		})
	}
}

func TestNeedlessCancelIsRecordedTheSame_convT10(t *testing.T) {
	for after := 500 * ms; after < 5*time.Second; after += 500 * ms {
		synctest.Test(t, func(t *testing.T) {
			k := cutPriced(t, &agent.Agent{Name: "a"}, after, func(k *call) { // a key that means nothing
				k.leg.Send(telephony.Digit{Key: '5', Source: "rfc4733"})
			})
			k.want(`"proof":"digit"`)
			checkHeard(t, k, after)
		})
	}
}

func TestModelIsToldWhereItWasInterrupted_convT7(t *testing.T) {
	for _, on := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			k := cutPriced(t, &agent.Agent{Name: "a", Turn: turn.Policy{InterruptionHint: on}}, 3*time.Second, interrupt)
			heard := checkHeard(t, k, 3*time.Second)
			asked := k.llm.Asked()
			last := asked[len(asked)-1].Messages
			hint := last[len(last)-2]
			want := "[caller interrupted after: " + wordsBefore(heard, hintWords) + "]"
			if got := hint.Content == want && hint.Data && hint.Role == llm.User; got != on {
				t.Errorf("asked %+v, want %q", last, want)
			}
			if !on && len(last) != 3 {
				t.Errorf("%d messages", len(last))
			}
		})
	}
}
