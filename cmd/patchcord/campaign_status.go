package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

type campaignStatusCmd struct {
	campaignFlags
	Watch bool          `short:"w" help:"Go on showing it until the campaign is over."`
	Every time.Duration `help:"How often, with --watch." default:"1s" placeholder:"TIME"`
}

// Help is shown by --help.
func (campaignStatusCmd) Help() string {
	return `Example:
  patchcord campaign status spring
  patchcord campaign status spring --watch --every 5s
  patchcord campaign status spring --json | jq .stats.contacts`
}

// campaignStats is where a campaign is.
type campaignStats struct {
	Contacts    map[string]int `json:"contacts"`
	Total       int            `json:"total"`
	Attempts    int            `json:"attempts"`
	Outcomes    map[string]int `json:"outcomes"`
	CallsUp     int            `json:"calls_up"`
	LastMinute  int            `json:"last_minute"`
	AnswerRate  float64        `json:"answer_rate"`
	AbandonRate float64        `json:"abandon_rate"`
	NextDue     *time.Time     `json:"next_due,omitempty"`
}

// leastEvery keeps --watch within what a key may ask in a minute.
const leastEvery = time.Second

// Run shows.
func (c *campaignStatusCmd) Run(ctx context.Context, out *output) error {
	if c.Every < leastEvery {
		return usagef("--every=%v: %v at least", c.Every, leastEvery)
	}
	cl, err := c.client()
	if err != nil {
		return err
	}
	drawn := 0 // lines that are on the terminal
	for {
		var text json.RawMessage
		if err := cl.get(ctx, c.path(""), &text); err != nil {
			return stopped(ctx, c.Watch, err)
		}
		var k knownCampaign
		if err := json.Unmarshal(text, &k); err != nil {
			return fmt.Errorf("read the engine's answer: %w", err)
		}
		if c.JSON {
			fmt.Fprintf(out.out, "%s\n", bytes.TrimSpace(text))
		} else {
			if out.terminal && drawn > 0 {
				fmt.Fprintf(out.out, "\x1b[%dA\x1b[J", drawn) // up, and clear what is below (ECMA-48)
			}
			shown := k.text(time.Now())
			drawn = strings.Count(shown, "\n")
			if _, err := io.WriteString(out.out, shown); err != nil {
				return err
			}
		}
		if !c.Watch || k.Status == "completed" || k.Status == "cancelled" && k.Stats.CallsUp == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil // Ctrl-C is how one stops watching
		case <-time.After(c.Every):
		}
	}
}

// stopped is no error where somebody stopped watching.
func stopped(ctx context.Context, watching bool, err error) error {
	if watching && ctx.Err() != nil {
		return nil //nolint:nilerr // Ctrl-C is how one stops watching
	}
	return err
}

// contactStates are those of a contact, in the order of its way.
var contactStates = []string{"pending", "claimed", "dialing", "reached", "failed", "blocked", "expired", "review"}

// text shows a campaign to people.
func (k *knownCampaign) text(now time.Time) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %s: %s", k.ID, k.Name, k.Status)
	if k.Reason != "" {
		fmt.Fprintf(&b, " (%s)", k.Reason)
	}
	s := k.Stats
	fmt.Fprintf(&b, "\n  people   %7d  ", s.Total)
	var parts []string
	for _, st := range contactStates {
		if n := s.Contacts[st]; n > 0 {
			parts = append(parts, fmt.Sprintf("%s %d", st, n))
		}
	}
	b.WriteString(strings.Join(parts, ", "))
	fmt.Fprintf(&b, "\n  attempts %7d  ", s.Attempts)
	parts = parts[:0]
	for _, o := range slices.SortedFunc(maps.Keys(s.Outcomes), func(a, b string) int {
		if s.Outcomes[a] != s.Outcomes[b] {
			return s.Outcomes[b] - s.Outcomes[a]
		}
		return strings.Compare(a, b)
	}) {
		parts = append(parts, fmt.Sprintf("%s %d", o, s.Outcomes[o]))
	}
	b.WriteString(strings.Join(parts, ", "))
	fmt.Fprintf(&b, "\n  calls up %7d  %d begun in the last minute, %.1f %% answered, %.1f %% abandoned\n", s.CallsUp,
		s.LastMinute,
		100*s.AnswerRate, 100*s.AbandonRate)
	if s.NextDue != nil && k.Status != "completed" && k.Status != "cancelled" {
		if wait := s.NextDue.Sub(now).Round(time.Second); wait > 0 {
			fmt.Fprintf(&b, "  next due in %v, at %s\n", wait, s.NextDue.UTC().Format(time.RFC3339))
		} else {
			b.WriteString("  people are due now\n")
		}
	}
	return b.String()
}
