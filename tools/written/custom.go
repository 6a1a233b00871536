package written

import (
	"errors"
	"strings"
)

// custom is anything: what was spelled sign by sign is joined, in capitals, the
// rest stays as it was said.
func (l *lang) custom(text string) (string, error) {
	plain := strings.Join(strings.Fields(text), " ")
	if plain == "" {
		return "", errors.New("nothing was said: ask for it")
	}
	ts := tokens(text)
	ps := l.spell(ts, true)
	letters, figures := 0, 0
	for _, p := range ps {
		switch {
		case p.form == letter:
			letters++
		case p.form == figure:
			figures++
		case p.form == sign && strings.Contains("-/._", p.text), p.form == gap:
		default:
			return plain, nil
		}
	}
	if letters+figures < 2 || letters+figures < len(ts)/3 {
		return plain, nil
	}
	return strings.ToUpper(join(ps)), nil
}
