package engine

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/audio/record"
	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/engine/turn"
	"github.com/patchcord/patchcord/llm"
	"github.com/patchcord/patchcord/telephony"
)

// press lets the caller press keys, 200 ms apart.
func (c *call) press(keys string) *call {
	for _, k := range []byte(keys) {
		c.leg.Send(telephony.Digit{Key: k, Source: "rfc4733"})
		c.wait(200 * ms)
	}
	return c
}

// A secret number reaches the model and the tools it calls, and nothing that is
// kept: no event, no transcript, no journal of the machine.
func TestSecretKeysAreMaskedEverywhere_convD5(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		check := checkTool(100 * ms)
		a := &agent.Agent{Name: "a", Greeting: "Your number?"}
		a.Turn.Keys = turn.Keys{Sensitive: true, RecordingGap: true}
		c := prepare(t, a, func(r llm.Request) (string, []llm.ToolCall, error) {
			last := r.Messages[len(r.Messages)-1]
			if last.Role == llm.User {
				return "", []llm.ToolCall{{ID: "t", Name: "check", Args: json.RawMessage(`{"pin":4711}`)}}, nil
			}
			return "It is 4711, is it not?", nil, nil
		}, check)
		c.cfg.RecordingDir, c.cfg.JournalDir = t.TempDir(), t.TempDir()
		c.start().wait(2 * time.Second)
		c.press("4")
		c.leg.Speak(600 * ms) // they say it, too
		c.press("711#").wait(2*time.Second).say("yes", 600*ms)
		c.wait(5 * time.Second).hangUp()
		c.want(`"digit":"x"`, `"text":"DTMF xxxx"`, `pin\":xxxx}`, `"heard_text":"It is xxxx, is it not?"`).not("4711")
		asked := c.llm.Asked()
		if m := asked[0].Messages; m[len(m)-1].Content != "DTMF 4711" {
			t.Errorf("the model was told %+v", m)
		}
		if string(check.runs[0].Args) != `{"pin":4711}` {
			t.Errorf("the tool got %s", check.runs[0].Args)
		}
		{
			files, err := filepath.Glob(filepath.Join(c.cfg.JournalDir, "*"))
			if err != nil || len(files) != 1 {
				t.Fatal(files, err)
			}
			kept, err := os.ReadFile(files[0])
			if err != nil || strings.Contains(string(kept), "4711") || !strings.Contains(string(kept), "DTMF xxxx") {
				t.Errorf("the journal: %s, %v", kept, err)
			}
		}
		file := c.log.last.Recording
		if loudness(t, file, 2000*ms, 2800*ms) > 0 || loudness(t, file, 4800*ms, 5300*ms) == 0 {
			t.Error("the recording has the caller while the keys are collected, or not after that")
		}
		rec, err := json.Marshal(c.log.last)
		if err != nil || strings.Contains(string(rec), "4711") {
			t.Errorf("the record: %s, %v", rec, err)
		}
	})
}

// loudness is that of the caller in a part of a recording.
func loudness(t *testing.T, file string, from, to time.Duration) float64 {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w, err := record.ReadWAV(f)
	if err != nil {
		t.Fatal(err)
	}
	pcm := w.Channel(0)
	return audio.RMS(pcm[audio.Samples(from, w.Rate):audio.Samples(to, w.Rate)])
}
