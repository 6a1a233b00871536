package dialer

import (
	"embed"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Profile is what holds in a country beside a campaign's own rules: of two that
// differ the stricter. It is a file, so that whoever answers for the calls can
// read it, and write another.
type Profile struct {
	Name            string
	Hours           Hours         // at the called party's place
	Consent         bool          // nobody is called without
	Abandoned       float64       // most abandoned calls, as a share of those that people answered; 0: the campaign's own
	AbandonedWindow time.Duration // over which they count, 0: 30 days
	Ring            time.Duration // at least, before a call is given up
	PerDay          int           // attempts in 24 h, 0: the campaign's own
	Total           int           // attempts in all, 0: the campaign's own
}

// Profiles are profiles by name. "" is one without rules.
type Profiles map[string]Profile

//go:embed profiles
var profiles embed.FS

// LoadProfiles reads the built-in profiles and files of one's own, which may
// replace them. A profile is named like its file.
func LoadProfiles(files ...string) (Profiles, error) {
	ps := Profiles{"": {}}
	list, err := profiles.ReadDir("profiles")
	if err != nil {
		return nil, fmt.Errorf("dialer: the built-in profiles: %w", err)
	}
	for _, f := range list {
		text, err := profiles.ReadFile("profiles/" + f.Name())
		if err != nil {
			return nil, fmt.Errorf("dialer: the built-in profiles: %w", err)
		}
		if err := ps.add(f.Name(), text); err != nil {
			return nil, err
		}
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			return nil, fmt.Errorf("dialer: read a profile: %w", err)
		}
		if err := ps.add(f, text); err != nil {
			return nil, err
		}
	}
	return ps, nil
}

// Names are the names of the profiles, in order.
func (ps Profiles) Names() []string {
	var out []string
	for n := range ps {
		if n != "" {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return out
}

// ProfileError is what is wrong in the file of a profile, a fault a line.
type ProfileError struct {
	File string
	Err  error // of ReadProfile
}

func (e *ProfileError) Error() string {
	lines := strings.Split(e.Err.Error(), "\n")
	for i, l := range lines {
		lines[i] = e.File + ":" + l
	}
	return strings.Join(lines, "\n")
}

func (e *ProfileError) Unwrap() error { return e.Err }

func (ps Profiles) add(file string, text []byte) error {
	p, err := ReadProfile(text)
	if err != nil {
		return &ProfileError{file, err}
	}
	p.Name = strings.TrimSuffix(path.Base(filepath.ToSlash(file)), path.Ext(file))
	ps[p.Name] = p
	return nil
}
