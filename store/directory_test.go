package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/telephony/trunk"
)

func TestTheDirectoryFollowsEveryChange(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		seeded(t, s, someFiles(t), 6, 0, 0)
		var table *trunk.Table
		var told []string
		d := must(OpenDirectory(ctx, s, DirectoryConfig{
			DefaultAgent: "support", Trunks: func(n *trunk.Table) { table = n },
			Agent: func(a agent.Agent) { told = append(told, a.Name) },
		}))(t)
		who := func(trunk telephony.TrunkID, number string) string {
			a, err := d.ForCall(ctx, telephony.Info{Trunk: trunk, To: number})
			if err != nil {
				return err.Error()
			}
			return a.Name
		}
		answers := func(trunk telephony.TrunkID, number, want string) {
			t.Helper()
			if got := who(trunk, number); got != want {
				t.Errorf("%s of %s is for %s, want %s", number, trunk, got, want)
			}
			if table != d.Table() {
				t.Error("telephony has another table")
			}
		}
		answers("carrier", "030123456", "support")
		answers("carrier", "112", "sales")
		answers("carrier", "115", "support")
		before := must(d.Agent(ctx, "support"))(t)

		a := must(s.CreateAgent(ctx, "", agent.Agent{Name: "new"}))(t)
		n := must(s.CreateNumber(ctx, "", trunk.Number{Number: "115", Agent: "new"}))(t)
		answers("carrier", "115", "new")
		a.Name = "renamed"
		a = must(s.UpdateAgent(ctx, "", a))(t)
		answers("carrier", "115", "renamed")
		if _, err := d.Agent(ctx, "new"); err == nil {
			t.Error("an agent by the name it had")
		}
		n.Number.Number = "116"
		n = must(s.UpdateNumber(ctx, "", n))(t)
		answers("carrier", "115", "support")
		answers("carrier", "116", "renamed")
		tr := must(s.Trunk(ctx, "carrier"))(t)
		tr.Name, tr.Country = "other", "FR"
		must(s.UpdateTrunk(ctx, "", tr))(t)
		answers("other", "+4930123456", "support")
		if _, ok := d.Table().Trunk("carrier"); ok {
			t.Error("a trunk by the name it had")
		}
		if err := s.DeleteNumber(ctx, "", n.ID); err != nil {
			t.Fatal(err)
		}
		answers("other", "116", "support")
		own := must(s.CreateTool(ctx, "", Tool{Definition: definition(t, "x"), Agent: a.ID}))(t)
		if got := must(d.Agent(ctx, a.ID))(t); len(got.Tools) != 1 || got.Tools[0].ID != own.ID {
			t.Errorf("%+v", got)
		}
		if err := s.DeleteAgent(ctx, "", a.ID); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Agent(ctx, a.ID); err == nil {
			t.Error("a deleted agent")
		}
		must(s.RestoreAgent(ctx, "", a.ID, 1))(t)
		must(d.Agent(ctx, "new"))(t)

		lib := must(d.Tool(ctx, "shared"))(t)
		shared := Tool{Definition: *lib}
		shared.Name = "moved"
		must(s.UpdateTool(ctx, "", shared))(t)
		if _, err := d.Tool(ctx, "shared"); err == nil {
			t.Error("a tool by the name it had")
		}
		must(d.Tool(ctx, lib.ID))(t)
		if err := s.DeleteTool(ctx, "", lib.ID); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Tool(ctx, "moved"); err == nil {
			t.Error("a deleted tool")
		}
		if err := d.follow(ctx, []ref{{KindAgent, string(a.ID)}}); err != nil { // it is told once
			t.Error(err)
		}
		if got := strings.Join(told, " "); got != "new renamed renamed new" {
			t.Errorf("told %s", got)
		}
		if same := must(d.Agent(ctx, "support"))(t); same != before {
			t.Error("an agent that nobody changed is another")
		}
		// As read from scratch.
		fresh := must(OpenDirectory(ctx, s, DirectoryConfig{DefaultAgent: "support"}))(t)
		same(t, "agents", must(d.Agents(ctx))(t), must(fresh.Agents(ctx))(t))
		if got, want := d.Table().Trunks(), fresh.Table().Trunks(); !reflect.DeepEqual(got, want) {
			t.Errorf("trunks:\ngot  %+v\nwant %+v", got[0], want[0])
		}
	})
}

// Calls go on while agents change: with what was there before, or after.
func TestCallsDuringChanges(t *testing.T) {
	t.Parallel()
	s := open(t, "sqlite:"+t.TempDir()+"/x.db")
	t.Cleanup(func() { closed(t, s) })
	seeded(t, s, someFiles(t), 6, 0, 0)
	d := must(OpenDirectory(t.Context(), s, DirectoryConfig{}))(t)
	var over atomic.Bool
	done := make(chan error, 2) // one of each caller
	for range 2 {
		go func() {
			for !over.Load() {
				a, err := d.ForCall(context.Background(), telephony.Info{Trunk: "carrier", To: "+4930123456"})
				if err != nil || a.Prompt == "" || len(a.Tools) < 2 {
					done <- fmt.Errorf("%+v, %w", a, err)
					return
				}
			}
			done <- nil
		}()
	}
	for i := range 50 {
		a := must(s.Agent(t.Context(), "support"))(t)
		a.Prompt = fmt.Sprint(i)
		must(s.UpdateAgent(t.Context(), "", a))(t)
		must(s.CreateNumber(t.Context(), "", trunk.Number{Number: fmt.Sprint("20", i), Agent: "support"}))(t)
	}
	over.Store(true)
	for range 2 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func TestAKeptTrunkThatCannotBeUsedIsLeftOut(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *Store) {
		seeded(t, s, someFiles(t), 6, 0, 0)
		_, err := s.write.NewRaw("UPDATE trunks SET body = ?", `{"name":"carrier","allow":["nonsense"]}`).Exec(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		d := must(OpenDirectory(t.Context(), s, DirectoryConfig{}))(t)
		if _, ok := d.Table().Trunk("carrier"); ok {
			t.Error("a trunk that allows nonsense")
		}
		if a, _, ok := d.Table().Route("", "112"); !ok || a != "s-1" {
			t.Errorf("112 is for %q", a)
		}
	})
}

// many fills a store with agents of five tools each, a number for each, and a
// trunk.
func many(tb testing.TB, s *Store, agents int) {
	tb.Helper()
	ctx := tb.Context()
	if _, err := s.CreateTrunk(ctx, "", trunk.Config{Name: "carrier", Allow: []string{"203.0.113.0/24"}, Country: "DE"}); err != nil {
		tb.Fatal(err)
	}
	const config = `{"url":"https://crm.example.com/orders","method":"GET","headers":[{"key":"Authorization","value":` +
		`"Bearer {{secret.crm}}"}],"query_params":[{"key":"phone","value":"{{caller_phone}}"}],"timeout":30}`
	err := s.InTx(ctx, func(ctx context.Context, tx Tx) error {
		var rows []agentRow
		var own []toolRow
		var numbers []numberRow
		for i := range agents {
			id, err := newUUID()
			if err != nil {
				return err
			}
			a := agentRow{
				ID: agent.ID(id), Name: fmt.Sprint("agent-", i), Body: fmt.Sprintf(`{"name":"agent-%d","prompt":%q,`+
					`"greeting":"Hello, how can I help?","language":"en","variables":{"tier":3},"max_call_duration":"15m0s"}`,
					i, strings.Repeat("You help callers with their orders. ", 40)),
				metaRow: metaRow{}.next("", time.Now()),
			}
			rows = append(rows, a)
			numbers = append(numbers, numberRow{
				ID: string(a.ID), Number: fmt.Sprintf("+49301%06d", i), Trunk: "carrier", AgentID: a.ID, metaRow: a.metaRow,
			})
			for j := range 5 {
				name := fmt.Sprint("tool_", j)
				own = append(own, toolRow{
					ID: fmt.Sprint(a.ID, j), AgentID: a.ID, Position: j, Name: name, metaRow: a.metaRow,
					Body: fmt.Sprintf(`{"name":%q,"description":"Looks up an order by its number. Call this first.",`+
						`"tool_type":"http_request","config":%s,"priority":%d,"parameters":{"properties":{"order":`+
						`{"type":"string"}},"required":["order"]}}`, name, config, j),
				})
			}
		}
		insert := func(part any) error {
			_, err := tx.NewInsert().Model(part).Exec(ctx)
			return err
		}
		return errors.Join(parts(rows, insert), parts(own, insert), parts(numbers, insert))
	})
	if err != nil {
		tb.Fatal(err)
	}
}

func parts[T any](l []T, insert func(any) error) error {
	for len(l) > 0 {
		part := l[:min(500, len(l))]
		l = l[len(part):]
		if err := insert(&part); err != nil {
			return err
		}
	}
	return nil
}

// 10,000 agents and 50,000 tools are read in under 3 s, the agent of a dialled
// number is found in under 1 ms. PATCHCORD_AGENTS sets another number.
func BenchmarkDirectory(b *testing.B) {
	agents := 10_000
	if v := os.Getenv("PATCHCORD_AGENTS"); v != "" {
		if _, err := fmt.Sscan(v, &agents); err != nil {
			b.Fatal(err)
		}
	}
	for _, kind := range []string{"sqlite", "postgres"} {
		b.Run(kind, func(b *testing.B) {
			url := "sqlite:" + b.TempDir() + "/b.db"
			if kind == "postgres" {
				url = schema(b)
			}
			s := open(b, url)
			defer closed(b, s)
			many(b, s, agents)
			var d *Directory
			b.Run("load", func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					var err error
					if d, err = OpenDirectory(b.Context(), s, DirectoryConfig{}); err != nil {
						b.Fatal(err)
					}
				}
			})
			info := telephony.Info{Trunk: "carrier", To: fmt.Sprintf("0301%06d", agents/2)}
			b.Run("find", func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if a, err := d.ForCall(b.Context(), info); err != nil || len(a.Tools) != 5 {
						b.Fatal(a, err)
					}
				}
			})
			b.Run("change", func(b *testing.B) {
				a, err := s.Agent(b.Context(), "agent-1")
				if err != nil {
					b.Fatal(err)
				}
				for b.Loop() {
					a.Prompt += "."
					if a, err = s.UpdateAgent(b.Context(), "", a); err != nil {
						b.Fatal(err)
					}
				}
			})
			b.Run("number", func(b *testing.B) {
				for i := 0; b.Loop(); i++ {
					n := trunk.Number{Number: fmt.Sprintf("+49302%d%06d", os.Getpid(), i), Agent: "agent-1"}
					m, err := s.CreateNumber(b.Context(), "", n)
					if err == nil {
						err = s.DeleteNumber(b.Context(), "", m.ID)
					}
					if err != nil {
						b.Fatal(err)
					}
				}
			})
		})
	}
}
