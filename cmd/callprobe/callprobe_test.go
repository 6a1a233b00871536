package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/patchcord/patchcord/audio/record"
)

// hum is so much of a sound that counts as a voice, at 8 kHz.
func hum(d time.Duration) []int16 {
	pcm := make([]int16, int(d.Seconds()*8000))
	for i := range pcm {
		pcm[i] = int16(8000 * math.Sin(2*math.Pi*440*float64(i)/8000))
	}
	return pcm
}

// probeFiles writes a scenario with a WAV file of 600 ms beside it.
func probeFiles(t *testing.T, lines ...string) (file string) {
	t.Helper()
	dir := t.TempDir()
	var b bytes.Buffer
	if err := record.WriteWAV(&b, 8000, 1, hum(600*time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(dir, "s.yaml")
	for name, text := range map[string][]byte{
		filepath.Join(dir, "hum.wav"): b.Bytes(), file: []byte(strings.Join(lines, "\n") + "\n"),
	} {
		if err := os.WriteFile(name, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return file
}

func probeRun(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var out, errs bytes.Buffer
	code = run(ctx, append(args, "--bind", "127.0.0.1"), &out, &errs)
	return code, out.String(), errs.String()
}

func TestACallOverRealSockets(t *testing.T) {
	t.Parallel()
	a := &agent{turns: [][]int16{hum(time.Second), hum(4 * time.Second), hum(800 * time.Millisecond)}, hangup: true}
	uri := a.serve(t)
	file := probeFiles(t,
		"name: sockets", `from: "+4930111"`, "steps:",
		"  - wait_quiet: {for: 500ms, within: 5s}",
		"  - play: hum.wav",
		"  - barge_in: {after: 1s, play: hum.wav, stops_within: 2s}",
		"  - press: 42#",
		"  - expect_hangup: {within: 10s}",
	)
	wav := filepath.Join(filepath.Dir(file), "call.wav")
	code, out, errs := probeRun(t, file, "--to", uri, "--record", wav, "--codec", "PCMA")
	if code != exitOK || !strings.HasSuffix(out, "\nok\n") {
		t.Fatalf("exit %d\n%s%s", code, out, errs)
	}
	var wire, here int
	_, after, _ := strings.Cut(out, "the agent stopped after ")
	if _, err := fmt.Sscanf(after, "%d ms on the wire, %d ms heard here", &wire, &here); err != nil || wire <= 0 || wire >= here {
		t.Errorf("the agent stopped after %.60q: want less on the wire than with our jitter buffer (%v)", after, err)
	}
	t.Log(out)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.digits != "42#" || a.info.From != "+4930111" || a.info.Codec != "PCMA" {
		t.Errorf("the agent saw %q, %+v", a.digits, a.info)
	}
	f, err := os.Open(wav)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w, err := record.ReadWAV(f)
	if err != nil || w.Channels != 2 || w.Rate != 8000 {
		t.Fatalf("%v, %v", w, err)
	}
	// What was said is left: twice 600 ms. What was heard is right: 1 s, more
	// than 1 s of the turn of 4 s that was stopped, 0.8 s; a busy machine loses
	// some of it.
	said, heard := loudFor(w.Channel(0)), loudFor(w.Channel(1))
	if said < time.Second || said > 1400*time.Millisecond || heard < 2*time.Second || heard > 5*time.Second {
		t.Errorf("said %s, heard %s", said, heard)
	}
}

// loudFor is how long there is sound, in steps of 20 ms.
func loudFor(pcm []int16) (d time.Duration) {
	for i := 0; i+160 <= len(pcm); i += 160 {
		for _, v := range pcm[i : i+160] {
			if v > 2000 {
				d += 20 * time.Millisecond
				break
			}
		}
	}
	return d
}

func TestFailedExpectationsExitWith1(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		agent *agent
		steps []string
		want  string
	}{
		{"busy", &agent{busy: true}, []string{"hangup"}, "not answered: busy (486)"},
		{"silent", &agent{}, []string{"wait_quiet: {within: 1s}"}, "s.yaml:2: the agent said nothing within 1s"},
		{"still there", &agent{turns: [][]int16{hum(500 * time.Millisecond)}}, []string{"expect_hangup: {within: 1s}"}, "did not hang up within 1s"},
		{"gone early", &agent{turns: [][]int16{hum(500 * time.Millisecond)}, hangup: true}, []string{"wait: 10s", "press: 1"}, "the call ended at"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			steps := []string{"steps:"}
			for _, s := range tt.steps {
				steps = append(steps, "  - "+s)
			}
			code, out, errs := probeRun(t, probeFiles(t, steps...), "--to", tt.agent.serve(t))
			if code != exitFailed || !strings.Contains(out, tt.want) || !strings.HasSuffix(out, "FAILED\n") {
				t.Errorf("exit %d\n%s%s", code, out, errs)
			}
		})
	}
}

func TestManyCalls(t *testing.T) {
	t.Parallel()
	a := &agent{turns: [][]int16{hum(500 * time.Millisecond)}}
	file := probeFiles(t, "steps:", "  - wait_quiet: 400ms", "  - hangup")
	code, out, errs := probeRun(t, file, "--to", a.serve(t)+";transport=udp", "--calls", "10", "--rate", "20", "--json")
	var got struct {
		OK            bool
		Calls, Failed int
		Answer        map[string]int `json:"answer_ms"`
		Received      int            `json:"packets_received"`
		Reports       []any
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil || code != exitOK {
		t.Fatalf("exit %d, %v\n%s%s", code, err, out, errs)
	}
	if !got.OK || got.Calls != 10 || got.Failed != 0 || got.Received < 100 || len(got.Reports) != 0 || strings.Count(out, "\n") != 1 {
		t.Errorf("%s", out)
	}
}

func TestBadUsageExitsWith2(t *testing.T) {
	t.Parallel()
	good := probeFiles(t, "steps: [hangup]")
	words := probeFiles(t, "steps:", "  - wait_for: hello")
	for _, tt := range []struct {
		name string
		args []string
		want string
	}{
		{"nothing", nil, "--to"},
		{"no one to call", []string{good}, "--to"},
		{"an unknown flag", []string{good, "--to", "sip:x@127.0.0.1", "--foo"}, "--foo"},
		{"no file", []string{good + "x", "--to", "sip:x@127.0.0.1"}, "no such file"},
		{"a bad scenario", []string{probeFiles(t, "steps:", "  - sing: la"), "--to", "sip:x@127.0.0.1"}, `s.yaml:2:5: no verb "sing"`},
		{"a sound that is missing", []string{probeFiles(t, "steps:", "  - play: x.wav"), "--to", "sip:x@127.0.0.1"}, "s.yaml:2:5: play: open"},
		{"no calls", []string{good, "--to", "sip:x@127.0.0.1", "--calls", "0"}, "--calls 0: want 1 or more"},
		{"no rate", []string{good, "--to", "sip:x@127.0.0.1", "--rate", "0"}, "--rate 0"},
		{"a codec", []string{good, "--to", "sip:x@127.0.0.1", "--codec", "G729"}, "--codec"},
		{"a codec of the scenario", []string{probeFiles(t, "codec: G729", "steps: [hangup]"), "--to", "sip:x@127.0.0.1"}, `no codec "G729"; write PCMU`},
		{"ports", []string{good, "--to", "sip:x@127.0.0.1", "--ports", "x"}, "--ports x"},
		{"words without phrases", []string{words, "--to", "sip:x@127.0.0.1"}, "phrases: in the scenario or by --phrases"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			code, out, errs := probeRun(t, tt.args...)
			if code != exitUsage || out != "" || !strings.Contains(errs, tt.want) {
				t.Errorf("exit %d\n%s%s", code, out, errs)
			}
		})
	}
}

func TestHelpHasAnExample(t *testing.T) {
	t.Parallel()
	for _, flag := range []string{"--help", "--version"} {
		code, out, _ := probeRun(t, flag)
		if code != exitOK || flag == "--help" && !strings.Contains(out, "callprobe testdata/scenarios/greeting.yaml --to") {
			t.Errorf("exit %d\n%s", code, out)
		}
	}
}
