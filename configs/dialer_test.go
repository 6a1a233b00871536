package configs

import (
	"strings"
	"testing"
	"time"
)

// Profiles of one's own stand beside the built-in ones, by the names of their files;
// what is wrong in one is told with its place.
func TestProfilesOfOnesOwn(t *testing.T) {
	t.Parallel()
	const text = "agents: \"\"\n" + speech + "dialer: {enabled: true, profiles: \"profiles/*.yaml\"}\n"
	c, _, err := Load(write(t, "patchcord.yaml", text, "profiles/de.yaml", "consent: true\nring: 20s\n"))
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(c.Profiles.Names(), " "); got != "de eu us" {
		t.Errorf("profiles: %s", got)
	}
	if p := c.Profiles["de"]; !p.Consent || p.Ring != 20*time.Second {
		t.Errorf("%+v", p)
	}
	for _, bad := range []struct{ text, want string }{
		{"consent: true\nring: soon\n", "profiles/de.yaml:2:7: "},
		{"rings: 20s\n", "profiles/de.yaml:1:1: "},
		{"", "profiles/de.yaml:1:1: "},
	} {
		_, _, err := Load(write(t, "patchcord.yaml", text, "profiles/de.yaml", bad.text))
		if err == nil || !strings.Contains(err.Error(), bad.want) {
			t.Errorf("%q: %v, want %s", bad.text, err, bad.want)
		}
	}
}
