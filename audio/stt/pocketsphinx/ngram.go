package pocketsphinx

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
)

// gram is up to three words, the last ones empty.
type gram [3]string

func (g gram) order() int {
	n := 0
	for n < len(g) && g[n] != "" {
		n++
	}
	return n
}

// history is all but the last word, lower all but the first.
func (g gram) history() gram { g[g.order()-1] = ""; return g }
func (g gram) lower() gram   { return gram{g[1], g[2]} }

// counts are the n-grams of sentences. seen is how often one was seen, which a
// class makes a fraction; follow is how often anything followed a history and
// kinds how many different things did: a class is one kind, spread over its
// members, so that "is" before <digits> has not eleven followers but one.
type counts struct {
	seen, follow, kinds map[gram]float64
}

// count counts the n-grams of all sentences, classes spread over their members.
func (p *phrases) count() counts {
	classes := counts{map[gram]float64{}, map[gram]float64{}, map[gram]float64{}}
	for _, s := range p.sentences {
		classes.sentence(s.words, 1)
	}
	for _, class := range slices.Sorted(maps.Keys(runs)) {
		if p.has(class) {
			classes.sentence([]string{class}, 1) // a caller pauses before the number: it is an utterance of its own
		}
	}
	c := counts{map[gram]float64{}, map[gram]float64{}, map[gram]float64{}}
	for g, n := range classes.seen {
		spread(c.seen, g, n)
		spread(c.follow, g.history(), n)
		spread(c.kinds, g.history(), 1)
	}
	return c
}

// sentence counts one, n times; a run is every length of it, each by its share.
func (c counts) sentence(words []string, n float64) {
	if i := slices.IndexFunc(words, func(w string) bool { return runs[w].of != "" }); i >= 0 {
		r := runs[words[i]]
		for length, share := range r.lengths {
			if share > 0 {
				c.sentence(slices.Concat(words[:i], slices.Repeat([]string{r.of}, length), words[i+1:]), n*share)
			}
		}
		return
	}
	all := slices.Concat([]string{"<s>"}, words, []string{"</s>"})
	for i := range all {
		for order := 1; order <= 3 && i+order <= len(all); order++ {
			var g gram
			copy(g[:], all[i:i+order])
			c.seen[g] += n
		}
	}
}

// spread adds n to g, or its share to each gram with members for the classes.
func spread(m map[gram]float64, g gram, n float64) {
	for i, w := range g {
		if all := members[w]; all != nil {
			for _, g[i] = range all {
				spread(m, g, n/float64(len(all)))
			}
			return
		}
	}
	m[g] += n
}

// model is a trigram model: the probability of each gram's last word after the
// others, and the weight of the shorter history where a gram is unknown.
type model struct {
	p, back map[gram]float64
}

// wittenBell interpolates each order with the one below: the weight of what
// was seen after a history is seen/(seen+kinds) (Witten and Bell 1991, method
// C).
func (c counts) wittenBell() model {
	m := model{map[gram]float64{}, map[gram]float64{}}
	words := 0
	for g := range c.seen {
		if g.order() == 1 && g[0] != "<s>" {
			words++
		}
	}
	// The unigrams: the history is nothing, <s> does not follow it.
	total, kinds := c.follow[gram{}]-c.seen[gram{"<s>"}], float64(words)
	for _, g := range slices.SortedFunc(maps.Keys(c.seen), compare) { // lower orders first
		h := g.history()
		switch {
		case g == gram{"<s>"}:
			m.p[g] = 1e-99
		case g.order() == 1:
			m.p[g] = (c.seen[g] + kinds/float64(words)) / (total + kinds)
		default:
			m.p[g] = (c.seen[g] + c.kinds[h]*m.p[g.lower()]) / (c.follow[h] + c.kinds[h])
		}
		if c.follow[g] > 0 {
			m.back[g] = c.kinds[g] / (c.follow[g] + c.kinds[g])
		}
	}
	return m
}

func compare(a, b gram) int {
	return cmp.Or(cmp.Compare(a.order(), b.order()), slices.Compare(a[:], b[:]))
}

// writeARPA writes the model in the ARPA form that PocketSphinx reads.
func (m model) writeARPA(w io.Writer) error {
	var list [4][]gram
	for _, g := range slices.SortedFunc(maps.Keys(m.p), compare) {
		list[g.order()] = append(list[g.order()], g)
	}
	b := bufio.NewWriter(w)
	fmt.Fprint(b, "\\data\\\n")
	for n := 1; n <= 3; n++ {
		fmt.Fprintf(b, "ngram %d=%d\n", n, len(list[n]))
	}
	for n := 1; n <= 3; n++ {
		fmt.Fprintf(b, "\n\\%d-grams:\n", n)
		for _, g := range list[n] {
			fmt.Fprintf(b, "%.5f\t%s", math.Log10(m.p[g]), strings.Join(g[:n], " "))
			if back := m.back[g]; n < 3 && back > 0 {
				fmt.Fprintf(b, "\t%.5f", math.Log10(back))
			}
			fmt.Fprint(b, "\n")
		}
	}
	fmt.Fprint(b, "\n\\end\\\n")
	return b.Flush()
}
