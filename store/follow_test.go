package store

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/telephony/trunk"
	"github.com/patchcord/patchcord/tools"
)

// following is a second process with a directory that follows the first's
// store. What is told of agents comes as their prompts, "-" for one that is
// gone.
type following struct {
	*Directory
	told chan string
	logs *observer.ObservedLogs
}

func follow(t *testing.T, url string, poll time.Duration) following {
	t.Helper()
	core, logs := observer.New(zap.WarnLevel)
	s := must(Open(t.Context(), Config{URL: url + "&application_name=" + nameOf(url), Node: "second", Log: zap.New(core)}))(t)
	f := following{told: make(chan string, 100), logs: logs} // more than any test changes
	f.Directory = must(OpenDirectory(t.Context(), s, DirectoryConfig{
		Poll:  poll,
		Agent: func(a agent.Agent) { f.told <- a.Prompt },
		Gone:  func(agent.ID) { f.told <- "-" },
	}))(t)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1) // Serve's
	go func() { done <- f.Serve(ctx) }()
	t.Cleanup(func() {
		stop()
		for over := false; !over; {
			select {
			case <-f.told: // nobody wants it any more
			case err := <-done:
				if over = true; err != nil {
					t.Error(err)
				}
			}
		}
		closed(t, s)
	})
	return f
}

// nameOf is the schema of a URL.
func nameOf(url string) string {
	_, name, _ := strings.Cut(url, "search_path=")
	return name
}

// want waits until it is told.
func (f following) want(t *testing.T, prompt string) {
	t.Helper()
	select {
	case got := <-f.told:
		if got != prompt {
			t.Fatalf("told %q, want %q", got, prompt)
		}
	case <-time.After(time.Minute):
		t.Fatalf("not told of %q", prompt)
	}
}

// prompted changes an agent's prompt.
func prompted(t *testing.T, s *Store, a agent.Agent, prompt string) agent.Agent {
	t.Helper()
	a.Prompt = prompt
	was := must(s.Agent(t.Context(), a.ID))(t)
	was.Agent = a
	return must(s.UpdateAgent(t.Context(), "", was))(t).Agent
}

func TestAnotherNodesChangesAreFollowed(t *testing.T) {
	t.Parallel()
	url := schema(t)
	s := open(t, url)
	t.Cleanup(func() { closed(t, s) })
	f := follow(t, url, time.Hour)
	ctx := t.Context()
	a := must(s.CreateAgent(ctx, "", agent.Agent{Name: "support", Prompt: "One."}))(t)
	f.want(t, "One.")
	must(s.CreateTool(ctx, "", Tool{Definition: tools.Definition{Name: "hang_up", Type: tools.EndCall, Description: "Ends it."}}))(t)
	must(s.CreateTrunk(ctx, "", trunk.Config{Name: "carrier", Allow: []string{"203.0.113.0/24"}}))(t)
	must(s.CreateNumber(ctx, "", trunk.Number{Number: "115", Trunk: "carrier", Agent: "support"}))(t)
	prompted(t, s, a.Agent, "Two.")
	f.want(t, "Two.") // what is told comes in its order
	if _, err := f.Tool(ctx, "hang_up"); err != nil {
		t.Error(err)
	}
	if id, _, ok := f.Table().Route("carrier", "115"); !ok || id != string(a.ID) {
		t.Errorf("the number is of %q, %v", id, ok)
	}
	// Its own changes are followed when they are made, and not once more.
	must(f.s.CreateAgent(ctx, "", agent.Agent{Name: "own", Prompt: "Own."}))(t)
	f.want(t, "Own.")
	if err := s.DeleteNumber(ctx, "", f.numberID(t)); err != nil {
		t.Fatal(err)
	}
	if err := s.DeleteAgent(ctx, "", a.ID); err != nil {
		t.Fatal(err)
	}
	f.want(t, "-")
	if _, err := f.Agent(ctx, a.ID); err == nil {
		t.Error("a deleted agent is there")
	}
	// More than one notification holds.
	if _, err := s.Seed(ctx, manyAgents(300)); err != nil {
		t.Fatal(err)
	}
	for i := 0; i < 300; {
		select {
		case <-f.told:
			i++
		case <-time.After(time.Minute):
			t.Fatalf("told of %d agents of 300", i)
		}
	}
	if n := f.logs.Len(); n != 0 {
		t.Errorf("%d warnings: %v", n, f.logs.All())
	}
}

func (f following) numberID(t *testing.T) string {
	t.Helper()
	list, _ := must2(f.s.Numbers(t.Context(), NumberFilter{}))(t)
	return list[0].ID
}

func manyAgents(n int) Files {
	var f Files
	for i := range n {
		f.Agents = append(f.Agents, FileAgent{Agent: agent.Agent{Name: fmt.Sprintf("agent-%d", i)}, File: "many.yaml"})
	}
	return f
}

// A change that nobody tells of is found, and so is what was changed while the
// connection was lost.
func TestUntoldChangesAreFound(t *testing.T) {
	t.Parallel()
	url := schema(t)
	s := open(t, url)
	t.Cleanup(func() { closed(t, s) })
	a := must(s.CreateAgent(t.Context(), "", agent.Agent{Name: "support", Prompt: "One."}))(t)
	f := follow(t, url, 20*time.Millisecond)
	statement(t, url, strings.ReplaceAll(
		"UPDATE agents SET revision = revision + 1, body = replace(body, 'One.', 'Two.') WHERE id = 'ID'", "ID", string(a.ID)))
	f.want(t, "Two.")

	statement(t, url, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN %' AND "+
		"application_name = '"+nameOf(url)+"'")
	prompted(t, s, must(s.Agent(t.Context(), a.ID))(t).Agent, "Three.")
	f.want(t, "Three.")
}

// A change that nobody tells of is found too where something else is told in the same
// moment, of this store or of another in the database.
func TestUntoldChangesAreFoundBesideToldOnes(t *testing.T) {
	t.Parallel()
	for _, of := range []string{"this store", "another"} {
		t.Run(of, func(t *testing.T) {
			t.Parallel()
			url := schema(t)
			s := open(t, url)
			t.Cleanup(func() { closed(t, s) })
			a := must(s.CreateAgent(t.Context(), "", agent.Agent{Name: "support", Prompt: "One."}))(t)
			f := follow(t, url, 200*time.Millisecond)
			prompted(t, s, a.Agent, "Two.")
			f.want(t, "Two.") // it listens, or is about to
			in := nameOf(url)
			if of == "another" {
				in = "elsewhere"
			}
			statement(t, url, strings.NewReplacer("ID", string(a.ID), "SCHEMA", in, "KIND", string(KindTool)).Replace(
				"UPDATE agents SET revision = revision + 1, body = replace(body, 'Two.', 'Three.') WHERE id = 'ID'; "+
					`SELECT pg_notify('patchcord_changes', '{"by":"x","schema":"SCHEMA","changed":[["KIND","none"]]}')`))
			f.want(t, "Three.")
		})
	}
}

// A change that is told and cannot be read then is read a second later.
func TestAToldChangeThatCannotBeReadIsReadLater(t *testing.T) {
	t.Parallel()
	url := schema(t)
	s := open(t, url)
	t.Cleanup(func() { closed(t, s) })
	ctx := t.Context()
	a := must(s.CreateAgent(ctx, "", agent.Agent{Name: "support", Prompt: "One."}))(t)
	f := follow(t, url+"&lock_timeout=20ms", time.Hour)
	prompted(t, s, a.Agent, "Two.")
	f.want(t, "Two.") // it listens
	err := s.InTx(ctx, func(ctx context.Context, tx Tx) error {
		if _, err := tx.NewRaw("LOCK TABLE agents IN ACCESS EXCLUSIVE MODE").Exec(ctx); err != nil {
			return err
		}
		err := s.InTx(ctx, func(ctx context.Context, other Tx) error {
			return other.tell(ctx, s.self, []ref{{KindAgent, string(a.ID)}})
		})
		if err != nil {
			return err
		}
		untilTold(t, f.logs, "store: what other nodes change is not told now")
		_, err = tx.NewRaw("UPDATE agents SET body = replace(body, 'Two.', 'Three.')").Exec(ctx)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	f.want(t, "Three.")
}

// A process's own change that it could not read is read at the next poll.
func TestAnOwnChangeThatCannotBeReadIsReadLater(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		a := must(s.CreateAgent(ctx, "", agent.Agent{Name: "support", Prompt: "One."}))(t)
		told := make(chan string, 1) // the one change
		d := must(OpenDirectory(ctx, s, DirectoryConfig{
			Poll: 20 * time.Millisecond, Agent: func(a agent.Agent) { told <- a.Prompt },
		}))(t)
		ctx, stop := context.WithCancel(ctx)
		done := make(chan error, 1) // Serve's
		go func() { done <- d.Serve(ctx) }()
		defer func() {
			stop()
			if err := <-done; err != nil {
				t.Error(err)
			}
		}()
		ended, end := context.WithCancel(ctx)
		end()
		for _, prompt := range []string{"Two.", "Three."} { // the first may be found when Serve begins
			// Nothing that the print shows has changed.
			alter(t, s, "UPDATE agents SET body = replace(replace(body, 'Two.', 'Three.'), 'One.', 'Two.')")
			if err := d.follow(ended, []ref{{KindAgent, string(a.ID)}}); err == nil {
				t.Fatal("read with a context that has ended")
			}
			select {
			case got := <-told:
				if got != prompt {
					t.Errorf("told %q, want %q", got, prompt)
				}
			case <-time.After(time.Minute):
				t.Fatalf("nobody read %q", prompt)
			}
		}
	})
}
