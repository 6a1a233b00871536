package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/telephony/trunk"
	"github.com/patchcord/patchcord/tools"
)

func config(t *testing.T, text string) (c tools.Config) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		t.Fatal(err)
	}
	return c
}

func definition(t *testing.T, name string) tools.Definition {
	t.Helper()
	return tools.Definition{
		Name: name, Description: "Looks up an order.", Type: "http_request", Priority: 3,
		Config:     config(t, `{"url":"https://crm.example.com/orders","method":"GET","timeout":30}`),
		Parameters: tools.Schema(`{"properties":{"b":{"type":"string"},"a":{"type":"number"}}}`),
	}
}

// same compares by JSON, which is what is kept.
func same(t *testing.T, what string, got, want any) {
	t.Helper()
	g, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	w, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	if string(g) != string(w) {
		t.Errorf("%s:\ngot  %s\nwant %s", what, g, w)
	}
}

func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func names(list []tools.Definition) (out []string) {
	for _, d := range list {
		out = append(out, d.Name)
	}
	return out
}

func TestAnAgentIsKeptWhole(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		no := false
		a := agent.Agent{
			Name: "support", Prompt: "You help; mind <b> & „ö“.", Greeting: "Hello.", Language: "de", ToolIDs: []string{"docs"},
			Variables:                 map[string]any{"amount": int64(4500), "rate": 0.5, "big": int64(9007199254740993), "vip": true},
			AllowGreetingInterruption: &no, WebhookURL: "https://crm.example.com", WebhookSecret: "canary",
			MaxCallDuration: agent.DefaultMaxCallDuration,
			Tools:           []tools.Definition{definition(t, "b"), definition(t, "a"), {Type: tools.EndCall}},
			Flow:            agent.Flow{Nodes: []agent.Node{{Key: "start", Initial: true, Prompt: "Ask."}}},
		}
		a.Turn.MinWords = 2
		made := must(s.CreateAgent(ctx, "ops", a))(t)
		if id, err := uuid.Parse(string(made.ID)); err != nil || id.Version() != 7 {
			t.Errorf("the id %s is no UUID version 7", made.ID)
		}
		if made.Revision != 1 || made.By != "ops" || made.Created.IsZero() || !made.Created.Equal(made.Updated) {
			t.Errorf("%+v", made.Meta)
		}
		for _, id := range []agent.ID{made.ID, "support"} {
			got := must(s.Agent(ctx, id))(t)
			same(t, "read again", got, made)
			if got.WebhookSecret != "canary" {
				t.Errorf("webhook secret %q", got.WebhookSecret)
			}
			if !reflect.DeepEqual(got.Variables, a.Variables) {
				t.Errorf("variables %#v", got.Variables)
			}
			got.ID = ""
			for i := range got.Tools {
				if _, err := uuid.Parse(got.Tools[i].ID); err != nil {
					t.Errorf("tool %d: %v", i, err)
				}
				got.Tools[i].ID = ""
			}
			same(t, "what was given", got.Agent, a)
		}
		versions := must(s.Versions(ctx, KindAgent, string(made.ID), 0))(t)
		if len(versions) != 1 || versions[0].Op != "create" || versions[0].By != "ops" || strings.Contains(string(versions[0].Body), "canary") {
			t.Errorf("%+v", versions)
		}
		same(t, "version", versions[0].Body, made.Agent)
		if _, err := s.CreateAgent(ctx, "ops", a); !errors.Is(err, ErrExists) {
			t.Errorf("a second of the name: %v", err)
		}
		for _, name := range []string{"", string(made.ID)} {
			if _, err := s.CreateAgent(ctx, "ops", agent.Agent{Name: name}); err == nil {
				t.Errorf("an agent named %q", name)
			}
		}
		if _, err := s.Agent(ctx, "nobody"); !errors.Is(err, ErrNotFound) {
			t.Errorf("%v", err)
		}
	})
}

func TestOwnToolsFollowTheirAgent(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		a := must(s.CreateAgent(ctx, "", agent.Agent{Name: "x", Tools: []tools.Definition{
			definition(t, "a"), definition(t, "b"), {Type: tools.EndCall}, {Type: "transfer_call"},
		}}))(t)
		ids := map[string]string{}
		for _, d := range a.Tools {
			ids[d.Name+string(d.Type)] = d.ID
		}
		// a and b change names, the built-ins places; c is new.
		a.Tools[0].Name, a.Tools[1].Name = "b", "a"
		a.Tools = []tools.Definition{a.Tools[3], a.Tools[1], a.Tools[0], a.Tools[2], definition(t, "c")}
		a.Tools[0].ID, a.Tools[3].ID = "", ""
		a = must(s.UpdateAgent(ctx, "", a))(t)
		if got := names(a.Tools); !reflect.DeepEqual(got, []string{"", "a", "b", "", "c"}) {
			t.Errorf("%q", got)
		}
		if a.Tools[0].ID != ids["transfer_call"] || a.Tools[1].ID != ids["bhttp_request"] || a.Tools[3].ID != ids["end_call"] || a.Tools[4].ID == "" {
			t.Errorf("ids %v, of %v", a.Tools, ids)
		}
		same(t, "read", must(s.Agent(ctx, a.ID))(t), a)
		// A changed tool is a changed agent.
		before := a
		c := must(s.Tool(ctx, a.Tools[4].ID))(t)
		if c.Agent != a.ID || c.Revision != 1 {
			t.Errorf("%+v", c)
		}
		c.Description = "Another."
		c = must(s.UpdateTool(ctx, "eve", c))(t)
		d := must(s.CreateTool(ctx, "eve", Tool{Definition: definition(t, "d"), Agent: a.ID}))(t)
		if err := s.DeleteTool(ctx, "eve", a.Tools[1].ID); err != nil {
			t.Fatal(err)
		}
		a = must(s.Agent(ctx, a.ID))(t)
		if a.Revision != before.Revision+3 || a.By != "eve" || a.Tools[3].Description != "Another." ||
			!reflect.DeepEqual(names(a.Tools), []string{"", "b", "", "c", "d"}) {
			t.Errorf("%+v", a)
		}
		if _, err := s.UpdateAgent(ctx, "", before); !errors.Is(err, ErrStale) {
			t.Errorf("an agent without its new tool: %v", err)
		}
		list, next := must2(s.Tools(ctx, a.ID, Page{Limit: All}))(t)
		if len(list) != 5 || next != "" {
			t.Errorf("%d tools, next %q", len(list), next)
		}
		if _, err := s.CreateTool(ctx, "", Tool{Definition: definition(t, "c"), Agent: a.ID}); !errors.Is(err, ErrExists) {
			t.Errorf("a second c: %v", err)
		}
		d.Name = "c"
		if _, err := s.UpdateTool(ctx, "", d); !errors.Is(err, ErrExists) {
			t.Errorf("another c: %v", err)
		}
		if got := must(s.Agent(ctx, a.ID))(t); got.Revision != a.Revision {
			t.Errorf("a refused change made revision %d of %d", got.Revision, a.Revision)
		}
		if _, err := s.CreateTool(ctx, "", Tool{Definition: definition(t, "c")}); err != nil {
			t.Errorf("of the library: %v", err)
		}
		if _, err := s.CreateTool(ctx, "", Tool{Definition: definition(t, "c"), Agent: "nobody"}); !errors.Is(err, ErrNotFound) {
			t.Errorf("of nobody: %v", err)
		}
		if err := s.DeleteAgent(ctx, "", a.ID); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Tool(ctx, c.ID); !errors.Is(err, ErrNotFound) {
			t.Errorf("a tool without its agent: %v", err)
		}
		back := must(s.RestoreAgent(ctx, "ops", a.ID, a.Revision))(t)
		back.Meta, a.Meta = Meta{}, Meta{}
		same(t, "restored", back, a)
	})
}

func must2[A, B any](a A, b B, err error) func(*testing.T) (A, B) {
	return func(t *testing.T) (A, B) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return a, b
	}
}

func TestTwoWritersDoNotOverwriteEachOther(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		first := must(s.CreateTool(ctx, "", Tool{Definition: definition(t, "x")}))(t)
		done := make(chan error, 10) // one of each writer
		for i := range 10 {
			go func() {
				mine := first
				mine.Description = fmt.Sprint(i)
				_, err := s.UpdateTool(ctx, mine.Description, mine)
				done <- err
			}()
		}
		won := 0
		for range 10 {
			switch err := <-done; {
			case err == nil:
				won++
			case !errors.Is(err, ErrStale):
				t.Error(err)
			}
		}
		got := must(s.Tool(ctx, first.ID))(t)
		if won != 1 || got.Revision != 2 || got.By != got.Description {
			t.Errorf("%d writers won: %+v", won, got)
		}
		got.Revision, got.Description = 0, "forced"
		if got := must(s.UpdateTool(ctx, "", got))(t); got.Revision != 3 {
			t.Errorf("%+v", got)
		}
	})
}

func TestVersionsAreListedAndRestored(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		tool := must(s.CreateTool(ctx, "ada", Tool{Definition: definition(t, "x")}))(t)
		for i := range 120 {
			tool.Description = fmt.Sprint("d", i)
			tool = must(s.UpdateTool(ctx, "bob", tool))(t)
		}
		if err := s.DeleteTool(ctx, "eve", tool.ID); err != nil {
			t.Fatal(err)
		}
		list := must(s.Versions(ctx, KindTool, tool.ID, 0))(t)
		rest := must(s.Versions(ctx, KindTool, tool.ID, list[len(list)-1].Revision))(t)
		if len(list) != 100 || len(rest) != 22 || list[0].Op != "delete" || list[0].By != "eve" || list[0].Revision != 122 ||
			rest[21].Op != "create" || rest[21].By != "ada" {
			t.Errorf("%d and %d versions, %+v … %+v", len(list), len(rest), list[0], rest[len(rest)-1])
		}
		back := must(s.RestoreTool(ctx, "ops", tool.ID, 1))(t)
		if back.ID != tool.ID || back.Revision != 123 || back.Description != "Looks up an order." || back.By != "ops" {
			t.Errorf("%+v", back)
		}
		same(t, "read", must(s.Tool(ctx, "x"))(t), back)
		back = must(s.RestoreTool(ctx, "ops", tool.ID, 3))(t)
		if back.Revision != 124 || back.Description != "d1" {
			t.Errorf("%+v", back)
		}
		if v := must(s.Version(ctx, KindTool, tool.ID, 124))(t); v.Op != "restore" {
			t.Errorf("%+v", v)
		}
		if _, err := s.RestoreTool(ctx, "ops", tool.ID, 999); !errors.Is(err, ErrNotFound) {
			t.Errorf("%v", err)
		}
		a := must(s.CreateAgent(ctx, "ops", agent.Agent{Name: "a", Prompt: "One.", WebhookSecret: "old"}))(t)
		a.Prompt, a.WebhookSecret = "Two.", "new"
		must(s.UpdateAgent(ctx, "ops", a))(t)
		was := must(s.RestoreAgent(ctx, "ops", a.ID, 1))(t)
		if was.Prompt != "One." || was.WebhookSecret != "new" || was.Revision != 3 {
			t.Errorf("%+v", was)
		}
	})
}

func TestObjectsAreListedPageByPage(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		var want []agent.ID
		for i := range 23 {
			a := must(s.CreateAgent(ctx, "", agent.Agent{Name: fmt.Sprint("a", i), Tools: []tools.Definition{definition(t, "t")}}))(t)
			want = append(want, a.ID)
			must(s.CreateTool(ctx, "", Tool{Definition: definition(t, fmt.Sprint("t", i))}))(t)
		}
		var got []agent.ID
		var shared []string
		f, p := AgentFilter{Page: Page{Limit: 10}}, Page{Limit: 10}
		for pages := 0; pages < 3; pages++ {
			agents, next := must2(s.Agents(ctx, f))(t)
			for _, a := range agents {
				got = append(got, a.ID)
				if len(a.Tools) != 1 {
					t.Errorf("%s has %d tools", a.Name, len(a.Tools))
				}
			}
			list, nextTool := must2(s.Tools(ctx, "", p))(t)
			for _, l := range list {
				shared = append(shared, l.Name)
			}
			if (next == "") != (pages == 2) || (nextTool == "") != (pages == 2) {
				t.Errorf("page %d: next %q and %q", pages, next, nextTool)
			}
			f.Cursor, p.Cursor = next, nextTool
		}
		if !reflect.DeepEqual(got, want) || len(shared) != 23 || shared[22] != "t22" {
			t.Errorf("%v, %v", got, shared)
		}
		some, _ := must2(s.Agents(ctx, AgentFilter{IDs: want[3:5]}))(t)
		none, _ := must2(s.Agents(ctx, AgentFilter{IDs: []agent.ID{}}))(t)
		every, _ := must2(s.Agents(ctx, AgentFilter{Page: Page{Limit: All}}))(t)
		if len(some) != 2 || len(none) != 0 || len(every) != 23 {
			t.Errorf("%d, %d and %d agents", len(some), len(none), len(every))
		}
		if _, _, err := s.Agents(ctx, AgentFilter{Page: Page{Cursor: "x"}}); !errors.Is(err, ErrCursor) {
			t.Errorf("%v", err)
		}
	})
}

func TestTrunksAndNumbersAreChecked(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		c := trunk.Config{
			Name: "carrier", Gateways: []string{"sip:203.0.113.10"}, Allow: []string{"203.0.113.0/24"}, Country: "DE",
			Username: "u", Password: "canary", Codecs: []string{"PCMA"},
		}
		tr := must(s.CreateTrunk(ctx, "ops", c))(t)
		got := must(s.Trunk(ctx, "carrier"))(t)
		if !reflect.DeepEqual(got, tr) || got.Password.Reveal() != "canary" || !reflect.DeepEqual(got.Config, c) {
			t.Errorf("%+v", got)
		}
		if _, err := s.CreateTrunk(ctx, "ops", c); !errors.Is(err, ErrExists) {
			t.Errorf("%v", err)
		}
		_, err := s.CreateTrunk(ctx, "ops", trunk.Config{Name: "other", Allow: []string{"203.0.113.0/24", "x"}})
		var f *trunk.Fault
		if !errors.Is(err, ErrInvalid) || !errors.As(err, &f) || f.Path != "allow[0]" || !strings.Contains(err.Error(), "allow[1]") {
			t.Errorf("%v", err)
		}
		a := must(s.CreateAgent(ctx, "ops", agent.Agent{Name: "support"}))(t)
		n := must(s.CreateNumber(ctx, "ops", trunk.Number{Number: "030 123456", Trunk: "carrier", Agent: "support"}))(t)
		if n.Number.Number != "+4930123456" || n.Agent != string(a.ID) {
			t.Errorf("%+v", n)
		}
		if got := must(s.Number(ctx, n.ID))(t); !reflect.DeepEqual(got, n) {
			t.Errorf("%+v", got)
		}
		for _, tc := range []struct {
			n    trunk.Number
			want error
		}{
			{trunk.Number{Number: "+49 30 123456", Trunk: "carrier", Agent: "support"}, ErrExists},
			{trunk.Number{Number: "+4930123456", Trunk: "nobody", Agent: "support"}, ErrMissing},
			{trunk.Number{Number: "+4930123456", Agent: "nobody"}, ErrMissing},
			{trunk.Number{Number: " ", Agent: "support"}, ErrInvalid},
			{trunk.Number{Number: "+4930123456", Agent: "support"}, nil},
		} {
			if _, err := s.CreateNumber(ctx, "", tc.n); !errors.Is(err, tc.want) {
				t.Errorf("%+v: %v", tc.n, err)
			}
		}
		if err := s.DeleteTrunk(ctx, "", tr.ID); !errors.Is(err, ErrInUse) {
			t.Errorf("%v", err)
		}
		if err := s.DeleteAgent(ctx, "", a.ID); !errors.Is(err, ErrInUse) {
			t.Errorf("%v", err)
		}
		tr.Name = "renamed"
		stale := tr
		tr = must(s.UpdateTrunk(ctx, "", tr))(t)
		if _, err := s.UpdateTrunk(ctx, "", stale); !errors.Is(err, ErrStale) {
			t.Errorf("%v", err)
		}
		moved, _ := must2(s.Numbers(ctx, NumberFilter{Agents: []agent.ID{a.ID}}))(t)
		if len(moved) != 2 || moved[0].Trunk != "renamed" {
			t.Errorf("%+v", moved)
		}
		b := must(s.CreateAgent(ctx, "", agent.Agent{Name: "sales"}))(t)
		n = moved[0]
		n.Agent = string(b.ID)
		n = must(s.UpdateNumber(ctx, "", n))(t)
		if n.Agent != string(b.ID) || n.Revision != 3 {
			t.Errorf("%+v", n)
		}
		for _, id := range []string{n.ID, moved[1].ID} {
			if err := s.DeleteNumber(ctx, "", id); err != nil {
				t.Error(err)
			}
		}
		if err := s.DeleteTrunk(ctx, "", tr.ID); err != nil {
			t.Error(err)
		}
		if err := s.DeleteNumber(ctx, "", n.ID); !errors.Is(err, ErrNotFound) {
			t.Errorf("%v", err)
		}
	})
}

// Several tools are put at once, all or none.
func TestPutToolsIsWholeOrNot(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		tool := func(name string) Tool {
			return Tool{Definition: tools.Definition{Name: name, Description: "d", Type: tools.EndCall}}
		}
		made, err := s.PutTools(ctx, "ops", []Tool{tool("a"), tool("b")})
		if err != nil || len(made) != 2 || made[0].ID == "" || made[1].Revision != 1 || made[1].By != "ops" {
			t.Fatalf("%+v, %v", made, err)
		}
		next := made[0]
		next.Description = "changed"
		if _, err := s.PutTools(ctx, "ops", []Tool{next, tool("c"), tool("b")}); !errors.Is(err, ErrExists) {
			t.Errorf("a second b: %v", err)
		}
		stale := next
		stale.Revision = 9
		if _, err := s.PutTools(ctx, "ops", []Tool{tool("c"), stale}); !errors.Is(err, ErrStale) {
			t.Errorf("a stale one: %v", err)
		}
		if a, err := s.Tool(ctx, "a"); err != nil || a.Description != "d" || a.Revision != 1 {
			t.Errorf("half of it is kept: %+v, %v", a, err)
		}
		if _, err := s.Tool(ctx, "c"); !errors.Is(err, ErrNotFound) {
			t.Errorf("half of it is kept: %v", err)
		}
		if made, err = s.PutTools(ctx, "ops", []Tool{next, tool("c")}); err != nil || made[0].ID != next.ID || made[0].Revision != 2 {
			t.Errorf("%+v, %v", made, err)
		}
	})
}
