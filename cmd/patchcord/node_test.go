package main

import (
	"context"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/patchcord/patchcord/configs"
	"github.com/patchcord/patchcord/engine"
	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/store"
)

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

// The node's own files stand beside an SQLite store, or bear its name where
// others use the same database.
func TestOwnFiles(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ url, node, named, want string }{
		{"sqlite:p.db", "a", "", "p.db.spool"},
		{"sqlite:///var/lib/p.db", "a", "", "/var/lib/p.db.spool"},
		{"postgres://u@h/d", "a", "", "patchcord-a.spool"},
		{"postgres://u@h/d", "../a b", "", "patchcord-..%2Fa%20b.spool"},
		{"postgres://u@h/d", "a", "/var/lib/x", "/var/lib/x"},
		{"postgres://u@h/d", "a", "off", ""},
	} {
		cfg := &configs.Config{}
		cfg.Store.URL, cfg.Cluster.Node, cfg.Store.Spool, cfg.SIP.Dialogs = c.url, c.node, c.named, c.named
		if got := storeConfig(cfg, nil); got.Spool != c.want || got.SpoolMay != (c.named == "") {
			t.Errorf("%+v: spool %q, may be none: %v", c, got.Spool, got.SpoolMay)
		}
		want := strings.Replace(c.want, ".spool", ".dialogs", 1)
		if got := dialogsFile(cfg); got != want {
			t.Errorf("%+v: dialogs %q, want %q", c, got, want)
		}
	}
	cfg := &configs.Config{}
	cfg.Store.URL = "postgres://u@h/d"
	host, err := os.Hostname()
	if got := dialogsFile(cfg); err != nil || got != "patchcord-"+url.PathEscape(host)+".dialogs" {
		t.Errorf("without a name: %q, %v", got, err)
	}
}
