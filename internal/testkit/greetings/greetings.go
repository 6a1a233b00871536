// Package greetings makes up what answers an outbound call: people, mailboxes
// and assistants that screen calls, in seven languages, as a voice detector and
// a recogniser would tell of them.
//
// Every greeting is generated, from templates and a seed: none was recorded from
// a real call, and figures over them say how the rules work together, not how
// they fare on a carrier's lines. The same seed gives the same greetings.
package greetings

import (
	"math/rand/v2"
	"strings"
	"time"
)

// Party is what answers.
type Party string

// The parties.
const (
	Human     Party = "human"
	Machine   Party = "machine"
	Screening Party = "screening"
)

// Event is one thing that is noticed of a greeting: an edge of the voice,
// back-dated, or words.
type Event struct {
	At    time.Duration // when it is noticed, since the answer
	Voice int8          // 1 began, -1 ended, 0: words
	Edge  time.Duration // when the voice began or ended
	Text  string
	Final bool
}

// Greeting is what one call is answered with.
type Greeting struct {
	Party    Party
	Language string
	Text     string // as it is said
	Deaf     bool   // the recogniser understands nothing of it
	Events   []Event
	End      time.Duration // of its last voice
}

// Make generates n greetings, in the shares of an outbound campaign: half
// people, most of the others mailboxes.
func Make(seed uint64, n int) []Greeting {
	r := rand.New(rand.NewPCG(seed, 0x9e3779b97f4a7c15))
	out := make([]Greeting, 0, n)
	for i := range n {
		t := languages[i%len(languages)]
		g := Greeting{Language: t.name}
		switch p := r.Float64(); {
		case p < 0.5:
			g.Party, g.Text = Human, t.person(r)
		case p < 0.9:
			g.Party, g.Text = Machine, t.machine(r)
		default:
			g.Party, g.Text = Screening, one(r, t.screening)
		}
		g.perform(r)
		out = append(out, g)
	}
	return out
}

func one(r *rand.Rand, of []string) string { return of[r.IntN(len(of))] }

// person greets shortly, or as a company does.
func (t *texts) person(r *rand.Rand) string {
	switch p := r.Float64(); {
	case p < 0.55:
		return one(r, t.hello)
	case p < 0.8:
		return t.fill(r, one(r, t.named))
	}
	return t.fill(r, one(r, t.company))
}

// machine is a carrier's announcement or a person's own, in sentences.
func (t *texts) machine(r *rand.Rand) string {
	if r.Float64() < 0.4 {
		return one(r, t.carrier)
	}
	text := t.fill(r, one(r, t.reached)) + " " + one(r, t.away) + " " + one(r, t.message)
	if r.Float64() < 0.2 {
		text = one(r, t.hello) + " " + text
	}
	return text
}

func (t *texts) fill(r *rand.Rand, text string) string {
	return strings.NewReplacer("NAME", one(r, t.names), "FIRM", one(r, t.firms)).Replace(text)
}

// perform says the text: a voice for each sentence, its words behind it, some
// of them wrong or missing.
func (g *Greeting) perform(r *rand.Rand) {
	at := time.Duration(400+r.IntN(1400)) * time.Millisecond
	rate := 2.2 + 1.3*r.Float64() // words a second
	delay := time.Duration(150+r.IntN(900)) * time.Millisecond
	interims := r.Float64() < 0.6
	g.Deaf = r.Float64() < 0.03
	errors := 0.02 + 0.12*r.Float64() // share of words that are wrong
	pause := 150 + r.IntN(400)
	for _, sentence := range strings.FieldsFunc(g.Text, func(c rune) bool { return strings.ContainsRune(".?!;", c) }) {
		words := strings.Fields(sentence)
		if len(words) == 0 {
			continue
		}
		letters := len([]rune(strings.Join(words, "")))
		long := time.Duration((0.25 + float64(letters)/(rate*5.2)) * float64(time.Second))
		g.Events = append(g.Events, Event{At: at + 60*time.Millisecond, Voice: 1, Edge: at})
		heard := mishear(r, words, errors)
		if interims && !g.Deaf {
			for n := 2; n < len(words); n += 2 {
				when := at + time.Duration(float64(long)*float64(n)/float64(len(words))) + 300*time.Millisecond
				g.Events = append(g.Events, Event{At: when, Text: strings.Join(heard[:min(n, len(heard))], " ")})
			}
		}
		at += long
		g.Events = append(g.Events, Event{At: at + 200*time.Millisecond, Voice: -1, Edge: at})
		text := strings.Join(heard, " ")
		if g.Deaf {
			text = ""
		}
		g.Events = append(g.Events, Event{At: at + 200*time.Millisecond + delay, Text: text, Final: true})
		g.End = at
		at += time.Duration(pause+r.IntN(350)) * time.Millisecond
	}
	sortByTime(g.Events)
}

func sortByTime(es []Event) {
	for i := 1; i < len(es); i++ { // few, and nearly in order
		for j := i; j > 0 && es[j].At < es[j-1].At; j-- {
			es[j], es[j-1] = es[j-1], es[j]
		}
	}
}

// mishear is what a recogniser makes of words.
func mishear(r *rand.Rand, words []string, share float64) []string {
	var out []string
	for _, w := range words {
		switch p := r.Float64(); {
		case p < share/2: // not heard
		case p < share:
			out = append(out, one(r, noise))
		default:
			out = append(out, w)
		}
	}
	return out
}

// noise are words that a recogniser puts in the place of others.
var noise = []string{"the", "uh", "one", "so", "and", "in", "de", "la", "was", "son", "ten", "mine"}
