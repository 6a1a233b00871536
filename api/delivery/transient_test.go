package delivery

import (
	"context"
	"errors"
	"strconv"
	"testing"

	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/store"
)

// TestAgentsOfOneCallAreRemembered as long as there are not too many.
func TestAgentsOfOneCallAreRemembered(t *testing.T) {
	t.Parallel()
	d := New(Config{Agent: func(context.Context, agent.ID) (*agent.Agent, error) { return nil, errors.New("nobody") }})
	d.Remember(&agent.Agent{ID: "silent"})
	for i := range mostTransients + 1 {
		d.Remember(&agent.Agent{ID: agent.ID(strconv.Itoa(i)), WebhookURL: "https://example.com"})
	}
	for id, want := range map[agent.ID]bool{"silent": false, "0": false, "1": true, "10000": true, "other": false} {
		if a, err := d.agent(t.Context(), id); (err == nil) != want || want && a.ID != id {
			t.Errorf("%s: %v %v", id, a, err)
		}
	}
	if len(d.transients.by) != mostTransients || len(d.transients.order) != mostTransients {
		t.Errorf("%d are kept", len(d.transients.by))
	}
}

// An agent of one call alone is known to every node: the one that placed the call
// tells the others.
func TestTransientsOfAnotherNode(t *testing.T) {
	t.Parallel()
	none := func(context.Context, agent.ID) (*agent.Agent, error) { return nil, store.ErrNotFound }
	owner := New(Config{Agent: none})
	owner.Remember(&agent.Agent{ID: "x", Name: "x", WebhookURL: "https://example.com", WebhookSecret: "s", WebhookEvents: []string{"call.ended"}})
	other := New(Config{Agent: none, Elsewhere: func(_ context.Context, id agent.ID) ([]byte, error) {
		if b := owner.Tell(id); b != nil {
			return b, nil
		}
		return nil, errors.New("nobody")
	}})
	a, err := other.agent(t.Context(), "x")
	if err != nil || a.WebhookURL != "https://example.com" || a.WebhookSecret != "s" || len(a.WebhookEvents) != 1 {
		t.Errorf("%+v, %v", a, err)
	}
	if _, err := other.agent(t.Context(), "y"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("one that nobody knows: %v", err)
	}
}

// FuzzTold reads what another node may tell.
func FuzzTold(f *testing.F) {
	for _, s := range []string{`{}`, `null`, `{"agent":{"id":"x","webhook_url":"https://e"},"webhook_secret":"s"}`, `{"agent":{"id":"y"}}`, `{"agent":7}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if a, err := readTold(b, "x"); err == nil && (a.ID != "x" || a.WebhookURL == "") {
			t.Errorf("%+v", a)
		}
	})
}
