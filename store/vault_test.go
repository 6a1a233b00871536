package store

import (
	"errors"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/internal/secret"
	"github.com/patchcord/patchcord/telephony/trunk"
)

const (
	keyA = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
	keyB = "ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
)

func TestSecretsAreSealedUnderTheKey(t *testing.T) {
	t.Parallel()
	eachURL(t, func(t *testing.T, url string) {
		ctx := t.Context()
		seen, logs := observer.New(zap.DebugLevel)
		with := func(key secret.Text) (*Store, error) {
			return Open(ctx, Config{URL: url, Node: "test", Key: key, Log: zap.New(seen)})
		}
		secrets := func(s *Store) (out []string) {
			for _, table := range []string{"agents", "trunks"} {
				var one []string
				if err := s.read.NewSelect().Table(table).Column("secret").Scan(ctx, &one); err != nil {
					t.Fatal(err)
				}
				out = append(out, one...)
			}
			return out
		}
		read := func(s *Store, want string) {
			t.Helper()
			a, tr := must(s.Agent(ctx, "a"))(t), must(s.Trunk(ctx, "t"))(t)
			if a.WebhookSecret != want || tr.Password.Reveal() != "canary-password" {
				t.Errorf("%q, %q", a.WebhookSecret, tr.Password.Reveal())
			}
		}
		// Without a key: kept as they are, with one warning.
		s := must(with(""))(t)
		a := must(s.CreateAgent(ctx, "", agent.Agent{Name: "a", WebhookSecret: "canary-one"}))(t)
		must(s.CreateTrunk(ctx, "", trunk.Config{Name: "t", Allow: []string{"203.0.113.1"}, Username: "u", Password: "canary-password"}))(t)
		read(s, "canary-one")
		if n := logs.FilterMessageSnippet("store.key").Len(); n != 1 {
			t.Errorf("%d warnings", n)
		}
		closed(t, s)
		// With one: what was plain is sealed at the start, what is new at once.
		s = must(with(keyA))(t)
		read(s, "canary-one")
		a.WebhookSecret = "canary-two"
		must(s.UpdateAgent(ctx, "", a))(t)
		read(s, "canary-two")
		kept := secrets(s)
		for _, k := range kept {
			if !strings.HasPrefix(k, sealedSecret) || strings.Contains(k, "canary") {
				t.Errorf("kept as %s", k)
			}
		}
		// Sealed for one object, it is nobody else's.
		b := must(s.CreateAgent(ctx, "", agent.Agent{Name: "b"}))(t)
		_, err := s.write.NewRaw("UPDATE agents SET secret = ? WHERE id = ?", kept[0], b.ID).Exec(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Agent(ctx, b.ID); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("another's secret: %v", err)
		}
		if err := s.DeleteAgent(ctx, "", b.ID); err == nil {
			t.Error("deleted, and its version was not written") // it cannot be read
		}
		if _, err := s.write.NewRaw("DELETE FROM agents WHERE id = ?", b.ID).Exec(ctx); err != nil {
			t.Fatal(err)
		}
		closed(t, s)
		for key, want := range map[secret.Text]string{"": "set store.key", keyB: "another key", "short": "64 hex digits"} {
			if _, err := with(key); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "canary") {
				t.Errorf("with %q: %v", key.Reveal(), err)
			}
		}
		s = must(with(keyA))(t)
		read(s, "canary-two")
		if v := must(s.Versions(ctx, KindAgent, string(a.ID), 0))(t); strings.Contains(string(v[0].Body), "canary") {
			t.Errorf("%s", v[0].Body)
		}
		// SEC-10: nothing of it is in a log.
		for _, e := range logs.All() {
			if strings.Contains(e.Message, "canary") {
				t.Error(e.Message)
			}
		}
		closed(t, s)
	})
}

func TestVault(t *testing.T) {
	t.Parallel()
	v, err := newVault(keyA, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	one, err := v.seal(KindAgent, "x", "canary")
	two, err2 := v.seal(KindAgent, "x", "canary")
	if errors.Join(err, err2) != nil || one == two {
		t.Errorf("the same twice: %s", one)
	}
	for _, kept := range []string{"canary", "aes:", "aes:!", "aes:AAAA", one[:len(one)-4], strings.Replace(one, one[10:11], "_", 1)} {
		if got, err := v.open(KindAgent, "x", kept); err == nil {
			t.Errorf("%s opens as %q", kept, got)
		}
	}
	if _, err := v.open(KindTrunk, "x", one); err == nil {
		t.Error("of another kind")
	}
}
