package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/patchcord/patchcord/engine/replay"
	"github.com/patchcord/patchcord/engine/turn"
)

// journalFile is the journal of a call with one question.
func journalFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "call.jsonl")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	m := turn.New(turn.Policy{})
	j, err := replay.New(f, replay.Header{CallID: "0190", Agent: "support"}, m.Policy())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []struct {
		at time.Duration
		ev turn.Event
	}{
		{0, turn.Answered{}},
		{1 * time.Second, turn.VoiceStart{At: time.Second}},
		{2 * time.Second, turn.VoiceEnd{At: 1800 * time.Millisecond}},
		{2010 * time.Millisecond, turn.Final{Text: "where is my order"}},
		{2400 * time.Millisecond, turn.Tick{}},
		{3 * time.Second, turn.Bye{}},
	} {
		j.Step(s.at, s.ev, m.Step(s.ev, s.at))
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestReplayAgrees(t *testing.T) {
	t.Parallel()
	path := journalFile(t)
	r := runCommand(t, "", "replay", path)
	if r.code != exitOK || !strings.Contains(r.out, "6 steps") || !strings.Contains(r.out, "the same decisions") {
		t.Errorf("%+v", r)
	}
	r = runCommand(t, "", "replay", "--show", path)
	for _, want := range []string{"2.010  live", `Final {"Text":"where is my order"`, "→ CommitUser"} {
		if !strings.Contains(r.out, want) {
			t.Errorf("%q is not in:\n%s", want, r.out)
		}
	}
	r = runCommand(t, "", "replay", "--json", path)
	var v replayed
	if err := json.Unmarshal([]byte(r.out), &v); err != nil || !v.OK || v.CallID != "0190" || v.Steps != 6 || v.Effects == 0 {
		t.Errorf("%+v %v", r, err)
	}
}

func TestReplayShowsWhatAnotherConstantChanges(t *testing.T) {
	t.Parallel()
	path := journalFile(t)
	r := runCommand(t, "", "replay", "--set", "wait_normal=3s", path)
	if r.code != exitFailed || !strings.Contains(r.out, "differ") || !strings.Contains(r.out, `- {"CommitUser"`) {
		t.Errorf("%+v", r)
	}
	for _, set := range []string{"wait_normal", "wait_nrmal=3s", "wait_normal=blue"} {
		if r := runCommand(t, "", "replay", "--set", set, path); r.code != exitUsage || !strings.Contains(r.err, "--set") {
			t.Errorf("%s: %+v", set, r)
		}
	}
}

func TestReplayOfWhatIsNoJournal(t *testing.T) {
	t.Parallel()
	path := writeFile(t, "events.jsonl", `{"event":"call.started"}`)
	if r := runCommand(t, "", "replay", path); r.code != exitFailed || !strings.Contains(r.err, "not a journal") {
		t.Errorf("%+v", r)
	}
}
