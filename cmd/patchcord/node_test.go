package main

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/patchcord/patchcord/configs"
	"github.com/patchcord/patchcord/engine"
	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/store"
	"github.com/patchcord/patchcord/telephony/rtp"
)

func TestOneStallRefusesNobody(t *testing.T) {
	t.Parallel()
	at := time.Now()
	var l lateness
	for _, c := range []struct {
		name  string
		after time.Duration
		load  rtp.Load
		want  bool
	}{
		{"in time", 0, rtp.Load{Sessions: 100, OverrunP99: time.Millisecond}, false},
		{"held up once", time.Second, rtp.Load{Sessions: 100, OverrunP99: 35 * time.Millisecond}, false},
		{"in time again", 2 * time.Second, rtp.Load{Sessions: 100, OverrunP99: time.Millisecond}, false},
		{"late", 10 * time.Second, rtp.Load{Sessions: 100, OverrunP99: 15 * time.Millisecond}, false},
		{"still late", 12 * time.Second, rtp.Load{Sessions: 100, OverrunP99: 15 * time.Millisecond}, false},
		{"late for two windows", 14 * time.Second, rtp.Load{Sessions: 100, OverrunP99: 15 * time.Millisecond}, true},
		{"late with few calls", 15 * time.Second, rtp.Load{Sessions: 10, OverrunP99: 15 * time.Millisecond}, false},
		{"late anew", 16 * time.Second, rtp.Load{Sessions: 100, OverrunP99: 15 * time.Millisecond}, false},
		{"nobody called for long", 40 * time.Second, rtp.Load{Sessions: 100, OverrunP99: 15 * time.Millisecond}, false},
	} {
		if got := l.busy(c.load, at.Add(c.after)); got != c.want {
			t.Errorf("%s: busy is %v", c.name, got)
		}
	}
}

// A start that fails loses no webhook of the calls that the process before left
// open: they are ended when the store is opened, and only then.
func TestAFailedStartLosesNoWebhooks(t *testing.T) {
	ctx := t.Context()
	cfg, _, err := configs.Load("")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cfg.Store.URL = "sqlite:" + filepath.Join(dir, "p.db")
	s, err := store.Open(ctx, storeConfig(cfg, zap.NewNop()))
	if err != nil {
		t.Fatal(err)
	}
	a, err := s.CreateAgent(ctx, "", agent.Agent{
		Name: "hooked", WebhookURL: "https://hooks.example.com/", WebhookEvents: []string{"end-of-call-report"},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Started(engine.Record{ID: "c1", Agent: a.ID, Status: engine.StatusInProgress, Started: time.Now(), Answered: time.Now()})
	if err := s.Close(context.WithoutCancel(ctx)); err != nil {
		t.Fatal(err)
	}
	cfg.Log.Events = filepath.Join(dir, "none", "events.jsonl")
	if _, err := openNode(ctx, cfg, zap.NewNop(), nodeOptions{}); err == nil {
		t.Fatal("it starts")
	}
	if s, err = store.Open(ctx, storeConfig(cfg, zap.NewNop())); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close(context.WithoutCancel(ctx)) }()
	if ds, _, err := s.Deliveries(ctx, store.DeliveryFilter{Call: "c1"}); err != nil || len(ds) != 1 {
		t.Errorf("%+v, %v", ds, err)
	}
}
