package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/telephony/trunk"
	"github.com/patchcord/patchcord/tools"
)

func someFiles(t *testing.T) Files {
	t.Helper()
	return Files{
		Config: "patchcord.yaml",
		Agents: []FileAgent{
			{agent.Agent{
				Name: "support", Prompt: "One.", WebhookSecret: "s1",
				Tools: []tools.Definition{definition(t, "own"), {Type: tools.EndCall}},
			}, "agents/support.yaml"},
			{agent.Agent{Name: "sales", ID: "s-1"}, "agents/sales.yaml"},
		},
		Tools:   []FileTool{{definition(t, "shared"), "tools/a.yaml"}},
		Trunks:  []trunk.Config{{Name: "carrier", Allow: []string{"203.0.113.0/24"}, Country: "DE", Username: "u", Password: "p1"}},
		Numbers: []trunk.Number{{Number: "030 123456", Trunk: "carrier", Agent: "support"}, {Number: "112", Agent: "s-1"}},
	}
}

// seeded applies files and wants this many changes, and warnings that hold
// these words.
func seeded(t *testing.T, s *Store, f Files, created, updated, deleted int, warnings ...string) {
	t.Helper()
	got, err := s.Seed(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	if got.Created != created || got.Updated != updated || got.Deleted != deleted || len(got.Warnings) != len(warnings) {
		t.Errorf("%+v, want %d, %d, %d and %d warnings", got, created, updated, deleted, len(warnings))
		return
	}
	for i, w := range warnings {
		if !strings.Contains(got.Warnings[i], w) {
			t.Errorf("warning %q has no %q", got.Warnings[i], w)
		}
	}
}

func TestFilesSeedTheStore(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *Store) {
		ctx, f := t.Context(), someFiles(t)
		seeded(t, s, f, 6, 0, 0)
		a := must(s.Agent(ctx, "support"))(t)
		if a.ID != "support" || a.Source != "agents/support.yaml" || a.By != FileBy || a.WebhookSecret != "s1" || len(a.Tools) != 2 {
			t.Errorf("%+v", a)
		}
		own := must(s.Tool(ctx, a.Tools[0].ID))(t)
		if own.Source != "agents/support.yaml" {
			t.Errorf("%+v", own)
		}
		if v := must(s.Versions(ctx, KindAgent, "support", 0))(t); len(v) != 1 || v[0].Op != "seed" {
			t.Errorf("%+v", v)
		}
		seeded(t, s, someFiles(t), 0, 0, 0)
		// A changed file, each kind once; secrets alone count too.
		f = someFiles(t)
		f.Agents[0].Prompt, f.Agents[1].Greeting = "Two.", "Hi."
		f.Tools[0].Description = "Changed."
		f.Trunks[0].Password = "p2"
		f.Numbers[1].Agent = "support"
		seeded(t, s, f, 0, 5, 0)
		f.Agents[0].WebhookSecret = "s2"
		seeded(t, s, f, 0, 1, 0)
		seeded(t, s, f, 0, 0, 0)
		again := must(s.Agent(ctx, "support"))(t)
		if again.Prompt != "Two." || again.WebhookSecret != "s2" || again.Tools[0].ID != a.Tools[0].ID {
			t.Errorf("%+v", again)
		}
		if tr := must(s.Trunk(ctx, "carrier"))(t); tr.Password.Reveal() != "p2" || tr.Source != "patchcord.yaml" {
			t.Errorf("%+v", tr)
		}
		// What no file has any more goes.
		f.Numbers, f.Trunks, f.Tools, f.Agents = nil, nil, nil, f.Agents[1:]
		seeded(t, s, f, 0, 0, 5)
		if _, err := s.Trunk(ctx, "carrier"); !errors.Is(err, ErrNotFound) {
			t.Errorf("%v", err)
		}
		seeded(t, s, someFiles(t), 5, 1, 0)
	})
}

// A trunk that gets a country in its file makes other numbers of those that are
// written there: they stay the file's, and go on being what it says.
func TestANumberStaysTheFilesWhenItsTrunkGetsACountry(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *Store) {
		ctx, f := t.Context(), someFiles(t)
		f.Trunks[0].Country = ""
		f.Numbers = append(f.Numbers, trunk.Number{Number: "030 123457", Trunk: "carrier", Agent: "support"})
		seeded(t, s, f, 7, 0, 0)
		var ours, theirs Number
		for _, n := range must(allNumbers(ctx, s))(t) {
			switch n.Number.Number {
			case "030123456":
				ours = n
			case "030123457":
				theirs = n
			}
		}
		theirs.Agent = "s-1"
		must(s.UpdateNumber(ctx, "ops", theirs))(t) // the API's from now on
		f.Trunks[0].Country = "DE"
		got := must(s.Seed(ctx, f))(t)
		if got.Updated != 1 || got.Created+got.Deleted != 0 {
			t.Errorf("%+v", got)
		}
		n := must(s.Number(ctx, ours.ID))(t)
		if n.Number.Number != "+4930123456" || n.Source != "patchcord.yaml" || n.By != FileBy {
			t.Errorf("%+v", n)
		}
		if n := must(s.Number(ctx, theirs.ID))(t); n.Number.Number != "+4930123457" || n.Agent != "s-1" {
			t.Errorf("what the API changed: %+v", n)
		}
		f.Numbers[0].Agent = "s-1"
		if got := must(s.Seed(ctx, f))(t); got.Updated != 1 {
			t.Errorf("another agent in the file: %+v", got)
		}
		if n := must(s.Number(ctx, ours.ID))(t); n.Agent != "s-1" {
			t.Errorf("%+v", n)
		}
		f.Numbers = f.Numbers[1:]
		if got := must(s.Seed(ctx, f))(t); got.Deleted != 1 {
			t.Errorf("in the file no more: %+v", got)
		}
		if _, err := s.Number(ctx, ours.ID); !errors.Is(err, ErrNotFound) {
			t.Errorf("%v", err)
		}
	})
}

func allNumbers(ctx context.Context, s *Store) ([]Number, error) {
	all, _, err := s.Numbers(ctx, NumberFilter{Page: Page{Limit: All}})
	return all, err
}

func TestWhatTheAPIChangedStays(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		made := must(s.CreateTool(ctx, "ops", Tool{Definition: definition(t, "shared")}))(t)
		seeded(t, s, someFiles(t), 5, 0, 0, "tool shared of tools/a.yaml: the API made one of this name")
		a := must(s.Agent(ctx, "support"))(t)
		a.Prompt = "The API's."
		must(s.UpdateAgent(ctx, "ops", a))(t)
		sales := must(s.CreateTool(ctx, "ops", Tool{Definition: definition(t, "x"), Agent: "s-1"}))(t)
		tr := must(s.Trunk(ctx, "carrier"))(t)
		tr.MaxCalls = 7
		must(s.UpdateTrunk(ctx, "ops", tr))(t)
		numbers, _ := must2(s.Numbers(ctx, NumberFilter{}))(t)
		for _, n := range numbers {
			if err := s.DeleteNumber(ctx, "ops", n.ID); err != nil {
				t.Fatal(err)
			}
		}
		shared := "tool shared of tools/a.yaml: the API made"
		seeded(t, s, someFiles(t), 0, 0, 0, shared) // nothing new in the files
		f := someFiles(t)
		f.Agents[0].Prompt, f.Agents[1].Prompt, f.Trunks[0].Realm, f.Numbers[1].Agent = "New.", "New.", "r", "support"
		seeded(t, s, f, 0, 0, 0,
			"trunk carrier of patchcord.yaml: the file changed, and the API changed it", shared,
			"agent support of agents/support.yaml: the file changed, and the API changed it",
			"agent s-1 of agents/sales.yaml: the file changed", "number 112@ of patchcord.yaml: the file changed, and the API deleted it")
		if got := must(s.Agent(ctx, "support"))(t); got.Prompt != "The API's." {
			t.Errorf("%+v", got)
		}
		if got := must(s.Agent(ctx, "s-1"))(t); len(got.Tools) != 1 || got.Tools[0].ID != sales.ID {
			t.Errorf("%+v", got)
		}
		// Nothing of the API's is deleted with the files.
		seeded(t, s, Files{}, 0, 0, 0, "agent s", "agent s", "trunk carrier is in no file any more, and the API changed it")
		got := must(s.Agent(ctx, "support"))(t)
		if got.Source != "" {
			t.Errorf("%+v", got.Meta)
		}
		must(s.Tool(ctx, made.ID))(t)
		seeded(t, s, Files{}, 0, 0, 0)
	})
}

func TestOneBadObjectOfAFileHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		must(s.CreateAgent(ctx, "ops", agent.Agent{Name: "other"}))(t)
		must(s.CreateTrunk(ctx, "ops", trunk.Config{Name: "mine", Allow: []string{"203.0.113.0/24"}}))(t)
		f := someFiles(t)
		f.Agents[1].Name = "other" // its id is another
		f.Numbers = append(f.Numbers, trunk.Number{Number: "113", Agent: "nobody"})
		seeded(t, s, f, 2, 0, 0, "trunk carrier of patchcord.yaml is left out", "agent s-1 of agents/sales.yaml: the API made one",
			"number +4930123456@carrier of patchcord.yaml is left out", "number 112@ of patchcord.yaml is left out",
			"number 113@ of patchcord.yaml is left out")
		must(s.Agent(ctx, "support"))(t)
		if err := s.DeleteAgent(ctx, "", "other"); !errors.Is(err, ErrNotFound) {
			t.Errorf("by its name: %v", err)
		}
	})
}

// What 10,000 unchanged agents in files cost at a start, their reading apart.
func BenchmarkSeedUnchanged(b *testing.B) {
	s := open(b, "sqlite:"+b.TempDir()+"/b.db")
	defer closed(b, s)
	f := Files{}
	for i := range 10_000 {
		f.Agents = append(f.Agents, FileAgent{agent.Agent{Name: fmt.Sprint("agent-", i), Prompt: strings.Repeat("You help. ", 50)}, "x.yaml"})
	}
	if _, err := s.Seed(b.Context(), f); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if got, err := s.Seed(b.Context(), f); err != nil || got.Updated+got.Created > 0 {
			b.Fatal(got, err)
		}
	}
}
