// Package written turns what a caller said into the value it stands for, the
// inverse of what a voice does: "laura dot martin at example dot com" becomes
// laura.martin@example.com, "double six five" 665, "am dritten Oktober" a date.
// Spoken forms are understood in English, French and German, written ones in
// every language.
//
// It guarantees that a value which comes out was accepted by a real parser of
// its kind, that the read-back of a value, parsed again, is that value, and that
// nothing panics, whatever a model or a recogniser writes.
package written

import (
	"cmp"
	"errors"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/text/language"

	"github.com/patchcord/patchcord/audio/tts/spoken"
)

// Kind is what a value is.
type Kind string

// The kinds (T-13).
const (
	Email  Kind = "email"
	Phone  Kind = "phone"
	Name   Kind = "name"
	Number Kind = "number"
	Date   Kind = "date"
	Custom Kind = "custom"
)

// Kinds are all of them.
func Kinds() []Kind { return []Kind{Email, Phone, Name, Number, Date, Custom} }

// longest is how much of a caller's words is looked at, bytes.
const longest = 1000

// Options are what a value may depend on.
type Options struct {
	Language string    // BCP 47, of the caller's words; "" is English
	Region   string    // ISO 3166 code of numbers without a country code; "" is the language's
	Now      time.Time // what "tomorrow" is counted from
}

func (o Options) region() string {
	if o.Region != "" {
		return strings.ToUpper(o.Region)
	}
	t, err := language.Parse(cmp.Or(o.Language, "en"))
	if err != nil {
		return "US"
	}
	r, _ := t.Region() // the likely one where the tag names none
	return r.String()
}

// Value is what was said.
type Value struct {
	Kind Kind
	Text string // laura.martin@example.com, +33665123456, 412.5, 2026-03-21
	// ReadBack is how it is read to the caller, in the language of the options.
	ReadBack string
	// Typed is what a variable holds: a float64 for a number, else the text.
	Typed any
}

// Parse finds the value in what was said. The error tells what is wrong with
// it, in words for a model that has to ask again.
func Parse(k Kind, text string, o Options) (Value, error) {
	if len(text) > longest || !utf8.ValidString(text) {
		return Value{}, errors.New("too long: only the value itself is wanted")
	}
	l := langOf(o.Language)
	v := Value{Kind: k}
	var err error
	switch k {
	case Email:
		v.Text, err = l.email(text)
		v.ReadBack = spoken.Speak(v.Text, o.Language).Text
	case Phone:
		var groups string
		v.Text, groups, err = l.phone(text, o.region())
		v.ReadBack = spoken.Speak(groups, o.Language).Text
	case Name:
		v.Text, err = l.name(text)
		v.ReadBack = v.Text
	case Number:
		var f float64
		f, v.Text, err = l.number(text)
		v.ReadBack, v.Typed = l.sayNumber(v.Text, o.Language), f
	case Date:
		var t time.Time
		t, err = l.date(text, o.today())
		v.Text = t.Format(time.DateOnly)
		v.ReadBack = spoken.Speak(v.Text, o.Language).Text
	case Custom:
		v.Text, err = l.custom(text)
		v.ReadBack = v.Text
	default:
		err = errors.New("unknown kind " + string(k))
	}
	if err != nil {
		return Value{}, err
	}
	if v.Typed == nil {
		v.Typed = v.Text
	}
	return v, nil
}
