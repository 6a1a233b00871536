package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/patchcord/patchcord/configs"
	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/store"
	"github.com/patchcord/patchcord/telephony/trunk"
	"github.com/patchcord/patchcord/tools"
)

// every writes all that a store holds, secrets too, in an order of its own.
func every(t *testing.T, c store.Config) string {
	t.Helper()
	o, err := kept(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(o.Agents, func(a, b agent.Agent) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(o.Library, func(a, b tools.Definition) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(o.Numbers, func(a, b trunk.Number) int { return strings.Compare(a.Number, b.Number) })
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetIndent("", " ")
	for i := range o.Agents {
		a := &o.Agents[i]
		for _, s := range []*agent.Sound{&a.Ambience, &a.HoldSound} {
			s.File = filepath.Base(s.File) // where it is depends on the folder
		}
		if err := e.Encode(a); err != nil {
			t.Fatal(err)
		}
		b.WriteString(a.WebhookSecret + "\n")
	}
	for _, tr := range o.Trunks {
		b.WriteString(tr.Password.Reveal() + "\n")
	}
	if err := e.Encode(o); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// seedInto takes the files of a configuration into a store.
func seedInto(t *testing.T, path, db string, change func(*store.Store)) (*configs.Config, store.Config) {
	t.Helper()
	cfg, _, err := configs.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Store.URL = "sqlite:" + db
	sc := storeConfig(cfg, nil)
	s, err := store.Open(t.Context(), sc)
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.Seed(t.Context(), filesOf(cfg))
	if err != nil || len(got.Warnings) > 0 {
		t.Errorf("%+v, %v", got, err)
	}
	if change != nil {
		change(s)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	return cfg, sc
}

// What is exported is valid, and an equal store is made of it: over the
// default, every example, every tool's definition of the tests, and objects of
// the API with texts that YAML has special ways for.
func TestExportSeedsAnEqualStore(t *testing.T) {
	from := t.TempDir()
	if err := configs.Export(from); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(filepath.Join(from, "agents"), os.DirFS("../../configs/examples")); err != nil {
		t.Fatal(err)
	}
	t.Setenv("WHO", "an agent")
	library := `tools:
  - {name: one, description: "Looks up. Call this first.", tool_type: http_request, max_failures: 0, is_enabled: false,
     config: {url: "https://crm.example.com/x", method: GET, headers: [{key: A, value: "Bearer {{secret.crm_key}}"}], timeout: 3.5}}
  - {name: two, description: "Says ${WHO} and ${price}.", tool_type: http_request, config: {url: "https://crm.example.com/", method: POST},
     parameters: {properties: {z: {type: string, enum: ["1", "on"]}, a: {type: number, default: 1e3}}}}
`
	if err := os.MkdirAll(filepath.Join(from, "tools"), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(from, "tools", "some.yaml"), []byte(library), 0o600); err != nil {
		t.Fatal(err)
	}
	odd := []string{
		"yes", "0123", "+4930123456", "1e3", "~", "null", " a", "a ", "- a", "a: b", "a #b", "${HOME} and $${X}", "$", "{{name}}",
		"line\nand\n  another\n", "line\n\n\nend", "tab\tand \u2028 and \x7f and 😀", "\n", "  \n x", "trailing \nspace", "'\"\\", "|", "%", "@", "`",
		"x\n# no comment\n- y", "\ufeffbom", "\u0085\x01\nx", "?", "!tag", "&a", "*a", "é\nü", "a\n\n",
	}
	_, sc := seedInto(t, filepath.Join(from, "patchcord.yaml"), filepath.Join(from, "x.db"), func(s *store.Store) {
		ctx := t.Context()
		no, hot := false, 0.0
		a := agent.Agent{
			Name: "Odd/Ünïcode: yes", Prompt: strings.Join(odd, "\n"), Greeting: odd[0], WebhookSecret: "canary ${HOME}", Recording: &no,
			WebhookURL: "https://crm.example.com/hook",
			Variables:  map[string]any{"odd": odd, "deep": map[string]any{"on": []any{true, nil, 1, 2.5, int64(9007199254740993)}, "": ""}},
			Tools:      []tools.Definition{{Name: "own", Description: "Ends it. Call this last.", Type: tools.EndCall}},
		}
		a.LLM.Temperature = &hot
		for _, text := range odd {
			a.Pronunciations = append(a.Pronunciations, agent.Pronunciation{Word: "w" + text, Say: text + "s"})
		}
		made, err := s.CreateAgent(ctx, "ops", a)
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.CreateTrunk(ctx, "ops", trunk.Config{
			Name: "carrier", Allow: []string{"203.0.113.0/24"}, Username: "u", Password: "canary-2", RingTimeout: 1500e6, Country: "DE",
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.CreateNumber(ctx, "ops", trunk.Number{Number: "030123456", Trunk: "carrier", Agent: string(made.ID)}); err != nil {
			t.Fatal(err)
		}
	})
	cfg, _, err := configs.Load(filepath.Join(from, "patchcord.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	want := every(t, sc)
	to := filepath.Join(t.TempDir(), "out")
	o, err := kept(t.Context(), sc)
	if err != nil {
		t.Fatal(err)
	}
	variables, err := configs.Write(to, cfg, o)
	if err != nil || !slices.Equal(variables, []string{"PATCHCORD_CARRIER_PASSWORD", "PATCHCORD_ODD_N_CODE_YES_WEBHOOK_SECRET"}) {
		t.Fatalf("%q, %v", variables, err)
	}
	err = filepath.WalkDir(to, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if bytes.Contains(b, []byte("canary")) {
			t.Errorf("%s has a secret", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(variables[0], "canary-2")
	t.Setenv(variables[1], "canary ${HOME}")
	_, again := seedInto(t, filepath.Join(to, "patchcord.yaml"), filepath.Join(to, "y.db"), nil)
	if got := every(t, again); got != want {
		g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
		for i := range g {
			if i >= len(w) || g[i] != w[i] {
				t.Fatalf("line %d:\ngot  %s\nwant %s", i, g[i], w[min(i, len(w)-1)])
			}
		}
		t.Errorf("%d lines, want %d", len(g), len(w))
	}
	if _, err := configs.Write(to, cfg, o); err == nil {
		t.Error("written over what was there")
	}
}

// SEC-10: an export writes the credentials that stand in a tool's headers, and
// says where.
func TestExportTellsOfCredentials(t *testing.T) {
	from, to := t.TempDir(), filepath.Join(t.TempDir(), "out")
	if err := configs.Export(from); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(from, "tools"), 0o750); err != nil {
		t.Fatal(err)
	}
	const tool = `{name: one, description: "Looks up. Call this first.", tool_type: http_request,
  config: {url: "https://crm.example.com/x", method: GET, headers: [{key: Authorization, value: "Bearer canary"}]}}`
	if err := os.WriteFile(filepath.Join(from, "tools", "one.yaml"), []byte(tool), 0o600); err != nil {
		t.Fatal(err)
	}
	path, db := filepath.Join(from, "patchcord.yaml"), filepath.Join(from, "x.db")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, bytes.Replace(text, []byte("sqlite:patchcord.db"), []byte("sqlite:"+db), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	seedInto(t, path, db, nil)
	var out, told bytes.Buffer
	if err := (&exportCmd{Dir: to, Config: path}).Run(t.Context(), &output{out: &out, err: &told}); err != nil {
		t.Fatal(err)
	}
	if got := told.String(); !strings.Contains(got, "a credential as it is") || !strings.Contains(got, "headers[0]") || strings.Contains(got, "canary") {
		t.Errorf("told %q", got)
	}
}
