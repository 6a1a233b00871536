package written

import (
	"errors"
	"fmt"
	"strings"

	"github.com/nyaruka/phonenumbers"
)

var errNoPhone = errors.New("no telephone number was understood: ask for it again, figure by figure")

// enoughFigures is how many a number has at least; before so many, words
// between them are filling.
const enoughFigures = 7

// phone is a number in E.164, and in the groups that are usual for it.
func (l *lang) phone(text, region string) (e164, groups string, err error) {
	text = strings.ReplaceAll(text, "(0)", " ")
	var b strings.Builder
	plus, figures := false, 0
	for _, p := range l.spell(tokens(text), true) {
		switch {
		case p.form == sign && p.text == "+" && figures == 0:
			plus = true
		case p.form == figure:
			figures += len(p.text)
			b.WriteString(p.text)
		case p.form == word && figures >= enoughFigures:
			if _, and := l.and[p.from.low]; and {
				continue
			}
		default:
			continue
		}
		if figures > 20 || p.form == word && figures >= enoughFigures {
			break
		}
	}
	digits := b.String()
	if figures == 0 {
		return "", "", errNoPhone
	}
	if !plus && strings.HasPrefix(digits, "00") {
		digits, plus = digits[2:], true
	}
	if plus {
		digits = "+" + digits
	}
	n, err := phonenumbers.Parse(digits, region)
	if err != nil || !phonenumbers.IsValidNumber(n) {
		return "", "", fmt.Errorf("%q is no telephone number that can be called: figures are missing or wrong, "+
			"ask for it again, figure by figure", digits)
	}
	form := phonenumbers.NATIONAL
	if phonenumbers.GetRegionCodeForNumber(n) != region {
		form = phonenumbers.INTERNATIONAL
	}
	return phonenumbers.Format(n, phonenumbers.E164), phonenumbers.Format(n, form), nil
}
