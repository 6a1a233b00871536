package archtest

import (
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// unreleased are the modules that we ask for at a commit, since their authors
// release nothing.
var unreleased = map[string]bool{
	"github.com/gotranspile/g722": true,
	"github.com/ledongthuc/pdf":   true,
}

// tagged are releases of another form that others ask for: the assertions of
// nats-server's own tests, as functions that do nothing.
var tagged = map[string]string{"github.com/antithesishq/antithesis-sdk-go": "v0.8.0-default-no-op"}

var (
	release = regexp.MustCompile(`^v\d+\.\d+\.\d+(\+incompatible)?$`)
	commit  = regexp.MustCompile(`-(0\.)?\d{14}-[0-9a-f]{12}(\+incompatible)?$`)
	// fetched are the programs that are compiled when they are needed.
	fetched  = regexp.MustCompile(`[\w.-]+\.[a-z]+/[\w./-]+@([\w.-]+)`)
	advisory = regexp.MustCompile(`(CVE-\d{4}-\d{4,}|GHSA(?:-[23456789cfghjmpqrvwx]{4}){3}|GO-\d{4}-\d{4,})`)
)

// SEC-17: what is built is what was reviewed: exact released versions, each with
// its sum, nothing in the place of another.
func TestModulesArePinned_SEC17(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), "go", "mod", "edit", "-json")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go mod edit: %v", err)
	}
	type module struct{ Path, Version string }
	var mod struct {
		Require []struct {
			module
			Indirect bool
		}
		Replace []struct{ Old module }
		Tool    []struct{ Path string }
	}
	if err := json.Unmarshal(out, &mod); err != nil {
		t.Fatal(err)
	}
	if len(mod.Require) < 20 {
		t.Fatalf("only %d modules in go.mod: it is read wrong", len(mod.Require))
	}
	sums := read(t, "go.sum")
	for _, m := range mod.Require {
		switch {
		case release.MatchString(m.Version):
		case m.Indirect && commit.MatchString(m.Version): // asked for by another
		case m.Indirect && tagged[m.Path] == m.Version:
		case unreleased[m.Path] && commit.MatchString(m.Version):
		default:
			t.Errorf("go.mod: %s %s is no release: take one, or give its module a line in unreleased", m.Path, m.Version)
		}
		if !strings.Contains(sums, m.Path+" "+m.Version+" h1:") {
			t.Errorf("go.sum has no sum of %s %s: run go mod tidy", m.Path, m.Version)
		}
	}
	for _, r := range mod.Replace {
		t.Errorf("go.mod: %s is replaced: who installs us would get the original", r.Old.Path)
	}
}

// SEC-17: the programs that check and pack the build are pinned as it is.
func TestProgramsOfTheBuildArePinned_SEC17(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"Makefile", ".ci/run"} {
		found := fetched.FindAllStringSubmatch(read(t, name), -1)
		for _, m := range found {
			if !release.MatchString(m[1]) {
				t.Errorf("%s: %s: write a released version", name, m[0])
			}
		}
		if len(found) == 0 {
			t.Errorf("%s fetches no program: it is read wrong", name)
		}
	}
}

// SEC-17: before a change lands its dependencies are what go.sum says, known
// vulnerabilities are looked for, and everything runs under the race detector
// and the fuzzer.
func TestEveryChangeIsCheckedForItsSupply_SEC17(t *testing.T) {
	t.Parallel()
	ci, rules := read(t, ".ci/run"), read(t, "Makefile")
	for _, line := range []string{
		`(?m)^go mod verify`, `(?m)^step race .*make race`, `(?m)^step fuzz make fuzz`, `(?m)^step vuln `, `(?m)^step sbom make sbom`,
	} {
		if !regexp.MustCompile(line).MatchString(ci) {
			t.Errorf(".ci/run lacks a line like %s", line)
		}
	}
	for _, line := range []string{`(?m)^vuln:`, `(?m)^sbom:`, `(?m)^release:`, `(?s)\nrelease:.*\$\(SBOM\).*SHA256SUMS`} {
		if !regexp.MustCompile(line).MatchString(rules) {
			t.Errorf("the Makefile lacks a line like %s", line)
		}
	}
}

// SEC-17: who finds a fault can tell us alone, and every advisory that was
// fixed has a test that names it.
func TestAdvisoriesHaveAChannelAndARegression_SEC17(t *testing.T) {
	t.Parallel()
	policy := read(t, "SECURITY.md")
	for _, want := range []string{"in private", "Report a vulnerability", "working days", "regression test"} {
		if !strings.Contains(policy, want) {
			t.Errorf("SECURITY.md does not say %q", want)
		}
	}
	var tests strings.Builder
	err := walk(func(p string) error {
		if !strings.HasSuffix(p, "_test.go") {
			return nil
		}
		b, err := os.ReadFile(filepath.Join(root, p))
		tests.Write(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range advisory.FindAllString(policy+read(t, "CHANGELOG.md"), -1) {
		if !strings.Contains(tests.String(), id) {
			t.Errorf("%s was fixed, and no test names it", id)
		}
	}
}

// SEC-17: the bill of materials that make sbom writes beside a binary lists
// every module that is linked into it, and Go itself.
func TestBillOfMaterialsListsEveryModule_SEC17(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"patchcord", "localspeech", "callprobe"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			binary := filepath.Join(root, "bin", name)
			built, err := os.Stat(binary)
			bill, err2 := os.Stat(binary + ".cdx.json")
			if err = errors.Join(err, err2); errors.Is(err, fs.ErrNotExist) {
				t.Skip("make sbom writes what is checked here")
			} else if err != nil {
				t.Fatal(err)
			}
			if bill.ModTime().Before(built.ModTime()) {
				t.Skip("the binary is newer than its bill: run make sbom")
			}
			info, err := buildinfo.ReadFile(binary)
			if err != nil {
				t.Fatal(err)
			}
			var bom struct {
				BOMFormat  string `json:"bomFormat"`
				Components []struct{ Name, Version, Purl string }
			}
			if err := json.Unmarshal([]byte(read(t, filepath.Join("bin", name+".cdx.json"))), &bom); err != nil {
				t.Fatal(err)
			}
			listed := map[string]bool{}
			for _, c := range bom.Components {
				listed[c.Name+" "+c.Version] = c.Purl != ""
			}
			want := []string{"std " + info.GoVersion}
			for _, d := range info.Deps {
				want = append(want, d.Path+" "+d.Version)
			}
			for _, m := range want {
				if !listed[m] {
					t.Errorf("the bill lacks %s", m)
				}
			}
			if bom.BOMFormat != "CycloneDX" {
				t.Errorf("format %q, want CycloneDX", bom.BOMFormat)
			}
		})
	}
}

// read is a file of the repository.
func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
