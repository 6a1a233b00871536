package api

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"go.uber.org/zap"

	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/store"
)

// KeyStore keeps the keys that are made over the API: *store.Store.
type KeyStore interface {
	Keys(ctx context.Context) ([]store.Key, error)
	AddKey(ctx context.Context, k store.Key, ruled bool) (store.Key, error)
	ChangeKey(ctx context.Context, id string, ruled bool, change func(*store.Key)) (store.Key, error)
	DeleteKey(ctx context.Context, id string, ruled bool) error
}

var _ KeyStore = (*store.Store)(nil)

// A key is these characters and 32 random bytes in hex.
const (
	keyBegins = "pc_live_"
	keyBytes  = 32
	shownOf   = len(keyBegins) + 4 // characters of it that are shown later
)

// APIKey is a key as the API shows it.
type APIKey struct {
	ID        string     `json:"id" format:"uuid"`
	Name      string     `json:"name"`
	Prefix    string     `json:"prefix" doc:"How the key begins, to know it by" example:"pc_live_9f3a"`
	Key       string     `json:"key,omitempty" doc:"The key itself, in the answer to its making and never again"`
	Scopes    []string   `json:"scopes"`
	Agents    []agent.ID `json:"allowed_agent_ids" doc:"The only agents that exist for it; empty: all"`
	Limits    KeyLimits  `json:"limits"`
	Active    bool       `json:"is_active"`
	ExpiresAt *time.Time `json:"expires_at" doc:"null: never"`
	CreatedAt time.Time  `json:"created_at"`
	CreatedBy string     `json:"created_by,omitempty"`
	Warnings  []Fault    `json:"warnings,omitempty" doc:"Scopes that open nothing here"`
}

// KeyLimits are the limits of one key; 0 is the default, -1 no limit.
type KeyLimits struct {
	PerMinute int `json:"per_minute,omitempty" minimum:"-1" maximum:"1000000"`
	PerHour   int `json:"per_hour,omitempty" minimum:"-1" maximum:"100000000"`
	Control   int `json:"control_per_minute,omitempty" minimum:"-1" maximum:"1000000"`
}

// APIKeyInput is a key as it is sent; what a change leaves out stays.
type APIKeyInput struct {
	Name      *string     `json:"name,omitempty" minLength:"1" maxLength:"100"`
	Scopes    *[]string   `json:"scopes,omitempty" minItems:"1" maxItems:"40" doc:"*, agents:read, kb:write, …"`
	Agents    *[]agent.ID `json:"allowed_agent_ids,omitempty" maxItems:"1000"`
	Limits    *KeyLimits  `json:"limits,omitempty"`
	Active    *bool       `json:"is_active,omitempty" doc:"false: it opens nothing"`
	ExpiresAt *time.Time  `json:"expires_at,omitempty"`
}

// KeyPath names a key in a path.
type KeyPath struct {
	ID string `path:"id" maxLength:"64" doc:"Id of the key"`
}

type keyChange struct {
	KeyPath
	Body APIKeyInput
}

func keyView(k store.Key) APIKey {
	v := APIKey{
		ID: k.ID, Name: k.Name, Prefix: k.Prefix, Scopes: k.Scopes, Agents: k.Agents, Active: k.Revoked.IsZero(),
		Limits:    KeyLimits{PerMinute: k.PerMinute, PerHour: k.PerHour, Control: k.Control},
		CreatedAt: k.Created, CreatedBy: k.By,
	}
	if v.Agents == nil {
		v.Agents = []agent.ID{}
	}
	if !k.Expires.IsZero() {
		v.ExpiresAt = &k.Expires
	}
	for i, sc := range k.Scopes {
		if own(sc) == "" {
			v.Warnings = append(v.Warnings, Fault{Param: at("body.scopes", i), Message: "it opens nothing here"})
		}
	}
	return v
}

// keys are the paths of keys. Who may make keys could give itself anything,
// so only a key for everything may.
func (s *Server) keys() {
	const path = "/v1/api-keys"
	huma.Register(s.api, huma.Operation{
		OperationID: "list-api-keys", Method: http.MethodGet, Path: path, Summary: "All keys that were made here",
		Tags: []string{"api-keys"}, Security: scope("*"),
	}, func(ctx context.Context, _ *struct{}) (*body[Page[APIKey]], error) {
		all, err := s.keptKeys(ctx)
		if err != nil {
			return nil, err
		}
		page := Page[APIKey]{Data: make([]APIKey, 0, len(all))}
		for _, k := range all {
			page.Data = append(page.Data, keyView(k))
		}
		return &body[Page[APIKey]]{page}, nil
	})
	huma.Register(s.api, huma.Operation{
		OperationID: "create-api-key", Method: http.MethodPost, Path: path, Summary: "Make a key; it is shown once",
		Tags: []string{"api-keys"}, Security: scope("*"), DefaultStatus: http.StatusCreated, MaxBodyBytes: maxBody,
		Metadata: onceWithout("key"),
	}, s.createKey)
	huma.Register(s.api, huma.Operation{
		OperationID: "get-api-key", Method: http.MethodGet, Path: path + "/{id}", Summary: "A key, but for the key itself",
		Tags: []string{"api-keys"}, Security: scope("*"),
	}, func(ctx context.Context, in *KeyPath) (*body[APIKey], error) {
		k, err := s.keptKey(ctx, in.ID)
		if err != nil {
			return nil, err
		}
		return &body[APIKey]{keyView(k)}, nil
	})
	huma.Register(s.api, huma.Operation{
		OperationID: "change-api-key", Method: http.MethodPatch, Path: path + "/{id}",
		Summary: "Change what a key opens, or deactivate it", Tags: []string{"api-keys"}, Security: scope("*"),
		MaxBodyBytes: maxBody,
	}, s.changeKey)
	huma.Register(s.api, huma.Operation{
		OperationID: "delete-api-key", Method: http.MethodDelete, Path: path + "/{id}", Summary: "Delete a key",
		Tags: []string{"api-keys"}, Security: scope("*"),
	}, func(ctx context.Context, in *KeyPath) (*struct{}, error) {
		s.writes.Lock()
		defer s.writes.Unlock()
		if _, err := s.keptKey(ctx, in.ID); err != nil {
			return nil, err
		}
		if err := kept(s.cfg.KeyStore.DeleteKey(ctx, in.ID, s.ruled()), "key"); err != nil {
			return nil, err
		}
		return nil, s.changedKeys(ctx)
	})
}

// keptKeys are the keys in the store.
func (s *Server) keptKeys(ctx context.Context) ([]store.Key, error) {
	if err := whole(ctx); err != nil {
		return nil, err
	}
	if s.cfg.KeyStore == nil {
		return nil, fail(http.StatusServiceUnavailable, "", "", "This process keeps no keys.")
	}
	all, err := s.cfg.KeyStore.Keys(ctx)
	if err != nil {
		return nil, internal(err)
	}
	return all, nil
}

func (s *Server) keptKey(ctx context.Context, id string) (store.Key, error) {
	all, err := s.keptKeys(ctx)
	if err != nil {
		return store.Key{}, err
	}
	for _, k := range all {
		if k.ID == id {
			return k, nil
		}
	}
	return store.Key{}, notFound("key")
}

func (s *Server) createKey(ctx context.Context, in *struct{ Body APIKeyInput }) (*object[APIKey], error) {
	s.writes.Lock()
	defer s.writes.Unlock()
	if _, err := s.keptKeys(ctx); err != nil {
		return nil, err
	}
	k := store.Key{By: caller(ctx).Name}
	if err := s.checkKey(ctx, &in.Body); err != nil {
		return nil, err
	}
	in.Body.put(&k)
	if err := complete(k); err != nil {
		return nil, err
	}
	raw := make([]byte, keyBytes)
	if _, err := rand.Read(raw); err != nil {
		return nil, internal(err)
	}
	secret := keyBegins + hex.EncodeToString(raw)
	k.Prefix, k.Hash = secret[:shownOf], HashKey(secret)
	k, err := s.cfg.KeyStore.AddKey(ctx, k, s.ruled())
	if err != nil {
		return nil, kept(err, "key")
	}
	if err := s.changedKeys(ctx); err != nil {
		return nil, s.withdraw(ctx, k.ID, err)
	}
	v := keyView(k)
	v.Key = secret
	return &object[APIKey]{Location: "/v1/api-keys/" + k.ID, Body: v}, nil
}

// withdraw deletes a key that was just made: its characters are shown with the
// answer alone, and there is none.
func (s *Server) withdraw(ctx context.Context, id string, cause error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keysTimeout)
	defer cancel()
	if err := s.cfg.KeyStore.DeleteKey(ctx, id, false); err != nil {
		return internal(errors.Join(cause, fmt.Errorf("api: key %s, which nobody has, stays: delete it: %w", id, err)))
	}
	return internal(cause)
}

func (s *Server) changeKey(ctx context.Context, in *keyChange) (*body[APIKey], error) {
	s.writes.Lock()
	defer s.writes.Unlock()
	if _, err := s.keptKey(ctx, in.ID); err != nil {
		return nil, err
	}
	if err := s.checkKey(ctx, &in.Body); err != nil {
		return nil, err
	}
	k, err := s.cfg.KeyStore.ChangeKey(ctx, in.ID, s.ruled(), in.Body.put)
	if err := kept(err, "key"); err != nil {
		return nil, err
	}
	if err := s.changedKeys(ctx); err != nil {
		return nil, err
	}
	return &body[APIKey]{keyView(k)}, nil
}

// ruled tells whether a key of the store must stay that opens everything:
// without one nobody could change keys any more, and with none at all the API
// would be open to this machine.
func (s *Server) ruled() bool { return len(s.cfg.Keys) == 0 }

// open tells whether who asks from this machine needs no key: there is none,
// and was none since the start.
func (s *Server) open() bool { return !s.keyed.Load() }

// tellKeys logs at the start who may use the API, where that may surprise.
func (s *Server) tellKeys() {
	full := func(k Key) bool { return k.may("*") && len(k.Agents) == 0 && k.refused(time.Now()) == nil }
	switch {
	case s.open():
		s.log.Warn("the API has no key: it serves everybody on this machine, and nobody else")
	case !slices.ContainsFunc(*s.known.Load(), full):
		s.log.Warn("no key of the API opens everything: add one under api.keys to change keys")
	}
}

// put puts what was sent in the place of what was there. What was there is not
// looked at again: a key whose agent is gone can still be ended.
func (in *APIKeyInput) put(k *store.Key) {
	put(&k.Name, in.Name)
	put(&k.Scopes, in.Scopes)
	put(&k.Agents, in.Agents)
	if in.Limits != nil {
		k.PerMinute, k.PerHour, k.Control = in.Limits.PerMinute, in.Limits.PerHour, in.Limits.Control
	}
	if in.ExpiresAt != nil {
		k.Expires = in.ExpiresAt.UTC().Truncate(time.Millisecond)
	}
	if in.Active != nil && *in.Active {
		k.Revoked = time.Time{}
	} else if in.Active != nil && k.Revoked.IsZero() {
		k.Revoked = time.Now().UTC().Truncate(time.Millisecond)
	}
}

// complete tells what a new key has not.
func complete(k store.Key) error {
	p := &Problem{Status: http.StatusUnprocessableEntity}
	if k.Name == "" {
		p.Faults = append(p.Faults, Fault{Param: "body.name", Message: "missing; it names who uses the key"})
	}
	if len(k.Scopes) == 0 {
		p.Faults = append(p.Faults, Fault{Param: "body.scopes", Message: "missing; write what the key is for"})
	}
	if p.Faults != nil {
		return p
	}
	return nil
}

// checkKey tells what is wrong with what was sent, and makes names of agents
// their ids.
func (s *Server) checkKey(ctx context.Context, in *APIKeyInput) error {
	p := &Problem{Status: http.StatusUnprocessableEntity}
	for i, sc := range sentOf(in.Scopes) {
		if !slices.Contains(s.cfg.Scopes, sc) {
			p.Faults = append(p.Faults, Fault{Param: at("body.scopes", i), Message: "no scope; see the documentation of keys"})
		}
	}
	ids := sentOf(in.Agents)
	for i, id := range ids {
		known, err := s.knows(ctx, id)
		switch {
		case err != nil:
			return err
		case !known:
			p.Faults = append(p.Faults, Fault{Param: at("body.allowed_agent_ids", i), Message: "there is no such agent"})
			continue
		}
		a, err := s.agent(ctx, string(id)) // a name becomes the id
		if err != nil {
			return err
		}
		ids[i] = a.ID
	}
	if p.Faults != nil {
		return p
	}
	return nil
}

func put[T any](to *T, sent *T) {
	if sent != nil {
		*to = *sent
	}
}

// sentOf is a list that was sent, none where it was left out.
func sentOf[T any](list *[]T) []T {
	if list == nil {
		return nil
	}
	return *list
}

// keysTimeout bounds the reading of the keys after a change.
const keysTimeout = 5 * time.Second

// loadKeys brings the keys that are looked at with every request up to date,
// though nobody waits for the answer any more: a key that was ended opens
// nothing. Two at a time could put the older keys in the place of the newer;
// who changes keys has writes.
func (s *Server) loadKeys(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keysTimeout)
	defer cancel()
	all := slices.Clone(s.cfg.Keys)
	if s.cfg.KeyStore != nil {
		made, err := s.cfg.KeyStore.Keys(ctx)
		if err != nil {
			return errors.Join(errors.New("api: read the keys"), err)
		}
		for _, k := range made {
			all = append(all, Key{
				ID: k.ID, Name: k.Name, Hash: k.Hash, Scopes: k.Scopes, Agents: k.Agents, Expires: k.Expires,
				Revoked: !k.Revoked.IsZero(), Limits: Limits{PerMinute: k.PerMinute, PerHour: k.PerHour, Control: k.Control},
			})
		}
	}
	s.known.Store(&all)
	if len(all) > 0 {
		s.keyed.Store(true)
	}
	return nil
}

// changedOfKeys is the kind of change that other nodes are told of.
const changedOfKeys = "keys"

// changedKeys is loadKeys after a change: the other nodes are told first, whether
// this one can read it or not.
func (s *Server) changedKeys(ctx context.Context) error {
	if s.cfg.Nodes != nil {
		s.cfg.Nodes.Changed(changedOfKeys)
	}
	return s.loadKeys(ctx)
}

// hearOfKeys has followKeys look at once where another node changed some.
func (s *Server) hearOfKeys() {
	if s.cfg.Nodes == nil {
		return
	}
	s.cfg.Nodes.OnChange(func(kind string) {
		if kind != changedOfKeys {
			return
		}
		select {
		case s.lookAtKeys <- struct{}{}:
		default: // it will look
		}
	})
}

// followKeys brings the keys up to what other processes of the store changed,
// until ctx ends: when it is told, and every KeysRefresh where that gets lost.
func (s *Server) followKeys(ctx context.Context) {
	var often <-chan time.Time
	if s.cfg.KeysRefresh > 0 {
		t := time.NewTicker(s.cfg.KeysRefresh)
		defer t.Stop()
		often = t.C
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.lookAtKeys:
		case <-often:
		}
		s.writes.Lock()
		err := s.loadKeys(ctx)
		s.writes.Unlock()
		if err != nil {
			s.log.Warn("keys that others changed cannot be read", zap.Error(err))
		}
	}
}
