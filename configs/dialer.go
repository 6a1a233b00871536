package configs

import "github.com/patchcord/patchcord/telephony/dialer"

// Dialer is what calls the lists of campaigns.
type Dialer struct {
	Enabled  bool   `yaml:"enabled"`  // false: this process calls no lists, those of the store may be others'
	Profiles string `yaml:"profiles"` // a glob of files with rules of one's own, relative to the file
}

// loadProfiles reads the rules that campaigns may name.
func (l *loader) loadProfiles(c *Config) {
	files := l.glob(c.Dialer.Profiles, "dialer.profiles", c.Dir)
	var err error
	if c.Profiles, err = dialer.LoadProfiles(files...); err != nil {
		l.fault("dialer.profiles", err.Error(), "docs/campaigns.md says what stands in a profile")
	}
}
