package api

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/patchcord/patchcord/store"
)

// SEC-13, T-21: a key is made of 32 random bytes, shown once and kept as its
// hash; it opens what its scopes say until it ends.
func TestKeysAreMade(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	a := f.do("POST", "/v1/api-keys", `{"name":"crm","scopes":["calls:read","kb:read","organization:read"],"allowed_agent_ids":["sales"],
		"limits":{"per_minute":5000}}`)
	var k APIKey
	a.into(t, &k)
	if a.StatusCode != 201 || !strings.HasPrefix(k.Key, "pc_live_") || len(k.Key) != 8+64 || k.Prefix != k.Key[:12] || !k.Active || k.CreatedBy != "ops" ||
		len(k.Warnings) != 1 || k.Warnings[0].Param != "body.scopes[2]" {
		t.Fatalf("%d %s", a.StatusCode, a.text)
	}
	var other APIKey
	f.do("POST", "/v1/api-keys", `{"name":"other","scopes":["*"]}`).into(t, &other)
	if other.Key == k.Key {
		t.Error("two keys are the same")
	}
	path := "/v1/api-keys/" + k.ID
	for _, p := range []string{path, "/v1/api-keys"} {
		if a = f.do("GET", p, ""); a.StatusCode != 200 || strings.Contains(a.text, k.Key) || !strings.Contains(a.text, k.Prefix) {
			t.Errorf("%d %s", a.StatusCode, a.text)
		}
	}
	kept, err := f.store.Keys(t.Context())
	if err != nil || len(kept) != 2 || kept[0].Hash != HashKey(k.Key) {
		t.Errorf("%+v, %v", kept, err)
	}
	ask := func() answer { return f.do("GET", "/v1/calls", "", "X-API-Key", k.Key) }
	if a = ask(); a.StatusCode != 200 || a.Header.Get("X-RateLimit-Limit") != "1000" { // the hour's runs out first
		t.Errorf("%d %v %s", a.StatusCode, a.Header, a.text)
	}
	if a = f.do("GET", "/v1/agents", "", "X-API-Key", k.Key); a.StatusCode != 403 {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
	if a = f.do("PATCH", path, `{"is_active":false}`); a.StatusCode != 200 {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
	if a = ask(); a.StatusCode != 401 || a.problem(t) != "api_key_revoked" {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
	f.do("PATCH", path, `{"is_active":true,"expires_at":"2020-01-01T00:00:00Z"}`)
	if a = ask(); a.StatusCode != 401 || a.problem(t) != "api_key_expired" {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
	f.do("PATCH", path, `{"expires_at":"2999-01-01T00:00:00Z"}`)
	if a = ask(); a.StatusCode != 200 {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
	if a = f.do("DELETE", path, ""); a.StatusCode != 204 {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
	if a = ask(); a.StatusCode != 401 || a.problem(t) != "unauthorized" {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
	for body, at := range map[string]string{
		`{}`: "body.name body.scopes", `{"name":"x","scopes":["call:read"]}`: "body.scopes[0]", `{"name":"x","scopes":["*"],"allowed_agent_ids":["nobody"]}`: "body.allowed_agent_ids[0]",
		`{"name":"x","scopes":["*"],"limits":{"per_minute":-2}}`: "body.limits.per_minute", `{"name":"x","scopes":["*"],"admin":true}`: "body.admin",
	} {
		a := f.do("POST", "/v1/api-keys", body)
		for _, at := range strings.Fields(at) {
			if a.StatusCode != 422 || a.faults(t)[at] == "" {
				t.Errorf("%s: %d %s", body, a.StatusCode, a.text)
			}
		}
	}
	if a = f.do("POST", "/v1/api-keys", `{"name":"x","scopes":["*"]}`, "X-API-Key", readKey); a.StatusCode != 403 {
		t.Errorf("a key for calls makes keys: %d", a.StatusCode)
	}
}

// SEC-13: the first key that is made ends the time without one, and opens
// everything; the last such key stays. Nothing falls back to no key at all.
func TestKeysWithoutConfiguredOnes(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(c *Config) { c.Keys = nil })
	f.key = ""
	for _, body := range []string{
		`{"name":"crm","scopes":["calls:read"]}`, `{"name":"crm","scopes":["*"],"allowed_agent_ids":["sales"]}`,
		`{"name":"crm","scopes":["*"],"expires_at":"2999-01-01T00:00:00Z"}`, `{"name":"crm","scopes":["*"],"is_active":false}`,
	} {
		if a := f.do("POST", "/v1/api-keys", body); a.StatusCode != 409 || a.problem(t) != "last_key" {
			t.Errorf("%s: nobody could make keys any more: %d %s", body, a.StatusCode, a.text)
		}
	}
	if a := f.do("GET", "/v1/calls", ""); a.StatusCode != 200 {
		t.Fatalf("what was refused ended the time without a key: %d", a.StatusCode)
	}
	var admin, crm APIKey
	f.do("POST", "/v1/api-keys", `{"name":"admin","scopes":["*"]}`).into(t, &admin)
	f.key = admin.Key
	f.do("POST", "/v1/api-keys", `{"name":"crm","scopes":["calls:read"]}`).into(t, &crm)
	for _, tc := range []struct {
		name, key, host string
		status          int
	}{
		{"this machine without a key", "", "", 401},
		{"this machine with no key of ours", "nope", "", 401},
		{"another name without one", "", "voice.example", 401},
		{"a key", crm.Key, "", 200},
		{"another name with a key", crm.Key, "voice.example", 200},
	} {
		header := []string{"X-API-Key", tc.key}
		if tc.host != "" {
			header = append(header, "Host", tc.host)
		}
		if a := f.do("GET", "/v1/calls", "", header...); a.StatusCode != tc.status {
			t.Errorf("%s: %d %s", tc.name, a.StatusCode, a.text)
		}
	}
	path := "/v1/api-keys/" + admin.ID
	for _, change := range []string{`{"is_active":false}`, `{"scopes":["calls:read"]}`, `{"allowed_agent_ids":["sales"]}`, `{"expires_at":"2999-01-01T00:00:00Z"}`} {
		if a := f.do("PATCH", path, change); a.StatusCode != 409 || a.problem(t) != "last_key" {
			t.Errorf("%s: %d %s", change, a.StatusCode, a.text)
		}
	}
	if a := f.do("DELETE", path, ""); a.StatusCode != 409 || a.problem(t) != "last_key" {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
	if a := f.do("PATCH", path, `{"name":"root"}`); a.StatusCode != 200 {
		t.Errorf("its name may change: %d %s", a.StatusCode, a.text)
	}
	s, err := New(f.srv.cfg) // a new start
	if err != nil || s.find(crm.Key) == nil || s.open() {
		t.Errorf("the keys are not known after a start: %v", err)
	}
	// Another process takes the last ones away.
	for _, k := range []APIKey{admin, crm} {
		if err := f.store.DeleteKey(t.Context(), k.ID, false); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.srv.loadKeys(t.Context()); err != nil {
		t.Fatal(err)
	}
	if a := f.do("GET", "/v1/calls", "", "X-API-Key", ""); a.StatusCode != 401 {
		t.Errorf("without any key it is open again: %d", a.StatusCode)
	}
	if _, err := f.store.AddKey(t.Context(), store.Key{Name: "late", Hash: HashKey("late"), Scopes: []string{"*"}, Expires: time.Now()}, false); err != nil {
		t.Fatal(err)
	}
}

// SEC-13: a key can be ended though one of its agents is gone.
func TestAKeyOfADeletedAgentIsDeactivated(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	var k APIKey
	f.do("POST", "/v1/api-keys", `{"name":"crm","scopes":["calls:read"],"allowed_agent_ids":["support"]}`).into(t, &k)
	if a := f.do("DELETE", "/v1/agents/support", ""); a.StatusCode != 204 {
		t.Fatalf("%d %s", a.StatusCode, a.text)
	}
	if a := f.do("PATCH", "/v1/api-keys/"+k.ID, `{"is_active":false}`); a.StatusCode != 200 {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
	if a := f.do("GET", "/v1/calls", "", "X-API-Key", k.Key); a.StatusCode != 401 {
		t.Errorf("it opens %d %s", a.StatusCode, a.text)
	}
	if a := f.do("PATCH", "/v1/api-keys/"+k.ID, `{"allowed_agent_ids":["support"]}`); a.StatusCode != 422 {
		t.Errorf("an agent that is gone, sent anew: %d %s", a.StatusCode, a.text)
	}
}

// hangUp is a client that goes as soon as its key is deleted.
type hangUp struct {
	KeyStore

	gone context.CancelFunc
}

func (h hangUp) DeleteKey(ctx context.Context, id string, ruled bool) error {
	err := h.KeyStore.DeleteKey(ctx, id, ruled)
	h.gone()
	return err
}

// SEC-13: a deleted key opens nothing, though nobody waited for the answer.
func TestADeletedKeyIsGoneWhoeverWaits(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	f := newFixture(t, func(c *Config) { c.KeyStore = hangUp{c.KeyStore, cancel} })
	var k APIKey
	f.do("POST", "/v1/api-keys", `{"name":"crm","scopes":["calls:read"]}`).into(t, &k)
	r := httptest.NewRequestWithContext(ctx, "DELETE", "/v1/api-keys/"+k.ID, nil)
	r.Header.Set("X-API-Key", opsKey)
	f.srv.Handler().ServeHTTP(httptest.NewRecorder(), r)
	if a := f.do("GET", "/v1/calls", "", "X-API-Key", k.Key); a.StatusCode != 401 {
		t.Errorf("it opens %d %s", a.StatusCode, a.text)
	}
}

// SEC-13: two processes of a store never delete the last two keys that open
// everything at once: one of them is refused.
func TestTwoProcessesDeleteTheLastKeys(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(c *Config) { c.Keys = nil })
	other, err := New(f.srv.cfg)
	if err != nil {
		t.Fatal(err)
	}
	f.key = ""
	var a, b APIKey
	f.do("POST", "/v1/api-keys", `{"name":"0","scopes":["*"]}`).into(t, &a)
	for i := range 20 {
		f.key = a.Key
		f.do("POST", "/v1/api-keys", fmt.Sprintf(`{"name":"%d","scopes":["*"]}`, i+1)).into(t, &b)
		if err := other.loadKeys(t.Context()); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		var status [2]int
		for j, id := range []string{a.ID, b.ID} {
			r := httptest.NewRequestWithContext(t.Context(), "DELETE", "/v1/api-keys/"+id, nil)
			r.Header.Set("X-API-Key", []string{b.Key, a.Key}[j])
			wg.Go(func() {
				w := httptest.NewRecorder()
				[]*Server{f.srv, other}[j].Handler().ServeHTTP(w, r)
				status[j] = w.Code
			})
		}
		wg.Wait()
		switch status {
		case [2]int{204, 409}:
			a = b
		case [2]int{409, 204}:
		default:
			t.Fatalf("round %d: %v", i, status)
		}
		if err := f.srv.loadKeys(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// shared are the keys of a store that another process changes too.
type shared struct {
	KeyStore

	mu   sync.Mutex // guards keys
	keys []store.Key
}

func (s *shared) Keys(context.Context) ([]store.Key, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.keys, nil
}

// SEC-13: a key that another process of the store has ended opens nothing here.
func TestKeysThatAnotherProcessEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		keys := &shared{keys: []store.Key{{ID: "1", Name: "crm", Hash: HashKey("k"), Scopes: []string{"*"}}}}
		s := &Server{cfg: Config{KeyStore: keys, KeysRefresh: 5 * time.Second}, log: zap.NewNop()}
		if err := s.loadKeys(ctx); err != nil || s.find("k") == nil {
			t.Fatal("no key", err)
		}
		go s.followKeys(ctx)
		keys.mu.Lock()
		keys.keys = nil
		keys.mu.Unlock()
		time.Sleep(6 * time.Second)
		if s.find("k") != nil {
			t.Error("it opens")
		}
		cancel()
		synctest.Wait()
	})
}

// unread are keys that cannot be read again once one was made.
type unread struct {
	KeyStore

	made, stuck bool
}

func (u *unread) AddKey(ctx context.Context, k store.Key, ruled bool) (store.Key, error) {
	u.made = true
	return u.KeyStore.AddKey(ctx, k, ruled)
}

func (u *unread) Keys(ctx context.Context) ([]store.Key, error) {
	if u.made {
		return nil, errors.New("the disk is gone")
	}
	return u.KeyStore.Keys(ctx)
}

func (u *unread) DeleteKey(ctx context.Context, id string, ruled bool) error {
	if u.stuck {
		return errors.New("the disk is gone")
	}
	return u.KeyStore.DeleteKey(ctx, id, ruled)
}

// SEC-13: a key whose characters nobody was shown is none; where it stays, the
// log says which to delete.
func TestAKeyThatIsNotShownIsNotKept(t *testing.T) {
	t.Parallel()
	for _, stuck := range []bool{false, true} {
		core, logs := observer.New(zap.ErrorLevel)
		f := newFixture(t, func(c *Config) { c.KeyStore, c.Log = &unread{KeyStore: c.KeyStore, stuck: stuck}, zap.New(core) })
		if a := f.do("POST", "/v1/api-keys", `{"name":"crm","scopes":["calls:read"]}`); a.StatusCode != 500 {
			t.Errorf("%d %s", a.StatusCode, a.text)
		}
		kept, err := f.store.Keys(t.Context())
		if err != nil || (len(kept) == 1) != stuck {
			t.Errorf("%+v, %v", kept, err)
		}
		for _, k := range kept {
			if told := fmt.Sprint(logs.All()); !strings.Contains(told, "key "+k.ID) {
				t.Errorf("log: %s", told)
			}
		}
	}
}
