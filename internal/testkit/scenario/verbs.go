package scenario

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/patchcord/patchcord/internal/yamlfault"
)

// verb reads the value of one step. value is nil for a step that is the bare
// verb.
type verb struct {
	name string
	read func(r *reader, value ast.Node, s *Step)
	bare bool // may stand without a value
}

// verbs is the table of all of them, in the order of the documentation.
var verbs = []verb{
	{Say, readSay, false},
	{Play, readPlay, false},
	{Wait, readWait, false},
	{WaitFor, readWords, false},
	{WaitQuiet, readSilence(DefaultQuiet), true},
	{BargeIn, readBargeIn, false},
	{Press, readPress, false},
	{Mumble, readFor(900 * time.Millisecond), true},
	{Cough, readFor(400 * time.Millisecond), true},
	{Hum, readFor(700 * time.Millisecond), true},
	{Knock, readFor(60 * time.Millisecond), true},
	{Noise, readNoise, false},
	{Echo, readEcho, false},
	{Mute, readWait, false},
	{Loss, readLoss, false},
	{Hold, readWait, false},
	{ExpectWords, readWords, false},
	{ExpectSilence, readSilence(DefaultSilence), true},
	{ExpectHangup, readHangup, true},
	{Hangup, func(*reader, ast.Node, *Step) {}, true},
}

// other are words that one may try: what to write instead.
var other = map[string]string{
	"bye": Hangup, "hang_up": Hangup, "dtmf": Press, "keys": Press, "gap": Wait, "sleep": Wait, "pause": Wait,
	"expect": ExpectWords, "hear": ExpectWords, "speak": Say, "interrupt": BargeIn, "silence": Mute,
}

func verbNames() string {
	names := make([]string, len(verbs))
	for i, v := range verbs {
		names[i] = v.name
	}
	return strings.Join(names, ", ")
}

// step reads "verb: value" or a bare verb.
func (r *reader) step(n ast.Node) Step {
	s := Step{}
	s.Line, s.Col = yamlfault.Place(n)
	var value ast.Node
	switch pairs, isMap := yamlfault.Pairs(n); {
	case isMap && len(pairs) == 1:
		s.Verb, value = yamlfault.Key(pairs[0]), pairs[0].Value
	case isMap:
		r.fault(n, "a step has one verb, this one has %d; begin each with - ", len(pairs))
		return s
	default:
		text, ok := scalar(n)
		if !ok {
			r.fault(n, "a step is one verb and its value, such as - say: \"hello\"")
			return s
		}
		s.Verb = text
	}
	for _, v := range verbs {
		if v.name != s.Verb {
			continue
		}
		if _, null := value.(*ast.NullNode); value == nil || null {
			if !v.bare {
				r.fault(n, "%s needs a value", v.name)
				return s
			}
			value = nil
		}
		v.read(r, value, &s)
		return s
	}
	if instead := other[s.Verb]; instead != "" {
		r.fault(n, "no verb %q; write %s (the verbs are %s)", s.Verb, instead, verbNames())
	} else {
		r.fault(n, "no verb %q; the verbs are %s", s.Verb, verbNames())
	}
	return s
}

func readSay(r *reader, n ast.Node, s *Step) {
	if text, ok := scalar(n); ok {
		s.Text = text
	} else {
		r.fields(n, fields{"text": r.text(&s.Text), "voice": r.text(&s.Voice)})
	}
	if strings.TrimSpace(s.Text) == "" {
		r.fault(n, "say needs a text")
	}
}

func readPlay(r *reader, n ast.Node, s *Step) {
	if text, ok := scalar(n); ok {
		s.File = r.path(text)
	} else {
		r.fields(n, fields{"file": r.file(&s.File)})
	}
	if s.File == "" {
		r.fault(n, "play needs a file")
	}
}

func readWait(r *reader, n ast.Node, s *Step) { r.duration(&s.For)(n) }

func readFor(otherwise time.Duration) func(*reader, ast.Node, *Step) {
	return func(r *reader, n ast.Node, s *Step) {
		s.For, s.Within = otherwise, DefaultWithin
		if _, isMap := yamlfault.Pairs(n); isMap {
			r.fields(n, fields{"for": r.duration(&s.For), "after": r.duration(&s.After), "within": r.duration(&s.Within)})
		} else if n != nil {
			r.duration(&s.For)(n)
		}
	}
}

// off says whether a value ends what goes on.
func off(n ast.Node, s *Step) bool {
	text, ok := scalar(n)
	s.Off = ok && (text == "off" || text == "false")
	return s.Off
}

func readNoise(r *reader, n ast.Node, s *Step) {
	if !off(n, s) {
		r.fields(n, fields{"db": r.number(&s.DB, -60, 0)})
	}
}

func readEcho(r *reader, n ast.Node, s *Step) {
	if !off(n, s) {
		s.DB, s.After = -12, 200*time.Millisecond
		r.fields(n, fields{"db": r.number(&s.DB, -60, 0), "lag": r.duration(&s.After)})
	}
}

func readLoss(r *reader, n ast.Node, s *Step) {
	if off(n, s) {
		return
	}
	text, _ := scalar(n)
	v, err := strconv.ParseFloat(strings.TrimSuffix(text, "%"), 64)
	if s.Share = v / 100; err != nil || !strings.HasSuffix(text, "%") || !(s.Share >= 0 && s.Share <= 1) {
		r.fault(n, "%q is no share of packets; write 5%%, or off", text)
	}
}

func readPress(r *reader, n ast.Node, s *Step) {
	r.text(&s.Digits)(n)
	if s.Digits == "" || strings.Trim(s.Digits, "0123456789*#ABCD") != "" {
		r.fault(n, "press takes keys: 0 to 9, *, #, A to D; write them in quotes")
	}
}

func readWords(r *reader, n ast.Node, s *Step) {
	s.Within = DefaultWithin
	_, isMap := yamlfault.Pairs(n)
	switch {
	case !isMap:
		r.words(&s.Words)(n)
	case s.Verb == ExpectWords:
		s.For = DefaultQuiet
		r.fields(n, fields{
			"words": r.words(&s.Words), "not": r.words(&s.Not), "within": r.duration(&s.Within), "for": r.duration(&s.For),
		})
	default:
		r.fields(n, fields{"words": r.words(&s.Words), "within": r.duration(&s.Within)})
	}
	if s.For == 0 && s.Verb == ExpectWords {
		s.For = DefaultQuiet
	}
	if len(s.Words) == 0 && len(s.Not) == 0 {
		r.fault(n, "%s needs words, such as %s: {words: [order, shipped], within: 10s}", s.Verb, s.Verb)
	}
}

func readSilence(otherwise time.Duration) func(*reader, ast.Node, *Step) {
	return func(r *reader, n ast.Node, s *Step) {
		s.For, s.Within = otherwise, DefaultWithin
		if _, isMap := yamlfault.Pairs(n); isMap {
			r.fields(n, fields{"for": r.duration(&s.For), "within": r.duration(&s.Within)})
		} else if n != nil {
			r.duration(&s.For)(n)
		}
		if s.Within < s.For {
			r.fault(n, "within %s is shorter than the silence of %s that is expected", s.Within, s.For)
		}
	}
}

func readHangup(r *reader, n ast.Node, s *Step) {
	s.Within = DefaultWithin
	if _, isMap := yamlfault.Pairs(n); isMap {
		r.fields(n, fields{"within": r.duration(&s.Within)})
	} else if n != nil {
		r.duration(&s.Within)(n)
	}
}

func readBargeIn(r *reader, n ast.Node, s *Step) {
	s.Within = DefaultWithin
	r.fields(n, fields{
		"after": r.duration(&s.After), "say": r.text(&s.Text), "play": r.file(&s.File), "voice": r.text(&s.Voice),
		"stops_within": r.duration(&s.StopsWithin), "within": r.duration(&s.Within),
	})
	if (s.Text == "") == (s.File == "") {
		r.fault(n, "barge_in needs say or play, such as barge_in: {after: 1.2s, say: \"stop\"}")
	}
}

// path is a file named in a scenario: relative to it.
func (r *reader) path(name string) string {
	if name == "" || filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(filepath.Dir(r.name), name)
}

func (r *reader) file(to *string) setter {
	return func(n ast.Node) {
		r.text(to)(n)
		*to = r.path(*to)
	}
}

// String is the step as a report names it.
func (s Step) String() string {
	switch s.Verb {
	case Say:
		return fmt.Sprintf("say %q", s.Text)
	case Play:
		return "play " + filepath.Base(s.File)
	case Wait, Mumble, Cough, Hum, Knock, Mute, Hold:
		if s.After > 0 {
			return s.Verb + " " + s.For.String() + " after " + s.After.String()
		}
		return s.Verb + " " + s.For.String()
	case Noise, Echo, Loss:
		return s.Verb + " " + s.how()
	case WaitFor, ExpectWords:
		out := s.Verb + " " + quoted(s.Words)
		if len(s.Not) > 0 {
			out += ", not " + quoted(s.Not)
		}
		return out
	case WaitQuiet, ExpectSilence:
		return s.Verb + " for " + s.For.String()
	case BargeIn:
		what := fmt.Sprintf("say %q", s.Text)
		if s.File != "" {
			what = "play " + filepath.Base(s.File)
		}
		return "barge_in after " + s.After.String() + ", " + what
	case Press:
		return "press " + s.Digits
	}
	return s.Verb
}

// how is what goes on from a step on.
func (s Step) how() string {
	switch {
	case s.Off:
		return "off"
	case s.Verb == Loss:
		return fmt.Sprintf("%g%%", 100*s.Share)
	case s.Verb == Echo:
		return fmt.Sprintf("%g dB after %s", s.DB, s.After)
	}
	return fmt.Sprintf("%g dB", s.DB)
}

func quoted(words []string) string {
	list := make([]string, len(words))
	for i, w := range words {
		list[i] = fmt.Sprintf("%q", w)
	}
	return strings.Join(list, ", ")
}
