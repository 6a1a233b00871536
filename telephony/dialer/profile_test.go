package dialer

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestBuiltInProfiles(t *testing.T) {
	t.Parallel()
	ps, err := LoadProfiles()
	if err != nil {
		t.Fatal(err)
	}
	if got := ps.Names(); !slices.Equal(got, []string{"eu", "us"}) {
		t.Errorf("profiles %v", got)
	}
	for _, name := range ps.Names() {
		p := ps[name]
		if p.Name != name || !p.Consent || p.Abandoned != 0.03 || p.AbandonedWindow != 30*24*time.Hour ||
			p.Ring != 15*time.Second {
			t.Errorf("%+v", p)
		}
		text, err := profiles.ReadFile("profiles/" + name + ".yaml")
		if err != nil {
			t.Fatal(err)
		}
		for _, word := range []string{"This is not legal", "art. ", "CFR "} {
			if !strings.Contains(string(text), word) && (name == "us") == (word == "CFR ") && word != "art. " {
				t.Errorf("%s does not say %q", name, word)
			}
		}
	}
	// 47 CFR 64.1200(c)(1): 8 to 21 where the callee is.
	la := zoned(t, "America/Los_Angeles")
	for hour, open := range map[int]bool{7: false, 8: true, 20: true, 21: false} {
		at := time.Date(2026, 3, 2, hour, 30, 0, 0, la[0])
		if got := ps["us"].Hours.Open(at, la); got != open {
			t.Errorf("at %v: %v", at, got)
		}
	}
}

func TestReadProfile(t *testing.T) {
	t.Parallel()
	p, err := ReadProfile([]byte("# ours\nconsent: false\nring: 20s\nhours:\n  windows: [{days: [mon, Tuesday], from: \"09:00\", to: \"24:00\"}]\n" +
		"  holidays: [\"2026-12-25\"]\nabandoned: {share: 0.01, window: 24h}\nattempts: {per_day: 1, total: 3}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if p.Consent || p.Ring != 20*time.Second || p.Abandoned != 0.01 || p.AbandonedWindow != 24*time.Hour ||
		p.PerDay != 1 || p.Total != 3 ||
		len(p.Hours.Windows) != 1 || !slices.Equal(p.Hours.Windows[0].Days, []time.Weekday{1, 2}) || p.Hours.Windows[0].To != "24:00" ||
		!slices.Equal(p.Hours.Holidays, []string{"2026-12-25"}) {
		t.Errorf("%+v", p)
	}
	for _, c := range []struct{ name, text, want string }{
		{"a key that is none", "consent: true\nhuors: {}\n", `2:1: unknown key "huors"; did you mean "hours"?`},
		{"a key below that is none", "abandoned: {shares: 1}", `1:13: unknown key "shares"; did you mean "share"?`},
		{"neither true nor false", "consent: perhaps", "1:10: consent: neither true nor false"},
		{"no duration", "ring: 15", `1:7: ring: "15" is no duration; write it as 15s or 720h`},
		{"a negative duration", "ring: -15s", `1:7: ring: "-15s" is no duration; write it as 15s or 720h`},
		{"no share", "abandoned: {share: 3}", `1:20: abandoned.share: "3" is no share; write it as 0.03`},
		{"not a number", "abandoned: {share: .nan}", `1:20: abandoned.share: ".nan" is no share; write it as 0.03`},
		{"no count", "attempts:\n  total: many", `2:10: attempts.total: "many" is no number of attempts; write 1 to 100, or leave it out`},
		{
			"no day", "hours:\n  windows:\n    - {days: [mo], from: \"08:00\", to: \"09:00\"}",
			`3:15: hours.windows[0].days[0]: "mo" is no day of the week; write one of sun, mon, tue, wed, thu, fri, sat`,
		},
		{
			"no time of day", "hours: {windows: [{from: 8, to: \"25:00\"}]}",
			"1:26: hours.windows[0].from: \"8\" is no time of day; write it as \"08:00\"\n1:33: hours.windows[0].to: \"25:00\" is no time of day; write it as \"08:00\"",
		},
		{"an empty window", "hours: {windows: [{from: \"08:00\"}]}", "1:20: hours.windows[0]: is empty; write from and to, for a whole day \"00:00\" and \"24:00\""},
		{"no date", "hours: {holidays: [25.12.2026]}", `1:20: hours.holidays[0]: "25.12.2026" is no date; write it as 2026-12-25`},
		{"no list", "hours: {windows: 7}", "1:18: hours.windows: no list"},
		{"no mapping", "[]", "1:1: no mapping; write keys and values"},
		{"no mapping below", "hours: 7", "1:8: hours: no mapping; write keys and values"},
		{"twice", "ring: 15s\nring: 16s", "2:1: mapping key \"ring\" already defined at [1:1]"},
		{"nothing", "# nothing", "1:1: holds no profile; see the built-in ones"},
		{"no YAML", "ring: [", "1:7: sequence end token ']' not found"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := ReadProfile([]byte(c.text))
			if err == nil || err.Error() != c.want {
				t.Errorf("got:\n%v\nwant:\n%s", err, c.want)
			}
		})
	}
}

func TestProfilesOfFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	ps, err := LoadProfiles(write("florida.yaml", "consent: true\n"), write("us.yaml", "ring: 30s\n"))
	if err != nil {
		t.Fatal(err)
	}
	if !ps["florida"].Consent || ps["us"].Ring != 30*time.Second || ps["us"].Consent {
		t.Errorf("%+v", ps)
	}
	bad := write("bad.yaml", "rnig: 30s\nabandoned: {share: 2}\n")
	_, err = LoadProfiles(bad)
	if want := bad + `:1:1: unknown key "rnig"; did you mean "ring"?` + "\n" + bad + `:2:20: abandoned.share: "2" is no share; write it as 0.03`; err == nil || err.Error() != want {
		t.Errorf("got:\n%v\nwant:\n%s", err, want)
	}
	if _, err := LoadProfiles(filepath.Join(dir, "none.yaml")); err == nil {
		t.Error("a file that is not there")
	}
}

// FuzzReadProfile: no text makes it panic, and what it takes can be asked.
func FuzzReadProfile(f *testing.F) {
	for _, name := range []string{"us", "eu"} {
		text, err := profiles.ReadFile("profiles/" + name + ".yaml")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte("hours: {windows: [{days: [mon], from: \"22:00\", to: \"02:00\"}], holidays: [\"2026-12-25\"]}\nring: 15s"))
	f.Add([]byte("- &a [*a]"))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := ReadProfile(text)
		if err != nil {
			return
		}
		if at := p.Hours.Next(monday, []*time.Location{time.UTC}); !at.IsZero() &&
			!p.Hours.Open(at, []*time.Location{time.UTC}) {
			t.Errorf("closed at %v", at)
		}
	})
}

// Whose profile is not there is not called by fewer rules: the campaign waits for it.
func TestAProfileThatIsNotThere(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		camp := calling("c", 5, 5)
		camp.Profile = "de"
		b := newBooks(camp)
		b.add(camp, 2)
		far := &carrier{b: b, becomes: always(time.Second, OutcomePerson)}
		o := b.opens(t, "node", 5, far, nil)
		time.Sleep(time.Hour)
		if k := b.contact(camp, 0); far.placed() != 0 || k.State != Pending || !strings.Contains(k.Why, `profile "de" is not there`) {
			t.Errorf("%d calls; %s: %s", far.placed(), k.State, k.Why)
		}
		o.stop()
		o = b.opens(t, "node", 5, far, func(c *RunnerConfig) { c.Rules = Profiles{"de": {}} })
		time.Sleep(time.Hour)
		o.stop()
		if s := b.states(camp); s[Reached] != 2 {
			t.Errorf("%v", s)
		}
	})
}
