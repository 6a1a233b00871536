package engine

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/patchcord/patchcord/engine/turn"
	"github.com/patchcord/patchcord/internal/testkit/greetings"
)

// judged is what a detector makes of a greeting: its first verdict and when it
// came, and its last.
type judged struct {
	first, last turn.Party
	at          time.Duration
	cause       string
}

func judge(g greetings.Greeting) (j judged) {
	a := newAMD(0)
	ask := func(now time.Duration) {
		p, cause, ok := a.judge(now)
		if !ok {
			return
		}
		if j.first == "" {
			j.first, j.at = p, now
		}
		j.last, j.cause = p, cause
	}
	now := time.Duration(0)
	until := func(t time.Duration) {
		for at := a.next(now); at != 0 && at < t; at = a.next(now) {
			now = at
			ask(now)
		}
		now = t
	}
	for _, e := range g.Events {
		until(e.At)
		switch e.Voice {
		case 0:
			a.words(e.Text, e.Final)
		default:
			a.voiceAt(e.Voice > 0, e.Edge)
		}
		ask(now)
	}
	until(40 * time.Second)
	return j
}

// The corpus is generated (package greetings): it shows that the rules hold
// together over seven languages with words missing and wrong, not how they fare
// on real lines.
func TestGreetingsAreToldApart_convM2_convM3(t *testing.T) {
	const n = 2100
	table := map[greetings.Party]map[turn.Party]int{}
	firsts := map[greetings.Party]map[turn.Party]int{}
	delays := map[greetings.Party][]time.Duration{}
	total := map[greetings.Party]int{}
	var wrong []string
	for _, g := range greetings.Make(2026, n) {
		j := judge(g)
		if table[g.Party] == nil {
			table[g.Party], firsts[g.Party] = map[turn.Party]int{}, map[turn.Party]int{}
		}
		total[g.Party]++
		table[g.Party][j.last]++
		firsts[g.Party][j.first]++
		delays[g.Party] = append(delays[g.Party], j.at)
		if string(g.Party) != string(j.last) {
			wrong = append(wrong, fmt.Sprintf("%s %s is %s (%s, deaf %v): %s", g.Language, g.Party, j.last, j.cause, g.Deaf, g.Text))
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d generated greetings\n%-10s %6s %8s %8s %10s %8s", n, "", "n", "human", "machine", "screening", "unsure")
	b.WriteString("   first: human machine screening unsure   p50 verdict\n")
	for _, p := range slices.Sorted(maps.Keys(table)) {
		d := delays[p]
		slices.Sort(d)
		row, first := table[p], firsts[p]
		fmt.Fprintf(&b, "%-10s %6d %8d %8d %10d %8d", p, total[p], row[turn.PartyHuman], row[turn.PartyMachine],
			row[turn.PartyScreening], row[turn.PartyUnsure])
		fmt.Fprintf(&b, "   %12d %7d %9d %6d   %v\n", first[turn.PartyHuman], first[turn.PartyMachine],
			first[turn.PartyScreening], first[turn.PartyUnsure], d[len(d)/2].Round(10*time.Millisecond))
	}
	t.Log(b.String())
	if testing.Verbose() {
		t.Log(strings.Join(wrong[:min(len(wrong), 40)], "\n"))
	}
	share := func(of greetings.Party, as turn.Party) float64 { return float64(table[of][as]) / float64(total[of]) }
	if s := share(greetings.Human, turn.PartyMachine); s > 0.01 {
		t.Errorf("%.1f %% of people are taken for machines", 100*s)
	}
	if s := share(greetings.Machine, turn.PartyHuman); s > 0.03 {
		t.Errorf("%.1f %% of machines are taken for people", 100*s)
	}
}

// An assistant is answered once it has said all: it records nothing before.
func TestAnAssistantIsHeardOut_convM7(t *testing.T) {
	t.Parallel()
	a := newAMD(0)
	a.voiceAt(true, 500*time.Millisecond)
	a.words("please say your name and", false)
	for now := 2 * time.Second; now < 4300*time.Millisecond; now += 100 * time.Millisecond {
		if p, cause, ok := a.judge(now); ok {
			t.Fatalf("%s (%s) at %v, it speaks until 3.6 s", p, cause, now)
		}
		if now == 3600*time.Millisecond {
			a.voiceAt(false, now)
			a.words("please say your name and the reason for calling", true)
		}
	}
	if at := a.next(4200 * time.Millisecond); at != 4300*time.Millisecond {
		t.Errorf("it is asked again at %v", at)
	}
	if p, _, _ := a.judge(4300 * time.Millisecond); p != turn.PartyScreening {
		t.Errorf("it is %q", p)
	}
}
