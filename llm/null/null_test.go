package null_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/patchcord/patchcord/llm"
	"github.com/patchcord/patchcord/llm/llmtest"
	"github.com/patchcord/patchcord/llm/null"
)

func TestConformance(t *testing.T) {
	const network, tools = "it has no network", "it calls no tools"
	llmtest.Run(t, llmtest.Subject{
		Start: func(t *testing.T, s llmtest.Script) llm.Provider {
			c := null.Config{Text: s.Text}
			if s.Hang {
				c.First = time.Hour
			}
			p, err := null.New(c)
			if err != nil {
				t.Fatal(err)
			}
			return p
		},
		Skip: map[string]string{
			"words before a tool call": tools, "several tool calls are whole and in order": tools,
			"a tool call cut in its arguments is never ready": tools,
			"a completion cut after words is an error":        network, "a refusal says its status": network,
			"usage is told or zero": "it counts words by itself",
		},
	})
}

func TestWordsComeAtTheirTimes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, err := null.New(null.Config{
			First: 200 * time.Millisecond, Word: 10 * time.Millisecond,
			Script: []string{"one two three", "four"},
		})
		if err != nil {
			t.Fatal(err)
		}
		for turns, want := range []string{"one @200 two @210 three@220", "one @200 two @210 three@220", "four@200", "four@200"} {
			r := llm.Request{}
			for range turns {
				r.Messages = append(r.Messages, llm.Message{Role: llm.User, Content: "so"})
			}
			start := time.Now()
			st, err := p.Stream(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for {
				d, err := st.Next()
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				if d.Kind == llm.Text {
					got = append(got, d.Text+"@"+time.Since(start).String()[:3])
				}
			}
			if g := strings.Join(got, " "); strings.Join(strings.Fields(g), " ") != strings.Join(strings.Fields(want), " ") {
				t.Errorf("turn %d: got %s, want %s", turns, g, want)
			}
		}
	})
}

func TestNegativeWaits(t *testing.T) {
	t.Parallel()
	if _, err := null.New(null.Config{First: -1}); err == nil {
		t.Error("a negative wait is taken")
	}
}
