package api

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/patchcord/patchcord/engine"
	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/store"
)

func TestWebhookDeliveries(t *testing.T) {
	t.Parallel()
	const hookKey = "hook-key-0123456789abcdef"
	f := newFixture(t, func(c *Config) {
		c.Keys = append(c.Keys, Key{Name: "hooks", Hash: HashKey(hookKey), Scopes: []string{"webhooks:read"}, Agents: []agent.ID{"sales"}})
	})
	get := func(path string, status int, into any) {
		t.Helper()
		a := f.do(http.MethodGet, path, "")
		if a.StatusCode != status {
			t.Fatalf("GET %s: %d %s", path, a.StatusCode, a.text)
		}
		if into != nil {
			a.into(t, into)
		}
	}
	post := func(path string, status int) {
		t.Helper()
		if a := f.do(http.MethodPost, path, ""); a.StatusCode != status {
			t.Fatalf("POST %s: %d %s", path, a.StatusCode, a.text)
		}
	}
	for _, d := range []store.Delivery{
		{Call: "c1", Agent: "support", Event: "status-update", URL: "https://one.test"},
		{Call: "c2", Agent: "sales", Event: "call_ended", URL: "https://two.test", Single: true},
	} {
		f.store.Started(engine.Record{ID: d.Call, Agent: d.Agent, Started: day})
		f.store.Deliver(d)
	}
	var all, dead Page[Delivery]
	get("/v1/webhook-deliveries", http.StatusOK, &all)
	if len(all.Data) != 2 || all.Data[0].State != "pending" || all.Data[0].AgentID != "support" {
		t.Fatalf("%+v", all)
	}
	get("/v1/webhook-deliveries?limit=1", http.StatusOK, &dead)
	if len(dead.Data) != 1 || dead.NextCursor == "" {
		t.Errorf("%+v", dead)
	}
	get("/v1/webhook-deliveries?cursor=x", http.StatusUnprocessableEntity, nil)
	get("/v1/webhook-deliveries?state=lost", http.StatusUnprocessableEntity, nil)
	post("/v1/webhook-deliveries/"+all.Data[0].ID+"/replay", http.StatusConflict)

	// One attempt at each: the first arrives, the second is given up.
	ctx, cancel := context.WithCancel(t.Context())
	tried := make(chan struct{}, 2)
	worked := make(chan error, 1)
	go func() {
		worked <- f.store.Work(ctx, time.Second, func(_ context.Context, d store.Delivery) store.Attempt {
			defer func() { tried <- struct{}{} }()
			if d.Single {
				return store.Attempt{Status: 500, Err: errors.New("500 Internal Server Error"), Body: []byte(`{"n":2}`)}
			}
			return store.Attempt{Status: 204, Body: []byte(`{"n":1}`)}
		})
	}()
	<-tried
	<-tried
	cancel()
	if err := <-worked; err != nil {
		t.Fatal(err)
	}
	get("/v1/webhook-deliveries?state=dead", http.StatusOK, &dead)
	if len(dead.Data) != 1 || dead.Data[0].Status != 500 || dead.Data[0].Error != "500 Internal Server Error" || dead.Data[0].Body != nil {
		t.Fatalf("%+v", dead)
	}
	one := "/v1/webhook-deliveries/" + dead.Data[0].ID
	var d Delivery
	get(one, http.StatusOK, &d)
	if string(d.Body) != `{"n":2}` || d.AttemptedAt == nil {
		t.Errorf("%+v", d)
	}
	post(one+"/replay", http.StatusAccepted)
	get(one, http.StatusOK, &d)
	if d.State != "pending" {
		t.Errorf("replayed it is %s", d.State)
	}

	// A key of one agent's sees that agent's; reading is not replaying (T-24).
	f.key = hookKey
	get("/v1/webhook-deliveries", http.StatusOK, &all)
	if len(all.Data) != 1 || all.Data[0].AgentID != "sales" {
		t.Errorf("%+v", all)
	}
	get("/v1/webhook-deliveries/none", http.StatusNotFound, nil)
	post(one+"/replay", http.StatusForbidden)
	f.key = readKey
	get("/v1/webhook-deliveries", http.StatusForbidden, nil)
}
