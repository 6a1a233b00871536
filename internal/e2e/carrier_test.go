//go:build e2e

package e2e

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/patchcord/patchcord/audio/stt/pocketsphinx"
	"github.com/patchcord/patchcord/audio/tts/flite"
	"github.com/patchcord/patchcord/internal/testkit/carrier"
	testphone "github.com/patchcord/patchcord/internal/testkit/phone"
	"github.com/patchcord/patchcord/internal/testkit/scenario"
	"github.com/patchcord/patchcord/telephony"
)

// TestBargeInOverACarriersWebSocket: a call that comes as Twilio brings it. The
// caller's words are recognised, and the agent's are at the carrier's end; when
// the caller stops the agent, the carrier is told to drop what it has, and what
// counts as heard is what it played (INV1, INV2).
func TestBargeInOverACarriersWebSocket(t *testing.T) {
	t.Parallel()
	needsSpeech(t)
	_, s, answers, e := described(t, "barge_in")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	helper := command(t, "localspeech")
	ear, err := pocketsphinx.New(pocketsphinx.Config{Phrases: answers, Helper: helper}, nil, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	defer ear.Close()
	voice, err := flite.New(flite.Config{Voice: "rms", Helper: helper}, nil, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	defer voice.Close()
	prompts, err := testphone.Prepare(ctx, s, voice)
	if err != nil {
		t.Fatal(err)
	}
	far := &carrier.Carrier{
		Kind: carrier.Twilio, AccountSID: "AC1", AuthToken: carrierToken, Webhook: e.http + "/v1/trunks/twilio/voice",
	}
	call, err := far.Call(ctx, "+4930111", "+4930123456")
	if err != nil {
		t.Fatal(err)
	}
	ph, err := testphone.Start(ctx, call, testphone.Config{Prompts: prompts, Ear: ear})
	if err != nil {
		t.Fatal(err)
	}
	report := scenario.Run(ctx, s, ph)
	if err := ph.Close(); err != nil {
		t.Error(err)
	}
	eventually(t, 10*time.Second, "the call has ended", func() bool { return len(named(e.read(t), "call.ended")) == 1 })
	log, err := os.ReadFile(e.events)
	if err != nil {
		t.Fatal(err)
	}
	if !report.OK {
		var b strings.Builder
		_, _ = report.WriteTo(&b)
		t.Errorf("%s\n%s", b.String(), tail(string(log), 4000))
	}
	var heard time.Duration
	for _, ev := range named(e.read(t), "turn.agent") {
		ms, _ := ev["heard_ms"].(float64)
		heard += time.Duration(ms) * time.Millisecond
		full, part := ev.text("text"), ev.text("heard_text")
		if cut, _ := ev["interrupted"].(bool); cut && (part == "" || part == full || !strings.HasPrefix(full, strings.TrimRight(part, " .…-"))) {
			t.Errorf("%q was said, %q is said to have been heard", full, part)
		}
	}
	saw := call.Tally()
	t.Logf("the carrier played %s and was told to drop %s in %d clears; %s count as heard; at most %s were in its buffer",
		saw.Played, saw.Cleared, saw.Clears, heard, saw.Most)
	// The voice has paused the agent before its words stop it: what the carrier had was played by then.
	if saw.Clears > 1 || saw.Most > 300*time.Millisecond || len(saw.Unknown) > 0 {
		t.Errorf("the carrier saw %+v", saw)
	}
	if off := heard - saw.Played; off.Abs() > 300*time.Millisecond {
		t.Errorf("%s count as heard, the carrier played %s", heard, saw.Played)
	}
	if !strings.Contains(string(log), `"transport":"ws/twilio"`) {
		t.Errorf("no call of ws/twilio:\n%s", tail(string(log), 2000))
	}
	// A key stops the agent at once.
	call, err = far.Call(ctx, "+4930111", "+4930123456")
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, 10*time.Second, "the greeting is heard", func() bool { return call.Tally().Played > 300*time.Millisecond })
	if err := call.SendDigits(ctx, "1", telephony.Tone{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, 10*time.Second, "the carrier is told to drop what it has", func() bool { return call.Tally().Clears == 1 })
	saw = call.Tally()
	t.Logf("a key made the carrier drop %s", saw.Cleared)
	if saw.Cleared == 0 || saw.Cleared > 300*time.Millisecond {
		t.Errorf("a key made the carrier drop %s", saw.Cleared)
	}
	_ = call.Hangup(ctx, telephony.Cause{})
}
